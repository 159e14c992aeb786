"""Real runs from the command line, and what they cost: stop and resume, precision, processes, the price of a GPU."""

import functools
import html
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from course.figures import BLUE, GREY, ORANGE, VERMILION
from course.lab import Picture, new_figure
from course.lessons.lesson_00_first_gpt import plot_texts, wrap
from course.step_costs import Summary, count
from gptlib.config import TrainConfig
from gptlib.dataset import Dataset
from gptlib.device import autocast, pick_dtype
from gptlib.errors import UserError
from gptlib.events import TrainStep
from gptlib.model import GPT
from gptlib.run_folder import load_checkpoint, read_log
from gptlib.trainer import Trainer

SHOWN_LINES = 12
COLUMNS = 104

# --- commands, run as in a terminal -----------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Finished:
    """A command that has ended: what it printed, how long it took, and the folder that it worked in."""

    command: str
    lines: tuple[str, ...]
    exit_code: int
    seconds: float
    folder: Path

    @property
    def losses(self) -> dict[int, float]:
        """The logged training losses of its `out_dir`, by step."""
        return {line["step"]: line["loss"] for line in read_log(self._out_dir / "log.jsonl") if "loss" in line}

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The weights that it saved last."""
        return load_checkpoint(self._out_dir, prefer="latest").weights

    @property
    def _out_dir(self) -> Path:
        words = [word.removeprefix("--out_dir=") for word in shlex.split(self.command) if word.startswith("--out_dir=")]
        return self.folder / words[-1]

    def __repr__(self) -> str:
        return f"<finished with exit code {self.exit_code}: {self.command}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        """Its last lines as a picture: they hold measured numbers, which nobody else's run will have."""
        lines = [part for line in self.lines[-SHOWN_LINES:] for part in wrap(line, COLUMNS)]
        lines = [*wrap(f"$ {self.command}", COLUMNS), *lines]
        picture = plot_texts({"in the terminal": "\n".join(lines)}, self.command, columns=COLUMNS, lines=len(lines))
        data, metadata = picture._repr_mimebundle_()
        return data | {"text/plain": repr(self)}, metadata


class Terminal:
    """Runs commands in a folder of its own, and shows what they print while they print it.

    `python` and `torchrun` mean those of this notebook's environment.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gptlib-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def __repr__(self) -> str:
        return "<terminal>"

    def run(self, command: str, terminate_after: str = "", live: bool = True) -> Finished:
        """Run a command to its end; at the first line that begins with `terminate_after`, ask it to stop.

        Raises:
            UserError: it failed, and nobody asked it to stop.
        """
        screen = _screen(command) if live else None
        started, lines, asked = time.perf_counter(), [], False
        with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
            process = subprocess.Popen(
                _real_command(command),
                cwd=self.folder,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=complaints,  # progress bars, and why it failed
                encoding="utf-8",
            )
            try:
                for line in process.stdout:
                    lines.append(line.rstrip())
                    if screen:
                        screen.value = _page(command, lines)
                    if terminate_after and line.startswith(terminate_after) and not asked:
                        asked = True
                        process.terminate()
                process.wait()
            finally:  # an interrupted cell leaves no run behind
                process.kill()
                process.wait()
                process.stdout.close()
            if process.returncode and not asked:
                complaints.seek(0)
                raise UserError(f"{command}: {_last_words(complaints.read())}")
        return Finished(command, tuple(lines), process.returncode, time.perf_counter() - started, self.folder)


def _real_command(command: str) -> list[str]:
    program, *words = shlex.split(command)
    start = {"python": [sys.executable], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}
    return [*start.get(program, [program]), *words]


def _screen(command: str) -> Any:
    import ipywidgets
    from IPython.display import display

    screen = ipywidgets.HTML(_page(command, []))
    display({"text/plain": "<a terminal>"} | _view_only(screen), raw=True)
    return screen


def _view_only(widget: Any) -> dict[str, Any]:
    return {mime: view for mime, view in (widget._repr_mimebundle_() or {}).items() if "widget-view" in mime}


def _page(command: str, lines: Sequence[str]) -> str:
    text = html.escape("\n".join([f"$ {command}", *lines[-SHOWN_LINES:]]))
    return f'<pre role="log" style="line-height:1.4;white-space:pre-wrap;margin:0">{text}</pre>'


def _last_words(complaints: str) -> str:
    lines = [line.split("\r")[-1].strip() for line in complaints.splitlines()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or [line for line in lines if line] or ["it failed and did not say why"])[-1]


def same_to_the_bit(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether two models have the same weights, all of them, to the last bit."""
    return one.keys() == other.keys() and all(
        one[name].numpy().tobytes() == other[name].numpy().tobytes() for name in one
    )


def largest_gap(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """How far the losses of two runs are apart at most, over the steps that both logged."""
    return max(abs(one[step] - other[step]) for step in one.keys() & other.keys())


# --- times ------------------------------------------------------------------------------------------------


def step_seconds(configs: Mapping[str, TrainConfig], data: Dataset, steps: int = 6, warmup: int = 1) -> dict[str, Any]:
    """Seconds of each single step, the runs taking turns step by step, so that a busy machine slows all alike."""
    runs = {
        name: iter(Trainer(replace(config, log_interval=1, eval_interval=10**6), data))
        for name, config in configs.items()
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(steps + warmup):
        for name, run in runs.items():
            before = time.perf_counter()
            next(event for event in run if isinstance(event, TrainStep))
            times[name].append(time.perf_counter() - before)
    return {name: seconds[warmup:] for name, seconds in times.items()}


def plot_step_seconds(times: Mapping[str, Sequence[float]], title: str) -> Picture:
    """A bar for each median, with all single steps as dots: the spread is part of the result."""
    figure, ax = new_figure(6.4, 0.6 * len(times) + 1.3)
    for y, (_name, seconds) in enumerate(times.items()):
        milliseconds = 1000 * np.array(seconds)
        ax.barh(y, np.median(milliseconds), color=BLUE, alpha=0.35, height=0.6)
        ax.plot(milliseconds, y + np.linspace(-0.2, 0.2, len(milliseconds)), "o", ms=3, color=BLUE)
    ax.set_yticks(range(len(times)), times)
    ax.invert_yaxis()
    ax.set(xlabel="milliseconds a step (bar: median; dots: single steps)", xlim=(0, None))
    ax.set_title(title, loc="left", fontsize=10)
    medians = "; ".join(f"{name}: {1000 * statistics.median(s):.0f} ms" for name, s in times.items())
    return Picture(figure, title, f"{title}. Median of a step: {medians}.")


def plot_seconds(seconds: Mapping[str, float], title: str) -> Picture:
    """A bar for the whole time of each command."""
    figure, ax = new_figure(6.4, 0.6 * len(seconds) + 1.2)
    ax.barh(range(len(seconds)), list(seconds.values()), color=BLUE, alpha=0.6, height=0.6)
    ax.set_yticks(range(len(seconds)), seconds)
    ax.invert_yaxis()
    ax.set(xlabel="seconds")
    ax.set_title(title, loc="left", fontsize=10)
    return Picture(figure, title, f"{title}. " + "; ".join(f"{name}: {s:.1f} s" for name, s in seconds.items()) + ".")


def losses_of(config: TrainConfig, data: Dataset) -> list[float]:
    """The logged training losses of a run."""
    return [event.loss for event in Trainer(config, data) if isinstance(event, TrainStep)]


# --- stored results ---------------------------------------------------------------------------------------


def read_results(name: str) -> dict[str, Any]:
    """A small file of measurements, made by a script in tests/benchmarks and stored beside the notebooks.

    Raises:
        UserError: there is none.
    """
    path = Path(__file__).parents[2] / "results" / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"no results/{name}.json beside the notebooks; is this the whole repository?") from None


def plot_ladder(results: Mapping[str, Any]) -> Picture:
    """Seconds of each rung, single seeds as dots, and how many times as fast as the first it is."""
    rungs = results["rungs"]
    figure, ax = new_figure(7.4, 0.62 * len(rungs) + 1.2)
    for y, rung in enumerate(rungs):
        ax.barh(y, rung["median_seconds"], color=BLUE, alpha=0.35, height=0.6)
        ax.plot(rung["seconds"], [y] * len(rung["seconds"]), "o", ms=3.5, color=BLUE)
        loss = f"{rung['times_faster']:.1f}×, loss {rung['median_val_loss']:.2f}"
        ax.text(max(rung["seconds"]), y, f"  {loss}", va="center", fontsize=8.5)
    ax.set_yticks(range(len(rungs)), [textwrap.fill(rung["words"], 32) for rung in rungs], fontsize=8.5)
    ax.invert_yaxis()
    ax.set(
        xlabel="seconds to the end (bar: median; dots: seeds)", xlim=(0, 1.3 * max(max(r["seconds"]) for r in rungs))
    )
    parts = [f"{r['words']}: {r['median_seconds']:.0f} s, {r['times_faster']:.1f} times as fast" for r in rungs]
    return Picture(figure, "what made the trainer fast", "Seconds by rung. " + "; ".join(parts) + ".")


def plot_scale(results: Mapping[str, Any]) -> Picture:
    """How much of the machine a step uses, against the size of the model, of the batch and of the window."""
    sweeps = (("sizes", "parameters"), ("batches", "batch_size"), ("block_sizes", "block_size"))
    roof = results["peak_gflops_per_second"]
    figure, axes = new_figure(8.4, 3.3, columns=3)
    parts = []
    for ax, (sweep, key) in zip(axes, sweeps, strict=True):
        points = results[sweep]
        x, y = [p[key] for p in points], [p["gflops_per_second"] for p in points]
        ax.semilogx(x, y, "o-", color=BLUE, ms=4)
        ax.axhline(roof, color=VERMILION, lw=1.2, ls="--")
        ax.set(xlabel=key, ylim=(0, 1.15 * roof))
        ax.minorticks_off()
        if key != "parameters":
            ax.set_xticks(x, [str(n) for n in x], fontsize=8.5)
        parts.append(f"against {key}, from {x[0]:,} to {x[-1]:,}: " + ", ".join(f"{rate:.0f}" for rate in y))
    axes[0].set_ylabel("GFLOP/s in a training step")
    axes[0].text(axes[0].get_xlim()[0], roof, " the largest matrix product", va="bottom", fontsize=8.5, color=VERMILION)
    alt = f"GFLOP/s of a training step, under a roof of {roof:.0f}; " + "; ".join(parts) + "."
    return Picture(figure, "how near to the roof", alt)


def plot_compile(results: Mapping[str, Any]) -> Picture:
    """Total seconds against steps, with and without torch.compile: where the lines cross, compiling has paid."""
    figure, ax = new_figure(6.8, 3.2)
    steps = np.array([0, results["steps_shown"]])
    for mode, color, dash in (("eager", GREY, "-"), ("compiled", BLUE, "--")):
        runs = results[mode]
        for first, each in zip(runs["first_step_seconds"], runs["step_seconds"], strict=True):
            ax.plot(steps, first + each * steps, color=color, ls=dash, lw=1.3)
        ax.plot([], [], color=color, ls=dash, label=f"{mode}, {len(runs['step_seconds'])} runs")
    ax.set(xlabel="steps", ylabel="seconds since the start", xlim=(0, steps[1]), ylim=(0, None))
    ax.legend(fontsize=8.5)
    first, each = (statistics.median(results["compiled"][k]) for k in ("first_step_seconds", "step_seconds"))
    eager = statistics.median(results["eager"]["step_seconds"])
    alt = f"Compiled: the first step takes {first:.0f} s, the others {1000 * each:.0f} ms; eager {1000 * eager:.0f} ms."
    return Picture(figure, "torch.compile: the first step and the others", alt)


# --- the calculator -----------------------------------------------------------------------------------------

PARTS = ("weights", "gradients", "optimizer", "activations")
GIB = 2**30
_counted = functools.cache(count)  # a price moves more often than the model


def measured_activations(config: TrainConfig, vocab_size: int) -> int:
    """Bytes that a real forward pass leaves in memory, by the account of torch's allocator."""
    model = GPT(config.model_config(vocab_size))
    x = torch.zeros(config.batch_size, config.block_size, dtype=torch.int64)

    def forward() -> tuple:
        with autocast(x.device, pick_dtype(config.dtype, x.device)):
            return model(x, x)

    forward()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would report to stderr that it began
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept_alive = forward()
    events = profiler.profiler.kineto_results.events()
    size = sum(event.nbytes() for event in events if event.name() == "[memory]")
    del kept_alive
    return size


def plot_memory_check(configs: Iterable[TrainConfig], vocab_size: int) -> Picture:
    """Counted against measured activations: on the diagonal the calculator is right."""
    configs = list(configs)
    counted = [count(config, vocab_size).activations / 2**20 for config in configs]
    measured = [measured_activations(config, vocab_size) / 2**20 for config in configs]
    figure, ax = new_figure(4.4, 3.4)
    ends = [0.7 * min(counted), 1.4 * max(counted)]
    ax.plot(ends, ends, color=GREY, lw=1, ls="--", label="counted = measured")
    ax.loglog(counted, measured, "o", color=BLUE, ms=5)
    ax.set(xlabel="counted (MiB)", ylabel="measured (MiB)")
    ax.legend(fontsize=8.5)
    pairs = "; ".join(f"{c:.1f} and {m:.1f}" for c, m in zip(counted, measured, strict=True))
    return Picture(figure, "activations, counted and measured", f"MiB counted and measured: {pairs}.")


@dataclass(frozen=True)
class Bill:
    """What training costs on a GPU whose speed, use and price the learner states."""

    summary: Summary
    tokens: float
    peak_flops: float
    utilisation: float
    price_per_hour: float
    gpus: int = 1

    @property
    def flops(self) -> float:
        """All multiplications and additions of the run."""
        return self.summary.flops_per_token * self.tokens

    @property
    def hours(self) -> float:
        """By the clock."""
        return self.flops / (self.peak_flops * self.utilisation * self.gpus) / 3600

    @property
    def price(self) -> float:
        """Hours times GPUs times the price of one for an hour."""
        return self.hours * self.gpus * self.price_per_hour


def draw_bill(
    data_vocab: int = 50257,
    *,
    n_layer: int,
    n_embd: int,
    block_size: int,
    batch_size: int,
    dtype: str,
    gpu_memory: float,
    teraflops: float,
    utilisation: float,
    gpus: int,
    tokens: float,
    price: float,
) -> Picture:
    """Memory by part against what the GPU has, and under it time and money."""
    shape = {"n_layer": n_layer, "n_embd": n_embd, "n_head": max(1, n_embd // 64), "block_size": block_size}
    config = TrainConfig(**shape, batch_size=batch_size, dtype=dtype, device="cpu")
    summary = _counted(config, data_vocab)
    bill = Bill(summary, tokens, teraflops * 1e12, utilisation, price, gpus)
    figure, ax = new_figure(7.2, 2.3)
    left = 0.0
    for part, color in zip(PARTS, ("#0072B2", "#56B4E9", "#009E73", ORANGE), strict=True):
        size = getattr(summary, part) / GIB
        ax.barh(0, size, left=left, color=color, label=f"{part} {size:.1f}")
        left += size
    ax.axvline(gpu_memory, color="black", ls="--", lw=1.5)
    ax.text(gpu_memory, 0.62, " the GPU's memory", fontsize=8.5, va="top")
    ax.set(yticks=[], ylim=(-0.6, 0.65), xlabel="GiB", xlim=(0, 1.25 * max(left, gpu_memory)))
    ax.legend(ncols=4, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1.12), frameon=False)
    told = (
        f"{summary.num_parameters / 1e6:,.0f} million parameters; {bill.flops:.2g} operations; {bill.hours:,.1f} hours"
    )
    ax.set_title(f"{told} on {gpus}; {bill.price:,.2f} in your currency", loc="left", fontsize=9.5)
    fits = "fits" if left < gpu_memory else "does not fit"
    return Picture(figure, "memory, time and money", f"{told} on {gpus}, {bill.price:,.2f}; {left:.1f} GiB, {fits}.")

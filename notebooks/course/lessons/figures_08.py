"""What lesson 08 draws, and its terminal."""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from course.figures import BLUE, COLORS, GREY, ORANGE, VERMILION, Picture, new_figure
from course.step_costs import count
from gptlib.config import TrainConfig
from gptlib.errors import UserError

GIB = 2**30


class Terminal:
    """Runs commands in a folder of its own, on one thread each, and prints what they print while they print it.

    `python` and `torchrun` are those of this notebook's environment. Numbers are shortened to two decimals.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gptlib-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def run(self, command: str, kill_after: str = "") -> float:
        """Run a command and return its seconds; at the first line that begins with `kill_after`, kill it.

        Raises:
            UserError: it failed, and nobody killed it.
        """
        program, *words = shlex.split(command)
        start = {"python": [sys.executable], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}
        began, killed = time.perf_counter(), False
        print(f"$ {command}")
        with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
            process = subprocess.Popen(
                [*start.get(program, [program]), *words],
                cwd=self.folder,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=complaints,  # progress bars, and why it failed
                encoding="utf-8",
            )
            try:
                for line in process.stdout:
                    print(re.sub(r"(\d\.\d\d)\d+", r"\1", line.rstrip()))
                    if kill_after and line.startswith(kill_after) and not killed:
                        process.kill()
                        killed = True
                process.wait()
            finally:  # an interrupted cell leaves no run behind
                process.kill()
                process.wait()
                process.stdout.close()
            if process.returncode and not killed:
                complaints.seek(0)
                raise UserError(f"{command}: {_last_words(complaints.read())}")
        if killed:
            print("killed")
        return time.perf_counter() - began


def _last_words(complaints: str) -> str:
    lines = [line.split("\r")[-1].strip() for line in complaints.splitlines()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or [line for line in lines if line] or ["it failed and did not say why"])[-1]


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


# --- precision, checkpoints -------------------------------------------------------------------------------


def plot_precisions(losses: Mapping[str, Sequence[float]]) -> Picture:
    """Two runs, step by step, and on the right how far the second is from the first."""
    (one, first), (other, second) = losses.items()
    figure, (left, right) = new_figure(8.4, 2.9, columns=2)
    left.plot(first, color=BLUE, lw=2.6, alpha=0.5)
    left.plot(second, color=VERMILION, lw=1)
    for y, name, color in ((0.92, one, BLUE), (0.82, other, VERMILION)):
        left.text(0.97, y, name, color=color, transform=left.transAxes, ha="right", fontsize=9)
    left.set(xlabel="step", ylabel="training loss")
    gap = np.array(second) - np.array(first)
    right.plot(gap, color=VERMILION, lw=1)
    right.axhline(0, color=GREY, lw=1)
    size = max(0.005, 1.2 * abs(gap).max())
    right.set(xlabel="step", ylabel=f"loss in {other} minus {one}", ylim=(-size, size))
    alt = f"Loss in {one} and {other}, from {first[0]:.1f} to {first[-1]:.1f}; at most {abs(gap).max():.3f} apart."
    return Picture(figure, "two precisions", alt)


def plot_forgotten(gaps: Mapping[str, Sequence[float]], start: int) -> Picture:
    """How far the loss of each resumed run is from that of the run that was never stopped."""
    figure, axes = new_figure(9.2, 2.6, columns=len(gaps))
    for ax, (name, gap), color in zip(axes, gaps.items(), COLORS, strict=False):
        ax.plot(start + np.arange(len(gap)), gap, color=color, lw=1)
        ax.axhline(0, color=GREY, lw=1)
        ax.set_title(f"without {name}", fontsize=9.5)
        ax.set(xlabel="step", ylim=(-0.3, 2) if max(gap) > 0.5 else (-0.3, 0.3))
        ax.tick_params(labelsize=8)
    axes[0].set_ylabel("loss minus that of\nthe run never stopped")
    parts = [
        f"{name}: first {gap[0]:+.2f}, at most {max(gap):+.2f}, last 20 {mean(gap[-20:]):+.2f}"
        for name, gap in gaps.items()
    ]
    return Picture(figure, "what is forgotten", "Difference of the loss, without " + "; ".join(parts) + ".")


# --- sizes ------------------------------------------------------------------------------------------------


def plot_law(sizes: Sequence[int], losses: Sequence[Sequence[float]], slope: float, height: float) -> Picture:
    """Loss against parameters, all seeds, on two logarithmic axes; the line was fitted without the last size."""
    figure, ax = new_figure(6.2, 3.4)
    x = np.array([sizes[0] / 1.3, sizes[-1] * 1.3])
    ax.loglog(x, np.exp(height + slope * np.log(x)), color=GREY, lw=1, ls="--")
    for i, (size, values) in enumerate(zip(sizes, losses, strict=True)):
        held_out = i == len(sizes) - 1
        ax.plot(
            [size] * len(values),
            values,
            "D" if held_out else "o",
            ms=6,
            color=VERMILION if held_out else BLUE,
            alpha=0.7,
        )
    ax.text(
        sizes[-1] / 1.08,
        mean(losses[-1]) / 1.01,
        "not used\nfor the line",
        color=VERMILION,
        fontsize=9,
        ha="right",
        va="top",
    )
    ticks = [1.6, 1.8, 2, 2.25, 2.5, 2.75]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks(sizes, [f"{size / 1000:.0f}k" for size in sizes])
    ax.minorticks_off()
    ax.set(
        xlabel="parameters",
        ylabel="loss on held-out text",
        ylim=(0.93 * min(map(min, losses)), 1.05 * max(map(max, losses))),
    )
    words = "; ".join(f"{size:,}: {mean(values):.2f}" for size, values in zip(sizes, losses, strict=True))
    return Picture(figure, "loss against size", f"Loss by parameters at 20 tokens each: {words}. Slope {slope:.3f}.")


def plot_same_compute(sizes: Sequence[int], ratios: Sequence[float], losses: Sequence[Sequence[float]]) -> Picture:
    """The same arithmetic spent on models of several sizes: small ones read more text."""
    figure, ax = new_figure(6.2, 3.2)
    ax.semilogx(sizes, [mean(values) for values in losses], color=BLUE, lw=1)
    for size, ratio, values in zip(sizes, ratios, losses, strict=True):
        ax.plot([size] * len(values), values, "o", ms=5, color=BLUE, alpha=0.6)
        ax.text(size, max(values) + 0.02, f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}", ha="center", fontsize=9)
    ax.set_xticks(sizes, [f"{size / 1000:.0f}k" for size in sizes])
    ax.minorticks_off()
    ax.margins(x=0.08, y=0.15)
    ax.set(xlabel="parameters (above each: tokens per parameter)", ylabel="loss on held-out text")
    words = "; ".join(
        f"{size:,} parameters, {ratio:.1f} tokens each: {mean(values):.2f}"
        for size, ratio, values in zip(sizes, ratios, losses, strict=True)
    )
    return Picture(figure, "the same arithmetic", f"Loss at equal arithmetic. {words}.")


_counted = functools.cache(count)  # a price moves more often than the model


def draw_bill(
    *,
    n_layer: int,
    n_embd: int,
    block_size: int,
    batch_size: int,
    dtype: str,
    gpu_memory: float,
    teraflops: float,
    utilization: float,
    gpus: int,
    tokens: float,
    price: float,
    vocab_size: int = 50257,
) -> Picture:
    """Memory by part against what the GPU has; time and money above it."""
    shape = {"n_layer": n_layer, "n_embd": n_embd, "n_head": max(1, n_embd // 64), "block_size": block_size}
    summary = _counted(TrainConfig(**shape, batch_size=batch_size, dtype=dtype, device="cpu"), vocab_size)
    flops = summary.flops_per_token * tokens
    hours = flops / (teraflops * 1e12 * utilization * gpus) / 3600
    figure, ax = new_figure(7.4, 2.3)
    left = 0.0
    for part, color in zip(PARTS, (BLUE, "#56B4E9", "#009E73", ORANGE, VERMILION), strict=True):
        size = getattr(summary, part) / GIB
        ax.barh(0, size, left=left, color=color, label=f"{part.replace('_', ' ')} {size:.1f}")
        left += size
    ax.axvline(gpu_memory, color="black", ls="--", lw=1.5)
    ax.text(gpu_memory, 0.62, " the GPU's memory", fontsize=8.5, va="top")
    ax.set(yticks=[], ylim=(-0.6, 0.65), xlabel="GiB, at least", xlim=(0, 1.3 * max(left, gpu_memory)))
    ax.legend(ncols=3, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1.12), frameon=False)
    told = f"{summary.num_parameters / 1e6:,.0f} million parameters, {flops:.1e} operations: about {hours:,.2g} hours"
    told = f"{told} on {gpus} GPU{'s' * (gpus > 1)}, {hours * gpus * price:,.2g} at {price:g} per GPU-hour"
    ax.set_title(told, loc="left", fontsize=9.5)
    fits = "may fit" if left < gpu_memory else "does not fit"
    return Picture(figure, "memory, time and money", f"{told}; at least {left:.1f} GiB, {fits}.")


PARTS = ("weights", "gradients", "optimizer", "activations", "logits_gradient")

# --- going deeper -----------------------------------------------------------------------------------------


def plot_compile(results: Mapping[str, Any]) -> Picture:
    """Milliseconds of a step, with and without torch.compile, run by run."""
    figure, ax = new_figure(6.6, 1.7)
    for y, mode in enumerate(("eager", "compiled")):
        values = [1000 * seconds for seconds in results[mode]["step_seconds"]]
        ax.plot(values, [y] * len(values), "o", ms=6, color=BLUE, alpha=0.7)
        first = median(results[mode]["first_step_seconds"])
        ax.text(max(values) + 0.5, y, f"first step {first:.1f} s", va="center", fontsize=9)
    ax.set_yticks([0, 1], ["not compiled", "compiled"])
    ax.invert_yaxis()
    ax.margins(x=0.25, y=0.5)
    ax.set(xlabel="milliseconds a step (dots: median of 39 steps, one run each)")
    parts = [
        f"{mode}: {', '.join(f'{1000 * s:.0f}' for s in results[mode]['step_seconds'])} ms"
        for mode in ("eager", "compiled")
    ]
    return Picture(figure, "torch.compile on a CPU", "A step, run by run. " + "; ".join(parts) + ".")


def plot_ladder(results: Mapping[str, Any]) -> Picture:
    """Seconds to the same loss, rung by rung, with the loss that each came to."""
    rungs = results["rungs"]
    figure, ax = new_figure(7.6, 0.6 * len(rungs) + 0.9)
    for y, rung in enumerate(rungs):
        ax.barh(y, rung["median_seconds"], color=BLUE, alpha=0.35, height=0.6)
        ax.plot(rung["seconds"], [y] * len(rung["seconds"]), "o", ms=3.5, color=BLUE)
        n = len(rung["seconds"])
        told = f"  {rung['times_faster']:.1f}×, loss {rung['median_val_loss']:.2f} ({n} run{'s' * (n > 1)})"
        ax.text(max(rung["seconds"]), y, told, va="center", fontsize=8.5)
    ax.set_yticks(range(len(rungs)), [textwrap.fill(rung["words"], 32) for rung in rungs], fontsize=8.5)
    ax.invert_yaxis()
    ax.set(
        xlabel="seconds to the end (bar: median; dots: runs)", xlim=(0, 1.35 * max(max(r["seconds"]) for r in rungs))
    )
    parts = [f"{r['words']}: {r['median_seconds']:.0f} s, {r['times_faster']:.1f} times as fast" for r in rungs]
    return Picture(figure, "what made the trainer fast", "Seconds by rung. " + "; ".join(parts) + ".")


def plot_scale(results: Mapping[str, Any]) -> Picture:
    """How much of the machine a step uses, against the size of the model, of the batch and of the window."""
    sweeps = (("sizes", "parameters"), ("batches", "batch_size"), ("block_sizes", "block_size"))
    roof = results["peak_gflops_per_second"]
    figure, axes = new_figure(8.4, 3.0, columns=3)
    parts = []
    for ax, (sweep, key) in zip(axes, sweeps, strict=True):
        points = results[sweep]
        x, y = [p[key] for p in points], [p["gflops_per_second"] for p in points]
        ax.semilogx(x, y, "o-", color=BLUE, ms=4)
        ax.axhline(roof, color=VERMILION, lw=1.2, ls="--")
        ax.set(xlabel=key if key != "block_size" else "block_size (1,536 tokens a step)", ylim=(0, 1.15 * roof))
        ax.minorticks_off()
        if key != "parameters":
            ax.set_xticks(x, [str(n) for n in x], fontsize=8.5)
        parts.append(f"against {key}, from {x[0]:,} to {x[-1]:,}: " + ", ".join(f"{rate:.0f}" for rate in y))
    axes[0].set_ylabel("GFLOP/s in a training step")
    axes[0].text(axes[0].get_xlim()[0], roof, " the largest matrix product", va="bottom", fontsize=8.5, color=VERMILION)
    alt = f"GFLOP/s of a training step, under a roof of {roof:.0f}; " + "; ".join(parts) + "."
    return Picture(figure, "how near to the roof", alt)

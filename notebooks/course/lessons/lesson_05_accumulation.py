"""Lesson 05: a large batch in a small memory; when it is the same, what it costs and when it is not the same."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from course.figures import BLUE, COLORS, GREEN, GREY, VERMILION, Picture, new_figure
from course.lab.runs import Run
from course.step_costs import MIB, KeptForBackward
from gptlib.config import TrainConfig
from gptlib.dataset import Dataset, make_batch, sample_offsets
from gptlib.events import TrainStep
from gptlib.model import GPT
from gptlib.trainer import Trainer


def sequences_of(data: Dataset, count: int, block_size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`count` random pieces of the training text: inputs and targets, (count, T) each."""
    return make_batch(data.train, sample_offsets(data.train, block_size, count, (seed,)), block_size)


def lines_of(data: Dataset, count: int, block_size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`count` random lines of the plays, (count, T) each; what comes after a line's end does not count: target -1."""
    newline = data.tokenizer.encode("\n")[0]
    starts = np.flatnonzero(data.train[: -block_size - 1] == newline) + 1
    x, y = make_batch(data.train, np.random.default_rng(seed).choice(starts, count), block_size)
    ended = (x == newline).cumsum(dim=1) > 0
    return x, y.masked_fill(ended, -1)


# --- gradients ------------------------------------------------------------------------------------------


def gradient(model: GPT, x: Tensor, y: Tensor, batch_size: int, weights: Sequence[float] | None = None) -> Tensor:
    """The gradient of the loss over all of x, from micro-batches of `batch_size`: all its numbers in a row, (P,).

    `weights`: how much each micro-batch's loss counts; all alike if not given.
    """
    micro_batches = list(zip(x.split(batch_size), y.split(batch_size), strict=True))
    weights = weights or [1 / len(micro_batches)] * len(micro_batches)
    model.zero_grad(set_to_none=True)
    for (micro_x, micro_y), weight in zip(micro_batches, weights, strict=True):
        (model(micro_x, micro_y)[1] * weight).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def token_weights(y: Tensor, batch_size: int) -> list[float]:
    """The share of each micro-batch in all targets that count."""
    counts = [int((micro_y >= 0).sum()) for micro_y in y.split(batch_size)]
    return [count / sum(counts) for count in counts]


def relative_difference(a: Tensor, b: Tensor) -> float:
    """How long the difference of two gradients is, as a share of the length of the second."""
    return ((a - b).norm() / b.norm()).item()


def differences_by_split(model: GPT, x: Tensor, y: Tensor, batch_sizes: Sequence[int]) -> dict[str, list[float]]:
    """For float32 and float64: how far the gradient from micro-batches is from that of the whole at once."""
    differences = {}
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        trial = copy.deepcopy(model).to(dtype)
        whole = gradient(trial, x, y, len(x))
        differences[name] = [relative_difference(gradient(trial, x, y, n), whole) for n in batch_sizes]
    return differences


def differences_by_cause(model: GPT, data: Dataset, batch_size: int, dropout: float = 0.1) -> dict[str, float]:
    """What makes the gradient of 32 sequences differ from that of the same ones in micro-batches of `batch_size`."""
    block_size = model.config.block_size
    forgetful = GPT(replace(model.config, dropout=dropout))
    forgetful.load_state_dict(model.state_dict())

    def with_dropout(n: int, seed: int) -> Tensor:
        torch.manual_seed(seed)
        return gradient(forgetful, x, y, n)

    x, y = sequences_of(data, 32, block_size)
    split, whole = gradient(model, x, y, batch_size), gradient(model, x, y, 32)
    differences = {"no dropout, equal lengths": relative_difference(split, whole)}
    differences[f"dropout {dropout:g}, split"] = relative_difference(with_dropout(batch_size, 1), with_dropout(32, 1))
    other_seed = relative_difference(with_dropout(32, 2), with_dropout(32, 1))
    differences[f"dropout {dropout:g}, not split,\nonly another seed"] = other_seed
    x, y = lines_of(data, 32, block_size)
    split, whole = gradient(model, x, y, batch_size), gradient(model, x, y, 32)
    weighted = gradient(model, x, y, batch_size, token_weights(y, batch_size))
    differences["unequal lengths,\nmean of the means"] = relative_difference(split, whole)
    differences["unequal lengths,\nweighted by tokens"] = relative_difference(weighted, whole)
    x, _ = sequences_of(data, 32, block_size)
    vectors = model.hidden_states(x)[:, -1].detach()  # what the model makes of the last token of each: (32, C)
    for norm in (torch.nn.BatchNorm1d(vectors.size(1)), torch.nn.LayerNorm(vectors.size(1))):
        in_parts = torch.cat([norm(part) for part in vectors.split(batch_size)])
        name = f"what a {type(norm).__name__.removesuffix('1d')} puts out,\nsplit"
        differences[name] = relative_difference(in_parts, norm(vectors))
    return differences


@dataclass(frozen=True)
class Noise:
    """How long the error of a gradient is, typically, for some numbers of sequences; `signal`: the gradient itself."""

    sequences: list[int]
    errors: list[float]
    signal: float

    @property
    def ratios(self) -> list[float]:
        """Noise over signal."""
        return [error / self.signal for error in self.errors]


def gradient_noise(model: GPT, x: Tensor, y: Tensor, *, smallest: int = 2, every: int = 8) -> Noise:
    """Measure the gradients of `smallest` sequences each, then of 2, 4, 8, ... times as many by averaging them.

    Every 8th weight is enough to know how long an error is.
    """
    pairs = zip(x.split(smallest), y.split(smallest), strict=True)
    gradients = torch.stack([gradient(model, micro_x, micro_y, smallest)[::every] for micro_x, micro_y in pairs])
    groups, mean = len(gradients), gradients.mean(dim=0).square().sum()
    sequences, errors = [], []
    while len(gradients) >= 8:
        sequences.append(len(x) // len(gradients))
        errors.append(gradients.var(dim=0).sum().sqrt().item())
        gradients = (gradients[0::2] + gradients[1::2]) / 2
    left_in_the_mean = errors[0] ** 2 / groups
    return Noise(sequences, errors, (mean - left_in_the_mean).clamp(min=1e-12).sqrt().item())


# --- short runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShortRun:
    """The losses of a run, step by step, and the model at its end."""

    losses: np.ndarray
    model: GPT


def short_run(
    config: TrainConfig, data: Dataset, batch_size: int, steps: int, *, double: bool = False, eps: float | None = None
) -> ShortRun:
    """Train with this batch_size and gradient_accumulation_steps.

    Args:
        config: the other settings.
        data: the text.
        batch_size: sequences in a micro-batch.
        steps: micro-batches in an optimiser step.
        double: compute in float64.
        eps: what AdamW adds to the root of the mean squared gradient before it divides by it; 1e-8 unless given.
    """
    config = replace(config, batch_size=batch_size, gradient_accumulation_steps=steps, log_interval=1)
    trainer = Trainer(config, data)
    if double:
        trainer.model.double()  # in place, so the optimiser goes on with the same parameters
    for group in trainer.optimizer.param_groups:
        group["eps"] = eps or group["eps"]
    losses = [event.loss for event in trainer if isinstance(event, TrainStep)]
    return ShortRun(np.array(losses), trainer.model)


def largest_difference(a: Sequence[float], b: Sequence[float], steps: int = 20) -> float:
    """How far the losses of two runs are apart in their first steps, at most."""
    return float(np.abs(np.array(a[:steps]) - np.array(b[:steps])).max())


def attention_biases(model: GPT) -> Tensor:
    """Biases of queries, keys and values in all layers: (3, layers * C)."""
    return torch.cat([block.attn.c_attn.bias.detach().view(3, -1) for block in model.h], dim=1)


# --- memory and time --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What the gradient of some sequences costs, from micro-batches of `batch_size`."""

    batch_size: int
    steps: int
    bytes_kept: int  # for the backward passes, at the moment when it is most
    seconds: float

    @property
    def split(self) -> str:
        """The two settings."""
        return f"({self.batch_size}, {self.steps})"


def bytes_kept(model: GPT, x: Tensor, y: Tensor, batch_size: int, *, backward_at_the_end: bool = False) -> int:
    """The most bytes that wait for a backward pass while the gradient of all of x is accumulated."""
    losses = []
    with KeptForBackward(model) as kept:
        for micro_x, micro_y in zip(x.split(batch_size), y.split(batch_size), strict=True):
            loss = model(micro_x, micro_y)[1]
            if backward_at_the_end:
                losses.append(loss)
            else:
                loss.backward()
        if backward_at_the_end:
            torch.stack(losses).mean().backward()
    return kept.peak


def costs_by_split(model: GPT, x: Tensor, y: Tensor, batch_sizes: Sequence[int], repeats: int = 5) -> list[Cost]:
    """Memory and time of the same gradient, for each split; the times in turn, and the median of them."""
    times = {n: [] for n in batch_sizes}
    for _ in range(repeats):
        for n in batch_sizes:
            started = perf_counter()
            gradient(model, x, y, n)
            times[n].append(perf_counter() - started)
    return [Cost(n, len(x) // n, bytes_kept(model, x, y, n), float(np.median(times[n]))) for n in batch_sizes]


def fixed_bytes(model: GPT) -> int:
    """Weights, their gradients and AdamW's two running means: four numbers a weight, whatever the batch."""
    return sum(4 * p.numel() * p.element_size() for p in model.parameters())


# --- figures ----------------------------------------------------------------------------------------------


def plot_differences_by_split(
    differences: Mapping[str, Sequence[float]], sequences: int, batch_sizes: Sequence[int]
) -> Picture:
    """How equal the gradients are, beside what one rounding costs."""
    figure, ax = new_figure(7.2, 3.4)
    places = range(len(batch_sizes))
    for (name, values), color, marker in zip(differences.items(), (BLUE, VERMILION), "os", strict=True):
        rounding = torch.finfo(getattr(torch, name)).eps
        ax.semilogy(places, values, marker, ms=8, color=color, label=f"{name}: difference measured")
        ax.axhline(rounding, color=color, lw=1, ls="--", label=f"{name}: one rounding, {rounding:.0e}")
    ax.set_xticks(places, [f"({n}, {sequences // n})" for n in batch_sizes])
    ax.set(ylim=(1e-17, 100), xlim=(-0.5, len(batch_sizes) + 1.2), ylabel="difference / length of the gradient")
    ax.set_xlabel("(batch_size, gradient_accumulation_steps)")
    ax.axhline(1, color=GREY, lw=1, ls=":")
    ax.text(-0.45, 2.5, "as long as the gradient itself", fontsize=9, color=GREY)
    ax.legend(loc="center right", fontsize=8, bbox_to_anchor=(1, 0.31))
    alt = "; ".join(f"{name}: " + ", ".join(f"{v:.0e}" for v in values) for name, values in differences.items())
    return Picture(figure, "differences of the gradient between splits", f"Relative differences of the gradient. {alt}")


def plot_run_differences(first: Sequence[float], others: Mapping[str, Sequence[float]], double: Sequence) -> Picture:
    """How far each loss is from that of the first run, at every step.

    Args:
        first: losses of the run that the others, name -> losses, are compared with.
        others: runs in float32.
        double: the losses of two runs in float64.
    """
    figure, ax = new_figure(7.2, 3.6)
    lines = [(f"{name}, float32", np.abs(np.array(first) - np.array(losses))) for name, losses in others.items()]
    lines.append(("float64", np.abs(np.array(double[0]) - np.array(double[1]))))
    for (name, values), color, marker in zip(lines, (BLUE, GREEN, VERMILION), "osD", strict=False):
        ax.semilogy(np.maximum(values, 1e-17), marker, ms=5, alpha=0.75, color=color, label=name)
    for limit, name in ((1e-4, "float32"), (1e-8, "float64")):
        ax.axhline(limit, color=GREY, lw=1, ls="--")
        ax.text(-1, 1.6 * limit, f"{name} has to stay below this", fontsize=8, color=GREY)
    ax.set(xlabel="step", ylabel="difference of the losses (nats)", ylim=(3e-18, 1e0))
    ax.set_yticks([1e-17, 1e-14, 1e-11, 1e-8, 1e-4, 1], ["none", "1e-14", "1e-11", "1e-8", "1e-4", "1"])
    ax.minorticks_off()
    ax.legend(loc="upper right", fontsize=8, ncols=3)
    alt = "Largest difference of the losses: " + ", ".join(f"{name} {values.max():.0e}" for name, values in lines)
    return Picture(figure, "differences of the loss between splits, step by step", alt)


def plot_biases(
    panels: Sequence[tuple[str, int, tuple[ShortRun, ShortRun]]], splits: tuple[str, str], learning_rate: float
) -> Picture:
    """Every bias under one split against the same bias under the other, in learning rates.

    Each of `panels` is a title, the row of `attention_biases` to show, and a run under each split.
    """
    figure, axes = new_figure(8.4, 3.3, columns=len(panels))
    alts = []
    for ax, (title, row, runs), color in zip(axes, panels, COLORS, strict=False):
        a, b = (attention_biases(run.model)[row].float() / learning_rate for run in runs)
        size = max(a.abs().max(), b.abs().max()).item()
        ax.axline((0, 0), slope=1, color=GREY, lw=1, ls="--")
        ax.plot(a, b, "o", ms=2.5, alpha=0.6, color=color)
        ax.set(xlim=(-1.1 * size, 1.1 * size), ylim=(-1.1 * size, 1.1 * size), xlabel=f"with {splits[0]}")
        ax.set_title(title, loc="left", fontsize=9)
        ax.set_box_aspect(1)
        ax.locator_params(nbins=4)
        alts.append(f"{title}: at most {size:.2g} learning rates, the two differ by up to {(a - b).abs().max():.0e}")
    axes[0].set_ylabel(f"with {splits[1]}")
    figure.suptitle("biases after the last step, in learning rates", x=0.01, ha="left", fontsize=10)
    return Picture(figure, "biases under two splits", "; ".join(alts))


def plot_costs(costs: Sequence[Cost], fixed: int, late: tuple[str, int]) -> Picture:
    """Memory and time of each split, side by side; `late`: name and bytes of one more bar of memory."""
    figure, (left, right) = new_figure(7.8, 3.4, columns=2)
    names, places = [cost.split for cost in costs], range(len(costs))
    kept = [cost.bytes_kept / MIB for cost in costs]
    left.bar(places, [fixed / MIB] * len(costs), color=GREY, label="weights, gradients, AdamW")
    left.bar(places, kept, bottom=fixed / MIB, color=BLUE, label="kept for the backward pass")
    left.bar(len(costs), fixed / MIB, color=GREY)
    left.bar(len(costs), late[1] / MIB, bottom=fixed / MIB, color=BLUE, hatch="///", edgecolor="white")
    left.set(ylabel="memory (MiB)", ylim=(0, 1.3 * (fixed / MIB + max(kept))))
    left.legend(loc="upper right", fontsize=8)
    milliseconds = [1000 * cost.seconds for cost in costs]
    right.bar(places, milliseconds, color=VERMILION)
    right.set(ylabel="time of one gradient (ms)", ylim=(0, 1.15 * max(milliseconds)))
    for i, value in enumerate(milliseconds):
        right.text(i, value, f"{value:.0f}", ha="center", va="bottom", fontsize=8)
    left.set_xticks(range(len(costs) + 1), [*names, late[0]], rotation=40)
    right.set_xticks(places, names, rotation=40)
    for ax in (left, right):
        ax.set_xlabel("(batch_size, accumulation steps)")
    alt = "; ".join(f"{n}: {k:.1f} MiB kept, {t:.0f} ms" for n, k, t in zip(names, kept, milliseconds, strict=True))
    alt = f"Beside {fixed / MIB:.1f} MiB for all: {alt}; {late[0]}: {late[1] / MIB:.1f} MiB kept"
    return Picture(figure, "memory and time of each split", alt)


def plot_gradient_noise(noises: Mapping[str, Noise]) -> Picture:
    """Noise over signal of the gradient, against the number of sequences that it is the mean of."""
    figure, ax = new_figure(7.2, 3.6)
    reach = np.array([1, 1024])
    alts = []
    for (name, noise), color, marker in zip(noises.items(), COLORS, "osD", strict=False):
        ax.loglog(noise.sequences, noise.ratios, marker, ms=6, color=color, label=name)
        ax.loglog(reach, noise.ratios[0] * np.sqrt(noise.sequences[0] / reach), "--", lw=1, color=color)
        ends = [f"{noise.ratios[i]:.2g} with {noise.sequences[i]} sequences" for i in (0, -1)]
        alts.append(f"{name}: {', '.join(ends)}")
    ax.axhline(1, color=GREY, lw=1)
    ax.text(9, 1.1, "noise as long as the gradient", fontsize=9, color=GREY)
    ticks = [1, 4, 16, 64, 256, 1024]
    ax.set_xticks(ticks, [str(n) for n in ticks])
    ax.set_yticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
    ax.minorticks_off()
    ax.set(xlabel="sequences in one step", ylabel="noise / gradient")
    ax.plot([], [], "--", lw=1, color=GREY, label="slope −1/2")
    ax.legend(loc="upper right", fontsize=8)
    return Picture(figure, "noise of the gradient against the batch", "Noise over gradient. " + "; ".join(alts))


def smooth(run: Run, sequences: int) -> Iterator[tuple[int, float]]:
    """(step, mean loss) of the groups of steps that read `sequences` sequences each."""
    group = max(1, sequences // (run.config.tokens_per_step // run.config.block_size))
    for end in range(group, len(run.losses) + 1, group):
        yield run.steps[end - 1] + 1, float(np.mean(run.losses[end - group : end]))


def plot_same_tokens(runs: Sequence[Run], sequences: int = 64) -> Picture:
    """The same runs against steps and against tokens."""
    figure, axes = new_figure(7.8, 3.4, columns=2)
    figure.get_layout_engine().set(w_pad=0.1)
    alts = []
    for run, color, marker in zip(runs, COLORS, "osD", strict=False):
        steps, losses = np.array(list(smooth(run, sequences))).T
        name = f"{run.config.tokens_per_step // run.config.block_size} sequences a step"
        for ax, scale in zip(axes, (1, run.config.tokens_per_step / 1000), strict=True):
            ax.plot(steps * scale, losses, color=color, marker=marker, ms=3, lw=1.4, label=name)
        alts.append(f"{name}: loss {losses[-1]:.2f} after {steps[-1]:.0f} steps")
    axes[0].set(xscale="log", xlabel="steps", ylabel="training loss (nats)")
    axes[0].set_xticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
    axes[0].minorticks_off()
    axes[1].set(xlabel="thousand tokens read")
    axes[1].legend(loc="upper right", fontsize=8)
    return Picture(figure, "the same tokens in many steps and in few", "; ".join(alts))


def plot_differences_by_cause(differences: Mapping[str, float]) -> Picture:
    """Bars on a logarithmic axis: rounding on the left, real differences on the right."""
    figure, ax = new_figure(7.2, 3.8)
    values = [max(value, 1e-9) for value in differences.values()]  # what is equal to the last bit has no bar
    ax.barh(list(differences), values, left=1e-9, color=[GREEN if v < 1e-5 else VERMILION for v in values])
    for i, value in enumerate(values):
        text = "0" if value <= 1e-9 else f"{value:.0e}" if value < 0.01 else f"{value:.2f}"
        ax.text(value + 1e-9, i, f"  {text}", va="center", fontsize=9)
    ax.set(xscale="log", xlim=(1e-9, 30), xlabel="difference / length of the whole")
    ax.invert_yaxis()
    alt = "; ".join(f"{name.replace(chr(10), ' ')}: {value:.1e}" for name, value in differences.items())
    return Picture(figure, "where the split changes the gradient, and where not", alt)

"""Lesson 02: what a larger block_size costs, in seconds and in bytes, for naive and for fused attention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from course.figures import BLUE, GREY, ORANGE, SKY, VERMILION, Picture, new_figure
from gptlib.config import GPTConfig
from gptlib.model import ATTENTION, GPT

ALONE, MODEL = "attention alone", "whole model"
MIB = 2**20
LAYERS = 2  # of the model that is measured


@dataclass(frozen=True)
class Cost:
    """What one forward and one backward pass take."""

    part: str  # ALONE or MODEL
    attention: str  # "naive" or "fused"
    block_size: int
    seconds: float
    linear_bytes: int  # kept from the forward pass for the backward pass, without matrices (T, T)
    quadratic_bytes: int  # matrices (T, T), kept likewise

    @property
    def bytes(self) -> int:
        """All that is kept for the backward pass."""
        return self.linear_bytes + self.quadratic_bytes


def kept_bytes(forward: Callable[[], Tensor], block_size: int, parameters: Sequence[Tensor] = ()) -> tuple[int, int]:
    """The bytes that autograd keeps from a forward pass for the backward pass: (others, matrices (T, T)).

    Each piece of memory counts once, however many tensors look into it; parameters do not count. A tensor counts as
    a (T, T) matrix by its last two dimensions, so no other size of the model may be equal to `block_size`.
    """
    kept: dict[int, tuple[int, bool]] = {}
    known = {p.untyped_storage().data_ptr() for p in parameters}

    def pack(tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in known:
            quadratic = tensor.shape[-2:] == (block_size, block_size)
            kept[memory.data_ptr()] = (memory.nbytes(), quadratic)
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()  # holds the graph, and by it all that is kept, so that no address is used twice
    sizes = [sum(n for n, quadratic in kept.values() if quadratic == wanted) for wanted in (False, True)]
    del result
    return sizes[0], sizes[1]


def seconds_of(forward: Callable[[], Tensor], parameters: Sequence[Tensor], least_seconds: float = 0.08) -> float:
    """Seconds of a forward and a backward pass: the quickest of one or more, after one that does not count.

    What else the computer does can only make a pass slower, so the quickest is the nearest to the truth.
    """
    times: list[float] = []
    while len(times) < 2 or sum(times[1:]) < least_seconds:
        started = perf_counter()
        forward().backward()
        times.append(perf_counter() - started)
        for parameter in parameters:
            parameter.grad = None
    return min(times[1:])


def cost_of_attention(
    attention: str, block_size: int, *, batch_size: int = 2, n_head: int = 4, n_embd: int = 96
) -> Cost:
    """One layer's attention without the linear layers around it."""
    qkv = [torch.randn(batch_size, n_head, block_size, n_embd // n_head, requires_grad=True) for _ in range(3)]

    def forward() -> Tensor:
        return ATTENTION[attention](*qkv).sum()

    return Cost(ALONE, attention, block_size, seconds_of(forward, qkv), *kept_bytes(forward, block_size))


def cost_of_model(attention: str, block_size: int, *, batch_size: int = 2, **shape: int) -> Cost:
    """A whole GPT, of the size that the lesson trains."""
    shape = {"n_layer": LAYERS, "n_head": 4, "n_embd": 96, "vocab_size": 63} | shape
    model = GPT(GPTConfig(block_size=block_size, attention=attention, **shape))
    x, y = torch.randint(shape["vocab_size"], (2, batch_size, block_size))
    parameters = list(model.parameters())

    def forward() -> Tensor:
        return model(x, y)[1]

    kept = kept_bytes(forward, block_size, parameters)
    return Cost(MODEL, attention, block_size, seconds_of(forward, parameters), *kept)


def measure_costs(
    block_sizes: Sequence[int] = (64, 128, 256, 512, 1024), batch_size: int = 2, rounds: int = 3
) -> list[Cost]:
    """Both attentions, alone and in a whole model, at each block_size; of all rounds, the quickest of each.

    They take turns, so that what disturbs the machine for a second does not fall on one of them alone.
    """
    measured = [
        [
            cost_of(attention, block_size, batch_size=batch_size)
            for cost_of in (cost_of_attention, cost_of_model)
            for attention in ("naive", "fused")
            for block_size in block_sizes
        ]
        for _ in range(rounds)
    ]
    return [min(same, key=lambda cost: cost.seconds) for same in zip(*measured, strict=True)]


def of(costs: Sequence[Cost], part: str, attention: str) -> list[Cost]:
    """Those of one part and one kind of attention, from the smallest block_size to the largest."""
    return sorted((c for c in costs if (c.part, c.attention) == (part, attention)), key=lambda c: c.block_size)


def doublings(values: Sequence[float]) -> np.ndarray:
    """By what each value is larger than the one before."""
    return np.array(values[1:]) / np.array(values[:-1])


def balance(costs: Sequence[Cost]) -> float:
    """The block_size T at which the two parts of a naive model's memory, a T and b T², are equally large: a / b."""
    largest = of(costs, MODEL, "naive")[-1]
    return largest.block_size * largest.linear_bytes / largest.quadratic_bytes


# --- figures ------------------------------------------------------------------------------------------

_STYLES = {  # (part, attention): how its line looks in every figure
    (MODEL, "naive"): {"color": VERMILION, "marker": "s", "ls": "-"},
    (MODEL, "fused"): {"color": BLUE, "marker": "o", "ls": "-"},
    (ALONE, "naive"): {"color": ORANGE, "marker": "s", "ls": "--"},
    (ALONE, "fused"): {"color": SKY, "marker": "o", "ls": "--"},
}


def _label(part: str, attention: str) -> str:
    return f"model, {attention} attention" if part == MODEL else f"{attention} attention alone"


def plot_costs(costs: Sequence[Cost]) -> Picture:
    """Time and memory against block_size, both axes logarithmic."""
    figure, (left, right) = new_figure(7.8, 4.0, columns=2)
    parts = []
    for (part, attention), style in _STYLES.items():
        chosen = of(costs, part, attention)
        sizes = [c.block_size for c in chosen]
        times, memory = [1000 * c.seconds for c in chosen], [c.bytes / MIB for c in chosen]
        left.loglog(sizes, times, ms=4.5, label=_label(part, attention), **style)
        right.loglog(sizes, memory, ms=4.5, **style)
        ends = f"{times[0]:.1f} to {times[-1]:.0f} ms, {memory[0]:.1f} to {memory[-1]:.0f} MiB"
        parts.append(f"{_label(part, attention)}: {ends}")
    for ax in (left, right):
        ax.set_xticks(sizes, [str(n) for n in sizes])
        ax.minorticks_off()
        ax.set_xlabel("block_size")
        ticks = [t for t in (0.1, 1, 10, 100, 1000) if ax.get_ylim()[0] < t < ax.get_ylim()[1]]
        ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    left.set_title("time, forward + backward (ms)", loc="left", fontsize=10)
    right.set_title("memory kept for the backward pass (MiB)", loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return Picture(figure, "time and memory against block_size", f"From {sizes[0]} to {sizes[-1]}: " + "; ".join(parts))


def plot_doublings(costs: Sequence[Cost]) -> Picture:
    """By how much time and memory grow when block_size doubles, between lines at 2 (linear) and 4 (quadratic)."""
    figure, axes = new_figure(7.8, 4.0, columns=2)
    parts = []
    for ax, what in zip(axes, ("time", "memory"), strict=True):
        for (part, attention), style in _STYLES.items():
            chosen = of(costs, part, attention)
            ratios = doublings([c.seconds if what == "time" else c.bytes for c in chosen])
            label = _label(part, attention) if what == "time" else None
            ax.plot(range(len(ratios)), ratios, ms=4.5, label=label, **style)
            parts.append(f"{what}, {_label(part, attention)}: " + ", ".join(f"{r:.1f}" for r in ratios))
        for ratio, name in ((2, "linear"), (4, "quadratic")):
            ax.plot([-0.3, len(ratios) - 0.8], [ratio, ratio], color=GREY, lw=1, ls=":")
            ax.text(len(ratios) - 0.75, ratio, name, fontsize=8.5, color=GREY, va="center")
        names = [f"{a.block_size}→{b.block_size}" for a, b in pairwise(chosen)]
        ax.set_xticks(range(len(ratios)), names, fontsize=8.5)
        ax.set(xlabel="block_size doubled", xlim=(-0.3, len(ratios) + 0.1))
        ax.set_title(f"{what} grows by the factor", loc="left", fontsize=10)
        ax.set_ylim(0, max(5, ax.get_ylim()[1]))
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return Picture(figure, "what doubling block_size costs", "; ".join(parts))


def plot_parts(costs: Sequence[Cost]) -> Picture:
    """Of a model with naive attention, at each block_size: which share of memory and time is the attention's?"""
    models, alone = of(costs, MODEL, "naive"), of(costs, ALONE, "naive")
    memory = [c.quadratic_bytes / c.bytes for c in models]
    time = [min(1.0, LAYERS * a.seconds / c.seconds) for a, c in zip(alone, models, strict=True)]
    totals = [f"{c.bytes / MIB:.0f} MiB" for c in models], [f"{1000 * c.seconds:.0f} ms" for c in models]
    figure, axes = new_figure(7.8, 3.7, columns=2)
    x = np.arange(len(models))
    for ax, what, shares, labels in zip(axes, ("memory", "time"), (memory, time), totals, strict=True):
        upper = 100 * np.array(shares)
        linear = ax.bar(x, 100 - upper, color=BLUE, width=0.7)
        quadratic = ax.bar(x, upper, bottom=100 - upper, color=VERMILION, width=0.7)
        for i, label in enumerate(labels):
            ax.text(i, 102, label, ha="center", fontsize=8.5)
        ax.axhline(50, color="white", lw=1, ls="--")
        ax.set_xticks(x, [str(c.block_size) for c in models])
        ax.set_yticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        ax.set(xlabel="block_size", ylim=(0, 112))
        ax.set_title(f"{what}, naive attention", loc="left", fontsize=10)
        ax.grid(False)
    names = ["attention: matrices (T, T)", "all else: some vectors for each token"]
    figure.legend([quadratic, linear], names, loc="outside lower center", ncols=2, fontsize=9)
    parts = (f"{m:.0%} and {t:.0%} at {c.block_size}" for m, t, c in zip(memory, time, models, strict=True))
    alt = "Share of the attention in memory and in time: " + ", ".join(parts) + "."
    return Picture(figure, "what a model with naive attention spends on it", alt)

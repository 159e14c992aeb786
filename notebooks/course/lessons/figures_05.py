"""Lesson 05's figures: they draw what its cells have computed."""

from collections.abc import Mapping, Sequence

import numpy as np

from course.figures import BLUE, COLORS, GREY, VERMILION, Picture, new_figure, tidy
from course.landmarks import draw_landmarks
from course.lessons.lesson_05_museum import PROGRAMS

NATS = "loss (nats per character)"
MARKERS = "osD^v"


def plot_twins(one: Sequence[float], other: Sequence[float]) -> Picture:
    """Two training curves, one of them of a program with a bug."""
    figure, ax = new_figure(7.2, 3.2)
    for name, losses, color, style in (("one program", one, BLUE, "-"), ("the other", other, VERMILION, "--")):
        ax.plot(losses, style, color=color, lw=1.4, label=name)
    ax.set(xlabel="step", ylabel="logged loss (nats)")
    ax.legend(fontsize=9)
    alt = f"Two curves, hardly to be told apart: from {one[0]:.2f} and {other[0]:.2f} down to "
    return Picture(figure, "two training curves", alt + f"{np.mean(one[-5:]):.2f} and {np.mean(other[-5:]):.2f}.")


def plot_splits(curves: Mapping[str, Sequence[float]], marks: Mapping[str, float]) -> Picture:
    """Training losses that coincide: each line is narrower than the one below it."""
    figure, ax = new_figure(7.2, 3.4)
    for (name, losses), color, width in zip(curves.items(), COLORS, (7, 3.5, 1), strict=False):
        ax.plot(losses, color=color, lw=width, alpha=0.5 if width > 5 else 1, label=name)
    ax.set(xlabel="step", ylabel=NATS)
    draw_landmarks(ax, dict(marks))
    ax.legend(fontsize=9, loc="upper center")
    alt = "; ".join(f"{name}: from {losses[0]:.2f} to {losses[-1]:.2f}" for name, losses in curves.items())
    return Picture(figure, "one curve, drawn " + " and ".join(curves), alt)


def plot_costs(kept: Mapping[str, float], fixed: float, seconds: Mapping[str, Sequence[float]]) -> Picture:
    """Left: memory in MiB, what is always there and what the backward pass needs. Right: repeated times, as dots."""
    figure, (left, right) = new_figure(8.2, 3.5, columns=2)
    names, sizes = list(kept), list(kept.values())
    left.bar(names, [fixed] * len(names), color=GREY, label="weights, gradients, AdamW")
    bars = left.bar(names, sizes, bottom=fixed, color=BLUE, label="kept for the backward pass")
    bars[-1].set(hatch="///", edgecolor="white")
    for i, size in enumerate(sizes):
        left.text(i, fixed + size, f"{size:.1f}", ha="center", va="bottom", fontsize=8)
    left.set(ylabel="memory (MiB)", ylim=(0, 1.35 * (fixed + max(sizes))))
    left.legend(loc="upper right", fontsize=8)
    for i, times in enumerate(seconds.values()):
        right.plot([i] * len(times), 1000 * np.array(times), "o", ms=5, alpha=0.5, color=VERMILION)
        right.text(i + 0.15, 1000 * min(times), f"{1000 * min(times):.0f}", fontsize=8, va="top", color=VERMILION)
    right.set_xticks(range(len(seconds)), list(seconds))
    right.set(ylabel="processor time of one gradient (ms)", ylim=(0, None), xlim=(-0.5, len(seconds) - 0.2))
    for ax in (left, right):
        ax.tick_params(axis="x", rotation=40)
        ax.set_xlabel("(batch_size, accumulation steps)")
    told = [f"{name}: {size:.1f} MiB kept" for name, size in kept.items()]
    told += [f"{name}: {1000 * min(times):.0f} to {1000 * max(times):.0f} ms" for name, times in seconds.items()]
    return Picture(figure, "memory and time of each split", f"{fixed:.1f} MiB for all; " + "; ".join(told))


def plot_museum(
    curves: Sequence[Sequence[float]], healthy: Sequence[Sequence[float]], adam: Sequence[float]
) -> Picture:
    """What the six programs log, in order of their letters, beside what they should; `adam`: program 2 with AdamW."""
    figure, _ = new_figure(9.0, 5.4)
    figure.clear()
    axes = figure.subplots(2, 3, sharex=True, sharey=True).flat
    order = sorted(range(len(PROGRAMS)), key=lambda i: PROGRAMS[i].curve)
    told = []
    for ax, i in zip(axes, order, strict=True):
        tidy(ax)
        ax.plot(healthy[i], color=GREY, lw=3, alpha=0.45, label="as it should be")
        ax.plot(curves[i], color=VERMILION, lw=1.3, label="what the program logs")
        title = PROGRAMS[i].curve
        if i == 1:
            ax.plot(adam, color=BLUE, lw=1, ls="--")
            title += " (blue: the same with AdamW)"
        ax.set_title(title, loc="left", fontsize=10)
        ax.set(yscale="log", ylim=(2, 20))
        ax.set_yticks([2, 3, 4, 6, 10, 20], ["2", "3", "4", "6", "10", "20"])
        ax.minorticks_off()
        ends = [float(np.mean(each[i][-5:])) for each in (curves, healthy)]
        told.append(f"{PROGRAMS[i].curve}: starts at {curves[i][0]:.1f}, ends at {ends[0]:.2f}, should {ends[1]:.2f}")
    for ax in figure.axes[3:]:
        ax.set_xlabel("step")
    for ax in figure.axes[::3]:
        ax.set_ylabel("logged loss (nats)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=9)
    return Picture(figure, "six curves of the bug museum", "; ".join(told))


def plot_noise(ratios: Mapping[str, Mapping[int, float]]) -> Picture:
    """Noise over signal of the gradient: name -> sequences -> ratio; dashed: what the square root law makes of it."""
    figure, ax = new_figure(7.4, 3.6)
    reach, told = np.array([1, 1024]), []
    for (name, measured), color, marker in zip(ratios.items(), COLORS, MARKERS, strict=False):
        sizes, values = np.array(list(measured)), np.array(list(measured.values()))
        scale = float(np.exp(np.mean(np.log(values * np.sqrt(sizes)))))
        ax.loglog(reach, scale / np.sqrt(reach), "--", lw=1, color=color)
        ax.loglog(sizes, values, marker, ms=6, color=color, label=name)
        ax.text(1.08, 1.06 * scale, name, color=color, fontsize=9)
        if 1 < scale**2 < 1024:
            ax.annotate(
                f"{scale**2:.0f}",
                (scale**2, 1),
                (-4, -11),
                textcoords="offset points",
                color=color,
                fontsize=9,
                ha="right",
            )
        told.append(f"{name}: as long as the gradient with {scale**2:.0f} sequences")
    ax.axhline(1, color=GREY, lw=1)
    ax.text(1024, 1.06, "noise as long as the gradient", fontsize=8, color=GREY, ha="right", va="bottom")
    ax.set_xticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"])
    ax.set_yticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
    ax.minorticks_off()
    ax.set(xlabel="sequences in one step (dots: measured; dashed: extrapolated)", ylabel="noise / gradient")
    return Picture(figure, "noise of the gradient against the batch", "; ".join(told))


def plot_batches(losses: Mapping[str, Mapping[str, Sequence[float]]], target: float, chunk: int = 64) -> Picture:
    """Left: batch -> learning rate -> loss at the end. Right: each batch at its best rate, against the text read.

    `losses`: batch -> rate -> the loss after every `chunk` sequences.
    """
    figure, (left, right) = new_figure(8.4, 3.6, columns=2)
    told = []
    for (batch, runs), color, marker in zip(losses.items(), COLORS, MARKERS, strict=False):
        ends = {float(rate): float(np.mean(curve[-4:])) for rate, curve in runs.items()}
        best = min(ends, key=ends.__getitem__)
        left.semilogx(list(ends), list(ends.values()), color=color, marker=marker, ms=4, lw=1.3)
        left.semilogx([best], [ends[best]], marker, color=color, ms=9)
        curve = next(curve for rate, curve in runs.items() if float(rate) == best)
        right.plot(chunk * np.arange(1, 1 + len(curve)), curve, color=color, lw=1.3, label=f"{batch} sequences a step")
        told.append(f"{batch} a step: {ends[best]:.2f} with {best:g}")
    left.set_xticks(list(ends), [f"{rate:g}" for rate in ends])
    left.minorticks_off()
    left.set(xlabel="learning_rate", ylabel="training loss at the end (nats)")
    right.axhline(target, color=GREY, lw=1)
    right.set(xlabel="sequences of text read", ylabel="training loss (nats)", ylim=(None, 3.4))
    right.legend(fontsize=8, loc="upper right")
    return Picture(figure, "what a batch costs, at its own best learning rate", "; ".join(told))


def plot_butterfly(gaps: Mapping[str, Sequence[float]]) -> Picture:
    """How far the losses of two runs are apart, step by step, on a logarithmic axis."""
    figure, ax = new_figure(7.4, 3.5)
    told = []
    for (name, gap), color in zip(gaps.items(), COLORS, strict=False):
        values = np.array(gap)
        ax.semilogy(np.where(values > 0, values, np.nan), ".", ms=4, color=color, label=f"learning_rate {name}")
        told.append(
            f"{name}: about {np.median(values[:20]):.0e} in the first 20 steps, {np.median(values[-20:]):.0e} at last"
        )
    ax.set(xlabel="step", ylabel="difference of the losses (nats)")
    ax.legend(fontsize=9, loc="center right")
    return Picture(figure, "how two equal runs drift apart", "; ".join(told))

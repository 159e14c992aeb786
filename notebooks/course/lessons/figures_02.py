"""The figures of lesson 02: they draw what its cells have computed."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from course.figures import BLUE, COLORS, GREY, ORANGE, VERMILION, Picture, new_figure, tidy
from gptlib.tokenizer import CharTokenizer

FAINT = "#b5b5b5"  # text that a model does not see
FIGURE_SPACE = "\u2007"  # as wide as a digit, and not stripped at the end of a line
MARKERS = "osD^v"  # with the color, a second way to tell models apart
NAMES = {"\n": "line break", " ": "space", ",": "comma", ".": "period", "'": "apostrophe", ":": "colon", "-": "hyphen"}


def visible(text: str) -> str:
    """The text with its line breaks and spaces as signs."""
    return text.replace("\n", "↵").replace(" ", "␣")


# --- who sees what -----------------------------------------------------------------------------------------


def plot_next(tokenizer: CharTokenizer, answers: Mapping[tuple[str, int], Tensor], top: int = 5) -> Picture:
    """The likeliest next characters; `answers` holds the probabilities for each (text, block_size).

    A row for each text, a column for each block_size. Above each plot is the end of the text: black where the model
    sees it, faint where it does not.
    """
    texts, sizes = list(dict.fromkeys(text for text, _ in answers)), list(dict.fromkeys(size for _, size in answers))
    figure, _ = new_figure(2.2 + 2.1 * len(sizes), 0.5 + 1.75 * len(texts))
    figure.clear()
    axes = figure.subplots(len(texts), len(sizes), squeeze=False, sharex=True)
    parts = []
    for row, text in zip(axes, texts, strict=True):
        for ax, size, color in zip(row, sizes, COLORS, strict=False):
            p, tokens = answers[text, size].topk(top)
            names = [NAMES.get(c, c) for c in (tokenizer.chars[token] for token in tokens)]
            tidy(ax)
            ax.set_axisbelow(True)
            ax.barh(range(top), 100 * p.numpy(), color=color)
            ax.set_yticks(range(top), names, fontsize=9.5)
            ax.invert_yaxis()
            shown = ("…" if len(text) > 24 else "") + visible(text)[-24:]
            layers = [(shown[:-size], FAINT), (shown[-size:], "black")]
            _write_layers(ax, 1.0, 1.03, layers, transform=ax.transAxes, va="bottom", ha="right", fontsize=8)
            parts.append(f"After {text[-24:]!r}, block_size {size}: {names[0]} {p[0]:.0%}, {names[1]} {p[1]:.0%}")
    for ax in axes[-1]:
        ax.set_xlabel("probability (%)")
    for ax, size in zip(axes[0], sizes, strict=True):
        ax.set_title(f"block_size {size}", fontsize=10.5, weight="bold", pad=22)
    return Picture(figure, "the likeliest next characters", ". ".join(parts) + ".")


def _write_layers(ax: Axes, x: float, y: float, layers: Sequence[tuple[str, str]], **style: Any) -> None:
    """Pieces of one line in several colors, side by side.

    Each is drawn as the whole line with blanks for the rest: in a fixed-width font they then fit together.
    """
    length, done = sum(len(piece) for piece, _ in layers), 0
    for piece, color in layers:
        line = FIGURE_SPACE * done + piece + FIGURE_SPACE * (length - done - len(piece))
        ax.text(x, y, line, color=color, family="monospace", **style)
        done += len(piece)


def plot_window(text: str) -> Picture:
    """What each position of one window may look at, and which character it has to predict."""
    inputs, targets = visible(text[:-1]), visible(text[1:])
    size = len(inputs)
    figure, ax = new_figure(4.4, 3.6)
    ax.imshow(np.tril(np.ones((size, size))), cmap="Blues", vmin=0, vmax=1.7)
    for row in range(size):
        for column in range(row + 1):
            ax.text(column, row, inputs[column], ha="center", va="center", color="white", weight="bold")
        ax.text(size - 0.2, row, f"→  {targets[row]}", va="center", fontsize=12, color=VERMILION, weight="bold")
    ax.text(size - 0.2, -0.85, "must predict", fontsize=10, color=VERMILION)
    ax.set_xticks([])
    ax.set_yticks(range(size), [str(n) for n in range(size)])
    ax.set(ylabel="position (row)", xlim=(-0.5, size + 1.6))
    ax.set_xlabel("the characters it may look at (column)", loc="left")
    ax.grid(False)
    ax.spines[["bottom", "left"]].set_visible(False)
    pairs = size * (size + 1) // 2
    ax.set_title(f"{size} predictions, {pairs} blue squares", loc="left", fontsize=10)
    alt = f"A triangle: position 0 looks at one character, position {size - 1} at {size}; {pairs} squares in all."
    return Picture(figure, f"what each position of {text!r} looks at", alt)


# --- what a longer context is worth ----------------------------------------------------------------------------


def plot_loss_by_position(
    curves: Mapping[int, Tensor], errors: Mapping[int, Tensor], counts: Sequence[float]
) -> Picture:
    """The mean loss at each position, a curve for each block_size; `counts[n]` is the loss of counting with n before.

    The bands reach one standard error up and down.
    """
    figure, ax = new_figure(8.2, 4.0)
    longest = max(curves)
    for (size, curve), color, marker in zip(curves.items(), COLORS, MARKERS, strict=False):
        seen, means, error = np.arange(1, size + 1), curve.numpy(), errors[size].numpy()
        ax.fill_between(seen, means - error, means + error, color=color, alpha=0.2, lw=0)
        ax.plot(seen, means, color=color, marker=marker, ms=3, lw=1.2)
        shift = {6: (14, -16), 16: (14, -20)}.get(size, (-4, 12))  # from the end of the curve, out of the others' way
        place = {"xytext": shift, "textcoords": "offset points", "ha": "center"}
        ax.annotate(f"block_size {size}", (size, means[-1]), **place, color=color, fontsize=9)
    for n, loss in enumerate(counts[1:], start=1):
        ax.plot([n - 0.45, n + 0.45], [loss, loss], color=GREY, lw=2.4)
        ax.plot([n, longest + 5], [loss, loss], color=GREY, lw=0.6, ls=":")
        ax.text(longest + 6, loss, f"counting,\n{n} before: {loss:.2f}", color=GREY, fontsize=8.5, va="center")
    ticks = [n for n in (1, 6, 16, 24, 32, 40, 48, 56, 64) if n <= longest]
    ax.set_xticks(ticks, [str(n) for n in ticks])
    ax.set(xlabel="characters seen (position + 1)", ylabel="loss (nats per character)", xlim=(0, longest + 5))
    alt = "Mean loss by characters seen. " + " ".join(
        f"block_size {size}: {c[0]:.2f} with 1, {c[3]:.2f} with 4, {c[-1]:.2f} with {size}."
        for size, c in curves.items()
    )
    alt += " Counting: " + ", ".join(f"{loss:.2f} with {n}" for n, loss in enumerate(counts[1:], 1)) + "."
    return Picture(figure, "loss by position in the window", alt)


def plot_counting_and_gpt(gpt: Mapping[int, Tensor], tables: Mapping[int, Sequence[float]]) -> Picture:
    """The losses of GPTs, a dot for each seed, and of tables of counts; both by the number of characters read."""
    figure, ax = new_figure(7.6, 3.9)
    lengths, means = list(gpt), [values.mean().item() for values in gpt.values()]
    for length, values in gpt.items():
        ax.plot([length] * len(values), values, "o", ms=3.5, color=BLUE, alpha=0.7, mec="none")
    ax.plot(lengths, means, color=BLUE, lw=1.4)
    beside = {"textcoords": "offset points", "xytext": (5, -3)}
    ax.annotate("GPT", (lengths[0], means[0]), **beside | {"xytext": (8, 0)}, color=BLUE, weight="bold")
    parts = ["GPT: " + ", ".join(f"{m:.2f} after {n:,} characters" for n, m in zip(lengths, means, strict=True))]
    for n, color in ((1, GREY), (2, GREY), (3, ORANGE), (4, VERMILION), (5, "#8a3c00")):
        losses = [tables[length][n] for length in lengths]
        ax.plot(lengths, losses, color=color, lw=1, marker="x", ms=4)
        place = beside | {"xytext": (5, {4: 5, 5: -10}.get(n, -3))}
        ax.annotate(f"counting, {n} before", (lengths[-1], losses[-1]), **place, color=color, fontsize=8.5)
        parts.append(f"Counting, {n} before: " + ", ".join(f"{loss:.2f}" for loss in losses))
    ax.set_xscale("log")
    ax.set_xlim(lengths[0] * 0.85, lengths[-1] * 2.6)
    ax.set_xticks(lengths, [f"{n / 1e6:.2g} M" for n in lengths])
    ax.minorticks_off()
    ax.set(xlabel="characters read", ylabel="validation loss (nats)")
    return Picture(figure, "a GPT against counting, by characters read", ". ".join(parts) + ".")


# --- what it costs ----------------------------------------------------------------------------------------------


def plot_costs(kept: Mapping[tuple[str, int], float], seconds: Mapping[tuple[str, int], Sequence[float]]) -> Picture:
    """Memory (MiB) and time of a forward and a backward pass for each (attention, block_size), on logarithmic axes."""
    figure, (left, right) = new_figure(7.8, 3.6, columns=2)
    parts = []
    for attention, color, marker in (("naive", VERMILION, "s"), ("fused", BLUE, "o")):
        sizes = sorted(size for name, size in kept if name == attention)
        memory = [kept[attention, size] for size in sizes]
        left.loglog(sizes, memory, color=color, marker=marker, ms=4)
        left.annotate(attention, (sizes[-1], memory[-1]), (4, -3), textcoords="offset points", color=color)
        for size in sizes:
            times = [1000 * t for t in seconds[attention, size]]
            right.loglog([size] * len(times), times, marker, color=color, ms=4, alpha=0.6, mec="none")
        fastest = [1000 * min(seconds[attention, size]) for size in sizes]
        right.loglog(sizes, fastest, color=color, lw=1)
        right.annotate(attention, (sizes[-1], fastest[-1]), (4, -3), textcoords="offset points", color=color)
        growth = ", ".join(f"{b / a:.1f}" for a, b in pairwise(memory))
        parts.append(f"{attention}: {memory[0]:.1f} to {memory[-1]:.0f} MiB, by factors of {growth}")
        parts.append(f"{attention}: fastest {fastest[0]:.0f} to {fastest[-1]:.0f} ms")
    for ax in (left, right):
        ax.set_xticks(sizes, [str(n) for n in sizes])
        ax.minorticks_off()
        ax.set(xlabel="block_size", xlim=(sizes[0] * 0.85, sizes[-1] * 1.7))
        low, high = ax.get_ylim()
        ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= t <= high]
        ax.set_yticks(ticks, [str(t) for t in ticks])
    left.set_title("kept for the backward pass (MiB)", loc="left", fontsize=10)
    right.set_title("forward + backward (ms), a dot each time", loc="left", fontsize=10)
    return Picture(figure, "memory and time against block_size", "; ".join(parts) + ".")

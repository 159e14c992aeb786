"""Lesson 02: how far back a model looks, and what each further character is worth to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from torch import Tensor

from course.figures import COLORS, GREY, VERMILION, Picture, new_figure, tidy
from gptlib.dataset import make_batch, max_offset
from gptlib.errors import UserError
from gptlib.model import GPT
from gptlib.sampling import choose
from gptlib.tokenizer import CharTokenizer

FAINT = "#b5b5b5"  # text that a model does not see
FIGURE_SPACE = "\u2007"  # as wide as a digit, and not stripped at the end of a line
MARKERS = "osD^v"  # with the colour, a second way to tell models apart


@torch.no_grad()
def next_probabilities(model: GPT, tokenizer: CharTokenizer, text: str) -> Tensor:
    """The probability of each character to come after `text`, shape (V,).

    The model is given the last block_size characters: it has no place for more.

    Raises:
        UserError: the text is empty, or has a character that is not in the vocabulary.
    """
    if not text:
        raise UserError("the text is empty; give at least one character")
    tokens = torch.from_numpy(tokenizer.encode(text)[-model.config.block_size :])
    return model.eval()(tokens[None])[0][0, -1].softmax(dim=-1)


def continue_text(
    model: GPT, tokenizer: CharTokenizer, text: str, length: int, *, temperature: float = 0.5, seed: int = 0
) -> str:
    """`length` characters that the model writes after `text`; for each it reads the last block_size characters anew.

    (`gptlib.generate` is much faster, but lets a full window shrink to its half before it grows again.)
    """
    generator = torch.Generator().manual_seed(seed)
    written = text
    for _ in range(length):
        logits = next_probabilities(model, tokenizer, written).log()[None]
        written += tokenizer.decode([choose(logits, temperature, None, generator).item()])
    return written[len(text) :]


@dataclass(frozen=True)
class PositionLosses:
    """The mean loss at each position of a window, in nats; `means[0]` has seen one character, `means[1]` two."""

    means: np.ndarray  # (T,)
    standard_errors: np.ndarray  # (T,)

    @property
    def block_size(self) -> int:
        """How many positions there are (T)."""
        return len(self.means)


@torch.no_grad()
def losses_by_position(model: GPT, tokens: np.ndarray, *, every: int = 64, batch_size: int = 64) -> PositionLosses:
    """Read a window at each `every`-th token of a text, and average the loss at each position over all windows.

    Models of different block_size then begin their windows at the same places, so that they are asked to predict the
    same characters at the same positions, and differ by nothing but what they have learnt.
    """
    block_size = model.eval().config.block_size
    starts = np.arange(0, max_offset(tokens, max(block_size, every)) + 1, every)
    losses = []
    for i in range(0, len(starts), batch_size):
        x, y = make_batch(tokens, starts[i : i + batch_size], block_size)
        logits = model(x)[0]
        losses.append(F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape))
    losses = torch.cat(losses).double().numpy()  # (windows, T)
    return PositionLosses(losses.mean(axis=0), losses.std(axis=0, ddof=1) / np.sqrt(len(losses)))


def pair_counting_loss(train: np.ndarray, val: np.ndarray, vocab_size: int) -> float:
    """The loss of a table instead of a model: how often did which character follow this one? In nats a character.

    It knows one character of context and all of `train`, so no model that sees one character can do much better.
    """
    pairs = np.bincount(train[:-1].astype(np.int64) * vocab_size + train[1:], minlength=vocab_size**2)
    counts = pairs.reshape(vocab_size, vocab_size) + 0.1  # a pair that never occurred may still come
    log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
    return float(-log_p[val[:-1], val[1:]].mean())


# --- figures ------------------------------------------------------------------------------------------


def visible(text: str) -> str:
    """The text with its line breaks and spaces as signs."""
    return text.replace("\n", "↵").replace(" ", "␣")


def plot_window(text: str) -> Picture:
    """What each position of one window may look at, and which character it has to predict."""
    inputs, targets = visible(text[:-1]), visible(text[1:])
    size = len(inputs)
    figure, ax = new_figure(4.6, 4.0)
    ax.imshow(np.tril(np.ones((size, size))), cmap="Blues", vmin=0, vmax=1.7)
    for row in range(size):
        for column in range(row + 1):
            ax.text(column, row, inputs[column], ha="center", va="center", color="white", weight="bold")
        ax.text(size - 0.2, row, f"→  {targets[row]}", va="center", fontsize=12, color=VERMILION, weight="bold")
    ax.text(size - 0.2, -0.85, "predicts", fontsize=10, color=VERMILION)
    ax.set_xticks([])
    ax.set_yticks(range(size), [str(n) for n in range(size)])
    ax.set(ylabel="position", xlim=(-0.5, size + 1.1))
    ax.set_xlabel("the characters that it may look at", loc="left")
    ax.grid(False)
    ax.spines[["bottom", "left"]].set_visible(False)
    pairs = size * (size + 1) // 2
    ax.set_title(f"one window, {size} predictions, {pairs} pairs", loc="left", fontsize=10)
    alt = f"A triangle: position 0 looks at one character, position {size - 1} at {size}; {pairs} pairs in all."
    return Picture(figure, f"what each position of {text!r} looks at", alt)


def plot_next_characters(
    models: Mapping[int, GPT], tokenizer: CharTokenizer, texts: Sequence[str], top: int = 5, shown: int = 24
) -> Picture:
    """The likeliest next characters: a row for each text, a column for each model.

    Over each plot stands the end of the text, black where this model sees it, faint where it does not.
    """
    figure, _ = new_figure(1.2 + 2.4 * len(models), 0.4 + 2.0 * len(texts))
    figure.clear()
    axes = figure.subplots(len(texts), len(models), squeeze=False, sharex=True)
    parts = []
    for row, text in zip(axes, texts, strict=True):
        for ax, (block_size, model), color in zip(row, models.items(), COLORS, strict=False):
            p, tokens = next_probabilities(model, tokenizer, text).topk(top)
            names = [visible(tokenizer.chars[token]) for token in tokens]
            tidy(ax)
            ax.barh(range(top), 100 * p.numpy(), color=color)
            ax.set_yticks(range(top), names, fontsize=11, family="monospace")
            ax.invert_yaxis()
            ax.set_xlim(0, 100)
            context = ("…" if len(text) > shown else "") + visible(text)[-shown:]
            layers = [(context[:-block_size], FAINT), (context[-block_size:], "black")]
            _write_layers(ax, 1.0, 1.03, layers, transform=ax.transAxes, va="bottom", ha="right", fontsize=8.5)
            parts.append(
                f"after {text[-shown:]!r}, block_size {block_size}: {names[0]} {p[0]:.0%}, {names[1]} {p[1]:.0%}"
            )
    for ax in axes[-1]:
        ax.set_xlabel("probability (%)")
    for ax, block_size in zip(axes[0], models, strict=True):
        ax.set_title(f"block_size {block_size}", fontsize=11, weight="bold", pad=24)
    return Picture(figure, "the likeliest next characters", "; ".join(parts) + ".")


def _write_layers(ax: Axes, x: float, y: float, layers: Sequence[tuple[str, str]], **style) -> None:
    """Pieces of one line in several colours, side by side.

    Each is drawn as the whole line with blanks for the others: in a fixed-width font they then fit together.
    """
    length, done = sum(len(piece) for piece, _ in layers), 0
    for piece, color in layers:
        line = FIGURE_SPACE * done + piece + FIGURE_SPACE * (length - done - len(piece))
        ax.text(x, y, line, color=color, family="monospace", **style)
        done += len(piece)


def plot_continuations(
    models: Mapping[int, GPT],
    tokenizer: CharTokenizer,
    texts: Sequence[str],
    length: int = 45,
    temperature: float = 0.5,
) -> Picture:
    """What each model writes after each text; faint is what it cannot see, coloured what it writes."""
    longest = max(len(text) for text in texts)
    figure, ax = new_figure(8.4, 0.3 * len(models) * len(texts) + 0.35 * len(texts))
    ax.axis("off")
    y, parts = 0.0, []
    for text in texts:
        for (block_size, model), color in zip(models.items(), COLORS, strict=False):
            written = continue_text(model, tokenizer, text, length, temperature=temperature)
            layers = [(text[:-block_size].rjust(longest - len(text[-block_size:]), FIGURE_SPACE), FAINT)]
            layers += [(text[-block_size:], "black"), (written, color)]
            _write_layers(ax, 8, y, [(visible(p), c) for p, c in layers], va="center", fontsize=10)
            ax.text(7, y, f"{block_size}", ha="right", va="center", fontsize=10, weight="bold", color=color)
            parts.append(f"block_size {block_size}, after {text!r}: {written!r}")
            y += 1
        y += 0.8
    ax.text(7, -1.1, "block_size", ha="right", va="center", fontsize=9, color=GREY)
    ax.set(xlim=(0, 8 + longest + length), ylim=(y - 1.2, -1.5))
    return Picture(figure, "what each model writes", "; ".join(parts))


def plot_loss_by_position(curves: Sequence[PositionLosses], pair_loss: float | None = None) -> Picture:
    """Mean loss at each position of a window, with a band of one standard error, a curve for each model."""
    figure, ax = new_figure(7.2, 3.9)
    for curve, color, marker in zip(curves, COLORS, MARKERS, strict=False):
        seen = np.arange(1, curve.block_size + 1)
        ax.fill_between(
            seen, curve.means - curve.standard_errors, curve.means + curve.standard_errors, color=color, alpha=0.2, lw=0
        )
        ax.plot(seen, curve.means, color=color, marker=marker, ms=3, lw=1.2, label=f"block_size {curve.block_size}")
    if pair_loss is not None:
        ax.axhline(pair_loss, color=GREY, lw=1, ls="--", label="a table of pairs: one character seen")
    longest = max(curve.block_size for curve in curves)
    ticks = [n for n in (1, 6, 16, 24, 32, 40, 48, 56, 64, 96, 128) if n <= longest]
    ax.set_xticks(ticks, [str(n) for n in ticks])
    ax.set(xlabel="characters seen (position in the window + 1)", ylabel="mean surprise (nats)")
    ax.legend(fontsize=9)
    alt = "Mean loss by characters seen. " + " ".join(
        f"block_size {c.block_size}: {c.means[0]:.2f} with 1, {c.means[min(3, c.block_size - 1)]:.2f} with "
        f"{min(4, c.block_size)}, {c.means[-1]:.2f} with {c.block_size}."
        for c in curves
    )
    return Picture(figure, "loss by position in the context", alt)

"""What lesson 07 draws; every number in it was computed by a cell."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from course.figures import BLUE, COLORS, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, Picture, new_figure
from course.lab import Lab, Run
from course.landmarks import draw_landmarks
from gptlib import GPT, Trainer

MARKERS = "osD^v"
FUTURE = 0.22  # how gray the hidden future is drawn
Maps = Mapping[tuple[int, int], Tensor]  # (block, head), both from 1 -> weights (T, T)


def visible(character: str) -> str:
    """A character as it can be seen in a plot."""
    return {"\n": "↵", " ": "␣"}.get(character, character)


def _letters(ax: Axes, text: str, axis: str = "x") -> None:
    """The characters of the text as the ticks of an axis."""
    setter = ax.set_xticks if axis == "x" else ax.set_yticks
    setter(range(len(text)), [visible(c) for c in text], family="monospace", fontsize=9 if len(text) <= 32 else 7.5)


# --- the live lab ----------------------------------------------------------------------------------------


class PartsLab(Lab):
    """A lab whose menu says which part `take_out(part, model)` removes before a run begins."""

    def __init__(self, take_out: Callable[[str, GPT], None], parts: Sequence[str], **settings: Any):
        self.take_out = take_out
        super().__init__("n_layer", "learning_rate", menus={"take out": parts}, **settings)

    def make_trainer(self, run: Run) -> Trainer:
        """A trainer whose model lacks a part."""
        trainer = super().make_trainer(run)
        self.take_out(run.settings["take out"], trainer.model)
        return trainer


# --- the whole model -----------------------------------------------------------------------------------------

_ROWS = (  # from the bottom: height, words, name in the code, color
    (0.3, "text → tokens", "tokenizer.encode", GREY),
    (1.2, "what each is + where it is", "wte, wpe", SKY),
    (2.35, "norm", "ln_1", GREY),
    (3.05, "attention: look back", "attn: c_attn, c_proj", BLUE),
    (4.35, "norm", "ln_2", GREY),
    (5.05, "MLP: work on each position", "mlp: c_fc, c_proj", ORANGE),
    (6.45, "norm", "ln_f", GREY),
    (7.15, "output head: compare with each character", "wte again", SKY),
    (8.05, "scores (logits) → probabilities", "softmax", GREY),
)


def plot_gpt() -> Picture:
    """The whole model from bottom to top, with the names that its parts have in the code."""
    figure, ax = new_figure(7.6, 5.4)
    ax.set(xlim=(0, 10), ylim=(0, 8.7))
    ax.axis("off")
    ax.add_patch(FancyBboxPatch((1.5, 2.05), 7.9, 4.1, boxstyle="round,pad=0.1", fill=False, ec=GREY, ls="--"))
    ax.text(9.3, 5.85, "a block, h[0]; then h[1], h[2]", ha="right", fontsize=9, color=GREY)
    ax.annotate("", (1.0, 6.9), (1.0, 1.4), arrowprops={"arrowstyle": "->", "lw": 2.5, "color": GREEN})
    ax.text(0.72, 4.0, "the residual stream: 96 numbers for each position", rotation=90, va="center", ha="center",
            fontsize=9, color=GREEN)  # fmt: skip
    for y, words, name, color in _ROWS:
        ax.add_patch(FancyBboxPatch((2.2, y), 4.4, 0.5, boxstyle="round,pad=0.06", fc=color, ec=color, alpha=0.22))
        ax.text(4.4, y + 0.25, words, ha="center", va="center", fontsize=9.5)
        ax.text(6.9, y + 0.25, name, va="center", fontsize=9, family="monospace", color=GREY)
    for y in (3.3, 5.3):  # what each of the two adds to the stream
        ax.annotate("", (1.05, y + 0.75), (2.2, y + 0.3), arrowprops={"arrowstyle": "->", "color": GREEN})
        ax.text(1.2, y + 0.8, "+", fontsize=13, color=GREEN, va="center")
    for y in (2.6, 4.6):
        ax.annotate("", (2.15, y), (1.05, y), arrowprops={"arrowstyle": "->", "color": GREY})
    ax.annotate("", (1.05, 1.45), (2.15, 1.45), arrowprops={"arrowstyle": "->", "color": GREEN})
    ax.annotate("", (2.15, 6.7), (1.05, 6.7), arrowprops={"arrowstyle": "->", "color": GREY})
    alt = (
        "From bottom to top: text to tokens; embeddings wte and wpe; three blocks, each adding to a stream of 96 "
        "numbers twice: a norm and attention, then a norm and an MLP; a last norm; the output head; softmax."
    )
    return Picture(figure, "a GPT from bottom to top", alt)


# --- averaging and attention, with numbers to check by hand ----------------------------------------------------


def _numbers(ax: Axes, matrix: Tensor, title: str) -> None:
    """A matrix with its numbers written in; nothing where it is minus infinity."""
    values = np.array(matrix.tolist())
    finite = np.where(np.isfinite(values), values, np.nan)
    most = max(1.0, float(np.nanmax(np.abs(finite))))
    ax.imshow(np.where(np.isfinite(values), np.nan, FUTURE), cmap="Greys", vmin=0, vmax=1)
    ax.imshow(finite, cmap="RdBu", vmin=-1.6 * most, vmax=1.6 * most)
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, f"{value:.2g}" if np.isfinite(value) else "−∞", ha="center", va="center", fontsize=9)
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, loc="left", fontsize=9.5)


def plot_product(weights: Tensor, x: Tensor, result: Tensor) -> Picture:
    """weights @ x = result, with all numbers."""
    figure, axes = new_figure(8.0, 2.7, columns=3)
    for ax, matrix, title in zip(axes, (weights, x, result), ("weights", "@  x", "=  averages"), strict=True):
        _numbers(ax, matrix, title)
    alt = f"The last row: weights {weights[-1].tolist()} times x gives {result[-1].tolist()}."
    return Picture(figure, "averages by a matrix product", alt)


def plot_steps(steps: Mapping[str, Tensor], text: str) -> Picture:
    """Square matrices side by side: row looks at column."""
    figure, axes = new_figure(9.4, 4.0, columns=len(steps))
    for ax, (title, matrix) in zip(axes, steps.items(), strict=True):
        _numbers(ax, matrix, title)
        _letters(ax, text), _letters(ax, text, "y")
    axes[0].set(ylabel="looks", xlabel="is looked at")
    last = [f"{value:.2f}" for value in list(steps.values())[-1][-1].tolist()]
    return Picture(figure, "how an attention map is made", f"Weights of the last row of {text!r}: {', '.join(last)}.")


def plot_largest(widths: Sequence[int], largest: Mapping[str, Sequence[float]]) -> Picture:
    """What the division by √d is for."""
    figure, ax = new_figure(6.8, 3.0)
    for (name, values), color, marker in zip(largest.items(), (VERMILION, BLUE), "so", strict=True):
        ax.semilogx(widths, [100 * v for v in values], color=color, marker=marker, ms=4)
        ax.annotate(f"  {name}", (widths[-1], 100 * values[-1]), va="center", fontsize=9, color=color)
    ax.set_xticks(widths, [str(w) for w in widths])
    ax.minorticks_off()
    ax.set(
        ylim=(0, 100), xlim=(widths[0] * 0.9, widths[-1] * 2.2), xlabel="width d", ylabel="largest of 32 weights (%)"
    )
    alt = "; ".join(f"{n}: {v[0]:.0%} at d = {widths[0]}, {v[-1]:.0%} at {widths[-1]}" for n, v in largest.items())
    return Picture(figure, "the largest weight against the width", alt)


# --- maps -----------------------------------------------------------------------------------------------------------


def _draw_map(ax: Axes, weights: Tensor, most: float = 1.0) -> object:
    """Weights (T, T) in blue, and the future, which nobody may look at, in grey."""
    future = np.triu(np.ones(weights.shape, dtype=bool), 1)
    ax.grid(False)
    ax.imshow(np.where(future, FUTURE, np.nan), cmap="Greys", vmin=0, vmax=1)
    return ax.imshow(np.ma.array(weights.numpy(), mask=future), cmap="Blues", vmin=0, vmax=most)


def plot_map(weights: Tensor, text: str, title: str = "") -> Picture:
    """One attention map, with the characters on both axes."""
    figure, ax = new_figure(6.6, 5.6)
    image = _draw_map(ax, weights)
    _letters(ax, text), _letters(ax, text, "y")
    ax.set(xlabel="is looked at", ylabel="looks")
    ax.set_title(title, loc="left", fontsize=10)
    figure.colorbar(image, ax=ax, shrink=0.7, label="weight")
    column = int(weights.sum(dim=0).argmax())
    last = int(weights[-1].argmax())
    alt = f"{title or 'Attention map'} for {text!r}. The last row looks most at {visible(text[last])!r} "
    alt += (
        f"({float(weights[-1, last]):.0%}); the column with most weight is {visible(text[column])!r}, place {column}."
    )
    return Picture(figure, "an attention map", alt)


def plot_maps(maps: Maps, text: str, notes: Mapping[tuple[int, int], str]) -> Picture:
    """All maps of a text, a row for each block, with a note over each."""
    blocks, heads = (max(place) for place in zip(*maps, strict=True))
    figure, _ = new_figure(2.35 * heads, 2.55 * blocks)
    figure.clear()
    axes = figure.subplots(blocks, heads, squeeze=False)
    for (block, head), weights in maps.items():
        ax = axes[block - 1][head - 1]
        _draw_map(ax, weights, 0.6)
        ax.set_xticks(range(len(text)), [visible(c) for c in text], family="monospace", fontsize=4.5)
        ax.set_yticks(range(len(text)), [visible(c) for c in text], family="monospace", fontsize=4.5)
        ax.tick_params(length=0, pad=1)
        ax.set_title(f"{block}.{head}  {notes[block, head]}", loc="left", fontsize=7.5)
    told = "; ".join(f"head {b}.{h}: {note}" for (b, h), note in notes.items())
    return Picture(figure, "all attention maps of a text", f"Rows look, columns are looked at. {told}.")


def plot_riddles(text: str = "to be or not") -> Picture:
    """Three made-up maps for exercise 1."""
    T, weights = len(text), np.zeros((3, len(text), len(text)))
    for t in range(T):
        weights[0, t, max(text.rfind(" ", 0, t + 1), 0)] = 1
        weights[1, t, max(t - 1, 0)] = 1
        weights[2, t, : t + 1] = 1 / (t + 1)
    figure, axes = new_figure(9.0, 3.9, columns=3)
    for ax, matrix, name in zip(axes, weights, "ABC", strict=True):
        future = np.triu(np.ones((T, T), dtype=bool), 1)
        ax.imshow(np.where(future, FUTURE, np.nan), cmap="Greys", vmin=0, vmax=1)
        ax.imshow(np.ma.array(matrix, mask=future), cmap="Blues", vmin=0, vmax=1)
        _letters(ax, text), _letters(ax, text, "y")
        ax.grid(False)
        ax.set_title(name, loc="left", weight="bold")
    alt = "A: stripes below position 0 and below each space. B: dark just left of the diagonal. C: rows of one shade."
    return Picture(figure, "three attention maps", alt)


# --- the rest of the model --------------------------------------------------------------------------------------------


def plot_depth(logits: Sequence[Tensor], chars: str, text: str) -> Picture:
    """For each position, the favorite next character after the embeddings and after each block; frames: right."""
    right = [chars.index(c) for c in text[1:]]
    p = [at_depth[0, :-1].softmax(dim=-1) for at_depth in logits]  # nobody knows what follows the last one
    figure, ax = new_figure(8.6, 2.6)
    ax.set(xlim=(-0.5, len(right) - 0.5), ylim=(len(p) - 0.5, -0.5))
    hits = []
    for row, of_depth in enumerate(p):
        guesses = of_depth.argmax(dim=-1).tolist()
        hits.append(sum(g == r for g, r in zip(guesses, right, strict=True)))
        for column, guess in enumerate(guesses):
            hit = guess == right[column]
            if hit:
                ax.add_patch(Rectangle((column - 0.42, row - 0.42), 0.84, 0.84, fc="#d9f2e6", ec=GREEN, lw=1.2))
            color = "black" if hit else VERMILION
            ax.text(column, row, visible(chars[guess]), ha="center", va="center", family="monospace", color=color)
    _letters(ax, text[:-1])
    rows = ["embeddings only", *(f"after block {i}" for i in range(1, len(p)))]
    ax.set_yticks(range(len(p)), [f"{name}: {n} right" for name, n in zip(rows, hits, strict=True)])
    ax.set_xlabel("the model has read up to this character")
    ax.grid(False)
    alt = f"Right guesses of the next character in {text!r}: " + ", ".join(
        f"{n} of {len(right)} {name}" for name, n in zip(rows, hits, strict=True)
    )
    return Picture(figure, "the favorite next character after each block", alt)


def plot_choices(chances: Mapping[str, Tensor], chars: str, shown: int = 12) -> Picture:
    """Chances of the next character, a panel for each setting; outlined: those of the first."""
    said = next(iter(chances.values()))
    order = said.argsort(descending=True)[:shown]
    figure, axes = new_figure(2.5 * len(chances), 2.8, columns=len(chances))
    axes = [axes] if len(chances) == 1 else axes
    top = 100 * max(float(p.max()) for p in chances.values())
    told = []
    for ax, (name, p) in zip(axes, chances.items(), strict=True):
        ax.bar(range(shown), 100 * p[order].numpy(), color=BLUE, width=0.6)
        ax.bar(range(shown), 100 * said[order].numpy(), color="none", edgecolor=GREY, lw=1)
        ax.set_xticks(range(shown), [visible(chars[token]) for token in order], family="monospace", fontsize=9)
        ax.set_title(name, loc="left", fontsize=9)
        ax.set_ylim(0, 1.08 * top)
        possible = int((p > 0).sum())
        told.append(f"{name}: {visible(chars[order[0]])} {float(p[order[0]]):.0%}, {possible} characters possible")
    axes[0].set_ylabel("chance (%)")
    return Picture(figure, "chances of the next character", "; ".join(told))


def plot_token_costs(seconds: Mapping[str, Mapping[int, Sequence[float]]]) -> Picture:
    """Milliseconds for the next token against the number of tokens before it: the fastest try, and all of them."""
    figure, ax = new_figure(7.2, 3.4)
    told = []
    for (name, tries), color, marker in zip(seconds.items(), (GREEN, VERMILION), "os", strict=True):
        lengths, best = list(tries), [1000 * min(t) for t in tries.values()]
        ax.loglog(lengths, best, color=color, marker=marker, ms=5)
        for length, of_length in tries.items():
            ax.plot([length] * len(of_length), [1000 * t for t in of_length], "_", color=color, alpha=0.6)
        ax.annotate(f"  {name}: {best[-1]:.1f} ms", (lengths[-1], best[-1]), va="center", fontsize=9, color=color)
        told.append(f"{name}: {best[0]:.1f} ms after {lengths[0]} tokens, {best[-1]:.1f} ms after {lengths[-1]}")
    ax.set_xticks(lengths, [str(n) for n in lengths])
    ax.set_yticks([t for t in (0.3, 1, 3, 10, 30, 100) if ax.get_ylim()[0] < t < ax.get_ylim()[1]])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.set(xlabel="tokens before", ylabel="ms for the next token", xlim=(lengths[0] * 0.8, lengths[-1] * 4.5))
    return Picture(figure, "milliseconds for the next token, with the cache and without", "; ".join(told))


# --- what the parts are worth ---------------------------------------------------------------------------------------


def plot_parts(losses: Mapping[str, Sequence[float]], marks: Mapping[str, float]) -> Picture:
    """The validation loss of models trained without a part: a dot for each seed."""
    figure, ax = new_figure(7.6, 3.6)
    names = sorted(losses, key=lambda name: np.mean(losses[name]))
    for row, name in enumerate(names):
        color = GREEN if name == "nothing" else VERMILION
        ax.plot(losses[name], [row] * len(losses[name]), "o", color=color, ms=5, alpha=0.7)
        ax.annotate(f"   {np.mean(losses[name]):.2f}", (max(losses[name]), row), va="center", fontsize=9, color=color)
    ax.set_yticks(range(len(names)), [f"without {name}" if name != "nothing" else "the whole model" for name in names])
    low, high = min(map(min, losses.values())), max(map(max, losses.values()))
    ax.set(xlabel="validation loss (nats per character)", xlim=(low - 0.1, high + 0.2), ylim=(len(names) - 0.4, -0.9))
    for mark, loss in marks.items():
        if low - 0.1 < loss < high + 0.2:
            ax.axvline(loss, color=GREY, lw=0.8, ls=":")
            ax.annotate(f" {mark} {loss:.2f}", (loss, -0.7), fontsize=8, color=GREY, va="center")
    alt = "; ".join(f"without {name}: {np.mean(losses[name]):.2f}" for name in names)
    return Picture(figure, "what each part is worth", alt)


def plot_heads(
    sharpness: Mapping[tuple[int, int], float], costs: Mapping[tuple[int, int], tuple[float, float]]
) -> Picture:
    """What leveling a head costs, with its standard error, against how sharp its map is."""
    figure, ax = new_figure(7.2, 3.6)
    for (block, head), (cost, error) in costs.items():
        style = {"color": COLORS[block - 1], "fmt": MARKERS[block - 1], "ms": 6, "capsize": 3}
        place = (100 * sharpness[block, head], cost)
        ax.errorbar(*place, error, **style, label=f"block {block}" if head == 1 else None)
        if cost > 0.015:  # the others lie on top of each other
            ax.annotate(f"{block}.{head}", place, xytext=(6, 4), textcoords="offset points", fontsize=8)
    ax.axhline(0, color=GREY, lw=1)
    ax.set(xlabel="sharpness: mean of the largest weight in a row (%)", ylabel="rise of the loss\nwhen leveled (nats)")
    ax.legend(fontsize=9)
    alt = "; ".join(
        f"head {b}.{h}: sharpness {sharpness[b, h]:.0%}, +{c:.3f} ± {e:.3f}" for (b, h), (c, e) in costs.items()
    )
    return Picture(figure, "what each head's map is worth", alt)


def plot_losses(curves: Mapping[str, Mapping[int, float]], marks: Mapping[str, float]) -> Picture:
    """Validation losses by step, one line for each model; nothing is drawn before the second evaluation."""
    figure, ax = new_figure(7.2, 3.2)
    for (name, curve), color in zip(curves.items(), (BLUE, VERMILION, PURPLE), strict=False):
        steps, losses = list(curve), list(curve.values())
        ax.plot(steps[0], losses[0], "o", color=color, ms=3)
        ax.plot(steps[1:], losses[1:], "o-", color=color, ms=3)
        ax.annotate(f"  {name}: {losses[-1]:.2f}", (steps[-1], losses[-1]), va="center", fontsize=9, color=color)
    ax.set(xlabel="step", ylabel="validation loss", ylim=(0, 4.5), xlim=(-3, 1.4 * steps[-1]))
    draw_landmarks(ax, dict(marks))
    alt = "; ".join(f"{name}: {list(c.values())[-1]:.2f} at step {max(c)}" for name, c in curves.items())
    return Picture(figure, "validation losses: " + "; ".join(curves), alt)

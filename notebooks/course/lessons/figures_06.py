"""What lesson 06 draws; every number in it was computed by a cell."""

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes

from course.figures import BLUE, COLORS, GREEN, GREY, VERMILION, Picture, new_figure, tidy
from course.landmarks import draw_landmarks
from gptlib.events import Evaluation

Evaluations = Sequence[Evaluation]
MARKERS = "osD^v"


# --- samples, with their copied characters marked -------------------------------------------------------------


def marked(text: str, copied: set[int], title: str = "") -> str:
    """The text as HTML, the characters at the places in `copied` marked by color and underline."""
    style = "background:#fbe3b0;color:#1a1a1a;text-decoration:underline"
    parts = [html.escape(c) if i not in copied else f"\0{html.escape(c)}\1" for i, c in enumerate(text)]
    body = "".join(parts).replace("\1\0", "").replace("\0", f'<mark style="{style}">').replace("\1", "</mark>")
    share = f"{len(copied) / max(1, len(text)):.0%} copied"
    heading = f"<strong>{html.escape(title)}</strong>: {share}" if title else share
    return f'<p>{heading}</p><pre style="line-height:1.5;white-space:pre-wrap">{body}</pre>'


def show_marked(texts: Mapping[str, tuple[str, set[int]]]) -> HTML:
    """Texts below each other, with what is copied in them marked."""
    return HTML("".join(marked(text, copied, title) for title, (text, copied) in texts.items()))


# --- curves ----------------------------------------------------------------------------------------------------


def _draw_losses(ax: Axes, evaluations: Evaluations, split: str, name: str, style: dict) -> None:
    """The first point alone, since nothing was measured between it and the second; the name at the end."""
    at, losses = [e.step for e in evaluations], [getattr(e, split).mean for e in evaluations]
    ax.plot(at[0], losses[0], **(style | {"ls": ""}))
    ax.plot(at[1:], losses[1:], **style)
    if name:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8}
        ax.annotate(name, (at[-1], losses[-1]), (5, 0), textcoords="offset points", va="center", fontsize=8.5,
                    color=style["color"], bbox=box)  # fmt: skip


def _finish(ax: Axes, marks: Mapping[str, float], top: float, last: int) -> None:
    ax.set(xlabel="step", ylim=(0, top), xlim=(-0.03 * last, 1.32 * last))
    draw_landmarks(ax, dict(marks))


def plot_losses(evaluations: Evaluations, marks: Mapping[str, float], top: float = 5.4) -> Picture:
    """Training and validation loss of one run."""
    figure, ax = new_figure(7.2, 3.7)
    _draw_losses(ax, evaluations, "train", "training", {"color": BLUE, "marker": "o", "ms": 3, "lw": 1.2})
    _draw_losses(
        ax, evaluations, "val", "validation", {"color": VERMILION, "marker": "s", "ms": 3, "lw": 1.4, "ls": "--"}
    )
    _finish(ax, marks, top, evaluations[-1].step)
    best = min(evaluations, key=lambda e: e.val.mean)
    ax.annotate(
        f"lowest: {best.val.mean:.2f}, step {best.step}",
        (best.step, best.val.mean),
        (best.step - 20, best.val.mean + 0.85),
        arrowprops={"arrowstyle": "-", "color": GREY},
        fontsize=8.5,
        color=GREY,
    )
    ax.set_ylabel("loss (nats per character)")
    first, last = evaluations[0], evaluations[-1]
    alt = (
        f"Training loss from {first.train.mean:.1f} to {last.train.mean:.1f}; validation loss falls to "
        f"{best.val.mean:.2f} at step {best.step} and climbs to {last.val.mean:.2f} at step {last.step}."
    )
    return Picture(figure, "training and validation loss of one run", alt)


def plot_remedies(all_plays: Evaluations, stored: Mapping[str, Sequence[dict]], marks: Mapping[str, float]) -> Picture:
    """Both losses of a run with all the plays, and of stored runs with one page: a line for each seed."""
    figure, axes = new_figure(9.0, 3.8, columns=2)
    live = {split: [getattr(e, split).mean for e in all_plays] for split in ("train", "val")}
    runs = {"all plays": [live | {"step": [e.step for e in all_plays]}], **stored}
    for ax, split, title in zip(axes, ("train", "val"), ("training loss", "validation loss"), strict=True):
        for color, (name, seeds) in zip(COLORS, runs.items(), strict=False):
            for curve in seeds:
                ax.plot(curve["step"][1:], curve[split][1:], color=color, lw=1.2, ls="-" if split == "train" else "--")
            place = (curve["step"][-1], curve[split][-1])
            if split == "val" or name in ("all plays", "dropout 0.2"):  # the others end side by side
                ax.annotate(f" {name}", place, va="center", fontsize=8.5, color=color)
        ax.set(xlabel="step", ylim=(0, 6.4), xlim=(0, 1320))
        ax.set_title(title, loc="left", fontsize=10)
    axes[0].set_ylabel("loss (nats per character)")
    draw_landmarks(axes[0], dict(marks))
    told = []
    for name, seeds in runs.items():
        train, low, end = (
            float(np.mean(values))
            for values in zip(*[(s["train"][-1], min(s["val"]), s["val"][-1]) for s in seeds], strict=True)
        )
        told.append(f"{name}: training ends at {train:.2f}; validation lowest {low:.2f}, at the end {end:.2f}")
    return Picture(figure, "all plays, and what helps one page", ". ".join(told) + ".")


def plot_copying(evaluations: Evaluations, copied: Mapping[int, float], baseline: float) -> Picture:
    """Along one run: the validation loss, and below it the percentage of copied characters at each step."""
    figure, _ = new_figure(7.2, 4.4)
    figure.clear()
    top, bottom = figure.subplots(2, 1, sharex=True)
    at, last = [e.step for e in evaluations], evaluations[-1].step
    best = min(evaluations, key=lambda e: e.val.mean).step
    top.plot(at[1:], [e.val.mean for e in evaluations][1:], "s--", color=VERMILION, ms=3)
    top.set(ylabel="validation loss", ylim=(2, 5.4), xlim=(0, 1.2 * last))
    bottom.plot(list(copied), [100 * share for share in copied.values()], "o-", color=BLUE, ms=4)
    bottom.axhline(100 * baseline, color=GREEN, ls="--", lw=1.4)
    bottom.annotate(" Shakespeare, held out", (last, 100 * baseline), va="bottom", fontsize=8.5, color=GREEN)
    bottom.annotate(" the model", (last, 100 * copied[max(copied)]), va="center", fontsize=8.5, color=BLUE)
    bottom.set(xlabel="step", ylabel="copied (%)", ylim=(-4, 104))
    for ax in (top, bottom):
        tidy(ax)
        ax.axvline(best, color=GREY, lw=1, ls=":")
    top.annotate(f" lowest validation loss, step {best}", (best, 5.3), va="top", fontsize=8.5, color=GREY)
    told = ", ".join(f"{100 * share:.0f} % at step {step}" for step, share in copied.items())
    alt = f"Copied characters: {told}; held-out Shakespeare {100 * baseline:.0f} %. Lowest validation loss at {best}."
    return Picture(figure, "validation loss and copied characters along a run", alt)


# --- why it rises -------------------------------------------------------------------------------------------------


def plot_temperatures(losses: Mapping[str, Mapping[float, float]]) -> Picture:
    """The validation loss after dividing all logits by T, one line for each model."""
    figure, ax = new_figure(6.8, 3.4)
    told = []
    for (name, by_T), color, marker in zip(losses.items(), (BLUE, VERMILION), "os", strict=True):
        ax.plot(list(by_T), list(by_T.values()), color=color, marker=marker, ms=4)
        end = max(by_T)
        ax.annotate(f" {name}", (end, by_T[end]), va="center", fontsize=8.5, color=color)
        T = min(by_T, key=by_T.get)
        told.append(f"{name}: {by_T[1.0]:.2f} at T = 1, lowest {by_T[T]:.2f} at T = {T:g}")
    ax.axvline(1, color=GREY, lw=1, ls=":")
    ax.set(xlabel="temperature T: all logits are divided by it", ylabel="validation loss", xlim=(0.7, 6))
    return Picture(figure, "validation loss against temperature", "; ".join(told))


def plot_baseline(spans: Mapping[int, Sequence[int]], shares: Mapping[int, Sequence[float]]) -> Picture:
    """What held-out text shares with training texts of several lengths; a dot for each piece, a line for the mean."""
    figure, axes = new_figure(7.6, 3.2, columns=2)
    told = []
    for ax, values, unit in zip(
        axes, (spans, {n: [100 * s for s in v] for n, v in shares.items()}), ("", " %"), strict=True
    ):
        means = [float(np.mean(v)) for v in values.values()]
        for length, of_length in values.items():
            ax.plot([length] * len(of_length), of_length, "o", color=GREEN, alpha=0.6)
        ax.plot(list(values), means, "--", color=GREEN)
        ax.set(xscale="log", xlabel="characters in the training text")
        told.append(", ".join(f"{m:.0f}{unit} for {n:,}" for n, m in zip(values, means, strict=True)))
    axes[0].set(ylabel="longest span (characters)", ylim=(0, 30))
    axes[1].set(ylabel="copied (%)", ylim=(0, 100))
    alt = f"Held-out Shakespeare against training texts. Longest span: {told[0]}. Copied: {told[1]}."
    return Picture(figure, "held-out text against training texts of several lengths", alt)


def plot_capacity(stored: dict) -> Picture:
    """Losses of texts of several lengths, read equally often, by epoch: a line for each seed."""
    figure, axes = new_figure(9.0, 3.6, columns=2)
    told = []
    for i, (name, seeds) in enumerate(stored["runs"].items()):
        ends = {}
        for ax, split, dash in zip(axes, ("train", "val"), ("-", "--"), strict=True):
            for curve in seeds:
                ax.plot(curve["epochs"][1:], curve[split][1:], color=COLORS[i], lw=1.1, ls=dash)
            ends[split] = float(np.mean([curve[split][-1] for curve in seeds]))
        place = (curve["epochs"][-1], ends["val"])
        axes[1].annotate(f" {name}", place, va="center", fontsize=8.5, color=COLORS[i])
        lowest = float(np.mean([min(curve["val"]) for curve in seeds]))
        told.append(
            f"{name} ({stored['characters'][name]:,} characters): training ends at {ends['train']:.2f}, validation at "
            f"{ends['val']:.2f}, its lowest was {lowest:.2f}"
        )
    for ax, title in zip(axes, ("training loss", "validation loss"), strict=True):
        ax.set(xlabel="times each character was read", ylim=(0, 4.4), xlim=(0, 1.25 * curve["epochs"][-1]))
        ax.set_title(title, loc="left", fontsize=10)
    axes[0].set_ylabel("loss (nats per character)")
    return Picture(figure, "one model, three lengths of text", "; ".join(told))


def plot_one_batch(losses: Mapping[str, Sequence[float]]) -> Picture:
    """The loss on one batch that is used again and again, in several programs."""
    figure, ax = new_figure(7.2, 3.4)
    for i, (name, values) in enumerate(losses.items()):
        ax.plot(values, color=COLORS[i], lw=1.3, ls=("-", "-", "--")[i % 3])
        words, place = f" {name}: {values[-1]:.2f}", (len(values), values[-1] + 0.25 * (i == 2))  # not on the first one
        ax.annotate(words, place, va="center", fontsize=8.5, color=COLORS[i])
    ax.set(xlabel="step", ylabel="loss on the same 8 sequences", ylim=(-0.1, 4.4), xlim=(0, 1.5 * len(values)))
    alt = "; ".join(f"{name}: from {v[0]:.2f} to {v[-1]:.2f}" for name, v in losses.items())
    return Picture(figure, "one batch, learned by heart: " + "; ".join(losses), alt)


# --- when to stop ---------------------------------------------------------------------------------------------------


def plot_stops(
    runs: Mapping[str, tuple[Evaluations, int | None]], marks: Mapping[str, float], top: float = 6.0
) -> Picture:
    """A panel for each run: both losses, and the evaluation (by its number) at which a rule ended it, if it did."""
    figure, _ = new_figure(9.0, 5.2)
    figure.clear()
    axes = figure.subplots(2, math.ceil(len(runs) / 2), squeeze=False, sharey=True)
    told = []
    for ax, (name, (evaluations, stop)) in zip(axes.flat, runs.items(), strict=False):
        tidy(ax)
        at, val = [e.step for e in evaluations], [e.val.mean for e in evaluations]
        ax.plot(at[1:], [e.train.mean for e in evaluations][1:], "-", color=GREY, lw=1.1)
        ax.errorbar(at, val, [e.val.standard_error for e in evaluations], fmt="o", color=BLUE, ms=2.5, lw=1)
        ax.plot(at[1:], val[1:], "--", color=BLUE, lw=1.1)
        seen = val if stop is None else val[: stop + 1]
        record = seen.index(min(seen))
        ax.plot(at[record], val[record], "*", color=GREEN, ms=12, zorder=4)
        said = "never stopped" if stop is None else f"stopped at step {at[stop]}"
        if stop is not None:
            ax.axvspan(at[stop], at[-1], color=VERMILION, alpha=0.08, lw=0)
            ax.axvline(at[stop], color=VERMILION, lw=2)
        told.append(f"{name}: {said}, record {val[record]:.2f} at step {at[record]}, {val[-1]:.2f} at the end")
        said += f"\n(the loss goes up to {max(val):.0f})" if max(val) > top else ""
        ax.set_title(f"{name}: {said}", loc="left", fontsize=9)
        ax.set(ylim=(0, top), xlabel="step")
        for loss in marks.values():
            ax.axhline(loss, color=GREY, lw=0.7, ls=(0, (1, 2)), alpha=0.8, zorder=1)
    draw_landmarks(axes[0][0], dict(marks))
    for ax in axes.flat[len(runs) :]:
        ax.axis("off")
        ax.plot([], [], "-", color=GREY, label="training")
        ax.plot([], [], "o--", color=BLUE, ms=3, label="validation, ± standard error")
        ax.plot([], [], "*", color=GREEN, ms=11, label="the record: keep these weights")
        ax.plot([], [], "-", color=VERMILION, lw=2, label="the rule stops the run")
        ax.legend(loc="center left", fontsize=9, frameon=False)
    axes[0][0].set_ylabel("loss (nats per character)")
    return Picture(figure, "where the rule stops: " + "; ".join(runs), ". ".join(told) + ".")


def plot_schedules(rates: Mapping[str, Sequence[float]], ends: Mapping[str, Evaluation]) -> Picture:
    """The learning rate of every step of runs that end at the same step, and the loss that each ends with."""
    figure, (left, right) = new_figure(8.0, 3.0, columns=2)
    for i, (name, values) in enumerate(rates.items()):
        left.plot(values, color=COLORS[i], lw=1.6)
        left.annotate(f" {name}", (len(values), values[-1]), va="bottom", fontsize=8.5, color=COLORS[i])
        loss = ends[name].val
        right.errorbar([i], [loss.mean], [loss.standard_error], fmt=MARKERS[i], color=COLORS[i], ms=6, capsize=4)
        right.annotate(f"  {loss.mean:.2f}", (i, loss.mean), va="center", fontsize=9)
    left.set(xlabel="step", ylabel="learning rate", xlim=(0, 1.6 * len(values)), ylim=(0, None))
    right.set_xticks(range(len(rates)), list(rates))
    right.set(ylabel="validation loss at the end", xlim=(-0.5, len(rates) - 0.3))
    alt = "; ".join(
        f"{name}: rate {v[-1]:.4f} at the end, validation loss {ends[name].val.mean:.2f}" for name, v in rates.items()
    )
    return Picture(figure, "learning rate and final loss of two schedules", alt)

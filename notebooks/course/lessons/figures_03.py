"""The figures of lesson 03, and its game: they show what its cells have computed."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from course.figures import BLUE, COLORS, GREY, VERMILION, Picture, new_figure, tidy
from course.landmarks import draw_landmarks
from course.shown import Shown

if TYPE_CHECKING:
    import ipywidgets

RESULTS = Path(__file__).parents[2] / "results"  # measured beforehand, by tests/benchmarks
NAMES = {"\n": "↵", " ": "␣"}


def stored(name: str) -> Any:
    """What tests/benchmarks have measured."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


class GuessNext(Shown):
    """Shannon's game: guess a text letter by letter, from five choices each time.

    Args:
        start: what is shown at first.
        choices: five characters for each guess.
        rest: what really comes.
    """

    def __init__(self, start: str, rest: str, choices: Sequence[str]):
        self.start, self.rest, self.choices = start, rest, choices
        self.guesses: list[str] = []

    def __repr__(self) -> str:
        return f"<guess the next letter, {len(self.rest)} times>"

    def static_html(self) -> str:
        """The first question, for a reader without widgets."""
        names = ", ".join(NAMES.get(c, c) for c in self.choices[0])
        return f"<p>{self._text(0)}</p><p>Which letter comes next: {names}?</p>"

    def view(self) -> "ipywidgets.VBox":
        """The text so far, and a button for each choice."""
        import ipywidgets

        self.guesses = []
        text, score = ipywidgets.HTML(), ipywidgets.HTML()
        buttons = [ipywidgets.Button(layout={"width": "4em"}) for _ in range(5)]

        def show() -> None:
            n = len(self.guesses)
            right = sum(guess == c for guess, c in zip(self.guesses, self.rest, strict=False))
            last = "" if not n else f" It was <b>{NAMES.get(self.rest[n - 1], self.rest[n - 1])}</b>."
            text.value = f'<div style="font-size:1.15em;line-height:1.6">{self._text(n)}</div>'
            score.value = f'<div role="status" aria-live="polite">{right} of {n} right.{last}</div>'
            for button, choice in zip(buttons, self.choices[n] if n < len(self.rest) else "", strict=False):
                button.description = NAMES.get(choice, choice)
                button.tooltip = {"\n": "line break", " ": "space"}.get(choice, choice)
            if n == len(self.rest):
                box.children = [text, score]

        def guess(button: Any) -> None:
            n = len(self.guesses)
            self.guesses.append(self.choices[n][buttons.index(button)])
            show()

        for button in buttons:
            button.on_click(guess)
        box = ipywidgets.VBox([text, ipywidgets.HBox(buttons), score])
        show()
        return box

    def _text(self, n: int) -> str:
        known = html.escape(self.start + self.rest[:n]).replace("\n", "↵ ")
        return f'<span style="font-family:monospace">{known}<b style="color:{VERMILION}">?</b></span>'


def plot_surprise(text: str, surprises: Mapping[str, Tensor]) -> Picture:
    """Bars of surprise at each character of the text but the first, a row for each model."""
    figure, _ = new_figure(7.4, 1.9 * len(surprises))
    figure.clear()
    axes = figure.subplots(len(surprises), 1, sharex=True, sharey=True)
    parts = []
    for ax, (name, surprise), color in zip(axes, surprises.items(), (GREY, BLUE), strict=True):
        tidy(ax)
        ax.bar(range(len(surprise)), surprise.numpy(), color=color, width=0.8)
        ax.axhline(surprise.mean(), color=color, lw=1, ls="--")
        ax.set_title(f"{name}: mean {surprise.mean():.2f}", loc="left", fontsize=10)
        ax.set_ylabel("surprise (nats)")
        highest = ", ".join(f"{text[i + 1]!r} {surprise[i]:.1f}" for i in surprise.topk(4).indices.tolist())
        parts.append(
            f"{name}: mean {surprise.mean():.2f}, from {surprise.min():.1f} to {surprise.max():.1f}; {highest}"
        )
    axes[-1].set_xticks(range(len(text) - 1), [NAMES.get(c, c) for c in text[1:]])
    axes[-1].set_xlabel("the character that came next")
    return Picture(figure, "surprise at each character", "Highest bars: " + ". ".join(parts) + ".")


def plot_losses(losses: Sequence[float], marks: Mapping[str, float]) -> Picture:
    """The training loss of every step, with the landmarks."""
    figure, ax = new_figure(7.4, 3.5)
    ax.plot(losses, color=BLUE, lw=0.8)
    ax.set(xlabel="step", ylabel="loss (nats per character)", ylim=(1.5, 4.5), xlim=(-5, len(losses) * 1.02))
    draw_landmarks(ax, dict(marks))
    reached = {name: next((i for i, loss in enumerate(losses) if loss < mark), None) for name, mark in marks.items()}
    alt = f"Training loss from {losses[0]:.2f} to about {np.mean(losses[-20:]):.2f} after {len(losses)} steps. "
    alt += " ".join(f"Below {name} ({marks[name]:.2f}) first at step {step}." for name, step in reached.items())
    return Picture(figure, "training loss with landmarks", alt)


def plot_one_batch(train: Sequence[float], val: Mapping[int, float], marks: Mapping[str, float]) -> Picture:
    """Learning one batch by heart: its loss, and that on held-out text."""
    figure, ax = new_figure(7.4, 3.3)
    ax.plot(train, color=BLUE, lw=1)
    ax.plot(list(val), list(val.values()), color=VERMILION, marker="o", ms=4, lw=0.8, ls="--")
    last = max(val)
    ax.annotate(
        "plays it never read", (last, val[last]), (-50, -2), textcoords="offset points", ha="right", color=VERMILION
    )
    ax.annotate("the one batch", (last, train[-1]), (-6, 6), textcoords="offset points", ha="right", color=BLUE)
    ax.set(xlabel="step", ylabel="loss (nats per character)", ylim=(0, max(5, *val.values()) + 0.3))
    draw_landmarks(ax, dict(marks))
    alt = f"The loss on the batch falls to {train[-1]:.2f}; on held-out plays: "
    alt += ", ".join(f"{loss:.2f} at step {step}" for step, loss in val.items()) + "."
    return Picture(figure, "one batch, learned by heart", alt)


def plot_spread(estimates: Mapping[int, Tensor]) -> Picture:
    """Repeated estimates of the same loss, a column of dots for each eval_iters."""
    figure, ax = new_figure(7.4, 3.3)
    parts = []
    for i, (n, values) in enumerate(estimates.items()):
        shown = values[:128]
        ax.plot(i + np.linspace(-0.3, 0.3, len(shown)), shown.numpy(), "o", ms=2.5, color=BLUE, alpha=0.6, mec="none")
        ax.text(i, shown.max() + 0.01, f"spread {values.std():.3f}", ha="center", fontsize=9)
        parts.append(f"eval_iters {n}: {len(values)} estimates, standard deviation {values.std():.3f}")
    ax.set_ylim(top=ax.get_ylim()[1] + 0.03)
    mean = next(iter(estimates.values())).mean().item()
    ax.axhline(mean, color=VERMILION, lw=1.2)
    ax.text(len(estimates) - 0.62, mean, f"mean of all\n{mean:.2f}", color=VERMILION, fontsize=9, va="center")
    ax.set_xticks(range(len(estimates)), [f"eval_iters {n}" for n in estimates])
    ax.set(ylabel="estimated validation loss", xlim=(-0.5, len(estimates) - 0.15))
    return Picture(figure, "spread of the estimates", "; ".join(parts) + f"; mean of all {mean:.2f}.")


def plot_apart(results: Mapping[str, Any]) -> Picture:
    """The stored runs: how far training losses of the same settings are apart, step by step."""
    figure, ax = new_figure(7.4, 3.4)
    parts = []
    kinds = {"another seed": ("seeds", COLORS[0], "o"), "another processor": ("ways", COLORS[1], "s")}
    kinds["two threads"] = ("ways", COLORS[2], "D")
    for name, (kind, color, marker) in kinds.items():
        runs = results[kind]
        if kind == "seeds":
            rows = [run["difference"] for seed, run in runs.items() if run["first_different_step"] is not None]
            values = {int(step): float(np.mean([row[step] for row in rows])) for step in rows[0]}
        else:
            values = {int(step): value for step, value in runs[name]["difference"].items()}
        steps = [step for step, value in values.items() if value > 0]
        ax.plot([s + 1 for s in steps], [values[s] for s in steps], color=color, marker=marker, ms=4, lw=1)
        if steps:
            ax.annotate(
                name, (steps[-1] + 1, values[steps[-1]]), (6, -3), textcoords="offset points", color=color, fontsize=9
            )
        parts.append(
            f"{name}: " + (", ".join(f"{v:.1e} at step {s}" for s, v in values.items() if v) or "no difference")
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set(xlabel="step (counted from 1)", ylabel="difference in training loss", xlim=(0.9, 1500))
    return Picture(figure, "how far runs of the same settings drift apart", "; ".join(parts) + ".")


def plot_programs(results: Mapping[str, Any], marks: Mapping[str, float]) -> Picture:
    """Four stored curves, for the exercise: which program made which?"""
    figure, ax = new_figure(7.4, 3.8)
    parts = []
    for (letter, curve), color, ls in zip(results["curves"].items(), COLORS, ("-", "--", "-.", ":"), strict=False):
        losses = curve["losses"]
        ax.plot(losses, color=color, lw=1.3, ls=ls)
        ax.plot([len(losses) + 7], [min(curve["val"], 7.4)], "o", color=color, ms=6)
        ax.annotate(f"{letter}: {curve['val']}", (len(losses) + 7, min(curve["val"], 7.4)), (7, -3),
                    textcoords="offset points", color=color, fontsize=9.5)  # fmt: skip
        at = {"A": 4, "B": 75, "C": 22, "D": 60}[letter]
        place = {"xytext": (5, 6), "textcoords": "offset points", "fontsize": 11, "weight": "bold"}
        ax.annotate(letter, (at, losses[at]), **place, color=color)
        parts.append(f"{letter}: {losses[0]:.1f} at first, {losses[30]:.1f} at step 30, {losses[-1]:.2f} at the end, "
                     f"{curve['val']} on held-out text")  # fmt: skip
    ax.set(xlabel="step", ylabel="training loss; dots: validation loss", ylim=(-0.1, 7.6), xlim=(-2, 235))
    ax.set_xticks([0, 50, 100, 150])
    draw_landmarks(ax, dict(marks))
    return Picture(figure, "four programs, four curves", ". ".join(parts) + ".")

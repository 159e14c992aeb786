"""Drawings of lesson 00: losses with landmarks, and text that the page shows as text."""

import html
from collections.abc import Mapping, Sequence

from course.figures import COLORS, Picture, new_figure
from course.landmarks import draw_landmarks
from gptlib.events import Estimate


def plot_losses(
    runs: Mapping[str, Sequence[float]],
    landmarks: Mapping[str, float],
    held_out: Mapping[int, Estimate] | None = None,
    until: int | None = None,
) -> Picture:
    """The training loss of every step, with the name of the run at its end.

    Args:
        runs: name -> the loss of each step.
        landmarks: name -> loss, drawn as thin lines.
        held_out: step -> the loss on plays that the last run has not read; points, since nothing was measured between.
        until: only the first steps, with a dot for each.
    """
    figure, ax = new_figure()
    longest = max(len(losses) for losses in runs.values())
    end = until or longest
    ax.set(xlim=(-0.01 * end, end * (1.02 if until else 1.14)), ylim=(1.4, 4.5), xlabel="step")
    ax.set_ylabel("loss (nats per character)")
    draw_landmarks(ax, dict(landmarks))
    alts = []
    for (name, losses), color in zip(runs.items(), COLORS, strict=False):
        shown = losses[:until]
        ax.plot(range(len(shown)), shown, color=color, lw=1, marker="o" if until else "", ms=3, alpha=0.8)
        last = sum(losses[-10:]) / len(losses[-10:])
        if not until:
            place = {"xytext": (5, 6 if len(losses) < longest else -4), "textcoords": "offset points"}
            ax.annotate(name, (len(losses), last), color=color, fontsize=9, va="center", **place)
        alts.append(f"{name}: from {losses[0]:.1f}, {shown[-1]:.1f} at step {len(shown)}")
    if held_out:
        steps, estimates = list(held_out), list(held_out.values())
        means, errors = [e.mean for e in estimates], [e.standard_error for e in estimates]
        ax.errorbar(steps, means, errors, color="black", ls="", marker="D", ms=4, capsize=3, zorder=5)
        ax.annotate(
            "plays it has not read\n(points, ± standard error)",
            (steps[-2], means[-2]),
            (0, 22),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )
        alts.append(f"on plays it has not read {means[0]:.1f} at step {steps[0]}, {means[-1]:.2f} at step {steps[-1]}")
    marks = ", ".join(f"{name} {loss:.2f}" for name, loss in landmarks.items())
    alt = f"Training loss against steps. {'; '.join(alts)}. Landmarks: {marks}."
    return Picture(figure, f"losses of {', '.join(runs)}", alt)


def as_html(start: str, written: str) -> str:
    """A text and how it goes on, with the start in bold; lines break where they are too long for the page."""
    style = "white-space:pre-wrap;line-height:1.4;margin:0"
    return f'<pre style="{style}"><strong>{html.escape(start)}</strong>{html.escape(written)}</pre>'

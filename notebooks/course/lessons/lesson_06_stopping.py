"""Lesson 06: a rule for when to stop, and its try-out on real runs."""

import math
import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from course.figures import BLUE, GREEN, GREY, VERMILION, Picture, new_figure, tidy
from course.lab.runs import Run
from gptlib.events import Evaluation


def record(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The last evaluation that was better than the record before it by more than its own standard error."""
    best = evaluations[0]
    for e in evaluations[1:]:
        if e.val.mean + e.val.standard_error < best.val.mean:
            best = e
    return best


def should_stop(evaluations: Sequence[Evaluation], patience: int) -> str:
    """Why to stop now, in a few words; '' if there is no reason to.

    Args:
        evaluations: all of the run so far, in order.
        patience: evaluations without a record that are waited through.
    """
    first, last = evaluations[0].val, evaluations[-1].val
    if not math.isfinite(last.mean) or last.mean - last.standard_error > first.mean + first.standard_error:
        return "worse than before training"
    best = record(evaluations)
    waited = [e for e in evaluations if e.step > best.step]
    if len(waited) < patience:
        return ""
    if all(e.val.mean - e.val.standard_error > best.val.mean for e in waited[-patience:]):
        return f"it rises: {patience} evaluations above the record"
    return f"no gain beyond ± {last.standard_error:.2f} in {patience} evaluations"


def stops_at(evaluations: Sequence[Evaluation], patience: int) -> tuple[int, str]:
    """Play a run back: at which step the rule would have ended it, and why; its last step and '' if nowhere."""
    for n in range(1, len(evaluations) + 1):
        if reason := should_stop(evaluations[:n], patience):
            return evaluations[n - 1].step, reason
    return evaluations[-1].step, ""


# --- the figure -----------------------------------------------------------------------------------------


def plot_stops(runs: Mapping[str, Run], patience: int, *, columns: int = 3, top: float = 6.4) -> Picture:
    """A panel a run: both losses, the record that is kept, and where the rule ends the run."""
    rows = math.ceil(len(runs) / columns)
    figure, _ = new_figure(7.8, 2.6 * rows + 0.5)
    figure.clear()
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    told = []
    lowest = min(e.val.mean for run in runs.values() for e in run.evaluations)
    for ax, (name, run) in zip(axes, runs.items(), strict=False):
        step, reason = stops_at(run.evaluations, patience)
        told.append(
            f"{name}: "
            + (f"stopped at step {step}, {reason}" if reason else f"not stopped, {run.val.mean:.2f} at the end")
        )
        _draw_panel(ax, run, step, reason, top)
        ax.axhline(lowest, color=GREEN, lw=1, ls=":", zorder=1)
        ax.set_title(name, loc="left", fontsize=10, weight="bold")
        ax.set(ylim=(0, top), xlabel="step")
    for ax in axes[::columns]:
        ax.set_ylabel("loss (nats)")
    for ax in axes[len(runs) :]:
        ax.axis("off")
    axes[0].plot([], [], "-", color=GREY, lw=1.2, label="training")
    axes[0].plot([], [], "o--", color=BLUE, ms=3, label="validation")
    axes[0].plot([], [], "*", color=GREEN, ms=11, ls="", label="record: keep these weights")
    axes[0].plot([], [], ":", color=GREEN, lw=1, label="lowest of all")
    axes[0].plot([], [], "-", color=VERMILION, lw=2, label="the rule says stop")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8, frameon=False)
    return Picture(figure, "where the rule stops: " + "; ".join(runs), ". ".join(told) + ".")


def _draw_panel(ax: Axes, run: Run, step: int, reason: str, top: float) -> None:
    tidy(ax)
    at = [e.step for e in run.evaluations]
    val, errors = [e.val.mean for e in run.evaluations], [e.val.standard_error for e in run.evaluations]
    ax.plot(at, [e.train.mean for e in run.evaluations], "-", color=GREY, lw=1.2)
    ax.plot(at, val, "--", color=BLUE, lw=1.2)
    ax.errorbar(at, val, yerr=errors, fmt="o", color=BLUE, ms=2.5, lw=1)
    best = record([e for e in run.evaluations if e.step <= step])
    ax.plot(best.step, best.val.mean, "*", color=GREEN, ms=13, zorder=4)
    said = "go on"
    if reason:
        ax.axvspan(step, at[-1], color=VERMILION, alpha=0.08, lw=0)
        ax.axvline(step, color=VERMILION, lw=2)
        said = f"stop at step {step}:\n{textwrap.fill(reason, 28)}"
    if max(val) > top:
        said += f"\n(the loss goes up to {max(val):.0f})"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
    ax.text(0.03, 0.98, said, transform=ax.transAxes, fontsize=8, va="top", bbox=box, zorder=5)

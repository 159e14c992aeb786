"""The curves of runs: one function draws them, for the live plot and for the static figures alike."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gptlib.live.picture import COLORS, GREY, Picture, drawing, encode, new_figure
from gptlib.live.runs import STEPS, Run, Scale, distinctions

# With the colour two more ways to tell runs apart; the first dash is the plain one.
MARKERS = "osD^v"
DASHES = ("--", (0, (1, 1)), "-.", (0, (6, 2)), (0, (3, 1, 1, 1, 1, 1)))
ROOM = 1.3  # a run that takes longer than expected gets an axis this many times as long


def draw_run(ax: Axes, run: Run, scale: Scale = STEPS) -> list[Artist]:
    """Draw one run: training loss as a thin line, validation loss dashed, with marks and error bars.

    The bars reach one standard error up and down.
    """
    i = run.number - 1
    color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
    x, evaluated_at = scale.places(run)
    artists = ax.plot(x, run.losses, color=color, lw=1, alpha=0.65)
    if run.evaluations:
        means = np.array([e.val.mean for e in run.evaluations])
        errors = np.array([e.val.standard_error for e in run.evaluations])
        artists += ax.plot(evaluated_at, means, color=color, lw=1.2, ls=DASHES[i % len(DASHES)], alpha=0.6)
        bars = {"color": color, "ls": "", "marker": marker, "ms": 3, "elinewidth": 1.3, "capsize": 2}
        points = ax.errorbar(evaluated_at, means, errors, **bars)
        artists += [points.lines[0], *points.lines[1], *points.lines[2]]
    for step, text in run.marks:
        place = scale.place(run, step)
        artists.append(ax.axvline(place, color=GREY, lw=1, ls=":"))
        artists.append(ax.text(place, ax.get_ylim()[1], f" {text}", va="top", fontsize=8, color=GREY))
    return artists


def prepare_axes(
    ax: Axes, runs: Sequence[Run], loss_range: tuple[float, float], scale: Scale = STEPS, end: float = 0.0
) -> None:
    """Fix the axes, so that what is drawn first stays where it is, and explain the lines.

    Args:
        ax: to draw on.
        runs: those that will be drawn.
        loss_range: the y axis.
        scale: the x axis, and whether they are logarithmic.
        end: how far the x axis reaches at least.
    """
    end = max([end, *(scale.end(run) for run in runs)]) or (1.0 if scale.x == "seconds" else 100)
    if scale.log_x:  # what stands at 0 has no place there
        firsts = [x for run in runs for x in np.concatenate(scale.places(run)) if x > 0]
        ax.set_xscale("log")
        ax.set_xlim(min([end / 100, *firsts]), end * 1.05)
    else:
        ax.set_xlim(-0.01 * end, end * 1.01)
    if scale.log_loss:
        ax.set_yscale("log")
        loss_range = (max(loss_range[0], 0.1), loss_range[1])
        ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 1.5, 2, 3, 4, 5) if loss_range[0] <= tick <= loss_range[1]]
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    unit = runs[-1].unit if runs else "character"
    ax.set(ylim=loss_range, xlabel=scale.label(unit), ylabel=f"loss (nats per {unit})")
    handles = [
        Line2D([], [], color=GREY, lw=1, alpha=0.65, label="training batch"),
        Line2D([], [], color=GREY, lw=1.2, ls="--", marker="o", ms=3, label="validation ± standard error"),
    ]
    for run, words in zip(runs, distinctions(runs), strict=True):
        i = run.number - 1
        style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)], "ls": DASHES[i % len(DASHES)]}
        handles.append(Line2D([], [], lw=2, ms=4, label=f"run {run.number}: {words}", **style))
    ax.legend(handles=handles, loc="upper right", fontsize=8, handlelength=3.2, framealpha=0.85)


def draw_runs(
    runs: Sequence[Run], title: str = "", loss_range: tuple[float, float] = (1.5, 4.5), scale: Scale = STEPS
) -> Picture:
    """The static figure of some runs, drawn just as the lab draws them live."""
    figure, ax = new_figure()
    prepare_axes(ax, runs, loss_range, scale)
    ax.set_title(title, loc="left", fontsize=10)
    for run in runs:
        draw_run(ax, run, scale)
    alt = f"{title or 'Loss'} against {scale.x}. "
    alt += " ".join(f"Run {r.number} ({r.label}): {r.summary()}." for r in runs)
    return Picture(figure, name="; ".join(run.label for run in runs), alt=alt)


class LivePlot:
    """PNG frames of a growing run.

    Axes, legend and finished runs are drawn once and kept as pixels; a frame adds the growing run only.

    Args:
        runs: what is drawn.
        growing: the one of them that still changes, if any does.
        title: stands over the plot.
        loss_range: the y axis.
        scale: what runs are compared at.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        growing: Run | None,
        title: str,
        loss_range: tuple[float, float],
        scale: Scale = STEPS,
    ):
        self.runs, self.growing, self.scale = [run for run in runs if not run.hidden], growing, scale
        self.title, self.loss_range = title, loss_range
        self._prepare()

    def _prepare(self, end: float = 0.0) -> None:
        self.figure, self.ax = new_figure()
        prepare_axes(self.ax, self.runs, self.loss_range, self.scale, end)
        self.ax.set_title(self.title, loc="left", fontsize=10)
        for run in self.runs:
            if run is not self.growing:
                draw_run(self.ax, run, self.scale)
        with drawing:
            self.figure.canvas.draw()
            self.background = self.figure.canvas.copy_from_bbox(self.figure.bbox)

    def frame(self) -> bytes:
        """The picture as it is now."""
        growing = self.growing if self.growing in self.runs else None
        if growing and self.scale.x == "seconds" and growing.seconds() > self.ax.get_xlim()[1]:
            self._prepare(ROOM * self.scale.end(growing))
        with drawing:
            self.figure.canvas.restore_region(self.background)
            artists = draw_run(self.ax, growing, self.scale) if growing else []
            for artist in artists:
                self.ax.draw_artist(artist)
                artist.remove()
            return encode(self.figure)

    def alt(self) -> str:
        """The numbers of the picture in words."""
        told = [f"run {run.number} ({run.label}), {run.summary()}" for run in reversed(self.runs)]
        return f"{self.title}: {'; '.join(told) or 'no run yet'}".replace("\n", ", ")

"""The curves of runs: one function draws them, for the live plot and for the static figures alike."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from course.figures import COLORS, GREY, Picture, drawing, encode, new_figure
from course.lab.runs import RUNNING, STEPS, Run, Scale, distinctions, in_words

# With the colour two more ways to tell runs apart; the first dash is the plain one.
MARKERS = "osD^v"
DASHES = ("--", (0, (1, 1)), "-.", (0, (6, 2)), (0, (3, 1, 1, 1, 1, 1)))
MARGINS = {"left": 0.092, "right": 0.955, "bottom": 0.13}  # of a live plot, as shares of its size: "1,000,000" fits
TITLE_LINE, TITLE_LINES = 0.05, 2  # the second for a prediction: where one comes or goes, nothing moves
ROOM = 1.3  # a run that takes longer than expected gets an axis this many times as long


def draw_run(ax: Axes, run: Run, scale: Scale = STEPS) -> list[Artist]:
    """Draw one run: training loss as a thin line, validation loss dashed, with marks and error bars.

    The bars reach one standard error up and down.
    """
    i = run.number - 1
    color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
    x, evaluated_at = scale.places(run)
    if scale.log_x:  # 0 has no place there, and a line to it would stand where nothing was measured
        x, evaluated_at = (np.where(places > 0, places, np.nan) for places in (x, evaluated_at))
    artists = ax.plot(x, run.losses, color=color, lw=1, alpha=0.65)
    if run.evaluations:
        means = np.array([e.val.mean for e in run.evaluations])
        errors = np.array([e.val.standard_error for e in run.evaluations])
        artists += ax.plot(evaluated_at, means, color=color, lw=1.2, ls=DASHES[i % len(DASHES)], alpha=0.6)
        bars = {"color": color, "ls": "", "marker": marker, "ms": 3, "elinewidth": 1.3, "capsize": 2}
        points = ax.errorbar(evaluated_at, means, errors, **bars)
        artists += [points.lines[0], *points.lines[1], *points.lines[2]]
    for step, settings in run.marks.items():
        words = "\n".join(in_words({name: value}) for name, value in settings.items())
        artists += _mark(ax, scale.place(run, step), words, top=scale.log_x)
    return artists


def _mark(ax: Axes, place: float, text: str, top: bool) -> list[Artist]:
    """A line where something changed, with words beside it, away from the legend."""
    share = ax.transAxes.inverted().transform(ax.transData.transform((place, ax.get_ylim()[0])))[0]
    line = ax.axvline(place, ymax=1 if top or share < 0.5 else 0.5, color=GREY, lw=1, ls=":")
    side, shift = ("right", -4) if share > 0.7 else ("left", 4)  # into the picture
    height, shift_up, va = (1, -3, "top") if top else (0, 3, "bottom")
    where = {"xycoords": ax.get_xaxis_transform(), "xytext": (shift, shift_up), "textcoords": "offset points"}
    return [line, ax.annotate(text, (place, height), **where, ha=side, va=va, fontsize=8, color=GREY)]


def x_range(runs: Sequence[Run], scale: Scale, end: float = 0.0) -> tuple[float, float]:
    """The x axis that holds all runs, to where they will end, and reaches to `end` at least."""
    end = max([end, *(scale.end(run) for run in runs)]) or (1.0 if scale.x == "seconds" else 100)
    if not scale.log_x:
        return -0.01 * end, end * 1.01
    firsts = [x for run in runs for x in np.concatenate(scale.places(run)) if x > 0]  # 0 has no place there
    return min([end / 100, *firsts]), end * 1.05


def prepare_axes(
    ax: Axes, x_range: tuple[float, float], loss_range: tuple[float, float], scale: Scale, unit: str
) -> None:
    """Fix the axes, so that what is drawn first stays where it is; `unit` is what a token is."""
    if scale.log_x:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    elif scale.x == "tokens":
        ax.locator_params(axis="x", nbins=6)  # long numbers
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    if scale.log_loss:
        ax.set_yscale("log")
        loss_range = (max(loss_range[0], 0.1), loss_range[1])
        ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5) if loss_range[0] <= tick <= loss_range[1]]
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    ax.set(xlim=x_range, ylim=loss_range, xlabel=scale.label(unit), ylabel=f"loss (nats per {unit})")


def explain(ax: Axes, runs: Sequence[Run], scale: Scale) -> Artist:
    """The legend."""
    handles = [
        Line2D([], [], color=GREY, lw=1, alpha=0.65, label="training batch"),
        Line2D([], [], color=GREY, lw=1.2, ls="--", marker="o", ms=3, label="validation ± standard error"),
    ]
    for run, words in zip(runs, distinctions(runs), strict=True):
        i = run.number - 1
        style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)], "ls": DASHES[i % len(DASHES)]}
        handles.append(Line2D([], [], lw=2, ms=4, label=f"run {run.number}: {words}", **style))
    place = "lower left" if scale.log_x else "upper right"  # where a falling curve is not
    legend = ax.legend(handles=handles, loc=place, fontsize=8, handlelength=3.2, framealpha=0.85)
    for text in legend.get_texts():
        text.set_parse_math(False)  # names are shown as they were typed
    return legend


def draw_runs(
    runs: Sequence[Run], title: str = "", loss_range: tuple[float, float] = (1.5, 4.5), scale: Scale = STEPS
) -> Picture:
    """The static figure of some runs, drawn just as the lab draws them live."""
    figure, ax = new_figure()
    prepare_axes(ax, x_range(runs, scale), loss_range, scale, unit_of(runs))
    ax.set_title(title, loc="left", fontsize=10, parse_math=False)
    for run in runs:
        draw_run(ax, run, scale)
    explain(ax, runs, scale)
    alt = f"{title or 'Loss'} against {scale.x}. "
    alt += " ".join(f"Run {r.number} ({r.label}): {r.summary()}." for r in runs)
    return Picture(figure, name="; ".join(run.label for run in runs), alt=alt)


def unit_of(runs: Sequence[Run]) -> str:
    """What a token of these runs is."""
    return runs[-1].unit if runs else "character"


@lru_cache(maxsize=4)
def _empty_plot(title_lines: int, *axes: Any) -> tuple[Axes, Any, Any]:
    """Axes, their pixels, and those of the room for the title.

    Most of the time of a picture goes into them, and most runs have the same; a title is drawn quickly.
    """
    figure, ax = new_figure()
    figure.set_layout_engine(None)  # to find the margins takes time too
    figure.subplots_adjust(**MARGINS, top=0.96 - TITLE_LINE * title_lines)
    prepare_axes(ax, *axes)
    with drawing:
        figure.canvas.draw()
        room = Bbox.from_extents(0, ax.bbox.y1 + 1, figure.bbox.x1, figure.bbox.y1)
        return ax, figure.canvas.copy_from_bbox(figure.bbox), figure.canvas.copy_from_bbox(room)


def entitle(ax: Axes, title: str) -> Artist:
    """The title, where `Axes.set_title` puts it, but not a part of the axes."""
    where = {"xycoords": "axes fraction", "xytext": (0, 6), "textcoords": "offset points", "va": "baseline"}
    return ax.annotate(title, (0, 1), **where, fontsize=10, parse_math=False)


def _stamp(ax: Axes, artists: Sequence[Artist]) -> None:
    """Leave the pixels of these artists, and nothing else, on the canvas."""
    for artist in artists:
        ax.draw_artist(artist)
        artist.remove()
    ax.containers.clear()  # error bars are listed there once more


class LivePlot:
    """PNG frames of a growing run.

    Axes, legend and finished runs are drawn once and kept as pixels; a frame adds the growing run only. To draw them
    takes as long as the first point of a run, for which somebody waits. So that point goes onto the picture that is
    there already, under its own title, and they follow.

    Args:
        runs: what is drawn.
        growing: the one of them that still changes, if any does.
        title: stands over the plot.
        loss_range: the y axis.
        scale: what runs are compared at.
        end: how far the x axis reaches at least.
        before: the plot whose picture is there; it serves if its axes are the same.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        growing: Run | None,
        title: str,
        loss_range: tuple[float, float],
        scale: Scale = STEPS,
        end: float = 0.0,
        before: "LivePlot | None" = None,
    ):
        self.runs, self.growing, self.scale = [run for run in runs if not run.hidden], growing, scale
        self.title, self.loss_range = title, loss_range
        self._lay_out(end)
        self._there = before.picture if before and before.axes == self.axes else None

    def _lay_out(self, end: float) -> None:
        x = x_range(self.runs, self.scale, end)
        title_lines = max(TITLE_LINES, 1 + self.title.count("\n"))
        self.axes = (title_lines, x, self.loss_range, self.scale, unit_of(self.runs))
        self.ax, self._empty, self._title_room = _empty_plot(*self.axes)
        self.figure, self.picture = self.ax.figure, self._empty
        self._background = self._there = None

    def prepare(self) -> None:
        """Draw what stays, unless it is drawn."""
        if self._background is not None:
            return
        with drawing:
            self.figure.canvas.restore_region(self._empty)
            for run in self.runs:
                if run is not self.growing:
                    _stamp(self.ax, draw_run(self.ax, run, self.scale))
            _stamp(self.ax, [entitle(self.ax, self.title), explain(self.ax, self.runs, self.scale)])
            self._background = self.picture = self.figure.canvas.copy_from_bbox(self.figure.bbox)

    def frame(self) -> bytes:
        """The picture as it is now."""
        growing = self.growing if self.growing in self.runs else None
        if growing and self.scale.x == "seconds" and growing.seconds() > self.ax.get_xlim()[1]:
            self._lay_out(ROOM * self.scale.end(growing))
        there, self._there = self._there, None
        if there is None or not growing or growing.status != RUNNING:
            self.prepare()
            there = self._background
        with drawing:
            self.figure.canvas.restore_region(there)
            if there is not self._background:
                self.figure.canvas.restore_region(self._title_room)
                _stamp(self.ax, [entitle(self.ax, self.title)])
            _stamp(self.ax, draw_run(self.ax, growing, self.scale) if growing else [])
            self.picture = self.figure.canvas.copy_from_bbox(self.figure.bbox)
            return encode(self.figure)

    def alt(self) -> str:
        """The numbers of the picture in words."""
        told = [f"run {run.number} ({run.label}), {run.summary()}" for run in reversed(self.runs)]
        return f"{self.title}: {'; '.join(told) or 'no run yet'}".replace("\n", ", ")

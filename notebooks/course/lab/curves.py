"""The curves of runs, and the frames of a plot in which they grow."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from course.figures import COLORS, GREY, drawing, encode, new_figure, tidy
from course.lab.runs import X_AXES, Run, along, distinctions, end_of, in_words
from course.landmarks import draw_landmarks

# Beside its color two more ways to tell a run from others; the first dash is the plain one.
MARKERS = "osD^v"
DASHES = ("--", (0, (1, 1)), "-.", (0, (6, 2)), (0, (3, 1, 1, 1, 1, 1)))
SIZE = (5.7, 3.15)  # inches
MARGINS = {"left": 0.092, "bottom": 0.145, "right": 0.8, "top": 0.875}  # fractions of it; labels on the right
LABEL = 19  # letters on the right, beside the end of a curve
ROOM = 1.3  # an axis of seconds grows by this factor, where a run takes longer than expected
ABOVE = 0.2  # an untrained model is that much worse than guessing
CAPTION = "thin: training batches   ● held-out text ± standard error"


def draw_run(ax: Axes, run: Run, x_axis: str = "steps") -> list[Artist]:
    """Draw one run: its training loss as a thin line; its validation loss as points, with bars of one standard error.

    A dashed line joins the points, but not the first one: between it and the next, most happens and nothing was
    measured.
    """
    slot = run.look.slot
    color, marker = COLORS[slot], MARKERS[slot]
    evaluated_at = along(run, x_axis, [e.step for e in run.evaluations], run.evaluation_clock)
    artists = ax.plot(along(run, x_axis, run.steps, run.clock), run.losses, color=color, lw=1, alpha=0.65)
    if run.evaluations:
        means = np.array([e.val.mean for e in run.evaluations])
        errors = np.array([e.val.standard_error for e in run.evaluations])
        artists += ax.plot(evaluated_at[1:], means[1:], color=color, lw=1.2, ls=DASHES[slot], alpha=0.6)
        bars = {"color": color, "ls": "", "marker": marker, "ms": 4, "elinewidth": 1.3, "capsize": 2}
        points = ax.errorbar(evaluated_at, means, errors, **bars)
        artists += points.get_children()
    for step, settings in run.marks.items():
        words = "\n".join(in_words({name: value}) for name, value in settings.items())
        seconds = np.interp(step, [0, *run.steps], [0.0, *run.clock])
        artists += _mark(ax, along(run, x_axis, step, seconds), words)
    return artists


def _mark(ax: Axes, place: float, text: str) -> list[Artist]:
    """A line where something changed, with words beside it."""
    share = ax.transAxes.inverted().transform(ax.transData.transform((place, ax.get_ylim()[0])))[0]
    line = ax.axvline(place, ymax=1 if share < 0.5 else 0.5, color=GREY, lw=1, ls=":")
    side, shift = ("right", -4) if share > 0.7 else ("left", 4)  # into the picture
    where = {"xycoords": ax.get_xaxis_transform(), "xytext": (shift, 3), "textcoords": "offset points"}
    return [line, ax.annotate(text, (place, 0), **where, ha=side, va="bottom", fontsize=8, color=GREY)]


def label_ends(ax: Axes, runs: Sequence[Run]) -> list[Artist]:
    """Each run's number, what sets it apart and its validation loss, beside the end of its curve."""
    labels = []
    for run, words in zip(runs, distinctions(runs), strict=True):
        loss = run.val.mean if run.val else run.losses[-1] if run.losses else math.nan
        if math.isfinite(loss):
            said = [f"run {run.number}: {loss:.2f}", *_lines(words)[:2]]
            height = ax.transAxes.inverted().transform(ax.transData.transform((1, loss)))[1]
            labels.append([min(max(height, 0.0), 1.0), said, COLORS[run.look.slot]])
    labels.sort(key=lambda label: label[0])
    line = 11.5 * ax.figure.dpi / 72 / ax.bbox.height  # the height of a line of text, in the axes' units
    for below, above in pairwise(labels):  # push apart what would overlap, upwards
        above[0] = max(above[0], below[0] + line * (len(below[1]) + len(above[1])) / 2)
    top = 1.12
    for label in reversed(labels):  # and back down where the top is full
        label[0] = min(label[0], top - line * len(label[1]) / 2)
        top = label[0] - line * len(label[1]) / 2
    where = {"xycoords": "axes fraction", "xytext": (7, 0), "textcoords": "offset points", "annotation_clip": False}
    style = {"va": "center", "fontsize": 8.5, "parse_math": False, "linespacing": 1.15}
    return [ax.annotate("\n".join(said), (1, y), color=color, **where, **style) for y, said, color in labels]


def _lines(words: str) -> list[str]:
    """Settings in lines as long as a label; one that is too long loses its middle, and none is torn apart."""
    parts = [part if len(part) < LABEL else f"{part[:8]}…{part[-9:]}" for part in words.split(", ")]
    return textwrap.wrap(", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts), LABEL)


# --- axes -----------------------------------------------------------------------------------------------


def x_range(runs: Sequence[Run], x_axis: str) -> tuple[float, float]:
    """The x axis that holds all runs, to where they will end; what is only expected moves it seldom."""
    end = max(end_of(run, x_axis) for run in runs) or 1.0
    if x_axis == "seconds" and not all(run.over for run in runs):
        end = ROOM ** math.ceil(math.log(end, ROOM))
    return -0.01 * end, end * 1.01


def y_range(runs: Sequence[Run], landmarks: Mapping[str, float]) -> tuple[float, float]:
    """The loss axis: from above guessing down to below letter pairs, and wherever curves go that do not diverge."""
    guess, best = max(landmarks.values()), min(landmarks.values())
    losses = [loss for run in runs for loss in (*run.losses, *(e.val.mean for e in run.evaluations))]
    within = [best - 0.5, guess + ABOVE, *(loss for loss in losses if loss < 3 * guess)]
    return max(0.0, math.floor(2 * (min(within) - 0.05)) / 2), (math.floor(4 * (max(within) + 0.05)) + 1) / 4


def prepare_axes(ax: Axes, across: tuple[float, float], up: tuple[float, float], x_axis: str, unit: str) -> None:
    """Fix the axes, so that what is drawn first stays where it is; `unit` is what a token is."""
    ax.locator_params(axis="x", nbins=6)  # long numbers
    ax.xaxis.set_major_formatter("{x:,.10g}")
    ax.set(xlim=across, ylim=up, xlabel=X_AXES[x_axis].format(unit=unit), ylabel=f"loss (nats per {unit})")
    ax.tick_params(labelsize=9)


def alt_text(runs: Sequence[Run], title: str, x_axis: str) -> str:
    """The numbers of the picture in words."""
    told = " ".join(f"Run {run.number} ({run.label}): {run.summary()}." for run in runs)
    return f"{title} against {x_axis}. {told or 'No run yet.'}"


class LivePlot:
    """PNG frames of growing runs. What stays the same from one frame to the next is kept as pixels."""

    def __init__(self):
        self._key: object = None
        self._figure, self._ax = new_figure(*SIZE)  # for all frames: a new one each time would leave memory behind
        self._figure.set_layout_engine(None)  # to find the margins takes time
        self._figure.subplots_adjust(**MARGINS)

    def frame(
        self,
        runs: Sequence[Run],
        title: str,
        loss_range: tuple[float, float] | None,
        x_axis: str,
        landmarks: Mapping[str, float],
    ) -> bytes:
        """The picture as it is now."""
        growing = [run for run in runs if not run.over]
        still = [run for run in runs if run.over]
        axes = (x_range(runs, x_axis), loss_range or y_range(runs, landmarks), x_axis, runs[-1].unit)
        key = (axes, title, tuple(landmarks.items()), [(id(run), run.step, run.look.slot) for run in still])
        with drawing:
            if key != self._key:
                self._ax.clear()
                tidy(self._ax)
                prepare_axes(self._ax, *axes)
                self._ax.set_title(title, loc="left", fontsize=10.5, y=1, pad=17, parse_math=False)
                self._ax.text(0, 1.03, CAPTION, transform=self._ax.transAxes, fontsize=8, color=GREY)
                draw_landmarks(self._ax, landmarks)
                for run in still:
                    draw_run(self._ax, run, x_axis)
                self._figure.canvas.draw()
                self._background, self._key = self._figure.canvas.copy_from_bbox(self._figure.bbox), key
            self._figure.canvas.restore_region(self._background)
            for artist in [
                *(a for run in growing for a in draw_run(self._ax, run, x_axis)),
                *label_ends(self._ax, runs),
            ]:
                self._ax.draw_artist(artist)
                artist.remove()
            self._ax.containers.clear()  # error bars are listed there once more
            return encode(self._figure)

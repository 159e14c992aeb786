"""The curves of runs: one function draws them, for the live plot and for the static figures alike."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gptlib.live.picture import COLORS, GREY, Picture, drawing, encode, new_figure
from gptlib.live.runs import Run, in_words

MARKERS = "osD^v"  # with the colour and the dash, a second and third way to tell runs apart


def draw_run(ax: Axes, run: Run) -> list[Artist]:
    """Draw one run: training loss as a thin line, validation loss dashed, with marks and error bars.

    The bars reach one standard error up and down.
    """
    color = COLORS[(run.number - 1) % len(COLORS)]
    marker = MARKERS[(run.number - 1) % len(MARKERS)]
    artists = ax.plot(run.steps, run.losses, color=color, lw=1, alpha=0.65)
    if run.evaluations:
        steps = [e.step for e in run.evaluations]
        means = np.array([e.val.mean for e in run.evaluations])
        errors = np.array([e.val.standard_error for e in run.evaluations])
        artists += ax.plot(steps, means, color=color, lw=1.2, ls="--", alpha=0.6)
        points = ax.errorbar(steps, means, errors, color=color, ls="", marker=marker, ms=3, elinewidth=1.3, capsize=2)
        artists += [points.lines[0], *points.lines[1], *points.lines[2]]
    for step, text in run.marks:
        artists.append(ax.axvline(step, color=GREY, lw=1, ls=":"))
        artists.append(ax.text(step, ax.get_ylim()[1], f" {text}", va="top", fontsize=8, color=GREY))
    return artists


def prepare_axes(ax: Axes, runs: Sequence[Run], loss_range: tuple[float, float]) -> None:
    """Fix the axes, so that what is drawn first stays where it is, and explain the lines."""
    last_step = max([run.config.max_iters for run in runs], default=100)
    ax.set(xlim=(-0.01 * last_step, last_step * 1.01), ylim=loss_range)
    ax.set(xlabel="step", ylabel="loss (nats per character)")
    handles = [
        Line2D([], [], color=GREY, lw=1, alpha=0.65, label="training batch"),
        Line2D([], [], color=GREY, lw=1.2, ls="--", marker="o", ms=3, label="validation ± standard error"),
    ]
    for run, words in zip(runs, distinctions(runs), strict=True):
        i = run.number - 1
        style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)], "ms": 4}
        handles.append(Line2D([], [], lw=2, label=f"run {run.number}: {words}", **style))
    ax.legend(handles=handles, loc="upper right", fontsize=8, handlelength=3.2, framealpha=0.85)


def distinctions(runs: Sequence[Run]) -> list[str]:
    """The settings of each run in words: those in which they differ, or all if there is nothing to tell apart."""
    names = {
        name for run in runs for name in run.settings if any(r.settings.get(name) != run.settings[name] for r in runs)
    }
    return [in_words({k: v for k, v in run.settings.items() if k in names} or run.settings) for run in runs]


def draw_runs(runs: Sequence[Run], title: str = "", loss_range: tuple[float, float] = (1.5, 4.5)) -> Picture:
    """The static figure of some runs, drawn just as the lab draws them live."""
    figure, ax = new_figure()
    prepare_axes(ax, runs, loss_range)
    ax.set_title(title, loc="left", fontsize=10)
    for run in runs:
        draw_run(ax, run)
    alt = f"{title or 'Loss'} against steps. " + " ".join(f"Run {r.number} ({r.label}): {r.summary()}." for r in runs)
    return Picture(figure, name="; ".join(run.label for run in runs), alt=alt)


class LivePlot:
    """PNG frames of a growing run.

    Axes, legend and finished runs are drawn once and kept as pixels; a frame adds the growing run only.
    """

    def __init__(self, runs: Sequence[Run], title: str, loss_range: tuple[float, float]):
        self.figure, self.ax = new_figure()
        prepare_axes(self.ax, runs, loss_range)
        self.ax.set_title(title, loc="left", fontsize=10)
        for run in runs[:-1]:
            draw_run(self.ax, run)
        with drawing:
            self.figure.canvas.draw()
            self.background = self.figure.canvas.copy_from_bbox(self.figure.bbox)

    def frame(self, run: Run | None) -> bytes:
        """The picture as it is now."""
        with drawing:
            self.figure.canvas.restore_region(self.background)
            artists = draw_run(self.ax, run) if run else []
            for artist in artists:
                self.ax.draw_artist(artist)
                artist.remove()
            return encode(self.figure)

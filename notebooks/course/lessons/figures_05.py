"""The museum of lesson 05: six curves, in an order that does not give their programs away."""

from collections.abc import Sequence

import numpy as np

from course.figures import BLUE, GREY, VERMILION, Picture, new_figure
from course.lessons.lesson_05_museum import PROGRAMS


def plot_museum(
    curves: Sequence[Sequence[float]], healthy: Sequence[Sequence[float]], adam: Sequence[float]
) -> Picture:
    """What the six programs log, in order of their letters, beside what they should; `adam`: program 2 with AdamW."""
    figure, axes = new_figure(9.0, 5.0, columns=3, rows=2)
    told = []
    for ax, i in zip(axes, sorted(range(len(PROGRAMS)), key=lambda i: PROGRAMS[i].curve), strict=True):
        ax.plot(healthy[i], color=GREY, lw=3, alpha=0.45, label="as it should be")
        ax.plot(curves[i], color=VERMILION, lw=1.3, label="what the program logs")
        title = PROGRAMS[i].curve
        if i == 1:
            ax.plot(adam, color=BLUE, lw=1, ls="--")
            title += " (blue: the same with AdamW)"
        ax.set_title(title, loc="left", fontsize=10)
        ax.set(yscale="log", ylim=(2, 20), xlabel="step", ylabel="logged loss (nats)")
        ax.set_yticks([2, 3, 4, 6, 10, 20], ["2", "3", "4", "6", "10", "20"])
        ax.minorticks_off()
        ax.label_outer()
        ends = [float(np.mean(each[i][-5:])) for each in (curves, healthy)]
        told.append(f"{PROGRAMS[i].curve}: starts at {curves[i][0]:.1f}, ends at {ends[0]:.2f}, should {ends[1]:.2f}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9)
    return Picture(figure, "six curves of the bug museum", "; ".join(told))

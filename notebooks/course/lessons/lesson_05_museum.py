"""Lesson 05's bug museum: the same short run with a bug and without, curve beside curve."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from course.figures import GREY, VERMILION, Picture, new_figure, tidy
from course.lessons.lesson_05_accumulation import lines_of, sequences_of
from course.lessons.lesson_05_exhibits import LinearSchedule, right_step
from gptlib.config import GPTConfig
from gptlib.dataset import Dataset
from gptlib.model import GPT

Step = Callable[..., float]  # model, optimizer, micro_batches and, in one room, schedule -> the loss that is logged
MICRO_BATCHES = 4


@dataclass(frozen=True)
class Room:
    """How the run of one exhibit is set up."""

    title: str = field(compare=False)  # rooms that differ in nothing else have the same right run
    sgd: bool = False  # plain gradient descent instead of AdamW
    scheduled: bool = False
    lines: bool = False  # unequal lengths


ROOMS = {  # by the name of the step's function
    "forgot_to_divide": Room("1. not divided (plain SGD)", sgd=True),
    "multiplied_the_sum": Room("2. multiplied the sum"),
    "never_cleared": Room("3. never cleared"),
    "logged_the_last": Room("4. logged the last one"),
    "counted_micro_steps": Room("5. schedule counts micro-batches", scheduled=True),
    "averaged_means": Room("6. mean of unequal means", lines=True),
}


def logged_losses(step: Step, room: Room, data: Dataset, steps: int, n_layer: int = 2) -> np.ndarray:
    """The losses that a run logs; the same initial weights and the same text for every `step`."""
    torch.manual_seed(1337)
    shape = GPTConfig(vocab_size=data.vocab_size, block_size=32, n_layer=n_layer, n_head=4, n_embd=64)
    model = GPT(shape)
    rate = 0.15 if room.sgd else 3e-3
    optimizer = (torch.optim.SGD if room.sgd else torch.optim.AdamW)(model.parameters(), lr=rate)
    extra = (LinearSchedule(optimizer, rate, steps),) if room.scheduled else ()
    draw, losses = (lines_of if room.lines else sequences_of), []
    for i in range(steps):
        x, y = draw(data, 4 * MICRO_BATCHES, shape.block_size, seed=i)
        losses.append(step(model, optimizer, list(zip(x.split(4), y.split(4), strict=True)), *extra))
    return np.array(losses)


@dataclass(frozen=True)
class Visit:
    """What one exhibit logs, beside what it should."""

    room: Room
    logged: np.ndarray
    right: np.ndarray

    @property
    def difference(self) -> float:
        """How far the two are apart, in the mean over the later half."""
        half = len(self.right) // 2
        return float(np.abs(self.logged - self.right)[half:].mean())


def visit(exhibits: Sequence[Step], data: Dataset, steps: int = 60, n_layer: int = 2) -> list[Visit]:
    """Run each exhibit, and the same run without its bug."""
    rooms = [ROOMS[step.__name__] for step in exhibits]
    right = {room: logged_losses(right_step, room, data, steps, n_layer) for room in set(rooms)}
    return [
        Visit(room, logged_losses(step, room, data, steps, n_layer), right[room])
        for step, room in zip(exhibits, rooms, strict=True)
    ]


def plot_museum(visits: Sequence[Visit], highest: float = 20.0) -> Picture:
    """A curve with the bug and one without, for each exhibit; what is higher than `highest` leaves the plot."""
    figure, _ = new_figure(9.0, 5.4)
    figure.clear()
    axes = figure.subplots(2, 3, sharex=True, sharey=True).flat
    told = []
    for ax, one in zip(axes, visits, strict=False):
        tidy(ax)
        ax.plot(one.right, color=GREY, lw=3, alpha=0.5, label="right")
        ax.plot(one.logged, color=VERMILION, lw=1.2, label="as it is in the cell")
        ax.set_title(one.room.title, loc="left", fontsize=9)
        ax.set(yscale="log", ylim=(2, highest))
        ax.set_yticks([2, 3, 4, 6, 10, 20], ["2", "3", "4", "6", "10", "20"])
        ax.minorticks_off()
        told.append(f"{one.room.title}: ends at {one.logged[-5:].mean():.2f}, right {one.right[-5:].mean():.2f}")
    for ax in figure.axes[3:]:
        ax.set_xlabel("step")
    for ax in figure.axes[::3]:
        ax.set_ylabel("logged loss (nats)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=9)
    return Picture(figure, "the curves of the bug museum", "; ".join(told))

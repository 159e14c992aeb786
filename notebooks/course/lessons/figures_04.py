"""Lesson 04: the loss where one has been, curves of training, and a lab that takes the lesson's own steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from course.figures import BLUE, COLORS, VERMILION, Picture, new_figure
from course.lab.lab import Lab
from course.lab.runs import Run
from course.landmarks import draw_landmarks
from gptlib.trainer import Trainer

NATS = "loss (nats per character)"


def visit(loss_with: Callable[[float], float]) -> Callable[[float], Picture]:
    """For an explorer: the losses at those values where the learner has been, and nothing of the curve between them."""
    visited: dict[float, float] = {}

    def look(weight: float, reach: float = 1.5) -> Picture:
        visited.pop(weight, None)
        visited[weight] = loss_with(weight)
        figure, ax = new_figure(7.2, 3.2)
        values, losses = list(visited), list(visited.values())
        best = min(visited, key=visited.get)
        ax.plot(values[:-1], losses[:-1], "o", color=BLUE, alpha=0.5, ms=5)
        ax.plot(values[-1:], losses[-1:], "o", color=VERMILION, ms=9)
        near = {"textcoords": "offset points", "ha": "center", "fontsize": 9, "color": VERMILION}
        ax.annotate(f"you are here: loss {losses[-1]:.3f}", (values[-1], losses[-1]), (0, 10), **near)
        middle, spread = (max(losses) + min(losses)) / 2, max(max(losses) - min(losses), 0.1)
        ax.set(xlim=(-reach - 0.1, reach + 0.1), ylim=(middle - spread, middle + spread))
        ax.set(xlabel="value of the weight", ylabel=NATS)
        alt = f"The weight is {weight:.2f}, the loss {losses[-1]:.3f}. "
        alt += f"Places tried: {len(visited)}; the lowest loss so far is {visited[best]:.3f}, at {best:.2f}."
        return Picture(figure, "the loss where you have been", alt)

    return look


def plot_losses(
    curves: Mapping[str, Sequence[float]], marks: Mapping[str, float], highest: float = 4.5, what: str = "hand"
) -> Picture:
    """Losses of training batches, step by step: name -> losses. The legend says the mean of the last ten."""
    figure, ax = new_figure(8, 3.6)
    ends = {name: float(np.mean(losses[-10:])) for name, losses in curves.items()}
    for (name, losses), color in zip(curves.items(), COLORS, strict=False):
        ax.plot(losses, color=color, lw=1.3, label=f"{name}: {ends[name]:.2f}")
    ax.set(xlim=(0, 1.4 * max(map(len, curves.values()))), ylim=(2.2, highest), xlabel="step", ylabel=NATS)
    draw_landmarks(ax, dict(marks))
    figure.legend(loc="outside right upper", fontsize=9)
    told = "; ".join(f"{name}: highest {max(curves[name]):.1f}, {end:.2f} at the end" for name, end in ends.items())
    return Picture(figure, f"losses by {what}", told)


class PlainLab(Lab):
    """A lab whose Trainer takes the steps of the lesson's own loop: plain gradient descent, no AdamW."""

    def make_trainer(self, run: Run) -> Trainer:
        """A Trainer with PyTorch's own gradient descent."""
        trainer = super().make_trainer(run)
        group: dict[str, Any] = {"params": list(trainer.model.parameters()), "muon": False}
        trainer.optimizer = torch.optim.SGD([group], lr=run.config.learning_rate)
        return trainer

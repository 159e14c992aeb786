"""Lesson 04's figures: they draw what its cells have computed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from course.figures import BLUE, COLORS, GREEN, GREY, VERMILION, Picture, new_figure
from course.lab.lab import Lab
from course.lab.runs import Run
from course.landmarks import draw_landmarks
from gptlib.model import GPT
from gptlib.tokenizer import Tokenizer
from gptlib.trainer import Trainer

NATS = "loss (nats per character)"


def visible(character: str) -> str:
    """A character as it can be seen in a plot."""
    return {"\n": "↵", " ": "␣"}.get(character, character)


# --- one weight -----------------------------------------------------------------------------------------


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
        ax.annotate(f"you are here: loss {losses[-1]:.3f}", (values[-1], losses[-1]), (0, 10), **_NEAR)
        middle, spread = (max(losses) + min(losses)) / 2, max(max(losses) - min(losses), 0.1)
        ax.set(xlim=(-reach - 0.1, reach + 0.1), ylim=(middle - spread, middle + spread))
        ax.set(xlabel="value of the weight", ylabel=NATS)
        alt = f"The weight is {weight:.2f}, the loss {losses[-1]:.3f}. "
        alt += f"Places tried: {len(visited)}; the lowest loss so far is {visited[best]:.3f}, at {best:.2f}."
        return Picture(figure, "the loss where you have been", alt)

    return look


_NEAR = {"textcoords": "offset points", "ha": "center", "fontsize": 9, "color": VERMILION}


def plot_tangents(loss_with: Callable[[float], float], slopes: Mapping[float, float], reach: float = 1.5) -> Picture:
    """The loss along one weight, and at some of its values the tangent: value -> slope."""
    figure, ax = new_figure(7.2, 3.6)
    values = np.linspace(-reach, reach, 41)
    ax.plot(values, [loss_with(v) for v in values], color=BLUE, lw=2)
    for value, slope in slopes.items():
        loss, near = loss_with(value), np.array([-0.4, 0.4])
        ax.plot(value + near, loss + slope * near, color=VERMILION, lw=1.8)
        ax.plot([value], [loss], "o", color=VERMILION, ms=7, zorder=3)
        text = f"slope {slope:+.2f}".replace("-", "−")
        ax.annotate(text, (value, loss), (38 if slope > 0.2 else -38 if slope < -0.2 else 0, -20), **_NEAR)
    low, high = ax.get_ylim()
    ax.set(xlabel="value of the weight", ylabel=NATS, ylim=(low - 0.15 * (high - low), high))
    alt = "The loss along one weight is a valley. " + "; ".join(f"at {v:.2f} slope {s:.2f}" for v, s in slopes.items())
    return Picture(figure, "a valley, and its tangents", alt)


def plot_pulls(p: Tensor, gradient: Tensor, came: int, tokenizer: Tokenizer, before: str, shown: int = 20) -> Picture:
    """The gradient of one guess for each character, the likeliest first; outlined: the probabilities."""
    order = p.argsort(descending=True)[:shown].tolist()
    order = order if came in order else [*order[:-1], came]
    figure, ax = new_figure(7.4, 3.4)
    heights = gradient[order].tolist()
    ax.bar(range(len(order)), heights, color=[GREEN if token == came else GREY for token in order])
    ax.bar(range(len(order)), p[order].tolist(), fill=False, edgecolor=BLUE, lw=1.2, label="probability p")
    ax.axhline(0, color="black", lw=0.8)
    names = [visible(tokenizer.decode([token])) for token in order]
    ax.set_xticks(range(len(order)), names)
    place, name = order.index(came), visible(tokenizer.decode([came]))
    ax.annotate(
        f"{name} came: p − 1 = {heights[place]:.2f}".replace("-", "−"), (place, heights[place]), (12, 4), **_SIDE
    )
    ax.set(xlabel=f"the {len(order)} likeliest next characters", ylabel="gradient of the loss")
    ax.set_title("after “" + "".join(map(visible, before)) + "”", loc="left", fontsize=10)
    ax.legend(loc="lower right", fontsize=9)
    alt = f"Gradient {gradient[came]:.2f} for {name}, which came; for all others above 0, at most {gradient.max():.2f}."
    return Picture(figure, "the gradient of one guess for each character", alt)


_SIDE = {"textcoords": "offset points", "ha": "left", "fontsize": 9, "color": GREEN}


# --- all weights ------------------------------------------------------------------------------------------


def plot_steps(steps: Mapping[str, tuple[Sequence[float], Sequence[float], float]]) -> Picture:
    """The loss after one step of several lengths: name -> (rates, losses, promised fall per unit of the rate)."""
    figure, axes = new_figure(7.8, 3.4, columns=len(steps))
    told = []
    for ax, (name, (rates, losses, promise)) in zip(axes, steps.items(), strict=True):
        rates, losses = np.array(rates), np.array(losses)
        best = int(losses.argmin())
        ax.plot(rates, losses, color=BLUE, lw=2)
        ax.plot(rates, losses[0] - promise * rates, color=VERMILION, lw=1.6)
        ax.axhline(losses[0], color=GREY, lw=1, ls=":")
        ax.plot(rates[best], losses[best], "o", color=BLUE, ms=7)
        gain = losses[0] - losses[best]
        ax.annotate(f"best: {rates[best]:.2g}", (rates[best], losses[best]), (-14, -14), **{**_SIDE, "color": BLUE})
        ax.set_ylim(losses[0] - 2.2 * gain, losses[0] + 2 * gain)
        ax.text(rates[-1], losses[0], "before the step ", ha="right", va="bottom", fontsize=8, color=GREY)
        ax.text(0.55, 0.05, "the tangent's promise", transform=ax.transAxes, fontsize=8, color=VERMILION)
        ax.set_title(name, loc="left", fontsize=10)
        ax.set(xlabel="learning rate of this one step", xlim=(0, rates[-1]))
        told.append(f"{name}: loss {losses[0]:.2f} before, at best {losses[best]:.2f} with {rates[best]:.2g}")
    axes[0].set_ylabel(NATS)
    return Picture(figure, "the loss after one step of several lengths", "; ".join(told))


def plot_losses(
    curves: Mapping[str, Sequence[float]], marks: Mapping[str, float], highest: float = 4.5, what: str = ""
) -> Picture:
    """Losses of training batches, step by step: name -> losses; each name stands at the end of its curve."""
    figure, ax = new_figure(7.4, 3.8)
    steps = max(map(len, curves.values()))
    ax.set(xlim=(0, steps), ylim=(2.2, highest), xlabel="step", ylabel=NATS)
    ax.set_xticks(range(0, steps + 1, 30))
    draw_landmarks(ax, dict(marks))
    ends, told = [], []
    for (name, losses), color in zip(curves.items(), COLORS, strict=False):
        losses = np.array(losses)
        ax.plot(losses, color=color, lw=1.3)
        ends.append((float(losses[-10:].mean()), name, color, len(losses)))
        told.append(f"{name}: highest {losses.max():.1f}, {losses[-10:].mean():.2f} over the last ten steps")
    _label_ends(ax, ends)
    return Picture(figure, f"losses by {what}" if what else "losses by hand", "; ".join(told))


def _label_ends(ax: Axes, ends: list[tuple[float, str, str, int]]) -> None:
    """Names beside the ends of their curves, none upon another."""
    low, high = ax.get_ylim()
    room, place = 0.055 * (high - low), low - 1
    for end, name, color, length in sorted(ends):
        place = max(end, place + room)
        ax.text(length + 1, min(place, high), f"{name}: {end:.2f}", color=color, fontsize=8.5, va="center")


def difference(one: GPT, other: GPT) -> float:
    """The largest difference between two models, weight by weight."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((p - q).abs().max().item() for p, q in pairs)


# --- the live lab -------------------------------------------------------------------------------------------


class PlainLab(Lab):
    """A lab whose Trainer takes the steps of the lesson's own loop: plain gradient descent, no AdamW."""

    def make_trainer(self, run: Run) -> Trainer:
        """A Trainer with PyTorch's own gradient descent."""
        trainer = super().make_trainer(run)
        group: dict[str, Any] = {"params": list(trainer.model.parameters()), "muon": False}
        trainer.optimizer = torch.optim.SGD([group], lr=run.config.learning_rate)
        return trainer

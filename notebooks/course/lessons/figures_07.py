"""Lesson 07: a lab in which a part of the model is taken out, and attention maps with their letters."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from course.figures import Picture, new_figure
from course.lab import Lab, Run
from gptlib import GPT, Trainer


class PartsLab(Lab):
    """A lab whose menu says which part `take_out(part, model)` removes before a run begins."""

    def __init__(self, take_out: Callable[[str, GPT], None], parts: Sequence[str], **settings: Any):
        self.take_out = take_out
        super().__init__("n_layer", "learning_rate", menus={"take out": parts}, **settings)

    def make_trainer(self, run: Run) -> Trainer:
        """A trainer whose model lacks a part."""
        trainer = super().make_trainer(run)
        self.take_out(run.settings["take out"], trainer.model)
        return trainer


def visible(text: str) -> str:
    """A text whose spaces and line breaks can be seen."""
    return text.replace(" ", "␣").replace("\n", "↵")


def plot_maps(maps: Mapping[str, Tensor], text: str) -> Picture:
    """Attention maps of a text, each under its title; the darkest blue is a weight of 0.6 or more."""
    columns = min(4, len(maps))
    rows, inches = math.ceil(len(maps) / columns), {1: 5.4, 3: 3.0}.get(columns, 2.4)
    figure, _ = new_figure(inches * columns, (inches + 0.15) * rows)
    figure.clear()
    axes = figure.subplots(rows, columns, squeeze=False)
    letters = {"fontsize": min(10, 50 * inches / len(text)), "family": "monospace"}
    for ax, (title, weights) in zip(axes.flat, maps.items(), strict=True):
        future = np.triu(np.ones(weights.shape, dtype=bool), 1)
        ax.imshow(np.ma.array(weights, mask=future), cmap="Blues", vmin=0, vmax=0.6)
        ax.set_facecolor("#dddddd")  # the future shows through
        ax.set_xticks(range(len(text)), list(visible(text)), **letters)
        ax.set_yticks(range(len(text)), list(visible(text)), **letters)
        ax.tick_params(length=0, pad=2, labelbottom=columns < 4, labelleft=columns < 4)
        ax.set_title(title, loc="left", fontsize=8.5)
    told = [f"{title}: the last row looks most at place {int(w[-1].argmax())}" for title, w in maps.items()]
    alt = f"Attention maps of {text!r}; rows look, columns are looked at. " + "; ".join(told) + "."
    return Picture(figure, "attention maps", alt)

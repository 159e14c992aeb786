"""One control for each setting that a lab may show, and settings worth trying."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import ipywidgets as widgets

from gptlib.config import TrainConfig
from gptlib.errors import UsageError

PAIR = ("batch_size", "gradient_accumulation_steps")  # whose product a lab can keep
_CHOICES = {
    "attention": ("fused", "naive"),
    "schedule": ("cosine", "linear", "constant"),
    "optimizer": ("adamw", "muon"),
    "dtype": ("float32", "bfloat16", "float16"),
}
# What is typed is what is read: no per cent, and no more digits than matter.
_LOG = {"readout_format": ".2g"}
_RANGES: dict[str, tuple[type, dict[str, Any]]] = {
    "eval_interval": (widgets.IntSlider, {"min": 5, "max": 200, "step": 5}),
    "eval_iters": (widgets.IntSlider, {"min": 1, "max": 50}),
    "log_interval": (widgets.IntSlider, {"min": 1, "max": 100}),
    "block_size": (widgets.IntSlider, {"min": 1, "max": 256}),
    "batch_size": (widgets.IntSlider, {"min": 1, "max": 64}),
    "gradient_accumulation_steps": (widgets.IntSlider, {"min": 1, "max": 32}),
    "learning_rate": (widgets.FloatLogSlider, {"min": -5, "max": 0, "step": 0.25, **_LOG}),
    "muon_lr": (widgets.FloatLogSlider, {"min": -4, "max": 0, "step": 0.25, **_LOG}),
    "warmup_iters": (widgets.IntSlider, {"min": 0, "max": 200, "step": 5}),
    "dropout": (widgets.FloatSlider, {"min": 0, "max": 0.6, "step": 0.05}),
    "n_layer": (widgets.IntSlider, {"min": 1, "max": 6}),
    "n_head": (widgets.IntSlider, {"min": 1, "max": 8}),
    "n_embd": (widgets.IntSlider, {"min": 16, "max": 256, "step": 16}),
    "max_iters": (widgets.IntSlider, {"min": 50, "max": 2000, "step": 50}),
    "train_fraction": (widgets.FloatLogSlider, {"min": -3, "max": 0, "step": 0.25, **_LOG}),
    "seed": (widgets.IntSlider, {"min": 1, "max": 2000}),
}


def make_control(name: str, value: Any) -> widgets.Widget:
    """The control of one setting: a slider, moved by mouse or arrow keys or set by typing its number, or a menu.

    It reaches whatever value it is given.

    Raises:
        UsageError: there is no control for it.
    """
    doc = next((f.metadata["doc"] for f in fields(TrainConfig) if f.name == name), "")
    common = {"value": value, "description": name, "tooltip": f"{name}: {doc}"}
    if name in _CHOICES:
        control = widgets.Dropdown(options=_CHOICES[name], **common)
    elif name in _RANGES:
        kind, limits = _RANGES[name]
        at = math.log10(value) if kind is widgets.FloatLogSlider else value
        step = limits.get("step", 1)
        low = limits["min"] - step * math.ceil(max(0, limits["min"] - at) / step)
        high = limits["max"] + step * math.ceil(max(0, at - limits["max"]) / step)
        if kind is not widgets.FloatLogSlider and low < 1:
            low = min(limits["min"], value)
        control = kind(continuous_update=False, **common, **{**limits, "min": low, "max": high})
    else:
        raise UsageError(f"no control for {name!r}; {did_you_mean(name, [*_RANGES, *_CHOICES])}")
    return lay_out(control)


def did_you_mean(name: str, known: list[str]) -> str:
    """What to write instead."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"


def lay_out(control: widgets.Widget) -> widgets.Widget:
    """As wide as its column; page.css does the rest."""
    control.style.description_width = "auto"
    control.layout.width = "auto"
    return control


def keep_product(sliders: Mapping[str, widgets.Widget], product: int, name: str, old: int, new: int) -> None:
    """After `name` was moved: set it and its partner to a pair whose product is `product`.

    The pair is the nearest, but onwards, so that an arrow key always gets away.
    """
    if name not in PAIR:
        return
    this, other = sliders[name], sliders[PAIR[1 - PAIR.index(name)]]
    if new * other.value == product:
        return
    divisors = [n for n in range(this.min, this.max + 1) if product % n == 0 and product // n <= other.max]
    onwards = [n for n in divisors if (n - old) * (new - old) > 0]
    this.value = min(onwards or [old], key=lambda n: abs(n - new))
    other.value = product // this.value


# --- settings worth trying ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preset:
    """Settings under a name, and what to look at; those that are not given are the lab's own."""

    name: str
    good: bool
    comment: str
    settings: Callable[[TrainConfig], dict[str, Any]]

    @property
    def label(self) -> str:
        """The name as the menu shows it."""
        return f"{'good' if self.good else 'bad'}: {self.name}"


PRESETS = (
    Preset(
        "twice as long, twice as wide",
        True,
        "More steps for a larger model: the loss is still falling where your first run ended.",
        lambda own: {"max_iters": 2 * own.max_iters, "n_embd": 2 * own.n_embd},
    ),
    Preset(
        "diverging learning rate",
        False,
        "Every step overshoots. The loss climbs far above that of the untrained model, and the lab stops the run.",
        lambda own: {"learning_rate": 1.0, "min_lr": min(own.min_lr, 1.0)},
    ),
    Preset(
        "context of 1",
        False,
        "The model sees one token and guesses the next: it learns which pairs are frequent, and nothing more.",
        lambda own: {"block_size": 1},
    ),
    Preset(
        "overfitting on purpose",
        False,
        "A few pages, over and over. The training loss falls and falls; the validation loss turns, and rises.",
        lambda own: {"train_fraction": 0.001, "max_iters": 2 * own.max_iters, "eval_interval": 25},
    ),
    Preset(
        "evaluation that eats the run",
        False,
        "50 batches of each split after every 5 steps: the same weights as ever, and most of the time is gone.",
        lambda own: {"eval_interval": 5, "eval_iters": 50},
    ),
)

"""One slider for each setting that a lab may show: its range here, its meaning from TrainConfig."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import ipywidgets as widgets

from gptlib.config import TrainConfig
from gptlib.errors import UsageError

PAIR = ("batch_size", "gradient_accumulation_steps")  # whose product a lab can keep
_CHOICES = {
    "attention": ("fused", "naive"),
    "schedule": ("cosine", "linear", "constant"),
    "dtype": ("float32", "bfloat16", "float16"),
}
_RANGES: dict[str, tuple[type, dict[str, Any]]] = {
    "eval_interval": (widgets.IntSlider, {"min": 5, "max": 200, "step": 5}),
    "eval_iters": (widgets.IntSlider, {"min": 1, "max": 50}),
    "log_interval": (widgets.IntSlider, {"min": 1, "max": 100}),
    "block_size": (widgets.IntSlider, {"min": 1, "max": 256}),
    "batch_size": (widgets.IntSlider, {"min": 1, "max": 64}),
    "gradient_accumulation_steps": (widgets.IntSlider, {"min": 1, "max": 32}),
    "learning_rate": (widgets.FloatLogSlider, {"min": -5, "max": 0, "step": 0.25, "readout_format": ".1e"}),
    "dropout": (widgets.FloatSlider, {"min": 0, "max": 0.6, "step": 0.05}),
    "n_layer": (widgets.IntSlider, {"min": 1, "max": 6}),
    "n_embd": (widgets.IntSlider, {"min": 16, "max": 256, "step": 16}),
    "max_iters": (widgets.IntSlider, {"min": 50, "max": 2000, "step": 50}),
    "train_fraction": (widgets.FloatLogSlider, {"min": -3, "max": 0, "step": 0.25, "readout_format": ".1%"}),
}


def make_control(name: str, value: Any) -> widgets.Widget:
    """The control of one setting: a slider, moved by mouse or arrow keys or set by typing into its number, or a menu.

    Raises:
        UsageError: there is no control for it.
    """
    doc = next((f.metadata["doc"] for f in fields(TrainConfig) if f.name == name), "")
    common = {"value": value, "description": name, "tooltip": f"{name}: {doc}"}
    if name in _CHOICES:
        control = widgets.Dropdown(options=_CHOICES[name], **common)
    elif name in _RANGES:
        kind, limits = _RANGES[name]
        control = kind(continuous_update=False, **common, **limits)
    else:
        raise UsageError(f"no control for {name!r}; there are: {', '.join([*_RANGES, *_CHOICES])}")
    return lay_out(control)


def lay_out(control: widgets.Widget) -> widgets.Widget:
    """Room for the longest name, and no wider than a narrow window."""
    control.style.description_width = "14em"
    control.layout.width = "min(34em, 100%)"
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

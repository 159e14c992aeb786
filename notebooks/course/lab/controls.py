"""One control for each setting that a lab may show; buttons, questions, and words that are read out."""

import difflib
import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import ipywidgets as widgets

from course.prediction import Prediction
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


def beyond(name: str, value: Any) -> str:
    """A sentence where a slider had to grow to reach this value; '' elsewhere."""
    kind, limits = _RANGES.get(name, (None, {"min": value, "max": value}))
    low, high = (10.0 ** limits[end] if kind is widgets.FloatLogSlider else limits[end] for end in ("min", "max"))
    if low <= value <= high:
        return ""
    return f"{name} = {value:g} is beyond its usual range, {low:g} to {high:g}; the slider now reaches it. "


def did_you_mean(name: Any, known: list[str]) -> str:
    """What to write instead."""
    near = difflib.get_close_matches(str(name), known, n=1)
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


# --- what labs and explorers are made of ----------------------------------------------------------------


class Question:
    """A prediction as widgets: the question, its choices, Skip, and in the end the verdict."""

    def __init__(self, prediction: Prediction, answered: Callable[[str], None], skipped: Callable[[], None]):
        tooltip = f"Predict: {prediction.question}"
        self.choice = widgets.RadioButtons(options=prediction.shuffled, index=None, tooltip=tooltip)
        self.skip_button = button("Skip", "Go on without a prediction", skipped).add_class("gptlib-skip")
        self.verdict = part("verdict")
        self.choice.observe(lambda _: answered(self.choice.value), names="index")
        question = widgets.HTML(f"<b>Predict:</b> {html.escape(prediction.question)}")
        self.box = box("ask", [question, self.choice, self.skip_button, self.verdict])


def button(name: str, tooltip: str, action: Callable[[], None]) -> widgets.Button:
    """A button that does one thing."""
    made = widgets.Button(description=name, tooltip=tooltip, layout={"width": "auto"})
    made.on_click(lambda _: action())
    return made


def part(name: str) -> widgets.HTML:
    """A part of the page that page.css knows by its name."""
    return widgets.HTML().add_class(f"gptlib-{name}")


def box(name: str, children: Sequence[widgets.Widget]) -> widgets.VBox:
    """Widgets that page.css lays out."""
    return widgets.VBox(children).add_class(f"gptlib-{name}")


def show(widget: widgets.Widget, shown: bool) -> None:
    """Show a widget, or hide it."""
    (widget.remove_class if shown else widget.add_class)("gptlib-hidden")


def read_out(content: str, style: str = "", live: str = "polite") -> str:
    """HTML whose changes a screen reader reads out."""
    return f'<div role="status" aria-live="{live}" style="line-height: 1.5; {style}">{content}</div>'

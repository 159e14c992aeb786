"""One control for each setting that a lab may show; buttons, and questions."""

import difflib
import html
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import anywidget
import ipywidgets as widgets

from course.prediction import Prediction
from gptlib.config import TrainConfig
from gptlib.errors import UsageError

PAIR = ("batch_size", "gradient_accumulation_steps")  # whose product a lab can keep
ABOUT = {field.name: field.metadata for field in fields(TrainConfig)}
_RANGES = {  # lowest, highest, step; None: on a scale of powers of ten
    "eval_interval": (5, 200, 5),
    "eval_iters": (1, 50, 1),
    "log_interval": (1, 100, 1),
    "block_size": (1, 256, 1),
    "batch_size": (1, 64, 1),
    "gradient_accumulation_steps": (1, 32, 1),
    "warmup_iters": (0, 200, 5),
    "dropout": (0.0, 0.6, 0.05),
    "n_layer": (1, 6, 1),
    "n_head": (1, 8, 1),
    "n_embd": (16, 256, 16),
    "max_iters": (50, 2000, 50),
    "seed": (1, 2000, 1),
    "learning_rate": (1e-5, 1.0, None),
    "muon_lr": (1e-4, 1.0, None),
    "train_fraction": (1e-3, 1.0, None),
}


def check_keywords(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse a keyword of another type than the signature of `function` has.

    Raises:
        UsageError: with what is allowed.
    """
    for name, parameter in inspect.signature(function).parameters.items():
        kinds = [get_origin(kind) or kind for kind in get_args(parameter.annotation) or [parameter.annotation]]
        if parameter.kind is parameter.KEYWORD_ONLY and not isinstance(given[name], tuple(kinds)):
            allowed = re.sub(r"[\w.]+\.", "", inspect.formatannotation(parameter.annotation))
            raise UsageError(f"{name} = {given[name]!r}: must be {allowed}")


def make_control(name: str, value: Any, divides: int | None = None) -> widgets.Widget:
    """The control of one setting: a slider, moved by mouse or arrow keys or set by typing its number, or a menu.

    It reaches whatever value it is given; with `divides` it has only the divisors of that number.

    Raises:
        UsageError: there is no control for it.
    """
    common: dict[str, Any] = {"value": value, "description": name, "tooltip": f"{name}: {ABOUT[name]['doc']}"}
    if choices := ABOUT[name]["choices"]:
        options = [choice for choice in choices if choice != "auto" or value == "auto"]
        return widgets.Dropdown(options=options, **common)
    common["continuous_update"] = False
    if divides:
        return widgets.SelectionSlider(options=[n for n in range(1, divides + 1) if divides % n == 0], **common)
    if name not in _RANGES:
        raise UsageError(f"no slider for {name!r}; {did_you_mean(name, list(_RANGES))}")
    low, high, step = _RANGES[name]
    low, high = min(low, value), max(high, value)
    if step is None:  # three digits, as everywhere: what is typed is what is read
        log = {"min": math.log10(low), "max": math.log10(high), "step": 0.25, "readout_format": ".3"}
        return widgets.FloatLogSlider(**log, **common)
    kind = widgets.IntSlider if isinstance(low, int) else widgets.FloatSlider
    return kind(min=low, max=high, step=step, **common)


def beyond(name: str, value: Any) -> str:
    """A sentence where a slider had to grow to reach this value; '' elsewhere."""
    low, high, _ = _RANGES.get(name, (value, value, None))
    if low <= value <= high:
        return ""
    return f"{name} = {value:g} is beyond its usual range, {low:g} to {high:g}; the slider now reaches it."


def did_you_mean(name: Any, known: list[str]) -> str:
    """What to write instead."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"


# --- what labs and explorers are made of ----------------------------------------------------------------


class Page(anywidget.AnyWidget):
    """An invisible widget that gives the controls around it, in a box of the class `gptlib-named`, accessible names.

    ipywidgets 8 gives the handle of a slider, its number and a group of radio buttons no name; here they get that of
    their description, or else of their tooltip. It also keeps the notebook's shortcuts away from them: an arrow key
    moves a choice, and not to the next cell.
    """

    _esm, _css = Path(__file__).with_name("page.js"), Path(__file__).with_name("page.css")


class Question:
    """A prediction as widgets: the question, its choices, Skip, and in the end the verdict.

    `answered` is called with the choice, or "" for Skip.
    """

    def __init__(self, prediction: Prediction, answered: Callable[[str], None]):
        tooltip = f"Predict: {prediction.question}"
        self.choice = widgets.RadioButtons(options=prediction.shuffled, index=None, tooltip=tooltip)
        self.skip_button = button("Skip", "Go on without a prediction", lambda: answered("")).add_class("gptlib-skip")
        self.verdict = part("verdict").add_class("gptlib-heard")
        self.choice.observe(lambda _: answered(self.choice.value), names="index")
        question = widgets.HTML(f"<b>Predict:</b> {html.escape(prediction.question)}")
        self.box = box("ask", [question, self.choice, self.skip_button, self.verdict])


def button(name: str, tooltip: str, action: Callable[[], None]) -> widgets.Button:
    """A button that does one thing."""
    made = widgets.Button(description=name, tooltip=tooltip)
    made.on_click(lambda _: action())
    return made


def part(name: str) -> widgets.HTML:
    """A part of the page that page.css knows by its name; what is also `gptlib-heard` is read out when it changes."""
    return widgets.HTML().add_class(f"gptlib-{name}")


def box(name: str, children: Sequence[widgets.Widget]) -> widgets.VBox:
    """Widgets that page.css lays out."""
    return widgets.VBox(children).add_class(f"gptlib-{name}")


def show(widget: widgets.Widget, shown: bool) -> None:
    """Show a widget, or hide it."""
    (widget.remove_class if shown else widget.add_class)("gptlib-hidden")

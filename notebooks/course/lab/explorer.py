"""Controls and a picture that follows them, for what is computed at once rather than trained."""

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from course.figures import Picture, as_html
from course.lab.controls import Page, Question, part, show
from course.prediction import Prediction
from course.shown import in_place_of, widgets_only
from gptlib.errors import UserError


class Explorer:
    """Shows `draw(**values)`, drawn anew whenever a control moves.

    Args:
        draw: takes the values of the controls by name, and returns a `Picture`, or HTML as a text.
        name: what stands in the place of the widgets where there are none.
        prediction: asked first; controls and picture wait for an answer, or for Skip.
        controls: ipywidgets with a `value`; their keyword is their name, shown as description if they have none.

    Example:
        Explorer(lambda temperature: plot(temperature), "temperature", temperature=FloatSlider(min=0.1, max=2))
    """

    def __init__(
        self,
        draw: Callable[..., Picture | str],
        name: str,
        prediction: Prediction | None = None,
        **controls: widgets.Widget,
    ):
        self.draw, self.name, self.prediction, self.controls = draw, name, prediction, controls
        for key, control in controls.items():
            control.description = control.description or key
            if hasattr(control, "continuous_update"):
                control.continuous_update = False
            control.observe(lambda _: self.update(), names="value")
        self.output, self.status = part("picture"), part("heard")
        self.shown = widgets.VBox([*controls.values(), self.status, self.output])
        self.ask = prediction and Question(prediction, self._answered)
        if self.ask:
            show(self.shown, False)
        self.box = widgets.VBox([*([self.ask.box] if self.ask else []), self.shown, Page()])
        self.box.add_class("gptlib-explorer").add_class("gptlib-named")
        self.update()

    def _answered(self, choice: str) -> None:
        self.ask.verdict.value = html.escape(self.prediction.verdict(choice)) if choice else ""
        show(self.shown, True)
        show(self.ask.skip_button, False)

    def update(self) -> None:
        """Draw again; the status line has the alt text of a picture, or an error that the learner can mend."""
        said = ""
        try:
            drawn = self.draw(**{name: control.value for name, control in self.controls.items()})
            if isinstance(drawn, Picture):
                said, drawn = drawn.alt, as_html(drawn.png, drawn.alt, drawn.width)
            self.output.value = drawn
        except UserError as error:
            said = str(error)
        self.status.value = f"<small>{html.escape(said)}</small>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The widgets where widgets are shown; elsewhere a line that says what would be here."""
        return in_place_of(f"explorer, {self.name}") | widgets_only(self.box)

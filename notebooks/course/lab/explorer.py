"""Controls and a picture that follows them, for what is computed at once rather than trained."""

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from course.figures import Picture, as_html
from course.lab.controls import lay_out
from course.lab.page import Page
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
            lay_out(control).observe(lambda _: self.update(), names="value")
        self.output, self.status = widgets.HTML(), widgets.HTML()
        self.output.add_class("gptlib-picture")
        self.shown = widgets.VBox([*controls.values(), self.status, self.output])
        self.box = widgets.VBox([*self._ask(), self.shown, Page()])
        self.box.add_class("gptlib-explorer").add_class("gptlib-named")
        self.update()

    def _ask(self) -> list[widgets.Widget]:
        """The question, its choices and Skip; any answer shows the rest, and what came of it."""
        if self.prediction is None:
            return []
        tooltip = f"Predict: {self.prediction.question}"
        self.choice = widgets.RadioButtons(
            options=self.prediction.shuffled, index=None, tooltip=tooltip, layout={"width": "auto"}
        )
        self.skip_button = widgets.Button(description="Skip", tooltip="Look without a prediction")
        self.verdict = widgets.HTML()
        self.shown.layout.display = "none"
        self.choice.observe(lambda _: self._open(self.prediction.verdict(self.choice.value)), names="index")
        self.skip_button.on_click(lambda _: self._open(""))
        question = widgets.HTML(f"<b>Predict:</b> {html.escape(self.prediction.question)}")
        return [question, self.choice, self.skip_button, self.verdict]

    def _open(self, verdict: str) -> None:
        self.shown.layout.display = None
        self.skip_button.layout.display = "none"
        self.verdict.value = f'<div role="status" aria-live="polite">{html.escape(verdict)}</div>'

    def values(self) -> dict[str, Any]:
        """What the controls say now."""
        return {name: control.value for name, control in self.controls.items()}

    def update(self) -> None:
        """Draw again; an error that the learner can mend stands in the status line."""
        try:
            result = self.draw(**self.values())
        except UserError as error:
            self._say(str(error))
            return
        self.output.value = as_html(result.png, result.alt) if isinstance(result, Picture) else result
        self._say(result.alt if isinstance(result, Picture) else "")

    def _say(self, text: str) -> None:
        self.status.value = f'<div role="status" aria-live="polite"><small>{html.escape(text)}</small></div>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The widgets where widgets are shown; elsewhere a line that says what would be here."""
        return in_place_of(f"explorer, {self.name}") | widgets_only(self.box)

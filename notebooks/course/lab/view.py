"""The widgets of a live lab: what is seen of its state, and buttons that call its methods.

Nothing is decided here. Frames are pushed as an image into an HTML widget: output captured from a thread
gets lost or lands in another cell, an ipywidgets.Image has no alt text.
"""

import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ipywidgets as widgets

from course.figures import as_html
from course.lab.controls import lay_out
from course.lab.costs import cost_bar
from course.lab.curves import draw_runs
from course.lab.page import Page
from course.lab.presets import PRESETS
from course.lab.runs import X_AXES, Run, Scale
from course.lab.table import as_csv, as_table, download

if TYPE_CHECKING:
    from course.lab.lab import Lab

STATUS_STYLE = "min-height: 3em; line-height: 1.5em"
OWN_SETTINGS = "the lab's own settings"


class LabView:
    """All widgets of a lab; `box` is what a cell shows."""

    def __init__(self, lab: "Lab", controls: Sequence[widgets.Widget]):
        self.lab = lab
        self.run_button = self._button("Run", "Train with these settings, from the start", lab.start)
        self.run_button.button_style = "primary"
        self.pause_button = self._button("Pause", "Hold the run, or let it go on", lab.pause)
        self.step_button = self._button("Step", "One optimiser step, then hold", lab.step)
        self.stop_button = self._button("Stop", "End the run now", lab.stop)
        self.reset_button = self._button("Reset", "The first settings again, and no runs", lab.reset)
        buttons = [self.run_button, self.pause_button, self.step_button, self.stop_button, self.reset_button]
        self.image, self.status, self.costs, self.sample, self.verdict = (widgets.HTML() for _ in range(5))
        for widget, name in ((self.image, "plot"), (self.status, "status"), (self.costs, "costs")):
            widget.add_class(f"gptlib-{name}")
        self.sample.add_class("gptlib-sample")
        self.page = Page()
        self.box = widgets.VBox(
            [
                *self._prediction(),
                *controls,
                _row(buttons),
                self.status,
                self.costs,
                self.image,
                self.sample,
                self.verdict,
                *self._folds(),
                self.page,
            ]
        )
        self.box.add_class("gptlib-lab").add_class("gptlib-named")
        self.buttons()

    def _button(self, name: str, tooltip: str, action: Callable[[], None]) -> widgets.Button:
        button = widgets.Button(description=name, tooltip=tooltip, layout={"width": "6em"})
        button.on_click(lambda _: action())
        return button

    # --- predict first --------------------------------------------------------------------------------

    def _prediction(self) -> list[widgets.Widget]:
        prediction = self.lab.prediction
        if prediction is None:
            return []
        tooltip = f"Predict: {prediction.question}"
        self.choice = widgets.RadioButtons(
            options=prediction.shuffled, index=None, tooltip=tooltip, layout={"width": "auto"}
        )
        self.skip_button = self._button("Skip", "Run without a prediction", self.lab.unlock)
        self.choice.observe(lambda change: self.lab.predict(self.choice.value), names="index")
        return [widgets.HTML(f"<b>Predict:</b> {html.escape(prediction.question)}"), self.choice, self.skip_button]

    # --- what is folded away --------------------------------------------------------------------------

    def _folds(self) -> list[widgets.Widget]:
        self.folds: dict[str, widgets.ToggleButton] = {}
        panels = [
            self._fold("Compare the runs", self._comparison()),
            self._fold("Settings to try", self._presets()),
            self._fold("Take it away", [self._export()]),
        ]
        return [_row(list(self.folds.values())), *panels]

    def _fold(self, name: str, content: Sequence[widgets.Widget]) -> widgets.VBox:
        toggle = widgets.ToggleButton(description=name, layout={"width": "12em"})
        panel = widgets.VBox(content, layout={"display": "none", "margin": "0 0 0 1em"})

        def open_or_close(change: dict) -> None:
            panel.layout.display = "flex" if change["new"] else "none"
            self.folded_out()

        toggle.observe(open_or_close, names="value")
        self.folds[name] = toggle
        return panel

    def _comparison(self) -> list[widgets.Widget]:
        lab = self.lab
        self.x_axis = lay_out(widgets.Dropdown(options=list(X_AXES), description="compared at the same"))
        self.log_x = widgets.Checkbox(description="logarithmic x axis", indent=False, layout={"width": "auto"})
        self.log_loss = widgets.Checkbox(description="logarithmic loss axis", indent=False, layout={"width": "auto"})
        self.rows, self.table = widgets.VBox(), widgets.HTML()
        self.table.add_class("gptlib-table")

        def rescale(_: dict) -> None:
            lab.compare(Scale(self.x_axis.value, self.log_x.value, self.log_loss.value))

        for control in (self.x_axis, self.log_x, self.log_loss):
            control.observe(rescale, names="value")
        return [self.x_axis, _row([self.log_x, self.log_loss]), self.rows, self.table]

    def _row_of(self, run: Run) -> widgets.Widget:
        """What can be done with one run: hide, rename, delete."""
        shown = widgets.Checkbox(
            value=not run.hidden, description=f"show run {run.number}", indent=False, layout={"width": "8em"}
        )
        name = widgets.Text(
            value=run.name,
            description=f"name of run {run.number}",
            placeholder=run.label,
            continuous_update=False,
            style={"description_width": "auto"},
            layout={"width": "min(22em, 100%)"},
        )
        delete = widgets.Button(description=f"Delete run {run.number}", layout={"width": "9em"})
        shown.observe(lambda change: self.lab.hide(run, not change["new"]), names="value")
        name.observe(lambda change: self.lab.rename(run, change["new"]), names="value")
        delete.on_click(lambda _: self.lab.delete(run))
        return _row([shown, name, delete])

    def _presets(self) -> list[widgets.Widget]:
        labels = {OWN_SETTINGS: None} | {preset.label: preset for preset in PRESETS}
        self.preset = lay_out(widgets.Dropdown(options=labels, description="known good, known bad"))
        self.comment = widgets.HTML(_live(""))
        self.preset.observe(lambda change: self.lab.load(change["new"]), names="value")
        return [self.preset, self.comment]

    def _export(self) -> widgets.Widget:
        self.export = widgets.HTML()
        self.export.add_class("gptlib-export")
        return self.export

    # --- what the lab shows -----------------------------------------------------------------------------

    def say(self, text: str, aloud: bool = True) -> None:
        """Show a sentence in the status line, two lines high so that nothing jumps; screen readers say it if aloud."""
        self.status.value = _live(html.escape(text), STATUS_STYLE, "polite" if aloud else "off")

    def comment_on(self, text: str) -> None:
        """Say what was loaded."""
        self.comment.value = _live(html.escape(text))

    def frame(self, png: bytes, alt: str) -> None:
        """Show a picture."""
        self.image.value = as_html(png, alt)

    def run(self, run: Run | None) -> None:
        """Show what the run costs, and what its model writes."""
        self.costs.value = cost_bar(run) if run else ""
        told = html.escape(run.sample).strip() if run else ""
        font = "font-family: var(--jp-code-font-family, monospace); white-space: pre-wrap"
        self.sample.value = (
            f'<div style="line-height: 1.4; max-width: 760px"><small>After step {run.evaluations[-1].step:,} the model '
            f'writes:</small><div style="{font}; max-height: 7em; overflow: auto">{told}</div></div>'
            if told
            else ""
        )

    def answer(self, text: str) -> None:
        """Show what the prediction came to."""
        self.verdict.value = f'<div role="status">{f"<b>You predicted:</b> {html.escape(text)}" if text else ""}</div>'

    def buttons(self) -> None:
        """Say what can be done now."""
        lab = self.lab
        self.run_button.disabled = self.step_button.disabled = lab.locked
        if lab.prediction is not None:
            self.skip_button.layout.display = None if lab.locked else "none"
        self.stop_button.disabled = self.pause_button.disabled = not lab.running
        self.pause_button.description = "Resume" if lab.running and lab.held else "Pause"

    def runs(self) -> None:
        """The runs are others than before: show them in what is folded away."""
        old, self.rows.children = self.rows.children, ()
        for row in old:
            _close(row)
        self.folded_out()

    def folded_out(self) -> None:
        """Fill what is open; what is closed costs nothing."""
        if self.folds["Compare the runs"].value:
            if len(self.rows.children) != len(self.lab.runs):
                self.rows.children = [self._row_of(run) for run in self.lab.runs]
            self.table.value = as_table(self.lab.runs)
        if self.folds["Take it away"].value:
            self.export.value = self._links()

    def _links(self) -> str:
        lab = self.lab
        shown = [run for run in lab.runs if not run.hidden]
        if not shown:
            return "<p>No run yet.</p>"
        figure = draw_runs(shown, lab.title, lab.loss_range, lab.scale)
        links = [
            f"{download('runs.csv', 'text/csv', as_csv(shown).encode())}, every loss of the runs",
            f"{download('runs.png', 'image/png', figure.png)}, the figure",
        ]
        commands = [f"run {run.number}: {_command(lab, run)}" for run in shown]
        items = "".join(f"<li>{item}</li>" for item in [*links, *commands])
        return f'<ul style="line-height: 1.5; overflow-wrap: anywhere">{items}</ul>'

    def close(self) -> None:
        """Take all widgets out of the page and out of memory."""
        _close(self.box)


def _command(lab: "Lab", run: Run) -> str:
    command = lab.command(run)
    if not command:
        return "its text is only in this notebook, so no command repeats it"
    return f"<code>{html.escape(command)}</code>{' (settings as at its start)' if run.marks else ''}"


def _live(content: str, style: str = "line-height: 1.5em", live: str = "polite") -> str:
    """A part of the page whose changes a screen reader reads out."""
    return f'<div role="status" aria-live="{live}" style="{style}">{content}</div>'


def _row(children: Sequence[widgets.Widget]) -> widgets.HBox:
    return widgets.HBox(children, layout={"flex_flow": "row wrap"})


def _close(widget: widgets.Widget) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    for part in (getattr(widget, "layout", None), getattr(widget, "style", None), widget):
        if part is not None:  # layout and style are widgets too, which ipywidgets leave behind
            part.close()

"""The widgets of a lab. `render(state)` makes them show a state, whatever they showed before; nothing is decided here.

Frames are pushed as an image into an HTML widget: output captured from a thread gets lost or lands in another cell, an
ipywidgets.Image has no alt text.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from course.figures import as_html
from course.lab import table
from course.lab.controls import PRESETS, Preset, lay_out
from course.lab.page import Page
from course.lab.runs import X_AXES, Run, Scale
from course.prediction import Prediction

OWN_SETTINGS = "the lab's own settings"
SIDES = {"left": "the first of the last run", "right": "the latest"}


@dataclass(frozen=True)
class State:
    """All that a lab shows."""

    runs: tuple[Run, ...] = ()
    running: bool = False
    paused: bool = False
    locked: bool = False  # until the prediction is made or skipped
    status: str = ""
    aloud: bool = True  # whether a screen reader says the status
    note: str = ""  # what moved sliders, or the text, mean for the next run
    verdict: str = ""
    comment: str = ""  # on the preset
    png: bytes = b""
    alt: str = ""
    commands: tuple[str, ...] = ()  # that repeat the runs

    @property
    def run(self) -> Run | None:
        """The run that goes on, or the last one."""
        return self.runs[-1] if self.runs else None


@dataclass(frozen=True)
class Actions:
    """What happens when the learner does something."""

    start: Callable[[], None]
    pause: Callable[[], None]
    step: Callable[[], None]
    stop: Callable[[], None]
    reset: Callable[[], None]
    predict: Callable[[str | None], None]
    unlock: Callable[[], None]
    load: Callable[[Preset | None], None]
    hide: Callable[[Run, bool], None]
    rename: Callable[[Run, str], None]
    delete: Callable[[Run], None]
    compare: Callable[[Scale], None]
    think: Callable[[str], None]
    open_text: Callable[[str, str], None]
    export: Callable[[], Any]  # the figure of the runs
    refresh: Callable[[], None]
    theme: Callable[[bool], None]


class LabView:
    """All widgets of a lab; `box` is what a cell shows."""

    def __init__(
        self,
        actions: Actions,
        controls: Sequence[widgets.Widget],
        prediction: Prediction | None = None,
        texts: Sequence[str] = (),
        line: str = "",
        open_folds: Sequence[str] = (),
    ):
        self.actions, self.state = actions, State()
        self.page = Page(actions.theme)
        self.run_button = button("Run", "Train with these settings, from the start", actions.start)
        self.run_button.button_style = "primary"
        self.pause_button = button("Pause", "Pause the run, or let it continue", actions.pause)
        self.step_button = button("Step", "One optimizer step, then pause", actions.step)
        self.stop_button = button("Stop", "End the run now", actions.stop)
        self.reset_button = button("Reset", "The first settings again, and no runs", actions.reset)
        buttons = [self.run_button, self.pause_button, self.step_button, self.stop_button, self.reset_button]
        self.image, self.costs, self.sample, self.status, self.note = (
            _html(name) for name in ("plot", "costs", "sample", "status", "note")
        )
        left = [*self._texts(texts), _box("sliders", controls), _box("buttons", buttons), self.note, self.status]
        grid = widgets.VBox(
            [
                _box("ask", self._ask(prediction)),
                _box("controls", left),
                _box("plotarea", [self.image, self.costs]),
                _box("below", [self.sample]),
                _box("folds", self._folds(line, open_folds)),
            ]
        ).add_class("gptlib-grid")
        self.box = widgets.VBox([grid, self.page]).add_class("gptlib-lab").add_class("gptlib-named")
        if len(controls) > 5:
            self.box.add_class("gptlib-many")

    # --- what is on the page --------------------------------------------------------------------------

    def _ask(self, prediction: Prediction | None) -> list[widgets.Widget]:
        self.prediction = prediction
        self.choice = self.skip_button = self.verdict = None
        if prediction is None:
            return []
        tooltip = f"Predict: {prediction.question}"
        self.choice = widgets.RadioButtons(options=prediction.shuffled, index=None, tooltip=tooltip)
        self.skip_button = button("Skip", "Run without a prediction", self.actions.unlock).add_class("gptlib-skip")
        self.verdict = _html("verdict")
        self.choice.observe(lambda change: self.actions.predict(self.choice.value), names="index")
        question = widgets.HTML(f"<b>Predict:</b> {html.escape(prediction.question)}")
        return [question, self.choice, self.skip_button, self.verdict]

    def _texts(self, texts: Sequence[str]) -> list[widgets.Widget]:
        """A choice of texts, and a box for one's own."""
        self.text_menu = self.own_text = None
        if not texts:
            return []
        own = "your own text"
        self.text_menu = lay_out(widgets.Dropdown(options=[*texts, own], description="text"))
        placeholder = "Paste a text, or write the path of a file"
        self.own_text = widgets.Textarea(placeholder=placeholder, layout={"width": "auto", "height": "90px"})
        self.own_text.tooltip = "your own text"
        use = button("Use this text", "Learn from what is in the box", lambda: self._use(own))
        box = widgets.VBox([self.own_text, use])
        _show(box, False)

        def chosen(change: dict) -> None:
            _show(box, change["new"] == own)
            if change["new"] != own:
                self.actions.open_text(change["new"], "")

        self.text_menu.observe(chosen, names="value")
        return [self.text_menu, box]

    def _use(self, own: str) -> None:
        self.actions.open_text(own, self.own_text.value)

    def _folds(self, line: str, opened: Sequence[str]) -> list[widgets.Widget]:
        self.folds: dict[str, widgets.ToggleButton] = {}
        self.panels: dict[str, widgets.VBox] = {}
        contents = {
            "What it thinks": self._thinking(line),
            "Side by side": self._side_by_side(),
            "Compare the runs": self._comparison(),
            "Settings to try": self._presets(),
            "Take it away": [self._export()],
        }
        for name, content in contents.items():
            panel = widgets.VBox(content)
            toggle = widgets.ToggleButton(description=name, value=name in opened, layout={"width": "auto"})
            _show(panel, toggle.value)
            toggle.observe(lambda change, panel=panel: (_show(panel, change["new"]), self.fill()), names="value")
            self.folds[name], self.panels[name] = toggle, panel
        return [_row(list(self.folds.values())), *self.panels.values()]

    def _thinking(self, line: str) -> list[widgets.Widget]:
        self.line = lay_out(widgets.Text(value=line, description="a line", continuous_update=True))
        self.line.layout.width = "min(34em, 100%)"
        self.line.observe(lambda change: self.actions.think(change["new"]), names="value")
        self.thoughts, self.maps = _html("thoughts"), _html("maps")
        return [self.line, _box("pair", [self.thoughts, self.maps])]

    def _side_by_side(self) -> list[widgets.Widget]:
        self.sides, panels = [], []
        for name, first in SIDES.items():
            menu, page = lay_out(widgets.Dropdown(options={first: name}, description=name)), _html("page")
            menu.observe(lambda _: self.fill(), names="value")
            self.sides.append((menu, page))
            panels.append(widgets.VBox([menu, page]))
        return [_box("pair", panels)]

    def _comparison(self) -> list[widgets.Widget]:
        self.x_axis = lay_out(widgets.Dropdown(options=list(X_AXES), description="compared at the same"))
        self.log_x = widgets.Checkbox(description="logarithmic x axis", indent=False, layout={"width": "auto"})
        self.log_loss = widgets.Checkbox(description="logarithmic loss axis", indent=False, layout={"width": "auto"})
        self.rows, self.table = widgets.VBox(), _html("table")

        def rescale(_: dict) -> None:
            self.actions.compare(Scale(self.x_axis.value, self.log_x.value, self.log_loss.value))

        for control in (self.x_axis, self.log_x, self.log_loss):
            control.observe(rescale, names="value")
        return [_row([self.x_axis, self.log_x, self.log_loss]), self.rows, self.table]

    def _row_of(self, run: Run) -> widgets.Widget:
        """What can be done with one run: hide, rename, delete."""
        shown = widgets.Checkbox(
            value=not run.hidden, description=f"show run {run.number}", indent=False, layout={"width": "9em"}
        )
        name = widgets.Text(
            value=run.look.name,
            placeholder=run.label[:60],
            tooltip=f"name of run {run.number}",
            continuous_update=False,
            layout={"width": "min(18em, 100%)"},
        )
        delete = button(f"Delete run {run.number}", "Forget it", lambda: self.actions.delete(run))
        shown.observe(lambda change: self.actions.hide(run, not change["new"]), names="value")
        name.observe(lambda change: self.actions.rename(run, change["new"]), names="value")
        row = _row([shown, name, delete])
        row.run = run
        return row

    def _presets(self) -> list[widgets.Widget]:
        labels = {OWN_SETTINGS: "own"} | {preset.label: preset for preset in PRESETS}
        self.preset = lay_out(widgets.Dropdown(options=labels, description="known good, known bad"))
        self.comment = _html("comment")
        self.preset.observe(lambda _: self.actions.load(self.chosen_preset()), names="value")
        return [self.preset, self.comment]

    def chosen_preset(self) -> Preset | None:
        """The preset in the menu; None for the lab's own settings."""
        return self.preset.value if isinstance(self.preset.value, Preset) else None

    def _export(self) -> widgets.Widget:
        self.export = _html("export")
        return self.export

    # --- what it shows ----------------------------------------------------------------------------------

    def render(self, state: State) -> None:
        """Show this state."""
        self.state, run = state, state.run
        self.run_button.disabled = self.step_button.disabled = state.locked
        self.stop_button.disabled = self.pause_button.disabled = not state.running
        self.pause_button.description = "Resume" if state.running and state.paused else "Pause"
        self.status.value = _live(html.escape(state.status), "min-height: 3em", "polite" if state.aloud else "off")
        self.note.value = _live(f"<small>{html.escape(state.note)}</small>") if state.note else ""
        if state.png:
            self.image.value = as_html(state.png, state.alt)
        self.costs.value = table.costs(run) if run else ""
        self.sample.value = table.strip(run)
        if self.prediction is not None:
            _show(self.skip_button, state.locked)
            said = f"<b>You predicted:</b> {html.escape(state.verdict)}" if state.verdict else ""
            self.verdict.value = _live(said)
        self.comment.value = _live(html.escape(state.comment))
        self.fill()

    def fill(self) -> None:
        """Fill what is unfolded; what is closed costs nothing."""
        state, run = self.state, self.state.run
        if self.folds["What it thinks"].value:
            told = run.thoughts if run else None
            self.thoughts.value = table.thoughts(told, run.unit if run else "character")
            self.maps.value = table.attention(told)
        if self.folds["Side by side"].value:
            self._fill_sides()
        if self.folds["Compare the runs"].value:
            if [row.run for row in self.rows.children] != list(state.runs):
                old, self.rows.children = self.rows.children, [self._row_of(run) for run in state.runs]
                for row in old:
                    close(row)
            self.table.value = table.as_table(state.runs)
        if self.folds["Take it away"].value:
            self.export.value = self._links()

    def _fill_sides(self) -> None:
        taken = {f"run {run.number}, step {s.step:,}": s for run in self.state.runs for s in run.samples}
        last = self.state.run.samples if self.state.run else []
        for (menu, page), (name, first) in zip(self.sides, SIDES.items(), strict=True):
            options = [(first, name), *taken.items()]
            if list(menu.options) != options:
                before = menu.value if menu.value in taken.values() else name
                menu.options = options  # which chooses the first of them
                menu.value = before
            chosen = menu.value
            if chosen == name:
                chosen = last[0 if name == "left" else -1] if last else None
            page.value = table.page_of(chosen) if chosen else "<small>No run yet.</small>"

    def _links(self) -> str:
        shown = [run for run in self.state.runs if not run.hidden]
        if not shown:
            return "<p>No run yet.</p>"
        links = [
            f"{table.download('runs.csv', 'text/csv', table.as_csv(shown).encode())}, every loss of the runs",
            f"{table.download('runs.png', 'image/png', self.actions.export().png)}, the figure",
        ]
        items = "".join(f"<li>{item}</li>" for item in [*links, *self.state.commands])
        return f'<ul style="line-height: 1.5; overflow-wrap: anywhere">{items}</ul>'

    def close(self) -> None:
        """Take all widgets out of the page and out of memory."""
        close(self.box)


def button(name: str, tooltip: str, action: Callable[[], None]) -> widgets.Button:
    """A button that does one thing."""
    made = widgets.Button(description=name, tooltip=tooltip, layout={"width": "auto"})
    made.on_click(lambda _: action())
    return made


def close(widget: widgets.Widget) -> None:
    """Close a widget and all that is in it."""
    for child in getattr(widget, "children", ()):
        close(child)
    for part in (getattr(widget, "layout", None), getattr(widget, "style", None), widget):
        if part is not None:  # layout and style are widgets too, which ipywidgets leave behind
            part.close()


def _html(name: str) -> widgets.HTML:
    return widgets.HTML().add_class(f"gptlib-{name}")


def _box(name: str, children: Sequence[widgets.Widget]) -> widgets.VBox:
    return widgets.VBox(children).add_class(f"gptlib-{name}")


def _row(children: Sequence[widgets.Widget]) -> widgets.HBox:
    return widgets.HBox(children, layout={"flex_flow": "row wrap"})


def _show(widget: widgets.Widget, shown: bool) -> None:
    (widget.remove_class if shown else widget.add_class)("gptlib-hidden")


def _live(content: str, style: str = "", live: str = "polite") -> str:
    """A part of the page whose changes a screen reader reads out."""
    return f'<div role="status" aria-live="{live}" style="line-height: 1.5; {style}">{content}</div>'

"""What a lab looks like. `LabView.render(state)` shows a state, whatever was shown before; it knows no lab."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from course.figures import as_html
from course.lab import table
from course.lab.controls import Page, Question, box, button, part, show
from course.lab.runs import PAUSED, X_AXES, Run
from course.prediction import Prediction

OWN_TEXT = "your own text"


@dataclass(frozen=True)
class State:
    """All that a lab shows."""

    runs: tuple[Run, ...] = ()
    locked: bool = False  # until the prediction is made or skipped
    status: str = ""
    heard: str = ""  # the same for those who listen, who could not follow every frame
    note: str = ""  # what explains the sliders and the plot
    verdict: str = ""
    picture: tuple[bytes, str] = (b"", "")  # PNG, and its alt text
    commands: tuple[str, ...] = ()  # that repeat the runs

    @property
    def run(self) -> Run | None:
        """The run that goes on, or the last one."""
        return self.runs[-1] if self.runs else None


class LabView:
    """All widgets of a lab; `box` is what a cell shows. What the learner does calls a method of `actions`, the lab."""

    def __init__(
        self,
        actions: Any,
        controls: Sequence[widgets.Widget],
        prediction: Prediction | None = None,
        texts: Sequence[str] = (),
        maps: bool = False,
    ):
        self.actions, self.state = actions, State()
        self.ask = Question(prediction, actions.predict) if prediction else None
        self.run_button = button("Run", "Train with these settings, from the start", actions.start)
        self.run_button.button_style = "primary"
        self.pause_button = button("Pause", "Pause the run, or let it continue", actions.pause)
        self.step_button = button("Step", "One optimizer step, then pause", actions.step)
        self.stop_button = button("Stop", "End the run now", actions.stop)
        buttons = [self.run_button, self.pause_button, self.step_button, self.stop_button]
        parts = map(part, ("plot", "costs", "sample", "status", "note", "unseen"))
        self.image, self.costs, self.sample, self.status, self.note, self.heard = parts
        for read in (self.note, self.heard):
            read.add_class("gptlib-heard")
        told = [self.note, self.status, self.heard]
        left = [*self._texts(texts), box("sliders", controls), box("buttons", buttons), *told]
        grid = widgets.VBox(
            [
                *([self.ask.box] if self.ask else []),
                box("controls", left),
                box("plotarea", [self.image, self.costs]),
                box("below", [self.sample]),
                box("folds", self._folds(maps)),
            ]
        ).add_class("gptlib-grid")
        self.box = widgets.VBox([grid, Page()]).add_class("gptlib-lab").add_class("gptlib-named")
        if len(controls) > 5:
            self.box.add_class("gptlib-many")

    # --- what is on the page --------------------------------------------------------------------------

    def _texts(self, texts: Sequence[str]) -> list[widgets.Widget]:
        """A choice of texts, and a box for one's own."""
        if not texts:
            return []
        self.text_menu = widgets.Dropdown(options=[*texts, OWN_TEXT], description="text")
        self.own_text = widgets.Textarea(placeholder="Paste a text, or write the path of a file")
        self.own_text.tooltip = OWN_TEXT

        def use() -> None:
            self.actions.open_text(self.text_menu.value, self.own_text.value)

        def chosen(_: dict) -> None:
            show(pasted, self.text_menu.value == OWN_TEXT)
            if self.text_menu.value != OWN_TEXT:
                use()

        self.use_button = button("Use this text", "Learn from what is in the box", use)
        pasted = box("pasted", [self.own_text, self.use_button])
        show(pasted, False)
        self.text_menu.observe(chosen, names="value")
        return [self.text_menu, pasted]

    def _folds(self, maps: bool) -> list[widgets.Widget]:
        self.export = part("export")
        self.folds: dict[str, widgets.ToggleButton] = {}
        contents = {
            "What it thinks": self._thinking(maps),
            "Side by side": self._side_by_side(),
            "Compare the runs": self._comparison(),
            "Take it away": [self.export],
        }
        panels = []
        for name, content in contents.items():
            panels.append(panel := widgets.VBox(content))
            toggle = widgets.ToggleButton(description=name)
            show(panel, False)
            toggle.observe(lambda change, panel=panel: (show(panel, change["new"]), self.fill()), names="value")
            self.folds[name] = toggle
        self.folds["What it thinks"].value = maps
        return [box("row", list(self.folds.values())), *panels]

    def _thinking(self, maps: bool) -> list[widgets.Widget]:
        self.line = widgets.Text(description="a line", continuous_update=True)
        self.line.observe(lambda _: self.actions.think(), names="value")
        self.thoughts, self.maps = part("thoughts"), part("maps")
        show(self.maps, maps)
        return [box("row", [self.line]), box("pair", [self.thoughts, self.maps])]

    def _side_by_side(self) -> list[widgets.Widget]:
        self.sides = [(widgets.Dropdown(description=name), part("page")) for name in ("left", "right")]
        for menu, _ in self.sides:
            menu.observe(lambda _: self.fill(), names="value")
        return [box("pair", [widgets.VBox(side) for side in self.sides])]

    def _comparison(self) -> list[widgets.Widget]:
        self.x_axis = widgets.Dropdown(options=list(X_AXES), description="against")
        self.x_axis.observe(lambda _: self.actions.redraw(), names="value")
        self.rows, self.table = widgets.VBox(), part("table")
        return [box("row", [self.x_axis]), self.rows, self.table]

    def _row_of(self, run: Run) -> widgets.Widget:
        """What can be done with one run: hide, rename, delete."""
        shown = widgets.Checkbox(value=not run.look.hidden, description=f"show run {run.number}", indent=False)
        name = widgets.Text(value=run.look.name, placeholder=run.label[:60], continuous_update=False)
        name.tooltip = f"name of run {run.number}"
        delete = button(f"Delete run {run.number}", "Forget it", lambda: self.actions.delete(run))

        def changed(_: dict) -> None:
            run.look.hidden, run.look.name = not shown.value, name.value.strip()
            self.actions.redraw()

        for widget in (shown, name):
            widget.observe(changed, names="value")
        row = box("row", [shown, name, delete])
        row.run = run
        return row

    # --- what it shows ----------------------------------------------------------------------------------

    def render(self, state: State) -> None:
        """Show this state."""
        self.state, run = state, state.run
        going = run is not None and not run.over
        self.run_button.disabled = self.step_button.disabled = state.locked
        self.stop_button.disabled = self.pause_button.disabled = not going
        self.pause_button.description = "Resume" if run and run.status == PAUSED else "Pause"
        self.status.value, self.heard.value = html.escape(state.status), html.escape(state.heard)
        self.note.value = f"<small>{html.escape(state.note)}</small>" if state.note else ""
        self.image.value = as_html(*state.picture)
        self.costs.value = table.costs(run) if run else ""
        self.sample.value = table.strip(run)
        if self.ask:
            show(self.ask.skip_button, state.locked)
            told = f"<b>You predicted:</b> {html.escape(state.verdict)}"
            self.ask.verdict.value = told if state.verdict else ""
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
        taken = [(f"run {run.number}, step {s.step:,}", s) for run in self.state.runs for s in run.samples]
        latest = self.state.run.samples if self.state.run else []
        for (menu, page), (name, place) in zip(self.sides, (("the first", 0), ("the latest", -1)), strict=True):
            if list(menu.options) != (options := [(name, ""), *taken]):
                chosen = menu.value
                menu.options = options  # which chooses the first of them
                menu.value = chosen if chosen in dict(taken).values() else ""
            sample = menu.value or (latest[place] if latest else None)
            page.value = table.written(sample) if sample else "<small>No run yet.</small>"

    def _links(self) -> str:
        shown = [run for run in self.state.runs if not run.look.hidden]
        if not shown:
            return "<p>No run yet.</p>"
        links = [
            f"{table.download('runs.csv', 'text/csv', table.as_csv(shown).encode())}, every loss of the runs",
            f"{table.download('runs.png', 'image/png', self.state.picture[0])}, the figure",
        ]
        items = "".join(f"<li>{item}</li>" for item in [*links, *self.state.commands])
        return f'<ul style="line-height: 1.5; overflow-wrap: anywhere">{items}</ul>'


def close(widget: widgets.Widget) -> None:
    """Close a widget and all that is in it."""
    for child in getattr(widget, "children", ()):
        close(child)
    for piece in (getattr(widget, "layout", None), getattr(widget, "style", None), widget):
        if piece is not None:  # layout and style are widgets too, which ipywidgets leave behind
            piece.close()

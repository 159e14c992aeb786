"""A reader's way through a live lab, in a real browser."""

import io
import re
import time

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from course.figures import COLORS

pytestmark = [pytest.mark.browser]

CELL = """from course.lab import Lab, Prediction

prediction = Prediction(
    "You read 16 characters back instead of 32. What happens to a run?",
    ("It takes less time", "It takes more time"), answer=0, why="Fewer characters a step.", moves="block_size",
)
lab = Lab("eval_interval", "eval_iters", "log_interval", "block_size", prediction=prediction, max_iters=200)
lab"""
PATIENCE = 180.0  # seconds after which something is taken to have failed; the times themselves are only reported
LONG_RUN, SHORT_RUN = 128, 16  # block_size: some ten seconds, some seconds

STORED_ERRORS = ", ".join(
    f".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.{kind}']" for kind in ("stderr", "error")
)
KERNEL_IS_IDLE = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    return context?.session?.kernel?.status === 'idle';
}"""
RUN_ALL = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells').then(ok => { window.ranAll = ok }) }"
RUN_A_NEW_CELL = """source => {
    const {shell, commands} = window.jupyterapp, notebook = shell.currentWidget.content;
    notebook.activeCellIndex = notebook.widgets.length - 1;
    commands.execute('notebook:insert-cell-below').then(() => {
        notebook.activeCell.model.sharedModel.setSource(source);
        commands.execute('notebook:run-cell');
    });
}"""
WATCH_FRAMES = """lab => {
    window.frames_seen = [], window.points_seen = [];
    const hasPoint = picture => /running at step [0-9,]+ of [0-9,]+, (last|validation)/.test(picture?.alt);
    const isImage = node => node.nodeName === 'IMG' || node.querySelector?.('img');
    new MutationObserver(changes => {
        if (!changes.some(change => [...change.addedNodes].some(isImage))) return;
        window.frames_seen.push(Date.now());
        if (hasPoint(lab.querySelector('.gptlib-plot img'))) window.points_seen.push(Date.now());
    }).observe(lab.querySelector('.gptlib-plot'), {subtree: true, childList: true});
    lab.addEventListener('click', event => { window.clicked = Date.now() }, {capture: true});
}"""


class Lesson:
    """The page of a notebook and its first live lab, with what a reader does and sees there."""

    def __init__(self, page, address: str):
        self.page = page
        page.set_default_timeout(PATIENCE * 1000)
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(address)
        page.locator(".jp-Notebook").wait_for()
        page.wait_for_function(KERNEL_IS_IDLE)
        self.lab = page.locator(".gptlib-lab").first
        self.plot = self.lab.locator(".gptlib-plot")

    def run_all_cells(self) -> None:
        self.page.evaluate(RUN_ALL)
        self.page.wait_for_function("() => window.ranAll !== undefined", timeout=600_000)
        assert self.page.locator(STORED_ERRORS).all_inner_texts() == []
        self.page.wait_for_function(KERNEL_IS_IDLE)
        self.plot.locator("img").wait_for()
        self.lab.evaluate(WATCH_FRAMES)

    def run_new_cell(self, source: str) -> None:
        self.page.evaluate(RUN_A_NEW_CELL, source)

    def button(self, name: str):
        return self.lab.get_by_role("button", name=name, exact=True)

    def press(self, name: str) -> None:
        self.button(name).click()

    # --- sliders

    def slider(self, name: str):
        label = self.page.locator(".widget-label", has_text=re.compile(f"^{name}$"))
        return self.lab.locator(".widget-slider").filter(has=label)

    def value(self, name: str) -> int:
        return int(self.slider(name).locator(".widget-readout").inner_text().replace(",", ""))

    def wait_for_value_above(self, name: str, value: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.value(name) <= value:
            assert time.monotonic() < deadline, f"{name} stays at {self.value(name)}"
            self.page.wait_for_timeout(20)

    def press_key(self, name: str, key: str) -> None:
        self.slider(name).locator(".noUi-handle").press(key)

    def drag(self, name: str, pixels: int) -> None:
        handle = self.slider(name).locator(".noUi-handle")
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + pixels, y, steps=8)
        self.page.mouse.up()

    def type_value(self, name: str, value: int) -> None:
        readout = self.slider(name).locator(".widget-readout")
        readout.fill(str(value))
        readout.press("Enter")
        assert self.value(name) == value

    # --- what is seen

    def status(self) -> str:
        return self.lab.locator(".gptlib-status").inner_text()

    def wait_for_status(self, word: str) -> float:
        """The seconds from the last click until the status line begins with `word`."""
        self.lab.locator(".gptlib-status", has_text=re.compile(rf"^\s*{word}")).wait_for()
        return (self.page.evaluate("Date.now()") - self.page.evaluate("window.clicked")) / 1000

    def frames(self) -> int:
        return self.page.evaluate("window.frames_seen.length")

    def wait_for_frames(self, count: int) -> None:
        """Wait until `count` more pictures have come."""
        self.page.wait_for_function("n => window.frames_seen.length >= n", arg=self.frames() + count)

    def first_point_after_click(self) -> float:
        find = "() => window.points_seen.find(t => t >= window.clicked)"
        return (self.page.wait_for_function(find).json_value() - self.page.evaluate("window.clicked")) / 1000

    def run_color(self) -> str:
        """The colour of the run on the plot: the alt text says its number."""
        alt = self.plot.locator("img").get_attribute("alt")
        return COLORS[int(re.findall(r"Run (\d+)", alt)[-1]) - 1]

    def look(self) -> np.ndarray:
        """The plot as it stands on the screen: height x width x 3."""
        return np.asarray(Image.open(io.BytesIO(self.plot.screenshot())).convert("RGB")).astype(int)


def colored(picture: np.ndarray, color: str) -> int:
    """How many pixels have a run's colour: as it is, or as the thin line shines through on white."""
    solid = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    thin = 255 - 0.65 * (255 - solid)
    near = [np.abs(picture - shade).max(axis=2) < 30 for shade in (solid, thin)]
    return int(np.logical_or(*near).sum())


@pytest.fixture
def lesson(browser, jupyter, served, tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, served / "a_lab.ipynb")
    context = browser.new_context(viewport={"width": 1300, "height": 900}, device_scale_factor=1.5)
    lesson = Lesson(context.new_page(), jupyter("a_lab.ipynb"))
    yield lesson
    lesson.page.screenshot(path=tmp_path / "at_the_end.png")  # for whoever wonders why it failed
    lesson.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    context.close()


def test_live_lab(lesson, tmp_path, record_property):
    assert lesson.page.get_by_text("Error displaying widget").count() == 0  # opened, and not yet run
    started = time.monotonic()
    lesson.run_all_cells()
    record_property("run all cells", time.monotonic() - started)

    # Predict, and set the sliders: by key, by mouse, by number.
    expect(lesson.button("Run")).to_be_disabled()
    lesson.press("Skip")
    lesson.wait_for_status("ready")
    expect(lesson.button("Run")).to_be_enabled()
    for name, move in (("eval_interval", "key"), ("eval_iters", "mouse")):
        before = lesson.value(name)
        lesson.press_key(name, "ArrowRight") if move == "key" else lesson.drag(name, 40)
        lesson.wait_for_value_above(name, before)
    lesson.type_value("block_size", LONG_RUN)

    # Run: the curve grows.
    empty = lesson.look()
    lesson.press("Run")
    lesson.first_point_after_click()
    lesson.wait_for_frames(1)
    first, stopped_color = lesson.look(), lesson.run_color()
    lesson.wait_for_frames(3)
    assert colored(empty, stopped_color) < colored(first, stopped_color) < colored(lesson.look(), stopped_color) - 20

    # The notebook stays alive meanwhile, and Python has the values that the page shows.
    lesson.run_new_cell("print('settings', lab.settings())")
    shown = lesson.page.locator(".jp-OutputArea-output", has_text="settings {")
    shown.wait_for()
    names = ("eval_interval", "eval_iters", "log_interval", "block_size")
    assert shown.inner_text().strip() == f"settings { {name: lesson.value(name) for name in names} }"
    lesson.wait_for_frames(1)
    assert lesson.status().startswith(("running", "evaluating"))

    # Stop: it is over, and nothing more is drawn.
    lesson.press("Stop")
    record_property("Stop", lesson.wait_for_status("stopped"))
    lesson.run_new_cell("lab.wait(10); print('goes on', lab._worker.thread.is_alive())")
    lesson.page.locator(".jp-OutputArea-output", has_text="goes on False").wait_for()
    assert lesson.status().startswith("stopped")

    # The strip of samples is there; all of it fits into the window.
    lesson.lab.locator(".gptlib-card").nth(1).wait_for()
    box = lesson.lab.bounding_box()
    assert box["height"] < 720, "a laptop's screen shows no more"

    # A second run, predicted and left to end: both are on the plot, and the prediction is answered.
    lesson.lab.get_by_role("radio").first.check()
    lesson.type_value("block_size", SHORT_RUN)
    lesson.press("Run")
    record_property("Run to first point", lesson.first_point_after_click())
    record_property("a whole run", lesson.wait_for_status("finished"))
    lesson.lab.get_by_text("Fewer characters a step").wait_for()  # the run has tested the prediction
    picture, finished_color = lesson.look(), lesson.run_color()
    assert finished_color != stopped_color
    assert min(colored(picture, color) for color in (stopped_color, finished_color)) > 100
    assert lesson.page.locator(STORED_ERRORS).all_inner_texts() == []
    assert lesson.errors == []

"""What only a page can show of a lab: names for screen readers, downloads, and what is left of a run."""

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from test_live_lab import KERNEL_IS_IDLE, RUN_A_NEW_CELL, RUN_ALL

pytestmark = [pytest.mark.browser]

LAB = """from gptlib import Dataset
from course.quiz import Choice, Question, Quiz
from course.lab import Lab, Prediction

text = Dataset.from_text("the quick brown fox jumps over the lazy dog. " * 40)
prediction = Prediction("Which way?", ("up", "down"), 1, "It learns.")
small = dict(n_layer=1, n_head=1, n_embd=16, block_size=8, batch_size=4, max_iters=1_000_000, threads=1)
lab = Lab("eval_interval", "learning_rate", "attention", dataset=text, prediction=prediction, **small)
lab"""
QUIZ = """Quiz("1", [Question("Is it?", (Choice("yes", "so it is", right=True), Choice("no", "but it is")))])"""

# The thread of a run that has just said "stopped" may take a moment to end; one that goes on is there a second later.
RUNS_GOING_ON = (
    "[t.name for t in __import__('threading').enumerate() if t.name == 'gptlib-live' and (t.join(1) or t.is_alive())]"
)


@pytest.fixture(scope="module")
def page(browser, jupyter, served):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (LAB, QUIZ)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, served / "lab.ipynb")
    page = browser.new_context(viewport={"width": 1200, "height": 1100}).new_page()
    page.set_default_timeout(60_000)
    page.goto(jupyter("lab.ipynb"))
    page.locator(".jp-Notebook").wait_for()
    page.wait_for_function(KERNEL_IS_IDLE)
    page.evaluate(RUN_ALL)
    page.locator(".gptlib-plot img").wait_for()
    yield page
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.context.close()


@pytest.fixture
def lab(page):
    return page.locator(".gptlib-lab")


def ask(page, expression):
    """What Python says to an expression, by a new cell."""
    page.evaluate(RUN_A_NEW_CELL, f"print('said', {expression})")
    said = page.locator(".jp-OutputArea-output", has_text="said ").last
    said.wait_for()
    text = said.inner_text().strip()
    page.evaluate("window.jupyterapp.commands.execute('notebook:delete-cell')")
    return text.removeprefix("said ")


def test_every_control_has_a_name(page, lab):
    for name in ("eval_interval", "learning_rate"):
        lab.get_by_role("slider", name=name, exact=True).wait_for()
        lab.get_by_role("textbox", name=f"{name}, as a number").wait_for()
    lab.get_by_role("combobox", name="attention").wait_for()
    lab.get_by_role("radiogroup", name="Predict: Which way?").wait_for()
    page.get_by_role("radiogroup", name="Is it?").wait_for()
    expect(lab.locator(".gptlib-unseen")).to_have_attribute("role", "status")
    nameless = "nodes => nodes.filter(node => !node.getAttribute('aria-label')).length"
    assert page.locator("[role=slider], [role=radiogroup], .widget-readout").evaluate_all(nameless) == 0


def test_what_is_typed_is_what_is_read_and_set_or_a_word_says_why_not(page, lab):
    def type_in(name, text):
        number = lab.get_by_role("textbox", name=f"{name}, as a number")
        number.fill(text)
        number.press("Enter")
        return number

    expect(type_in("learning_rate", "0.0123")).to_have_text("0.0123")
    assert ask(page, "lab.settings()['learning_rate']") == "0.0123"
    expect(type_in("eval_interval", "5000")).to_have_text("200")
    expect(lab.get_by_role("alert")).to_have_text("5000 is beyond its range; it ends at 200")
    type_in("eval_interval", "50")
    expect(lab.get_by_role("alert")).to_have_count(0)


def test_an_arrow_key_moves_a_choice_and_does_not_leave_for_the_next_cell(page):
    quiz = page.get_by_role("radiogroup", name="Is it?")
    quiz.get_by_role("radio").first.press("Space")
    before = page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex")
    quiz.get_by_role("radio").first.press("ArrowDown")
    expect(quiz.get_by_role("radio").nth(1)).to_be_checked()
    assert page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex") == before


def test_the_keyboard_alone_predicts_and_runs(page, lab):
    lab.get_by_role("radio").first.press("Space")
    run = lab.get_by_role("button", name="Run", exact=True)
    page.wait_for_function("button => !button.disabled", arg=run.element_handle())
    run.press("Enter")
    lab.locator(".gptlib-status", has_text="validation loss").wait_for()
    lab.get_by_role("button", name="Pause").press("Enter")
    lab.locator(".gptlib-status", has_text="paused").wait_for()


def test_the_runs_can_be_taken_away(page, lab):
    fold = lab.get_by_role("button", name="Take it away")
    expect(fold).to_have_attribute("aria-expanded", "false")
    fold.press("Enter")
    with page.expect_download() as caught:
        lab.get_by_role("link", name="runs.csv").click()
    assert caught.value.suggested_filename == "runs.csv"
    lines = caught.value.path().read_text().splitlines()
    assert lines[0].startswith("run,name,settings") and len(lines) > 2
    with page.expect_download() as caught:
        lab.get_by_role("link", name="runs.png").click()
    assert caught.value.path().read_bytes().startswith(b"\x89PNG")
    expect(fold).to_have_attribute("aria-expanded", "true")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_no_serious_fault(page, lab, theme):
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
    page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=str("Light" in theme).lower())
    violations = Axe().run(page, context=".gptlib-lab", options={"preload": False}).response["violations"]
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in serious] == []


@pytest.mark.parametrize("width", [900, 600])  # 600: 1200 pixels at 200 % zoom
def test_a_narrow_window_cuts_nothing_off(page, lab, width):
    fold = lab.get_by_role("button", name="Compare the runs")
    if fold.get_attribute("aria-expanded") == "false":
        fold.click()
    page.set_viewport_size({"width": width, "height": 1100})
    page.wait_for_function(
        "width => document.querySelector('.gptlib-lab').getBoundingClientRect().right <= width", arg=width
    )
    cut = """lab => [...lab.querySelectorAll('button, .slider-container, input, select, img')].filter(node => {
        const box = node.getBoundingClientRect();
        return box.width && (box.width < 12 || box.right > lab.getBoundingClientRect().right + 4);
    }).map(node => node.outerHTML.slice(0, 200))"""
    assert lab.evaluate(cut) == []
    last_column = """table => {
        table.scrollLeft = table.scrollWidth;
        return table.querySelector('td:last-child').getBoundingClientRect().right - table.getBoundingClientRect().right;
    }"""
    assert lab.get_by_role("region", name="table of the runs").evaluate(last_column) < 1
    page.set_viewport_size({"width": 1200, "height": 1100})


def test_a_run_goes_on_while_its_tab_is_closed_and_is_there_when_it_is_opened_again(page, lab):
    lab.get_by_role("button", name="Resume").click()
    lab.locator(".gptlib-status", has_text="running").wait_for()
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")  # else it asks whether to
    page.evaluate("window.jupyterapp.commands.execute('application:close')")
    lab.wait_for(state="detached")
    page.evaluate("window.jupyterapp.commands.execute('docmanager:open', {path: 'lab.ipynb'})")
    lab.locator(".gptlib-status", has_text="running").wait_for()
    page.wait_for_function(KERNEL_IS_IDLE)
    lab.get_by_role("button", name="Pause").click()
    lab.locator(".gptlib-status", has_text="paused").wait_for()


def test_running_the_cell_again_and_again_ends_the_old_runs(page, lab):
    run_the_cell(page)
    predict_and_run(lab)
    ask(page, "[first := lab] and 1")
    run_the_cell(page)
    run_the_cell(page)
    lab.locator(".gptlib-status", has_text="predict first").wait_for()
    page.wait_for_function(KERNEL_IS_IDLE)
    assert ask(page, f"first is lab, first.running, {RUNS_GOING_ON}") == "False False []"
    assert_only_lab_and_it_works(page, lab)


def run_the_cell(page):
    page.evaluate("""() => {
        const {shell, commands} = window.jupyterapp;
        shell.currentWidget.content.activeCellIndex = 0;
        commands.execute('notebook:run-cell');
    }""")


def predict_and_run(lab):
    lab.get_by_role("radio").first.check()
    lab.get_by_role("button", name="Run", exact=True).click()
    lab.locator(".gptlib-status", has_text="running").wait_for()


def assert_only_lab_and_it_works(page, lab):
    for only in (lab, page.locator(".gptlib-plot"), page.locator(".jp-Cell").first.locator(".gptlib-lab")):
        expect(only).to_have_count(1)
    predict_and_run(lab)
    lab.get_by_role("button", name="Stop").click()
    lab.locator(".gptlib-status", has_text="stopped").wait_for()
    assert ask(page, f"lab.runs[-1].status, {RUNS_GOING_ON}") == "stopped []"

"""The playground in a real browser: another text, what the model writes and thinks; and a slow cell's progress."""

import re

import pytest
from playwright.sync_api import expect
from test_live_lab import KERNEL_IS_IDLE, PATIENCE, RUN_A_NEW_CELL, RUN_ALL

pytestmark = [pytest.mark.browser]

TEXT = "How much wood would a woodchuck chuck if a woodchuck could chuck wood?\n" * 40


@pytest.fixture(scope="module")
def page(browser, jupyter):
    page = browser.new_context(viewport={"width": 1300, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(jupyter("playground.ipynb"))
    page.locator(".jp-Notebook").wait_for()
    page.wait_for_function(KERNEL_IS_IDLE)
    yield page
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.context.close()


@pytest.fixture
def lab(page):
    return page.locator(".gptlib-lab")


def test_a_fresh_clone_says_what_to_do(page):
    page.get_by_text(re.compile("run this cell to bring it back")).wait_for()
    page.evaluate(RUN_ALL)
    page.locator(".gptlib-plot img").wait_for()


def test_a_pasted_text_is_learned(page, lab):
    lab.get_by_role("combobox", name="text").select_option("your own text")
    lab.locator("textarea").fill(TEXT)
    lab.get_by_role("button", name="Use this text").click()
    lab.locator(".gptlib-note", has_text="Only 2,8").wait_for()  # too short to learn from, and allowed
    lab.get_by_role("textbox", name="max_iters, as a number").fill("100")
    lab.get_by_role("textbox", name="max_iters, as a number").press("Enter")
    lab.get_by_role("button", name="Run", exact=True).click()
    lab.locator(".gptlib-status", has_text="finished").wait_for()
    expect(lab.locator(".gptlib-plot img")).to_have_attribute("alt", re.compile("A GPT learns your text"))


def test_the_strip_shows_what_it_wrote_and_when(lab):
    expect(lab.locator(".gptlib-card b")).to_have_text(["step 0", "step 10", "step 30", "step 100"])
    expect(lab.locator(".gptlib-card").last).to_contain_text("wood")
    lab.get_by_role("button", name="Side by side").click()
    lab.get_by_role("combobox", name="left").select_option("run 1, step 10")
    expect(lab.locator(".gptlib-page").first).to_have_text(re.compile(r"\S"))


def test_what_it_thinks_follows_what_is_typed(lab):
    line = lab.get_by_role("textbox", name="a line")
    line.fill("How much woo")
    thoughts = lab.locator(".gptlib-thoughts")
    thoughts.get_by_text("“How␣much␣woo”").wait_for()
    expect(thoughts.locator("code")).to_have_count(10)
    expect(thoughts.locator("code").first).to_have_text("d")
    expect(lab.locator(".gptlib-maps svg")).to_have_count(8)  # two blocks of four heads


def test_a_wrong_argument_is_one_sentence_in_the_cell(page):
    page.evaluate(RUN_A_NEW_CELL, "Lab('lerning_rate')")
    error = page.locator(".jp-OutputArea-output", has_text="UsageError")
    expect(error).to_have_text("UsageError: no setting 'lerning_rate'; did you mean 'learning_rate'?")
    page.evaluate("window.jupyterapp.commands.execute('notebook:delete-cell')")


def test_a_lab_runs_in_the_cell(page):
    cell = "Lab(max_iters=60, block_size=16, title='in the cell').run()"
    page.evaluate(RUN_A_NEW_CELL, cell)
    page.locator(".jp-OutputArea-output img[alt*='finished at step 60']").wait_for()
    expect(page.locator(".jp-OutputArea-output img[alt^='in the cell']")).to_have_count(1)  # redrawn in place
    page.evaluate("window.jupyterapp.commands.execute('notebook:delete-cell')")


LONG_LOOP = "for _ in progress(range(10**6), 'counting'):\n    if seen.exists():\n        break\n    time.sleep(0.1)"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("while not seen.exists():\n    time.sleep(0.1)", r"this cell runs, \d+ s"),
        (LONG_LOOP, r"counting: \d+ of 1,000,000"),
    ],
)
def test_a_slow_cell_shows_its_progress_and_stores_nothing(page, served, cell, words):
    """The cell is slow until the page has shown it."""
    imports = "import time\nfrom pathlib import Path\nfrom course.progress_bar import progress\n"
    page.evaluate(RUN_A_NEW_CELL, f"{imports}seen = Path('seen')\nseen.unlink(missing_ok=True)\n{cell}")
    page.locator(".gptlib-progress", has_text=re.compile(words)).wait_for()
    (served / "seen").touch()
    page.locator(".gptlib-progress").wait_for(state="detached")
    expect(page.locator(".jp-CodeCell").last.locator(".jp-OutputArea-output")).to_have_count(0)

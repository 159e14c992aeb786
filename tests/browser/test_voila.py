"""A lesson's lab served by Voila, as `make serve` does, in a real browser.

It serves one small notebook with the lab of lesson 03: Voila shows a page when all cells have run,
and the lesson itself takes more than a minute before that.
"""

import re
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec

import nbformat.v4 as v4
import pytest

from conftest import environment, free_port, wait_until_it_answers

# Not imported here: that takes a second, in each of the processes that look for tests.
missing = pytest.mark.skipif(find_spec("voila") is None, reason="no extra `serve`: make test installs it")
pytestmark = [pytest.mark.browser, missing]

CELL = """
from gptlib import Dataset
from course.lab import Lab, Prediction
prediction = Prediction("What happens?", choices=("this", "that"), answer=0, why="It does.")
data = Dataset.from_text("the quick brown fox jumps over the lazy dog. " * 200)
Lab("eval_interval", "block_size", dataset=data, prediction=prediction, max_iters=100_000, threads=1)
"""
PATIENCE = 90_000  # milliseconds


@pytest.fixture(scope="module")
def voila(browser, tmp_path_factory):
    """The address of the notebook, served."""
    home, port = tmp_path_factory.mktemp("voila"), free_port()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = v4.new_notebook(cells=[v4.new_code_cell(CELL)], metadata=kernel)
    (home / "lab.ipynb").write_text(v4.writes(notebook), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "voila",
        home / "lab.ipynb",
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
    ]
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command, env=environment(home), stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}/"
        wait_until_it_answers(server, f"{address}voila/static/voila.js", home / "log")
        yield address
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(15)
        server.kill()
        server.wait()


def test_a_served_lab_runs_and_stops(browser, voila):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(voila, timeout=PATIENCE)
    lab = page.locator(".gptlib-lab")
    picture = lab.locator(".gptlib-plot img")
    lab.get_by_role("button", name="Skip").click()
    before = picture.get_attribute("src")
    lab.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_function("old => document.querySelector('.gptlib-plot img').src !== old", arg=before)
    running = picture.get_attribute("src")
    page.wait_for_function("old => document.querySelector('.gptlib-plot img').src !== old", arg=running)
    lab.get_by_role("button", name="Stop", exact=True).click()
    lab.locator(".gptlib-status", has_text=re.compile("stopped")).wait_for()
    assert errors == []

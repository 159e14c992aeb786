"""A slow cell's progress, without a page."""

import re
import threading

import pytest

from course import progress_bar
from course.progress_bar import begin_cell, end_cell, progress


class Bar:
    """What the page would show; `told` is set when something is."""

    def __init__(self):
        self.told, self.closed = threading.Event(), threading.Event()

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "fraction":
            self.told.set()

    def close(self):
        self.closed.set()


@pytest.fixture
def bar(monkeypatch):
    bar = Bar()
    monkeypatch.setattr(progress_bar, "SHOWN_AFTER", 0.0)
    monkeypatch.setattr(progress_bar, "PAUSE", 0.001)
    monkeypatch.setattr(progress_bar, "_new_bar", lambda: bar)
    begin_cell()
    yield bar
    end_cell()
    assert bar.closed.wait(60) and bar.over


def test_it_gives_what_it_is_given():
    assert list(progress([1, 2, 3], "adding")) == [1, 2, 3]
    assert list(progress(iter("ab"), "reading", total=2)) == ["a", "b"]


def test_a_slow_cell_says_for_how_long_it_runs(bar):
    assert bar.told.wait(60) and re.fullmatch(r"this cell runs, \d+ s", bar.words)


def test_its_loop_says_how_far_it_is(bar):
    for done, _ in enumerate(progress(range(5), "runs")):
        for _ in range(2):  # the first may be of the step before
            bar.told.clear()
            assert bar.told.wait(60)
        assert bar.words.startswith(f"runs: {done} of 5, ") and bar.fraction == done / 5


def test_a_loop_that_is_left_early_is_forgotten():
    steps = progress(range(5), "runs")
    next(steps)
    assert progress_bar._words == "runs: 0 of 5"
    steps.close()  # as Python does with a loop that ends by break or by an error
    assert progress_bar._words == ""

"""A slow cell's progress, without a page."""

import pytest

from course import progress_bar
from course.progress_bar import progress


class Bar:
    over = closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def bar(monkeypatch):
    bar = Bar()
    monkeypatch.setattr(progress_bar, "SHOWN_AFTER", 0.0)
    monkeypatch.setattr(progress_bar, "PAUSE", 0.0)
    monkeypatch.setattr(progress_bar, "_new_bar", lambda total: bar)
    return bar


def test_it_gives_what_it_is_given_outside_a_notebook():
    assert list(progress([1, 2, 3], "adding")) == [1, 2, 3]
    assert list(progress(iter("ab"), "reading", total=2)) == ["a", "b"]


def test_it_says_how_far_it_is_and_goes_away(bar):
    for done, _ in enumerate(progress(range(5), "runs")):
        assert bar.words == f"runs: {done} of 5" and not bar.over
    assert bar.over and bar.closed


def test_it_goes_away_when_the_loop_is_left_early(bar):
    steps = progress(range(5), "runs")
    next(steps)
    steps.close()  # as Python does with a loop that ends by break or by an error
    assert bar.closed

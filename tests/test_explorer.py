"""An explorer that asks first."""

import pytest
from ipywidgets import IntSlider

from course.lab import Explorer, Prediction

PREDICTION = Prediction("Up or <down>?", ("up", "down"), answer=1, why="It has weight.")


@pytest.fixture
def asking():
    return Explorer(lambda x: f"<b>{x}</b>", "a number", prediction=PREDICTION, x=IntSlider(value=3, max=9))


def test_nothing_is_shown_before_an_answer(asking):
    assert asking.shown.layout.display == "none"
    assert asking.choice.index is None and not asking.verdict.value
    assert any("Up or &lt;down&gt;?" in getattr(child, "value", "") for child in asking.box.children)


@pytest.mark.parametrize(("chosen", "words"), [(0, "Not quite. What happens: “down”."), (1, "Right. It has weight.")])
def test_an_answer_shows_the_rest_and_what_came_of_it(asking, chosen, words):
    asking.choice.index = chosen
    assert asking.shown.layout.display is None and words in asking.verdict.value
    assert asking.skip_button.layout.display == "none"
    asking.controls["x"].value = 7
    assert asking.output.value == "<b>7</b>"


def test_skip_shows_the_rest_and_says_nothing(asking):
    asking.skip_button.click()
    assert asking.shown.layout.display is None and "weight" not in asking.verdict.value


def test_without_a_prediction_nothing_is_asked():
    plain = Explorer(lambda x: f"<b>{x}</b>", "a number", x=IntSlider(value=3))
    assert plain.shown.layout.display is None and plain.box.children[0] is plain.shown

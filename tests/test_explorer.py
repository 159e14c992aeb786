"""An explorer follows its controls, and may ask first."""

import pytest
from ipywidgets import FloatSlider, IntSlider

from course.lab import Explorer, Picture, Prediction, new_figure
from gptlib.errors import UserError

PREDICTION = Prediction("Up or <down>?", ("up", "down"), answer=1, why="It has weight.")


def is_hidden(widget):
    return "gptlib-hidden" in widget._dom_classes


@pytest.fixture
def asking():
    return Explorer(lambda x: f"<b>{x}</b>", "a number", prediction=PREDICTION, x=IntSlider(value=3, max=9))


def test_nothing_is_shown_before_an_answer(asking):
    assert is_hidden(asking.shown)
    assert asking.ask.choice.index is None and not asking.ask.verdict.value
    assert any("Up or &lt;down&gt;?" in getattr(child, "value", "") for child in asking.ask.box.children)


@pytest.mark.parametrize(("chosen", "words"), [(0, "Not quite. What happens: “down”."), (1, "Right. It has weight.")])
def test_an_answer_shows_the_rest_and_what_came_of_it(asking, chosen, words):
    asking.ask.choice.index = chosen
    assert not is_hidden(asking.shown) and words in asking.ask.verdict.value
    assert is_hidden(asking.ask.skip_button)
    asking.controls["x"].value = 7
    assert asking.output.value == "<b>7</b>"


def test_skip_shows_the_rest_and_says_nothing(asking):
    asking.ask.skip_button.click()
    assert not is_hidden(asking.shown) and "weight" not in asking.ask.verdict.value


def test_without_a_prediction_nothing_is_asked():
    plain = Explorer(lambda x: f"<b>{x}</b>", "a number", x=IntSlider(value=3))
    assert not is_hidden(plain.shown) and plain.box.children[0] is plain.shown


def test_an_explorer_follows_its_control():
    def draw(x):
        if x > 1:
            raise UserError("x is too large")
        figure, ax = new_figure()
        ax.plot([0, x])
        return Picture(figure, "a line", f"a line up to {x}")

    explorer = Explorer(draw, "a line", x=FloatSlider(value=0, max=5))
    explorer.controls["x"].value = 0.5
    assert "a line up to 0.5" in explorer.output.value
    explorer.controls["x"].value = 3
    assert "x is too large" in explorer.status.value

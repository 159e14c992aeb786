"""What lesson 00 draws."""

from course.lessons import figures_00 as figures
from gptlib.events import Estimate

MARKS = {"guessing": 4.14, "letter pairs": 2.46}


def test_losses_are_told_with_their_landmarks():
    picture = figures.plot_losses({"training": [4.2, 3.3, 2.5]}, MARKS, until=2)
    assert picture.alt.startswith("Training loss against steps. training: from 4.2, 3.3 at step 2.")
    assert picture.alt.endswith("Landmarks: guessing 4.14, letter pairs 2.46.")


def test_held_out_points_are_told_too():
    held_out = {0: Estimate(4.2, 0.01, 9), 3: Estimate(2.61, 0.02, 9)}
    picture = figures.plot_losses({"a": [4.2, 3.3], "b": [4.2, 3.3, 2.5]}, MARKS, held_out)
    assert "on plays it has not read 4.2 at step 0, 2.61 at step 3" in picture.alt
    assert repr(picture) == "<picture: losses of a, b>"


def test_a_text_is_escaped_and_its_start_is_bold():
    assert "<strong>a &lt;b&gt;</strong>&amp;c" in figures.as_html("a <b>", "&c")

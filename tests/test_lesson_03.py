"""What lesson 03 plays, and how the stored runs of 02 and 03 were counted."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from course.lessons import figures_03, lesson_03
from gptlib import CharTokenizer, Dataset

ROOT = Path(__file__).parent.parent


# --- the game -----------------------------------------------------------------------------------------------


def test_the_game_offers_the_right_letter_among_five_and_counts():
    assert len(lesson_03.GUESS_CHOICES) == len(lesson_03.GUESS_REST) == 20
    for choices, letter in zip(lesson_03.GUESS_CHOICES, lesson_03.GUESS_REST, strict=True):
        assert len(set(choices)) == 5 and letter in choices
    game = figures_03.GuessNext("To be, ", "or", ["otn s", "n rtu"])
    text, row, score = game.view().children
    assert "To be, " in text.value and "?" in text.value
    row.children[0].click()
    assert "1 of 1" in score.value and "To be, o" in text.value
    row.children[0].click()
    assert "1 of 2" in score.value and "To be, or" in text.value
    assert "Which letter comes next" in game.static_html()


def test_the_game_is_a_line_of_a_play_that_no_model_has_read():
    text = Dataset.open("data-by-char")
    line = lesson_03.GUESS_START + lesson_03.GUESS_REST
    assert line in text.tokenizer.decode(text.val) and line not in text.tokenizer.decode(text.train)


# --- counting, and stored runs ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def context():
    return runpy.run_path(str(ROOT / "tests" / "benchmarks" / "context.py"))


def test_tables_count_what_was_read_and_fall_back_on_shorter_contexts(context):
    data = Dataset.from_texts("ababab", "abb", CharTokenizer.from_text("ab"))
    read = np.array([1, 1, 1, 1, 0, 0])  # abab
    none, one = context["count_losses"](data, read, longest=1)
    p = {"a": (2 + 5 / 2) / 9, "b": (2 + 5 / 2) / 9}
    assert np.exp(-none).tolist() == pytest.approx([p["b"], p["b"]])
    assert np.exp(-one).tolist() == pytest.approx([(2 + 5 * p["b"]) / 7, (0 + 5 * p["b"]) / 6])  # after a, after b


def test_pieces_are_equal_where_the_text_is(context):
    pieces = context["pieces"](np.array([1, 2, 1, 2, 2]), 2, 3)
    assert pieces[0] == pieces[2] and len(set(pieces.tolist())) == 3


def test_new_pieces_are_those_that_the_training_text_has_nowhere(context):
    data = Dataset.from_texts("abcab", "abba", CharTokenizer.from_text("abc"))
    assert context["unseen"](data, 2).tolist() == [False, True, True]

"""What lessons 02 and 03 draw, and that what they say of stored runs is in the stored files."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from course.figures import Picture
from course.lessons import figures_02, figures_03, lesson_03
from gptlib import CharTokenizer, Dataset

ROOT = Path(__file__).parent.parent
PNG = b"\x89PNG"


def results(name):
    return json.loads((ROOT / "notebooks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def prose(lesson):
    """The text of a lesson's markdown cells, on one line."""
    (path,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return " ".join(" ".join("".join(c["source"]).split()) for c in cells if c["cell_type"] == "markdown")


# --- figures ----------------------------------------------------------------------------------------------


def test_the_figures_of_lesson_02_are_drawn_and_described():
    tokenizer = CharTokenizer.from_text("abc: \n,")
    answers = {(text, size): torch.softmax(torch.arange(7.0), 0) for text in ("ab", "c: a" * 9) for size in (2, 4)}
    curves = {size: torch.linspace(2.5, 1.9, size) for size in (4, 8)}
    errors = {size: torch.full((size,), 0.02) for size in curves}
    kept = {(name, size): size / 64 for name in ("naive", "fused") for size in (64, 128, 256)}
    pictures = {
        "block_size 4: c": figures_02.plot_next(tokenizer, answers),
        "21 squares": figures_02.plot_window("Juliet:"),
        "2.46 with 1": figures_02.plot_loss_by_position(curves, errors, [3.2, 2.46, 2.03, 1.74, 1.61]),
        "Counting, 4 before: 1.90, 1.70": figures_02.plot_counting_and_gpt(
            {1000: torch.tensor([2.2, 2.3]), 2000: torch.tensor([1.8])},
            {1000: [3.2, 2.5, 2.1, 1.9, 1.9, 1.9], 2000: [3.2, 2.5, 2.0, 1.8, 1.7, 1.7]},
        ),
        "by factors of 2.0, 2.0": figures_02.plot_costs(kept, {key: [0.01, 0.02] for key in kept}),
    }
    are_drawn(pictures)


def are_drawn(pictures: dict[str, Picture]):
    for words, picture in pictures.items():
        assert picture.png.startswith(PNG) and words in picture.alt, picture.alt
        assert not re.search(r"\d", picture.name), picture.name  # nbval compares it


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


def test_stored_curves_have_the_seeds_and_machine_with_them():
    for name in ("context", "repeat", "loops"):
        assert results(name)["machine"] and results(name)["torch"]

"""The glossary says the same as TrainConfig, and sends learners to lessons that exist."""

import runpy
from pathlib import Path

import pytest

from course import lesson
from course.glossary import GLOSSARY, Glossary
from gptlib import TrainConfig

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def test_each_setting_stands_there_once():
    names = [row[0] for row in GLOSSARY.rows]
    assert len(names) > 20 and len(set(names)) == len(names)


@pytest.mark.parametrize("row", GLOSSARY.rows, ids=lambda row: row[0])
def test_a_row_is_complete_and_its_lesson_speaks_of_it(row):
    assert len(row) == 7 and all(row)
    assert row[0] in (NOTEBOOKS / lesson(row[-1]).file).read_text(encoding="utf-8")


def test_defaults_are_written_as_on_the_command_line():
    defaults = {row[0]: row[2] for row in GLOSSARY.rows}
    assert defaults["block_size"] == str(TrainConfig().block_size)
    assert defaults["compile"] == "false" and defaults["smear"] == "false" and defaults["out_dir"] == "empty"


def test_markdown_has_a_row_for_each_setting():
    caption, empty, *rows = GLOSSARY.markdown().splitlines()
    assert "larger value" in caption and not empty
    assert len(rows) == 2 + len(GLOSSARY.rows) and {row.count("|") for row in rows} == {8}
    assert "| `eval_iters` | random batches" in rows[6] and "| [03](03_training.ipynb) |" in rows[6]


def test_html_has_the_same_and_escapes_it():
    glossary = Glossary()
    glossary.rows = [["n_layer", "blocks", "4", "a < b", "–", "–", "06"]]
    table = glossary._repr_mimebundle_()["text/html"]
    assert "a &lt; b" in table and '<a href="06_overfitting.ipynb">06</a>' in table
    assert GLOSSARY._repr_mimebundle_()["text/plain"].startswith("<glossary: block_size, batch_size")


def test_python_m_prints_it(capsys):
    with pytest.warns(RuntimeWarning, match=r"found in sys\.modules"):  # by the tests above
        runpy.run_module("course.glossary", run_name="__main__")
    assert capsys.readouterr().out.strip() == GLOSSARY.markdown()

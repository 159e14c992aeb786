"""The glossary says the same as TrainConfig, and sends learners to lessons that exist."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from course import lesson
from course.glossary import ENTRIES, GLOSSARY, Entry, Glossary
from gptlib import TrainConfig

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
FIELDS = {f.name: f for f in fields(TrainConfig)}


def test_each_entry_is_a_setting_and_stands_there_once():
    names = [entry.name for entry in ENTRIES]
    assert set(names) <= set(FIELDS) and len(set(names)) == len(names)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_everything(entry):
    assert entry.doc == FIELDS[entry.name].metadata["doc"] and entry.loss and entry.time and entry.memory
    assert (NOTEBOOKS / lesson(entry.lesson).file).exists()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_lesson_of_an_entry_speaks_of_it(entry):
    assert entry.name in (NOTEBOOKS / lesson(entry.lesson).file).read_text(encoding="utf-8")


def test_defaults_are_written_as_on_the_command_line():
    assert GLOSSARY["block_size"].default == str(TrainConfig().block_size)
    assert Entry("compile", "none", "less", "none", "03").default == "false"
    assert Entry("out_dir", "none", "none", "none", "03").default == "empty"


def test_markdown_has_a_row_for_each_entry():
    caption, empty, *rows = GLOSSARY.markdown().splitlines()
    assert "larger value" in caption and not empty
    assert len(rows) == 2 + len(ENTRIES) and {row.count("|") for row in rows} == {8}
    assert "| `eval_iters` | random batches" in rows[6] and "| [03](03_training.ipynb) |" in rows[6]


def test_html_has_the_same_and_escapes_it():
    table = Glossary((Entry("n_layer", "a < b", "none", "none", "06"),))._repr_mimebundle_()["text/html"]
    assert "a &lt; b" in table and "transformer blocks" in table and '<a href="06_overfitting.ipynb">06</a>' in table
    assert GLOSSARY._repr_mimebundle_()["text/plain"].startswith("<glossary: block_size, batch_size")


@pytest.mark.slow
def test_python_m_prints_it():
    run = subprocess.run([sys.executable, "-m", "course.glossary"], capture_output=True, check=True, encoding="utf-8")
    assert run.stdout.strip() == GLOSSARY.markdown() and not run.stderr

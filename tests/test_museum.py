"""The bug museum of lesson 05: each bug shows its own symptom, each curve is that of a real run."""

import inspect
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from course.lessons import Outcome, defined
from course.lessons import lesson_05_museum as museum
from gptlib import Dataset, GPTConfig

PROGRAMS = museum.PROGRAMS
NAMES = [program.name for program in PROGRAMS]
SYMPTOMS = {
    "program_1": "step 1 logs",
    "program_2": "the gradient is 300 % away",
    "program_3": "the learning rates",
    "program_4": "in step 1, the gradient is",
    "program_5": "in step 2, the gradient is",
    "program_6": "step 1 logs 400.0 %",
}
NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "05_accumulation.ipynb"


@pytest.fixture(scope="module")
def text():
    """With lines of several lengths."""
    return Dataset.from_text("the quick brown fox\njumps over\nthe lazy dog, and then it sleeps for a while\noh\n" * 40)


@pytest.fixture(scope="module")
def run(text):
    shape = GPTConfig(vocab_size=text.vocab_size, block_size=32, n_layer=1, n_head=4, n_embd=64)

    def run(program, steps=24, draw=museum.windows):
        with warnings.catch_warnings(action="ignore"):  # PyTorch notices a schedule that steps before the optimizer
            return np.array(museum.run(program, shape, text, draw, steps))

    return run


@pytest.mark.parametrize("exhibit", PROGRAMS, ids=NAMES)
def test_each_bug_is_told_by_its_symptom_and_never_by_its_remedy(exhibit):
    card = exhibit.check(defined(exhibit.buggy))
    assert card.outcome == Outcome.WRONG and SYMPTOMS[exhibit.name].lower() in card.text.lower()
    assert not any(remedy in card.text for remedy in ("divide", "zero_grad", "schedule.step", "tokens"))


def test_the_judge_leaves_the_learners_random_numbers_alone():
    state = torch.get_rng_state()
    PROGRAMS[0].check(defined(PROGRAMS[0].buggy))
    assert torch.equal(torch.get_rng_state(), state)


def test_another_right_way_is_right():
    source = """
def program_4(model, optimizer, micro_batches, schedule):
    tokens, total = 0, 0.0
    for x, y in micro_batches:
        count = int((y >= 0).sum())
        loss = model(x, y)[1] * count
        loss.backward()
        tokens, total = tokens + count, total + loss.item()
    for p in model.parameters():
        p.grad /= tokens
    optimizer.step()
    schedule.step()
    model.zero_grad()
    return total / tokens
"""
    assert PROGRAMS[3].check(defined(source)).outcome == Outcome.RIGHT


def test_the_notebook_shows_each_program_and_the_test_as_they_are():
    cells = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]]
    for shown in (*(program.buggy for program in PROGRAMS), *map(inspect.getsource, (museum.examine, museum.gradient))):
        assert sum(shown.strip() in cell for cell in cells) == 1, shown


def test_a_repaired_program_lies_on_the_right_curve(run):
    right = {draw: run(museum.right, 4, draw) for draw in (museum.windows, museum.lines)}
    for program in PROGRAMS:
        draw = museum.lines if program.name == "program_4" else museum.windows
        repaired = run(defined(program.solution_source), 4, draw)
        assert np.allclose(repaired, right[draw], atol=1e-4), program.name


def test_each_curve_looks_as_the_lesson_says(run):
    right = run(museum.right)
    logged = {program.name: run(defined(program.buggy)) for program in PROGRAMS}
    ends = {name: curve[-4:].mean() / right[-4:].mean() for name, curve in logged.items()}
    assert np.allclose(logged["program_6"], 4 * right, rtol=1e-3)
    assert ends["program_5"] > 1.05 and ends["program_3"] > 1.2
    assert np.diff(logged["program_1"][8:]).std() > np.diff(right[8:]).std() and ends["program_1"] == pytest.approx(
        1, abs=0.1
    )
    assert ends["program_2"] == pytest.approx(1, abs=0.05)  # with AdamW


def test_the_twins_of_the_opening_are_hard_to_tell_apart(text):
    shape = GPTConfig(vocab_size=text.vocab_size, block_size=32, n_layer=1, n_head=4, n_embd=64)
    one, other = museum.twins(shape, text, steps=12)
    assert one != other and one[-1] == pytest.approx(other[-1], rel=0.1)

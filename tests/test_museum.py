"""The bug museum of lesson 05: each bug is found for its own reason, each curve is that of a real run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from course.lessons import Outcome
from course.lessons import lesson_05_museum as probe
from course.lessons.lesson_05 import MUSEUM as EXHIBITS
from course.lessons.lesson_05_exhibits import LinearSchedule
from gptlib import Dataset

REASONS = {
    "forgot_to_divide": "4 micro-batches are added up",
    "multiplied_the_sum": "4 times too high",
    "never_cleared": "the step before is still in there",
    "logged_the_last": "that of the last micro-batch alone: add up",
    "counted_micro_steps": "counts micro-batches",
    "averaged_means": "counts alike",
}
NAMES = [exhibit.name for exhibit in EXHIBITS]
NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "05_accumulation.ipynb"


def function(source, name):
    names = {}
    exec(source, names)
    return names[name]


@pytest.fixture(scope="module")
def dataset():
    """With lines of several lengths."""
    return Dataset.from_text("the quick brown fox\njumps over\nthe lazy dog, and then it sleeps for a while\noh\n" * 40)


@pytest.fixture(scope="module")
def visits(dataset):
    return dict(
        zip(
            NAMES, probe.visit([function(e.buggy, e.name) for e in EXHIBITS], dataset, steps=24, n_layer=1), strict=True
        )
    )


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=NAMES)
def test_each_bug_is_found_for_its_own_reason(exhibit):
    card = exhibit.check(function(exhibit.buggy, exhibit.name))
    assert card.outcome == Outcome.WRONG
    assert [name for name, reason in REASONS.items() if reason in card.text] == [exhibit.name]


def test_the_judge_leaves_the_learners_random_numbers_alone():
    state = torch.get_rng_state()
    EXHIBITS[0].check(function(EXHIBITS[0].buggy, EXHIBITS[0].name))
    assert torch.equal(torch.get_rng_state(), state)


def test_another_right_way_is_right():
    source = """
def averaged_means(model, optimizer, micro_batches):
    tokens, total = 0, 0.0
    for x, y in micro_batches:
        count = int((y >= 0).sum())
        loss = model(x, y)[1] * count
        loss.backward()
        tokens, total = tokens + count, total + loss.item()
    for p in model.parameters():
        p.grad /= tokens
    optimizer.step()
    model.zero_grad()
    return total / tokens
"""
    assert EXHIBITS[5].check(function(source, "averaged_means")).outcome == Outcome.RIGHT


def test_the_notebook_shows_each_exhibit_as_it_is():
    cells = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"]]
    for exhibit in EXHIBITS:
        assert sum(exhibit.buggy in cell for cell in cells) == 1, exhibit.name


def test_the_schedule_falls_to_zero_and_then_below():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, rates = LinearSchedule(optimizer, 0.4, 4), []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert rates == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0, -0.1])


def test_a_repaired_step_lies_on_the_right_curve(dataset):
    steps = [function(exhibit.solution_source, exhibit.name) for exhibit in EXHIBITS]
    for one in probe.visit(steps, dataset, steps=4, n_layer=1):
        assert np.allclose(one.logged, one.right, atol=1e-4), one.room.title


def test_each_bug_looks_as_the_lesson_says(visits):
    ends = {name: one.logged[-4:].mean() / one.right[-4:].mean() for name, one in visits.items()}
    assert visits["forgot_to_divide"].logged.max() > visits["forgot_to_divide"].right.max()
    assert np.allclose(visits["multiplied_the_sum"].logged, 4 * visits["multiplied_the_sum"].right, rtol=1e-3)
    assert ends["never_cleared"] > 1.05 and ends["counted_micro_steps"] > 1.2
    jitter = [np.diff(curve).std() for curve in (visits["logged_the_last"].logged, visits["logged_the_last"].right)]
    assert jitter[0] > jitter[1] and ends["logged_the_last"] == pytest.approx(1, abs=0.1)
    assert ends["averaged_means"] == pytest.approx(1, abs=0.1)


def test_the_figure_tells_where_each_curve_ends(visits):
    picture = probe.plot_museum(list(visits.values()))
    assert picture.png.startswith(b"\x89PNG") and "3. never cleared: ends at" in picture.alt
    assert not any(character.isdigit() for character in picture.name)

"""Lesson 06: the functions that its cells define, against slower and simpler ones; and its figures."""

import ast
import json
import random
from pathlib import Path

import pytest
import torch

from course.figures import Picture
from course.lessons import figures_06 as figures
from gptlib import Evaluation, Trainer

ROOT = Path(__file__).parent.parent
LESSON = ROOT / "notebooks" / "06_overfitting.ipynb"
MARKS = {"guessing": 4.14, "letter pairs": 2.46}


def defined_in(notebook, *names):
    """The functions of these names, as the cells of a notebook define them."""
    found = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            for node in ast.parse("".join(cell["source"])).body:
                if isinstance(node, ast.FunctionDef) and node.name in names:
                    exec(compile(ast.Module([node], []), str(notebook), "exec"), found)
    return [found[name] for name in names]


@pytest.fixture(scope="module")
def run(tiny, dataset):
    trainer = Trainer(tiny(eval_interval=5), dataset)
    return [event for event in trainer if isinstance(event, Evaluation)]


# --- what the cells define ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_meter_is_brute_force(seed):
    rng = random.Random(seed)
    sample, text = ("".join(rng.choices("ab\n"[: rng.randint(1, 3)], k=rng.randint(1, 40))) for _ in range(2))
    longest_match, meter = defined_in(LESSON, "longest_match", "meter")
    n = len(sample)
    spans = [(i, j) for i in range(n) for j in range(i, n + 1) if sample[i:j] in text]
    lengths = [max(j - i for start, j in spans if start == i) for i in range(n)]
    assert [longest_match(sample, i, text) for i in range(n)] == lengths
    copied, longest = meter(sample, text, at_least=3)
    assert longest == max(lengths)
    assert copied == {place for i, j in spans if j - i >= 3 for place in range(i, j)}


@pytest.mark.parametrize(
    ("losses", "stop"),
    [
        ([4.2, 3.0, 2.5, 2.2, 2.0], None),
        ([4.2, 3.0, 2.5, 2.6, 2.7, 2.9, 3.1], 5),
        ([4.2, 3.0, 2.5, 2.6, 2.4, 2.5, 2.6], None),  # a new record starts the waiting again
        ([4.2, 9.0, 5.0], 1),
    ],
)
def test_the_rule_stops_where_it_should(losses, stop):
    (should_stop,) = defined_in(LESSON, "should_stop")
    assert next((i for i in range(len(losses)) if should_stop(losses[: i + 1])), None) == stop


# --- figures --------------------------------------------------------------------------------------------------


def test_figures_are_named_without_numbers_and_described_with_them(run):
    ends = {"planned": run[-1], "cut off": run[-1]}
    stored = json.loads((ROOT / "notebooks" / "results" / "capacity.json").read_text(encoding="utf-8"))
    pictures = [
        figures.plot_losses(run, MARKS),
        figures.plot_remedies(run, stored["remedies"], MARKS),
        figures.plot_copying(run, {0: 0.0, 20: 0.6}, 0.01),
        figures.plot_temperatures({"one": {1.0: 2.6, 2.0: 2.8}, "two": {1.0: 3.9, 2.0: 2.9}}),
        figures.plot_baseline({4000: [8, 9], 40_000: [12, 11]}, {4000: [0.0, 0.1], 40_000: [0.2, 0.3]}),
        figures.plot_capacity(stored),
        figures.plot_one_batch({"right": [4.2, 0.02], "wrong": [4.2, 2.0]}),
        figures.plot_stops({"one": (run, None), "two": (run, 2)}, MARKS),
        figures.plot_schedules({"planned": [0.1, 0.0], "cut off": [0.1, 0.09]}, ends),
    ]
    for picture in pictures:
        assert isinstance(picture, Picture) and not any(c.isdigit() for c in picture.name)
        assert any(c.isdigit() for c in picture.alt) and len(picture.png) > 1000
    assert "two: stopped at step 10" in pictures[7].alt and "one: never stopped" in pictures[7].alt


def test_html_marks_by_more_than_color_and_escapes():
    html = figures.marked("<moon> eye", {1, 2, 3}, "a & b")
    assert "a &amp; b" in html and "&lt;<mark" in html and ">moo</mark>n" in html
    assert "underline" in html and "30% copied" in html


def test_dividing_the_logits_never_changes_the_favorite():
    logits = torch.randn(50, 63, generator=torch.Generator().manual_seed(0))
    assert torch.equal(logits.argmax(-1), (logits / 2.25).softmax(-1).argmax(-1))

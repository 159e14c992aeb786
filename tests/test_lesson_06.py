"""Lesson 06: the functions that its cells define, against slower and simpler ones; and its marked texts."""

import ast
import json
import random
from pathlib import Path

import pytest

from course.lessons import figures_06 as figures

LESSON = Path(__file__).parent.parent / "notebooks" / "06_overfitting.ipynb"


def defined_in(notebook, *names):
    """The functions of these names, as the cells of a notebook define them."""
    found = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            for node in ast.parse("".join(cell["source"])).body:
                if isinstance(node, ast.FunctionDef) and node.name in names:
                    exec(compile(ast.Module([node], []), str(notebook), "exec"), found)
    return [found[name] for name in names]


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


def test_html_marks_by_more_than_color_and_escapes():
    html = figures.marked("<moon> eye", {1, 2, 3}, "a & b")
    assert "a &amp; b" in html and "&lt;<mark" in html and ">moo</mark>n" in html
    assert "underline" in html and "30% copied" in html

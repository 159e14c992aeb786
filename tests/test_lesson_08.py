"""Lesson 08: commands run as in a terminal, the counted memory of a step, and a stored measurement."""

import json
from pathlib import Path

import pytest

from course.lessons.figures_08 import Terminal
from course.step_costs import count, measured_step

ROOT = Path(__file__).parent.parent


@pytest.fixture
def terminal():
    return Terminal()


def test_a_command_prints_what_it_prints(terminal, capsys):
    terminal.run("python -c 'print(1.23456, 7)'")
    assert capsys.readouterr().out.splitlines() == ["$ python -c 'print(1.23456, 7)'", "1.23 7"]


def test_a_killed_command_is_no_failure(terminal, capsys):
    terminal.run("python -c 'import signal; print(\"step 50: loss\"); signal.pause()'", kill_after="step 50:")
    assert capsys.readouterr().out.splitlines()[1:] == ["step 50: loss", "killed"]


def test_a_command_that_fails_says_why_in_one_line(terminal, refused):
    with refused("error: no such setting"):
        terminal.run("python -c 'raise SystemExit(\"error: no such setting\\n100%\")'")
    with refused("ValueError: no"):
        terminal.run("python -c 'raise ValueError(\"no\")'")


@pytest.mark.parametrize("vocab_size", [50, 5000])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_of_the_logits_is_in_the_count(tiny, vocab_size, dtype):
    config = tiny(n_layer=2, n_embd=64, block_size=64, dtype=dtype)
    counted = count(config, vocab_size)
    assert counted.activations + counted.logits_gradient == pytest.approx(measured_step(config, vocab_size), rel=0.12)


def test_the_scaling_law_has_all_its_runs():
    results = json.loads((ROOT / "notebooks" / "results" / "scaling_law.json").read_text(encoding="utf-8"))
    assert results["machine"] and results["torch"]
    for sweep, sizes in (("twenty", 5), ("same_compute", 6)):
        runs = [(run["parameters"], run["seed"]) for run in results["runs"] if run["sweep"] == sweep]
        assert len(set(runs)) == len(runs) == 3 * sizes
    work = {run["parameters"] * run["tokens"] for run in results["runs"] if run["sweep"] == "same_compute"}
    assert max(work) < 1.001 * min(work)

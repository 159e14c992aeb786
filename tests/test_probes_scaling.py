"""Lesson 08: commands run as in a terminal, the counted memory of a step, and a stored measurement."""

import json
from pathlib import Path

import pytest

from course.lessons.figures_08 import Terminal
from course.step_costs import count, measured_step

ROOT = Path(__file__).parent.parent
SHAPE = "--n_layer=1 --n_head=2 --n_embd=16 --block_size=8 --batch_size=4 --device=cpu --threads=1 --dropout=0.1"
PACE = "--max_iters=500 --eval_interval=500 --eval_iters=2 --log_interval=50"


@pytest.fixture
def terminal():
    return Terminal()


def test_a_command_prints_what_it_prints(terminal, capsys):
    terminal.run("python -c 'print(1.23456, 7)'")
    assert capsys.readouterr().out.splitlines() == ["$ python -c 'print(1.23456, 7)'", "1.23 7"]


def test_a_killed_command_is_no_failure(terminal, prepared, capsys):
    terminal.run(f"python -m gptlib.train --dataset={prepared} {SHAPE} {PACE} --out_dir=run", kill_after="step 50:")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "killed" and not any(line.startswith("done") for line in lines)


def test_a_command_that_fails_says_why_in_one_line(terminal, refused):
    with refused("unknown setting 'n_layers'", "n_layer"):
        terminal.run("python -m gptlib.train --n_layers=2")
    with refused("ValueError: no"):
        terminal.run("python -c 'raise ValueError(\"no\")'")


def test_torchrun_starts_processes_of_this_environment(terminal, capsys):
    (terminal.folder / "who.py").write_text("import os; print('process', os.environ['RANK'], flush=True)")
    terminal.run("torchrun --standalone --nproc_per_node=2 who.py")
    assert sorted(capsys.readouterr().out.splitlines()[1:]) == ["process 0", "process 1"]


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

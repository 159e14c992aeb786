"""Lesson 08: commands run as in a terminal, stored measurements, and the calculator."""

import pytest

from course.lessons.figures_08 import Terminal, draw_bill, plot_compile, plot_ladder, plot_law, read_results
from course.step_costs import count, measured_step
from gptlib import UserError


@pytest.fixture
def terminal():
    return Terminal()


def test_a_command_prints_what_it_prints_and_takes_time(terminal, capsys):
    seconds = terminal.run("python -c 'print(1.23456, 7)'")
    assert capsys.readouterr().out.splitlines() == ["$ python -c 'print(1.23456, 7)'", "1.23 7"] and seconds > 0


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


def test_the_calculator_says_whether_it_may_fit():
    shape = {"n_layer": 2, "n_embd": 128, "block_size": 128, "batch_size": 2, "dtype": "float32", "vocab_size": 1000}
    gpu = {"teraflops": 100, "utilization": 0.3, "gpus": 2, "tokens": 1e9, "price": 1}
    assert "may fit" in draw_bill(**shape, **gpu, gpu_memory=24).alt
    assert "does not fit" in draw_bill(**shape, **gpu, gpu_memory=0.001).alt


# --- stored results ---------------------------------------------------------------------------------------


def test_the_ladder_is_drawn_from_its_file():
    rung = {"words": "a very long description of it", "seconds": [9.0, 10.0, 12.0], "median_seconds": 10.0}
    rung |= {"times_faster": 1.0, "median_val_loss": 1.9}
    picture = plot_ladder({"rungs": [rung, {**rung, "words": "Muon", "median_seconds": 5.0, "times_faster": 2.0}]})
    assert "Muon: 5 s, 2.0 times as fast" in picture.alt


def test_compile_s_results_say_where_they_come_from():
    results = read_results("compile")
    assert results["machine"] and results["torch"] and results["model"]
    for mode in ("eager", "compiled"):
        assert len(results[mode]["step_seconds"]) == len(results["seeds"]) == len(results[mode]["first_step_seconds"])
    assert "compiled: 7" in plot_compile(results).alt


def test_the_scaling_law_has_all_its_runs():
    results = read_results("scaling_law")
    assert results["machine"] and results["torch"]
    for sweep, sizes in (("twenty", 5), ("same_compute", 6)):
        runs = [(run["parameters"], run["seed"]) for run in results["runs"] if run["sweep"] == sweep]
        assert len(set(runs)) == len(runs) == 3 * sizes
    work = {run["parameters"] * run["tokens"] for run in results["runs"] if run["sweep"] == "same_compute"}
    assert max(work) < 1.001 * min(work)
    assert "Slope -0.100" in plot_law([10, 100], [[2.0], [1.8]], -0.1, 1.0).alt


def test_results_that_are_not_there_are_a_sentence(refused):
    with refused("no results/nothing.json", error=UserError):
        read_results("nothing")

"""Commands run as in a terminal, and the calculator against torch's own account."""

import sys

import pytest
import torch

from course.lessons.lesson_08_scaling import (
    Bill,
    Terminal,
    _real_command,
    draw_bill,
    largest_gap,
    losses_of,
    measured_activations,
    plot_compile,
    plot_ladder,
    read_results,
    same_to_the_bit,
    step_seconds,
)
from course.step_costs import count
from gptlib import TrainConfig, UserError

SHAPE = "--n_layer=1 --n_head=2 --n_embd=16 --block_size=8 --batch_size=4 --device=cpu --threads=1 --dropout=0.1"
PACE = "--max_iters=500 --eval_interval=500 --eval_iters=2 --log_interval=50"


@pytest.fixture
def terminal():
    return Terminal()


def test_a_run_stopped_and_resumed_is_the_whole_run(terminal, prepared):
    train = f"python -m gptlib.train --dataset={prepared} {SHAPE} {PACE}"
    whole = terminal.run(f"{train} --out_dir=whole", live=False)
    first = terminal.run(f"{train} --out_dir=halves", terminate_after="step 50:", live=False)
    assert any("stopped at step" in line for line in first.lines) and max(first.losses) < max(whole.losses)
    second = terminal.run(f"{train} --out_dir=halves --init_from=resume", live=False)
    assert same_to_the_bit(whole.weights, second.weights) and whole.losses == second.losses
    assert repr(whole).startswith("<finished with exit code 0: python -m gptlib.train")


def test_what_is_stored_of_a_command_holds_no_number_of_its_run(terminal):
    finished = terminal.run("python -c 'import random; print(random.random())'", live=False)
    data, metadata = finished._repr_mimebundle_()
    assert finished.lines[0] not in data["text/plain"] and finished.lines[0] in metadata["image/png"]["alt"]


def test_a_command_that_fails_says_why_in_one_line(terminal, refused):
    with refused("unknown setting 'n_layers'", "n_layer"):
        terminal.run("python -m gptlib.train --n_layers=2", live=False)
    with refused("ValueError: no"):
        terminal.run("python -c 'raise ValueError(\"no\")'", live=False)


def test_commands_use_the_environment_of_the_notebook():
    assert _real_command("python -c 'a b'") == [sys.executable, "-c", "a b"]
    assert _real_command("torchrun --standalone x") == [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "x",
    ]


def test_a_single_bit_is_a_difference():
    one = {"w": torch.tensor([1.0, 2.0])}
    other = {"w": torch.tensor([1.0, 2.0000002])}
    assert same_to_the_bit(one, {"w": one["w"].clone()})
    assert not same_to_the_bit(one, other) and not same_to_the_bit(one, {}) and not same_to_the_bit({}, one)


def test_gaps_are_taken_over_steps_that_both_logged():
    assert largest_gap({0: 1.0, 1: 2.0, 2: 9.0}, {0: 1.5, 1: 2.25}) == 0.5


def test_runs_take_turns_and_their_warm_up_does_not_count(tiny, dataset):
    times = step_seconds({"a": tiny(), "b": tiny(batch_size=2)}, dataset, steps=3, warmup=1)
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3}
    assert all(second > 0 for seconds in times.values() for second in seconds)


def test_losses_of_a_run(tiny, dataset):
    losses = losses_of(tiny(log_interval=1, max_iters=4), dataset)
    assert len(losses) == 4 and losses == losses_of(tiny(log_interval=1, max_iters=4), dataset)


@pytest.mark.parametrize("settings", [{}, {"batch_size": 8}, {"block_size": 32, "n_layer": 2}], ids=str)
def test_counted_activations_are_measured_ones(tiny, settings):
    config = tiny(**settings)
    assert count(config, 50).activations == pytest.approx(measured_activations(config, 50), rel=0.05)


def test_the_bill():
    summary = count(TrainConfig(device="cpu", dtype="float32"), 63)
    bill = Bill(summary, tokens=1e9, peak_flops=1e12, utilisation=0.5, price_per_hour=2)
    assert bill.flops == summary.flops_per_token * 1e9
    assert bill.hours == pytest.approx(bill.flops / 5e11 / 3600) and bill.price == pytest.approx(2 * bill.hours)
    four = Bill(summary, tokens=1e9, peak_flops=1e12, utilisation=0.5, price_per_hour=2, gpus=4)
    assert four.hours == pytest.approx(bill.hours / 4) and four.price == pytest.approx(bill.price)


def test_the_calculator_says_whether_it_fits():
    shape = {"n_layer": 2, "n_embd": 128, "block_size": 128, "batch_size": 2, "dtype": "float32"}
    gpu = {"teraflops": 100, "utilisation": 0.3, "gpus": 2, "tokens": 1e9, "price": 1}
    assert "GiB, fits" in draw_bill(1000, **shape, **gpu, gpu_memory=24).alt
    assert "does not fit" in draw_bill(1000, **shape, **gpu, gpu_memory=0.001).alt


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
    assert "the first step takes" in plot_compile(results).alt


def test_results_that_are_not_there_are_a_sentence(refused):
    with refused("no results/nothing.json", error=UserError):
        read_results("nothing")

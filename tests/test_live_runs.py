"""What a lab knows of its runs, and how it draws and tells it: axes, tables, commands, words."""

import csv
import io
import itertools
import math
import shlex

import numpy as np
import pytest
import torch
from matplotlib.text import Annotation

from course.lab import Lab, new_figure
from course.lab.curves import LivePlot, draw_run, label_ends, prepare_axes, x_range, y_range
from course.lab.observe import SAMPLE, sample_is_due, think, write_sample
from course.lab.runs import (
    FINISHED,
    PAUSED,
    STOPPED,
    X_AXES,
    Look,
    Run,
    Status,
    Thoughts,
    add_run,
    along,
    distinctions,
    end_of,
)
from course.lab.table import as_csv, as_table, attention, command, costs, download
from gptlib import TrainConfig, Trainer
from gptlib.config import read_command_line
from gptlib.events import Estimate, Evaluation, TrainStep
from gptlib.train import PROG

LANDMARKS = {"guessing": 4.14, "letter frequencies": 3.2, "letter pairs": 2.46}


def step(step, loss, seconds=0.0):
    return TrainStep(step, loss, 1e-3, 1.0, 32 * step, 1000.0, seconds, logged=True)


def evaluation(step, loss, seconds=0.0, gap=0.1):
    return Evaluation(step, Estimate(loss, 0.1, 8), Estimate(loss + gap, 0.2, 8), True, 32 * step, seconds)


@pytest.fixture
def run(tiny):
    """Two logged steps and two evaluations, of 32 tokens a step, by the clock of its training alone."""
    run = Run(1, tiny(max_iters=10), {"block_size": 8})
    for event in (evaluation(0, 3.0), step(0, 3.1, 0.5), step(5, 2.5, 2.5), evaluation(10, 2.0, 3.0)):
        run.consume(event)
    return run


# --- one run ----------------------------------------------------------------------------------------------


def test_a_run_is_at_the_same_place_on_every_axis(run):
    assert [list(along(run, x, run.steps, run.clock)) for x in X_AXES] == [[0, 5], [0, 160], [0.5, 3.0]]
    evaluated = [event.step for event in run.evaluations]
    assert [list(along(run, x, evaluated, run.evaluation_clock)) for x in X_AXES] == [[0, 10], [0, 320], [0.0, 6.0]]
    assert [end_of(run, x) for x in X_AXES] == [10, 320, 6.0]


def test_a_running_run_is_expected_to_continue_at_its_speed(tiny):
    run = Run(1, tiny(max_iters=10), {})
    for event in (step(0, 3.1), step(4, 3.0, 2.0)):
        run.consume(event)
    assert end_of(run, "seconds") == 4.0


def test_a_step_that_is_not_logged_counts_and_has_no_point(tiny):
    run = Run(1, tiny(), {})
    run.consume(TrainStep(7, 3.0, 1e-3, 1.0, 224, 1000.0, 9.0, logged=False))
    assert (run.step, run.seconds(), run.tokens_per_second(), run.steps) == (8, 9.0, 8 * 32 / 9, [])


@pytest.mark.parametrize(
    ("losses", "diverges"),
    [
        ((4, 7, 7, 7), True),
        ((4, math.nan, math.nan, math.nan), True),
        ((4, 7, 7, 5), False),  # it came back
        ((4, 7, 7), False),  # two in a row may be noise
        ((4, 3, 3, 3, 3), False),
    ],
)
def test_divergence_is_a_loss_that_stays_far_above_where_it_began(tiny, losses, diverges):
    run = Run(1, tiny(), {})
    for i, loss in enumerate(losses):
        run.consume(step(i, loss))
    assert bool(run.divergence()) == diverges
    assert not diverges or "learning_rate" in run.divergence()


def test_what_a_run_costs(run):
    assert "6.0 s: training 50%, evaluating 50%, samples 0%; 53 characters/s" in costs(run)


@pytest.mark.parametrize(("gap", "said"), [(1.0, "harder"), (-1.0, "easier"), (0.1, "cannot tell")])
def test_the_gap_between_the_curves_in_words(tiny, gap, said):
    run = Run(1, tiny(), {})
    assert run.gap() == ""
    run.consume(evaluation(0, 3.0, gap=gap))
    assert said in run.gap() and f"{abs(gap):.2f} ± 0.22" in run.gap()


def test_while_it_runs_only_evaluations_are_read_out(tiny):
    run, heard = Run(1, tiny(), {}), []
    for event in (evaluation(0, 3.0), step(0, 3.1), step(1, 3.0), evaluation(2, 2.5), step(2, 2.9), Status(PAUSED)):
        run.consume(event)
        heard.append(run.heard())
    assert heard[:3] == [heard[0]] * 3 and heard[3:5] == ["step 2, validation loss 2.60"] * 2
    assert heard[5].startswith("paused at step 3")


def test_of_several_changes_at_a_step_the_last_one_counts(run):
    for value in (60, 70):
        run.mark("eval_interval", value)
    run.mark("learning_rate", 0.5)
    assert run.marks == {10: {"eval_interval": 70, "learning_rate": 0.5}} and run.setting("eval_interval") == 70


# --- several runs -----------------------------------------------------------------------------------------


def test_a_run_that_was_only_stepped_makes_room(tiny):
    runs = add_run([], Run(1, tiny(), {}, status=STOPPED, step=1))
    assert [run.number for run in add_run(runs, Run(1, tiny(), {}))] == [1]


def test_runs_are_called_by_what_sets_them_apart(tiny):
    runs = [Run(i, tiny(dropout=p), {"block_size": 8, "dropout": p}) for i, p in enumerate((0.0, 0.5), 1)]
    assert distinctions(runs) == ["dropout 0", "dropout 0.5"] and distinctions(runs[:1]) == [""]
    runs[1].look.name = "wide"
    assert distinctions(runs) == ["dropout 0", "wide"]


def test_the_table_has_the_settings_the_losses_and_the_costs(run):
    run.look.name, run.marks = "first <b>", {5: {"log_interval": 1}}
    table = as_table([run])
    for cell in ("block_size 8, from step 5: log_interval 1", "2.000 ± 0.100", "2.100 ± 0.200", "6.0", "53"):
        assert f">{cell}</td>" in table
    assert "first &lt;b&gt;" in table and ">characters/s</th>" in table


def test_the_csv_has_every_loss_once(run):
    lines = list(csv.DictReader(io.StringIO(as_csv([run]))))
    assert [(line["split"], int(line["step"])) for line in lines] == [
        *(("batch", 0), ("batch", 5)),
        *(("train", 0), ("val", 0), ("train", 10), ("val", 10)),
    ]
    assert lines[-1]["loss"] == "2.1" and lines[-1]["standard_error"] == "0.2" and lines[-1]["tokens"] == "320"


def test_a_download_is_in_the_page_itself():
    link = download("a.csv", "text/csv", b"ab")
    assert 'download="a.csv"' in link and 'href="data:text/csv;base64,YWI="' in link


@pytest.mark.parametrize(
    "settings",
    [{}, {"learning_rate": 0.1 + 0.2, "bias": False}, {"dataset": "my plays; rm", "schedule": "linear", "threads": 2}],
)
def test_the_command_gives_the_same_settings_again(settings):
    config = TrainConfig(**settings)
    words = shlex.split(command(config))
    assert " ".join(words[:3]) == PROG
    assert read_command_line(TrainConfig, PROG, "", words[3:], toml="CONFIG.toml") == config


def test_only_a_named_dataset_has_a_command_that_repeats_its_runs(prepared, dataset):
    named, unnamed = (Lab("block_size", dataset=data, block_size=8) for data in (str(prepared), dataset))
    assert f"--dataset={prepared}" in named._command(named.new_run())
    assert "only in this notebook" in unnamed._command(unnamed.new_run())


# --- the plot ---------------------------------------------------------------------------------------------


def test_nothing_is_drawn_between_the_first_evaluation_and_the_next(run):
    _, ax = new_figure()
    dashed = draw_run(ax, run)[1]
    assert list(dashed.get_xdata()) == [10]


def test_the_axis_begins_above_guessing_and_follows_the_curves(run, tiny):
    low, high = y_range([], LANDMARKS)
    assert low < 2.46 and high > 4.14
    run.consume(step(9, 0.4))
    assert y_range([run], LANDMARKS)[0] == 0.0
    run.consume(step(9, 6.0))
    assert 6 < y_range([run], LANDMARKS)[1] < 7
    run.consume(step(9, 1e9))
    assert y_range([run], LANDMARKS)[1] < 13  # one that diverges does not flatten the others


def test_labels_at_the_ends_do_not_overlap(tiny):
    runs = []
    for number, loss in enumerate((2.0, 2.01, 2.02, 4.4, 4.41), 1):
        runs.append(Run(number, tiny(), {"block_size": number}))
        runs[-1].consume(evaluation(0, loss))
    figure, ax = new_figure()
    prepare_axes(ax, (0, 10), (1.5, 4.5), "steps", "character")
    labels = label_ends(ax, runs)
    figure.canvas.draw()
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))
    assert boxes[-1].y1 <= figure.bbox.y1 and "run 1: 2.10\nblock_size\N{NO-BREAK SPACE}1" in [
        label.get_text() for label in labels
    ]


def test_the_words_of_a_mark_are_in_the_picture(run):
    run.marks = {1: {"eval_interval": 5, "eval_iters": 50}, 9: {"learning_rate": 0.001}}
    figure, ax = new_figure()
    prepare_axes(ax, x_range([run], "steps"), (1.5, 4.5), "steps", run.unit)
    first, last = [artist for artist in draw_run(ax, run) if isinstance(artist, Annotation)]
    figure.canvas.draw()
    assert first.get_text() == "eval_interval 5\neval_iters 50"
    for text in (first, last):
        box = text.get_window_extent()
        assert ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1


def test_a_frame_does_not_depend_on_the_frames_before(run, tiny):
    growing = Run(2, tiny(max_iters=10), {"block_size": 4}, look=Look(slot=1))
    plot, picture = LivePlot(), ([run, growing], r"$\frac$", None, "steps", LANDMARKS)
    run.status = FINISHED
    for event in (evaluation(0, 4.0), step(0, 4.0), step(5, 3.5)):
        growing.consume(event)
        assert plot.frame(*picture) == LivePlot().frame(*picture)


# --- samples ------------------------------------------------------------------------------------------------


def test_samples_are_taken_at_0_10_30_100_and_at_the_end():
    assert [n for n in range(1001) if sample_is_due(n, 777)] == [0, 10, 30, 100, 300, 777, 1000]


def test_a_sample_is_the_same_for_the_same_seed_and_leaves_the_random_numbers_of_the_run_alone(tiny, dataset):
    model = Trainer(tiny(), dataset).model
    before = torch.get_rng_state()
    first, again, other = (write_sample(model, dataset, 0, seed).text for seed in (1, 1, 2))
    assert first == again != other and len(first) == SAMPLE
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("attention", ["naive", "fused"])
def test_thinking_is_the_model_itself_and_leaves_it_as_it_was(tiny, dataset, attention):
    model = Trainer(tiny(attention=attention, dropout=0.5), dataset).model
    model.train()
    attend = model.h[0].attn.attend
    told = think(model, dataset, "the fox", 3)
    assert model.training and model.h[0].attn.attend is attend
    heads, *shape = told.maps[0].shape
    assert shape == [7, 7] and told.maps[0].sum(2) == pytest.approx(np.ones((heads, 7)))
    assert told.maps[0][:, 0, 1:].max() == 0  # the first position sees itself
    logits = model.eval()(torch.tensor([dataset.tokenizer.encode("the fox").tolist()]))[0]
    assert told.likeliest[0][1] == pytest.approx(logits[0, -1].softmax(0).max().item(), rel=1e-4)


def test_a_map_has_its_tokens_beside_it_and_longer_ones_stand_on_end_below():
    letters, pairs = (attention(Thoughts(0, "", (), tokens, [np.eye(2)[None]])) for tokens in ("a ", ("I", "'d")))
    assert letters.count(">a</text>") == letters.count(">␣</text>") == 2 and "rotate" not in letters
    assert pairs.count(">&#x27;d</text>") == pairs.count("rotate") == 2
    assert "the last position looks most at &#x27;d" in pairs

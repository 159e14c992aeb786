"""What a lab knows of its runs, and what becomes of it: tables, axes, commands, costs, samples, bad ends."""

import csv
import gc
import io
import math
import re
import shlex
import threading
import time

import psutil
import pytest
import torch
from ipywidgets.widgets.widget import _instances
from matplotlib.text import Annotation
from test_live import LONG, PREDICTION, finish, make_lab, status, wait_until  # noqa: F401  (make_lab is a fixture)

from course.lab import Lab, Scale, curves, draw_runs, new_figure
from course.lab.costs import cost_bar, memory_in_words
from course.lab.curves import LivePlot, draw_run, prepare_axes, x_range
from course.lab.kernel import Kernel
from course.lab.presets import PRESETS
from course.lab.runs import FAILED, Run, add_run, distinctions
from course.lab.sample import FEWEST, MOST, short_sample
from course.lab.table import as_csv, as_table, command, download, rows
from course.lab.worker import reason_for
from gptlib import TrainConfig, Trainer
from gptlib.config import read_command_line
from gptlib.errors import OUT_OF_MEMORY
from gptlib.events import Estimate, Evaluation, TrainStep
from gptlib.train import PROG

MIB = 2**20


def step(step, loss, seconds=0.0):
    return TrainStep(step, loss, 1e-3, 1.0, 32 * step, 1000.0, seconds, logged=True)


def evaluation(step, loss, seconds=0.0):
    return Evaluation(step, Estimate(loss, 0.1, 8), Estimate(loss + 0.1, 0.2, 8), True, 32 * step, seconds)


@pytest.fixture
def run(tiny):
    """Two logged steps and two evaluations, of 32 tokens a step, by the clock of its training alone."""
    run = Run(1, tiny(max_iters=10), {"block_size": 8})
    for event in (evaluation(0, 3.0), step(0, 3.1, 0.5), step(5, 2.5, 2.5), evaluation(10, 2.0, 3.0)):
        run.consume(event)
    return run


# --- one run ----------------------------------------------------------------------------------------------


def test_a_run_stands_at_the_same_place_on_every_axis(run):
    places = {x: [list(part) for part in Scale(x).places(run)] for x in ("steps", "tokens", "seconds")}
    assert places["steps"] == [[0, 5], [0, 10]]
    assert places["tokens"] == [[0, 160], [0, 320]]
    assert places["seconds"] == [[0.5, 3.0], [0.0, 6.0]]
    assert [Scale(x).end(run) for x in places] == [10, 320, 6.0]


def test_a_running_run_is_expected_to_go_on_at_its_speed(tiny):
    run = Run(1, tiny(max_iters=10), {})
    for event in (step(0, 3.1), step(4, 3.0, 2.0)):
        run.consume(event)
    assert Scale("seconds").end(run) == 4.0


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


def test_a_validation_loss_that_is_no_number_is_a_divergence(run):
    run.consume(evaluation(10, math.nan))
    assert "no longer gives numbers" in run.divergence()


def test_the_shares_of_the_time_leave_pauses_out(tiny):
    run = Run(1, tiny(), {}, drawing=1.0, sampling=1.0, paused=10.0)
    run.consume(step(0, 3.0, seconds=5.0))
    run.consume(evaluation(0, 3.0, seconds=3.0))
    shares = run.shares()
    wanted = {"training": 5, "evaluating": 3, "drawing": 1, "writing the sample": 1}
    assert {name: pytest.approx(10 * share) for name, share in shares.items()} == wanted
    assert "training 50%" in cost_bar(run) and "10.0 s" in cost_bar(run)


# --- several runs -----------------------------------------------------------------------------------------


def test_five_runs_are_kept_and_a_new_one_takes_a_free_number(tiny):
    runs = []
    for _ in range(6):
        runs = add_run(runs, Run(1, tiny(), {}))
    assert [run.number for run in runs] == [2, 3, 4, 5, 1]
    assert [run.number for run in add_run([runs[0], runs[4]], Run(1, tiny(), {}))] == [2, 1, 3]


def test_a_name_stands_in_the_place_of_the_settings(tiny):
    runs = [Run(1, tiny(), {"block_size": 8}), Run(2, tiny(), {"block_size": 16}, name="wide")]
    assert distinctions(runs) == ["block_size 8", "wide"]


def test_a_run_is_told_apart_by_a_setting_that_only_the_other_one_shows(tiny):
    runs = [Run(1, tiny(), {"block_size": 8}), Run(2, tiny(dropout=0.5), {"block_size": 8, "dropout": 0.5})]
    assert distinctions(runs) == ["dropout 0", "dropout 0.5"] and distinctions(runs[:1]) == ["block_size 8"]


def test_a_step_that_is_not_logged_counts_and_has_no_point(tiny):
    run = Run(1, tiny(), {})
    run.consume(TrainStep(7, 3.0, 1e-3, 1.0, 224, 1000.0, 9.0, logged=False))
    assert (run.step, run.seconds(), run.tokens_per_second(), run.steps) == (8, 9.0, 8 * 32 / 9, [])


def test_of_several_changes_at_a_step_the_last_one_counts(run):
    for value in (60, 70):
        run.mark("eval_interval", value)
    run.mark("learning_rate", 0.5)
    assert run.marks == {10: {"eval_interval": 70, "learning_rate": 0.5}} and run.setting("eval_interval") == 70
    assert "smaller learning_rate (now 0.5)" in diverged(run)
    run.step = 12
    run.mark("eval_interval", 80)
    run.mark("eval_interval", 70)  # as it was
    assert list(run.marks) == [10]


def diverged(run):
    run.losses = [1.0, 9.0, 9.0, 9.0]
    return run.divergence()


@pytest.mark.parametrize("scale", [Scale(), Scale(log_x=True)])
def test_the_words_of_a_mark_are_in_the_picture_and_not_in_the_legend(run, scale):
    run.marks = {1: {"eval_interval": 5, "eval_iters": 50}, 9: {"learning_rate": 0.001}}
    figure, ax = new_figure()
    prepare_axes(ax, x_range([run], scale), (1.5, 4.5), scale, run.unit)
    first, last = [artist for artist in draw_run(ax, run, scale) if isinstance(artist, Annotation)]
    legend = curves.explain(ax, [run], scale)
    figure.canvas.draw()
    assert first.get_text() == "eval_interval 5\neval_iters 50"
    for text in (first, last):
        box = text.get_window_extent()
        assert ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and not box.overlaps(legend.get_window_extent())


def test_the_table_has_the_settings_the_losses_and_the_costs(run):
    run.name, run.marks = "first <b>", {5: {"log_interval": 1}}
    (row,) = rows([run])
    assert row["settings"] == "block_size 8, from step 5: log_interval 1"
    assert (row["train loss"], row["val loss"]) == ("2.000 ± 0.100", "2.100 ± 0.200")
    assert (row["characters"], row["seconds"], row["characters/s"]) == ("320", "6.0", "53")
    assert "first &lt;b&gt;" in as_table([run]) and 'scope="col"' in as_table([run])


def test_tokens_of_several_kinds_are_counted_as_tokens(run, tiny):
    table = rows([run, Run(2, tiny(), {"tokens": "pairs"}, unit="token")])
    assert [row["tokens"] for row in table] == ["320", "0"] and "tokens/s" in table[0]


def test_memory_stands_beside_what_was_asked(run):
    assert memory_in_words(run) == "–"  # nothing known of its model
    run.vocab_size, run.memory = 28, (100 * MIB, 103 * MIB)
    assert re.fullmatch(r"0\.\d MiB asked, 3\.0 more taken, process 103", memory_in_words(run))


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


def test_runs_are_drawn_on_any_axes(run):
    for scale in (Scale("tokens"), Scale("seconds", log_x=True), Scale(log_loss=True)):
        picture = draw_runs([run], scale=scale)
        assert picture.png.startswith(b"\x89PNG") and f"against {scale.x}" in picture.alt


def test_a_logarithmic_axis_draws_nothing_at_0(run):
    figure, ax = new_figure()
    scale = Scale(log_x=True)
    left, right = x_range([run], scale)
    prepare_axes(ax, (left, right), (1.5, 4.5), scale, run.unit)
    drawn = [x for line in draw_run(ax, run, scale)[:2] for x in line.get_xdata() if math.isfinite(x)]
    assert drawn == [5, 10] and 0 < left <= 5 and right >= 10
    figure.canvas.draw()
    assert "10" in [label.get_text() for label in ax.get_xticklabels()]


@pytest.mark.parametrize("how", ["goes on", "fails", "ends elsewhere"])
def test_the_first_point_goes_onto_the_picture_that_is_there_and_all_else_follows(run, tiny, how):
    there = LivePlot([run], None, "plot", (1.5, 4.5))
    there.frame()
    new = Run(2, tiny(max_iters=99 if how == "ends elsewhere" else 10), {"block_size": 4})
    new.consume(evaluation(0, 4.0))
    if how == "fails":
        new.status = FAILED
    plot = LivePlot([run, new], new, "plot", (1.5, 4.5), before=there)
    first, second = plot.frame(), plot.frame()
    whole = LivePlot([run, new], new, "plot", (1.5, 4.5)).frame()
    assert second == whole and (first == whole) == (how != "goes on")
    point = draw_of_nothing_but(new, over=there)
    assert (first == point) == (how == "goes on")


def test_a_new_prediction_takes_the_place_of_the_old_one_over_the_picture_that_is_there(run, tiny):
    new = Run(2, tiny(max_iters=10), {"block_size": 4})
    new.consume(evaluation(0, 4.0))
    title = "plot\nyou predicted: down"
    firsts = []
    for title_there in (title, "plot\nyou predicted: up, and in one go", "plot"):
        there = LivePlot([run], None, title_there, (1.5, 4.5))
        there.frame()
        firsts.append(LivePlot([run, new], new, title, (1.5, 4.5), before=there).frame())
    assert firsts[0] == firsts[1] == firsts[2] != LivePlot([run, new], new, title, (1.5, 4.5)).frame()


def draw_of_nothing_but(run, over):
    """A frame of another plot, and this run's curve on it."""
    over.growing = run
    over.runs.append(run)
    return over.frame()


def test_a_lab_shows_the_first_point_of_a_run_before_it_draws_the_legend(make_lab, monkeypatch):  # noqa: F811
    lab, explain, order = make_lab(), curves.explain, []
    lab.start()
    finish(lab)
    monkeypatch.setattr(curves, "explain", lambda *runs: order.append("legend") or explain(*runs))
    lab.view.image.observe(lambda change: order.append("picture"), names="value")
    lab.start()
    finish(lab)
    assert order[:2] == ["picture", "legend"] and order.count("legend") == 1


# --- a lab and its runs -------------------------------------------------------------------------------------


def test_runs_are_hidden_renamed_and_deleted(make_lab):  # noqa: F811
    lab = make_lab(max_iters=2)
    for _ in range(2):
        lab.start()
        finish(lab)
    first, second = lab.runs
    lab.hide(first)
    assert "run 1" not in lab.view.image.value and "run 2" in lab.view.image.value
    lab.hide(first, False)
    assert "run 1" in lab.view.image.value
    lab.rename(second, " slow ")
    assert second.name == "slow"
    lab.delete(first)
    assert lab.runs == [second] and "run 1" not in lab.view.image.value


def test_a_name_is_shown_as_it_was_typed(make_lab):  # noqa: F811
    lab = make_lab(max_iters=2)
    lab.start()
    lab.rename(finish(lab), r"$\frac$")
    lab.start()
    assert finish(lab).status == "finished" and "finished" in lab.view.status.value


def test_a_paused_run_stands_in_what_is_folded_out(make_lab):  # noqa: F811
    lab = make_lab(**LONG)
    lab.view.folds["Compare the runs"].value = True
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    lab.pause()
    wait_until(lambda: "paused" in status(lab))
    wait_until(lambda: f"running at {lab.runs[-1].step:,}" in lab.view.table.value)


def test_a_deleted_run_stops(make_lab):  # noqa: F811
    lab = make_lab(**LONG)
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    lab.delete(lab.runs[-1])
    wait_until(lambda: not lab._worker.alive)
    assert lab.runs == [] and "no run yet" in lab.view.image.value and not lab.running


def test_the_table_and_the_links_are_made_when_they_are_opened(make_lab):  # noqa: F811
    lab = make_lab(max_iters=2)
    lab.start()
    finish(lab)
    view = lab.view
    assert view.table.value == view.export.value == ""
    view.folds["Compare the runs"].value = view.folds["Take it away"].value = True
    assert "finished at 2" in view.table.value
    assert "data:text/csv" in view.export.value and "data:image/png" in view.export.value
    assert "no command repeats it" in view.export.value  # its text has no name
    view.x_axis.value, view.log_loss.value = "tokens", True
    assert lab.scale == Scale("tokens", log_loss=True)


def test_a_lab_on_a_named_dataset_knows_its_command(prepared):
    lab = Lab("block_size", dataset=str(prepared), title="named", max_iters=7)
    run = lab.new_run(1, block_size=16)
    arguments = shlex.split(lab.command(run))[3:]
    assert read_command_line(TrainConfig, PROG, "", arguments) == run.config
    assert f"--dataset={prepared}" in arguments and "--max_iters=7" in arguments


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_presets_fit_the_sliders(make_lab, preset):  # noqa: F811
    lab = make_lab(*preset.settings)
    lab.view.preset.value = preset
    assert lab.settings() == pytest.approx(preset.settings, rel=0.01)
    assert preset.comment in lab.view.comment.value.replace("&#x27;", "'")
    lab.view.preset.value = None
    assert lab.base == lab.own


def test_a_preset_sets_what_no_slider_shows_and_says_so(make_lab):  # noqa: F811
    lab = make_lab("eval_iters")
    lab.load(next(preset for preset in PRESETS if "eval_interval" in preset.settings and not preset.good))
    assert lab.new_run(1).config.eval_interval != lab.own.eval_interval
    assert "It also sets" in lab.view.comment.value


# --- step, reset, predict --------------------------------------------------------------------------------------


def test_what_a_preset_sets_stands_in_the_words_of_its_run(make_lab):  # noqa: F811
    lab = make_lab(max_iters=2)
    lab.start()
    finish(lab)
    lab.view.preset.value = next(preset for preset in PRESETS if preset.name == "diverging learning rate")
    lab.start()
    assert finish(lab).label.endswith("learning_rate 1") and distinctions(lab.runs)[1] == "learning_rate 1"


def test_step_is_one_step_and_resume_goes_on_as_before(make_lab):  # noqa: F811
    lab = make_lab(**LONG, log_interval=7)
    for done in (1, 2, 3):
        lab.view.step_button.click()
        wait_until(lambda: lab.held and lab.runs[-1].step == done)  # noqa: B023
        time.sleep(0.05)
        assert lab.runs[-1].step == done
    assert lab.runs[-1].steps == [0, 1, 2] and status(lab) == "paused at step 3 of 100,000"
    assert lab.view.pause_button.description == "Resume"
    lab.view.pause_button.click()
    wait_until(lambda: len(lab.runs[-1].steps) > 5)
    assert lab.runs[-1].steps[3:6] == [7, 14, 21]


def test_reset_is_the_lab_as_it_was(make_lab):  # noqa: F811
    lab = make_lab(**LONG)
    lab.load(PRESETS[2])
    lab.sliders["block_size"].value = 3
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    lab.view.reset_button.click()
    wait_until(lambda: not lab._worker.alive)
    assert lab.runs == [] and lab.base == lab.own and lab.settings()["block_size"] == 8
    assert status(lab) == "ready" and "no run yet" in lab.view.image.value


def test_the_choice_is_data(make_lab):  # noqa: F811
    lab = make_lab(prediction=PREDICTION)
    assert lab.locked
    lab.predict("that")
    assert not lab.locked and lab.chosen == "that" and not lab.view.run_button.disabled


# --- bad ends ---------------------------------------------------------------------------------------------------


def test_a_diverging_run_is_stopped_with_the_reason_and_the_next_one_works(make_lab):  # noqa: F811
    lab = make_lab("learning_rate", **LONG, log_interval=1, warmup_iters=0, grad_clip=0.0, schedule="constant")
    lab.sliders["learning_rate"].value = 1.0
    lab.start()
    run = finish(lab)
    assert run.status == "diverged" and run.losses and "stays far above" in status(lab)
    lab.sliders["learning_rate"].value = 1e-3
    lab.base = lab.own = TrainConfig(**{**lab.base.__dict__, "max_iters": 5})
    lab.start()
    assert finish(lab).status == "finished"


def test_weights_that_are_no_numbers_any_more_end_the_run_with_the_reason_and_the_next_one_works(make_lab, monkeypatch):  # noqa: F811
    lab = make_lab(**LONG, log_interval=1)

    def poison(run, event):
        if event.step == 5:
            with torch.no_grad():
                next(lab._worker.trainer.model.parameters()).fill_(math.nan)

    monkeypatch.setattr(lab, "watch", poison)
    lab.start()
    run = finish(lab)
    assert run.status == "failed" and "try a smaller learning_rate" in status(lab)
    assert run.losses[0] > 0 and "img" in lab.view.image.value
    monkeypatch.undo()
    lab.base = lab.own = TrainConfig(**{**lab.base.__dict__, "max_iters": 5})
    lab.start()
    assert finish(lab).status == "finished" and len(lab.runs) == 2


@pytest.mark.parametrize("log_interval", [1, 1000])
def test_a_learning_rate_that_gives_nan_ends_the_run_with_the_reason(make_lab, log_interval):  # noqa: F811
    bad = {"learning_rate": 1e18, "warmup_iters": 0, "grad_clip": 0.0, "schedule": "constant", "eval_interval": 1000}
    lab = make_lab(**bad, **LONG, log_interval=log_interval)
    lab.start()
    run = finish(lab)
    assert run.status in ("diverged", "failed") and "try a smaller learning_rate" in status(lab)
    assert run.losses and run.step < 200


def test_whoever_wants_to_see_it_diverge_can(make_lab):  # noqa: F811
    bad = {"learning_rate": 1.0, "log_interval": 1, "warmup_iters": 0, "grad_clip": 0.0, "schedule": "constant"}
    lab = make_lab(**bad, max_iters=20, stop_diverged=False)
    lab.start()
    run = finish(lab)
    assert run.status == "finished" and run.divergence()
    assert lab.train().step == 20


def test_reasons_are_one_plain_sentence():
    assert reason_for(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")) == (
        OUT_OF_MEMORY
    )
    assert reason_for(torch.OutOfMemoryError("CUDA out of memory. Tried to")) == OUT_OF_MEMORY
    assert reason_for(MemoryError()) == OUT_OF_MEMORY
    assert reason_for(ValueError("first\nsecond")) == "ValueError: first"
    assert reason_for(KeyError()) == "KeyError"


def test_memory_that_is_not_there_ends_the_run_in_words(make_lab, monkeypatch):  # noqa: F811
    lab = make_lab()
    monkeypatch.setattr(lab, "make_trainer", lambda run: torch.empty(2**50))
    lab.start()
    assert finish(lab).status == "failed" and "out of memory" in status(lab)


def test_an_error_in_the_middle_keeps_the_curves(make_lab, monkeypatch):  # noqa: F811
    lab = make_lab()

    def watch(run, event):
        if event.step > 10:
            raise ValueError("of the learner's own")

    monkeypatch.setattr(lab, "watch", watch)
    lab.start()
    run = finish(lab)
    assert run.status == "failed" and len(run.losses) > 1 and "ValueError: of the learner" in status(lab)
    monkeypatch.undo()
    lab.start()
    assert finish(lab).status == "finished"


# --- threads ------------------------------------------------------------------------------------------------------


def test_a_paused_run_lets_another_have_its_turn(make_lab):  # noqa: F811
    first, second = make_lab(**LONG), make_lab(max_iters=3)
    first.start()
    wait_until(lambda: first.runs[-1].losses)
    first.pause()
    second.start()
    assert finish(second).status == "finished"
    step = first.runs[-1].step
    first.pause()
    wait_until(lambda: first.runs[-1].step > step)


@pytest.fixture
def watched_lab(make_lab, monkeypatch):  # noqa: F811
    """A lab that runs, that was seen in a page, and that asks often whether it still is."""
    monkeypatch.setattr("course.lab.page.BEAT", 0.02)
    monkeypatch.setattr("course.lab.page.PATIENCE", 0.5)
    lab = make_lab(**LONG)
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    lab.view.page.hear()
    return lab


def test_a_lab_that_nobody_sees_is_held(watched_lab, monkeypatch):
    lab = watched_lab
    wait_until(lambda: lab.held and "no longer shown" in status(lab))
    step, cpu = lab.runs[-1].step, time.process_time()
    time.sleep(0.3)
    assert lab.runs[-1].step == step and time.process_time() - cpu < 0.15
    lab.pause()  # it is seen again, and goes on
    wait_until(lambda: lab.runs[-1].step > step)


def test_a_lab_that_somebody_sees_goes_on(watched_lab, monkeypatch):
    page = watched_lab.view.page
    monkeypatch.setattr(page, "send", lambda question: page.hear())
    page.hear()
    time.sleep(1)
    assert not watched_lab.held


def test_an_answer_that_waits_until_a_cell_has_ended_is_not_missed(watched_lab):
    kernel = watched_lab.view.page._kernel
    kernel.begin_cell()
    time.sleep(1)
    assert not watched_lab.held
    kernel.end_cell()
    wait_until(lambda: watched_lab.held)


def test_a_click_that_is_answered_beside_a_cell_does_not_end_the_cell():
    kernel = Kernel()
    assert kernel.idle_for() == math.inf
    kernel.begin_cell()
    click = threading.Thread(target=lambda: (kernel.begin_cell(), kernel.end_cell()))
    click.start()
    click.join()
    assert kernel.idle_for() == 0
    kernel.end_cell()
    assert 0 < kernel.idle_for() < 1


def test_a_lab_without_a_page_goes_on(make_lab, monkeypatch):  # noqa: F811
    monkeypatch.setattr("course.lab.page.PATIENCE", 0.05)
    lab = make_lab(**LONG)
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    time.sleep(0.3)
    assert not lab.held


def test_running_a_cell_again_closes_its_old_lab(make_lab, dataset, monkeypatch):  # noqa: F811
    monkeypatch.setattr("course.lab.lab.current_cell", lambda: "cell 1")
    old = make_lab(**LONG)
    old.start()
    wait_until(lambda: old.runs[-1].losses)
    new = Lab(dataset=dataset, title=old.title)
    wait_until(lambda: not old._worker.alive)
    assert old.view.box.comm is None and new.view.box.comm is not None


def test_two_cells_have_a_lab_each(make_lab, dataset, monkeypatch):  # noqa: F811
    cells = iter(("cell 1", "cell 2"))
    monkeypatch.setattr("course.lab.lab.current_cell", lambda: next(cells))
    one = make_lab(**LONG)
    one.start()
    wait_until(lambda: one.runs[-1].losses)
    Lab(dataset=dataset, title=one.title)
    time.sleep(0.1)
    assert one.running and not one._worker.stopped


def test_runs_leave_no_thread_and_no_memory_behind(make_lab):  # noqa: F811
    """A hundred, once all is warm."""
    lab = make_lab(max_iters=1, eval_iters=1)

    def run(times):
        for _ in range(times):
            lab.start()
            lab._worker.thread.join(30)
        gc.collect()
        return psutil.Process().memory_info().rss

    before = run(20)
    threads, widgets = threading.active_count(), len(_instances)
    assert run(100) - before < 50 * MIB
    assert threading.active_count() <= threads and len(_instances) == widgets


# --- samples ------------------------------------------------------------------------------------------------------


def test_the_model_writes_at_each_evaluation_and_trains_as_if_it_had_not(make_lab, tiny, dataset):  # noqa: F811
    lab = make_lab(dropout=0.3)  # dropout draws from torch's own random numbers
    lab.start()
    run = finish(lab)
    assert len(run.sample) >= FEWEST and run.sampling > 0 and run.sample[:9] in lab.view.sample.value
    losses = [event.loss for event in Trainer(run.config, dataset) if isinstance(event, TrainStep) and event.logged]
    assert losses == run.losses


def test_a_sample_takes_no_longer_than_it_may(tiny, dataset):
    model = Trainer(tiny(), dataset).model
    short, long = (short_sample(model, dataset, seconds, seed=1) for seconds in (0.0, 60.0))
    assert len(short) == FEWEST and len(long) == MOST and long.startswith(short)

"""The live lab without a browser: its state is plain data, and its widgets are objects like any other."""

import re
import time
from dataclasses import replace

import pytest
from ipywidgets import FloatSlider

from course.lab import Explorer, Lab, Picture, Prediction, draw_runs, new_figure
from course.lab.controls import make_control
from gptlib.errors import UsageError, UserError
from gptlib.events import Evaluation
from gptlib.trainer import CHANGEABLE

SMALL = {"n_layer": 1, "n_head": 1, "n_embd": 16, "block_size": 8, "batch_size": 4, "max_iters": 30, "eval_iters": 2}
SLIDERS = ("eval_interval", "eval_iters", "log_interval", "block_size")
LONG = {"max_iters": 100_000}
PREDICTION = Prediction("What happens?", ("this", "that"), answer=1, why="Because.")


@pytest.fixture
def make_lab(dataset):
    labs = []

    def make(*sliders, **options):
        labs.append(Lab(*(sliders or SLIDERS), dataset=dataset, title=f"lab {len(labs)}", **(SMALL | options)))
        return labs[-1]

    yield make
    for lab in labs:
        lab.stop(wait=10)


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def finish(lab):
    wait_until(lambda: not lab._worker.alive)
    return lab.runs[-1]


def status(lab):
    return re.sub("<[^>]*>", "", lab.view.status.value)


# --- a run ------------------------------------------------------------------------------------------------


def test_run_goes_to_its_end_and_the_loss_falls(make_lab):
    lab = make_lab()
    lab.start()
    run = finish(lab)
    assert run.status == "finished" and run.step == 30
    assert run.losses[-1] < run.losses[0]
    assert "finished at step 30 of 30" in status(lab) and "validation loss" in status(lab)


def test_sliders_decide(make_lab):
    lab = make_lab()
    lab.sliders["eval_interval"].value, lab.sliders["block_size"].value = 10, 4
    lab.start()
    run = finish(lab)
    assert [e.step for e in run.evaluations] == [0, 10, 20, 30]
    assert run.config.block_size == 4 and "block_size 4" in run.label


def test_a_run_in_the_cell_equals_a_run_in_the_thread(make_lab):
    lab = make_lab()
    lab.start()
    assert finish(lab).losses == lab.train().losses


def test_stop_ends_the_run_soon_and_the_next_one_works(make_lab):
    lab = make_lab(**LONG)
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    started = time.monotonic()
    lab.view.stop_button.click()
    run = finish(lab)
    assert time.monotonic() - started < 1
    assert run.status == "stopped" and status(lab).startswith("stopped at step")
    lab.base = replace(lab.base, max_iters=5)
    lab.start()
    assert finish(lab).status == "finished"


def test_pause_holds_and_resume_goes_on(make_lab):
    lab = make_lab(**LONG)
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    lab.view.pause_button.click()
    time.sleep(0.3)
    step = lab.runs[-1].step
    time.sleep(0.3)
    assert lab.runs[-1].step == step and lab.view.pause_button.description == "Resume"
    lab.view.pause_button.click()
    wait_until(lambda: lab.runs[-1].step > step)
    assert lab.view.pause_button.description == "Pause"


def test_a_slider_moved_during_the_run_takes_effect_and_leaves_a_mark(make_lab):
    lab = make_lab(**LONG, eval_interval=200)
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    lab.sliders["log_interval"].value = 1
    wait_until(lambda: any(b - a == 1 for a, b in zip(lab.runs[-1].steps, lab.runs[-1].steps[1:], strict=False)))
    assert lab.runs[-1].marks.popitem()[1] == {"log_interval": 1}


def test_block_size_counts_from_the_next_run(make_lab):
    lab = make_lab(**LONG)
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    lab.sliders["block_size"].value = 2
    assert lab.runs[-1].marks == {} and "block_size" not in CHANGEABLE


def test_a_failing_run_says_why_and_the_next_one_works(make_lab):
    lab = make_lab()
    lab.sliders["block_size"].value = 256  # longer than the held-out text
    lab.start()
    run = finish(lab)
    assert run.status == "failed" and "block_size = 256" in status(lab)
    lab.sliders["block_size"].value = 8
    lab.start()
    assert finish(lab).status == "finished"


def test_an_error_of_any_kind_ends_in_the_status_line(make_lab, monkeypatch):
    lab = make_lab()
    monkeypatch.setattr(lab, "make_trainer", lambda run: 1 / 0)
    lab.start()
    assert finish(lab).status == "failed" and "ZeroDivisionError" in status(lab)


def test_settings_out_of_range_never_start(make_lab):
    lab = make_lab("n_embd", n_head=4)
    lab.sliders["n_embd"].step = 1
    lab.sliders["n_embd"].value = 17
    lab.start()
    assert lab.runs == [] and "multiple of n_head" in status(lab)


# --- several runs, several labs -----------------------------------------------------------------------------


def test_the_last_five_runs_are_kept_and_told_apart(make_lab):
    lab = make_lab(max_iters=2)
    for _ in range(7):
        lab.start()
        finish(lab)
    assert len(lab.runs) == 5 and len({run.number for run in lab.runs}) == 5


def test_labs_take_turns(make_lab):
    first, second = make_lab(**LONG), make_lab(max_iters=3)
    first.start()
    wait_until(lambda: first.runs[-1].losses)
    second.start()
    wait_until(lambda: "waiting" in status(second))
    first.stop()
    assert finish(second).status == "finished"


def test_a_slider_moved_while_a_run_waits_is_what_it_begins_with(make_lab):
    first, second = make_lab(**LONG), make_lab("eval_interval", "learning_rate", max_iters=40)
    first.start()
    wait_until(lambda: first.runs[-1].losses)
    second.start()
    wait_until(lambda: "waiting" in status(second))
    second.sliders["eval_interval"].value, second.sliders["learning_rate"].value = 20, 0.01
    first.stop()
    run = finish(second)
    assert [event.step for event in run.evaluations] == [0, 20, 40] and run.config.learning_rate == 0.01
    assert run.label == "eval_interval 20, learning_rate 0.01" and run.marks == {}


def test_a_run_says_that_it_waits_also_when_it_is_to_go_on_or_is_paused_meanwhile(make_lab):
    first, second = make_lab(**LONG), make_lab(**LONG)
    first.start()
    wait_until(lambda: first.runs[-1].losses)
    first.pause()
    wait_until(lambda: "paused at" in status(first))
    second.start()
    wait_until(lambda: second.runs[-1].losses)
    first.pause()
    wait_until(lambda: "waiting" in status(first))
    time.sleep(0.3)
    assert "waiting" in status(first) and first.view.pause_button.description == "Pause"
    first.pause()
    wait_until(lambda: "paused at" in status(first))
    assert first.view.pause_button.description == "Resume"
    first.pause()
    wait_until(lambda: "waiting" in status(first))
    step = first.runs[-1].step
    second.stop()
    wait_until(lambda: first.runs[-1].step > step)


def test_a_run_that_has_its_last_evaluation_cannot_be_held(make_lab):
    lab = make_lab(prediction=PREDICTION)
    lab.watch = lambda run, event: lab.pause() if isinstance(event, Evaluation) and event.step == 30 else None
    lab.view.choice.index = 1
    lab.start()
    assert finish(lab).status == "finished" and "finished" in status(lab) and "Because" in lab.view.verdict.value
    lab.pause()
    assert not lab.held


def test_a_new_lab_of_the_same_title_stops_the_old_one(make_lab):
    old = make_lab(**LONG)
    old.start()
    wait_until(lambda: old.runs[-1].losses)
    Lab(dataset=old.dataset, title=old.title, **SMALL)
    assert finish(old).status == "stopped"


def test_a_constant_product_is_kept(make_lab):
    pair = ("batch_size", "gradient_accumulation_steps")
    lab = make_lab(*pair, sequences_per_step=32, batch_size=8, gradient_accumulation_steps=4)
    lab.sliders["batch_size"].value = 16
    assert lab.settings() == {"batch_size": 16, "gradient_accumulation_steps": 2}
    lab.sliders["gradient_accumulation_steps"].value = 32
    assert lab.settings() == {"batch_size": 1, "gradient_accumulation_steps": 32}


# --- predict first -----------------------------------------------------------------------------------------------


def test_run_waits_for_a_prediction_and_the_verdict_follows_the_run(make_lab):
    lab = make_lab(prediction=PREDICTION)
    assert lab.view.run_button.disabled
    lab.view.choice.index = 0
    assert not lab.view.run_button.disabled
    lab.start()
    assert finish(lab).prediction == "this"
    wait_until(lambda: "Not quite" in lab.view.verdict.value and "Because." in lab.view.verdict.value)


def test_a_prediction_can_be_skipped(make_lab):
    lab = make_lab(prediction=PREDICTION)
    lab.view.skip_button.click()
    lab.start()
    assert finish(lab).prediction == "" and "predicted" not in lab.view.verdict.value


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_shares_of_the_time_add_up(make_lab):
    lab = make_lab()
    lab.start()
    run = finish(lab)
    assert sum(run.shares().values()) == pytest.approx(1) and run.shares()["evaluating"] > 0


def test_the_plot_has_an_alt_text_with_the_numbers(make_lab):
    lab = make_lab()
    assert 'alt="lab 0: no run yet"' in lab.view.image.value
    lab.start()
    run = finish(lab)
    wait_until(lambda: f"validation loss {run.val.mean:.2f}" in lab.view.image.value)


def test_a_static_figure_is_a_png_with_an_alt_text(make_lab):
    run = make_lab().train()
    data, metadata = draw_runs([run], "One run")._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert "finished at step 30" in metadata["image/png"]["alt"]
    assert not re.search(r"\d\.\d", data["text/plain"]), "nbval compares this text, so it holds nothing measured"


def test_every_control_has_its_range_and_its_meaning():
    slider = make_control("learning_rate", 1e-3)
    assert slider.value == pytest.approx(1e-3) and "peak learning rate" in slider.tooltip
    with pytest.raises(UsageError, match="eval_interval"):
        make_control("eval_intervall", 1)


def test_an_explorer_follows_its_control():
    def draw(x):
        if x > 1:
            raise UserError("x is too large")
        figure, ax = new_figure()
        ax.plot([0, x])
        return Picture(figure, "a line", f"a line up to {x}")

    explorer = Explorer(draw, "a line", x=FloatSlider(value=0, max=5))
    explorer.controls["x"].value = 0.5
    assert "a line up to 0.5" in explorer.output.value
    explorer.controls["x"].value = 3
    assert "x is too large" in explorer.status.value

"""The live lab without a browser: its state is plain data, and its widgets are objects like any other."""

import gc
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace

import psutil
import pytest
import torch
from ipywidgets.widgets.widget import _instances

from course.lab import Lab, Prediction
from course.lab.controls import beyond, make_control
from course.lab.worker import reason_for
from gptlib import Dataset, Trainer
from gptlib.errors import OUT_OF_MEMORY, UsageError
from gptlib.events import Estimate, Evaluation, TrainStep

SMALL = {"n_layer": 1, "n_head": 1, "n_embd": 16, "block_size": 8, "batch_size": 4, "max_iters": 30, "eval_iters": 2}
SLIDERS = ("eval_interval", "eval_iters", "log_interval", "block_size")
LONG = {"max_iters": 100_000}
PREDICTION = Prediction("What happens?", ("this", "that"), answer=1, why="Because.")
MIB = 2**20


@pytest.fixture
def make_lab(dataset, monkeypatch):
    monkeypatch.setattr("course.lab.observe.SAMPLE", 20)  # for which no test waits
    labs = []

    def make(*sliders, **options):
        options = {"dataset": dataset, "title": f"lab {len(labs)}"} | SMALL | options
        labs.append(Lab(*(sliders or SLIDERS), **options))
        return labs[-1]

    yield make
    for lab in labs:
        lab.stop()
        lab.wait(10)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def finish(lab):
    """The last run, once it is over and shown."""
    wait_until(lambda: not lab.running and not lab._worker.thread.is_alive())
    return lab.runs[-1]


def begin(lab):
    """Start a run and wait for its first loss."""
    lab.start()
    wait_until(lambda: lab.runs[-1].losses)
    return lab.runs[-1]


def status(lab):
    return re.sub("<[^>]*>", "", lab.view.status.value)


# --- a run ------------------------------------------------------------


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


def test_a_run_in_the_cell_equals_a_run_in_the_thread(make_lab, capsys):
    lab = make_lab(dropout=0.3)  # dropout draws from torch's own random numbers; samples must not
    lab.start()
    losses = finish(lab).losses
    lab.run()
    assert lab.runs[-1].status == "finished" and lab.runs[-1].losses == losses
    bare = Trainer(lab.runs[-1].config, lab.dataset)
    assert losses == [event.loss for event in bare if isinstance(event, TrainStep) and event.logged]


def test_interrupting_a_run_in_the_cell_is_stop(make_lab, monkeypatch):
    lab = make_lab()

    def interrupted(run):
        for event in Trainer(run.config, lab.dataset):
            yield event
            if event.step == 12:
                raise KeyboardInterrupt

    monkeypatch.setattr(lab, "_events", interrupted)
    lab.run()
    assert lab.runs[-1].status == "stopped" and status(lab).startswith("stopped at step 1")


def test_a_second_interrupt_while_the_end_is_drawn_is_stop_too(make_lab, monkeypatch):
    lab = make_lab()

    def interrupted(run, event):
        raise KeyboardInterrupt

    monkeypatch.setattr(lab, "_take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lab.run()
    assert lab.runs[-1].status == "stopped" and not lab.running


def test_on_colab_run_trains_in_the_cell(make_lab, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    lab = make_lab()
    lab.view.run_button.click()
    assert lab.runs[-1].status == "finished" and lab._worker is None


def test_stop_ends_the_run_soon_and_the_next_one_works(make_lab):
    lab = make_lab(**LONG)
    begin(lab)
    lab.view.stop_button.click()
    assert status(lab).startswith("stopped at step") and lab.view.stop_button.disabled  # at once
    run = finish(lab)
    assert run.status == "stopped" and status(lab).startswith("stopped at step")
    lab.base = replace(lab.base, max_iters=5)
    lab.start()
    assert finish(lab).status == "finished"


def test_pause_and_resume(make_lab):
    lab = make_lab(**LONG)
    begin(lab)
    lab.view.pause_button.click()
    wait_until(lambda: status(lab).startswith("paused at step"))
    assert lab.view.pause_button.description == "Resume"
    step = lab.runs[-1].step
    lab.view.step_button.click()
    wait_until(lambda: status(lab).startswith(f"paused at step {step + 1:,} "))  # it had really stopped there
    lab.view.pause_button.click()
    wait_until(lambda: lab.runs[-1].step > step + 1)
    assert lab.view.pause_button.description == "Pause"


def test_step_is_one_step_and_resume_continues_as_before(make_lab):
    lab = make_lab(**LONG, log_interval=1)
    for done in (1, 2, 3):
        lab.view.step_button.click()
        wait_until(lambda: lab.runs and status(lab).startswith(f"paused at step {done} "))  # noqa: B023
    assert lab.runs[-1].steps == [0, 1, 2] and lab.view.pause_button.description == "Resume"
    lab.view.pause_button.click()
    wait_until(lambda: len(lab.runs[-1].steps) > 5)


def test_a_slider_moved_during_the_run_takes_effect_and_leaves_a_mark(make_lab):
    lab = make_lab(**LONG, eval_interval=200, log_interval=5)
    begin(lab)
    lab.sliders["log_interval"].value = 1
    wait_until(lambda: any(b - a == 1 for a, b in zip(lab.runs[-1].steps, lab.runs[-1].steps[1:], strict=False)))
    assert lab.runs[-1].marks.popitem()[1] == {"log_interval": 1}


def test_what_a_run_cannot_take_up_is_said_to_count_from_the_next_one(make_lab):
    lab = make_lab(**LONG)
    begin(lab)
    lab.sliders["block_size"].value = 2
    assert lab.runs[-1].marks == {}
    assert "From the next Run: block_size 2" in lab.view.note.value
    lab.sliders["block_size"].value = 8
    assert "From the next Run" not in lab.view.note.value


def test_a_failing_run_says_why_and_the_next_one_works(make_lab):
    lab = make_lab()
    lab.sliders["block_size"].value = 256  # longer than the held-out text
    lab.start()
    run = finish(lab)
    assert run.status == "failed" and "block_size = 256" in status(lab)
    lab.sliders["block_size"].value = 8
    lab.start()
    assert finish(lab).status == "finished"


def test_an_error_in_the_middle_keeps_the_curves(make_lab, monkeypatch):
    lab = make_lab()

    def failing(run):
        for event in Trainer(run.config, lab.dataset):
            yield event
            if event.step > 10:
                raise ValueError("of the learner's own")

    monkeypatch.setattr(lab, "_events", failing)
    lab.start()
    run = finish(lab)
    assert run.status == "failed" and len(run.losses) > 1 and "ValueError: of the learner" in status(lab)


def test_settings_out_of_range_never_start(make_lab):
    lab = make_lab("n_embd", n_head=4)
    lab.sliders["n_embd"].step = 1
    lab.sliders["n_embd"].value = 17
    lab.start()
    assert lab.runs == [] and "multiple of n_head" in status(lab)


def test_a_diverging_run_is_stopped_with_the_reason(make_lab):
    bad = {"log_interval": 1, "warmup_iters": 0, "grad_clip": 0.0, "schedule": "constant"}
    lab = make_lab("learning_rate", **LONG, **bad)
    lab.sliders["learning_rate"].value = 1.0
    lab.start()
    run = finish(lab)
    assert run.status == "diverged" and run.losses and "stays far above" in status(lab)


def test_a_loss_that_is_no_number_ends_the_run_with_the_reason(make_lab):
    bad = {"learning_rate": 1e18, "warmup_iters": 0, "grad_clip": 0.0, "schedule": "constant", "eval_interval": 1000}
    lab = make_lab(**bad, **LONG, log_interval=1000)
    lab.start()
    run = finish(lab)
    assert run.status in ("diverged", "failed") and "try a smaller learning_rate" in status(lab)


def test_reasons_are_one_plain_sentence():
    assert reason_for(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")) == (
        OUT_OF_MEMORY
    )
    assert reason_for(torch.OutOfMemoryError("CUDA out of memory. Tried to")) == OUT_OF_MEMORY
    assert reason_for(ValueError("first\nsecond")) == "ValueError: first"


# --- several runs, several labs ------------------------------------------------------------


def test_five_runs_are_kept_the_oldest_leaves_visibly_and_numbers_continue(make_lab):
    lab = make_lab()
    for _ in range(7):
        lab._begin().step = 20
    assert [run.number for run in lab.runs] == [3, 4, 5, 6, 7] and "run 2 has left" in lab.view.note.value
    assert sorted(run.look.slot for run in lab.runs) == [0, 1, 2, 3, 4]


def test_labs_take_turns(make_lab):
    first, second = make_lab(**LONG), make_lab(**LONG)
    begin(first)
    for this, other in ((second, first), (first, second), (second, first)):
        this.view.run_button.click() if this.runs == [] else this.view.pause_button.click()
        wait_until(lambda: status(this).startswith("running") and status(other).startswith("paused"))  # noqa: B023
        assert other.view.pause_button.description == "Resume"


def test_a_run_that_has_its_last_evaluation_cannot_be_paused(make_lab, monkeypatch):
    lab, take = make_lab(), Lab._take

    def last_evaluation(run):
        lab._worker.paused = True
        yield Evaluation(30, *[Estimate(2.0, 0.1, 8)] * 2, best=True, tokens=0, seconds=0.0)

    def take_late(run, event):  # the last evaluation when the worker has paused, and said so
        wait_until(lambda: run.over or lab._worker._queue.qsize())
        take(lab, run, event)

    monkeypatch.setattr(lab, "_events", last_evaluation)
    monkeypatch.setattr(lab, "_take", take_late)
    lab.start()
    assert finish(lab).status == "finished" and "finished" in status(lab)


def test_running_a_cell_again_closes_its_old_lab(make_lab, dataset, monkeypatch):
    monkeypatch.setattr("course.lab.lab.current_cell", lambda: "cell 1")
    old = make_lab(**LONG)
    begin(old)
    new = Lab(dataset=dataset)
    assert finish(old).status == "stopped" and old.view.box.comm is None and new.view.box.comm is not None


def test_two_cells_have_a_lab_each(make_lab, dataset, monkeypatch):
    cells = iter(("cell 1", "cell 2"))
    monkeypatch.setattr("course.lab.lab.current_cell", lambda: next(cells))
    one = make_lab(**LONG)
    begin(one)
    Lab(dataset=dataset)
    assert one.running


def test_a_run_that_is_deleted_while_it_goes_on_leaves_nothing(make_lab):
    lab = make_lab(**LONG)
    worker = (begin(lab), lab._worker)[1]
    lab.delete(lab.runs[0])
    assert lab.runs == [] and status(lab) == "ready" and "No run yet" in lab.view.image.value
    wait_until(lambda: not worker.thread.is_alive())
    assert status(lab) == "ready" and "No run yet" in lab.view.image.value


def test_hide_rename_delete(make_lab):
    lab = make_lab()
    lab.view.folds["Compare the runs"].value = True
    lab.start()
    run = finish(lab)
    row = lab.view.rows.children[0]
    row.children[0].value = False
    assert run.look.hidden and "Run 1" not in lab.view.image.value
    row.children[1].value = "my run"
    assert "1: my run" in lab.view.table.value
    row.children[2].click()
    assert lab.runs == [] and lab.view.rows.children == () and "No run yet" in lab.view.table.value


# --- predict first ------------------------------------------------------------


def test_run_waits_for_a_prediction_and_the_verdict_for_a_run_that_tests_it(make_lab):
    lab = make_lab(prediction=PREDICTION)
    assert lab.view.run_button.disabled
    lab.view.ask.choice.value = "this"
    assert not lab.view.run_button.disabled
    lab.start()
    assert finish(lab).look.prediction == "this"
    assert "move eval_interval" in lab.view.ask.verdict.value and "Because." not in lab.view.ask.verdict.value
    lab.sliders["eval_interval"].value = 10
    lab.start()
    finish(lab)
    assert "Not quite" in lab.view.ask.verdict.value and "Because." in lab.view.ask.verdict.value


def test_a_prediction_that_any_run_tests(make_lab):
    lab = make_lab(prediction=replace(PREDICTION, moves=None))
    lab.view.ask.choice.value = "that"
    lab.start()
    finish(lab)
    assert "Right. Because." in lab.view.ask.verdict.value


def test_a_prediction_can_be_skipped(make_lab):
    lab = make_lab(prediction=PREDICTION)
    lab.view.ask.skip_button.click()
    lab.start()
    assert finish(lab).look.prediction == "" and "predicted" not in lab.view.ask.verdict.value


def test_choices_are_shuffled_the_same_way_every_time():
    orders = {Prediction("Which?", ("a", "b", "c", "d"), 0, "").shuffled for _ in range(5)}
    assert len(orders) == 1 and sorted(orders.pop()) == ["a", "b", "c", "d"]
    several = {Prediction(f"Which {i}?", ("a", "b", "c"), 0, "").shuffled.index("a") for i in range(20)}
    assert several == {0, 1, 2}


# --- any text ------------------------------------------------------------


def test_a_text_a_file_and_a_dataset_are_all_texts(make_lab, tmp_path, dataset):
    text = "a rose is a rose is a rose\r\n" * 60
    file = tmp_path / "roses.txt"
    file.write_text(text, encoding="utf-8")
    pasted, read = make_lab(dataset=text, title=None), make_lab(dataset=str(file), title=None)
    assert pasted.dataset.vocab_size == read.dataset.vocab_size == len(set(text)) - 1
    assert (pasted.title, read.title) == ("A GPT learns your text", "A GPT learns roses.txt")
    assert make_lab(dataset=dataset).dataset is dataset


def test_the_learner_pastes_a_text_and_is_warned_of_a_short_one(make_lab):
    lab = make_lab(texts=True, title=None)
    lab.start()
    finish(lab)
    lab.view.text_menu.value = "your own text"
    lab.view.own_text.value = "One fish, two fish, red fish, blue fish.\n" * 40
    lab.view.use_button.click()
    assert "Only 1,641 characters" in lab.view.note.value and lab.runs == []
    lab.start()
    assert finish(lab).status == "finished" and "your text" in lab.view.image.value
    assert lab.landmarks["guessing"] == pytest.approx(torch.tensor(lab.dataset.vocab_size).log().item())


def test_a_long_line_without_an_end_is_a_text_and_no_path(make_lab):
    lab = make_lab(texts=True)
    lab.open_text("your own text", "床前明月光，疑是地上霜。" * 30)
    assert lab.dataset.vocab_size == 13 and "Only 361 characters" in lab.view.note.value


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_text_is_refused_in_a_sentence(make_lab, text):
    lab = make_lab(texts=True)
    lab.open_text("your own text", text)
    assert "the box is empty" in status(lab)


def test_many_different_characters_are_inside_the_plot(make_lab):
    text = "".join(chr(0x4E00 + i * 7 % 3000) for i in range(12_000)) * 2
    lab = make_lab(dataset=text + "\n", max_iters=12)
    lab.start()
    run = finish(lab)
    low, high = lab._plot._ax.get_ylim()
    assert high > 8 and all(low < loss < high for loss in run.losses)  # ln 3000 = 8.0


# --- what it writes and thinks ------------------------------------------------------------


def test_samples_are_kept_with_their_steps_and_any_two_can_be_compared(make_lab):
    lab = make_lab()
    lab.start()
    run = finish(lab)
    assert [sample.step for sample in run.samples] == [0, 10, 30]
    assert all(f"step {step}" in lab.view.sample.value for step in (0, 10, 30))
    lab.view.folds["Side by side"].value = True
    left, right = lab.view.sides
    left[0].value = run.samples[1]
    assert run.samples[1].text.strip()[:5] in left[1].value.replace("&#x27;", "'")
    lab.start()
    finish(lab)
    assert left[0].value is run.samples[1] and "run 2, step 30" in dict(right[0].options)


def test_what_it_thinks_follows_the_line_while_it_trains_and_afterwards(make_lab):
    lab = make_lab(**LONG, maps=True)
    begin(lab)
    lab.view.line.value = "the qu"
    wait_until(lambda: lab.runs[-1].thoughts and lab.runs[-1].thoughts.line == "the qu")
    told = lab.runs[-1].thoughts
    assert len(told.likeliest) == 10 and told.likeliest[0][1] >= told.likeliest[1][1]
    assert told.maps[0].shape == (1, 6, 6) and told.maps[0][0].sum(1) == pytest.approx([1] * 6)
    wait_until(lambda: lab.runs[-1].thoughts.step > told.step)  # refreshed by an evaluation
    lab.stop()
    finish(lab)
    lab.view.line.value = "dog"
    assert "“dog”" in lab.view.thoughts.value and "<svg" in lab.view.maps.value


def test_the_first_point_waits_for_no_sample(make_lab):
    lab = make_lab()
    kinds = [type(event).__name__ for event in lab._events(lab.new_run())]
    assert kinds.index("Evaluation") < kinds.index("Sample") < kinds.index("TrainStep")


def test_the_line_begins_as_a_whole_line_of_the_text(make_lab):
    names = "\n".join(f"{first}{middle}na" for first in "ABCDEFGH" for middle in ("nto", "rist", "le")) + "\n"
    assert make_lab(dataset=names * 50).view.line.value in names.split()


def test_a_line_of_unknown_characters_is_no_error(make_lab):
    lab = make_lab()
    lab.view.line.value = "日本"
    lab.start()
    assert finish(lab).thoughts.likeliest == ()


# --- what is shown ------------------------------------------------------------


def test_the_plot_has_an_alt_text_with_the_numbers(make_lab):
    lab = make_lab()
    assert 'alt="lab 0 against steps. No run yet."' in lab.view.image.value
    lab.start()
    run = finish(lab)
    assert "finished at step 30" in lab.view.image.value
    assert f"validation loss {run.val.mean:.2f}" in lab.view.image.value
    assert "Gap " in lab.view.costs.value and "training" in lab.view.costs.value
    assert lab.view.heard.value == status(lab)


def test_where_nothing_is_live_a_sentence_says_what_to_do(make_lab):
    lab = make_lab()
    data = lab._repr_mimebundle_()
    assert "run this cell to bring it back" in data["text/plain"] and "run this cell" in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sliders": ["lerning_rate"]}, "did you mean 'learning_rate'"),
        ({"sliders": [["n_head"]]}, "did you mean 'n_head'"),
        ({"prediction": "x"}, "prediction = 'x': must be Prediction . None"),
        ({"loss_range": 3}, r"loss_range = 3: must be tuple\[float, float\] . None"),
        ({"texts": "mine.txt"}, "texts = 'mine.txt': must be bool"),
        ({"menus": ["n_head"]}, r"menus = .*: must be Mapping\[str, Sequence\[str\]\] . None"),
        ({"sequences_per_step": 2.5}, "sequences_per_step = 2.5: must be int"),
        (
            {"sequences_per_step": 10, "batch_size": 4},
            "must be batch_size x gradient_accumulation_steps = 4",
        ),
        ({"loss_range": (4,)}, "must be two losses, the lower one first"),
        ({"dataset": 17}, "dataset = 17: must be Dataset . str . Path"),
        ({"sliders": ["out_dir"]}, "no slider for 'out_dir'"),
        ({"learnig_rate": 1}, "did you mean 'learning_rate'"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0"),
    ],
)
def test_a_wrong_argument_is_one_sentence(dataset, wrong, said):
    with pytest.raises(UsageError, match=said):
        Lab(*wrong.pop("sliders", []), **{"dataset": dataset} | wrong)


def test_a_run_on_a_prepared_text_keeps_its_name(prepared):
    assert Lab("block_size", dataset=str(prepared)).new_run().config.dataset == str(prepared)


def test_a_value_beyond_its_slider_widens_it_and_says_so(make_lab):
    lab = make_lab("learning_rate", learning_rate=5.0)
    assert lab.sliders["learning_rate"].value == 5.0
    assert "learning_rate = 5 is beyond its usual range, 1e-05 to 1" in lab.view.note.value
    assert beyond("learning_rate", 0.01) == beyond("optimizer", "muon") == ""


def test_the_menu_begins_with_the_text_that_was_given(make_lab):
    lab = make_lab(dataset="a rose is a rose is a rose\n" * 60, texts=True)
    names = lab.view.text_menu.options
    assert names[0] == lab.view.text_menu.value == "your text" and "Python code" in names
    lab.view.text_menu.value = "Python code"
    assert lab.title.startswith("lab") and lab.dataset.vocab_size > 60
    lab.view.text_menu.value = "your text"
    assert lab.dataset.vocab_size < 12


def test_controls_reach_what_they_are_given_and_say_what_they_are():
    slider = make_control("learning_rate", 5.0)
    assert slider.value == pytest.approx(5.0) and "learning rate" in slider.tooltip
    assert make_control("n_layer", 12).value == 12 and make_control("eval_interval", 2).value == 2
    assert make_control("train_fraction", 0.0001).value == pytest.approx(0.0001)
    assert make_control("dtype", "auto").value == "auto" and "auto" not in make_control("dtype", "float32").options


def test_a_lab_about_the_learning_rate_trains_with_adamw(make_lab):
    assert make_lab("learning_rate").base.optimizer == "adamw" and make_lab().base.optimizer == "muon"
    both = make_lab("learning_rate", optimizer="muon", learning_rate=0.01, muon_lr=0.04)
    both.sliders["learning_rate"].value = 0.02
    assert both.new_run().config.muon_lr == pytest.approx(0.08)


# --- threads and pages ------------------------------------------------------------


def test_python_ends_cleanly_while_a_run_trains():
    code = (
        "from gptlib import Dataset\nfrom course.lab import Lab\nimport time\n"
        "lab = Lab('eval_interval', dataset=Dataset.from_text('to be or not to be ' * 500), max_iters=10**6)\n"
        "lab.start()\nwhile not lab.runs[-1].losses: time.sleep(0.01)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="uses the resident memory of a Unix process")
def test_runs_leave_no_thread_and_no_memory_behind(make_lab):
    """Neither does any of its pictures, which would be 4 MiB each."""
    lab = make_lab(max_iters=1, eval_iters=1)

    def run(times):
        for _ in range(times):
            lab.start()
            lab.wait(30)
            wait_until(lambda: not lab.running)
        gc.collect()
        return psutil.Process().memory_info().rss

    before = run(3)
    threads, widgets = threading.active_count(), len(_instances)
    assert run(10) - before < 20 * MIB
    wait_until(lambda: threading.active_count() <= threads)
    assert len(_instances) == widgets


def test_the_lab_learns_byte_pairs(make_lab):
    from gptlib import BPETokenizer

    text = "the quick brown fox jumps over the lazy dog. " * 400
    data = Dataset.from_texts(text, text[:3000], BPETokenizer.train(text, 280))
    lab = make_lab(dataset=data)
    lab.start()
    assert finish(lab).unit == "token" and lab._plot._ax.get_ylabel() == "loss (nats per token)"

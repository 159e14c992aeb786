"""What a run leaves behind: its log and its config."""

import json
import sys
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from gptlib import Estimate, Evaluation, Progress, Saved, TrainConfig, Trainer, TrainStep, checkpoint
from gptlib.config import read_config
from gptlib.events import Costs
from gptlib.runlog import RunLog, WandbLog, read_log

STEP = TrainStep(5, 1.5, 0.01, 0.7, 192, 1000.0, Costs())
EVALUATION = Evaluation(5, Estimate(1.0, 0.1, 8), Estimate(1.25, 0.1, 8), True, 160, Costs())


@pytest.fixture
def log_of(tiny, tmp_path, dataset):
    """`log_of("name")`: the log of a run into tmp_path/name; `until`: leave the run at the first such event."""

    def train(name, until=lambda event: False, **settings):
        config = tiny(out_dir=str(tmp_path / name), eval_interval=5, log_interval=1, dropout=0.1, **settings)
        for event in Trainer(config, dataset):
            if until(event):
                break
        return tmp_path / name / "log.jsonl"

    return train


def without_times(events):
    """What two runs of the same steps have in common."""
    timed = ("costs", "tokens_per_second", "folder", "peak_memory")
    return [{name: value for name, value in event.items() if name not in timed} for event in events]


def at_step_13(event):
    return isinstance(event, TrainStep) and event.step == 13


def test_every_line_is_json_and_every_event_but_progress_is_there(log_of, tiny, tmp_path):
    lines = [json.loads(line) for line in log_of("run").read_text().splitlines()]
    assert lines[0] == {"event": "Start", "step": 0, "init_from": "scratch"}
    assert {line["event"] for line in lines[1:]} == {"Evaluation", "TrainStep", "Saved"}
    assert [line["step"] for line in lines if line["event"] == "TrainStep"] == list(range(20))


def test_an_event_comes_back_with_all_its_numbers(tiny, tmp_path):
    log = RunLog(tiny(out_dir=str(tmp_path)), step=0)
    events = [EVALUATION, Saved(5, "folder"), STEP]
    for event in [Progress(1, "train", Costs()), *events]:
        log(event)
    log.close()
    assert read_log(tmp_path / "log.jsonl") == [{"event": type(e).__name__, **asdict(e)} for e in events]


def test_a_line_is_on_disk_once_the_event_was_logged(tiny, tmp_path):
    log = RunLog(tiny(out_dir=str(tmp_path)), step=0)
    log(STEP)
    assert len(read_log(tmp_path / "log.jsonl")) == 1
    log.close()


def test_numbers_that_json_lacks_become_null(tiny, tmp_path):
    log = RunLog(tiny(out_dir=str(tmp_path)), step=0)
    log(Evaluation(0, Estimate(1.0, float("nan"), 1), Estimate(float("inf"), 0.0, 1), False, 0, Costs()))
    log.close()
    (event,) = read_log(tmp_path / "log.jsonl")
    assert event["train"]["standard_error"] is None and event["val"]["mean"] is None
    assert "NaN" not in (tmp_path / "log.jsonl").read_text()


def test_the_config_that_is_written_repeats_the_run(log_of, tiny, tmp_path):
    path = log_of("run")
    config = tiny(out_dir=str(path.parent), eval_interval=5, log_interval=1, dropout=0.1)
    assert read_config(TrainConfig, path.with_name("config.toml")) == config


# --- resumed runs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 30], ids=["between lines", "newline lost", "within a line"])
def test_the_log_of_a_killed_and_resumed_run_reads_like_that_of_one_run(log_of, cut):
    whole = read_log(log_of("whole"))
    path = log_of("killed", until=at_step_13)
    path.write_bytes(path.read_bytes()[: -cut or None])
    log_of("killed", init_from="resume")
    assert without_times(read_log(path)) == without_times(whole)
    assert len(path.read_text().splitlines()) > len(whole) + 2  # nothing was taken out of the file itself


def test_the_log_of_a_run_killed_twice_does_too(log_of):
    path = log_of("killed", until=at_step_13)
    log_of("killed", until=at_step_13, init_from="resume")
    log_of("killed", init_from="resume")
    assert without_times(read_log(path)) == without_times(read_log(log_of("whole")))


def test_an_evaluation_that_was_done_twice_at_the_same_step_counts_once(tiny, tmp_path):
    """Ctrl-C within it saved its step; then it was done, and a kill came before the checkpoint that says so."""
    lines = [Saved(5, "latest"), EVALUATION, Saved(5, "best")]
    for _ in range(2):
        log = RunLog(tiny(out_dir=str(tmp_path)), step=5, goes_on=True)
        for event in lines:
            log(event)
        log.close()
    assert [event["event"] for event in read_log(tmp_path / "log.jsonl")] == ["Saved", "Evaluation", "Saved"]


def test_a_last_line_that_was_cut_short_is_left_out(log_of):
    path = log_of("run")
    complete = read_log(path)
    path.write_bytes(path.read_bytes()[:-30])
    assert read_log(path) == complete[:-1]


def test_a_run_from_scratch_sets_the_earlier_one_aside(log_of):
    path = log_of("run", max_iters=5)
    earlier = path.read_text()
    log_of("run", max_iters=3)
    assert [e["step"] for e in read_log(path) if e["event"] == "Evaluation"] == [0, 3]
    assert (path.parent / "earlier" / "log.jsonl").read_text() == earlier
    assert {p.name for p in (path.parent / "earlier").iterdir()} >= {"latest", "best", "config.toml"}


def test_no_earlier_run_is_ever_deleted_and_nothing_of_others_is_moved(log_of, tmp_path):
    (tmp_path / "run" / "earlier").mkdir(parents=True)
    (tmp_path / "run" / "earlier" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "previous_work").mkdir()
    for max_iters in (1, 2, 3):
        path = log_of("run", max_iters=max_iters)
    last = [max(e["step"] for e in read_log(path.parent / name / "log.jsonl")) for name in ("earlier-2", "earlier-3")]
    assert last == [1, 2] and (path.parent / "earlier" / "notes.txt").exists()
    assert (path.parent / "previous_work").exists()


def test_what_is_written_of_a_resumed_run_repeats_it_from_its_start(log_of):
    path = log_of("run", until=at_step_13)
    log_of("run", until=lambda event: isinstance(event, TrainStep), init_from="resume")
    log_of("run", init_from="resume")
    assert read_config(TrainConfig, path.with_name("config.toml")).init_from == "scratch"
    assert checkpoint.load(path.parent, prefer="latest").config["init_from"] == "scratch"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    starts = [line["init_from"] for line in lines if line["event"] == "Start"]
    assert starts == ["scratch", "resume", "resume"]


def test_two_runs_do_not_write_to_one_folder(tiny, dataset, tmp_path, refused):
    """Not even a paused one and another; once the first is left, the second may."""
    config = tiny(out_dir=str(tmp_path))
    first = iter(Trainer(config, dataset))
    for _ in range(3):
        next(first)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for init_from in ("scratch", "resume"):
        second = Trainer(tiny(out_dir=str(tmp_path), init_from=init_from), dataset)
        with refused("another run is writing to", str(tmp_path), "choose another folder"):
            next(iter(second))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert list(first)
    assert list(Trainer(tiny(out_dir=str(tmp_path)), dataset))


def test_a_run_does_not_go_on_in_a_folder_that_another_has_taken(tiny, dataset, tmp_path, refused):
    first = Trainer(tiny(out_dir=str(tmp_path)), dataset)
    for event in first:
        if isinstance(event, Saved) and event.folder.endswith("latest"):
            break
    resumed = Trainer(tiny(out_dir=str(tmp_path), init_from="resume"), dataset)
    list(Trainer(tiny(out_dir=str(tmp_path), seed=2), dataset))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for trainer in (first, resumed):
        with refused("another run has written to", str(tmp_path), "another out_dir", "'resume'"):
            list(trainer)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_links_that_are_moved_still_lead_where_they_led(log_of, tmp_path):
    path = log_of("run")
    (path.parent / "best").rename(tmp_path / "elsewhere")
    (path.parent / "best").symlink_to("../elsewhere")
    log_of("run", max_iters=1)
    assert checkpoint.load(path.parent / "earlier" / "best").progress.step > 1


def test_leaving_a_run_and_iterating_again_goes_on_with_its_log(tiny, dataset, tmp_path):
    trainer = Trainer(tiny(out_dir=str(tmp_path), log_interval=1), dataset)
    for event in trainer:
        if at_step_13(event):
            break
    list(trainer)
    events = read_log(tmp_path / "log.jsonl")
    assert [event["step"] for event in events if event["event"] == "TrainStep"] == list(range(20))
    assert not (tmp_path / "earlier").exists()


def test_files_of_others_stay(log_of, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    log_of("run", max_iters=1)
    log_of("run", max_iters=1)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_an_out_dir_that_is_a_file_is_refused(tiny, tmp_path, refused):
    (tmp_path / "file").write_text("")
    with refused("cannot write", str(tmp_path / "file"), "choose another"):
        RunLog(tiny(out_dir=str(tmp_path / "file")), step=0)


@pytest.mark.parametrize("content", ["3\n", '{"a": 1}\n', '{"event": "Saved", "step": "x"}\n'])
def test_a_file_that_is_no_log_is_refused(tmp_path, refused, content):
    (tmp_path / "other.jsonl").write_text(content)
    with refused(str(tmp_path / "other.jsonl"), "not the log of a run", "log.jsonl"):
        read_log(tmp_path / "other.jsonl")


def test_a_log_that_is_not_there_is_refused(tmp_path, refused):
    with refused("cannot read the log", "No such file", "log.jsonl"):
        read_log(tmp_path / "log.jsonl")


def test_lines_that_are_not_even_text_are_left_out(log_of):
    path = log_of("run")
    complete = read_log(path)
    path.write_bytes(path.read_bytes() + b"\xff\xfe\x00\n")
    assert read_log(path) == complete


# --- Weights & Biases ------------------------------------------------------------------------------------


@pytest.fixture
def fake_wandb(monkeypatch):
    """A wandb that only remembers what it was told."""
    run = SimpleNamespace(logged=[], over=False)
    run.log = run.logged.append
    run.finish = lambda: setattr(run, "over", True)
    run.init = lambda **settings: run.__dict__.update(settings) or run
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=run.init))
    return run


def test_wandb_receives_the_events_with_flat_names(fake_wandb, tiny):
    log = WandbLog(tiny(wandb_project="course"))
    for event in (Progress(1, "train", Costs()), EVALUATION, STEP):
        log(event)
    log.close()
    evaluation, step = fake_wandb.logged
    assert evaluation["step"] == 5 and evaluation["Evaluation/val/mean"] == 1.25
    assert step["step"] == 5 and step["TrainStep/loss"] == 1.5 and step["TrainStep/costs/train"] == 0
    assert fake_wandb.over and fake_wandb.project == "course" and fake_wandb.config["n_layer"] == 1


def test_a_missing_wandb_is_refused_with_the_remedy(tiny, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with refused("wandb_log = true", "pip install wandb", "--wandb_log=false"):
        WandbLog(tiny())

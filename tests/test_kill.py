"""Runs that are stopped by Ctrl-C, by SIGTERM and by `kill -9` at random moments, and go on."""

import json
import os
import random
import signal

import pytest
from processes import exit_code, start_program

from course.read_log import read_log
from gptlib import Dataset, Trainer
from gptlib.run_folder import load_checkpoint, steps_in

KILLS = int(os.environ.get("GPTLIB_KILLS", "12"))
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP)
PLAN = {"eval_interval": 5, "log_interval": 1, "dropout": 0.2, "schedule": "constant", "threads": 1}


def checked_log(path, hits):
    """The events, after a look at every line: only a last one may be cut short, and those that were earlier."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    broken = [line for line in lines if line and not line.endswith("}")]
    assert len(broken) <= hits and all(json.loads(line) for line in lines if line and line not in broken)
    return read_log(path)


def words_of(config):
    return [f"--{name}={value}" for name, value in vars(config).items()]


def what_counts(events):
    """What a run that was killed and one that was not have in common."""
    timed = ("seconds", "tokens_per_second", "folder", "peak_memory")
    events = [event for event in events if event["event"] in ("TrainStep", "Evaluation")]
    return [{name: value for name, value in event.items() if name not in timed} for event in events]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no kill -9")
def test_after_every_kill_the_newest_checkpoint_loads_and_the_run_goes_on(tiny, prepared, tmp_path, bits):
    out, chance, hits, step = tmp_path / "out", random.Random(7), 0, 0
    words = words_of(tiny(**PLAN, dataset=str(prepared), out_dir=str(out)))
    log = out / "log.jsonl"
    while hits < KILLS or step <= KILLS:  # a busy machine gets less far between two
        init_from = "resume" if steps_in(out) else "scratch"
        run = start_program(
            "gptlib.train", [*words, "--max_iters=1000000", f"--init_from={init_from}"], tmp_path / "said"
        )
        begun = log.stat().st_size if log.exists() else 0
        while run.is_alive() and (not log.exists() or log.stat().st_size == begun):
            run.join(0.01)
        run.join(chance.uniform(0, 0.15))
        assert run.is_alive(), (tmp_path / "said").read_text()[-2000:]
        signum = SIGNALS[hits % 4]
        os.kill(run.pid, signum)
        assert exit_code(run) in (0, 130, -signum), (tmp_path / "said").read_text()[-2000:]
        hits += 1
        saved = [event for event in checked_log(log, hits) if event["event"] == "Saved"]
        said_to_be_saved = [event["step"] for event in saved]
        before, step = step, load_checkpoint(out, prefer="latest").state.step if said_to_be_saved else 0
        assert step >= max([before, *said_to_be_saved[-1:]])
    config = tiny(**PLAN, max_iters=step + 10, out_dir=str(tmp_path / "whole"))
    whole = Trainer(config, Dataset.open(prepared))
    list(whole)
    last = start_program("gptlib.train", [*words, f"--max_iters={step + 10}", "--init_from=resume"], tmp_path / "said")
    assert exit_code(last) == 0, (tmp_path / "said").read_text()[-2000:]
    end = load_checkpoint(out, prefer="latest")
    assert end.state == whole.state
    assert {name: tensor.numpy().tobytes() for name, tensor in end.weights.items()} == bits(whole.model)
    assert what_counts(checked_log(log, hits)) == what_counts(read_log(tmp_path / "whole" / "log.jsonl"))


@pytest.fixture
def read_only():
    """`read_only(folder)`: nobody may write there until the test is over."""
    closed = []

    def close(folder):
        folder.chmod(0o555)
        closed.append(folder)

    yield close
    for folder in closed:
        folder.chmod(0o755)


def only_error(output):
    """The one line in which a run said why it ended."""
    (line,) = [line for line in output.read_text().splitlines() if line.startswith("error: ")]
    assert "Traceback" not in output.read_text() and "Permission denied" in line
    return line


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has other permissions")
@pytest.mark.parametrize("init_from", ["scratch", "resume"])
def test_an_out_dir_that_may_not_be_written_is_refused_and_what_is_in_it_stays(
    tiny, prepared, tmp_path, read_only, init_from
):
    out, output = tmp_path / "out", tmp_path / "said"
    words = words_of(tiny(**PLAN, dataset=str(prepared), out_dir=str(out)))
    first = start_program("gptlib.train", [*words, "--max_iters=5"], tmp_path / "first")
    assert exit_code(first) == 0, (tmp_path / "first").read_text()
    intact = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    read_only(out)
    second = start_program("gptlib.train", [*words, f"--init_from={init_from}"], output)
    assert exit_code(second) == 1 and str(out) in only_error(output) and "choose another" in only_error(output)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == intact


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has other permissions")
def test_an_out_dir_that_may_not_be_made_is_refused(tiny, prepared, tmp_path, read_only):
    (tmp_path / "closed").mkdir()
    read_only(tmp_path / "closed")
    out = tmp_path / "closed" / "out"
    run = start_program("gptlib.train", words_of(tiny(dataset=str(prepared), out_dir=str(out))), tmp_path / "said")
    assert exit_code(run) == 1 and str(out) in only_error(tmp_path / "said") and not out.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has other permissions")
def test_an_out_dir_that_is_closed_during_the_run_ends_it_and_the_last_checkpoint_loads(
    tiny, prepared, tmp_path, read_only
):
    out, output = tmp_path / "out", tmp_path / "said"
    words = words_of(tiny(**PLAN, dataset=str(prepared), out_dir=str(out)))
    run = start_program("gptlib.train", [*words, "--max_iters=1000000"], output)
    while run.is_alive() and not steps_in(out):
        run.join(0.01)
    read_only(out)
    assert exit_code(run) == 1 and f"cannot save a checkpoint in {out}" in only_error(output)
    assert load_checkpoint(out, prefer="latest").state.step >= 0


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no RLIMIT_FSIZE")
@pytest.mark.parametrize(("largest_file", "said"), [(9000, "cannot save a checkpoint in"), (1000, "cannot write")])
def test_a_disk_that_is_full_ends_the_run_in_one_line_and_loses_nothing(tiny, prepared, tmp_path, largest_file, said):
    out, output = tmp_path / "out", tmp_path / "said"
    words = words_of(tiny(**PLAN, dataset=str(prepared), out_dir=str(out)))
    first = start_program("gptlib.train", [*words, "--max_iters=5"], tmp_path / "first")
    assert exit_code(first) == 0
    latest = out / "step-00000005"
    intact = {path.name: path.read_bytes() for path in latest.iterdir()}
    second = start_program("gptlib.train", [*words, "--init_from=resume"], output, largest_file=largest_file)
    code = exit_code(second)
    lines = [line for line in output.read_text().splitlines() if line.startswith("error: ")]
    assert code == 1 and len(lines) == 1 and said in lines[0] and str(out) in lines[0], output.read_text()
    assert "Traceback" not in output.read_text() and "free" in lines[0]
    assert {path.name: path.read_bytes() for path in latest.iterdir()} == intact
    assert [path.name for path in out.glob(".*")] == [".lock"]
    third = start_program("gptlib.train", [*words, "--init_from=resume"], tmp_path / "third")
    assert exit_code(third) == 0 and load_checkpoint(out, prefer="latest").state.step == 20
    assert [event["step"] for event in checked_log(out / "log.jsonl", 1) if event["event"] == "TrainStep"] == list(
        range(20)
    )

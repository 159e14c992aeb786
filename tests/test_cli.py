"""The two programs, `python -m gptlib.train` and `python -m gptlib.sample`, as a user meets them."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import exit_code, start_program

from course.read_log import read_log
from gptlib import BPETokenizer, Dataset, Heartbeat, Trainer, TrainStep
from gptlib import sample as sample_program
from gptlib import train as train_program
from gptlib.errors import OUT_OF_MEMORY, REPORT_SECONDS, run_cli
from gptlib.run_folder import load_checkpoint, load_model

ROOT = Path(__file__).resolve().parents[1]
SHAPE = "block_size = 8\nn_layer = 1\nn_head = 2\nn_embd = 16\nbatch_size = 4\ndevice = 'cpu'\nthreads = 1\n"
PLAN = "max_iters = 10\nwarmup_iters = 2\neval_interval = 5\neval_iters = 2\nlog_interval = 2\n"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def toml(tmp_path, prepared, out):
    path = tmp_path / "run.toml"
    path.write_text(f"dataset = '{prepared}'\nout_dir = '{out}'\n{SHAPE}{PLAN}")
    return str(path)


@pytest.fixture
def trained(toml, out):
    train_program.main([toml])
    return str(out)


def program(module, *argv, **environment):
    """`python -m`, running."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", module, *argv], **pipes, env=environment)


def leaves(capsys, main, argv):
    """The exit code and the lines on stderr of `python -m ...`, in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        run_cli(lambda: main(argv))
    return left.value.code, capsys.readouterr().err.splitlines()


# --- in a process of their own --------------------------------------------------------------------------


def test_train_as_a_program_from_a_checkpoint(toml, trained, tmp_path):
    words = [toml, f"--init_from={trained}", f"--out_dir={tmp_path}/new", "--max_iters=6"]
    process = program("gptlib.train", *words, PYTHONPROFILEIMPORTTIME="1")
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "gptlib.checkpoint\n" in stderr and "torch._dynamo\n" not in stderr  # two seconds that nobody needs
    assert "3,888 parameters on cpu" in stdout and "32 tokens per step: batch_size 4 x gradient" in stdout
    assert "step 0: train loss" in stdout and "step 6: train loss" in stdout and "gptlib.sample --out_dir=" in stdout
    assert {path.name for path in (tmp_path / "new").iterdir()} >= {"step-00000006", "config.toml", "log.jsonl"}


@pytest.fixture
def piped(tmp_path):
    """`piped("gptlib.train", ...)`: the program in a process of its own, and the end of a pipe into which it writes."""
    readers = []

    def begin(module, *argv):
        os.mkfifo(tmp_path / f"pipe {len(readers)}")
        process = start_program(module, list(argv), tmp_path / f"pipe {len(readers)}")
        readers.append(open(tmp_path / f"pipe {len(readers)}"))  # noqa: SIM115
        return process, readers[-1]

    yield begin
    for reader in readers:
        reader.close()


def read_until(reader, start):
    for line in reader:
        if line.startswith(start):
            return
    raise AssertionError(f"it ended without {start!r}")


def test_ctrl_c_saves_says_how_to_go_on_and_the_resumed_run_ends(toml, out, capsys, piped):
    process, said = piped("gptlib.train", toml, "--init_from", "scratch", "--max_iters=1000000")
    read_until(said, "step 6: loss")
    os.kill(process.pid, signal.SIGINT)
    *_, last = said
    assert exit_code(process) == 0
    step = read_log(out / "log.jsonl")[-1]["step"]
    ended, command = last.split("; continue with: python -m gptlib.train ")
    assert ended == f"stopped at step {step} of 1000000" and step >= 7
    train_program.main([*shlex.split(command), f"--max_iters={step + 3}"])
    assert "done: read what it writes" in capsys.readouterr().out
    assert [e["step"] for e in read_log(out / "log.jsonl") if e["event"] == "Evaluation"][-1] == step + 3


def test_who_reads_the_output_may_leave_and_the_run_is_saved_all_the_same(toml, out, piped):
    """As in `| tee log`, which dies of the same Ctrl-C."""
    process, said = piped("gptlib.train", toml, "--max_iters=1000000")
    read_until(said, "step 6: loss")
    said.close()
    seen = len(read_log(out / "log.jsonl"))
    while len(read_log(out / "log.jsonl")) < seen + 10:
        process.join(0.01)
        assert process.is_alive()
    os.kill(process.pid, signal.SIGINT)
    assert exit_code(process) == 0
    saved, log = load_checkpoint(out, prefer="latest"), read_log(out / "log.jsonl")
    assert saved.state.step > 6 and log[-1]["event"] == "Saved" and log[-1]["step"] == saved.state.step


def test_a_sample_streams_and_who_has_read_enough_may_leave_or_press_ctrl_c(trained, piped):
    words = [f"--out_dir={trained}", "--start=the ", "--max_new_tokens=1000000", "--device=cpu"]
    process, said = piped("gptlib.sample", *words)
    assert said.read(20).startswith("the ")  # long before the text is complete
    said.close()
    assert exit_code(process) == 1
    process, said = piped("gptlib.sample", *words)
    assert said.read(20).startswith("the ")
    os.kill(process.pid, signal.SIGINT)
    assert said.read().endswith("error: interrupted\n") and exit_code(process) == 130


# --- train ------------------------------------------------------------------------------------------------


def test_a_run_without_out_dir_writes_nothing(toml, out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    train_program.main([toml, "--out_dir="])
    assert set(tmp_path.iterdir()) == before


def stop_at(monkeypatch, step, signum=signal.SIGINT):
    """Send this process a signal when the run logs `step`."""
    show = train_program.ProgressBar.__call__

    def consume(self, event):
        show(self, event)
        if isinstance(event, TrainStep) and event.step == step:
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(train_program.ProgressBar, "__call__", consume)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_run_and_the_earlier_handlers_return(toml, monkeypatch, capsys, signum):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop_at(monkeypatch, 4, signum)
    train_program.main([toml])
    assert "stopped at step 5 of 10; continue with: python -m gptlib.train" in capsys.readouterr().out
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_earlier_handlers_return_after_an_error_too(toml, refused):
    before = signal.getsignal(signal.SIGINT)
    with refused("smaller learning_rate"):
        train_program.main([toml, "--learning_rate=1e30", "--warmup_iters=0", "--grad_clip=0"])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("words", [["--init_from=scratch"], ["--init_from", "scratch"], []])
def test_the_command_that_goes_on_does_and_names_itself_again(toml, monkeypatch, capsys, words):
    commands = []
    for step, begin in ((4, [toml, *words]), (6, None)):
        with monkeypatch.context() as patch:
            stop_at(patch, step)
            train_program.main(begin or commands[0])
        commands.append(shlex.split(capsys.readouterr().out.split("gptlib.train ")[1]))
    assert commands[0] == commands[1]
    train_program.main(commands[1])
    shown = capsys.readouterr().out
    assert "step 8: loss" in shown and "step 6: loss" not in shown and "done" in shown


def test_the_fastest_number_of_threads_is_measured_once_and_kept(toml, out, monkeypatch):
    """Another number gives other last digits, so a resumed run has that of its beginning."""
    before = torch.get_num_threads()
    try:
        for fastest, words in ((2, ["--max_iters=1"]), (1, ["--max_iters=2", "--init_from=resume"])):
            monkeypatch.setattr(train_program, "fastest_threads", lambda fastest=fastest: fastest)
            train_program.main([toml, "--threads=0", *words])
            assert "threads = 2\n" in (out / "config.toml").read_text() and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_run_stopped_in_its_last_evaluation_is_not_done(toml, monkeypatch, capsys):
    def stop(bar, event):
        if isinstance(event, Heartbeat) and event.step == 10:
            bar.trainer.stop()

    with monkeypatch.context() as patch:
        patch.setattr(train_program.ProgressBar, "__call__", stop)
        train_program.main([toml])
    said = capsys.readouterr().out
    assert "stopped at step 10 of 10; continue with" in said and "done" not in said
    train_program.main(shlex.split(said.split("gptlib.train ")[1]))
    said = capsys.readouterr().out
    assert "step 10: train loss" in said and "done" in said


def test_an_earlier_run_is_moved_and_that_is_said(toml, out, capsys):
    for _ in range(2):
        train_program.main([toml])
    assert f"the earlier run in {out} is now in {out / 'earlier'}" in capsys.readouterr().out


def test_without_out_dir_a_stopped_run_says_that_nothing_was_saved(toml, monkeypatch, capsys):
    stop_at(monkeypatch, 4)
    train_program.main([toml, "--out_dir="])
    assert "nothing was saved: out_dir is empty" in capsys.readouterr().out


def test_a_folder_with_a_space_is_quoted(toml, tmp_path, capsys):
    train_program.main([toml, f"--out_dir={tmp_path}/a b", "--max_iters=1"])
    command = capsys.readouterr().out.split("with: ")[1]
    assert shlex.split(command)[-1] == f"--out_dir={tmp_path}/a b"


def test_a_missing_wandb_is_refused_before_anything_is_set_aside(toml, out, monkeypatch, refused):
    train_program.main([toml, "--max_iters=1"])
    monkeypatch.setitem(sys.modules, "wandb", None)
    with refused("pip install wandb"):
        train_program.main([toml, "--wandb_log=true"])
    assert not (out / "earlier").exists() and (out / "step-00000001").exists()


# --- sample -----------------------------------------------------------------------------------------------


def test_sample_prints_every_text_with_its_start(trained, capsys):
    capsys.readouterr()
    sample_program.main([f"--out_dir={trained}", "--start=the ", "--num_samples=2", "--max_new_tokens=30"])
    texts = capsys.readouterr().out.split("\n---------------\n")
    assert [len(text) for text in texts] == [34, 34, 0] and all(text[:4] == "the " for text in texts[:2])
    assert texts[0] != texts[1]


def test_sample_with_the_same_seed_prints_the_same(trained, capsys):
    shown = []
    for seed in (1, 1, 2):
        capsys.readouterr()
        sample_program.main([f"--out_dir={trained}", "--start=fox", "--max_new_tokens=30", f"--seed={seed}"])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]


def test_sample_reads_the_best_checkpoint(trained, monkeypatch):
    read = []
    monkeypatch.setattr(sample_program, "generate", lambda model, *_, **__: read.append(model) or [])
    sample_program.main([f"--out_dir={trained}", "--start=fox", "--num_samples=1", "--device=cpu"])
    best = load_model(trained)[0].state_dict()
    assert all(tensor.equal(best[name]) for name, tensor in read[0].state_dict().items())


@pytest.fixture(scope="module")
def documents(tiny, tmp_path_factory):
    """A run that learned two short documents by heart: its first token after an end of text is always the same."""
    tokenizer = BPETokenizer.train("", 257, end_of_text=True)
    document = [*tokenizer.encode("low").tolist(), tokenizer.end_of_text]
    dataset = Dataset(*[np.array(document * 100)] * 2, tokenizer)
    plan = {"max_iters": 60, "eval_interval": 60, "eval_iters": 1, "learning_rate": 0.03, "batch_size": 8}
    config = tiny(**plan, out_dir=str(tmp_path_factory.mktemp("documents")))
    list(Trainer(config, dataset))
    return config.out_dir


def written(capsys, out_dir, *words):
    capsys.readouterr()
    options = [f"--out_dir={out_dir}", "--num_samples=1", "--max_new_tokens=6", "--device=cpu"]
    sample_program.main([*options, *words])
    return capsys.readouterr().out.removesuffix("\n---------------\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "low"),
        (["--start=lo"], "low"),
        (["--stop="], "low<|endoftext|>lo"),
        (["--stop=w"], "lo"),
        (["--stop=\\n"], "low<|endoftext|>lo"),
    ],
)
def test_a_text_begins_where_a_document_begins_and_stops_where_it_ends(documents, capsys, words, text):
    assert written(capsys, documents, "--temperature=0", *words) == text


def test_a_model_of_a_text_without_lines_begins_after_a_space(trained, capsys):
    assert len(written(capsys, trained)) == 6
    assert written(capsys, trained, "--temperature=0") == written(capsys, trained, "--temperature=0", "--start= ")[1:]


def test_a_text_stops_at_the_end_of_a_line(tiny, tmp_path, capsys):
    config = tiny(max_iters=60, eval_interval=60, learning_rate=0.03, out_dir=str(tmp_path))
    list(Trainer(config, Dataset.from_text("ab\n" * 200)))
    assert written(capsys, tmp_path, "--temperature=0") == "ab\nab\n"
    assert written(capsys, tmp_path, "--temperature=0", r"--stop=\n") == "ab"


def test_the_start_may_be_a_file(trained, tmp_path, capsys, refused):
    (tmp_path / "prompt.txt").write_bytes(b"\xef\xbb\xbfthe lazy dog")
    assert written(capsys, trained, f"--start=FILE:{tmp_path}/prompt.txt").startswith("the lazy dog")
    with refused("cannot read", "nowhere.txt", "FILE:NAME"):
        written(capsys, trained, "--start=FILE:nowhere.txt")


def test_what_a_model_writes_is_utf8_whatever_the_terminal_s_own_characters_are(tiny, tmp_path):
    """`start_program` starts it as in a terminal whose characters are those of Windows in the West."""
    list(Trainer(tiny(max_iters=1, out_dir=str(tmp_path)), Dataset.from_text("北冥有魚其名為鯤" * 20)))
    words = [f"--out_dir={tmp_path}", "--start=北", "--num_samples=1", "--max_new_tokens=4", "--device=cpu"]
    assert exit_code(start_program("gptlib.sample", words, tmp_path / "said")) == 0
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert len(said.split("\n")[0]) == 5 and "?" not in said


def test_a_start_that_the_model_cannot_read_is_refused(trained, capsys):
    code, lines = leaves(capsys, sample_program.main, [f"--out_dir={trained}", "--start=THE"])
    assert "THE" not in capsys.readouterr().out
    assert code == 1 and lines == ["error: not in the vocabulary of 28 characters: 'E', 'H', 'T'; leave them out"]


# --- errors -------------------------------------------------------------------------------------------------

TRAIN, SAMPLE = train_program.main, sample_program.main


@pytest.mark.parametrize(
    ("main", "words", "code", "shown"),
    [
        (TRAIN, ["--n_layer=0"], 2, "n_layer = 0"),
        (TRAIN, ["extra"], 2, "unexpected argument 'extra'"),
        (TRAIN, ["--init_from=reusme"], 1, "no run in 'reusme'"),
        (TRAIN, ["--out_dir=", "--init_from=resume"], 2, "out_dir is empty"),
        (TRAIN, ["--dataset=nowhere"], 1, "no dataset 'nowhere'"),
        (TRAIN, ["--block_size=5000"], 1, "block_size = 5000"),
        (TRAIN, ["--init_from=resume"], 1, "no run in"),
        (TRAIN, ["--out_dir=/dev/null/out"], 1, "/dev/null/out"),
        (TRAIN, ["--n_embd=1000000"], 1, OUT_OF_MEMORY),
        (SAMPLE, ["--temperature=-1"], 2, "temperature = -1.0"),
        (SAMPLE, ["--top_k=0"], 2, "top_k = 0"),
        (SAMPLE, ["--top_p=0"], 2, "top_p = 0.0"),
        (SAMPLE, ["out"], 2, "unexpected argument 'out'"),
        (SAMPLE, ["--out_dir=nowhere"], 1, "no run in 'nowhere'"),
    ],
    ids=lambda case: case.__module__ if callable(case) else str(case),
)
def test_an_error_is_one_line_and_an_exit_code(toml, capsys, main, words, code, shown):
    exit_code, (line,) = leaves(capsys, main, [toml, *words] if main is TRAIN else words)
    assert exit_code == code and line.startswith("error: ") and shown in line


def test_an_unexpected_error_is_one_line_and_debug_shows_where(capsys, monkeypatch):
    said = ["error: unexpected ZeroDivisionError: division by zero; --debug shows where"]
    assert leaves(capsys, lambda argv: 1 / 0, []) == (1, said)
    monkeypatch.setattr(sys, "argv", ["train", "--debug"])
    assert "Traceback (most recent call last):" in leaves(capsys, lambda argv: 1 / 0, [])[1]


def test_resuming_a_finished_run_says_so_and_changes_nothing(toml, out, capsys):
    train_program.main([toml])
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    code, lines = leaves(capsys, train_program.main, [toml, "--max_iters=6", "--init_from=resume"])
    assert code == 1 and "is at step 10 of 6, nothing to do; a larger --max_iters continues it" in lines[0]
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_an_output_that_cannot_be_written_is_one_line_and_finished_work_is_no_error(toml, trained, tmp_path):
    words = [f"--out_dir={trained}", "--max_new_tokens=9", "--device=cpu"]
    assert exit_code(start_program("gptlib.sample", words, "/dev/full", errors=tmp_path / "errors")) == 1
    assert (tmp_path / "errors").read_text() == "error: No space left on device: standard output\n"
    assert exit_code(start_program("gptlib.train", [toml, "--max_iters=3"], "/dev/full")) == 0


def test_ctrl_c_while_torch_is_imported_is_one_line():
    process = program("gptlib.train", "--help", PYTHONVERBOSE="1")
    for line in process.stderr:
        if "import 'torch._C'" in line:
            process.send_signal(signal.SIGINT)
            break
    said = [line for line in process.stderr.read().splitlines() if line.startswith(("error:", "Traceback"))]
    process.communicate()
    assert said == ["error: interrupted"] and process.returncode in (130, -signal.SIGINT)


def test_a_process_with_a_reason_of_its_own_says_it_after_a_while(capsys, monkeypatch):
    waited = []
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("gptlib.errors.time.sleep", waited.append)
    code, lines = leaves(capsys, train_program.main, ["--n_layer=0"])
    assert code == 2 and lines[0].startswith("error: n_layer = 0") and waited == [REPORT_SECONDS]

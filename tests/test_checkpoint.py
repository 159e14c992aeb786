"""Checkpoints: a resumed run is the same run, and damage is recognised."""

import errno
import json
from pathlib import Path

import pytest
import torch

from gptlib import GPT, Dataset, Evaluation, Saved, Trainer, TrainStep, UsageError, checkpoint
from gptlib.checkpoint import MODEL, STATE, TOKENIZER, TRAINING

FILES = (MODEL, TRAINING, TOKENIZER, STATE)


def memory(trainer):
    """The optimiser's state as bytes."""
    state = trainer.optimizer.state_dict()["state"]
    return {(i, name): t.numpy().tobytes() for i, entry in state.items() for name, t in entry.items()}


@pytest.fixture
def saved(tiny, dataset, tmp_path):
    """A finished run of 4 steps with checkpoints at 0, 2 and 4."""
    config = tiny(max_iters=4, eval_interval=2, out_dir=str(tmp_path / "out"))
    trainer = Trainer(config, dataset)
    list(trainer)
    return trainer


# --- resuming -----------------------------------------------------------------------------------------


def stopped_by_stop(event, trainer):
    if isinstance(event, TrainStep) and event.step == 9:
        trainer.stop()


def stopped_in_an_evaluation(event, trainer):
    if isinstance(event, Evaluation) and event.step == 10:
        trainer.stop()


def killed_after_saving(event, trainer):
    return isinstance(event, Saved) and event.step == 10 and event.folder.endswith("latest")


def killed_after_twelve_steps(event, trainer):
    return isinstance(event, TrainStep) and event.step == 11


@pytest.mark.parametrize(
    ("interrupt", "eval_interval"),
    [
        (stopped_by_stop, 7),
        (stopped_by_stop, 5),
        (stopped_in_an_evaluation, 5),
        (killed_after_saving, 5),
        (killed_after_twelve_steps, 5),
    ],
)
def test_a_resumed_run_is_the_same_run_bit_for_bit(tiny, dataset, tmp_path, bits, interrupt, eval_interval):
    plan = {"eval_interval": eval_interval, "log_interval": 1, "dropout": 0.2, "out_dir": str(tmp_path)}
    whole = Trainer(tiny(**plan | {"out_dir": ""}), dataset)
    expected = {event.step: event.loss for event in whole if isinstance(event, TrainStep)}
    interrupted = Trainer(tiny(**plan), dataset)
    for event in interrupted:
        if interrupt(event, interrupted):
            break
    torch.rand(3)  # another notebook cell draws chance in between
    resumed = Trainer(tiny(**plan, init_from="resume"), dataset)
    assert resumed.step == 10
    losses = {event.step: event.loss for event in resumed if isinstance(event, TrainStep)}
    assert losses == {step: expected[step] for step in range(10, 20)}
    assert bits(resumed.model) == bits(whole.model) and memory(resumed) == memory(whole)
    assert resumed.progress == whole.progress


def test_a_finished_run_can_be_resumed_with_more_steps(tiny, dataset, saved):
    config = tiny(max_iters=6, eval_interval=2, out_dir=saved.config.out_dir, init_from="resume")
    assert [e.step for e in Trainer(config, dataset) if isinstance(e, Evaluation)] == [6]


def test_a_run_can_start_from_the_best_weights_of_another(tiny, dataset, saved, bits):
    trainer = Trainer(tiny(init_from=saved.config.out_dir), dataset)
    assert bits(trainer.model) == bits(GPT.from_checkpoint(Path(saved.config.out_dir) / "best"))
    assert trainer.step == 0 and memory(trainer) == {}


@pytest.mark.parametrize("name", ["latest", "previous", "best"])
def test_a_run_can_start_from_one_checkpoint_of_another(tiny, dataset, saved, name):
    folder = Path(saved.config.out_dir) / name
    assert Trainer(tiny(init_from=str(folder)), dataset).step == 0


# --- what is on disk ------------------------------------------------------------------------------------


def test_a_model_from_a_checkpoint_gives_the_same_logits(saved):
    best = checkpoint.load(saved.config.out_dir)
    saved.model.load_state_dict(best.weights)
    model, idx = GPT.from_checkpoint(saved.config.out_dir), torch.arange(8)[None]
    assert torch.equal(model(idx)[0], saved.model.eval()(idx)[0]) and not model.training


def test_latest_previous_and_best_are_the_last_the_one_before_and_the_best(saved):
    steps = {name: checkpoint.load(Path(saved.config.out_dir) / name).progress.step for name in ("latest", "previous")}
    assert steps == {"latest": 4, "previous": 2}
    best = checkpoint.load(saved.config.out_dir, prefer="best")
    assert best.folder.name == "best" and best.progress.best_val == saved.progress.best_val


def test_nothing_is_a_pickle_and_nothing_is_left_over(saved):
    out_dir = Path(saved.config.out_dir)
    assert {path.name for path in out_dir.iterdir()} == {"latest", "previous", "best"}
    assert {path.name for path in (out_dir / "latest").iterdir()} == set(FILES)
    for name in (MODEL, TRAINING):
        content = (out_dir / "latest" / name).read_bytes()
        assert json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])  # a safetensors header


# --- damage -------------------------------------------------------------------------------------------


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def alter(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, alter, Path.unlink])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(saved, file, damage):
    damage(Path(saved.config.out_dir) / "latest" / file)
    with pytest.warns(UserWarning, match=r"damaged checkpoint passed over \(latest: .*using .*previous"):
        found = checkpoint.load(saved.config.out_dir, prefer="latest")
    assert found.progress.step == 2


def test_a_run_goes_on_from_the_previous_checkpoint(tiny, dataset, saved):
    truncate(Path(saved.config.out_dir) / "latest" / MODEL)
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        trainer = Trainer(tiny(init_from="resume", out_dir=saved.config.out_dir), dataset)
    assert trainer.step == 2


@pytest.mark.parametrize("damage", [truncate, alter])
def test_if_all_are_damaged_the_refusal_names_each(saved, refused, damage):
    for name in ("latest", "previous", "best"):
        damage(Path(saved.config.out_dir) / name / MODEL)
    with refused("no whole checkpoint", "latest:", "previous:", "best:", MODEL, "--init_from=scratch"):
        checkpoint.load(saved.config.out_dir, prefer="latest")


def test_a_folder_without_checkpoint_is_refused(tiny, dataset, tmp_path, refused):
    for init_from, out_dir in (("resume", str(tmp_path)), (str(tmp_path), "")):
        with refused("no checkpoint in", str(tmp_path), "train first"):
            Trainer(tiny(init_from=init_from, out_dir=out_dir), dataset)


def test_an_init_from_that_is_no_folder_is_refused(tiny, dataset, refused):
    with refused("init_from = 'reusme'", "scratch, resume or the folder", error=UsageError):
        Trainer(tiny(init_from="reusme"), dataset)


@pytest.mark.parametrize(
    ("name", "value"), [("n_embd", 32), ("block_size", 4), ("n_layer", 2), ("n_head", 1), ("bias", False)]
)
def test_a_model_of_another_shape_is_refused(tiny, dataset, saved, refused, name, value):
    before = getattr(saved.config, name)
    with refused(f"has {name} = {before}, not {value}", f"--{name}={before}"):
        Trainer(tiny(init_from=saved.config.out_dir, **{name: value}), dataset)


@pytest.mark.parametrize(
    "text", ["abc" * 40, "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG. " * 2], ids=["fewer", "as many"]
)
def test_other_characters_are_refused(tiny, saved, refused, text):
    with refused("was trained on other tokens (28)", "use the dataset it was trained on"):
        Trainer(tiny(init_from=saved.config.out_dir), Dataset.from_text(text))


# --- failures while saving ------------------------------------------------------------------------------


def save_again(trainer):
    trainer.progress.step += 1
    parts = trainer.model, trainer.optimizer, trainer.dataset.tokenizer, trainer.config, trainer.progress
    checkpoint.save(trainer.config.out_dir, "latest", *parts)


def fail_at(monkeypatch, target, call, error):
    """Let the `call`-th call of `target` raise `error`."""
    owner, name = target
    original, calls = getattr(owner, name), []

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == call:
            raise error
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, failing)


DISK_FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ((checkpoint, "save_file"), 1),
        ((checkpoint, "save_file"), 2),
        ((Path, "write_bytes"), 1),
        ((Path, "write_text"), 1),
        ((checkpoint, "flush_to_disk"), 1),
        ((Path, "rename"), 1),
        ((Path, "rename"), 2),
    ],
    ids=lambda value: str(value[1]) if isinstance(value, tuple) else str(value),
)
def test_a_full_disk_leaves_the_older_checkpoint_and_nothing_else(saved, monkeypatch, refused, target, call):
    fail_at(monkeypatch, target, call, DISK_FULL)
    with refused("No space left on device", "free", saved.config.out_dir):
        save_again(saved)
    assert checkpoint.load(saved.config.out_dir, prefer="latest").progress.step == 4
    assert not list(Path(saved.config.out_dir).glob(".*"))


@pytest.mark.parametrize("call", [1, 2])
def test_a_kill_between_two_renamings_leaves_a_whole_checkpoint(saved, monkeypatch, call):
    fail_at(monkeypatch, (Path, "rename"), call, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        save_again(saved)
    assert checkpoint.load(saved.config.out_dir, prefer="latest").progress.step in (4, 5)


def test_after_a_failure_the_next_checkpoint_is_saved(saved, monkeypatch):
    fail_at(monkeypatch, (checkpoint, "save_file"), 2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        save_again(saved)
    save_again(saved)
    assert checkpoint.load(saved.config.out_dir, prefer="latest").progress.step == 6


def test_an_out_dir_that_cannot_be_written_is_refused(tiny, dataset, tmp_path, refused):
    (tmp_path / "file").write_text("")
    with refused("cannot save a checkpoint in", "change out_dir"):
        list(Trainer(tiny(out_dir=str(tmp_path / "file")), dataset))

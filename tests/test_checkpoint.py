"""Checkpoints: a resumed run is the same run, and damage is recognised."""

import errno
import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gptlib import GPT, Dataset, Evaluation, Saved, Trainer, TrainStep, UsageError, checkpoint
from gptlib.checkpoint import FILES, MODEL, STATE, TRAINING, RunProgress
from gptlib.optim import build_optimizer
from gptlib.runlog import read_log


def memory(trainer):
    """The optimiser's state and that of the random generators as bytes."""
    tensors = checkpoint.training_tensors(trainer.model, trainer.optimizer)
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()} | trainer.scaler.state_dict()


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


@pytest.mark.parametrize(("dtype", "optimizer"), [("float32", "adamw"), ("float16", "adamw"), ("float32", "muon")])
def test_200_steps_are_100_and_100_more(tiny, dataset, tmp_path, bits, dtype, optimizer):
    """Parameters, optimiser, random generators, scaler, schedule, best loss and log."""

    def train(name, stops=False, **settings):
        config = tiny(**plan, out_dir=str(tmp_path / name), **settings)
        trainer = Trainer(config, dataset)
        trainer.scaler._growth_interval = 30  # so that the scale changes within the run
        for event in trainer:
            if stops and isinstance(event, TrainStep) and event.step == 99:
                trainer.stop()
        return trainer

    plan = {"max_iters": 200, "eval_interval": 30, "log_interval": 1, "dropout": 0.2, "dtype": dtype}
    plan["optimizer"] = optimizer
    whole, half = train("whole"), train("halves", stops=True)
    assert half.step == 100
    torch.rand(3)
    resumed = train("halves", init_from="resume")
    assert resumed.step == 200 and bits(resumed.model) == bits(whole.model) != bits(half.model)
    assert memory(resumed) == memory(whole) and resumed.progress == whole.progress
    assert (dtype == "float16") == (whole.scaler.get_scale() > 2.0**16)

    def log(name):
        events = read_log(tmp_path / name / "log.jsonl")
        timed = ("costs", "tokens_per_second", "folder", "peak_memory")
        events = [{k: v for k, v in event.items() if k not in timed} for event in events]
        return [event for event in events if event != {"event": "Saved", "step": 100}]

    assert log("halves") == log("whole")


def test_the_optimisers_memory_goes_by_the_names_of_the_parameters(saved):
    names = [name for name, _ in saved.model.named_parameters()]
    training = checkpoint.load(saved.config.out_dir, prefer="latest").training
    wanted = {f"{key}.{name}" for key in ("step", "exp_avg", "exp_avg_sq") for name in names}
    assert set(training) == wanted | {"random_state"}
    shapes = {name: parameter.shape for name, parameter in saved.model.named_parameters()}
    assert all(training[f"exp_avg.{name}"].shape == shape for name, shape in shapes.items())


def test_the_optimisers_memory_finds_its_parameters_in_another_order(tiny, dataset, saved):
    """The place in the optimiser's lists may change with the version; the names say what belongs to what."""
    found = checkpoint.load(saved.config.out_dir, prefer="latest")
    model = GPT(saved.model.config)
    backwards = torch.optim.AdamW(list(model.parameters())[::-1])
    checkpoint.restore(found, model, backwards, torch.amp.GradScaler("cpu", enabled=False))
    for name, parameter in model.named_parameters():
        assert backwards.state[parameter]["exp_avg"].equal(found.training[f"exp_avg.{name}"])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_all_of_the_optimisers_memory_lies_where_its_parameters_lie(tiny, dataset, tmp_path, optimizer):
    """Also AdamW's count of steps, which a fused kernel on a GPU reads there. The device "meta" stands in for one."""
    config = tiny(max_iters=2, optimizer=optimizer, out_dir=str(tmp_path / "out"))
    list(Trainer(config, dataset))
    model = GPT(config.model_config(dataset.vocab_size)).to("meta")
    memory = build_optimizer(model, config)
    found = checkpoint.load(config.out_dir, prefer="latest")
    checkpoint.restore(found, model, memory, torch.amp.GradScaler("cpu", enabled=False))
    devices = [value.device.type for entry in memory.state.values() for value in entry.values()]
    assert devices == ["meta"] * (len(found.training) - 1)  # all but the state of the random generator


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_a_resumed_run_holds_no_file_of_its_checkpoint(tiny, dataset, saved):
    """Windows would not let the next save remove it, nor would a disk of the network."""
    trainer = Trainer(tiny(init_from="resume", out_dir=saved.config.out_dir), dataset)
    assert trainer.step == 4 and saved.config.out_dir not in Path("/proc/self/maps").read_text()


def test_another_optimiser_cannot_go_on(tiny, dataset, saved, refused):
    with refused("has optimizer = adamw, not muon", "--optimizer=adamw"):
        Trainer(tiny(init_from="resume", out_dir=saved.config.out_dir, optimizer="muon"), dataset)
    assert Trainer(tiny(init_from=saved.config.out_dir, optimizer="muon"), dataset).step == 0


def test_a_finished_run_can_be_resumed_with_more_steps(tiny, dataset, saved):
    config = tiny(max_iters=6, eval_interval=2, out_dir=saved.config.out_dir, init_from="resume")
    assert [e.step for e in Trainer(config, dataset) if isinstance(e, Evaluation)] == [6]


def test_a_run_can_start_from_the_best_weights_of_another(tiny, dataset, saved, bits):
    trainer = Trainer(tiny(init_from=saved.config.out_dir), dataset)
    assert bits(trainer.model) == bits(GPT.from_checkpoint(Path(saved.config.out_dir) / "best"))
    assert trainer.step == 0 and set(memory(trainer)) == {"random_state"}


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
    assert {path.name for path in out_dir.iterdir() if path.is_dir()} == {"latest", "previous", "best"}
    assert not [path for path in out_dir.glob(".*") if path.is_dir()]
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


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(FILES), where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_any_changed_byte_is_recognised_or_changes_nothing(saved, file, where, byte):
    path = Path(saved.config.out_dir) / "latest" / file
    whole = path.read_bytes()
    at = int(where * len(whole))
    path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = checkpoint.load(saved.config.out_dir, prefer="latest")
    path.write_bytes(whole)
    expected = checkpoint.load(saved.config.out_dir, prefer="latest" if found.folder.name == "latest" else "best")
    if found.folder.name == "previous":
        assert found.progress.step == 2
    else:
        assert (found.progress, found.config, found.scaler) == (expected.progress, expected.config, expected.scaler)
        assert all(tensor.equal(expected.weights[name]) for name, tensor in found.weights.items())


def test_after_a_damage_the_next_save_keeps_the_whole_one(tiny, dataset, saved):
    out_dir = Path(saved.config.out_dir)
    truncate(out_dir / "latest" / MODEL)
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        trainer = Trainer(tiny(init_from="resume", out_dir=str(out_dir)), dataset)
    trainer.stop()
    list(trainer)
    assert checkpoint.load(out_dir / "previous").progress.step == 2
    assert {path.name for path in out_dir.iterdir() if path.is_dir()} == {"latest", "previous", "best", "damaged"}


@pytest.mark.parametrize(("keep", "names"), [(2, {2: "previous"}), (4, {2: "previous", 0: "previous-2"})])
def test_the_last_k_are_kept(tiny, dataset, tmp_path, keep, names):
    config = tiny(max_iters=4, eval_interval=2, keep_checkpoints=keep, out_dir=str(tmp_path))
    list(Trainer(config, dataset))
    steps = {p.name: checkpoint.load(p).progress.step for p in tmp_path.iterdir() if p.is_dir() and p.name != "best"}
    assert steps == {"latest": 4} | {name: step for step, name in names.items()}


def test_with_k_the_oldest_makes_room_and_a_smaller_k_clears_up(tiny, dataset, tmp_path):
    plan = {"eval_interval": 1, "out_dir": str(tmp_path)}
    list(Trainer(tiny(**plan, max_iters=7, keep_checkpoints=4), dataset))
    kept = ["latest", "previous", "previous-2", "previous-3"]
    assert [checkpoint.load(tmp_path / name).progress.step for name in kept] == [7, 6, 5, 4]
    for name in kept[:3]:
        truncate(tmp_path / name / MODEL)
    with pytest.warns(UserWarning, match="latest: .*previous: .*previous-2: .*using .*previous-3"):
        assert checkpoint.load(tmp_path, prefer="latest").progress.step == 4
    shutil.rmtree(tmp_path / "latest")
    list(Trainer(tiny(**plan, max_iters=3), dataset))
    assert not list(tmp_path.glob("previous-*"))


# --- failures while saving ------------------------------------------------------------------------------


def save_again(trainer):
    trainer.progress.step += 1
    list(trainer._save("latest"))


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
    assert [path.name for path in Path(saved.config.out_dir).glob(".*")] == [".lock"]


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


def test_a_run_that_went_on_past_a_damage_may_be_left_and_go_on_again(tiny, dataset, saved):
    out_dir = Path(saved.config.out_dir)
    truncate(out_dir / "latest" / MODEL)
    damaged = (out_dir / "latest" / MODEL).read_bytes()
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        trainer = Trainer(tiny(init_from="resume", out_dir=str(out_dir), max_iters=8, eval_interval=2), dataset)
    for event in trainer:
        if isinstance(event, Saved) and event.step == 4 and event.folder.endswith("latest"):
            break
    for event in trainer:
        if isinstance(event, TrainStep):
            break
    assert checkpoint.load(out_dir / "latest").progress.step == 4
    assert (out_dir / "damaged" / MODEL).read_bytes() == damaged
    list(trainer)
    assert checkpoint.load(out_dir / "latest").progress.step == 8


def test_the_commands_in_messages_are_as_a_shell_reads_them(tmp_path, refused):
    (tmp_path / "a b").mkdir()
    with refused(f"CONFIG '--out_dir={tmp_path}/a b'"):
        checkpoint.load(tmp_path / "a b")


def test_a_run_from_python_does_not_lose_an_earlier_ones_best(tiny, dataset, tmp_path):
    list(Trainer(tiny(out_dir=str(tmp_path), max_iters=6), dataset))
    earlier = checkpoint.load(tmp_path).progress
    list(Trainer(tiny(out_dir=str(tmp_path), max_iters=1, seed=2), dataset))
    assert checkpoint.load(tmp_path / "earlier").progress == earlier != checkpoint.load(tmp_path).progress


def test_going_on_with_another_text_is_refused_and_its_weights_may_be_taken(tiny, saved, refused):
    same = Dataset(saved.dataset.train, saved.dataset.val[::-1].copy(), saved.dataset.tokenizer)
    with refused("trained on another text", "the dataset it was trained on", f"--init_from={saved.config.out_dir}"):
        Trainer(tiny(init_from="resume", out_dir=saved.config.out_dir), same)
    assert Trainer(tiny(init_from=saved.config.out_dir), same).step == 0


def test_going_on_with_another_share_of_the_text_is_refused(tiny, dataset, saved, refused):
    with refused("train_fraction = 1.0, not 0.5", "--train_fraction=1.0"):
        Trainer(tiny(init_from="resume", out_dir=saved.config.out_dir, train_fraction=0.5), dataset)


def test_the_state_is_json_also_before_the_first_evaluation(tiny, dataset, tmp_path):
    trainer = Trainer(tiny(out_dir=str(tmp_path)), dataset)
    trainer.stop()
    list(trainer)

    def refuse(word):
        raise AssertionError(word)

    json.loads((tmp_path / "latest" / STATE).read_text(), parse_constant=refuse)
    assert checkpoint.load(tmp_path, prefer="latest").progress == RunProgress()


def test_links_in_the_place_of_folders_are_replaced_and_what_they_lead_to_stays(tiny, dataset, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    list(Trainer(tiny(out_dir=str(out), max_iters=3, eval_interval=1), dataset))
    for name in ("best", "latest", "previous"):
        (out / name).rename(elsewhere.with_name(name))
        (out / name).symlink_to(elsewhere.with_name(name))
    list(Trainer(tiny(out_dir=str(out), init_from="resume", max_iters=9, eval_interval=1), dataset))
    assert checkpoint.load(out, prefer="latest").progress.step == 9
    assert checkpoint.load(tmp_path / "latest").progress.step == 3


def test_a_name_that_no_system_takes_is_no_checkpoint(tiny, dataset, refused):
    with refused("no checkpoint in", "train first"):
        checkpoint.load("x" * 300)
    with refused("must be scratch, resume or the folder of a checkpoint"):
        Trainer(tiny(init_from="x" * 300), dataset)

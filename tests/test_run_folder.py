"""out_dir: a resumed run is the same run, damage is recognized, and nothing of anybody is lost."""

import errno
import json
import shutil
import sys
import warnings
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course.read_log import read_log
from gptlib import GPT, Dataset, Estimate, Evaluation, Heartbeat, Saved, TrainConfig, Trainer, TrainStep
from gptlib import checkpoint as checkpoint_module
from gptlib import files as files_module
from gptlib import run_folder as run_folder_module
from gptlib import trainer as trainer_module
from gptlib.checkpoint import MODEL, STATE, TOKENIZER, TRAINING, TrainState, restore_training, training_tensors
from gptlib.config import read_config
from gptlib.distributed import SINGLE_PROCESS
from gptlib.optim import build_optimizer
from gptlib.run_folder import RunFolder, load_checkpoint, load_model, steps_in
from gptlib.train import wandb_log

FILES = (MODEL, TRAINING, TOKENIZER, STATE)
STEP = TrainStep(5, 1.5, 0.01, 0.7, 192, 1000.0, 0.1, logged=True)
EVALUATION = Evaluation(5, Estimate(1.0, 0.1, 8), Estimate(1.25, 0.1, 8), True, 160, 0.2)


def memory(trainer):
    """Optimizer, RNG and scaler state as bytes."""
    tensors = training_tensors(trainer.model, trainer.optimizer, SINGLE_PROCESS)
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()} | trainer.scaler.state_dict()


def latest(out_dir):
    return load_checkpoint(out_dir, prefer="latest")


def without_times(events):
    """What two runs of the same steps have in common."""
    timed = ("seconds", "tokens_per_second", "folder", "peak_memory")
    return [{name: value for name, value in event.items() if name not in timed} for event in events]


@pytest.fixture(scope="module")
def trained(tiny, dataset, tmp_path_factory):
    """A finished run of 4 steps with checkpoints of steps 2 and 4 (the best is one of them)."""
    trainer = Trainer(tiny(max_iters=4, eval_interval=2, out_dir=str(tmp_path_factory.mktemp("trained"))), dataset)
    list(trainer)
    return trainer


@pytest.fixture
def saved(trained, tmp_path):
    """The same run in a folder of the test's own."""
    out_dir = shutil.copytree(trained.config.out_dir, tmp_path / "out")
    config = replace(trained.config, out_dir=str(out_dir))
    return SimpleNamespace(config=config, out_dir=out_dir, model=trained.model, state=trained.state)


# --- resuming -----------------------------------------------------------------------------------------


def stopped_by_stop(event, trainer):
    if isinstance(event, TrainStep) and event.step == 9:
        trainer.stop()


def stopped_in_an_evaluation(event, trainer):
    if isinstance(event, Heartbeat) and event.step == 10:
        trainer.stop()


def killed_after_saving(event, trainer):
    return isinstance(event, Saved) and event.step == 10


def killed_after_twelve_steps(event, trainer):
    return isinstance(event, TrainStep) and event.step == 11


INTERRUPTED = [stopped_by_stop, stopped_in_an_evaluation, killed_after_saving, killed_after_twelve_steps]


@pytest.mark.parametrize(("interrupt", "eval_interval"), [(stopped_by_stop, 7), *((how, 5) for how in INTERRUPTED)])
def test_a_resumed_run_is_the_same_run_bit_for_bit(tiny, dataset, tmp_path, bits, interrupt, eval_interval):
    plan = {"eval_interval": eval_interval, "dropout": 0.2, "out_dir": str(tmp_path)}
    whole = Trainer(tiny(**plan | {"out_dir": ""}), dataset)
    expected = {event.step: event.loss for event in whole if isinstance(event, TrainStep)}
    interrupted = Trainer(tiny(**plan), dataset)
    for event in interrupted:
        if interrupt(event, interrupted):
            break
    torch.rand(3)  # another notebook cell draws random numbers in between
    resumed = Trainer(tiny(**plan, init_from="resume"), dataset)
    assert resumed.step == 10
    losses = {event.step: event.loss for event in resumed if isinstance(event, TrainStep)}
    assert losses == {step: expected[step] for step in range(10, 20)}
    assert bits(resumed.model) == bits(whole.model) and memory(resumed) == memory(whole)
    assert asdict(resumed.state) | {"saved_at": -1} == asdict(whole.state)


@pytest.mark.parametrize(("dtype", "optimizer"), [("float32", "adamw"), ("float16", "adamw"), ("float32", "muon")])
def test_40_steps_are_20_and_20_more(tiny, dataset, tmp_path, bits, dtype, optimizer):
    """Parameters, optimizer, RNG, scaler, schedule, best loss and log."""

    def train(name, stops=False, **settings):
        trainer = Trainer(tiny(**plan, out_dir=str(tmp_path / name), **settings), dataset)
        trainer.scaler.set_growth_interval(10)  # so that the scale changes within the run
        for event in trainer:
            if stops and isinstance(event, TrainStep) and event.step == 19:
                trainer.stop()
        return trainer

    plan = {"max_iters": 40, "eval_interval": 15, "log_interval": 1, "dropout": 0.2}
    plan |= {"dtype": dtype, "optimizer": optimizer}
    whole, half = train("whole"), train("halves", stops=True)
    assert half.step == 20
    torch.rand(3)
    resumed = train("halves", init_from="resume")
    assert resumed.step == 40 and bits(resumed.model) == bits(whole.model) != bits(half.model)
    assert memory(resumed) == memory(whole) and resumed.state == whole.state
    assert (dtype == "float16") == (whole.scaler.get_scale() > 2.0**16)
    log = without_times(read_log(tmp_path / "halves" / "log.jsonl"))
    assert [event for event in log if event != {"event": "Saved", "step": 20}] == without_times(
        read_log(tmp_path / "whole" / "log.jsonl")
    )


def test_optimizer_state_goes_by_the_names_of_the_parameters(saved):
    training = latest(saved.config.out_dir).training
    shapes = {name: parameter.shape for name, parameter in saved.model.named_parameters()}
    assert set(training) == {f"{key}.{name}" for key in ("step", "exp_avg", "exp_avg_sq") for name in shapes} | {
        "rng_state"
    }
    assert all(training[f"exp_avg.{name}"].shape == shape for name, shape in shapes.items())


def test_optimizer_state_finds_its_parameters_in_another_order(saved):
    found, model = latest(saved.config.out_dir), GPT(saved.model.config)
    backwards = torch.optim.AdamW(list(model.parameters())[::-1])
    restore_training(found, model, backwards, SINGLE_PROCESS)
    for name, parameter in model.named_parameters():
        assert backwards.state[parameter]["exp_avg"].equal(found.training[f"exp_avg.{name}"])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_all_optimizer_state_is_on_the_device_of_its_parameter(tiny, dataset, tmp_path, optimizer):
    """AdamW's step count too, which a fused kernel on a GPU reads there. The device "meta" stands in for one."""
    config = tiny(max_iters=2, optimizer=optimizer, out_dir=str(tmp_path / "out"))
    list(Trainer(config, dataset))
    model = GPT(config.model_config(dataset.vocab_size)).to("meta")
    restored, found = build_optimizer(model, config), latest(config.out_dir)
    restore_training(found, model, restored, SINGLE_PROCESS)
    devices = [value.device.type for entry in restored.state.values() for value in entry.values()]
    assert devices == ["meta"] * (len(found.training) - 1)  # all but the RNG state


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_a_resumed_run_holds_no_file_of_its_checkpoint(tiny, dataset, saved):
    trainer = Trainer(tiny(init_from="resume", out_dir=saved.config.out_dir), dataset)
    assert trainer.step == 4 and saved.config.out_dir not in Path("/proc/self/maps").read_text()


def test_a_finished_run_can_be_resumed_with_more_steps(tiny, dataset, saved):
    config = tiny(max_iters=6, eval_interval=2, out_dir=saved.config.out_dir, init_from="resume")
    assert [e.step for e in Trainer(config, dataset) if isinstance(e, Evaluation)] == [6]


def test_a_run_can_start_from_the_best_weights_of_another(tiny, dataset, tmp_path, bits):
    worse = {"learning_rate": 1.0, "warmup_iters": 0, "schedule": "constant"}  # such a rate makes it worse
    earlier = Trainer(tiny(max_iters=4, eval_interval=2, out_dir=str(tmp_path), **worse), dataset)
    list(earlier)
    assert earlier.state.best_step < 4
    trainer = Trainer(tiny(init_from=str(tmp_path)), dataset)
    assert bits(trainer.model) == bits(load_model(tmp_path / f"step-{earlier.state.best_step:08}")[0])
    assert trainer.step == 0 and set(memory(trainer)) == {"rng_state"}


# --- what is on disk ------------------------------------------------------------------------------------


def test_a_model_from_a_checkpoint_gives_the_same_logits(saved):
    model, idx = load_model(saved.out_dir / "step-00000004")[0], torch.arange(8)[None]
    assert torch.equal(model(idx)[0], saved.model.eval()(idx)[0]) and not model.training


def test_nothing_is_a_pickle_and_nothing_is_left_over(saved):
    out_dir = saved.out_dir
    assert {path.name for path in out_dir.iterdir()} == {
        *("step-00000002", "step-00000004", "config.toml", "log.jsonl", ".lock")
    }
    assert {path.name for path in (out_dir / "step-00000004").iterdir()} == set(FILES)
    for name in (MODEL, TRAINING):
        content = (out_dir / "step-00000004" / name).read_bytes()
        assert json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])  # a safetensors header


@pytest.mark.parametrize("keep", [2, 4])
def test_the_newest_k_are_kept_and_the_best(tiny, dataset, tmp_path, keep):
    config = tiny(max_iters=9, eval_interval=1, keep_checkpoints=keep, out_dir=str(tmp_path))
    trainer = Trainer(replace(config, learning_rate=1.0, warmup_iters=0, schedule="constant"), dataset)
    list(trainer)
    assert trainer.state.best_step < 9 - keep  # such a rate makes it worse
    assert steps_in(tmp_path) == [*range(9, 9 - keep, -1), trainer.state.best_step]
    assert load_checkpoint(tmp_path).state.step == trainer.state.best_step


def test_the_state_is_json_also_before_the_first_evaluation(tiny, dataset, tmp_path):
    trainer = Trainer(tiny(out_dir=str(tmp_path)), dataset)
    trainer.stop()
    list(trainer)

    def refuse(word):
        raise AssertionError(word)

    json.loads((tmp_path / "step-00000000" / STATE).read_text(), parse_constant=refuse)
    assert latest(tmp_path).state == TrainState(saved_at=0)


def test_a_checkpoint_of_format_1_is_read_and_continued(tiny, dataset, saved, bits):
    """latest/ and best/, other names, and settings that did not exist: they mean what the code did then."""
    out_dir = saved.out_dir
    (out_dir / "step-00000002").rename(out_dir / "best")
    (out_dir / "step-00000004").rename(out_dir / "latest")
    for folder in (out_dir / "best", out_dir / "latest"):
        meta = json.loads((folder / STATE).read_text())
        for name in ("format", "checksum"):
            del meta[name]
        state = meta.pop("state") | {"best_val": 0.0}  # which the rest of the run does not reach
        meta["progress"] = {name: state[name] for name in ("step", "tokens", "best_val", "evaluated_at")}
        meta["config"]["train_share"] = meta["config"].pop("train_fraction")
        meta["config"]["max_bad_steps"] = 10
        del meta["config"]["activation"], meta["config"]["qk_norm"], meta["config"]["patience"]
        meta["checksum"] = checkpoint_module._checksum(meta)
        (folder / STATE).write_text(json.dumps(meta))
    model, found = load_model(out_dir)
    assert found.folder.name == "best" and model.config.activation == "gelu_tanh"
    config = {"max_iters": 6, "out_dir": str(out_dir), "init_from": "resume"}
    resumed = Trainer(tiny(**config, activation="gelu_tanh"), dataset)
    assert resumed.step == 4 and bits(resumed.model) == bits(saved.model)
    list(resumed)
    assert latest(out_dir).state.step == 6 and load_checkpoint(out_dir).folder.name == "best"


# --- damage -------------------------------------------------------------------------------------------


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def forge(folder, **changes):
    """Write another state, with sums that are right."""
    meta = json.loads((folder / STATE).read_text()) | changes
    del meta["checksum"]
    for name in (MODEL, TRAINING):
        meta["sha256"][name] = checkpoint_module.sha256(folder / name)
    meta["checksum"] = checkpoint_module._checksum(meta)
    (folder / STATE).write_text(json.dumps(meta))


@pytest.mark.parametrize("damage", [truncate, Path.unlink])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_checkpoint_is_skipped_with_a_warning(saved, file, damage):
    damage(saved.out_dir / "step-00000004" / file)
    with pytest.warns(UserWarning, match=r"damaged checkpoint skipped \(step-00000004: .*using .*step-00000002"):
        assert latest(saved.config.out_dir).state.step == 2


WRONG_STATES = [
    {"state": {"step": "four"}},
    {"state": []},
    {"config": {"n_layer": "2"}},
    {"config": {"n_layer": 3, "activation": "gelu"}},
    {"format": 99},
]


@pytest.mark.parametrize("wrong", [*WRONG_STATES, (MODEL, "ln_f.weight"), (TRAINING, "exp_avg.foreign")], ids=str)
def test_a_checkpoint_with_right_sums_and_wrong_content_is_skipped_too(saved, wrong):
    folder = saved.out_dir / "step-00000004"
    if isinstance(wrong, tuple):
        tensors = {key: value.clone() for key, value in checkpoint_module.load_file(folder / wrong[0]).items()}
        checkpoint_module.save_file(tensors | {wrong[1]: torch.ones(3)}, folder / wrong[0])
    forge(folder, **(wrong if isinstance(wrong, dict) else {}))
    with pytest.warns(UserWarning, match="damaged checkpoint skipped"):
        assert latest(saved.config.out_dir).state.step == 2


def test_a_run_that_skipped_a_damaged_checkpoint_moves_it_aside_and_writes_it_again(tiny, dataset, saved):
    """It may be one that only another version of the code can read."""
    out_dir = saved.out_dir
    truncate(out_dir / "step-00000004" / MODEL)
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        trainer = Trainer(tiny(init_from="resume", out_dir=str(out_dir), max_iters=6, eval_interval=2), dataset)
    assert trainer.step == 2
    for event in trainer:
        if isinstance(event, TrainStep):
            break
    list(trainer)  # left and continued
    assert latest(out_dir).state.step == 6 and 4 in steps_in(out_dir) and steps_in(out_dir / "earlier") == [4]


def test_a_checkpoint_that_is_evaluated_after_it_was_saved_is_there_at_every_moment(
    tiny, dataset, tmp_path, monkeypatch
):
    """A stopped run is saved before its evaluation is due; the resumed one evaluates and saves the same step."""
    config = tiny(max_iters=6, eval_interval=5, out_dir=str(tmp_path))
    trainer = Trainer(config, dataset)
    for event in trainer:
        if isinstance(event, TrainStep) and trainer.step == 5:
            trainer.stop()
    assert latest(tmp_path).state.evaluated_at == 0
    removed, rmtree = [], shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **how: (removed.append(Path(path).name), rmtree(path, **how)))
    for event in Trainer(replace(config, init_from="resume"), dataset):
        if isinstance(event, Saved):
            break
    assert latest(tmp_path).state.evaluated_at == 5 and "step-00000005" not in removed


def test_what_is_damaged_between_a_stop_and_its_evaluation_is_not_taken_for_whole(saved, dataset):
    """Then only the state is written anew, and it keeps the sums of what was saved."""
    trainer = resumed(saved, dataset)
    trainer.state.saved_at = -1
    truncate(saved.out_dir / "step-00000004" / MODEL)
    trainer.save()
    with pytest.warns(UserWarning, match=r"damaged checkpoint skipped \(step-00000004"):
        assert latest(saved.config.out_dir).state.step == 2


def test_a_run_that_another_process_has_continued_meanwhile_is_left_alone(saved, dataset, monkeypatch, refused):
    """Also if it did so while the checkpoint was read, which takes seconds for a large one."""
    load = trainer_module.load_checkpoint

    def slow(*arguments, **options):
        found = load(*arguments, **options)
        list(Trainer(replace(saved.config, init_from="resume", max_iters=8), dataset))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "load_checkpoint", lambda *a, **o: (patch.undo(), slow(*a, **o))[1])
        trainer = resumed(saved, dataset)
    with refused("another run has written to"):
        list(trainer)
    assert steps_in(saved.out_dir)[0] == 8


def test_the_best_is_found_by_an_older_state_if_the_newest_is_damaged(saved):
    shutil.copytree(saved.out_dir / "step-00000002", saved.out_dir / "step-00000003")
    (saved.out_dir / "step-00000004" / STATE).write_text("{")
    assert load_checkpoint(saved.out_dir).folder.name == "step-00000002"


def test_if_all_are_damaged_the_refusal_names_each(saved, refused):
    for step in (2, 4):
        truncate(saved.out_dir / f"step-{step:08}" / MODEL)
    with refused("no whole checkpoint", "step-00000002:", "step-00000004:", MODEL, "--init_from=scratch"):
        latest(saved.config.out_dir)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(FILES), where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_any_changed_byte_is_recognized_or_changes_nothing(saved, file, where, byte):
    path = saved.out_dir / "step-00000004" / file
    whole, expected = path.read_bytes(), latest(saved.config.out_dir)
    at = int(where * len(whole))
    path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = latest(saved.config.out_dir)
    path.write_bytes(whole)
    if found.state.step == 4:
        assert (found.state, found.config, found.scaler) == (expected.state, expected.config, expected.scaler)
        assert all(tensor.equal(expected.weights[name]) for name, tensor in found.weights.items())


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"), [("n_embd", 32), ("block_size", 4), ("n_layer", 2), ("n_head", 1), ("bias", False)]
)
def test_a_model_of_another_shape_is_refused(tiny, dataset, saved, refused, name, value):
    before = getattr(saved.config, name)
    with refused(f"has {name} = {before}, not {value}", f"--{name}={before}"):
        Trainer(tiny(init_from=saved.config.out_dir, **{name: value}), dataset)


@pytest.mark.parametrize(("name", "value"), [("optimizer", "muon"), ("train_fraction", 0.5), ("text", "another")])
def test_a_run_continues_with_its_own_settings_and_text_only_and_its_weights_may_be_taken(
    tiny, dataset, saved, refused, name, value
):
    changed, words = {name: value}, [f"{name} = {getattr(saved.config, name, '')}, not {value}"]
    if name == "text":
        dataset, changed = Dataset(dataset.train, dataset.val[::-1].copy(), dataset.tokenizer), {}
        words = ["trained on another text", "the dataset it was trained on", f"--init_from={saved.config.out_dir}"]
    with refused(*words):
        Trainer(tiny(init_from="resume", out_dir=saved.config.out_dir, **changed), dataset)
    assert Trainer(tiny(init_from=saved.config.out_dir, **changed), dataset).step == 0


@pytest.mark.parametrize("text", ["abc" * 40, "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG. " * 2])
def test_other_characters_are_refused(tiny, saved, refused, text):
    with refused("was trained on other tokens (28)", "use the dataset it was trained on"):
        Trainer(tiny(init_from=saved.config.out_dir), Dataset.from_text(text))


@pytest.mark.parametrize(("name", "words"), [("", "no checkpoint in"), ("missing", "no run in"), ("x" * 300, "no run")])
def test_a_folder_without_checkpoint_is_refused(tiny, dataset, tmp_path, refused, name, words):
    for settings_ in ({"init_from": "resume", "out_dir": str(tmp_path / name)}, {"init_from": str(tmp_path / name)}):
        with refused(words):
            Trainer(tiny(**settings_), dataset)


# --- failures while saving ------------------------------------------------------------------------------


def resumed(saved, dataset):
    return Trainer(replace(saved.config, init_from="resume"), dataset)


def step_and_save(trainer):
    trainer.train_step()
    return trainer.save()


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
        ((checkpoint_module, "save_file"), 1),
        ((checkpoint_module, "save_file"), 2),
        ((Path, "write_bytes"), 1),
        ((Path, "write_bytes"), 2),
        ((checkpoint_module, "flush_to_disk"), 1),
        ((Path, "rename"), 1),
    ],
    ids=lambda value: str(value[1]) if isinstance(value, tuple) else str(value),
)
def test_a_full_disk_leaves_the_older_checkpoints_and_nothing_else(dataset, saved, monkeypatch, refused, target, call):
    trainer = resumed(saved, dataset)
    with monkeypatch.context() as patch:
        fail_at(patch, target, call, DISK_FULL)
        with refused("No space left on device", "free", saved.config.out_dir):
            step_and_save(trainer)
    assert latest(saved.config.out_dir).state.step == 4
    assert [path.name for path in saved.out_dir.glob(".*")] == [".lock"]
    assert trainer.save().step == latest(saved.config.out_dir).state.step == 5  # once there is space again


def test_the_files_and_then_the_name_are_flushed_to_the_disk(dataset, saved, monkeypatch):
    """A power cut must find all bytes of a checkpoint that has its final name."""
    order = []
    flush, rename = checkpoint_module.flush_to_disk, Path.rename
    for module in (checkpoint_module, files_module, run_folder_module):
        monkeypatch.setattr(module, "flush_to_disk", lambda p: (order.append(p.name), flush(p)))
    monkeypatch.setattr(Path, "rename", lambda p, to: (order.append("rename"), rename(p, to)))
    step_and_save(resumed(saved, dataset))
    at = order.index("rename")
    assert {MODEL, TRAINING, TOKENIZER} < {*order[:at]} and any(STATE in name for name in order[:at])
    assert order[at:] == ["rename", saved.out_dir.name]


# --- the log --------------------------------------------------------------------------------------------


@pytest.fixture
def log_of(tiny, tmp_path, dataset):
    """`log_of("name")`: the log of a run into tmp_path/name; `until`: leave the run at the first such event."""

    def train(name, until=lambda event: False, **settings):
        plan = {"eval_interval": 5, "log_interval": 1, "dropout": 0.1}
        for event in Trainer(tiny(out_dir=str(tmp_path / name), **plan | settings), dataset):
            if until(event):
                break
        return tmp_path / name / "log.jsonl"

    return train


def at_step_13(event):
    return isinstance(event, TrainStep) and event.step == 13


def test_every_line_is_json_and_every_logged_event_is_there(log_of):
    lines = [json.loads(line) for line in log_of("run", log_interval=3).read_text().splitlines() if line]
    assert lines[0] == {"event": "Start", "step": 0, "init_from": "scratch"}
    assert {line["event"] for line in lines[1:]} == {"Evaluation", "TrainStep", "Saved"}
    assert [line["step"] for line in lines if line["event"] == "TrainStep"] == list(range(0, 20, 3))


def test_events_come_back_with_all_their_numbers_at_once(tiny, tmp_path):
    events = [EVALUATION, Saved(5, "folder", 0.1), STEP]
    with RunFolder(str(tmp_path)).opened(tiny(), step=0) as log:
        for i, event in enumerate([Heartbeat(1, "evaluate"), *events]):
            log(event)
            assert len(read_log(tmp_path / "log.jsonl")) == i
    assert read_log(tmp_path / "log.jsonl") == [{"event": type(e).__name__, **asdict(e)} for e in events]


def test_numbers_that_json_lacks_become_null(tiny, tmp_path):
    with RunFolder(str(tmp_path)).opened(tiny(), step=0) as log:
        log(Evaluation(0, Estimate(1.0, float("nan"), 1), Estimate(float("inf"), 0.0, 1), False, 0, 0.1))
    (event,) = read_log(tmp_path / "log.jsonl")
    assert event["train"]["standard_error"] is None and event["val"]["mean"] is None
    assert "NaN" not in (tmp_path / "log.jsonl").read_text()


def test_the_config_that_is_written_repeats_the_run(log_of, tiny):
    path = log_of("run", until=at_step_13)
    log_of("run", init_from="resume")
    config = tiny(out_dir=str(path.parent), eval_interval=5, log_interval=1, dropout=0.1)
    assert read_config(TrainConfig, path.with_name("config.toml")) == config


def test_the_log_of_a_killed_and_resumed_run_reads_like_that_of_one_run(log_of, tmp_path):
    whole = read_log(log_of("whole"))
    log_of("killed", until=at_step_13)
    for cut in (0, 1, 30):  # between lines, without the line's end, within a line
        path = shutil.copytree(tmp_path / "killed", tmp_path / f"cut {cut}") / "log.jsonl"
        path.write_bytes(path.read_bytes()[: -cut or None] + b"\xff\xfe\x00"[: cut // 10])
        log_of(path.parent.name, until=at_step_13, init_from="resume")
        log_of(path.parent.name, init_from="resume")
        assert without_times(read_log(path)) == without_times(whole)


@pytest.mark.parametrize("content", ["3\n", '{"a": 1}\n'])
def test_a_file_that_is_no_log_is_refused(tmp_path, refused, content):
    (tmp_path / "other.jsonl").write_text(content)
    with refused(str(tmp_path / "other.jsonl"), "not the log of a run", "log.jsonl"):
        read_log(tmp_path / "other.jsonl")
    with refused("cannot read the log", "No such file", "log.jsonl"):
        read_log(tmp_path / "log.jsonl")


# --- one run at a time ------------------------------------------------------------------------------------


def test_a_run_from_scratch_moves_the_earlier_one_aside_and_leaves_other_files(log_of, tmp_path):
    (tmp_path / "run" / "earlier").mkdir(parents=True)
    (tmp_path / "run" / "earlier" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "damaged").mkdir()
    path = log_of("run", max_iters=5)
    first = path.read_text()
    (path.parent / "report.md").write_text("of the first run")
    log_of("run", max_iters=3)
    assert [e["step"] for e in read_log(path) if e["event"] == "Evaluation"] == [0, 3]
    assert (path.parent / "earlier-2" / "log.jsonl").read_text() == first
    assert (path.parent / "earlier-2" / "report.md").exists()
    assert latest(path.parent / "earlier-2").state.step == 5
    assert {p.name for p in (path.parent / "earlier").iterdir()} == {"notes.txt"}
    assert (path.parent / "damaged").exists()


def test_two_runs_do_not_write_to_one_folder(tiny, dataset, tmp_path, refused):
    """Not even a paused one and another; once the first is left, the second may."""
    first = iter(Trainer(tiny(out_dir=str(tmp_path)), dataset))
    while not isinstance(next(first), Saved):
        pass
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for init_from in ("scratch", "resume"):
        second = Trainer(tiny(out_dir=str(tmp_path), init_from=init_from), dataset)
        with refused("another run is writing to", str(tmp_path), "choose another folder"):
            next(iter(second))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert list(first)
    assert list(Trainer(tiny(out_dir=str(tmp_path)), dataset))


def test_a_run_does_not_continue_in_a_folder_that_another_has_taken(tiny, dataset, tmp_path, refused):
    first = Trainer(tiny(out_dir=str(tmp_path)), dataset)
    for event in first:
        if isinstance(event, Saved):
            break
    resumed = Trainer(tiny(out_dir=str(tmp_path), init_from="resume"), dataset)
    list(Trainer(tiny(out_dir=str(tmp_path), seed=2), dataset))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for trainer in (first, resumed):
        with refused("another run has written to", str(tmp_path), "another out_dir", "'resume'"):
            list(trainer)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_out_dir_that_is_a_file_is_refused(tiny, dataset, tmp_path, refused):
    (tmp_path / "file").write_text("")
    with refused("cannot write", str(tmp_path / "file"), "choose another"):
        list(Trainer(tiny(out_dir=str(tmp_path / "file")), dataset))


def test_a_checkpoint_that_goes_while_it_is_read_is_looked_for_again(saved, monkeypatch):
    """A run that is training removes old checkpoints."""
    read, out_dir = run_folder_module.read_checkpoint, saved.out_dir

    def slow(folder):
        if folder.name == "step-00000004":
            shutil.rmtree(folder)
        return read(folder)

    monkeypatch.setattr(run_folder_module, "read_checkpoint", slow)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert latest(out_dir).state.step == 2


# --- Weights & Biases ------------------------------------------------------------------------------------


def test_wandb_receives_the_events(tiny, monkeypatch):
    run = SimpleNamespace(logged=[], over=False)
    run.log = lambda record, step: run.logged.append((step, record))

    @contextmanager
    def init(**options):
        run.__dict__.update(options)
        yield run
        run.over = True

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    with wandb_log(SimpleNamespace(config=tiny(wandb_project="course"))) as send:
        for event in (Heartbeat(1, "evaluate"), EVALUATION, STEP):
            send(event)
    (at, evaluation), (_, step) = run.logged
    assert at == 5 and evaluation["Evaluation"]["val"]["mean"] == 1.25 and step["TrainStep"]["loss"] == 1.5
    assert run.over and run.project == "course" and run.config["n_layer"] == 1

"""Several processes as one run: the same curve, the same checkpoints, one writer, and an end when one of them dies."""

import math
import os
import signal
import socket
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from processes import FORKSERVER, exit_code, start_program

from course.read_log import read_log
from gptlib import Trainer, TrainStep, UsageError
from gptlib.distributed import DistEnv, from_env, init_distributed
from gptlib.run_folder import load_checkpoint

ROOT = Path(__file__).resolve().parents[1]
PLAN = {"max_iters": 8, "eval_interval": 2, "eval_iters": 3, "log_interval": 1}
PLAN |= {"schedule": "constant", "n_layer": 2, "grad_clip": 0.5}
PLAN |= {"gradient_accumulation_steps": 4}  # over all processes
# name: processes, parallel
SPLITS = {"1 x 4": (1, "ddp"), "2 x 2": (2, "ddp"), "4 x 1": (4, "ddp"), "2 x 2 fsdp": (2, "fsdp")}
MUON = {"optimizer": "muon", "muon_lr": 0.01}


def numbers(size):
    """For each process what torchrun would tell it in its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": str(size)}
    return [{"RANK": str(rank), "LOCAL_RANK": str(rank)} | meet for rank in range(size)]


@pytest.fixture(scope="module")
def course(tiny, dataset, tmp_path_factory):
    """A prepared text and a folder to train in: `course(split, name, **settings)` trains there."""
    folder = tmp_path_factory.mktemp("runs")
    for split in ("train", "val"):
        getattr(dataset, split).astype("<u2").tofile(folder / f"{split}.bin")
    dataset.tokenizer.save(folder / "tokenizer.json")
    sizes = f'"train_tokens": {len(dataset.train)}, "val_tokens": {len(dataset.val)}'
    sizes += f', "tokenizer": "{dataset.tokenizer.fingerprint()}"'
    (folder / "meta.json").write_text(f'{{{sizes}, "vocab_size": {dataset.vocab_size}}}')

    def words(split, name, **settings):
        _, parallel = SPLITS[split]
        shared = {"dataset": folder, "out_dir": folder / name, "parallel": parallel}
        config = vars(tiny(**PLAN)) | shared | settings
        return [f"--{key}={value}" for key, value in config.items()]

    def start(split, name, **settings):
        size, said = SPLITS[split][0], folder / f"{name}.txt"
        return [
            start_program("gptlib.train", words(split, name, **settings), said, **number) for number in numbers(size)
        ]

    def train(split, name, **settings):
        runs = start(split, name, **settings)
        codes = [exit_code(run, within=120) for run in runs]
        assert codes == [0] * len(runs), (folder / f"{name}.txt").read_text()[-3000:]
        return folder / name

    train.words, train.start, train.folder = words, start, folder
    return train


def curve(out):
    """The training losses, gradient norms, tokens and the validation losses that were logged."""
    events = read_log(out / "log.jsonl")
    steps = [
        [event[key] for key in ("loss", "grad_norm", "tokens")] for event in events if event["event"] == "TrainStep"
    ]
    evaluations = [event["val"]["mean"] for event in events if event["event"] == "Evaluation"]
    assert len(steps) == 8 and len(evaluations) == 5
    return torch.tensor(steps), torch.tensor(evaluations)


@pytest.fixture(scope="module")
def alone(course):
    return course("1 x 4", "alone")


@pytest.mark.parametrize("split", ["2 x 2", "4 x 1", "2 x 2 fsdp"])
def test_the_curve_is_the_same_however_the_work_is_split(course, alone, split):
    out = course(split, split)
    for ours, theirs in zip(curve(out), curve(alone), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    ours, theirs = (load_checkpoint(folder, prefer="latest") for folder in (out, alone))
    assert ours.training.keys() == theirs.training.keys() and ours.state.step == 8
    for name, tensor in theirs.weights.items():
        if name.endswith("c_attn.bias"):
            continue  # a key's bias changes nothing, so its gradient is rounding alone, which Adam makes large
        torch.testing.assert_close(ours.weights[name], tensor, rtol=0, atol=1e-3)
    said = (course.folder / f"{split}.txt").read_text()
    assert said.count("parameters on cpu; 128 tokens per step") == 1 and "processes" in said  # one of them writes


@pytest.mark.parametrize("settings", [MUON, {"dtype": "float16"}], ids=["muon", "float16"])
def test_parts_of_a_model_train_as_the_whole_does(course, settings):
    """Muon needs whole matrices; float16's scale must be the same for all parts."""
    name = "-".join(settings)
    ours, theirs = (course(split, f"{name} {split}", **settings) for split in ("2 x 2 fsdp", "1 x 4"))
    for parted, whole in zip(curve(ours), curve(theirs), strict=True):
        torch.testing.assert_close(parted, whole, rtol=0, atol=1e-4 if settings is MUON else 2e-3)
    parted, whole = (load_checkpoint(folder, prefer="latest") for folder in (ours, theirs))
    assert parted.scaler == whole.scaler and parted.training.keys() == whole.training.keys()


def overflow_in_one_part(config, dataset, environment, told):
    """Three steps, at the second of which one process's part of one gradient is not finite."""
    os.environ.update(environment)
    with init_distributed(config) as dist:
        trainer = Trainer(config, dataset, dist)
        unscale, gradient = trainer.scaler.unscale_, lambda: trainer.model.h[0].mlp.c_fc.weight.grad

        def unscale_with_overflow(optimizer):
            if dist.rank == 1 and trainer.step == 1:
                gradient().to_local().fill_(math.inf)
            unscale(optimizer)

        trainer.scaler.unscale_ = unscale_with_overflow
        steps = [event for event in trainer if isinstance(event, TrainStep)]
        told.put((dist.rank, trainer.scaler.get_scale(), [event.grad_norm for event in steps]))


def test_an_overflow_in_one_part_of_the_model_is_one_in_all(tiny, dataset):
    told = FORKSERVER.Queue()
    config = tiny(parallel="fsdp", dtype="float16", max_iters=3, gradient_accumulation_steps=2)
    runs = [FORKSERVER.Process(target=overflow_in_one_part, args=(config, dataset, n, told)) for n in numbers(2)]
    for run in runs:
        run.start()
    assert [exit_code(run) for run in runs] == [0, 0]
    first, second = sorted(told.get() for _ in runs)
    assert first[1:] == second[1:] and first[1] == 2.0**15  # half of the first scale
    assert [math.isfinite(norm) for norm in first[2]] == [True, False, True]


def test_a_checkpoint_of_any_split_goes_on_in_any_other(course, alone):
    for i, split in enumerate(("1 x 4", "2 x 2", "2 x 2 fsdp", "1 x 4"), 1):
        out = course(split, "relay", max_iters=2 * i, **({"init_from": "resume"} if i > 1 else {}))
    for ours, theirs in zip(curve(out), curve(alone), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_dropout_differs_between_processes_and_a_resumed_run_is_the_same_to_the_bit(course):
    whole = course("2 x 2", "whole dropout", dropout=0.3)
    course("2 x 2", "halves dropout", dropout=0.3, max_iters=4)
    halves = course("2 x 2", "halves dropout", dropout=0.3, init_from="resume")
    for ours, theirs in zip(curve(halves), curve(whole), strict=True):
        assert ours.equal(theirs)
    states = load_checkpoint(whole, prefer="latest").training["rng_state"]
    assert len(states) == 2 and not states[0].equal(states[1])


def wait_for_steps(log, said, *runs):
    while not log.exists() or log.stat().st_size < 3000:
        runs[0].join(0.05)
        assert all(run.is_alive() for run in runs), said.read_text()[-3000:]


def test_torchrun_saves_at_ctrl_c_and_says_how_to_go_on(course):
    out, said = course.folder / "torchrun", course.folder / "torchrun.txt"
    words = ["--standalone", "--nproc_per_node=2", "-m", "gptlib.train"]
    words += course.words("2 x 2", "torchrun", max_iters=10**6)
    torchrun = start_program("torch.distributed.run", words, said, PYTHONPATH=str(ROOT))
    wait_for_steps(out / "log.jsonl", said, torchrun)
    os.kill(torchrun.pid, signal.SIGINT)
    exit_code(torchrun)
    step = load_checkpoint(out, prefer="latest").state.step
    assert step > 0 and f"stopped at step {step} of 1000000" in said.read_text()
    assert "continue with the same torchrun command and --init_from=resume" in said.read_text()


def test_who_loses_another_process_says_so(course):
    """Under torchrun there may be no time for it, but there torchrun gives the reason itself."""
    first, second = course.start("2 x 2", "lost", max_iters=10**6)
    said = course.folder / "lost.txt"
    wait_for_steps(course.folder / "lost" / "log.jsonl", said, first, second)
    second.kill()
    code = exit_code(first)
    lines = said.read_text().splitlines()
    assert code == 1 and "error: rank 0 lost another rank, whose error is in this output too" in lines


class Watched:
    """In the place of a model: remembers whether gradients travelled."""

    def __init__(self):
        self.travelled = []

    def no_sync(self):
        self.travelled[-1:] = [False]
        return nullcontext()

    def set_requires_gradient_sync(self, last):
        self.travelled[-1:] = [last]


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_gradients_travel_at_the_last_micro_batch_only(parallel):
    model, dist = Watched(), DistEnv(0, 2, 0, parallel)
    for last in (False, False, True):
        model.travelled.append(True)  # as DDP does unless it is told otherwise
        with dist.grad_sync(model, last):
            pass
    assert model.travelled == [False, False, True]


# --- what can be said without a GPU ---------------------------------------------------------------------


def test_torchruns_variables_are_read():
    assert from_env({}, "ddp") == DistEnv()
    meet = {"MASTER_ADDR": "box1", "MASTER_PORT": "29500"}
    assert from_env({"RANK": "5", "WORLD_SIZE": "16", "LOCAL_RANK": "1", **meet}, "fsdp") == DistEnv(5, 16, 1, "fsdp")
    assert from_env({"RANK": "3"}, "ddp") == DistEnv()  # of another program: a single process is rank 0
    assert DistEnv(5, 16, 1, "fsdp").sharded and not DistEnv(0, 1, 0, "fsdp").sharded
    assert DistEnv(0, 16).is_main and not DistEnv(8, 16, 0).is_main


def test_an_accumulation_that_the_processes_cannot_share_is_refused(tiny, dataset, refused):
    with refused("gradient_accumulation_steps = 3", "a multiple of the 2 processes", error=UsageError):
        Trainer(tiny(gradient_accumulation_steps=3), dataset, DistEnv(0, 2))


@pytest.fixture
def two_gpus(monkeypatch):
    """Only for the choice of a device: nothing is computed on them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_each_process_of_a_machine_has_a_gpu_of_its_own(two_gpus, refused):
    assert DistEnv().device("auto") == torch.device("cuda")
    assert DistEnv(3, 4, 1).device("auto") == torch.device("cuda", 1)
    assert DistEnv(3, 4, 1).device("cpu") == torch.device("cpu")
    with refused("local rank 2 has no GPU", "this machine has 2", "--nproc_per_node", error=UsageError):
        DistEnv(2, 4, 2).device("cuda")


def test_several_processes_cannot_share_an_apple_gpu(monkeypatch, refused):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with refused("device = 'mps'", "--device=cpu", error=UsageError):
        DistEnv(0, 2).device("mps")

"""A checkpoint: one folder with everything a run needs to continue, and nothing pickled.

    step-00000500/   model.safetensors, training.safetensors, tokenizer.json, state.json

Every tensor has the name of its parameter (`exp_avg.h.0.attn.c_attn.weight`), so any number of processes can continue.
`state.json` holds the sha256 of the other files and of itself.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gptlib.config import Architecture, TrainConfig
from gptlib.dataset import Dataset
from gptlib.distributed import DistEnv, shard_like
from gptlib.errors import UserError, quoted
from gptlib.files import atomic_write, flush_to_disk, read_json
from gptlib.model import GPT
from gptlib.tokenizer import Tokenizer, load_tokenizer

FORMAT = 2  # 1: in folders named latest/ and best/
MODEL, TRAINING, TOKENIZER, STATE = "model.safetensors", "training.safetensors", "tokenizer.json", "state.json"
FILES = (MODEL, TRAINING, TOKENIZER)  # what STATE knows the sha256 of
# What reading a folder raises whose content is not that of a checkpoint.
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError, UserError)


@dataclass
class TrainState:
    """How far a run has come."""

    step: int = 0
    tokens: int = 0
    evaluated_at: int = -1
    saved_at: int = -1
    best_val: float | None = None
    best_step: int = -1
    evaluations_since_best: int = 0

    def evaluated(self, val: float) -> bool:
        """Record the validation loss of this step; return whether it is the lowest so far."""
        self.evaluated_at, self.saved_at = self.step, -1  # if this step has a checkpoint, it lacks the evaluation
        best = self.best_val is None or val < self.best_val
        if best:
            self.best_val, self.best_step = val, self.step
        self.evaluations_since_best = 0 if best else self.evaluations_since_best + 1
        return best


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to continue; `folder` is where it was read from."""

    weights: dict[str, Tensor]
    training: dict[str, Tensor]  # optimizer state and RNG states
    tokenizer: Tokenizer
    state: TrainState
    config: TrainConfig
    scaler: dict[str, Any]  # of float16's GradScaler; empty without one
    text: str | None  # the dataset's fingerprint
    folder: Path | None = None


def write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write all files of a checkpoint to an existing folder, and flush them to the disk."""
    save_file({name: t.contiguous() for name, t in checkpoint.weights.items()}, folder / MODEL)
    save_file({name: t.contiguous() for name, t in checkpoint.training.items()}, folder / TRAINING)
    checkpoint.tokenizer.save(folder / TOKENIZER)
    for file in FILES:
        flush_to_disk(folder / file)
    write_state(checkpoint, folder)


def write_state(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the state beside the files that a folder has, atomically; those of an earlier state keep their sums."""
    earlier = read_json(folder / STATE) or {}
    meta = {
        "format": FORMAT,
        "state": asdict(checkpoint.state),
        "config": asdict(checkpoint.config),
        "scaler": checkpoint.scaler,
        "text": checkpoint.text,
        "sha256": earlier.get("sha256") or {file: sha256(folder / file) for file in FILES},
    }
    meta["checksum"] = _checksum(meta)
    atomic_write(folder / STATE, json.dumps(meta, indent=1) + "\n")


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; one of `DAMAGE` is raised if it is not what was saved."""
    meta = json.loads((folder / STATE).read_text(encoding="utf-8"))
    if meta.pop("checksum") != _checksum(meta):
        raise ValueError(f"{STATE} is not what was saved")
    for file in FILES:
        if sha256(folder / file) != meta["sha256"][file]:
            raise ValueError(f"{file} is not what was saved")
    if meta.setdefault("format", 1) < FORMAT:
        _upgrade(meta)
    if meta["format"] > FORMAT or not meta["config"].keys() <= {f.name for f in fields(TrainConfig)}:
        raise ValueError("it is of a newer gptlib")
    tokenizer = load_tokenizer(folder / TOKENIZER)
    config = TrainConfig(**meta["config"])  # a setting that it lacks means its default, unless _upgrade says otherwise
    weights, training = load_file(folder / MODEL), load_file(folder / TRAINING)
    with Uninitialized():
        expected = GPT(config.model_config(tokenizer.vocab_size)).state_dict()
    if {name: t.shape for name, t in weights.items()} != {name: t.shape for name, t in expected.items()}:
        raise ValueError("its weights do not fit its config")
    names = {name for key in training if (name := key.partition(".")[2])}
    if not names <= expected.keys() or not isinstance(meta["state"]["step"], int):
        raise ValueError("its training state does not fit its model")
    state = TrainState(**meta["state"])
    return Checkpoint(weights, training, tokenizer, state, config, meta["scaler"], meta.get("text"), folder)


class Uninitialized(TorchFunctionMode):
    """Skip the initialization of weights: 2 s for GPT-2, and memory that is never touched is never taken.

    The device "meta" is made for this, but arithmetic on it imports PyTorch's compiler: 2 s too.
    """

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        drawn = getattr(function, "__module__", "") == "torch.nn.init"
        return None if drawn else function(*args, **kwargs or {})


def _upgrade(meta: dict) -> None:
    """From format 1: names as they are now, and what the code did before a setting existed, if not its default."""
    config, progress = meta["config"], meta["progress"]
    config.pop("max_bad_steps", None)
    config["train_fraction"] = config.pop("train_share", 1.0)
    config.setdefault("activation", "gelu_tanh")
    meta["state"] = progress | {"saved_at": progress["step"]}


def _checksum(meta: dict) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_compatible(saved: Checkpoint, config: TrainConfig, dataset: Dataset) -> None:
    """Raise `UserError` for another vocabulary or shape; if the run is resumed, for another text or optimizer too."""
    if saved.tokenizer.to_json() != dataset.tokenizer.to_json():
        raise UserError(
            f"{saved.folder} was trained on other tokens ({saved.tokenizer.vocab_size}) than this dataset has "
            f"({dataset.vocab_size}); use the dataset it was trained on, or --init_from=scratch"
        )
    resume = config.init_from == "resume"
    must_agree = [f.name for f in fields(Architecture) if f.name not in ("dropout", "attention")]
    must_agree += ["optimizer", "train_fraction"] if resume else []
    for name in must_agree:
        before, now = getattr(saved.config, name), getattr(config, name)
        if before != now:
            remedy = f"set --{name}={before}, or --init_from=scratch"
            raise UserError(f"{saved.folder} has {name} = {before}, not {now}; {remedy}")
    if resume and saved.text not in (None, dataset.fingerprint()):
        raise UserError(
            f"{saved.folder} was trained on another text, so losses before and after could not be compared; use the "
            f"dataset it was trained on, or start a new run from its weights: {quoted(f'--init_from={saved.folder}')}"
        )


# --- what a checkpoint holds besides the weights -----------------------------------------------------


def training_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, dist: DistEnv) -> dict[str, Tensor]:
    """Optimizer state by parameter name, and every rank's RNG state (for dropout; batches need none)."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    tensors = {f"{key}.{names[p]}": value for p, entry in optimizer.state.items() for key, value in entry.items()}
    return tensors | {name: dist.all_gather(module.get_rng_state()) for name, module in _rngs().items()}


def restore_training(saved: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, dist: DistEnv) -> None:
    """Restore optimizer and RNG states. A rank that did not exist when it was saved keeps its RNG state."""
    parameters = dict(model.named_parameters())
    for key, tensor in saved.training.items():
        kind, _, name = key.partition(".")
        if name:
            p = parameters[name]  # a copy: the file is memory-mapped, and Windows cannot remove an open file
            optimizer.state[p][kind] = shard_like(tensor, p).to(p.device, copy=True)
    for name, module in _rngs().items():
        states = saved.training.get(name, saved.training.get(name.replace("rng", "random"), ()))  # format 1
        if dist.rank < len(states):
            module.set_rng_state(states[dist.rank].clone())


def _rngs() -> dict[str, Any]:
    """The modules with the RNG of each device of this machine."""
    gpu = {"rng_state_cuda": torch.cuda} if torch.cuda.is_available() else {}
    apple = {"rng_state_mps": torch.mps} if torch.backends.mps.is_available() else {}
    return {"rng_state": torch} | gpu | apple

"""Checkpoints: safetensors and JSON, written whole or not at all, and never a pickle.

    out_dir/latest/      model.safetensors, training.safetensors, tokenizer.json, state.json
    out_dir/previous/    the one before, in case latest is damaged; then previous-2, ... (`keep_checkpoints`)
    out_dir/best/        the one with the lowest validation loss

Every tensor goes by the name of its parameter (`exp_avg.h.0.attn.c_attn.weight`), so that a checkpoint knows
nothing of how the run was laid out in memory or over processes. `state.json` holds the sha256 of the other files
and of itself.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gptlib.config import Architecture, GPTConfig, TrainConfig
from gptlib.dataset import Dataset
from gptlib.distributed import SINGLE_PROCESS, DistEnv, shard_like
from gptlib.errors import UserError
from gptlib.files import flush_folder_to_disk, flush_to_disk
from gptlib.model import GPT
from gptlib.tokenizer import Tokenizer, load_tokenizer

MODEL, TRAINING, TOKENIZER, STATE = "model.safetensors", "training.safetensors", "tokenizer.json", "state.json"
FILES = (MODEL, TRAINING, TOKENIZER, STATE)
_FREE = ("dropout", "attention")  # fields of Architecture that leave the parameters as they are


@dataclass
class RunProgress:
    """How far a run has come."""

    step: int = 0
    tokens: int = 0
    best_val: float | None = None  # none yet
    evaluated_at: int = -1


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on; `folder` and `damaged` tell of where it was read."""

    weights: dict[str, Tensor]
    training: dict[str, Tensor]  # the optimiser's memory and the state of the random generators
    tokenizer: Tokenizer
    progress: RunProgress
    config: dict
    scaler: dict  # of float16's GradScaler; empty without one
    text: str | None = None  # what `Dataset.digest` said of it; None in checkpoints that are older than this line
    folder: Path | None = None
    damaged: tuple[Path, ...] = ()  # newer ones that were passed over


# --- writing ------------------------------------------------------------------------------------------


def save(out_dir: str | Path, name: str, content: Checkpoint, keep: int = 2) -> Path:
    """Write the checkpoint `out_dir/name`; a reader, or a kill at any moment, finds the old or the new one.

    Raises:
        UserError: the folder cannot be written or the disk is full; the earlier checkpoints are intact.
    """
    folder = Path(out_dir) / name
    temporary = folder.with_name(f".{name}.tmp")
    try:
        _remove(temporary)
        temporary.mkdir(parents=True)
        save_file({k: v.contiguous() for k, v in content.weights.items()}, temporary / MODEL)
        save_file({k: v.contiguous() for k, v in content.training.items()}, temporary / TRAINING)
        content.tokenizer.save(temporary / TOKENIZER)
        state = {
            "progress": asdict(content.progress),
            "config": content.config,
            "scaler": content.scaler,
            "text": content.text,
            "sha256": {file: _sha256(temporary / file) for file in (MODEL, TRAINING, TOKENIZER)},
        }
        state["checksum"] = _checksum(state)
        (temporary / STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        for file in temporary.iterdir():
            flush_to_disk(file)
        _step_aside(folder, keep)  # a folder cannot be replaced in one step
        temporary.rename(folder)
        flush_folder_to_disk(folder.parent)
        _remove(folder.with_name(f".{name}.old"))
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot save a checkpoint in {out_dir} ({error}); free space or change out_dir") from error
    finally:
        _remove(temporary)
    return folder


def stamp(out_dir: str | Path) -> str | None:
    """What tells the newest checkpoint in a folder from every other; None if there is none."""
    path = Path(out_dir, "latest", STATE)
    return _sha256(path) if os.path.isfile(path) else None


def refuse_changed(out_dir: Path, known: str | None) -> None:
    """Raise `UserError` if somebody else has saved there: `known` is the stamp of what was read or saved last."""
    if stamp(out_dir) != known:
        raise UserError(
            f"another run has written to {str(out_dir)!r} since this one did; choose another out_dir, or go on with "
            "that one by a new Trainer, with init_from = 'resume'"
        )


def _step_aside(folder: Path, keep: int) -> None:
    """latest becomes previous, previous becomes previous-2, ...; any other folder waits to be removed."""
    ages = [folder, folder.with_name(f".{folder.name}.old")]
    if folder.name == "latest":
        ages = [folder, *(folder.with_name("previous" if n == 1 else f"previous-{n}") for n in range(1, keep))]
    if folder.exists():
        for too_old in [ages[-1], *_earlier(folder.parent)[keep - 1 :]]:
            _remove(too_old)
        for younger, older in reversed(list(pairwise(ages))):
            if younger.exists():
                younger.rename(older)


def _remove(path: Path) -> None:
    """A folder that is in the way, or a link to one, of which only the link goes; as far as the system lets it."""
    if path.is_symlink():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


def _earlier(out_dir: Path) -> list[Path]:
    """previous, previous-2, ...: the newest first."""
    found = [path for path in out_dir.glob("previous*") if re.fullmatch(r"previous(-\d+)?", path.name)]
    return sorted(found, key=lambda path: int(path.name.partition("-")[2] or 1))


def training_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, world: DistEnv = SINGLE_PROCESS
) -> dict[str, Tensor]:
    """The optimiser's memory and each process's RNG state for dropout; batches need none (see sample_offsets)."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    tensors = {f"{kind}.{names[p]}": value for p, entry in optimizer.state.items() for kind, value in entry.items()}
    return tensors | {name: world.gather(source.get_rng_state()) for name, source in _sources_of_chance().items()}


def _sources_of_chance() -> dict[str, ModuleType]:
    """The random generators of this machine's devices, by the names of their states."""
    sources = {"random_state": torch}
    if torch.cuda.is_available():
        sources["random_state_cuda"] = torch.cuda
    if torch.backends.mps.is_available():
        sources["random_state_mps"] = torch.mps
    return sources


def _checksum(state: dict) -> str:
    """In a form that does not depend on spaces or order."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- reading ------------------------------------------------------------------------------------------


def load(folder: str | Path, prefer: str = "best") -> Checkpoint:
    """Read a checkpoint folder, or the preferred one of an out_dir; a damaged one is passed over with a warning.

    Raises:
        UserError: there is none, or none that is whole.
    """
    folder, damaged, told = Path(folder), [], []
    words = shlex.quote(f"--out_dir={folder}")
    none = f"no checkpoint in {str(folder)!r}; train first: python -m gptlib.train CONFIG {words}"
    if not os.path.isdir(folder):  # which is not disturbed by a name that is too long
        raise UserError(none)
    latest, best = [folder / "latest", *_earlier(folder)], [folder / "best"]
    candidates = latest + best if prefer == "latest" else best + latest
    if any((folder / file).exists() for file in FILES):
        candidates = [folder]
    for candidate in filter(Path.is_dir, candidates):
        try:
            found = _read(candidate)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            damaged.append(candidate)
            told.append(f"{candidate.name}: {error}")
            continue
        if told:
            warnings.warn(f"damaged checkpoint passed over ({'; '.join(told)}); using {candidate}", stacklevel=2)
        return replace(found, damaged=tuple(damaged))
    if told:
        raise UserError(f"no whole checkpoint in {folder} ({'; '.join(told)}); train again with --init_from=scratch")
    raise UserError(none)


def _read(folder: Path) -> Checkpoint:
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    if state.pop("checksum") != _checksum(state):
        raise ValueError(f"{STATE} is not what was saved")
    for file, digest in state["sha256"].items():
        if _sha256(folder / file) != digest:
            raise ValueError(f"{file} is not what was saved")
    return Checkpoint(
        weights=load_file(folder / MODEL),
        training=load_file(folder / TRAINING),
        tokenizer=load_tokenizer(folder / TOKENIZER),
        progress=RunProgress(**state["progress"]),
        config=state["config"],
        scaler=state["scaler"],
        text=state.get("text"),
        folder=folder,
    )


def load_model(folder: str | Path) -> tuple[GPT, Checkpoint]:
    """The model that a run saved, in evaluation mode, and the checkpoint it came from."""
    saved = load(folder)
    shape = {f.name: saved.config[f.name] for f in fields(GPTConfig) if f.name in saved.config}
    model = GPT(GPTConfig(**shape, vocab_size=saved.tokenizer.vocab_size))
    model.load_state_dict(saved.weights)
    return model.eval(), saved


def refuse_mismatch(saved: Checkpoint, config: TrainConfig, dataset: Dataset) -> None:
    """Raise `UserError` if the checkpoint belongs to another vocabulary or model; or, to go on, optimiser or text."""
    if saved.tokenizer.to_json() != dataset.tokenizer.to_json():
        raise UserError(
            f"{saved.folder} was trained on other tokens ({saved.tokenizer.vocab_size}) than this dataset has "
            f"({dataset.vocab_size}); use the dataset it was trained on, or --init_from=scratch"
        )
    resume = config.init_from == "resume"
    must_agree = [f.name for f in fields(Architecture) if f.name not in _FREE]
    must_agree += ["optimizer", "train_fraction"] if resume else []
    for name in must_agree:
        before, now = saved.config.get(name), getattr(config, name, None)
        if before != now:
            raise UserError(
                f"{saved.folder} has {name} = {before}, not {now}; set --{name}={before}, or --init_from=scratch"
            )
    if resume and saved.text not in (None, dataset.fingerprint()):
        words = shlex.quote(f"--init_from={saved.folder}")
        raise UserError(
            f"{saved.folder} was trained on another text, so losses before and after could not be compared; "
            f"use the dataset it was trained on, or begin a run with its weights: {words}"
        )


def restore_weights(saved: Checkpoint, model: nn.Module) -> None:
    """Give the model, or the part of it that this process holds, the saved weights."""
    own = model.state_dict()
    model.load_state_dict({name: shard_like(tensor, own[name]) for name, tensor in saved.weights.items()})


def restore(
    saved: Checkpoint,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    world: DistEnv = SINGLE_PROCESS,
) -> None:
    """Give the optimiser, the scaler and the random generators the state in which they were saved.

    A process that had no fellow of its number when it was saved goes on with the chance that it has.
    """
    parameters = dict(model.named_parameters())
    for key, tensor in saved.training.items():
        kind, _, name = key.partition(".")
        if name:
            parameter = parameters[name]
            # A copy, since what was read is the file itself, which Windows will not remove while somebody looks at it.
            optimizer.state[parameter][kind] = shard_like(tensor, parameter).to(parameter.device, copy=True)
    if saved.scaler and scaler.is_enabled():
        scaler.load_state_dict(saved.scaler)
    for name, source in _sources_of_chance().items():
        states = saved.training.get(name, ())
        if world.rank < len(states):
            source.set_rng_state(states[world.rank].clone())


def set_aside(damaged: Iterable[Path]) -> None:
    """Rename what was passed over to `damaged`: the next save must not let it take the place of a whole one."""
    for folder in damaged:
        aside = folder.with_name("damaged")
        try:
            _remove(aside)
            folder.rename(aside)
        except OSError as error:
            raise UserError(f"cannot rename the damaged {folder} ({error.strerror}); remove it yourself") from error

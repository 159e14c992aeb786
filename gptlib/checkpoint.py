"""Checkpoints: safetensors and JSON, written whole or not at all, and never a pickle.

    out_dir/latest/    model.safetensors, training.safetensors, tokenizer.json, state.json
    out_dir/previous/  the one before, in case latest is damaged
    out_dir/best/      the one with the lowest validation loss

`state.json` is written last and holds the sha256 of the other files.
"""

import hashlib
import json
import shutil
import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gptlib.config import GPTConfig, TrainConfig
from gptlib.errors import UserError
from gptlib.files import flush_to_disk
from gptlib.model import GPT
from gptlib.tokenizer import Tokenizer, load_tokenizer

MODEL, TRAINING, TOKENIZER, STATE = "model.safetensors", "training.safetensors", "tokenizer.json", "state.json"


@dataclass
class RunProgress:
    """How far a run has come."""

    step: int = 0
    tokens: int = 0
    best_val: float = float("inf")
    evaluated_at: int = -1


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, read and verified."""

    folder: Path
    weights: dict[str, Tensor]
    training: dict[str, Tensor]
    tokenizer: Tokenizer
    progress: RunProgress
    config: dict
    vocab_size: int


def save(
    out_dir: str | Path,
    name: str,
    model: GPT,
    optimizer: torch.optim.Optimizer,
    tokenizer: Tokenizer,
    config: TrainConfig,
    progress: RunProgress,
) -> Path:
    """Write the checkpoint `out_dir/name`; a reader, or a kill at any moment, finds the old or the new one.

    Raises:
        UserError: the folder cannot be written or the disk is full; the earlier checkpoints are intact.
    """
    folder = Path(out_dir) / name
    temporary = folder.with_name(f".{name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, temporary / MODEL)
        save_file(_training_tensors(optimizer), temporary / TRAINING)
        tokenizer.save(temporary / TOKENIZER)
        state = {
            "progress": asdict(progress),
            "config": asdict(config),
            "vocab_size": tokenizer.vocab_size,
            "sha256": {file: _sha256(temporary / file) for file in (MODEL, TRAINING, TOKENIZER)},
        }
        (temporary / STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        for file in temporary.iterdir():
            flush_to_disk(file)
        if folder.exists():  # a folder cannot be replaced in one step: the old one steps aside first
            aside = folder.with_name("previous" if name == "latest" else f".{name}.old")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        temporary.rename(folder)
        shutil.rmtree(folder.with_name(f".{name}.old"), ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot save a checkpoint in {out_dir} ({error}); free space or change out_dir") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def load(folder: str | Path, prefer: str = "best") -> Checkpoint:
    """Read a checkpoint folder, or the preferred one of an out_dir; a damaged one is passed over with a warning.

    Raises:
        UserError: there is none, or none that is whole.
    """
    folder, damage = Path(folder), []
    order = ("latest", "previous", "best") if prefer == "latest" else ("best", "latest", "previous")
    candidates = [folder] if (folder / STATE).exists() else [folder / name for name in order]
    for candidate in candidates:
        if not candidate.is_dir():
            continue
        try:
            found = _read(candidate)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            damage.append(f"{candidate.name}: {error}")
            continue
        if damage:
            warnings.warn(f"damaged checkpoint passed over ({'; '.join(damage)}); using {candidate}", stacklevel=2)
        return found
    if damage:
        raise UserError(f"no whole checkpoint in {folder} ({'; '.join(damage)}); train again with --init_from=scratch")
    raise UserError(f"no checkpoint in {str(folder)!r}; train first: python -m gptlib.train CONFIG --out_dir={folder}")


def _read(folder: Path) -> Checkpoint:
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    for file, digest in state["sha256"].items():
        if _sha256(folder / file) != digest:
            raise ValueError(f"{file} is not what was saved")
    return Checkpoint(
        folder=folder,
        weights=load_file(folder / MODEL),
        training=load_file(folder / TRAINING),
        tokenizer=load_tokenizer(folder / TOKENIZER),
        progress=RunProgress(**state["progress"]),
        config=state["config"],
        vocab_size=state["vocab_size"],
    )


def load_model(folder: str | Path) -> tuple[GPT, Checkpoint]:
    """The model that a run saved, in evaluation mode, and the checkpoint it came from."""
    saved = load(folder)
    shape = {f.name: saved.config[f.name] for f in fields(GPTConfig) if f.name in saved.config}
    model = GPT(GPTConfig(**shape, vocab_size=saved.vocab_size))
    model.load_state_dict(saved.weights)
    return model.eval(), saved


def refuse_mismatch(saved: Checkpoint, config: GPTConfig, tokenizer: Tokenizer) -> None:
    """Raise `UserError` if the saved weights belong to another shape of model or another vocabulary."""
    if saved.tokenizer.to_json() != tokenizer.to_json():
        raise UserError(
            f"{saved.folder} was trained on other tokens ({saved.vocab_size}) than this dataset has "
            f"({tokenizer.vocab_size}); use the dataset it was trained on, or --init_from=scratch"
        )
    for name in ("block_size", "n_layer", "n_head", "n_embd", "bias"):
        if saved.config[name] != getattr(config, name):
            raise UserError(
                f"{saved.folder} has {name} = {saved.config[name]}, not {getattr(config, name)}; "
                f"set --{name}={saved.config[name]}, or --init_from=scratch"
            )


def _training_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's memory and the random state of dropout; the batches need none (see draw_starts)."""
    state = optimizer.state_dict()["state"]
    tensors = {f"{i}.{key}": value.contiguous() for i, entry in state.items() for key, value in entry.items()}
    tensors["random_state"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random_state_cuda"] = torch.cuda.get_rng_state()
    return tensors


def restore(saved: Checkpoint, optimizer: torch.optim.Optimizer) -> None:
    """Give the optimiser and the random generators the state in which they were saved."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in saved.training.items():
        if not name.startswith("random_state"):
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(saved.training["random_state"])
    if "random_state_cuda" in saved.training and torch.cuda.is_available():
        torch.cuda.set_rng_state(saved.training["random_state_cuda"])


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""out_dir: the lock, the config, the log and the checkpoints of one run.

    out_dir/config.toml      the settings that repeat the run
    out_dir/log.jsonl        one event per line
    out_dir/step-00000500/   a checkpoint (see checkpoint.py); state.json names the step with the best validation loss
    out_dir/earlier/         what an earlier run left here, or later code than this; then earlier-2/, ...
    out_dir/.lock            held by the run that writes

Nothing else writes here, but for the course's report.md and report.png.

A checkpoint is written to `.stage` and renamed once, when it is complete. So a kill at any moment leaves whole
checkpoints, and perhaps the remains of one that was being removed, which are skipped.
"""

import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from gptlib.checkpoint import (
    DAMAGE,
    STATE,
    Checkpoint,
    Uninitialized,
    read_checkpoint,
    sha256,
    write_checkpoint,
    write_state,
)
from gptlib.config import TrainConfig
from gptlib.errors import UserError
from gptlib.events import Event
from gptlib.files import atomic_write, exclusive_lock, flush_to_disk, read_json
from gptlib.model import GPT

LOG, CONFIG = "log.jsonl", "config.toml"
STEP = re.compile(r"step-\d{8,}")
FORMAT_1 = ("latest", "previous", "best")  # its checkpoints, and previous-2, ...


class RunFolder:
    """The out_dir of a run that trains; with an empty `out_dir` nothing is written."""

    def __init__(self, out_dir: str):
        self.path = Path(out_dir) if out_dir else None
        self.moved_to: Path | None = None  # where an earlier run has been moved
        self._init_from: str | None = None  # how the run in the folder began; None if it is not ours
        self._newest = self._fingerprint()  # its newest checkpoint, as far as this run knows

    def resume(self, saved: Checkpoint) -> None:
        """The run that saved this checkpoint continues."""
        self._init_from = saved.config.init_from

    @contextmanager
    def opened(self, config: TrainConfig, step: int) -> Iterator[Callable[[Event], None]]:
        """Lock the folder, move an earlier run aside, write the config, and yield a function that logs events.

        Raises UserError if another run writes or has written there, or the folder cannot be written.
        """
        if not self.path:
            yield lambda event: None
            return
        with exclusive_lock(self.path):
            start = "resume" if self._init_from else config.init_from
            if not self._init_from:
                self.moved_to, self._init_from = move_aside(self.path), config.init_from
            elif self._fingerprint() != self._newest:
                raise UserError(
                    f"another run has written to {str(self.path)!r} since this one did; choose another out_dir, or "
                    "continue that run in a new Trainer with init_from = 'resume'"
                )
            else:  # later checkpoints than the one it resumed from could not be read: out of the way, but not lost
                self.moved_to = move_aside(self.path, after=step)
            self._newest = self._fingerprint()
            atomic_write(self.path / CONFIG, config_as_toml(replace(config, init_from=self._init_from)))
            with open(self.path / LOG, "ab", buffering=0) as file:
                write_line(file, {"event": "Start", "step": step, "init_from": start}, before=b"\n")

                def log(event: Event) -> None:
                    if event.logged:
                        write_line(file, {"event": type(event).__name__, **asdict(event)})

                yield log

    def save(self, checkpoint: Checkpoint, keep: int) -> None:
        """Write a checkpoint, whole or not at all; then remove all but the best and the newest `keep`.

        Raises UserError if it cannot be written; then the earlier checkpoints are intact.
        """
        state, stage = checkpoint.state, self.path / ".stage"
        target = step_folder(self.path, state.step)
        began = self._init_from or checkpoint.config.init_from
        checkpoint = replace(checkpoint, config=replace(checkpoint.config, init_from=began))
        try:
            if target.exists():  # saved when the run was stopped, evaluated since: only the state is new
                write_state(checkpoint, target)
            else:
                shutil.rmtree(stage, ignore_errors=True)
                stage.mkdir(parents=True)
                write_checkpoint(checkpoint, stage)
                stage.rename(target)
                flush_to_disk(self.path)
        except (OSError, SafetensorError, UserError) as error:
            raise UserError(f"cannot save a checkpoint in {self.path} ({error}); free space") from error
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        self._newest = self._fingerprint()
        for step in {*steps_in(self.path)[keep:]} - {state.best_step}:
            shutil.rmtree(step_folder(self.path, step), ignore_errors=True)

    def _fingerprint(self) -> str | None:
        """The sha256 of the newest checkpoint's state; None if there is none."""
        newest = next((folder / STATE for folder in checkpoints_in(self.path, "latest")), None) if self.path else None
        return sha256(newest) if newest and newest.exists() else None


# --- the files of a run ------------------------------------------------------------------------------


def step_folder(out_dir: str | Path, step: int) -> Path:
    """The checkpoint of that step."""
    return Path(out_dir, f"step-{step:08}")


def steps_in(out_dir: Path) -> list[int]:
    """The steps with a checkpoint in out_dir, the newest first."""
    names = [path.name for path in out_dir.iterdir()] if os.path.isdir(out_dir) else []
    return sorted((int(name.removeprefix("step-")) for name in names if STEP.fullmatch(name)), reverse=True)


def move_aside(out_dir: Path, after: int = -1) -> Path | None:
    """Move what an earlier run left in out_dir to earlier/, earlier-2/, ...; where it went, or None.

    With `after`, only its checkpoints of later steps.
    """
    names = {LOG, CONFIG, "report.md", "report.png", *FORMAT_1}
    left = [step_folder(out_dir, step) for step in steps_in(out_dir) if step > after]
    if after < 0:
        left += [path for path in out_dir.iterdir() if path.name in names or path.match("previous-*")]
    if not left:
        return None
    numbered = (out_dir / ("earlier" if n == 1 else f"earlier-{n}") for n in count(1))
    aside = next(folder for folder in numbered if not folder.exists())
    try:
        aside.mkdir()
        for path in left:
            path.rename(aside / path.name)
    except OSError as error:
        raise UserError(f"cannot move the earlier run in {out_dir} ({error.strerror}); choose another") from error
    return aside


def config_as_toml(config: TrainConfig) -> str:
    """All settings as a TOML file that repeats the run."""
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in asdict(config).items())


# --- the log -----------------------------------------------------------------------------------------


def write_line(file: BinaryIO, content: dict[str, Any], before: bytes = b"") -> None:
    """Append a line of JSON in one system call: a kill comes before or after it.

    Raises UserError if the disk is full, for one.
    """
    try:
        file.write(before + json.dumps(_without_nan(content)).encode() + b"\n")
    except OSError as error:
        raise UserError(f"cannot write {file.name}: {error.strerror}; free space or change out_dir") from error


def _without_nan(value: Any) -> Any:
    """`value` with null for nan and inf, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _without_nan(content) for name, content in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- reading checkpoints -----------------------------------------------------------------------------


def checkpoints_in(folder: Path, prefer: str) -> list[Path]:
    """The checkpoints of an out_dir, the best or the latest first; `folder` itself if it is a checkpoint."""
    if os.path.exists(folder / STATE):
        return [folder]
    found = [step_folder(folder, step) for step in steps_in(folder)]
    best = folder / "best"  # of format 1; else every state names the best step so far
    for path in found:
        with suppress(*DAMAGE):
            step = read_json(path / STATE)["state"]["best_step"]
            best = step_folder(folder, step) if step >= 0 else best
            break
    found += [folder / name for name in FORMAT_1 if os.path.isdir(folder / name)]
    return sorted(found, key=lambda path: path != best) if prefer == "best" else found


def load_checkpoint(folder: str | Path, prefer: str = "best") -> Checkpoint:
    """Read a checkpoint, or the best or latest one of an out_dir; a damaged one is skipped with a warning.

    Raises UserError if there is none, or none that is whole.
    """
    folder, damaged = Path(folder), []
    if not os.path.isdir(folder):
        raise UserError(f"no run in {str(folder)!r}; train first: python -m gptlib.train CONFIG --out_dir={folder}")
    for path in checkpoints_in(folder, prefer):
        try:
            found = read_checkpoint(path)
        except DAMAGE as error:
            if not path.exists():  # a run that is training has just removed it
                return load_checkpoint(folder, prefer)
            damaged.append(f"{path.name}: {error}")
            continue
        if damaged:
            warnings.warn(f"damaged checkpoint skipped ({'; '.join(damaged)}); using {path}", stacklevel=2)
        return found
    why = f"no whole checkpoint in {folder} ({'; '.join(damaged)})" if damaged else f"no checkpoint in {str(folder)!r}"
    raise UserError(f"{why}; train again with --init_from=scratch")


def load_model(folder: str | Path) -> tuple[GPT, Checkpoint]:
    """The model of a checkpoint, or the best one of an out_dir, in evaluation mode; and the checkpoint."""
    saved = load_checkpoint(folder)
    with Uninitialized():
        model = GPT(saved.config.model_config(saved.tokenizer.vocab_size))
    model.load_state_dict(saved.weights)
    return model.eval(), saved

"""What stays of a run besides its checkpoints: the resolved config and a log, one event a line."""

import json
import math
import re
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from gptlib.config import TrainConfig
from gptlib.errors import UserError
from gptlib.events import Event, Progress
from gptlib.files import atomic_write

LOG, CONFIG = "log.jsonl", "config.toml"
_OF_ONE_RUN = re.compile(rf"{LOG}|{CONFIG}|latest|previous(-\d+)?|best|\.best\.old|damaged")


class RunLog:
    """Appends every event but `Progress` to `out_dir/log.jsonl`; each line is complete once written.

    A new run first moves what an earlier one left in `out_dir` to `out_dir/earlier/`, or `earlier-2/`, ...: nothing
    is deleted. `earlier` is where it went, if there was any.

    Args:
        config: what `config.toml` is to say.
        step: where the run stands.
        goes_on: whether the run in `out_dir` is continued.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, config: TrainConfig, step: int, goes_on: bool = False):
        folder = Path(config.out_dir)
        try:
            self.earlier = None if goes_on else _set_aside(folder)
            atomic_write(folder / CONFIG, config_as_toml(config))
            _end_last_line(folder / LOG)
            # Without a buffer a line is one call of the system: a kill comes before it or after it.
            self._file = open(folder / LOG, "ab", buffering=0)  # noqa: SIM115  (open as long as the run lasts)
        except OSError as error:
            raise UserError(
                f"cannot write to out_dir = {config.out_dir!r}: {error.strerror}; choose another"
            ) from error
        self._write({"event": "Start", "step": step, "init_from": "resume" if goes_on else config.init_from})

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if not isinstance(event, Progress):
            self._write({"event": type(event).__name__, **asdict(event)})

    def _write(self, line: dict[str, Any]) -> None:
        content = json.dumps(_as_json(line)).encode() + b"\n"
        try:
            complete = self._file.write(content) == len(content)
        except OSError:
            complete = False
        if not complete:
            raise UserError(f"cannot write {self._file.name}: the disk is full; free space or change out_dir")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _as_json(value: Any) -> Any:
    """`value` with null for nan and inf, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _as_json(content) for name, content in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _end_last_line(path: Path) -> None:
    """A kill may have cut the last line short; what is appended must not continue it."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n")


def _set_aside(folder: Path) -> Path | None:
    left = [path for path in folder.iterdir() if _OF_ONE_RUN.fullmatch(path.name)] if folder.is_dir() else []
    if not left:
        return None
    names = (folder / ("earlier" if n == 1 else f"earlier-{n}") for n in count(1))
    earlier = next(name for name in names if not name.exists())
    earlier.mkdir()
    for path in left:
        if path.is_symlink():  # which may say where to go from here only
            (earlier / path.name).symlink_to(path.resolve(), target_is_directory=True)
            path.unlink()
        else:
            path.rename(earlier / path.name)
    return earlier


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The events of a run, in order and each once.

    A resumed run does again the steps behind its checkpoint, and an evaluation that it was killed in. What the
    log says of them from the first time is left out, and so is a line that a kill cut short.

    Raises:
        UserError: the file cannot be read, or is not the log of a run.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"cannot read the log {path}: {error.strerror}; give the {LOG} of a run") from None
    events: dict[tuple, dict[str, Any]] = {}
    for line in filter(None, map(_parsed, lines)):
        if not isinstance(line, dict) or not isinstance(line.get("step"), int) or "event" not in line:
            raise UserError(f"{path} is not the log of a run: a line of it is no event; give the {LOG} of a run")
        if line["event"] == "Start":  # at a step: evaluation, checkpoint, then the step itself
            events = {k: e for k, e in events.items() if e["step"] < line["step"] + (e["event"] != "TrainStep")}
        else:
            key = (line["event"], line["step"], line.get("folder"))
            events.pop(key, None)
            events[key] = line
    return list(events.values())


def _parsed(line: str) -> Any:
    """None for a line that is not complete."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def config_as_toml(config: TrainConfig) -> str:
    """The whole config as a TOML file that repeats the run."""
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in asdict(config).items())
    return "".join(lines).replace("\x7f", "\\u007f")  # the one character that JSON takes as it is and TOML does not


class WandbLog:
    """Sends the same events to Weights & Biases, an optional extra."""

    def __init__(self, config: TrainConfig):
        try:
            import wandb
        except ImportError:
            raise UserError(
                "wandb_log = true needs the package wandb: pip install wandb (or --wandb_log=false)"
            ) from None
        self._run = wandb.init(project=config.wandb_project, config=asdict(config))

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if not isinstance(event, Progress):
            self._run.log(_flat(type(event).__name__, asdict(event)))

    def close(self) -> None:
        """Tell the service that the run is over."""
        self._run.finish()


def _flat(prefix: str, content: dict[str, Any]) -> dict[str, Any]:
    """Nested records with their names joined by '/', as charts want them; `step` is the common axis."""
    flat = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(f"{prefix}/{name}", value)
        else:
            flat["step" if name == "step" else f"{prefix}/{name}"] = value
    return flat

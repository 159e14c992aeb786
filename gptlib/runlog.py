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
_OF_ONE_RUN = re.compile(rf"{LOG}|{CONFIG}|latest|previous(-\d+)?|best|damaged")


class RunLog:
    """Appends every event but `Progress` to `out_dir/log.jsonl`; each line is complete once written.

    A run from scratch first moves what an earlier run left in `out_dir` to `out_dir/earlier/`, or `earlier-2/`, ...:
    nothing is deleted. `earlier` is where it went, if there was any.
    """

    def __init__(self, config: TrainConfig, step: int):
        folder = Path(config.out_dir)
        try:
            self.earlier = _set_aside(folder) if config.init_from != "resume" else None
            atomic_write(folder / CONFIG, config_as_toml(config))
            _end_last_line(folder / LOG)
            # Without a buffer a line is one call of the system: a kill comes before it or after it.
            self._file = open(folder / LOG, "ab", buffering=0)  # noqa: SIM115  (open as long as the run lasts)
        except OSError as error:
            raise UserError(
                f"cannot write to out_dir = {config.out_dir!r}: {error.strerror}; choose another"
            ) from error
        self._write({"event": "Start", "step": step, "init_from": config.init_from})

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
        path.rename(earlier / path.name)
    return earlier


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The events of a run, in order and each once.

    A resumed run does again the steps behind its checkpoint, and an evaluation that it was killed in. What the
    log says of them from the first time is left out, and so is a last line that a kill cut short.
    """
    events: dict[tuple, dict[str, Any]] = {}
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if line["event"] == "Start":  # at a step: evaluation, checkpoint, then the step itself
            events = {k: e for k, e in events.items() if e["step"] < line["step"] + (e["event"] != "TrainStep")}
        else:
            key = (line["event"], line["step"], line.get("folder"))
            events.pop(key, None)
            events[key] = line
    return list(events.values())


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

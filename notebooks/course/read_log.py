"""Reading the log of a run."""

import json
from pathlib import Path
from typing import Any

from gptlib.errors import UserError
from gptlib.events import TrainStep
from gptlib.run_folder import LOG


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The events in a run's log, in order and each once.

    A resumed run repeats the steps after its checkpoint; their earlier entries are dropped, and so is a line that a
    kill cut short.

    Raises UserError if the file cannot be read, or is not the log of a run.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"cannot read the log {path}: {error.strerror}; give the {LOG} of a run") from None
    events: dict[tuple, dict[str, Any]] = {}
    for line in lines:
        try:
            event = json.loads(line)
            kind, step = event["event"], event["step"]
        except ValueError:
            continue  # cut short
        except (TypeError, LookupError):
            raise UserError(f"{path} is not the log of a run: {line[:40]} is no event; give its {LOG}") from None
        if kind == "Start":  # at a step: evaluation, checkpoint, then the step itself
            events = {(k, s): e for (k, s), e in events.items() if s < step or (s == step and k != TrainStep.__name__)}
        else:
            events.pop((kind, step), None)
            events[kind, step] = event
    return list(events.values())

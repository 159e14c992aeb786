"""What a learner has solved: one small file on their own machine. Nothing is sent anywhere.

Only the titles of solved exercises and the texts of rightly answered questions are kept, no answers.
`GPTLIB_PROGRESS` names another file, or is "off": then nothing is kept.
"""

import json
import os
import sys
from functools import cache
from pathlib import Path

from gptlib.errors import UserError
from gptlib.files import atomic_write

VARIABLE = "GPTLIB_PROGRESS"
KINDS = ("exercises", "questions")


def progress_file() -> Path | None:
    """Where it is kept; None if nowhere."""
    place = os.environ.get(VARIABLE, "")
    if place == "off":
        return None
    try:
        return Path(place) if place else Path.home() / ".gptlib" / "progress.json"
    except RuntimeError:  # this user has no home
        return None


def solved(kind: str) -> frozenset[str]:
    """What was solved of a kind, "exercises" or "questions"."""
    return frozenset(_read()[kind])


def record(kind: str, title: str) -> None:
    """Note that something is solved; a file that cannot be written is told once, and harms no check."""
    progress, path = _read(), progress_file()
    if path is None or title in progress[kind]:
        return
    progress[kind] = sorted([*progress[kind], title])
    try:
        atomic_write(path, json.dumps(progress, indent=1, ensure_ascii=False) + "\n")
    except UserError as error:
        _tell(f"your progress is not kept: {error}")


def reset() -> None:
    """Begin anew: the file is removed."""
    if path := progress_file():
        path.unlink(missing_ok=True)


def _read() -> dict[str, list[str]]:
    path = progress_file()
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return {kind: [str(title) for title in kept.get(kind, [])] for kind in KINDS}
    except (OSError, ValueError, AttributeError, TypeError):  # the first time, or a file that is no good
        return {kind: [] for kind in KINDS}


@cache
def _tell(what: str) -> None:
    print(what, file=sys.stderr)

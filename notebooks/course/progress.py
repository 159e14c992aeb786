"""What a learner has solved: one small file on their own machine. Nothing is sent anywhere.

Only the titles of solved exercises and the texts of rightly answered questions are kept, no answers.
`GPTLIB_PROGRESS` names another file, or is "off": then nothing is kept.
"""

import json
import os
import sys
from pathlib import Path

from gptlib.errors import UserError
from gptlib.files import atomic_write

VARIABLE = "GPTLIB_PROGRESS"
KINDS = ("exercises", "questions")
_told: set[str] = set()


def progress_file() -> Path | None:
    """Where it is kept; None if nowhere.

    Raises:
        UserError: the system does not say where the learner's home is.
    """
    place = os.environ.get(VARIABLE, "")
    if place == "off":
        return None
    try:
        return Path(place) if place else Path.home() / ".gptlib" / "progress.json"
    except RuntimeError:
        raise UserError(f"no home folder is known; let {VARIABLE} name a file") from None


def solved(kind: str) -> frozenset[str]:
    """What was solved of a kind, "exercises" or "questions"; if the file is no good, nothing, which is told."""
    try:
        return frozenset(_read()[kind])
    except UserError as error:
        _tell(error)
        return frozenset()


def record(kind: str, title: str) -> None:
    """Note that something is solved; a file that cannot be written is told once, and harms no check."""
    try:
        progress = _read()
        if (path := progress_file()) and title not in progress[kind]:
            progress[kind] = sorted({*progress[kind], title})
            atomic_write(path, json.dumps(progress, indent=1, ensure_ascii=False) + "\n")
    except UserError as error:
        _tell(error)


def reset() -> None:
    """Begin anew: the file is removed.

    Raises:
        UserError: it cannot be removed.
    """
    path = progress_file()
    try:
        if path:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove {path}: {error.strerror}") from None


def _read() -> dict[str, list[str]]:
    path = progress_file()
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return {kind: [str(title) for title in kept.get(kind, [])] for kind in KINDS}
    except FileNotFoundError:
        return {kind: [] for kind in KINDS}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; let {VARIABLE} name another file") from None
    except (ValueError, AttributeError, TypeError):  # no JSON, or not ours
        raise UserError(f"{path} is damaged; course.progress.reset() removes it") from None


def _tell(error: UserError) -> None:
    if str(error) not in _told:
        _told.add(str(error))
        print(f"your progress is not kept: {error}", file=sys.stderr)

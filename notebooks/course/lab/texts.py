"""Any text for a lab: a dataset, the name of a prepared one, a file, or the text itself."""

import json
import os
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from course.plays import open_plays
from gptlib.dataset import COURSE_DATA, Dataset
from gptlib.errors import UserError

PLAYS = "data-by-char"  # which are downloaded at their first use
SHORT = 20_000  # characters
LONGEST_NAME = 200  # bytes: what is longer is a text
CODE = 1_000_000  # characters


@dataclass(frozen=True)
class Text:
    """What a lab learns from."""

    data: Dataset
    label: str  # what to call it
    name: str = ""  # of the prepared dataset, for the command that repeats a run; "" where there is none


def open_text(source: Dataset | str | Path) -> Text:
    """The text that is meant.

    Raises:
        UserError: there is no such dataset or file, or it is no text.
    """
    if isinstance(source, Dataset):
        return Text(source, _called(source.meta.get("source", "")) or "a text")
    path = Path(os.path.expanduser(source))
    if os.path.isfile(path):  # which a text of any length may be asked
        try:
            return Text(_characters_of(path.read_text(encoding="utf-8-sig")), path.name)
        except UnicodeDecodeError:
            raise UserError(f"{path} is not a text in UTF-8; save it as one") from None
    if "\n" in str(source) or len(str(source).encode(errors="replace")) > LONGEST_NAME:
        return Text(_characters_of(str(source)), "your text")
    data = open_plays() if str(source) == PLAYS else Dataset.open(path)
    return Text(data, _called(data.meta.get("source", "")) or path.name, str(source))


def open_pasted(pasted: str) -> Text:
    """What stands in the box for a text of one's own: that text, or the path of a file.

    Raises:
        UserError: the box is empty.
    """
    path = pasted.strip()
    if not path:
        raise UserError("the box is empty; paste a text into it")
    return open_text(path if os.path.isfile(path) else pasted + "\n")


def _characters_of(text: str) -> Dataset:
    """One token a character, every line end the same; the last tenth is held out."""
    return Dataset.from_text(text.replace("\r\n", "\n").replace("\r", "\n"))


def _called(source: str) -> str:
    return "Shakespeare" if source.startswith("Shakespeare") else source.split(",")[0][:40]


def warning(data: Dataset) -> str:
    """What to expect of a text that is too short; '' of others."""
    tokens = len(data.train) + len(data.val)
    if tokens >= SHORT:
        return ""
    unit = data.tokenizer.unit
    return f"Only {tokens:,} {unit}s: the model will just recite them. It needs {SHORT:,} or more to learn how they go."


def choices(given: Text) -> dict[str, Callable[[], Text]]:
    """The texts that are at hand: the given one, what is prepared in data/, and the code of Python's own library."""
    found: dict[str, Callable[[], Text]] = {given.label: lambda: given}
    for meta in sorted(COURSE_DATA.glob("*/meta.json"), key=lambda path: path.parent.name != PLAYS):
        if (name := meta.parent.name) != given.name:
            label = _called(json.loads(meta.read_text(encoding="utf-8")).get("source", "")) or name
            label = f"{label} ({name.removeprefix('data-')})" if label in found else label
            found[label] = partial(open_text, name)
    return found | {"Python code": _python_code}


def _python_code() -> Text:
    """The modules that come with Python, a million characters of them."""
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = "".join(path.read_text(encoding="ascii", errors="ignore") for path in modules)
    return Text(_characters_of(text[:CODE]), "Python code")

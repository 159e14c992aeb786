"""The learner's own table of runs, kept beside their progress."""

import html
import json
from typing import Any

from course import progress
from course.shown import table
from gptlib.files import atomic_write, read_json


class Results:
    """One row a run; `GPTLIB_PROGRESS=off` keeps nothing."""

    def __init__(self) -> None:
        place = progress.progress_file()
        self.path = place and place.with_name("my_gpt.json")
        self.rows = (self.path and read_json(self.path)) or []

    def add(self, **row: Any) -> "Results":
        """Add a run; the same one again takes the place of its old row."""
        names = ("text", "change", "steps")
        self.rows = [old for old in self.rows if any(old.get(name) != row.get(name) for name in names)] + [row]
        if self.path:
            atomic_write(self.path, json.dumps(self.rows, indent=1, ensure_ascii=False, default=float) + "\n")
        return self

    def __repr__(self) -> str:
        return "\n".join("  ".join(f"{name}: {_in_words(value)}" for name, value in row.items()) for row in self.rows)

    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        return table(names, [[html.escape(_in_words(row.get(name, ""))) for name in names] for row in self.rows])


def _in_words(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)

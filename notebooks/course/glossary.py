"""What each setting of a run is, and what more of it does to loss, time and memory.

What it does is a row of `glossary.md`; what it means, and its default, come from `TrainConfig`.
`python -m course.glossary` prints the whole table as markdown.
"""

import html
from dataclasses import fields
from pathlib import Path
from typing import Any

from course import lesson
from course.shown import LEFT, WIDE
from gptlib.config import TrainConfig

_COLUMNS = ("setting", "what it is", "default", "loss", "time", "memory", "lesson")
_CAPTION = "What a larger value does to loss, time and memory. A dash: nothing."


class Glossary:
    """The settings as a table: HTML in a notebook, markdown elsewhere."""

    def __init__(self) -> None:
        settings = {f.name: f for f in fields(TrainConfig)}
        self.rows: list[list[str]] = []  # as _COLUMNS says
        for line in Path(__file__).with_suffix(".md").read_text(encoding="utf-8").splitlines()[2:]:
            name, *effects, number = line.strip("| ").split(" | ")
            default = settings[name].default
            shown = str(default).lower() if isinstance(default, bool) else str(default) or "empty"
            self.rows.append([name, settings[name].metadata["doc"], shown, *effects, number])

    def __repr__(self) -> str:
        return f"<glossary: {', '.join(row[0] for row in self.rows)}>"

    def markdown(self) -> str:
        """The table as markdown; its links lead to notebooks in the same folder."""
        rows = [_COLUMNS, ["---"] * len(_COLUMNS)]
        for name, doc, default, *effects, number in self.rows:
            cells = [f"`{name}`", doc, f"`{default}`", *effects, f"[{number}]({lesson(number).file})"]
            rows.append([cell.replace("|", "\\|") for cell in cells])
        return "\n".join([_CAPTION, "", *(f"| {' | '.join(row)} |" for row in rows)])

    def html(self) -> str:
        """The same table as HTML."""
        rows = ["".join(f"<th {LEFT}>{column}</th>" for column in _COLUMNS)]
        for row in self.rows:
            name, doc, default, *effects, number = map(html.escape, row)
            link = f'<a href="{lesson(number).file}">{number}</a>'
            cells = [f"<code>{name}</code>", doc, f"<code>{default}</code>", *effects, link]
            rows.append("".join(f"<td {LEFT}>{cell}</td>" for cell in cells))
        head, *body = (f"<tr>{row}</tr>" for row in rows)
        return f"<table {WIDE}><caption>{_CAPTION}</caption><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


GLOSSARY = Glossary()

if __name__ == "__main__":
    print(GLOSSARY.markdown())

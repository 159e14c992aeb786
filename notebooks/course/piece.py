"""Exercises that build on each other: a notebook goes on with the learner's pieces, and ours where one is missing."""

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from course.exercise import Card, Exercise, Outcome, Wrong, describe, same


class Piece(Exercise):
    """An exercise whose answer, a function or a class, is a part of one program.

    Args:
        ours: our function or class, whose source is the solution.
        probe: called with an answer, returns what must come out the same for theirs and for ours.
        mistakes: reason -> [(old, new), ...], the changes to our source that make this mistake.
        needs: what else the solution has to show.
    """

    def __init__(
        self,
        ours: Callable,
        *,
        probe: Callable[[Any], Any],
        mistakes: Mapping[str, Sequence[tuple[str, str]]] | None = None,
        needs: Sequence[Callable] = (),
        **parts: Any,
    ):
        source = "\n".join(map(inspect.getsource, (*needs, ours)))
        super().__init__(name=ours.__name__, check=self._compare, solution=source, **parts)
        self.program = vars(sys.modules[ours.__module__])
        self.probe, self.mistakes = probe, mistakes or {}
        self.mine = False
        self._ours: dict[str, Any] = {}  # what the probe sees of ours, as it is ("") and with each mistake

    def use(self, answer: Any) -> Any:
        """Check the answer, show what came of it, and return it, or ours if it is not right yet."""
        card = self.check(answer)
        self.mine = card.outcome == Outcome.RIGHT
        if not self.mine:
            why = f"{card.text}. " if card.outcome == Outcome.WRONG else ""
            help_ = f"`lesson.{self.name}.hint()` helps, `lesson.{self.name}.solution()` shows ours."
            card = Card(card.kind, card.title, f"{why}Until then this notebook goes on with our `{self.name}`. {help_}")
        _display(card)
        return answer if self.mine else self.run(self.solution_source, _names_of(answer))

    def with_mistake(self, reason: str) -> str:
        """Our source with this mistake in it."""
        source = self.solution_source
        for old, new in self.mistakes[reason]:
            if old not in source:
                raise ValueError(f"{self.name} has no {old!r} in it")
            source = source.replace(old, new)
        return source

    def run(self, source: str, names: dict[str, Any]) -> Any:
        """What source code defines, run where `names` are, as if it were in a cell there."""
        self._lend(names)
        exec(source, names)
        return names[self.name]

    def _compare(self, answer: Any) -> None:
        """Raise `Wrong` unless the answer's probe is ours; with the reason, if it is that of a known mistake."""
        self._lend(_names_of(answer))
        with torch.random.fork_rng([]):
            got, want = self.probe(answer), self._seen_of_ours()
            if same(got, want):
                return
            for reason in self.mistakes:
                if same(got, self._seen_of_ours(reason)):
                    raise Wrong(reason)
        if describe(got) != describe(want):
            raise Wrong(f"it gives {describe(got)}, not {describe(want)}")
        raise Wrong(
            f"given the same input, its numbers are not those of ours: compare with `lesson.{self.name}.solution()`"
        )

    def _seen_of_ours(self, mistake: str = "") -> Any:
        if mistake not in self._ours:
            part = self.run(self.with_mistake(mistake), {}) if mistake else self.program[self.name]
            self._ours[mistake] = self.probe(part)
        return self._ours[mistake]

    def _lend(self, names: dict[str, Any]) -> None:
        """Give code what it may use and nobody has written yet: imports, and other pieces."""
        for name, value in self.program.items():
            names.setdefault(name, value)


def read_pieces(path: Path) -> dict[str, dict[str, Any]]:
    """Name -> title, difficulty, minutes, hints and mistakes of each piece in a text file.

    A section is a heading, hints, and mistakes, each with the changes to our source that make it:

        ## encode ★ 4 minutes: Text in, numbers out

        1. A character's number is its position in `vocab`.

        - `enumerate(vocab)` → `enumerate(vocab, 1)`: the first character has the number 0, not 1
    """
    found = {}
    for section in path.read_text(encoding="utf-8").split("\n## ")[1:]:
        name, stars, minutes, title = re.match(r"(\w+) (★+) (\d+) minutes: (.+)", section).groups()
        mistakes = {}
        for changes, reason in re.findall(r"^- ((?:`[^`]+` → (?:`[^`]+`|nothing)(?:, )?)+): (.+)", section, re.M):
            mistakes[reason] = re.findall(r"`([^`]+)` → (?:`([^`]+)`|nothing)", changes)
        hints = re.findall(r"^\d\. (.+)", section, re.M)
        found[name] = dict(title=title, difficulty=len(stars), minutes=int(minutes), hints=hints, mistakes=mistakes)
    return found


def whose(pieces: Sequence[Piece]) -> Card:
    """Which pieces are the learner's own."""
    mine = [f"`{piece.name}`" for piece in pieces if piece.mine]
    lent = [f"`{piece.name}`" for piece in pieces if not piece.mine]
    text = f"Yours: {', '.join(mine) or 'none yet'}. "
    text += f"Ours: {', '.join(lent)}." if lent else "The whole program is yours."
    return Card("exercise", f"{len(mine)} of {len(pieces)} pieces are your own", text)


def _names_of(answer: Any) -> dict[str, Any]:
    """The names that the learner's code sees: in a notebook, those of its cells."""
    if inspect.isclass(answer):
        answer = next((part for part in vars(answer).values() if inspect.isfunction(part)), None)
    return getattr(inspect.unwrap(answer), "__globals__", {}) if answer is not None else {}


def _display(card: Card) -> None:
    try:
        from IPython.display import display
    except ImportError:
        print(card)
    else:
        display(card)

"""Exercises that build on each other: a notebook goes on with the learner's pieces, and ours where one is missing."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from course.exercise import Card, Exercise, Outcome, Wrong, describe, same


class Piece(Exercise):
    """An exercise whose answer, a function or a class, is a part of one program.

    Args:
        ours: our function or class, whose source is the solution.
        probe: called with an answer, returns what must come out the same for theirs and for ours.
        mistakes: reason -> (old, new), the change to our source that makes this mistake.
        needs: what else the solution has to show.
    """

    def __init__(
        self,
        ours: Callable,
        *,
        probe: Callable[[Any], Any],
        mistakes: Mapping[str, tuple[str, str]] | None = None,
        needs: Sequence[Callable] = (),
        **parts: Any,
    ):
        source = "\n".join(map(inspect.getsource, (*needs, ours)))
        super().__init__(name=ours.__name__, check=self._compare, solution=source, **parts)
        self.program = vars(sys.modules[ours.__module__])
        self.probe, self.mistakes = probe, mistakes or {}
        self.mine = False

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
        old, new = self.mistakes[reason]
        if old not in self.solution_source:
            raise ValueError(f"{self.name} has no {old!r} in it")
        return self.solution_source.replace(old, new)

    def run(self, source: str, names: dict[str, Any]) -> Any:
        """What source code defines, run where `names` are, as if it were in a cell there."""
        self._lend(names)
        exec(source, names)
        return names[self.name]

    def _compare(self, answer: Any) -> None:
        """Raise `Wrong` unless the answer's probe is ours; with the reason, if it is that of a known mistake."""
        self._lend(_names_of(answer))
        with torch.random.fork_rng([]):
            got, want = self.probe(answer), self.probe(self.program[self.name])
            if same(got, want):
                return
            for reason in self.mistakes:
                if same(got, self.probe(self.run(self.with_mistake(reason), {}))):
                    raise Wrong(reason)
        if describe(got) != describe(want):
            raise Wrong(f"it gives {describe(got)}, not {describe(want)}")
        raise Wrong("given the same, it does not give what ours gives: compare line by line")

    def _lend(self, names: dict[str, Any]) -> None:
        """Give code what it may use and nobody has written yet: imports, and other pieces."""
        for name, value in self.program.items():
            names.setdefault(name, value)


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

"""Exercises that build on each other: a notebook goes on with the learner's pieces, and ours where one is missing."""

import ast
import importlib
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from course.exercise import Card, Exercise, Outcome, _source

IMPORTS = {"math": "math", "np": "numpy", "torch": "torch", "F": "torch.nn.functional", "nn": "torch.nn"}


class Piece(Exercise):
    """An exercise whose answer, a function or a class, is a part of one program.

    Args:
        check: as in `Exercise`; before it is called, the answer gets what it may call and nobody has written yet.
        solution: source code that may use imports and the names of earlier pieces.
        starter: if not given, the solution with nothing in its functions.
    """

    all: ClassVar[list["Piece"]] = []

    def __init__(self, *, check: Callable[[Any], Any], solution: str, starter: str = "", **parts: Any):
        super().__init__(
            check=lambda answer: check(self.furnish(answer)),
            solution=solution,
            starter=starter or emptied(_source(solution)),
            **parts,
        )
        self.mine = False
        Piece.all.append(self)

    def use(self, answer: Any) -> Any:
        """Check the answer, show what came of it, and return it, or ours if it is not right yet."""
        card = self.check(answer)
        self.mine = card.outcome == Outcome.RIGHT
        if not self.mine:
            why = f"{card.text}. " if card.outcome == Outcome.WRONG else ""
            help_ = f"`lesson.{self.name}.hint()` helps, `lesson.{self.name}.solution()` shows ours."
            card = Card(card.kind, card.title, f"{why}Until then this notebook goes on with our `{self.name}`. {help_}")
        _display(card)
        return answer if self.mine else self.ours(names_of(answer))

    def ours(self, names: dict[str, Any]) -> Any:
        """Run our solution where the learner's names are, as if it stood in a cell."""
        exec(self.solution_source, names)
        return names[self.name]

    def furnish(self, answer: Any) -> Any:
        """Lend the learner's code what it may call and is not there: imports, and earlier pieces."""
        names = names_of(answer)
        for name, module in IMPORTS.items():
            names.setdefault(name, importlib.import_module(module))
        for piece in Piece.all[: Piece.all.index(self)]:
            if piece.name not in names:
                piece.ours(names)
        return answer

    @classmethod
    def whose(cls) -> Card:
        """Which pieces are the learner's own."""
        mine = [f"`{piece.name}`" for piece in cls.all if piece.mine]
        lent = [f"`{piece.name}`" for piece in cls.all if not piece.mine]
        ours = f"Ours: {', '.join(lent)}." if lent else "The whole program is yours."
        title = f"{len(mine)} of {len(cls.all)} pieces are your own"
        return Card("exercise", title, f"Yours: {', '.join(mine) or 'none yet'}. {ours}")


def names_of(answer: Any) -> dict[str, Any]:
    """The names that the learner's code sees: in a notebook, those of its cells."""
    if inspect.isclass(answer):
        answer = next((part for part in vars(answer).values() if inspect.isfunction(part)), None)
    return getattr(inspect.unwrap(answer), "__globals__", {}) if answer is not None else {}


def emptied(source: str) -> str:
    """Source code whose functions do nothing, but for a call of `super().__init__`."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
            node.body = [ast.parse("super().__init__()").body[0]] * (node.name == "__init__") + ast.parse("...").body
    return ast.unparse(tree)


def _display(card: Card) -> None:
    try:
        from IPython.display import display
    except ImportError:
        print(card)
    else:
        display(card)

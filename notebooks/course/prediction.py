"""Predict first: what a learner is asked before a live experiment."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """What the learner is asked before the first run.

    Args:
        question: one sentence or two.
        choices: in any order; the learner sees them shuffled, every time in the same way.
        answer: the index of the right choice.
        why: what to look at, or the reason.
        moves: the slider that a run must have moved to test the prediction; "" stands for the lab's first one. None:
            any run tests it.
    """

    question: str
    choices: tuple[str, ...]
    answer: int
    why: str
    moves: str | None = ""

    @property
    def shuffled(self) -> tuple[str, ...]:
        """The choices in the order in which they are shown."""
        return tuple(random.Random(self.question).sample(self.choices, len(self.choices)))

    def verdict(self, chosen: str) -> str:
        """What to tell a learner who chose this."""
        right = self.choices[self.answer]
        return ("Right. " if chosen == right else f"Not quite. What happens: “{right}”. ") + self.why

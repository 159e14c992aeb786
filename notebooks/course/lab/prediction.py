"""Predict first: what a learner is asked before a live experiment."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """What the learner is asked before the first run; `answer` is the index of the right choice."""

    question: str
    choices: tuple[str, ...]
    answer: int
    why: str

    def verdict(self, chosen: str) -> str:
        """What to tell a learner who chose this."""
        right = self.choices[self.answer]
        return ("Right. " if chosen == right else f"Not quite. What happens: “{right}”. ") + self.why

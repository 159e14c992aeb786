"""What a run tells the world: small records that the Trainer yields and everybody else consumes.

A loss "at step k" is that of the model after k optimiser steps, whether it was logged or evaluated,
so that both lie on the same axis.
"""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean loss in nats a token, and how far it is likely to be off.

    `standard_error` is 0 for a mean over the whole text, and nan where one sequence was all there was.
    """

    mean: float
    standard_error: float
    sequences: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.standard_error:.4f}"


@dataclass(frozen=True)
class Costs:
    """Seconds since the run began or went on, by what they were spent on; `outside`: in whoever consumes the events."""

    train: float = 0.0
    evaluate: float = 0.0
    save: float = 0.0
    outside: float = 0.0


class Stopwatch:
    """Where the time goes: at every moment exactly one activity is on the clock."""

    def __init__(self):
        self.seconds = dict.fromkeys(Costs.__dataclass_fields__, 0.0)
        self._doing, self._since = "outside", time.perf_counter()

    def switch(self, activity: str) -> str:
        """Charge the time since the last switch to what was being done; return what that was."""
        now = time.perf_counter()
        self.seconds[self._doing] += now - self._since
        before, self._doing, self._since = self._doing, activity, now
        return before

    def costs(self) -> Costs:
        """The account so far."""
        self.switch(self._doing)
        return Costs(**self.seconds)


@dataclass(frozen=True)
class Progress:
    """A sign of life, every tenth of a second or so; `doing` is 'train', 'evaluate' or 'compile'."""

    step: int
    doing: str
    costs: Costs


@dataclass(frozen=True)
class TrainStep:
    """One logged step: the loss over all its micro-batches, and the tokens learnt from, both before its update."""

    step: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens: int
    tokens_per_second: float
    costs: Costs
    mfu: float | None = None  # share of what the GPUs could do at most; None where that is not known
    peak_memory: int | None = None  # bytes, of the main process


@dataclass(frozen=True)
class Evaluation:
    """The loss on both splits; `best`: the lowest validation loss so far."""

    step: int
    train: Estimate
    val: Estimate
    best: bool
    tokens: int
    costs: Costs


@dataclass(frozen=True)
class Saved:
    """A checkpoint is complete on disk."""

    step: int
    folder: str


Event = Progress | TrainStep | Evaluation | Saved

"""What a run reports: small records that the Trainer yields, and everything else consumes.

A loss "at step k" belongs to the model after k optimizer steps, whether it was trained on or evaluated, so both
are on the same axis.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Estimate:
    """A mean loss in nats per token, and its standard error.

    `standard_error` is 0 for an exact loss over the whole text, and nan for a single sequence.
    """

    mean: float
    standard_error: float
    sequences: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.standard_error:.4f}"


@dataclass(frozen=True)
class TrainStep:
    """One optimizer step: its loss over all micro-batches and the tokens seen so far, both before the update.

    Its fields, like those of every event, are the columns of the log and of Weights & Biases.
    """

    step: int
    loss: float
    learning_rate: float
    grad_norm: float  # before clipping
    tokens: int
    tokens_per_second: float
    seconds: float
    logged: bool  # every log_interval steps
    mfu: float | None = None  # model FLOPs utilization, a fraction; None where the peak is not known
    peak_memory: int | None = None  # bytes, of the main process


@dataclass(frozen=True)
class Evaluation:
    """The loss on both splits; `best` if the validation loss is the lowest so far."""

    logged: ClassVar[bool] = True
    step: int
    train: Estimate
    val: Estimate
    best: bool
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Saved:
    """A checkpoint is complete on disk."""

    logged: ClassVar[bool] = True
    step: int
    folder: str
    seconds: float


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life during something slow; `doing` is "evaluate" or "compile"."""

    logged: ClassVar[bool] = False
    step: int
    doing: str


Event = TrainStep | Evaluation | Saved | Heartbeat

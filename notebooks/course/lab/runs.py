"""What is known of a run: plain data, fed by events, and read by the plot, the table and the tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gptlib.config import TrainConfig
from gptlib.events import Estimate, Evaluation, TrainStep
from gptlib.trainer import Trainer

RUNNING, PAUSED, FINISHED, STOPPED, DIVERGED, FAILED = "running", "paused", "finished", "stopped", "diverged", "failed"
KEPT_RUNS = 5
STUB = 10  # steps: a run that was stopped before them makes room for the next one
# A loss this many times as high as that of the untrained model, this many logged steps in a row, is no noise.
FAR_ABOVE, IN_A_ROW = 1.5, 3


def in_words(settings: dict[str, Any]) -> str:
    """Settings as a short text: 'block_size 32, learning_rate 0.004'."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings.items()
    )


@dataclass(frozen=True)
class Sample:
    """What the model wrote after `step` steps."""

    step: int
    text: str
    seconds: float


@dataclass(frozen=True, eq=False)
class Thoughts:
    """The likeliest next tokens after a line of the learner's, and where each position of it looked."""

    step: int
    line: str
    likeliest: Sequence[tuple[str, float]] = ()  # tokens with their probabilities
    tokens: Sequence[str] = ()  # of the line
    maps: Sequence[np.ndarray] = ()  # one for each block: (heads, T, T)
    seconds: float = 0.0


@dataclass(frozen=True)
class Status:
    """The run pauses, goes on, or has ended: stopped, or failed for this reason."""

    status: str
    reason: str = ""


@dataclass
class Look:
    """How a run is shown."""

    slot: int = 0  # from 0: its color, dash and marker
    name: str = ""  # as the learner calls it
    hidden: bool = False
    prediction: str = ""


@dataclass(eq=False)  # two runs are never the same one
class Run:
    """One run: its settings, its curves, what it cost and how it ended; `look` is how it is shown."""

    number: int  # from 1
    config: TrainConfig
    settings: dict[str, Any]  # those of the lab's sliders, and others that are not as usual
    status: str = RUNNING
    message: str = ""
    step: int = 0  # optimizer steps done
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)  # seconds into the run at each of these losses
    evaluations: list[Evaluation] = field(default_factory=list)
    evaluation_clock: list[float] = field(default_factory=list)
    marks: dict[int, dict[str, Any]] = field(default_factory=dict)  # settings changed during the run: step -> values
    spent: dict[str, float] = field(default_factory=lambda: {"training": 0.0, "evaluating": 0.0, "samples": 0.0})
    unit: str = "character"  # what a token is
    samples: list[Sample] = field(default_factory=list)
    thoughts: Thoughts | None = None
    look: Look = field(default_factory=Look)
    trainer: Trainer | None = field(default=None, repr=False)  # once it has begun

    @property
    def label(self) -> str:
        """The settings in words."""
        return in_words(self.settings)

    @property
    def over(self) -> bool:
        """Whether it will not go on."""
        return self.status not in (RUNNING, PAUSED)

    def consume(self, event: Any) -> None:
        """Take in one event: of the Trainer, or of the lab."""
        match event:
            case TrainStep():
                self.step = event.step + 1  # its loss was that before the step
                self.spent["training"] += event.seconds
                if event.logged:
                    self.steps.append(event.step)
                    self.losses.append(event.loss)
                    self.clock.append(self.seconds())
                if not self.over and (reason := self.divergence()):
                    self.status, self.message = DIVERGED, reason
            case Evaluation():
                self.step = event.step
                self.spent["evaluating"] += event.seconds
                self.evaluations.append(event)
                self.evaluation_clock.append(self.seconds())
                if not self.over and event.step >= self.config.max_iters:
                    self.status = FINISHED
            case Sample():
                self.spent["samples"] += event.seconds
                self.samples.append(event)
            case Thoughts():
                self.spent["samples"] += event.seconds
                self.thoughts = event
            case Status() if not self.over or (event.reason and self.status != DIVERGED):
                self.status, self.message = event.status, event.reason

    def setting(self, name: str) -> Any:
        """The value of a setting now, after the changes during the run."""
        changed = [values[name] for values in self.marks.values() if name in values]
        return changed[-1] if changed else self.settings.get(name, getattr(self.config, name, None))

    def mark(self, name: str, value: Any) -> None:
        """A setting got a new value at this step; of several at one step the last one counts."""
        self.marks.setdefault(self.step, {})[name] = value

    @property
    def train(self) -> Estimate | None:
        """The last estimate of the loss on the training text."""
        return self.evaluations[-1].train if self.evaluations else None

    @property
    def val(self) -> Estimate | None:
        """The last estimate of the loss on the held-out text."""
        return self.evaluations[-1].val if self.evaluations else None

    def divergence(self) -> str:
        """Why this run leads nowhere, in a sentence; '' as long as it does not."""
        last = self.losses[-IN_A_ROW:]
        if len(last) < IN_A_ROW or any(loss < FAR_ABOVE * self.losses[0] for loss in last):  # nan is not below either
            return ""
        remedy = f"try a smaller learning_rate (now {self.setting('learning_rate'):g})"
        return f"The loss began at {self.losses[0]:.1f} and stays far above it; {remedy}"

    def seconds(self) -> float:
        """How long the run took, pauses and pictures left out."""
        return sum(self.spent.values())

    def tokens_per_second(self) -> float:
        """Over the whole run, evaluations included."""
        return self.step * self.config.tokens_per_step / self.seconds() if self.seconds() else 0.0

    def summary(self) -> str:
        """The state of the run in one sentence, for the status line and for the alt text of its plot."""
        text = f"{self.status} at step {self.step:,} of {self.config.max_iters:,}"
        if self.losses:
            text += f", last batch {self.losses[-1]:.2f}"
        if self.evaluations:
            text += f", validation loss {self.val.mean:.2f} ± {self.val.standard_error:.2f}"
        return text + (f". {self.message}" if self.message else "")

    def heard(self) -> str:
        """The same for those who listen: while it runs, only what an evaluation has changed."""
        if self.status != RUNNING:
            return self.summary()
        return f"step {self.evaluations[-1].step:,}, validation loss {self.val.mean:.2f}" if self.val else RUNNING

    def gap(self) -> str:
        """How far apart the two curves are, with its error, in words; '' before there is one."""
        if not self.evaluations:
            return ""
        gap = self.val.mean - self.train.mean
        error = math.hypot(self.val.standard_error, self.train.standard_error)
        size = f"{abs(gap):.2f} ± {error:.2f}"
        if not abs(gap) > 2 * error:
            return f"Gap {size}: this evaluation cannot tell the two texts apart"
        return f"Gap {size}: the held-out text is {'harder' if gap > 0 else 'easier'} than the training text"


# --- several runs -------------------------------------------------------------------------------------


def add_run(runs: Sequence[Run], run: Run) -> list[Run]:
    """The last runs and a new one, which gets the next number and a color that is free; a stub leaves first."""
    last = runs[-1] if runs else None
    is_stub = bool(last) and last.status == STOPPED and last.step < STUB
    kept = [*(runs[:-1] if is_stub else runs)][-(KEPT_RUNS - 1) :]
    run.number = last.number + (not is_stub) if last else 1
    run.look.slot = min(set(range(KEPT_RUNS)) - {other.look.slot for other in kept})
    return [*kept, run]


def distinctions(runs: Sequence[Run]) -> list[str]:
    """What each run is called: its name, or else the settings in which the runs differ; '' where there are none."""
    shared = set.intersection(*(set(run.settings.items()) for run in runs)) if runs else set()
    return [
        run.look.name or in_words(dict(item for item in run.settings.items() if item not in shared)) for run in runs
    ]


# --- the axes on which they are compared --------------------------------------------------------------

X_AXES = {"steps": "step", "tokens": "{unit}s learned from", "seconds": "seconds"}


def along(run: Run, x: str, steps: Any, seconds: Any) -> Any:
    """Where `steps` of a run, done after so many `seconds`, are on the x axis."""
    if x == "seconds":
        return np.asarray(seconds)
    return np.asarray(steps) * (run.config.tokens_per_step if x == "tokens" else 1)


def end_of(run: Run, x: str) -> float:
    """Where the run will end, or is expected to."""
    still = run.config.max_iters / run.step if run.step and not run.over else 1.0
    return float(along(run, x, run.config.max_iters, run.seconds() * still))

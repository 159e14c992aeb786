"""What is known of a run: plain data, fed by events, and read by the plot, the table and the tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gptlib.config import TrainConfig
from gptlib.events import Estimate, Evaluation, TrainStep

RUNNING, FINISHED, STOPPED, DIVERGED, FAILED = "running", "finished", "stopped", "diverged", "failed"
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
    tokens: tuple[tuple[str, float], ...]  # with their probabilities, likeliest first
    seconds: float
    maps: tuple[np.ndarray, ...] = ()  # one for each block: (heads, T, T)
    labels: tuple[str, ...] = ()  # the tokens of the line


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
    spent: dict[str, float] = field(
        default_factory=lambda: {"training": 0.0, "evaluating": 0.0, "writing samples": 0.0}
    )
    drawing: float = 0.0  # seconds that its pictures took, beside the run
    unit: str = "character"  # what a token is
    samples: list[Sample] = field(default_factory=list)
    thoughts: Thoughts | None = None
    look: Look | None = None

    def __post_init__(self):
        self.look = self.look or Look(slot=self.number - 1)

    @property
    def label(self) -> str:
        """The settings in words."""
        return in_words(self.settings)

    @property
    def hidden(self) -> bool:
        """Whether the plot leaves it out."""
        return self.look.hidden

    def consume(self, event: Any) -> None:
        """Take in one event of the Trainer, or one that the lab adds."""
        match event:
            case TrainStep():
                self.step = event.step + 1  # its loss was that before the step
                self.spent["training"] += event.seconds
                if event.logged:
                    self.steps.append(event.step)
                    self.losses.append(event.loss)
                    self.clock.append(self.seconds())
            case Evaluation():
                self.step = event.step
                self.spent["evaluating"] += event.seconds
                self.evaluations.append(event)
                self.evaluation_clock.append(self.seconds())
                if event.step >= self.config.max_iters:
                    self.status = FINISHED
            case Sample():
                self.spent["writing samples"] += event.seconds
                self.samples.append(event)
            case Thoughts():
                self.spent["writing samples"] += event.seconds
                self.thoughts = event

    def setting(self, name: str) -> Any:
        """The value of a setting now, after the changes during the run."""
        changed = [values[name] for values in self.marks.values() if name in values]
        return changed[-1] if changed else getattr(self.config, name)

    def mark(self, name: str, value: Any) -> None:
        """A setting got a new value at this step; of several at one step the last one counts."""
        here = self.marks.pop(self.step, {})
        here.pop(name, None)
        if value != self.setting(name):
            here[name] = value
        if here:
            self.marks[self.step] = here

    @property
    def train(self) -> Estimate | None:
        """The last estimate of the loss on the training text."""
        return self.evaluations[-1].train if self.evaluations else None

    @property
    def val(self) -> Estimate | None:
        """The last estimate of the loss on the held-out text."""
        return self.evaluations[-1].val if self.evaluations else None

    @property
    def tokens(self) -> int:
        """Tokens learned from so far."""
        return self.step * self.config.tokens_per_step

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

    def shares(self) -> dict[str, float]:
        """Where the time went: activity -> fraction of the run's seconds."""
        return {name: value / (self.seconds() or 1.0) for name, value in self.spent.items()}

    def tokens_per_second(self) -> float:
        """Over the whole run, evaluations included."""
        return self.tokens / self.seconds() if self.seconds() else 0.0

    def summary(self) -> str:
        """The state of the run in one sentence, for the status line and for the alt text of its plot."""
        text = f"{self.status} at step {self.step:,} of {self.config.max_iters:,}"
        if self.losses:
            text += f", last batch {self.losses[-1]:.2f}"
        if self.evaluations:
            text += f", validation loss {self.val.mean:.2f} ± {self.val.standard_error:.2f}"
        return text + (f". {self.message}" if self.message else "")

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


def add_run(runs: Sequence[Run], run: Run) -> tuple[list[Run], list[Run]]:
    """The runs with a new one, and those that made room for it.

    A stub goes first, then the oldest. The new run gets the next number, and a color that is free.
    """
    last = runs[-1] if runs else None
    stubs = [last] if last and last.status == STOPPED and last.step < STUB else []
    kept = [other for other in runs if other not in stubs]
    gone = kept[: max(0, len(kept) - (KEPT_RUNS - 1))]
    kept = kept[len(gone) :]
    run.number = last.number + (not stubs) if last else 1
    run.look.slot = min(set(range(KEPT_RUNS)) - {other.look.slot for other in kept})
    return [*kept, run], gone


def distinctions(runs: Sequence[Run]) -> list[str]:
    """What each run is called: its name, or else the settings in which the runs differ; '' where there are none."""
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    values = [{name: run.settings.get(name, getattr(run.config, name, None)) for name in names} for run in runs]
    differ = [name for name in names if any(other[name] != values[0][name] for other in values)]
    return [run.look.name or in_words({n: own[n] for n in differ}) for run, own in zip(runs, values, strict=True)]


# --- the axes on which they are compared --------------------------------------------------------------

X_AXES = {"steps": "step", "tokens": "{unit}s learned from", "seconds": "seconds"}


@dataclass(frozen=True)
class Scale:
    """How runs are compared: at the same steps, tokens or seconds."""

    x: str = "steps"

    def places(self, run: Run) -> tuple[np.ndarray, np.ndarray]:
        """Where the run's losses and its evaluations are on the x axis."""
        if self.x == "seconds":
            return np.array(run.clock), np.array(run.evaluation_clock)
        width = run.config.tokens_per_step if self.x == "tokens" else 1
        return np.array(run.steps) * width, np.array([e.step for e in run.evaluations]) * width

    def place(self, run: Run, step: int) -> float:
        """Where a step of the run is on the x axis."""
        if self.x == "seconds":
            return float(np.interp(step, run.steps, run.clock)) if run.steps else 0.0
        return step * (run.config.tokens_per_step if self.x == "tokens" else 1)

    def end(self, run: Run) -> float:
        """Where the run will end, or is expected to."""
        if self.x != "seconds":
            return self.length(run.config)
        expected = run.seconds() * run.config.max_iters / max(1, run.step)
        return expected if run.status == RUNNING and run.step else run.seconds()

    def length(self, config: TrainConfig) -> float:
        """Where a run of these settings will end; 0 if nobody knows."""
        if self.x == "seconds":
            return 0.0
        return config.max_iters * (config.tokens_per_step if self.x == "tokens" else 1)

    def label(self, unit: str) -> str:
        """What is written at the x axis."""
        return X_AXES[self.x].format(unit=unit)


STEPS = Scale()

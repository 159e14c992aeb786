"""What is known of a run: plain data, fed by the Trainer's events and read by the plot, the table and the tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gptlib.config import TrainConfig
from gptlib.events import Estimate, Evaluation, Event, TrainStep

RUNNING, FINISHED, STOPPED, DIVERGED, FAILED = "running", "finished", "stopped", "diverged", "failed"
KEPT_RUNS = 5
# A loss this many times as high as that of the untrained model, this many logged steps in a row, is no noise.
FAR_ABOVE, IN_A_ROW = 1.5, 3


def in_words(settings: dict[str, Any]) -> str:
    """Settings as a short text: 'block_size 32, learning_rate 0.004'."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings.items()
    )


@dataclass(eq=False)  # two runs are never the same one
class Run:
    """One run of a lab: its settings, its curves, what it cost and how it ended."""

    number: int  # from 1: gives it its colour, dash and marker
    config: TrainConfig
    settings: dict[str, Any]  # those of the lab's sliders, and others that are not as usual
    status: str = RUNNING
    message: str = ""
    step: int = 0  # optimiser steps done
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)  # seconds into the run at each of these losses
    evaluations: list[Evaluation] = field(default_factory=list)
    evaluation_clock: list[float] = field(default_factory=list)
    marks: dict[int, dict[str, Any]] = field(default_factory=dict)  # settings changed during the run: step -> values
    training: float = 0.0  # seconds in optimizer steps
    evaluating: float = 0.0
    drawing: float = 0.0  # seconds spent on drawing
    sampling: float = 0.0  # seconds in which the model wrote samples
    paused: float = 0.0  # seconds spent waiting
    memory: tuple[int, int] = (0, 0)  # bytes of the whole process: at the start, and the most since
    vocab_size: int = 0
    unit: str = "character"  # what a token is
    prediction: str = ""
    sample: str = ""  # what the model wrote after the last evaluation
    name: str = ""  # as the learner calls it
    hidden: bool = False

    @property
    def label(self) -> str:
        """The settings in words."""
        return in_words(self.settings)

    def consume(self, event: Event) -> None:
        """Take in one event of the Trainer."""
        self.step = event.step
        match event:
            case TrainStep():
                self.step += 1  # its loss was that before the step
                self.training += event.seconds
                if event.logged:
                    self.steps.append(event.step)
                    self.losses.append(event.loss)
                    self.clock.append(self.seconds())
            case Evaluation():
                self.evaluating += event.seconds
                self.evaluations.append(event)
                self.evaluation_clock.append(self.seconds())
                if event.step >= self.config.max_iters:
                    self.status = FINISHED

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
        """Tokens learnt from so far."""
        return self.step * self.config.tokens_per_step

    def divergence(self) -> str:
        """Why this run leads nowhere, in a sentence; '' as long as it does not."""
        remedy = f"try a smaller learning_rate (now {self.setting('learning_rate'):g})"
        if self.val and not math.isfinite(self.val.mean):
            return f"The model no longer gives numbers; {remedy}"
        last = self.losses[-IN_A_ROW:]
        if len(last) < IN_A_ROW or any(loss < FAR_ABOVE * self.losses[0] for loss in last):  # nan is not below either
            return ""
        return f"The loss began at {self.losses[0]:.1f} and stays far above it; {remedy}"

    def shares(self) -> dict[str, float]:
        """Where the time went: activity -> share of the run's seconds, pauses left out."""
        seconds = {
            "training": self.training,
            "evaluating": self.evaluating,
            "drawing": self.drawing,
            "writing the sample": self.sampling,
        }
        total = sum(seconds.values()) or 1.0
        return {name: value / total for name, value in seconds.items()}

    def seconds(self) -> float:
        """How long the run took, pauses left out."""
        return self.training + self.evaluating + self.drawing + self.sampling

    def tokens_per_second(self) -> float:
        """Over the whole run, evaluations and pictures included."""
        return self.tokens / self.seconds() if self.seconds() else 0.0

    def summary(self) -> str:
        """The state of the run in one sentence, for the status line and for the alt text of its plot."""
        text = f"{self.status} at step {self.step:,} of {self.config.max_iters:,}"
        if self.losses:
            text += f", last batch {self.losses[-1]:.2f}"
        if self.evaluations:
            text += f", validation loss {self.val.mean:.2f} ± {self.val.standard_error:.2f}"
        return text + (f". {self.message}" if self.message else "")


# --- several runs -------------------------------------------------------------------------------------


def add_run(runs: Sequence[Run], run: Run) -> list[Run]:
    """The runs with a new one, which gets a number that is free: the oldest makes room when there are too many."""
    kept = list(runs)[-(KEPT_RUNS - 1) :]
    run.number = min(set(range(1, KEPT_RUNS + 1)) - {r.number for r in kept})
    return [*kept, run]


def distinctions(runs: Sequence[Run]) -> list[str]:
    """What each run is called: its name, or else the settings in which the runs differ, or all of them if in none."""
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    values = [{name: run.settings.get(name, getattr(run.config, name, None)) for name in names} for run in runs]
    differ = [name for name in names if any(other[name] != values[0][name] for other in values)]
    return [
        run.name or (in_words({name: own[name] for name in differ}) if differ else run.label)
        for run, own in zip(runs, values, strict=True)
    ]


# --- the axes on which they are compared --------------------------------------------------------------

X_AXES = {"steps": "step", "tokens": "{unit}s learnt from", "seconds": "seconds"}


@dataclass(frozen=True)
class Scale:
    """How runs are compared: at the same steps, tokens or seconds, on straight or logarithmic axes."""

    x: str = "steps"
    log_x: bool = False
    log_loss: bool = False

    def places(self, run: Run) -> tuple[np.ndarray, np.ndarray]:
        """Where the run's losses and its evaluations stand on the x axis."""
        if self.x == "seconds":
            return np.array(run.clock), np.array(run.evaluation_clock)
        width = run.config.tokens_per_step if self.x == "tokens" else 1
        return np.array(run.steps) * width, np.array([e.step for e in run.evaluations]) * width

    def place(self, run: Run, step: int) -> float:
        """Where a step of the run stands on the x axis."""
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
        """What stands at the x axis."""
        return X_AXES[self.x].format(unit=unit)


STEPS = Scale()

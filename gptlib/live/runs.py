"""What is known of a run: plain data, fed by the Trainer's events and read by the plot, the table and the tests."""

from dataclasses import dataclass, field
from typing import Any

from gptlib.config import TrainConfig
from gptlib.events import Costs, Estimate, Evaluation, Event, TrainStep

RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"


def in_words(settings: dict[str, Any]) -> str:
    """Settings as a short text: 'block_size 32, learning_rate 0.004'."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings.items()
    )


@dataclass
class Run:
    """One run of a lab: its settings, its curves, what it cost and how it ended."""

    number: int
    config: TrainConfig
    settings: dict[str, Any]  # the values of the lab's sliders: what tells this run from the others
    status: str = RUNNING
    message: str = ""
    step: int = 0
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)  # settings changed during the run
    costs: Costs = field(default_factory=Costs)
    drawing: float = 0.0  # seconds spent on drawing
    paused: float = 0.0  # seconds spent waiting
    prediction: str = ""

    @property
    def label(self) -> str:
        """The settings in words."""
        return in_words(self.settings)

    def consume(self, event: Event) -> None:
        """Take in one event of the Trainer."""
        self.step = event.step
        match event:
            case TrainStep():
                self.steps.append(event.step)
                self.losses.append(event.loss)
                self.costs = event.costs
            case Evaluation():
                self.evaluations.append(event)
                self.costs = event.costs
                if event.step >= self.config.max_iters:
                    self.status = FINISHED

    @property
    def train(self) -> Estimate | None:
        """The last estimate of the loss on the training text."""
        return self.evaluations[-1].train if self.evaluations else None

    @property
    def val(self) -> Estimate | None:
        """The last estimate of the loss on the held-out text."""
        return self.evaluations[-1].val if self.evaluations else None

    def shares(self) -> dict[str, float]:
        """Where the time went: activity -> share of the run's seconds, pauses left out."""
        seconds = {
            "training": self.costs.train,
            "evaluating": self.costs.evaluate,
            "logging and drawing": max(0.0, self.costs.outside - self.paused),
        }
        total = sum(seconds.values()) or 1.0
        return {name: value / total for name, value in seconds.items()}

    def seconds(self) -> float:
        """How long the run took, pauses left out."""
        return self.costs.train + self.costs.evaluate + max(0.0, self.costs.outside - self.paused)

    def summary(self) -> str:
        """The state of the run in one sentence, for the status line and for the alt text of its plot."""
        text = f"{self.status} at step {self.step:,} of {self.config.max_iters:,}"
        if self.losses:
            text += f", last batch {self.losses[-1]:.2f}"
        if self.evaluations:
            text += f", validation loss {self.val.mean:.2f} ± {self.val.standard_error:.2f}"
        return text + (f". {self.message}" if self.message else "")

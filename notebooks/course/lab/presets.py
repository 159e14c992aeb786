"""Settings worth trying, good and bad, each with what to look at."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """Settings under a name; those that are not given are the lab's own."""

    name: str
    good: bool
    comment: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name as the menu shows it."""
        return f"{'good' if self.good else 'bad'}: {self.name}"


PRESETS = (
    Preset(
        "a steady start",
        True,
        "Both curves fall together: nothing is wrong here, and every change can be compared with it.",
        {"learning_rate": 4e-3, "block_size": 32, "n_layer": 3, "n_embd": 96, "max_iters": 300, "train_fraction": 1.0},
    ),
    Preset(
        "longer, and better for it",
        True,
        "Twice the steps and twice the context: the loss is still falling when the first preset has ended.",
        {"learning_rate": 4e-3, "block_size": 64, "n_layer": 3, "n_embd": 96, "max_iters": 600, "train_fraction": 1.0},
    ),
    Preset(
        "diverging learning rate",
        False,
        "Every step overshoots. The loss climbs far above that of the untrained model, and the lab stops the run.",
        {"learning_rate": 1.0},
    ),
    Preset(
        "context of 1",
        False,
        "The model sees one character and guesses the next: it learns which pairs are frequent, and no more, ever.",
        {"block_size": 1},
    ),
    Preset(
        "overfitting on purpose",
        False,
        "Some pages, over and over. The training loss falls out of the picture; the validation loss turns, and rises.",
        {"train_fraction": 0.001, "learning_rate": 5.6e-3, "max_iters": 400, "batch_size": 32, "eval_interval": 25},
    ),
    Preset(
        "evaluation that eats the run",
        False,
        "50 batches of each split after every 5 steps: the weights are the same as ever, and most of the time is gone.",
        {"eval_interval": 5, "eval_iters": 50},
    ),
)

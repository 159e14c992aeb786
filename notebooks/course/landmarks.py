"""What a loss can be compared with: three models that only count."""

import math

import numpy as np
from matplotlib.axes import Axes

from course.figures import GREY
from gptlib.dataset import Dataset

MOST_COUNTED = 10_000_000  # tokens: of a whole library, the beginning says as much


def landmarks(dataset: Dataset) -> dict[str, float]:
    """The validation loss, in nats per token, of three models that only count on the training text.

    `guessing` calls every token equally likely: ln V. `letter frequencies` knows how often each token occurs, and
    `letter pairs` how often each follows each. Every count starts at 1, so nothing is impossible.

    >>> landmarks(Dataset.from_text("abab" * 100))["guessing"] == math.log(2)
    True
    """
    V, what = dataset.vocab_size, {"character": "letter"}.get(dataset.tokenizer.unit, dataset.tokenizer.unit)
    train, val = (np.asarray(tokens[:MOST_COUNTED]).astype(np.int64) for tokens in (dataset.train, dataset.val))
    single = np.bincount(train, minlength=V)
    seen, counts = np.unique(train[:-1] * V + train[1:], return_counts=True)  # each pair as one number
    asked = val[:-1] * V + val[1:]
    at = np.searchsorted(seen, asked).clip(max=max(len(seen) - 1, 0))
    pair = np.where(seen[at] == asked, counts[at], 0) if len(seen) else np.zeros(len(asked))
    frequencies = -np.log((single[val] + 1) / (len(train) + V))
    pairs = -np.log((pair + 1) / (np.bincount(train[:-1], minlength=V)[val[:-1]] + V))
    found = {"guessing": math.log(V), f"{what} frequencies": float(frequencies.mean())}
    return found | ({f"{what} pairs": float(pairs.mean())} if len(pairs) else {})


def draw_landmarks(ax: Axes, marks: dict[str, float], color: str = GREY) -> None:
    """Draw the landmarks as thin lines with their names on the right; those outside the axis are left out."""
    low, high = sorted(ax.get_ylim())
    shown = {name: loss for name, loss in marks.items() if low <= loss <= high}
    for name, loss in shown.items():
        above = min((other - loss for other in shown.values() if other > loss), default=high)
        below = above < 0.07 * (high - low)  # no room above the line
        ax.axhline(loss, color=color, lw=0.7, ls=(0, (1, 2)), alpha=0.8, zorder=1)
        place = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points"}
        style = {"ha": "right", "va": "top" if below else "bottom", "fontsize": 7.5, "color": color}
        ax.annotate(f"{name} {loss:.2f}", (1, loss), (-2, -2 if below else 2), **place, **style)

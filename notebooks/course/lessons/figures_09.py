"""What lesson 09 draws: the results of one thing changed, seed by seed."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from course.figures import BLUE, GREY, Picture, new_figure


def read_results() -> dict[str, Any]:
    """What tests/benchmarks/your_gpt.py measured."""
    path = Path(__file__).parents[2] / "results" / "your_gpt.json"
    return json.loads(path.read_text(encoding="utf-8"))


def plot_changes(runs: Sequence[dict[str, Any]]) -> Picture:
    """The loss on held-out text of each run, a row for each change."""
    changes = list(dict.fromkeys(run["change"] for run in runs))
    losses = {change: [run["val_loss"] for run in runs if run["change"] == change] for change in changes}
    figure, ax = new_figure(6.6, 0.45 * len(changes) + 0.9)
    ax.axvline(mean(losses["nothing"]), color=GREY, lw=1, ls="--")
    for y, values in enumerate(losses.values()):
        ax.plot(values, [y] * len(values), "o", ms=5, color=BLUE, alpha=0.7)
        ax.text(max(values), y, f"   {mean(values):.2f}", va="center", fontsize=9)
    ax.set_yticks(range(len(changes)), [f"{change} changed" if change == "nothing" else change for change in changes])
    ax.invert_yaxis()
    ax.margins(x=0.12, y=0.2)
    ax.set(xlabel=f"loss on held-out text after {runs[0]['steps']} steps (dots: seeds; number: mean)")
    words = "; ".join(f"{change}: {', '.join(f'{v:.2f}' for v in values)}" for change, values in losses.items())
    return Picture(figure, "one thing changed", f"Loss on held-out text by seed. {words}.")

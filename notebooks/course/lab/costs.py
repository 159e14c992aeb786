"""What a run costs: where its time goes, how fast it reads, and how much memory it takes."""

from functools import lru_cache

import psutil

from course.figures import BLUE, GREEN, ORANGE, PURPLE
from course.lab.runs import Run
from course.step_costs import MIB, count
from gptlib.config import TrainConfig

_COLORS = (BLUE, ORANGE, GREEN, PURPLE)  # in the order of Run.shares


def memory_in_use() -> int:
    """Bytes that this process holds in memory: Python, torch and all that stands beside the run too."""
    return psutil.Process().memory_info().rss


@lru_cache(maxsize=32)  # a count takes a tenth of a second, the first one more
def _memory_of_a_step(config: TrainConfig, vocab_size: int) -> int:
    return count(config, vocab_size).memory


def memory_in_words(run: Run) -> str:
    """What the run's settings ask for, and what the process took while it ran."""
    before, peak = run.memory
    if not run.vocab_size:
        return "–"
    asked = _memory_of_a_step(run.config, run.vocab_size)
    return f"{asked / MIB:,.1f} MiB asked, {(peak - before) / MIB:,.1f} more taken, process {peak / MIB:,.0f}"


def cost_bar(run: Run) -> str:
    """Time, speed and memory of a run as HTML: a bar of shares, and the same in words."""
    shares = {name: share for name, share in run.shares().items() if share > 0}
    colors = dict(zip(run.shares(), _COLORS, strict=True))
    parts = "".join(
        f'<span style="flex: {share:.4f}; background: {colors[name]}"></span>' for name, share in shares.items()
    )
    words = ", ".join(
        f'<span style="color: {colors[name]}" aria-hidden="true">■</span> {name} {share:.0%}'
        for name, share in shares.items()
    )
    return (
        f'<div style="line-height: 1.5"><div aria-hidden="true" style="display: flex; height: 6px; max-width: 760px">'
        f"{parts}</div><small>{run.seconds():.1f} s: {words}. {run.tokens_per_second():,.0f} {run.unit}s/s, "
        f"memory of the process {run.memory[1] / MIB:,.0f} MiB</small></div>"
    )

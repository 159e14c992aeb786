"""The runs of a lab as a table, as CSV, and as the commands that repeat them."""

import base64
import csv
import html
import io
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from course.figures import COLORS
from course.lab.costs import memory_in_words
from course.lab.runs import Run, in_words
from gptlib.config import TrainConfig, as_arguments
from gptlib.events import Estimate

CSV_COLUMNS = ("run", "name", "settings", "status", "split", "step", "tokens", "seconds", "loss", "standard_error")


def rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """One row a run: what it was, how it ended and what it cost, as texts."""
    units = {run.unit for run in runs}
    unit = units.pop() if len(units) == 1 else "token"
    return [
        {
            "run": f"{run.number}{f': {run.name}' if run.name else ''}",
            "settings": _settings(run),
            "ended": f"{run.status} at {run.step:,}",
            "train loss": _estimate(run.train),
            "val loss": _estimate(run.val),
            f"{unit}s": f"{run.tokens:,}",
            "seconds": f"{run.seconds():.1f}",
            f"{unit}s/s": f"{run.tokens_per_second():,.0f}",
            "memory": memory_in_words(run),
        }
        for run in runs
    ]


def _settings(run: Run) -> str:
    changes = (f"from step {step}: {in_words(values)}" for step, values in run.marks.items())
    return ", ".join([run.label, *changes])


def _estimate(estimate: Estimate | None) -> str:
    return f"{estimate.mean:.3f} ± {estimate.standard_error:.3f}" if estimate else "–"


def as_table(runs: Sequence[Run]) -> str:
    """The rows as an HTML table, which scrolls sideways where the window is narrow."""
    if not runs:
        return "<p>No run yet.</p>"
    cell = "padding: 2px 8px; text-align: left; border-bottom: 1px solid var(--jp-border-color2, #bbb)"
    table = rows(runs)
    head = "".join(f'<th scope="col" style="{cell}">{name}</th>' for name in table[0])
    body = ""
    for run, row in zip(runs, table, strict=True):
        mark = f'<span aria-hidden="true" style="color: {COLORS[(run.number - 1) % len(COLORS)]}">■</span> '
        first, *others = map(html.escape, row.values())
        body += f'<tr><th scope="row" style="{cell}">{mark}{first}</th>'
        body += "".join(f'<td style="{cell}">{text}</td>' for text in others) + "</tr>"
    return (
        '<div style="overflow-x: auto; line-height: 1.5" tabindex="0" role="region" aria-label="table of the runs">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def as_csv(runs: Sequence[Run]) -> str:
    """Every loss of the runs, one a line: `split` is batch (training loss of one step), train or val (evaluations)."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for run in runs:
        first = (run.number, run.name, run.label, run.status)
        for split, step, seconds, loss, error in _losses(run):
            writer.writerow((*first, split, step, step * run.config.tokens_per_step, f"{seconds:.3f}", loss, error))
    return file.getvalue()


def _losses(run: Run) -> Iterable[tuple[str, int, float, float, Any]]:
    for step, seconds, loss in zip(run.steps, run.clock, run.losses, strict=True):
        yield "batch", step, seconds, loss, ""
    for evaluation, seconds in zip(run.evaluations, run.evaluation_clock, strict=True):
        for split in ("train", "val"):
            estimate = getattr(evaluation, split)
            yield split, evaluation.step, seconds, estimate.mean, estimate.standard_error


def command(config: TrainConfig) -> str:
    """The command line that repeats a run in a terminal; nothing is saved unless --out_dir is added."""
    return shlex.join(["python", "-m", "gptlib.train", *as_arguments(config)])


def download(name: str, kind: str, content: bytes) -> str:
    """A link that saves `content`, which is in the page itself: it works without a server's help."""
    data = base64.b64encode(content).decode()
    style = "color: var(--jp-content-link-color, LinkText); text-decoration: underline"
    return f'<a download="{name}" style="{style}" href="data:{kind};base64,{data}">{name}</a>'

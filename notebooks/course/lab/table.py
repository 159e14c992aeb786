"""The runs of a lab as a table, as CSV and as commands; what they cost; what their models write and think."""

import base64
import csv
import html
import io
import shlex
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from PIL import Image

from course.figures import COLORS
from course.lab.runs import Run, Sample, Thoughts, in_words
from course.shown import table
from gptlib.config import TrainConfig

CSV_COLUMNS = ("run", "name", "settings", "status", "split", "step", "tokens", "seconds", "loss", "standard_error")
MAP_COLOR = (31, 119, 200)  # to be seen on a light page and on a dark one


def as_table(runs: Sequence[Run]) -> str:
    """One row a run: what it was, how it ended and what it cost; it scrolls sideways where the window is narrow."""
    if not runs:
        return "<p>No run yet.</p>"
    rows = []
    for run in runs:
        settings = [run.label, *(f"from step {step}: {in_words(values)}" for step, values in run.marks.items())]
        name = f"{run.number}: {run.look.name}" if run.look.name else f"{run.number}"
        losses = (f"{e.mean:.3f} ± {e.standard_error:.3f}" if e else "–" for e in (run.train, run.val))
        cells = [
            f'<span aria-hidden="true" style="color: {COLORS[run.look.slot]}">■</span> {html.escape(name)}',
            html.escape(", ".join(settings)),
            f"{run.status} at {run.step:,}",
            *losses,
            f"{run.seconds():.1f}",
            f"{run.tokens_per_second():,.0f}",
        ]
        rows.append(cells)
    head = ["run", "settings", "ended", "train loss", "val loss", "seconds", f"{runs[-1].unit}s/s"]
    region = 'style="overflow-x: auto" tabindex="0" role="region" aria-label="table of the runs"'
    return f"<div {region}>{table(head, rows)}</div>"


def as_csv(runs: Sequence[Run]) -> str:
    """Every loss of the runs, one a line: `split` is batch (training loss of one step), train or val (evaluations)."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for run in runs:
        points = [("batch", *point, "") for point in zip(run.steps, run.clock, run.losses, strict=True)]
        for event, seconds in zip(run.evaluations, run.evaluation_clock, strict=True):
            for split, estimate in (("train", event.train), ("val", event.val)):
                points.append((split, event.step, seconds, estimate.mean, estimate.standard_error))
        first = (run.number, run.look.name, run.label, run.status)
        for split, step, seconds, *loss in points:
            writer.writerow((*first, split, step, step * run.config.tokens_per_step, f"{seconds:.3f}", *loss))
    return file.getvalue()


def command(config: TrainConfig) -> str:
    """The command line that repeats a run in a terminal; nothing is saved unless --out_dir is added."""
    changed = {f: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != f.default}
    settings = [f"--{f.name}={str(value).lower() if f.type is bool else value}" for f, value in changed.items()]
    return shlex.join(["python", "-m", "gptlib.train", *settings])


def download(name: str, kind: str, content: bytes) -> str:
    """A link that saves `content`, which is in the page itself: it works without a server's help."""
    data = base64.b64encode(content).decode()
    style = "color: var(--jp-content-link-color, LinkText); text-decoration: underline"
    return f'<a download="{name}" style="{style}" href="data:{kind};base64,{data}">{name}</a>'


# --- below the plot -------------------------------------------------------------------------------------


def costs(run: Run) -> str:
    """The gap between the curves, and the run's time and speed, in two lines of HTML."""
    seconds = run.seconds() or 1.0
    spent = ", ".join(f"{name} {part / seconds:.0%}" for name, part in run.spent.items())
    speed = f"{run.tokens_per_second():,.0f} {run.unit}s/s"
    return f"<small>{html.escape(run.gap())}<br>{run.seconds():.1f} s: {spent}; {speed}</small>"


def strip(run: Run | None) -> str:
    """What the model wrote along the run, a card for each time."""
    if run is None or not run.samples:
        return ""
    cards = "".join(f'<div class="gptlib-card"><b>step {s.step:,}</b>{written(s)}</div>' for s in run.samples)
    label = f"what the model of run {run.number} writes"
    return f'<div class="gptlib-strip" tabindex="0" role="region" aria-label="{label}">{cards}</div>'


def written(sample: Sample) -> str:
    """What the model wrote, each line as it is."""
    return f'<div class="gptlib-text">{html.escape(sample.text.strip())}</div>'


def thoughts(told: Thoughts | None, unit: str) -> str:
    """The likeliest next tokens as bars."""
    if told is None:
        return "<small>Press Run: then this shows what the model expects after your line.</small>"
    if not told.likeliest:
        return "<small>Type at least one character that the text has.</small>"
    largest = told.likeliest[0][1]
    bars = "".join(
        f"<code>{html.escape(_visible(token))}</code><span><i style='width: {100 * p / largest:.1f}%'></i></span>"
        f"<span>{p:.1%}</span>"
        for token, p in told.likeliest
    )
    line = html.escape(_visible(told.line))
    return (
        f"<small>After step {told.step:,}, the next {unit} after “{line}” is:</small>"
        f'<div class="gptlib-bars">{bars}</div>'
    )


def _visible(token: str) -> str:
    return token.replace("\n", "↵").replace(" ", "␣") or "∅"


def attention(told: Thoughts | None) -> str:
    """Where each position of the line looks, a map for each head: each row is a position, the darker the more."""
    if told is None or not told.maps:
        return ""
    labels = [_visible(token)[:6] for token in told.tokens]
    size, widest = len(labels), max(map(len, labels))
    margin = 0.5 + 0.7 * widest
    below = f"{size + 0.9})" if widest == 1 else f"{size + 0.2}) rotate(-90)"  # single letters stand upright
    labels = [html.escape(label) for label in labels]
    beside = "".join(
        f'<text x="-0.2" y="{i + 0.8}">{c}</text><text transform="translate({i + 0.8} {below}">{c}</text>'
        for i, c in enumerate(labels)
    )
    shown = []
    for block, heads in enumerate(told.maps, 1):
        for head, weights in enumerate(heads, 1):
            name = f"block {block}, head {head}"
            last = labels[int(weights[-1].argmax())]
            alt = f"attention of {name}: the last position looks most at {last}"
            box = f"{-margin} 0 {size + margin} {size + margin}"
            shown.append(
                f'<div><small>{name}</small><svg viewBox="{box}" role="img" aria-label="{alt}">'
                f'<image width="{size}" height="{size}" href="{_pixels(weights)}"/>{beside}</svg></div>'
            )
    return "".join(shown)


def _pixels(weights: np.ndarray) -> str:
    """A map as a PNG of one pixel a weight, in a data URL; where nothing is looked at, the page shines through."""
    alpha = (255 * np.sqrt(weights)).astype(np.uint8)
    colors = np.broadcast_to(np.array(MAP_COLOR, np.uint8), (*weights.shape, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([colors, alpha])).save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"

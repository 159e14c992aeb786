"""Lesson 06: how much of a sample stands word for word in the training text?"""

import html
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from matplotlib.patches import Rectangle

from course.figures import BLUE, COLORS, GREEN, GREY, ORANGE, VERMILION, Picture, new_figure
from course.lab.runs import Run
from gptlib.dataset import make_batch, sample_offsets
from gptlib.errors import UserError
from gptlib.model import GPT
from gptlib.sampling import generate
from gptlib.tokenizer import CharTokenizer

SHORTEST_SPAN = 12  # characters, two or three words: shorter ones are common property, see `plot_baseline`


def text_of(tokens: np.ndarray, tokenizer: CharTokenizer) -> str:
    """The text of an array of tokens; 4 MB take some tenths of a second."""
    return tokenizer.decode(tokens.tolist())


# --- the meter ------------------------------------------------------------------------------------------


def match_lengths(sample: str, text: str) -> np.ndarray:
    """For each position of `sample`, how many characters from there on stand in `text` in this order: (len(sample),).

    If the span from i reaches to `end`, then the span from i + 1 reaches at least as far. So `end` only moves on,
    and there are at most two searches a character. Each is one pass of Python's own search over the text:
    thousandths of a second for 10 kB, a second or less for 400 characters in 4 MB. (A suffix automaton needs
    no such passes, but it takes more memory and forty more lines.)
    """
    lengths = np.zeros(len(sample), dtype=int)
    end = 0
    for i in range(len(sample)):
        end = max(end, i)
        found = text.find(sample[i:end])
        # A longer span cannot begin before the first place where the shorter one does: search on from there.
        while end < len(sample) and (found := text.find(sample[i : end + 1], found)) >= 0:
            end += 1
        lengths[i] = end - i
    return lengths


@dataclass(frozen=True)
class Memorisation:
    """What of `sample` stands word for word in a text."""

    sample: str
    lengths: np.ndarray  # as `match_lengths` gives them
    at_least: int  # characters that a span must have to count as copied

    @property
    def longest(self) -> int:
        """Characters of the longest span."""
        return int(self.lengths.max(initial=0))

    @property
    def longest_at(self) -> range:
        """Where the longest span stands, the first one if there are several."""
        start = int(self.lengths.argmax()) if len(self.lengths) else 0
        return range(start, start + self.longest)

    @cached_property
    def mask(self) -> np.ndarray:
        """Which characters lie in a span of `at_least` characters or more: (len(sample),) bool."""
        mask = np.zeros(len(self.sample), dtype=bool)
        for start in np.flatnonzero(self.lengths >= self.at_least):
            mask[start : start + self.lengths[start]] = True
        return mask

    @property
    def copied(self) -> float:
        """The share of the sample that `mask` covers, 0 to 1."""
        return float(self.mask.mean()) if len(self.mask) else 0.0

    def summary(self) -> str:
        """The two figures in words."""
        return f"{self.copied:.0%} copied, longest span {self.longest} characters"


def measure(sample: str, text: str, at_least: int = SHORTEST_SPAN) -> Memorisation:
    """Hold a sample against a text.

    Raises:
        UserError: `at_least` is less than 1.
    """
    if at_least < 1:
        raise UserError(f"at_least = {at_least}: must be at least 1 character")
    return Memorisation(sample, match_lengths(sample, text), at_least)


def pieces(text: str, length: int, count: int, seed: int = 0) -> list[str]:
    """`count` random pieces of `length` characters, each from the start of a line.

    Raises:
        UserError: no line has so many characters behind it.
    """
    lines = [0, *(i + 1 for i, character in enumerate(text) if character == "\n")]
    starts = [start for start in lines if start + length <= len(text)]
    if not starts:
        raise UserError(f"the text has {len(text)} characters; a piece of {length} needs a longer one")
    chosen = np.random.default_rng(seed).choice(starts, size=count)
    return [text[start : start + length] for start in chosen]


def write_samples(
    model: GPT, tokenizer: CharTokenizer, *, count: int = 8, length: int = 200, temperature: float = 0.8, seed: int = 0
) -> list[str]:
    """`count` samples of `length` characters, written side by side: that takes little longer than one of them."""
    generator = torch.Generator(model.device).manual_seed(seed)
    prompt = torch.from_numpy(tokenizer.encode("\n")).expand(count, 1)
    tokens = torch.stack(list(generate(model, prompt, length, temperature=temperature, generator=generator)), dim=1)
    return [tokenizer.decode(row) for row in tokens.tolist()]


def mean_copied(samples: Sequence[str], text: str, at_least: int = SHORTEST_SPAN) -> float:
    """The mean share of the samples that is copied from `text`, 0 to 1."""
    return float(np.mean([measure(sample, text, at_least).copied for sample in samples]))


@torch.no_grad()
def sureness(model: GPT, tokens: np.ndarray, *, batch_size: int = 512, seed: int = 0) -> tuple[float, float]:
    """How sure the model is of its likeliest next token, and how often that is right: means over the text, 0 to 1."""
    block_size = model.config.block_size
    x, y = make_batch(tokens, sample_offsets(tokens, block_size, batch_size, (seed,)), block_size)
    sure, guess = model.eval()(x)[0].softmax(dim=-1).max(dim=-1)
    return sure.mean().item(), (guess == y).float().mean().item()


# --- what a learner sees of a sample --------------------------------------------------------------------


def as_marked_html(meter: Memorisation, title: str = "") -> str:
    """The sample as HTML, copied spans marked by colour and underline, the longest one in bold as well."""
    style = "background:#fbe3b0;color:#1a1a1a;text-decoration:underline"
    longest = meter.longest_at if meter.longest >= meter.at_least else range(0)
    kinds = [(bool(copied), i in longest) for i, copied in enumerate(meter.mask)]
    parts, start = [], 0
    for i in range(1, len(kinds) + 1):
        if i < len(kinds) and kinds[i] == kinds[start]:
            continue
        part = html.escape(meter.sample[start:i])
        copied, bold = kinds[start]
        part = f"<strong>{part}</strong>" if bold else part
        parts.append(f'<mark style="{style}">{part}</mark>' if copied else part)
        start = i
    heading = f"<strong>{html.escape(title)}</strong>: {meter.summary()}" if title else meter.summary()
    return f'<p>{heading}</p><pre style="line-height:1.5;white-space:pre-wrap">{"".join(parts)}</pre>'


def show_written(
    snapshots: Mapping[int, GPT],
    tokenizer: CharTokenizer,
    text: str,
    *,
    step: int,
    temperature: float = 0.8,
    at_least: int = SHORTEST_SPAN,
    your_words: str = "",
) -> str:
    """What the model of that step writes, or `your_words` if there are any, as HTML with its copied spans marked."""
    if your_words:
        return as_marked_html(measure(your_words, text, at_least), "your words")
    sample = write_samples(snapshots[step], tokenizer, count=1, length=300, temperature=temperature)[0]
    return as_marked_html(measure(sample, text, at_least), f"written at step {step}")


# --- figures --------------------------------------------------------------------------------------------

COLUMNS, FONT_SIZE = 58, 9.5  # of the samples; a letter of matplotlib's monospaced font is 0.602 of its size wide
LETTER, LINE, TITLE = 0.602 * FONT_SIZE / 72, 1.5 * FONT_SIZE / 72, 0.34  # inches


def wrapped(sample: str, columns: int = COLUMNS) -> list[range]:
    """The lines of a sample as ranges of its positions, none longer than `columns`."""
    lines, start = [], 0
    for line in sample.split("\n"):
        parts = textwrap.wrap(line, columns, drop_whitespace=False, break_on_hyphens=False) or [""]
        for part in parts:
            lines.append(range(start, start + len(part)))
            start += len(part)
        start += 1  # the line break itself
    return lines


def plot_marked(meters: Mapping[str, Memorisation]) -> Picture:
    """Samples, one below the other, with their copied spans marked, and both figures of the meter beside each."""
    layouts = [wrapped(meter.sample) for meter in meters.values()]
    heights = [TITLE + LINE * len(lines) + 0.12 for lines in layouts]
    figure, _ = new_figure(7.6, sum(heights))
    figure.clear()
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 7.6), ylim=(sum(heights), 0))  # inches, downwards
    ax.axis("off")
    top = 0.0
    for (name, meter), lines, height in zip(meters.items(), layouts, heights, strict=True):
        ax.text(0.1, top + TITLE / 2, name, va="center", fontsize=10.5, weight="bold")
        for number, line in enumerate(lines):
            _draw_line(ax, meter, line, 0.1, top + TITLE + LINE * number)
        _draw_gauge(ax, meter, 0.1 + LETTER * COLUMNS + 0.35, top + TITLE)
        top += height
    alt = " ".join(f"{name}: {meter.summary()}." for name, meter in meters.items())
    return Picture(figure, "samples with their copied spans: " + "; ".join(meters), alt)


def _draw_line(ax, meter: Memorisation, line: range, x: float, y: float) -> None:
    longest = meter.longest_at if meter.longest >= meter.at_least else range(0)
    for i in line:
        if not meter.mask[i]:
            continue
        left, in_longest = x + LETTER * (i - line.start), i in longest
        ax.add_patch(Rectangle((left, y), LETTER, LINE * 0.92, color=ORANGE, alpha=0.55 if in_longest else 0.25, lw=0))
        color, width = (VERMILION, 2.4) if in_longest else (ORANGE, 1.0)
        ax.plot([left, left + LETTER], [y + LINE * 0.9] * 2, color=color, lw=width, solid_capstyle="butt")
    text = meter.sample[line.start : line.stop].replace("$", r"\$")
    ax.text(x, y + LINE * 0.72, text, family="DejaVu Sans Mono", fontsize=FONT_SIZE, va="baseline")


def _draw_gauge(ax, meter: Memorisation, x: float, y: float) -> None:
    width = 7.5 - x
    ax.text(x, y + 0.12, f"{meter.copied:.0%} copied", fontsize=10, va="center")
    ax.add_patch(Rectangle((x, y + 0.28), width, 0.16, fill=False, edgecolor=GREY, lw=1))
    ax.add_patch(Rectangle((x, y + 0.28), width * meter.copied, 0.16, color=VERMILION, lw=0))
    ax.text(x, y + 0.62, f"longest span: {meter.longest} characters", fontsize=10, va="center")


def plot_copying(
    run: Run, snapshots: Mapping[int, GPT], tokenizer: CharTokenizer, text: str, held_out: str, seed: int = 0
) -> Picture:
    """Along one run: the losses, and how much of what the model writes at that step is copied.

    Args:
        run: gives the losses.
        snapshots: step -> the model as it was then.
        text: what the model was trained on.
        held_out: for the baseline: real text that it was not trained on.
    """
    steps = sorted(snapshots)
    copied = [100 * mean_copied(write_samples(snapshots[s], tokenizer, seed=seed), text) for s in steps]
    baseline = 100 * mean_copied(pieces(held_out, 200, 32), text)
    figure, _ = new_figure(7.2, 4.4)
    figure.clear()
    top, bottom = figure.subplots(2, 1, sharex=True)
    at = [e.step for e in run.evaluations]
    best = min(run.evaluations, key=lambda e: e.val.mean).step
    top.plot(at, [e.val.mean for e in run.evaluations], "o--", color=BLUE, ms=4, label="validation loss")
    top.plot(at, [e.train.mean for e in run.evaluations], "-", color=BLUE, lw=1.5, label="training loss")
    top.set(ylabel="loss (nats)", ylim=(0, 4.6))
    bottom.plot(steps, copied, "s-", color=VERMILION, ms=4, label="written by the model")
    bottom.axhline(baseline, color=GREEN, ls="--", lw=1.6, label="written by Shakespeare, held out")
    bottom.set(xlabel="step", ylabel="copied (% of characters)", ylim=(-3, 103))
    for ax in (top, bottom):
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        ax.axvline(best, color=GREY, lw=1, ls=":")
    top.annotate(" lowest validation loss", (best, 4.55), va="top", fontsize=9, color=GREY)
    top.legend(loc="center right", bbox_to_anchor=(1, 0.42), fontsize=9)
    bottom.legend(loc="upper left", fontsize=9)
    i = steps.index(best)
    alt = (
        f"The share of copied characters is {copied[i]:.0f} % at step {best}, where the validation loss is lowest, and "
        f"{copied[-1]:.0f} % at step {steps[-1]}; the baseline is {baseline:.0f} %."
    )
    return Picture(figure, "losses and copied share along the run", alt)


def plot_baseline(training_text: str, held_out: str, lengths: Sequence[int], *, count: int = 4) -> Picture:
    """How much of real held-out text stands by chance in training texts of several lengths."""
    samples = pieces(held_out, 300, count)
    meters = [[measure(sample, training_text[:length]) for sample in samples] for length in lengths]
    figure, (left, right) = new_figure(7.6, 3.2, columns=2)
    for i, row in enumerate(meters):
        left.plot([lengths[i]] * count, [m.longest for m in row], "o", color=GREEN, alpha=0.6)
        right.plot([lengths[i]] * count, [100 * m.copied for m in row], "o", color=GREEN, alpha=0.6)
    longest = [float(np.mean([m.longest for m in row])) for row in meters]
    copied = [float(np.mean([100 * m.copied for m in row])) for row in meters]
    left.plot(lengths, longest, "--", color=GREEN)
    right.plot(lengths, copied, "--", color=GREEN)
    left.set(ylabel="longest span (characters)", ylim=(0, 30))
    right.set(ylabel=f"in spans of {SHORTEST_SPAN} or more (%)", ylim=(0, 100))
    for ax in (left, right):
        ax.set(xscale="log", xlabel="length of the training text (characters)")
    alt = "Real held-out text against training texts: " + ", ".join(
        f"{a:.0f} characters at most and {c:.0f} % copied for {n:,}"
        for a, c, n in zip(longest, copied, lengths, strict=True)
    )
    return Picture(figure, "held-out text against training texts of several lengths", alt)


def plot_sureness(models: Mapping[str, GPT], tokens: np.ndarray) -> Picture:
    """On the same text: how sure each model is of its first guess, and how often that guess is right."""
    measured = {name: sureness(model, tokens) for name, model in models.items()}
    figure, ax = new_figure(7.2, 0.8 * len(models) + 0.9)
    for y, (sure, right) in enumerate(measured.values()):
        for offset, share, color in ((-0.18, sure, VERMILION), (0.18, right, GREEN)):
            ax.barh(y + offset, 100 * share, height=0.32, color=color)
            ax.text(100 * share, y + offset, f" {100 * share:.0f} %", va="center", fontsize=9)
    ax.barh([0], [0], color=VERMILION, label="how sure it is of its first guess")
    ax.barh([0], [0], color=GREEN, label="how often that guess is right")
    ax.set_yticks(range(len(models)), list(models))
    ax.set(xlabel="% of the held-out characters", xlim=(0, 100), ylim=(len(models) - 0.5, -0.5))
    ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, fontsize=9, frameon=False)
    alt = "; ".join(f"{name}: {100 * s:.0f} % sure, {100 * r:.0f} % right" for name, (s, r) in measured.items())
    return Picture(figure, "how sure and how often right: " + "; ".join(models), alt)


def plot_both_losses(runs: Mapping[str, Run]) -> Picture:
    """Training losses beside validation losses, a line a run."""
    figure, axes = new_figure(7.6, 3.5, columns=2)
    for i, (name, run) in enumerate(runs.items()):
        at = [e.step for e in run.evaluations]
        style = {"color": COLORS[i], "marker": "osD^v"[i], "ms": 3.5, "lw": 1.5}
        axes[0].plot(at, [e.train.mean for e in run.evaluations], "-", **style)
        axes[1].plot(at, [e.val.mean for e in run.evaluations], "--", label=name, **style)
    for ax, title in zip(axes, ("training loss: what it was taught", "validation loss: what it was not"), strict=True):
        ax.set_title(title, loc="left", fontsize=10)
        ax.set(xlabel="step", ylabel="loss (nats per character)", ylim=(0, 4.6))
    figure.legend(loc="outside upper center", ncols=len(runs), fontsize=9, frameon=False)
    ends = {name: (run.train.mean, run.val.mean) for name, run in runs.items()}
    alt = "; ".join(f"{name}: training {t:.2f}, validation {v:.2f} at the end" for name, (t, v) in ends.items())
    return Picture(figure, "training and validation losses: " + "; ".join(runs), alt)

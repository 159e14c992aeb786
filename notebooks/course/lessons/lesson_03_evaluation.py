"""Lesson 03: how far to trust an estimated loss, and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from course.figures import BLUE, COLORS, GREY, VERMILION, Picture, new_figure, tidy
from gptlib.dataset import make_batch
from gptlib.evaluation import estimate_loss, random_batch_losses, sequence_losses
from gptlib.model import GPT
from gptlib.tokenizer import CharTokenizer


def character_losses(model: GPT, tokenizer: CharTokenizer, text: str) -> np.ndarray:
    """How surprised the model is by each character of `text` but the first: -ln p in nats, shape (len(text) - 1,).

    The text may be at most block_size + 1 characters long.
    """
    tokens = tokenizer.encode(text)
    x, y = make_batch(tokens, np.array([0]), len(tokens) - 1)
    with torch.no_grad():
        log_p = model.eval()(x)[0].log_softmax(dim=-1)
    return -log_p[0].gather(1, y[0][:, None]).squeeze(1).numpy()


@dataclass(frozen=True)
class Spread:
    """What repeated estimates of one and the same loss look like, for one eval_iters."""

    eval_iters: int
    estimates: np.ndarray
    seconds: float  # of one estimate

    @property
    def standard_deviation(self) -> float:
        """How far one estimate lies from the truth, typically."""
        return float(np.std(self.estimates, ddof=1))


def spread_of_estimates(
    model: GPT, tokens: np.ndarray, eval_iters: Sequence[int], *, batch_size: int = 16, batches: int = 512
) -> list[Spread]:
    """Estimate the same loss again and again, with each of the given `eval_iters`.

    `batches` random batches are measured once; n of them at a time then make an estimate with eval_iters = n.
    """
    started = perf_counter()
    losses = np.array([b.mean().item() for b in random_batch_losses(model, tokens, batch_size, batches, (0,))])
    seconds = (perf_counter() - started) / batches
    grouped = ((n, losses[: batches // n * n].reshape(-1, n).mean(axis=1)) for n in eval_iters)
    return [Spread(n, estimates, n * seconds) for n, estimates in grouped]


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of y against x in log-log: the power of x that y follows."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def seconds_of_evaluation(model: GPT, tokens: np.ndarray, *, batch_size: int = 16, batches: int = 20) -> float:
    """Seconds that one batch of an evaluation takes, the median of a few."""
    block_size = model.config.block_size
    x, y = make_batch(tokens, np.arange(batch_size), block_size)
    times = []
    for _ in range(batches):
        started = perf_counter()
        sequence_losses(model, x, y)
        times.append(perf_counter() - started)
    return float(np.median(times))


# --- figures ------------------------------------------------------------------------------------------


def plot_character_losses(untrained: GPT, trained: GPT, tokenizer: CharTokenizer, text: str) -> Picture:
    """Bars of surprise, character by character, before and after training."""
    figure, _ = new_figure(7.2, 3.8, columns=1)
    figure.clear()
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    means = []
    for ax, model, name, color in zip(axes, (untrained, trained), ("untrained", "trained"), (GREY, BLUE), strict=True):
        losses = character_losses(model, tokenizer, text)
        means.append(losses.mean())
        ax.bar(range(len(losses)), losses, color=color, width=0.8)
        ax.axhline(means[-1], color=color, lw=1, ls="--")
        ax.set_title(f"{name}: mean {means[-1]:.1f}", loc="left", fontsize=10)
        ax.set_ylabel("surprise (nats)")
        tidy(ax)
    axes[1].set_xticks(range(len(text) - 1), ["↵" if c == "\n" else "␣" if c == " " else c for c in text[1:]])
    axes[1].set_xlabel("the character that came next")
    alt = f"Surprise at each character of a line: mean {means[0]:.1f} nats untrained, {means[1]:.1f} trained."
    return Picture(figure, "surprise at each character, untrained and trained", alt)


def plot_spread(spreads: Sequence[Spread], exact: float) -> Picture:
    """All estimates as dots, and how their width falls with eval_iters."""
    figure, (left, right) = new_figure(7.6, 3.4, columns=2)
    eval_iters = [s.eval_iters for s in spreads]
    widths = [s.standard_deviation for s in spreads]
    for i, spread in enumerate(spreads):
        shown = spread.estimates[:60]
        offsets = np.linspace(-0.25, 0.25, len(shown)) if len(shown) > 1 else [0]
        left.plot(i + np.asarray(offsets), shown, "o", ms=2.5, color=BLUE, alpha=0.6)
    left.axhline(exact, color=VERMILION, lw=1.5, label=f"exact: {exact:.2f}")
    left.set_xticks(range(len(spreads)), [str(n) for n in eval_iters])
    left.set(xlabel="eval_iters", ylabel="estimated loss (nats)")
    left.legend(loc="upper right", fontsize=8)
    right.loglog(eval_iters, widths, "o-", color=BLUE, label="measured")
    law = widths[0] / np.sqrt(np.array(eval_iters) / eval_iters[0])
    right.loglog(eval_iters, law, "--", color=GREY, lw=1, label="slope −1/2")
    right.set_xticks(eval_iters, [str(n) for n in eval_iters])
    right.minorticks_off()
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2) if min(widths) / 1.5 < t < max(widths) * 1.5]
    right.set_yticks(ticks, [f"{t:g}" for t in ticks])
    right.set(xlabel="eval_iters", ylabel="standard deviation (nats)")
    right.legend(fontsize=8)
    alt = "Spread of estimates: " + ", ".join(
        f"{w:.3f} at eval_iters {n}" for n, w in zip(eval_iters, widths, strict=True)
    )
    return Picture(figure, "spread of the estimate against eval_iters", alt)


def plot_cost_of_accuracy(
    model: GPT, tokens: np.ndarray, exact_seconds: float, eval_iters: Sequence[int] = (5, 20, 80, 320)
) -> Picture:
    """Seconds and standard error of estimates, beside those of one exact pass, measured before."""
    names, seconds, errors = [], [], []
    for n in eval_iters:
        started = perf_counter()
        estimate = estimate_loss(model, tokens, batch_size=16, eval_iters=n)
        seconds.append(perf_counter() - started)
        errors.append(f"± {estimate.standard_error:.3f}")
        names.append(f"eval_iters {n}")
    names, seconds, errors = [*names, "all held-out text"], [*seconds, exact_seconds], [*errors, "exact"]
    figure, ax = new_figure(7.2, 2.6)
    ax.barh(names, seconds, color=[BLUE] * len(eval_iters) + [VERMILION])
    for i, (value, error) in enumerate(zip(seconds, errors, strict=True)):
        ax.text(value, i, f"  {value:.2g} s, {error}", va="center", fontsize=9)
    ax.invert_yaxis()
    ax.set(xlabel="seconds on this machine", xlim=(0, max(seconds) * 1.3))
    alt = "; ".join(f"{n}: {s:.2g} s, {e}" for n, s, e in zip(names, seconds, errors, strict=True))
    return Picture(figure, "seconds and error of estimates and of an exact pass", alt)


def plot_share_of_evaluation(
    model: GPT, tokens: np.ndarray, seconds_per_step: float, eval_iters: Sequence[int] = (5, 20, 80)
) -> Picture:
    """The share of a run that evaluating takes, against eval_interval, from times measured here."""
    per_batch = seconds_of_evaluation(model, tokens)
    intervals = np.array([5, 10, 20, 50, 100, 200, 500, 1000])
    figure, ax = new_figure()
    for n, color, marker in zip(eval_iters, COLORS, "osD", strict=False):
        evaluating = 2 * n * per_batch
        shares = evaluating / (intervals * seconds_per_step + evaluating)
        ax.loglog(intervals, 100 * shares, color=color, marker=marker, ms=4, label=f"eval_iters {n}")
    ax.axhline(10, color=GREY, lw=1, ls="--")
    ax.text(intervals[0], 10.8, "10 %", fontsize=9, color=GREY)
    ax.set_xticks(intervals, [str(i) for i in intervals])
    ax.set_yticks([1, 3, 10, 30, 100], ["1 %", "3 %", "10 %", "30 %", "100 %"])
    ax.minorticks_off()
    ax.set(xlabel="eval_interval (steps)", ylabel="share of the time", ylim=(0.3, 110))
    ax.legend(fontsize=9)
    step, batch = 1000 * seconds_per_step, 1000 * per_batch
    ax.set_title(f"measured here: {step:.0f} ms a step, {batch:.0f} ms a batch of evaluation", loc="left", fontsize=10)
    alt = f"Share of evaluation against eval_interval, with {step:.0f} ms a step and {batch:.0f} ms a batch."
    return Picture(figure, "share of evaluation against eval_interval", alt)

"""The bug museum of lesson 05: six bugs that shipped in trainers and course texts, and a judge that knows them.

Each exhibit is one optimiser step, from micro-batches to the loss that is logged: `step(model, optimizer,
micro_batches)`. It is a loop of its own because the loop is the subject. Here stand the right steps, and
what each bug changes in them; `buggy`, which stands in the notebook's cell, comes of it.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from course.exercise import Exercise, Wrong
from gptlib.config import GPTConfig
from gptlib.model import GPT

MicroBatches = list[tuple[Tensor, Tensor]]  # tokens and targets, (B, T) each; target -1: does not count
STEPS, MICRO_BATCHES, SEQUENCES = 3, 4, 3  # of the judge's tiny run


class LinearSchedule:
    """A rate that falls from `learning_rate` to 0 within `max_iters` steps; nothing stops it there.

    Args:
        optimizer: whose rate it sets.
        learning_rate: that of the first step.
        max_iters: after how many calls of `step` it is 0.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, learning_rate: float, max_iters: int):
        self.optimizer, self.learning_rate, self.max_iters, self.done = optimizer, learning_rate, max_iters, 0
        self._set()

    def step(self) -> None:
        """One step further down."""
        self.done += 1
        self._set()

    def _set(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * (1 - self.done / self.max_iters)


# --- the judge ----------------------------------------------------------------------------------------


class _Watched(torch.optim.SGD):
    """Plain gradient descent that keeps the gradient and the rate of each of its steps."""

    def __init__(self, model: GPT):
        super().__init__(model.parameters(), lr=0.05)
        self.model = model
        self.gradients: list[Tensor] = []
        self.rates: list[float] = []

    def step(self, closure: Any = None) -> None:
        self.gradients.append(_flat(self.model))
        self.rates.append(self.param_groups[0]["lr"])
        super().step(closure)


def _flat(model: GPT) -> Tensor:
    """All gradients in a row; zeros where there is none."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])


@dataclass(frozen=True)
class _Truth:
    """What a step should find at the weights as they stand: gradient and loss of each micro-batch, and its tokens."""

    parts: list[Tensor]
    losses: list[float]
    tokens: list[int]

    @classmethod
    def of(cls, model: GPT, micro_batches: MicroBatches) -> "_Truth":
        parts, losses, trial = [], [], copy.deepcopy(model)
        for x, y in micro_batches:
            trial.zero_grad(set_to_none=True)
            loss = trial(x, y)[1]
            loss.backward()
            parts.append(_flat(trial))
            losses.append(loss.item())
        return cls(parts, losses, [int((y >= 0).sum()) for _, y in micro_batches])

    def gradient(self, weights: Sequence[float]) -> Tensor:
        return sum(w * part for w, part in zip(weights, self.parts, strict=True))

    def loss(self, weights: Sequence[float]) -> float:
        return sum(w * loss for w, loss in zip(weights, self.losses, strict=True))

    @property
    def by_tokens(self) -> list[float]:
        return [n / sum(self.tokens) for n in self.tokens]

    @property
    def alike(self) -> list[float]:
        return [1 / len(self.parts)] * len(self.parts)


def _tiny_run(unequal: bool) -> tuple[GPT, list[MicroBatches]]:
    """A GPT of a few hundred weights in float64, and the micro-batches of its steps."""
    with torch.random.fork_rng():  # the learner's own random numbers stay as they were
        torch.manual_seed(11)
        model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=1, n_head=2, n_embd=8)).double()
        x, y = torch.randint(7, (2, STEPS, MICRO_BATCHES, SEQUENCES, 4))
    if unequal:  # the lines of micro-batch i end after i + 1 tokens
        for i in range(MICRO_BATCHES):
            y[:, i, :, i + 1 :] = -1
    return model, [list(zip(*pair, strict=True)) for pair in zip(x, y, strict=True)]


def _judge(step: Callable[..., float], *, unequal: bool = False, scheduled: bool = False) -> None:
    """Three steps of the learner's function; the first thing that is wrong is said with its likely cause."""
    model, batches = _tiny_run(unequal)
    optimizer = _Watched(model)
    extra = (LinearSchedule(optimizer, 0.05, STEPS),) if scheduled else ()
    for done, micro_batches in enumerate(batches):
        truth = _Truth.of(model, micro_batches)
        logged = step(model, optimizer, list(micro_batches), *extra)
        if len(optimizer.gradients) != done + 1:
            times = len(optimizer.gradients) - done
            raise Wrong(f"`optimizer.step()` was called {times} times for one step; once, after all micro-batches")
        _judge_gradient(truth, optimizer.gradients, done)
        _judge_loss(truth, logged)
    if scheduled:
        _judge_rates(optimizer.rates)


def _judge_gradient(truth: _Truth, gradients: list[Tensor], done: int) -> None:
    got, n = gradients[done], len(truth.parts)
    want = truth.gradient(truth.by_tokens)
    known = {
        f"the gradients of {n} micro-batches are added up, and so it is {n} times as long as that of the whole: divide "
        "each loss by `len(micro_batches)` before `backward`": truth.gradient([1] * n),
        "only the last micro-batch is left in the gradient: clear it once a step, not once a micro-batch": (
            truth.parts[-1] / n
        ),
        f"each micro-batch counts alike, though they have {truth.tokens} tokens: give each its share of the tokens": (
            truth.gradient(truth.alike)
        ),
    }
    if done:
        kept = "the gradient of the step before is still in there: nothing has cleared it"
        known[kept] = want + gradients[done - 1]
    if _close(got, want):
        return
    reason = next((why for why, wrong in known.items() if _close(got, wrong)), "")
    factor = (got @ want / (want @ want)).item()
    if not reason and _close(got, factor * want):
        reason = f"it points the right way, but is {factor:.2g} times as long as it should be"
    raise Wrong(f"the gradient of step {done}: {reason or 'it points elsewhere than that of the whole batch'}")


def _judge_loss(truth: _Truth, logged: Any) -> None:
    try:
        got = float(logged)
    except (TypeError, ValueError):
        raise Wrong("give back the loss that is to be logged, a number") from None
    n, want, last = len(truth.losses), truth.loss(truth.by_tokens), truth.losses[-1]
    known = {
        f"it is {n} times too high: what was divided is added up to the mean already, so multiply nothing": n * want,
        f"it is {n} times too low: the losses were divided once for the gradient, and here once more": want / n,
        "it is that of the last micro-batch alone: add up all of them": last,
        f"it is that of the last micro-batch alone, and divided by {n}: add up all of them": last / n,
        "it is the mean of the micro-batches' means; those with few tokens count too much": truth.loss(truth.alike),
    }
    if abs(got - want) < 1e-6:
        return
    reason = next((why for why, wrong in known.items() if abs(got - wrong) < 1e-6), "")
    raise Wrong(f"the gradient is right. The logged loss: {reason or f'{got:.3g}, and it should be {want:.3g}'}")


def _judge_rates(rates: Sequence[float]) -> None:
    fall = 0.05 / STEPS
    told = f"over {STEPS} steps the rate goes `{', '.join(f'{rate:.2g}' for rate in rates)}`"
    if min(rates) < -1e-9:
        raise Wrong(
            f"{told}. Below zero, each step climbs: the schedule counts micro-batches, and so it is through after a "
            "quarter of the run"
        )
    if max(abs(a - b - fall) for a, b in pairwise(rates)) > 1e-9 or rates[0] < 0.05 - fall - 1e-9:
        raise Wrong(f"{told}; it should fall by `{fall:.2g}` in each: `schedule.step()` once a step")


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-9)


# --- three steps as they should be ------------------------------------------------------------------------


def _right_step(model, optimizer, micro_batches):
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = model(x, y)[1] / len(micro_batches)
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


def _scheduled_step(model, optimizer, micro_batches, schedule):
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = model(x, y)[1] / len(micro_batches)
        loss.backward()
        total += loss.item()
    optimizer.step()
    schedule.step()
    return total


def _weighted_step(model, optimizer, micro_batches):
    optimizer.zero_grad()
    tokens = sum((y >= 0).sum() for _, y in micro_batches)
    total = 0.0
    for x, y in micro_batches:
        loss = model(x, y)[1] * (y >= 0).sum() / tokens
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


def right_step(model: GPT, optimizer: torch.optim.Optimizer, micro_batches: MicroBatches, schedule=None) -> float:
    """The step as it should be, with lines of any length, and with a schedule or without."""
    total = _weighted_step(model, optimizer, micro_batches)
    if schedule is not None:
        schedule.step()
    return total


# --- the exhibits ---------------------------------------------------------------------------------------


class Exhibit(Exercise):
    """An exercise that begins with a bug instead of a blank.

    Args:
        name: of the function in the notebook's cell.
        right: the step as it should be; its source code under that name is the solution.
        bug: what the cell says instead, source text -> source text; each stands in the solution once.
        parts: the rest of an `Exercise`.
    """

    def __init__(self, *, name: str, right: Callable[..., float], bug: Mapping[str, str], **parts: Any):
        solution = inspect.getsource(right).replace(right.__name__, name)
        super().__init__(name=name, solution=solution, **parts)
        self.buggy = self.solution_source
        for correct, wrong in bug.items():
            before, after = self.buggy.split(correct)
            self.buggy = before + wrong + after


forgot_to_divide = Exhibit(
    name="forgot_to_divide",
    title="Museum 1: the loss is not divided",
    difficulty=1,
    minutes=4,
    check=_judge,
    hints=("How long is the sum of four gradients beside their mean?", "`loss = model(x, y)[1] / len(micro_batches)`."),
    right=_right_step,
    bug={" / len(micro_batches)": "", "return total": "return total / len(micro_batches)"},
)

multiplied_the_sum = Exhibit(
    name="multiplied_the_sum",
    title="Museum 2: divided, and multiplied back in the wrong place",
    difficulty=1,
    minutes=4,
    check=_judge,
    hints=("`total` adds up four quarters. What is that?", "`return total`."),
    right=_right_step,
    bug={"return total": "return total * len(micro_batches)"},
)

never_cleared = Exhibit(
    name="never_cleared",
    title="Museum 3: gradients are never cleared",
    difficulty=1,
    minutes=4,
    check=_judge,
    hints=("`backward` adds to what is there. What is there when the second step begins?", "`optimizer.zero_grad()`."),
    right=_right_step,
    bug={"    optimizer.zero_grad()\n": ""},
)

logged_the_last = Exhibit(
    name="logged_the_last",
    title="Museum 4: only the last micro-batch is logged",
    difficulty=1,
    minutes=4,
    check=_judge,
    hints=("After the loop, `loss` is that of one micro-batch of four.", "Begin with `total = 0.0` and add to it."),
    right=_right_step,
    bug={
        "    total = 0.0\n": "",
        "        total += loss.item()\n": "",
        "return total": "return loss.item() * len(micro_batches)",
    },
)

counted_micro_steps = Exhibit(
    name="counted_micro_steps",
    title="Museum 5: the schedule counts micro-batches",
    difficulty=2,
    minutes=5,
    check=lambda step: _judge(step, scheduled=True),
    hints=("How often is `schedule.step()` called in a run of 100 steps?", "Once a step: after the loop."),
    right=_scheduled_step,
    bug={"    schedule.step()\n": "", "    optimizer.step()": "        schedule.step()\n    optimizer.step()"},
)

averaged_means = Exhibit(
    name="averaged_means",
    title="Museum 6: the mean of unequal means",
    difficulty=3,
    minutes=10,
    check=lambda step: _judge(step, unequal=True),
    hints=(
        "What if one micro-batch has 3 tokens that count, and another 12? `(y >= 0).sum()` counts them.",
        "Count the tokens of the whole step before the loop.",
        "`loss = model(x, y)[1] * (y >= 0).sum() / tokens`.",
    ),
    right=_weighted_step,
    bug={
        "    tokens = sum((y >= 0).sum() for _, y in micro_batches)\n": "",
        "micro_batches:\n": "micro_batches:  # y is -1 behind the end of a line, and does not count there\n",
        " * (y >= 0).sum() / tokens": " / len(micro_batches)",
    },
)

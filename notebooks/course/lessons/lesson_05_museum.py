"""The bug museum of lesson 05: six programs with bugs that shipped, and a judge that knows their symptoms.

A program is one optimizer step, `program(model, optimizer, micro_batches, schedule)`, and returns the loss to be
logged. It is a loop of its own because the loop is the subject. Here is the right one and what each bug changes in
it; the notebook's cell shows the result, `buggy`.
"""

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from course.exercise import Exercise, Wrong
from gptlib.config import GPTConfig
from gptlib.dataset import Dataset, make_batch, sample_offsets
from gptlib.model import GPT

MicroBatches = list[tuple[Tensor, Tensor]]  # tokens and targets, (B, T) each; target -1: does not count
STEPS, MICRO_BATCHES, SEQUENCES, RATE = 3, 4, 3, 0.05  # of the judge's tiny run


def straight_to_zero(optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
    """A learning rate that falls in a straight line and would reach 0 after `steps` steps; nothing stops it there."""
    return LambdaLR(optimizer, lambda done: 1 - done / steps)


def lines(data: Dataset, count: int, block_size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`count` random lines of the text, (count, T) each; what comes after a line's end does not count: target -1."""
    newline = data.tokenizer.encode("\n")[0]
    starts = np.flatnonzero(data.train[: -block_size - 1] == newline) + 1
    x, y = make_batch(data.train, np.random.default_rng(seed).choice(starts, count), block_size)
    return x, y.masked_fill((x == newline).cumsum(dim=1) > 0, -1)


def windows(data: Dataset, count: int, block_size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`count` random windows of equal length, (count, T) each."""
    return make_batch(data.train, sample_offsets(data.train, block_size, count, (2, seed)), block_size)


# --- the right programs ---------------------------------------------------------------------------------


def _right(model, optimizer, micro_batches, schedule):
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = model(x, y)[1] / len(micro_batches)
        loss.backward()
        total += loss.item()
    optimizer.step()
    schedule.step()
    return total


def right(model, optimizer, micro_batches, schedule):
    """The step as it should be, for lines of any length."""
    optimizer.zero_grad()
    tokens = sum((y >= 0).sum() for _, y in micro_batches)
    total = 0.0
    for x, y in micro_batches:
        loss = model(x, y)[1] * (y >= 0).sum() / tokens
        loss.backward()
        total += loss.item()
    optimizer.step()
    schedule.step()
    return total


def run(
    program: Callable[..., float], shape: GPTConfig, data: Dataset, draw: Callable = windows, steps: int = 40
) -> list[float]:
    """What a program logs with AdamW: the notebook's own loop, for the two curves at its top."""
    model, logged = GPT(shape, torch.Generator().manual_seed(1337)), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = straight_to_zero(optimizer, steps)
    for step in range(steps):
        x, y = draw(data, 4 * MICRO_BATCHES, shape.block_size, seed=step)
        logged.append(program(model, optimizer, list(zip(x.split(4), y.split(4), strict=True)), schedule))
    return logged


def twins(shape: GPTConfig, data: Dataset, steps: int = 40) -> tuple[list[float], list[float]]:
    """The curve of a program that is right, and that of one with program 4's bug."""
    names: dict[str, Any] = {}
    exec(program_4.buggy, names)
    return tuple(run(program, shape, data, lines, steps) for program in (right, names["program_4"]))


# --- the judge ------------------------------------------------------------------------------------------


def _truth(model: GPT, micro_batches: MicroBatches) -> tuple[Tensor, float]:
    """The gradient and the loss that a step should find at the weights as they are."""
    trial = copy.deepcopy(model)
    trial.zero_grad(set_to_none=True)
    loss = trial(*(torch.cat(part) for part in zip(*micro_batches, strict=True)))[1]
    loss.backward()
    return _flat(trial), loss.item()


def _flat(model: GPT) -> Tensor:
    """All gradients in a row; zeros where there is none."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])


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


def judge(program: Callable[..., float], *, unequal: bool = False) -> None:
    """Three steps of the learner's program; the first symptom is told as a number, and never the remedy."""
    model, batches = _tiny_run(unequal)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    schedule, steps = straight_to_zero(optimizer, STEPS), []
    optimizer.register_step_pre_hook(lambda *_: steps.append((_flat(model), optimizer.param_groups[0]["lr"])))
    for done, micro_batches in enumerate(batches):
        gradient, loss = _truth(model, micro_batches)
        with warnings.catch_warnings(action="ignore"):  # PyTorch notices one of the bugs, and would tell
            logged = program(model, optimizer, list(micro_batches), schedule)
        if len(steps) != done + 1:
            raise Wrong(f"in one step `optimizer.step()` was called {len(steps) - done} times, not once")
        _judge_gradient(gradient, steps[done][0], done + 1)
        _judge_loss(loss, logged, done + 1)
    rates = [rate for _, rate in steps]
    wanted = [RATE * (1 - done / STEPS) for done in range(STEPS)]
    if not np.allclose(rates, wanted):
        told, right = ("`" + ", ".join(f"{rate:.3f}" for rate in each) + "`" for each in (rates, wanted))
        raise Wrong(f"gradients and logged losses are right. The learning rates of the steps are {told}, not {right}")


def _judge_gradient(want: Tensor, got: Tensor, step: int) -> None:
    off = ((got - want).norm() / want.norm()).item()
    if off < 1e-6:
        return
    factor = (got @ want / (want @ want)).item()
    if torch.allclose(got, factor * want, rtol=1e-5, atol=1e-9):
        raise Wrong(f"in step {step}, the gradient is {factor:.2f} times that of the whole batch")
    raise Wrong(f"in step {step}, the gradient is {100 * off:.0f} % away from that of the whole batch")


def _judge_loss(want: float, logged: Any, step: int) -> None:
    try:
        got = float(logged)
    except (TypeError, ValueError):
        raise Wrong("return the loss that is to be logged, a number") from None
    if abs(got - want) < 1e-6:
        return
    factor = got / want
    for times in (MICRO_BATCHES, 1 / MICRO_BATCHES):
        if abs(factor - times) < 1e-6:
            raise Wrong(f"the gradient is right, but the logged loss is {factor:.2f} times that of the whole batch")
    raise Wrong(f"the gradient is right, but step {step} logs `{got:.3f}`; the loss of the batch is `{want:.3f}`")


# --- the exhibits ---------------------------------------------------------------------------------------


class Exhibit(Exercise):
    """An exercise that begins with a bug instead of a blank.

    Args:
        name: of the function in the notebook's cell.
        right: the program as it should be; its source code under that name is the solution.
        bug: what the cell says instead, source text -> source text; each occurs in the solution once.
        curve: the letter of its curve in the figure.
        parts: the rest of an `Exercise`.
    """

    def __init__(self, *, name: str, right: Callable[..., float], bug: Mapping[str, str], curve: str, **parts: Any):
        solution = inspect.getsource(right).replace(f"def {right.__name__}(", f"def {name}(")
        if right.__doc__:
            solution = solution.replace(f'    """{right.__doc__}"""\n', "")
        super().__init__(name=name, solution=solution, minutes=3, **parts)
        self.curve, self.buggy = curve, self.solution_source
        for correct, wrong in bug.items():
            before, after = self.buggy.split(correct)
            self.buggy = before + wrong + after


program_1 = Exhibit(
    name="program_1",
    title="Program 1",
    difficulty=1,
    check=judge,
    hints=("Which micro-batch does the logged loss come from?", "Begin with `total = 0.0` and add every loss to it."),
    right=_right,
    curve="E",
    bug={
        "    total = 0.0\n": "",
        "        total += loss.item()\n": "",
        "return total": "return loss.item() * len(micro_batches)",
    },
)

program_2 = Exhibit(
    name="program_2",
    title="Program 2",
    difficulty=1,
    check=judge,
    hints=(
        "How long is the sum of four gradients, compared with their mean?",
        "`loss = model(x, y)[1] / len(micro_batches)`; then `total` is the mean already.",
    ),
    right=_right,
    curve="C",
    bug={" / len(micro_batches)": "", "return total": "return total / len(micro_batches)"},
)

program_3 = Exhibit(
    name="program_3",
    title="Program 3",
    difficulty=2,
    check=judge,
    hints=("In a run of 100 steps, how often is `schedule.step()` called?", "Once a step: after the loop."),
    right=_right,
    curve="A",
    bug={"    schedule.step()\n": "", "    optimizer.step()": "        schedule.step()\n    optimizer.step()"},
)

program_4 = Exhibit(
    name="program_4",
    title="Program 4",
    difficulty=3,
    check=lambda program: judge(program, unequal=True),
    hints=(
        "What if one micro-batch has 3 tokens that count, and another has 12? `(y >= 0).sum()` counts them.",
        "Count the tokens of the whole step before the loop.",
        "`loss = model(x, y)[1] * (y >= 0).sum() / tokens`.",
    ),
    right=right,
    curve="F",
    bug={
        "    tokens = sum((y >= 0).sum() for _, y in micro_batches)\n": "",
        "micro_batches:\n": "micro_batches:  # lines of verse: y is -1 after the end of a line, and does not count\n",
        " * (y >= 0).sum() / tokens": " / len(micro_batches)",
    },
)

program_5 = Exhibit(
    name="program_5",
    title="Program 5",
    difficulty=1,
    check=judge,
    hints=("`backward` adds to what is there. What is there when the second step begins?", "`optimizer.zero_grad()`."),
    right=_right,
    curve="D",
    bug={"    optimizer.zero_grad()\n": ""},
)

program_6 = Exhibit(
    name="program_6",
    title="Program 6",
    difficulty=1,
    check=judge,
    hints=("`total` adds up four quarters. What is that?", "`return total`."),
    right=_right,
    curve="B",
    bug={"return total": "return total * len(micro_batches)"},
)

PROGRAMS = (program_1, program_2, program_3, program_4, program_5, program_6)


def _check_match(letters: Sequence[str]) -> None:
    """The letters of the curves, in the order of the programs."""
    wanted = [program.curve for program in PROGRAMS]
    letters = list(letters) if isinstance(letters, str) else letters
    if not isinstance(letters, (list, tuple)) or sorted(str(letter).upper() for letter in letters) != sorted(wanted):
        raise Wrong("write the six letters A to F, each once, in the order of the programs")
    right = sum(str(got).upper() == want for got, want in zip(letters, wanted, strict=True))
    if right < len(wanted):
        raise Wrong(f"{right} of 6 are right")


drawn_as = Exercise(
    name="drawn_as",
    title="Which program drew which curve?",
    difficulty=2,
    minutes=8,
    check=_check_match,
    hints=(
        "Start with the scale: which program logs a number four times too high?",
        "One program forgets nothing from step to step: it turns, and learns no more. One has a learning rate that "
        "goes below zero: from there on every step leads uphill.",
        "Of the two that look healthy, one logs the loss of 4 sequences instead of 16: it jitters twice as much.",
    ),
    solution="drawn_as = " + repr([program.curve for program in PROGRAMS]),
    starter="drawn_as = [..., ..., ..., ..., ..., ...]",
)

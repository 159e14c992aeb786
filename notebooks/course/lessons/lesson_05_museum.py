"""The bug museum of lesson 05: six programs with bugs that shipped, and a judge that knows their symptoms.

A program is one optimizer step, `program(model, optimizer, micro_batches, schedule)`, and returns the loss to be
logged. It is a loop of its own because the loop is the subject. Here is the right one and what each bug changes in
it; the notebook's cell shows the result, `buggy`.
"""

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from course.exercise import Exercise, Wrong, changed, defined
from gptlib.config import GPTConfig
from gptlib.dataset import Dataset, make_batch, sample_offsets
from gptlib.model import GPT


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


def _right_for_lines(model, optimizer, micro_batches, schedule):
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


right = _right_for_lines  # for windows of equal length too


def run(
    program: Callable[..., float], shape: GPTConfig, data: Dataset, draw: Callable = windows, steps: int = 32
) -> list[float]:
    """What a program logs with AdamW: the notebook's own loop, for the two curves at its top."""
    model, logged = GPT(shape, torch.Generator().manual_seed(1337)), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = LambdaLR(optimizer, lambda done: 1 - done / steps)
    for step in range(steps):
        x, y = draw(data, 16, shape.block_size, seed=step)
        logged.append(program(model, optimizer, list(zip(x.split(4), y.split(4), strict=True)), schedule))
    return logged


def twins(shape: GPTConfig, data: Dataset, steps: int = 32) -> tuple[list[float], list[float]]:
    """The curve of a program that is right, and that of one with program 4's bug."""
    return tuple(run(program, shape, data, lines, steps) for program in (right, defined(PROGRAMS[3].buggy)))


# --- the judge ------------------------------------------------------------------------------------------


def examine(program, model, batches):
    optimizer, seen, report = torch.optim.SGD(model.parameters(), lr=0.1), [], []
    schedule = LambdaLR(optimizer, lambda done: 1 - done / len(batches))  # the rates of 2 steps should be 0.1, 0.05

    @optimizer.register_step_pre_hook  # PyTorch calls this just before each optimizer.step()
    def look(*_):
        seen.append((torch.cat([p.grad.flatten() for p in model.parameters()]), optimizer.param_groups[0]["lr"]))

    for step, (x, y) in enumerate(batches, 1):
        want, loss = gradient(copy.deepcopy(model), x, y, len(x)), model(x, y)[1].item()
        logged = program(model, optimizer, list(zip(x.split(4), y.split(4), strict=True)), schedule)
        assert len(seen) == step, f"optimizer.step() was called {len(seen)} times in {step} steps"
        report.append((((seen[-1][0] - want).norm() / want.norm()).item(), logged / loss, seen[-1][1]))
    return report


def gradient(model, x, y, n):
    model.zero_grad()
    for micro_x, micro_y in zip(x.split(n), y.split(n), strict=True):
        (model(micro_x, micro_y)[1] * n / len(x)).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def judge(program: Callable[..., float], *, unequal: bool = False) -> None:
    """Two steps of the learner's program; the first symptom is told as a number, and never the remedy."""
    with torch.random.fork_rng(), warnings.catch_warnings(action="ignore"):  # PyTorch notices one bug, and would tell
        torch.manual_seed(11)
        model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=1, n_head=2, n_embd=8)).double()
        x, y = torch.randint(7, (2, 2, 16, 4))
        if unequal:  # the lines of micro-batch i end after i + 1 tokens
            for i in range(4):
                y[:, 4 * i : 4 * i + 4, i + 1 :] = -1
        try:
            report = examine(program, model, list(zip(x, y, strict=True)))
        except AssertionError as error:
            raise Wrong(str(error)) from None
        except TypeError:
            raise Wrong("return the loss that is to be logged, a number") from None
    for step, (off, factor, _) in enumerate(report, 1):
        if off > 1e-6:
            raise Wrong(f"in step {step}, the gradient is {100 * off:.0f} % away from that of the whole batch")
        if abs(factor - 1) > 1e-6:
            raise Wrong(f"the gradient is right, but step {step} logs {100 * factor:.1f} % of the loss of the batch")
    rates = [rate for _, _, rate in report]
    if not np.allclose(rates, [0.1, 0.05]):
        told = ", ".join(f"{rate:.2f}" for rate in rates)
        raise Wrong(f"gradients and logged losses are right. The learning rates are `{told}`, not `0.10, 0.05`")


# --- the exhibits ---------------------------------------------------------------------------------------


def _exhibit(number: int, curve: str, bug: Mapping[str, str], hints: Sequence[str], stars: int = 1) -> Exercise:
    """An exercise that begins with a bug instead of a blank; `bug`: words of the right program -> what the cell says.

    Its `buggy` is the source code in the cell, and its `curve` the letter of its curve in the figure.
    """
    name, right = f"program_{number}", _right_for_lines if number == 4 else _right
    solution = inspect.getsource(right).replace(right.__name__, name)
    check = partial(judge, unequal=number == 4)
    program = Exercise(
        name=name, title=f"Program {number}", difficulty=stars, minutes=3, check=check, hints=hints, solution=solution
    )
    program.curve = curve
    program.buggy = reduce(lambda source, change: changed(source, *change), bug.items(), program.solution_source)
    return program


PROGRAMS = (
    _exhibit(
        1,
        "E",
        {
            "    total = 0.0\n": "",
            "        total += loss.item()\n": "",
            "return total": "return loss.item() * len(micro_batches)",
        },
        ("Which micro-batch does the logged loss come from?", "Begin with `total = 0.0` and add every loss to it."),
    ),
    _exhibit(
        2,
        "C",
        {" / len(micro_batches)": "", "return total": "return total / len(micro_batches)"},
        (
            "How long is the sum of four gradients, compared with their mean?",
            "`loss = model(x, y)[1] / len(micro_batches)`; then `total` is the mean already.",
        ),
    ),
    _exhibit(
        3,
        "A",
        {"    schedule.step()\n": "", "    optimizer.step()": "        schedule.step()\n    optimizer.step()"},
        ("In a run of 100 steps, how often is `schedule.step()` called?", "Once a step: after the loop."),
        stars=2,
    ),
    _exhibit(
        4,
        "F",
        {
            "    tokens = sum((y >= 0).sum() for _, y in micro_batches)\n": "",
            "batches:\n": "batches:  # lines of verse: y is -1 after the end of a line, and does not count\n",
            " * (y >= 0).sum() / tokens": " / len(micro_batches)",
        },
        (
            "What if one micro-batch has 4 tokens that count, and another has 16? `(y >= 0).sum()` counts them.",
            "Count the tokens of the whole step before the loop.",
            "`loss = model(x, y)[1] * (y >= 0).sum() / tokens`.",
        ),
        stars=3,
    ),
    _exhibit(
        5,
        "D",
        {"    optimizer.zero_grad()\n": ""},
        (
            "`backward` adds to what is there. What is there when the second step begins?",
            "`optimizer.zero_grad()`.",
        ),
    ),
    _exhibit(
        6,
        "B",
        {"return total": "return total * len(micro_batches)"},
        ("`total` adds up four quarters. What is that?", "`return total`."),
    ),
)


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
)

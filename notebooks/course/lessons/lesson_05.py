"""Lesson 05: a large batch in a small memory."""

import torch
from torch import Tensor

from course.lessons import Exercise, SameAs, SameSteps, Wrong, defined, quizzes
from course.lessons.lesson_05_museum import PROGRAMS, drawn_as
from course.prediction import Prediction
from gptlib.config import GPTConfig
from gptlib.model import GPT

predict_split = Prediction(
    "You go from 32 sequences at once, (32, 1), to one at a time, (1, 32). What happens to the training curve?",
    choices=(
        "Nothing at all: it stays the same curve, and only the time changes",
        "It gets much noisier: one sequence says less than 32",
        "It falls 32 times more slowly: most passes make no update",
    ),
    answer=0,
    why="Each step still averages the same 32 sequences. Run both, and compare the thin lines and the seconds.",
)


# --- exercises ------------------------------------------------------------------------------------------


def _tiny(sequences: int) -> tuple[GPT, Tensor, Tensor]:
    """A GPT of a few hundred weights, and sequences for it."""
    with torch.random.fork_rng():  # the learner's own random numbers stay as they were
        torch.manual_seed(5)
        model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=1, n_head=2, n_embd=8)).double()
        return model, *torch.randint(7, (2, sequences, 4))


def _number(answer, what: str) -> float:
    try:
        return float(answer)
    except (TypeError, ValueError):
        raise Wrong(f"return {what}") from None


_ACCUMULATE = """
    def accumulate(model, x, y, batch_size):
        model.zero_grad()
        total = 0.0
        for micro_x, micro_y in zip(x.split(batch_size), y.split(batch_size), strict=True):
            loss = model(micro_x, micro_y)[1] * len(micro_x) / len(x)
            loss.backward()
            total += loss.item()
        return total
"""


def _accumulated(accumulate) -> dict[str, Tensor | float]:
    """The gradient that is left, and the loss that is returned."""
    model, x, y = _tiny(32)
    at_once = []
    with model.register_forward_pre_hook(lambda _, arguments: at_once.append(len(arguments[0]))):
        answer = accumulate(model, x, y, 10)
    if max(at_once, default=0) > 10:
        raise Wrong(f"{max(at_once)} sequences went through the model at once; no more than `batch_size`, 10, may")
    loss = _number(answer, "the loss over all of `x`, a number")
    if any(p.grad is None for p in model.parameters()):
        raise Wrong("the weights have no gradient afterwards: call `backward`, and do not clear the gradient after it")
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
    return {
        "32 sequences in portions of 10, 10, 10 and 2: the gradient": gradient,
        "the gradient is right; the loss": loss,
    }


accumulate = Exercise(
    name="accumulate",
    title="Portions that do not divide evenly",
    difficulty=2,
    minutes=10,
    check=SameSteps(
        _accumulated,
        want=lambda: _accumulated(defined(_ACCUMULATE)),
        solution=_ACCUMULATE,
        mistakes={
            "every portion counts the same, but the last one has only 2 sequences: a mean of means is not the mean": (
                "* len(micro_x) / len(x)",
                "/ 4",
            ),
            "that adds up the portions; each should count by its fraction of the sequences": (
                " * len(micro_x) / len(x)",
                "",
            ),
            "multiply by the sequences of the portion, and also divide by all 32": (" / len(x)", ""),
            "each loss is a mean over its portion already, so dividing by 32 makes it too small": (
                "* len(micro_x) / len(x)",
                "/ len(x)",
            ),
            "that divides by `batch_size`; how many of all 32 sequences does the portion have?": (
                "* len(micro_x) / len(x)",
                "/ batch_size",
            ),
            "`batch_size` is 10 for the last portion too, which has only 2": ("len(micro_x) /", "batch_size /"),
            "that is the portion's fraction of `batch_size`; take that of all 32": ("len(x)", "batch_size"),
            "only the last portion is left: clear once, before the loop, not in it": (
                "    loss = ",
                "    model.zero_grad()\n            loss = ",
            ),
        },
    ),
    hints=(
        "`loss` is a mean over the portion. How much of the mean over all sequences comes from this portion?",
        "A portion of 2 sequences out of 32 counts 2/32.",
        "`len(micro_x) / len(x)`.",
    ),
    solution=_ACCUMULATE,
)

_TEST = """
    import copy
    import torch

    def gradient_test(model, x, y, step):
        whole = copy.deepcopy(model)
        whole.zero_grad()
        whole(x, y)[1].backward()
        want = torch.cat([p.grad.flatten() for p in whole.parameters()])
        step(model, x, y)
        got = torch.cat([p.grad.flatten() for p in model.parameters()])
        return ((got - want).norm() / want.norm()).item()
"""


def _tested(gradient_test) -> dict[str, float]:
    """What the learner's test says of a good step, and of bad ones."""

    def step(divide=4, clear=True, first=12):
        def step(model, x, y):
            if clear:
                model.zero_grad()
            for micro_x, micro_y in zip(x[:first].split(3), y[:first].split(3), strict=True):
                (model(micro_x, micro_y)[1] / divide).backward()

        return step

    steps = {
        "is right": step(),
        "forgets to divide by 4": step(divide=1),
        "divides by 8 instead of 4": step(divide=8),
        "leaves out half of the sequences": step(divide=2, first=6),
        "does not clear old gradients (they must still be there when it begins)": step(clear=False),
    }
    found = {}
    for what, program in steps.items():
        model, x, y = _tiny(12)
        step()(model, x, y)  # what an earlier step has left
        answer = gradient_test(model, x, y, program)
        found[f"for a step that {what}, your test"] = _number(answer, "one number: how far off the gradient is")
    return found


gradient_test = Exercise(
    name="gradient_test",
    title="The test that catches it",
    difficulty=3,
    minutes=12,
    check=SameSteps(
        _tested,
        want=lambda: _tested(defined(_TEST)),
        solution=_TEST,
        mistakes={
            "divide by the length of the whole batch's gradient": (" / want.norm()", ""),
            "that is the square; take the root, or use `norm()`": (".norm()).item()", ".norm()).item() ** 2"),
            "that is a ratio of lengths; how long is `got - want`?": ("(got - want)", "got"),
            "you compare a gradient with itself. `.grad` is overwritten: keep a copy of it": (
                "got - want",
                "got - got",
            ),
            "`step` needs `model` itself, as it came: take the true gradient from the copy": (
                "    step(model, x, y)",
                "    model.zero_grad()\n        step(model, x, y)",
            ),
        },
    ),
    hints=(
        "Two gradients: that of `model(x, y)[1]`, all at once, and what `step` leaves in `.grad`, each as a long row: "
        "`torch.cat([p.grad.flatten() for p in model.parameters()])`.",
        "Take the first one from `copy.deepcopy(model)`, cleared, so that `model` is untouched when `step` gets it.",
        "`((got - want).norm() / want.norm()).item()`.",
    ),
    solution=_TEST,
)


def _random_gradients(rng) -> tuple[Tensor]:
    rows = rng.randint(4, 9)
    return (torch.tensor([[rng.gauss(2, 2) for _ in range(6)] for _ in range(rows)], dtype=torch.float64),)


def _critical(gradients, noise=lambda g: g.std(dim=0).norm(), signal=lambda g: g.mean(dim=0).norm(), power=2):
    return ((noise(gradients) / signal(gradients)) ** power).item()


critical_batch_size = Exercise(
    name="critical_batch_size",
    title="How large a batch is worth it?",
    difficulty=2,
    minutes=8,
    check=SameAs(
        _critical,
        inputs=[(torch.tensor([[3.0, 0.0], [1.0, 2.0], [2.0, -2.0]]),)],
        random_input=_random_gradients,
        mistakes={
            "that is noise / signal of one sequence; noise falls with the root of the batch, so square it": (
                lambda g: _critical(g, power=1)
            ),
            "upside down: noise divided by signal": lambda g: 1 / _critical(g),
            "average over the sequences, `dim=0`, not over the weights": (
                lambda g: _critical(g, lambda g: g.std(dim=1).norm(), lambda g: g.mean(dim=1).norm())
            ),
            "that takes the noise left in the mean out of the signal, as the lesson's cell does; here leave it in": (
                lambda g: g.var(dim=0).sum() / (g.mean(dim=0).norm() ** 2 - g.var(dim=0).sum() / len(g))
            ),
            "that divides the squares by n; take the usual spread, `std(dim=0)`, which divides by n - 1": (
                lambda g: _critical(g, lambda g: g.std(dim=0, correction=0).norm())
            ),
            "the signal is the length of the mean gradient, not the mean of the lengths": (
                lambda g: _critical(g, signal=lambda g: g.norm(dim=1).mean())
            ),
        },
    ),
    hints=(
        "Signal: the length of the mean of the rows. Noise: the length of their standard deviation. Both over `dim=0`.",
        "With n sequences the noise is noise / √n. For which n is it as long as the signal?",
        "`(gradients.std(dim=0).norm() / gradients.mean(dim=0).norm()) ** 2`.",
    ),
    solution="""
        def critical_batch_size(gradients):
            noise = gradients.std(dim=0).norm()
            signal = gradients.mean(dim=0).norm()
            return ((noise / signal) ** 2).item()
    """,
)

program_1, program_2, program_3, program_4, program_5, program_6 = PROGRAMS
EXERCISES = [drawn_as, *PROGRAMS, accumulate, gradient_test, critical_batch_size]
RECALL, QUIZ = quizzes("05")

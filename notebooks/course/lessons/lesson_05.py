"""Lesson 05: a large batch in a small memory."""

import copy

import torch

from course.lessons import Exercise, SameAs, Wrong, quizzes
from course.lessons.lesson_05_museum import (
    PROGRAMS,
    drawn_as,
    program_1,
    program_2,
    program_3,
    program_4,
    program_5,
    program_6,
)
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


def _flat(model: GPT) -> torch.Tensor:
    """All gradients in a row, in float64; empty if there are none."""
    gradients = [p.grad.flatten().double() for p in model.parameters() if p.grad is not None]
    return torch.cat(gradients) if gradients else torch.zeros(0)


def _tiny(sequences: int) -> tuple[GPT, torch.Tensor, torch.Tensor]:
    """A GPT of a few hundred weights, and sequences for it."""
    with torch.random.fork_rng():  # the learner's own random numbers stay as they were
        torch.manual_seed(5)
        model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=1, n_head=2, n_embd=8)).double()
        return model, *torch.randint(7, (2, sequences, 4))


def _full_gradient(model: GPT, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    model.zero_grad(set_to_none=True)
    model(x, y)[1].backward()
    return _flat(model)


def _check_accumulate(accumulate) -> None:
    """The learner's loop on a very small GPT: 32 sequences in portions of 10, 10, 10 and 2."""
    model, x, y = _tiny(32)
    portions = list(zip(x.split(10), y.split(10), strict=True))
    parts = [_full_gradient(model, *portion) for portion in portions]
    whole, loss = _full_gradient(model, x, y), model(x, y)[1].item()
    model.zero_grad(set_to_none=True)
    at_once = []
    with model.register_forward_pre_hook(lambda _, arguments: at_once.append(len(arguments[0]))):
        answer = accumulate(model, x, y, 10)
    if max(at_once, default=0) > 10:
        raise Wrong(f"{max(at_once)} sequences went through the model at once; no more than `batch_size`, 10, may")
    try:
        answer = float(answer)
    except (TypeError, ValueError):
        raise Wrong("return the loss over all of `x`, a number") from None
    got = _flat(model)
    if got.shape != whole.shape or not got.any():
        raise Wrong("the weights have no gradient afterwards: call `backward`, and do not clear the gradient after it")
    sizes = [10, 10, 10, 2]
    known = {
        "every portion counts the same there, but the last one has only 2 sequences: a mean of means is not the mean": (
            sum(parts) / 4
        ),
        "you have the sum of the portions' gradients; each should count by its share of the sequences": sum(parts),
        "multiply by the sequences of the portion, and also divide by all 32": (
            sum(n * part for n, part in zip(sizes, parts, strict=True))
        ),
        "each loss is a mean over its portion already, so dividing by 32 alone makes it too small": sum(parts) / 32,
        "`batch_size` is 10 for the last portion too, which has only 2 sequences": 10 / 32 * sum(parts),
        "that is each portion's share of `batch_size`; take its share of all 32 sequences": (
            sum(n / 10 * part for n, part in zip(sizes, parts, strict=True))
        ),
        "that divides by `batch_size`, 10; ask how many sequences of the 32 the portion has": sum(parts) / 10,
    }
    if any(torch.allclose(got, parts[-1] * factor, rtol=1e-6, atol=1e-12) for factor in (1, 1 / 4, 2 / 32, 1 / 10)):
        raise Wrong("only the last portion is left in the gradient: clear it once, before the loop, not in it")
    for reason, gradient in known.items():
        if torch.allclose(got, gradient, rtol=1e-6, atol=1e-12):
            raise Wrong(f"32 sequences in portions of 10, 10, 10 and 2: {reason}")
    if not torch.allclose(got, whole, rtol=1e-6, atol=1e-12):
        raise Wrong("the gradient is not that of the whole batch: does each sequence count once?")
    if abs(answer - loss) > 1e-6:
        raise Wrong(
            f"the gradient is right, but the loss that you return is {answer / loss:.2g} times the batch's loss"
        )


accumulate = Exercise(
    name="accumulate",
    title="Portions that do not divide evenly",
    difficulty=2,
    minutes=10,
    check=_check_accumulate,
    hints=(
        "`loss` is a mean over the portion. How much of the mean over all sequences comes from this portion?",
        "A portion of 2 sequences out of 32 counts 2/32.",
        "`len(micro_x) / len(x)`.",
    ),
    solution="""
        def accumulate(model, x, y, batch_size):
            model.zero_grad()
            total = 0.0
            for micro_x, micro_y in zip(x.split(batch_size), y.split(batch_size), strict=True):
                loss = model(micro_x, micro_y)[1] * len(micro_x) / len(x)
                loss.backward()
                total += loss.item()
            return total
    """,
    starter="""
        def accumulate(model, x, y, batch_size):
            model.zero_grad()
            total = 0.0
            for micro_x, micro_y in zip(x.split(batch_size), y.split(batch_size), strict=True):
                loss = model(micro_x, micro_y)[1] * ...
                loss.backward()
                total += loss.item()
            return total
    """,
)


def _check_gradient_test(gradient_test) -> None:
    """The learner's test has to pass a good step and to catch bad ones, by how far off they are."""
    model, x, y = _tiny(12)

    def step(model, x, y, divide=4, clear=True):
        if clear:
            model.zero_grad()
        for micro_x, micro_y in zip(x.split(3), y.split(3), strict=True):
            (model(micro_x, micro_y)[1] / divide).backward()

    whole, half = _full_gradient(model, x, y), _full_gradient(model, x[:6], y[:6])
    length = whole.norm().item()
    model.zero_grad(set_to_none=True)
    trials = {
        "a step that is right": (step, 0.0),
        "a step that forgets to divide by 4": (lambda *args: step(*args, divide=1), 3.0),
        "a step that divides by 8 instead of 4": (lambda *args: step(*args, divide=8), 0.5),
        "a step that leaves out half of the sequences": (
            lambda model, x, y: _full_gradient(model, x[:6], y[:6]),
            (half - whole).norm().item() / length,
        ),
        "a step that does not clear old gradients": (lambda *args: step(*args, clear=False), 1.0),
    }
    for what, (program, want) in trials.items():
        trial = copy.deepcopy(model)
        if "clear" in what:  # what an earlier step has left
            _full_gradient(trial, x, y)
        got = gradient_test(trial, x, y, program)
        try:
            got = float(got)
        except (TypeError, ValueError):
            raise Wrong("return one number: how far off the gradient is") from None
        if abs(got - want) < 1e-6:
            continue
        told = f"for {what}, your test gives {got:.3g}, not {want:.3g}"
        if "clear" in what:
            where = (
                "`step` needs `model` itself, as it came: a copy has no `.grad`. Take the true gradient from the copy"
            )
            raise Wrong(f"{told}: the old gradient must still be there when `step` begins. {where}")
        if want and abs(got - want * length) < 1e-6:
            raise Wrong(f"{told}: divide by the length of the whole batch's gradient")
        if want and abs(got - want**2) < 1e-6:
            raise Wrong(f"{told}: that is the square; take the root, or use `norm()`")
        if not want and abs(got - 1) < 1e-6:
            raise Wrong(f"{told}: that is a ratio of lengths, or one of the two gradients is missing")
        if want and got < 1e-6:
            raise Wrong(f"{told}: you compare a gradient with itself. `.grad` is overwritten: keep a copy of it")
        raise Wrong(f"{told}: how long is `got - want`, all weights in one row?")


gradient_test = Exercise(
    name="gradient_test",
    title="The test that catches it",
    difficulty=3,
    minutes=12,
    check=_check_gradient_test,
    hints=(
        "Two gradients: that of `model(x, y)[1]`, all at once, and what `step` leaves in `.grad`, each as a long row: "
        "`torch.cat([p.grad.flatten() for p in model.parameters()])`.",
        "Take the first one from `copy.deepcopy(model)`, cleared, so that `model` is untouched when `step` gets it.",
        "`((got - want).norm() / want.norm()).item()`.",
    ),
    solution="""
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
    """,
)


def _random_gradients(rng) -> tuple[torch.Tensor]:
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

MUSEUM = [program_1, program_2, program_3, program_4, program_5, program_6]
EXERCISES = [drawn_as, *PROGRAMS, accumulate, gradient_test, critical_batch_size]
RECALL, QUIZ = quizzes("05")

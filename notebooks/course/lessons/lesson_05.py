"""Lesson 05: a large batch in a small memory."""

import copy

import torch

from course.lessons import Choice, Exercise, Question, Quiz, SameAs, Wrong
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

QUIZ = Quiz(
    "05",
    [
        Question(
            "`batch_size = 8`, `gradient_accumulation_steps = 4`, `block_size = 32`. How many tokens does one update "
            "of the weights learn from?",
            [
                Choice(
                    "1,024",
                    "8 sequences × 4 micro-batches × 32 tokens. (In some libraries, batch size means the total.)",
                    right=True,
                ),
                Choice(
                    "256: accumulation only splits the 8",
                    "`batch_size` is the micro-batch. It is not split any further: four such batches make a step.",
                ),
                Choice(
                    "64: each micro-batch has 2 sequences",
                    "That would be a batch of 8 cut into 4. Here, `batch_size` says how large each portion is.",
                ),
            ],
        ),
        Question(
            "A paper takes 524,288 tokens a step. Your GPUs hold 16 sequences of 1,024 tokens each, and there are 4 of "
            "them. What is `gradient_accumulation_steps` in this library?",
            [
                Choice(
                    "8: each GPU does 8 micro-batches",
                    "Each does 8, right. But the setting counts all micro-batches of a step, those of all GPUs.",
                ),
                Choice(
                    "32",
                    "524,288 / (16 × 1,024) = 32 micro-batches in a step. The 4 GPUs do 8 each. With one GPU it would "
                    "still be 32, and the run the same.",
                    right=True,
                ),
                Choice(
                    "128: 32 for each of the 4 GPUs",
                    "That would be 2,097,152 tokens a step, four times what the paper takes.",
                ),
            ],
        ),
        Question(
            "What does gradient accumulation save?",
            [
                Choice(
                    "Memory for gradients: four small ones instead of a large one",
                    "A gradient has as many numbers as the model has weights, whatever the batch.",
                ),
                Choice(
                    "Time: smaller batches are quicker",
                    "Each is quicker, but there are more of them. In total it takes the same time or longer.",
                ),
                Choice(
                    "What the forward pass keeps for the backward pass",
                    "That grows with the sequences in the model at once, and each backward pass frees it.",
                    right=True,
                ),
                Choice(
                    "All memory: it is divided by the number of steps",
                    "Weights, gradients and AdamW's two numbers for each weight stay as large as they are.",
                ),
            ],
        ),
        Question(
            "Even `batch_size = 1` does not fit into the memory. What helps?",
            [
                Choice(
                    "A larger `gradient_accumulation_steps`",
                    "It makes the step larger, not the micro-batch smaller, and one sequence is the smallest there is.",
                ),
                Choice(
                    "A smaller `block_size` or model",
                    "Then one sequence needs less. (Other ways trade time for memory, or use fewer digits: lesson 08.)",
                    right=True,
                ),
                Choice(
                    "A lower `learning_rate`",
                    "The learning rate is one number. It changes where the weights go, not what they need.",
                ),
            ],
        ),
        Question(
            "A log of a new program, 4 micro-batches a step, 63 characters: losses 16.7, 16.1, 14.9, ... Is it a bug?",
            [
                Choice(
                    "No: an untrained model has a high loss.",
                    "Guessing costs ln 63 = 4.14. Four times that is no accident.",
                ),
                Choice(
                    "Yes, in the model: it is far worse than guessing.",
                    "It would have to be very sure of wrong characters. And exactly four times as much?",
                ),
                Choice(
                    "Yes: it logs the sum of four losses.",
                    "16.7 / 4 = 4.2. The model may be fine: what matters is whether the gradient is divided too.",
                    right=True,
                ),
            ],
        ),
        Question(
            "Another log: the loss falls for a quarter of the run, levels off, and then climbs. The learning rates of "
            "the steps: 0.003, 0.002, 0.001, 0, −0.001, ... What is wrong?",
            [
                Choice(
                    "The schedule counts micro-batches.",
                    "With 4 of them it is through after a quarter of the run. Below zero, every step goes uphill.",
                    right=True,
                ),
                Choice(
                    "Nothing: a schedule ends with small rates.",
                    "Small, but not negative. A negative rate steps along the gradient, uphill.",
                ),
                Choice(
                    "The gradients are never cleared.",
                    "That climbs too, but the learning rates would be as planned. Look at the numbers.",
                ),
            ],
        ),
        Question(
            "With dropout 0.1, the runs (32, 1) and (8, 4) with the same seed differ in the second digit of the loss. "
            "What do you do first?",
            [
                Choice(
                    "Look for a missing division",
                    "That would show without dropout too. So take dropout away first.",
                ),
                Choice(
                    "Set dropout to 0 and compare again",
                    "If they agree then, the difference was that other activations were dropped, as with another seed.",
                    right=True,
                ),
                Choice(
                    "Report a bug: the same seed must give the same run",
                    "The same random numbers fall on different activations when the portions are different.",
                ),
            ],
        ),
        Question(
            "The noise says: the critical batch size is about 100 sequences. You go from 400 to 1,600. What happens?",
            [
                Choice(
                    "A quarter of the steps, for the same text",
                    "That is how it works well below 100. Up there the noise is small already.",
                ),
                Choice(
                    "Training gets unstable: batches that large fail",
                    "A large batch is the safest step there is. It only costs a lot.",
                ),
                Choice(
                    "Almost as many steps, each of four times the text",
                    "The gradient was nearly exact already. Four times the work makes it hardly better.",
                    right=True,
                ),
            ],
        ),
    ],
)

RECALL = Quiz(
    "recall",
    [
        Question(
            "Lesson 04: you call `backward()` twice and clear nothing in between. What is in `.grad`?",
            [
                Choice("The second gradient", "`backward` does not replace what is there."),
                Choice("The sum of both", "It adds. In this lesson that is exactly what we want.", right=True),
                Choice("The mean of both", "It adds and divides by nothing. You have seen twice the gradient."),
            ],
        ),
        Question(
            "Lesson 03: you average four times as many batches. What happens to the error of the mean?",
            [
                Choice("A quarter is left", "That would take sixteen times as many: the error goes with the root."),
                Choice("Half of it is left", "The error of a mean falls with the square root of how many.", right=True),
                Choice("It stays, as every batch has the same noise", "Each has, but in the mean it cancels in part."),
            ],
        ),
        Question(
            "Lesson 04: every gradient suddenly gets four times as long. What does AdamW make of it, after a while?",
            [
                Choice("Steps of the same length", "It divides by the usual size, which is four times as large.", True),
                Choice("Steps four times as long", "Plain gradient descent would do that."),
                Choice("Steps a quarter as long", "It divides by the usual size, but the gradient itself grew too."),
            ],
        ),
    ],
)

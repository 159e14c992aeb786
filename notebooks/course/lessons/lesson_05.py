"""Lesson 05: a large batch in a small memory."""

import torch

from course.lessons import Choice, Exercise, Question, Quiz, SameAs, Wrong
from course.lessons.lesson_05_exhibits import (
    averaged_means,
    counted_micro_steps,
    forgot_to_divide,
    logged_the_last,
    multiplied_the_sum,
    never_cleared,
)
from gptlib.config import GPTConfig
from gptlib.model import GPT

tokens_per_step = Exercise(
    name="tokens_per_step",
    title="How many tokens does one step learn from?",
    difficulty=1,
    minutes=3,
    check=SameAs(
        lambda batch_size, gradient_accumulation_steps, block_size: (
            batch_size * gradient_accumulation_steps * block_size
        ),
        inputs=[(8, 4, 32), (12, 40, 1024)],
        random_input=lambda rng: (rng.randint(2, 64), rng.randint(2, 64), rng.randint(16, 1024)),
        mistakes={
            "those are sequences; each of them has `block_size` tokens": lambda b, a, t: b * a,
            "those are the tokens of one micro-batch; a step has `gradient_accumulation_steps` of them": (
                lambda b, a, t: b * t
            ),
            "the batch is not shared out among the micro-batches: each has `batch_size` sequences of its own": (
                lambda b, a, t: b * t / a
            ),
        },
    ),
    hints=(
        "A step reads `gradient_accumulation_steps` micro-batches.",
        "A micro-batch has `batch_size` sequences, and a sequence `block_size` tokens.",
    ),
    solution="""
        def tokens_per_step(batch_size, gradient_accumulation_steps, block_size):
            return batch_size * gradient_accumulation_steps * block_size
    """,
)


def _flat(model: GPT) -> torch.Tensor:
    """All gradients in a row, in float64; empty if there are none."""
    gradients = [p.grad.flatten().double() for p in model.parameters() if p.grad is not None]
    return torch.cat(gradients) if gradients else torch.zeros(0)


def _full_gradient(model: GPT, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    model.zero_grad(set_to_none=True)
    model(x, y)[1].backward()
    return _flat(model)


def _check_accumulate(accumulate) -> None:
    """The learner's loop on a very small GPT, with 12 sequences in micro-batches of 3."""
    with torch.random.fork_rng():  # the learner's own random numbers stay as they were
        torch.manual_seed(5)
        model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=1, n_head=2, n_embd=8))
        x, y = torch.randint(7, (2, 12, 4))
    batch_size, steps = 3, 4
    parts = [_full_gradient(model, x[i : i + 3], y[i : i + 3]) for i in range(0, 12, 3)]
    whole, last, loss = sum(parts) / steps, parts[-1], model(x, y)[1].item()
    model.zero_grad(set_to_none=True)
    at_once = []
    with model.register_forward_pre_hook(lambda _, arguments: at_once.append(len(arguments[0]))):
        answer = accumulate(model, x, y, batch_size)
    if max(at_once, default=0) > batch_size:
        raise Wrong(f"{max(at_once)} sequences went through the model at once; no more than `batch_size`, 3, may")
    try:
        answer = float(answer)
    except (TypeError, ValueError):
        raise Wrong("give back the loss over all of `x`, a number") from None
    got = _flat(model)
    if got.shape != whole.shape or not got.any():
        raise Wrong("the weights have no gradient afterwards: call `backward`, and do not clear the gradient after it")
    if any(torch.allclose(got, last * factor, rtol=1e-3, atol=1e-6) for factor in (1, 1 / steps, 1 / batch_size)):
        raise Wrong("only the last micro-batch is left in the gradient: clear it once, before the loop, not in it")
    factor = (got @ whole / (whole @ whole)).item()
    if not torch.allclose(got, whole * factor, rtol=1e-3, atol=1e-5):
        raise Wrong("the gradient points elsewhere than that of the whole batch: does each micro-batch count once?")
    reasons = {
        4: "you have the sum of the 4 micro-batches' gradients; divide each loss by their number, to get the mean",
        4 / 3: "that divides by `batch_size`, 3; each loss is a mean already: divide by how many losses there are, 4",
        1 / 3: "that divides by the number of sequences, 12; each loss is a mean already: divide by their number, 4",
    }
    for wrong, reason in reasons.items():
        if abs(factor - wrong) < 0.01:
            raise Wrong(f"12 sequences in micro-batches of 3: the gradient is {factor:.2g} times as long: {reason}")
    if abs(factor - 1) > 1e-3:
        raise Wrong(f"12 sequences in micro-batches of 3: the gradient is {factor:.2g} times as long as it should be")
    if abs(answer - loss) > 1e-3:
        raise Wrong(
            f"the gradient is right, but the loss that you give back is {answer / loss:.2g} times that of the whole "
            "batch: it is the mean of the micro-batches' losses"
        )


accumulate = Exercise(
    name="accumulate",
    title="The gradient of a large batch, bit by bit",
    difficulty=2,
    minutes=10,
    check=_check_accumulate,
    hints=(
        "`backward` adds to the gradients that are there. So after the loop they hold a sum. What do you want to hold?",
        "The mean of n numbers is the sum of each divided by n. Here n is the number of micro-batches.",
        "`len(micro_batches)`.",
    ),
    solution="""
        def accumulate(model, x, y, batch_size):
            micro_batches = list(zip(x.split(batch_size), y.split(batch_size), strict=True))
            model.zero_grad()
            total = 0.0
            for micro_x, micro_y in micro_batches:
                loss = model(micro_x, micro_y)[1] / len(micro_batches)
                loss.backward()
                total += loss.item()
            return total
    """,
    starter="""
        def accumulate(model, x, y, batch_size):
            micro_batches = list(zip(x.split(batch_size), y.split(batch_size), strict=True))
            model.zero_grad()
            total = 0.0
            for micro_x, micro_y in micro_batches:
                loss = model(micro_x, micro_y)[1] / ...
                loss.backward()
                total += loss.item()
            return total
    """,
)


def _settings_that_fit(memory, fixed, per_sequence, sequences):
    fitting = [n for n in range(1, sequences + 1) if sequences % n == 0 and fixed + n * per_sequence <= memory]
    return max(fitting), sequences // max(fitting)


def _room(memory, fixed, per_sequence):
    return int((memory - fixed) // per_sequence)


settings_that_fit = Exercise(
    name="settings_that_fit",
    title="Settings for the memory that you have",
    difficulty=3,
    minutes=12,
    check=SameAs(
        _settings_that_fit,
        inputs=[(1000, 200, 50, 96), (1000, 200, 5, 96), (500, 400, 60, 8)],
        random_input=lambda rng: (rng.randint(4000, 9000), rng.randint(500, 1500), rng.randint(90, 900), 48),
        mistakes={
            "that leaves a rest: `batch_size` has to divide `sequences`": lambda memory, fixed, each, sequences: (
                (n := min(_room(memory, fixed, each), sequences)),
                sequences // n,
            ),
            "the product is not `sequences`: take a `batch_size` that divides it": (
                lambda memory, fixed, each, sequences: (
                    (n := min(_room(memory, fixed, each), sequences)),
                    -(-sequences // n),
                )
            ),
            "`batch_size` is at most `sequences`, however much room there is, and has to divide it": (
                lambda memory, fixed, each, sequences: ((n := _room(memory, fixed, each)), sequences // n)
            ),
            "all of them at once do not fit into `memory`: split them": (
                lambda memory, fixed, each, sequences: (sequences, 1)
            ),
            "that does not fit: `fixed` is taken whatever the batch, so it leaves less room": (
                lambda memory, fixed, each, sequences: _settings_that_fit(memory, 0, each, sequences)
            ),
            "that fits, but it is slow: take the largest `batch_size` that fits": (
                lambda memory, fixed, each, sequences: (1, sequences)
            ),
            "the order is (`batch_size`, `gradient_accumulation_steps`)": (
                lambda memory, fixed, each, sequences: _settings_that_fit(memory, fixed, each, sequences)[::-1]
            ),
        },
    ),
    hints=(
        "A micro-batch of n sequences takes `fixed + n * per_sequence`. It has to be at most `memory`.",
        "Go through n = 1 ... `sequences`, and keep those that fit and that divide `sequences`: `sequences % n == 0`.",
        "The largest of them is the `batch_size`; `sequences // batch_size` are the steps.",
    ),
    solution="""
        def settings_that_fit(memory, fixed, per_sequence, sequences):
            batch_size = 1
            for n in range(1, sequences + 1):
                if sequences % n == 0 and fixed + n * per_sequence <= memory:
                    batch_size = n
            return batch_size, sequences // batch_size
    """,
)

MUSEUM = [
    forgot_to_divide,
    multiplied_the_sum,
    never_cleared,
    logged_the_last,
    counted_micro_steps,
    averaged_means,
]
EXERCISES = [tokens_per_step, accumulate, settings_that_fit, *MUSEUM]

QUIZ = Quiz(
    "05",
    [
        Question(
            "`batch_size = 8`, `gradient_accumulation_steps = 4`, `block_size = 32`. How many tokens does one update "
            "of the weights learn from?",
            [
                Choice(
                    "256: the batch has 8 sequences, and accumulation only splits it",
                    "`batch_size` is the micro-batch. It is not split any further: four such batches make a step.",
                ),
                Choice(
                    "1,024",
                    "8 sequences × 4 micro-batches × 32 tokens. (In some libraries, batch size means the total; look "
                    "it up.)",
                    right=True,
                ),
                Choice(
                    "64: each micro-batch has 2 sequences",
                    "That would be a batch of 8 cut into 4. Here, `batch_size` says how large each piece is.",
                ),
            ],
        ),
        Question(
            "You go from (32, 1) to (8, 4) and nothing else changes; dropout is 0. How does the loss curve change?",
            [
                Choice(
                    "It gets noisier: 8 sequences say less than 32.",
                    "One step still averages 32 sequences. They only do not pass through the model at the same time.",
                ),
                Choice(
                    "It falls four times more slowly, as only every fourth batch makes an update.",
                    "Four small batches make one update, and (32, 1) makes one update with the same 32 sequences. Per "
                    "sequence read, there are just as many updates.",
                ),
                Choice(
                    "Not at all, down to rounding.",
                    "The gradient is the mean over the same 32 sequences; the order of the additions is all that "
                    "differs.",
                    right=True,
                ),
            ],
        ),
        Question(
            "What does gradient accumulation save?",
            [
                Choice(
                    "What the forward pass keeps for the backward pass.",
                    "That grows with the sequences that are in the model at once, and after each micro-batch's "
                    "backward pass it is freed.",
                    right=True,
                ),
                Choice(
                    "Memory for the gradients, because there are four small ones instead of a large one.",
                    "A gradient has as many numbers as the model has weights, whatever the batch. All micro-batches "
                    "add to the same one.",
                ),
                Choice(
                    "Time, because smaller batches are quicker.",
                    "Each is quicker, but there are more of them. In total it takes the same time or longer.",
                ),
                Choice(
                    "Everything: memory is shared out among the steps.",
                    "Weights, gradients and the optimiser's two numbers for each weight stay as large as they are.",
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
                    "A lower `learning_rate`, as the steps are noisy",
                    "The learning rate is one number. It changes where the weights go, not what they need.",
                ),
                Choice(
                    "A smaller `block_size` or a smaller model",
                    "Then one sequence needs less. (There are other ways that trade time for memory, and lower "
                    "precision: lesson 08.)",
                    right=True,
                ),
            ],
        ),
        Question(
            "Somebody forgets to divide by the 4 accumulation steps. With AdamW, the curve looks healthy all the same. "
            "Why?",
            [
                Choice(
                    "Dividing is not needed: `backward` takes the mean by itself.",
                    "`backward` adds. The gradient is 4 times as long as it should be.",
                ),
                Choice(
                    "AdamW divides each gradient by its usual size, and so 4 falls out.",
                    "A factor that is always there cancels. But clipping by length sees a gradient 4 times as long, "
                    "and with plain gradient descent each step would be 4 times as large.",
                    right=True,
                ),
                Choice(
                    "The learning rate schedule corrects it.",
                    "The schedule follows the number of the step alone; it knows nothing of gradients.",
                ),
            ],
        ),
        Question(
            "With dropout 0.1, the runs (32, 1) and (8, 4) with the same seed part in the second digit of the loss. Is "
            "it a bug?",
            [
                Choice(
                    "Yes: the same seed must give the same run.",
                    "It gives the same random numbers, but they are dealt to other activations when the sequences come "
                    "in other portions.",
                ),
                Choice(
                    "Yes: the mean of the micro-batches has been forgotten.",
                    "That would show without dropout too, so that is the test: set dropout to 0 and compare again.",
                ),
                Choice(
                    "No: other activations were dropped, as with another seed.",
                    "Both are fair draws of the same experiment. They differ as much as two seeds of (32, 1) do.",
                    right=True,
                ),
            ],
        ),
        Question(
            "You may read ten million tokens, and no more. Is a batch four times as large better?",
            [
                Choice(
                    "Yes: its gradient has a quarter of the noise.",
                    "It has half the noise, as noise falls with the square root; and you pay with a quarter of the "
                    "steps.",
                ),
                Choice(
                    "Not always: there are only a quarter of the steps.",
                    "While the noise is small beside the gradient, as at the beginning, more steps help more than "
                    "better ones. Later, when noise drowns the gradient, a larger batch pays.",
                    right=True,
                ),
                Choice(
                    "It makes no difference, as the tokens are the same.",
                    "The same tokens in four times as many steps are another run. See the plot of loss against tokens.",
                ),
            ],
        ),
    ],
)

RECALL = Quiz(
    "recall",
    [
        Question(
            "Lesson 02: `block_size` is 32, a batch has 16 sequences. How many predictions does one forward pass make?",
            [
                Choice("16, one for each sequence", "Every position predicts what follows it, not only the last one."),
                Choice(
                    "512",
                    "16 sequences with 32 positions each. The loss is the mean over all 512 of them.",
                    right=True,
                ),
                Choice("32, one for each position", "That is one sequence; the batch holds 16 of them side by side."),
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
            "Lesson 04: the gradient of a weight is positive. What does the optimiser do with the weight?",
            [
                Choice(
                    "It makes it smaller.",
                    "A positive gradient says: with a larger weight, the loss grows. So it goes the other way.",
                    right=True,
                ),
                Choice(
                    "It makes it larger, as the weight helps.",
                    "The gradient is that of the loss. Positive means that more of this weight is more loss.",
                ),
                Choice(
                    "It sets it to zero, as the weight does harm.",
                    "The gradient is a direction for a small step. It says nothing about where the step should end.",
                ),
            ],
        ),
    ],
)

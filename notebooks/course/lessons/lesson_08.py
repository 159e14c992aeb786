"""Lesson 08: how does the same code run on a GPU, on several, for a day?"""

from typing import Any

import torch

from course.lessons import Choices, Exercise, InOrder, SameAs, quizzes
from course.prediction import Prediction

# --- predictions ------------------------------------------------------------------------------------------

predict_dtype = Prediction(
    "bfloat16 keeps two to three digits of every number, float32 keeps seven. After 150 steps, the loss in "
    "bfloat16 is ...",
    choices=(
        "higher by a few tenths, as rounding errors add up",
        "the same within a few hundredths",
        "not a number, as some weights overflow",
    ),
    answer=1,
    why="The gradient of one batch is far noisier than the rounding (lesson 05). The time of a step is another matter.",
)

predict_fit = Prediction(
    "GPT-2's smallest model has 124 million parameters, which are 0.5 GiB in float32. How much memory does a training "
    "step with 48 windows of 1,024 tokens need?",
    choices=("About 2 GiB: four numbers for each parameter", "About 10 GiB", "More than 40 GiB"),
    answer=2,
    why="What the forward pass keeps grows with batch_size, and so does the logits' gradient. What fits into 24 GiB?",
    moves=None,
)

# --- exercises --------------------------------------------------------------------------------------------

decisions = Exercise(
    name="decisions",
    title="Three measurements, three decisions",
    difficulty=1,
    minutes=5,
    check=Choices(
        right=(
            ("A", "leave it", "it saves 20 s in 1,000 steps and costs 40 s. It would pay from 2,000 steps on"),
            ("B", "take it", "all five runs are about 38 ms faster, and they differ by 3 ms at most"),
            ("C", "measure again", "runs of one kind differ by more than 30 ms, the means by 4 ms. You can't tell yet"),
        ),
        allowed=("take it", "leave it", "measure again"),
    ),
    hints=(
        "First compare the difference with the spread: how far apart are five runs of the *same* kind?",
        "If there is a gain: how many seconds does it save in 1,000 steps, and what does it cost once?",
    ),
    solution='decisions = ["leave it", "take it", "measure again"]',
)

bytes_needed = Exercise(
    name="bytes_needed",
    title="Will it fit?",
    difficulty=1,
    minutes=6,
    check=SameAs(
        lambda parameters, per_sequence, batch_size, tokens, vocab_size: (
            16 * parameters + per_sequence * batch_size + 4 * batch_size * tokens * vocab_size
        ),
        inputs=[(1000, 50, 4, 8, 10), (124_000_000, 200_000_000, 8, 1024, 50257)],
        random_input=lambda rng: tuple(rng.randint(2, 10**k) for k in (6, 6, 2, 3, 4)),
        mistakes={
            "the gradient of the logits is missing: a float32 for every token of the vocabulary, at every position": (
                lambda p, s, b, t, v: 16 * p + s * b
            ),
            "there are four numbers of 4 bytes for each parameter: weight, gradient, and AdamW's two": (
                lambda p, s, b, t, v: 4 * p + s * b + 4 * b * t * v
            ),
            "the logits' gradient is that of one sequence there; the batch has `batch_size` of them": (
                lambda p, s, b, t, v: 16 * p + s * b + 4 * t * v
            ),
            "a float32 has 4 bytes: the logits' gradient too": lambda p, s, b, t, v: 16 * p + s * b + b * t * v,
        },
    ),
    hints=(
        "The logits have the shape (batch_size, tokens, vocab_size), and their gradient has the same shape.",
        "`4 * batch_size * tokens * vocab_size`",
    ),
    solution="""
        def bytes_needed(parameters, per_sequence, batch_size, tokens, vocab_size):
            fixed = 16 * parameters
            activations = per_sequence * batch_size
            logits_gradient = 4 * batch_size * tokens * vocab_size
            return fixed + activations + logits_gradient
    """,
)

order = Exercise(
    name="order",
    title="Put these lines in order",
    difficulty=2,
    minutes=5,
    check=InOrder(
        "DAFBEC",
        (
            "backward needs a loss: the forward pass comes first",
            "backward must come before anything is done to the gradients",
            "the gradients are still multiplied by the scale when they are clipped: unscale first",
            "the step comes after clipping, or the clipping does nothing",
            "update changes the scale; do it after the step that used the old one",
        ),
    ),
    hints=(
        "The loss is multiplied before backward. Clipping wants gradients of their true size.",
        "First D, then A; at the end `step`, then `update`.",
    ),
    solution='order = "DAFBEC"',
)

missing = Exercise(
    name="missing",
    title="Three checkpoints, three gaps",
    difficulty=2,
    minutes=6,
    check=Choices(
        right=(
            ("save_a", "optimizer", "`optimizer.param_groups` holds the settings, not the two averages"),
            ("save_b", "rng", "the seed is where the random numbers began, not where they are now"),
            ("save_c", "step", "`len(optimizer.param_groups)` is 1, whatever the step is"),
        ),
        allowed=("model", "optimizer", "step", "rng"),
    ),
    hints=(
        "Each function has four entries, and one of them does not hold what its name says.",
        "AdamW's two averages are in `optimizer.state_dict()`, the random numbers in `torch.get_rng_state()`.",
    ),
    solution='missing = ["optimizer", "rng", "step"]',
)


def _mean(gradients: list) -> list:
    return [sum(parts) / len(gradients) for parts in zip(*gradients, strict=True)]


def _random_gradients(rng: Any) -> tuple[list]:
    generator = torch.Generator().manual_seed(rng.randint(0, 10**6))
    return ([[torch.randn(size, generator=generator) for size in (3, 1)] for _ in range(rng.randint(2, 4))],)


all_reduce_mean = Exercise(
    name="all_reduce_mean",
    title="What all_reduce does",
    difficulty=2,
    minutes=8,
    check=SameAs(
        _mean,
        inputs=[([[torch.tensor([1.0, 2.0]), torch.tensor([5.0])], [torch.tensor([3.0, 6.0]), torch.tensor([7.0])]],)],
        random_input=_random_gradients,
        mistakes={
            "that is the sum; each process wants the mean": lambda g: [sum(parts) for parts in zip(*g, strict=True)],
            "that averages what one process has; average each gradient over the processes, `zip(*gradients)`": (
                lambda g: [sum(parts) / len(parts) for parts in g]
            ),
            "that is one number for each gradient; its numbers stay apart: `.mean(dim=0)`": (
                lambda g: [torch.stack(parts).mean() for parts in zip(*g, strict=True)]
            ),
        },
    ),
    hints=(
        "`gradients[0]` is process 0's list. `zip(*gradients)` gives the first tensors of all, then the second.",
        "`[sum(parts) / len(gradients) for parts in zip(*gradients)]`",
    ),
    solution="""
        def all_reduce_mean(gradients):
            return [sum(parts) / len(gradients) for parts in zip(*gradients)]
    """,
)


def _speedup(compute: float, sync: float, processes: int) -> float:
    return compute / (compute / processes + (sync if processes > 1 else 0))


speedup = Exercise(
    name="speedup",
    title="Twice the GPUs, twice as fast?",
    difficulty=3,
    minutes=10,
    check=SameAs(
        _speedup,
        inputs=[(1.0, 0.1, 4), (1.0, 0.1, 1), (0.5, 0.5, 2)],
        random_input=lambda rng: (rng.uniform(0.1, 2), rng.uniform(0.01, 0.5), rng.randint(2, 16)),
        mistakes={
            "that leaves out the exchange of gradients, which costs `sync` seconds however many they are": (
                lambda compute, sync, processes: float(processes)
            ),
            "`sync` is what the whole exchange takes, however many take part": (
                lambda compute, sync, processes: compute / (compute / processes + sync * (processes - 1))
            ),
            "one process alone has nobody to exchange gradients with: no `sync` there": (
                lambda compute, sync, processes: compute / (compute / processes + sync)
            ),
            "that is how long a step takes; how many times as fast is it as one process?": (
                lambda compute, sync, processes: compute / processes + (sync if processes > 1 else 0)
            ),
            "it is upside down: the time of one process, divided by the time of all": (
                lambda compute, sync, processes: 1 / _speedup(compute, sync, processes)
            ),
            "the exchange is not divided among them: only the computing is": (
                lambda compute, sync, processes: compute / ((compute + (sync if processes > 1 else 0)) / processes)
            ),
        },
    ),
    hints=(
        "A step of one process takes `compute` seconds. How long does it take with `processes` of them?",
        "Each computes its part, `compute / processes`. Then, if there are several, they exchange gradients: `sync`.",
        "The speed-up is the time alone divided by the time together. With one process it must be 1.",
    ),
    solution="""
        def speedup(compute, sync, processes):
            together = compute / processes
            if processes > 1:
                together += sync
            return compute / together
    """,
)

EXERCISES = [decisions, bytes_needed, order, missing, all_reduce_mean, speedup]
RECALL, FORGOTTEN, QUIZ = quizzes("08")

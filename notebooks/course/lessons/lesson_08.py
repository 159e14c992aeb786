"""Lesson 08: how does the same code run on a GPU, on several, for a day?"""

from typing import Any

import torch

from course.lessons import Choice, Exercise, Question, Quiz, SameAs, SameValue
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

# --- exercises --------------------------------------------------------------------------------------------

training_flops = Exercise(
    name="training_flops",
    title="How much arithmetic is a run?",
    difficulty=1,
    minutes=3,
    check=SameAs(
        lambda parameters, tokens: 6 * parameters * tokens,
        inputs=[(800_000, 1_000_000), (10, 3)],
        random_input=lambda rng: (rng.randint(1000, 10**6), rng.randint(1000, 10**6)),
        mistakes={
            "that is the forward pass alone; the backward pass costs twice as much again": lambda p, t: 2 * p * t,
            "each parameter multiplies *and* adds: two operations, not one": lambda p, t: 3 * p * t,
        },
    ),
    hints=("2 operations for each parameter and token forward, twice as many backward.",),
    solution="""
        def training_flops(parameters, tokens):
            return 6 * parameters * tokens
    """,
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
    starter="""
        def bytes_needed(parameters, per_sequence, batch_size, tokens, vocab_size):
            fixed = 16 * parameters
            activations = per_sequence * batch_size
            logits_gradient = ...
            return fixed + activations + logits_gradient
    """,
)

order = Exercise(
    name="order",
    title="Put these lines in order",
    difficulty=2,
    minutes=5,
    check=SameValue(
        "DAFBEC",
        mistakes={
            "the gradients are still multiplied by the scale when they are clipped: unscale first": "DABFEC",
            "update changes the scale; do it after the step that used the old one": "DAFBCE",
            "backward must come before anything is done to the gradients": "DFABEC",
            "the step comes after clipping, or the clipping does nothing": "DAFEBC",
        },
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
    check=SameValue(
        {"save_a": "optimizer", "save_b": "rng", "save_c": "step"},
        mistakes={
            "look at `save_c` again: `len(losses)` would be right, `len(optimizer.param_groups)` is 1": (
                {"save_a": "optimizer", "save_b": "rng", "save_c": "rng"}
            ),
            "look at `save_a` again: `optimizer.param_groups` holds the settings, not the two averages": (
                {"save_a": "step", "save_b": "rng", "save_c": "step"}
            ),
            "look at `save_b` again: the seed is where the random numbers began, not where they are now": (
                {"save_a": "optimizer", "save_b": "step", "save_c": "step"}
            ),
        },
    ),
    hints=(
        "Each function has four entries, and one of them does not hold what its name says.",
        "AdamW's two averages are in `optimizer.state_dict()`, the random numbers in `torch.get_rng_state()`.",
    ),
    solution='missing = {"save_a": "optimizer", "save_b": "rng", "save_c": "step"}',
)


def _mean(gradients: list) -> list:
    return [sum(parts) / len(gradients) for parts in zip(*gradients, strict=True)]


def _random_gradients(rng: Any) -> tuple[list]:
    generator = torch.Generator().manual_seed(rng.randint(0, 10**6))
    return ([[torch.randn(size, generator=generator) for size in (2, 3)] for _ in range(rng.randint(2, 4))],)


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

EXERCISES = [training_flops, bytes_needed, order, missing, all_reduce_mean, speedup]

# --- questions --------------------------------------------------------------------------------------------

QUIZ = Quiz(
    "08",
    [
        Question(
            "A run is killed at step 730. It saves every 250 steps. Where does `--init_from=resume` go on?",
            [
                Choice(
                    "At step 730, as every step is saved",
                    "Saving takes time, so it is done at evaluations. A kill asks nobody.",
                ),
                Choice(
                    "At step 500, and it ends as if never killed",
                    "Weights, optimizer, step and random state of step 500 are there. It repeats 230 steps exactly.",
                    right=True,
                ),
                Choice(
                    "At step 500, but with other batches, so it ends differently",
                    "Which batch a step reads depends on the seed and the step's number, and both are known.",
                ),
            ],
        ),
        Question(
            "You resume a run by hand, and for thirty steps the loss is up to 0.1 above what it was. Is that a bug?",
            [
                Choice(
                    "Yes: something is missing in the checkpoint",
                    "Most likely the optimizer's memory. A complete checkpoint goes on to the bit, without any bump.",
                    right=True,
                ),
                Choice(
                    "No: a model has to warm up again",
                    "Nothing in a model warms up. What needs time is AdamW's memory, if it is lost.",
                ),
                Choice(
                    "No: dropout is random",
                    "Its random numbers can be saved too, and even without them there is no bump.",
                ),
            ],
        ),
        Question(
            "You train in `bfloat16` on your laptop's CPU, and each step takes longer than in `float32`. Why?",
            [
                Choice(
                    "More exact arithmetic takes longer",
                    "bfloat16 is the less exact one: it keeps two to three digits.",
                ),
                Choice(
                    "The weights have to be read twice",
                    "They stay in float32 and are converted, which is cheap beside the products.",
                ),
                Choice(
                    "It depends on the processor, and yours gains nothing",
                    "Half the bytes help only where the processor multiplies them fast. So measure, before you decide.",
                    right=True,
                ),
            ],
        ),
        Question(
            "In `float16`, the scaler's scale falls from 65,536 to 32,768 at step 12 and stays there. What happened?",
            [
                Choice("The run has diverged", "Then the scale would fall again and again, down to nothing."),
                Choice(
                    "One step overflowed and was skipped",
                    "The scaler saw an inf in the gradients, left the weights alone and halved its scale: its job.",
                    right=True,
                ),
                Choice("The learning rate was halved", "The scale is divided out before the step; it changes no rate."),
            ],
        ),
        Question(
            "`torch.compile` needs 30 seconds, and then each step takes 90 ms instead of 100. When does it pay?",
            [
                Choice("From 3,000 steps on", "Each step saves 0.01 s, and 3,000 of them save the 30 s.", right=True),
                Choice("From 300 steps on", "300 steps are thirty seconds of computing. The gain is a tenth of that."),
                Choice("Always: steps are faster", "A run of 100 steps saves one second and pays thirty."),
            ],
        ),
        Question(
            "You go from one process to eight, with `gradient_accumulation_steps=8`. What must you change to keep "
            "the same run?",
            [
                Choice(
                    "Divide `learning_rate` by 8", "Gradients are averaged, not added. The step is as long as it was."
                ),
                Choice(
                    "Divide `gradient_accumulation_steps` by 8",
                    "It counts the micro-batches of all processes together, so it stays 8.",
                ),
                Choice(
                    "Nothing",
                    "Eight micro-batches make a step either way: one after another, or side by side.",
                    right=True,
                ),
            ],
        ),
        Question(
            "You have ten times the computing time. According to Chinchilla, what do you do with it?",
            [
                Choice(
                    "A model 3 times as large, 3 times the tokens",
                    "Time goes with parameters × tokens. Both grow by the root of 10; their ratio stays near 20.",
                    right=True,
                ),
                Choice(
                    "The same model, ten times the tokens",
                    "Then the model soon becomes the bottleneck: 200 tokens a parameter.",
                ),
                Choice("A model ten times as large", "It would read 2 tokens a parameter, and remain half trained."),
            ],
        ),
    ],
)

RECALL = Quiz(
    "recall",
    [
        Question(
            "Lesson 03: run A evaluates every 10 steps, run B every 100. What differs at the end?",
            [
                Choice("The weights, a little", "Evaluations draw random numbers of their own, and change no weight."),
                Choice("The loss: A was corrected more often", "An evaluation corrects nothing; it only measures."),
                Choice(
                    "Only the time, and the number of points",
                    "The weights are the same to the last bit. In this lesson we ask that of much more.",
                    right=True,
                ),
            ],
        ),
        Question(
            "Lesson 05: (32, 1) does not fit into memory. Which setting makes the same steps and fits?",
            [
                Choice(
                    "(8, 4)",
                    "Four micro-batches of 8 give the gradient of 32, and only 8 are in memory at once.",
                    right=True,
                ),
                Choice("(8, 1)", "That fits, but a step then reads 8 sequences: its gradient is twice as noisy."),
                Choice("(32, 4)", "That reads 128 sequences a step, and still 32 at a time."),
            ],
        ),
        Question(
            "Lesson 04: how many numbers does AdamW remember for each weight?",
            [
                Choice("None: it only needs the gradient", "That is plain gradient descent. AdamW looks further back."),
                Choice(
                    "Two: averages of gradient and square",
                    "Both have to be saved, if the run is to go on as before.",
                    right=True,
                ),
                Choice("One: the last gradient", "It averages over many steps, and over the squares as well."),
            ],
        ),
    ],
)

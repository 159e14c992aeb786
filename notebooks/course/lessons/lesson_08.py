"""Lesson 08: how does the same code run on a GPU, on several, for a day?"""

from course.lessons import Choice, Exercise, Question, Quiz, SameAs

training_flops = Exercise(
    name="training_flops",
    title="How much arithmetic is a run?",
    difficulty=1,
    minutes=4,
    check=SameAs(
        lambda parameters, tokens: 6 * parameters * tokens,
        inputs=[(800_000, 1_000_000), (10, 3)],
        random_input=lambda rng: (rng.randint(1000, 10**6), rng.randint(1000, 10**6)),
        mistakes={
            "that is the forward pass alone; the backward pass costs twice as much again": lambda p, t: 2 * p * t,
            "that is the backward pass alone; before it comes a forward pass": lambda p, t: 4 * p * t,
            "each parameter multiplies *and* adds: two operations, not one": lambda p, t: 3 * p * t,
        },
    ),
    hints=(
        "Forward: each parameter is multiplied with something, and the product added to something.",
        "Backward finds two gradients, of the parameters and of what came in, at twice the cost of forward.",
        "2 + 4 operations, for each parameter and each token.",
    ),
    solution="""
        def training_flops(parameters, tokens):
            return 6 * parameters * tokens
    """,
)

hours = Exercise(
    name="hours",
    title="How long will it take?",
    difficulty=2,
    minutes=6,
    check=SameAs(
        lambda flops, peak, utilisation: flops / (peak * utilisation) / 3600,
        inputs=[(3.6e18, 1e15, 0.5), (7.2e15, 1e12, 1.0)],
        random_input=lambda rng: (rng.uniform(1e15, 1e20), rng.uniform(1e12, 1e15), rng.uniform(0.1, 0.6)),
        mistakes={
            "that is seconds; an hour has 3600 of them": lambda f, p, u: f / (p * u),
            "that takes the peak of the data sheet; only the share `utilisation` of it is reached": (
                lambda f, p, u: f / p / 3600
            ),
            "with a lower utilisation it must take longer, not shorter: divide by it": lambda f, p, u: f / p * u / 3600,
            "that is minutes; an hour has 3600 seconds": lambda f, p, u: f / (p * u) / 60,
        },
    ),
    hints=(
        "`peak` is operations a second, if nothing ever waits. How many are really done in a second?",
        "Seconds are operations divided by operations a second; then hours.",
        "`flops / (peak * utilisation) / 3600`",
    ),
    solution="""
        def hours(flops, peak, utilisation):
            seconds = flops / (peak * utilisation)
            return seconds / 3600
    """,
    starter="""
        def hours(flops, peak, utilisation):
            seconds = ...
            return seconds / 3600
    """,
)

bytes_needed = Exercise(
    name="bytes_needed",
    title="Will it fit?",
    difficulty=2,
    minutes=8,
    check=SameAs(
        lambda parameters, per_sequence, batch_size: 16 * parameters + per_sequence * batch_size,
        inputs=[(1000, 50, 4), (124_000_000, 200_000_000, 8)],
        random_input=lambda rng: (rng.randint(1000, 10**6), rng.randint(1000, 10**6), rng.randint(2, 64)),
        mistakes={
            "that has room for the weights alone; their gradients and AdamW's two numbers each need as much": (
                lambda p, s, b: 4 * p + s * b
            ),
            "one of the four numbers of a parameter is missing: weight, gradient, and two of AdamW's": (
                lambda p, s, b: 12 * p + s * b
            ),
            "two of the four numbers of a parameter are missing: weight, gradient, and two of AdamW's": (
                lambda p, s, b: 8 * p + s * b
            ),
            "a parameter is counted as one byte there; it has four numbers of 4 bytes each": lambda p, s, b: p + s * b,
            "what a parameter needs does not depend on the batch: once is enough": lambda p, s, b: (16 * p + s) * b,
            "what is kept for the backward pass is needed for each sequence of the micro-batch": (
                lambda p, s, b: 16 * p + s
            ),
            "that is what does not depend on the batch; what each sequence keeps comes on top": lambda p, s, b: 16 * p,
        },
    ),
    hints=(
        "Four numbers for each parameter: the weight, its gradient, and two that AdamW remembers. 4 bytes each.",
        "On top: what the forward pass keeps for the backward pass, for each sequence in the micro-batch.",
        "`16 * parameters + per_sequence * batch_size`",
    ),
    solution="""
        def bytes_needed(parameters, per_sequence, batch_size):
            weights = gradients = 4 * parameters
            optimizer = 2 * 4 * parameters
            return weights + gradients + optimizer + per_sequence * batch_size
    """,
)


def _speedup(compute, sync, processes):
    alone = compute
    together = compute / processes + (sync if processes > 1 else 0)
    return alone / together


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
            "that is how long a step takes, and with one process it has no `sync`; how many times as fast is it?": (
                lambda compute, sync, processes: compute / processes + sync
            ),
            "it is upside down: the time of one process, divided by the time of all": (
                lambda compute, sync, processes: 1 / _speedup(compute, sync, processes)
            ),
            "the exchange is shared out there, and one process would have it too; only the computing is divided": (
                lambda compute, sync, processes: compute / ((compute + sync) / processes)
            ),
            "the exchange is not shared out: only the computing is divided by `processes`": (
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

EXERCISES = [training_flops, hours, bytes_needed, speedup]

QUIZ = Quiz(
    "08",
    [
        Question(
            "A run is killed at step 730. It saves at each evaluation, every 250 steps. Where does "
            "`--init_from=resume` go on?",
            [
                Choice(
                    "At step 730, since every step is saved",
                    "Saving costs time, so it is done at evaluations, and when a run is asked to stop. A kill "
                    "asks nobody.",
                ),
                Choice(
                    "At step 500, and it ends as if it had never been killed",
                    "The newest complete checkpoint is that of step 500. Weights, optimiser and the place in the data "
                    "are in it, so steps 500 to 730 are done again, the same to the bit.",
                    right=True,
                ),
                Choice(
                    "At step 500, but with other batches, so it ends a little differently",
                    "Which batch a step reads depends on the seed and the number of the step alone, and both "
                    "are known.",
                ),
            ],
        ),
        Question(
            "What is missing if a checkpoint holds the weights and nothing else?",
            [
                Choice(
                    "Nothing: the weights are the model",
                    "For writing text that is true. To go on with training, more than the model is needed.",
                ),
                Choice(
                    "The optimiser's memory, and the number of the step",
                    "AdamW divides by the usual size of a gradient and would have to find it anew; the learning "
                    "rate would "
                    "start with its warm-up again, and the same batches come once more.",
                    right=True,
                ),
                Choice(
                    "The training text",
                    "The text lies in the dataset's folder, and a checkpoint need not hold a copy of it.",
                ),
            ],
        ),
        Question(
            "You set `dtype` to `bfloat16` on a CPU, and each step takes longer than before. Is something broken?",
            [
                Choice(
                    "Yes: numbers of half the size must be twice as fast",
                    "Half the bytes help only if the processor multiplies them directly. Without such instructions it "
                    "converts them to float32 and back.",
                ),
                Choice(
                    "No: that depends on whether the processor has instructions for it",
                    "On GPUs since 2020, and on CPUs with AMX, it is much faster. So measure; the loss hardly changes.",
                    right=True,
                ),
                Choice(
                    "No: more exact arithmetic takes longer",
                    "bfloat16 is the less exact one: it keeps about three digits, float32 seven.",
                ),
            ],
        ),
        Question(
            "`torch.compile` needs 30 seconds, and then each step takes 90 ms instead of 100. When does it pay?",
            [
                Choice(
                    "Always: steps are faster",
                    "A run of 100 steps saves one second and pays thirty.",
                ),
                Choice(
                    "From 300 steps on",
                    "300 steps are thirty seconds of computing. The gain is a tenth of that.",
                ),
                Choice(
                    "From 3,000 steps on",
                    "Each step saves 0.01 s, and 3,000 of them save the 30 s. On a GPU the gain is larger, so "
                    "it pays sooner.",
                    right=True,
                ),
            ],
        ),
        Question(
            "You go from one process with `gradient_accumulation_steps=8` to eight processes. How do you keep "
            "the same run?",
            [
                Choice(
                    "Leave everything as it is: torchrun divides the work",
                    "Here the setting counts the micro-batches of each process. A step would read eight times as much.",
                ),
                Choice(
                    "Set `gradient_accumulation_steps=1`",
                    "Eight processes with one micro-batch each read what one process with eight did, and their "
                    "gradients "
                    "are averaged: the same step, up to rounding.",
                    right=True,
                ),
                Choice(
                    "Divide `learning_rate` by 8, since eight gradients are added",
                    "They are averaged, not added; the step is as long as it was.",
                ),
            ],
        ),
        Question(
            "A model does not fit into the memory of one GPU, not even with `batch_size=1`. What helps?",
            [
                Choice(
                    "`--parallel=ddp` on eight GPUs",
                    "There each GPU holds the whole model, and shares out the batch only.",
                ),
                Choice(
                    "A larger `gradient_accumulation_steps`",
                    "That makes the batch fit. It does nothing for weights, gradients and optimiser, which do "
                    "not depend "
                    "on the batch.",
                ),
                Choice(
                    "`--parallel=fsdp` on eight GPUs",
                    "Each holds an eighth of weights, gradients and optimiser, and lends it out when it is needed.",
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
            "Lesson 03: run A evaluates every 10 steps, run B every 100. What differs at the end?",
            [
                Choice("The weights, a little", "Evaluations draw random numbers of their own, and change no weight."),
                Choice(
                    "Only the time, and how many points are on the curve",
                    "The weights are the same to the last bit. In this lesson, that is asked of much more.",
                    right=True,
                ),
                Choice("The loss: A was corrected more often", "An evaluation corrects nothing; it only measures."),
            ],
        ),
        Question(
            "Lesson 05: (32, 1) does not fit into memory. Which setting makes the same steps and fits?",
            [
                Choice(
                    "(8, 4)",
                    "Four micro-batches of 8 give the gradient of 32, and only 8 are in memory at a time.",
                    right=True,
                ),
                Choice("(8, 1)", "That fits, but a step then reads 8 pieces: its gradient is twice as noisy."),
                Choice("(32, 4)", "That reads 128 pieces a step, and still 32 at a time."),
            ],
        ),
        Question(
            "Lesson 07: which numbers does a GPT keep when it writes, so as not to compute them again?",
            [
                Choice(
                    "The probabilities of all earlier tokens",
                    "They were used once, to choose a token. Nothing later depends on them.",
                ),
                Choice(
                    "The gradients",
                    "Writing needs none: they belong to training.",
                ),
                Choice(
                    "The keys and values of earlier tokens",
                    "Those do not change when a token is appended: the KV cache. It takes memory that grows "
                    "with the text.",
                    right=True,
                ),
            ],
        ),
    ],
)

"""Lesson 04: what is a gradient, and what does its sign say?"""

from course.lessons import Choice, Exercise, Question, Quiz, SameAs


def _parabola(x):
    return x * x


def _cubic(x):
    return x * x * x


central_difference = Exercise(
    name="central_difference",
    title="A slope without calculus",
    difficulty=1,
    minutes=4,
    check=SameAs(
        lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h),
        inputs=[(_cubic, 2.0, 0.5), (_parabola, 3.0, 0.1)],
        random_input=lambda rng: (_cubic, rng.uniform(-3, 3), rng.uniform(0.1, 1)),
        mistakes={
            "that looks to the right only, so the bend of the curve stays in the result": (
                lambda f, x, h: (f(x + h) - f(x)) / h
            ),
            "the two points lie 2 h apart, not h": lambda f, x, h: (f(x + h) - f(x - h)) / h,
            "that is the rise; the slope is the rise divided by the distance": lambda f, x, h: f(x + h) - f(x - h),
            "the sign is turned round: it is right minus left": lambda f, x, h: (f(x - h) - f(x + h)) / (2 * h),
        },
    ),
    hints=(
        "The slope is the rise divided by the distance.",
        "The rise from the left point to the right one is `f(x + h) - f(x - h)`. How far apart are the points?",
    ),
    solution="""
        def central_difference(f, x, h):
            return (f(x + h) - f(x - h)) / (2 * h)
    """,
)


def _step(weights, gradients, move):
    return [move(w, g) for w, g in zip(weights, gradients, strict=True)]


sgd_step = Exercise(
    name="sgd_step",
    title="One step downhill",
    difficulty=1,
    minutes=5,
    check=SameAs(
        lambda weights, gradients, learning_rate: _step(weights, gradients, lambda w, g: w - learning_rate * g),
        inputs=[([1.0, 1.0, 1.0], [2.0, -2.0, 0.0], 0.1), ([-0.5], [-0.3], 0.5)],
        random_input=lambda rng: (
            [rng.uniform(-2, 2) for _ in range(3)],
            [rng.uniform(-2, 2) for _ in range(3)],
            rng.uniform(0.01, 0.9),
        ),
        mistakes={
            "that goes uphill: a positive gradient means that the loss rises with the weight": (
                lambda ws, gs, lr: _step(ws, gs, lambda w, g: w + lr * g)
            ),
            "`learning_rate` plays no part in that; it says how far to go": (
                lambda ws, gs, lr: _step(ws, gs, lambda w, g: w - g)
            ),
            "that always goes down in value; a negative gradient must push the weight up": (
                lambda ws, gs, lr: _step(ws, gs, lambda w, g: w - lr * abs(g))
            ),
            "that is the step alone; take it from the weight": lambda ws, gs, lr: _step(ws, gs, lambda w, g: -lr * g),
            "the gradient is there, its size is not: the step is the learning rate times the gradient": (
                lambda ws, gs, lr: _step(ws, gs, lambda w, g: w - lr * ((g > 0) - (g < 0)))
            ),
            "the gradient plays no part in that; it says which way to go, and how steep it is": (
                lambda ws, gs, lr: _step(ws, gs, lambda w, g: w - lr)
            ),
        },
    ),
    hints=(
        "Where the gradient is positive, the loss rises with the weight. Which way should the weight go?",
        "The step is `learning_rate` times the gradient, and it goes against the gradient.",
        "`w - learning_rate * g`",
    ),
    solution="""
        def sgd_step(weights, gradients, learning_rate):
            return [w - learning_rate * g for w, g in zip(weights, gradients, strict=True)]
    """,
    starter="""
        def sgd_step(weights, gradients, learning_rate):
            return [... for w, g in zip(weights, gradients, strict=True)]
    """,
)


def _squared_error(w, b, x, y, factor=2.0, inner=None):
    error = factor * (w * x + b - y)
    return (error * (x if inner is None else inner), error)


gradient_by_hand = Exercise(
    name="gradient_by_hand",
    title="The chain rule, once by hand",
    difficulty=2,
    minutes=12,
    check=SameAs(
        _squared_error,
        inputs=[(2.0, 1.0, 3.0, 5.0), (1.0, 0.0, -2.0, 4.0)],
        random_input=lambda rng: tuple(rng.uniform(-3, 3) for _ in range(4)),
        mistakes={
            "half of it: the slope of a square is 2 times what is squared": (
                lambda w, b, x, y: _squared_error(w, b, x, y, factor=1)
            ),
            "in the first one the factor x is missing: when w rises by 1, the error rises by x": (
                lambda w, b, x, y: _squared_error(w, b, x, y, inner=1)
            ),
            "the sign is turned round: the error is `w * x + b - y`, and it rises with w * x": (
                lambda w, b, x, y: _squared_error(w, b, x, y, factor=-2)
            ),
            "the two are right, in the wrong order: first the one for w": (
                lambda w, b, x, y: _squared_error(w, b, x, y)[::-1]
            ),
            "in the first one the factor is w; it should be x: when w rises by 1, the error rises by x": (
                lambda w, b, x, y: _squared_error(w, b, x, y, inner=w)
            ),
            "the second one is not 0: when b rises by 1, the error rises by 1": (
                lambda w, b, x, y: (_squared_error(w, b, x, y)[0], 0.0)
            ),
            "in the second one there is a factor b too many: when b rises by 1, the error rises by 1": (
                lambda w, b, x, y: (_squared_error(w, b, x, y)[0], _squared_error(w, b, x, y)[1] * b)
            ),
            "that is the one for w; that for b is asked for too": lambda w, b, x, y: _squared_error(w, b, x, y)[0],
        },
    ),
    hints=(
        "Two links of a chain: how does the loss move with the error, and how does the error move with w, and with b?",
        "With error = w * x + b - y, the loss error² has the slope 2 * error. When w rises by 1, the error rises by x.",
        "Multiply along the chain: `2 * error * x` for w, and `2 * error * 1` for b.",
    ),
    solution="""
        def gradient_by_hand(w, b, x, y):
            error = w * x + b - y
            return 2 * error * x, 2 * error
    """,
)


def _scores(probabilities, right, ours, others):
    return [ours(p) if i == right else others(p) for i, p in enumerate(probabilities)]


score_gradient = Exercise(
    name="score_gradient",
    title="Where every gradient begins",
    difficulty=3,
    minutes=12,
    check=SameAs(
        lambda probabilities, right: _scores(probabilities, right, lambda p: p - 1, lambda p: p),
        inputs=[([0.5, 0.25, 0.25], 1), ([0.9, 0.1], 0)],
        random_input=lambda rng: (
            (lambda x: [v / sum(x) for v in x])([rng.uniform(0.1, 1) for _ in range(4)]),
            rng.randrange(4),
        ),
        mistakes={
            "turned round: the right character's score must be pushed up, so its gradient is negative": (
                lambda ps, r: _scores(ps, r, lambda p: 1 - p, lambda p: -p)
            ),
            "these are the probabilities; the character that came gets 1 less": (
                lambda ps, r: _scores(ps, r, lambda p: p, lambda p: p)
            ),
            "the others are left alone there; their scores took probability away from the right one": (
                lambda ps, r: _scores(ps, r, lambda p: p - 1, lambda p: 0)
            ),
            "that is the slope with respect to the probability, -1 / p; a score acts through softmax": (
                lambda ps, r: _scores(ps, r, lambda p: -1 / p, lambda p: 0)
            ),
            "only the character that came gets 1 less; the others keep what they were given": (
                lambda ps, r: _scores(ps, r, lambda p: p - 1, lambda p: p - 1)
            ),
            "that is the one of the character that came; each score has a gradient": lambda ps, r: ps[r] - 1,
        },
    ),
    hints=(
        "Look at the bars after “The more you beat m”: how high is the bar of a character that did not come?",
        "The bar of a wrong character is the probability that it was given. All bars together add up to zero.",
        "So the bar of the right character is its probability minus 1.",
    ),
    solution="""
        def score_gradient(probabilities, right):
            return [p - 1 if i == right else p for i, p in enumerate(probabilities)]
    """,
)

EXERCISES = [central_difference, sgd_step, gradient_by_hand, score_gradient]

QUIZ = Quiz(
    "04",
    [
        Question(
            "The gradient of a weight is −0.08. What does that say?",
            [
                Choice(
                    "The weight is bad: it makes the loss larger.",
                    "A sign does not judge. A weight with gradient +0.08 is in the same position, with the way down on "
                    "its other side.",
                ),
                Choice(
                    "The weight should get smaller.",
                    "The other way round. The loss falls when the weight rises, so the step, minus the learning rate "
                    "times the gradient, goes up.",
                ),
                Choice(
                    "If the weight rises a little, the loss falls a little.",
                    "About 0.08 times as much as the weight rises, as long as the move is small. So a step of training "
                    "moves it up.",
                    right=True,
                ),
                Choice(
                    "The weight is negative.",
                    "The gradient says nothing about where the weight stands, only how the loss changes when it moves.",
                ),
            ],
        ),
        Question(
            "The gradient of a weight is zero. What follows?",
            [
                Choice(
                    "It has its best value.",
                    "It may: the bottom of a valley is level. But so are the top of a hill and a plain. And it would "
                    "be the best value only as long as all other weights stay where they are.",
                ),
                Choice(
                    "A small move of it changes next to nothing, for now.",
                    "That is all that it says. You have seen a key bias, whose loss is level everywhere, and by the "
                    "slider you have found the bottom of a valley.",
                    right=True,
                ),
                Choice(
                    "The training is over.",
                    "One of 344,832 weights sees no slope, on one batch. The others do, and when they move, this slope "
                    "may change too.",
                ),
            ],
        ),
        Question(
            "Weight A has the gradient 0.5, weight B has 0.05. What follows?",
            [
                Choice(
                    "A is ten times as wrong as B.",
                    "How far a weight is from a better value is not what a slope tells. A steep wall may be near the "
                    "bottom, and a gentle slope far from it.",
                ),
                Choice(
                    "A must move ten times as far as B to reach its best value.",
                    "A slope is a direction and a steepness here, not a distance. How far to go is decided by the "
                    "learning rate and the optimiser, and too far makes it worse.",
                ),
                Choice(
                    "The same small move changes the loss ten times as much by A as by B.",
                    "That is what a slope is: the change of the loss per unit of the weight, for small moves.",
                    right=True,
                ),
            ],
        ),
        Question(
            "What does `loss.backward()` change?",
            [
                Choice(
                    "The weights: they move a little downhill.",
                    "Not one of them. Moving the weights is a line of its own: `p -= learning_rate * p.grad`, or "
                    "`optimizer.step()`.",
                ),
                Choice(
                    "Nothing, it returns the gradients.",
                    "It returns None. It leaves the gradients in `.grad`, beside each weight.",
                ),
                Choice(
                    "The `.grad` of each weight.",
                    "It adds the gradient of this loss to what stands there. The weights themselves stay as they are.",
                    right=True,
                ),
            ],
        ),
        Question(
            "Your loop never says `p.grad = None`. What happens?",
            [
                Choice(
                    "Nothing: each `backward()` writes over the old gradient.",
                    "It adds to it. You have seen twice the gradient after the second `backward()`.",
                ),
                Choice(
                    "Each step uses the sum of all gradients so far.",
                    "Also those from where the weights stood long ago. In lesson 05 adding up is wanted, within one "
                    "step; after the step it has to be cleared.",
                    right=True,
                ),
                Choice(
                    "PyTorch raises an error.",
                    "That would be kind, but adding up is a feature, so there is no error: only a strange loss curve.",
                ),
            ],
        ),
        Question(
            "You take one step against the gradient of all weights, and the loss of the same batch is higher than "
            "before. The code is right. How can that be?",
            [
                Choice(
                    "The step was too long: the curve bends, and the tangent holds only nearby.",
                    "Halve the learning rate often enough, and the loss falls. The gradient promises nothing about "
                    "what lies far away.",
                    right=True,
                ),
                Choice(
                    "The gradient was wrong.",
                    "The gradient is exact, to the last digits: you have compared it with differences. It is exact at "
                    "one point.",
                ),
                Choice(
                    "That is chance: another batch was used.",
                    "Another batch has another loss, but here it was the same one.",
                ),
            ],
        ),
        Question(
            "The gradients of block 3 are much smaller than those of the embeddings. What does AdamW make of that?",
            [
                Choice(
                    "Block 3 hardly learns.",
                    "With plain gradient descent it would move far less than the embeddings. AdamW divides each "
                    "gradient by its usual size, and the updates come out about alike.",
                ),
                Choice(
                    "Updates of about the same share of the weights in all layers.",
                    "It divides each gradient by the size that it usually has. What is left is the direction, and how "
                    "steadily the gradients agree on it.",
                    right=True,
                ),
                Choice(
                    "Larger updates in block 3, to make up for it.",
                    "It makes up for the size, and no more than that: compare the lines on the right.",
                ),
            ],
        ),
    ],
)

RECALL = Quiz(
    "recall",
    [
        Question(
            "Lesson 02: `batch_size` is 16 and `block_size` is 32. The loss of a batch is the mean over how many "
            "guesses?",
            [
                Choice(
                    "16", "One per piece of text would waste most of it: every position guesses its next character."
                ),
                Choice("32", "That many in each piece of text, and there are 16 pieces."),
                Choice(
                    "512",
                    "16 pieces with 32 positions each. The loss of the batch is the mean of their surprises.",
                    right=True,
                ),
            ],
        ),
        Question(
            "Lesson 03: a model gave the character that really came the probability 1/2. What was its loss there?",
            [
                Choice(
                    "0.5",
                    "The loss is not the probability that was missed. It is minus the natural logarithm of p.",
                ),
                Choice("About 0.7", "−ln(1/2) = 0.69 nats, which is 1 bit: one toss of a coin.", right=True),
                Choice("About −0.7", "That is ln p. The loss is minus that: surprise is never negative."),
            ],
        ),
        Question(
            "Lesson 03: the losses of two training batches, one step apart, are 2.31 and 2.38. Has the step made "
            "the model worse?",
            [
                Choice(
                    "Yes, the loss has risen.",
                    "The two losses are of different batches. The second one may just hold harder text.",
                ),
                Choice(
                    "These two numbers cannot tell.",
                    "Batches differ by more than one step changes. In this lesson we hold the batch fixed, and then "
                    "the loss can tell.",
                    right=True,
                ),
                Choice(
                    "No, a step of training always lowers the loss.",
                    "Not always, as you will see in this lesson, not even on the very batch that it learns from.",
                ),
            ],
        ),
    ],
)

"""Lesson 03: how do we know that it learns?"""

import math
import statistics

from course.lessons import Choice, Exercise, Question, Quiz, SameAs

loss_of_guessing = Exercise(
    name="loss_of_guessing",
    title="The loss of pure guessing",
    difficulty=1,
    minutes=3,
    check=SameAs(
        lambda vocab_size: math.log(vocab_size),
        inputs=[(62,), (2,)],
        random_input=lambda rng: (rng.randint(3, 50_000),),
        mistakes={
            "that is the logarithm to base 2, so it counts bits; the loss counts nats": lambda v: math.log2(v),
            "that is the logarithm to base 10; the loss uses the natural one": lambda v: math.log10(v),
            "that is the probability of one character; the loss is minus its logarithm": lambda v: 1 / v,
            "the sign is lost: the loss is minus the logarithm of 1 / V": lambda v: -math.log(v),
        },
    ),
    hints=(
        "Equally likely: each of the V characters has the probability 1 / V.",
        "The loss of one character is minus the natural logarithm of the probability that it was given.",
        "`-log(1 / V)` is `log(V)`; `math.log` is the natural logarithm.",
    ),
    solution="""
        import math

        def loss_of_guessing(vocab_size):
            return math.log(vocab_size)
    """,
)

standard_error = Exercise(
    name="standard_error",
    title="How far may an estimated loss be off?",
    difficulty=2,
    minutes=8,
    check=SameAs(
        lambda losses: statistics.stdev(losses) / math.sqrt(len(losses)),
        inputs=[([1.0, 2.0, 3.0, 4.0],), ([4.0, 4.0, 4.0],)],
        random_input=lambda rng: ([rng.uniform(1, 3) for _ in range(rng.randint(2, 12))],),
        mistakes={
            "that is the spread of single batches; their mean is sqrt(n) times steadier": lambda x: statistics.stdev(x),
            "the spread is divided by n; it shrinks only by sqrt(n)": lambda x: statistics.stdev(x) / len(x),
            "the spread is averaged over n: use n - 1, as the mean came from the same losses": lambda x: (
                statistics.pstdev(x) / math.sqrt(len(x))
            ),
            "the spread is averaged over n, not n - 1, and the division by sqrt(n) is missing": lambda x: (
                statistics.pstdev(x)
            ),
            "that starts from the variance; the spread is its square root": lambda x: (
                statistics.variance(x) / math.sqrt(len(x))
            ),
            "that is the variance of the mean; take its square root": lambda x: statistics.variance(x) / len(x),
        },
    ),
    hints=(
        "First the spread: the root of the mean squared difference from the mean, with `n - 1` for the mean.",
        "`statistics.stdev` and `torch.Tensor.std` divide by `n - 1`; `numpy.std` divides by `n` unless told `ddof=1`.",
        "Four times the batches halve the error: divide the spread by `math.sqrt(n)`.",
    ),
    solution="""
        import math
        import statistics

        def standard_error(losses):
            return statistics.stdev(losses) / math.sqrt(len(losses))
    """,
    starter="""
        def standard_error(losses):
            n = len(losses)
            mean = sum(losses) / n
            spread = ...
            return spread / ...
    """,
)


def _mean_surprise(probabilities):
    return -statistics.mean(math.log(p) for p in probabilities)


mean_surprise = Exercise(
    name="mean_surprise",
    title="The loss, from the probabilities",
    difficulty=2,
    minutes=6,
    check=SameAs(
        _mean_surprise,
        inputs=[([0.5, 0.5],), ([0.9, 0.1, 0.25],), ([1.0],)],
        random_input=lambda rng: ([rng.uniform(0.01, 1) for _ in range(rng.randint(2, 9))],),
        mistakes={
            "the probabilities are averaged first; the loss is the mean of the surprises, one for each character": (
                lambda p: -math.log(statistics.mean(p))
            ),
            "that is the sum of the surprises; the loss is their mean": lambda p: _mean_surprise(p) * len(p),
            "the sign is lost: surprise is minus the logarithm, and never negative": lambda p: -_mean_surprise(p),
            "that is in bits; the loss is in nats, by the natural logarithm": lambda p: _mean_surprise(p) / math.log(2),
            "that is what the probabilities lack to 1; the surprise at p is `-log(p)`": lambda p: (
                1 - statistics.mean(p)
            ),
            "that is the perplexity, e to the power of the loss": lambda p: math.exp(_mean_surprise(p)),
        },
    ),
    hints=(
        "The surprise at a character that was given the probability p is `-math.log(p)`.",
        "First a surprise for each character, then their mean: the other order gives something else.",
        "`sum(-math.log(p) for p in probabilities) / ...`",
    ),
    solution="""
        import math

        def mean_surprise(probabilities):
            return sum(-math.log(p) for p in probabilities) / len(probabilities)
    """,
)


def _share(seconds_per_step, seconds_per_batch, eval_interval, eval_iters, splits=2):
    evaluating = splits * eval_iters * seconds_per_batch
    return evaluating / (evaluating + eval_interval * seconds_per_step)


evaluation_share = Exercise(
    name="evaluation_share",
    title="What does it cost to look?",
    difficulty=3,
    minutes=10,
    check=SameAs(
        _share,
        inputs=[(0.02, 0.005, 250, 20), (0.01, 0.01, 1, 1)],
        random_input=lambda rng: (rng.uniform(0.01, 1), rng.uniform(0.01, 1), rng.randint(2, 500), rng.randint(2, 200)),
        mistakes={
            "that counts one split; an evaluation reads `eval_iters` batches of training and of validation text": (
                lambda step, batch, interval, iters: _share(step, batch, interval, iters, splits=1)
            ),
            "that compares evaluation with training; a share compares it with both together": (
                lambda step, batch, interval, iters: 2 * iters * batch / (interval * step)
            ),
            "`eval_iters` plays no part in that; one evaluation reads that many batches of each split": (
                lambda step, batch, interval, iters: _share(step, batch, interval, 1)
            ),
            "`eval_interval` plays no part in that; that many steps pass between two evaluations": (
                lambda step, batch, interval, iters: _share(step, batch, 1, iters)
            ),
            "that is the share of training; evaluation has the rest": (
                lambda step, batch, interval, iters: 1 - _share(step, batch, interval, iters)
            ),
        },
    ),
    hints=(
        "Look at one round: `eval_interval` steps of training, then one evaluation. How long does each part take?",
        "One evaluation reads `eval_iters` batches of the training text and as many of the validation text.",
        "share = evaluating / (evaluating + training).",
    ),
    solution="""
        def evaluation_share(seconds_per_step, seconds_per_batch, eval_interval, eval_iters):
            training = eval_interval * seconds_per_step
            evaluating = 2 * eval_iters * seconds_per_batch
            return evaluating / (evaluating + training)
    """,
)

EXERCISES = [loss_of_guessing, standard_error, evaluation_share, mean_surprise]

QUIZ = Quiz(
    "03",
    [
        Question(
            "The first logged loss is 4.1. The text has 62 different characters. Is something broken?",
            [
                Choice(
                    "Yes, a loss should be below 1.",
                    "A loss is not a share of errors. It is minus the logarithm of a probability and has no upper end.",
                ),
                Choice(
                    "No, that is what guessing among 62 characters costs.",
                    "ln 62 = 4.13. A new model finds all characters about equally likely; a loss far above that would "
                    "mean that it starts out sure of wrong answers.",
                    right=True,
                ),
                Choice(
                    "Yes, the model is worse than guessing.",
                    "Guessing among 62 characters costs ln 62 = 4.13, so it is level with guessing, as it should be "
                    "before it has learnt anything.",
                ),
            ],
        ),
        Question(
            "The training loss is 1.2, the validation loss 1.9, and both still fall. What is it?",
            [
                Choice(
                    "Overfitting has set in: stop now.",
                    "A gap alone is no reason to stop. The text it has never seen still gets easier for it; stop when "
                    "the validation loss has stopped falling.",
                ),
                Choice(
                    "A bug: the two must be equal.",
                    "They are about equal only at the start. Training text is easier for a model that has practised "
                    "on that very text.",
                ),
                Choice(
                    "It does well, and best on the text that it has practised.",
                    "The gap says that it has learnt some of the training text by heart; the falling validation loss "
                    "says that it also still learns what holds for other text.",
                    right=True,
                ),
                Choice(
                    "It does well, and its loss is 1.2.",
                    "What you want to know is how it does on new text, and that is what 1.9 estimates.",
                ),
            ],
        ),
        Question(
            "You set `eval_iters` from 20 to 80. What happens to the error bar of the validation loss?",
            [
                Choice(
                    "It shrinks to about a half.",
                    "The standard error is the spread divided by the square root of the number of batches, and four "
                    "times as many batches have twice the root.",
                    right=True,
                ),
                Choice(
                    "It shrinks to about a quarter.",
                    "The error falls with the square root of the number of batches: a quarter takes sixteen times "
                    "as many.",
                ),
                Choice(
                    "Nothing, but the loss itself falls.",
                    "More batches measure the same model more exactly. They do not make it better: the estimate is "
                    "as likely to move up as down.",
                ),
            ],
        ),
        Question(
            "The validation loss went from 1.602 ± 0.015 to 1.609 ± 0.015 (standard errors). Has the model got worse?",
            [
                Choice(
                    "Yes, 1.609 is more than 1.602.",
                    "Each number is off by about 0.015, so a difference of 0.007 is smaller than what other random "
                    "batches would have made.",
                ),
                Choice(
                    "No, the error bars overlap, so the model is just as good.",
                    "That you cannot see a difference does not say that there is none. It may be a little worse, or "
                    "a little better.",
                ),
                Choice(
                    "Yes, and it is time to stop.",
                    "One rise within the error bars is no trend. Wait for several evaluations, or raise `eval_iters`.",
                ),
                Choice(
                    "These two numbers cannot tell.",
                    "The difference, 0.007, is a third of its own error of 0.021 (0.015 times the root of 2). A larger "
                    "`eval_iters` would make both error bars smaller.",
                    right=True,
                ),
            ],
        ),
        Question(
            "You set `eval_interval` from 250 to 1. What changes in the weights that the run ends with?",
            [
                Choice(
                    "They get better, because the model is corrected more often.",
                    "An evaluation computes a loss but no gradient. Only a training step changes weights.",
                ),
                Choice(
                    "Nothing. The run only takes longer.",
                    "An evaluation changes no weight, and here it draws its batches from random numbers of its own, so "
                    "that training sees the same batches as before.",
                    right=True,
                ),
                Choice(
                    "They overfit, because the model sees the validation text more often.",
                    "It is tested on that text but does not learn from it. (You could overfit to it, by choosing "
                    "settings by that loss again and again.)",
                ),
            ],
        ),
        Question(
            "You set `log_interval` from 10 to 100. What happens to the learning?",
            [
                Choice(
                    "It gets ten times slower.",
                    "Steps that are not logged are steps all the same: each of them still changes the weights.",
                ),
                Choice(
                    "It gets steadier, because each logged loss is the mean of 100 steps.",
                    "A logged loss is that of one step, on the batch of that step; the others are just not shown.",
                ),
                Choice(
                    "Nothing. Fewer points are drawn.",
                    "Logging looks at a loss that each step computes anyway, so fewer looks change the curve on the "
                    "screen, not the model.",
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
            "Lesson 01: the same text is cut into characters, and into learnt byte pairs. What do the byte pairs "
            "change?",
            [
                Choice(
                    "Fewer tokens, and a larger vocabulary.",
                    "Each pair stands for several characters, so fewer are needed, and each needs its own entry.",
                    right=True,
                ),
                Choice(
                    "Fewer tokens, and a smaller vocabulary.",
                    "The pairs are added to the single bytes, which stay: the vocabulary grows with every merge.",
                ),
                Choice(
                    "More tokens, because each pair counts as two.",
                    "A merged pair is one token. That is the point of merging it.",
                ),
            ],
        ),
        Question(
            "Lesson 01: model A reads characters and has a loss of 1.5 nats per token. Model B reads byte pairs and "
            "has 3.2. Which predicts the text better?",
            [
                Choice(
                    "A, because its loss is lower.",
                    "Their tokens differ in length. One of B's tokens may be worth three or four characters.",
                ),
                Choice(
                    "B, because a larger vocabulary makes a better model.",
                    "A larger vocabulary makes each token harder to guess and the text shorter; which of them wins "
                    "has to be measured.",
                ),
                Choice(
                    "That depends on how many characters B's tokens have.",
                    "Per character, B has 3.2 divided by its characters per token: with 2.5 of them 1.28, with 2 of "
                    "them 1.6.",
                    right=True,
                ),
            ],
        ),
        Question(
            "Lesson 02: `block_size` is 64. What may the model use to predict the next character?",
            [
                Choice(
                    "Everything that came before it in the text.",
                    "What lies more than 64 tokens back is cut off; the model does not even know that it is there.",
                ),
                Choice(
                    "At most the last 64 tokens.",
                    "That is what `block_size` fixes. A larger one costs time and memory in every step.",
                    right=True,
                ),
                Choice(
                    "Always exactly 64 tokens.",
                    "At the start of a window there are fewer: training predicts from 1, 2, ... 64 tokens at once.",
                ),
            ],
        ),
    ],
)

"""Lesson 06: does it learn rules, or does it repeat the text?"""

from course.lessons import Choice, Exercise, Question, Quiz, SameAs, Wrong

# --- which weights to keep ------------------------------------------------------------------------------


def _falling_then_rising(rng):
    count = rng.randint(4, 9)
    losses = rng.sample(range(150, 420), count)  # no two alike: the answer is one step
    return [25 * i for i in range(count)], [loss / 100 for loss in losses]


best_step = Exercise(
    name="best_step",
    title="Which weights to keep?",
    difficulty=1,
    minutes=3,
    check=SameAs(
        lambda steps, val_losses: min(zip(val_losses, steps, strict=True))[1],
        inputs=[([0, 50, 100, 150], [4.2, 2.7, 2.6, 3.1])],
        random_input=_falling_then_rising,
        mistakes={
            "that is where the run ended; the validation loss was lower before": lambda steps, losses: steps[-1],
            "that is the lowest loss itself; the step at which it was measured is asked for": lambda s, losses: min(
                losses
            ),
            "that counts the evaluations; look its step up in `steps`": lambda steps, losses: losses.index(min(losses)),
            "that is where the loss is highest": lambda steps, losses: max(zip(losses, steps, strict=True))[1],
        },
    ),
    hints=(
        "The weights to keep are those with the lowest validation loss.",
        "`val_losses.index(lowest)` says at which place of the list it stands; `steps` has the step at that place.",
    ),
    solution="""
        def best_step(steps, val_losses):
            lowest = min(val_losses)
            return steps[val_losses.index(lowest)]
    """,
)

# --- epochs -----------------------------------------------------------------------------------------------

epochs = Exercise(
    name="epochs",
    title="How often was each character seen?",
    difficulty=1,
    minutes=5,
    check=SameAs(
        lambda steps, batch, accumulation, block, characters: steps * batch * accumulation * block / characters,
        inputs=[(100, 10, 1, 50, 25_000), (300, 8, 4, 32, 4169)],
        random_input=lambda rng: (
            rng.randint(50, 900),
            rng.randint(2, 64),
            rng.randint(2, 8),
            rng.choice([32, 64, 128]),
            rng.randint(4000, 90_000),
        ),
        mistakes={
            "each sequence is `block_size` characters long, and all of them are learnt from": (
                lambda steps, batch, accumulation, block, characters: steps * batch * accumulation / characters
            ),
            "one step learns from `gradient_accumulation_steps` micro-batches, not from one": (
                lambda steps, batch, accumulation, block, characters: steps * batch * block / characters
            ),
            "that is one sequence a micro-batch; there are `batch_size` of them": (
                lambda steps, batch, accumulation, block, characters: steps * accumulation * block / characters
            ),
            "that is upside down: characters learnt from, divided by characters that there are": (
                lambda steps, batch, accumulation, block, chars: chars / (steps * batch * accumulation * block)
            ),
            "that is how many characters one step learns from; there are `max_iters` steps, and the text has "
            "`characters` of them": lambda steps, batch, accumulation, block, characters: batch * accumulation * block,
        },
    ),
    hints=(
        "First: how many characters does one step learn from? Lesson 05 called it tokens per step.",
        "Tokens per step: `batch_size * gradient_accumulation_steps * block_size`.",
        "All steps together, divided by the characters of the text.",
    ),
    solution="""
        def epochs(max_iters, batch_size, gradient_accumulation_steps, block_size, characters):
            tokens_per_step = batch_size * gradient_accumulation_steps * block_size
            return max_iters * tokens_per_step / characters
    """,
    starter="""
        def epochs(max_iters, batch_size, gradient_accumulation_steps, block_size, characters):
            tokens_per_step = ...
            return max_iters * tokens_per_step / characters
    """,
)

# --- early stopping -----------------------------------------------------------------------------------------


def _stop_at(losses, patience, *, better=lambda loss, best, before: loss < best, reset=True):
    best, waited = losses[0], 0
    for i in range(1, len(losses)):
        if better(losses[i], best, losses[i - 1]):
            waited = 0 if reset else waited
        else:
            waited += 1
        best = min(best, losses[i])
        if waited == patience:
            return i
    return len(losses) - 1


def _noisy_losses(rng):
    losses = [4.2]
    for i in range(rng.randint(9, 14)):
        losses.append(round(losses[-1] + rng.uniform(-0.5, 0.3) + 0.05 * i, 2))
    return losses, rng.randint(2, 3)


stop_at = Exercise(
    name="stop_at",
    title="Early stopping with patience",
    difficulty=2,
    minutes=12,
    check=SameAs(
        _stop_at,
        inputs=[
            ([4.2, 2.9, 2.6, 2.7, 2.8, 3.0, 3.3], 3),
            ([4.2, 3.0, 3.1, 2.8, 2.9, 2.7, 2.8, 2.75, 2.9], 2),
            ([4.2, 3.0, 3.5, 3.4, 3.3, 3.2, 2.9], 3),
            ([4.2, 3.0, 2.5, 2.2], 2),
        ],
        random_input=_noisy_losses,
        mistakes={
            "that compares each loss with the one before it; compare it with the best so far": lambda x, patience: (
                _stop_at(x, patience, better=lambda loss, best, before: loss < before)
            ),
            "that never forgets: with each new best the waiting starts again from 0": lambda x, patience: _stop_at(
                x, patience, reset=False
            ),
            "that waits one evaluation too long: stop at the `patience`-th one without a new best": (
                lambda x, patience: _stop_at(x, patience + 1)
            ),
            "that stops at the first one without a new best: `patience` plays no part in it": lambda x, patience: (
                _stop_at(x, 1)
            ),
            "that is where the best weights are; the run goes on for `patience` evaluations before it knows": (
                lambda x, patience: min(range(_stop_at(x, patience) + 1), key=lambda i: x[i])
            ),
            "that is where the lowest loss of all stands; a run that stops early may never come so far": (
                lambda x, patience: x.index(min(x))
            ),
            "that looks at the lowest loss of all; a run sees only what has come so far": (
                lambda x, patience: x.index(min(x)) + patience
            ),
            "if nothing stops it, it runs to its last evaluation, whose number is `len(val_losses) - 1`": (
                lambda x, patience: i if (i := _stop_at(x, patience)) < len(x) - 1 else len(x)
            ),
        },
    ),
    hints=(
        "Keep two things while you walk along the losses: the best so far, and how many have come since without "
        "beating it.",
        "A new best: remember it, and count from 0 again. No new best: count one up. Count reaches `patience`: "
        "`return i`.",
        "After the loop nothing has stopped the run: `return len(val_losses) - 1`.",
    ),
    solution="""
        def stop_at(val_losses, patience):
            best, waited = float("inf"), 0
            for i, loss in enumerate(val_losses):
                if loss < best:
                    best, waited = loss, 0
                else:
                    waited += 1
                if waited == patience:
                    return i
            return len(val_losses) - 1
    """,
)

# --- the longest common span ----------------------------------------------------------------------------------


def _spans(a, b, skip_last=False):
    ends = len(a) + (not skip_last)
    return [j - i for i in range(len(a)) for j in range(i + 1, ends) if a[i:j] in b]


def _subsequence(a, b):
    """Length of the longest common subsequence: gaps allowed."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row[:]
        for j, y in enumerate(b):
            row[j + 1] = before[j] + 1 if x == y else max(before[j + 1], row[j])
    return row[-1]


def _prefix(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _two_lines(rng):
    words = ["fair", "Hermia", "my", "love", "the", "moon", "O", "swear", "Duke", "thy"]
    shared = " ".join(rng.sample(words, rng.randint(1, 3)))
    line = [" ".join(rng.choice(words) for _ in range(rng.randint(1, 3))) for _ in range(3)]
    return f"{line[0]}, {shared}", f"{line[1]} {shared}; {line[2]}"  # the shared words end the first line


longest_common_span = Exercise(
    name="longest_common_span",
    title="The longest span that two texts share",
    difficulty=3,
    minutes=15,
    check=SameAs(
        lambda a, b: max(_spans(a, b), default=0),
        inputs=[("fair Hermia", "my Hermia, fair"), ("abc", "xyz"), ("O, methinks", "methinks"), ("a-b-c", "abc")],
        random_input=_two_lines,
        mistakes={
            "the characters must stand next to each other in both; that one may leave gaps": _subsequence,
            "that looks only at how the two begin; the span may stand anywhere": _prefix,
            "that counts the different characters that both have; the span must be the same in one piece": (
                lambda a, b: len(set(a) & set(b))
            ),
            "that is the span itself; its length is asked for": lambda a, b: max(
                (a[i:j] for i in range(len(a) + 1) for j in range(i, len(a) + 1) if a[i:j] in b), key=len
            ),
            "that compares place by place; the span may stand at different places": lambda a, b: sum(
                x == y for x, y in zip(a, b, strict=False)
            ),
            "spans that reach the end of the first text are left out; `a[i:j]` ends before `j`, so `j` goes up to "
            "`len(a)`": lambda a, b: max(_spans(a, b, skip_last=True), default=0),
        },
    ),
    hints=(
        "Try each span of the first text: does it stand in the second? Python's `in` tells, for texts too.",
        "`a[i:j]` for each `i` from 0 and each `j` from `i + 1` to `len(a)`, the last included.",
        "Keep the largest `j - i` for which `a[i:j] in b`; start with 0, for texts that share nothing.",
    ),
    solution="""
        def longest_common_span(a, b):
            longest = 0
            for i in range(len(a)):
                for j in range(i + 1, len(a) + 1):
                    if a[i:j] in b:
                        longest = max(longest, j - i)
            return longest
    """,
)

# --- reading curves ---------------------------------------------------------------------------------------------

_WORDS = ("healthy", "underfit", "overfit", "diverged")
_READINGS = (
    ("A", "overfit", "training falls to 0.9 while validation rises from 2.5 to 3.1"),
    ("B", "healthy", "both still fall, and the gap of 0.2 does not make validation rise"),
    ("C", "diverged", "from step 100 on both are far above their first value: worse than guessing"),
    ("D", "underfit", "both are equally high and hardly move any more: no gap, and little learnt"),
)


def _check_readings(readings):
    if not isinstance(readings, (list, tuple)) or len(readings) != len(_READINGS):
        return Wrong("give a list of four words, for A, B, C and D")
    for (name, right, why), said in zip(_READINGS, readings, strict=True):
        if said not in _WORDS:
            return Wrong(f"{name}: {said!r} is none of the words {', '.join(_WORDS)}")
        if said != right:
            return Wrong(f"{name} is not {said}: {why}")
    return None


readings = Exercise(
    name="readings",
    title="Four runs, four words",
    difficulty=2,
    minutes=6,
    check=_check_readings,
    hints=(
        "Two questions: do both losses move together? And where are they, seen from 4.1, the loss of guessing?",
        "A gap alone is no illness. Ask what the validation loss does.",
        "One is far above guessing, one has its validation loss rising, one stands still high up, one is well.",
    ),
    solution="""
        readings = ["overfit", "healthy", "diverged", "underfit"]
    """,
    starter="""
        readings = [..., ..., ..., ...]  # A, B, C, D
    """,
)

EXERCISES = [best_step, epochs, stop_at, longest_common_span, readings]

QUIZ = Quiz(
    "06",
    [
        Question(
            "The training loss is 1.2, the validation loss 1.9, and both still fall. Is this overfitting? Do you stop?",
            [
                Choice(
                    "Yes, there is a gap: stop.",
                    "A gap only says that text it has practised is easier for it. While the validation loss falls, it "
                    "still gets better at new text.",
                ),
                Choice(
                    "No: go on while the validation loss falls.",
                    "What counts is what it can do with text that it has not seen, and that still improves. Watch for "
                    "the moment when it stops improving.",
                    right=True,
                ),
                Choice(
                    "It cannot be told without a look at samples.",
                    "Samples mislead: in this lesson the model that was worst at new text wrote the best English.",
                ),
            ],
        ),
        Question(
            "A model trained on two pages writes fluent Shakespeare. What do you conclude?",
            [
                Choice(
                    "It has learnt English: two pages are enough.",
                    "Hold the sample against the two pages. It is fluent because Shakespeare wrote it.",
                ),
                Choice(
                    "Its validation loss must be low.",
                    "Ours rose to almost 4 nats while the samples got better and better.",
                ),
                Choice(
                    "Nothing yet: measure what is copied, and the validation loss.",
                    "A sample shows how it sounds, the meter where it comes from, and the validation loss what the "
                    "model can do with new text.",
                    right=True,
                ),
            ],
        ),
        Question(
            "Trained on all plays, the model has a validation loss of 2.0 and writes words that do not exist. "
            "Has the training failed?",
            [
                Choice(
                    "No. At 2.0 nats that is how it sounds; train longer.",
                    "It has learnt how words look, and where names and lines stand. The loss still falls, and with it "
                    "the share of words that do not exist.",
                    right=True,
                ),
                Choice(
                    "Yes, it should write real words by now.",
                    "Judge by the loss: it has fallen far below 4.1, the loss of guessing, and it still falls.",
                ),
                Choice(
                    "Yes, it overfits: it makes up words instead of using those of the text.",
                    "It is the other way round. A model that overfits repeats the text, with real words.",
                ),
            ],
        ),
        Question(
            "With dropout the validation loss is a little lower than the logged training loss. Is that a bug?",
            [
                Choice(
                    "Yes, the validation loss cannot be lower.",
                    "It can. The two are measured on different texts, and here also under different conditions.",
                ),
                Choice(
                    "Yes, the validation text must have been trained on.",
                    "That would be one possible cause, a leak. But with dropout there is a harmless one, and it comes "
                    "first.",
                ),
                Choice(
                    "No: dropout makes training steps harder, and evaluation does without it.",
                    "The logged loss is that of a model with a share of its numbers set to zero. In an evaluation "
                    "nothing is set to zero.",
                    right=True,
                ),
            ],
        ),
        Question(
            "The sample of a model trained on 4 million characters has a span of 16 characters from them. "
            "Does it copy?",
            [
                Choice(
                    "Yes, 16 characters in a row cannot be chance.",
                    "In 4 million characters they can: Shakespeare himself, in plays held out, shares spans as long "
                    "with the others.",
                ),
                Choice(
                    "Compare with real text that was held out: it has such spans too.",
                    "That is what the baseline is for. Common phrases stand in every long text, so the same span says "
                    "little here, and much if there were only two pages.",
                    right=True,
                ),
                Choice(
                    "No, only a whole copied speech would count.",
                    "Shorter spans count too, once they are longer or more than in held-out text.",
                ),
            ],
        ),
        Question(
            "`eval_iters = 1`. The validation loss has not beaten its record for three evaluations. What now?",
            [
                Choice(
                    "Stop: that is what the rule says.",
                    "The rule can only see what was measured. With so large an error bar the gain of three evaluations "
                    "drowns in noise.",
                ),
                Choice(
                    "Lower the learning rate.",
                    "Nothing shows that the training is at fault. The same run, measured better, still fell.",
                ),
                Choice(
                    "Raise `eval_iters`, then ask again.",
                    "The weights are the same, only the measurement gets better: sixteen times the batches, a quarter "
                    "of the error.",
                    right=True,
                ),
            ],
        ),
        Question(
            "You trained with 50 settings and publish the one with the lowest validation loss, 1.48. "
            "Is 1.48 an honest number?",
            [
                Choice(
                    "A little too good: the choice was made on that very text.",
                    "Among 50 the luckiest wins too. A third text, the test set, read once at the very end, tells the "
                    "honest number.",
                    right=True,
                ),
                Choice(
                    "Yes, the model never trained on the validation text.",
                    "The model did not, but you did: each choice by that loss fits your settings to that text a bit.",
                ),
                Choice(
                    "No, the training loss would be the honest one.",
                    "That one flatters far more: it is measured on text that the model has practised.",
                ),
            ],
        ),
    ],
)

RECALL = Quiz(
    "recall",
    [
        Question(
            "Lesson 03: two evaluations give 2.15 ± 0.03 and 2.13 ± 0.03. What do they show?",
            [
                Choice(
                    "The model has improved by 0.02.",
                    "The difference is smaller than the error bars: other random batches could have turned it round.",
                ),
                Choice(
                    "Not enough to say which is lower.",
                    "A difference below the error bars is no difference yet; four times `eval_iters` would halve them.",
                    right=True,
                ),
                Choice(
                    "The model has stopped learning.",
                    "That cannot be seen either. It may still improve, by less than this measurement can show.",
                ),
            ],
        ),
        Question(
            "Lesson 04: the gradient of one weight is −0.2. What does a step of gradient descent do with it?",
            [
                Choice(
                    "It makes the weight a little larger.",
                    "The loss falls as this weight grows, and the step goes against the gradient: minus a minus.",
                    right=True,
                ),
                Choice(
                    "It makes the weight a little smaller.",
                    "A negative gradient means that the loss falls when the weight grows, so downhill is upwards here.",
                ),
                Choice(
                    "It sets the weight to −0.2.",
                    "The gradient is a slope, not a new value; `learning_rate` times it is what the weight moves.",
                ),
            ],
        ),
        Question(
            "Lesson 05: `batch_size` 8 with `gradient_accumulation_steps` 4, against `batch_size` 32 with 1. "
            "How do the two runs differ?",
            [
                Choice(
                    "The first makes four times as many optimiser steps.",
                    "Accumulating means to wait: one optimiser step after four micro-batches.",
                ),
                Choice(
                    "The first learns from a quarter of the text.",
                    "8 × 4 = 32: each step learns from the same sequences.",
                ),
                Choice(
                    "In memory and time, hardly in the gradient.",
                    "The mean over four micro-batches of 8 is the mean over 32, but for rounding; only a quarter of "
                    "the activations must be in memory at once.",
                    right=True,
                ),
            ],
        ),
    ],
)

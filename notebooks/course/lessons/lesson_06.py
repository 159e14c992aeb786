"""Lesson 06: does it learn rules, or does it repeat the text?"""

import random

import torch
from torch import Tensor

from course.lessons import Choices, Exercise, SameAs, quizzes
from course.prediction import Prediction

predict_train_fraction = Prediction(
    "You move only train_fraction, from 0.0005 to 1: all the plays, the same 400 steps. "
    "With one page the training loss ended at 0.3. Where does it end now?",
    choices=(
        "Lower: it learns from two thousand times as much text",
        "About 0.3 again: same model, same number of steps",
        "Much higher: about 2",
    ),
    answer=2,
    why="Hardly any passage comes up twice, so there is nothing to learn by heart. Now look at the validation loss!",
)

# --- calibration -------------------------------------------------------------------------------------------


def _calibration(logits: Tensor, targets: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    sure, guess = logits.softmax(dim).max(dim=-1)
    return sure.mean(), (guess == targets).float().mean()


def _logits(rng: random.Random) -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(rng.randint(0, 10**6))
    logits = 2 * torch.randn(12, 5, generator=numbers)
    right = torch.rand(12, generator=numbers) < 0.4
    return logits, torch.where(right, logits.argmax(-1), torch.randint(5, (12,), generator=numbers))


calibration = Exercise(
    name="calibration",
    title="How sure, and how often right?",
    difficulty=2,
    minutes=8,
    check=SameAs(
        _calibration,
        inputs=[(torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0], [1.0, 0.0, 0.0]]), torch.tensor([0, 1, 0]))],
        random_input=_logits,
        mistakes={
            "how sure: that is the probability of the character that came. Take that of the favorite, the largest": (
                lambda logits, targets: (
                    logits.softmax(-1).gather(-1, targets[:, None]).mean(),
                    _calibration(logits, targets)[1],
                )
            ),
            "how sure: those are logits. Softmax turns them into probabilities": lambda logits, targets: (
                logits.max(-1).values.mean(),
                _calibration(logits, targets)[1],
            ),
            "how often right: that counts the hits; divide by how many guesses there were (`.float().mean()`)": (
                lambda logits, targets: (_calibration(logits, targets)[0], (logits.argmax(-1) == targets).sum())
            ),
            "how often right: `.values` are probabilities. Compare the columns, `.indices`, with `targets`": (
                lambda logits, targets: (_calibration(logits, targets)[0], 0.0)
            ),
            "how often right: that is one answer for each guess; take their mean (`.float().mean()`)": (
                lambda logits, targets: (_calibration(logits, targets)[0], (logits.argmax(-1) == targets).float())
            ),
            "the softmax runs down the columns; every row is one guess: `dim=-1`": (
                lambda logits, targets: _calibration(logits, targets, dim=0)
            ),
        },
    ),
    hints=(
        "Three steps: probabilities by `softmax(dim=-1)`; the largest of each row and where it is; compare with "
        "`targets`.",
        "`probabilities.max(dim=-1)` gives both: `.values`, the largest of each row, and `.indices`, its column.",
        "`(favorite.indices == targets).float().mean()` is how often the guess is right.",
    ),
    solution="""
        def calibration(logits, targets):
            probabilities = logits.softmax(dim=-1)
            favorite = probabilities.max(dim=-1)  # .values: the largest of each row; .indices: its column
            return favorite.values.mean(), (favorite.indices == targets).float().mean()
    """,
)

# --- early stopping, with error bars -------------------------------------------------------------------------


def _stop_at(losses, errors, patience, *, reset=True, record=lambda loss, error, best, before: loss + error < best):
    best, waited = losses[0], 0
    for i in range(1, len(losses)):
        if record(losses[i], errors[i], best, losses[i - 1]):
            best, waited = losses[i], 0 if reset else waited
        else:
            waited += 1
        if waited == patience:
            return i
    return len(losses) - 1


def _noisy_losses(rng):
    losses = [4.2]
    for i in range(rng.randint(9, 14)):
        losses.append(round(losses[-1] + rng.uniform(-0.5, 0.3) + 0.05 * i, 2))
    return losses, [round(rng.uniform(0.02, 0.15), 2) for _ in losses], rng.randint(2, 3)


stop_at = Exercise(
    name="stop_at",
    title="Early stopping with error bars",
    difficulty=2,
    minutes=15,
    check=SameAs(
        _stop_at,
        inputs=[
            ([4.2, 2.9, 2.6, 2.7, 2.8, 3.0, 3.3], [0.02] * 7, 3),
            ([4.2, 2.6, 2.58, 2.56, 2.57, 2.55, 2.3], [0.1] * 7, 3),
            ([4.2, 3.0, 3.1, 2.8, 2.9, 2.7, 2.8, 2.75, 2.9], [0.02] * 9, 2),
            ([4.2, 3.0, 3.5, 3.4, 3.3, 3.2, 2.9], [0.02] * 7, 3),
            ([4.2, 3.0, 2.5, 2.2], [0.02] * 4, 2),
        ],
        random_input=_noisy_losses,
        mistakes={
            "that calls every new lowest loss a gain; it is one only if it is lower by more than its error bar": (
                lambda losses, errors, patience: _stop_at(losses, [0.0] * len(losses), patience)
            ),
            "that compares each loss with the one before it; compare it with the record": (
                lambda losses, errors, patience: _stop_at(
                    losses, errors, patience, record=lambda loss, error, best, before: loss + error < before
                )
            ),
            "that never forgets: with each new record the waiting starts again from 0": (
                lambda losses, errors, patience: _stop_at(losses, errors, patience, reset=False)
            ),
            "that waits one evaluation too long: stop at number `patience` in a row without a record": (
                lambda losses, errors, patience: _stop_at(losses, errors, patience + 1)
            ),
            "that stops at the first evaluation without a record: `patience` plays no part in it": (
                lambda losses, errors, patience: _stop_at(losses, errors, 1)
            ),
            "the error bar is on the wrong side: `loss - error` makes every loss look better than it is": (
                lambda losses, errors, patience: _stop_at(
                    losses, errors, patience, record=lambda loss, error, best, before: loss - error < best
                )
            ),
            "that is the step of the lowest loss of all; a run that stops early may never get that far": (
                lambda losses, errors, patience: losses.index(min(losses))
            ),
            "if nothing stops it, it runs to its last evaluation, which has the number `len(losses) - 1`": (
                lambda losses, errors, patience: (
                    i if (i := _stop_at(losses, errors, patience)) < len(losses) - 1 else len(losses)
                )
            ),
        },
    ),
    hints=(
        "Keep two things while you walk along the losses: the record so far, and how many evaluations have come since "
        "without breaking it.",
        "A record: `loss + error < best`. Remember it, and count from 0 again. No record: count one up. If the count "
        "reaches `patience`: `return i`.",
        "After the loop nothing has stopped the run: `return len(losses) - 1`.",
    ),
    solution="""
        def stop_at(losses, errors, patience):
            best, waited = losses[0], 0
            for i in range(1, len(losses)):
                if losses[i] + errors[i] < best:
                    best, waited = losses[i], 0
                else:
                    waited += 1
                if waited == patience:
                    return i
            return len(losses) - 1
    """,
)

# --- a meter for words --------------------------------------------------------------------------------------


def _runs(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.split()
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _hits(sample: str, text: str, n: int) -> list[int]:
    known = _runs(text, n)
    return [i for i, run in enumerate(_runs(sample, n)) if run in known]


def _fraction(starts: list[int], sample: str, n: int) -> float:
    return len({j for i in starts for j in range(i, i + n)}) / len(sample.split())


def _two_lines(rng: random.Random) -> tuple[str, str, int]:
    words = ["fair", "Hermia", "my", "love", "the", "moon", "O", "swear", "Duke", "thy"]
    shared = rng.choices(words, k=rng.randint(2, 5))
    before, after, other = (rng.choices(words, k=rng.randint(1, 4)) for _ in range(3))
    return " ".join(before + shared + other), " ".join(after + shared + before[:1]), rng.randint(2, 3)


copied_words = Exercise(
    name="copied_words",
    title="A meter that counts words",
    difficulty=3,
    minutes=15,
    check=SameAs(
        lambda sample, text, n: _fraction(_hits(sample, text, n), sample, n),
        inputs=[
            ("my fair Hermia come with me", "O fair Hermia come home", 2),
            ("the moon the moon", "see the moon", 2),
            ("a b c d", "c d a b", 3),
            ("love me", "she may glove men", 2),
        ],
        random_input=_two_lines,
        mistakes={
            "that counts runs of n words; the answer counts *words* that are in at least one such run": (
                lambda sample, text, n: len(_hits(sample, text, n)) / max(1, len(_runs(sample, n)))
            ),
            "a word in two overlapping runs is counted twice there; collect places in a set": (
                lambda sample, text, n: n * len(_hits(sample, text, n)) / len(sample.split())
            ),
            "a word that comes twice is counted once there; collect the *places* of words, not the words": (
                lambda sample, text, n: (
                    len({word for i in _hits(sample, text, n) for word in _runs(sample, n)[i]}) / len(sample.split())
                )
            ),
            "that is how many words; divide by the number of words in the sample": (
                lambda sample, text, n: _fraction(_hits(sample, text, n), sample, n) * len(sample.split())
            ),
            "that asks for each word alone whether the text has it; it takes n in a row": (
                lambda sample, text, n: len(_hits(sample, text, 1)) / len(sample.split())
            ),
            "only the first word of each run is counted there; the other n - 1 are copied too": (
                lambda sample, text, n: len(_hits(sample, text, n)) / len(sample.split())
            ),
            "the last run is left out: `range(len(words) - n + 1)` reaches it": lambda sample, text, n: _fraction(
                [i for i in _hits(sample, text, n) if i < len(sample.split()) - n], sample, n
            ),
            "that looks for letters, and finds `love` inside `glove`; compare whole words": (
                lambda sample, text, n: _fraction(
                    [i for i, run in enumerate(_runs(sample, n)) if " ".join(run) in text], sample, n
                )
            ),
        },
    ),
    hints=(
        "`sample.split()` is the list of its words. Slide a window of n words over both texts.",
        "Collect all runs of the text in a set: `{tuple(words[i : i + n]) for i in range(len(words) - n + 1)}`.",
        "For every run of the sample that is in the set, put its n places into another set. Its size, divided by the "
        "number of words, is the answer.",
    ),
    solution="""
        def copied_words(sample, text, n):
            sample, text = sample.split(), text.split()
            known = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
            copied = set()
            for i in range(len(sample) - n + 1):
                if tuple(sample[i : i + n]) in known:
                    copied |= set(range(i, i + n))
            return len(copied) / len(sample)
    """,
)

# --- five runs, and what to do about them ------------------------------------------------------------------------

next_steps = Exercise(
    name="next_steps",
    title="Five runs, five next steps",
    difficulty=2,
    minutes=8,
    check=Choices(
        right=(
            ("A", "more text", "it overfits: training falls to 0.9 while validation rises from 2.5 to 3.1"),
            ("B", "go on", "both still fall; a gap of 0.2 is no illness as long as validation falls"),
            (
                "C",
                "smaller learning_rate",
                "it diverged. It came back, but only to 3.2, the loss of knowing letter frequencies and nothing else",
            ),
            ("D", "more eval_iters", "its error bars of 0.1 hide whether validation still falls: measure better"),
            ("E", "larger model", "no gap, and flat at 2.48, just above the 2.46 of letter pairs: it is too small"),
        ),
        allowed=("go on", "more text", "larger model", "smaller learning_rate", "more eval_iters"),
    ),
    hints=(
        "Ask three things of each run. Do both losses move together? How high are they, next to 4.14, 3.20 and 2.46? "
        "How large are the error bars?",
        "A gap alone is no illness. Ask what the validation loss does, and whether the error bars let you see it.",
        "Two runs stand still at a landmark: one at letter frequencies, after an accident; one at letter pairs.",
    ),
    solution="""
        next_steps = ["more text", "go on", "smaller learning_rate", "more eval_iters", "larger model"]
    """,
)

EXERCISES = [next_steps, calibration, stop_at, copied_words]
RECALL, QUIZ = quizzes("06")

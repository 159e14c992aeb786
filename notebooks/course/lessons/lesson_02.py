"""Lesson 02: how far back may the model look?"""

import random

import torch
import torch.nn.functional as F
from torch import Tensor

from course.lessons import Exercise, InOrder, SameAs, Wrong, quizzes, source_of
from course.prediction import Prediction

predict_block_size = Prediction(
    "You raise block_size from 8 to 64: each step reads eight times as much text. How much longer does the run take?",
    choices=(
        "64 times as long: every character is compared with every other",
        "Eight times as long: eight times the text",
        "Longer, but nowhere near eight times",
    ),
    answer=2,
    why="Part of every step costs the same whatever block_size is, and at these sizes comparing characters is cheap.",
)

# --- exercises -------------------------------------------------------------------------------------------


def _causal_mask(size):
    mask = torch.zeros(size, size, dtype=torch.bool)
    for row in range(size):
        for column in range(size):
            mask[row, column] = column <= row
    return mask


causal_mask = Exercise(
    name="causal_mask",
    title="Who may look at whom?",
    difficulty=2,
    minutes=5,
    check=SameAs(
        _causal_mask,
        inputs=[(4,), (1,), (7,)],
        mistakes={
            "no position may look at itself here, so position 0 has nothing to look at; its own token is known, "
            "only what follows is not": lambda size: torch.ones(size, size).tril(-1),
            "that lets each position look at itself and at what comes later, so it can read off its answer; "
            "swap row and column": lambda size: torch.ones(size, size).triu(),
            "that marks what is forbidden; True should mean: may look": lambda size: torch.ones(size, size).triu(1),
        },
    ),
    hints=(
        "At position 2 the model sees the characters 0, 1 and 2. Which columns of row 2 are True?",
        "Position `row` may look at every position that is not later than itself.",
        "Compare `column` with `row`; they may be equal.",
    ),
    solution=source_of(_causal_mask, imports="import torch\n"),
)

writing_order = Exercise(
    name="writing_order",
    title="Put the lines in order: writing past the window",
    difficulty=2,
    minutes=5,
    check=InOrder(
        "debca",
        (
            "the loop has to come first: all the other lines are repeated for each new token",
            "cut the window before the model reads it: with more than block_size tokens it refuses",
            "turn the scores into probabilities only after the model has given scores",
            "the token has to be drawn from this round's probabilities, so compute them first",
        ),
    ),
    hints=(
        "Which line says how often all the rest happens?",
        "Inside the loop: cut, ask, turn scores into probabilities, draw and append.",
        "It begins with d, and ends with a.",
    ),
    solution='writing_order = "debca"',
)


def _loss_by_position(logits, targets):
    B, T = targets.shape
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(B, T).mean(0)


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.mT, targets, reduction="none")  # (B, T)


def _random_scores(rng: random.Random) -> tuple[Tensor, Tensor]:
    B, T, V = rng.randint(2, 5), rng.randint(6, 9), rng.randint(10, 12)
    generator = torch.Generator().manual_seed(rng.randint(0, 10**6))
    return torch.randn(B, T, V, generator=generator), torch.randint(V, (B, T), generator=generator)


loss_by_position = Exercise(
    name="loss_by_position",
    title="The loss at each position",
    difficulty=2,
    minutes=8,
    check=SameAs(
        _loss_by_position,
        inputs=[_random_scores(random.Random(7))],
        random_input=_random_scores,
        mistakes={
            "that is one number for the whole batch; keep the positions apart: average over the batch only": (
                lambda logits, targets: _losses(logits, targets).mean()
            ),
            "that is one loss for each row of the batch; we want one for each position: average over the other "
            "dimension": lambda logits, targets: _losses(logits, targets).mean(1),
            "that has not been averaged: it still holds the losses of all rows": _losses,
            "`cross_entropy` turns scores into probabilities itself; give it the logits, without softmax": (
                lambda logits, targets: _loss_by_position(logits.softmax(-1), targets)
            ),
            "the logarithm of a probability is negative; the surprise is −ln p": (
                lambda logits, targets: -_loss_by_position(logits, targets)
            ),
            "the list of losses is cut into rows of the wrong length: it holds B rows of T, so `.view(B, T)`": (
                lambda logits, targets: _losses(logits, targets).view(targets.shape[1], -1).mean(1)
            ),
        },
    ),
    hints=(
        "`F.cross_entropy` wants one long list of questions: `logits.flatten(0, 1)` and `targets.flatten()`.",
        '`reduction="none"` gives all B x T losses instead of their mean. `.view(B, T)` puts them back into rows.',
        "`.mean(0)` averages over the first dimension, the rows of the batch.",
    ),
    solution=source_of(_loss_by_position, imports="import torch.nn.functional as F\n"),
)


def _check_twins(twins):
    if not isinstance(twins, (tuple, list)) or len(twins) != 2 or not all(isinstance(text, str) for text in twins):
        raise Wrong("give two texts, as a pair: `twins = (..., ...)`")
    first, second = twins
    if first == second:
        raise Wrong("the two texts are the same, so no model can tell them apart")
    if first[-6:] != second[-6:]:
        same = next(n for n in range(7) if first[-n - 1 :] != second[-n - 1 :])
        ends = f"only their last {same} characters are equal" if same else "they already end differently"
        raise Wrong(f"{ends}: a model with block_size 6 sees a difference")
    if first[-64:] == second[-64:]:
        raise Wrong("they differ only more than 64 characters before the end: the model with 64 cannot see that either")
    if first.endswith(("Juliet", "trike me,")):
        raise Wrong("that pair is in the lesson; find one of your own")


twins = Exercise(
    name="twins",
    title="Twins for 6, strangers for 64",
    difficulty=1,
    minutes=5,
    check=_check_twins,
    hints=(
        "What a model sees are the last block_size characters. Which part of the two texts must be equal?",
        "Let them end in the same 6 characters or more, spaces count.",
        "Put something different in front, at most 64 characters before the end.",
    ),
    solution='twins = ("Juliet: O happy dagger, this is thy sheath", "Romeo: O happy dagger, this is thy sheath")',
)


def _balance_point(numbers_per_token, n_layer, n_head):
    return numbers_per_token / (n_layer * n_head)


balance_point = Exercise(
    name="balance_point",
    title="Where does the quadratic part overtake?",
    difficulty=3,
    minutes=10,
    check=SameAs(
        _balance_point,
        inputs=[(3000, 2, 4), (1000, 1, 2), (50_000, 12, 12)],
        rel_tol=0.01,  # a whole number is as good
        mistakes={
            "the heads are missing: a token has a row of T numbers in each head": lambda a, n, h: a / n,
            "the layers are missing: a token has rows in each layer": lambda a, n, h: a / h,
            "no root is needed: both sides have a factor T, and one of them cancels": (
                lambda a, n, h: (a / (n * h)) ** 0.5
            ),
            "that is upside down: solve T * n_layer * n_head = numbers_per_token for T": lambda a, n, h: n * h / a,
        },
    ),
    hints=(
        "Write down both parts for one sequence of T tokens: one is `numbers_per_token * T`.",
        "The other: `n_layer * n_head` matrices of T x T numbers. Set them equal.",
        "Divide both sides by T, then by `n_layer * n_head`.",
    ),
    solution=source_of(_balance_point),
)

EXERCISES = [twins, causal_mask, writing_order, loss_by_position, balance_point]
RECALL, QUIZ = quizzes("02")

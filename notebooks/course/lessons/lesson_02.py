"""Lesson 02: how far back may the model look?"""

import random

import torch
import torch.nn.functional as F
from torch import Tensor

from course.lessons import Exercise, InOrder, SameAs, Wrong, quizzes
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

cut_window = Exercise(
    name="cut_window",
    title="Cut a window for training",
    difficulty=1,
    minutes=3,
    check=SameAs(
        lambda tokens, start, block_size: (
            tokens[start : start + block_size],
            tokens[start + 1 : start + block_size + 1],
        ),
        inputs=[([10, 11, 12, 13, 14, 15, 16, 17], 2, 4), ([5, 6, 7], 0, 2)],
        random_input=lambda rng: ([rng.randint(0, 62) for _ in range(30)], rng.randint(1, 10), rng.randint(3, 12)),
        mistakes={
            "the targets are the inputs themselves; each must be the token that comes next, one further on": (
                lambda tokens, start, T: (tokens[start : start + T], tokens[start : start + T])
            ),
            "inputs and targets have changed places": (
                lambda tokens, start, T: (tokens[start + 1 : start + T + 1], tokens[start : start + T])
            ),
            "one token is missing at the end: block_size inputs and their targets take block_size + 1 tokens": (
                lambda tokens, start, T: (tokens[start : start + T - 1], tokens[start + 1 : start + T])
            ),
            "that gives one target for the whole window; every position has a target of its own": (
                lambda tokens, start, T: (tokens[start : start + T], tokens[start + T])
            ),
        },
    ),
    hints=(
        "Each input has a target: the token one further on. How many tokens is that altogether?",
        "Take `block_size + 1` tokens from `start` on.",
        "All but the last are the inputs, all but the first the targets: `window[:-1]` and `window[1:]`.",
    ),
    solution="""
        def cut_window(tokens, start, block_size):
            window = tokens[start : start + block_size + 1]
            return window[:-1], window[1:]
    """,
)


def _mask(size, may_look):
    return [[may_look(row, column) for column in range(size)] for row in range(size)]


causal_mask = Exercise(
    name="causal_mask",
    title="Who may look at whom?",
    difficulty=2,
    minutes=5,
    check=SameAs(
        lambda size: _mask(size, lambda row, column: column <= row),
        inputs=[(4,), (1,)],
        random_input=lambda rng: (rng.randint(2, 12),),
        mistakes={
            "no position may look at itself here, so position 0 has nothing to look at; its own token is known, "
            "only what follows is not": lambda size: _mask(size, lambda row, column: column < row),
            "that lets each position look at itself and at what comes later, so it can read off its answer; "
            "swap row and column": lambda size: _mask(size, lambda row, column: column >= row),
            "that lets everybody look everywhere, so each position could read off its answer": (
                lambda size: _mask(size, lambda row, column: True)
            ),
            "that lets each position look at itself only; all earlier ones are allowed too": (
                lambda size: _mask(size, lambda row, column: column == row)
            ),
            "that marks what is forbidden; True should mean: may look": (
                lambda size: _mask(size, lambda row, column: column > row)
            ),
        },
    ),
    hints=(
        "Look at the triangle: in row 2, which columns are blue?",
        "Position `row` may look at every position that is not later than itself.",
        "Compare `column` with `row`; they may be equal.",
    ),
    solution="""
        import torch

        def causal_mask(size):
            mask = torch.zeros(size, size, dtype=torch.bool)
            for row in range(size):
                for column in range(size):
                    mask[row, column] = column <= row
            return mask
    """,
    starter="""
        def causal_mask(size):
            mask = torch.zeros(size, size, dtype=torch.bool)
            for row in range(size):
                for column in range(size):
                    mask[row, column] = ...
            return mask
    """,
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
    solution="""
        writing_order = "debca"
    """,
)


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


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
        lambda logits, targets: _losses(logits, targets).mean(0),
        inputs=[_random_scores(random.Random(7))],
        random_input=_random_scores,
        mistakes={
            "that is one number for the whole batch; keep the positions apart: average over the batch only": (
                lambda logits, targets: _losses(logits, targets).mean()
            ),
            "that is one loss for each row of the batch; we want one for each position: average over the other "
            "dimension": lambda logits, targets: _losses(logits, targets).mean(1),
            "that has not been averaged: it still holds the losses of all rows": _losses,
            "that is the sum over the batch; we want the mean": (
                lambda logits, targets: _losses(logits, targets).sum(0)
            ),
            "`cross_entropy` turns scores into probabilities itself; give it the logits, without softmax": (
                lambda logits, targets: _losses(logits.softmax(-1), targets).mean(0)
            ),
            "the logarithm of a probability is negative; the surprise is −ln p": (
                lambda logits, targets: -_losses(logits, targets).mean(0)
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
    solution="""
        import torch.nn.functional as F

        def loss_by_position(logits, targets):
            B, T = targets.shape
            losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
            return losses.view(B, T).mean(0)
    """,
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
    solution="""
        twins = ("Juliet: O happy dagger, this is thy sheath", "Romeo: O happy dagger, this is thy sheath")
    """,
    starter="""
        twins = (..., ...)
    """,
)

balance_point = Exercise(
    name="balance_point",
    title="Where does the quadratic part overtake?",
    difficulty=3,
    minutes=10,
    check=SameAs(
        lambda numbers_per_token, n_layer, n_head: numbers_per_token / (n_layer * n_head),
        inputs=[(3000, 2, 4), (1000, 1, 2)],
        random_input=lambda rng: (rng.randint(10_000, 50_000), rng.randint(2, 12), rng.randint(2, 12)),
        rel_tol=0.01,  # a whole number is as good
        mistakes={
            "the heads are missing: a token has a row of T numbers in each head": lambda a, n, h: a / n,
            "the layers are missing: a token has rows in each layer": lambda a, n, h: a / h,
            "that goes the wrong way: more heads and layers mean more matrices, which overtake sooner": (
                lambda a, n, h: a * n * h
            ),
            "no root is needed: both sides have a factor T, and one of them cancels": (
                lambda a, n, h: (a / (n * h)) ** 0.5
            ),
            "that is where the matrices hold half as much as the rest; they should be equal": (
                lambda a, n, h: a / (2 * n * h)
            ),
            "that is upside down: solve T * n_layer * n_head = numbers_per_token for T": lambda a, n, h: n * h / a,
            "the bytes cancel: both sides count numbers of 4 bytes": lambda a, n, h: 4 * a / (n * h),
        },
    ),
    hints=(
        "Write down both parts for one sequence of T tokens: one is `numbers_per_token * T`.",
        "The other: `n_layer * n_head` matrices of T x T numbers. Set them equal.",
        "Divide both sides by T, then by `n_layer * n_head`.",
    ),
    solution="""
        def balance_point(numbers_per_token, n_layer, n_head):
            return numbers_per_token / (n_layer * n_head)
    """,
)

EXERCISES = [twins, cut_window, causal_mask, writing_order, loss_by_position, balance_point]
RECALL, QUIZ = quizzes("02")

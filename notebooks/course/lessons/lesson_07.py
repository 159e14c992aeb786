"""Lesson 07: what happens between tokens and loss?"""

import math
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course.lessons import Choices, Exercise, InOrder, SameAs, Wrong, quizzes, same
from course.prediction import Prediction

predict_mask = Prediction(
    "You take out the mask, so that every position sees the whole window. What does the validation loss do?",
    choices=(
        "It stays high: the model is confused by so much text",
        "It falls a little lower: more text to look at",
        "It falls almost to zero",
    ),
    answer=2,
    why="The target of each position is the character to its right, and now that character is in plain sight. "
    "Look at what this model writes!",
    moves=None,
)
predict_first_block = Prediction(
    "Where do the four heads of block 1, the first one, mostly look?",
    choices=("At letters of the same kind", "Evenly at the whole line", "At the last few characters"),
    answer=2,
    why="What comes next depends most on the last few characters. Block 1 collects them; later blocks look farther.",
)
predict_temperature = Prediction(
    "You lower the temperature from 1 to 0.3. Which characters become more likely?",
    choices=(
        "All of them, each a little",
        "The few at the top; all others lose",
        "The rare ones: everything evens out",
    ),
    answer=1,
    why="Dividing by 0.3 stretches the differences between scores. The top gains, and since everything adds up to 1, "
    "the rest pays.",
)

# --- reading a map, and the lines of attention -----------------------------------------------------------


def riddles(text: str) -> dict[str, Tensor]:
    """Three made-up maps."""
    maps = torch.zeros(3, len(text), len(text))
    for t in range(len(text)):
        maps[0, t, max(text.rfind(" ", 0, t + 1), 0)] = 1
        maps[1, t, max(t - 1, 0)] = 1
        maps[2, t, : t + 1] = 1 / (t + 1)
    return dict(zip("ABC", maps, strict=True))


which_head = Exercise(
    name="which_head",
    title="Which head is this?",
    difficulty=1,
    minutes=4,
    check=Choices(
        right=(
            ("A", "the last space", "the dark squares form vertical stripes that begin under each space"),
            ("B", "the character before", "in every row, the dark square is one place to the left of the diagonal"),
            ("C", "everything alike", "every row has one shade, and it gets paler as the row gets longer"),
        ),
        allowed=("the character before", "itself", "the last space", "everything alike"),
    ),
    hints=(
        "Rows look, columns are looked at. Take one row, and see in which columns it is dark.",
        "A vertical stripe is a character that many rows look at. Which character is at the bottom of it?",
    ),
    solution="""
        which_head = ["the last space", "the character before", "everything alike"]
    """,
)

lines_in_order = Exercise(
    name="lines_in_order",
    title="Attention, in order",
    difficulty=2,
    minutes=4,
    check=InOrder(
        "CEADB",
        (
            "line E asks how large the scores are, so they must exist",
            "line A needs `future`, which line E makes",
            "the softmax comes before the mask there, so the future gets a part of the weights",
            "line B needs the weights, which line D makes",
        ),
    ),
    hints=(
        "Begin with the scores: nothing else can be made from q, k and v alone.",
        "Whatever changes the scores has to happen before the softmax.",
    ),
    solution="""
        lines_in_order = "CEADB"
    """,
)


def _fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


# --- the sampling loop --------------------------------------------------------------------------------------

_V, _BLOCK = 7, 5


class CountingModel:
    """Stands in for a model: after token n it expects n + 1 most, n + 2 less, and so on; it refuses long windows."""

    config = SimpleNamespace(block_size=_BLOCK)

    def __init__(self, sharpness: float):
        self.sharpness = sharpness

    def __call__(self, idx: Tensor) -> tuple[Tensor, None]:
        if idx.dim() != 2 or idx.size(1) > _BLOCK:
            shape = tuple(idx.shape)
            raise Wrong(f"the model was given tokens of shape {shape}; it reads (1, T), at most the last block_size")
        return -self.sharpness * ((torch.arange(_V) - idx[..., None] - 1) % _V).float(), None


def _chances(temperature: float, top_k: int) -> Tensor:
    logits = CountingModel(0.4)(torch.zeros(1, 1, dtype=torch.int64))[0][0, -1]
    best = logits.topk(top_k)
    return torch.zeros(_V).scatter(0, best.indices, (best.values / temperature).softmax(-1))


def _check_write(write):
    start = torch.tensor([[2, 0, 1]])
    torch.manual_seed(0)
    got = write(CountingModel(50.0), start.clone(), 9, 1.0, 3)
    if not isinstance(got, Tensor) or got.shape != (1, 12):
        shape = f"shape {tuple(got.shape)}" if isinstance(got, Tensor) else type(got).__name__
        return Wrong(f"return the old tokens with the new ones after them, (1, 3 + 9); this is {shape}")
    if got[0, :3].tolist() != [2, 0, 1]:
        return Wrong("the tokens that were given have changed; new ones go after them")
    want = [(2 + i) % _V for i in range(9)]
    if got[0, 3:].tolist() == [0] * 9:
        return Wrong("`multinomial` draws a place among the k; look up which token is at that place")
    if got[0, 3:].tolist() != want:
        first = "use the scores of the last position, `[:, -1]`, and append each new token before the next one is drawn"
        return Wrong(
            f"a model that always counts up should go on from 1 with {want}, not {got[0, 3:].tolist()}: {first}"
        )
    for temperature, top_k, wrong in (
        (0.5, _V, "the temperature is not right: divide the scores by it, before the softmax"),
        (2.0, _V, "the temperature is not right: divide the scores by it, before the softmax"),
        (1.0, 3, "top_k is not right: only the k likeliest tokens may be drawn, in their old proportions"),
    ):
        draws = [write(CountingModel(0.4), torch.tensor([[0]]), 1, temperature, top_k)[0, -1] for _ in range(1000)]
        shares = torch.stack(draws).bincount(minlength=_V) / 1000
        if shares.max() == 1:
            return Wrong("it always takes the likeliest token; draw one at random, by `multinomial`")
        if (shares - _chances(temperature, top_k)).abs().max() > 0.06:
            return Wrong(wrong)
    return None


write = Exercise(
    name="write",
    title="The sampling loop",
    difficulty=2,
    minutes=12,
    check=_check_write,
    hints=(
        "Five things, again and again: the last block_size tokens into the model; the scores of the last position; "
        "divide by the temperature; draw; append.",
        "`scores = model(tokens[:, -model.config.block_size :])[0][:, -1] / temperature` is (1, V). "
        "`best, which = scores.topk(top_k)` gives the k largest scores and their tokens.",
        "`drawn = best.softmax(dim=-1).multinomial(1)` is a place among the k; `which.gather(1, drawn)` is the token; "
        "`torch.cat([tokens, token], dim=1)` appends it.",
    ),
    solution="""
        import torch

        def write(model, tokens, count, temperature, top_k):
            for _ in range(count):
                scores = model(tokens[:, -model.config.block_size :])[0][:, -1] / temperature
                best, which = scores.topk(top_k)
                drawn = best.softmax(dim=-1).multinomial(1)
                tokens = torch.cat([tokens, which.gather(1, drawn)], dim=1)
            return tokens
    """,
)


# --- attention, by the learner ------------------------------------------------------------------------


def _future(size: int, first: int = 1) -> Tensor:
    """True where a column is `first` or more places to the right of its row: (T, T)."""
    return torch.ones(size, size, dtype=torch.bool).triu(first)


def _scores(q: Tensor, k: Tensor, scale: float = 2.0, hidden: int = 1, fill: float = -math.inf) -> Tensor:
    """Scores for vectors of width 4, whose square root is 2; what is `hidden` or more places ahead is filled."""
    return (q @ k.T / scale).masked_fill(_future(len(q), hidden), fill)


_MISTAKES = {
    "the mask is missing: each position looks at the whole text, the future too": (
        lambda q, k, v: (q @ k.T / 2).softmax(dim=-1) @ v
    ),
    "neither the mask nor the division by the square root of the width, `q.size(-1)`, is there yet": (
        lambda q, k, v: (q @ k.T).softmax(dim=-1) @ v
    ),
    "the scores are not divided by the square root of the width, `q.size(-1)`": (
        lambda q, k, v: _scores(q, k, 1).softmax(dim=-1) @ v
    ),
    "that divides by the width itself; it should be its square root": (
        lambda q, k, v: _scores(q, k, 4).softmax(dim=-1) @ v
    ),
    "the scores are multiplied by the square root of the width; divide by it": (
        lambda q, k, v: _scores(q, k, 1 / 2).softmax(dim=-1) @ v
    ),
    "that divides by the square root of the number of positions; it should be that of the width, `q.size(-1)`": (
        lambda q, k, v: _scores(q, k, len(q) ** 0.5).softmax(dim=-1) @ v
    ),
    "the width is 4 here, not 24; take it from `q.size(-1)`, so that it fits every model": (
        lambda q, k, v: _scores(q, k, 24**0.5).softmax(dim=-1) @ v
    ),
    "the softmax runs down the columns; each row has to add up to 1: `dim=-1`": (
        lambda q, k, v: _scores(q, k).softmax(dim=0) @ v
    ),
    "the mask is off by one: a position cannot look at itself, and the first one at nothing, which gives nan": (
        lambda q, k, v: _scores(q, k, hidden=0).softmax(dim=-1) @ v
    ),
    "the mask is off by one: each position sees one token of the future, the one that it has to predict": (
        lambda q, k, v: _scores(q, k, hidden=2).softmax(dim=-1) @ v
    ),
    "the mask is turned around: it hides the past and shows the future": (
        lambda q, k, v: (q @ k.T / 2).masked_fill(_future(len(q)).T, -math.inf).softmax(dim=-1) @ v
    ),
    "the hidden scores are 0, and `exp(0)` is 1: hide them with minus infinity": (
        lambda q, k, v: _scores(q, k, fill=0).softmax(dim=-1) @ v
    ),
    "the mask comes after the softmax, so the rows do not add up to 1 any more: hide before it": (
        lambda q, k, v: (q @ k.T / 2).softmax(dim=-1).tril() @ v
    ),
    "the softmax is missing: scores may be negative, weights may not": lambda q, k, v: _scores(q, k, fill=0) @ v,
    "those are the weights, (T, T); what is gathered by them is `weights @ v`": (
        lambda q, k, v: _scores(q, k).softmax(dim=-1)
    ),
    "the weights gather the keys there; they should gather the values": lambda q, k, v: _fused(q, k, k),
    "queries and keys are swapped: rows belong to the queries": lambda q, k, v: _fused(k, q, v),
}


@dataclass(frozen=True)
class ForAllHeads(SameAs):
    """The inputs are one head's; if it is right for them, it must also be right for all heads at once."""

    def __call__(self, answer: Any) -> None:
        """Raise `Wrong` unless it is both."""
        super().__call__(answer)
        all_heads = torch.randn(3, 2, 4, 6, 8, generator=torch.Generator().manual_seed(8))  # q, k, v: (B, H, T, d)
        try:
            with warnings.catch_warnings(action="ignore"):  # torch warns of `.T` here
                right, reason = same(answer(*all_heads), _fused(*all_heads)), ""
        except Wrong as error:
            right, reason = False, f" ({error})"
        if not right:
            remedy = "write `k.mT` instead of `k.T`, `q.size(-1)` for the width and `dim=-1` for the softmax"
            raise Wrong(f"right for one head, but not for all heads at once, (B, H, T, d): {remedy}.{reason}")


attention = Exercise(
    name="attention",
    title="Attention, written by you",
    difficulty=3,
    minutes=20,
    check=ForAllHeads(
        _fused,
        inputs=[tuple(torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(7)))],  # 6 positions, 4 numbers each
        mistakes=_MISTAKES,
    ),
    hints=(
        "Three lines: `scores`, from `q @ k.mT`; `weights`, from the masked scores; and `weights @ v`. The square root "
        "is that of `q.size(-1)`.",
        "The future: `torch.ones(T, T, dtype=torch.bool).triu(1)` is True to the right of the diagonal. "
        "`scores.masked_fill(future, float('-inf'))` hides it.",
        "`weights = scores.softmax(dim=-1)`: the last dimension, so that each row adds up to 1.",
    ),
    solution="""
        import torch

        def attention(q, k, v):
            scores = q @ k.mT / q.size(-1) ** 0.5
            future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            weights = scores.masked_fill(future, float("-inf")).softmax(dim=-1)
            return weights @ v
    """,
)

EXERCISES = [which_head, lines_in_order, write, attention]
RECALL, QUIZ = quizzes("07")

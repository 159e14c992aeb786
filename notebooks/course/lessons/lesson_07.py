"""Lesson 07: what happens between tokens and loss?"""

import math
from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from course.lessons import Choice, Exercise, Question, Quiz, SameAs, Wrong

gather = Exercise(
    name="gather",
    title="What one position gathers",
    difficulty=1,
    minutes=3,
    check=SameAs(
        lambda weights, values: sum(w * v for w, v in zip(weights, values, strict=True)),
        inputs=[([0.5, 0.25, 0.25], [4.0, 8.0, 0.0]), ([0.0, 1.0], [3.0, -2.0])],
        random_input=lambda rng: (_shares(rng, 4), [rng.uniform(-3, 3) for _ in range(4)]),
        mistakes={
            "the weights add up to 1 already: do not divide by the number of positions": (
                lambda weights, values: sum(w * v for w, v in zip(weights, values, strict=True)) / len(values)
            ),
            "that is the value with the largest weight; the others count too, by their weights": (
                lambda weights, values: values[max(range(len(weights)), key=lambda i: weights[i])]
            ),
            "every value counts alike there: the weights play no part": lambda weights, values: (
                sum(values) / len(values)
            ),
        },
    ),
    hints=("Each value counts as much as its weight says.", "`sum(w * v for w, v in zip(weights, values))`."),
    solution="""
        def gather(weights, values):
            return sum(w * v for w, v in zip(weights, values, strict=True))
    """,
)


def _shares(rng, count: int) -> list[float]:
    parts = [rng.uniform(0.1, 1) for _ in range(count)]
    return [part / sum(parts) for part in parts]


def _softmax(scores: list[float]) -> list[float]:
    exps = [math.exp(score - max(scores)) for score in scores]
    return [e / sum(exps) for e in exps]


with_temperature = Exercise(
    name="with_temperature",
    title="Softmax with a temperature",
    difficulty=2,
    minutes=6,
    check=SameAs(
        lambda scores, temperature: _softmax([score / temperature for score in scores]),
        inputs=[([2.0, 1.0, 0.0], 0.5), ([2.0, 1.0, 0.0], 2.0)],
        random_input=lambda rng: ([rng.uniform(-3, 3) for _ in range(4)], rng.choice([0.4, 0.7, 1.5, 3.0])),
        mistakes={
            "that is for temperature 1: what is subtracted from all scores, or divided after `exp`, falls out again": (
                lambda scores, temperature: _softmax(scores)
            ),
            "the wrong way round: a high temperature must level the scores, so divide by it": (
                lambda scores, temperature: _softmax([score * temperature for score in scores])
            ),
        },
    ),
    hints=(
        "The temperature acts on the scores, before `exp`.",
        "At temperature 2, two scores must lie half as far apart as they are.",
        "`math.exp(score / temperature)`.",
    ),
    solution="""
        import math

        def with_temperature(scores, temperature):
            exps = [math.exp(score / temperature) for score in scores]
            return [e / sum(exps) for e in exps]
    """,
    starter="""
        import math

        def with_temperature(scores, temperature):
            exps = [math.exp(...) for score in scores]
            return [e / sum(exps) for e in exps]
    """,
)


def _keep_best(probabilities: list[float], k: int, best: bool = True) -> list[float]:
    order = sorted(range(len(probabilities)), key=lambda i: probabilities[i], reverse=best)
    return [p if i in order[:k] else 0.0 for i, p in enumerate(probabilities)]


def _renormalised(values: list[float]) -> list[float]:
    return [value / sum(values) for value in values]


top_k = Exercise(
    name="top_k",
    title="Choose among the k likeliest",
    difficulty=2,
    minutes=8,
    check=SameAs(
        lambda probabilities, k: _renormalised(_keep_best(probabilities, k)),
        inputs=[([0.1, 0.5, 0.15, 0.25], 2), ([0.1, 0.5, 0.15, 0.25], 4)],
        random_input=lambda rng: (_shares(rng, 6), rng.randint(1, 5)),
        mistakes={
            "they do not add up to 1 any more: divide by the sum of those that are left": _keep_best,
            "those are the least likely ones: sort the other way": (
                lambda probabilities, k: _renormalised(_keep_best(probabilities, k, best=False))
            ),
            "each must stay at its place, with 0 for those that are left out: the place says which token it is": (
                lambda probabilities, k: _renormalised(sorted(probabilities, reverse=True)[:k])
            ),
            "those are the first k; it should be the k likeliest": (
                lambda probabilities, k: _renormalised([p if i < k else 0.0 for i, p in enumerate(probabilities)])
            ),
            "those are the k largest, but each must stay at its place, and they must add up to 1": (
                lambda probabilities, k: sorted(probabilities, reverse=True)[:k]
            ),
            "that makes all of them equally likely; those that are left keep their proportions": (
                lambda probabilities, k: [1 / k if p else 0.0 for p in _keep_best(probabilities, k)]
            ),
        },
    ),
    hints=(
        "What is the k-th largest of them? Whatever is smaller becomes 0.",
        "`sorted(probabilities)[-k]` is the k-th largest.",
        "At last, divide each by the sum, so that they add up to 1 again.",
    ),
    solution="""
        def top_k(probabilities, k):
            least = sorted(probabilities)[-k]
            kept = [p if p >= least else 0.0 for p in probabilities]
            return [p / sum(kept) for p in kept]
    """,
)

block_parameters = Exercise(
    name="block_parameters",
    title="The parameters of one block",
    difficulty=2,
    minutes=10,
    check=SameAs(
        lambda n_embd: 12 * n_embd**2 + 13 * n_embd,
        inputs=[(96,), (768,)],
        random_input=lambda rng: (rng.randint(8, 512),),
        mistakes={
            "those are the matrices alone; each linear layer has a bias, and each norm two vectors": lambda c: (
                12 * c**2
            ),
            "the two norms are missing: each has a weight and a bias of `n_embd` numbers": lambda c: 12 * c**2 + 9 * c,
            "the biases of the linear layers are missing": lambda c: 12 * c**2 + 4 * c,
            "that is the attention alone; there is an MLP too, and two norms": lambda c: 4 * c**2 + 4 * c,
            "`c_attn` makes queries, keys and values: it is three times as wide": lambda c: 10 * c**2 + 11 * c,
            "`c_proj` of the attention is missing, n_embd × n_embd": lambda c: 11 * c**2 + 12 * c,
            "the MLP has two matrices, one to widen and one to narrow": lambda c: 8 * c**2 + 12 * c,
        },
    ),
    hints=(
        "A linear layer from a to b numbers has a × b weights, and b biases. Go through the list, one by one.",
        "Attention: C × 3C + 3C, and C × C + C. MLP: C × 4C + 4C, and 4C × C + C.",
        "The two norms have 2C each. All together: 12 C² + 13 C.",
    ),
    solution="""
        def block_parameters(n_embd):
            C = n_embd
            attention = (C * 3 * C + 3 * C) + (C * C + C)
            mlp = (C * 4 * C + 4 * C) + (4 * C * C + C)
            norms = 2 * (C + C)
            return attention + mlp + norms
    """,
)


# --- attention, by the learner ------------------------------------------------------------------------


def _future(size: int, first: int = 1) -> Tensor:
    """True where a column lies `first` or more places behind its row: (T, T)."""
    return torch.ones(size, size, dtype=torch.bool).triu(first)


def _attend(q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None, hidden: Tensor | None = None) -> Tensor:
    scores = q @ k.T / (math.sqrt(q.size(-1)) if scale is None else scale)
    hidden = _future(len(q)) if hidden is None else hidden
    return scores.masked_fill(hidden, -math.inf).softmax(dim=-1) @ v


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return (q @ k.T / math.sqrt(q.size(-1))).masked_fill(_future(len(q)), -math.inf)


def _masked_late(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.T / math.sqrt(q.size(-1))).softmax(dim=-1).masked_fill(_future(len(q)), 0.0) @ v


def _masked_with_zero(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.T / math.sqrt(q.size(-1))).masked_fill(_future(len(q)), 0.0).softmax(dim=-1) @ v


class LikeFused:
    """The check of the learner's attention: the same result as PyTorch's fused kernel; `mistakes` as in `SameAs`."""

    mistakes: ClassVar[dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
        "the mask is missing: each position looks at the whole text, the future too": (
            lambda q, k, v: _attend(q, k, v, hidden=_future(len(q), len(q)))
        ),
        "neither the mask nor the division by the square root of the width, `q.size(-1)`, is there yet": (
            lambda q, k, v: _attend(q, k, v, scale=1.0, hidden=_future(len(q), len(q)))
        ),
        "the scores are not divided by the square root of the width, `q.size(-1)`": (
            lambda q, k, v: _attend(q, k, v, scale=1.0)
        ),
        "that divides by the width itself; it should be its square root": (
            lambda q, k, v: _attend(q, k, v, scale=q.size(-1))
        ),
        "the scores are multiplied by the square root of the width; divide by it": (
            lambda q, k, v: _attend(q, k, v, scale=1 / math.sqrt(q.size(-1)))
        ),
        "that divides by the square root of the number of positions; it should be that of the width, `q.size(-1)`": (
            lambda q, k, v: _attend(q, k, v, scale=math.sqrt(len(q)))
        ),
        "the softmax runs down the columns; each row has to add up to 1: `dim=-1`": (
            lambda q, k, v: _scores(q, k).softmax(dim=0) @ v
        ),
        "the mask is off by one: a position cannot look at itself, and the first one at nothing, which gives nan": (
            lambda q, k, v: _attend(q, k, v, hidden=_future(len(q), 0))
        ),
        "the mask is off by one: each position sees one token of the future, the one that it has to predict": (
            lambda q, k, v: _attend(q, k, v, hidden=_future(len(q), 2))
        ),
        "the mask is turned around: it hides the past and shows the future": (
            lambda q, k, v: _attend(q, k, v, hidden=_future(len(q)).T)
        ),
        "the hidden scores are 0, and `exp(0)` is 1: hide them with minus infinity": _masked_with_zero,
        "the mask comes after the softmax, so the rows do not add up to 1 any more: hide before it": _masked_late,
        "the softmax is missing: scores may be negative, weights may not": (
            lambda q, k, v: _scores(q, k).masked_fill(_future(len(q)), 0.0) @ v
        ),
        "those are the weights, (T, T); what is gathered by them is `weights @ v`": (
            lambda q, k, v: _scores(q, k).softmax(dim=-1)
        ),
        "the weights gather the keys there; they should gather the values": lambda q, k, v: _attend(q, k, k),
        "queries and keys are swapped: rows belong to the queries": lambda q, k, v: _attend(k, q, v),
    }

    def __call__(self, attention: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        """Raise `Wrong` unless it gives what the fused kernel gives; with the reason, if it is a known mistake."""
        generator = torch.Generator().manual_seed(7)
        q, k, v = torch.randn(3, 6, 4, generator=generator)  # 6 positions, 4 numbers each
        want = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        got = attention(q.clone(), k.clone(), v.clone())
        if not isinstance(got, Tensor):
            raise Wrong("give back a tensor: for each of the 6 positions, the 4 numbers that it has gathered")
        if self._same(got, want):
            return
        reason = next((why for why, wrong in self.mistakes.items() if self._same(got, wrong(q, k, v))), "")
        if reason:
            raise Wrong(f"it differs from the fused attention: {reason}")
        if got.shape != want.shape:
            raise Wrong(f"for q, k and v of shape (6, 4) it gives the shape {tuple(got.shape)}, not (6, 4)")
        right = [i for i in range(6) if self._same(got[i], want[i])]
        told = f"right are the positions {right} of 0 to 5" if right else "none of the six positions is right"
        raise Wrong(f"it differs from the fused attention; {told}")

    @staticmethod
    def _same(got: Tensor, want: Tensor) -> bool:
        return got.shape == want.shape and torch.allclose(got.float(), want, atol=1e-4, equal_nan=True)


attention = Exercise(
    name="attention",
    title="Attention, written by you",
    difficulty=3,
    minutes=20,
    check=LikeFused(),
    hints=(
        "Three lines: `scores`, from `q @ k.T`; `weights`, from the masked scores; and `weights @ v`. The square root "
        "is that of `q.size(-1)`.",
        "The future: `torch.ones(T, T, dtype=torch.bool).triu(1)` is True to the right of the diagonal. "
        "`scores.masked_fill(future, float('-inf'))` hides it.",
        "`weights = scores.softmax(dim=-1)`: the last dimension, so that each row adds up to 1.",
    ),
    solution="""
        import torch

        def attention(q, k, v):
            scores = q @ k.T / q.size(-1) ** 0.5
            future = torch.ones(scores.shape, dtype=torch.bool).triu(1)
            weights = scores.masked_fill(future, float("-inf")).softmax(dim=-1)
            return weights @ v
    """,
)

EXERCISES = [gather, with_temperature, top_k, block_parameters, attention]

QUIZ = Quiz(
    "07",
    [
        Question(
            "A row of an attention map: what do its numbers say?",
            [
                Choice(
                    "How likely each character is to come next",
                    "That comes at the very end, from the head. A map has a column for each character of the text, not "
                    "for each of the vocabulary.",
                ),
                Choice(
                    "In which shares this position gathers from those before it",
                    "The row adds up to 1, and what the position takes home is the mean of the values, weighted by it.",
                    right=True,
                ),
                Choice(
                    "How strongly the other positions look at this one",
                    "That is the column below it. Rows look, columns are looked at, and columns need not add up to 1.",
                ),
            ],
        ),
        Question(
            "Somebody trains a GPT and forgets the causal mask. What will the losses look like?",
            [
                Choice(
                    "The training loss stays near ln V: without the mask nothing can be learnt.",
                    "On the contrary. With the mask gone, the next character stands in plain sight.",
                ),
                Choice(
                    "Both fall almost to zero, and the samples are rubbish.",
                    "Each position copies the answer from its neighbour, in training and in evaluation. When it "
                    "writes, there is no neighbour yet.",
                    right=True,
                ),
                Choice(
                    "Training falls and validation rises, as in overfitting.",
                    "The answer stands in the held-out windows too, so both fall. Only the samples give it away.",
                ),
            ],
        ),
        Question(
            "You add 5 to all the scores of one row, before the softmax. What happens to the weights?",
            [
                Choice(
                    "Nothing.",
                    "Softmax sees differences only. (So the gradient of a key bias is zero: lessons 04 and 05.)",
                    right=True,
                ),
                Choice(
                    "They get sharper: larger scores, larger weights.",
                    "To multiply them by 5 would do that. To add moves them all alike.",
                ),
                Choice(
                    "They no longer add up to 1.",
                    "Softmax divides by the sum, whatever the scores are. So a row always adds up to 1.",
                ),
            ],
        ),
        Question(
            "At temperature 0.3 the samples look better than at 1. Has the model become better?",
            [
                Choice(
                    "Yes: a low temperature makes it more certain, and so more often right.",
                    "The weights are the same, and so are its probabilities. Only the choice among them has changed.",
                ),
                Choice(
                    "Yes: and its validation loss is lower, too.",
                    "The loss is measured on the probabilities as they are, at temperature 1. It has not moved.",
                ),
                Choice(
                    "No: the same probabilities, chosen from more cautiously.",
                    "It takes the likely ones more often than it believes in them. The price: it repeats itself.",
                    right=True,
                ),
            ],
        ),
        Question(
            "`top_k = 1`. What does the temperature change now?",
            [
                Choice(
                    "Nothing: only the likeliest token is left.",
                    "Whatever its probability was, it is 1 after dividing by the sum: as if the temperature were 0.",
                    right=True,
                ),
                Choice(
                    "At a high temperature, a less likely token may be taken.",
                    "All but one have been struck off the list before the draw.",
                ),
                Choice(
                    "The sample becomes random, as only one is compared.",
                    "With one candidate nothing is left to chance: the same prompt gives the same text each time.",
                ),
            ],
        ),
        Question(
            "What does the KV cache change in the text that is written?",
            [
                Choice(
                    "It gets a little worse, as old keys are used again.",
                    "A key depends on its token and those before it, and these have not changed. It would come out the "
                    "same.",
                ),
                Choice(
                    "It gets more consistent, as the model remembers what it wrote.",
                    "It sees the same window with and without. All that the cache holds could be computed again.",
                ),
                Choice(
                    "Nothing, down to rounding; it saves time and takes memory.",
                    "Keys and values of the tokens before are kept instead of computed again, in each layer.",
                    right=True,
                ),
            ],
        ),
        Question(
            "A head puts nearly all its weight on the last comma. What do you know?",
            [
                Choice(
                    "That it measures how long the line is",
                    "That is a story that fits the map. To know it, one has to change the head, and see what breaks.",
                ),
                Choice(
                    "That it copies the comma's values, and not yet what for",
                    "The map says from where it takes, not what, and not what is made of it. Level it and look at "
                    "the loss.",
                    right=True,
                ),
                Choice(
                    "That it is important, since its map is so sharp",
                    "In this lesson you have seen sharp maps that could be levelled at hardly any cost.",
                ),
            ],
        ),
        Question(
            "You double `n_head` and leave `n_embd` as it is. How many parameters does a block have now?",
            [
                Choice(
                    "Twice as many, for twice as many maps",
                    "Each head then has half the width. `c_attn` is n_embd × 3 n_embd, whatever the heads.",
                ),
                Choice(
                    "More in the attention, as many in the MLP",
                    "The heads share out the same queries, keys and values among themselves: no matrix grows.",
                ),
                Choice("As many as before", "The same numbers, cut into more and narrower heads.", right=True),
            ],
        ),
    ],
)

RECALL = Quiz(
    "recall",
    [
        Question(
            "Lesson 02: why may a position not look to its right while the model is trained?",
            [
                Choice(
                    "To save time", "It saves none in naive attention: all pairs are computed, then half is hidden."
                ),
                Choice(
                    "Because there stands the answer",
                    "The target of each position is the character to its right. To see it would be to copy it.",
                    right=True,
                ),
                Choice(
                    "Because the text to the right is not in the window",
                    "It is: a window of 64 is in the model all at once. It has to be hidden on purpose.",
                ),
            ],
        ),
        Question(
            "Lesson 04: softmax gave the right character the probability 0.9. What is the gradient of its score?",
            [
                Choice(
                    "0.9", "That would be right for a wrong character: those are pushed down by what they were given."
                ),
                Choice(
                    "−0.1",
                    "p − 1: the score should go up, and only a little, as the guess was nearly right. Today we see "
                    "what this gradient is passed back through.",
                    right=True,
                ),
                Choice(
                    "0: it was the likeliest, so nothing is wrong",
                    "It is zero only when p is 1. There is always a little more to win.",
                ),
            ],
        ),
        Question(
            "Lesson 05: a key bias adds the same to all the scores of a row. What is its true gradient?",
            [
                Choice(
                    "That of the whole row, added up",
                    "These do add up, but to zero: what one score wins, the others lose.",
                ),
                Choice(
                    "As large as that of a query bias",
                    "A query bias moves each score by another amount, and so it matters.",
                ),
                Choice(
                    "Zero",
                    "Softmax looks at differences only. What the computer found was noise of rounding, another one for "
                    "each split.",
                    right=True,
                ),
            ],
        ),
        Question(
            "Lesson 06: a sample reads beautifully. What does it say about the model?",
            [
                Choice(
                    "That it has understood Shakespeare",
                    "A model that repeats its text writes beautifully too: Shakespeare wrote it.",
                ),
                Choice("That its validation loss is low", "The best sample of lesson 06 came from the worst of them."),
                Choice(
                    "Little, before one knows how much of it is copied",
                    "Only the validation loss, and the meter against held-out text, can tell.",
                    right=True,
                ),
            ],
        ),
    ],
)

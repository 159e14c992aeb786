"""Lesson 02: how far back may the model look, and what does that cost?"""

from course.lessons import Choice, Exercise, Question, Quiz, SameAs

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
            "that begins at the front of the text, not at `start`": (
                lambda tokens, start, T: (tokens[:T], tokens[1 : T + 1])
            ),
            "that ends `block_size` behind the front of the text; it should end `block_size` behind `start`": (
                lambda tokens, start, T: (tokens[start:T], tokens[start + 1 : T + 1])
            ),
            "one target is missing: the targets reach one token further than the inputs": (
                lambda tokens, start, T: (tokens[start : start + T], tokens[start + 1 : start + T])
            ),
        },
    ),
    hints=(
        "Each input has a target: the token one further on. How many tokens are that together?",
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
            "that lets each position look at itself and at what comes later, and so read off its answer; "
            "exchange row and column": lambda size: _mask(size, lambda row, column: column >= row),
            "that lets everybody look everywhere, so that each position could read off its answer": (
                lambda size: _mask(size, lambda row, column: True)
            ),
            "that lets each position look at itself only; all earlier ones are allowed too": (
                lambda size: _mask(size, lambda row, column: column == row)
            ),
        },
    ),
    hints=(
        "Look at the triangle above: in row 2, which columns are blue?",
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

matrix_numbers = Exercise(
    name="matrix_numbers",
    title="How many numbers does naive attention keep?",
    difficulty=2,
    minutes=6,
    check=SameAs(
        lambda batch_size, n_layer, n_head, block_size: batch_size * n_layer * n_head * block_size**2,
        inputs=[(2, 3, 4, 1024), (1, 1, 1, 6)],
        random_input=lambda rng: (rng.randint(2, 64), rng.randint(2, 12), rng.randint(2, 12), rng.randint(5, 512)),
        mistakes={
            "that is one row of each matrix; there is a row for each position": lambda b, n, h, t: b * n * h * t,
            "each head has a matrix of its own: the heads are missing": lambda b, n, h, t: b * n * t * t,
            "each layer has matrices of its own: the layers are missing": lambda b, n, h, t: b * h * t * t,
            "each sequence of the batch has matrices of its own: batch_size is missing": lambda b, n, h, t: (
                n * h * t * t
            ),
            "only the triangle is used, but naive attention computes and keeps the whole square": (
                lambda b, n, h, t: b * n * h * t * (t + 1) // 2
            ),
            "those are bytes, at 4 a number; the numbers are asked": lambda b, n, h, t: 4 * b * n * h * t * t,
        },
    ),
    hints=(
        "One matrix compares each of the T positions with each of the T positions. How many numbers are in it?",
        "How many such matrices are there? Each head of each layer has one, for each sequence of the batch.",
        "Five factors: `batch_size`, `n_layer`, `n_head`, and `block_size` twice.",
    ),
    solution="""
        def matrix_numbers(batch_size, n_layer, n_head, block_size):
            return batch_size * n_layer * n_head * block_size * block_size
    """,
)

balance_point = Exercise(
    name="balance_point",
    title="Where does the quadratic term overtake?",
    difficulty=3,
    minutes=10,
    check=SameAs(
        lambda numbers_per_token, n_layer, n_head: numbers_per_token / (n_layer * n_head),
        inputs=[(3300, 2, 4), (100, 1, 2)],
        random_input=lambda rng: (rng.randint(500, 50_000), rng.randint(2, 12), rng.randint(2, 12)),
        mistakes={
            "the heads are missing: a token has a row of T numbers in each head": lambda a, n, h: a / n,
            "the layers are missing: a token has rows in each layer": lambda a, n, h: a / h,
            "that goes the wrong way: more heads and layers mean more matrices, which overtake sooner": (
                lambda a, n, h: a * n * h
            ),
            "no root is needed: both sides hold a factor block_size, and one of them cancels": (
                lambda a, n, h: (a / (n * h)) ** 0.5
            ),
            "that is where the matrices hold half as much as the rest; they are to be equal": (
                lambda a, n, h: a / (2 * n * h)
            ),
        },
    ),
    hints=(
        "Write down both parts for one sequence of T tokens: one is `numbers_per_token * T`.",
        "The other is `n_layer * n_head * T * T`, as in the exercise before. Set them equal.",
        "Divide both sides by T, then by `n_layer * n_head`.",
    ),
    solution="""
        def balance_point(numbers_per_token, n_layer, n_head):
            return numbers_per_token / (n_layer * n_head)
    """,
)

EXERCISES = [cut_window, causal_mask, matrix_numbers, balance_point]

QUIZ = Quiz(
    "02",
    [
        Question(
            "A model with `block_size` 6 has written ten pages that began with `Helena:`. What does it know of it?",
            [
                Choice(
                    "It keeps a summary of all that it has read.",
                    "Other networks do (recurrent ones). A GPT has nothing but its window: what falls out of it is "
                    "gone without a trace.",
                ),
                Choice(
                    "It remembers the name, since it has written it itself.",
                    "It reads its own text as it reads any other: the last six characters of it.",
                ),
                Choice(
                    "Nothing, unless it stands among the last six characters.",
                    "Each prediction starts anew from the characters in the window. (Its weights know that there are "
                    "names like this, but not that this scene has one.)",
                    right=True,
                ),
            ],
        ),
        Question(
            "The loss at position 0 is far higher than at position 20. Why?",
            [
                Choice(
                    "Position 0 sees one character and has to guess from that.",
                    "And no training will mend it: a table that counts pairs of characters is about as good there.",
                    right=True,
                ),
                Choice(
                    "Position 0 was trained less often than the others.",
                    "Every window has exactly one position 0 and one position 20: they were trained equally often.",
                ),
                Choice(
                    "Texts begin there, and the first words of a text are hard.",
                    "A window begins anywhere in the plays, mostly in the middle of a word.",
                ),
            ],
        ),
        Question(
            "You double the `block_size` of a small model from 64 to 128, with naive attention and equal `batch_size`. "
            "What happens to the memory kept for the backward pass?",
            [
                Choice(
                    "Nothing: the model has as many parameters as before.",
                    "It keeps intermediate results of every token as well, and there are twice as many tokens.",
                ),
                Choice(
                    "It becomes four times as large.",
                    "Only the matrices do. At this size they are a small part; the rest grows with the tokens.",
                ),
                Choice(
                    "It becomes a little more than twice as large.",
                    "Most of it belongs to single tokens and doubles; the matrices become four times as large, but "
                    "they are a small part as yet.",
                    right=True,
                ),
            ],
        ),
        Question(
            "What does fused attention give up for its smaller memory?",
            [
                Choice(
                    "It looks at nearby tokens only.",
                    "It looks at all of the window. There are methods that look only nearby: local, or "
                    "sliding-window attention.",
                ),
                Choice(
                    "Nothing of the result, which is the same but for rounding.",
                    "It computes the matrix piece by piece and keeps none of it; the backward pass computes the pieces "
                    "again. On the way it is even quicker.",
                    right=True,
                ),
                Choice(
                    "A little accuracy: it is an approximation.",
                    "Approximations of attention exist, but this is not one: the same sums, taken in another order.",
                ),
            ],
        ),
        Question(
            "With fused attention, does the time grow linearly with `block_size` too?",
            [
                Choice(
                    "Yes, since there is no (T, T) matrix any more.",
                    "The matrix is not kept, but each of its numbers is still computed.",
                ),
                Choice(
                    "No, it grows just as fast as with naive attention.",
                    "It computes as many numbers, but moves far fewer to and from memory, which is what takes naive "
                    "attention so long at large sizes.",
                ),
                Choice(
                    "No: each position is still compared with all before it, but cheaply.",
                    "The number of pairs is quadratic for both. Memory is what becomes linear, and the time of a pair "
                    "is much shorter.",
                    right=True,
                ),
            ],
        ),
        Question(
            "A model was trained with `block_size` 64. May you set it to 128 afterwards and let it read longer texts?",
            [
                Choice(
                    "Yes, it only becomes slower.",
                    "It has learnt a vector for each of the positions 0 to 63, and none for the others.",
                ),
                Choice(
                    "Not with learnt positions: there are none behind the 64th.",
                    "The table of positions has 64 rows. Cutting it to 32 would do; for more, one has to train again.",
                    right=True,
                ),
                Choice(
                    "Yes, if the `batch_size` is halved.",
                    "That keeps the number of tokens in a step, and so the memory, but no position is learnt by it.",
                ),
            ],
        ),
        Question(
            "Two runs of 300 steps with `batch_size` 16: with `block_size` 128 the loss is lower than with 16. What "
            "does that show?",
            [
                Choice(
                    "Little about the context: one run also read eight times the text.",
                    "A step reads batch_size x block_size characters. Hold that product fixed, as we did for the three "
                    "models, and compare again.",
                    right=True,
                ),
                Choice(
                    "That characters more than 16 back are worth that much.",
                    "Perhaps they are worth something, but this comparison changes two things at once.",
                ),
                Choice(
                    "That a larger model learns better.",
                    "The models are equal but for the table of positions, which is a small part of the parameters.",
                ),
            ],
        ),
    ],
)

RECALL = Quiz(
    "recall",
    [
        Question(
            "Lesson 00: a GPT has written a speech of ten lines. How did it go about that?",
            [
                Choice(
                    "It planned the speech, and then wrote it down.",
                    "It has no plan. All that it ever calculates is one probability for each token that may come next.",
                ),
                Choice(
                    "One token at a time: predict, choose, append, and ask again.",
                    "Each token that it has written becomes a part of what it reads. How much of that it can see is "
                    "the question of this lesson.",
                    right=True,
                ),
                Choice(
                    "It found a speech in the plays, and changed some words.",
                    "The plays are not stored in it. It has its parameters, and the text that it is given.",
                ),
            ],
        ),
        Question(
            "Lesson 01: a tokenizer of learnt byte pairs meets a word that it has never seen. What happens?",
            [
                Choice(
                    "The word becomes one token, `unknown`.",
                    "That is how vocabularies of whole words do it. Byte pairs never need it.",
                ),
                Choice(
                    "The word is added to the vocabulary.",
                    "The vocabulary is fixed before the training: the model has one row of weights for each entry.",
                ),
                Choice(
                    "It is cut into known pieces, single bytes if need be.",
                    "All 256 bytes are in the vocabulary from the start, so any text can be written with it.",
                    right=True,
                ),
            ],
        ),
        Question(
            "Lesson 01: why do we compare tokenizers by bits per character, and not by the loss per token?",
            [
                Choice(
                    "Because a longer token is harder to guess, and there are fewer of them.",
                    "The loss per token rises with the length of the tokens; per character it can be compared.",
                    right=True,
                ),
                Choice(
                    "Because bits are more exact than nats.",
                    "They differ by a constant factor, ln 2. What matters is per what the loss is counted.",
                ),
                Choice(
                    "Because the loss per token cannot be computed for learnt byte pairs, only for characters.",
                    "It can, for any tokens. It just answers a different question for each tokenizer.",
                ),
            ],
        ),
    ],
)

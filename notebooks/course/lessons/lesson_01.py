"""Lesson 01: what does a model read?"""

import math

from course.lessons import Exercise, SameAs, SameValue, quizzes, source_of
from course.prediction import Prediction

predict_vocab_size = Prediction(
    "With a vocabulary of 512, a token is about two characters long. How long is it with 4,096, eight times as many?",
    ("About 16 characters", "About 6 characters", "About 3 characters"),
    answer=2,
    why="The most frequent pairs are joined first. Each doubling adds rarer ones, which shorten the text by less.",
)


def _merge(tokens, pair):
    result = []
    for token in tokens:
        if result and (result[-1], token) == pair:
            result[-1] += token
        else:
            result.append(token)
    return result


merge = Exercise(
    name="merge",
    title="Join a pair wherever it occurs",
    difficulty=1,
    minutes=2,
    check=SameAs(
        _merge,
        inputs=[(list("low lower"), ("l", "o")), (list("aaaaa"), ("a", "a")), (["x", "y"], ("y", "x"))],
        random_input=lambda rng: (rng.choices("ab", k=12), (rng.choice("ab"), rng.choice("ab"))),
    ),
    hints=(
        "The new token is the two old ones as one text.",
        "Look at the last token of `result` and the next one of `tokens`: are they the pair?",
    ),
    solution=source_of(_merge),
)


def _spaces(pieces):
    return [str(piece).replace("␣", " ") for piece in pieces] if isinstance(pieces, (list, tuple)) else pieces


by_hand = Exercise(
    name="by_hand",
    title="Be the tokenizer",
    difficulty=1,
    minutes=4,
    check=SameValue(
        ["low", "er", " low", "es", "t"],
        mistakes={
            "the fourth merge joins a space with `low`: the second word begins with a space": (
                ["low", "er", " ", "low", "es", "t"]
            ),
            "there is no merge that makes `lower`: only the five of the list count": ["lower", " low", "es", "t"],
            "after the fifth merge, `es` is one token": ["low", "er", " low", "e", "s", "t"],
            "no merge joins `es` with `t`": ["low", "er", " low", "est"],
        },
        read=_spaces,
    ),
    hints=(
        "Begin with single characters: `l o w e r ␣ l o w e s t`.",
        "Take the merges one after the other, and join that pair wherever it occurs. After the second: "
        "`low e r ␣ low e s t`.",
    ),
    solution='by_hand = ["low", "er", " low", "es", "t"]',
)

_PIECES = [bytes([byte]) for byte in range(256)] + [b"th", b" th", b" the"]


def _decode(numbers, pieces):
    return b"".join(pieces[number] for number in numbers).decode()


decode = Exercise(
    name="decode",
    title="Undo it",
    difficulty=1,
    minutes=3,
    check=SameAs(
        _decode,
        inputs=[([115, 101, 101, 258], _PIECES), ([99, 97, 102, 195, 169], _PIECES)],
        mistakes={
            "those are bytes; `.decode()` at the end turns them into a text": lambda numbers, pieces: b"".join(
                pieces[number] for number in numbers
            ),
        },
    ),
    hints=(
        "`pieces[number]` is the piece with that number.",
        "`b''.join(...)` puts the pieces together. Each is of type bytes.",
        "`b''.join(pieces[number] for number in numbers).decode()`",
    ),
    solution=source_of(_decode),
)

_MERGES = [
    (b"t", b"h"),
    (b" ", b"th"),
    (b" th", b"e"),
    (b"e", b"r"),
    (b" the", b"r"),
    (b"\xc3", b"\xa9"),
    (b"o", b"r"),
    (b"t", b"o"),
]


def _encode(text, merges):
    tokens = [bytes([byte]) for byte in text.encode()]
    for pair in merges:
        tokens = _merge(tokens, pair)
    learned = [first + second for first, second in merges]
    return [token[0] if len(token) == 1 else 256 + learned.index(token) for token in tokens]


def _pieces(numbers, merges):
    return [bytes([n]) if n < 256 else merges[n - 256][0] + merges[n - 256][1] for n in numbers]


def _longest_first(text, merges):
    learned, numbers, text = [a + b for a, b in merges], [], text.encode()
    while text:
        best = max([piece for piece in learned if text.startswith(piece)] + [text[:1]], key=len)
        numbers.append(best[0] if len(best) == 1 else 256 + learned.index(best))
        text = text[len(best) :]
    return numbers


encode = Exercise(
    name="encode",
    title="Encode a new text",
    difficulty=3,
    minutes=15,
    check=SameAs(
        _encode,
        inputs=[("the", _MERGES), (" the other", _MERGES), (" ther café ö", _MERGES), ("tor", _MERGES), ("", _MERGES)],
        random_input=lambda rng: ("".join(rng.choices(" thero", k=15)), _MERGES),
        mistakes={
            "those are the pieces; the model gets their numbers": (
                lambda text, merges: _pieces(_encode(text, merges), merges)
            ),
            "those are the bytes alone; now apply the merges": lambda text, merges: list(text.encode()),
            "a learned token is numbered from 256 on, since 0 to 255 are the single bytes": (
                lambda text, merges: [n - 256 if n >= 256 else n for n in _encode(text, merges)]
            ),
            "the merges are applied in the wrong order: the first one learned comes first": (
                lambda text, merges: [n if n < 256 else 511 + len(merges) - n for n in _encode(text, merges[::-1])]
            ),
            "that takes the longest token that fits, from the left; apply the merges in the order of learning": (
                _longest_first
            ),
        },
    ),
    hints=(
        "Begin with the single bytes: `tokens = [bytes([byte]) for byte in text.encode()]`.",
        "Then `for pair in merges: tokens = merge(tokens, pair)`, with `merge` from section 3.",
        "The number of a single byte `t` is `t[0]`, that of a learned token 256 plus the place of its pair.",
    ),
    solution=source_of(_merge, _encode),
)

bug = Exercise(
    name="bug",
    title="Find the bug",
    difficulty=2,
    minutes=4,
    check=SameValue(
        3,
        mistakes={
            "line 5 does what it should: the pair with the largest count": 5,
            "line 6 does join the pair. But is the next round told about it?": 6,
            "line 4 is fine. Which line should run in each round, and does not?": 4,
        },
        read=lambda line: int(line) if str(line).isdigit() else line,
    ),
    hints=(
        "It learns the same pair each time. So what does each round look at?",
        "`tokens` changes in each round. What else would have to change with it?",
    ),
    solution="bug = 3  # the pairs are counted once, before the loop; they must be counted again in each round",
)

_A, _B = 1.5, 4.35 * 300_000 / 1_000_000  # nats per character


def _better(answer):
    match answer:
        case (str(model), int() | float() as lead):
            return model.strip().upper(), abs(lead)
    return answer


better = Exercise(
    name="better",
    title="Which model is better, and by how much?",
    difficulty=2,
    minutes=6,
    check=SameValue(
        ("B", (_A - _B) / math.log(2)),
        mistakes={
            "the losses per token cannot be compared: B makes 300,000 choices where A makes 1,000,000": (
                "A",
                (4.35 - 1.5) / math.log(2),
            ),
            "right size. But the smaller loss is the better one": ("A", (_A - _B) / math.log(2)),
            "B it is. But those are nats; a bit is ln 2 nats, so there are more of them: divide": ("B", _A - _B),
        },
        rel_tol=0.07,  # 0.3 will do
        read=_better,
    ),
    hints=(
        "How surprised is each model by the whole text? Loss per token times the number of tokens.",
        "Divide both by the 1,000,000 characters: nats per character.",
        "The difference is 0.195 nats per character. Divide by `math.log(2)`.",
    ),
    solution="""
        import math

        nats_a = 1.5 * 1_000_000 / 1_000_000
        nats_b = 4.35 * 300_000 / 1_000_000
        better = ("B", (nats_a - nats_b) / math.log(2))
    """,
)

EXERCISES = [merge, by_hand, decode, encode, bug, better]
RECALL, QUIZ = quizzes("01")

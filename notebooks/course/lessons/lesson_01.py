"""Lesson 01: what does a model read?"""

import math
from collections import Counter
from itertools import pairwise

from course.lessons import Choice, Exercise, Question, Quiz, SameAs


def _most_frequent_pair(tokens):
    pairs = Counter(pairwise(tokens))
    return max(pairs, key=pairs.get)


def _merge(tokens, pair, step=2, times=math.inf):
    result, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == tuple(pair) and times > 0:
            result.append("".join(pair))
            i, times = i + step, times - 1
        else:
            result.append(tokens[i])
            i += 1
    return result


def _learn_pairs(text, count):
    tokens, learned = list(text), []
    for _ in range(count):
        pair = _most_frequent_pair(tokens)
        tokens = _merge(tokens, pair)
        learned.append("".join(pair))
    return learned


def _some_tokens(rng, letters="abc"):
    """Twelve letters in which one pair is more frequent than all others."""
    while True:
        tokens = [rng.choice(letters) for _ in range(12)]
        counts = sorted(Counter(pairwise(tokens)).values())
        if len(counts) > 1 and counts[-1] > counts[-2]:
            return tokens


def _counted_once(text, count):
    pairs = Counter(pairwise(text))
    return ["".join(pair) for pair, _ in pairs.most_common(count)]


def _final_tokens(text, count):
    tokens = list(text)
    for _ in range(count):
        tokens = _merge(tokens, _most_frequent_pair(tokens))
    return tokens


most_frequent_pair = Exercise(
    name="most_frequent_pair",
    title="Which two stand side by side most often?",
    difficulty=1,
    minutes=3,
    check=SameAs(
        _most_frequent_pair,
        inputs=[(list("lower low lowest lot"),), (["t", "h", "e", " ", "th", "e", " ", "th", "e"],)],
        random_input=lambda rng: (_some_tokens(rng),),
        mistakes={
            "that is the most frequent token; we look for two neighbours": lambda t: Counter(t).most_common(1)[0][0],
            "that is the pair with its number; give the pair alone": lambda t: (
                _most_frequent_pair(t),
                max(Counter(pairwise(t)).values()),
            ),
            "that is how often it stands there; give the pair itself": lambda t: max(Counter(pairwise(t)).values()),
            "that is the pair glued together; give a tuple of its two tokens": lambda t: "".join(
                _most_frequent_pair(t)
            ),
            "that is the first pair of the text": lambda t: tuple(t[:2]),
            "that looks at the tokens two by two, 1 and 2, 3 and 4: the pair of 2 and 3 is missed": (
                lambda t: Counter(zip(t[::2], t[1::2], strict=False)).most_common(1)[0][0]
            ),
        },
    ),
    hints=(
        "`itertools.pairwise(tokens)` gives every token with the one after it.",
        "`collections.Counter` counts them.",
        "`max(pairs, key=pairs.get)` is the key with the highest count.",
    ),
    solution="""
        from collections import Counter
        from itertools import pairwise

        def most_frequent_pair(tokens):
            pairs = Counter(pairwise(tokens))
            return max(pairs, key=pairs.get)
    """,
)

merge = Exercise(
    name="merge",
    title="Join a pair wherever it stands",
    difficulty=2,
    minutes=8,
    check=SameAs(
        _merge,
        inputs=[
            (list("low lower"), ("l", "o")),
            (list("aaaaa"), ("a", "a")),
            (["x", "y"], ("y", "x")),
            ([], ("a", "b")),
        ],
        random_input=lambda rng: (_some_tokens(rng, "ab"), (rng.choice("ab"), rng.choice("ab"))),
        mistakes={
            "after a pair, go on behind both of its tokens; here the second one is used again": lambda t, p: _merge(
                t, p, step=1
            ),
            "only the first place is joined; go on to the end": lambda t, p: _merge(t, p, times=1),
            "the pair stands there as a tuple; join its two texts to one: `pair[0] + pair[1]`": lambda t, p: [
                tuple(p) if len(x) > 1 else x for x in _merge(t, p)
            ],
            "that is the pair at each of its places, and the other tokens are lost": lambda t, p: [
                x for x in _merge(t, p) if len(x) > 1
            ],
        },
    ),
    hints=(
        "The new token is the two old ones as one text.",
        "A joined pair has used up two tokens: how far must `i` move?",
        "`result.append(pair[0] + pair[1])`, then `i += 2`.",
    ),
    solution="""
        def merge(tokens, pair):
            result = []
            i = 0
            while i < len(tokens):
                if tuple(tokens[i : i + 2]) == pair:
                    result.append(pair[0] + pair[1])
                    i += 2
                else:
                    result.append(tokens[i])
                    i += 1
            return result
    """,
    starter="""
        def merge(tokens, pair):
            result = []
            i = 0
            while i < len(tokens):
                if tuple(tokens[i : i + 2]) == pair:
                    result.append(...)
                    i += ...
                else:
                    result.append(tokens[i])
                    i += 1
            return result
    """,
)

learn_pairs = Exercise(
    name="learn_pairs",
    title="A tokenizer that learns",
    difficulty=3,
    minutes=12,
    check=SameAs(
        _learn_pairs,
        inputs=[("low lower lowest low", 3), ("the cat that the hat", 4), ("aaaaaaaa", 2)],
        random_input=lambda rng: ("".join(rng.choice("abcd ") for _ in range(40)), rng.randint(2, 4)),
        mistakes={
            "the pairs were counted once; after each join count again, with the new token": _counted_once,
            "those are the tokens of the text; give the learnt ones, in the order of learning": _final_tokens,
            "one is missing: `count` pairs are to be learnt": lambda text, count: _learn_pairs(text, count - 1),
            "those are the characters and the learnt tokens; give the learnt ones alone": lambda text, count: (
                sorted(set(text)) + _learn_pairs(text, count)
            ),
        },
    ),
    hints=(
        "Begin with `tokens = list(text)`: one token a character.",
        "Then `count` times: find the most frequent pair, join it everywhere, keep the new token in a list.",
        "Your functions `most_frequent_pair` and `merge` do the two halves of each round.",
    ),
    solution="""
        from collections import Counter
        from itertools import pairwise

        def most_frequent_pair(tokens):
            pairs = Counter(pairwise(tokens))
            return max(pairs, key=pairs.get)

        def merge(tokens, pair):
            result, i = [], 0
            while i < len(tokens):
                joined = tuple(tokens[i : i + 2]) == pair
                result.append(pair[0] + pair[1] if joined else tokens[i])
                i += 2 if joined else 1
            return result

        def learn_pairs(text, count):
            tokens, learned = list(text), []
            for _ in range(count):
                pair = most_frequent_pair(tokens)
                tokens = merge(tokens, pair)
                learned.append(pair[0] + pair[1])
            return learned
    """,
)


def _bits_per_character(loss, tokens, characters):
    return loss * tokens / characters / math.log(2)


bits_per_character = Exercise(
    name="bits_per_character",
    title="A loss that can be compared",
    difficulty=2,
    minutes=5,
    check=SameAs(
        _bits_per_character,
        inputs=[(4.2, 1000, 3000), (2.0, 500, 500)],
        random_input=lambda rng: (rng.uniform(1, 8), rng.randint(100, 200), rng.randint(300, 900)),
        mistakes={
            "that is nats per character; a bit is ln 2 nats": lambda loss, t, c: loss * t / c,
            "that is bits per token; the total belongs to all characters": lambda loss, t, c: loss / math.log(2),
            "tokens and characters are swapped": lambda loss, t, c: loss * c / t / math.log(2),
            "that multiplies by ln 2; a bit is the smaller unit (0.69 nats), so there are more of them: divide": (
                lambda loss, t, c: loss * t / c * math.log(2)
            ),
            "those are the bits of the whole text; divide by its characters": lambda loss, t, c: loss * t / math.log(2),
        },
    ),
    hints=(
        "How surprised was the model by the whole text, all its tokens together?",
        "The characters of the text share that total.",
        "Nats become bits when they are divided by `math.log(2)`.",
    ),
    solution="""
        import math

        def bits_per_character(loss, tokens, characters):
            whole_text = loss * tokens / math.log(2)
            return whole_text / characters
    """,
)

EXERCISES = [most_frequent_pair, merge, learn_pairs, bits_per_character]

QUIZ = Quiz(
    "01",
    [
        Question(
            "What is a token?",
            [
                Choice(
                    "A character or a word.",
                    "It can be either, and that is the half of it that is true. Learned tokens are mostly something in "
                    "between: `he`, `ing`, `Pro`.",
                ),
                Choice(
                    "A piece of text, whatever the tokenizer cuts, with a number in its vocabulary.",
                    "The model sees the number only. What the piece is, the tokenizer decides, before any training.",
                    right=True,
                ),
                Choice(
                    "The smallest unit of meaning, as the model finds it.",
                    "The tokens are fixed before the model exists. They come from counting, and often cut where no "
                    "grammar would.",
                ),
            ],
        ),
        Question(
            "A model reads byte pairs that were learnt from 32 plays. What happens to a word that stands in none of "
            "them?",
            [
                Choice(
                    "It is replaced by a token that means “unknown”.",
                    "A vocabulary of words needs such a token. Byte pairs do not: all 256 single bytes are among them.",
                ),
                Choice(
                    "It gets a new number at the end of the vocabulary.",
                    "The vocabulary is fixed: the model has exactly one row of numbers for each of its tokens.",
                ),
                Choice(
                    "It is cut into shorter tokens, down to single bytes if need be.",
                    "And so it can be read, and written, though the model must work out what the parts mean together.",
                    right=True,
                ),
            ],
        ),
        Question(
            "On the same text, model A (characters) has a loss of 1.5 nats per token, model B (4 characters per token) "
            "one of 4.8. Which predicts the text better?",
            [
                Choice(
                    "B: it has 1.2 nats per character.",
                    "4.8 shared by 4 characters. Divided by ln 2, that is 1.7 bits per character, against A's 2.2.",
                    right=True,
                ),
                Choice(
                    "A: its loss is lower.",
                    "Per token it is. But B's tokens are four characters long, and one guess of B does the work of "
                    "four of A's.",
                ),
                Choice(
                    "That cannot be known: their tokens are different.",
                    "Their losses per token cannot be compared, but both models were surprised by the same characters: "
                    "share the total among these.",
                ),
            ],
        ),
        Question(
            "You double the vocabulary from 4096 to 8192 tokens. How long are the tokens then?",
            [
                Choice(
                    "Twice as long: twice the vocabulary, half the tokens.",
                    "The second half of the vocabulary is made of rarer pairs than the first, so it is used less.",
                ),
                Choice(
                    "A little longer, on average.",
                    "Each doubling adds less than the one before it, as the frequent pairs have been joined already.",
                    right=True,
                ),
                Choice(
                    "As long as before: the new tokens are not used.",
                    "They are used where they fit, since they were learnt from pairs that do occur. Only less often.",
                ),
            ],
        ),
        Question(
            "Why not make every word a token?",
            [
                Choice(
                    "It would take too many tokens to write a text.",
                    "It would take fewer: words are longer than most byte pairs. That is what speaks for them.",
                ),
                Choice(
                    "A computer works with characters.",
                    "It works with numbers, and a word can have one as well as a character.",
                ),
                Choice(
                    "New words never end, and each needs a row of numbers to learn.",
                    "Here 28,000 different words after 32 plays, and still one held-out word in twenty is not among "
                    "them.",
                    right=True,
                ),
            ],
        ),
        Question(
            "How many different tokens do `the`, `␣the` and `The` begin with, if the vocabulary is large enough?",
            [
                Choice(
                    "Three.",
                    "Their bytes differ, so they are three tokens, with three numbers. That they are nearly the same "
                    "word is for the model to learn.",
                    right=True,
                ),
                Choice(
                    "One: it is the same word.",
                    "The tokenizer knows bytes and counts, no words. To it, `T` and `t` differ as much as `x` and `y`.",
                ),
                Choice(
                    "Two: capitals count, spaces do not.",
                    "A space is a byte like any other, and the word takes the one before it along.",
                ),
            ],
        ),
        Question(
            "You learn the byte pairs from training plays and held-out plays together. What is wrong with that?",
            [
                Choice(
                    "Nothing: the model is not trained by it.",
                    "Yet something is learnt: the names of the held-out plays become tokens, so that the loss on them "
                    "flatters.",
                ),
                Choice(
                    "The exam has leaked: the tokens suit the held-out plays better than any new play.",
                    "Whatever is learnt, tokens too, must be learnt from the training text alone.",
                    right=True,
                ),
                Choice(
                    "The model cannot be trained with such tokens.",
                    "It can. The numbers look fine, which is the trouble.",
                ),
            ],
        ),
    ],
)

"""Lesson 00: what is the whole game?"""

from collections import Counter
from itertools import accumulate, pairwise

from course.lessons import Exercise, InOrder, SameAs, Wrong, quizzes
from course.prediction import Prediction

# Each ends in a character that is elsewhere too, so that every character has one to follow it.
_TEXTS = ["to be or not to be", "the lord of the house of the rose", "alone, alone, all, all alone"]
_TABLE = {"a": 0.2, "b": 0.5, "c": 0.3}

predict_max_iters = Prediction(
    "100 steps end at a loss of about 2.2. Where do 400 steps end, four times as many?",
    ("Near 0.6: a quarter of it", "Near 1.8", "Near 2.1: it has learned what there is to learn"),
    answer=1,
    why="The easy things come first: which letters are frequent, which follow which. Each further tenth takes longer.",
)


def _followers(text, character):
    return Counter(after for before, after in pairwise(text) if before == character)


def _probabilities(counts):
    return {character: count / sum(counts.values()) for character, count in counts.items()}


def _draw(table, r):
    for character, end in zip(table, accumulate(table.values()), strict=True):
        if r < end:
            return character
    return character


def _write(text, start, numbers, choose=lambda counts, r: _draw(_probabilities(counts), r)):
    written = start
    for r in numbers:
        written += choose(_followers(text, written[-1]), r)
    return written


def _from_first(text, start, numbers):
    counts = _followers(text, start[-1])
    return start + "".join(_draw(_probabilities(counts), r) for r in numbers)


def _numbers(rng, count):
    return [rng.random() for _ in range(count)]


def _random_table(rng):
    weights = [rng.randint(1, 9) for _ in "abcde"]
    return {character: weight / sum(weights) for character, weight in zip("abcde", weights, strict=True)}


followers = Exercise(
    name="followers",
    title="What comes after a character?",
    difficulty=1,
    minutes=2,
    check=SameAs(
        _followers,
        inputs=[("to be or not to be", "o"), ("mississippi", "s")],
        random_input=lambda rng: (rng.choice(_TEXTS), rng.choice("oe")),
        mistakes={
            "that counts what comes before; it should count what comes after": lambda text, character: Counter(
                before for before, after in pairwise(text) if after == character
            ),
            "that counts every character of the text; only those right after the given one count": (
                lambda text, character: Counter(text)
            ),
        },
    ),
    hints=(
        "Walk along the text two characters at a time: one, and the one after it.",
        "`pairwise(text)`, from itertools, gives these pairs; `Counter` counts what you hand it.",
    ),
    solution="""
        from collections import Counter
        from itertools import pairwise

        def followers(text, character):
            return Counter(after for before, after in pairwise(text) if before == character)
    """,
)

probabilities = Exercise(
    name="probabilities",
    title="From counts to probabilities",
    difficulty=1,
    minutes=3,
    check=SameAs(
        _probabilities,
        inputs=[(Counter("o r t "),), (Counter("eeeee"),)],
        random_input=lambda rng: (Counter(rng.choice("abcd") for _ in range(20)),),
        mistakes={
            "those are the counts themselves; probabilities add up to 1": dict,
            "that divides by how many different characters there are; divide by how many were counted in all": (
                lambda counts: {character: count / len(counts) for character, count in counts.items()}
            ),
            "that compares each with the most frequent one; divide by the sum of all counts": (
                lambda counts: {character: count / max(counts.values()) for character, count in counts.items()}
            ),
        },
    ),
    hints=(
        "`{' ': 2, 'r': 1, 't': 1}`: the space came 2 times out of 4. Where does the 4 come from?",
        "`sum(counts.values())` is how many were counted in all.",
        "`count / sum(counts.values())`",
    ),
    solution="""
        def probabilities(counts):
            return {character: count / sum(counts.values()) for character, count in counts.items()}
    """,
    starter="""
        def probabilities(counts):
            return {character: count / ... for character, count in counts.items()}
    """,
)

draw = Exercise(
    name="draw",
    title="Draw from a table of probabilities",
    difficulty=2,
    minutes=10,
    check=SameAs(
        _draw,
        inputs=[(_TABLE, 0.1), (_TABLE, 0.6), (_TABLE, 0.75), (_TABLE, 0.95)],
        random_input=lambda rng: (_random_table(rng), rng.random()),
        mistakes={
            "that is always the likeliest one; `r` decides which one it is": lambda table, r: max(table, key=table.get),
            "that compares `r` with each probability alone; compare it with the sum of all so far": (
                lambda table, r: next((c for c, p in table.items() if r < p), list(table)[-1])
            ),
            "that is one too early: stop at the first character whose sum is above `r`": (
                lambda table, r: (list(table)[:1] + [c for c, end in _ends(table) if end <= r])[-1]
            ),
            "that gives every character a piece of the same length; its piece is as long as its probability": (
                lambda table, r: list(table)[int(r * len(table))]
            ),
            "that is its place in the table; return the character itself": (
                lambda table, r: list(table).index(_draw(table, r))
            ),
            "that is a probability; return the character that it belongs to": lambda table, r: table[_draw(table, r)],
        },
    ),
    hints=(
        "Lay the probabilities end to end on a ruler from 0 to 1. `r` is a point on it: on whose piece?",
        "Walk along `table.items()` and add up the probabilities. Whose piece ends to the right of `r`?",
        "`end += probability`, then `if r < end: return character`.",
    ),
    solution="""
        def draw(table, r):
            end = 0
            for character, probability in table.items():
                end += probability
                if r < end:
                    return character
            return character  # the sum was 0.9999999 and not 1: computers round
    """,
)


def _ends(table):
    return list(zip(table, accumulate(table.values()), strict=True))


loop = Exercise(
    name="loop",
    title="Put the loop in order",
    difficulty=1,
    minutes=4,
    check=InOrder(
        "DBEAC",
        (
            "B asks the model about `seen`, which only D makes",
            "E needs `scores`, which only B makes",
            "A draws from `p`, which only E makes",
            "C comes too early: what should it append?",
        ),
    ),
    hints=(
        "Each line uses a name that another one has made. Who makes `seen`? Who uses it?",
        "text, seen, scores, p, number, text: that is the circle.",
        'It begins `["D", "B", ...]`.',
    ),
    solution='loop = ["D", "B", "E", "A", "C"]',
)


def _check_match(match):
    if not isinstance(match, dict) or sorted(map(str, match)) != list("1234"):
        raise Wrong('give the author of each text, as in `{1: "GPT", 2: "five", 3: "pairs", 4: "letters"}`')
    said = {int(text): str(program).lower() for text, program in match.items()}
    if said[1] != "letters":
        raise Wrong("look at 1 and 4 again: which has no `th` and no `ou`, only the right number of each letter?")
    if said[4] != "pairs":
        raise Wrong("look at 3 and 4 again: pairs know what follows one letter, and so hardly a whole word")
    if said != {1: "letters", 2: "five", 3: "gpt", 4: "pairs"}:
        raise Wrong("the prettiest is not the GPT's: who has counted after every five characters quotes long pieces")


match = Exercise(
    name="match",
    title="Which program wrote which text?",
    difficulty=2,
    minutes=4,
    check=_check_match,
    hints=(
        "Begin with the worst: who knows nothing about the letter before?",
        "Whoever has counted what follows each five characters has, in effect, the text by heart.",
        "1 is the one with letter frequencies, 4 the one with pairs.",
    ),
    solution='match = {1: "letters", 2: "five", 3: "GPT", 4: "pairs"}',
)

write = Exercise(
    name="write",
    title="A language model of your own",
    difficulty=3,
    minutes=10,
    check=SameAs(
        _write,
        inputs=[("to be or not to be", "t", [0.1, 0.9, 0.5, 0.3, 0.7]), ("mississippi", "m", [0.2, 0.8, 0.6])],
        random_input=lambda rng: (rng.choice(_TEXTS), rng.choice("oe"), _numbers(rng, rng.randint(4, 12))),
        mistakes={
            "that is the continuation alone; the text begins with `start`": (
                lambda text, start, numbers: _write(text, start, numbers)[len(start) :]
            ),
            "each time the first character is asked for its followers; ask the one that was written last": _from_first,
            "only the last character is left; add each one to what is written: `written += ...`": (
                lambda text, start, numbers: _write(text, start, numbers)[-1]
            ),
            "one character was written, not one for each number; is the `return` inside the loop?": (
                lambda text, start, numbers: _write(text, start, numbers[:1])
            ),
            "that always takes the likeliest character; draw one, with your `draw` and the number `r`": (
                lambda text, start, numbers: _write(text, start, numbers, lambda counts, r: max(counts, key=counts.get))
            ),
            "turn the counts into probabilities before you draw": (
                lambda text, start, numbers: _write(text, start, numbers, _draw)
            ),
            "that goes on where the text ends; begin with `start`": lambda text, start, numbers: (
                text + _write(text, text[-1], numbers)[1:]
            ),
            "that is a list of characters; a text is asked for: `''.join(...)`": (
                lambda text, start, numbers: list(_write(text, start, numbers))
            ),
        },
    ),
    hints=(
        "Begin with `written = start`. For each `r` in `numbers`, one character is added.",
        "Count the followers of `written[-1]`, make probabilities of the counts, draw one with `r`.",
        "`written += draw(probabilities(followers(text, written[-1])), r)`",
    ),
    solution="""
        from collections import Counter
        from itertools import pairwise

        def followers(text, character):
            return Counter(after for before, after in pairwise(text) if before == character)

        def probabilities(counts):
            return {character: count / sum(counts.values()) for character, count in counts.items()}

        def draw(table, r):
            end = 0
            for character, probability in table.items():
                end += probability
                if r < end:
                    return character
            return character

        def write(text, start, numbers):
            written = start
            for r in numbers:
                written += draw(probabilities(followers(text, written[-1])), r)
            return written
    """,
)

EXERCISES = [followers, probabilities, draw, loop, match, write]
(QUIZ,) = quizzes("00")

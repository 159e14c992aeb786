"""Lesson 00: what is the whole game?"""

from collections import Counter
from itertools import pairwise

from course.lessons import Exercise, SameAs, SameValue, quizzes, source_of
from course.prediction import Prediction

# Each ends in a character that is elsewhere too, so that every character has one to follow it.
_TEXTS = ["to be or not to be", "the lord of the house of the rose", "alone, alone, all, all alone"]
_TABLE = {"a": 0.2, "b": 0.5, "c": 0.3}
_IMPORTS = "from collections import Counter\nfrom itertools import pairwise\n"

predict_max_iters = Prediction(
    "100 steps end at a loss of about 2.3. Where do 300 steps end, three times as many?",
    ("Near 0.7: a third of it", "Near 1.9", "Near 2.1: it has learned what there is to learn"),
    answer=1,
    why="The easy things come first: which letters are frequent, which follow which. Each further tenth takes longer.",
)


def _followers(text, character):
    return Counter(after for before, after in pairwise(text) if before == character)


def _probabilities(counts):
    return {character: count / sum(counts.values()) for character, count in counts.items()}


def _draw(table, r):
    end = 0
    for character, probability in table.items():
        end += probability
        if r < end:
            return character
    return character  # the sum was 0.9999999 and not 1: computers round


def _write(text, start, numbers):
    written = start
    for r in numbers:
        written += _draw(_probabilities(_followers(text, written[-1])), r)
    return written


def _likeliest(table, r):
    return max(table, key=table.get)


def _write_likeliest(text, start, numbers):
    for _ in numbers:
        start += _likeliest(_followers(text, start[-1]), 0)
    return start


def _from_first(text, start, numbers):
    return start + "".join(_draw(_probabilities(_followers(text, start[-1])), r) for r in numbers)


def _programs(answer):
    """Which text has which program; a list of them is in the order of the texts."""
    answer = dict(enumerate(answer, 1)) if isinstance(answer, list) else answer
    return {text: str(program).lower() for text, program in answer.items()} if isinstance(answer, dict) else answer


def _random_table(rng):
    weights = [rng.randint(1, 9) for _ in "abcde"]
    return {character: weight / sum(weights) for character, weight in zip("abcde", weights, strict=True)}


followers = Exercise(
    name="followers",
    title="What comes after a character?",
    difficulty=1,
    minutes=2,
    check=SameAs(_followers, inputs=[("to be or not to be", "o"), ("mississippi", "s")]),
    hints=(
        "Walk along the text two characters at a time: one, and the one after it.",
        "`pairwise(text)`, from itertools, gives these pairs; `Counter` counts what you hand it.",
    ),
    solution=source_of(_followers, imports=_IMPORTS),
)

probabilities = Exercise(
    name="probabilities",
    title="From counts to probabilities",
    difficulty=1,
    minutes=3,
    check=SameAs(
        _probabilities,
        inputs=[(Counter("o r t "),), (Counter("eeeee"),), (Counter("abracadabra"),)],
        mistakes={
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
    solution=source_of(_probabilities),
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
            "that is always the likeliest one; `r` decides which one it is": _likeliest,
            "that compares `r` with each probability alone; compare it with the sum of all so far": (
                lambda table, r: next((c for c, p in table.items() if r < p), list(table)[-1])
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
    solution=source_of(_draw),
)

match = Exercise(
    name="match",
    title="Which program wrote which text?",
    difficulty=2,
    minutes=4,
    check=SameValue(
        {1: "letters", 2: "five", 3: "gpt", 4: "pairs"},
        mistakes={
            "the prettiest is not the GPT's: who has counted after every five characters quotes long pieces": (
                {1: "letters", 2: "gpt", 3: "five", 4: "pairs"}
            ),
            "look at 1 and 4 again: which has no `th` and no `ou`, only the right number of each letter?": (
                {1: "pairs", 2: "five", 3: "gpt", 4: "letters"}
            ),
            "look at 3 and 4 again: pairs know what follows one letter, and so hardly a whole word": (
                {1: "letters", 2: "five", 3: "pairs", 4: "gpt"}
            ),
        },
        read=_programs,
    ),
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
        random_input=lambda rng: (rng.choice(_TEXTS), rng.choice("oe"), [rng.random() for _ in range(9)]),
        mistakes={
            "that is the continuation alone; the text begins with `start`": (
                lambda text, start, numbers: _write(text, start, numbers)[len(start) :]
            ),
            "each time the first character is asked for its followers; ask the one that was written last": _from_first,
            "one character was written, not one for each number; is the `return` inside the loop?": (
                lambda text, start, numbers: _write(text, start, numbers[:1])
            ),
            "that always takes the likeliest character; draw one, with your `draw` and the number `r`": (
                _write_likeliest
            ),
            "that goes on where the text ends; begin with `start`": lambda text, start, numbers: (
                text + _write(text, text[-1], numbers)[1:]
            ),
        },
    ),
    hints=(
        "Begin with `written = start`. For each `r` in `numbers`, one character is added.",
        "Count the followers of `written[-1]`, make probabilities of the counts, draw one with `r`.",
        "`written += draw(probabilities(followers(text, written[-1])), r)`",
    ),
    solution=source_of(_followers, _probabilities, _draw, _write, imports=_IMPORTS),
)

EXERCISES = [followers, probabilities, draw, match, write]
(QUIZ,) = quizzes("00")

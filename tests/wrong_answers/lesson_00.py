"""What learners of lesson 00 write, and words of the reason that they must be given."""

COUNT = "__import__('collections').Counter"
PAIRS = "__import__('itertools').pairwise(text)"
WRITE = """
from course.lessons.lesson_00 import _draw, _followers, _probabilities

def write(text, start, numbers):
    written = start
    for r in numbers:
        written += _draw(_probabilities(_followers(text, written[-1])), r)
    return written
"""


def written(*changes: tuple[str, str]) -> str:
    source = WRITE
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    return source


WRONG_ANSWERS = {
    "followers": [
        (f"lambda text, c: {COUNT}(a for a, b in {PAIRS} if b == c)", "what comes before"),
        (f"lambda text, c: {COUNT}(text)", "every character"),
        ("lambda text, c: Counter(text)", "raised NameError"),
        ("lambda text, c: text.count(c)", "gives 4, not {' ': 2"),
    ],
    "probabilities": [
        ("lambda counts: dict(counts)", "the counts themselves"),
        ("lambda counts: {c: n / len(counts) for c, n in counts.items()}", "how many were counted in all"),
        ("lambda counts: {c: n / max(counts.values()) for c, n in counts.items()}", "sum of all counts"),
        ("lambda counts: {c: n / sum(counts) for c, n in counts.items()}", "raised TypeError"),
    ],
    "draw": [
        ("lambda table, r: max(table, key=table.get)", "`r` decides"),
        (
            """
            def draw(table, r):
                for character, probability in table.items():
                    if r < probability:
                        return character
                return character
            """,
            "sum of all so far",
        ),
        (
            """
            def draw(table, r):
                end, before = 0, next(iter(table))
                for character, probability in table.items():
                    end += probability
                    if r < end:
                        return before
                    before = character
                return before
            """,
            "one too early",
        ),
        (
            """
            def draw(table, r):
                end = 0
                for place, probability in enumerate(table.values()):
                    end += probability
                    if r < end:
                        return place
                return place
            """,
            "its place",
        ),
        (
            """
            def draw(table, r):
                end = 0
                for probability in table.values():
                    end += probability
                    if r < end:
                        return probability
                return probability
            """,
            "that is a probability",
        ),
        ("lambda table, r: list(table)[int(r * len(table))]", "the same length"),
        ("lambda table, r: __import__('random').Random(1).choice(list(table))", "gives"),
    ],
    "loop": [
        ('["D", "B", "A", "E", "C"]', "only E makes"),
        ('["D", "E", "B", "A", "C"]', "only B makes"),
        ('["D", "B", "E", "C", "A"]', "too early"),
        ('["B", "D", "E", "A", "C"]', "only D makes"),
        ('"DBEA"', "each of the 5 letters once"),
    ],
    "match": [
        ('{1: "letters", 2: "GPT", 3: "five", 4: "pairs"}', "prettiest"),
        ('{1: "pairs", 2: "five", 3: "GPT", 4: "letters"}', "1 and 4"),
        ('{1: "letters", 2: "five", 3: "pairs", 4: "GPT"}', "3 and 4"),
        ('["letters", "five", "GPT", "pairs"]', "the author of each text"),
    ],
    "write": [
        (written(("return written", "return written[len(start) :]")), "begins with `start`"),
        (written(("written[-1]", "start[-1]")), "written last"),
        (written(("return written", "return written[-1]")), "only the last character"),
        (written(("    return written", "        return written")), "inside the loop"),
        (
            written(
                ("_draw(_probabilities(_followers(text, written[-1])), r)", "max(table, key=table.get)"),
                ("        written +=", "        table = _followers(text, written[-1])\n        written +="),
            ),
            "draw one",
        ),
        (written(("_draw(_probabilities(", "_draw(("), ("[-1]))", "[-1]))")), "into probabilities"),
        (written(("written = start", "written = text")), "where the text ends"),
        (written(("return written", "return list(written)")), "list of characters"),
    ],
}

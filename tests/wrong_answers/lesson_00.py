"""What learners of lesson 00 write, and words of the reason that they must be given."""

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
        ("lambda text, c: Counter(text)", "raised NameError"),
        ("lambda text, c: text.count(c)", "gives 4, not {' ': 2"),
    ],
    "probabilities": [
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
        ("lambda table, r: list(table)[int(r * len(table))]", "gives"),
    ],
    "match": [
        ('{1: "letters", 2: "GPT", 3: "five", 4: "pairs"}', "prettiest"),
        ('{1: "pairs", 2: "five", 3: "GPT", 4: "letters"}', "1 and 4"),
        ('{1: "letters", 2: "five", 3: "pairs", 4: "GPT"}', "3 and 4"),
        ('["letters", "GPT", "five", "pairs"]', "prettiest"),
    ],
    "write": [
        (written(("return written", "return written[len(start) :]")), "begins with `start`"),
        (written(("written[-1]", "start[-1]")), "written last"),
        (written(("    return written", "        return written")), "inside the loop"),
        (
            written(
                ("_draw(_probabilities(_followers(text, written[-1])), r)", "max(table, key=table.get)"),
                ("        written +=", "        table = _followers(text, written[-1])\n        written +="),
            ),
            "draw one",
        ),
        (written(("written = start", "written = text")), "where the text ends"),
    ],
}

"""What learners of lesson 01 write, and words of the reason that they must be given."""

ENCODED = """
from course.lessons.lesson_01 import _merge

def encode(text, merges):
    tokens = [bytes([byte]) for byte in text.encode()]
    for pair in ORDER:
        tokens = _merge(tokens, pair)
    learned = [a + b for a, b in merges]
    return RESULT
"""
NUMBERS = "[t[0] if len(t) == 1 else 256 + learned.index(t) for t in tokens]"


def encoded(order: str, result: str) -> str:
    return ENCODED.replace("ORDER", order).replace("RESULT", result)


WRONG_ANSWERS = {
    "merge": [
        (
            """
            def merge(tokens, pair):
                result = []
                for i in range(len(tokens)):
                    result.append(pair[0] + pair[1] if tokens[i + 1] == pair[1] else tokens[i])
                return result
            """,
            "IndexError",
        ),
        ("lambda tokens, pair: tokens", "gives"),
    ],
    "by_hand": [
        ('["low", "er", " ", "low", "es", "t"]', "begins with a space"),
        ('["lower", " low", "es", "t"]', "no merge that makes"),
        ('["low", "er", " low", "e", "s", "t"]', "fifth merge"),
        ('["low", "er", " low", "est"]', "no merge joins"),
        ('list("lower lowest")', "is not it"),
    ],
    "decode": [
        ("lambda numbers, pieces: b''.join(pieces[n] for n in numbers)", "those are bytes"),
        ("lambda numbers, pieces: ''.join(pieces[n].decode() for n in numbers)", "UnicodeDecodeError"),
        ("lambda numbers, pieces: ''.join(map(chr, numbers))", "gives"),
    ],
    "encode": [
        (encoded("merges", "tokens"), "those are the pieces"),
        ("lambda text, merges: list(text.encode())", "bytes alone"),
        (encoded("merges", NUMBERS.replace("256 + ", "")), "from 256 on"),
        (encoded("reversed(merges)", NUMBERS), "wrong order"),
        (
            encoded("merges", NUMBERS).replace("bytes([byte]) for byte in text.encode()", "c.encode() for c in text"),
            "ö",
        ),
        (
            """
            def encode(text, merges):
                learned, numbers, rest = [a + b for a, b in merges], [], text.encode()
                while rest:
                    best = max([t for t in learned if rest.startswith(t)] + [rest[:1]], key=len)
                    numbers.append(best[0] if len(best) == 1 else 256 + learned.index(best))
                    rest = rest[len(best) :]
                return numbers
            """,
            "longest token that fits",
        ),
        ("lambda text, merges: [ord(c) for c in text]", "gives"),
    ],
    "bug": [
        ("5", "largest count"),
        ("6", "next round"),
        ("4", "in each round"),
        ("'7'", "not it"),
    ],
    "better": [
        ('("A", (4.35 - 1.5) / math.log(2))', "cannot be compared"),
        ('("A", (1.5 - 4.35 * 0.3) / math.log(2))', "smaller loss"),
        ('("B", 1.5 - 4.35 * 0.3)', "those are nats"),
        ('("B", 2.85)', "is not it"),
    ],
}

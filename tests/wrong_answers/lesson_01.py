"""What learners of lesson 01 write, and words of the reason that they must be given."""

COUNTED = """
from collections import Counter
from itertools import pairwise

def most_frequent_pair(tokens):
    pairs = Counter(pairwise(tokens))
    return RESULT
"""
LEARNED = """
from course.lessons.lesson_01 import _merge, _most_frequent_pair

def learn_pairs(text, count):
    tokens, learned = list(text), []
    for _ in range(count):
        pair = _most_frequent_pair(tokens)
        tokens = _merge(tokens, pair)
        learned.append(pair[0] + pair[1])
    return RESULT
"""


def returns(result: str, source: str) -> str:
    return source.replace("RESULT", result)


WRONG_ANSWERS = {
    "most_frequent_pair": [
        ("lambda tokens: max(tokens, key=tokens.count)", "two neighbours"),
        (returns("pairs.most_common(1)[0]", COUNTED), "pair alone"),
        (returns("max(pairs.values())", COUNTED), "how often"),
        (returns("''.join(max(pairs, key=pairs.get))", COUNTED), "glued together"),
        ("lambda tokens: (tokens[0], tokens[1])", "first pair"),
        (
            """
            from collections import Counter
            def most_frequent_pair(tokens):
                return Counter(zip(tokens[::2], tokens[1::2])).most_common(1)[0][0]
            """,
            "two by two",
        ),
        ("lambda tokens: max(zip(tokens, tokens[1:]))", "gives"),
    ],
    "merge": [
        (
            """
            def merge(tokens, pair):
                result = []
                for i in range(len(tokens)):
                    result.append("".join(pair) if tuple(tokens[i : i + 2]) == pair else tokens[i])
                return result
            """,
            "used again",
        ),
        (
            """
            def merge(tokens, pair):
                for i in range(len(tokens) - 1):
                    if (tokens[i], tokens[i + 1]) == pair:
                        return [*tokens[:i], pair[0] + pair[1], *tokens[i + 2 :]]
                return tokens
            """,
            "first place",
        ),
        (
            """
            def merge(tokens, pair):
                result, i = [], 0
                while i < len(tokens):
                    found = tuple(tokens[i : i + 2]) == pair
                    result.append(pair if found else tokens[i])
                    i += 2 if found else 1
                return result
            """,
            "as a tuple",
        ),
        (
            """
            def merge(tokens, pair):
                result, i = [], 0
                while i < len(tokens):
                    if tuple(tokens[i : i + 2]) == pair:
                        result.append(pair[0] + pair[1])
                        i += 1
                    i += 1
                return result
            """,
            "are lost",
        ),
        ("lambda tokens, pair: list(''.join(tokens))", "gives"),
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
    ],
    "learn_pairs": [
        (
            """
            from collections import Counter
            def learn_pairs(text, count):
                return [a + b for (a, b), _ in Counter(zip(text, text[1:])).most_common(count)]
            """,
            "count again",
        ),
        (returns("tokens", LEARNED), "tokens of the text"),
        (returns("learned[:-1]", LEARNED), "one is missing"),
        (returns("sorted(set(text)) + learned", LEARNED), "learnt ones alone"),
    ],
    "bits_per_character": [
        ("lambda loss, tokens, characters: loss * tokens / characters", "nats per character"),
        ("lambda loss, tokens, characters: loss / math.log(2)", "bits per token"),
        ("lambda loss, tokens, characters: loss * characters / tokens / math.log(2)", "swapped"),
        ("lambda loss, tokens, characters: loss * tokens / characters * math.log(2)", "smaller unit"),
        ("lambda loss, tokens, characters: loss * tokens / math.log(2)", "whole text"),
        ("lambda loss, tokens, characters: math.exp(loss)", "gives"),
    ],
}

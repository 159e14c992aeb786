"""What learners of lesson 00 write, and words of the reason that they must be given."""

COUNT = "__import__('collections').Counter"
PAIRS = "__import__('itertools').pairwise(text)"

WRONG_ANSWERS = {
    "followers": [
        (f"lambda text, c: {COUNT}(a for a, b in {PAIRS} if b == c)", "what comes before"),
        (f"lambda text, c: {COUNT}(text)", "every character"),
        ("lambda text, c: text.count(c)", "gives"),
        ("lambda text, c: Counter(text)", "raised NameError"),
        ("lambda text, c: text.count(c)", "gives 4, not {' ': 2"),
    ],
    "likeliest": [
        (f"lambda text, c: max({COUNT}(b for a, b in {PAIRS} if a == c).values())", "which character"),
        (f"lambda text, c: max({COUNT}(b for a, b in {PAIRS} if a == c))", "alphabet"),
        (f"lambda text, c: {COUNT}(text).most_common(1)[0][0]", "whole text"),
        (f"lambda text, c: {COUNT}(b for a, b in {PAIRS} if a == c).most_common(1)[0]", "character alone"),
        (f"lambda text, c: {COUNT}(b for a, b in {PAIRS} if a == c).most_common(1)", "list of pairs"),
        (f"lambda text, c: {COUNT}(b for a, b in {PAIRS} if a == c)", "all the counts"),
        (f"lambda text, c: min((n := {COUNT}(b for a, b in {PAIRS} if a == c)), key=n.get)", "most seldom"),
        ("lambda text, c: text[text.index(c) + 1]", "first place"),
    ],
    "write": [
        (
            f"""
            def write(text, start, length):
                written = ""
                for _ in range(length):
                    counts = {COUNT}(b for a, b in {PAIRS} if a == (start + written)[-1])
                    written += max(counts, key=counts.get)
                return written
            """,
            "begins with `start`",
        ),
        (
            f"""
            def write(text, start, length):
                written = start
                for _ in range(length):
                    counts = {COUNT}(b for a, b in {PAIRS} if a == start)
                    written += max(counts, key=counts.get)
                return written
            """,
            "written last",
        ),
        (
            f"""
            def write(text, start, length):
                while len(start) < length:
                    counts = {COUNT}(b for a, b in {PAIRS} if a == start[-1])
                    start += max(counts, key=counts.get)
                return start
            """,
            "`length` more",
        ),
        (
            f"""
            def write(text, start, length):
                for _ in range(length):
                    counts = {COUNT}(b for a, b in {PAIRS} if a == start[-1])
                    start = max(counts, key=counts.get)
                return start
            """,
            "only the last character",
        ),
        (
            f"""
            def write(text, start, length):
                for _ in range(length):
                    counts = {COUNT}(b for a, b in {PAIRS} if a == start[-1])
                    start += max(counts, key=counts.get)
                    return start
            """,
            "inside the loop",
        ),
        (
            f"""
            def write(text, start, length):
                written = [start]
                for _ in range(length):
                    counts = {COUNT}(b for a, b in {PAIRS} if a == written[-1])
                    written.append(max(counts, key=counts.get))
                return written
            """,
            "list of characters",
        ),
    ],
}

"""What learners of lesson 07 write, and words of the reason that they must be given."""

ATTENTION = """
def attention(q, k, v):
    T, d = q.shape
    scores = q @ k.T / d**0.5
    scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), float("-inf"))
    weights = scores.softmax(dim=-1)
    return weights @ v
"""
MASK = '    scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), float("-inf"))\n'


def changed(old: str, new: str) -> str:
    """The right attention with one mistake."""
    assert ATTENTION.count(old) == 1
    return ATTENTION.replace(old, new)


WRONG_ANSWERS = {
    "gather": [
        ("lambda weights, values: np.dot(weights, values) / len(values)", "add up to 1 already"),
        ("lambda weights, values: values[int(np.argmax(weights))]", "largest weight"),
        ("lambda weights, values: np.mean(values)", "play no part"),
        ("lambda weights, values: sum(values)", "gives"),
    ],
    "with_temperature": [
        (
            """
            def with_temperature(scores, temperature):
                exps = [math.exp(score) / temperature for score in scores]
                return [e / sum(exps) for e in exps]
            """,
            "temperature 1",
        ),
        (
            """
            def with_temperature(scores, temperature):
                exps = [math.exp(score * temperature) for score in scores]
                return [e / sum(exps) for e in exps]
            """,
            "the wrong way round",
        ),
        (
            """
            def with_temperature(scores, temperature):
                exps = [math.exp(score - temperature) for score in scores]
                return [e / sum(exps) for e in exps]
            """,
            "falls out again",
        ),
        ("lambda scores, temperature: [math.exp(score / temperature) for score in scores]", "gives"),
    ],
    "top_k": [
        (
            "lambda probabilities, k: [p if p >= sorted(probabilities)[-k] else 0.0 for p in probabilities]",
            "add up to 1",
        ),
        (
            """
            def top_k(probabilities, k):
                kept = [p if p <= sorted(probabilities)[k - 1] else 0.0 for p in probabilities]
                return [p / sum(kept) for p in kept]
            """,
            "least likely",
        ),
        (
            """
            def top_k(probabilities, k):
                best = sorted(probabilities, reverse=True)[:k]
                return [p / sum(best) for p in best]
            """,
            "at its place",
        ),
        (
            """
            def top_k(probabilities, k):
                kept = probabilities[:k] + [0.0] * (len(probabilities) - k)
                return [p / sum(kept) for p in kept]
            """,
            "the first k",
        ),
        ("lambda probabilities, k: sorted(probabilities)[k]", "raised IndexError"),
        ("lambda probabilities, k: sorted(probabilities, reverse=True)[:k]", "and they must add up to 1"),
        (
            "lambda probabilities, k: [1 / k if p >= sorted(probabilities)[-k] else 0 for p in probabilities]",
            "equally likely",
        ),
    ],
    "block_parameters": [
        ("lambda C: 12 * C * C", "matrices alone"),
        ("lambda C: 12 * C * C + 9 * C", "norms are missing"),
        ("lambda C: 12 * C * C + 4 * C", "biases of the linear layers"),
        ("lambda C: 4 * C * C + 4 * C", "attention alone"),
        ("lambda C: 10 * C * C + 11 * C", "three times as wide"),
        ("lambda C: 11 * C * C + 12 * C", "`c_proj`"),
        ("lambda C: 8 * C * C + 12 * C", "two matrices"),
        ("lambda C: C", "gives"),
    ],
    "attention": [
        (changed(MASK, ""), "the mask is missing"),
        (changed(" / d**0.5", ""), "not divided"),
        (changed(" / d**0.5", " / d"), "the width itself"),
        (changed(" / d**0.5", " * d**0.5"), "multiplied"),
        (changed(" / d**0.5", " / T**0.5"), "number of positions"),
        (changed("softmax(dim=-1)", "softmax(dim=0)"), "down the columns"),
        (changed("triu(1)", "triu(0)"), "cannot look at itself"),
        (changed("triu(1)", "triu(2)"), "one token of the future"),
        (changed("triu(1)", "tril(-1)"), "turned around"),
        (changed('float("-inf")', "0.0"), "minus infinity"),
        (
            """
            def attention(q, k, v):
                weights = (q @ k.T / q.size(-1) ** 0.5).softmax(dim=-1)
                return weights.tril() @ v
            """,
            "after the softmax",
        ),
        (
            """
            def attention(q, k, v):
                return (q @ k.T / q.size(-1) ** 0.5).tril() @ v
            """,
            "softmax is missing",
        ),
        (changed("weights @ v", "weights"), "those are the weights"),
        (changed("weights @ v", "weights @ k"), "gather the keys"),
        (changed("q @ k.T", "k @ q.T"), "swapped"),
        (changed("weights @ v", "(weights @ v).T"), "it gives the shape (4, 6)"),
        (changed("weights @ v", "weights @ v + (torch.arange(T) > 2)[:, None]"), "right are the positions [0, 1, 2]"),
        (changed("weights @ v", "(weights @ v).tolist()"), "give back a tensor"),
        (changed("q @ k.T", "q @ k"), "raised RuntimeError"),
        ("lambda q, k, v: (q @ k.T).softmax(dim=-1) @ v", "neither the mask"),
        ("lambda q, k, v: v * 0", "none of the six"),
    ],
}

"""What learners of lesson 07 write, and words of the reason that they must be given."""

ATTENTION = """
def attention(q, k, v):
    T, d = q.shape[-2:]
    scores = q @ k.mT / d**0.5
    scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), float("-inf"))
    weights = scores.softmax(dim=-1)
    return weights @ v
"""
MASK = '    scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), float("-inf"))\n'


def changed(old: str, new: str) -> str:
    """The right attention with one mistake."""
    assert ATTENTION.count(old) == 1
    return ATTENTION.replace(old, new)


WRITE = """
def write(model, tokens, count, temperature, top_k):
    for _ in range(count):
        scores = model(tokens[:, -model.config.block_size :])[0][:, -1] / temperature
        best, which = scores.topk(top_k)
        drawn = best.softmax(dim=-1).multinomial(1)
        tokens = torch.cat([tokens, which.gather(1, drawn)], dim=1)
    return tokens
"""


def rewritten(old: str, new: str) -> str:
    """The right sampling loop with one mistake."""
    assert WRITE.count(old) == 1
    return WRITE.replace(old, new)


WRONG_ANSWERS = {
    "which_head": [
        ('"the last space"', "a list of 3 answers"),
        ('["spaces", "the character before", "everything alike"]', "none of these"),
        ('["the character before", "the last space", "everything alike"]', "vertical stripes"),
        ('["the last space", "itself", "everything alike"]', "left of the diagonal"),
        ('["the last space", "the character before", "itself"]', "one shade"),
    ],
    "lines_in_order": [
        ('"CEAD"', "each of the 5 letters"),
        ('"ECADB"', "how large the scores are"),
        ('"CAEDB"', "needs `future`"),
        ('["C", "E", "D", "A", "B"]', "before the mask"),
        ('"CEABD"', "needs the weights"),
    ],
    "write": [
        (rewritten(" / temperature", ""), "temperature"),
        (rewritten(" / temperature", " * temperature"), "temperature"),
        (rewritten("scores.topk(top_k)", "scores.topk(scores.size(-1))"), "top_k is not right"),
        (rewritten("scores.topk(top_k)", "scores.topk(top_k, largest=False)"), "the last position"),
        (rewritten("tokens[:, -model.config.block_size :]", "tokens"), "at most the last block_size"),
        (rewritten("[0][:, -1]", "[0][:, 0]"), "the last position"),
        (rewritten("which.gather(1, drawn)", "drawn"), "a place among the k"),
        (rewritten("best.softmax(dim=-1).multinomial(1)", "best.argmax(-1, keepdim=True)"), "draw one at random"),
        (rewritten("    return tokens", "    return tokens[:, 3:]"), "with the new ones after them"),
        (
            rewritten("torch.cat([tokens, which.gather(1, drawn)]", "torch.cat([which.gather(1, drawn), tokens]"),
            "changed",
        ),
        ("lambda model, tokens, count, temperature, top_k: [1]", "this is list"),
        ("lambda model, tokens, count, temperature, top_k: model(tokens[0])", "reads (1, T)"),
    ],
    "attention": [
        (changed(MASK, ""), "the mask is missing"),
        (changed(" / d**0.5", ""), "not divided"),
        (changed(" / d**0.5", " / 24**0.5"), "not 24"),
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
        (changed("q @ k.mT", "k @ q.mT"), "swapped"),
        (changed("weights @ v", "(weights @ v).T"), "gives Tensor of shape (4, 6)"),
        (changed("q @ k.mT", "q @ k"), "raised RuntimeError"),
        (changed("k.mT", "k.T"), "for all heads at once"),
        (changed("softmax(dim=-1)", "softmax(dim=1)"), "for all heads at once"),
        ("lambda q, k, v: (q @ k.T).softmax(dim=-1) @ v", "neither the mask"),
        ("lambda q, k, v: v * 0", "not the same numbers"),
    ],
}

"""What learners of lesson 02 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "cut_window": [
        ("lambda t, s, T: (t[s : s + T], t[s : s + T])", "one further on"),
        ("lambda t, s, T: (t[s + 1 : s + T + 1], t[s : s + T])", "changed places"),
        ("lambda t, s, T: (t[s : s + T][:-1], t[s : s + T][1:])", "block_size + 1 tokens"),
        ("lambda t, s, T: (t[s : s + T], t[s + T])", "every position has a target"),
        ("lambda t, s, T: (t[:T], t[1 : T + 1])", "front of the text"),
        ("lambda t, s, T: t[s : s + T]", "gives"),
        ("lambda tokens, start, T: (tokens[start:T], tokens[start + 1 : T + 1])", "behind `start`"),
        (
            "lambda tokens, start, T: (tokens[start : start + T], tokens[start + 1 : start + T])",
            "one target is missing",
        ),
    ],
    "causal_mask": [
        ("lambda size: torch.ones(size, size, dtype=torch.bool).tril(-1)", "nothing to look at"),
        ("lambda size: torch.ones(size, size, dtype=torch.bool).triu()", "exchange row and column"),
        ("lambda size: torch.ones(size, size)", "everybody look everywhere"),
        ("lambda size: np.eye(size)", "itself only"),
        ("lambda size: torch.ones(size, size).triu(1)", "gives"),
    ],
    "matrix_numbers": [
        ("lambda b, n, h, t: b * n * h * t", "one row"),
        ("lambda b, n, h, t: b * n * t**2", "heads are missing"),
        ("lambda b, n, h, t: b * h * t**2", "layers are missing"),
        ("lambda b, n, h, t: n * h * t**2", "batch_size is missing"),
        ("lambda b, n, h, t: b * n * h * t * (t + 1) / 2", "whole square"),
        ("lambda b, n, h, t: 4 * b * n * h * t**2", "bytes"),
    ],
    "balance_point": [
        ("lambda a, n, h: a / n", "heads are missing"),
        ("lambda a, n, h: a / h", "layers are missing"),
        ("lambda a, n, h: a * n * h", "overtake sooner"),
        ("lambda a, n, h: math.sqrt(a / (n * h))", "no root"),
        ("lambda a, n, h: a / n / h / 2", "half as much"),
    ],
}

"""What learners of lesson 02 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "twins": [
        ("'Juliet'", "as a pair"),
        ("('O happy dagger', 'O happy dagger')", "the two texts are the same"),
        ("('good night', 'Goodnight')", "only their last 5 characters"),
        ("('my dear Juliet', 'my dear Romeo')", "already end differently"),
        ("('Romeo' + 70 * '.', 'Juliet' + 70 * '.')", "the model with 64 cannot see that"),
    ],
    "cut_window": [
        ("lambda t, s, T: (t[s : s + T], t[s : s + T])", "one further on"),
        ("lambda t, s, T: (t[s + 1 : s + T + 1], t[s : s + T])", "changed places"),
        ("lambda t, s, T: (t[s : s + T][:-1], t[s : s + T][1:])", "block_size + 1 tokens"),
        ("lambda t, s, T: (t[s : s + T], t[s + T])", "every position has a target"),
        ("lambda t, s, T: (t[:T], t[1 : T + 1])", "front of the text"),
        ("lambda t, s, T: t[s : s + T]", "gives"),
        ("lambda tokens, start, T: (tokens[start:T], tokens[start + 1 : T + 1])", "after `start`"),
        (
            "lambda tokens, start, T: (tokens[start : start + T], tokens[start + 1 : start + T])",
            "one target is missing",
        ),
    ],
    "causal_mask": [
        ("lambda size: torch.ones(size, size, dtype=torch.bool).tril(-1)", "nothing to look at"),
        ("lambda size: torch.ones(size, size, dtype=torch.bool).triu()", "swap row and column"),
        ("lambda size: torch.ones(size, size)", "everybody look everywhere"),
        ("lambda size: np.eye(size)", "itself only"),
        ("lambda size: torch.ones(size, size).triu(1)", "what is forbidden"),
        ("lambda size: torch.zeros(size, size)", "gives"),
    ],
    "writing_order": [
        ("'ebcad'", "loop has to come first"),
        ("'dbeca'", "cut the window before"),
        ("'debac'", "compute them first"),
        ("'decba'", "only after the model has given scores"),
        ("'abcd'", "each of the 5 letters once"),
    ],
    "loss_by_position": [
        (
            """
            def loss_by_position(logits, targets):
                return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            """,
            "keep the positions apart",
        ),
        (
            """
            def loss_by_position(logits, targets):
                losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
                return losses.view(targets.shape).mean(1)
            """,
            "other dimension",
        ),
        (
            """
            def loss_by_position(logits, targets):
                losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
                return losses.view(targets.shape)
            """,
            "not been averaged",
        ),
        (
            """
            def loss_by_position(logits, targets):
                losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
                return losses.view(targets.shape).sum(0)
            """,
            "we want the mean",
        ),
        (
            """
            def loss_by_position(logits, targets):
                p = logits.softmax(-1)
                losses = torch.nn.functional.cross_entropy(p.flatten(0, 1), targets.flatten(), reduction="none")
                return losses.view(targets.shape).mean(0)
            """,
            "without softmax",
        ),
        (
            """
            def loss_by_position(logits, targets):
                losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
                B, T = targets.shape
                return losses.view(T, B).mean(1)
            """,
            "wrong length",
        ),
        (
            """
            def loss_by_position(logits, targets):
                return logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0].mean(0)
            """,
            "is negative",
        ),
    ],
    "balance_point": [
        ("lambda a, n, h: a / n", "heads are missing"),
        ("lambda a, n, h: a / h", "layers are missing"),
        ("lambda a, n, h: a * n * h", "overtake sooner"),
        ("lambda a, n, h: math.sqrt(a / (n * h))", "no root"),
        ("lambda a, n, h: a / n / h / 2", "half as much"),
        ("lambda a, n, h: n * h / a", "upside down"),
        ("lambda a, n, h: 4 * a / n / h", "bytes cancel"),
    ],
}

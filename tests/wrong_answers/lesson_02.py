"""What learners of lesson 02 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "twins": [
        ("'Juliet'", "as a pair"),
        ("('O happy dagger', 'O happy dagger')", "the two texts are the same"),
        ("('good night', 'Goodnight')", "only their last 5 characters"),
        ("('my dear Juliet', 'my dear Romeo')", "already end differently"),
        ("('Romeo' + 70 * '.', 'Juliet' + 70 * '.')", "the model with 64 cannot see that"),
        ("('Come, follow me.\\n\\nJuliet', 'I love thee, fair Juliet')", "one of your own"),
    ],
    "causal_mask": [
        ("lambda size: torch.ones(size, size, dtype=torch.bool).tril(-1)", "nothing to look at"),
        ("lambda size: torch.ones(size, size, dtype=torch.bool).triu()", "swap row and column"),
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
        ("lambda a, n, h: math.sqrt(a / (n * h))", "no root"),
        ("lambda a, n, h: n * h / a", "upside down"),
    ],
}

"""What learners of lesson 03 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "loss_of_guessing": [
        ("math.log2", "bits"),
        ("lambda vocab_size: math.log10(vocab_size)", "base 10"),
        ("lambda vocab_size: 1 / vocab_size", "minus its logarithm"),
        ("lambda vocab_size: math.log(1 / vocab_size)", "sign"),
        ("lambda vocab_size: 4.12713", "loss_of_guessing(2)"),
        ("lambda vocab_size: str(math.log(vocab_size))", "gives"),
        ("lambda vocab_size: math.log(vocab)", "raised NameError"),
        ("lambda: 4.13", "positional argument"),
        ("math.log(62)", "without brackets"),
    ],
    "training_order": [
        ("'abc'", "each of the 5 letters once"),
        ("3", "each of the 5 letters once"),
        ("'ecdab'", "needs a batch"),
        ("'dceab'", "can be cleared later"),
        ("'cedba'", "steps before the gradients"),
        ("'ceadb'", "cleared between"),
    ],
    "random_batch": [
        ("lambda tokens, T, B: tokens[:T]", "return two tensors"),
        ("lambda tokens, T, B: (tokens[:T], tokens[1 : T + 1])", "`x` has the shape (5,)"),
        (
            """
            def random_batch(tokens, T, B):
                starts = torch.randint(len(tokens) - T, (B,))
                x = torch.stack([tokens[s : s + T] for s in starts])
                return x, x
            """,
            "the inputs themselves",
        ),
        (
            """
            def random_batch(tokens, T, B):
                starts = torch.randint(len(tokens) - T, (B,))
                w = torch.stack([tokens[s : s + T + 1] for s in starts])
                return w[:, 1:], w[:, :-1]
            """,
            "changed places",
        ),
        (
            """
            def random_batch(tokens, T, B):
                places = torch.randint(len(tokens) - 1, (B, T))
                return tokens[places], tokens[places + 1]
            """,
            "neighbors",
        ),
        (
            """
            def random_batch(tokens, T, B):
                starts = torch.randint(len(tokens) - T - 1, (B,))
                x = torch.stack([tokens[s : s + T] for s in starts])
                return x, torch.stack([tokens[s + 2 : s + T + 2] for s in starts])
            """,
            "the one that follows",
        ),
        (
            """
            def random_batch(tokens, T, B):
                start = torch.randint(len(tokens) - T, ()).item()
                w = tokens[start : start + T + 1].expand(B, T + 1)
                return w[:, :-1], w[:, 1:]
            """,
            "same window",
        ),
        (
            """
            def random_batch(tokens, T, B):
                torch.manual_seed(0)
                starts = torch.randint(len(tokens) - T, (B,))
                w = torch.stack([tokens[s : s + T + 1] for s in starts])
                return w[:, :-1], w[:, 1:]
            """,
            "two calls give the same batch",
        ),
        (
            """
            def random_batch(tokens, T, B):
                starts = torch.randint(len(tokens) - T - 1, (B,))
                w = torch.stack([tokens[s : s + T + 1] for s in starts])
                return w[:, :-1], w[:, 1:]
            """,
            "one of them never came",
        ),
        (
            """
            def random_batch(tokens, T, B):
                starts = torch.randint(len(tokens), (B,))
                w = torch.stack([tokens[s : s + T + 1] for s in starts])
                return w[:, :-1], w[:, 1:]
            """,
            "ran over the end of the text",
        ),
    ],
    "loss_of": [
        (
            """
            def loss_of(logits, targets):
                p = logits.softmax(-1).flatten(0, 1)
                return -p[torch.arange(len(p)), targets.flatten()].mean().log()
            """,
            "averaged first",
        ),
        (
            """
            def loss_of(logits, targets):
                p = logits.softmax(-1).flatten(0, 1)
                return -p[torch.arange(len(p)), targets.flatten()].log().sum()
            """,
            "their mean",
        ),
        (
            """
            def loss_of(logits, targets):
                p = logits.softmax(-1).flatten(0, 1)
                return p[torch.arange(len(p)), targets.flatten()].log().mean()
            """,
            "the sign is lost",
        ),
        (
            """
            def loss_of(logits, targets):
                onehot = torch.nn.functional.one_hot(targets, logits.size(-1))
                return -(onehot * logits.log_softmax(-1)).mean()
            """,
            "average over all V as well",
        ),
        (
            """
            def loss_of(logits, targets):
                p = logits.softmax(-1).flatten(0, 1)
                return -p[torch.arange(len(p)), targets.flatten()].log2().mean()
            """,
            "in bits",
        ),
        (
            """
            def loss_of(logits, targets):
                p = logits.softmax(-1).flatten(0, 1)
                return p[torch.arange(len(p)), targets.flatten()].mean()
            """,
            "mean probability",
        ),
        (
            """
            def loss_of(logits, targets):
                p = logits.flatten(0, 1)
                return -p[torch.arange(len(p)), targets.flatten()].mean()
            """,
            "scores themselves",
        ),
        (
            """
            def loss_of(logits, targets):
                p = logits.softmax(1).flatten(0, 1)
                return -p[torch.arange(len(p)), targets.flatten()].log().mean()
            """,
            "add up to 1",
        ),
    ],
    "curves": [
        ("'3142'", "Which task is easier"),
        ("'4231'", "validation losses of B and D"),
        ("'1234'", "is not it"),
    ],
    "estimate": [
        ("lambda model, batches: 3.0", "return two numbers"),
        (
            """
            def estimate(model, batches):
                x, y = batches[0]
                return model(x, y)[1], 0.1
            """,
            "asked 1 times",
        ),
        (
            """
            def estimate(model, batches):
                losses = torch.stack([model(x, y)[1] for x, y in batches])
                return losses.mean(), losses.std() / len(losses) ** 0.5
            """,
            "in training mode",
        ),
        (
            """
            def estimate(model, batches):
                model.eval()
                with torch.no_grad():
                    losses = torch.stack([model(x, y)[1] for x, y in batches])
                return losses.mean(), losses.std() / len(losses) ** 0.5
            """,
            "left in evaluation mode",
        ),
        (
            """
            def estimate(model, batches):
                model.eval()
                losses = torch.stack([model(x, y)[1] for x, y in batches])
                model.train()
                return losses.mean(), losses.std() / len(losses) ** 0.5
            """,
            "torch.no_grad()",
        ),
        *[
            (
                f"""
                def estimate(model, batches):
                    model.eval()
                    with torch.no_grad():
                        losses = torch.stack([model(x, y)[1] for x, y in batches])
                    model.train()
                    n = len(losses)
                    return {result}
                """,
                words,
            )
            for result, words in (
                ("losses.sum(), losses.std() / n**0.5", "their mean is 3"),
                ("losses.mean(), losses.std()", "steadier"),
                ("losses.mean(), losses.std() / n", "only with sqrt(n)"),
                ("losses.mean(), losses.var() / n", "take its root"),
                ("losses.mean(), losses.std(correction=0) / n**0.5", "use n - 1"),
                ("losses.mean(), 7 * losses.std()", "is 1.08"),
            )
        ],
    ],
}

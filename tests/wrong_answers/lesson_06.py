"""What learners of lesson 06 write, and words of the reason that they must be given."""

STOP_AT = """
def stop_at(losses, errors, patience):
    best, waited = losses[0], 0
    for i in range(1, len(losses)):
        if losses[i] + errors[i] < best:
            best, waited = losses[i], 0
        else:
            waited += 1
        if waited == patience:
            return i
    return len(losses) - 1
"""
COPIED = """
def copied_words(sample, text, n):
    sample, text = sample.split(), text.split()
    known = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
    copied = set()
    for i in range(len(sample) - n + 1):
        if tuple(sample[i : i + n]) in known:
            copied |= set(range(i, i + n))
    return len(copied) / len(sample)
"""


def changed(source: str, old: str, new: str) -> str:
    """The right answer with one mistake."""
    assert source.count(old) == 1, old
    return source.replace(old, new)


WRONG_ANSWERS = {
    "next_steps": [
        ('"more text"', "a list of 5 answers"),
        ('["overfit", "go on", "smaller learning_rate", "more eval_iters", "larger model"]', "none of these"),
        ('["more text", "more text", "smaller learning_rate", "more eval_iters", "larger model"]', "no illness"),
        ('["go on", "more text", "smaller learning_rate", "more eval_iters", "larger model"]', "it overfits"),
        ('["more text", "go on", "larger model", "more eval_iters", "smaller learning_rate"]', "letter frequencies"),
        ('["more text", "go on", "smaller learning_rate", "go on", "larger model"]', "its error bars"),
        ('["more text", "go on", "smaller learning_rate", "more eval_iters", "go on"]', "too small"),
    ],
    "calibration": [
        (
            """
            def calibration(logits, targets):
                p = logits.softmax(-1)
                return p[torch.arange(len(targets)), targets].mean(), (p.argmax(-1) == targets).float().mean()
            """,
            "the character that came",
        ),
        (
            "lambda logits, targets: (logits.max(-1).values.mean(), (logits.argmax(-1) == targets).float().mean())",
            "those are logits",
        ),
        (
            """
            def calibration(logits, targets):
                p = logits.softmax(-1)
                return p.max(-1).values.mean(), (p.argmax(-1) == targets).sum()
            """,
            "counts the hits",
        ),
        (
            """
            def calibration(logits, targets):
                p = logits.softmax(0)
                return p.max(-1).values.mean(), (p.argmax(-1) == targets).float().mean()
            """,
            "down the columns",
        ),
        (
            """
            def calibration(logits, targets):
                favorite = logits.softmax(-1).max(dim=-1)
                return favorite.values.mean(), favorite.indices == targets
            """,
            "take their mean",
        ),
        (
            """
            def calibration(logits, targets):
                favorite = logits.softmax(-1).max(dim=-1)
                return favorite.values.mean(), (favorite.values == targets).float().mean()
            """,
            "Compare the columns",
        ),
        ("lambda logits, targets: (logits.mean(), targets.float().mean())", "gives"),
    ],
    "stop_at": [
        (changed(STOP_AT, "losses[i] + errors[i] < best", "losses[i] < best"), "by more than its error bar"),
        (changed(STOP_AT, "errors[i] < best:", "errors[i] < losses[i - 1]:"), "the one before it"),
        (changed(STOP_AT, "best, waited = losses[i], 0", "best = losses[i]"), "never forgets"),
        (changed(STOP_AT, "waited == patience", "waited > patience"), "one evaluation too long"),
        (changed(STOP_AT, "waited == patience", "waited"), "plays no part"),
        (changed(STOP_AT, "losses[i] + errors[i]", "losses[i] - errors[i]"), "on the wrong side"),
        ("lambda losses, errors, patience: int(np.argmin(losses))", "the lowest loss of all"),
        (changed(STOP_AT, "return len(losses) - 1", "return len(losses)"), "to its last evaluation"),
        (changed(STOP_AT, "return len(losses) - 1", "return None"), "gives None"),
    ],
    "copied_words": [
        (
            """
            def copied_words(sample, text, n):
                sample, text = sample.split(), text.split()
                known = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
                runs = [tuple(sample[i : i + n]) for i in range(len(sample) - n + 1)]
                return sum(run in known for run in runs) / max(1, len(runs))
            """,
            "counts runs of n words",
        ),
        (
            """
            def copied_words(sample, text, n):
                sample, text = sample.split(), text.split()
                known = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
                runs = [tuple(sample[i : i + n]) for i in range(len(sample) - n + 1)]
                return n * sum(run in known for run in runs) / len(sample)
            """,
            "counted twice",
        ),
        (
            "lambda sample, text, n: sum(w in text.split() for w in sample.split()) / len(sample.split())",
            "it takes n in a row",
        ),
        (changed(COPIED, "copied |= set(range(i, i + n))", "copied.add(i)"), "only the first word"),
        (changed(COPIED, "in range(len(sample) - n + 1)", "in range(len(sample) - n)"), "the last run is left out"),
        (
            """
            def copied_words(sample, text, n):
                sample, copied = sample.split(), set()
                for i in range(len(sample) - n + 1):
                    if " ".join(sample[i : i + n]) in text:
                        copied |= set(range(i, i + n))
                return len(copied) / len(sample)
            """,
            "whole words",
        ),
        (changed(COPIED, "set(range(i, i + n))", "set(sample[i : i + n])"), "a word that comes twice"),
        (changed(COPIED, "len(copied) / len(sample)", "len(copied)"), "divide by"),
        ("lambda sample, text, n: 1.0", "gives"),
    ],
}

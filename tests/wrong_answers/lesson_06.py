"""What learners of lesson 06 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "best_step": [
        ("lambda steps, val_losses: steps[-1]", "where the run ended"),
        ("lambda steps, val_losses: min(val_losses)", "lowest loss itself"),
        ("lambda steps, val_losses: int(np.argmin(val_losses))", "look its step up"),
        ("lambda steps, val_losses: steps[np.argmax(val_losses)]", "highest"),
        ("lambda steps, val_losses: steps[min(val_losses)]", "raised TypeError"),
    ],
    "epochs": [
        ("lambda steps, batch, accumulation, block, characters: steps * batch * accumulation / characters", "long"),
        ("lambda steps, batch, accumulation, block, characters: steps * batch * block / characters", "micro-batches"),
        (
            "lambda steps, batch, accumulation, block, chars: steps * accumulation * block / chars",
            "one sequence",
        ),
        (
            "lambda steps, batch, accumulation, block, characters: characters / (steps * batch * accumulation * block)",
            "upside down",
        ),
        ("lambda steps, batch, accumulation, block, characters: batch * accumulation * block", "one step learns"),
        ("lambda steps, batch, accumulation, block, characters: steps * block // characters", "gives"),
    ],
    "stop_at": [
        (
            """
            def stop_at(val_losses, patience):
                waited = 0
                for i in range(1, len(val_losses)):
                    waited = 0 if val_losses[i] < val_losses[i - 1] else waited + 1
                    if waited == patience:
                        return i
                return len(val_losses) - 1
            """,
            "best so far",
        ),
        (
            """
            def stop_at(val_losses, patience):
                best, waited = float("inf"), 0
                for i, loss in enumerate(val_losses):
                    if loss < best:
                        best = loss
                    else:
                        waited += 1
                    if waited == patience:
                        return i
                return len(val_losses) - 1
            """,
            "never forgets",
        ),
        (
            """
            def stop_at(val_losses, patience):
                best, waited = float("inf"), 0
                for i, loss in enumerate(val_losses):
                    if loss < best:
                        best, waited = loss, 0
                    else:
                        waited += 1
                    if waited > patience:
                        return i
                return len(val_losses) - 1
            """,
            "one evaluation too long",
        ),
        (
            """
            def stop_at(val_losses, patience):
                best = float("inf")
                for i, loss in enumerate(val_losses):
                    if loss >= best:
                        return i
                    best = loss
                return len(val_losses) - 1
            """,
            "`patience` plays no part",
        ),
        (
            """
            def stop_at(val_losses, patience):
                best = 0
                for i, loss in enumerate(val_losses):
                    if loss < val_losses[best]:
                        best = i
                    if i - best == patience:
                        break
                return best
            """,
            "where the best weights are",
        ),
        (
            """
            def stop_at(val_losses, patience):
                best, waited = float("inf"), 0
                for i, loss in enumerate(val_losses):
                    if loss < best:
                        best, waited = loss, 0
                    else:
                        waited += 1
                    if waited == patience:
                        return i
            """,
            "each branch",
        ),
        ("lambda val_losses, patience: val_losses.index(min(val_losses))", "may never come so far"),
        ("lambda val_losses, patience: val_losses.index(min(val_losses)) + patience", "sees only what has come so far"),
        (
            """
            def stop_at(val_losses, patience):
                best, waited = float("inf"), 0
                for i, loss in enumerate(val_losses):
                    waited = 0 if loss < best else waited + 1
                    best = min(best, loss)
                    if waited == patience:
                        return i
                return len(val_losses)
            """,
            "whose number is",
        ),
    ],
    "longest_common_span": [
        (
            """
            def longest_common_span(a, b):
                row = [0] * (len(b) + 1)
                for x in a:
                    before = row[:]
                    for j, y in enumerate(b):
                        row[j + 1] = before[j] + 1 if x == y else max(before[j + 1], row[j])
                return row[-1]
            """,
            "gaps",
        ),
        (
            """
            def longest_common_span(a, b):
                n = 0
                while n < min(len(a), len(b)) and a[n] == b[n]:
                    n += 1
                return n
            """,
            "how the two begin",
        ),
        ("lambda a, b: len(set(a) & set(b))", "in one piece"),
        (
            "lambda a, b: max([j - i for i in range(len(a)) for j in range(i, len(a)) if a[i:j] in b], default=0)",
            "reach the end",
        ),
        ("lambda a, b: a if a in b else b", "gives"),
        (
            """
            def longest_common_span(a, b):
                longest = ""
                for i in range(len(a)):
                    for j in range(i + 1, len(a) + 1):
                        if a[i:j] in b and j - i > len(longest):
                            longest = a[i:j]
                return longest
            """,
            "its length is asked for",
        ),
        ("lambda a, b: sum(x == y for x, y in zip(a, b, strict=False))", "place by place"),
    ],
    "readings": [
        ('"overfit"', "list of four"),
        ('["overfitting", "healthy", "diverged", "underfit"]', "none of the words"),
        ('["overfit", "overfit", "diverged", "underfit"]', "does not make validation rise"),
        ('["diverged", "healthy", "overfit", "underfit"]', "validation rises"),
        ('["overfit", "healthy", "overfit", "underfit"]', "worse than guessing"),
        ('["overfit", "healthy", "diverged", "healthy"]', "no gap"),
    ],
}

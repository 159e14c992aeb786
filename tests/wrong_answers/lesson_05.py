"""What learners of lesson 05 write, and words of the reason that they must be given."""

LOOP = """
def accumulate(model, x, y, batch_size):
    micro_batches = list(zip(x.split(batch_size), y.split(batch_size), strict=True))
    model.zero_grad()
    total = 0.0
    for micro_x, micro_y in micro_batches:
        loss = model(micro_x, micro_y)[1] / len(micro_batches)
        loss.backward()
        total += loss.item()
    return total
"""


def loop(old: str, new: str) -> str:
    """The right loop with one mistake."""
    assert LOOP.count(old) == 1
    return LOOP.replace(old, new)


FIT = """
def settings_that_fit(memory, fixed, per_sequence, sequences):
    batch_size = min((memory - fixed) // per_sequence, sequences)
    return batch_size, {steps}
"""

WRONG_ANSWERS = {
    "tokens_per_step": [
        ("lambda batch_size, steps, block_size: batch_size * steps", "sequences"),
        ("lambda batch_size, steps, block_size: batch_size * block_size", "one micro-batch"),
        ("lambda batch_size, steps, block_size: batch_size // steps * block_size", "gives"),
        ("lambda batch_size, steps, block_size: batch_size / steps * block_size", "of its own"),
    ],
    "accumulate": [
        (loop(" / len(micro_batches)", ""), "sum of the 4"),
        (loop(" / len(micro_batches)", " / batch_size"), "divides by `batch_size`"),
        (loop(" / len(micro_batches)", " / len(x)"), "number of sequences"),
        (loop(" / len(micro_batches)", " / len(micro_batches) ** 2"), "0.25 times as long as it should be"),
        (loop("        loss = ", "        model.zero_grad()\n        loss = "), "only the last"),
        (loop("        loss.backward()\n", ""), "no gradient"),
        (loop("    return total", "    model.zero_grad()\n    return total"), "no gradient"),
        (loop("return total", "return total / len(micro_batches)"), "0.25 times that of the whole"),
        (loop("total += loss.item()", "total = loss.item()"), "the loss that you give back"),
        (loop("return total", "return [total, total]"), "a number"),
        (loop("in micro_batches:", "in micro_batches[1:]:"), "points elsewhere"),
    ],
    "settings_that_fit": [
        (FIT.format(steps="sequences // batch_size"), "leaves a rest"),
        (FIT.format(steps="math.ceil(sequences / batch_size)"), "the product is not"),
        (
            """
            def settings_that_fit(memory, fixed, per_sequence, sequences):
                n = max(n for n in range(1, sequences + 1) if sequences % n == 0 and n * per_sequence <= memory)
                return n, sequences // n
            """,
            "does not fit",
        ),
        ("lambda memory, fixed, per_sequence, sequences: (1, sequences)", "slow"),
        (
            """
            def settings_that_fit(memory, fixed, per_sequence, sequences):
                room = (memory - fixed) // per_sequence
                n = max(n for n in range(1, sequences + 1) if sequences % n == 0 and n <= room)
                return sequences // n, n
            """,
            "the order is",
        ),
    ],
    "mean_loss": [
        ("lambda losses, tokens: sum(losses) / len(losses)", "mean of the means"),
        ("lambda losses, tokens: np.mean(losses)", "mean of the means"),
        ("lambda losses, tokens: sum(l * n for l, n in zip(losses, tokens))", "sum over all tokens"),
        ("lambda losses, tokens: sum(losses) / sum(tokens)", "multiply by `tokens`"),
        ("lambda losses, tokens: np.dot(losses, tokens) / len(tokens)", "number of micro-batches"),
    ],
}

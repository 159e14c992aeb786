"""What learners of lesson 05 write, and words of the reason that they must be given."""

from course.lessons import lesson_05_exhibits

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


def repair(name: str, old: str, new: str) -> str:
    """The right step of the museum's exhibit with one mistake."""
    source = getattr(lesson_05_exhibits, name).solution_source
    assert source.count(old) == 1, (name, old)
    return source.replace(old, new)


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
        (loop("x.split(batch_size), y.split(batch_size)", "[x], [y]"), "went through the model at once"),
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
        (
            "lambda memory, fixed, each, n: ((memory - fixed) // each, n // ((memory - fixed) // each))",
            "at most `sequences`",
        ),
        ("lambda memory, fixed, per_sequence, sequences: (sequences, 1)", "split them"),
    ],
    "forgot_to_divide": [
        (repair("forgot_to_divide", " / len(micro_batches)", ""), "4 micro-batches are added up"),
        (repair("forgot_to_divide", " / len(micro_batches)", " / len(x)"), "1.3 times as long"),
        (repair("forgot_to_divide", "return total", "return total / len(micro_batches)"), "4 times too low"),
    ],
    "multiplied_the_sum": [
        (repair("multiplied_the_sum", "return total", "return total * len(micro_batches)"), "4 times too high"),
        (repair("multiplied_the_sum", "return total", "return total / len(micro_batches)"), "4 times too low"),
        (repair("multiplied_the_sum", "return total", "return total + 1"), "and it should be"),
        (repair("multiplied_the_sum", "return total", "return [total]"), "a number"),
    ],
    "never_cleared": [
        (repair("never_cleared", "    optimizer.zero_grad()\n", ""), "the step before is still in there"),
        (
            repair("never_cleared", "        loss = ", "        optimizer.zero_grad()\n        loss = "),
            "only the last micro-batch is left",
        ),
        (
            repair("never_cleared", "        loss.backward()\n", "        loss.backward()\n        optimizer.step()\n"),
            "5 times",
        ),
        (repair("never_cleared", "    optimizer.step()\n", ""), "0 times"),
        (repair("never_cleared", "in micro_batches:", "in micro_batches[1:]:"), "points elsewhere"),
    ],
    "logged_the_last": [
        (repair("logged_the_last", "return total", "return loss.item()"), "and divided by 4"),
        (
            repair("logged_the_last", "return total", "return loss.item() * len(micro_batches)"),
            "the last micro-batch alone",
        ),
    ],
    "counted_micro_steps": [
        (
            repair(
                "counted_micro_steps",
                "        total += loss.item()",
                "        total += loss.item()\n        schedule.step()",
            ),
            "below zero",
        ),
        (repair("counted_micro_steps", "    schedule.step()\n", ""), "it should fall by `0.017` in each"),
    ],
    "averaged_means": [
        (repair("averaged_means", " * (y >= 0).sum() / tokens", " / len(micro_batches)"), "counts alike"),
        (
            repair("averaged_means", "total += loss.item()", "total += model(x, y)[1].item() / len(micro_batches)"),
            "mean of the micro-batches' means",
        ),
        (repair("averaged_means", " * (y >= 0).sum() / tokens", " * len(y) / tokens"), "points elsewhere"),
    ],
}

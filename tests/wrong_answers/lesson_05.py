"""What learners of lesson 05 write, and words of the reason that they must be given."""

from course.lessons import changed, lesson_05
from course.lessons import lesson_05_museum as museum

LOOP, TEST = lesson_05.accumulate.solution_source, lesson_05.gradient_test.solution_source


def repair(number: int, old: str, new: str) -> str:
    """The right program of the museum with one mistake."""
    return changed(museum.PROGRAMS[number - 1].solution_source, old, new)


WRONG_ANSWERS = {
    "drawn_as": [
        ('["A", "B", "C", "D", "E", "F"]', "of 6 are right"),
        ('["A", "A", "C", "D", "E", "F"]', "each once"),
        ('{"A": 1}', "in the order of the programs"),
    ],
    "program_1": [
        (repair(1, "return total", "return loss.item()"), "step 1 logs"),
        (repair(1, "return total", "return total / len(micro_batches)"), "25.0 %"),
        (repair(1, "return total", "return [total]"), "a number"),
    ],
    "program_2": [
        (repair(2, " / len(micro_batches)", ""), "300 %"),
        (repair(2, " / len(micro_batches)", " / len(x) * 2"), "100 %"),
        (repair(2, "return total", "return total / len(micro_batches)"), "25.0 %"),
    ],
    "program_3": [
        (
            repair(3, "        total += loss.item()", "        total += loss.item()\n        schedule.step()"),
            "the learning rates are",
        ),
        (repair(3, "    schedule.step()\n", ""), "the learning rates are"),
    ],
    "program_4": [
        (repair(4, " * (y >= 0).sum() / tokens", " / len(micro_batches)"), "away from that of the whole"),
        (repair(4, "total += loss.item()", "total += model(x, y)[1].item() / len(micro_batches)"), "step 1 logs"),
    ],
    "program_5": [
        (repair(5, "    optimizer.zero_grad()\n", ""), "in step 2"),
        (repair(5, "        loss = ", "        optimizer.zero_grad()\n        loss = "), "in step 1"),
        (repair(5, "        loss.backward()\n", "        loss.backward()\n        optimizer.step()\n"), "5 times"),
        (repair(5, "    optimizer.step()\n", ""), "0 times"),
    ],
    "program_6": [
        (repair(6, "return total", "return total * len(micro_batches)"), "400.0 %"),
        (repair(6, "return total", "return total + 1"), "step 1 logs"),
    ],
    "accumulate": [
        (changed(LOOP, "* len(micro_x) / len(x)", "/ 4"), "a mean of means"),
        (changed(LOOP, "* len(micro_x) / len(x)", ""), "by its fraction"),
        (changed(LOOP, "* len(micro_x) / len(x)", "* len(micro_x)"), "also divide by all 32"),
        (changed(LOOP, "* len(micro_x) / len(x)", "/ len(x)"), "too small"),
        (changed(LOOP, "* len(micro_x) / len(x)", "/ batch_size"), "divides by `batch_size`"),
        (changed(LOOP, "len(micro_x) / len(x)", "batch_size / len(x)"), "for the last portion too"),
        (changed(LOOP, "len(micro_x) / len(x)", "len(micro_x) / batch_size"), "take that of all 32"),
        (changed(LOOP, "        loss = ", "        model.zero_grad()\n        loss = "), "only the last"),
        (changed(LOOP, "        loss.backward()\n", ""), "no gradient"),
        (changed(LOOP, "return total", "return total / 4"), "the loss is off"),
        (changed(LOOP, "return total", "return [total, total]"), "a number"),
        (changed(LOOP, "x.split(batch_size), y.split(batch_size)", "[x], [y]"), "went through the model at once"),
        (
            changed(LOOP, "loss.backward()", "(loss if len(micro_x) > 2 else 2 * loss).backward()"),
            "the gradient is off",
        ),
    ],
    "gradient_test": [
        (changed(TEST, " / want.norm()", ""), "divide by the length"),
        (changed(TEST, "(got - want).norm() / want.norm()", "(got - want).norm() ** 2 / want.norm() ** 2"), "square"),
        (changed(TEST, "    step(model, x, y)\n", "    model.zero_grad()\n    step(model, x, y)\n"), "still be there"),
        (changed(TEST, "(got - want).norm()", "got.norm()"), "ratio of lengths"),
        (
            changed(TEST, "(got - want).norm() / want.norm()", "(got - want).abs().max() / want.abs().max()"),
            "half of the sequences",
        ),
        (changed(TEST, "(got - want).norm()", "(got - got).norm()"), "with itself"),
        (
            changed(TEST, ".item()", "").replace("return (", "return [(").replace("want.norm())", "want.norm())] * 2"),
            "one number",
        ),
    ],
    "critical_batch_size": [
        ("lambda g: (g.std(dim=0).norm() / g.mean(dim=0).norm()).item()", "so square it"),
        ("lambda g: ((g.mean(dim=0).norm() / g.std(dim=0).norm()) ** 2).item()", "upside down"),
        ("lambda g: ((g.std(dim=1).norm() / g.mean(dim=1).norm()) ** 2).item()", "`dim=0`"),
        ("lambda g: ((g.std(dim=0).norm() / g.norm(dim=1).mean()) ** 2).item()", "mean of the lengths"),
        ("lambda g: (g.var(dim=0, correction=0).sum() / g.mean(dim=0).norm() ** 2).item()", "n - 1"),
        (
            "lambda g: (g.var(dim=0).sum() / (g.mean(dim=0).norm() ** 2 - g.var(dim=0).sum() / len(g))).item()",
            "here leave it in",
        ),
    ],
}

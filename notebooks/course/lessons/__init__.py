'''Exercises with `check`, `hint` and `solution`, and quizzes that explain every choice.

A lesson keeps its exercises and questions in `lesson_NN.py`, so that no answer stands in the notebook:

    from course.lessons import lesson_03 as lesson
    lesson.perplexity.check(perplexity)    # not attempted / wrong, with the likely cause / right
    lesson.perplexity.hint()               # the next hint
    lesson.perplexity.solution()           # never in a cell that is stored
    lesson.QUIZ                            # at the end of a cell, and lesson.RECALL likewise

A lesson module is data and small functions:

    """Lesson 03: how do we know that it learns?"""

    import math

    from course.lessons import Exercise, SameAs, quizzes

    perplexity = Exercise(
        name="perplexity",
        title="From loss to perplexity",  # a learner's progress is kept under it
        difficulty=1,  # to 3
        minutes=5,
        check=SameAs(
            lambda loss: math.exp(loss),
            inputs=[(0.0,), (4.13,)],
            random_input=lambda rng: (rng.uniform(0.5, 5),),
            mistakes={"this is 2 to the power of the loss: the loss is in nats": lambda loss: 2**loss},
        ),
        hints=("`math.log` undoes it.", "`math.exp`."),
        solution="""
            import math

            def perplexity(loss):
                return math.exp(loss)
        """,
    )

    EXERCISES = [perplexity]  # in the order of the notebook
    RECALL, QUIZ = quizzes("03")  # from quiz_03.md; course.quiz says how it is written

The text between backticks is shown as code, in hints, reasons, questions and choices.

`check` is called with the learner's answer, and returns None if it is right; otherwise it raises, or
returns, `Wrong("what is wrong, and the likely cause")`. Ready-made ones cover most exercises:
`SameAs(reference, ...)` for a function and `SameValue(value, ...)` for a value know typical mistakes by
what they give; `InOrder("dba", reasons)` is for shuffled lines, `Choices` for a list of choices, and
`SameSteps` for a function that changes a model. A hand-written check just calls the answer:

    def _check_split(split):
        train, val = split("to be or not", 0.25)
        if len(val) > len(train):
            raise Wrong("the larger part is the validation text: are the two swapped?")

Where the reference is a function of the module, say `_perplexity`, the solution is `source_of(_perplexity)`.

The framework makes the learner's function safe to call: an exception in it is the learner's "wrong",
an answer of None or `...` is "not attempted". It sees functions only; wrap what else a check calls,
such as a method of the learner's class, by `watch`.

Tests hold a lesson module to its form (`tests/test_exercises.py`), and to its word: a file
`tests/wrong_answers/lesson_NN.py` lists typical wrong answers, each with words of the reason that
it must be given, and every reason of a `SameAs` or `SameValue` must be given to one of them:

    WRONG_ANSWERS = {
        "perplexity": [
            ("lambda loss: 2**loss", "nats"),
            ("def perplexity(loss):\n    return loss", "gives"),
        ],
    }

An answer is an expression, or source code that defines the exercise's name, as `solution` does.
Answers may use `math`, `np`, `torch`, `nn` and `F`; a solution imports what it needs.
Lesson 09 has `Piece` (course.piece): exercises that are parts of one program.
'''

import inspect
import re
from collections.abc import Callable

from course.exercise import (
    Card,
    Choices,
    Exercise,
    InOrder,
    Outcome,
    SameAs,
    SameSteps,
    SameValue,
    Wrong,
    changed,
    defined,
    same,
    watch,
)
from course.quiz import Choice, Question, Quiz, quizzes

__all__ = [
    "Card",
    "Choice",
    "Choices",
    "Exercise",
    "InOrder",
    "Outcome",
    "Question",
    "Quiz",
    "SameAs",
    "SameSteps",
    "SameValue",
    "Wrong",
    "changed",
    "defined",
    "quizzes",
    "same",
    "source_of",
    "watch",
]


def source_of(*functions: Callable, imports: str = "") -> str:
    """A solution: the code of these functions, without our leading underscores."""
    code = "\n\n".join([imports, *map(inspect.getsource, functions)])
    return re.sub(r"\b_(?=[a-z])", "", code)

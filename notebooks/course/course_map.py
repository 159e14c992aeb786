"""The map of the course: its lessons, and how much of each the learner has solved."""

import html
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from course import LESSONS, Lesson, progress
from course.shown import Shown, table

if TYPE_CHECKING:
    import ipywidgets


@dataclass(frozen=True)
class Score:
    """How much of a lesson is solved."""

    lesson: Lesson
    exercises: tuple[int, int]  # solved, of how many
    questions: tuple[int, int]

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return all(done == total for done, total in (self.exercises, self.questions))


def score(lesson: Lesson) -> Score:
    """What the learner has solved of a lesson so far."""
    module = import_module(f"course.lessons.lesson_{lesson.number}")
    quizzes = [getattr(module, name).questions for name in ("RECALL", "QUIZ") if hasattr(module, name)]
    exercises = {exercise.title for exercise in module.EXERCISES}
    questions = {question.text for quiz in quizzes for question in quiz}
    solved, answered = progress.solved("exercises"), progress.solved("questions")
    return Score(lesson, (len(exercises & solved), len(exercises)), (len(questions & answered), len(questions)))


class CourseMap(Shown):
    """The lessons as a table; where widgets are shown, with the learner's progress.

    What is stored in a notebook is the table alone: it must be the same for everybody.
    """

    def __repr__(self) -> str:
        return f"<map of the course: {len(LESSONS)} lessons>"

    def static_html(self) -> str:
        """Number, question and minutes of each lesson."""
        rows = [[_link(lesson), html.escape(lesson.question), f"{lesson.minutes}"] for lesson in LESSONS]
        return table(["lesson", "the question", "minutes"], rows)

    def progress_html(self) -> str:
        """The same, with what the learner has solved."""
        scores = [score(lesson) for lesson in LESSONS]
        after = next((s.lesson for s in scores if not s.complete), None)
        rows = [
            [
                _link(s.lesson) + (" ← next" if s.lesson is after else ""),
                html.escape(s.lesson.question),
                _bar(*s.exercises, "exercises"),
                _bar(*s.questions, "questions"),
            ]
            for s in scores
        ]
        return table(["lesson", "the question", "exercises", "questions"], rows)

    def view(self) -> "ipywidgets.VBox":
        """The map with progress, and a button that looks again."""
        import ipywidgets

        table = ipywidgets.HTML(self.progress_html())
        again = ipywidgets.Button(description="Look again", tooltip="Show what has been solved since")
        again.on_click(lambda _: setattr(table, "value", self.progress_html()))
        return ipywidgets.VBox([table, again]).add_class("gptlib-map")


def _link(lesson: Lesson) -> str:
    return f'<a href="{lesson.file}">{lesson.number} {lesson.name}</a>'


def _bar(done: int, total: int, what: str) -> str:
    label = f"{done} of {total} {what}"
    bar = f'<progress value="{done}" max="{total}" aria-label="{label}" style="width:6em"></progress>'
    return f'<span style="white-space:nowrap">{bar} {done} of {total}</span>'


COURSE_MAP = CourseMap()

"""Quizzes: every choice is explained, the wrong ones too.

A lesson's questions are text, in `lessons/quiz_NN.md`: a heading for each quiz and each question, then its choices, a
cross for the right one, and below each choice why it is right, or which idea leads to it and where that goes wrong:

    # What do you think?

    ## The gradient of a weight is zero. What follows?

    - [x] A small move of it changes next to nothing, for now.
      That is all. It may be the bottom of a valley, the top of a hill, or a plain.
    - [ ] The training is over: nothing can get better now.
      One of 344,832 weights sees no slope, on one batch. The others do.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course import progress
from course.exercise import marked_up
from course.shown import Shown

if TYPE_CHECKING:  # a quiz can be read and tested where no widget can be shown
    import ipywidgets

_TEXT = "line-height:1.5"
_RECALL = "Do you remember?"  # the heading of questions on earlier lessons
_CHOICE = re.compile(r"- \[(?P<right>[x ])\] (?P<text>.+)\n  (?P<why>.+)")


@dataclass(frozen=True)
class Choice:
    """One choice; `why` says why it is right, or which idea leads to it and where that goes wrong."""

    text: str
    why: str
    right: bool = False

    def explanation(self) -> str:
        """The verdict and the reason, as HTML."""
        return f"<strong>{'Right.' if self.right else 'Not quite.'}</strong> {marked_up(self.why)}"


@dataclass(frozen=True)
class Question:
    """A question; the static list has its choices in this order, the widgets shuffle them."""

    text: str
    choices: Sequence[Choice]

    @property
    def shuffled(self) -> list[Choice]:
        """The choices in an order of its own, every time the same."""
        return random.Random(self.text).sample(list(self.choices), len(self.choices))


@dataclass(frozen=True, repr=False)
class Quiz(Shown):
    """Questions to click through; a static list where there are no widgets, on GitHub for one.

    Args:
        name: the lesson's number, or "recall" for questions on earlier lessons.
        questions: in the order in which they are asked.
    """

    name: str
    questions: Sequence[Question]

    def __repr__(self) -> str:
        return f"<quiz {self.name}: {len(self.questions)} questions>"

    @property
    def title(self) -> str:
        """What stands above the questions."""
        return _RECALL if self.name == "recall" else "What do you think?"

    def static_html(self) -> str:
        """The questions for a reader without widgets; the answers are folded away."""
        return f"<p><strong>{self.title}</strong></p><ol>{''.join(map(_static_question, self.questions))}</ol>"

    def view(self) -> "ipywidgets.VBox":
        """The questions as widgets, nothing chosen yet."""
        import ipywidgets

        from course.lab.controls import Page

        score = ipywidgets.HTML()
        radios, rows = [], []
        for number, question in enumerate(self.questions, 1):
            radio, row = _question_view(number, question)
            radios.append(radio)
            rows.append(row)

        def show_score(change: Any = None) -> None:
            chosen = [q.shuffled[r.index] for q, r in zip(self.questions, radios, strict=True) if r.index is not None]
            right = sum(choice.right for choice in chosen)
            score.value = _live(f"{right} of {len(radios)} right")

        for radio in radios:
            radio.observe(show_score, "index")
        show_score()
        title = ipywidgets.HTML(f"<strong>{self.title}</strong>")
        return ipywidgets.VBox([title, *rows, score, Page()]).add_class("gptlib-quiz").add_class("gptlib-named")


def quizzes(number: str) -> list[Quiz]:
    """The quizzes of a lesson, such as "04", in the order of its file."""
    text = (Path(__file__).parent / "lessons" / f"quiz_{number}.md").read_text(encoding="utf-8")
    found = []
    for part in re.split("^# ", text, flags=re.M)[1:]:
        title, *questions = part.split("\n## ")
        name = "recall" if title.strip() == _RECALL else number
        found.append(Quiz(name, [_question(question) for question in questions]))
    return found


def _question(part: str) -> Question:
    text, _, choices = part.partition("\n")
    return Question(text, [Choice(m["text"], m["why"], m["right"] == "x") for m in _CHOICE.finditer(choices)])


def _question_view(number: int, question: Question) -> "tuple[ipywidgets.RadioButtons, ipywidgets.VBox]":
    import ipywidgets

    choices = question.shuffled
    labels = [choice.text.replace("`", "") for choice in choices]  # a radio button's label is plain text
    name = question.text.replace("`", "")
    radio = ipywidgets.RadioButtons(options=labels, index=None, tooltip=name, layout={"width": "auto"})
    explanation = ipywidgets.HTML(_live(""))

    def explain(change: Any) -> None:
        choice = choices[radio.index]
        explanation.value = _live(choice.explanation())
        if choice.right:
            progress.record("questions", question.text)

    radio.observe(explain, "index")
    text = ipywidgets.HTML(f'<div style="{_TEXT}"><strong>{number}.</strong> {marked_up(question.text)}</div>')
    return radio, ipywidgets.VBox([text, radio, explanation])


def _live(content: str) -> str:
    """A part of the page whose changes a screen reader reads out."""
    return f'<div role="status" aria-live="polite" style="{_TEXT}">{content}</div>'


def _static_question(question: Question) -> str:
    choices = "".join(f"<li>{marked_up(choice.text)}</li>" for choice in question.choices)
    answers = "".join(f"<li>{choice.explanation()}</li>" for choice in question.choices)
    return (
        f'<li>{marked_up(question.text)}<ol type="A">{choices}</ol>'
        f'<details><summary>Each choice, explained</summary><ol type="A">{answers}</ol></details></li>'
    )

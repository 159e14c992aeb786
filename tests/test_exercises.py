import functools
import json
import math
import re
import runpy
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import course.lessons
from course.exercise import _source, describe
from course.lessons import Choice, Exercise, Outcome, Question, Quiz, SameAs, SameValue, Wrong, quizzes, same, watch
from course.piece import Piece

LESSONS = sorted(path.stem for path in Path(course.lessons.__file__).parent.glob("lesson_??.py"))
WRONG_ANSWERS = Path(__file__).parent / "wrong_answers"
NAMES = {"math": math, "np": np, "torch": torch, "nn": nn, "F": F}  # what answers may use


def lesson_module(lesson):
    return import_module(f"course.lessons.{lesson}")


def answer_from(text, name, **names):
    """The value of an expression, or what source code defines under `name`."""
    namespace, text = {"__name__": "answer", **names}, _source(text)
    try:
        return eval(text, namespace)
    except SyntaxError:
        exec(text, namespace)
        return namespace[name]


EXERCISES = [
    pytest.param(exercise, id=f"{lesson}-{exercise.name}")
    for lesson in LESSONS
    for exercise in lesson_module(lesson).EXERCISES
]
TYPICAL = [
    pytest.param(lesson, name, text, words, id=f"{lesson}-{name}-{i}")
    for lesson in LESSONS
    if (WRONG_ANSWERS / f"{lesson}.py").exists()
    for name, answers in runpy.run_path(WRONG_ANSWERS / f"{lesson}.py")["WRONG_ANSWERS"].items()
    for i, (text, words) in enumerate(answers)
]
QUIZZES = [
    pytest.param(getattr(lesson_module(lesson), name), id=f"{lesson}-{name}")
    for lesson in LESSONS
    for name in ("QUIZ", "RECALL")
    if hasattr(lesson_module(lesson), name)
]


@functools.cache  # each answer is tried once, and read by two tests
def reason_for(lesson, name, text):
    exercise = getattr(lesson_module(lesson), name)
    card = exercise.check(answer_from(text, name, **NAMES))
    assert card.outcome == Outcome.WRONG, f"this is called {card.outcome}: {text}"
    return card.text


# --- every lesson keeps to the form, and to its word -------------------------------------------------


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_its_parts(lesson):
    module = lesson_module(lesson)
    assert len(module.EXERCISES) >= 3 and len(module.QUIZ.questions) >= 5
    assert module.QUIZ.name == lesson.removeprefix("lesson_")
    assert all(getattr(module, exercise.name) is exercise for exercise in module.EXERCISES)
    if lesson >= "lesson_02":
        assert len(module.RECALL.questions) >= 3 and module.RECALL.name == "recall"


@pytest.mark.parametrize("lesson", [lesson for lesson in LESSONS if lesson >= "lesson_02"])
def test_what_is_recalled_is_of_two_earlier_lessons_at_least(lesson):
    asked = [question.text for question in lesson_module(lesson).RECALL.questions]
    from_lessons = [re.match(r"Lesson (\d\d): ", text) for text in asked]
    assert all(from_lessons), asked
    numbers = {match[1] for match in from_lessons}
    assert len(numbers) >= 2 and max(numbers) < lesson.removeprefix("lesson_"), numbers


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_exercise_says_what_it_takes(exercise):
    assert exercise.difficulty in (1, 2, 3) and 1 <= exercise.minutes <= 60 and exercise.title
    assert not isinstance(exercise.hints, str) and 1 <= len(set(exercise.hints)) == len(exercise.hints) <= 3


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_solution_is_right_by_itself(exercise):
    names = NAMES if isinstance(exercise, Piece) else {}  # a piece is written in a notebook that has imported them
    card = exercise.check(answer_from(exercise.solution_source, exercise.name, **names))
    assert card.outcome == Outcome.RIGHT, card


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_blank_is_not_attempted(exercise):
    starters = ["...", "None"]
    if callable(answer_from(exercise.solution_source, exercise.name, **NAMES)):
        starters += ["lambda *args, **kwargs: ...", "lambda *args, **kwargs: None"]
    for starter in starters:
        card = exercise.check(answer_from(starter, exercise.name, **NAMES))
        assert card.outcome == Outcome.NOT_ATTEMPTED, f"{starter}: {card}"


@pytest.mark.parametrize(("lesson", "name", "text", "words"), TYPICAL)
def test_a_typical_wrong_answer_is_told_its_reason(lesson, name, text, words):
    assert words.lower() in reason_for(lesson, name, text).lower()


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_reason_is_given_to_a_typical_wrong_answer(lesson):
    given = [reason_for(*param.values[:3]) for param in TYPICAL if param.values[0] == lesson]
    for exercise in lesson_module(lesson).EXERCISES:
        assert any(param.values[:2] == (lesson, exercise.name) for param in TYPICAL), exercise.name
        for reason in getattr(exercise, "mistakes", None) or getattr(exercise.checker, "mistakes", {}):
            assert any(text.endswith(reason) for text in given), f"{exercise.name} never says: {reason}"


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_line_of_a_quiz_is_lost(lesson):
    """One that is not written as `course.quiz` says would be."""
    number = lesson.removeprefix("lesson_")
    text = (Path(course.lessons.__file__).parent / f"quiz_{number}.md").read_text(encoding="utf-8")
    found = [f"# {quiz.title}" for quiz in quizzes(number)]
    for question in (question for quiz in quizzes(number) for question in quiz.questions):
        found.append(f"## {question.text}")
        found += [f"- [{' x'[c.right]}] {c.text}\n  {c.why}" for c in question.choices]
    assert sorted("\n".join(found).split("\n")) == sorted(line for line in text.split("\n") if line.strip())


@pytest.mark.parametrize("quiz", QUIZZES)
def test_each_choice_is_explained(quiz):
    for question in quiz.questions:
        texts = [choice.text for choice in question.choices]
        assert len(texts) >= 3 and len(set(texts)) == len(texts), question.text
        assert sum(choice.right for choice in question.choices) == 1, question.text
        assert all(len(choice.why.split()) >= 5 for choice in question.choices), question.text


@pytest.mark.parametrize("quiz", QUIZZES)
def test_the_right_choice_is_not_always_at_the_same_place(quiz):
    places = {[choice.right for choice in question.choices].index(True) for question in quiz.questions}
    assert len(places) > 1


@pytest.mark.parametrize("quiz", QUIZZES)
def test_the_right_choice_is_not_always_the_longest(quiz):
    longest = [max(question.choices, key=lambda choice: len(choice.text)).right for question in quiz.questions]
    assert sum(longest) < len(longest)


# --- exercises ----------------------------------------------------------------------------------------


def check_double(double):
    for x in (1, -3, 2.5):
        if double(x) == x * x:
            raise Wrong("squared")
        if double(x) != 2 * x:
            return Wrong(f"{double(x)} for {x} <&>")
    return None


def exercise(check=check_double, **changes):
    parts = dict(
        name="double", title="Twice", difficulty=2, minutes=4, check=check, hints=("add", "`x + x`"), solution="double"
    )
    return Exercise(**(parts | changes))


def starter_ellipsis(x): ...


def starter_return(x):
    return ...


def starter_raise(x):
    raise NotImplementedError


def starter_blank(x):
    half = ...
    return x + half / 2


@pytest.mark.parametrize("answer", [..., None, starter_ellipsis, starter_return, starter_raise, starter_blank])
def test_not_attempted(answer):
    assert exercise().check(answer).outcome == Outcome.NOT_ATTEMPTED


def test_right_and_wrong():
    assert exercise().check(lambda x: x + x).outcome == Outcome.RIGHT
    assert exercise().check(lambda x: x**2).text == "squared"  # raised
    assert exercise().check(lambda x: 0).text == "0 for 1 <&>"  # returned


def test_an_exception_of_the_learners_is_one_line_with_its_input():
    card = exercise().check(lambda x: math.sqrt(x) + math.nan)
    assert card.outcome == Outcome.WRONG
    card = exercise(SameAs(lambda x: 2 * x, [(1.0,), (-3,)])).check(lambda x: math.sqrt(x) ** 2 * 2)
    assert card.text == "`double(-3)` raised ValueError: math domain error"
    assert "0x" not in exercise().check(lambda x: 1 + object()).text
    assert " at 0x" not in exercise().check(lambda x: {}[object()]).text


def test_none_from_one_branch_is_wrong_not_unattempted():
    card = exercise().check(lambda x: 2 * x if x > 0 else None)
    assert card.outcome == Outcome.WRONG and "branch" in card.text and "double(-3)" in card.text


def test_a_check_that_answers_nonsense_is_the_authors_error():
    with pytest.raises(TypeError, match="None or Wrong"):
        exercise(lambda answer: False).check(1)


def test_watch_keeps_a_method_safe():
    class Model:
        def forward(self, x):
            return x / 0

    with pytest.raises(Wrong, match=r"forward\(1\)` raised ZeroDivisionError"):
        watch(Model().forward)(1)


def test_the_learner_may_change_the_inputs():
    def sort_and_sum(values):
        values.clear()
        return 6

    assert exercise(SameAs(sum, [([1, 2, 3],)] * 2)).check(sort_and_sum).outcome == Outcome.RIGHT


def test_same_as_shows_the_first_input_that_fails_and_the_mistake():
    check = SameAs(lambda x: 2 * x, [(0,), (1.5,)], mistakes={"squared": lambda x: x * x, "halved": lambda x: x / 2})
    assert exercise(check).check(lambda x: x / 2).text == "`double(1.5)` gives 0.75, not 3: halved"
    assert exercise(check).check(lambda x: 7).text == "`double(0)` gives 7, not 0"
    assert "not a function" in exercise(check).check(3).text


def test_same_as_tries_random_inputs_the_same_each_time():
    check = SameAs(lambda x: 2 * x, [(2,)], random_input=lambda rng: (rng.random(),))
    assert check.all_inputs() == check.all_inputs() and len(check.all_inputs()) == 11
    assert exercise(check).check(lambda x: x * x).outcome == Outcome.WRONG


def test_same_value():
    check = SameValue(3.2, mistakes={"these are nats": 2.218}, rel_tol=0.01)
    assert exercise(check).check(3.21).outcome == Outcome.RIGHT
    assert exercise(check).check(2.22).text == "2.22 is not it: these are nats"
    assert exercise(check).check("3.2").text == "'3.2' is not it"


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (torch.tensor(0.1), 0.1),
        (torch.tensor([1.0, 2.0], dtype=torch.bfloat16), [1, 2]),
        (np.array([[1, 2]]), torch.tensor([[1.0, 2.0]])),
        ((1, [2.0, "a"]), [1, (2, "a")]),
        ({"a": [0.1 + 0.2]}, {"a": [0.3]}),
        (True, np.bool_(True)),
        (math.inf, math.inf),
        (torch.tensor([1e6, 1e-3]), np.array([1e6, 0.0])),
        (None, None),
        ({1}, {1}),
    ],
)
def test_same(got, want):
    assert same(got, want)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (0.1002, 0.1),
        ("1", 1),
        (1, "1"),
        ([1], 1),
        (1, [1]),
        ([1, 2], [1, 2, 3]),
        (torch.zeros(2, 1), torch.zeros(2)),
        ({"a": 1}, {"b": 1}),
        (object(), 1),
        (math.nan, 1.0),
        (None, 0),
    ],
)
def test_not_same(got, want):
    assert not same(got, want)


def test_values_are_described_without_addresses():
    values = [list(range(9)), "a" * 99, torch.zeros(2, 3), torch.tensor(0.5), object(), (1.23456789, None)]
    shown = [describe(value) for value in values]
    assert shown[2:] == ["Tensor of shape (2, 3)", "0.5", "a value of type object", "(1.2346, None)"]
    assert shown[0] == "[0, 1, 2, 3, 4, 5, …]" and len(shown[1]) < 70
    assert describe(Counter("too")) == "{'t': 1, 'o': 2}" and describe(dict.fromkeys(range(7), 0)).endswith(
        ", 5: 0, …}"
    )


def test_hints_come_one_by_one_and_the_last_stays():
    three = exercise()
    assert repr(three.hint()) == "hint: 1 of 2\nadd"
    assert [repr(three.hint()) for _ in range(2)] == ["hint: 2 of 2, the last\n`x + x`"] * 2


def test_an_exercise_shows_itself_and_its_solution():
    shown = exercise(solution="\n    def double(x):\n        return x < 2\n")
    assert repr(shown) == "exercise: Twice\n`double`: difficulty ★★☆ (2 of 3), about 4 minutes"
    assert shown._repr_mimebundle_()["text/plain"] == repr(shown)
    assert repr(shown.solution()) == "solution: Twice\ndef double(x):\n    return x < 2"
    assert "return x &lt; 2" in shown.solution()._repr_mimebundle_()["text/html"]
    assert shown.hint().outcome is None


def test_a_card_says_it_in_a_word_not_only_in_colour_and_escapes_it():
    bundle = exercise(title="A `b` <c>").check(lambda x: 0)._repr_mimebundle_()
    assert bundle["text/plain"] == "wrong: A `b` <c>\n0 for 1 <&>"
    assert "Not right yet" in bundle["text/html"] and "<code>b</code> &lt;c&gt;" in bundle["text/html"]
    assert "0 for 1 &lt;&amp;&gt;" in bundle["text/html"]


def test_nothing_is_printed(capsys):
    shown = exercise()
    shown.check(lambda x: 0), shown.check(...), shown.hint(), shown.solution()
    assert capsys.readouterr() == ("", "")


# --- quizzes --------------------------------------------------------------------------------------------


@pytest.fixture
def quiz():
    choices = [Choice("<a>", "because `x` < y"), Choice("`b` it is", "so it is", right=True), Choice("c", "no, as <z>")]
    return Quiz("03", [Question("What is `x`?", choices), Question("And now?", choices)])


def parts(view):
    """The radio buttons, the explanations below them and the score of a quiz."""
    _, *rows, score, _ = view.children
    return [row.children[1] for row in rows], [row.children[2] for row in rows], score


def test_nothing_is_chosen_or_told_at_first(quiz):
    radios, explanations, score = parts(quiz.view())
    assert [radio.index for radio in radios] == [None, None]
    assert sorted(radios[0].options) == ["<a>", "b it is", "c"]
    assert "0 of 2 right" in score.value
    assert not any("Right" in explanation.value or "Not" in explanation.value for explanation in explanations)


def test_choices_are_shuffled_the_same_way_every_time():
    choices = [Choice(letter, "") for letter in "abc"]
    places = [[c.text for c in Question(f"Which {i}?", choices).shuffled].index("a") for i in range(20)]
    assert set(places) == {0, 1, 2}
    assert places == [[c.text for c in Question(f"Which {i}?", choices).shuffled].index("a") for i in range(20)]


def test_a_choice_is_explained_and_counted(quiz):
    radios, explanations, score = parts(quiz.view())
    radios[0].value = "b it is"
    assert "<strong>Right.</strong> so it is" in explanations[0].value and "1 of 2 right" in score.value
    assert "Right" not in explanations[1].value
    radios[0].value = "<a>"
    assert "<strong>Not quite.</strong> because <code>x</code> &lt; y" in explanations[0].value
    assert "0 of 2 right" in score.value and 'aria-live="polite"' in explanations[0].value


def test_a_quiz_in_a_cell_is_a_widget_a_list_and_a_line(quiz):
    bundle = quiz._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert bundle["text/plain"] == repr(quiz) == "<quiz 03: 2 questions>"
    assert bundle["text/html"] == quiz._repr_mimebundle_()["text/html"]


def test_the_static_list_keeps_its_answers_folded(quiz):
    before, folded = quiz.static_html().split("<details>")[:2]
    assert "<li>&lt;a&gt;</li><li><code>b</code> it is</li><li>c</li>" in before
    assert "Right" not in before and "so it is" not in before
    assert "Right." in folded.split("</details>")[0]


def test_without_widgets_a_quiz_is_still_a_list(quiz, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert set(quiz._repr_mimebundle_()) == {"text/plain", "text/html"}


@pytest.mark.slow
def test_widgets_are_imported_only_to_be_shown():
    names = ["course.course_map", *(f"course.lessons.{lesson}" for lesson in LESSONS)]
    code = f"import sys, json, {', '.join(names)}; print(json.dumps(list(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert "course.quiz" in loaded and not {"ipywidgets", "IPython", "matplotlib"} & set(loaded)


# --- answers that do not end ---------------------------------------------------


def endless(x):
    while True:
        pass


def test_an_answer_that_loops_forever_is_stopped_with_a_sentence(monkeypatch):
    monkeypatch.setattr("course.exercise.PATIENCE", 0.2)
    card = exercise().check(endless)
    assert card.outcome == Outcome.WRONG and "still at work after 0.2 s" in card.text


def test_an_interrupted_answer_is_a_sentence_too():
    def interrupted(x):
        raise KeyboardInterrupt

    assert "interrupted" in exercise().check(interrupted).text

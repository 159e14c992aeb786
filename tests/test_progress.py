"""What is solved is kept, in the learner's own file, and a file that is no good harms no check."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from course import LESSONS, progress
from course.course_map import COURSE_MAP, score
from course.lessons import Choice, Exercise, Outcome, Question, Quiz, SameValue, lesson_03

ERROR_BAR = lesson_03.estimate.title


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "home" / "progress.json"
    monkeypatch.setenv(progress.VARIABLE, str(path))
    return path


@pytest.fixture
def exercise():
    return Exercise(
        name="six", title="Six", difficulty=1, minutes=1, check=SameValue(6), hints=("6.",), solution="six = 6"
    )


def kept(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_right_answer_is_kept_and_a_wrong_one_is_not(file, exercise):
    assert exercise.check(7).outcome == Outcome.WRONG and exercise.check(...).outcome == Outcome.NOT_ATTEMPTED
    assert not file.exists() and progress.solved("exercises") == frozenset()
    exercise.check(6), exercise.check(6)
    assert kept(file) == {"exercises": ["Six"], "questions": []}
    assert progress.solved("exercises") == {"Six"}


def test_a_question_counts_once_its_right_choice_is_chosen(file):
    quiz = Quiz("03", [Question("Is `x` ½?", [Choice("no", "as it is"), Choice("yes", "so it is", right=True)])])
    radio = quiz.view().children[1].children[1]
    radio.value = "no"
    assert not file.exists()
    radio.value = "yes"
    assert kept(file) == {"exercises": [], "questions": ["Is `x` ½?"]}


def test_what_was_kept_stays(file, exercise):
    progress.record("exercises", "One")
    exercise.check(6)
    progress.record("questions", "what?")
    assert kept(file) == {"exercises": ["One", "Six"], "questions": ["what?"]}


def test_reset_begins_anew(file, exercise):
    progress.reset()
    exercise.check(6)
    progress.reset()
    assert not file.exists() and progress.solved("exercises") == frozenset()


def test_off_keeps_nothing(monkeypatch, exercise):
    monkeypatch.setenv(progress.VARIABLE, "off")
    assert exercise.check(6).outcome == Outcome.RIGHT
    progress.reset()
    assert progress.progress_file() is None and progress.solved("exercises") == frozenset()


def test_the_file_lies_in_the_home_of_the_learner(monkeypatch):
    monkeypatch.delenv(progress.VARIABLE)
    assert progress.progress_file() == Path.home() / ".gptlib" / "progress.json"


@pytest.mark.parametrize("content", ["", "not JSON", "[]", '{"exercises": 7}', '{"exercises": null}'])
def test_a_damaged_file_is_begun_anew(file, exercise, content):
    file.parent.mkdir()
    file.write_text(content)
    assert progress.solved("exercises") == frozenset()
    assert exercise.check(6).outcome == Outcome.RIGHT and kept(file)["exercises"] == ["Six"]


def test_a_file_that_cannot_be_written_is_told_once(file, exercise, capsys):
    file.parent.write_text("a file where the folder should be")
    for _ in range(3):
        assert exercise.check(6).outcome == Outcome.RIGHT
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith("your progress is not kept: cannot ") and file.name in told


def test_who_has_no_home_keeps_nothing(monkeypatch, exercise):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(progress.VARIABLE)
    monkeypatch.setattr(Path, "home", no_home)
    assert exercise.check(6).outcome == Outcome.RIGHT and progress.progress_file() is None


# --- the map --------------------------------------------------------------------------------------------


def test_the_map_counts_what_is_solved(file):
    lesson = next(lesson for lesson in LESSONS if lesson.number == "03")
    assert score(lesson).exercises == (0, len(lesson_03.EXERCISES)) and score(lesson).questions[0] == 0
    progress.record("exercises", ERROR_BAR)
    progress.record("exercises", "of another course")
    for question in (*lesson_03.QUIZ.questions, *lesson_03.RECALL.questions):
        progress.record("questions", question.text)
    total = len(lesson_03.QUIZ.questions) + len(lesson_03.RECALL.questions)
    assert score(lesson).exercises == (1, len(lesson_03.EXERCISES)) and score(lesson).questions == (total, total)
    assert not score(lesson).complete
    assert f"1 of {len(lesson_03.EXERCISES)} exercises" in COURSE_MAP.progress_html()


def test_what_a_notebook_stores_is_the_same_for_everybody(file):
    before = COURSE_MAP._repr_mimebundle_()
    progress.record("exercises", ERROR_BAR)
    after = COURSE_MAP._repr_mimebundle_()
    assert {"text/plain", "text/html"} < set(after)
    assert all(before[mime] == after[mime] for mime in ("text/plain", "text/html"))
    assert all(lesson.file in after["text/html"] for lesson in LESSONS)


def test_look_again_shows_what_was_solved_since(file):
    table, button = COURSE_MAP.view().children
    assert 'value="1"' not in table.value
    progress.record("exercises", ERROR_BAR)
    button.click()
    assert 'value="1"' in table.value


def test_next_is_the_first_lesson_that_is_not_complete(file):
    first, second = LESSONS[:2]
    module = import_module(f"course.lessons.lesson_{first.number}")
    assert COURSE_MAP.progress_html().index("next") < COURSE_MAP.progress_html().index(second.file)
    for exercise in module.EXERCISES:
        progress.record("exercises", exercise.title)
    for question in [
        q for name in ("QUIZ", "RECALL") if hasattr(module, name) for q in getattr(module, name).questions
    ]:
        progress.record("questions", question.text)
    assert COURSE_MAP.progress_html().index("next") > COURSE_MAP.progress_html().index(second.file)


def test_titles_and_questions_are_of_one_lesson_each():
    modules = [import_module(f"course.lessons.lesson_{lesson.number}") for lesson in LESSONS]
    titles = [exercise.title for module in modules for exercise in module.EXERCISES]
    texts = [question.text for module in modules for question in module.QUIZ.questions]
    assert len(set(titles)) == len(titles) and len(set(texts)) == len(texts)

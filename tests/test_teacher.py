"""The teacher's page speaks of lessons, minutes and exercises as they are."""

import re
from importlib import import_module
from pathlib import Path

from gptlib.course import LESSONS

PAGE = (Path(__file__).parent.parent / "notebooks" / "README.md").read_text(encoding="utf-8")


def test_the_minutes_of_each_lesson_add_up_to_what_it_says():
    rows = re.findall(r"^\| (\d\d) [^|]+\| (\d+) \+ (\d+) \|", PAGE, re.M)
    assert [(number, int(talk) + int(alone)) for number, talk, alone in rows] == [
        (lesson.number, lesson.minutes) for lesson in LESSONS
    ]


def test_an_hour_has_sixty_minutes():
    hour = PAGE.split("## Only an hour?")[1].split("## Lesson by lesson")[0]
    assert sum(int(minutes) for minutes in re.findall(r"^\| (\d+) \|", hour, re.M)) == 60


def test_each_exercise_that_it_names_exists():
    named = re.findall(r"^\| (\d\d) `(\w+)` \|", PAGE, re.M)
    assert len(named) > 5
    for number, name in named:
        module = import_module(f"gptlib.exercises.lesson_{number}")
        assert name in [exercise.name for exercise in module.EXERCISES], f"{number} {name}"


def test_the_minutes_of_the_map_are_those_of_the_notebooks():
    for lesson in LESSONS:
        text = (Path(__file__).parent.parent / "notebooks" / lesson.file).read_text(encoding="utf-8")
        assert f"**{lesson.minutes} minutes.**" in text, lesson.file

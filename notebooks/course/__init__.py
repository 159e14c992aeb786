"""The course as a whole: its lessons, in one list for map, glossary and site; see also `glossary` and `progress`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """A notebook of the course; `minutes` is what a beginner takes, exercises included."""

    number: str
    name: str
    question: str
    minutes: int

    @property
    def file(self) -> str:
        """The notebook's file name."""
        return f"{self.number}_{self.name}.ipynb"


LESSONS = (
    Lesson("00", "first_gpt", "What is the whole game: text in, a GPT trained, Shakespeare out?", 60),
    Lesson("01", "tokens", "What does a model read: characters, words, byte pairs?", 75),
    Lesson("02", "block_size", "How far back may it look, and what does that cost?", 75),
    Lesson("03", "training", "How do we know that it learns?", 90),
    Lesson("04", "gradients", "What is a gradient, and what does its sign say?", 105),
    Lesson("05", "accumulation", "How does a large batch fit into a small memory?", 115),
    Lesson("06", "overfitting", "Does it learn rules, or repeat the text?", 100),
    Lesson("07", "inside_the_gpt", "What happens between tokens and loss?", 120),
    Lesson("08", "scaling_up", "How does the same code run on a GPU, on several, for a day?", 100),
    Lesson("09", "your_gpt", "Can you write all of it yourself, on a text of your own?", 150),
)


def lesson(number: str) -> Lesson:
    """The lesson of that number."""
    return next(lesson for lesson in LESSONS if lesson.number == number)

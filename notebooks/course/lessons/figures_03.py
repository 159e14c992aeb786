"""The game of lesson 03: guess the next letter."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from course.figures import VERMILION
from course.shown import Shown

if TYPE_CHECKING:
    import ipywidgets

NAMES = {"\n": "↵", " ": "␣"}


class GuessNext(Shown):
    """Shannon's game: guess a text letter by letter, from five choices each time.

    Args:
        start: what is shown at first.
        choices: five characters for each guess.
        rest: what really comes.
    """

    def __init__(self, start: str, rest: str, choices: Sequence[str]):
        self.start, self.rest, self.choices = start, rest, choices
        self.guesses: list[str] = []

    def __repr__(self) -> str:
        return f"<guess the next letter, {len(self.rest)} times>"

    def static_html(self) -> str:
        """The first question, for a reader without widgets."""
        names = ", ".join(NAMES.get(c, c) for c in self.choices[0])
        return f"<p>{self._text(0)}</p><p>Which letter comes next: {names}?</p>"

    def view(self) -> "ipywidgets.VBox":
        """The text so far, and a button for each choice."""
        import ipywidgets

        self.guesses = []
        text, score = ipywidgets.HTML(), ipywidgets.HTML()
        buttons = [ipywidgets.Button(layout={"width": "4em"}) for _ in range(5)]

        def show() -> None:
            n = len(self.guesses)
            right = sum(guess == c for guess, c in zip(self.guesses, self.rest, strict=False))
            last = "" if not n else f" It was <b>{NAMES.get(self.rest[n - 1], self.rest[n - 1])}</b>."
            text.value = f'<div style="font-size:1.15em;line-height:1.6">{self._text(n)}</div>'
            score.value = f'<div role="status" aria-live="polite">{right} of {n} right.{last}</div>'
            for button, choice in zip(buttons, self.choices[n] if n < len(self.rest) else "", strict=False):
                button.description = NAMES.get(choice, choice)
                button.tooltip = {"\n": "line break", " ": "space"}.get(choice, choice)
            if n == len(self.rest):
                box.children = [text, score]

        def guess(button: Any) -> None:
            n = len(self.guesses)
            self.guesses.append(self.choices[n][buttons.index(button)])
            show()

        for button in buttons:
            button.on_click(guess)
        box = ipywidgets.VBox([text, ipywidgets.HBox(buttons), score])
        show()
        return box

    def _text(self, n: int) -> str:
        known = html.escape(self.start + self.rest[:n]).replace("\n", "↵ ")
        return f'<span style="font-family:monospace">{known}<b style="color:{VERMILION}">?</b></span>'

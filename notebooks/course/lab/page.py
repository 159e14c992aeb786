"""What the page itself has to tell and to be told: names for screen readers, and whether anybody looks."""

import math
import time
from pathlib import Path

import anywidget

from course.lab.kernel import kernel

BEAT = 1.0  # seconds between two questions
PATIENCE = 4.0  # seconds without an answer: then nobody is there


class Page(anywidget.AnyWidget):
    """An invisible widget that gives the controls around it their accessible names, and knows whether they are seen.

    It has to stand in a box of the class `gptlib-named`. ipywidgets 8 gives the handle of a slider, its number and a
    group of radio buttons no name; here they get that of their description, or else of their tooltip.

    Whether anybody looks is asked again and again, as a page that is closed, a tab that is closed inside JupyterLab
    and a browser that is killed have no time to say goodbye.
    """

    _esm, _css = Path(__file__).with_name("page.js"), Path(__file__).with_name("page.css")

    def __init__(self):
        super().__init__()
        self._shown = False  # once it was; without a front end nobody answers, and all the same nothing is wrong
        self._asked = -math.inf  # when, last
        self._unanswered_since = math.inf
        self._kernel = kernel()
        self.on_msg(lambda *_: self.hear())

    def hear(self) -> None:
        """A view says that it is here: it has appeared, or was asked."""
        self._shown, self._unanswered_since = True, math.inf

    def deserted(self) -> bool:
        """Whether the last view is gone. To be called often, from any thread: it asks now and then."""
        now = time.monotonic()
        if self._shown and now - self._asked > BEAT:
            self._asked = now
            self._unanswered_since = min(now, self._unanswered_since)
            self.send({"question": "who is there?"})
        if min(now - self._unanswered_since, self._kernel.idle_for()) < PATIENCE:
            return False
        self._unanswered_since = math.inf  # whoever asks again gives the views as much time again
        return True

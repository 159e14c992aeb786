"""What the page itself tells and is told: names for screen readers, and whether anybody looks."""

import math
import threading
import time
from functools import cache
from pathlib import Path

import anywidget
from IPython import get_ipython

BEAT = 1.0  # seconds between two questions
PATIENCE = 10.0  # seconds without an answer: then nobody is there (a page on a busy machine may need five)


class Kernel:
    """Whether a cell runs: meanwhile the kernel may be deaf to the page, and the cores have other work.

    JupyterLab has a click answered in a thread of its own ("subshell"), which may end while a cell runs in another.
    """

    def __init__(self):
        self._busy: set[int] = set()  # threads
        self._idle_since = -math.inf
        if (shell := get_ipython()) is not None:
            self.begin_cell()  # the one that makes the first lab
            shell.events.register("pre_execute", self.begin_cell)
            shell.events.register("post_execute", self.end_cell)

    def begin_cell(self) -> None:
        """A cell, or the answer to a click, begins to run."""
        self._busy.add(threading.get_ident())

    def end_cell(self) -> None:
        """It has ended."""
        self._busy.discard(threading.get_ident())
        self._idle_since = time.monotonic()

    def idle_for(self) -> float:
        """Seconds since the last cell ended; 0 while one runs."""
        return 0.0 if self._busy else time.monotonic() - self._idle_since


@cache
def kernel() -> Kernel:
    """The one that this is, or plain Python."""
    return Kernel()


def current_cell() -> str:
    """The id of the notebook cell that runs now; '' where there is none."""
    parent = getattr(get_ipython(), "get_parent", dict)()
    return parent.get("metadata", {}).get("cellId", "")


class Page(anywidget.AnyWidget):
    """An invisible widget that gives the controls around it their accessible names, and knows whether they are seen.

    It has to be in a box of the class `gptlib-named`. ipywidgets 8 gives the handle of a slider, its number and a
    group of radio buttons no name; here they get that of their description, or else of their tooltip. It also keeps
    the notebook's shortcuts away from them: an arrow key moves a choice, and not to the next cell.

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

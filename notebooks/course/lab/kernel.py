"""What a lab knows of the kernel that it lives in."""

import math
import threading
import time
from functools import cache

from IPython import get_ipython


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

"""What the page itself has to tell and to be told: names for screen readers, and whether anybody looks."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
from IPython import get_ipython

PATIENCE = 2.0  # seconds in which a view may answer


class Page(anywidget.AnyWidget):
    """An invisible widget that gives the controls around it their accessible names.

    It has to stand in a box of the class `gptlib-named`. ipywidgets 8 gives the handle of a slider, its number and a
    group of radio buttons no name; here they get that of their description, or else of their tooltip.

    Args:
        on_deserted: called when the last view is gone, since the output was removed or the page was closed.
    """

    _esm, _css = Path(__file__).with_name("page.js"), Path(__file__).with_name("page.css")

    def __init__(self, on_deserted: Callable[[], None] = lambda: None):
        super().__init__()
        self._on_deserted = on_deserted
        self._wait: threading.Timer | None = None
        self.on_msg(lambda _, content, buffers: self.hear(content))

    def hear(self, content: dict[str, Any]) -> None:
        """A view says that it is here, or gone. After one has gone, any other is asked to speak up."""
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None
        if content.get("view") == "gone":
            self._wait = threading.Timer(PATIENCE, self._on_deserted)
            self._wait.daemon = True
            self._wait.start()
            self.send({"question": "who is there?"})


def current_cell() -> str:
    """The id of the notebook cell that runs now; '' where there is none."""
    parent = getattr(get_ipython(), "get_parent", dict)()
    return parent.get("metadata", {}).get("cellId", "")

"""What the page itself has to be told: names for screen readers, and which keys stay inside."""

from pathlib import Path

import anywidget
from IPython import get_ipython


def current_cell() -> str:
    """The id of the notebook cell that runs now; '' where there is none."""
    parent = getattr(get_ipython(), "get_parent", dict)()
    return parent.get("metadata", {}).get("cellId", "")


class Page(anywidget.AnyWidget):
    """An invisible widget that gives the controls around it, in a box of the class `gptlib-named`, accessible names.

    ipywidgets 8 gives the handle of a slider, its number and a group of radio buttons no name; here they get that of
    their description, or else of their tooltip. It also keeps the notebook's shortcuts away from them: an arrow key
    moves a choice, and not to the next cell.
    """

    _esm, _css = Path(__file__).with_name("page.js"), Path(__file__).with_name("page.css")

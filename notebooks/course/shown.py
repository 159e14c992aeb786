"""What a cell shows as widgets, and a reader without them as a page."""

import html
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what is shown can be read and tested where no widget can be
    import ipywidgets

# Where a notebook is not trusted, or its kernel is gone, the page is all there is; the website hides the sentence.
RUN_AGAIN = '<p class="gptlib-run-again"><em>Nothing to click here? Run this cell.</em></p>'


LEFT = 'style="text-align:left"'
WIDE = 'style="table-layout:auto;width:100%"'  # JupyterLab would make all columns equally narrow


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table whose cells are HTML already."""
    header = "".join(f'<th scope="col" {LEFT}>{cell}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td {LEFT}>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table {WIDE}><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def in_place_of(what: str) -> dict[str, str]:
    """What stands where live widgets are not shown: after reloading an untrusted notebook, on GitHub, in tests."""
    words, article = f"{what}: run this cell to bring it back", "an" if what[0] in "aeiou" else "a"
    return {"text/plain": f"<{words}>", "text/html": f"<p><em>Here is {article} {html.escape(words)}.</em></p>"}


def widgets_only(box: "ipywidgets.Widget") -> dict[str, Any]:
    """The widget itself, without the text that ipywidgets put beside it; nothing where it is closed."""
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}  # as both ipywidgets 7 and 8 do
    return {"application/vnd.jupyter.widget-view+json": view} if box.model_id else {}


class Shown(ABC):
    """Widgets where there are some, and a static page beside them: GitHub shows that one."""

    @abstractmethod
    def view(self) -> "ipywidgets.VBox":
        """The widgets, new ones each time."""

    @abstractmethod
    def static_html(self) -> str:
        """What is stored in the notebook: the same for everybody."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        static = {"text/plain": repr(self), "text/html": self.static_html() + RUN_AGAIN}
        try:
            return widgets_only(self.view()) | static
        except ImportError:
            return static

"""What a cell shows as widgets, and a reader without them as a page."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what is shown can be read and tested where no widget can be
    import ipywidgets


class Shown(ABC):
    """Widgets where there are some, and a static page beside them: GitHub shows that one."""

    @abstractmethod
    def view(self) -> "ipywidgets.VBox":
        """The widgets, new ones each time."""

    @abstractmethod
    def static_html(self) -> str:
        """What is stored in the notebook: the same for everybody."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        static = {"text/plain": repr(self), "text/html": self.static_html()}
        try:
            return self.view()._repr_mimebundle_() | static
        except ImportError:
            return static

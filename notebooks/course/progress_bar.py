"""Progress of a slow cell, shown in the page and stored nowhere: nbval has nothing to compare."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

SHOWN_AFTER = 2.0  # seconds: what is quicker needs no bar
PAUSE = 0.25  # seconds between two updates

# A widget that is never displayed: its model alone draws a bar into the corner of the page, and takes it away again.
_ESM = """
export default {
  initialize({ model }) {
    const bar = document.createElement("div");
    bar.className = "gptlib-progress";
    bar.setAttribute("role", "status");
    bar.innerHTML = "<span></span><progress></progress>";
    const show = () => {
      const [words, progress] = bar.children;
      words.textContent = model.get("words");
      progress.value = model.get("fraction");
      progress.hidden = !model.get("fraction");
      if (model.get("over")) bar.remove();
    };
    model.on("change", show);
    show();
    document.body.append(bar);
    return () => bar.remove();
  },
};
"""
_CSS = """
.gptlib-progress {
  position: fixed; right: 24px; bottom: 36px; z-index: 1000; padding: 8px 14px; border-radius: 6px;
  background: var(--jp-layout-color1, #fff); color: var(--jp-ui-font-color1, #222); font: 14px system-ui, sans-serif;
  border: 1px solid var(--jp-border-color1, #bbb); box-shadow: 0 2px 8px rgb(0 0 0 / 25%);
}
.gptlib-progress progress { margin-left: 10px; width: 12em; accent-color: #0072b2 }
"""

_words, _fraction = "", 0.0  # how far the innermost loop of the cell is
_over = threading.Event()  # whether the cell is


def progress(iterable: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Iterate, and tell the bar how far it is; `total` where the iterable has no length.

    >>> sum(progress([1, 2, 3], "adding up"))
    6
    """
    global _words, _fraction
    total = total or (len(iterable) if hasattr(iterable, "__len__") else 0)
    before = _words, _fraction
    try:
        for done, item in enumerate(iterable):
            _words, _fraction = f"{what}: {done:,}{f' of {total:,}' if total else ''}", done / total if total else 0.0
            yield item
    finally:
        _words, _fraction = before


def begin_cell(*_: Any) -> None:
    """A cell has begun: if it is slow, the page will say for how long it runs, and how far its loop is."""
    global _over
    _over.set()
    _over = threading.Event()
    threading.Thread(target=_tell, args=(_over,), name="gptlib-progress", daemon=True).start()


def end_cell(*_: Any) -> None:
    """It has ended."""
    _over.set()


def _tell(over: threading.Event) -> None:
    started = time.monotonic()
    if over.wait(SHOWN_AFTER):
        return
    bar = _new_bar()
    while not over.wait(PAUSE):
        bar.words = f"{_words or 'this cell runs'}, {time.monotonic() - started:.0f} s"
        bar.fraction = _fraction
    bar.over = True
    bar.close()


def _new_bar() -> Any:
    import anywidget
    import traitlets

    class Bar(anywidget.AnyWidget):
        _esm, _css = _ESM, _CSS
        words = traitlets.Unicode("").tag(sync=True)
        fraction = traitlets.Float(0.0).tag(sync=True)
        over = traitlets.Bool(False).tag(sync=True)

    return Bar()

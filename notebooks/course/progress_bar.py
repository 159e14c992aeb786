"""Progress of a slow cell, shown in the page and stored nowhere: nbval has nothing to compare."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from IPython import get_ipython

T = TypeVar("T")

SHOWN_AFTER = 0.5  # seconds: what is quicker needs no bar
PAUSE = 0.2  # seconds between two updates

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
      if (model.get("total")) { progress.max = model.get("total"); progress.value = model.get("done"); }
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


def progress(iterable: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Iterate, and meanwhile show how far it is; `total` where the iterable has no length.

    >>> sum(progress([1, 2, 3], "adding up"))
    6
    """
    total = total or (len(iterable) if hasattr(iterable, "__len__") else 0)
    bar, next_look = None, time.perf_counter() + SHOWN_AFTER
    try:
        for done, item in enumerate(iterable):
            if time.perf_counter() > next_look:
                bar = bar or _new_bar(total)
                if bar is None:
                    next_look = float("inf")
                else:
                    bar.done, bar.words = done, f"{what}: {done:,} of {total:,}" if total else f"{what}: {done:,}"
                    next_look = time.perf_counter() + PAUSE
            yield item
    finally:
        if bar is not None:
            bar.over = True
            bar.close()


def _new_bar(total: int) -> object | None:
    """The widget; None where there is no notebook, or no widgets."""
    if getattr(get_ipython(), "kernel", None) is None:
        return None
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class Bar(anywidget.AnyWidget):
        _esm, _css = _ESM, _CSS
        words = traitlets.Unicode("").tag(sync=True)
        done = traitlets.Int(0).tag(sync=True)
        total = traitlets.Int(0).tag(sync=True)
        over = traitlets.Bool(False).tag(sync=True)

    return Bar(total=total)

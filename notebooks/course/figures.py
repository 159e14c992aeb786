"""Static figures for the notebooks: a private matplotlib figure in, a PNG with an alt text out."""

import base64
import html
import io
import threading
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito's colours: told apart by colour-blind readers too.
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
GREY = "#555555"
DPI = 110  # of the page: pictures have twice as many pixels, for the screens of today
DENSITY = 2

MOST_OFF = 48  # of 255: only thin edges differ that much

drawing = threading.Lock()  # matplotlib is not safe to use from two threads at once


def new_figure(width: float = 7.2, height: float = 3.6, columns: int = 1, rows: int = 1) -> tuple[Figure, Any]:
    """A figure of width x height inches and its axes (a list of them if there are several).

    It is made without pyplot, so nothing global is touched and no cell shows it by accident.
    """
    figure = Figure(figsize=(width, height), dpi=DENSITY * DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes:
        tidy(ax)
    return figure, axes[0] if len(axes) == 1 else axes


def tidy(ax: Axes) -> None:
    """The course's look: a light grid, and no box around the data."""
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)


def png_of(figure: Figure) -> bytes:
    """Render the whole figure."""
    with drawing:
        figure.canvas.draw()
        return encode(figure)


def encode(figure: Figure) -> bytes:
    """The pixels that the canvas holds now, as PNG; compressed lightly, because a live plot is in a hurry."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def small(png: bytes) -> bytes:
    """A picture to be stored: with 256 colors, unless that would show; it takes half the bytes."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    few = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    off = np.abs(np.asarray(few.convert("RGB")).astype(int) - np.asarray(image)).max()
    buffer = io.BytesIO()
    (few if off < MOST_OFF else image).save(buffer, "png", optimize=True)
    return buffer.getvalue()


class Picture:
    """A figure as the result of a cell: a PNG of double density, with `alt` for those who do not see it.

    `name` is what nbval compares, so it holds no measured number; `alt` may.
    """

    def __init__(self, figure: Figure, name: str, alt: str):
        self.name, self.alt = name, alt
        self.png = small(png_of(figure))
        self.width = round(figure.bbox.width / DENSITY)  # in the page

    def __repr__(self) -> str:
        return f"<picture: {self.name}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        data = {"text/plain": repr(self), "image/png": self.png}
        return data, {"image/png": {"alt": self.alt, "width": self.width}}


def as_html(png: bytes, alt: str, width: int | None = None) -> str:
    """A picture as an <img> that fits into a narrow window; `width` in the page, where it is known."""
    data, alt = base64.b64encode(png).decode(), html.escape(alt, quote=True)
    most = f"{width}px" if width else "760px"
    return f'<img alt="{alt}" style="width: 100%; max-width: {most}" src="data:image/png;base64,{data}">'

"""What a model writes, shown side by side, and live."""

import html
import textwrap
from collections.abc import Mapping

from course.lab import Picture, new_figure
from gptlib.errors import UsageError
from gptlib.model import GPT
from gptlib.sampling import sample_text
from gptlib.tokenizer import Tokenizer

FONT_SIZE = 8.5
LETTER, LINE, TITLE = 0.602 * FONT_SIZE / 72, 1.45 * FONT_SIZE / 72, 0.34  # inches; the font is monospaced


def wrap(text: str, columns: int) -> list[str]:
    """The lines of a text, broken between words where they are longer than `columns`."""
    return [part for line in text.strip("\n").split("\n") for part in textwrap.wrap(line, columns) or [""]]


def plot_texts(texts: Mapping[str, str], name: str, columns: int = 35, lines: int = 16) -> Picture:
    """Texts side by side, each below its title; what is longer than `lines` is cut off."""
    column = LETTER * (columns + 3)
    width, height = column * len(texts), TITLE + LINE * (lines + 0.5)
    figure, _ = new_figure(width, height)
    figure.clear()
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))  # inches, downwards
    ax.axis("off")
    for i, (title, text) in enumerate(texts.items()):
        x = 1.5 * LETTER + column * i
        ax.text(x, TITLE / 2, title, va="center", fontsize=10, weight="bold")
        for number, line in enumerate(wrap(text, columns)[:lines]):
            y = TITLE + LINE * (number + 0.5)
            ax.text(x, y, line, va="center", fontsize=FONT_SIZE, family="monospace", parse_math=False)
    alt = "Texts side by side. " + " ".join(f"{title}: {text.strip()!r}." for title, text in texts.items())
    return Picture(figure, name, alt)


def show_speech(
    model: GPT, tokenizer: Tokenizer, *, start: str, temperature: float, length: int = 300, seed: int = 0
) -> str:
    """`start` and how the model goes on, as HTML.

    Raises:
        UsageError: `start` is empty.
    """
    if not start:
        raise UsageError("give it at least one character to go on from")
    written = sample_text(model, tokenizer, start, length, temperature=temperature, seed=seed)
    style = "white-space:pre-wrap;line-height:1.4;margin:0"
    return f'<pre style="{style}"><strong>{html.escape(start)}</strong>{html.escape(written)}</pre>'

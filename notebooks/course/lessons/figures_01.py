"""Drawings of lesson 01: texts in pieces, two curves about vocabularies, and a lab that shows a loss in two units."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from course.figures import BLUE, COLORS, GREY, VERMILION, Picture, new_figure
from course.lab.curves import MARKERS
from course.lab.lab import Lab
from course.lab.runs import Run
from course.landmarks import draw_landmarks, landmarks
from gptlib.dataset import Dataset
from gptlib.model import GPT
from gptlib.tokenizer import BPETokenizer, Tokenizer
from gptlib.trainer import Trainer

# --- a text in pieces -----------------------------------------------------------------------------------

VISIBLE = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥"})
TINTS = ("86,180,233", "230,159,0", "0,158,115", "204,121,167")  # of the course's colors, laid thinly over any theme


def pieces(tokenizer: Tokenizer, text: str) -> list[tuple[int, bytes]]:
    """The tokens of `text`: the number of each, and its bytes."""
    known = tokenizer.pieces if isinstance(tokenizer, BPETokenizer) else [c.encode() for c in tokenizer.chars]
    return [(i, known[i]) for i in tokenizer.encode(text).tolist()]


def visible(piece: bytes) -> str:
    """A token as you can read it: a space is ␣, a line break ↵, and bytes that are no whole character are ⟨hex⟩."""
    try:
        return piece.decode().translate(VISIBLE)
    except UnicodeDecodeError:
        return f"⟨{piece.hex(' ')}⟩"


class Cut:
    """A text cut into its tokens, as the result of a cell: each in a frame and a tint, its number on hover."""

    def __init__(self, tokenizer: Tokenizer, text: str, title: str = ""):
        self.pieces = pieces(tokenizer, text)
        count = len(self.pieces)
        self.characters_per_token = len(text) / max(1, count)
        ratio = f"{self.characters_per_token:.1f} characters per token"
        self.title = f"{title}{': ' if title else ''}{len(text)} characters, {count} tokens, {ratio}"

    @property
    def html(self) -> str:
        """Frames and tints for light and dark pages; where styles are lost, on GitHub, <code> and spaces still tell."""
        tokens = " ".join(self._token(i, number, piece) for i, (number, piece) in enumerate(self.pieces))
        style = "line-height: 2; overflow-wrap: anywhere; word-spacing: -0.2em"
        return f'<p>{html.escape(self.title)}</p><p style="{style}">{tokens}</p>'

    def _token(self, i: int, number: int, piece: bytes) -> str:
        style = (
            f"color: inherit; background: rgba({TINTS[i % len(TINTS)]},0.3); border: 1px solid rgba(128,128,128,0.8); "
            "border-radius: 3px; padding: 1px 2px"
        )
        line_break = "<br>" * piece.count(b"\n")
        return f'<code title="token {number}" style="{style}">{html.escape(visible(piece))}</code>{line_break}'

    def __repr__(self) -> str:
        return f"{self.title}\n{'|'.join(visible(piece) for _, piece in self.pieces)}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html}


class Cuts:
    """The same text, cut in several ways, one below the other."""

    def __init__(self, text: str, tokenizers: Mapping[str, Tokenizer]):
        self.cuts = [Cut(tokenizer, text, name) for name, tokenizer in tokenizers.items()]

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.cuts))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": "".join(cut.html for cut in self.cuts)}


# --- one loss in two units ------------------------------------------------------------------------------


def characters_per_token(tokenizer: Tokenizer, tokens: np.ndarray) -> float:
    """How long a token is on average, in these tokens of a text."""
    return len(tokenizer.decode(tokens)) / len(tokens)


def bits_per_character(loss: float, characters_per_token: float) -> float:
    """From nats per token to bits per character: the measure in which tokenizers can be compared."""
    return loss / math.log(2) / characters_per_token


class TokenizerLab(Lab):
    """A live run with a menu of tokenizers, whose loss is shown per token and per character.

    Every run reads about the same number of characters: the longer its tokens, the fewer its steps.

    Args:
        data: the same text in different tokens, each under the name that the menu shows.
        characters: how many characters a run reads.
        settings: as those of `Lab`.

    Attributes:
        models: name -> the model that `train` has trained last.
    """

    def __init__(
        self,
        data: Mapping[str, Dataset],
        *,
        characters: int = 150_000,
        title: str = "The same GPT, the same text, different tokens",
        **settings: Any,
    ):
        self.data, self.characters = dict(data), characters
        self.lengths = {name: characters_per_token(data.tokenizer, data.val) for name, data in self.data.items()}
        self.models: dict[str, GPT] = {}
        characters_alone = [data for data in self.data.values() if data.tokenizer.unit == "character"]
        self.counted = landmarks(characters_alone[0]) if characters_alone else {}  # in nats, as a loss
        first = next(iter(self.data.values()))
        settings = {"eval_iters": 30, **settings}
        super().__init__(menus={"tokens": list(self.data)}, dataset=first, title=title, **settings)

    def make_trainer(self, run: Run) -> Trainer:
        """What trains on the tokens that the menu says, for as many steps as it takes to read the characters."""
        tokens = run.settings["tokens"]
        data, steps = self.data[tokens], self.characters / self.lengths[tokens] / run.config.tokens_per_step
        steps = max(1, round(steps))
        run.config = replace(run.config, max_iters=steps, eval_interval=math.ceil(steps / 5))
        run.unit = data.tokenizer.unit
        trainer = Trainer(run.config, data)
        self.models[tokens] = trainer.model
        return trainer

    def draw(self, runs: Sequence[Run]) -> tuple[bytes, str]:
        """The runs in both units."""
        picture = self.plot(runs, self.title)
        return picture.png, picture.alt

    def plot(self, runs: Sequence[Run], title: str = "") -> Picture:
        """Some runs of this lab, in both units."""
        return plot_two_units(runs, self.lengths, self.characters, title, self.counted)


# --- figures --------------------------------------------------------------------------------------------


def plot_growth(read: Sequence[int], different: Sequence[int], unknown: Sequence[float], characters: int) -> Picture:
    """How many words there are, and how many are still unknown, against how many were read.

    Args:
        read: words read so far.
        different: how many different ones were among them.
        unknown: the fraction of the held-out words that were not.
        characters: how many different characters the text has, for comparison.
    """
    figure, axes = new_figure(7.6, 3.3, columns=2)
    left, right = axes
    thousands = [count / 1000 for count in read]
    left.plot(thousands, [count / 1000 for count in different], "o-", color=BLUE, ms=4)
    left.annotate("different words", (thousands[-1], different[-1] / 1000), (-6, 4), **_BESIDE, ha="right", color=BLUE)
    left.axhline(characters / 1000, color=GREY, lw=1.5, ls="--")
    left.annotate(f"different characters: {characters}", (thousands[-1], 0), (0, 5), **_BESIDE, ha="right", color=GREY)
    left.set(ylabel="different ones (thousands)", ylim=(0, None))
    left.set_title("The vocabulary of words never stops growing", loc="left", fontsize=9.5)
    right.plot(thousands, [100 * fraction for fraction in unknown], "s-", color=VERMILION, ms=4)
    right.set(ylabel="held-out words never read (%)", ylim=(0, None))
    right.set_title("New plays keep asking for new words", loc="left", fontsize=9.5)
    ends = ((0, "left", 5), (-1, "right", 7))
    for i, ha, up in ends:
        text = f"{100 * unknown[i]:.0f} %"
        right.annotate(text, (thousands[i], 100 * unknown[i]), (4 if ha == "left" else 0, up), **_BESIDE, ha=ha)
    for ax in axes:
        ax.set(xlabel="words read (thousands)", xlim=(0, None))
    alt = (
        f"After {read[0]:,} words there are {different[0]:,} different ones, after {read[-1]:,} there are "
        f"{different[-1]:,}; the fraction of held-out words that were never read falls from {unknown[0]:.0%} to "
        f"{unknown[-1]:.1%}."
    )
    return Picture(figure, "the vocabulary of words grows, and some words stay unknown", alt)


_BESIDE = {"textcoords": "offset points", "fontsize": 9}


def plot_lengths(sizes: Sequence[int], lengths: Mapping[str, Sequence[float]]) -> Picture:
    """The mean length of a token against the size of the vocabulary; the first of `lengths` gets numbers."""
    figure, ax = new_figure()
    for i, (name, values) in enumerate(lengths.items()):
        style, color = ("s--", GREY) if i else ("o-", BLUE)
        ax.plot(sizes, values, style, color=color, ms=5)
        ax.annotate(name, (sizes[-1], values[-1]), (8, 0), **_BESIDE, va="center", color=color)
        if not i:
            for size, length in zip(sizes, values, strict=True):
                ax.annotate(f"{length:.1f}", (size, length), (0, -15), **_BESIDE, ha="center")
    ax.set(xscale="log", xlim=(sizes[0] * 0.85, sizes[-1] * 2.2), ylim=(0, None))
    ax.set(xlabel="tokens in the vocabulary", ylabel="characters per token")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    alts = [f"{name}: {v[0]:.1f} at {sizes[0]}, {v[-1]:.1f} at {sizes[-1]:,}" for name, v in lengths.items()]
    return Picture(figure, "characters per token against the size of the vocabulary", "; ".join(alts))


def plot_two_units(
    runs: Sequence[Run],
    lengths: Mapping[str, float],
    characters: int = 150_000,
    title: str = "",
    landmarks: Mapping[str, float] | None = None,
) -> Picture:
    """The losses of runs on the same text in different tokens: per token on the left, per character on the right.

    Thin lines are training batches; points are the held-out plays, since nothing was measured between them.

    Args:
        runs: each knows the name of its tokens.
        lengths: characters per token, by that name.
        characters: that a run reads: the end of the axis.
        title: above both.
        landmarks: in nats per character, drawn on the right.
    """
    figure, axes = new_figure(8.2, 3.9, columns=2)
    ends: list[list[tuple[float, str, str]]] = [[], []]
    alts = []
    for run in runs:
        name = run.settings["tokens"]
        length, i = lengths[name], (run.number - 1) % len(COLORS)
        style = {"color": COLORS[i], "marker": MARKERS[i % len(MARKERS)]}
        thousands = run.config.tokens_per_step * length / 1000  # characters in a step
        for ax, end, factor in zip(axes, ends, (1.0, bits_per_character(1.0, length)), strict=True):
            ax.plot(np.array(run.steps) * thousands, np.array(run.losses) * factor, color=COLORS[i], lw=1, alpha=0.4)
            x = np.array([e.step for e in run.evaluations]) * thousands
            means = np.array([e.val.mean for e in run.evaluations]) * factor
            errors = np.array([e.val.standard_error for e in run.evaluations]) * factor
            ax.errorbar(x, means, errors, ls="", ms=4, capsize=2, **style)
            if len(means):
                end.append((means[-1], f"{name}: {means[-1]:.2f}", COLORS[i]))
        if run.evaluations:
            first, last = (bits_per_character(e.val.mean, length) for e in (run.evaluations[0], run.evaluations[-1]))
            nats = f"{name}: {run.val.mean:.2f} nats per token"
            alts.append(f"{nats}, {last:.2f} bits per character, which were {first:.2f} before the first step")
    units = (("nats per token", "Per token: not comparable", 8.2), ("bits per character", "Per character: fair", 6.8))
    for ax, end, (unit, heading, top) in zip(axes, ends, units, strict=True):
        ax.set(xlim=(-0.02 * characters / 1000, 1.03 * characters / 1000), ylim=(0, top))
        ax.set(xlabel="characters read (thousands)", ylabel=f"loss ({unit})")
        ax.set_title(heading, loc="left", fontsize=10)
        for row, (_, text, color) in enumerate(sorted(end)):  # in the order of the curves' ends, in the empty corner
            where = {"xycoords": "axes fraction", "ha": "right", "color": color}
            ax.annotate(text, (0.98, 0.03), (0, 14 * row), **_BESIDE, **where)
    draw_landmarks(axes[1], {name: bits_per_character(loss, 1.0) for name, loss in (landmarks or {}).items()})
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    alt = f"Loss against characters read. {'; '.join(alts) or 'No run yet'}."
    return Picture(figure, "the loss of the same model on different tokens, in two units", alt)

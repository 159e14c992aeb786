"""Lesson 01: what a model reads. Texts in pieces, how many pieces there are, and one loss in two units."""

import html
import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets as widgets
import numpy as np
import tiktoken

from course.figures import BLUE, COLORS, GREY, VERMILION, Picture, new_figure
from course.lab.controls import lay_out
from course.lab.curves import MARKERS
from course.lab.lab import Lab
from course.lab.runs import Run
from gptlib.dataset import Dataset
from gptlib.errors import UserError
from gptlib.tokenizer import BPETokenizer, CharTokenizer, Tokenizer
from gptlib.trainer import Trainer

# --- a text in pieces -----------------------------------------------------------------------------------

VISIBLE = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥"})
TINTS = ("86,180,233", "230,159,0", "0,158,115", "204,121,167")  # of the course's colours, laid thinly over any theme


def pieces(tokenizer: Tokenizer | tiktoken.Encoding, text: str) -> list[tuple[int, bytes]]:
    """The tokens of `text`: the number of each, and its bytes."""
    match tokenizer:
        case BPETokenizer():
            return [(i, tokenizer.pieces[i]) for i in tokenizer.encode(text).tolist()]
        case CharTokenizer():
            return [(i, tokenizer.chars[i].encode()) for i in tokenizer.encode(text).tolist()]
    return [(i, tokenizer.decode_single_token_bytes(i)) for i in tokenizer.encode_ordinary(text)]


def visible(piece: bytes) -> str:
    """A token as one can read it: a space is ␣, a line break ↵, and bytes that are no whole character are ⟨hex⟩."""
    try:
        return piece.decode().translate(VISIBLE)
    except UnicodeDecodeError:
        return f"⟨{piece.hex(' ')}⟩"


class Cut:
    """A text cut into its tokens, as the result of a cell: each in a frame and a tint, its number on hover."""

    def __init__(self, tokenizer: Tokenizer | tiktoken.Encoding, text: str, title: str = ""):
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


# --- GPT-2's vocabulary, where it can be had ------------------------------------------------------------

PATIENCE = 2.0  # seconds that a cell may wait for the network
_loading: dict[str, Any] = {}


def gpt2() -> tiktoken.Encoding:
    """GPT-2's own 50,257 tokens. tiktoken downloads them once; a thread waits for that, so that no cell hangs.

    Raises:
        UserError: they are not on this machine, and cannot be fetched, or not so fast.
    """
    thread = _loading.get("thread")
    if thread is None or (not thread.is_alive() and "encoding" not in _loading):
        thread = _loading["thread"] = threading.Thread(target=_load_gpt2, name="gptlib-gpt2", daemon=True)
        thread.start()
    thread.join(PATIENCE)
    if "encoding" in _loading:
        return _loading["encoding"]
    if thread.is_alive():
        raise UserError("GPT-2's vocabulary is still on its way from the network; change the text to look again")
    raise UserError(
        "GPT-2's vocabulary is not on this machine, and tiktoken cannot download it from here; "
        "connect to the network and change the text, or go on: nothing else in this course needs it"
    )


def _load_gpt2() -> None:
    try:
        _loading["encoding"] = tiktoken.get_encoding("gpt2")
    except Exception:  # no network, a proxy's page in place of the file, no place to keep it: gpt2() says what to do
        _loading.pop("encoding", None)


# --- words ----------------------------------------------------------------------------------------------

WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")


def words(text: str) -> list[str]:
    """The words of a text: letters, with apostrophes between them; spaces and punctuation are left out."""
    return WORD.findall(text)


@dataclass(frozen=True)
class Growth:
    """A vocabulary of words after some reading."""

    read: int
    different: int
    unknown: float  # the share of the words of another text that are not among them


def growth_of_words(train: Sequence[str], val: Sequence[str], points: int = 14) -> list[Growth]:
    """How the vocabulary grows while `train` is read, and how much of `val` it knows; at 1,000 words and more."""
    stops = np.geomspace(min(1000, len(train)), len(train), points).astype(int)
    known: set[str] = set()
    growth, start = [], 0
    for stop in stops:
        known.update(train[start:stop])
        start = stop
        growth.append(Growth(int(stop), len(known), sum(word not in known for word in val) / len(val)))
    return growth


# --- one loss in two units ------------------------------------------------------------------------------


def characters_per_token(tokenizer: Tokenizer, text: str) -> float:
    """How long a token of `text` is on average."""
    return len(text) / len(tokenizer.encode(text))


def bits_per_character(loss: float, characters_per_token: float) -> float:
    """From nats per token to bits per character: the measure in which tokenizers can be compared."""
    return loss / math.log(2) / characters_per_token


class TokenizerLab(Lab):
    """A live run with a menu of tokenizers, whose loss is shown per token and per character.

    Every run reads about the same number of characters: the longer its tokens, the fewer its steps.

    Args:
        train: the text to learn from.
        val: the text held out.
        tokenizers: each under the name that the menu shows.
        characters: how many characters a run reads.
        settings: as those of `Lab`.
    """

    def __init__(
        self,
        train: str,
        val: str,
        tokenizers: Mapping[str, Tokenizer],
        *,
        characters: int = 150_000,
        title: str = "The same GPT, the same text, other tokens",
        **settings: Any,
    ):
        self.data = {name: Dataset.from_texts(train, val, tokenizer) for name, tokenizer in tokenizers.items()}
        self.lengths = {name: len(val) / len(data.val) for name, data in self.data.items()}
        self.characters = characters
        self.menu = lay_out(widgets.Dropdown(options=list(tokenizers), description="tokens"))
        settings = {"eval_iters": 30, **settings}
        super().__init__(dataset=self.data[self.menu.value], title=title, **settings)

    def controls(self) -> list[widgets.Widget]:
        """The menu of tokenizers, below the sliders."""
        return [*super().controls(), self.menu]

    def new_run(self, number: int, tokens: str = "", **settings: Any) -> Run:
        """The next run, with the tokens of this name, or else those that the menu says."""
        tokens = tokens or self.menu.value
        steps = max(1, round(self.characters / self.lengths[tokens] / self.base.tokens_per_step))
        interval = self.base.eval_interval  # a preset's, or five times a run
        interval = math.ceil(steps / 5) if interval == self.own.eval_interval else interval
        run = super().new_run(number, **settings)
        run.config = replace(run.config, max_iters=steps, eval_interval=interval)
        run.settings, run.unit = {"tokens": tokens} | run.settings, self.data[tokens].tokenizer.unit
        return run

    def make_trainer(self, run: Run) -> Trainer:
        """What trains on the run's own tokens."""
        self.dataset = self.data[run.settings["tokens"]]
        return super().make_trainer(run)

    def frame(self, run: Run | None) -> tuple[bytes, str]:
        """The runs in both units."""
        picture = self.plot([run for run in self.runs if not run.hidden], self.plot_title(run))
        return picture.png, picture.alt

    def bits(self, run: Run) -> float:
        """The last validation loss of a run, in bits per character."""
        return bits_per_character(run.val.mean, self.lengths[run.settings["tokens"]])

    def plot(self, runs: Sequence[Run], title: str = "") -> Picture:
        """Some runs of this lab, in both units."""
        return plot_two_units(runs, self.lengths, self.characters, title)

    def __repr__(self) -> str:
        return "<live lab: tokens>"


# --- figures --------------------------------------------------------------------------------------------


def plot_growth_of_words(growth: Sequence[Growth], characters: int) -> Picture:
    """How many words there are, and how many are still unknown, against how much was read.

    `characters` is how many different characters the text has, for comparison.
    """
    figure, (left, right) = new_figure(7.6, 3.3, columns=2)
    read = [g.read / 1000 for g in growth]
    left.plot(read, [g.different / 1000 for g in growth], "o-", color=BLUE, ms=4, label="different words")
    left.axhline(characters / 1000, color=GREY, lw=1.5, ls="--", label=f"different characters: {characters}")
    left.legend(loc="upper left", fontsize=8)
    left.set(xlabel="words read (thousands)", ylabel="different words (thousands)", ylim=(0, None))
    left.set_title("there is always another word", loc="left", fontsize=10)
    right.plot(read, [100 * g.unknown for g in growth], "s-", color=VERMILION, ms=4)
    ticks = [1, 10, 100, 700]
    right.set(xscale="log", xticks=ticks, xticklabels=[f"{t:g}" for t in ticks], ylim=(0, None))
    right.minorticks_off()
    right.set(xlabel="words read (thousands)", ylabel="held-out words never read (%)")
    right.set_title("and some of them will be asked", loc="left", fontsize=10)
    first, last = growth[0], growth[-1]
    alt = (
        f"After {first.read:,} words there are {first.different:,} different ones, after {last.read:,} there are "
        f"{last.different:,}; the share of held-out words that were never read falls from {first.unknown:.0%} to "
        f"{last.unknown:.1%}."
    )
    return Picture(figure, "the vocabulary of words grows, and some words stay unknown", alt)


def plot_characters_per_token(
    tokenizer: BPETokenizer, learned_from: str, held_out: str, sizes: Sequence[int]
) -> Picture:
    """The mean length of a token against the size of the vocabulary, on the text it was learnt from and on another."""
    figure, ax = new_figure()
    alts = []
    texts = (("the text that it was learnt from", learned_from, "s--", GREY), ("held-out plays", held_out, "o-", BLUE))
    for name, text, style, color in texts:
        lengths = [characters_per_token(tokenizer.first(size), text) for size in sizes]
        ax.plot(sizes, lengths, style, color=color, ms=5, label=name)
        alts.append(f"{name}: {lengths[0]:.1f} at {sizes[0]}, {lengths[-1]:.1f} at {sizes[-1]}")
    for size, length in zip(sizes, lengths, strict=True):
        ax.annotate(f"{length:.1f}", (size, length), (0, -15), textcoords="offset points", ha="center", fontsize=9)
    ax.set(xscale="log", ylim=(0, None), xlabel="tokens in the vocabulary", ylabel="characters per token")
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.legend(loc="lower right", fontsize=9)
    return Picture(figure, "characters per token against the size of the vocabulary", "; ".join(alts))


def plot_two_units(
    runs: Sequence[Run], lengths: Mapping[str, float], characters: int = 150_000, title: str = ""
) -> Picture:
    """The losses of runs on the same text in other tokens: per token on the left, per character on the right.

    Args:
        runs: each knows the name of its tokens.
        lengths: characters per token, by that name.
        characters: that a run reads: the end of the axis.
        title: stands over both.
    """
    figure, axes = new_figure(8.2, 3.9, columns=2)
    alts = []
    for run in runs:
        length = lengths[run.settings["tokens"]]
        style = {"color": COLORS[(run.number - 1) % len(COLORS)], "marker": MARKERS[(run.number - 1) % len(MARKERS)]}
        thousands = run.config.tokens_per_step * length / 1000  # characters in a step
        for ax, factor in zip(axes, (1.0, bits_per_character(1.0, length)), strict=True):
            ax.plot(
                np.array(run.steps) * thousands, np.array(run.losses) * factor, color=style["color"], lw=1, alpha=0.4
            )
            x = np.array([e.step for e in run.evaluations]) * thousands
            means = np.array([e.val.mean for e in run.evaluations]) * factor
            errors = np.array([e.val.standard_error for e in run.evaluations]) * factor
            last = f": {means[-1]:.2f}" if len(means) else ""
            ax.plot(x, means, lw=1.6, ls="--", ms=4, label=f"{run.settings['tokens']}{last}", **style)
            ax.vlines(x, means - errors, means + errors, color=style["color"], lw=2.5)
        if run.evaluations:
            nats = run.val.mean
            bits = bits_per_character(nats, length)
            alts.append(f"{run.settings['tokens']}: {nats:.2f} nats per token, {bits:.2f} bits per character")
    units = (("nats per token: not comparable", (0, 8)), ("bits per character: the fair measure", (2.6, 4.6)))
    for ax, (unit, limits) in zip(axes, units, strict=True):
        ax.set(xlim=(-0.02 * characters / 1000, 1.03 * characters / 1000), ylim=limits)
        ax.set(xlabel="characters read (thousands)", ylabel=f"loss ({unit.split(':')[0]})")
        ax.set_title(unit, loc="left", fontsize=10)
        if runs:
            ax.legend(loc="upper right", fontsize=8, title="held-out plays (dashed), last:", title_fontsize=8)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    alt = f"Loss against characters read. {'; '.join(alts) or 'No run yet'}."
    return Picture(figure, "the loss of the same model on other tokens, in two units", alt)

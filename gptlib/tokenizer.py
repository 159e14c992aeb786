"""Text to tokens and back: one token for each character, or byte pairs."""

import base64
import codecs
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken

from gptlib.errors import UserError, quoted
from gptlib.files import COURSE_DATA, atomic_write

END_OF_TEXT = "<|endoftext|>"


class Tokenizer(ABC):
    """What every tokenizer can do.

    Attributes:
        vocab_size: how many different tokens there are (V).
        unit: what one token is, for labels: "nats per " + unit.
        end_of_text: the token in front of every document, GPT-2's `<|endoftext|>`; None if there is none.
        start: the text that sampling continues by default; None: a document begins.
    """

    vocab_size: int
    unit = "token"
    end_of_text: int | None = None
    start: str | None = None

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """Token ids of `text`, shape (number of tokens,), int64. No text is encoded to `end_of_text`."""

    @abstractmethod
    def decode(self, tokens: Iterable[int]) -> str:
        """The text that `tokens` stand for."""

    def decode_stream(self, tokens: Iterable[int]) -> Iterator[str]:
        """The same text in pieces, as the tokens come; a character made of several tokens comes with the last one."""
        for token in tokens:
            yield self.decode([token])

    def prompt(self, text: str = "") -> np.ndarray:
        """The tokens of `text`; without one, those after which a text begins."""
        if not text and self.start is None and self.end_of_text is not None:
            return np.array([self.end_of_text])
        return self.encode(text or self.start or "\n")

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What defines the tokens; tokenizers with equal JSON are the same."""

    def fingerprint(self) -> str:
        """The sha256 of `to_json`: a short name for these tokens."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @property
    def dtype(self) -> str:
        """How token ids are stored on disk, little-endian: in two bytes if they fit, else in four."""
        return "<u2" if self.vocab_size <= 2**16 else "<u4"

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically; `load_tokenizer` reads it."""
        content = self.to_json() | ({} if self.start is None else {"start": self.start})
        atomic_write(path, json.dumps(content) + "\n")


class CharTokenizer(Tokenizer):
    """One token for each character: token `i` is the `i`-th character of `chars`, sorted by code point.

    >>> tokenizer = CharTokenizer.from_text("hello")
    >>> tokenizer.encode("hole").tolist()
    [1, 3, 2, 0]
    >>> tokenizer.decode([1, 3, 2, 0])
    'hole'
    """

    unit = "character"

    def __init__(self, chars: str, *, end_of_text: bool = False):
        self.chars = "".join(sorted(set(chars)))
        self._code_points = _code_points(self.chars)
        self._token_of = np.full(self._code_points.max(initial=0) + 2, -1)  # the last entry: any other character
        self._token_of[self._code_points] = np.arange(len(self.chars))
        self.end_of_text = len(self.chars) if end_of_text else None
        self.vocab_size = len(self.chars) + end_of_text
        if not end_of_text:  # a text begins after a line break, a space or, if it has neither, any character
            self.start = next((c for c in "\n " if c in self.chars), self.chars[:1])

    @classmethod
    def from_text(cls, text: str) -> "CharTokenizer":
        """The tokenizer of all characters in `text`."""
        return cls("".join(set(text)))

    def encode(self, text: str) -> np.ndarray:
        """Token ids of `text`, shape (len(text),), int64.

        Raises UserError for a character that is not in the vocabulary.
        """
        tokens = self._token_of[np.minimum(_code_points(text), len(self._token_of) - 1)]
        if (tokens < 0).any():
            shown = ", ".join(map(repr, sorted(set(text) - set(self.chars))[:5]))
            raise UserError(f"not in the vocabulary of {len(self.chars)} characters: {shown}; leave them out")
        return tokens

    def decode(self, tokens: Iterable[int]) -> str:
        """The text that `tokens` stand for."""
        tokens = _as_array(tokens)
        marks = np.flatnonzero(tokens == self.end_of_text) if self.end_of_text is not None else ()
        first, *others = np.split(tokens, marks)
        documents = [first, *(document[1:] for document in others)]
        return END_OF_TEXT.join(self._code_points[document].tobytes().decode("utf-32-le") for document in documents)

    def to_json(self) -> dict[str, Any]:
        """The characters."""
        return {"type": "char", "chars": self.chars} | ({} if self.end_of_text is None else {"end_of_text": True})


BYTES = tuple(bytes([i]) for i in range(256))
# GPT-2's rule, as tiktoken writes it: cut before pairs are merged, so that no token reaches across words. A word takes
# the space before it along; digits, punctuation and white space are apart.
GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
# The files of GPT-2 and of Hugging Face write each byte as one visible character, the invisible ones as characters
# from 256 on. GPT-2's first 256 tokens are the bytes in this order.
_VISIBLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_HIDDEN = [byte for byte in range(256) if byte not in _VISIBLE]
BYTE_OF = {chr(byte): byte for byte in _VISIBLE} | {chr(256 + i): byte for i, byte in enumerate(_HIDDEN)}
GPT2 = COURSE_DATA / "gpt2"  # where its vocabulary is, once it has been prepared
# Texts are counted in blocks, by all cores, with the same result: no word reaches across a single line break.
BLOCKS = re.compile(r".{1,65536}\S\n(?=\S)|.+", re.DOTALL)


class BPETokenizer(Tokenizer):
    """Byte pair encoding: every token but the single bytes joins two tokens with smaller ids.

    Any text is made of bytes, so there is none that it cannot encode. `tiktoken` does the work.

    Args:
        pieces: the bytes of every token. The smaller its id, the earlier a pair is joined.
        special: ids of special tokens, which no text is encoded to; `end_of_text` is one of them.
        end_of_text: the one of them in front of every document.
        pattern: the rule by which a text is cut into words first.

    Raises UserError for the same token twice, a missing byte, or a pattern that is no regular expression.

    >>> tokenizer = BPETokenizer.train("low lower lowest " * 9, vocab_size=260)
    >>> tokenizer.pieces[256:]
    [b'lo', b'low', b' low', b' lowe']
    >>> tokenizer.encode("a low").tolist()
    [97, 258]
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        *,
        special: Iterable[int] = (),
        end_of_text: int | None = None,
        pattern: str = GPT2_PATTERN,
    ):
        self.pieces, self.pattern, self.end_of_text = list(pieces), pattern, end_of_text
        self.special = sorted({*special} | ({end_of_text} - {None}))
        self.vocab_size = len(self.pieces)
        ranks = {piece: i for i, piece in enumerate(self.pieces) if i not in self.special}
        if len(ranks) + len(self.special) < self.vocab_size or not ranks.keys() >= {*BYTES}:
            raise UserError("not a byte pair vocabulary: a token is there twice, or a byte is missing")
        # tiktoken joins any two tokens that make a third, the lowest id first. That is the same as joining the learned
        # pairs in their order: wherever a third token could arise, its bytes have been joined in just one way.
        try:
            self.encoding = tiktoken.Encoding("learned", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        except ValueError as error:
            raise UserError(f"not a byte pair vocabulary: bad pattern ({error})") from None

    @classmethod
    def train(cls, texts: str | Iterable[str], vocab_size: int, *, end_of_text: bool = False) -> "BPETokenizer":
        """Learn the byte pairs of `texts`: join the most frequent pair, count again, until `vocab_size` is reached.

        Pairs that occur only once are not joined, so a short text gives fewer tokens. A smaller vocabulary is the
        beginning of a larger one.

        Raises UserError if `vocab_size` is smaller than the number of bytes.
        """
        least = len(BYTES) + end_of_text
        if vocab_size < least:
            raise UserError(f"vocab_size = {vocab_size}: must be at least {least}, since each byte is a token")
        from tokenizers import Regex, models, pre_tokenizers, trainers
        from tokenizers import Tokenizer as Learner

        learner = Learner(models.BPE())
        learner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(GPT2_PATTERN), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - end_of_text,
            min_frequency=2,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        texts = [texts] if isinstance(texts, str) else texts
        blocks = (block[0] for text in texts for block in BLOCKS.finditer(text))
        learner.train_from_iterator(blocks, trainer)
        merges = json.loads(learner.to_str())["model"]["merges"]
        pieces = [*BYTES, *(bytes_of("".join(pair)) for pair in merges)]
        return cls([*pieces, END_OF_TEXT.encode()], end_of_text=len(pieces)) if end_of_text else cls(pieces)

    @classmethod
    @cache
    def gpt2(cls) -> "BPETokenizer":
        """GPT-2's own vocabulary, 50,257 tokens.

        Raises UserError if it was never prepared.
        """
        if not (GPT2 / "tokenizer.json").exists():
            raise UserError(f"GPT-2's vocabulary is not here yet; run: {quoted('python', str(GPT2 / 'prepare.py'))}")
        return load_tokenizer(GPT2 / "tokenizer.json")

    def first(self, vocab_size: int) -> "BPETokenizer":
        """The tokenizer that `train` gives with this smaller vocabulary: its tokens are this one's first."""
        return BPETokenizer(self.pieces[:vocab_size])

    def encode(self, text: str) -> np.ndarray:
        """Token ids of `text`, shape (number of tokens,), int64."""
        return self.encoding.encode_to_numpy(text, disallowed_special=()).astype(np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text that `tokens` stand for; what is not UTF-8 becomes U+FFFD, the question mark on a diamond."""
        return b"".join(self.pieces[token] for token in _as_array(tokens).tolist()).decode("utf-8", errors="replace")

    def decode_stream(self, tokens: Iterable[int]) -> Iterator[str]:
        """The text in whole characters: bytes of an unfinished one wait for the next token."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in tokens:
            yield decoder.decode(self.pieces[token])
        yield decoder.decode(b"", final=True)

    def to_json(self) -> dict[str, Any]:
        """The pattern and the bytes of every token, in base64; which of them are special."""
        pieces = [base64.b64encode(piece).decode() for piece in self.pieces]
        special = {"special": self.special, "end_of_text": self.end_of_text}
        return {"type": "bpe", "pattern": self.pattern, "pieces": pieces} | special


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _as_array(tokens: Iterable[int]) -> np.ndarray:
    return tokens if isinstance(tokens, np.ndarray) else np.fromiter(tokens, dtype=np.int64)


def bytes_of(token: str) -> bytes:
    """The bytes of a token in the files of GPT-2 and of Hugging Face."""
    return bytes(BYTE_OF[c] for c in token)


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer that `save` wrote.

    Raises UserError if there is no such file, or it is not a tokenizer.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        kind = content.get("type")
        if kind == "char":
            tokenizer = CharTokenizer(content["chars"], end_of_text=content.get("end_of_text", False))
        elif kind == "bpe" and "learned" in content:  # of a run from before there were special tokens
            pieces = [bytes([byte]) for byte in base64.b64decode(content["alphabet"])]
            pieces += map(base64.b64decode, content["learned"])
            tokenizer = BPETokenizer(pieces)
            if content["end_of_text"]:
                tokenizer = BPETokenizer([*pieces, END_OF_TEXT.encode()], end_of_text=len(pieces))
        elif kind == "bpe":
            options = {name: content[name] for name in ("special", "end_of_text", "pattern")}
            tokenizer = BPETokenizer(map(base64.b64decode, content["pieces"]), **options)
        else:
            raise UserError(f"unknown type {kind!r}; known: char, bpe")
        tokenizer.start = content.get("start", tokenizer.start)
        return tokenizer
    except FileNotFoundError:
        raise UserError(f"no tokenizer at {path}; give a tokenizer.json, or prepare the dataset again") from None
    except (UserError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"cannot read the tokenizer {path}: {error}") from None

"""Text to token numbers and back."""

import base64
import codecs
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken

from gptlib.errors import UserError
from gptlib.files import atomic_write


class Tokenizer(ABC):
    """What every tokenizer can do.

    Attributes:
        vocab_size: how many different tokens there are (V).
        unit: what one token is, for labels and sentences: "nats per " + unit.
        end_of_text: the token that stands between documents; None where there is none.
    """

    vocab_size: int
    unit = "token"
    end_of_text: int | None = None

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """Token numbers of `text`, shape (number of tokens,), int64."""

    @abstractmethod
    def decode(self, tokens: Iterable[int]) -> str:
        """The text that `tokens` stand for."""

    def decode_stream(self, tokens: Iterable[int]) -> Iterator[str]:
        """The same text in pieces, as the tokens come; a character that several tokens make comes with its last."""
        for token in tokens:
            yield self.decode([token])

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """All that makes this tokenizer; two of them are the same if this is equal."""

    def digest(self) -> str:
        """The sha256 of that: a short name of these tokens."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @property
    def dtype(self) -> str:
        """The numbers in which its tokens lie on the disk, little-endian: two bytes each if they can be, or four."""
        return "<u2" if self.vocab_size <= 2**16 else "<u4"

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically; `load_tokenizer` reads it."""
        atomic_write(path, json.dumps(self.to_json()) + "\n")


class CharTokenizer(Tokenizer):
    """One token a character: token `i` is the `i`-th character of `chars`, sorted by code point.

    >>> tokenizer = CharTokenizer.from_text("hello")
    >>> tokenizer.encode("hole").tolist()
    [1, 3, 2, 0]
    >>> tokenizer.decode([1, 3, 2, 0])
    'hole'
    """

    unit = "character"

    def __init__(self, chars: str):
        self.chars = "".join(sorted(set(chars)))
        self.vocab_size = len(self.chars)
        self._code_points = _code_points(self.chars)

    @classmethod
    def from_text(cls, text: str) -> "CharTokenizer":
        """The tokenizer of all characters that stand in `text`."""
        return cls("".join(set(text)))

    def encode(self, text: str) -> np.ndarray:
        """Token numbers of `text`, shape (len(text),), int64.

        Raises:
            UserError: a character of `text` is not in the vocabulary.
        """
        points = _code_points(text)
        if unknown := sorted(set(text) - set(self.chars)):
            shown = ", ".join(repr(c) for c in unknown[:5])
            raise UserError(f"not in the vocabulary of {self.vocab_size} characters: {shown}; leave them out")
        return np.searchsorted(self._code_points, points)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text that `tokens` stand for."""
        return self._code_points[_as_array(tokens)].tobytes().decode("utf-32-le", "surrogatepass")

    def to_json(self) -> dict[str, Any]:
        """The characters."""
        return {"type": "char", "chars": self.chars}


BYTES = tuple(bytes([i]) for i in range(256))
# GPT-2's rule, as tiktoken writes it: cut before pairs are merged, so that no token reaches across words. A word takes
# the space before it along; digits, punctuation and white space stand by themselves.
GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
END_OF_TEXT = b"<|endoftext|>"
# Longer words, and runs of spaces, are cut while pairs are learned, which takes time by the square of their length.
LONG = r"\S{1000}|\s{1000}"
# Counted by all cores, and with the same result: no word reaches across a single end of a line between two others.
BLOCKS = re.compile(r".{1,65536}\S\n(?=\S)|.+", re.DOTALL)


class BPETokenizer(Tokenizer):
    """Byte pair encoding: tokens 0 to 255 are the bytes, each later one joins two earlier ones.

    Any text is made of bytes, so there is none that it cannot encode. `tiktoken` does the work.

    Args:
        learned: the bytes of token 256 and of those after it; the earlier a pair was learned, the earlier it is joined.
        alphabet: the single bytes in the order of tokens 0 to 255, which GPT-2 has otherwise.
        end_of_text: one more token, the last, to stand between documents. No text is encoded to it, whatever it says.

    Raises:
        UserError: the same token twice, or a byte that is missing.

    >>> tokenizer = BPETokenizer.train("low lower lowest " * 9, vocab_size=260)
    >>> tokenizer.pieces[256:]
    [b'lo', b'low', b' low', b' lowe']
    >>> tokenizer.encode("a low").tolist()
    [97, 258]
    """

    def __init__(self, learned: Iterable[bytes], alphabet: Sequence[bytes] = BYTES, *, end_of_text: bool = False):
        self.alphabet, self.learned = tuple(alphabet), tuple(learned)
        self.pieces = [*self.alphabet, *self.learned]
        ranks = {piece: i for i, piece in enumerate(self.pieces)}
        if len(ranks) < len(self.pieces):
            raise UserError("not a byte pair vocabulary: it has the same token twice; learn it again")
        if sorted(self.alphabet) != list(BYTES):
            raise UserError("not a byte pair vocabulary: it has not every byte; learn it again")
        self.end_of_text = len(self.pieces) if end_of_text else None
        self.pieces += [END_OF_TEXT] if end_of_text else []
        self.vocab_size = len(self.pieces)
        # tiktoken joins any two tokens that make a third, the lowest number first. That is the same as to join the
        # learned pairs in their order: wherever a third token could arise, its bytes have been joined in just one way.
        self.encoding = tiktoken.Encoding("learned", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})

    @classmethod
    def train(cls, texts: str | Iterable[str], vocab_size: int, *, end_of_text: bool = False) -> "BPETokenizer":
        """Learn the byte pairs of `texts`: join the most frequent pair, count again, until `vocab_size` is reached.

        Pairs that stand only once are not joined, so a short text gives fewer tokens. The same text gives the same
        tokens every time, and the tokens of a smaller vocabulary are the first ones of a larger.

        Raises:
            UserError: `vocab_size` is smaller than the number of bytes.
        """
        if vocab_size < len(BYTES) + end_of_text:
            least = f"{len(BYTES) + end_of_text}, one token for each byte" + " and the end of text" * end_of_text
            raise UserError(f"vocab_size = {vocab_size}: must be at least {least}")
        from tokenizers import Regex, models, pre_tokenizers, trainers
        from tokenizers import Tokenizer as Learner

        learner = Learner(models.BPE())
        learner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LONG), "isolated"),
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
        blocks = (block[0] for text in texts for block in BLOCKS.finditer(_without_surrogates(text)))
        learner.train_from_iterator(blocks, trainer)
        merges = json.loads(learner.to_str())["model"]["merges"]
        return cls(map(_joined, merges), end_of_text=end_of_text)

    @classmethod
    def gpt2(cls) -> "BPETokenizer":
        """GPT-2's own vocabulary, 50,257 tokens, which tiktoken downloads once and keeps.

        Raises:
            UserError: it is not there and cannot be downloaded.
        """
        try:
            encoding = tiktoken.get_encoding("gpt2")
        except (OSError, ValueError) as error:  # no network; or a file that is not what its hash says
            raise UserError(
                f"cannot load GPT-2's vocabulary ({type(error).__name__}: tiktoken downloads 1.5 MB at its first use); "
                "connect to the network once, or learn a vocabulary from the text"
            ) from None
        pieces = [encoding.decode_single_token_bytes(i) for i in range(encoding.eot_token)]
        return cls(pieces[len(BYTES) :], pieces[: len(BYTES)], end_of_text=True)

    def first(self, vocab_size: int) -> "BPETokenizer":
        """The tokenizer that `train` gives with this smaller vocabulary: its tokens are this one's first.

        Raises:
            UserError: `vocab_size` is smaller than the number of bytes, or larger than this vocabulary.
        """
        largest = len(BYTES) + len(self.learned)
        if not len(BYTES) <= vocab_size <= largest:
            raise UserError(f"vocab_size = {vocab_size}: must be from {len(BYTES)} to {largest}")
        return BPETokenizer(self.learned[: vocab_size - len(BYTES)], self.alphabet)

    def encode(self, text: str) -> np.ndarray:
        """Token numbers of `text`, shape (number of tokens,), int64.

        Raises:
            UserError: `text` holds half of a UTF-16 pair, which is no character.
        """
        try:
            tokens = self._encode(_without_surrogates(text))
        except ValueError:  # some hundred thousand spaces in a row are more than tiktoken's search can take
            tokens = np.concatenate([self._encode(part) for part in re.split(r"(\s{1000})", text)])
        return tokens.astype(np.int64)

    def _encode(self, text: str) -> np.ndarray:
        return self.encoding.encode_to_numpy(text, disallowed_special=())

    def decode(self, tokens: Iterable[int]) -> str:
        """The text that `tokens` stand for; what is not UTF-8 becomes U+FFFD, the question mark on a diamond."""
        return b"".join(self.pieces[token] for token in _as_array(tokens).tolist()).decode("utf-8", errors="replace")

    def decode_stream(self, tokens: Iterable[int]) -> Iterator[str]:
        """The text in whole characters: bytes of which more are needed wait for the next token."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in tokens:
            yield decoder.decode(self.pieces[token])
        yield decoder.decode(b"", final=True)

    def to_json(self) -> dict[str, Any]:
        """The pattern, the order of the bytes, and the bytes of each learned token, in base64."""
        return {
            "type": "bpe",
            "pattern": GPT2_PATTERN,
            "alphabet": base64.b64encode(b"".join(self.alphabet)).decode(),
            "learned": [base64.b64encode(piece).decode() for piece in self.learned],
            "end_of_text": self.end_of_text is not None,
        }


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _as_array(tokens: Iterable[int]) -> np.ndarray:
    return tokens if isinstance(tokens, np.ndarray) else np.fromiter(tokens, dtype=np.int64)


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{text[error.start]!r} is half of a character (a UTF-16 surrogate); leave it out") from None
    return text


def _joined(pair: list[str]) -> bytes:
    """The bytes of a merge. The package `tokenizers` writes a byte that cannot be seen as a character from 256 on."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    byte_of = {byte: byte for byte in visible} | {256 + i: byte for i, byte in enumerate(hidden)}
    return bytes(byte_of[ord(c)] for c in "".join(pair))


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer that `save` wrote.

    Raises:
        UserError: no such file, or not a tokenizer.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["type"] == "char":
            return CharTokenizer(content["chars"])
        if content["type"] == "bpe":
            if content["pattern"] != GPT2_PATTERN:
                raise UserError("its pattern is not GPT-2's")
            alphabet = [bytes([i]) for i in base64.b64decode(content["alphabet"], validate=True)]
            learned = [base64.b64decode(piece, validate=True) for piece in content["learned"]]
            return BPETokenizer(learned, alphabet, end_of_text=content["end_of_text"])
    except FileNotFoundError:
        raise UserError(f"no tokenizer at {path}; prepare the dataset again") from None
    except (UserError, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a tokenizer file ({error}); prepare the dataset again") from None
    raise UserError(f"{path} has an unknown type {content['type']!r}; known: char, bpe")

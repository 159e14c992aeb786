"""Text to token numbers and back."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gptlib.errors import UserError
from gptlib.files import atomic_write


class CharTokenizer:
    """One token a character: token `i` is the `i`-th character of `chars`, sorted by code point.

    >>> tokenizer = CharTokenizer.from_text("hello")
    >>> tokenizer.encode("hole").tolist()
    [1, 3, 2, 0]
    >>> tokenizer.decode([1, 3, 2, 0])
    'hole'
    """

    def __init__(self, chars: str):
        self.chars = "".join(sorted(set(chars)))
        self._code_points = _code_points(self.chars)

    @classmethod
    def from_text(cls, text: str) -> "CharTokenizer":
        """The tokenizer of all characters that stand in `text`."""
        return cls("".join(set(text)))

    @property
    def vocab_size(self) -> int:
        """How many different tokens there are."""
        return len(self.chars)

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
        return "".join(self.chars[token] for token in tokens)

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON, atomically."""
        atomic_write(path, json.dumps({"type": "char", "chars": self.chars}) + "\n")


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def load_tokenizer(path: Path) -> CharTokenizer:
    """Read a tokenizer that `save` wrote.

    Raises:
        UserError: no such file, or not a tokenizer.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["type"] == "char":
            return CharTokenizer(content["chars"])
    except FileNotFoundError:
        raise UserError(f"no tokenizer at {path}; prepare the dataset again") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a tokenizer file ({error}); prepare the dataset again") from None
    raise UserError(f"{path} has an unknown type {content['type']!r}; known: char")

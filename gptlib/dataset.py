"""Prepared tokens on disk, and the batches that are cut from them."""

import hashlib
import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gptlib.errors import UserError, quoted
from gptlib.files import COURSE_DATA, read_json
from gptlib.tokenizer import CharTokenizer, Tokenizer, load_tokenizer

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Dataset:
    """The tokens of a text, split into those to learn from and those held out.

    `train` and `val` are one-dimensional arrays of token ids; those of a prepared folder stay on disk (memmap).
    """

    train: np.ndarray
    val: np.ndarray
    tokenizer: Tokenizer
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, name: str | Path) -> "Dataset":
        """Open a prepared folder, given by its path or by its name in the course's data/. Nothing in it is run.

        Raises UserError if there is none, if it is not prepared, or if its files do not belong together.
        """
        folder = _find(Path(name))
        meta = read_json(folder / "meta.json")
        if meta is None:
            raise UserError(f"{folder} is not prepared; run: {_preparation(folder)}")
        tokenizer = load_tokenizer(folder / "tokenizer.json")
        try:
            tokens = {split: np.memmap(folder / f"{split}.bin", tokenizer.dtype, mode="r") for split in SPLITS}
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read the tokens in {folder} ({error}); run: {_preparation(folder)}") from None
        expected = {f"{split}_tokens": len(tokens[split]) for split in SPLITS}
        expected |= {"vocab_size": tokenizer.vocab_size, "tokenizer": tokenizer.fingerprint()}
        if not isinstance(meta, dict) or any(meta.get(name) != value for name, value in expected.items()):
            raise UserError(f"the files in {folder} do not belong together; run: {_preparation(folder)}")
        return cls(**tokens, tokenizer=tokenizer, meta=meta)

    @classmethod
    def from_text(cls, text: str, tokenizer: Tokenizer | None = None, val_fraction: float = 0.1) -> "Dataset":
        """A dataset in memory, by default one token for each character; the end of the text is held out."""
        if not text:
            raise UserError("the text is empty; give it at least two characters")
        cut = int(len(text) * (1 - val_fraction))
        return cls.from_texts(text[:cut], text[cut:], tokenizer or CharTokenizer.from_text(text))

    @classmethod
    def from_texts(cls, train: str, val: str, tokenizer: Tokenizer) -> "Dataset":
        """A dataset in memory, of two texts."""
        return cls(tokenizer.encode(train), tokenizer.encode(val), tokenizer)

    @property
    def vocab_size(self) -> int:
        """How many different tokens there are (V)."""
        return self.tokenizer.vocab_size

    def bits_per_character(self, loss: float) -> float:
        """A loss on `val` in nats per token as bits per character: that compares models with different tokens."""
        characters = self.meta.get("val_characters") or len(self.tokenizer.decode(self.val))
        return loss / math.log(2) * len(self.val) / characters

    def fingerprint(self) -> str:
        """A hash of the split lengths and of 500 tokens of each: reading a whole corpus would take minutes."""
        digest = hashlib.sha256()
        for tokens in (self.train, self.val):
            positions = np.linspace(0, len(tokens) - 1, 500).astype(np.int64)
            digest.update(np.array([len(tokens), *tokens[positions]], "<i8").tobytes())
        return digest.hexdigest()

    def subset(self, train_fraction: float) -> "Dataset":
        """The same dataset with only the first part of its training text."""
        return replace(self, train=self.train[: max(1, int(len(self.train) * train_fraction))])


def _find(name: Path) -> Path:
    for folder in (name, COURSE_DATA / name):
        if os.path.isdir(folder):
            return folder
    known = ", ".join(sorted(path.parent.name for path in COURSE_DATA.glob("*/train.toml"))) or "none"
    raise UserError(f"no dataset {str(name)!r}; give a folder that prepare.py wrote, or one of: {known}")


def _preparation(folder: Path) -> str:
    """The command that prepares a folder: one of the course's own has a script, every other one needs a text."""
    if folder.parent.resolve() == COURSE_DATA and (folder / "prepare.py").exists():
        return quoted("python", str(folder / "prepare.py"))
    script = COURSE_DATA / "data-by-char" / "prepare.py"
    return quoted("python", str(script), "--input=YOUR_TEXT", f"--out_dir={folder}")


# --- batches ------------------------------------------------------------------------------------------

TRAIN_STREAM, EVAL_STREAM = 0, 1


def max_offset(tokens: np.ndarray, block_size: int, name: str = "this one") -> int:
    """The last position where a window of block_size + 1 tokens begins.

    Raises UserError if the text is shorter than one window.
    """
    last = len(tokens) - block_size - 1
    if last < 0:
        raise UserError(
            f"block_size = {block_size} needs a text of at least {block_size + 1} tokens, and {name} has "
            f"{len(tokens)}; choose a smaller block_size or more text"
        )
    return last


def sample_offsets(
    tokens: np.ndarray, block_size: int, count: int, key: tuple[int, ...], document_start: int | None = None
) -> np.ndarray:
    """`count` random positions where a window of block_size + 1 tokens begins, all equally likely.

    The positions are a function of `key` (seed, stream, step, ...) alone. So a resumed run reads the same batches
    with nothing to restore, and processes that share a step can each compute all of it and take their part.

    With `document_start`, the token in front of every document, a window that would reach across the border of two
    documents is moved to the start or the end of its own. Shorter documents follow each other in a window, the first
    one whole.

    Raises UserError if the text is shorter than one window.
    """
    last = max_offset(tokens, block_size)
    offsets = np.random.default_rng(key).integers(0, last, size=count, endpoint=True)
    if document_start is None:
        return offsets
    # The window with block_size tokens before it, so it begins in column block_size:
    #     [ before, block_size | window, block_size | next ]
    # It belongs to the document of its middle token, which begins in column `start`; the next one begins in `end`.
    around = (offsets[:, None] + np.arange(-block_size, block_size + 1)).clip(0, len(tokens) - 1)
    begins, middle = tokens[around] == document_start, block_size + block_size // 2
    before, after = begins[:, middle::-1], begins[:, middle + 1 :]
    start = np.where(before.any(1), middle - before.argmax(1), 0)
    end = np.where(after.any(1), middle + 1 + after.argmax(1), 2 * block_size)
    moved = np.maximum(start, end - block_size)  # the target of the last token is the next document's start
    return (offsets + moved - block_size).clip(0, last)


def make_batch(tokens: np.ndarray, offsets: np.ndarray, block_size: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets, (B, T) int64 each: the target of every token is the one that follows it.

    With `sample_offsets`, this is nanoGPT's get_batch.
    """
    windows = torch.from_numpy(tokens[offsets[:, None] + np.arange(block_size + 1)].astype(np.int64))
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()

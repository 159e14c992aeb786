"""Prepared tokens on disk, and the batches that are cut from them."""

import errno
import hashlib
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gptlib.errors import UserError
from gptlib.files import COURSE_DATA
from gptlib.tokenizer import CharTokenizer, Tokenizer, load_tokenizer

SPLITS = ("train", "val")
LOOKED_AT = 500  # places of a split that tell one text from another: to read a whole corpus takes minutes


class ShardedTokens:
    """The arrays of several files, indexed as the one array that they would be if they lay end to end.

    A window may begin in one shard and end in the next: nobody who reads tokens needs to know where a file ends.
    """

    def __init__(self, shards: Sequence[np.ndarray]):
        self.shards = tuple(shards)
        self.dtype = self.shards[0].dtype
        self._begins = np.cumsum([0, *map(len, self.shards)])  # and, as the last, where all of it ends

    def __len__(self) -> int:
        return int(self._begins[-1])

    def __getitem__(self, index: int | slice | np.ndarray) -> "np.integer | np.ndarray | ShardedTokens":
        """Tokens at any positions, as an array of the same shape; a slice reads nothing and is again sharded."""
        if isinstance(index, slice):
            return self._part(*index.indices(len(self)))
        index = np.asarray(index)
        index = np.where(index < 0, index + len(self), index)
        if ((index < 0) | (index >= len(self))).any():
            raise IndexError(f"a position is not among the {len(self)} tokens")
        tokens, owner = np.empty(index.shape, self.dtype), np.searchsorted(self._begins, index, side="right") - 1
        for i in np.unique(owner):
            tokens[owner == i] = self.shards[i][index[owner == i] - self._begins[i]]
        return tokens[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it in memory, for those who need a plain array."""
        return np.concatenate(self.shards, dtype=dtype)

    def _part(self, start: int, stop: int, step: int) -> "ShardedTokens":
        if step != 1:
            raise IndexError("a slice of sharded tokens has no step")
        bounds = np.clip([[start], [max(start, stop)]] - self._begins[:-1], 0, None)
        return ShardedTokens([shard[begin:end] for shard, begin, end in zip(self.shards, *bounds, strict=True)])


Tokens = np.ndarray | ShardedTokens


@dataclass(frozen=True)
class Dataset:
    """The tokens of a text, split into those to learn from and those held out.

    `train` and `val` are one-dimensional arrays of token numbers; on disk they stay on disk (memmap)
    and only the batches are read.
    """

    train: Tokens
    val: Tokens
    tokenizer: Tokenizer
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, name: str | Path) -> "Dataset":
        """Open a prepared folder, given by path or by its name in the course's data/; prepare it if need be.

        Raises:
            UserError: no such dataset, it cannot be prepared, or its files do not fit together.
        """
        folder = _find(Path(name))
        if not (folder / "meta.json").exists():
            _prepare(folder)
        tokenizer = load_tokenizer(folder / "tokenizer.json")
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            tokens = {split: _read_split(folder, split, meta, tokenizer.dtype) for split in SPLITS}
            fits = all(len(tokens[split]) == meta[f"{split}_tokens"] for split in SPLITS)
            fits = fits and meta["vocab_size"] == tokenizer.vocab_size
            fits = fits and meta.get("tokenizer") in (None, tokenizer.digest())  # None: prepared before that was noted
        except (OSError, ValueError, LookupError, TypeError):
            fits = False
        if not fits:
            raise UserError(f"the files in {folder} do not fit together; {_remedy(folder)}")
        return cls(**tokens, tokenizer=tokenizer, meta=meta)

    @classmethod
    def from_text(cls, text: str, val_fraction: float = 0.1) -> "Dataset":
        """A dataset in memory, one token a character; the last `val_fraction` of the text is held out."""
        if not text:
            raise UserError("the text is empty; give it at least two characters")
        cut = int(len(text) * (1 - val_fraction))
        return cls.from_texts(text[:cut], text[cut:], CharTokenizer.from_text(text))

    @classmethod
    def from_texts(cls, train: str, val: str, tokenizer: Tokenizer) -> "Dataset":
        """A dataset in memory: two texts, in the tokens of any tokenizer."""
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
        """A hash of the split lengths and of 500 tokens of each split, to tell one text from another."""
        digest = hashlib.sha256()
        for tokens in (self.train, self.val):
            places = np.linspace(0, len(tokens) - 1, LOOKED_AT).astype(np.int64)
            digest.update(np.array([len(tokens), *tokens[places]], "<i8").tobytes())
        return digest.hexdigest()

    def subset(self, train_fraction: float) -> "Dataset":
        """The same dataset with only the first part of its training text."""
        return replace(self, train=self.train[: max(1, int(len(self.train) * train_fraction))])


def _find(name: Path) -> Path:
    for folder in (name, COURSE_DATA / name):
        if os.path.isdir(folder):  # which is not disturbed by a name that is too long
            return folder
    known = ", ".join(sorted(p.parent.name for p in COURSE_DATA.glob("*/prepare.py"))) or "none"
    raise UserError(f"no dataset {str(name)!r}; give a folder that prepare.py wrote, or one of: {known}")


def _prepare(folder: Path) -> None:
    script = folder / "prepare.py"
    if not script.exists():
        words = "python data/data-by-char/prepare.py --input TEXT"
        raise UserError(f"{folder} has no meta.json; run: {words} {shlex.quote(f'--out_dir={folder}')}")
    # In a terminal the script's progress bar is seen; in a notebook it would become part of the lesson.
    quiet = not sys.stderr.isatty()
    result = subprocess.run([sys.executable, script], capture_output=quiet, text=True)
    if result.returncode:
        reason = result.stderr.strip().splitlines()[-1] if quiet and result.stderr else "see above"
        raise UserError(f"could not prepare {folder.name} ({reason.removeprefix('error: ')}); {_remedy(folder)}")


def _remedy(folder: Path) -> str:
    script = folder / "prepare.py"
    if script.exists():
        return f"run: python {shlex.quote(str(script))}"
    return "prepare them again with the command that made them"


def _read_split(folder: Path, split: str, meta: dict[str, Any], dtype: str) -> Tokens:
    names = [shard["file"] for shard in meta["shards"][split]] if "shards" in meta else [f"{split}.bin"]
    shards = []
    for path in [folder / name for name in names]:
        try:
            shards.append(np.memmap(path, dtype=dtype, mode="r"))
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) == errno.EMFILE:
                limit = f"{len(names)} files are more than this system opens at once"
                raise UserError(f"{limit}; prepare with a larger --shard_bytes, or raise it (ulimit -n)") from None
            raise UserError(f"cannot read {path} ({error}); {_remedy(folder)}") from None
    return shards[0] if len(shards) == 1 else ShardedTokens(shards)


# --- batches ------------------------------------------------------------------------------------------

TRAIN_STREAM, EVAL_STREAM = 0, 1


def max_offset(tokens: Tokens, block_size: int, name: str = "this one") -> int:
    """The last position where a window of block_size + 1 tokens begins.

    Raises:
        UserError: the text is shorter than one window.
    """
    last = len(tokens) - block_size - 1
    if last < 0:
        raise UserError(
            f"block_size = {block_size} needs a text of at least {block_size + 1} tokens, and {name} has "
            f"{len(tokens)}; choose a smaller block_size or more text"
        )
    return last


def sample_offsets(tokens: Tokens, block_size: int, count: int, key: tuple[int, ...]) -> np.ndarray:
    """`count` random positions where a window of block_size + 1 tokens begins, all equally likely.

    The positions are a function of `key` (seed, stream, step, ...) alone. So a resumed run reads the
    same batches with nothing to restore, evaluating draws nothing from training, and processes
    that share a step can each compute all of it and take their part.

    Raises:
        UserError: the text is shorter than one window.
    """
    return np.random.default_rng(key).integers(0, max_offset(tokens, block_size), size=count, endpoint=True)


def make_batch(
    tokens: Tokens, starts: np.ndarray, block_size: int, vocab_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """Inputs and targets, (B, T) int64 each: the target of every token is the one that follows it.

    Raises:
        UserError: a token in them is not among the first `vocab_size`, where that is given.
    """
    windows = tokens[starts[:, None] + np.arange(block_size + 1)].astype(np.int64)
    if vocab_size and windows.max() >= vocab_size:  # looked for here, since to read a whole corpus takes minutes
        held = f"the text holds token {windows.max()}, and the vocabulary ends at {vocab_size - 1}"
        raise UserError(f"{held}; prepare the dataset again")
    windows = torch.from_numpy(windows)
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()

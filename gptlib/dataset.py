"""Prepared tokens on disk, and the batches that are cut from them."""

import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gptlib.errors import UserError
from gptlib.tokenizer import CharTokenizer, Tokenizer, load_tokenizer

COURSE_DATA = Path(__file__).resolve().parent.parent / "data"
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Dataset:
    """The tokens of a text, split into those to learn from and those held out.

    `train` and `val` are one-dimensional arrays of token numbers; on disk they stay on disk (memmap)
    and only the batches are read.
    """

    train: np.ndarray
    val: np.ndarray
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
        tokens = {split: _read_tokens(folder / f"{split}.bin") for split in SPLITS}
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            fits = all(len(tokens[split]) == meta[f"{split}_tokens"] for split in SPLITS)
        except (ValueError, KeyError, TypeError):
            fits = False
        if not fits:
            raise UserError(f"the files in {folder} do not fit together; run: python {folder / 'prepare.py'}")
        return cls(tokens["train"], tokens["val"], load_tokenizer(folder / "tokenizer.json"), meta)

    @classmethod
    def from_text(cls, text: str, val_share: float = 0.1) -> "Dataset":
        """A dataset in memory, one token a character; the last `val_share` of the text is held out."""
        if not text:
            raise UserError("the text is empty; give it at least two characters")
        tokenizer = CharTokenizer.from_text(text)
        tokens = tokenizer.encode(text)
        cut = int(len(tokens) * (1 - val_share))
        return cls(tokens[:cut], tokens[cut:], tokenizer)

    @classmethod
    def from_texts(cls, train: str, val: str, tokenizer: Tokenizer) -> "Dataset":
        """A dataset in memory: two texts, in the tokens of any tokenizer."""
        return cls(tokenizer.encode(train), tokenizer.encode(val), tokenizer)

    @property
    def vocab_size(self) -> int:
        """How many different tokens there are (V)."""
        return self.tokenizer.vocab_size

    def share(self, train_share: float) -> "Dataset":
        """The same dataset with only the first part of its training text."""
        return replace(self, train=self.train[: max(1, int(len(self.train) * train_share))])


def _find(name: Path) -> Path:
    for folder in (name, COURSE_DATA / name):
        if folder.is_dir():
            return folder
    known = ", ".join(sorted(p.parent.name for p in COURSE_DATA.glob("*/prepare.py"))) or "none"
    raise UserError(f"no dataset {str(name)!r}; give a folder that prepare.py wrote, or one of: {known}")


def _prepare(folder: Path) -> None:
    script = folder / "prepare.py"
    if not script.exists():
        raise UserError(
            f"{folder} has no meta.json; run: python data/data-by-char/prepare.py --input TEXT --out_dir={folder}"
        )
    # In a terminal the script's progress bar is seen; in a notebook it would become part of the lesson.
    quiet = not sys.stderr.isatty()
    result = subprocess.run([sys.executable, script], capture_output=quiet, text=True)
    if result.returncode:
        reason = result.stderr.strip().splitlines()[-1] if quiet and result.stderr else "see above"
        raise UserError(f"could not prepare {folder.name} ({reason.removeprefix('error: ')}); run: python {script}")


def _read_tokens(path: Path) -> np.ndarray:
    try:
        return np.memmap(path, dtype="<u2", mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}); prepare the dataset again") from None


# --- batches ------------------------------------------------------------------------------------------

TRAIN_STREAM, EVAL_STREAM = 0, 1


def last_start(tokens: np.ndarray, block_size: int, name: str = "this one") -> int:
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


def draw_starts(tokens: np.ndarray, block_size: int, count: int, key: tuple[int, ...]) -> np.ndarray:
    """`count` random positions where a window of block_size + 1 tokens begins, all equally likely.

    The positions are a function of `key` (seed, stream, step, ...) alone. So a resumed run reads the
    same batches with nothing to restore, evaluating draws nothing from training, and processes
    that share a step can each compute all of it and take their part.

    Raises:
        UserError: the text is shorter than one window.
    """
    return np.random.default_rng(key).integers(0, last_start(tokens, block_size), size=count, endpoint=True)


def cut_windows(tokens: np.ndarray, starts: np.ndarray, block_size: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets, (B, T) int64 each: the target of every token is the one that follows it."""
    windows = tokens[starts[:, None] + np.arange(block_size + 1)].astype(np.int64)
    windows = torch.from_numpy(windows)
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()

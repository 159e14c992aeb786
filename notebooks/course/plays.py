"""What the lessons read: Shakespeare's plays, and GPT-2's vocabulary."""

import subprocess
import sys
from contextlib import suppress

from gptlib.dataset import COURSE_DATA, Dataset
from gptlib.errors import UserError
from gptlib.tokenizer import BPETokenizer


def open_plays() -> Dataset:
    """Shakespeare's plays, one token for each character; the first time they are downloaded, which takes ten seconds.

    Raises:
        UserError: they cannot be downloaded.
    """
    folder = COURSE_DATA / "data-by-char"
    if not (folder / "meta.json").exists():
        _prepare("data-by-char")
        with suppress(UserError):
            _prepare("gpt2")  # while there is a network: lesson 01 needs it
    return Dataset.open(folder)


def open_gpt2() -> BPETokenizer:
    """GPT-2's own vocabulary; where it cannot be had, one learned from the plays, so that lesson 01 still runs."""
    try:
        if not (COURSE_DATA / "gpt2" / "tokenizer.json").exists():
            _prepare("gpt2")
        return BPETokenizer.gpt2()
    except UserError:
        print(
            "GPT-2's vocabulary needs a network once, and there is none. 8,192 tokens learned from the plays take its "
            "place: wherever this lesson says GPT-2, you will see other pieces and numbers."
        )
        plays = open_plays()
        return BPETokenizer.train(plays.tokenizer.decode(plays.train[:1_000_000]), 8192)


def _prepare(name: str) -> None:
    script = subprocess.run([sys.executable, COURSE_DATA / name / "prepare.py"], capture_output=True, text=True)
    if script.returncode:
        reason = (script.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("error: ")
        raise UserError(f"could not prepare {name}: {reason}")

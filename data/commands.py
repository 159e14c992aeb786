"""What the command lines of both `prepare.py` share."""

import os
import shlex
from pathlib import Path

from gptlib.files import COURSE_DATA


def user_path(text: str) -> Path:
    """The path that an argument names; `~` is the user's own folder, which no shell says behind `--out_dir=`."""
    return Path(os.path.expanduser(text))  # which leaves the name of a user who is not there as it is


def training_command(dataset: str, out_dir: Path) -> str:
    """How to train on what was written, by the course's `dataset` or elsewhere."""
    words = ["python", "-m", "gptlib.train", f"data/{dataset}/train.toml"]
    elsewhere = out_dir.resolve() != COURSE_DATA / dataset
    return shlex.join([*words, f"--dataset={out_dir}"] if elsewhere else words)


def reason(error: OSError) -> str:
    """What the system says, of which file, and what helps."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; free some space or choose another file or folder"

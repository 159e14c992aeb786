"""The plays that the lessons read."""

import subprocess
import sys

from gptlib.dataset import COURSE_DATA, Dataset
from gptlib.errors import UserError


def open_plays() -> Dataset:
    """Shakespeare's plays, one token for each character; the first time they are downloaded, which takes ten seconds.

    Raises:
        UserError: they cannot be downloaded.
    """
    folder = COURSE_DATA / "data-by-char"
    if not (folder / "meta.json").exists():
        script = subprocess.run([sys.executable, folder / "prepare.py"], capture_output=True, text=True)
        if script.returncode:
            reason = (script.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("error: ")
            raise UserError(f"could not prepare the plays: {reason}")
    return Dataset.open(folder)

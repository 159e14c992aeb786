"""Lesson 08: its terminal."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

from gptlib.errors import UserError


class Terminal:
    """Runs commands in a folder of its own, on one thread each, and prints what they print while they print it.

    `python` and `torchrun` are those of this notebook's environment. Numbers are shortened to two decimals.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gptlib-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def run(self, command: str, kill_after: str = "") -> None:
        """Run a command; at the first line that begins with `kill_after`, kill it.

        Raises:
            UserError: it failed, and nobody killed it.
        """
        program, *words = shlex.split(command)
        start = {"python": [sys.executable], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}
        killed = False
        print(f"$ {command}")
        with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
            process = subprocess.Popen(
                [*start.get(program, [program]), *words],
                cwd=self.folder,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=complaints,  # progress bars, and why it failed
                encoding="utf-8",
            )
            try:
                for line in process.stdout:
                    print(re.sub(r"(\d\.\d\d)\d+", r"\1", line.rstrip()))
                    if kill_after and line.startswith(kill_after) and not killed:
                        process.kill()
                        killed = True
                process.wait()
            finally:  # an interrupted cell leaves no run behind
                process.kill()
                process.wait()
                process.stdout.close()
            if process.returncode and not killed:
                complaints.seek(0)
                raise UserError(f"{command}: {_last_words(complaints.read())}")
        if killed:
            print("killed")


def _last_words(complaints: str) -> str:
    lines = [line.split("\r")[-1].strip() for line in complaints.splitlines()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or [line for line in lines if line] or ["it failed and did not say why"])[-1]

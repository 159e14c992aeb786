"""Writing files so that a reader sees the old one or the new one, never half of one; where the course's data are."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gptlib.errors import UserError

COURSE_DATA = Path(__file__).resolve().parent.parent / "data"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; at the end it takes the name of `path`.

    If the block raises, the temporary file is removed and `path` stays as it was.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        flush_to_disk(temporary)
        os.replace(temporary, path)
        flush_folder_to_disk(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; free some space or choose another folder") from error
    finally:
        with suppress(OSError):  # no such file, or its folder is none
            temporary.unlink()


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
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_files(folder: Path, *names: str) -> Iterator[Path]:
    """Yield an empty folder to write the files `names` to; at the end all of them move to `folder`, in this order.

    If the block raises, or one file cannot be moved, `folder` keeps the files that it had.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    folder = Path(folder)
    stage = folder / f".{os.getpid()}.tmp"
    try:
        stage.mkdir(parents=True, exist_ok=True)
        yield stage
        for name in names:
            flush_to_disk(stage / name)
        move_together(stage, folder, names)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write to {folder}: {reason}; free some space or choose another folder") from error
    finally:
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

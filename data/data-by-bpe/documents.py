"""Texts in files of several kinds, cut into spans that any process can read by itself, a block at a time.

.txt .md    one document a file; a span is a range of bytes that ends with a line, or at least with a character
.jsonl      one document a line: a JSON string, or an object with a column of text; a span is a range of whole lines
.parquet    one document a row; a span is a range of rows of one row group
"""

import codecs
import importlib
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from gptlib.errors import UserError, first_line

BLOCK = 2**16  # bytes of a text that are read, encoded and written at once, so that no text has to fit into memory
ROWS = 64  # the same for the rows of a parquet file
CONTINUATION = bytes(range(0x80, 0xC0))  # the bytes with which no character of UTF-8 begins


@dataclass(frozen=True)
class Span:
    """A part of a file: bytes, or rows, from `start` to before `stop`, with about `size` bytes of text."""

    path: Path
    start: int
    stop: int
    size: int
    ends_file: bool

    def touches(self, other: "Span") -> bool:
        """Whether the other begins where this one ends."""
        return (self.path, self.stop) == (other.path, other.start)

    def and_then(self, other: "Span") -> "Span":
        """Both as one."""
        return Span(self.path, self.start, other.stop, self.size + other.size, other.ends_file)


# --- cutting --------------------------------------------------------------------------------------------------------


def cut(paths: Iterable[Path], size: float, column: str) -> list[Span]:
    """All spans of the files, in order, each of about `size` bytes; the same files give the same spans."""
    spans = []
    for path in paths:
        try:
            spans += kind_of(path)[0](path, size, column)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; give files that you may read") from None
    return spans


def _cut_lines(path: Path, size: float, column: str, farthest: int) -> Iterator[Span]:
    start, end = 0, path.stat().st_size
    with open(path, "rb") as file:
        while start < end:
            stop = end if start + size >= end else _border(file, start + int(size), farthest)
            yield Span(path, start, stop, stop - start, stop == end)
            start = stop


def _border(file: Any, near: int, farthest: int) -> int:
    """The end of the line at `near`; if that is farther away than `farthest` (-1: no limit), of the character.

    Either way it does not lie between the two characters of a line end of Windows.
    """
    file.seek(near)
    line = file.readline(farthest)
    if len(line) == farthest and not line.endswith(b"\n"):
        line = line[: len(line) - len(line.lstrip(CONTINUATION))]
    return near + len(line)


def _cut_rows(path: Path, size: float, column: str) -> Iterator[Span]:
    """Equal parts of each row group: many writers make just one, however large the table."""
    metadata, first = _open_parquet(path, column).metadata, 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        columns = [group.column(j) for j in range(group.num_columns)]
        bytes_of_text = sum(c.total_uncompressed_size for c in columns if c.path_in_schema == column)
        parts = max(1, min(group.num_rows, math.ceil(bytes_of_text / size)))
        borders = [first + group.num_rows * i // parts for i in range(parts + 1)]
        for start, stop in pairwise(borders):
            yield Span(path, start, stop, bytes_of_text // parts, stop == metadata.num_rows)
        first = borders[-1]


# --- reading --------------------------------------------------------------------------------------------------------


def read(span: Span, column: str) -> Iterator[tuple[str, bool]]:
    """The texts of a span, and with each whether a document ends there."""
    try:
        yield from kind_of(span.path)[1](span, column)
    except OSError as error:
        why = error.strerror or first_line(error)
        raise UserError(f"cannot read {span.path}: {why}; leave it out if it is damaged, or run again") from None


def _read_text(span: Span, column: str) -> Iterator[tuple[str, bool]]:
    # Line ends of every kind become "\n", also where the two characters of Windows lie in two blocks.
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
    position = span.start
    with open(span.path, "rb") as file:
        file.seek(position)
        while position < span.stop:
            block = file.read(min(BLOCK, span.stop - position))
            block += file.readline(min(BLOCK, span.stop - position - len(block)))
            if not block:
                raise UserError(f"{span.path} became shorter while it was read; run again")
            position += len(block)
            try:
                text = decoder.decode(block, final=position == span.stop)
            except UnicodeDecodeError:
                raise UserError(f"{span.path} is not UTF-8 (before byte {position}); save it as UTF-8") from None
            text = text.removeprefix("\ufeff") if position == len(block) else text  # a mark of editors on Windows
            yield text, span.ends_file and position == span.stop


def _read_lines(span: Span, column: str) -> Iterator[tuple[str, bool]]:
    with open(span.path, "rb") as file:
        file.seek(span.start)
        while (position := file.tell()) < span.stop:
            if not (line := file.readline()):
                raise UserError(f"{span.path} became shorter while it was read; run again")
            if line.strip():
                yield text_of(_parsed(line, span.path, position), column, f"{span.path}, byte {position}"), True


def _parsed(line: bytes, path: Path, position: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}, byte {position}: not a line of JSON ({error}); mend it or leave it out") from None


def text_of(row: Any, column: str, where: str) -> str:
    """The text of a row, which is an object with a column of text, or the text itself."""
    if isinstance(row, dict) and column not in row:
        raise UserError(_no_column(where, column, row))
    text = row[column] if isinstance(row, dict) else row
    if not isinstance(text, str):
        shown = json.dumps(text, default=str)[:40]
        raise UserError(f"{where}: {shown} is not a text; leave the row out, or name another --column")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"{text[error.start]!r} is half of a character (a UTF-16 surrogate)"
        raise UserError(f"{where}: {half}; leave the row out") from None
    return text


def _no_column(where: object, column: str, known: Iterable[str]) -> str:
    return f"{where} has no column {column!r}; choose one with --column: {', '.join(known) or 'there are none'}"


def _read_rows(span: Span, column: str) -> Iterator[tuple[str, bool]]:
    file, row = _open_parquet(span.path, column), 0
    for i in range(file.num_row_groups):
        after = row + file.metadata.row_group(i).num_rows
        if row < span.stop and after > span.start:
            for batch in file.iter_batches(ROWS, row_groups=[i], columns=[column], use_threads=False):
                wanted = slice(max(0, span.start - row), max(0, span.stop - row))
                try:
                    texts = batch.column(0)[wanted].to_pylist()
                except UnicodeDecodeError:
                    where = f"{span.path}, after row {row + wanted.start}"
                    raise UserError(f"{where}: a text is not UTF-8; mend it or leave the file out") from None
                for number, text in enumerate(texts, row + wanted.start):
                    yield text_of(text, column, f"{span.path}, row {number}"), True
                row += len(batch)
                if row >= span.stop:
                    return
        row = after


def _open_parquet(path: Path, column: str) -> Any:
    pyarrow, parquet = import_optional("pyarrow"), import_optional("pyarrow.parquet")
    try:
        file = parquet.ParquetFile(path, buffer_size=BLOCK, pre_buffer=False)  # pages as needed, not whole groups
    except (pyarrow.ArrowInvalid, OSError) as error:
        if getattr(error, "errno", None):  # the system's own, such as a file that may not be read
            raise
        raise UserError(f"{path} is not a parquet file, or is damaged; leave it out") from None
    if column not in file.schema_arrow.names:
        raise UserError(_no_column(path, column, file.schema_arrow.names))
    kind = file.schema_arrow.field(column).type
    if pyarrow.types.is_nested(kind):
        raise UserError(f"{path}: the column {column!r} holds {kind}, not texts; choose another with --column")
    return file


def import_optional(name: str) -> ModuleType:
    """A module of the optional extra `hf`."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        package = name.split(".")[0]
        raise UserError(f"this needs {package}; run: pip install -c constraints.txt -e '.[hf]'") from None


def kind_of(path: Path) -> tuple[Callable, Callable]:
    """How files with the ending of this one are cut, and read."""
    return KINDS[path.suffix.lower()]


KINDS = {
    ".txt": (partial(_cut_lines, farthest=BLOCK), _read_text),
    ".md": (partial(_cut_lines, farthest=BLOCK), _read_text),
    ".jsonl": (partial(_cut_lines, farthest=-1), _read_lines),
    ".parquet": (_cut_rows, _read_rows),
}

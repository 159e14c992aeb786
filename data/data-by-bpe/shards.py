"""From spans of text to files of tokens, by as many processes as wished; a shard that is finished is never redone."""

import hashlib
import json
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from documents import Span, read

from gptlib.errors import UserError
from gptlib.files import atomic_files, atomic_write, read_json
from gptlib.tokenizer import load_tokenizer


@dataclass(frozen=True)
class Shard:
    """One file of tokens that is to be: its name, and the spans whose text goes into it."""

    name: str
    spans: tuple[Span, ...]
    column: str

    @property
    def size(self) -> int:
        """Bytes of text."""
        return sum(span.size for span in self.spans)

    def texts(self) -> Iterator[tuple[str, bool]]:
        """The texts, and with each whether a document ends there."""
        for span in self.spans:
            yield from read(span, self.column)


def group(spans: Iterable[Span], split: str, size: int, column: str) -> list[Shard]:
    """Neighbouring spans together, as many as fit into `size` bytes and at least one."""
    groups: list[list[Span]] = []
    filled = math.inf
    for span in spans:
        if filled + span.size > size:
            groups.append([])
            filled = 0
        filled += span.size
        if groups[-1] and groups[-1][-1].touches(span):  # read in one go
            span = groups[-1].pop().and_then(span)
        groups[-1].append(span)
    return [Shard(f"{split}-{i:05}", tuple(spans), column) for i, spans in enumerate(groups)]


def write_shards(shards: list[Shard], folder: Path, processes: int) -> Iterator[dict]:
    """Write each shard that is not there yet, and yield what `write_shard` says of each, in any order."""
    if processes == 1:
        yield from (write_shard(shard, folder) for shard in shards)
        return
    # spawned, not forked: a fork of a process with threads may wait forever, and not every system has it
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin_process) as pool:
        try:
            for future in as_completed([pool.submit(write_shard, shard, folder) for shard in shards]):
                yield future.result()
        except BrokenProcessPool:
            raise UserError(
                "a process died, perhaps for want of memory; finished shards are kept, run again with fewer --processes"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _begin_process() -> None:
    """Ctrl-C ends a process at once and without words, and so does the end of the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def write_shard(shard: Shard, folder: Path) -> dict:
    """Write `folder/NAME.bin` and beside it NAME.json, which is returned; if both are there and fit, do nothing.

    Only a block of the text is in memory at any time, whatever the size of the shard.
    """
    if finished := finished_shard(shard.name, folder):
        return finished
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    tokens, characters, digest = 0, 0, hashlib.sha256()
    name = f"{shard.name}.bin"
    with atomic_files(folder, name) as stage, open(stage / name, "wb") as file:
        for text, ends in shard.texts():
            numbers = np.append(tokenizer.encode(text), [tokenizer.end_of_text] * ends)
            content = numbers.astype(tokenizer.dtype).tobytes()
            tokens, characters = tokens + len(numbers), characters + len(text)
            file.write(content)
            digest.update(content)
    result = {"name": shard.name, "tokens": tokens, "characters": characters, "sha256": digest.hexdigest()}
    atomic_write(folder / f"{shard.name}.json", json.dumps(result))
    return result


def finished_shard(name: str, folder: Path) -> dict | None:
    """What stands in NAME.json, if the shard's bytes are those that were written."""
    result = read_json(folder / f"{name}.json")
    try:
        with open(folder / f"{name}.bin", "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    return result if isinstance(result, dict) and result.get("sha256") == digest else None

"""From texts to tokens: what data-by-char/prepare.py and data-by-bpe/prepare.py have in common.

    read      files, tables and datasets of the Hugging Face hub, a block at a time, as documents
    stage     train.txt and val.txt: what to learn from, and a tenth that is held out
    encode    train.bin, val.bin, tokenizer.json; meta.json comes last, and with it the new files count

No step holds more than a few blocks in memory. The result depends on the text and the settings alone.
"""

import argparse
import csv
import glob
import gzip
import hashlib
import json
import logging
import math
import os
import re
import shutil
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gptlib.config import ArgumentParser
from gptlib.dataset import COURSE_DATA
from gptlib.errors import UsageError, UserError, first_line, quoted
from gptlib.export import load_hugging_face_tokenizer
from gptlib.files import atomic_write, exclusive_lock, flush_to_disk, read_json
from gptlib.tokenizer import BPETokenizer, CharTokenizer, Tokenizer, load_tokenizer

BLOCK = 2**17  # characters that are read, and encoded, at once
TABLES = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
FILES = ("train.bin", "val.bin", "tokenizer.json", "meta.json")

Piece = tuple[str, bool]  # a part of a text, and whether a document begins with it


@dataclass
class Source:
    """What to learn from and, unless that is a part of it, what to validate on."""

    name: str
    train: Iterable[Piece]
    val: Iterable[Piece] | None = None
    documents: bool = False  # whether a token marks where each begins
    held_out: str = ""
    about: dict[str, Any] = field(default_factory=lambda: {"licence": "unknown: a text of your own"})


# --- read -------------------------------------------------------------------------------------------------------------


def find_source(options: argparse.Namespace) -> Source | None:
    """What the command line asks for; None: the course's own text."""
    column, separator, val = options.column, options.separator, options.val or []
    if options.hf:
        if separator or len(val) > 1:
            raise UsageError("with --hf each row is a document: leave out --separator, and name one split by --val")
        splits = [read_hub(options, split) for split in (options.hf_split, *val)]
        return Source(
            f"{options.hf}, {options.hf_split}", *splits, documents=True, held_out=f"the split {' '.join(val)}"
        )
    if not options.input:
        if val or separator or column:
            raise UsageError("--val, --separator and --column need --input or --hf; --help lists what is allowed")
        return None
    if options.rows and not column:
        raise UsageError("--rows needs --column or --hf: a text has no rows")
    held_out = find_files(val, column)
    files = [path for path in find_files(options.input, column) if path not in held_out]
    if not files:
        raise UserError("every file of --input is one of --val too; leave some to learn from")
    if len(files) > 1:
        kinds = Counter(path.suffix or path.name for path in files).most_common(9)
        print(f"reading {len(files)} files: {', '.join(f'{count} {kind}' for kind, count in kinds)}", file=sys.stderr)
    return Source(
        name=" ".join(options.input),
        train=read_documents(files, options),
        val=read_documents(held_out, options) if held_out else None,
        documents=bool(column or len(files) > 1 or separator not in (None, "file")),
        held_out=" ".join(val),
    )


def find_files(names: Iterable[str], column: str | None) -> list[Path]:
    """A file, everything in a folder that is text (with a column: a table), or what matches a pattern; each once."""
    found, left_out = [], []
    for name in names:
        path = Path(name).expanduser().absolute()
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.is_file()]
            inside = [p for p in inside if not any(part.startswith(".") for part in p.relative_to(path).parts)]
            wanted = {p: kind_of(p) in TABLES if column else looks_like_text(p) for p in inside}
            files = [p for p in inside if wanted[p]]
            left_out += [p.name for p in inside if not wanted[p]]
        else:
            files = [path] if path.exists() else [Path(p) for p in sorted(glob.glob(str(path), recursive=True))]
        if not files:
            raise UserError(f"found no {'table' if column else 'text'} at {name}; give files, folders or '*.txt'")
        found += files
    if left_out:
        print(
            f"left out {len(left_out)} files, no {'tables' if column else 'UTF-8 text'}: {', '.join(left_out[:5])}",
            file=sys.stderr,
        )
    return list({path.resolve(): path for path in reversed(found)}.values())[::-1]


def kind_of(path: Path) -> str:
    """The ending of a file, without .gz."""
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def looks_like_text(path: Path) -> bool:
    """Whether the first block of a file can be read."""
    try:
        return any(read_blocks(path))
    except UserError:
        return False


def read_documents(files: list[Path], options: argparse.Namespace) -> Iterator[Piece]:
    """The rows of tables, or the documents in files."""
    if options.column:
        texts = islice(read_tables(files, options.column), options.rows)
        yield from ((text, True) for text in texts)
    else:
        for path in files:
            if kind_of(path) == ".parquet":
                raise UserError(f"{path} is a table; name the column with the texts: --column=NAME")
            yield from cut(read_blocks(path), options.separator)


def read_blocks(path: Path) -> Iterator[str]:
    """A text in blocks: UTF-8, with or without a byte order mark, unpacked if it is .gz; each line ends in "\\n"."""
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rt", encoding="utf-8-sig") as file:
            while block := file.read(BLOCK):
                if "\0" in block:
                    raise UserError(f"{path} is not a text: some of its bytes are zero; leave it out")
                yield block
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8; save it as UTF-8, or leave it out") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path} ({first_line(error)}); give files that you may read") from None


SEPARATORS = {"line": r"\n+", "blank": r"\n(?:[^\S\n]*\n)+"}
LONGEST = 2**10  # characters of a separator


def cut(blocks: Iterable[str], separator: str | None) -> Iterator[Piece]:
    """The pieces of a text, cut where `separator` stands: 'line', 'blank', 'file' (nowhere), or a text of its own."""
    if separator in (None, "file"):
        yield from ((block, i == 0) for i, block in enumerate(blocks))
        return
    pattern = re.compile(SEPARATORS.get(separator, rf"\n*{re.escape(separator)}\n*"))
    text, begins = "", True
    for block in blocks:
        *whole, text = pattern.split(text + block)  # the last may go on in the next block
        for document in whole:
            if document:
                yield document, begins
            begins = True
        if len(text) > BLOCK:
            yield text[:-LONGEST], begins
            text, begins = text[-LONGEST:], False
    if text.strip("\n"):
        yield text.rstrip("\n"), begins


def read_tables(files: list[Path], column: str) -> Iterator[str]:
    """The texts in a column of tables, through the library `datasets`."""
    for kind, group in groupby(files, kind_of):
        names = [str(path) for path in group]
        if kind not in TABLES:
            raise UserError(f"{names[0]} is no table ({', '.join(TABLES)}); leave it out, or leave out --column")
        options: dict[str, Any] = {"data_files": names}
        if TABLES[kind] == "csv":  # all of it as text: 12 is no number here, and NA not nothing
            options |= {"sep": "\t" if kind == ".tsv" else ",", "converters": {column: str}, "keep_default_na": False}
            with open(names[0], encoding="utf-8-sig", errors="replace") as file:
                if column in next(csv.reader(file, delimiter=options["sep"]), []):
                    options["usecols"] = [column]  # whatever the others hold
        yield from texts_in(names[0], column, TABLES[kind], **options)


def read_hub(options: argparse.Namespace, split: str) -> Iterator[Piece]:
    """The rows of a dataset of the hub: downloaded to the library's cache, or just the first ones, streamed."""
    where = {"name": options.hf_config, "split": split, "streaming": options.rows is not None}
    texts = texts_in(options.hf, options.column or "text", options.hf, **where)
    yield from ((text, True) for text in islice(texts, options.rows))


def texts_in(source: str, column: str, path: str, **options: Any) -> Iterator[str]:
    """The texts of a table; rows without one are skipped, and counted."""
    try:
        import datasets
    except ModuleNotFoundError:
        raise UserError("tables need the package datasets; run: pip install -c constraints.txt -e '.[hf]'") from None
    datasets.logging.set_verbosity(logging.CRITICAL)  # what is wrong, we say ourselves
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    skipped = 0
    try:
        for batch in datasets.load_dataset(path, **{"split": "train"} | options).iter(100):
            if column not in batch:
                raise UserError(f"{source} has no column {column!r}; choose one with --column: {', '.join(batch)}")
            for text in batch[column]:
                if not isinstance(text, str | None):
                    shown = repr(text)[:40]
                    raise UserError(f"{source}: {shown} in {column!r} is not a text; choose another with --column")
                if text and text.strip():
                    yield text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
                else:
                    skipped += 1
    except (UserError, MemoryError):
        raise
    except Exception as error:  # the library has many, for formats and for the network
        while error.__cause__ is not None:
            error = error.__cause__
        why = first_line(error)[:200] or type(error).__name__
        raise UserError(f"cannot read {source} ({why}); check the name, the file and the connection") from None
    if skipped:
        print(f"skipped {skipped} rows of {source} without text", file=sys.stderr)


# --- stage ------------------------------------------------------------------------------------------------------------

VAL_FRACTION = 0.1
MARK = "\0"  # in a staged text, where a document begins
BORDER = re.compile(r".*(?:\S(?=[ \n]\S)|.(?=\0))", re.DOTALL)  # the last place between two words, or documents


@dataclass
class Staged:
    """A text in two files, train.txt and val.txt, and what we know about it."""

    folder: Path
    characters: str  # which there are
    held_out: str
    drift: float = 0.0

    def blocks(self, split: str) -> Iterator[str]:
        """The text of a split in blocks, which end between words if there are any: so no token reaches across."""
        rest = ""
        with open(self.folder / f"{split}.txt", encoding="utf-8", newline="") as file:
            while block := file.read(BLOCK):
                text = rest + block
                border = BORDER.match(text)
                end = border.end() if border else len(text)
                yield text[:end]
                rest = text[end:]
        if rest:
            yield rest


def stage(source: Source, folder: Path, seed: int) -> Staged:
    """Write a text to `folder`, in UTF-8, and hold out a tenth.

    A document is held out by chance, which depends on nothing but its beginning and the seed. So a document that is
    there twice is on one side, and none changes sides when others are added. If that makes no tenth, because there are
    too few, or just one, the last tenth of the characters is held out.
    """
    seen = np.zeros(0x110000, bool)
    lengths, documents = Counter(), Counter()
    with (
        open(folder / "train.txt", "w", encoding="utf-8", newline="") as train,
        open(folder / "val.txt", "w", encoding="utf-8", newline="") as val,
        tqdm(desc="text", unit=" characters", unit_scale=True, disable=None) as progress,
    ):
        files = {"train": train, "val": val}
        for split, pieces in (("train", source.train), ("val", source.val or ())):
            for text, begins in pieces:
                if begins and source.documents:
                    if source.val is None:
                        split = "val" if _chance(text, seed) < VAL_FRACTION else "train"
                    files[split].write(MARK)
                    documents[split] += 1
                files[split].write(text)
                seen[np.frombuffer(text.encode("utf-32-le"), "<u4")] = True
                lengths[split] += len(text)
                progress.update(len(text))
    characters = "".join(map(chr, np.flatnonzero(seen)))
    if not lengths.total() or (source.val is not None and not (lengths["train"] and lengths["val"])):
        raise UserError(f"{source.name} has no text; give some thousand characters")
    if len(characters) == 1:
        raise UserError(f"{source.name} is nothing but {characters!r}, so there is nothing to learn; give another")
    if source.val is not None:
        return Staged(folder, characters, source.held_out)
    if VAL_FRACTION / 2 < lengths["val"] / lengths.total() < VAL_FRACTION * 2:
        chosen = f"{documents['val']:,} of {documents.total():,} documents, chosen by --seed={seed}"
        return Staged(folder, characters, chosen)
    _hold_out_end(folder)
    staged = Staged(folder, characters, "the end of the text")
    staged.drift = _drift(next(staged.blocks("train")), next(staged.blocks("val")), len(characters))
    return staged


def _chance(text: str, seed: int) -> float:
    digest = hashlib.blake2b(text[:1000].encode(), digest_size=6, key=str(seed).encode())
    return int.from_bytes(digest.digest()) / 2**48


def _hold_out_end(folder: Path) -> None:
    """Move the last tenth of all characters to val.txt."""
    with open(folder / "train.txt", "ab") as train, open(folder / "val.txt", "rb") as val:
        shutil.copyfileobj(val, train)
    with open(folder / "train.txt", encoding="utf-8", newline="") as file:
        length = sum(map(len, iter(lambda: file.read(BLOCK), "")))
        left, border = int((1 - VAL_FRACTION) * length), 0
        file.seek(0)
        while left:
            block = file.read(min(left, BLOCK))
            left, border = left - len(block), border + len(block.encode())
    with open(folder / "train.txt", "rb+") as train, open(folder / "val.txt", "wb") as val:
        train.seek(border)
        shutil.copyfileobj(train, val)
        train.truncate(border)


def _drift(first: str, last: str, vocab_size: int) -> float:
    """How much worse the letters of the first text predict those of the last than its own do, in nats a character.

    Two samples of the same text differ too, by about one nat for each kind of letter in all of the last one.
    """
    theirs, ours = Counter(first[: len(last)]), Counter(last)
    q = {c: (theirs[c] + 1) / (theirs.total() + vocab_size) for c in ours}
    worse = sum(n * math.log(n / len(last) / q[c]) for c, n in ours.items())
    return (worse - len(ours)) / len(last)


# --- encode -----------------------------------------------------------------------------------------------------------

LEARN_FROM = 2**26  # bytes of training text that pairs are learned from, spread over all of it
WINDOW = 64  # block_size in both train.toml
MUCH_DRIFT = 0.15  # a play and another: 0.02; the letters A and Z of a list of names: 1


def learn_characters(staged: Staged, documents: bool) -> CharTokenizer:
    """All characters of both halves."""
    return CharTokenizer(staged.characters, end_of_text=documents)


def learn_pairs(staged: Staged, documents: bool, vocab_size: int) -> BPETokenizer:
    """The byte pairs of the training text, or of every n-th block of a large one."""
    step = math.ceil((staged.folder / "train.txt").stat().st_size / LEARN_FROM)
    texts = (text for block in islice(staged.blocks("train"), 0, None, step) for text in block.split(MARK))
    with tqdm(texts, desc="vocabulary", unit=" texts", disable=None) as progress:
        return BPETokenizer.train(progress, vocab_size, end_of_text=documents)


def find_tokenizer(name: str, staged: Staged) -> Tokenizer:
    """GPT-2's, or the one in a file, or in the folder of a dataset or a run."""
    if name == "gpt2":
        return BPETokenizer.gpt2()
    path = Path(name).expanduser()
    if path.is_dir():
        path = max([path / "tokenizer.json", *path.glob("*/tokenizer.json")], key=lambda p: (p.exists(), p))
    theirs = "model" in (read_json(path) or ())
    tokenizer = load_hugging_face_tokenizer(path) if theirs else load_tokenizer(path)
    unknown = sorted({*staged.characters} - {*tokenizer.chars}) if isinstance(tokenizer, CharTokenizer) else []
    if unknown:
        shown = ", ".join(map(repr, unknown[:10])) + (", ..." if len(unknown) > 10 else "")
        raise UserError(f"{len(unknown)} characters are not in the vocabulary {path}: {shown}; replace them")
    return tokenizer


def encode(staged: Staged, split: str, tokenizer: Tokenizer) -> tuple[int, int]:
    """Write the tokens of a split, with all cores; return how many tokens and characters it has."""
    mark = tokenizer.end_of_text

    def tokens_of(block: str) -> tuple[np.ndarray, int]:
        texts = block.split(MARK)
        tokens = [part for text in texts for part in ([mark], tokenizer.encode(text))][1:]
        tokens = np.concatenate(tokens) if mark is not None else tokenizer.encode("\n".join(texts))
        return tokens.astype(tokenizer.dtype), len(block) - (0 if mark is None else len(texts) - 1)

    tokens = characters = 0
    with (
        open(staged.folder / f"{split}.bin", "wb") as file,
        ThreadPoolExecutor(os.cpu_count()) as pool,  # threads are enough: tiktoken and numpy let each other work
        tqdm(desc=split, unit=" characters", unit_scale=True, disable=None) as progress,
    ):
        blocks = staged.blocks(split)
        while some := list(islice(blocks, 2 * os.cpu_count())):
            for block, length in pool.map(tokens_of, some):
                file.write(block.tobytes())
                tokens, characters = tokens + len(block), characters + length
                progress.update(length)
    return tokens, characters


def _start_of(staged: Staged, tokenizer: Tokenizer) -> str | None:
    """What sampling goes on from if no token marks a beginning: a line break, a space, or what else the text has."""
    text = next(staged.blocks("train"))
    start = next((c for c in "\n " if c in text), text[0])
    return None if start == "\n" and tokenizer.end_of_text is None else start


# --- all of it --------------------------------------------------------------------------------------------------------


@contextmanager
def new_files(folder: Path) -> Iterator[Path]:
    """Yield a folder for FILES; then they take the place of the earlier ones.

    Meanwhile there is no meta.json, so after a kill old and new files cannot pass for one dataset.

    Raises:
        UserError: files of these names are not ours, or another process is writing here.
    """
    unfinished, meta = folder / ".unfinished", read_json(folder / "meta.json")
    ours = unfinished.exists() or (isinstance(meta, dict) and "train_tokens" in meta)
    if not ours and (others := [name for name in FILES if (folder / name).exists()]):
        raise UserError(f"{folder / others[0]} is not of an earlier preparation; move it, or choose another --out_dir")
    with exclusive_lock(folder):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            yield unfinished
            for name in FILES:
                flush_to_disk(unfinished / name)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        (folder / "meta.json").unlink(missing_ok=True)
        for name in FILES:
            os.replace(unfinished / name, folder / name)
        shutil.rmtree(unfinished)


def prepare(source: Source, options: argparse.Namespace, learn: Callable[[Staged, bool], Tokenizer]) -> None:
    """Stage a text, encode it, and say what was written and how to train on it."""
    out_dir, notes, documents = options.out_dir, [], source.documents
    with new_files(out_dir) as folder:
        staged = stage(source, folder, options.seed)
        if options.vocab == "learn":
            tokenizer = learn(staged, documents)
        else:
            tokenizer = find_tokenizer(options.vocab, staged)
            if documents and tokenizer.end_of_text is None:
                notes.append("no token of this vocabulary marks where a document begins: a line break is there")
        marked = documents and tokenizer.end_of_text is not None
        tokenizer.start = None if marked else _start_of(staged, tokenizer)
        tokens = {split: encode(staged, split, tokenizer) for split in ("train", "val")}
        shortest = min(count for count, _ in tokens.values())
        if shortest < 2:
            raise UserError(f"{source.name} is too short; give a text of some thousand characters")
        if staged.drift > MUCH_DRIFT:
            notes.append("the end of this text is unlike its beginning; a --separator or a --val text holds out better")
        tokenizer.save(folder / "tokenizer.json")
        meta = {"source": source.name, **source.about, "held_out": staged.held_out}
        meta |= {"vocab_size": tokenizer.vocab_size, "tokenizer": tokenizer.fingerprint()}
        for split, (count, characters) in tokens.items():
            meta |= {f"{split}_tokens": count, f"{split}_characters": characters}
        atomic_write(folder / "meta.json", json.dumps(meta, indent=2) + "\n")
    train, val = meta["train_tokens"], meta["val_tokens"]
    print(
        f"wrote {out_dir}: {train:,} tokens to train, {val:,} to validate ({val / (train + val):.1%}), "
        f"{tokenizer.vocab_size:,} different ones\nheld out: {staged.held_out}"
    )
    command = ["python", "-m", "gptlib.train", f"data/{options.dataset}/train.toml"]
    if out_dir.resolve() != COURSE_DATA / options.dataset:
        command += [f"--dataset={out_dir}", f"--out_dir=out-{out_dir.resolve().name}"]
    if shortest <= WINDOW:
        notes.append(f"a window of {WINDOW} tokens does not fit into this text, so the block_size below is smaller")
        command += [f"--block_size={shortest - 1}"]
    print(*(f"note: {note}\n" for note in notes), f"next: {quoted(*command)}", sep="")


def arguments(description: str, folder: Path) -> ArgumentParser:
    """The command line of both scripts; `folder` is theirs, where the result goes unless they say otherwise."""
    parser = ArgumentParser(description=description)
    source, add = parser.add_mutually_exclusive_group(), parser.add_argument
    source.add_argument("--input", nargs="+", metavar="PATH", help="texts in UTF-8: files, also .gz, or folders")
    source.add_argument("--hf", metavar="NAME", help="a dataset of the Hugging Face hub (the extra `hf`)")
    add("--val", nargs="+", metavar="PATH", help="validate on these, or on this split of --hf; otherwise on a tenth")
    add("--separator", help="where documents end: line, blank, file, or a text such as '<|endoftext|>' (default: file)")
    add("--column", metavar="NAME", help=f"read {', '.join(TABLES)} as tables whose texts are in this column")
    add("--rows", type=_positive, metavar="N", help="only the first N rows; of --hf, no more are downloaded")
    add("--hf_config", metavar="NAME", help="the dataset's configuration")
    add("--hf_split", default="train", metavar="NAME", help="the dataset's split (default: train)")
    vocab = "a tokenizer.json (Hugging Face's too), the folder of a run, or gpt2 (default: from the text itself)"
    add("--vocab", default="learn", metavar="SOURCE", help=vocab)
    add("--seed", type=int, default=1337, metavar="N", help="chooses the documents that are held out")
    add("--out_dir", type=lambda name: Path(name).expanduser(), default=folder, help="default: beside this script")
    parser.set_defaults(dataset=folder.name)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text[:15]):
        raise argparse.ArgumentTypeError(f"{text[:99]!r} must be a whole number, at least 1")
    return int(text)


def run(main: Callable[[], None]) -> None:
    """Call it; a full disk is one line, and nothing has changed."""
    try:
        main()
    except OSError as error:  # what has no better message of its own: a full disk
        where = f"{error.filename}: " if error.filename else ""
        why = error.strerror or error
        raise UserError(f"{where}{why}; free some space or choose another --out_dir, then run again") from None

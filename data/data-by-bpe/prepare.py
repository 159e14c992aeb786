"""Turn texts into byte pair tokens, in as many files as they need: shards, `tokenizer.json`, `meta.json`.

    python data/data-by-bpe/prepare.py                                      # Shakespeare's plays, six of them held out
    python data/data-by-bpe/prepare.py --files 'texts/*.txt|more/**/*.jsonl|web/*.parquet'
    python data/data-by-bpe/prepare.py --hf HuggingFaceFW/fineweb-edu --hf_config sample-10BT --hf_documents 1000000
    python data/data-by-bpe/prepare.py --vocab gpt2                         # GPT-2's tokens, not learned ones

A run that was interrupted or killed goes on where it was, when it is started again with the same settings.
"""

import argparse
import glob
import hashlib
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

HERE = Path(__file__).resolve().parent
# What this folder and the scripts of data/ share, and gptlib where it is not installed.
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

from commands import reason, training_command, user_path  # noqa: E402
from documents import KINDS, Span, cut  # noqa: E402
from hub import HubText, download  # noqa: E402
from shakespeare import HELD_OUT, LICENCE, SOURCE, half, shakespeare  # noqa: E402
from shards import Shard, group, write_shards  # noqa: E402

from gptlib.config import ArgumentParser  # noqa: E402
from gptlib.errors import UsageError, UserError, run_cli  # noqa: E402
from gptlib.files import alone_in, atomic_write, move_together, read_json, refuse_others  # noqa: E402
from gptlib.tokenizer import BPETokenizer, load_tokenizer  # noqa: E402

FORMAT = 2  # changes when the same text would give other bytes: unfinished shards of another format are not used
VAL_SHARE = 0.1  # of texts of which none is held out by name: the end validates, at most one shard of it
SHARDS = 64  # as many files, if that makes them neither too small nor too large
SMALLEST, LARGEST = 2**23, 2**28  # bytes of text in a shard
# Our names in the folder of unfinished shards, and those of finished ones: nothing else is ever removed.
UNFINISHED = r"(recipe|tokenizer|meta)\.json(\.earlier)?|(train|val)-\d+\.(bin|json)"
PUBLISHED = r"(train|val)-\d+-[0-9a-f]{8}\.bin"
MOST_TOKENS = 10**7  # to learn: the largest vocabularies in use have a fortieth of that
MOST_PROCESSES = 61  # at once: what Windows can wait for
LEARN_FROM = 2**26  # characters of training text from which the vocabulary is learned


@dataclass(frozen=True)
class Source:
    """Files to learn from, files to validate on (or none: then the end of the others), and where they came from."""

    train: list[Path]
    val: list[Path]
    name: str
    licence: str
    held_out: tuple[str, ...] = ()


# --- sources --------------------------------------------------------------------------------------------------------


def find_source(options: argparse.Namespace) -> Source:
    """The files that the command line asks for, downloaded if need be."""
    folder = options.out_dir / "text"
    if options.files:
        val = matching(options.val_files) if options.val_files else []
        not_learnt = {path.resolve() for path in val}
        train = [path for path in matching(options.files) if path.resolve() not in not_learnt]
        if not train:
            raise UserError(f"every file of {options.files!r} is one of --val_files too; leave some to learn from")
        held_out = (f"the files {options.val_files}",) if val else ()
        return Source(train, val, options.files, "unknown: given with --files", held_out)
    if options.hf:
        text = HubText(options.hf, options.hf_config, options.hf_split, options.column, options.hf_documents)
        name = f"{' '.join(filter(None, (text.name, text.config, text.split)))}, streamed by Hugging Face datasets"
        return Source(download(text, folder), [], name, "unknown: see the dataset's page")
    plays, paths = shakespeare(), {split: folder / f"{split}.jsonl" for split in ("train", "val")}
    for split, path in paths.items():
        write_if_new(path, "".join(json.dumps(play.text) + "\n" for play in plays if half(play) == split))
    return Source([paths["train"]], [paths["val"]], SOURCE, LICENCE, HELD_OUT)


def matching(patterns: str) -> list[Path]:
    """The files that match any of the patterns between the bars, in the order of their paths."""
    names = [name for pattern in patterns.split("|") for name in _named(os.path.expanduser(pattern))]
    found = {Path(name).resolve(): Path(name).absolute() for name in names}  # a link says the kind, and counts once
    files = sorted(path for path in found.values() if path.is_file())
    if not files:
        raise UserError(f"no file matches {patterns!r}; quote the pattern, ** stands for folders at any depth")
    if other := [path for path in files if path.suffix.lower() not in KINDS]:
        raise UserError(f"cannot read {other[0]}: it must be one of {', '.join(KINDS)}; give a narrower pattern")
    return files


def _named(pattern: str) -> list[str]:
    """The file of this very name, `notes[1].txt`, or else those that match."""
    return [pattern] if os.path.isfile(pattern) else glob.glob(pattern, recursive=True)


def write_if_new(path: Path, content: str) -> None:
    """Write a file unless it is there: one that is left alone keeps its date, by which an earlier run is recognised."""
    if not path.exists() or path.read_text(encoding="utf-8") != content:
        atomic_write(path, content)


# --- the plan: which text goes into which shard -----------------------------------------------------------------------


def plan(source: Source, column: str, shard_bytes: int | None) -> list[Shard]:
    """All shards; they depend on the files and the settings only, never on the number of processes."""
    total = sum(span.size for span in cut(source.train, math.inf, column))
    size = shard_bytes or min(max(SMALLEST, total // SHARDS), LARGEST)
    if source.val:
        train, val = cut(source.train, size, column), cut(source.val, size, column)
    else:
        train, val = hold_out(source, min(int(VAL_SHARE * total), size), column)
    if not train or not val:
        raise UserError(f"{source.name} has too little text to divide; give more, or --val_files with --files")
    return [*group(train, "train", size, column), *group(val, "val", size, column)]


def hold_out(source: Source, size: int, column: str) -> tuple[list[Span], list[Span]]:
    """The spans before the last `size` bytes, and those: whole lines, and whole rows."""
    spans, held, border = cut(source.train, max(1, size // 8), column), 0, 0
    for border in range(len(spans) - 1, 0, -1):
        held += spans[border].size
        if held >= size:
            break
    return spans[:border], spans[border:]


# --- the vocabulary -------------------------------------------------------------------------------------------------


def find_tokenizer(options: argparse.Namespace, shards: list[Shard]) -> BPETokenizer:
    """GPT-2's tokenizer, that of a file, or one that is learned from the training text."""
    if options.vocab == "gpt2":
        return BPETokenizer.gpt2()
    if options.vocab != "learn":
        tokenizer = load_tokenizer(Path(options.vocab))
        if getattr(tokenizer, "end_of_text", None) is None:
            raise UserError(f"{options.vocab} has no token for the end of a text; take one that this script wrote")
        return tokenizer
    with tqdm(desc="vocabulary", unit=" characters", unit_scale=True) as progress:
        texts = sample([shard for shard in shards if shard.name.startswith("train")], progress)
        return BPETokenizer.train(texts, options.vocab_size, end_of_text=True)


def sample(shards: list[Shard], progress: tqdm) -> Iterator[str]:
    """The beginning of each shard: as much of each, and LEARN_FROM characters in all."""
    for shard in shards:
        taken = 0
        for text, _ in shard.texts():
            yield text
            taken += len(text)
            progress.update(len(text))
            if taken >= LEARN_FROM // len(shards):
                break


# --- the work, and what is kept of it ---------------------------------------------------------------------------------


def prepare(options: argparse.Namespace) -> dict:
    """Find the text, cut it, find the vocabulary, write the shards, publish them; return `meta.json`."""
    source = find_source(options)
    shards = plan(source, options.column, options.shard_bytes)
    stage = open_stage(options, source)
    if read_json(stage / "tokenizer.json") is None:
        find_tokenizer(options, shards).save(stage / "tokenizer.json")
    with tqdm(total=sum(s.size for s in shards), desc="tokens", unit="B", unit_scale=True) as progress:
        results, sizes = [], {shard.name: shard.size for shard in shards}
        for result in write_shards(shards, stage, min(options.processes, len(shards), MOST_PROCESSES)):
            results.append(result)
            progress.update(sizes[result["name"]])
    return publish(stage, options.out_dir, source, sorted(results, key=lambda result: result["name"]))


def open_stage(options: argparse.Namespace, source: Source) -> Path:
    """The folder of finished shards; emptied if they were made by other settings or of other files."""
    stage, vocab = options.out_dir / "unfinished", options.vocab
    recipe = {
        "format": FORMAT,
        "files": [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in [*source.train, *source.val]],
        "val_files": len(source.val),
        "vocab": options.vocab_size if vocab == "learn" else vocab if vocab == "gpt2" else sha256(Path(vocab)),
        "settings": [options.column, options.shard_bytes],
    }
    refuse_others(stage, UNFINISHED)
    try:
        if read_json(stage / "recipe.json") == recipe:
            print(f"going on with the shards that are finished in {stage}", file=sys.stderr)
            return stage
        if (stage / "recipe.json").exists():
            print(f"{stage} is of another text or other settings: starting anew", file=sys.stderr)
        shutil.rmtree(stage, ignore_errors=True)
        atomic_write(stage / "recipe.json", json.dumps(recipe))
    except OSError as error:
        raise UserError(f"cannot use {stage}: {error.strerror}; choose another --out_dir") from None
    return stage


def sha256(path: Path) -> str:
    """The hash of a file as hexadecimal digits."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; --vocab is learn, gpt2 or a tokenizer.json") from None


def publish(stage: Path, out_dir: Path, source: Source, results: list[dict]) -> dict:
    """Move everything to `out_dir`, `meta.json` last: until it is there, readers see the files of the earlier run."""
    meta = describe(source, load_tokenizer(stage / "tokenizer.json"), results)
    for shard in [shard for shards in meta["shards"].values() for shard in shards]:
        os.replace(stage / f"{shard['name']}.bin", out_dir / shard["file"])
    atomic_write(stage / "meta.json", json.dumps(meta, indent=2) + "\n")
    move_together(stage, out_dir, ("tokenizer.json", "meta.json"))
    shutil.rmtree(stage)
    current = {shard["file"] for shards in meta["shards"].values() for shard in shards}
    for path in out_dir.iterdir():
        if re.fullmatch(PUBLISHED, path.name) and path.name not in current:
            with suppress(PermissionError):  # on Windows, if somebody reads it: then the next run removes it
                path.unlink()
    return meta


def describe(source: Source, tokenizer: BPETokenizer, results: list[dict]) -> dict:
    """What `meta.json` says: where the tokens came from, where they lie, and how to compare losses on them."""
    shards = {split: [r for r in results if r["name"].startswith(split) and r["tokens"]] for split in ("train", "val")}
    counts = {
        f"{split}_{what}": sum(result[what] for result in shards[split])
        for split in shards
        for what in ("tokens", "characters")
    }
    if not counts["train_characters"] or not counts["val_characters"]:
        raise UserError(f"{source.name} has no text in one half; give more text")
    return {
        "source": source.name,
        "licence": source.licence,
        **counts,
        "vocab_size": tokenizer.vocab_size,
        "tokenizer": tokenizer.digest(),
        "dtype": tokenizer.dtype,
        "held_out": list(source.held_out),
        # a validation loss times this is in bits per character, which is comparable whatever the tokens
        "bits_per_character_per_nat": counts["val_tokens"] / counts["val_characters"] / math.log(2),
        # a new name for new content, so that the files of two runs never mix
        "shards": {
            split: [result | {"file": f"{result['name']}-{result['sha256'][:8]}.bin"} for result in results]
            for split, results in shards.items()
        },
    }


# --- the command line -----------------------------------------------------------------------------------------------


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description="Prepare the byte pair tokens of texts (default: Shakespeare's plays).")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--files", metavar="PATTERNS", help=f"'*.txt|*.jsonl': any of {', '.join(KINDS)}")
    source.add_argument("--hf", metavar="NAME", help="a dataset of the Hugging Face hub, streamed (the extra `hf`)")
    add = parser.add_argument
    add("--val_files", metavar="PATTERNS", help="validate on these, not on the last tenth of --files")
    add("--column", default="text", help="where the text stands in .jsonl, .parquet and --hf (default: text)")
    add("--hf_config", metavar="NAME", help="the dataset's configuration")
    add("--hf_split", default="train", metavar="NAME", help="the dataset's split (default: train)")
    add("--hf_documents", type=_positive, default=0, metavar="N", help="stop after N documents (default: all)")
    vocab = "learn (default), gpt2, or another run's tokenizer.json"
    add("--vocab", type=os.path.expanduser, default="learn", metavar="SOURCE", help=vocab)
    add("--vocab_size", type=_tokens, default=1024, metavar="N", help="tokens to learn (default: 1024)")
    add("--shard_bytes", type=_positive, metavar="N", help="text in one file of tokens (default: 8 to 256 MB)")
    add("--processes", type=_positive, default=os.cpu_count(), metavar="N", help="default: one for each core")
    add("--out_dir", type=user_path, default=HERE, help="where to write (default: beside this script)")
    options = parser.parse_args(arguments)
    if options.val_files and not options.files:
        raise UsageError("--val_files needs --files; --help lists what is allowed")
    return options


def _positive(text: str, at_most: int = 10**15) -> int:
    if not text.isdecimal() or not 1 <= int(text[:99]) <= at_most:
        raise argparse.ArgumentTypeError(f"{text[:99]!r} must be a whole number, at least 1, at most {at_most}")
    return int(text)


def _tokens(text: str) -> int:
    return _positive(text, at_most=MOST_TOKENS)


def summary(meta: dict, out_dir: Path) -> str:
    """What was written, and what to do next."""
    total, files = meta["train_tokens"] + meta["val_tokens"], sum(map(len, meta["shards"].values()))
    return (
        f"wrote {out_dir}: {meta['train_tokens']:,} tokens to train, {meta['val_tokens']:,} to validate "
        f"({meta['val_tokens'] / total:.1%}) in {files} files, {meta['vocab_size']:,} different tokens, "
        f"{meta['val_characters'] / meta['val_tokens']:.2f} characters each\n"
        f"held out: {', '.join(meta['held_out']) or 'the end of the text'}\n"
        f"next: {training_command('data-by-bpe', out_dir)}"
    )


def main(arguments: list[str] | None = None) -> None:
    """Prepare what the command line asks for."""
    options = parse(arguments)
    try:
        with alone_in(options.out_dir):
            print(summary(prepare(options), options.out_dir))
    except OSError as error:  # what has no better message of its own
        raise UserError(f"{reason(error)}, then run again: finished shards are kept") from None
    except KeyboardInterrupt:
        print("interrupted: finished shards are kept; run the same command again to go on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    run_cli(main)

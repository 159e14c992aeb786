"""Turn a text into tokens, one a character: `train.bin`, `val.bin`, `tokenizer.json`, `meta.json`.

    python data/data-by-char/prepare.py                              # Shakespeare's plays, six of them held out
    python data/data-by-char/prepare.py --tinyshakespeare [PATH]     # the classic file, the classic 90/10 split
    python data/data-by-char/prepare.py --input my_book.txt          # any text, or a folder of texts

The four files appear together at the end, or not at all.
"""

import argparse
import hashlib
import io
import json
import sys
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from itertools import accumulate
from pathlib import Path

from tqdm import tqdm

HERE = Path(__file__).resolve().parent
# What the scripts of data/ share, and gptlib where it is not installed.
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from commands import reason, training_command, user_path  # noqa: E402
from plays import Play  # noqa: E402
from shakespeare import ELSEWHERE, LICENCE, SOURCE, WHEEL_SHA256, half, shakespeare, utf8  # noqa: E402

from gptlib.config import ArgumentParser  # noqa: E402
from gptlib.errors import UserError, run_cli  # noqa: E402
from gptlib.files import atomic_files  # noqa: E402
from gptlib.tokenizer import CharTokenizer  # noqa: E402

TINY_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
TINY_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TINY_CHARACTERS = 1_115_394

TRAIN_SHARE = 0.9  # of a text that has no plays to hold out: the beginning trains, the end validates
MIN_VAL_CHARACTERS = 2  # one to read and one to predict
MAX_VOCABULARY = 2**16  # what a uint16 can number


@dataclass(frozen=True)
class Corpus:
    """A text, divided into the part that trains and the part that validates, and where it came from."""

    train: str
    val: str
    source: str
    licence: str
    sha256: str
    plays: tuple[Play, ...] = ()


# --- Shakespeare's plays, the default -------------------------------------------------------------------------------


def plays_corpus() -> Corpus:
    """All plays; those that are held out validate."""
    plays = tuple(shakespeare())
    texts = {split: "".join(play.text for play in plays if half(play) == split) for split in ("train", "val")}
    return Corpus(**texts, source=SOURCE, licence=LICENCE, sha256=WHEEL_SHA256, plays=plays)


# --- other texts ----------------------------------------------------------------------------------------------------


def tinyshakespeare(path: str) -> Corpus:
    """The classic file, from `path` or, if that is empty, from the net: losses can be compared with published ones."""
    content = read_file(user_path(path)) if path else download(TINY_URL)
    if sha256(content) != TINY_SHA256:
        raise UserError(
            f"{path or TINY_URL} is not tinyshakespeare (wrong sha256); take {TINY_URL}, or --input for another text"
        )
    return split(content.decode(), f"tinyshakespeare, {TINY_URL}", "public domain", TINY_SHA256)


def download(url: str) -> bytes:
    """The bytes at `url`."""
    content = io.BytesIO()
    try:
        with (
            urllib.request.urlopen(url, timeout=20) as response,
            tqdm(total=TINY_CHARACTERS, desc="download", unit="B", unit_scale=True) as progress,
        ):
            while chunk := response.read(2**16):
                progress.update(content.write(chunk))
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        remedy = f"check the connection and run again, or {ELSEWHERE}"
        raise UserError(f"cannot download {url} ({reason}); {remedy}") from None
    return content.getvalue()


def own_text(path: Path) -> Corpus:
    """A text file as it is, or all `*.txt` and `*.md` files of a folder in the order of their names."""
    paths = text_files(path) if path.is_dir() else [path]
    with tqdm(paths, desc="files", unit="file") as progress:
        contents = [read_file(path) for path in progress]
    text = "\n".join(utf8(content, path) for content, path in zip(contents, paths, strict=True))
    return split(text.replace("\r\n", "\n"), str(path), "unknown: given with --input", sha256(b"\n".join(contents)))


def text_files(folder: Path) -> list[Path]:
    """The texts in a folder and below."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".txt", ".md") and path.is_file())
    if not paths:
        raise UserError(f"no *.txt or *.md file in {folder}; give a file, or a folder with such files")
    return paths


def read_file(path: Path) -> bytes:
    """The bytes of a file that the user named."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a text file that you may read") from None


def split(text: str, source: str, licence: str, digest: str) -> Corpus:
    """The first nine tenths train, the rest validates."""
    if not text:
        raise UserError(f"{source} is empty; give a text of some thousand characters")
    if len(set(text)) == 1:
        raise UserError(
            f"{source} has one character only, {text[0]!r}, so there is nothing to learn; give another text"
        )
    border = int(TRAIN_SHARE * len(text))
    if len(text) - border < MIN_VAL_CHARACTERS:
        raise UserError(f"{source} is too short ({len(text)} characters); give a text of some thousand characters")
    return Corpus(text[:border], text[border:], source, licence, digest)


def sha256(content: bytes) -> str:
    """The hash as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


# --- tokens on the disk ---------------------------------------------------------------------------------------------


def write(corpus: Corpus, out_dir: Path) -> dict:
    """Write the four files and return what stands in `meta.json`."""
    tokenizer = CharTokenizer.from_text(corpus.train + corpus.val)
    if tokenizer.vocab_size > MAX_VOCABULARY:
        raise UserError(
            f"{corpus.source} has {tokenizer.vocab_size} different characters, uint16 can number {MAX_VOCABULARY}; "
            "give a text with fewer"
        )
    meta = describe(corpus, tokenizer)
    # meta.json moves last: who finds it can rely on the others
    with atomic_files(out_dir, "train.bin", "val.bin", "tokenizer.json", "meta.json") as stage:
        (stage / "train.bin").write_bytes(tokenizer.encode(corpus.train).astype("<u2").tobytes())
        (stage / "val.bin").write_bytes(tokenizer.encode(corpus.val).astype("<u2").tobytes())
        tokenizer.save(stage / "tokenizer.json")
        (stage / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")
    return meta


def describe(corpus: Corpus, tokenizer: CharTokenizer) -> dict:
    """What `meta.json` says: where the tokens came from, and how many there are."""
    meta = {
        "source": corpus.source,
        "licence": corpus.licence,
        "sha256": corpus.sha256,
        "train_tokens": len(corpus.train),
        "val_tokens": len(corpus.val),
        "vocab_size": tokenizer.vocab_size,
        "tokenizer": tokenizer.digest(),
        "held_out": [play.name for play in corpus.plays if half(play) == "val"],
    }
    if corpus.plays:
        meta["plays"] = [
            {"name": play.name, "kind": play.kind, "split": half(play), "characters": len(play.text)}
            for play in corpus.plays
        ]
        meta["train_parts"] = parts([play for play in corpus.plays if half(play) == "train"])
    return meta


def parts(plays: list[Play]) -> list[dict]:
    """Where each play begins among the tokens of its file, and how many it has."""
    starts = accumulate((len(play.text) for play in plays), initial=0)
    return [
        {"name": play.name, "kind": play.kind, "start": start, "tokens": len(play.text)}
        for play, start in zip(plays, starts, strict=False)
    ]


# --- the command line -----------------------------------------------------------------------------------------------


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description="Prepare the tokens of a text, one a character (default: Shakespeare's plays).")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--input", type=user_path, metavar="FILE_OR_FOLDER", help="any UTF-8 text; split 90/10")
    source.add_argument(
        "--tinyshakespeare",
        nargs="?",
        const="",
        metavar="PATH",
        help="the classic file, downloaded if no PATH is given",
    )
    parser.add_argument("--out_dir", type=user_path, default=HERE, help="where to write (default: beside this script)")
    return parser.parse_args(arguments)


def summary(meta: dict, out_dir: Path) -> str:
    """What was written, and what to do next."""
    total = meta["train_tokens"] + meta["val_tokens"]
    return (
        f"wrote {out_dir}: {meta['train_tokens']:,} tokens to train, {meta['val_tokens']:,} to validate "
        f"({meta['val_tokens'] / total:.1%}), {meta['vocab_size']} different characters\n"
        f"held out: {', '.join(meta['held_out']) or 'the end of the text'}\n"
        f"next: {training_command('data-by-char', out_dir)}"
    )


def main(arguments: list[str] | None = None) -> None:
    """Prepare what the command line asks for."""
    options = parse(arguments)
    try:
        if options.input is not None:
            corpus = own_text(options.input)
        elif options.tinyshakespeare is not None:
            corpus = tinyshakespeare(options.tinyshakespeare)
        else:
            corpus = plays_corpus()
        print(summary(write(corpus, options.out_dir), options.out_dir))
    except OSError as error:  # what has no better message of its own, such as a full disk under the temporary files
        raise UserError(f"{reason(error)}, then run again") from None
    except KeyboardInterrupt:
        print("interrupted: nothing was changed; run again to prepare the tokens", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    run_cli(main)

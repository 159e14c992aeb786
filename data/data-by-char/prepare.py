"""Turn a text into tokens, one for each character: `train.bin`, `val.bin`, `tokenizer.json`, `meta.json`.

python data/data-by-char/prepare.py                              # Shakespeare's plays, six of them held out
python data/data-by-char/prepare.py --tinyshakespeare [PATH]     # the classic file, the classic 90/10 split
python data/data-by-char/prepare.py --input my_book.txt --out_dir=my-book
"""

import argparse
import hashlib
import sys
import urllib.request
from http.client import HTTPException
from itertools import accumulate
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]  # the scripts of data/, and gptlib if it is not installed

from prepare_text import Source, arguments, find_source, learn_characters, prepare, run  # noqa: E402
from shakespeare import HELD_OUT, LICENCE, SOURCE, WHEEL_SHA256, shakespeare, split_of  # noqa: E402

from gptlib.errors import UsageError, UserError, run_cli  # noqa: E402

TINY_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
TINY_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def the_plays() -> Source:
    """All plays as one text; six are held out."""
    plays = shakespeare()
    texts = {split: [play for play in plays if split_of(play) == split] for split in ("train", "val")}
    starts = accumulate((len(play.text) for play in texts["train"]), initial=0)
    about = {
        "licence": LICENCE,
        "sha256": WHEEL_SHA256,
        "plays": [
            {"name": play.name, "kind": play.kind, "split": split_of(play), "characters": len(play.text)}
            for play in plays
        ],
        "train_parts": [  # where each play begins in train.bin
            {"name": play.name, "kind": play.kind, "start": start, "tokens": len(play.text)}
            for play, start in zip(texts["train"], starts, strict=False)
        ],
    }
    train, val = [[(play.text, True) for play in texts[split]] for split in ("train", "val")]
    return Source(SOURCE, train, val, held_out=", ".join(HELD_OUT), about=about)


def tinyshakespeare(path: str) -> Source:
    """The classic file, from `path` or, if that is empty, from the net: losses can be compared with published ones."""
    try:
        content = Path(path).expanduser().read_bytes() if path else urllib.request.urlopen(TINY_URL, timeout=20).read()
    except (OSError, HTTPException) as error:
        raise UserError(f"cannot read {path or TINY_URL} ({error}); check it, or prepare another text") from None
    if hashlib.sha256(content).hexdigest() != TINY_SHA256:
        raise UserError(f"{path or TINY_URL} is not tinyshakespeare (wrong sha256); use --input for another text")
    return Source("tinyshakespeare", [(content.decode(), True)], about={"licence": "public domain", "url": TINY_URL})


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = arguments("Prepare a text, one token for each character (default: Shakespeare's plays).", HERE)
    tiny = "the classic file, downloaded if no PATH is given"
    parser.add_argument("--tinyshakespeare", nargs="?", const="", metavar="PATH", help=tiny)
    options = parser.parse_args(argv)
    if options.tinyshakespeare is not None and (options.input or options.hf):
        raise UsageError("--tinyshakespeare is a text of its own: leave out --input and --hf")
    return options


def main(argv: list[str] | None = None) -> None:
    """Prepare what the command line asks for."""
    options = parse(argv)
    if options.tinyshakespeare is not None:
        source = tinyshakespeare(options.tinyshakespeare)
    else:
        source = find_source(options) or the_plays()
    prepare(source, options, learn_characters)


if __name__ == "__main__":
    run_cli(lambda: run(main))

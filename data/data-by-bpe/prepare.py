"""Turn texts into byte pair tokens: `train.bin`, `val.bin`, `tokenizer.json`, `meta.json`.

python data/data-by-bpe/prepare.py                                    # Shakespeare's plays, six of them held out
python data/data-by-bpe/prepare.py --input my_folder --vocab_size=4096 --out_dir=my-texts
python data/data-by-bpe/prepare.py --hf roneneldan/TinyStories --val validation --vocab=gpt2 --out_dir=stories
"""

import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]  # the scripts of data/, and gptlib if it is not installed

from prepare_text import Source, arguments, find_source, learn_pairs, prepare, run  # noqa: E402
from shakespeare import HELD_OUT, LICENCE, SOURCE, shakespeare, split_of  # noqa: E402

from gptlib.errors import run_cli  # noqa: E402


def the_plays() -> Source:
    """Each play is a document; six are held out."""
    plays = shakespeare()
    train, val = [[(play.text, True) for play in plays if split_of(play) == split] for split in ("train", "val")]
    return Source(SOURCE, train, val, documents=True, held_out=", ".join(HELD_OUT), about={"licence": LICENCE})


def main(argv: list[str] | None = None) -> None:
    """Prepare what the command line asks for."""
    parser = arguments("Prepare texts as byte pairs (default: Shakespeare's plays).", HERE)
    parser.add_argument("--vocab_size", type=int, default=1024, metavar="N", help="tokens to learn (default: 1024)")
    options = parser.parse_args(argv)
    prepare(find_source(options) or the_plays(), options, partial(learn_pairs, vocab_size=options.vocab_size))


if __name__ == "__main__":
    run_cli(lambda: run(main))

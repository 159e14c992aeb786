"""Tokens a second of sampling, against nanoGPT's own `generate`, in turn: one JSON line.

    python tests/benchmarks/sampling.py --nanogpt CHECKOUT --threads 1

Both models have 4 layers, 4 heads, 128 wide and random weights; what they write has no influence on the time.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gptlib import GPT, GPTConfig, generate

SHAPE = {"n_layer": 4, "n_head": 4, "n_embd": 128, "vocab_size": 65, "bias": False}
NEW_TOKENS = 500
ROUNDS = 7


def ours(block_size: int) -> Callable[[int], None]:
    """A function that samples NEW_TOKENS tokens in so many streams."""
    model = GPT(GPTConfig(block_size=block_size, **SHAPE)).eval()

    def sample(streams: int) -> None:
        for _ in generate(model, torch.zeros((streams, 1), dtype=torch.int64), NEW_TOKENS, temperature=0.8, top_k=20):
            pass

    return sample


def reference(block_size: int, checkout: Path) -> Callable[[int], None]:
    """The same by nanoGPT, one stream after the other, as its sample.py does."""
    sys.path.insert(0, str(checkout))
    import model as nanogpt

    gpt = nanogpt.GPT(nanogpt.GPTConfig(block_size=block_size, dropout=0.0, **SHAPE)).eval()

    @torch.no_grad()
    def sample(streams: int) -> None:
        for _ in range(streams):
            gpt.generate(torch.zeros((1, 1), dtype=torch.int64), NEW_TOKENS, temperature=0.8, top_k=20)

    return sample


def tokens_per_second(sample: Callable[[int], None], streams: int) -> float:
    """The speed of one call."""
    started = time.perf_counter()
    sample(streams)
    return streams * NEW_TOKENS / (time.perf_counter() - started)


def main() -> None:
    """Measure in turn; print medians, and of the ratios round by round the least, the median and the largest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanogpt", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result: dict[str, object] = {"threads": options.threads}
    for block_size in (64, 256):
        theirs, mine = reference(block_size, options.nanogpt), ours(block_size)
        rounds = [
            (tokens_per_second(theirs, 1), tokens_per_second(mine, 1), tokens_per_second(mine, 10))
            for _ in range(ROUNDS)
        ]
        name = f"T={block_size}"
        for who, speeds in zip(("nanoGPT", "one stream", "ten streams"), zip(*rounds, strict=True), strict=True):
            ratios = sorted(speed / base for speed, (base, _, _) in zip(speeds, rounds, strict=True))
            result[f"{name} {who}"] = round(statistics.median(speeds))
            if who != "nanoGPT":
                result[f"{name} {who}, ratios"] = [
                    round(r, 1) for r in (ratios[0], statistics.median(ratios), ratios[-1])
                ]
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""An exact pass over the validation split, against 200 random batches of both splits, in turn: one JSON line.

python tests/benchmarks/evaluation.py --text PATH
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gptlib import GPT, CharTokenizer, Dataset, GPTConfig, estimate_loss, exact_loss

ROUNDS = 3


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    text = options.text.read_text(encoding="utf-8")
    border = int(0.9 * len(text))
    data = Dataset.from_texts(text[:border], text[border:], CharTokenizer.from_text(text))
    model = GPT(GPTConfig(vocab_size=data.vocab_size, bias=False))

    def random_batches() -> None:
        for tokens in (data.train, data.val):
            estimate_loss(model, tokens, batch_size=12, eval_iters=200)

    rounds = [(seconds(random_batches), seconds(lambda: exact_loss(model, data.val))) for _ in range(ROUNDS)]
    sampled, exact = (statistics.median(values) for values in zip(*rounds, strict=True))
    result = {"threads": torch.get_num_threads(), "200 random batches of both splits (s)": round(sampled, 3)}
    print(json.dumps(result | {"exact pass (s)": round(exact, 3), "ratio": round(sampled / exact, 2)}))


if __name__ == "__main__":
    main()

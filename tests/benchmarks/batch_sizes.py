"""Lesson 05: the loss that the same text buys, by batch and learning rate; two minutes on one core.

python tests/benchmarks/batch_sizes.py --out notebooks/results/batch_sizes.json
"""

import argparse
import json
import platform

import torch

from gptlib import Dataset, TrainConfig, Trainer, TrainStep
from gptlib.files import atomic_write

SEQUENCES = 4096
BATCHES = (4, 16, 64)
RATES = (5e-4, 1e-3, 2e-3, 4e-3)
PLAIN = {"warmup_iters": 0, "schedule": "constant", "grad_clip": 0.0, "weight_decay": 0.0}
QUIET = {"eval_interval": 10**6, "eval_iters": 1, "log_interval": 1}


def loss_at_the_end(data: Dataset, batch: int, rate: float) -> float:
    """The mean training loss over the last eighth of a run that reads `SEQUENCES` sequences of 32 characters."""
    shape = {"n_layer": 3, "n_embd": 96, "block_size": 32, "batch_size": batch, "learning_rate": rate}
    config = TrainConfig(**shape, **PLAIN, **QUIET, max_iters=SEQUENCES // batch, threads=1)
    losses = [event.loss for event in Trainer(config, data) if isinstance(event, TrainStep)]
    last = losses[-len(losses) // 8 :]
    return sum(last) / len(last)


def main() -> None:
    """Measure all, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    out, data = parser.parse_args().out, Dataset.open("data-by-char")
    losses = {str(n): {str(rate): round(loss_at_the_end(data, n, rate), 3) for rate in RATES} for n in BATCHES}
    where = {"torch": torch.__version__, "processor": platform.machine(), "sequences": SEQUENCES, "seed": 1337}
    atomic_write(out, json.dumps({**where, "losses": losses}, indent=1) + "\n")


if __name__ == "__main__":
    main()

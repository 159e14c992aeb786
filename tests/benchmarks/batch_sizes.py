"""Lesson 05: how fast the loss falls with the text read, by batch and learning rate; four minutes on one core.

python tests/benchmarks/batch_sizes.py --out notebooks/results/batch_sizes.json
"""

import argparse
import json
import platform

import numpy as np
import torch

from gptlib import Dataset, TrainConfig, Trainer, TrainStep
from gptlib.files import atomic_write

SEQUENCES, CHUNK = 4096, 64
BATCHES = (4, 16, 64)
RATES = (1e-3, 2e-3, 4e-3, 8e-3)
SEEDS = (1337, 1, 2)
PLAIN = {"warmup_iters": 0, "schedule": "constant", "grad_clip": 0.0, "weight_decay": 0.0}
QUIET = {"eval_interval": 10**6, "eval_iters": 1, "log_interval": 1}


def losses(data: Dataset, batch: int, rate: float, seed: int) -> np.ndarray:
    """The mean training loss of each `CHUNK` sequences, of 32 characters each, that a run reads."""
    shape = {"n_layer": 2, "n_embd": 64, "block_size": 32, "batch_size": batch, "learning_rate": rate, "seed": seed}
    config = TrainConfig(**shape, **PLAIN, **QUIET, max_iters=SEQUENCES // batch, threads=1)
    steps = [event.loss for event in Trainer(config, data) if isinstance(event, TrainStep)]
    return np.array(steps).reshape(SEQUENCES // CHUNK, -1).mean(axis=1)


def main() -> None:
    """Measure all, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    out, data = parser.parse_args().out, Dataset.open("data-by-char")
    found = {
        n: {rate: np.mean([losses(data, n, rate, seed) for seed in SEEDS], axis=0).round(3).tolist() for rate in RATES}
        for n in BATCHES
    }
    where = {"torch": torch.__version__, "processor": platform.machine(), "chunk": CHUNK, "seeds": SEEDS}
    atomic_write(out, json.dumps({**where, "losses": found}) + "\n")


if __name__ == "__main__":
    main()

"""Lesson 06: which texts can one model learn by heart, and what helps a model that has a single page?

python tests/benchmarks/capacity.py --out notebooks/results/capacity.json
"""

import argparse
import json
import platform
from pathlib import Path

import torch

from gptlib import Dataset, Evaluation, TrainConfig, Trainer
from gptlib.files import atomic_write

FRACTIONS = {"1 page": 0.0005, "10 pages": 0.005, "50 pages": 0.025}
REMEDIES = {
    "one page": {},
    "smaller model": dict(n_layer=1, n_embd=32),
    "dropout 0.2": dict(dropout=0.2),
    "weight_decay 1": dict(weight_decay=1.0),
}
EPOCHS, EVALUATIONS = 40, 20
SETTINGS = dict(n_layer=2, n_embd=64, block_size=32, batch_size=16, learning_rate=8e-3, warmup_iters=30, eval_iters=20)


def curves(data: Dataset, train_fraction: float, seed: int) -> dict[str, list[float]]:
    """Both losses of one run, and after how many epochs each was measured."""
    config = TrainConfig(train_fraction=train_fraction, seed=seed, **SETTINGS)
    characters = len(data.subset(train_fraction).train)
    steps = round(EPOCHS * characters / config.tokens_per_step)
    config = TrainConfig(
        train_fraction=train_fraction, seed=seed, **SETTINGS, max_iters=steps, eval_interval=steps // EVALUATIONS
    )
    measured = [event for event in Trainer(config, data) if isinstance(event, Evaluation)]
    return {
        "epochs": [round(e.step * config.tokens_per_step / characters, 3) for e in measured],
        "train": [round(e.train.mean, 4) for e in measured],
        "val": [round(e.val.mean, 4) for e in measured],
    }


def remedy(data: Dataset, changes: dict, seed: int) -> dict[str, list[float]]:
    """Both losses of a run with one page that is long enough to show where it ends up."""
    config = SETTINGS | dict(train_fraction=0.0005, max_iters=1000, eval_interval=50, seed=seed) | changes
    measured = [event for event in Trainer(TrainConfig(**config), data) if isinstance(event, Evaluation)]
    return {
        "step": [e.step for e in measured],
        "train": [round(e.train.mean, 4) for e in measured],
        "val": [round(e.val.mean, 4) for e in measured],
    }


def main() -> None:
    """All texts, all remedies, all seeds, one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = Dataset.open("data-by-char")
    runs = {name: [curves(data, share, seed) for seed in options.seeds] for name, share in FRACTIONS.items()}
    parameters = Trainer(TrainConfig(**SETTINGS), data).model.num_parameters()
    result = {
        "machine": f"1 thread, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}",
        "torch": torch.__version__,
        "seeds": options.seeds,
        "parameters": parameters,
        "characters": {name: len(data.subset(share).train) for name, share in FRACTIONS.items()},
        "runs": runs,
        "remedies": {
            name: [remedy(data, changes, seed) for seed in options.seeds] for name, changes in REMEDIES.items()
        },
    }
    atomic_write(options.out, json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

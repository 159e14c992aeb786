"""Lesson 06: the same model on texts of three lengths, each read equally often: which of them can it learn by heart?

python tests/benchmarks/capacity.py --out notebooks/results/capacity.json
"""

import argparse
import json
import platform
from pathlib import Path

import torch

from gptlib import Dataset, Evaluation, TrainConfig, Trainer
from gptlib.files import atomic_write

FRACTIONS = {"2 pages": 0.001, "10 pages": 0.005, "50 pages": 0.025}
EPOCHS, EVALUATIONS = 40, 20
SETTINGS = dict(n_layer=2, n_embd=96, block_size=32, batch_size=32, learning_rate=6e-3, warmup_iters=30, eval_iters=20)


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


def main() -> None:
    """All texts, all seeds, one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
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
    }
    atomic_write(options.out, json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

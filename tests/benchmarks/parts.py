"""Lesson 07: the validation loss of a GPT that is trained without one of its parts.

python tests/benchmarks/parts.py --out notebooks/results/parts.json
"""

import argparse
import json
import platform
from pathlib import Path

import torch
from torch import Tensor, nn

from gptlib import Dataset, Evaluation, TrainConfig, Trainer
from gptlib.files import atomic_write
from gptlib.model import GPT

PARTS = ("nothing", "attention", "MLP", "residual", "norms", "positions")
SETTINGS = dict(
    n_layer=3,
    n_embd=96,
    block_size=32,
    batch_size=16,
    learning_rate=4e-3,
    warmup_iters=30,
    max_iters=300,
    eval_iters=40,
)


def take_out(part: str, model: GPT) -> None:
    """Leave a part out of a model that has not been trained yet."""
    silent = {
        "attention": [block.attn.c_proj for block in model.h],
        "MLP": [block.mlp.c_proj for block in model.h],
        "positions": [model.wpe],
    }
    for module in silent.get(part, []):
        for parameter in module.parameters():
            parameter.requires_grad_(False).zero_()
    for block in model.h:
        if part == "norms":
            block.ln_1 = block.ln_2 = model.ln_f = nn.Identity()
        if part == "residual":
            block.forward = _without_adding(block)


def _without_adding(block: nn.Module):
    def forward(x: Tensor, *rest) -> Tensor:
        return block.mlp(block.ln_2(block.attn(block.ln_1(x))))

    return forward


def loss_without(part: str, data: Dataset, seed: int) -> float:
    """The validation loss at the end."""
    trainer = Trainer(TrainConfig(**SETTINGS, eval_interval=SETTINGS["max_iters"], seed=seed), data)
    take_out(part, trainer.model)
    return [event for event in trainer if isinstance(event, Evaluation)][-1].val.mean


def main() -> None:
    """All parts, all seeds, one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = Dataset.open("data-by-char")
    losses = {part: [round(loss_without(part, data, seed), 4) for seed in options.seeds] for part in PARTS}
    result = {
        "machine": f"1 thread, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}",
        "torch": torch.__version__,
        "settings": SETTINGS,
        "seeds": options.seeds,
        "validation_loss": losses,
    }
    atomic_write(options.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Four training loops, three of them with a slip, and the curves they give: an exercise of lesson 03.

python tests/benchmarks/loops.py --out notebooks/results/loops.json
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from gptlib import GPT, Dataset, GPTConfig
from gptlib.dataset import make_batch, sample_offsets
from gptlib.files import atomic_write

STEPS, SEED = 150, 1337
CURVES = {"A": "targets not shifted", "B": "right", "C": "one batch", "D": "no zero_grad"}  # as the lesson names them


def batch(tokens: np.ndarray, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The lesson's get_batch."""
    return make_batch(tokens, sample_offsets(tokens, 32, 16, (SEED, 0, step)), 32)


def train(data: Dataset, program: str) -> dict:
    """The training loss of each step, and the validation loss at the end."""
    shape = GPTConfig(n_layer=2, n_embd=64, block_size=32, vocab_size=data.vocab_size)
    model = GPT(shape, torch.Generator().manual_seed(SEED))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99), weight_decay=0, fused=True)
    losses = []
    for step in range(STEPS):
        x, y = batch(data.train, 0 if program == "one batch" else step)
        if program == "targets not shifted":
            y = x
        logits, _ = model(x)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        if program != "no zero_grad":
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(round(loss.item(), 3))
    with torch.no_grad():
        val = torch.stack([model(*batch(data.val, step))[1] for step in range(100)]).mean().item()
    return {"program": program, "losses": losses, "val": round(val, 2)}


def main() -> None:
    """All four, into one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = Dataset.open("data-by-char")
    machine = f"torch threads: 1, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}"
    result = {"machine": machine, "torch": torch.__version__, "seed": SEED}
    result["curves"] = {letter: train(data, program) for letter, program in CURVES.items()}
    atomic_write(options.out, json.dumps(result) + "\n")
    print(
        {letter: (c["program"], c["losses"][::30], c["losses"][-1], c["val"]) for letter, c in result["curves"].items()}
    )


if __name__ == "__main__":
    main()

"""What two runs of the same settings may differ in, and what not: the stored figures of lesson 03.

    python tests/benchmarks/repeat.py --out notebooks/results/repeat.json

The lab's own run (course.lab.lab.DEFAULTS) in processes of their own: the same seed twice, with two threads, with the
simplest of torch's kernels in place of those for this processor (as on another computer), and with other seeds.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

from course.lab.lab import DEFAULTS
from gptlib import Dataset, TrainConfig, Trainer, TrainStep, exact_loss
from gptlib.files import atomic_write

SEEDS = (1337, 1, 2, 3, 4, 5)
WAYS = {
    "once": {"threads": 1},
    "again": {"threads": 1},
    "two threads": {"threads": 2},
    "another processor": {"threads": 1, "ATEN_CPU_CAPABILITY": "default"},
}
MEASURED = 200_000  # held-out characters


def run(seed: int, threads: int) -> dict:
    """One run: the training loss of every step, and the validation loss at the end."""
    data = Dataset.open("data-by-char")
    config = TrainConfig(**(DEFAULTS | {"log_interval": 1, "eval_interval": 250, "seed": seed, "threads": threads}))
    trainer = Trainer(config, data)
    losses = [event.loss for event in trainer if isinstance(event, TrainStep)]
    return {"losses": losses, "val": exact_loss(trainer.model, data.val[:MEASURED]).mean}


def in_a_process(seed: int, threads: int, **environment: str) -> dict:
    """The same, apart: threads and kernels are chosen when torch is imported."""
    command = [sys.executable, __file__, f"--seed={seed}", f"--threads={threads}"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), **environment}
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def compared(first: dict, other: dict) -> dict:
    """From which step on the training losses differ at all, by how much at most, and how far the ends are apart."""
    apart = [abs(a - b) for a, b in zip(first["losses"], other["losses"], strict=True)]
    begins = next((step for step, difference in enumerate(apart) if difference), None)
    by_step = {str(step): apart[step] for step in (0, 1, 3, 10, 30, 100, len(apart) - 1)}
    return {"first_different_step": begins, "difference": by_step, "most": max(apart), "val": round(other["val"], 4)}


def main() -> None:
    """One run, or all of them, into one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.out is None:
        print(json.dumps(run(options.seed, options.threads)))
        return
    first = in_a_process(SEEDS[0], 1)
    ways = {
        name: compared(first, in_a_process(SEEDS[0], **settings)) for name, settings in WAYS.items() if name != "once"
    }
    seeds = {seed: compared(first, in_a_process(seed, 1)) for seed in SEEDS}
    machine = f"{torch.backends.cpu.get_cpu_capability()}, {platform.machine()}"
    result = {"machine": machine, "torch": torch.__version__, "held_out_characters": MEASURED}
    atomic_write(options.out, json.dumps(result | {"ways": ways, "seeds": seeds}, indent=1) + "\n")
    print(options.out.read_text())


if __name__ == "__main__":
    main()

"""What made the trainer fast, rung by rung, each measured in turn with the rung it stands on.

    python tests/benchmarks/ladder.py --text PATH --nanogpt CHECKOUT --out notebooks/results/ladder.json

Runs `time_to_loss.py` once for every rung and seed, round by round, so that a busy neighbour slows all rungs alike.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from time_to_loss import RECIPES, REFERENCE

from gptlib.files import atomic_write

SCRIPT = Path(__file__).with_name("time_to_loss.py")
RUNGS = {
    "reference": "nanoGPT, its published recipe for a CPU",
    "same": "gptlib with its settings, and our own initial weights",
    "adamw": "larger steps, falling to zero; a better start",
    "muon": "Muon for the matrices",
    "small-adamw": "AdamW again, and a GPT of two layers, 96 wide",
    "small-muon": "Muon, and a GPT of two layers, 64 wide",
    "modern": "rotary positions, QK-norm, smear, bigrams: one layer, 64 wide, is enough",
}
ONCE = ("same",)  # with the first seed only: it takes as long as the reference, and that is all that it shows


def run(recipe: str, seed: int, options: argparse.Namespace) -> dict:
    """One run of `time_to_loss.py`."""
    command = [sys.executable, SCRIPT, "--text", options.text, "--recipe", recipe, "--seed", str(seed)]
    command += ["--nanogpt", options.nanogpt, "--threads", str(options.threads)]
    command += ["--started", str(time.time())]  # what the system tells may be off by half a second
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(output.strip(), flush=True)
    return json.loads(output.splitlines()[-1])


def main() -> None:
    """All rungs, all seeds, one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", required=True)
    parser.add_argument("--nanogpt", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    runs = {rung: [] for rung in RUNGS}
    for seed in options.seeds:
        for rung in RUNGS:
            if rung not in ONCE or seed == options.seeds[0]:
                runs[rung].append(run(rung, seed, options))
        write(options.out, runs, options.threads)  # after each round: what is measured is kept


def write(path: Path, runs: dict[str, list[dict]], threads: int) -> None:
    """The runs so far, with their medians."""
    reference = statistics.median(r["seconds"] for r in runs["reference"])
    rungs = [
        {
            "name": rung,
            "words": words,
            "steps": (REFERENCE if rung == "reference" else RECIPES[rung])["max_iters"],
            "seconds": [r["seconds"] for r in runs[rung]],
            "val_loss": [r["val_loss"] for r in runs[rung]],
            "median_seconds": statistics.median(r["seconds"] for r in runs[rung]),
            "median_val_loss": statistics.median(r["val_loss"] for r in runs[rung]),
            "times_faster": round(reference / statistics.median(r["seconds"] for r in runs[rung]), 2),
        }
        for rung, words in RUNGS.items()
    ]
    machine = f"torch threads: {threads}, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}"
    seeds = [r["seed"] for r in runs["modern"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine, "torch": torch.__version__, "seeds": seeds, "rungs": rungs}
    atomic_write(path, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

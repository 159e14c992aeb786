"""What torch.compile costs and gains: the first step, and those after it, with and without.

    python tests/benchmarks/compile.py --out notebooks/results/compile.json

Each run is a process of its own, with an empty cache of compiled code; eager and compiled take turns.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from gptlib import Dataset, TrainConfig, Trainer, TrainStep
from gptlib.files import atomic_write

SHAPE = {"n_layer": 4, "n_embd": 128, "block_size": 64, "batch_size": 12}


def measure(compiled: bool, seed: int, steps: int, threads: int) -> dict[str, float]:
    """Seconds of the first step, and the median of the others."""
    watching = {"log_interval": 1, "eval_interval": 10**6, "eval_iters": 1}
    config = TrainConfig(**SHAPE, **watching, compile=compiled, seed=seed, threads=threads, max_iters=steps)
    started, times = time.perf_counter(), []
    for event in Trainer(config, Dataset.open("data-by-char")):
        if isinstance(event, TrainStep):
            times.append(time.perf_counter() - started)
            started = time.perf_counter()
    return {"first_step_seconds": round(times[0], 3), "step_seconds": round(statistics.median(times[1:]), 5)}


def main() -> None:
    """All seeds, both ways, one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", choices=("eager", "compiled"), help="a single run, printed as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one == "compiled", options.seeds[0], options.steps, options.threads)))
        return
    runs: dict[str, list[dict[str, float]]] = {"eager": [], "compiled": []}
    for seed in options.seeds:
        for mode, results in runs.items():
            words = [
                "--one",
                mode,
                "--seeds",
                str(seed),
                "--steps",
                str(options.steps),
                "--threads",
                str(options.threads),
            ]
            with tempfile.TemporaryDirectory() as cache:
                output = subprocess.run(
                    [sys.executable, __file__, *words],
                    env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache},
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            results.append(json.loads(output.splitlines()[-1]))
            print(seed, mode, results[-1], flush=True)
    result = {
        "machine": f"torch threads: {options.threads}, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}",
        "torch": torch.__version__,
        "seeds": options.seeds,
        "model": SHAPE,
    }
    for mode, results in runs.items():
        result[mode] = {key: [r[key] for r in results] for key in ("first_step_seconds", "step_seconds")}
        result[mode] |= {
            f"{key}_mean_and_spread": [
                round(f([r[key] for r in results]), 5) for f in (statistics.mean, statistics.stdev)
            ]
            for key in ("first_step_seconds", "step_seconds")
        }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(options.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

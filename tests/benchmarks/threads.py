"""One thread, two, or the number that the command measures: seconds of a short quick start, in turn.

    python tests/benchmarks/threads.py [--busy 1] [--rounds 3]

`--busy N` keeps N cores busy meanwhile.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = ["-m", "gptlib.train", "data/data-by-char/train.toml", "--out_dir=", "--max_iters=200", "--eval_iters=1"]


def main() -> None:
    """A line for every choice: its seconds, and their median."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    seconds = {1: [], 2: [], 0: []}
    try:
        for _ in range(options.rounds):
            for threads in seconds:
                began = time.perf_counter()
                command = [sys.executable, *RUN, f"--threads={threads}"]
                subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
                seconds[threads].append(time.perf_counter() - began)
    finally:
        for process in busy:
            process.kill()
    for threads, each in seconds.items():
        shown = " ".join(f"{value:.1f}" for value in each)
        print(f"{threads or 'measured'} threads: {shown} s, median {statistics.median(each):.1f}")


if __name__ == "__main__":
    main()

"""The time of a training step against the size of the model, the batch and block_size, and this machine's roofline.

    python tests/benchmarks/scale.py --threads 2 --out notebooks/results/scale.json

The roof is the fastest matrix product that torch does here, in float32; a step that came to it would do nothing else.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gptlib import GPT, TrainConfig
from gptlib.device import flops_per_token
from gptlib.files import atomic_write
from gptlib.optim import build_optimizer

VOCAB_SIZE = 65
ROUNDS = 5
BASE = {"n_layer": 4, "n_embd": 128, "block_size": 64, "batch_size": 12}
SIZES = [{"n_layer": n, "n_embd": c} for n, c in ((2, 64), (3, 96), (4, 128), (4, 256), (6, 384), (8, 512))]
BATCHES = [{"batch_size": n} for n in (1, 2, 4, 8, 16, 32, 64)]
BLOCK_SIZES = [{"block_size": n, "batch_size": 1536 // n} for n in (16, 64, 256, 768)]  # the same tokens in each step


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median of some calls, after one that only warms up."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def measure_step(settings: dict) -> dict:
    """One size: what a step of AdamW takes, forward and backward included."""
    config = TrainConfig(**BASE | settings, n_head=(BASE | settings)["n_embd"] // 32)
    model = GPT(config.model_config(VOCAB_SIZE))
    optimizer = build_optimizer(model, config)
    idx = torch.randint(VOCAB_SIZE, (config.batch_size, config.block_size))

    def step() -> None:
        model(idx, idx)[1].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        model.zero_grad()

    taken = seconds(step)
    return (
        BASE
        | settings
        | {
            "parameters": model.num_parameters(),
            "seconds": round(taken, 5),
            "gflops_per_second": round(flops_per_token(model) * config.tokens_per_step / taken / 1e9, 2),
        }
    )


def measure_peak() -> float:
    """The fastest product of two square matrices, in GFLOP/s."""
    rates = []
    for n in (512, 1024, 2048):
        a, b = torch.randn(n, n), torch.randn(n, n)
        rates.append(2 * n**3 / seconds(lambda a=a, b=b: a @ b) / 1e9)
    return round(max(rates), 1)


def main() -> None:
    """Measure all sizes and write one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    machine = f"torch threads: {options.threads}, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}"
    result = {"machine": machine, "torch": torch.__version__, "peak_gflops_per_second": measure_peak()}
    for name, sweep in (("sizes", SIZES), ("batches", BATCHES), ("block_sizes", BLOCK_SIZES)):
        result[name] = [measure_step(settings) for settings in sweep]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(options.out, json.dumps(result, indent=1) + "\n")
    print(
        json.dumps(
            {"peak": result["peak_gflops_per_second"], "sizes": [r["gflops_per_second"] for r in result["sizes"]]}
        )
    )


if __name__ == "__main__":
    main()

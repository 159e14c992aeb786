"""Loss against the size of the model: at 20 tokens a parameter, and for a fixed amount of arithmetic.

    python tests/benchmarks/scaling_law.py --out notebooks/results/scaling_law.json

A run that is already in the file is not repeated; `--runs 1` adds one and ends. Seconds are CPU time.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import torch

from gptlib import GPT, Dataset, TrainConfig, Trainer, exact_loss
from gptlib.files import atomic_write

SIZES = [(1, 16), (1, 32), (2, 32), (2, 48), (2, 72), (3, 80)]  # n_layer, n_embd: each about twice the one before
TOKENS_PER_PARAMETER = 20
SAME_COMPUTE_AS = (2, 48)
SHAPE = {"block_size": 64, "batch_size": 16, "schedule": "linear", "beta2": 0.98}
SHOWN_VAL_TOKENS = 200_000


def config_of(size: tuple[int, int], tokens: int, seed: int) -> TrainConfig:
    """The run that reads so many tokens; small models take a larger learning rate."""
    n_layer, n_embd = size
    steps = max(20, round(tokens / (SHAPE["block_size"] * SHAPE["batch_size"])))
    return TrainConfig(
        **SHAPE,
        n_layer=n_layer,
        n_embd=n_embd,
        n_head=n_embd // 16,
        seed=seed,
        max_iters=steps,
        warmup_iters=max(5, steps // 20),
        learning_rate=learning_rate(n_embd),
        eval_interval=10**6,
        eval_iters=1,
        log_interval=10**4,
        threads=1,
    )


def learning_rate(n_embd: int) -> float:
    """Tuned on the smallest sizes with seed 0: the rate falls as the width grows."""
    return 0.32 / n_embd


def planned(data: Dataset, seeds: list[int]) -> list[dict]:
    """Every run, the cheapest first."""
    parameters = {size: GPT(config_of(size, 1, 0).model_config(data.vocab_size)).num_parameters() for size in SIZES}
    budget = TOKENS_PER_PARAMETER * parameters[SAME_COMPUTE_AS] ** 2
    runs = []
    for sweep in ("twenty", "same_compute"):
        for size, n in list(parameters.items())[: 5 if sweep == "twenty" else 6]:  # the sixth would take longest
            tokens = TOKENS_PER_PARAMETER * n if sweep == "twenty" else round(budget / n)
            runs += [
                {"sweep": sweep, "n_layer": size[0], "n_embd": size[1], "parameters": n, "tokens": tokens, "seed": seed}
                for seed in seeds
            ]
    return sorted(runs, key=lambda run: run["parameters"] * run["tokens"])


def measure(run: dict, data: Dataset) -> dict:
    """Train it, and read the first part of the held-out text with it."""
    config = config_of((run["n_layer"], run["n_embd"]), run["tokens"], run["seed"])
    started = time.process_time()
    trainer = Trainer(config, data)
    for _ in trainer:
        pass
    seconds = time.process_time() - started
    loss = exact_loss(trainer.model, data.val[:SHOWN_VAL_TOKENS]).mean
    return run | {"learning_rate": config.learning_rate, "val_loss": round(loss, 4), "cpu_seconds": round(seconds, 1)}


def main() -> None:
    """All that is missing, one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--runs", type=int, default=10**6, help="at most so many new ones")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = Dataset.open("data-by-char")
    machine = f"torch threads: 1, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}"
    result = {"machine": machine, "torch": torch.__version__, "runs": []}
    if options.out.exists():
        result = json.loads(options.out.read_text(encoding="utf-8"))
    wanted = planned(data, options.seeds)
    missing = [run for run in wanted if not any(run.items() <= done.items() for done in result["runs"])]
    for run in missing[: options.runs]:
        result["runs"].append(measure(run, data))
        print(json.dumps(result["runs"][-1]), flush=True)
        atomic_write(options.out, json.dumps(result, indent=1) + "\n")
    print(len(missing[options.runs :]), "to go")


if __name__ == "__main__":
    main()

"""Lesson 09's program as it is, and with one thing changed: squared ReLU, rotary positions, Muon.

    python tests/benchmarks/your_gpt.py --out notebooks/results/your_gpt.json

The program is that of the lesson's solutions. Every change has the batches of the usual program; runs
that are in the file already are not repeated, and `--runs 1` adds one and ends.
"""

import argparse
import inspect
import json
import platform
import time
from pathlib import Path
from typing import Any

import torch

from course.lessons import program_09
from gptlib import GPT, Dataset, TrainConfig
from gptlib.files import atomic_write

SETTINGS = TrainConfig(
    n_layer=3, n_head=4, n_embd=96, block_size=64, batch_size=16, learning_rate=4e-3, max_iters=800, warmup_iters=30
)
CHANGES = ("nothing", "squared ReLU", "rotary positions", "Muon")
CHARACTERS = 1_000_000


def program(change: str) -> dict[str, Any]:
    """The names of the lesson's notebook, with one of them changed."""
    names: dict[str, Any] = {"__name__": "program"}
    exec(inspect.getsource(program_09), names)
    if change == "squared ReLU":
        names["MLP"].forward = lambda self, x: self.c_proj(self.c_fc(x).relu() ** 2)
    if change == "rotary positions":
        plain, rotate = names["attention"], names["rotate"]
        names["attention"] = lambda q, k, v: plain(rotate(q), rotate(k), v)
    if change == "Muon":
        names["make_optimizer"] = names["make_muon"]
    return names


def measure(change: str, seed: int, steps: int) -> dict:
    """Train from the library's initial weights, and read the held-out text."""
    settings = TrainConfig(**(vars(SETTINGS) | {"seed": seed, "max_iters": steps}))
    data, names = Dataset.open("data-by-char"), program(change)
    text = data.tokenizer.decode(data.train[:CHARACTERS])
    vocab = sorted(set(text))
    tokens = names["encode"](text, vocab)
    cut = int(0.9 * len(tokens))
    torch.manual_seed(seed)
    config = settings.model_config(len(vocab))
    model = names["MyGPT"](config)
    model.load_state_dict(GPT(config).state_dict())
    if change == "rotary positions":
        model.wpe.weight.requires_grad_(False).zero_()
    started = time.process_time()
    for _ in names["train"](model, names["make_optimizer"](model, settings), tokens[:cut], settings):
        pass
    seconds = time.process_time() - started
    loss, error = names["evaluate"](
        model, tokens[cut:], TrainConfig(**(vars(settings) | {"seed": 0, "batch_size": 64}))
    )
    run = {
        "change": change,
        "seed": seed,
        "steps": steps,
        "val_loss": round(loss, 4),
        "standard_error": round(error, 4),
    }
    return run | {"cpu_seconds": round(seconds, 1)}


def main() -> None:
    """All that is missing, one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=SETTINGS.max_iters)
    parser.add_argument("--runs", type=int, default=10**6, help="at most so many new ones")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = f"torch threads: 1, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}"
    result = {"machine": machine, "torch": torch.__version__, "runs": []}
    if options.out.exists():
        result = json.loads(options.out.read_text(encoding="utf-8"))
    done = {(run["change"], run["seed"], run["steps"]) for run in result["runs"]}
    wanted = [(change, seed, options.steps) for seed in options.seeds for change in CHANGES]
    missing = [run for run in wanted if run not in done]
    for change, seed, steps in missing[: options.runs]:
        result["runs"].append(measure(change, seed, steps))
        print(json.dumps(result["runs"][-1]), flush=True)
        atomic_write(options.out, json.dumps(result, indent=1) + "\n")
    print(len(missing[options.runs :]), "to go")


if __name__ == "__main__":
    main()

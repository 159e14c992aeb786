"""Everything we want to know from a GPU, in one command of at most nine minutes: python tests/benchmarks/gpu.py TEXT

TEXT is the classic Shakespeare file (1,115,394 characters), of which the last tenth is held out, as in nanoGPT.
The results go to notebooks/results/gpu.json after every part, so a run that is cut short leaves what it has.
Without an installation (a machine that is lent bare): PYTHONPATH=.:notebooks python3 tests/benchmarks/gpu.py TEXT
`--tiny` runs the same on any machine in seconds, with settings that measure nothing; tests do that on a CPU.

1. time to nanoGPT's best validation loss, 1.4697 (3 minutes on an A100 by its README): train_gpu.toml, and Muon
2. tokens/s, MFU and peak memory: float32, TF32, bfloat16, bfloat16 compiled, at three batch sizes
3. the memory calculator of lesson 08 against the measured peak
4. sampling tokens/s, one stream and 64
5. how far a resumed run is from an uninterrupted one
6. the tests marked cuda
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch

from course.step_costs import count
from gptlib import Dataset, Evaluation, TrainConfig, Trainer, TrainStep, UserError, exact_loss, generate
from gptlib.config import read_config
from gptlib.errors import first_line, run_cli

ROOT = Path(__file__).resolve().parents[2]
TARGET = 1.4697
MIB = 2**20


def main() -> None:
    """Run all parts; one that fails is noted, and the next one runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, help="the classic Shakespeare file")
    parser.add_argument("--out", type=Path, default=ROOT / "notebooks" / "results" / "gpu.json")
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes, on any device")
    parser.add_argument("--seconds", type=float, default=500, help="no part starts after this (default %(default)s)")
    arguments = parser.parse_args()
    data = Dataset.from_text(arguments.text.read_text(encoding="utf-8"), val_fraction=0.1)
    base = recipe(arguments.tiny)
    device = Trainer(base, data).device
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else None
    results = {
        "device": gpu or f"{platform.machine()} CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "date": date.today().isoformat(),
        "tiny": arguments.tiny,
    }
    parts: dict[str, Callable[[], object]] = {
        "time_to_loss": lambda: time_to_loss(base, data, arguments.tiny),
        "throughput": lambda: throughput(base, data, arguments.tiny),
        "memory": lambda: memory(base, data),
        "sampling": lambda: sampling(base, data, arguments.tiny),
        "resume": lambda: resume(base, data),
        "tests": cuda_tests,
    }
    started = time.perf_counter()
    for name, part in parts.items():
        begun = time.perf_counter()
        if begun - started > arguments.seconds:
            results[name] = {"not measured": "no time left"}
            continue
        try:
            results[name] = part()
        except (RuntimeError, UserError) as error:  # a kernel that is missing, memory that is full
            results[name] = {"failed": first_line(error)}
        print(f"{name}: {time.perf_counter() - begun:.0f} s {json.dumps(results[name])[:300]}", flush=True)
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def recipe(tiny: bool) -> TrainConfig:
    """train_gpu.toml; for `tiny` a model of the same kind that trains anywhere."""
    config = read_config(TrainConfig, ROOT / "data" / "data-by-char" / "train_gpu.toml")
    if tiny:
        shape = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 16, "batch_size": 4}
        plan = {"max_iters": 8, "eval_interval": 4, "eval_iters": 2, "warmup_iters": 1}
        config = replace(config, **shape, **plan, device="cpu", dtype="float32", compile=False, threads=1)
    return replace(config, out_dir="")


def time_to_loss(base: TrainConfig, data: Dataset, tiny: bool) -> dict[str, dict]:
    """Seconds from the start of training (compilation included) to the target, for each recipe."""
    muon = {"optimizer": "muon", "learning_rate": 5e-3, "muon_lr": 0.02, "min_lr": 0.0, "schedule": "linear"}
    recipes = {
        "train_gpu.toml": base,
        "muon": replace(
            base, **muon, max_iters=base.max_iters if tiny else 1500, eval_interval=base.eval_interval // 2
        ),
    }
    return {name: run_to_target(config, data, limit=5.0 if tiny else 150.0) for name, config in recipes.items()}


def run_to_target(config: TrainConfig, data: Dataset, limit: float) -> dict:
    """One run, until an estimate of the validation loss is at the target, or `limit` seconds are over."""
    trainer, started = Trainer(config, data), time.perf_counter()
    curve = []
    for event in trainer:
        seconds = time.perf_counter() - started
        if isinstance(event, Evaluation):
            curve.append({"seconds": round(seconds, 2), "step": event.step, "val": round(event.val.mean, 4)})
            if event.val.mean <= TARGET:
                break
        elif seconds > limit:
            break
    seconds = round(time.perf_counter() - started, 2)
    exact = exact_loss(trainer.model, data.val, batch_size=config.batch_size).mean
    reached = bool(curve) and curve[-1]["val"] <= TARGET
    return {"reached": reached, "seconds": seconds, "steps": trainer.step, "exact_val": round(exact, 4), "curve": curve}


def throughput(base: TrainConfig, data: Dataset, tiny: bool) -> list[dict]:
    """Speed and memory of a step in each precision, the median of the steps after the warm-up."""
    precisions = {
        "float32": {"dtype": "float32", "compile": False},
        "TF32": {"dtype": "float32", "compile": False},
        "bfloat16": {"dtype": "bfloat16", "compile": False},
        "bfloat16 compiled": {"dtype": "bfloat16", "compile": not tiny},
    }
    rows = []
    for batch_size in (2, 4, 8) if tiny else (32, 64, 256):
        for name, settings in precisions.items():
            config = replace(
                base, **settings, batch_size=batch_size, max_iters=10**6, eval_interval=10**6, eval_iters=1
            )
            trainer = Trainer(config, data)
            if trainer.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            if name == "TF32":
                torch.set_float32_matmul_precision("high")
            steps = []
            for event in trainer:
                if isinstance(event, TrainStep):
                    steps.append(event)
                    if len(steps) == (5 if tiny else 60):
                        break
            warm = sorted(steps[len(steps) // 3 :], key=lambda step: step.seconds)
            step = warm[len(warm) // 2]
            rows.append(
                {
                    "precision": name,
                    "batch_size": batch_size,
                    "tokens_per_second": round(step.tokens_per_second),
                    "mfu": step.mfu and round(step.mfu, 4),
                    "peak_mib": round(step.peak_memory / MIB) if step.peak_memory else None,
                }
            )
            torch.set_float32_matmul_precision("highest")
    return rows


def memory(base: TrainConfig, data: Dataset) -> dict:
    """What the calculator says a step takes, and what CUDA's allocator took at most."""
    config = replace(base, compile=False, max_iters=2, eval_interval=10, eval_iters=1)
    counted = count(config, data.vocab_size).memory
    measured = None
    if torch.cuda.is_available() and base.device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        for _ in Trainer(config, data):
            pass
        measured = torch.cuda.max_memory_allocated()
    return {"counted_mib": round(counted / MIB, 1), "measured_mib": measured and round(measured / MIB, 1)}


def sampling(base: TrainConfig, data: Dataset, tiny: bool) -> dict[str, int]:
    """Tokens per second of all streams together, the best of three rounds."""
    model, speeds = Trainer(replace(base, compile=False), data).model.eval(), {}
    new_tokens = 8 if tiny else 200
    for streams in (1, 64):
        prompt, fastest = torch.zeros((streams, 1), dtype=torch.int64), float("inf")
        for _ in range(3):
            started = time.perf_counter()
            *_, last = generate(model, prompt, new_tokens, temperature=0.8)
            last.tolist()  # waits for the GPU
            fastest = min(fastest, time.perf_counter() - started)
        speeds[f"{streams} streams"] = round(streams * new_tokens / fastest)
    return speeds


def resume(base: TrainConfig, data: Dataset) -> dict:
    """The weights after 20 steps, and after 10 and 10 more from a checkpoint: equal to the bit, or how far apart."""
    with tempfile.TemporaryDirectory() as out:
        plan = replace(base, compile=False, max_iters=20, eval_interval=10, eval_iters=1)
        whole = weights_after(plan, data)
        again = weights_after(plan, data)
        weights_after(replace(plan, out_dir=out), data, stop_at=10)
        resumed = weights_after(replace(plan, out_dir=out, init_from="resume"), data)
    largest = max((whole[name] - resumed[name]).abs().max().item() for name in whole)
    repeated = max((whole[name] - again[name]).abs().max().item() for name in whole)
    return {"bit_identical": largest == 0, "largest_difference": largest, "between_two_whole_runs": repeated}


def weights_after(config: TrainConfig, data: Dataset, stop_at: int | None = None) -> dict[str, torch.Tensor]:
    """The weights at the end of a run."""
    trainer = Trainer(config, data)
    for _ in trainer:
        if trainer.step == stop_at:
            trainer.stop()
    return {name: tensor.detach().cpu().clone() for name, tensor in trainer.model.state_dict().items()}


def cuda_tests() -> dict[str, str]:
    """pytest's last line for the tests that need a CUDA GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-o", "addopts=", "tests/test_device.py"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return {"exit_code": said.returncode, "pytest": (said.stdout.strip() or said.stderr.strip()).splitlines()[-1]}


if __name__ == "__main__":
    run_cli(main)

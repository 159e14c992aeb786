"""From the start of a process to a loss: one JSON line a run.

    python tests/benchmarks/time_to_loss.py --text PATH --recipe adamw --seed 1
    python tests/benchmarks/time_to_loss.py --text PATH --recipe reference --nanogpt CHECKOUT

`seconds` run from the start of the process to the end of an exact evaluation of the whole validation split (the last
tenth of the text, in windows of 64). `speedrun.py` and `ladder.py` say when they started it (`--started`); otherwise
Python's own start, some 0.03 s, is not counted. The reference is nanoGPT's published CPU recipe, in a checkout of it;
the exact evaluation of its checkpoint is ours. Its program has one fixed seed.

The recipes were chosen on the first nine tenths of the text alone, split in the same way: there nanoGPT reaches 1.863,
and each recipe has about the steps that bring it to 1.833, the last two in the mean of three seeds. (With just the
steps to 1.863 they ended at 1.90 to 1.91 on the real validation split, one seed, where nanoGPT reaches 1.898; hence
the margin, the same for all.) Counting has no steps to choose; it reaches 1.714 there.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOADED = time.time()

SHAPE = {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64}
QUIET = {"eval_interval": 10**6, "eval_iters": 1, "log_interval": 100}
PLAIN = {"batch_size": 12, "bias": False, **SHAPE, **QUIET}
NANOGPT = {"max_iters": 2000, "learning_rate": 1e-3, "min_lr": 1e-4, "warmup_iters": 100, "schedule": "cosine"}
ADAMW = PLAIN | {"learning_rate": 5e-3, "beta2": 0.98, "warmup_iters": 30, "schedule": "linear"}
MUON = ADAMW | {"optimizer": "muon", "muon_lr": 0.04, "batch_size": 24}
SMALL = {"n_layer": 2, "n_head": 2, "n_embd": 64, "muon_lr": 0.05, "warmup_iters": 10}
MODERN = {
    "positions": "rotary",
    "qk_norm": True,
    "smear": True,
    "bigram": True,
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 64,
}
TINY = {"n_layer": 1, "n_head": 4, "n_embd": 64, "muon_lr": 0.09, "batch_size": 48, "beta1": 0.8}
RECIPES = {
    "same": PLAIN | NANOGPT,
    "adamw": ADAMW | {"max_iters": 1000},
    "muon": MUON | {"max_iters": 250, "learning_rate": 7e-3},
    "small-adamw": ADAMW | {"max_iters": 800, "learning_rate": 8e-3, "n_layer": 2, "n_embd": 96, "batch_size": 16},
    "small-muon": MUON | SMALL | {"max_iters": 370, "learning_rate": 1.5e-2},
    "modern": MUON | MODERN | {"max_iters": 170, "learning_rate": 2e-2},
    "look-back": MUON | {"max_iters": 140, "learning_rate": 1e-2, "muon_lr": 0.05, "warmup_iters": 0},
    "small-look-back": MUON | TINY | {"max_iters": 205, "learning_rate": 2e-2, "warmup_iters": 0},
}
LOOK_BACK = ("look-back", "small-look-back")  # those with the initial weights of `look_back.py`
REFERENCE = SHAPE | {"batch_size": 12, "max_iters": 2000, "lr_decay_iters": 2000, "dropout": 0.0, "eval_iters": 20}


def split(text: str) -> tuple[str, str]:
    """The usual nine tenths, and the last tenth."""
    border = int(0.9 * len(text))
    return text[:border], text[border:]


def run_ours(text: str, recipe: str, seed: int, threads: int, started: float) -> dict:
    """Train by a recipe and measure exactly."""
    import torch
    from look_back import look_back

    from gptlib import CharTokenizer, Dataset, TrainConfig, Trainer, exact_loss

    dataset = Dataset.from_texts(*split(text), CharTokenizer.from_text(text))
    trainer = Trainer(TrainConfig(**RECIPES[recipe], seed=seed, threads=threads), dataset)
    if recipe in LOOK_BACK:
        look_back(trainer.model)
    for _ in trainer:
        pass
    trained = time.time()
    loss = exact_loss(trainer.model, dataset.val).mean
    finished = time.time()
    return {
        "recipe": recipe,
        "seed": seed,
        "seconds": finished - started,
        "val_loss": loss,
        "steps": trainer.step,
        "threads": torch.get_num_threads(),
        "tokens_per_second": trainer.state.tokens / (trained - started),
        "evaluation_seconds": finished - trained,
    }


def run_counting(text: str, started: float) -> dict:
    """Count n-grams and measure exactly; torch is not imported."""
    import counting

    tokens, vocab_size = counting.encode(text)
    border = len(split(text)[0])
    loss = counting.exact_loss(tokens[:border], tokens[border:], vocab_size)
    return {"recipe": "counting", "seconds": time.time() - started, "val_loss": loss}


def run_reference(text: str, checkout: Path, threads: int) -> dict:
    """Run nanoGPT's own program, then measure its checkpoint exactly."""
    import numpy as np

    from gptlib import CharTokenizer, exact_loss
    from gptlib.gpt2 import load_nanogpt

    tokenizer = CharTokenizer.from_text(text)
    with tempfile.TemporaryDirectory() as folder:
        tokens = [tokenizer.encode(part).astype(np.uint16) for part in split(text)]
        for name, part in zip(("train", "val"), tokens, strict=True):
            part.tofile(Path(folder, f"{name}.bin"))
        Path(folder, "meta.pkl").write_bytes(pickle.dumps({"vocab_size": tokenizer.vocab_size}))
        options = REFERENCE | {"dataset": folder, "out_dir": folder, "device": "cpu", "compile": False}
        options |= {"always_save_checkpoint": True}
        words = [f"--{name}={value}" for name, value in options.items()]
        command = [sys.executable, "train.py", "config/train_shakespeare_char.py", *words]
        environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
        started = time.time()
        subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
        trained = time.time()
        model = load_nanogpt(Path(folder, "ckpt.pt"))
        loading = time.time() - trained
        loss = exact_loss(model, tokens[1]).mean
    seconds = time.time() - started - loading
    return {"recipe": "reference", "seconds": seconds, "val_loss": loss, "steps": REFERENCE["max_iters"]}


def main() -> None:
    """One run, one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--recipe", choices=["reference", "counting", *RECIPES], required=True)
    parser.add_argument("--nanogpt", type=Path)
    parser.add_argument("--seed", type=int, default=1337)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--started", type=float, default=LOADED, help="time.time() before the process was started")
    options = parser.parse_args()
    text = options.text.read_text(encoding="utf-8")
    if options.recipe == "reference":
        result = run_reference(text, options.nanogpt, options.threads)
    elif options.recipe == "counting":
        result = run_counting(text, options.started)
    else:
        result = run_ours(text, options.recipe, options.seed, options.threads, options.started)
    print(json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in result.items()}))


if __name__ == "__main__":
    main()

"""What a longer context is worth, and when a GPT beats a table of counts: the stored figures of lesson 02.

    python tests/benchmarks/context.py --out notebooks/results/context.json

Trains the quick start's GPT (data/data-by-char/train.toml) with several `block_size`, for several lengths and seeds,
always on about 1,536 characters a step, and measures it on the held-out plays. Then counts letters in the very
windows that the GPTs of block_size 64 have read. What is in the file already is kept: `--runs 1` adds one run.
"""

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from gptlib import GPT, Dataset, TrainConfig, Trainer
from gptlib.config import read_config
from gptlib.dataset import COURSE_DATA, TRAIN_STREAM, make_batch, max_offset, sample_offsets
from gptlib.files import atomic_write

CHARACTERS = 1536  # a step
SEEDS = (1, 2, 3)
RUNS = {  # (block_size, steps): the seeds
    **{(block_size, steps): SEEDS for steps in (1500, 250) for block_size in (16, 64)},
    **{(64, steps): SEEDS[:2] for steps in (100, 600)},
}
EVERY = 64  # characters between the windows that are measured
MOST_CONTEXT = 7  # characters that a table looks back on
PULL = 5  # a context counts as if the table of the next shorter one had added this many letters


def settings(block_size: int, steps: int, seed: int) -> TrainConfig:
    """The quick start's, but for these; no evaluation on the way, and nothing written."""
    quick_start = read_config(TrainConfig, COURSE_DATA / "data-by-char" / "train.toml")
    batch = {"block_size": block_size, "batch_size": CHARACTERS // block_size, "seed": seed, "max_iters": steps}
    return replace(quick_start, **batch, out_dir="", eval_interval=steps, eval_iters=1, device="cpu")


@torch.no_grad()
def losses(model: GPT, tokens: np.ndarray) -> np.ndarray:
    """The loss at every position of windows that begin at each `EVERY`-th character: (windows, T)."""
    block_size = model.eval().config.block_size
    starts = np.arange(0, max_offset(tokens, max(block_size, EVERY)) + 1, EVERY)
    rows = []
    for some in np.array_split(starts, len(starts) // 64):
        x, y = make_batch(tokens, some, block_size)
        rows.append(F.cross_entropy(model(x)[0].flatten(0, 1), y.flatten(), reduction="none").view(y.shape))
    return torch.cat(rows).double().numpy()


def train(data: Dataset, block_size: int, steps: int, seed: int) -> dict:
    """One run: the mean loss at each position."""
    trainer = Trainer(settings(block_size, steps, seed), data)
    for _ in trainer:
        pass
    rows = losses(trainer.model, data.val)
    result = {"block_size": block_size, "steps": steps, "seed": seed, "characters": trainer.step * CHARACTERS}
    result |= {"loss": round(float(rows.mean()), 4), "by_position": rows.mean(axis=0).round(4).tolist()}
    if block_size == EVERY:  # then the windows lie side by side
        result |= by_novelty(data, rows)
    return result


def by_novelty(data: Dataset, rows: np.ndarray, context: int = 5) -> dict:
    """The loss where the last `context` characters occur nowhere in the training plays, and everywhere else."""
    targets = np.arange(rows.shape[0])[:, None] * EVERY + np.arange(1, rows.shape[1] + 1)
    places = targets[:, context:]
    new = unseen(data, context)[places - context]
    rows = rows[:, context:]
    return {"loss_at_new": round(float(rows[new].mean()), 4), "loss_at_known": round(float(rows[~new].mean()), 4)}


# --- counting ---------------------------------------------------------------------------------------------


def pieces(tokens: np.ndarray, length: int, vocab_size: int) -> np.ndarray:
    """Each piece of `length` characters as one number, in the order of the text."""
    digits = (tokens[i : len(tokens) - length + i + 1].astype(np.int64) for i in range(length))
    number = np.zeros(len(tokens) - length + 1, np.int64)
    for digit in digits:
        number = number * vocab_size + digit
    return number


def unseen(data: Dataset, length: int) -> np.ndarray:
    """For each piece of `length` held-out characters: does it occur nowhere in the training plays?"""
    train, val = (pieces(np.asarray(tokens), length, data.vocab_size) for tokens in (data.train, data.val))
    return ~np.isin(val, np.unique(train))


def count_losses(data: Dataset, read: np.ndarray, longest: int = MOST_CONTEXT) -> Iterator[np.ndarray]:
    """The loss at each held-out character of tables that look back on 0, 1, ... `longest` characters.

    Only what is marked in `read` is counted. A context that was met n times trusts its own counts by n / (n + PULL),
    and for the rest the table of the context that is one character shorter.
    """
    tokens, V = np.asarray(data.train), data.vocab_size
    p = np.full(len(data.val) - longest, 1 / V)
    for n in range(longest + 1):
        whole = np.convolve(read, np.ones(n + 1, int), "valid") == n + 1
        kinds, counts = np.unique(pieces(tokens, n + 1, V)[whole], return_counts=True)
        contexts, first = np.unique(kinds // V, return_index=True)
        asked = pieces(np.asarray(data.val), n + 1, V)[longest - n :]
        met = _look_up(contexts, np.add.reduceat(counts, first), asked // V)
        p = (_look_up(kinds, counts, asked) + PULL * p) / (met + PULL)
        yield -np.log(p)


def _look_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    place = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0)


def read_by(data: Dataset, steps: int, seed: int, block_size: int = 64) -> np.ndarray:
    """Which characters of the training plays a run has read."""
    read = np.zeros(len(data.train), int)
    for step in range(steps):
        batch = CHARACTERS // block_size
        starts = sample_offsets(data.train, block_size, batch, (seed, TRAIN_STREAM, step))
        read[(starts[:, None] + np.arange(block_size + 1)).ravel()] = 1
    return read


def count(data: Dataset, steps: int, seed: int) -> dict:
    """Tables of what a run has read."""
    read = read_by(data, steps, seed)
    by_context = [round(float(rows.mean()), 4) for rows in count_losses(data, read)]
    return {"steps": steps, "seed": seed, "characters": int(read.sum()), "by_context": by_context}


def count_all(data: Dataset) -> dict:
    """Tables of all training plays, and how many contexts there are."""
    everything, V = np.ones(len(data.train), int), data.vocab_size
    rows = list(count_losses(data, everything))
    new = unseen(data, 5)[MOST_CONTEXT - 5 : -1]
    return {
        "by_context": [round(float(row.mean()), 4) for row in rows],
        "contexts": [len(np.unique(pieces(np.asarray(data.train), n, V))) for n in range(1, MOST_CONTEXT + 1)],
        "unseen": [round(float(unseen(data, n).mean()), 5) for n in range(1, MOST_CONTEXT + 1)],
        "loss_at_new": round(float(rows[5][new].mean()), 4),
        "loss_at_known": round(float(rows[5][~new].mean()), 4),
    }


def main() -> None:
    """Add what is missing in the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=1000, help="stop after so many runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = Dataset.open("data-by-char")
    result = {"machine": f"torch threads: 1, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}"}
    result |= {"torch": torch.__version__, "seeds": SEEDS, "gpt": [], "counts": []}
    if options.out.exists():
        result |= json.loads(options.out.read_text())
    done = {(run["block_size"], run["steps"], run["seed"]) for run in result["gpt"]}
    wanted = [(*run, seed) for run, seeds in RUNS.items() for seed in seeds]
    for run in [run for run in wanted if run not in done][: options.runs]:
        result["gpt"].append(train(data, *run))
        print({key: value for key, value in result["gpt"][-1].items() if key != "by_position"}, flush=True)
        atomic_write(options.out, json.dumps(result) + "\n")
    if not result["counts"]:
        lengths = sorted(steps for block_size, steps in RUNS if block_size == 64)
        result["counts"] = [count(data, steps, SEEDS[0]) for steps in lengths]
        result["counts_of_all"] = count_all(data)
        print(result["counts"], result["counts_of_all"], flush=True)
    result["gpt"].sort(key=lambda run: (run["block_size"], run["steps"], run["seed"]))
    atomic_write(options.out, json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

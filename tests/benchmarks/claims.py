"""The numbers in the lessons' prose that a second or two can measure again, for several seeds.

    python tests/benchmarks/claims.py --out notebooks/results/claims.json

`tests/test_claims.py` holds the sentences to the mean and the spread of this file, and the code to them too, by
seeds that are not in it. Times are not among the claims: no other machine would find them again.
"""

import argparse
import json
import platform
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from course.lessons.figures_01 import characters_per_token
from course.lessons.lesson_06_memorisation import measure, pieces, text_of
from course.lessons.lesson_07_inside import largest_weights
from gptlib import BPETokenizer, Dataset, Evaluation, TrainConfig, Trainer
from gptlib.files import atomic_write


@dataclass(frozen=True)
class Claim:
    """A number as a lesson states it.

    Args:
        lesson: its number.
        words: as they stand in the lesson, line breaks aside; the number is between angle brackets here.
    """

    lesson: str
    words: str

    @property
    def name(self) -> str:
        """The words as the reader sees them."""
        return re.sub(r"[<>]", "", self.words)

    @property
    def _written(self) -> str:
        return re.search(r"<(.+)>", self.words)[1]

    @property
    def number(self) -> float:
        """What is claimed."""
        return float(self._written)

    @property
    def rounding(self) -> float:
        """Half a unit of the last digit: "2.6" may stand for 2.55 to 2.65."""
        return 0.5 * 10.0 ** -len(self._written.partition(".")[2])


def data() -> Dataset:
    """The lessons' text."""
    return Dataset.open("data-by-char")


def first_gpt(seed: int) -> list[float]:
    """Lesson 00: the loss on held-out plays before the first step."""
    modern = {"positions": "rotary", "qk_norm": True, "smear": True, "bigram": True}
    shape = {"n_layer": 1, "n_embd": 64, "block_size": 64, **modern}
    training = {"optimizer": "muon", "learning_rate": 0.02, "muon_lr": 0.04, "schedule": "linear", "batch_size": 24}
    events = Trainer(TrainConfig(**shape, **training, eval_iters=10, seed=seed), data())
    return [next(event for event in events if isinstance(event, Evaluation)).val.mean]


def vocabulary(seed: int) -> list[float]:
    """Lesson 01: the length of a token among 512, learnt from half a million characters somewhere in the plays."""
    plays, held_out = (text_of(split, data().tokenizer) for split in (data().train, data().val))
    start = int(np.random.default_rng(seed).integers(len(plays) - 500_000))
    tokenizer = BPETokenizer.train(plays[start : start + 500_000], 512)
    return [characters_per_token(tokenizer, tokenizer.encode(held_out[:100_000]))]


def baseline(seed: int) -> list[float]:
    """Lesson 06: the longest span that held-out text shares with the beginning and with nearly all of the plays."""
    plays, held_out = (text_of(split, data().tokenizer) for split in (data().train, data().val))
    samples = pieces(held_out, 300, 2, seed=seed)
    lengths = (4_000, 4_000_000)
    return [statistics.mean(measure(sample, plays[:length]).longest for sample in samples) for length in lengths]


def luckiest(seed: int) -> list[float]:
    """Lesson 07: the largest of 32 softmax weights in per cent: narrow and wide as they are, wide after dividing."""
    as_they_are, divided = largest_weights([4, 128], seed=seed).values()
    return [100 * as_they_are[0], 100 * as_they_are[1], 100 * divided[1]]


# what is measured together, and what the lessons say of it, in the same order
MEASURED: dict[Callable[[int], list[float]], Sequence[Claim]] = {
    first_gpt: [Claim("00", 'claim("loss before the first step", run.evaluations[0].val.mean, <4.3>,')],
    vocabulary: [Claim("01", "climbs from 1.0 at 256 over <2.0> at 512")],
    baseline: [
        Claim("06", "it climbs slowly from about <8>"),
        Claim("06", "from about 8 to about <17>."),
    ],
    luckiest: [
        Claim("07", "it climbs from about <35> %"),
        Claim("07", "to about <86> %"),
        Claim("07", "it stays at about <17> %"),
    ],
}


def main() -> None:
    """All claims, all seeds, one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 11)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    claims = []
    for measured, claimed in MEASURED.items():
        by_seed = [measured(seed) for seed in options.seeds]
        for claim, values in zip(claimed, zip(*by_seed, strict=True), strict=True):
            mean, spread = statistics.mean(values), statistics.stdev(values)
            claims.append(
                {
                    "lesson": claim.lesson,
                    "claim": claim.name,
                    "mean": round(mean, 5),
                    "standard_deviation": round(spread, 5),
                    "values": [round(value, 5) for value in values],
                }
            )
            print(f"{claim.lesson}  {claim.number:g}: {mean:.4g} ± {spread:.2g}  ({claim.name})", flush=True)
    result = {
        "machine": f"1 thread, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}",
        "torch": torch.__version__,
        "seeds": options.seeds,
        "claims": claims,
    }
    atomic_write(options.out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

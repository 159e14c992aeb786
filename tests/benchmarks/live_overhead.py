"""What the live lab costs: milliseconds a step of a run with it, pictures and all, against the same run without it.

    python tests/benchmarks/live_overhead.py [--name=value ...]

prints one JSON line. The two take turns, and each round gives one ratio: whatever else the machine does meanwhile
slows both down. It needs two quiet cores for the times, and a quiet one for their ratio.
"""

import json
import statistics
import sys
import threading
import time

from course.lab import Lab
from course.lab.lab import DEFAULTS
from course.lab.worker import warm_up
from gptlib import Dataset, TrainConfig, Trainer
from gptlib.config import read_command_line
from gptlib.errors import run_cli

ROUNDS = 5
MAX_ITERS = 300


def bare(config: TrainConfig, dataset: Dataset) -> float:
    """Seconds of a run that nobody shows, in a thread as the lab's."""
    times = []

    def work() -> None:
        trainer = Trainer(config, dataset)
        start = time.perf_counter()
        for _ in trainer:
            pass
        times.append(time.perf_counter() - start)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return times[0]


def shown(lab: Lab) -> tuple[float, float, float]:
    """Seconds of a run of the lab, from its Trainer's first step to its end; to its first point; to draw all."""
    start = time.perf_counter()
    pictures = []
    lab.view.image.observe(
        lambda _: lab.runs[-1].evaluations and pictures.append(time.perf_counter() - start), names="value"
    )
    lab.start()
    lab.wait()
    lab.view.image.unobserve_all()
    run = lab.runs[-1]
    return run.seconds(), pictures[0], run.drawing


def main(argv: list[str] | None = None) -> None:
    """Measure in turn and print."""
    own = read_command_line(TrainConfig, "live_overhead", __doc__, sys.argv[1:] if argv is None else argv)
    changed = {name: value for name, value in vars(own).items() if value != getattr(TrainConfig(), name)}
    settings = DEFAULTS | {"max_iters": MAX_ITERS, "threads": 1} | changed
    config, dataset = TrainConfig(**settings), Dataset.open(own.dataset)
    lab = Lab("eval_interval", dataset=dataset, **settings)
    warm_up().join()
    bare(config, dataset)
    shown(lab)
    rounds = [(bare(config, dataset), *shown(lab)) for _ in range(ROUNDS)]
    without, seconds, first, drawing = (statistics.median(column) for column in zip(*rounds, strict=True))
    result = {
        "ms_per_step_bare": round(1000 * without / config.max_iters, 3),
        "ms_per_step_lab": round(1000 * seconds / config.max_iters, 3),
        "ratio": round(statistics.median(row[1] / row[0] for row in rounds), 3),
        "drawing_share": round(drawing / seconds, 3),
        "seconds_to_first_point": round(first, 3),
        "rounds": ROUNDS,
        "steps": config.max_iters,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    run_cli(main)

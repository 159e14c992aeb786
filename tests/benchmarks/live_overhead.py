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
from gptlib import Dataset, TrainConfig, Trainer
from gptlib.config import read_command_line
from gptlib.errors import run_cli

ROUNDS = 5


def bare(config: TrainConfig, dataset: Dataset) -> tuple[float, float]:
    """Seconds, and CPU seconds, of a run that nobody shows, in a thread as the lab's."""

    def work() -> None:
        for _ in Trainer(config, dataset):
            pass

    started, cpu = time.perf_counter(), time.process_time()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return time.perf_counter() - started, time.process_time() - cpu


def shown(lab: Lab) -> tuple[float, float, float, float]:
    """Seconds and CPU seconds of a run of the lab, from Run to its last picture; to its first point; to draw all."""
    pictures, drawing, redraw = [], [], lab.redraw
    started, cpu = time.perf_counter(), time.process_time()

    def note(_: dict) -> None:
        if lab.runs[-1].evaluations:
            pictures.append(time.perf_counter() - started)

    def timed() -> None:
        begun = time.perf_counter()
        redraw()
        drawing.append(time.perf_counter() - begun)

    lab.redraw = timed
    lab.view.image.observe(note, names="value")
    lab.start()
    lab.wait()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    lab.view.image.unobserve_all()
    lab.redraw = redraw
    return seconds, cpu, pictures[0], sum(drawing)


def main(argv: list[str] | None = None) -> None:
    """Measure alternately and print."""
    own = read_command_line(TrainConfig, "live_overhead", __doc__, sys.argv[1:] if argv is None else argv)
    changed = {name: value for name, value in vars(own).items() if value != getattr(TrainConfig(), name)}
    settings = DEFAULTS | {"threads": 1} | changed
    config, dataset = TrainConfig(**settings), Dataset.open(own.dataset)
    lab = Lab("eval_interval", dataset=dataset, **settings)
    bare(config, dataset)
    shown(lab)
    rounds = [(*bare(config, dataset), *shown(lab)) for _ in range(ROUNDS)]
    result = {
        "ms_per_step_bare": round(1000 * statistics.median(row[0] for row in rounds) / config.max_iters, 3),
        "ms_per_step_lab": round(1000 * statistics.median(row[2] for row in rounds) / config.max_iters, 3),
        "ratio": round(statistics.median(row[2] / row[0] for row in rounds), 3),
        "cpu_ratio": round(statistics.median(row[3] / row[1] for row in rounds), 3),
        "drawing_share": round(statistics.median(row[5] / row[2] for row in rounds), 3),
        "seconds_to_first_point": round(statistics.median(row[4] for row in rounds), 3),
        "rounds": ROUNDS,
        "steps": config.max_iters,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    run_cli(main)

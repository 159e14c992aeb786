"""Learners who run a lab at the same time on one machine: python tests/benchmarks/classroom.py --learners 8

Each is a kernel of its own, as JupyterHub or Voila would start it. All labs run for a while; then each is stopped,
while those behind it go on. Prints one JSON object: memory of a kernel (resident, and its share of what kernels have
in common), its cores, its steps, and the seconds from Stop to the end of the run.
"""

import argparse
import ast
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

START = """
import os
from course.lab import Lab
lab = Lab("eval_interval", max_iters=100_000, threads=1)
lab.start()
None
"""
STEPS = "lab.runs[-1].step"
STOP = """
lab.stop()
lab.wait(60)
lab.runs[-1].status
"""
USED = "(sum(os.times()[:2]), open('/proc/self/smaps_rollup').read())"
SECONDS = 15
PATIENCE = 120  # seconds for one cell on a crowded machine


def run(client: BlockingKernelClient, code: str) -> Any:
    """The value of the last expression of a cell."""
    values = []

    def keep(message: dict) -> None:
        if message["msg_type"] == "execute_result":
            values.append(message["content"]["data"]["text/plain"])

    reply = client.execute_interactive(code, output_hook=keep, timeout=PATIENCE)["content"]
    if reply["status"] != "ok":
        raise RuntimeError(f"{reply['ename']}: {reply['evalue']}")
    return ast.literal_eval(values[-1]) if values else None


def stop(client: BlockingKernelClient) -> tuple[float, str]:
    """The seconds from Stop to the end of the run, the way to the kernel included; and what became of it."""
    called = time.perf_counter()
    status = run(client, STOP)
    return time.perf_counter() - called, status


def used(client: BlockingKernelClient) -> tuple[float, float, float]:
    """CPU seconds, megabytes resident, megabytes of them as this kernel's share."""
    cpu, rollup = run(client, USED)
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
    return cpu, kilobytes["Rss"] / 1000, kilobytes["Pss"] / 1000


def main() -> None:
    """Start the kernels, let them train, stop one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learners", type=int, default=8)
    learners = parser.parse_args().learners
    with ThreadPoolExecutor(learners) as together:
        kernels: list[tuple[KernelManager, BlockingKernelClient]] = list(
            together.map(lambda _: start_new_kernel(), range(learners))
        )
        try:
            clients = [client for _, client in kernels]
            list(together.map(lambda client: run(client, START), clients))
            while min(together.map(lambda client: run(client, STEPS), clients)) < 1:
                time.sleep(1)
            first = [(run(client, STEPS), used(client)[0]) for client in clients]
            time.sleep(SECONDS)
            last = [(run(client, STEPS), *used(client)) for client in clients]
            stops = [stop(client) for client in clients]
            alive = sum(manager.is_alive() for manager, _ in kernels)
        finally:
            for manager, client in kernels:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
    rows = list(zip(first, last, strict=True))
    result = {
        "learners": learners,
        "cores": os.cpu_count(),
        "alive": alive,
        "slowest stop, seconds": round(max(seconds for seconds, _ in stops), 2),
        "stopped": sum(status == "stopped" for _, status in stops),
        "resident MB, most": round(max(row[2] for row in last)),
        "own share MB, median": round(statistics.median(row[3] for row in last)),
        "steps in the time, fewest and most": [f(b[0] - a[0] for a, b in rows) for f in (min, max)],
        "cores used by a kernel, median": round(statistics.median((b[1] - a[1]) / SECONDS for a, b in rows), 2),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""What `import gptlib` and all its public names cost above `import torch`: python tests/benchmarks/import_time.py

Each import is timed in a process of its own, in turn; the medians are printed as one JSON line.
"""

import json
import statistics
import subprocess
import sys

ROUNDS = 7
IMPORTS = {
    "torch": "import torch",
    "gptlib": "import gptlib",
    "torch and gptlib": "import torch, gptlib",
    "torch and all of gptlib": "import torch; from gptlib import *",
}
TIMED = "import time; started = time.process_time()\n{code}\nprint(time.process_time() - started)"


def cpu_seconds(code: str) -> float:
    """The CPU seconds that `code` takes in a fresh interpreter."""
    command = [sys.executable, "-c", TIMED.format(code=code)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure in turn and print medians, in CPU seconds."""
    rounds = [{name: cpu_seconds(code) for name, code in IMPORTS.items()} for _ in range(ROUNDS)]
    print(json.dumps({name: round(statistics.median(r[name] for r in rounds), 3) for name in IMPORTS}))


if __name__ == "__main__":
    main()

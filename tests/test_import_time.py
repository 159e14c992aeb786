"""Importing the package is quick: torch, which takes a second or more, waits for its first use."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 0.2  # CPU seconds above an empty interpreter
CODE = """
import sys, time
started = time.process_time()
import gptlib
print(time.process_time() - started, "torch" in sys.modules)
"""


def test_importing_the_package_takes_no_time_and_no_torch():
    results = [subprocess.check_output([sys.executable, "-c", CODE], cwd=ROOT, text=True).split() for _ in range(3)]
    assert min(float(seconds) for seconds, _ in results) < MOST
    assert {torch for _, torch in results} == {"False"}

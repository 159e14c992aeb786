"""The benchmark for a GPU works the first time: all its parts run here on a CPU, in seconds."""

import json
import runpy
import sys
from pathlib import Path
from subprocess import CompletedProcess

PROGRAM = Path(__file__).parent / "benchmarks" / "gpu.py"


def test_every_part_runs_and_is_written_down(tmp_path, monkeypatch):
    text, out = tmp_path / "text.txt", tmp_path / "gpu.json"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 40)
    monkeypatch.setattr(sys, "argv", [str(PROGRAM), str(text), "--tiny", f"--out={out}"])
    monkeypatch.setattr("subprocess.run", lambda command, **how: CompletedProcess(command, 0, "1 skipped\n", ""))
    runpy.run_path(str(PROGRAM))["main"]()
    results = json.loads(out.read_text())
    assert not [part for part in results.values() if "failed" in str(part)], results
    assert {"train_gpu.toml", "muon"} == results["time_to_loss"].keys()
    assert len(results["throughput"]) == 12 and all(row["tokens_per_second"] > 0 for row in results["throughput"])
    assert results["memory"]["counted_mib"] > 0 and min(results["sampling"].values()) > 0
    assert results["resume"]["bit_identical"] and results["resume"]["between_two_whole_runs"] == 0
    assert results["tests"] == {"exit_code": 0, "pytest": "1 skipped"}

"""Numbers in the lessons' prose: written as they were measured, and measured again, within three standard deviations.

What `notebooks/results/claims.json` says comes from `tests/benchmarks/claims.py`, which also knows the sentences.
"""

import json
import runpy
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MEASURED = runpy.run_path(str(ROOT / "tests" / "benchmarks" / "claims.py"))["MEASURED"]
STORED = json.loads((ROOT / "notebooks" / "results" / "claims.json").read_text(encoding="utf-8"))
RESULTS = {(result["lesson"], result["claim"]): result for result in STORED["claims"]}
CLAIMS = [claim for claims in MEASURED.values() for claim in claims]
OTHER_SEEDS = (11, 12)  # none of those in the file
DEVIATIONS = 3


def sources(lesson):
    """All that is written in the cells of a lesson, on one line."""
    (path,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return " ".join(" ".join("".join(cell["source"]).split()) for cell in cells)


def test_the_file_holds_each_claim_and_no_other():
    assert set(RESULTS) == {(claim.lesson, claim.name) for claim in CLAIMS}
    assert len(STORED["seeds"]) >= 5 and not set(OTHER_SEEDS) & set(STORED["seeds"])
    assert STORED["machine"] and STORED["torch"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.lesson}-{claim.number:g}")
def test_the_lesson_says_what_was_measured(claim):
    assert claim.name in sources(claim.lesson), f"lesson {claim.lesson} no longer says: {claim.name}"
    result = RESULTS[claim.lesson, claim.name]
    allowed = DEVIATIONS * result["standard_deviation"] + claim.rounding
    assert abs(claim.number - result["mean"]) <= allowed, f"measured {result['mean']}, allowed ± {allowed:.3g}"


@pytest.mark.parametrize("measured", MEASURED, ids=lambda measured: measured.__name__)
def test_other_seeds_find_it_again(measured):
    by_seed = [measured(seed) for seed in OTHER_SEEDS]
    for claim, values in zip(MEASURED[measured], zip(*by_seed, strict=True), strict=True):
        result, found = RESULTS[claim.lesson, claim.name], statistics.mean(values)
        allowed = DEVIATIONS * result["standard_deviation"]
        assert abs(found - result["mean"]) <= allowed, f"{claim.name}: {found:.4g}, {result['mean']} ± {allowed:.3g}"

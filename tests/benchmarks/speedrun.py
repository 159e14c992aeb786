"""Verify entries of the speedrun (SPEEDRUN.md): three seeds each, in turn with nanoGPT's program on this machine.

    python tests/benchmarks/speedrun.py --text PATH --nanogpt CHECKOUT look-back small-look-back modern counting

An entry is a recipe of `time_to_loss.py`. Prints a line for every run, then a table. Exits with 1 if an entry misses
the loss with any seed.
"""

import argparse
import statistics

from ladder import run

TARGET = 1.898  # nanoGPT's exact loss on the validation split


def main() -> int:
    """Round by round, so that a busy neighbor slows the reference and the entries alike."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("entries", nargs="+")
    parser.add_argument("--text", required=True)
    parser.add_argument("--nanogpt", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    rounds = [{name: run(name, seed, options) for name in ("reference", *options.entries)} for seed in options.seeds]
    print(f"\n{'entry':<15} {'seconds':>20} {'validation loss':>22} {'times as fast':>22}")
    for name in ("reference", *options.entries):
        seconds, losses = ([each[name][key] for each in rounds] for key in ("seconds", "val_loss"))
        ratios = [each["reference"]["seconds"] / each[name]["seconds"] for each in rounds]
        columns = [
            " ".join(f"{value:.{digits}f}" for value in values) for values, digits in ((seconds, 1), (losses, 3))
        ]
        spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        print(f"{name:<15} {columns[0]:>20} {columns[1]:>22} {spread:>22}")
    missed = [name for name in options.entries if any(each[name]["val_loss"] > TARGET for each in rounds)]
    print(f"not valid, above {TARGET}: {', '.join(missed)}" if missed else f"valid: every seed is at {TARGET} or below")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())

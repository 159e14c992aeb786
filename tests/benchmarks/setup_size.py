"""Where the bytes of the set-up go: python tests/benchmarks/setup_size.py prints a line for each large package.

A package has the megabytes of the files that it installed, and the compiled ones beside them.
"""

import json
from importlib.metadata import Distribution, distributions

SHOWN = 12


def megabytes(package: Distribution) -> float:
    """The size of its files on the disk."""
    paths = [package.locate_file(file) for file in package.files or []]
    return sum(path.stat().st_size for path in paths if path.exists()) / 1e6


def main() -> None:
    """Print the largest packages and the sum as one JSON object."""
    sizes = {package.metadata["Name"]: megabytes(package) for package in distributions()}
    largest = sorted(sizes, key=sizes.get, reverse=True)[:SHOWN]
    shown = {name: round(sizes[name], 1) for name in largest}
    print(json.dumps(shown | {"everything": round(sum(sizes.values()), 1), "packages": len(sizes)}, indent=1))


if __name__ == "__main__":
    main()

"""Two houses: the course imports the library, and never the other way round."""

import ast
from pathlib import Path

import pytest

from gptlib import __version__

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("path", sorted((ROOT / "gptlib").rglob("*.py")), ids=lambda path: path.stem)
def test_the_library_never_imports_the_course(path):
    imported = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            imported.append(node.module)
    assert [name for name in imported if name.split(".")[0] == "course"] == []


def test_the_version_is_said_once_more_in_the_citation():
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()

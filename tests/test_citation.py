"""LICENSE and CITATION.cff say what pyproject.toml and gptlib/version.py say."""

import tomllib
from pathlib import Path

import pytest

from gptlib import __version__

yaml = pytest.importorskip("yaml", reason="JupyterLab brings it")

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
LICENSE = (ROOT / "LICENSE").read_text(encoding="utf-8")
NEEDED = {"cff-version", "message", "title", "authors"}  # by the format's schema 1.2.0


def test_the_citation_has_what_its_format_needs():
    assert set(CITATION) >= NEEDED


def test_the_citation_names_this_version():
    assert str(CITATION["version"]) == __version__


def test_there_is_one_licence():
    assert PROJECT["license"] == CITATION["license"] == LICENSE.split()[0] == "MIT"


def test_there_are_the_same_authors_everywhere():
    (author,) = CITATION["authors"]
    assert PROJECT["authors"] == [author]
    assert f"Copyright (c) {CITATION['date-released'].year} {author['name']}" in LICENSE

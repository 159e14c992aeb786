"""The one set of requirements, what importing the package may pull in, and how large its core may grow."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest

requirements = pytest.importorskip("packaging.requirements", reason="pytest brings it")
specifiers = pytest.importorskip("packaging.specifiers", reason="pytest brings it")

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LINES = [*PROJECT["dependencies"], *(line for name in ("hf", "site", "serve", "dev") for line in EXTRAS[name])]
CORE = sorted((ROOT / "gptlib").glob("*.py"))
DIRECT = [req for req in map(requirements.Requirement, LINES) if req.name != PROJECT["name"]]


@pytest.fixture(scope="module")
def pins():
    """The lines of constraints.txt, {name: version}."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.split("#")[0].strip() for line in lines]
    return {name.lower(): version for name, version in (line.split("==") for line in lines if line)}


@pytest.fixture(scope="module")
def environment():
    return (ROOT / "environment.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_every_direct_dependency_is_pinned_to_a_version_that_it_allows(pins, requirement):
    assert requirement.specifier.contains(pins[requirement.name.lower()])


def test_torch_is_pinned_while_older_ones_are_allowed(pins):
    (torch,) = [requirement for requirement in DIRECT if requirement.name == "torch"]
    assert pins["torch"] == "2.13.0" and str(torch.specifier) == ">=2.9"


def test_the_conda_environment_installs_what_pyproject_and_the_pins_say(environment):
    items = [line.strip().removeprefix("- ") for line in environment.splitlines() if line.strip().startswith("- ")]
    assert items == [
        "conda-forge",
        f"python={python_of(environment)}",
        "pip",
        "pip:",
        "-c constraints.txt",
        "-e .[dev]",
    ]


def python_of(environment):
    return re.search(r"python=([\d.]+)", environment).group(1)


def test_the_conda_environments_python_is_allowed(environment):
    assert specifiers.SpecifierSet(PROJECT["requires-python"]).contains(python_of(environment))


# --- imports ------------------------------------------------------------------------------------------------


def test_importing_the_package_leaves_the_heavy_ones_alone():
    heavy = ["matplotlib", "ipywidgets", "IPython", "transformers", "wandb"]
    code = f"import sys, gptlib; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_never_imports_what_is_built_on_it(path):
    upper = ("gptlib.live", "gptlib.probes", "gptlib.course", "gptlib.exercises")
    imported = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    assert [name for name in imported if name.startswith(upper)] == []


# --- size ---------------------------------------------------------------------------------------------------


NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(source):
    """The lines that are left without empty ones, comments and docstrings."""
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in NO_CODE]
    lines = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def test_lines_of_code_are_counted():
    assert lines_of_code('"""Doc\nstring."""\n\n# why\ndef f():\n    """Doc."""\n    g(\n        "a"\n    )\n') == 4


def test_the_core_stays_small():
    assert sum(lines_of_code(path.read_text(encoding="utf-8")) for path in CORE) < 2500


@pytest.mark.parametrize("name", ["model", "trainer"])
def test_model_and_trainer_are_each_read_in_one_sitting(name):
    assert len((ROOT / "gptlib" / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 350

"""Build the web site of the course: python site/build.py FOLDER (`make site`: _site).

Sphinx wants all its sources in one folder. So the pages beside this file, the lessons and what is
generated are laid into one that is thrown away afterwards, as they lie in the repository.
"""

import base64
import importlib
import inspect
import pkgutil
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sphinx.cmd.build import build_main

import course.lab
import gptlib
from course import LESSONS
from course.glossary import GLOSSARY

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ROOMS = (gptlib, course.lab)  # what notebooks of one's own may use; who writes lessons reads the code of `course`
CARD = """::::{{container}} lesson
{picture}

[{lesson.number} {lesson.name}]({folder}/{lesson.file})

{lesson.question}

:::{{container}} minutes
{lesson.minutes} minutes
:::
::::
"""
MODULE_PAGE = """# {name}

```{{eval-rst}}
.. automodule:: {name}
   :members:
   :member-order: bysource
```
"""


def lay_out(folder: Path, lessons: Path) -> None:
    """Write all sources of the site into `folder`; `lessons` is where the notebooks are."""
    notebooks = folder / "notebooks"
    shutil.copytree(lessons, notebooks, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "course"))
    own = (HERE / f"{name}.md" for name in ("index", "setup", "measurements", "class"))
    for page in (*own, ROOT / "CONTRIBUTING.md", ROOT / "EXPERIMENTS.md"):
        shutil.copy(page, folder)
    (folder / "lessons.txt").write_text("\n".join(cards(notebooks)), encoding="utf-8")
    glossary = (HERE / "glossary.md").read_text(encoding="utf-8") + GLOSSARY.markdown() + "\n"
    (notebooks / "glossary.md").write_text(glossary, encoding="utf-8")  # its links lead to the lessons
    (folder / "reference.md").write_text(reference(folder / "api"), encoding="utf-8")


# --- the lessons as cards ---------------------------------------------------------------------------------


def cards(notebooks: Path) -> Iterator[str]:
    """A card for each lesson: the figure of its live experiment, its name and its question."""
    yield ":::::{container} lessons"
    for lesson in LESSONS:
        picture = ""
        if figure := figure_of(nbformat.read(notebooks / lesson.file, as_version=4)):
            png, alt = figure
            (notebooks / f"{lesson.number}.png").write_bytes(base64.b64decode(png))
            picture = f"![{alt}]({notebooks.name}/{lesson.number}.png)"
        yield CARD.format(lesson=lesson, picture=picture, folder=notebooks.name)
    yield ":::::"


def figure_of(notebook: NotebookNode) -> tuple[str, str] | None:
    """The first figure after the last live lab, or else the first of all; and its alt text.

    None if there is none, as where the notebook was saved while its cells were still running.
    """
    figures, lab = [], 0
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        data = output.get("data", {})
        if data.get("text/plain", "").startswith("<live lab"):
            lab = len(figures)
        if "image/png" in data:
            figures.append((data["image/png"], output.metadata.get("image/png", {}).get("alt", "")))
    return next(iter(figures[lab:] or figures), None)


# --- the reference -----------------------------------------------------------------------------------------


def reference(folder: Path) -> str:
    """Write a page for each module into `folder`; the page that lists them, by room, with what each is for."""
    folder.mkdir()
    page = ["# Reference", ""]
    for room in ROOMS:
        page += [f"## {room.__name__}", "", f"{inspect.getdoc(room)}", "", "| module | what it is |", "|---|---|"]
        names = [f"{room.__name__}.{module.name}" for module in pkgutil.iter_modules(room.__path__) if not module.ispkg]
        for name in names:
            (folder / f"{name}.md").write_text(MODULE_PAGE.format(name=name), encoding="utf-8")
            page.append(f"| [{name}]({folder.name}/{name}.md) | {first_line(name)} |")
        page += ["", "```{toctree}", ":hidden:", *(f"{folder.name}/{name}" for name in names), "```", ""]
    return "\n".join(page)


def first_line(name: str) -> str:
    """The first line of a module's docstring."""
    return inspect.getdoc(importlib.import_module(name)).splitlines()[0]


def main(argv: list[str]) -> int:
    """Build the site into the folder that is named; the exit status is Sphinx's."""
    if len(argv) != 1:
        print("usage: python site/build.py FOLDER", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as work:  # MyST-NB writes beside the pages: both lie in here at first
        sources, pages = Path(work, "sources"), Path(work, "pages")
        sources.mkdir()
        lay_out(sources, ROOT / "notebooks")
        options = ["-c", str(HERE), "-d", f"{work}/doctrees", "--fail-on-warning", "--keep-going", "--quiet"]
        if status := build_main([*options, str(sources), str(pages)]):
            return status
        shutil.copytree(pages, argv[0], dirs_exist_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

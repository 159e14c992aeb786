"""What Sphinx needs to know to build the web site; `site/build.py` calls it."""

import json
import re
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from docutils.nodes import Text
from docutils.writers.html5_polyglot import HTMLTranslator
from sphinx.application import Sphinx

from gptlib import __version__
from gptlib.config import describe

project = "Train a small GPT"
author = copyright = "the gptlib course authors"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["notebooks/images"]

nb_execution_mode = "off"  # the lessons are shown as they were executed and stored
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3

default_role = "py:obj"  # in docstrings, `name` links where the name is known
autodoc_typehints_format = "short"
autodoc_default_options = {"show-inheritance": True}
python_use_unqualified_type_names = True

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["course.css"]
html_favicon = "static/icon.svg"
html_context = {"default_mode": "auto"}
html_show_copyright = False
html_last_updated_fmt = None
html_math_renderer = "mathml"
html_theme_options = {
    "home_page_in_toc": True,
    "navbar_persistent": [],
    "logo": {"text": project},
    "show_toc_level": 2,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "max_navbar_depth": 1,  # the arrows that fold what is deeper have no name for a screen reader
}

LIVE = re.compile(r"<(live lab|explorer): (?P<what>.*)>", re.DOTALL)
NOTE = """<div class="live-here" role="note"><strong>Live when you run it.</strong>
This is an experiment with sliders and buttons ({what}). <code>make lab</code> opens it on your machine;
the figures on this page are what came out on ours.</div>"""

LESSON_LINK = re.compile(r'href="(\d\d_\w+)\.ipynb"')
WIDE = '<div class="wide" tabindex="0">{page}</div>'  # a table scrolls where it is wider than a phone; by keyboard too

# The theme's own script finds out that a reader likes it dark only after the page was shown in light.
THEME = """
if (document.documentElement.dataset.theme === "auto")
  document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
"""


def launch_buttons(urls: dict[str, str]) -> dict[str, Any]:
    """Buttons on each lesson that open it in Binder and Colab, if `Repository` under [project.urls] has an address."""
    if "Repository" not in urls:
        return {}
    hosts = {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"}
    buttons = {"launch_buttons": {**hosts, "notebook_interface": "jupyterlab"}}
    return {"repository_url": urls["Repository"], "repository_branch": "main", **buttons}


PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
html_theme_options |= launch_buttons(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"].get("urls", {}))


def setup(app: Sphinx) -> None:
    """Connect what follows."""
    app.add_js_file(None, body=THEME)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_formula, leave_formula))
    app.connect("source-read", show_notebook)
    app.connect("autodoc-process-docstring", document_settings)


# --- math: as MathML, which browsers show by themselves, with no script and no font to load -----------------------


def visit_math(translator: Any, node: Any) -> None:
    """Let docutils write it: Sphinx itself would leave it to a script from another host."""
    translator.math_output, translator.math_options = "mathml", ""
    node[:] = [Text(node.astext().replace(r"\_", "_"))]  # docutils knows no \_ in \text{...}
    HTMLTranslator.visit_math(translator, node)


def visit_formula(translator: Any, node: Any) -> None:
    """A formula on a line of its own scrolls where it is wider than a phone; by keyboard too."""
    translator.body.append('<div class="formula" tabindex="0">')
    visit_math(translator, node)


def leave_formula(translator: Any, node: Any) -> None:
    """End what `visit_formula` began."""
    translator.body.append("</div>")


# --- notebooks: as they are, but for what a page cannot do ----------------------------------------------------------


def show_notebook(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give figures their alt text, say of a live experiment what it is, and lead links to the pages."""
    if not docname.startswith("notebooks/") or not source[0].startswith("{"):
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        alts = [o.get("metadata", {}).get("image/png", {}).get("alt", "") for o in cell.get("outputs", [])]
        if alt := " ".join(" ".join(alts).split()):  # MyST-NB has one for all figures of a cell, on one line
            cell["metadata"].setdefault("mystnb", {})["image"] = {"alt": alt}
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if live := LIVE.fullmatch("".join(data.get("text/plain", ""))):
                data["text/html"] = NOTE.format(what=live["what"])
            elif page := "".join(data.get("text/html", "")):
                page = LESSON_LINK.sub(r'href="\1.html"', page)
                data["text/html"] = WIDE.format(page=page) if "<table" in page else page
    source[0] = json.dumps(notebook)


# --- settings: their documentation is in the fields -------------------------------------------------------------------


def document_settings(app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """List the fields of a config with what they mean, what they accept and their defaults."""
    if what != "class" or not is_dataclass(item):
        return
    for field in fields(item):
        if "doc" in field.metadata:
            about = f"{field.metadata['doc']} ({describe(field)}; ``{field.default!r}``)"
            lines += ["", f"``{field.name}``", f"    {about}"]

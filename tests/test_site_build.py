"""The web site's builder, on notebooks as they may lie in a folder; tests/browser/test_site.py looks at the pages."""

import json
import runpy
from pathlib import Path

import nbformat.v4 as v4
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def build():
    """The names that site/build.py defines."""
    pytest.importorskip("sphinx", reason="the extra `site` is not installed: make test installs it")
    return runpy.run_path(str(ROOT / "site" / "build.py"))


def shows(**data):
    """A cell with one output; `alt` is that of its picture."""
    alt = data.pop("alt", None)
    output = v4.new_output("display_data", data={name.replace("_", "/"): value for name, value in data.items()})
    output.metadata |= {"image/png": {"alt": alt}} if alt else {}
    return v4.new_code_cell("", outputs=[output])


LAB = shows(text_plain="<live lab: max_iters>")
FIRST, SECOND = shows(image_png="AAAA", alt="a loss"), shows(image_png="BBBB", alt="a second loss")


@pytest.mark.parametrize(
    ("cells", "figure"),
    [
        ([FIRST, LAB, SECOND], ("BBBB", "a second loss")),
        ([FIRST, SECOND], ("AAAA", "a loss")),
        ([FIRST, LAB, v4.new_code_cell("")], ("AAAA", "a loss")),  # saved before the cell after the lab had run
        ([LAB, v4.new_code_cell("")], None),
        ([v4.new_markdown_cell("# 03")], None),
        ([shows(image_png="CCCC")], ("CCCC", "")),
    ],
)
def test_a_card_shows_the_figure_of_the_live_lab_or_the_first_or_none(build, cells, figure):
    assert build["figure_of"](v4.new_notebook(cells=cells)) == figure


def test_a_lesson_that_was_saved_while_its_cells_were_still_running_has_a_card(build, tmp_path):
    sources, lessons = tmp_path / "sources", tmp_path / "notebooks"
    sources.mkdir()
    lessons.mkdir()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"][6:]:
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
        (lessons / path.name).write_text(json.dumps(notebook), encoding="utf-8")
    build["lay_out"](sources, lessons)
    assert "How do we know that it learns?" in (sources / "lessons.txt").read_text(encoding="utf-8")

"""The executor: what it stores is stable, and what it refuses stays as it was."""

import json

import nbformat.v4 as v4
import pytest
from execute_notebooks import main, read, tidy


def write(path, *cells):
    """A notebook file without cell ids, as editors of old write it."""
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells])
    for cell in notebook.cells:
        del cell["id"]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_stores_outputs_and_the_same_file_the_second_time(tmp_path, capsys):
    (tmp_path / "here.txt").write_text("found")
    tagged = v4.new_code_cell("1 / 0", metadata={"tags": ["raises-exception"], "scrolled": True})
    path = write(
        tmp_path / "a.ipynb", "print(open('here.txt').read())", tagged, "import ipywidgets as w; w.IntSlider()"
    )
    assert main([str(path)]) == 0
    first = path.read_text(encoding="utf-8")
    assert main([str(path)]) == 0
    assert path.read_text(encoding="utf-8") == first
    notebook = json.loads(first)
    outputs = [cell["outputs"][0] for cell in notebook["cells"]]
    assert outputs[0]["text"] == ["found\n"]  # it ran in its own folder
    assert outputs[1]["traceback"] == ["ZeroDivisionError: division by zero"]
    assert list(outputs[2]["data"]) == ["text/plain"]  # no view of a widget that is gone
    assert "widgets" not in notebook["metadata"]
    assert notebook["cells"][1]["metadata"] == {"tags": ["raises-exception"]}
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1\nundefined", "cell 2 raised NameError: name 'undefined' is not defined"),
        ("import sys\nprint('oh', file=sys.stderr)", "cell 2 wrote to stderr: oh"),
    ],
)
def test_refuses_with_one_line_and_leaves_the_file(tmp_path, capsys, source, reason):
    path = write(tmp_path / "a.ipynb", "1 + 1", source)
    before = path.read_bytes()
    assert main([str(path)]) == 1
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ipynb"]
    assert capsys.readouterr().err.splitlines() == [f"{path}: refused, {reason}"]


def test_a_file_that_is_no_notebook_is_one_line(tmp_path, capsys):
    (tmp_path / "a.ipynb").write_text("hello")
    assert main([str(tmp_path / "a.ipynb"), str(tmp_path / "missing.ipynb")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_old_outputs_do_not_survive(tmp_path):
    cell = v4.new_code_cell("", execution_count=7, outputs=[v4.new_output("stream", text="old")])
    notebook = read(write(tmp_path / "a.ipynb", cell))
    tidy(notebook)
    assert notebook.cells[0].outputs == []
    assert notebook.cells[0].execution_count is None

"""The contract that every notebook of the course keeps: one rule, one function, and a bad cell that it catches.

Cells are counted from 1, markdown cells too.
"""

import ast
import copy
import functools
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import nbformat.v4 as v4
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from course import LESSONS

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PLAYGROUND = "playground.ipynb"  # the one notebook that is no lesson

MOST_CELLS = 45
MOST_LINES = 15
MOST_SETUP_LINES = 5
SHORTEST_ALT = 20  # characters

MACHINE_PATH = re.compile(r"/(home|root|tmp|Users)/|\bC:\\")
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
EMBEDDED_FILE = re.compile(r"data:[\w/+.-]+;base64,[\w+/=]+")
UNWANTED = re.compile(r"\bOutput\(|\binteract(_manual)?\(|@interact|clear_output|pyplot")
PRECISE_NUMBER = re.compile(r"\d\.\d{3,}")
EXACT_OR_MASKED = re.compile(r"`[^`]*`|measured -?[0-9.,e+-]+( +\(we got [^)]*\))?")  # tests/sanitize.ini masks it
BARE_VERDICT = re.compile(r"^(True|False)$", re.MULTILINE)

Rule = Callable[[NotebookNode], Iterator[str]]
RULES: list[Rule] = []


def rule(check: Rule) -> Rule:
    """Add a generator of complaints to the contract."""
    RULES.append(check)
    return check


# --- what the rules look at -----------------------------------------------------------------------------


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def cells(notebook: NotebookNode, kind: str) -> Iterator[tuple[int, NotebookNode]]:
    """The cells of a kind that hold something, with their numbers."""
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == kind and cell.source.strip():
            yield number, cell


def outputs(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode, NotebookNode]]:
    """Every stored output, with its cell and the number of that."""
    for number, cell in cells(notebook, "code"):
        for output in cell.outputs:
            yield number, cell, output


def texts(output: NotebookNode) -> Iterator[tuple[str, str]]:
    """What of an output can be read, as (kind, text)."""
    if output.output_type == "stream":
        yield output.name, output.text
    elif output.output_type == "error":
        yield "traceback", "\n".join(output.traceback)
    for mime, data in output.get("data", {}).items():
        if not mime.startswith("image/") or mime == "image/svg+xml":
            yield mime, EMBEDDED_FILE.sub("", str(data))


def sources_and_outputs(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    """Everything that a reader can read, as (where, text)."""
    for number, cell in enumerate(notebook.cells, 1):
        yield f"the source of cell {number}", cell.source
    for number, _, output in outputs(notebook):
        for kind, text in texts(output):
            yield f"the {kind} of cell {number}", text


# --- the rules --------------------------------------------------------------------------------------------


@rule
def is_a_valid_notebook(notebook):
    try:
        with warnings.catch_warnings(action="error"):  # validate mends missing and repeated ids with a mere warning
            nbformat.validate(copy.deepcopy(notebook))
    except (nbformat.ValidationError, Warning) as error:
        yield f"not a valid notebook: {str(error).splitlines()[0]}"


@rule
def runs_on_the_kernel_python3(notebook):
    name = notebook.metadata.get("kernelspec", {}).get("name")
    if name != "python3":
        yield f"the kernel is {name!r}; it must be 'python3', which everybody has"


@rule
def has_no_widget_state(notebook):
    if "widgets" in notebook.metadata:
        yield "metadata.widgets holds widgets of a kernel that is gone; run make execute"


@rule
def begins_with_its_title(notebook):
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not re.match(r"# (\d\d|Playground)\b", first.source):
        yield "cell 1 must be markdown and start with the title, '# NN ...'"


@rule
def was_run_once_from_the_top(notebook):
    for expected, (number, cell) in enumerate(cells(notebook, "code"), 1):
        if cell.execution_count != expected:
            yield f"cell {number} has execution_count {cell.execution_count}, not {expected}; run make execute"
            return


@rule
def stores_what_it_shows(notebook):
    for number, cell in cells(notebook, "code"):
        body = ast.parse(TransformerManager().transform_cell(cell.source)).body
        if body and isinstance(body[-1], ast.Expr) and not cell.outputs:
            yield f"cell {number} ends in an expression and has no stored output: nbval would pass whatever it prints"


@rule
def has_no_stderr_and_no_errors(notebook):
    for number, cell, output in outputs(notebook):
        if output.get("name") == "stderr":
            yield f"cell {number} wrote to stderr: {output.text.strip()}"
        if output.output_type == "error" and "raises-exception" not in tags(cell):
            yield f"cell {number} raised {output.ename} and has no tag raises-exception"


@rule
def names_no_path_of_a_machine(notebook):
    for where, text in sources_and_outputs(notebook):
        if found := MACHINE_PATH.search(text):
            yield f"{where} has a path of one machine: {text[found.start() :][:40]!r}"


@rule
def shows_no_address_of_an_object(notebook):
    for where, text in sources_and_outputs(notebook):
        if found := ADDRESS.search(text):
            yield f"{where} has the address of an object, which differs each time: {found.group()}"


@rule
def shows_no_precise_number(notebook):
    """The third digit of a trained loss differs between processors.

    Code in backticks and what is tagged is exact; what `measured` prints is masked.
    """
    for number, cell, output in outputs(notebook):
        for kind, text in texts(output):
            found = PRECISE_NUMBER.search(EXACT_OR_MASKED.sub("", text))
            if found and kind in ("stdout", "text/plain") and "exact-number" not in tags(cell):
                yield f"the {kind} of cell {number} has a number with three or more decimals: …{found.group()}"


@rule
def says_more_than_true(notebook):
    for number, _, output in outputs(notebook):
        for kind, text in texts(output):
            if kind in ("stdout", "text/plain") and (found := BARE_VERDICT.search(text)):
                yield f"the {kind} of cell {number} is a bare {found.group()}: show the numbers that were compared"


@rule
def keeps_predictions_out_of_its_cells(notebook):
    for number, cell in cells(notebook, "code"):
        if "Prediction(" in cell.source:
            yield f"cell {number} holds a prediction with its answer: define it in course/lessons/lesson_NN.py"


@rule
def hides_nothing_with_a_semicolon(notebook):
    for number, cell in cells(notebook, "code"):
        if cell.source.rstrip().endswith(";"):
            yield f"cell {number} ends in ';': nbval compares what the course does not show"


@rule
def uses_nothing_that_nbval_or_threads_break(notebook):
    for number, cell in cells(notebook, "code"):
        if found := UNWANTED.search(cell.source):
            yield f"cell {number} uses {found.group()}; see course.lab for what works live and under nbval"


@rule
def is_short(notebook):
    if len(notebook.cells) > MOST_CELLS:
        yield f"{len(notebook.cells)} cells are too many; at most {MOST_CELLS}"
    for i, (number, cell) in enumerate(cells(notebook, "code")):
        most, lines = MOST_LINES if i else MOST_SETUP_LINES, len(cell.source.splitlines())
        if lines > most:
            yield f"cell {number} has {lines} lines; at most {most}{'' if i else ' in the first code cell'}"


@rule
def describes_its_images(notebook):
    for number, _, output in outputs(notebook):
        for mime in output.get("data", {}):
            alt = output.metadata.get(mime, {}).get("alt", "")
            if mime.startswith("image/") and len(alt) < SHORTEST_ALT:
                yield f"the {mime} of cell {number} needs an alt text of {SHORTEST_ALT} characters or more, has {alt!r}"


# --- the notebooks of the course ----------------------------------------------------------------------------


@functools.cache
def load(path: Path) -> NotebookNode:
    return v4.reads(path.read_text(encoding="utf-8"))  # as it is: nbformat.read would mend what is wrong


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("check", RULES, ids=lambda check: check.__name__)
def test_notebook(check, path):
    complaints = list(check(load(path)))
    assert not complaints, f"{path.name}:\n" + "\n".join(complaints)


def test_every_notebook_is_a_lesson_of_the_course_or_the_playground():
    lessons = {lesson.file: lesson.number for lesson in LESSONS}
    files = {path.name for path in NOTEBOOKS}
    assert files - {PLAYGROUND} == set(lessons)
    titles = {name: load(FOLDER / name).cells[0].source[:4] for name in lessons}
    assert titles == {name: f"# {number}" for name, number in lessons.items()}


# --- the rules themselves: a good notebook passes, and each bad one fails by its rule --------------


def code(source: str, *shown: NotebookNode, tags: tuple[str, ...] = ()) -> NotebookNode:
    return v4.new_code_cell(source, outputs=list(shown), metadata={"tags": list(tags)} if tags else {})


def printed(text: str, name: str = "stdout") -> NotebookNode:
    return v4.new_output("stream", name=name, text=text)


def result(data: dict, **metadata) -> NotebookNode:
    return v4.new_output("display_data", data=data, metadata=metadata)


def notebook_of(*more: NotebookNode, title: str = "# 03 Training") -> NotebookNode:
    """A good notebook with the cells `more` at its end, as run from the top."""
    first = [v4.new_markdown_cell(title), code("import math")]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    notebook = v4.new_notebook(cells=[*first, *more], metadata=metadata)
    for count, (_, cell) in enumerate(cells(notebook, "code"), 1):
        cell.execution_count = count
    return notebook


def changed(change: Callable[[NotebookNode], None]) -> NotebookNode:
    notebook = notebook_of(code("1 + 1", result({"text/plain": "2"})))
    change(notebook)
    return notebook


PNG = {"image/png": "iVBORw0KGgo="}
ERROR = v4.new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
ALT = "Loss against steps, falling from 4.2 to 1.9"

GOOD = {
    "tagged error": notebook_of(code("int('x')", ERROR, tags=("raises-exception",))),
    "tagged number": notebook_of(code("math.pi", result({"text/plain": "3.14159"}), tags=("exact-number",))),
    "image with alt": notebook_of(code("picture", result(PNG, **{"image/png": {"alt": ALT}}))),
    "path inside base64": notebook_of(code("x", result({"text/html": "<img src='data:image/png;base64,A/tmp/B'>"}))),
    "shell command": notebook_of(code("!echo hello", printed("hello\n"))),
    "empty cell": notebook_of(code("")),
    "two decimals": notebook_of(code("loss", result({"text/plain": "4.17"}))),
    "the learner's own number": notebook_of(code("measured(loss)", printed("loss: measured 0.00271  (we got 0.003)"))),
    "a sentence about truth": notebook_of(code("print(x)", printed("equal: True\nTrue or not?"))),
    "fifteen lines": notebook_of(code("\n".join(["x = 1"] * 15))),
    "the playground": notebook_of(title="# Playground"),
    "an ordinary word": notebook_of(v4.new_markdown_cell("Layers interact; see the Output (below).")),
}
BAD = [
    (is_a_valid_notebook, changed(lambda nb: nb.cells[1].pop("outputs"))),
    (is_a_valid_notebook, changed(lambda nb: nb.cells[1].update(id="not an id!"))),
    (is_a_valid_notebook, changed(lambda nb: nb.cells[1].update(id=nb.cells[0].id))),
    (is_a_valid_notebook, changed(lambda nb: nb.cells[1].pop("id"))),
    (runs_on_the_kernel_python3, changed(lambda nb: nb.metadata.kernelspec.update(name="my-env"))),
    (runs_on_the_kernel_python3, changed(lambda nb: nb.metadata.pop("kernelspec"))),
    (has_no_widget_state, changed(lambda nb: nb.metadata.update(widgets={}))),
    (begins_with_its_title, notebook_of(title="Training")),
    (begins_with_its_title, notebook_of(title="## 03 Training")),
    (begins_with_its_title, changed(lambda nb: nb.cells.pop(0))),
    (was_run_once_from_the_top, changed(lambda nb: nb.cells[2].update(execution_count=7))),
    (was_run_once_from_the_top, changed(lambda nb: nb.cells[1].update(execution_count=None))),
    (stores_what_it_shows, notebook_of(code("x = 1\nx"))),
    (stores_what_it_shows, notebook_of(code("!ls"))),
    (has_no_stderr_and_no_errors, notebook_of(code("warn()", printed("careful", name="stderr")))),
    (has_no_stderr_and_no_errors, notebook_of(code("int('x')", ERROR))),
    (names_no_path_of_a_machine, notebook_of(code("x = open('/home/ada/text')"))),
    (names_no_path_of_a_machine, notebook_of(code("x", result({"text/plain": "'C:\\\\ada'"})))),
    (names_no_path_of_a_machine, notebook_of(code("print(p)", printed("saved to /tmp/run\n")))),
    (names_no_path_of_a_machine, notebook_of(v4.new_markdown_cell("Look into /Users/ada."))),
    (shows_no_address_of_an_object, notebook_of(code("x", result({"text/plain": "<Lab at 0x7f3a2b1c>"})))),
    (shows_no_precise_number, notebook_of(code("loss", result({"text/plain": "1.8734"})))),
    (shows_no_precise_number, notebook_of(code("print(loss)", printed("val 1.873\n")))),
    (says_more_than_true, notebook_of(code("x == y", result({"text/plain": "True"})))),
    (says_more_than_true, notebook_of(code("print(x == y)", printed("equal?\nFalse\n")))),
    (keeps_predictions_out_of_its_cells, notebook_of(code("Lab(prediction=Prediction('?', ...))"))),
    (hides_nothing_with_a_semicolon, notebook_of(code("f();", printed("shown\n")))),
    (uses_nothing_that_nbval_or_threads_break, notebook_of(code("out = widgets.Output()"))),
    (uses_nothing_that_nbval_or_threads_break, notebook_of(code("x = interact(f, a=1)"))),
    (uses_nothing_that_nbval_or_threads_break, notebook_of(code("@interact\ndef f(a): ..."))),
    (uses_nothing_that_nbval_or_threads_break, notebook_of(code("import matplotlib.pyplot as plt"))),
    (uses_nothing_that_nbval_or_threads_break, notebook_of(code("from IPython.display import clear_output"))),
    (is_short, notebook_of(code("\n".join(["x = 1"] * 16)))),
    (is_short, changed(lambda nb: nb.cells[1].update(source="\n".join(["import a"] * 6)))),
    (is_short, notebook_of(*[v4.new_markdown_cell("text") for _ in range(44)])),
    (describes_its_images, notebook_of(code("picture", result(PNG)))),
    (describes_its_images, notebook_of(code("picture", result(PNG, **{"image/png": {"alt": "a plot"}})))),
]


@pytest.mark.parametrize("notebook", GOOD.values(), ids=GOOD)
def test_a_good_notebook_passes(notebook):
    assert [complaint for check in RULES for complaint in check(notebook)] == []


@pytest.mark.parametrize(("check", "notebook"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_notebook_fails_by_its_rule(check, notebook):
    assert list(check(notebook))


def test_every_rule_has_a_bad_notebook():
    assert {check for check, _ in BAD} == set(RULES)


def test_a_complaint_names_the_cell():
    assert next(stores_what_it_shows(notebook_of(code("x = 1\nx")))).startswith("cell 3 ")

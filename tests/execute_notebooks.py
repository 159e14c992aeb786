"""Run notebooks from the top and store their outputs: python tests/execute_notebooks.py notebooks/*.ipynb.

A notebook that raises or writes to stderr is refused, and its file stays as it was. What differs
between two machines though nothing changed (times, versions, widget models) is not stored.
"""

import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from gptlib.errors import UserError
from gptlib.files import atomic_write

SECONDS_A_CELL = 600
SECONDS_A_LESSON = 90  # on two quiet cores; a longer one is stored all the same, since the machine may be busy
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT_CELL_METADATA = ("tags", "jupyter")  # "jupyter" hides a source; the rest is what a front end noted for itself
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"  # names a model of a kernel that is gone


class Refused(UserError):
    """The notebook is not fit to be stored; the message says which cell and why."""


def read(path: Path) -> NotebookNode:
    """The notebook without its outputs, and with an id for every cell: the same one each time."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["nbformat_minor"] = max(5, notebook["nbformat_minor"])
    for i, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        cell.setdefault("id", hashlib.sha256(f"{i} {''.join(cell['source'])}".encode()).hexdigest()[:8])
    return nbformat.reads(json.dumps(notebook), as_version=4)


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in `folder`.

    Raises:
        Refused: a cell raised (and has no tag raises-exception), wrote to stderr, hung or killed the kernel.
    """
    started = []
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=SECONDS_A_CELL,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],  # each kernel would warn that it talks over TCP
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        on_cell_start=lambda cell, cell_index: started.append(cell_index + 1),
    )
    try:
        with tempfile.TemporaryDirectory() as profile:  # nobody's own start-up files
            client.execute(env={**os.environ, "IPYTHONDIR": profile, "GPTLIB_PROGRESS": "off"})
    except CellExecutionError as error:
        raise Refused(f"cell {started[-1]} raised {error.ename}: {error.evalue}") from None
    except CellTimeoutError:
        raise Refused(f"cell {started[-1]} took longer than {SECONDS_A_CELL} s") from None
    except DeadKernelError:
        raise Refused(f"cell {started[-1]} killed the kernel") from None
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise Refused(f"cell {number} wrote to stderr: {output.text.strip()}")


def tidy(notebook: NotebookNode) -> None:
    """Remove what would differ tomorrow or elsewhere."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key in KEPT_CELL_METADATA}
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
            if output.output_type == "error":  # the frames in between hold paths and line numbers of this machine
                output.traceback = [f"{output.ename}: {output.evalue}"]


def main(paths: list[str]) -> int:
    """Execute each notebook; the exit status is 1 if one was refused."""
    if not paths:
        print("usage: python tests/execute_notebooks.py notebooks/*.ipynb", file=sys.stderr)
        return 2
    refused = 0
    for path in map(Path, paths):
        started = time.perf_counter()
        try:
            notebook = read(path)
            execute(notebook, path.parent)
            tidy(notebook)
            atomic_write(path, nbformat.writes(notebook).rstrip("\n") + "\n")
            seconds = time.perf_counter() - started
            note = f", more than the {SECONDS_A_LESSON} s of a lesson" if seconds > SECONDS_A_LESSON else ""
            print(f"{path}  {seconds:.1f} s{note}", flush=True)
        except (UserError, OSError, ValueError) as reason:
            refused += 1
            print(f"{path}: refused, {' '.join(str(reason).split())}", file=sys.stderr, flush=True)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

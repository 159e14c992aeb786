"""A dataset of the Hugging Face hub as files of JSON lines, streamed; a download that was interrupted goes on."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from documents import import_optional, text_of
from tqdm import tqdm

from gptlib.errors import UserError
from gptlib.files import atomic_files, atomic_write, read_json, refuse_others

PART = 2**26  # bytes of text in one file; after each of them the place in the stream is written down
STATE = "state.json"
OWN = r"state\.json|\d+\.jsonl|(train|val)\.jsonl"  # names in the folder of the text, whatever it was before


@dataclass(frozen=True)
class HubText:
    """Which texts: `column` of the first `documents` rows (0: all) of a dataset's configuration and split."""

    name: str
    config: str | None
    split: str
    column: str
    documents: int


def download(text: HubText, folder: Path) -> list[Path]:
    """The files in `folder` that hold the texts; those that an earlier call finished are kept.

    Raises:
        UserError: no such dataset, no network, no package `datasets`, or no such column; or there are more documents
            in `folder` than are wanted.
    """
    state = _earlier_state(text, folder)
    if not _complete(state, text):
        with _network(text.name):
            load = import_optional("datasets").load_dataset
            stream = load(text.name, text.config, split=text.split, streaming=True)
            if state["position"]:
                stream.load_state_dict(state["position"])
        rows = _rows(stream, text.name)
        count = {"initial": state["documents"], "total": text.documents or None}
        with tqdm(desc=text.name, unit="document", **count) as progress:
            while not _complete(state, text):
                state = _write_part(text, folder, state, rows, progress)
                state["position"] = stream.state_dict()
                atomic_write(folder / STATE, json.dumps(state))
    return [_part(folder, i) for i in range(state["parts"])]


def _complete(state: dict[str, Any], text: HubText) -> bool:
    return state["exhausted"] or 0 < text.documents == state["documents"]


def _rows(stream: Iterable[dict], name: str) -> Iterator[dict]:
    with _network(name):
        yield from stream


@contextmanager
def _network(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # what `datasets` raises for a name, a config, a connection
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot stream {name} ({reason}); check the name and the connection") from None


def _earlier_state(text: HubText, folder: Path) -> dict[str, Any]:
    """How far an earlier call came with these texts; more of them may be wanted now."""
    which = {name: value for name, value in asdict(text).items() if name != "documents"}
    new = {"text": which, "parts": 0, "documents": 0, "position": None, "exhausted": False}
    state = read_json(folder / STATE)
    if (folder / STATE).exists() and not (isinstance(state, dict) and new.keys() <= state.keys()):
        raise UserError(f"{folder / STATE} is damaged; remove {folder} to begin the download anew")
    if state and state["text"] == which:
        if text.documents and state["documents"] > text.documents:
            held = f"{folder} holds {state['documents']} documents already"
            raise UserError(f"{held}; ask for as many or more with --hf_documents, or choose another --out_dir")
        return state
    refuse_others(folder, OWN)
    shutil.rmtree(folder, ignore_errors=True)
    return new


def _part(folder: Path, i: int) -> Path:
    return folder / f"{i:05}.jsonl"


def _write_part(
    text: HubText, folder: Path, state: dict[str, Any], rows: Iterator[dict], progress: tqdm
) -> dict[str, Any]:
    documents, exhausted = state["documents"], True
    name = _part(folder, state["parts"]).name
    with atomic_files(folder, name) as stage, open(stage / name, "w", encoding="utf-8") as file:
        for row in rows:
            line = json.dumps({"text": text_of(row, text.column, f"{text.name}, row {documents}")})
            file.write(line + "\n")
            documents += 1
            progress.update()
            if documents == text.documents or file.tell() >= PART:
                exhausted = False
                break
    return state | {"parts": state["parts"] + 1, "documents": documents, "exhausted": exhausted}

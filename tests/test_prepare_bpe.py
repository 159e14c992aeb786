"""data/data-by-bpe: texts of every kind become shards of tokens, whatever interrupts it. No test needs the network."""

import io
import json
import math
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib import BPETokenizer, Dataset, UsageError, UserError
from gptlib.files import alone_in
from gptlib.tokenizer import load_tokenizer

FOLDER = Path(__file__).resolve().parents[1] / "data" / "data-by-bpe"
SCRIPT = FOLDER / "prepare.py"
END = "<|endoftext|>"
WORDS = ["low", "lower", "lowest", "naïve", "🙂", "the", "a", "of"]


@pytest.fixture(scope="module")
def prepare(script):
    return script("data-by-bpe")


@pytest.fixture(scope="module")
def documents(prepare, script):
    return script.module("documents")


@pytest.fixture(scope="module")
def hub(prepare, script):
    return script.module("hub")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def some_text(words, seed=0):
    return " ".join(np.random.default_rng(seed).choice(WORDS, words)) + "\n"


DOCUMENTS = [some_text(60, seed) for seed in range(20)]


def run(prepare, out, *arguments, processes=1, vocab_size=280):
    settings = [f"--out_dir={out}", f"--processes={processes}", f"--vocab_size={vocab_size}"]
    prepare.main([*map(str, arguments), *settings])
    return json.loads((out / "meta.json").read_text())


def texts(out):
    """What was written, as text: the training half and the other."""
    dataset = Dataset.open(out)
    return dataset.tokenizer.decode(np.asarray(dataset.train)), dataset.tokenizer.decode(np.asarray(dataset.val))


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def published(out):
    return {name: content for name, content in contents(out).items() if "/" not in name}


def write(path, kind, rows):
    if kind == "txt":
        path.write_text("".join(rows))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"id": i, "text": row}) + "\n" for i, row in enumerate(rows)))
    else:
        pq.write_table(pa.table({"id": range(len(rows)), "text": rows}), path, row_group_size=2)
    return path


# --- kinds of files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["txt", "jsonl", "parquet"])
def test_a_file_of_any_kind_becomes_its_text(prepare, tmp_path, out, kind):
    path = write(tmp_path / f"texts.{kind}", kind, DOCUMENTS)
    meta = run(prepare, out, "--files", path)
    train, val = texts(out)
    expected = "".join(DOCUMENTS) + END if kind == "txt" else "".join(text + END for text in DOCUMENTS)
    assert train + val == expected
    assert 0.05 < len(val) / len(train + val) < 0.2
    assert (meta["train_characters"], meta["val_characters"]) == tuple(len(t.replace(END, "")) for t in (train, val))
    assert meta["source"] == str(path) and meta["vocab_size"] == load_tokenizer(out / "tokenizer.json").vocab_size


def test_files_of_several_kinds_come_in_the_order_of_their_paths(prepare, tmp_path, out):
    (tmp_path / "sub").mkdir()
    write(tmp_path / "b.parquet", "parquet", DOCUMENTS[:6])
    write(tmp_path / "a.txt", "txt", DOCUMENTS[6:9])
    write(tmp_path / "sub" / "c.jsonl", "jsonl", DOCUMENTS[9:])
    run(prepare, out, "--files", f"{tmp_path}/*.txt|{tmp_path}/**/*.jsonl|{tmp_path}/*.parquet")
    expected = "".join(DOCUMENTS[6:9]) + END + "".join(text + END for text in DOCUMENTS[:6] + DOCUMENTS[9:])
    assert "".join(texts(out)) == expected


def test_lines_may_be_plain_strings_and_the_column_may_have_another_name(prepare, tmp_path, out):
    (tmp_path / "a.jsonl").write_text("\n".join([json.dumps(DOCUMENTS[0]), "", json.dumps({"body": "x" * 99})]))
    run(prepare, out, "--files", tmp_path / "a.jsonl", "--column=body")
    assert "".join(texts(out)) == DOCUMENTS[0] + END + "x" * 99 + END


def test_windows_line_ends_and_mark_are_not_text(prepare, tmp_path, out):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone line\r\n" * 1 + b"another line\r\n" * 20)
    run(prepare, out, "--files", tmp_path / "a.txt")
    assert "".join(texts(out)) == "one line\n" + "another line\n" * 20 + END


@pytest.mark.parametrize("name", ["NOTES.TXT", "notes[1].txt"])
def test_a_file_may_be_named_as_other_systems_and_browsers_name_them(prepare, tmp_path, out, name):
    (tmp_path / name).write_text("".join(DOCUMENTS))
    run(prepare, out, "--files", tmp_path / name)
    assert "".join(texts(out)) == "".join(DOCUMENTS) + END


@pytest.mark.parametrize("rows_in_group", [1, 3, 7, 20])
def test_a_row_group_may_be_divided(prepare, tmp_path, out, rows_in_group):
    """Most writers put a whole table into one."""
    pq.write_table(pa.table({"text": DOCUMENTS}), tmp_path / "a.parquet", row_group_size=rows_in_group)
    meta = run(prepare, out, "--files", tmp_path / "a.parquet", "--shard_bytes=2000")
    train, val = texts(out)
    assert train + val == "".join(text + END for text in DOCUMENTS)
    assert 0.05 < len(val) / len(train + val) < 0.2 and len(meta["shards"]["train"]) >= 3


def test_the_last_words_say_where_the_tokens_are_and_what_was_held_out(prepare, tmp_path, out, capsys):
    train, val = write(tmp_path / "a.txt", "txt", DOCUMENTS), write(tmp_path / "b.txt", "txt", DOCUMENTS)
    run(prepare, out, "--files", train, "--val_files", val)
    told = capsys.readouterr().out
    assert f"next: python -m gptlib.train data/data-by-bpe/train.toml --dataset={out}" in told
    assert f"held out: the files {val}" in told


def test_files_to_validate_on_may_be_given(prepare, tmp_path, out):
    train, val = write(tmp_path / "a.txt", "txt", DOCUMENTS), write(tmp_path / "b.jsonl", "jsonl", ["held out"])
    run(prepare, out, "--files", train, "--val_files", val)
    assert texts(out) == ("".join(DOCUMENTS) + END, "held out" + END)
    assert b"held" not in load_tokenizer(out / "tokenizer.json").pieces


def test_the_plays_are_held_out_as_they_are_by_character(prepare, out, monkeypatch):
    def plays():
        names = [*prepare.HELD_OUT, "Hamlet", "A Midsummer Night's Dream"]
        return [types.SimpleNamespace(name=name, text=f"This is {name}.\n" * 9) for name in names]

    monkeypatch.setattr(prepare, "shakespeare", plays)
    monkeypatch.setattr("shakespeare.HELD_OUT", prepare.HELD_OUT)
    meta = run(prepare, out)
    train, val = texts(out)
    assert train == "This is Hamlet.\n" * 9 + END + "This is A Midsummer Night's Dream.\n" * 9 + END
    assert all(f"This is {name}.\n" in val for name in prepare.HELD_OUT) and val.count(END) == 6
    assert meta["held_out"] == list(prepare.HELD_OUT) and "MIT" in meta["licence"]


@settings(deadline=None)
@given(st.text(alphabet="ab\n\r é🙂", max_size=60).map(str.encode), st.integers(1, 30), st.integers(4, 12))
def test_spans_cover_a_text_whatever_their_size(documents, tmp_path_factory, content, size, block):
    path = tmp_path_factory.getbasetemp() / "spans.txt"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "BLOCK", block)
        spans = list(documents._cut_lines(path, size, "text", farthest=block))
        pieces = [piece for span in spans for piece in documents.read(span, "text")]
    borders = [0, *(span.stop for span in spans)]
    assert [span.start for span in spans] == borders[:-1] and borders[-1] == len(content)
    assert "".join(text for text, _ in pieces) == io.StringIO(content.decode(), newline=None).read()
    assert [ends for _, ends in pieces] == [False] * (len(pieces) - 1) + [True] * bool(content)


# --- losses that can be compared ----------------------------------------------------------------------------


def test_the_meta_says_how_to_compare_losses(prepare, tmp_path, out):
    meta = run(prepare, out, "--files", write(tmp_path / "a.txt", "txt", DOCUMENTS))
    per_nat = meta["val_tokens"] / meta["val_characters"] / math.log(2)
    assert meta["bits_per_character_per_nat"] == pytest.approx(per_nat)
    assert Dataset.open(out).bits_per_character(1.5) == pytest.approx(1.5 * per_nat)


# --- shards -------------------------------------------------------------------------------------------------


def test_the_same_bytes_by_any_number_of_processes(prepare, tmp_path):
    path = write(tmp_path / "a.txt", "txt", DOCUMENTS)
    one, three = tmp_path / "one", tmp_path / "three"
    meta = run(prepare, one, "--files", path, "--shard_bytes=1000")
    run(prepare, three, "--files", path, "--shard_bytes=1000", processes=3)
    assert len(meta["shards"]["train"]) > 3 and contents(one) == contents(three)
    assert sum(shard["tokens"] for shard in meta["shards"]["train"]) == meta["train_tokens"]


def test_a_large_vocabulary_takes_four_bytes_a_token(prepare, tmp_path, out):
    large = BPETokenizer([bytes([i, j]) for i in range(256) for j in range(256)], end_of_text=True)
    large.save(tmp_path / "large.json")
    path = write(tmp_path / "a.txt", "txt", DOCUMENTS)
    meta = run(prepare, out, "--files", path, "--vocab", tmp_path / "large.json")
    assert (meta["vocab_size"], meta["dtype"]) == (65_793, "<u4")
    assert Dataset.open(out).val[-1] == 65_792
    assert (out / meta["shards"]["val"][0]["file"]).stat().st_size == 4 * meta["val_tokens"]
    assert "".join(texts(out)) == "".join(DOCUMENTS) + END


def test_a_new_run_replaces_the_files_of_the_earlier(prepare, tmp_path, out):
    first = run(prepare, out, "--files", write(tmp_path / "a.txt", "txt", DOCUMENTS), "--shard_bytes=1000")
    opened = Dataset.open(out)
    before = np.asarray(opened.train).tolist()
    run(prepare, out, "--files", write(tmp_path / "b.txt", "txt", DOCUMENTS[::-1]))
    assert not {shard["file"] for shard in first["shards"]["train"]} & set(contents(out))
    assert not (out / "unfinished").exists() and len(published(out)) == 4
    assert np.asarray(opened.train).tolist() == before  # who reads the earlier files goes on reading them


def test_a_run_that_fails_leaves_the_earlier_files(prepare, tmp_path, out, refused):
    run(prepare, out, "--files", write(tmp_path / "a.txt", "txt", DOCUMENTS))
    before = contents(out)
    (tmp_path / "b.jsonl").write_text('{"text": "one"}\n' * 30 + "{broken")
    with refused("b.jsonl, byte 480", "not a line of JSON"):
        run(prepare, out, "--files", tmp_path / "b.jsonl")
    assert published(out) == before


# --- interruptions ------------------------------------------------------------------------------------------


def test_kill_9_loses_nothing_that_was_finished(prepare, tmp_path, out):
    path = write(tmp_path / "a.txt", "txt", [some_text(100_000, seed=i) for i in range(5)])
    arguments = ["--files", path, "--shard_bytes=50000"]
    command = [sys.executable, SCRIPT, *arguments, f"--out_dir={out}", "--processes=2", "--vocab_size=280"]
    killed = psutil.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    stage = out / "unfinished"
    while len(list(stage.glob("*-*.json"))) < 3:
        assert killed.poll() is None
        time.sleep(0.005)
    children = killed.children(recursive=True)
    killed.kill()
    assert killed.wait() != 0 and not (out / "meta.json").exists()
    assert len(children) >= 2 and psutil.wait_procs(children, timeout=10)[1] == []  # nobody works on for nobody
    finished = {json_file.stem: json_file.with_suffix(".bin").stat().st_ino for json_file in stage.glob("*-*.json")}
    meta = run(prepare, out, *arguments)
    kept = {shard["name"]: (out / shard["file"]).stat().st_ino for shard in meta["shards"]["train"]}
    assert 3 <= len(finished) < len(kept) and finished.items() <= kept.items()
    run(prepare, tmp_path / "uninterrupted", *arguments)
    assert contents(out) == contents(tmp_path / "uninterrupted")


@pytest.fixture
def interrupted(prepare, tmp_path, out, monkeypatch, capsys):
    """A run that Ctrl-C ends after three shards."""
    path = write(tmp_path / "a.txt", "txt", DOCUMENTS)
    with monkeypatch.context() as patch:
        calls, shards = [], sys.modules["shards"]

        def write_three(*arguments, write_shard=shards.write_shard):
            if len(calls) == 3:
                raise KeyboardInterrupt
            calls.append(arguments)
            return write_shard(*arguments)

        patch.setattr(shards, "write_shard", write_three)
        with pytest.raises(SystemExit) as caught:
            run(prepare, out, "--files", path, "--shard_bytes=1000")
    assert caught.value.code == 130
    del caught  # it holds the frames, and with them a progress bar
    assert capsys.readouterr().err.splitlines()[-1].startswith("interrupted: finished shards are kept")
    return ["--files", path, "--shard_bytes=1000"]


def test_a_finished_shard_that_was_altered_is_written_again(prepare, tmp_path, out, interrupted):
    damaged = out / "unfinished" / "train-00001.bin"
    damaged.write_bytes(b"\0" + damaged.read_bytes()[1:])
    run(prepare, out, *interrupted)
    run(prepare, tmp_path / "fresh", *interrupted)
    assert contents(out) == contents(tmp_path / "fresh")


@pytest.mark.parametrize("name", ["recipe.json", "train-00000.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["", "{"])
def test_a_note_that_was_cut_short_is_written_again(prepare, tmp_path, out, interrupted, name, content):
    (out / "unfinished" / name).write_text(content)
    run(prepare, out, *interrupted)
    run(prepare, tmp_path / "fresh", *interrupted)
    assert contents(out) == contents(tmp_path / "fresh")


def test_two_preparations_do_not_write_to_one_folder(prepare, tmp_path, out, interrupted, refused):
    kept = contents(out)
    with alone_in(out), refused("another run is writing to", str(out), "another folder"):
        run(prepare, out, *interrupted)
    assert contents(out) == kept


@pytest.mark.parametrize("change", ["text", "settings"])
def test_shards_of_another_text_or_other_settings_are_not_used(prepare, tmp_path, out, interrupted, capsys, change):
    if change == "text":
        write(tmp_path / "a.txt", "txt", DOCUMENTS[::-1])
    run(prepare, out, *interrupted, vocab_size=280 if change == "text" else 270)
    assert "starting anew" in capsys.readouterr().err
    run(prepare, tmp_path / "fresh", *interrupted, vocab_size=280 if change == "text" else 270)
    assert contents(out) == contents(tmp_path / "fresh")


# --- memory -------------------------------------------------------------------------------------------------

WITH_LITTLE_MEMORY = """
import re, resource, sys
block, headroom, *arguments = sys.argv[1:]
sys.path.insert(0, {folder!r})
import documents, prepare
documents.BLOCK = int(block)
used = 1024 * int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1])
resource.setrlimit(resource.RLIMIT_DATA, (used + int(headroom), used + int(headroom)))
prepare.main(arguments)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces RLIMIT_DATA")
def test_a_corpus_may_be_larger_than_the_memory(documents, tmp_path, out):
    megabytes, headroom = 48, 24 * 2**20
    (tmp_path / "large.txt").write_bytes((b"-" * 63 + b"\n") * (megabytes * 2**14))
    BPETokenizer([b"-" * 2**i for i in range(1, 7)], end_of_text=True).save(tmp_path / "vocab.json")

    (tmp_path / "val.txt").write_text("--\n")

    def prepare_in(block):
        arguments = ["--files", tmp_path / "large.txt", "--val_files", tmp_path / "val.txt"]
        arguments += ["--vocab", tmp_path / "vocab.json", "--shard_bytes", 2**30, "--processes=1", "--out_dir", out]
        code = WITH_LITTLE_MEMORY.format(folder=str(FOLDER))
        command = [sys.executable, "-c", code, block, headroom, *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True)

    whole = prepare_in(2**30)  # the limit is real: who reads the text at once dies of it
    assert whole.returncode != 0 and "MemoryError" in whole.stderr and not (out / "meta.json").exists()
    result = prepare_in(documents.BLOCK)
    assert result.returncode == 0, result.stderr
    meta = json.loads((out / "meta.json").read_text())
    assert meta["train_characters"] == megabytes * 2**20 and len(meta["shards"]["train"]) == 1


# --- a dataset of the hub -----------------------------------------------------------------------------------


class FakeStream:
    """What `datasets` gives for streaming, as far as it is used here."""

    def __init__(self, rows, dies_after=None):
        self.rows, self.dies_after, self.at = rows, dies_after, 0

    def __iter__(self):
        while self.at < len(self.rows):
            if self.at == self.dies_after:
                raise ConnectionError("the network is gone")
            self.at += 1
            yield self.rows[self.at - 1]

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


@pytest.fixture
def streams(monkeypatch, hub):
    """A list of streams; each call of load_dataset takes the next."""
    waiting = []
    load_dataset = lambda name, config, split, streaming: waiting.pop(0)  # noqa: E731
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.setattr(hub, "PART", 1500)
    return waiting


def test_a_stream_that_broke_goes_on_where_it_was(prepare, tmp_path, out, streams, refused):
    rows = [{"id": i, "text": text} for i, text in enumerate(DOCUMENTS)]
    streams += [FakeStream(rows, dies_after=13), FakeStream(rows), FakeStream(rows)]
    with refused("cannot stream some/name", "the network is gone", "check the name and the connection"):
        run(prepare, out, "--hf=some/name")
    assert (out / "text" / "00000.jsonl").exists()
    resumed = streams[0]
    meta = run(prepare, out, "--hf=some/name")
    assert "".join(texts(out)) == "".join(text + END for text in DOCUMENTS)
    assert "some/name" in meta["source"] and resumed.at == len(rows)
    run(prepare, tmp_path / "unbroken", "--hf=some/name")
    ours, theirs = contents(out), contents(tmp_path / "unbroken")
    assert {**ours, "text/state.json": b""} == {**theirs, "text/state.json": b""}


def test_a_stream_may_be_cut_after_some_documents(prepare, out, streams):
    streams.append(FakeStream([{"text": text} for text in DOCUMENTS]))
    run(prepare, out, "--hf=some/name", "--hf_documents=7")
    assert "".join(texts(out)) == "".join(text + END for text in DOCUMENTS[:7])


def test_more_documents_are_added_to_those_that_are_there_and_fewer_are_refused(prepare, out, streams, refused):
    rows = [{"text": text} for text in DOCUMENTS]
    streams += [FakeStream(rows), FakeStream(rows), FakeStream(rows)]
    for documents in (7, 12):
        run(prepare, out, "--hf=some/name", f"--hf_documents={documents}")
        assert "".join(texts(out)) == "".join(text + END for text in DOCUMENTS[:documents])
    kept = contents(out)
    with refused("holds 12 documents already", "--hf_documents", "another --out_dir"):
        run(prepare, out, "--hf=some/name", "--hf_documents=9")
    assert contents(out) == kept
    run(prepare, out, "--hf=some/name")
    assert "".join(texts(out)) == "".join(text + END for text in DOCUMENTS)
    assert not streams
    run(prepare, out, "--hf=some/name", "--hf_documents=20")  # all of them are there: nobody is asked


@pytest.mark.parametrize("content", ["{", "1", "[]", '{"text": {}}'])
def test_a_damaged_place_in_the_stream_is_told_and_nothing_is_removed(prepare, out, streams, refused, content):
    streams.append(FakeStream([{"text": text} for text in DOCUMENTS]))
    run(prepare, out, "--hf=some/name")
    (out / "text" / "state.json").write_text(content)
    kept = contents(out)
    with refused("state.json is damaged", "remove", str(out / "text")):
        run(prepare, out, "--hf=some/name")
    assert contents(out) == kept


@pytest.mark.parametrize("package", ["datasets", "pyarrow"])
def test_a_missing_package_is_named_with_its_remedy(prepare, tmp_path, out, monkeypatch, refused, package):
    source = "--hf=name" if package == "datasets" else f"--files={write(tmp_path / 'a.parquet', 'parquet', DOCUMENTS)}"
    monkeypatch.setitem(sys.modules, package, None)
    with refused(f"needs {package}", "pip install -c constraints.txt -e '.[hf]'"):
        run(prepare, out, source)


# --- what is not ours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["unfinished/draft.txt", "text/book.txt"])
def test_a_file_of_somebody_elses_is_never_removed(prepare, tmp_path, out, streams, refused, name):
    source = write(tmp_path / "a.txt", "txt", DOCUMENTS)
    streams.append(FakeStream([{"text": text} for text in DOCUMENTS]))
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    with refused(name, "not of an earlier preparation", "move it"):
        run(prepare, out, *(["--hf=some/name"] if name.startswith("text") else ["--files", source]))
    assert (out / name).read_text() == "mine"


def test_a_file_of_somebody_elses_among_unfinished_shards_is_never_removed(prepare, out, interrupted, refused):
    (out / "unfinished" / "draft.txt").write_text("mine")
    with refused("draft.txt", "move it"):
        run(prepare, out, *interrupted)
    assert (out / "unfinished" / "draft.txt").read_text() == "mine"


def test_only_shards_are_taken_for_earlier_shards(prepare, tmp_path, out):
    out.mkdir()
    (out / "train-notes.bin").write_text("mine")
    run(prepare, out, "--files", write(tmp_path / "a.txt", "txt", DOCUMENTS))
    assert (out / "train-notes.bin").read_text() == "mine"


def test_what_is_held_out_is_not_learnt_from(prepare, tmp_path, out, refused):
    write(tmp_path / "a.txt", "txt", DOCUMENTS)
    write(tmp_path / "b.txt", "txt", ["held out"])
    run(prepare, out, "--files", f"{tmp_path}/*.txt", "--val_files", tmp_path / "b.txt")
    assert texts(out) == ("".join(DOCUMENTS) + END, "held out" + END)
    with refused("one of --val_files too"):
        run(prepare, out, "--files", f"{tmp_path}/*.txt", "--val_files", f"{tmp_path}/*.txt")


def test_a_link_says_the_kind_of_its_file(prepare, tmp_path, out):
    (tmp_path / "blob").write_text("".join(DOCUMENTS))
    (tmp_path / "a.txt").symlink_to(tmp_path / "blob")
    run(prepare, out, "--files", tmp_path / "a.txt")
    assert "".join(texts(out)) == "".join(DOCUMENTS) + END


def test_a_file_that_becomes_shorter_is_noticed(documents, tmp_path, refused):
    path = write(tmp_path / "a.jsonl", "jsonl", DOCUMENTS)
    span = documents.Span(path, 0, path.stat().st_size + 9, 1, True)
    with refused("became shorter"):
        list(documents.read(span, "text"))


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.png", b"", ["cannot read", "a.png", ".parquet", "narrower"]),
        ("a.txt", b"", ["too little text"]),
        ("a.txt", b"x", ["too little text"]),
        ("a.txt", "ça va\n".encode("latin-1") * 30, ["a.txt is not UTF-8"]),
        ("a.jsonl", b'{"body": "a"}\n' * 9, ["byte 0", "no column 'text'", "--column: body"]),
        ("a.jsonl", b'{"text": 3}\n' * 9, ["byte 0", "3 is not a text", "--column"]),
        ("a.jsonl", b'{"text": null}\n' * 9, ["byte 0", "null is not a text", "leave the row out"]),
        ("a.jsonl", b'"half \\ud83d"\n' * 9, ["a.jsonl, byte 0", "half of a character"]),
        ("a.jsonl", b"\n" * 99, ["no text in one half"]),
        ("a.jsonl", b'""\n' * 99, ["no text in one half"]),
        ("a.jsonl", (b"[" * 100_000 + b"\n") * 9, ["byte 0", "not a line of JSON"]),
        ("a.parquet", b"PAR?" * 9, ["a.parquet is not a parquet file"]),
    ],
)
def test_a_bad_file_is_refused(prepare, tmp_path, out, refused, name, content, words):
    (tmp_path / name).write_bytes(content)
    with refused(*words):
        run(prepare, out, "--files", tmp_path / name)
    assert not (out / "meta.json").exists()


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([{"a": "b"}] * 20), ["'text' holds struct", "--column"]),
        (pa.array([["a"]] * 20), ["'text' holds list", "--column"]),
        (pa.array([b"caf\xe9 and more"] * 20).cast(pa.string(), safe=False), ["a.parquet, after row 0", "not UTF-8"]),
        (pa.array(["text", None] * 10), ["a.parquet, row 1", "null is not a text"]),
    ],
    ids=["struct", "list", "latin-1", "null"],
)
def test_a_column_that_is_no_text_is_refused(prepare, tmp_path, out, refused, column, words):
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    with refused(*words):
        run(prepare, out, "--files", tmp_path / "a.parquet")


@pytest.mark.parametrize("damage", [lambda whole: whole[:-9] + b"\xff" * 9, lambda whole: whole[:-99] + whole[-9:]])
def test_a_damaged_parquet_file_is_named(prepare, tmp_path, out, refused, damage):
    path = write(tmp_path / "a.parquet", "parquet", DOCUMENTS)
    path.write_bytes(damage(path.read_bytes()))
    with refused("a.parquet is not a parquet file, or is damaged", "leave it out"):
        run(prepare, out, "--files", path)


def test_damaged_pages_are_named(prepare, tmp_path, out, refused):
    path = write(tmp_path / "a.parquet", "parquet", DOCUMENTS)
    whole = path.read_bytes()
    path.write_bytes(b"PAR1" + b"\xff" * 400 + whole[404:])
    with refused("a.parquet", "leave it out"):
        run(prepare, out, "--files", path)


def test_a_parquet_file_without_the_column_is_refused(prepare, tmp_path, out, refused):
    with refused("no column 'body'", "--column: id, text"):
        run(prepare, out, "--files", write(tmp_path / "a.parquet", "parquet", DOCUMENTS), "--column=body")


def test_a_pattern_without_files_is_refused(prepare, tmp_path, out, refused):
    with refused("no file matches", "quote the pattern"):
        run(prepare, out, "--files", f"{tmp_path}/*.txt")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--files=a.txt", "--hf=b"], "not allowed with"),
        (["--vocab_size=many"], "whole number"),
        (["--processes=0"], "at least 1"),
        (["--val_files=a.txt"], "needs --files"),
        (["--fils=a.txt"], "unrecognized"),
    ],
)
def test_wrong_arguments_are_one_line(prepare, arguments, word):
    with pytest.raises(UsageError, match=word) as caught:
        prepare.main(arguments)
    assert "\n" not in str(caught.value) and "--help" in str(caught.value)


def test_a_vocabulary_of_characters_is_refused(prepare, tmp_path, out, dataset):
    dataset.tokenizer.save(tmp_path / "chars.json")
    path = write(tmp_path / "a.txt", "txt", DOCUMENTS)
    for name, word in {"chars.json": "no token for the end", "nowhere.json": "nowhere.json"}.items():
        with pytest.raises(UserError, match=word):
            run(prepare, out, "--files", path, "--vocab", tmp_path / name)

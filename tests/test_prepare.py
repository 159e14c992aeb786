"""data/: texts of every kind become train.bin, val.bin, tokenizer.json and meta.json. No test needs the network."""

import gzip
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepare_scripts import BPE, CHAR, END, FILES, contents, prepare, prepare_text
from processes import exit_code, start_program

from gptlib import BPETokenizer, CharTokenizer, Dataset, TrainConfig, Trainer, UserError
from gptlib.config import read_command_line
from gptlib.files import exclusive_lock
from gptlib.tokenizer import load_tokenizer


@pytest.fixture(autouse=True)
def _caches(tmp_path, monkeypatch):
    """Neither a cache nor a bar of the library `datasets` outlives a test."""
    import datasets  # takes two seconds, which only the process that runs these tests has to spend

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(params=[CHAR, BPE], ids=["char", "bpe"])
def script(request):
    return request.param


def text_of(data):
    """Both halves."""
    return data.tokenizer.decode(data.train) + data.tokenizer.decode(data.val)


def documents_of(data, *splits):
    """All documents, in any order."""
    texts = [data.tokenizer.decode(getattr(data, split)) for split in splits or ("train", "val")]
    return sorted("".join(texts).split(END)[1:])


@pytest.fixture
def earlier(out, tmp_path):
    """What an earlier preparation has written."""
    (tmp_path / "earlier.txt").write_text("the earlier text, of some length\n" * 9)
    prepare(out, "--input", tmp_path / "earlier.txt")
    return contents(out)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


NAMES = [
    f"{first}{middle}{last}" for first in "ABCDEFGHIJ" for middle in ("an", "el", "io") for last in ("", "a", "ra")
]

# --- what is read -----------------------------------------------------------------------------------------------------

LINES = "one line\nanother line\n" * 20
COLUMN = ["--column=text"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes[1].md", LINES.encode()),
        ("table.csv", LINES.encode()),
        ("text.txt.gz", gzip.compress(LINES.encode(), mtime=0)),
        ("windows.txt", b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode()),
        ("old_mac.txt", LINES.replace("\n", "\r").encode()),
        ("mixed.txt", (LINES[:200].replace("\n", "\r") + LINES[200:].replace("\n", "\r\n")).encode()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_text_in_utf8_is_read_and_every_line_end_is_one(tmp_path, out, monkeypatch, name, content):
    monkeypatch.setattr(prepare_text, "BLOCK", 3)  # so that a block ends within a line end
    assert text_of(prepare(out, "--input", write(tmp_path / name, content))) == LINES


def test_a_folder_is_all_its_texts_each_a_document(tmp_path, out, capsys):
    texts = {f"sub/{name}.md": f"# {name}" for name in NAMES} | {"a.py": "print()", "b": "no ending"}
    for name, text in texts.items():
        write(tmp_path / "in" / name, text)
    for name in (".git/config", ".hidden"):
        write(tmp_path / "in" / name, "hidden")
    write(tmp_path / "in" / "picture.png", b"\x89PNG\r\n\xff")
    write(tmp_path / "in" / "zeros.bin", b"\0\0\0")
    assert documents_of(prepare(out, "--input", tmp_path / "in")) == sorted(texts.values())
    said = capsys.readouterr().err
    assert "left out 2 files, no UTF-8 text: picture.png, zeros.bin" in said
    assert "reading 92 files: 90 .md" in said


@pytest.mark.parametrize("names", [["a.txt", "b.txt", "a.txt"], ["*.txt"], ["."]])
def test_several_files_and_patterns_are_read_once_each(tmp_path, out, monkeypatch, names):
    monkeypatch.chdir(write(tmp_path / "in" / "a.txt", "first text " * 9).parent)
    write(tmp_path / "in" / "b.txt", "second text " * 9)
    assert text_of(prepare(out, "--input", *names)) == f"{END}{'first text ' * 9}{END}{'second text ' * 9}"


def write_table(path, rows):
    kind = path.suffix
    if kind == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"id": range(len(rows)), "text": rows}), path)
    elif kind in (".csv", ".tsv"):
        separator = "," if kind == ".csv" else "\t"
        quoted = ['"' + (row or "").replace('"', '""') + '"' for row in rows]
        path.write_text("".join(f"{i}{separator}{row}\n" for i, row in [("id", "text"), *enumerate(quoted)]))
    else:
        rows = [{"id": i, "text": row} for i, row in enumerate(rows)]
        path.write_text(json.dumps(rows) if kind == ".json" else "".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_a_table_gives_the_texts_of_a_column_and_rows_without_one_are_counted(tmp_path, out, capsys, kind):
    rows = [f'row {i} says:\r\n"hello, you"' for i in range(99)] + ["NA", "12"]
    path = write_table(tmp_path / f"table.{kind}", [*rows[:50], None, *rows[50:], "", None])
    data = prepare(out, "--input", path, "--column=text")
    assert documents_of(data) == sorted(row.replace("\r\n", "\n") for row in rows)
    assert "skipped 3 rows" in capsys.readouterr().err


def test_the_first_rows_of_several_tables(tmp_path, out):
    for name in ("a.csv", "b.jsonl", "c.jsonl"):
        write_table(tmp_path / name, [f"{name[0]}{i}" for i in range(20)])
    data = prepare(out, "--input", tmp_path, "--column=text", "--rows=50")
    assert documents_of(data) == sorted(f"{c}{i}" for c, n in (("a", 20), ("b", 20), ("c", 10)) for i in range(n))


@pytest.mark.parametrize(("rows", "read"), [([], 99), (["--rows=40"], 40)], ids=["downloaded", "streamed"])
def test_a_dataset_of_the_hub_with_its_own_split_to_validate_on(tmp_path, out, rows, read):
    """A folder stands for the hub: the library reads it in the same way."""
    (tmp_path / "hub").mkdir()
    write_table(tmp_path / "hub" / "train.jsonl", [f"train {i}" for i in range(99)])
    write_table(tmp_path / "hub" / "test.jsonl", [f"test {i}" for i in range(99)])
    data = prepare(out, "--hf", tmp_path / "hub", "--val=test", *rows)
    assert documents_of(data, "train") == sorted(f"train {i}" for i in range(read))
    assert documents_of(data, "val") == sorted(f"test {i}" for i in range(read))
    assert data.meta["held_out"] == "the split test"


# --- documents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("separator", "text", "documents"),
    [
        ("line", "Emma\nOlivia\n\nAva\n", ["Emma", "Olivia", "Ava"]),
        ("blank", "\nRoses are red\n  violets\n \t\n\n\nblue\n", ["Roses are red\n  violets", "blue"]),
        (END, f"a story\n{END}\nanother\n\nof two parts{END}third", ["a story", "another\n\nof two parts", "third"]),
        ("---", "one\n---\n\n---\ntwo", ["one", "two"]),
        ("file", "all\nof it", ["all\nof it"]),
    ],
)
def test_a_text_is_cut_where_the_separator_is(separator, text, documents):
    for block in (1, 2, 5, 99):
        pieces = list(prepare_text.cut((text[i : i + block] for i in range(0, len(text), block)), separator))
        joined = "".join(END * begins + piece for piece, begins in pieces)
        assert [document.strip("\n") for document in joined.split(END)[1:]] == documents


@given(st.text("ab\n", max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_a_document_may_be_longer_than_what_is_held_in_memory(text, block, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_text, "BLOCK", most)
        patch.setattr(prepare_text, "LONGEST", 1)
        pieces = list(prepare_text.cut((text[i : i + block] for i in range(0, len(text), block)), "line"))
    assert "".join("\n" * begins + piece for piece, begins in pieces).strip("\n") == re.sub("\n+", "\n", text).strip(
        "\n"
    )


def test_a_mark_stands_before_every_document(script, tmp_path, out):
    path = write(tmp_path / "names.txt", "\n".join(NAMES))
    data = prepare(out, "--input", path, "--separator=line", script=script)
    assert data.train[0] == data.val[0] == data.tokenizer.end_of_text == data.vocab_size - 1
    assert documents_of(data) == sorted(NAMES) and "\n" not in text_of(data)


# --- what is held out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "length"), [(CHAR, 60_000), (BPE, 132_000), (CHAR, 400_000)])
def test_a_tenth_is_a_tenth_whatever_the_lines_look_like(script, tmp_path, out, length):
    text = ("some words and more " * length)[:length]
    data = prepare(out, "--input", write(tmp_path / "a.txt", text), script=script)
    assert data.tokenizer.decode(data.val) == text[int(0.9 * length) :]
    assert data.meta["held_out"] == "the end of the text" and data.meta["val_characters"] == length // 10


def test_documents_are_held_out_by_chance_which_depends_on_what_they_say(tmp_path, out):
    names = [f"{name} {i}" for i in range(20) for name in NAMES]
    path = write(tmp_path / "names.txt", "\n".join([*names, *names[::-1]]))
    data = prepare(out, "--input", path, "--separator=line")
    val = {*documents_of(data, "val")}
    assert 0.08 * len(names) < len(val) < 0.12 * len(names) and val.isdisjoint(documents_of(data, "train"))
    write(path, "\n".join(["more", *names, *(f"new {name}" for name in names)]))
    assert val <= {*documents_of(prepare(out, "--input", path, "--separator=line"), "val")}
    other = {*documents_of(prepare(out, "--input", path, "--separator=line", "--seed=1"), "val")}
    assert len(val & other) < 0.3 * len(val)


def test_too_few_documents_for_a_tenth_are_cut(tmp_path, out):
    for i in range(3):
        write(tmp_path / f"{i}.txt", f"this is text number {i}. " * 100)
    data = prepare(out, "--input", tmp_path)
    assert data.meta["held_out"] == "the end of the text" and len(documents_of(data)) == 3
    assert len(data.val) == pytest.approx(len(data.train) / 9, rel=0.01)


def test_a_text_of_ones_own_validates(script, tmp_path, out):
    train, val = write(tmp_path / "a.txt", LINES), write(tmp_path / "b.txt", "held out\n")
    data = prepare(out, "--input", tmp_path, "--val", val, script=script)
    assert (data.tokenizer.decode(data.train), data.tokenizer.decode(data.val)) == (LINES, "held out\n")
    if script is BPE:
        assert b"held" not in data.tokenizer.pieces
    with pytest.raises(UserError, match="one of --val too"):
        prepare(out, "--input", train, "--val", train)


@pytest.mark.parametrize(("order", "hint"), [(sorted, True), (lambda names: names, False)], ids=["sorted", "mixed"])
def test_a_text_whose_end_is_unlike_its_beginning_is_told(tmp_path, out, capsys, order, hint):
    names = [NAMES[i * 37 % len(NAMES)] for i in range(900)]
    prepare(out, "--input", write(tmp_path / "names.txt", "\n".join(order(names))))
    assert ("note: the end of this text is unlike its beginning" in capsys.readouterr().out) is hint


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_blocks_change_no_token(tmp_path, out, monkeypatch):
    words = np.random.default_rng(0).choice(["low", "lower ", "naïve", "🙂", " the", "\n", "\n\n", "  of"], 3000)
    path = write(tmp_path / "a.txt", "".join(words))
    whole = prepare(out, "--input", path, script=BPE)
    vocabulary, tokens = whole.tokenizer.to_json(), whole.train.tolist()
    monkeypatch.setattr(prepare_text, "BLOCK", 1000)
    blocks = prepare(out, "--input", path, "--vocab", write(tmp_path / "v.json", json.dumps(vocabulary)), script=BPE)
    assert blocks.train.tolist() == tokens


def test_a_vocabulary_is_learned_from_all_of_a_large_text(tmp_path, out, monkeypatch):
    monkeypatch.setattr(prepare_text, "BLOCK", 2000)
    monkeypatch.setattr(prepare_text, "LEARN_FROM", 20_000)
    path = write(tmp_path / "a.txt", "beginning " * 10_000 + "ending " * 10_000 + "last " * 4000)
    pieces = prepare(out, "--input", path, script=BPE).tokenizer.pieces
    assert b" beginning" in pieces and b" ending" in pieces


def test_a_vocabulary_is_used_again_so_that_a_model_goes_on_with_another_text(tiny, tmp_path, out):
    first = prepare(out, "--input", write(tmp_path / "a.txt", "to be or not to be\n" * 9))
    list(Trainer(tiny(max_iters=1, block_size=4, out_dir=str(tmp_path / "run")), first))
    for name in (out / "tokenizer.json", out, tmp_path / "run"):
        data = prepare(tmp_path / "other", "--input", write(tmp_path / "b.txt", "not to be\n" * 9), "--vocab", name)
        assert data.tokenizer.to_json() == first.tokenizer.to_json()
    assert Trainer(tiny(block_size=4, init_from=str(tmp_path / "run")), data).step == 0
    with pytest.raises(UserError, match=r"3 characters are not in the vocabulary .*: 'T', 'h', 'é'; replace them"):
        prepare(tmp_path / "other", "--input", write(tmp_path / "c.txt", "Thé not to be\n" * 9), "--vocab", out)


def test_documents_in_a_vocabulary_without_a_mark_for_them_are_lines(tmp_path, out, capsys):
    CharTokenizer("".join({*"\n", *"".join(NAMES)})).save(tmp_path / "chars.json")
    names = write(tmp_path / "names.txt", "\n".join(NAMES))
    data = prepare(out, "--input", names, "--separator=line", "--vocab", tmp_path / "chars.json")
    assert sorted(name for name in text_of(data).split("\n") if name) == sorted(NAMES)
    assert "a line break is there" in capsys.readouterr().out


def test_a_large_vocabulary_takes_four_bytes_a_token(tmp_path, out):
    pieces = [bytes([i]) for i in range(256)] + [bytes([i, j]) for i in range(256) for j in range(256)]
    BPETokenizer(pieces).save(tmp_path / "large.json")
    path = write(tmp_path / "a.txt", LINES)
    data = prepare(out, "--input", path, "--vocab", tmp_path / "large.json", script=BPE)
    assert text_of(data) == LINES and (out / "val.bin").stat().st_size == 4 * len(data.val)


@pytest.mark.parametrize(
    ("script", "text", "arguments", "start"),
    [
        (CHAR, LINES, [], "\n"),
        (CHAR, "a novel on one line " * 99 + "\n", [], " "),
        (CHAR, "北冥有魚其名為鯤" * 99, [], "北"),
        (BPE, "a novel on one line " * 99 + "\n", [], " "),
        (BPE, "\n".join(NAMES), ["--separator=line"], END),
    ],
)
def test_sampling_starts_where_the_text_does(tmp_path, out, script, text, arguments, start):
    data = prepare(out, "--input", write(tmp_path / "a.txt", text), *arguments, script=script)
    assert data.tokenizer.decode(load_tokenizer(out / "tokenizer.json").prompt()) == start


# --- what it says -----------------------------------------------------------------------------------------------------


def next_command(capsys):
    return shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("next: "))


def test_the_next_command_is_as_a_shell_reads_it(script, tmp_path, capsys):
    out = tmp_path / "my texts"
    prepare(out, "--input", write(tmp_path / "a.txt", LINES), script=script)
    folder, (*program, plan), words = Path(script.__file__).parent.name, *np.split(next_command(capsys), [4])
    assert program == ["python", "-m", "gptlib.train"] and plan == f"data/{folder}/train.toml"
    config = read_command_line(TrainConfig, "", "", words)
    assert (config.dataset, config.out_dir) == (str(out), "out-my texts")


def test_a_text_shorter_than_a_window_is_told_and_the_command_works(tmp_path, out, capsys):
    data = prepare(out, "--input", write(tmp_path / "a.txt", "to be or not to be " * 20))
    block_size = read_command_line(TrainConfig, "", "", next_command(capsys)[4:]).block_size
    assert block_size + 1 == len(data.val) == 38


# --- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "name", "content", "words"),
    [
        ([], "a.txt", b"", ["a.txt has no text"]),
        ([], "a.txt", b"\xff\xfeh\x00i\x00", ["a.txt is not UTF-8", "save it as UTF-8"]),
        ([], "a.txt", "ça va\n".encode("latin-1") * 30, ["a.txt is not UTF-8"]),
        ([], "a.txt", b"a text\0" * 30, ["a.txt is not a text", "zero"]),
        ([], "a.txt", b"a" * 999, ["nothing but 'a'"]),
        ([], "a.txt", b"\n" * 5000, ["nothing but '\\n'"]),
        ([], "a.txt", b"ab", ["too short", "some thousand"]),
        ([], "a.gz", b"no gzip", ["cannot read", "a.gz"]),
        ([], "a.gz", gzip.compress(LINES.encode(), mtime=0)[:-9], ["cannot read", "a.gz"]),
        ([], "a.parquet", b"", ["a.parquet is a table", "--column"]),
        (COLUMN, "a.jsonl", b'{"body": "a"}\n' * 9, ["no column 'text'", "--column: body"]),
        (COLUMN, "a.csv", b"body\nhello\n", ["no column 'text'", "--column: body"]),
        (COLUMN, "a.jsonl", b'{"text": 3}\n' * 9, ["3 in 'text' is not a text", "--column"]),
        (COLUMN, "a.jsonl", b'{"text": null}\n' * 9, ["has no text"]),
        (COLUMN, "a.jsonl", b'{"text": "a"}\n{"text": "b\n', ["a.jsonl", "JSON"]),
        (COLUMN, "a.jsonl", b"[" * 100_000, ["a.jsonl"]),
        (COLUMN, "a.parquet", b"PAR?" * 9, ["a.parquet"]),
        (COLUMN, "a.txt", b"a text", ["is no table", ".parquet"]),
        (["--vocab=nowhere.json"], "a.txt", LINES, ["no tokenizer at", "nowhere.json"]),
    ],
)
def test_a_bad_text_or_table_is_refused_in_one_line(tmp_path, out, earlier, refused, arguments, name, content, words):
    with refused(*words):
        prepare(out, "--input", write(tmp_path / name, content), *arguments)
    assert contents(out) == earlier


def test_a_missing_package_is_named_with_its_remedy(tmp_path, out, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with refused("need the package datasets", "pip install -c constraints.txt -e '.[hf]'"):
        prepare(out, "--hf=name")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input=nowhere.txt"], "found no text at nowhere.txt"),
        (["--input=nowhere/*.txt"], "found no text at"),
        (["--input=a.txt", "--hf=b"], "not allowed with"),
        (["--input=a.txt", "--tinyshakespeare"], "leave out --input"),
        (["--input"], "expected at least one"),
        (["--rows=0"], "at least 1"),
        (["--input=a.txt", "--rows=9"], "needs --column"),
        (["--val=a.txt"], "need --input or --hf"),
        (["--hf=a", "--separator=line"], "each row is a document"),
        (["--inptu=a.txt"], "unrecognized"),
    ],
)
def test_wrong_arguments_are_one_line(refused, out, arguments, words):
    with refused(words):
        CHAR.main([*arguments, f"--out_dir={out}"])


# --- nothing half-written ---------------------------------------------------------------------------------------------


def test_a_new_preparation_replaces_the_files_and_leaves_others(tmp_path, out, earlier):
    (out / "notes.txt").write_text("mine")
    opened = Dataset.open(out)
    before = opened.train.tolist()
    prepare(out, "--input", write(tmp_path / "a.txt", LINES))
    assert sorted(contents(out)) == sorted([*FILES, "notes.txt"])
    assert all(contents(out)[name] != earlier[name] for name in FILES)
    assert opened.train.tolist() == before  # who reads the earlier files goes on reading them


@pytest.mark.parametrize("name", ["tokenizer.json", "train.bin", "meta.json"])
def test_files_that_are_not_ours_are_not_replaced(tmp_path, out, refused, name):
    write(out / name, '{"mine": 1}')
    with refused(name, "not of an earlier preparation", "--out_dir"):
        prepare(out, "--input", write(tmp_path / "a.txt", LINES))
    assert contents(out) == {name: b'{"mine": 1}'}


def test_two_preparations_do_not_write_to_one_folder(tmp_path, out, earlier, refused):
    with exclusive_lock(out), refused("another run is writing to", str(out)):
        prepare(out, "--input", write(tmp_path / "a.txt", LINES))
    assert contents(out) == earlier


def test_ctrl_c_leaves_the_earlier_files_and_what_a_kill_left_is_no_obstacle(tmp_path, out, earlier, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    path = write(tmp_path / "a.txt", LINES)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare_text, "encode", interrupted)
        prepare(out, "--input", path)
    assert contents(out) == earlier
    write(out / ".unfinished" / "train.txt", "half")
    prepare(out, "--input", path)
    prepare(tmp_path / "fresh", "--input", path)
    assert contents(out) == contents(tmp_path / "fresh")


@pytest.mark.parametrize("killed_before", range(4))
def test_after_a_kill_between_two_names_nobody_takes_a_mixture_for_a_dataset(
    tmp_path, out, earlier, monkeypatch, refused, killed_before
):
    """With a text of the same length and the same characters, so that no size tells old from new."""
    names, replace = iter(range(4)), prepare_text.os.replace

    def killed(source, target):
        if Path(target).parent == out and next(names) == killed_before:
            raise KeyboardInterrupt
        replace(source, target)

    path = write(tmp_path / "a.txt", "htgnel emos fo ,txet reilrae eht\n" * 9)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare_text.os, "replace", killed)
        prepare(out, "--input", path)
    with refused("is not prepared", "prepare.py"):
        Dataset.open(out)
    assert text_of(prepare(out, "--input", path)) == path.read_text()


def test_an_out_dir_that_is_a_file_is_refused(tmp_path, refused):
    path = write(tmp_path / "a.txt", LINES)
    with refused("a.txt", "choose another"):
        prepare(path, "--input", path)
    assert path.read_text() == LINES


# --- as a program -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_FSIZE")
def test_a_full_disk_is_one_line_and_leaves_the_earlier_files(tmp_path, out, earlier):
    words = ["--input", write(tmp_path / "a.txt", "ab cd ef\n" * 40_000), f"--out_dir={out}"]
    assert exit_code(start_program(CHAR.__file__, words, tmp_path / "said", largest_file=500_000)) == 1
    said = (tmp_path / "said").read_text()
    assert said.startswith("error: ") and "free some space" in said and said.count("\n") == 1
    assert contents(out) == earlier


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces RLIMIT_DATA")
def test_a_text_may_be_larger_than_the_memory(tmp_path, out):
    """Byte pairs go the same way, block by block, but take three times as long."""
    megabytes = 32
    path = write(tmp_path / "large.txt", (b"-" * 62 + b"\n ") * (megabytes * 2**14))
    program = start_program(CHAR.__file__, ["--input", path, f"--out_dir={out}"], tmp_path / "said", memory=24 * 2**20)
    assert exit_code(program) == 0, (tmp_path / "said").read_text()
    assert Dataset.open(out).meta["train_characters"] == int(0.9 * megabytes * 2**20)
    assert "characters/s" not in (tmp_path / "said").read_text()  # no bar where nobody sees it


# --- the classic file -------------------------------------------------------------------------------------------------


@pytest.fixture
def classic(tmp_path, monkeypatch):
    path = write(tmp_path / "input.txt", "First Citizen:\nBefore we proceed any further, hear me speak.\n")
    monkeypatch.setattr(CHAR, "TINY_SHA256", CHAR.hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_tinyshakespeare_is_cut_as_everybody_cuts_it(classic, out, monkeypatch):
    text = classic.read_text()
    monkeypatch.setattr(CHAR, "TINY_URL", classic.as_uri())
    for words in ([f"--tinyshakespeare={classic}"], ["--tinyshakespeare"]):
        data = prepare(out, *words)
        assert data.tokenizer.decode(data.train) == text[: int(0.9 * len(text))]
        assert data.tokenizer.decode(data.val) == text[int(0.9 * len(text)) :]


def test_another_file_is_not_tinyshakespeare(tmp_path, out, earlier, monkeypatch, refused):
    with refused("not tinyshakespeare", "sha256", "--input"):
        prepare(out, "--tinyshakespeare", write(tmp_path / "a.txt", "First Citizen: No."))
    monkeypatch.setattr(CHAR, "TINY_URL", "http://127.0.0.1:1/input.txt")  # nobody listens there
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with refused("cannot read http://127.0.0.1:1"):
        prepare(out, "--tinyshakespeare")
    assert contents(out) == earlier

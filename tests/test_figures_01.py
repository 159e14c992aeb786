"""What lesson 01 draws, its lab, and GPT-2's vocabulary."""

import html
import math
import re
from itertools import pairwise

import pytest

from course.lab import Prediction
from course.lab.runs import FINISHED
from course.lessons import figures_01 as figures
from course.lessons import lesson_01
from course.lessons.figures_01 import Cut, Cuts, TokenizerLab
from gptlib import BPETokenizer, CharTokenizer, Dataset, UserError

TEXT = "to be or not to be, that is the question: to be or to be not\n" * 20
BPE = BPETokenizer.train(TEXT, 280)
CHAR = CharTokenizer.from_text(TEXT)


# --- a text in pieces -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", [BPE, CHAR], ids=["bpe", "char"])
def test_pieces_are_the_tokens_with_their_bytes(tokenizer):
    found = figures.pieces(tokenizer, "to be that")
    assert b"".join(piece for _, piece in found).decode() == "to be that"
    assert [number for number, _ in found] == tokenizer.encode("to be that").tolist()


def test_what_cannot_be_seen_is_made_visible():
    assert [figures.visible(b) for b in (b" to", b"\n", b"\t", b"\xc3", b"\x9f\x8d")] == [
        "␣to",
        "↵",
        "⇥",
        "⟨c3⟩",
        "⟨9f 8d⟩",
    ]


def test_a_cut_shows_every_token_in_text_and_html():
    cut = Cut(BPE, "to be <b>\n&é", "mine")
    tokens = len(BPE.encode("to be <b>\n&é"))
    assert cut.title == f"mine: 12 characters, {tokens} tokens, {12 / tokens:.1f} characters per token"
    assert repr(cut).split("\n")[1].count("|") == tokens - 1
    inner = re.findall(r"<code[^>]*>(.*?)</code>", cut.html)
    assert "".join(map(html.unescape, inner)) == "to␣be␣<b>↵&⟨c3⟩⟨a9⟩" and len(inner) == tokens
    assert "<b>" not in cut.html and cut.html.count("<br>") == 1


def test_neighbours_differ_in_tint_and_all_have_a_frame():
    styles = re.findall(r"<code[^>]* style=\"([^\"]*)\"", Cut(BPE, "to be or not").html)
    assert all(a != b for a, b in pairwise(styles))
    assert all("border: 1px solid" in style and "color: inherit" in style for style in styles)


def test_an_empty_text_can_be_cut():
    assert Cut(BPE, "").title == "0 characters, 0 tokens, 0.0 characters per token"


def test_cuts_stand_below_each_other_under_their_names():
    bundle = Cuts("to be", {"characters": CHAR, "pairs": BPE})._repr_mimebundle_()
    assert bundle["text/plain"].splitlines()[0].startswith("characters: 5 characters, 5 tokens, 1.0 ")
    assert bundle["text/html"].index("characters: 5") < bundle["text/html"].index("pairs: 5")


# --- the exercise is the real thing ---------------------------------------------------------------------


@pytest.mark.parametrize("text", ["to be or not to be", " question: that is", "café 🙂"])
def test_encode_of_the_exercise_is_the_tokenizer_s(text):
    merges = []
    for piece in BPE.pieces[256:]:  # the two tokens that each was joined from
        tokens = [bytes([byte]) for byte in piece]
        for pair in merges:
            tokens = lesson_01._merge(tokens, pair)
        merges.append(tuple(tokens))
    assert all(len(pair) == 2 for pair in merges)
    assert lesson_01._encode(text, merges) == BPE.encode(text).tolist()


# --- the lab --------------------------------------------------------------------------------------------


@pytest.fixture
def lab():
    tiny = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 8, "batch_size": 4, "eval_iters": 2, "threads": 1}
    prediction = Prediction("?", ("a", "b"), 0, "because")
    data = {
        name: Dataset(cut.encode(TEXT), cut.encode(TEXT[:600]), cut)
        for name, cut in {"char": CHAR, "pairs": BPE}.items()
    }
    lab = TokenizerLab(data, characters=1600, prediction=prediction, title="t", **tiny)
    yield lab
    lab.stop()
    lab.wait(5)


def test_runs_read_the_same_characters(lab):
    char, pairs = lab.train(tokens="char"), lab.train(tokens="pairs")
    read = [run.config.max_iters * 32 * lab.lengths[run.settings["tokens"]] for run in (char, pairs)]
    assert read == [1600, pytest.approx(1600, rel=0.05)]
    assert (char.status, pairs.status) == (FINISHED, FINISHED) and (char.number, pairs.number) == (1, 2)


def test_the_model_fits_its_tokens_and_its_loss_is_per_token(lab):
    run = lab.train(tokens="pairs")
    assert run.losses[0] == pytest.approx(math.log(BPE.vocab_size), abs=0.6)
    assert lab.lengths["pairs"] == pytest.approx(600 / len(BPE.encode(TEXT[:600])))
    assert lab.models["pairs"].config.vocab_size == BPE.vocab_size


def test_the_menu_chooses_and_the_plot_names_both_units(lab):
    lab.sliders["tokens"].value = "pairs"
    lab.view.ask.choice.index = 0
    lab.start()
    lab.wait(60)
    assert lab.runs[0].settings == {"tokens": "pairs"} and lab.runs[0].status == FINISHED
    assert lab.runs[0].unit == "token" and "tokens/s" in lab.view.costs.value
    assert "pairs: " in lab.view.image.value and "bits per character" in lab.view.image.value
    assert "Right" in lab.view.ask.verdict.value
    assert lab._repr_mimebundle_()["text/plain"].startswith("<live lab: tokens")


def test_unknown_tokens_are_a_mistake_of_the_caller(lab):
    with pytest.raises(KeyError):
        lab.train(tokens="words")


def test_characters_that_are_not_in_the_vocabulary_are_refused():
    with pytest.raises(UserError, match="not in the vocabulary"):
        Cut(CHAR, "é")


# --- figures --------------------------------------------------------------------------------------------


def test_figures_say_what_they_show(lab):
    growth = figures.plot_growth([1000, 2000], [2, 3], [0.75, 0.5], 20)
    assert "falls from 75% to 50.0%" in growth.alt
    lengths = figures.plot_lengths([256, 280], {"held-out plays": [1.0, 1.8]})
    assert lengths.alt == "held-out plays: 1.0 at 256, 1.8 at 280"
    picture = lab.plot([lab.train(tokens="char")])
    assert re.search(r"char: \d\.\d\d nats per token, \d\.\d\d bits per character", picture.alt)
    assert "No run yet" in lab.plot([]).alt


def test_the_lab_s_landmarks_come_from_its_own_characters(lab):
    assert lab.counted["guessing"] == pytest.approx(math.log(CHAR.vocab_size))
    assert TokenizerLab({"pairs": lab.data["pairs"]}).counted == {}


def test_bits():
    assert figures.bits_per_character(math.log(2) * 3, 1.5) == pytest.approx(2)

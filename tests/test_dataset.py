"""Prepared folders, and the batches that are cut from their tokens."""

import errno
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib import GPT, BPETokenizer, CharTokenizer, Dataset, TrainConfig, Trainer, exact_loss
from gptlib.dataset import ShardedTokens, make_batch, sample_offsets

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


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_token_beyond_the_vocabulary_is_refused_wherever_it_is_read(refused, split):
    dataset = Dataset.from_text("abcdefgh" * 20)
    getattr(dataset, split)[:] = 8
    config = TrainConfig(n_layer=1, n_embd=8, n_head=1, block_size=4, eval_iters=1, max_iters=1, dataset="in memory")
    with refused("holds token 8", "ends at 7", "prepare"):
        list(Trainer(config, dataset))
    with refused("holds token 8"):
        exact_loss(GPT(config.model_config(8)), getattr(dataset, split))


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


@pytest.mark.parametrize(
    "meta",
    [
        "",
        "[]",
        "{}",
        '{"train_tokens": 1, "val_tokens": 1, "vocab_size": 28}',
        '{"train_tokens": 1620, "val_tokens": 180, "vocab_size": 29}',  # the tokenizer of another run
        '{"shards": {"train": [], "val": []}, "train_tokens": 0, "val_tokens": 0, "vocab_size": 28}',
    ],
)
def test_files_that_do_not_fit_together_are_refused(prepared, refused, meta):
    (prepared / "meta.json").write_text(meta)
    with refused("do not fit together", "prepare them again"):
        Dataset.open(prepared)
    (prepared / "prepare.py").write_text("")
    with refused("do not fit together", "run: python", "prepare.py"):
        Dataset.open(prepared)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_missing_tokens_are_refused(prepared, refused, damage):
    damage(prepared / "val.bin")
    with refused("cannot read", "val.bin", "prepare"):
        Dataset.open(prepared)


# --- shards -------------------------------------------------------------------------------------------


def in_shards(tokens, *cuts):
    return ShardedTokens(np.split(np.asarray(tokens), cuts))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
    st.lists(st.integers(0, 30), max_size=4),
    st.data(),
)
def test_shards_are_indexed_as_the_one_array(tokens, cuts, data):
    whole, sharded = np.array(tokens), in_shards(tokens, *sorted(cuts))
    positions = st.integers(-len(whole), len(whole) - 1)
    index = np.array(data.draw(st.lists(positions, min_size=4, max_size=4))).reshape(2, 2)
    bound = st.none() | st.integers(-35, 35)
    part = slice(data.draw(bound), data.draw(bound))
    assert len(sharded) == len(whole) and sharded.dtype == whole.dtype
    assert (sharded[index] == whole[index]).all() and sharded[index].shape == (2, 2)
    assert sharded[int(index[0, 0])] == whole[index[0, 0]]
    assert isinstance(sharded[part], ShardedTokens) and np.asarray(sharded[part]).tolist() == whole[part].tolist()
    assert list(sharded) == tokens


def test_a_position_beyond_the_shards_is_refused():
    for index in (20, -21, [0, 20]):
        with pytest.raises(IndexError, match="among the 20 tokens"):
            in_shards(TOKENS, 7)[index]
    with pytest.raises(IndexError, match="no step"):
        in_shards(TOKENS, 7)[::2]


@pytest.fixture
def sharded(prepared, dataset):
    """The folder `prepared`, its training tokens in three files instead of one."""
    meta = json.loads((prepared / "meta.json").read_text())
    files = {"train": np.split(dataset.train, [5, 700]), "val": [dataset.val]}
    meta["shards"] = {split: [] for split in files}
    for split, parts in files.items():
        (prepared / f"{split}.bin").unlink()
        for i, tokens in enumerate(parts):
            tokens.astype("<u2").tofile(prepared / f"{split}-{i}.bin")
            meta["shards"][split].append({"file": f"{split}-{i}.bin"})
    (prepared / "meta.json").write_text(json.dumps(meta))
    return prepared


def test_shards_stay_on_disk_and_train_as_one_file_does(sharded, dataset, tiny, bits):
    opened = Dataset.open(sharded)
    assert isinstance(opened.train, ShardedTokens) and isinstance(opened.val, np.memmap)
    assert all(isinstance(shard, np.memmap) for shard in opened.subset(0.9).train.shards)
    trainers = [Trainer(tiny(max_iters=5, train_fraction=0.9), data) for data in (opened, dataset)]
    events = [[str(event) for event in trainer if hasattr(event, "val")] for trainer in trainers]
    assert len(events[0]) == len(events[1]) == 2
    assert bits(trainers[0].model) == bits(trainers[1].model)
    model = trainers[0].model
    assert isinstance(model, GPT) and exact_loss(model, opened.train) == exact_loss(model, dataset.train)


def test_a_missing_shard_is_refused(sharded, refused):
    (sharded / "train-1.bin").unlink()
    with refused("cannot read", "train-1.bin", "prepare"):
        Dataset.open(sharded)


def test_a_large_vocabulary_is_read_in_four_bytes(tmp_path):
    tokenizer = BPETokenizer([bytes([i, j]) for i in range(256) for j in range(256)])
    tokens = np.array([65_791, 65_536, 3])
    for split in ("train", "val"):
        tokens.astype(tokenizer.dtype).tofile(tmp_path / f"{split}.bin")
    tokenizer.save(tmp_path / "tokenizer.json")
    meta = {"train_tokens": 3, "val_tokens": 3, "vocab_size": tokenizer.vocab_size}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    assert Dataset.open(tmp_path).train.tolist() == tokens.tolist()
    assert (tmp_path / "train.bin").stat().st_size == 12


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
    other = Dataset.open(prepared).tokenizer.chars[:-1] + "ÿ"
    meta = json.loads((prepared / "meta.json").read_text())
    meta["tokenizer"] = Dataset.open(prepared).tokenizer.digest()
    (prepared / "meta.json").write_text(json.dumps(meta))
    assert Dataset.open(prepared)
    CharTokenizer(other).save(prepared / "tokenizer.json")
    with refused("do not fit together"):
        Dataset.open(prepared)


def test_more_shards_than_the_system_opens_are_told_with_the_remedy(sharded, monkeypatch, refused):
    def full(*arguments, **options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(np, "memmap", full)
    with refused("more than this system opens at once", "--shard_bytes", "ulimit -n"):
        Dataset.open(sharded)

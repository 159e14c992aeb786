"""Landmarks of a loss: what counting alone achieves."""

import itertools
import math

import numpy as np
import pytest

from course.figures import new_figure
from course.landmarks import draw_landmarks, landmarks
from gptlib import BPETokenizer, Dataset


def test_counting_by_hand_gives_the_same(dataset):
    V, train, val = dataset.vocab_size, dataset.train.tolist(), dataset.val.tolist()
    single = [-math.log((train.count(t) + 1) / (len(train) + V)) for t in val]
    pairs = list(itertools.pairwise(train))
    pair = [-math.log((pairs.count((a, b)) + 1) / (train[:-1].count(a) + V)) for a, b in itertools.pairwise(val)]
    found = landmarks(dataset)
    assert found["guessing"] == math.log(V)
    assert found["letter frequencies"] == pytest.approx(np.mean(single))
    assert found["letter pairs"] == pytest.approx(np.mean(pair))


def test_byte_pairs_are_called_tokens_and_a_large_vocabulary_takes_no_table():
    text = "the quick brown fox jumps over the lazy dog. " * 200
    tokenizer = BPETokenizer.train(text, 300)
    found = landmarks(Dataset.from_texts(text, text[:500], tokenizer))
    assert list(found) == ["guessing", "token frequencies", "token pairs"]
    assert found["token pairs"] < found["token frequencies"] < found["guessing"]


def test_lines_outside_the_axis_are_not_drawn():
    _, ax = new_figure()
    ax.set_ylim(1, 3)
    draw_landmarks(ax, {"guessing": 4.1, "letter pairs": 2.46})
    assert [text.get_text() for text in ax.texts] == ["letter pairs 2.46"]

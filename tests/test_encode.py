"""Lesson 01's exercise is the real thing."""

import pytest

from course.lessons import lesson_01
from gptlib import BPETokenizer

BPE = BPETokenizer.train("to be or not to be, that is the question: to be or to be not\n" * 20, 280)


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

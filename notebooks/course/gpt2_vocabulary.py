"""GPT-2's own vocabulary, fetched once and kept beside the datasets: the network is needed for the first time only."""

import io
from contextlib import redirect_stderr
from functools import cache

from gptlib.dataset import COURSE_DATA
from gptlib.errors import UserError
from gptlib.tokenizer import BPETokenizer, Tokenizer, load_tokenizer

KEPT = COURSE_DATA / "gpt2" / "tokenizer.json"


@cache
def gpt2_tokenizer() -> Tokenizer:
    """GPT-2's 50,257 tokens.

    Raises:
        UserError: they were never fetched, and cannot be fetched now.
    """
    if KEPT.exists():
        try:
            return load_tokenizer(KEPT)
        except UserError:  # written by another version
            pass
    with redirect_stderr(io.StringIO()):  # that it downloads something would become part of the lesson
        tokenizer = BPETokenizer.gpt2()
    KEPT.parent.mkdir(exist_ok=True)
    tokenizer.save(KEPT)
    return tokenizer

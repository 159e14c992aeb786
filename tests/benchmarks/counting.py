"""The speedrun by counting alone: how often does each character follow the few before it? (SPEEDRUN.md)

    python tests/benchmarks/counting.py --text PATH     # loss and CPU seconds for n-grams of each length

Interpolated Kneser-Ney smoothing (Kneser and Ney 1995; Chen and Goodman 1999) over n-grams of up to `ORDER`
characters. Nothing is learned step by step, and torch is not imported. An n-gram is one whole number, its characters'
indices read as digits; a sorted list of these numbers answers every question by binary search.
"""

import argparse
import time
from pathlib import Path

import numpy as np

ORDER = 4  # three characters before the one to predict are enough for the speedrun; five reach the lowest loss
DISCOUNT = 0.75  # taken off every count for what was never seen


def ngrams(tokens: np.ndarray, n: int, vocab_size: int) -> np.ndarray:
    """All n-grams along the last axis, as numbers."""
    count = tokens.shape[-1] - n + 1
    return sum(tokens[..., i : i + count] * vocab_size ** (n - 1 - i) for i in range(n))


def probabilities(train: np.ndarray, windows: np.ndarray, vocab_size: int, order: int = ORDER) -> np.ndarray:
    """The probability of every token of `windows` but the first, given those before it in its window.

    Each n-gram model corrects the shorter one's answer: it takes a fixed discount off every count and shares the sum
    out as the shorter one says. In the shorter ones, an n-gram counts once for each different token that it followed:
    a token that follows many others is likely after a new one, however rare or frequent it is.

    Args:
        train: the text to count in, (N,) int64.
        windows: (W, T + 1) int64.

    Returns:
        (W, T).
    """
    answer = np.full((len(windows), windows.shape[1] - 1), 1 / vocab_size)
    for n in range(1, order + 1):
        grams = ngrams(train, n, vocab_size)
        if n < order:
            grams = np.unique(ngrams(train, n + 1, vocab_size)) % vocab_size**n
        kinds, times = np.unique(grams, return_counts=True)
        before = np.append(0, times.cumsum())  # n-grams in the text, up to each kind

        asked = ngrams(windows, n, vocab_size)[:, 1 if n == 1 else 0 :]
        context = asked - asked % vocab_size  # the first n-gram with the same context
        first, last = np.searchsorted(kinds, context), np.searchsorted(kinds, context + vocab_size)
        seen = before[np.searchsorted(kinds, asked + 1)] - before[np.searchsorted(kinds, asked)]
        total = before[last] - before[first]

        shorter = answer[:, max(0, n - 2) :]
        longer = np.maximum(seen - DISCOUNT, 0) + DISCOUNT * (last - first) * shorter
        np.divide(longer, total, out=shorter, where=total > 0)  # in place; a context never seen changes nothing
    return answer


def encode(text: str) -> tuple[np.ndarray, int]:
    """The text as indices of its sorted characters, and how many there are."""
    characters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    vocabulary = [ord(c) for c in sorted(set(text))]
    return np.searchsorted(vocabulary, characters), len(vocabulary)


def exact_loss(train: np.ndarray, val: np.ndarray, vocab_size: int, order: int = ORDER, block_size: int = 64) -> float:
    """The same as `gptlib.exact_loss` of a model with this `block_size`."""
    targets = len(val) - 1
    padded = np.append(val, np.zeros(-targets % block_size, dtype=val.dtype))  # the last window may be shorter
    windows = np.lib.stride_tricks.sliding_window_view(padded, block_size + 1)[::block_size]
    return -np.log(probabilities(train, windows, vocab_size, order)).ravel()[:targets].mean()


def main() -> None:
    """Every order once, on the first nine tenths of the text split nine to one again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    tokens, vocab_size = encode(parser.parse_args().text.read_text(encoding="utf-8"))
    tokens = tokens[: int(0.9 * len(tokens))]
    border = int(0.9 * len(tokens))
    for order in range(1, 9):
        started = time.process_time()
        loss = exact_loss(tokens[:border], tokens[border:], vocab_size, order)
        print(f"up to {order} characters: {loss:.3f} nats in {time.process_time() - started:.2f} CPU s")


if __name__ == "__main__":
    main()

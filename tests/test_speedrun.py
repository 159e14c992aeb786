"""The entries of the speedrun do what SPEEDRUN.md says of them."""

import json
import runpy
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from gptlib import GPT, GPTConfig, exact_loss

BENCHMARKS = Path(__file__).parent / "benchmarks"
VOCAB_SIZE, BLOCK_SIZE = 5, 8


@pytest.fixture
def counting():
    return runpy.run_path(str(BENCHMARKS / "counting.py"))


@pytest.fixture
def tokens():
    rng = np.random.default_rng(0)
    return (rng.integers(0, 2, 2_000).cumsum() + rng.integers(0, 2, 2_000)) % VOCAB_SIZE


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_counted_probabilities_sum_to_one_after_contexts_seen_and_new(counting, tokens, order):
    contexts = np.random.default_rng(1).integers(0, VOCAB_SIZE, (50, 3))
    endings = [np.column_stack([contexts, np.full(50, token)]) for token in range(VOCAB_SIZE)]
    answers = [counting["probabilities"](tokens[:300], windows, VOCAB_SIZE, order)[:, -1] for windows in endings]
    np.testing.assert_allclose(np.sum(answers, axis=0), 1)
    assert np.min(answers) > 0


def test_a_pair_counts_by_how_often_it_comes_and_a_single_token_by_how_many_it_follows(counting):
    text = np.array([0, 1, 0, 1, 2, 1, 0, 0])  # pairs: 01 and 10 twice, 12, 21, 00 once
    after_0 = counting["probabilities"](text, np.array([[0, 0], [0, 1], [0, 2]]), vocab_size=3, order=2)[:, 0]
    alone = np.array([2, 2, 1]) / 5  # of the five kinds of pairs, two end in 0, two in 1, one in 2
    np.testing.assert_allclose(after_0, (np.array([0.25, 1.25, 0]) + 0.75 * 2 * alone) / 3)


def test_counting_is_measured_as_a_model_is(counting, tokens):
    train, val = tokens[:1_500], tokens[1_500:]

    class Counts(torch.nn.Module):
        config = GPTConfig(block_size=BLOCK_SIZE, vocab_size=VOCAB_SIZE)
        device = torch.device("cpu")

        def forward(self, x):
            logits = torch.zeros(*x.shape, VOCAB_SIZE, dtype=torch.double)
            for t in range(x.size(1)):
                for token in range(VOCAB_SIZE):
                    windows = np.column_stack([x[:, : t + 1], np.full(len(x), token)])
                    logits[:, t, token] = torch.tensor(
                        counting["probabilities"](train, windows, VOCAB_SIZE)[:, -1]
                    ).log()
            return logits, None

    ours = counting["exact_loss"](train, val, VOCAB_SIZE, block_size=BLOCK_SIZE)
    assert ours == pytest.approx(exact_loss(Counts(), val).mean, abs=1e-6)


def test_the_clock_runs_from_the_start_of_the_process(tmp_path, monkeypatch, capsys):
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 40)
    started = time.time() - 1_000
    arguments = ["--text", str(text), "--recipe", "counting", "--started", str(started)]
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", ["time_to_loss.py", *arguments])
    runpy.run_path(str(BENCHMARKS / "time_to_loss.py"))["main"]()
    assert 1_000 <= json.loads(capsys.readouterr().out)["seconds"] <= time.time() - started


def test_heads_start_by_looking_back_as_many_tokens_as_their_number():
    model = GPT(GPTConfig(n_layer=1, n_head=4, n_embd=64, bias=False), torch.Generator().manual_seed(0))
    runpy.run_path(str(BENCHMARKS / "look_back.py"))["look_back"](model)
    tokens = torch.randint(65, (100, 64), generator=torch.Generator().manual_seed(1))
    x = model.h[0].ln_1(model.wte(tokens) + model.wpe.weight)
    queries, keys, _ = model.h[0].attn.c_attn(x).view(100, 64, 3, 4, 16).permute(2, 0, 3, 1, 4)
    scores = (queries @ keys.mT)[:, :, -1]  # of the last token
    back = 63 - scores.argmax(-1)
    assert (back == torch.arange(4)).float().mean() > 0.7

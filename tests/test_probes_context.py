"""What lesson 02 measures: who sees what, the loss by position, and the cost of a longer context."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course.lessons.lesson_02_attention_cost import (
    ALONE,
    MODEL,
    Cost,
    balance,
    cost_of_attention,
    cost_of_model,
    doublings,
    kept_bytes,
    of,
    plot_costs,
    plot_doublings,
    plot_parts,
    seconds_of,
)
from course.lessons.lesson_02_context import (
    continue_text,
    losses_by_position,
    next_probabilities,
    pair_counting_loss,
    plot_continuations,
    plot_loss_by_position,
    plot_next_characters,
    plot_window,
)
from gptlib import GPT, Trainer, exact_loss

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def shared():
    return {}


@pytest.fixture
def models(tiny, dataset, shared):
    """Two models of 8 and 4 characters of context, a little trained; the same for all tests."""
    for block_size in (8, 4):
        if block_size not in shared:
            trainer = Trainer(tiny(block_size=block_size, max_iters=60), dataset)
            list(trainer)
            shared[block_size] = trainer.model.eval()
    return shared


# --- who sees what -------------------------------------------------------------------------------------


def test_probabilities_are_those_of_the_model(models, dataset):
    tokens = torch.from_numpy(dataset.tokenizer.encode("the fox"))
    with torch.no_grad():
        expected = models[8](tokens[None])[0][0, -1].softmax(-1)
    p = next_probabilities(models[8], dataset.tokenizer, "the fox")
    assert torch.equal(p, expected) and p.sum().item() == pytest.approx(1)


@pytest.mark.parametrize(("block_size", "back", "seen"), [(8, 8, True), (8, 9, False), (4, 4, True), (4, 5, False)])
def test_a_model_sees_its_last_block_size_characters_and_no_more(models, dataset, block_size, back, seen):
    text = "the quick brown fox"
    other = text[:-back] + "z" + text[len(text) - back + 1 :]  # another character, `back` places from the end
    p, q = (next_probabilities(models[block_size], dataset.tokenizer, t) for t in (text, other))
    assert torch.equal(p, q) != seen


def test_an_empty_text_is_refused(models, dataset, refused):
    with refused("empty"):
        next_probabilities(models[8], dataset.tokenizer, "")


def test_a_continuation_is_repeatable_and_goes_on_behind_the_window(models, dataset):
    written = continue_text(models[4], dataset.tokenizer, "the quick", 20, seed=1)
    assert len(written) == 20 and written == continue_text(models[4], dataset.tokenizer, "the quick", 20, seed=1)
    assert written == continue_text(models[4], dataset.tokenizer, "uick", 20, seed=1)
    assert written != continue_text(models[4], dataset.tokenizer, "the quick", 20, seed=2)


# --- loss by position ---------------------------------------------------------------------------------


def test_the_loss_by_position_is_that_of_each_target(models, dataset):
    tokens = torch.from_numpy(dataset.val)
    curve = losses_by_position(models[8], dataset.val, every=11, batch_size=3)
    for position in (0, 3, 7):
        losses = []
        for start in range(0, len(tokens) - 11, 11):
            with torch.no_grad():
                logits = models[8](tokens[None, start : start + 8])[0]
            losses.append(F.cross_entropy(logits[0, position], tokens[start + position + 1]).item())
        assert curve.means[position] == pytest.approx(np.mean(losses), abs=1e-5)
        assert curve.standard_errors[position] == pytest.approx(
            np.std(losses, ddof=1) / math.sqrt(len(losses)), abs=1e-5
        )
    assert curve.block_size == 8


def test_its_mean_is_the_loss_that_is_reported(models, dataset):
    whole_windows = dataset.val[: (len(dataset.val) - 1) // 8 * 8 + 1]
    curve = losses_by_position(models[8], whole_windows, every=8)
    assert curve.means.mean() == pytest.approx(exact_loss(models[8], whole_windows).mean, abs=1e-5)


def test_more_context_helps_on_this_text(models, dataset):
    means = losses_by_position(models[8], dataset.val, every=8).means
    assert means[0] > means[4:].mean() + 0.05


def test_pairs_are_counted_in_one_text_and_judged_on_another():
    train, val = np.array([0, 1, 0, 1, 0, 0]), np.array([0, 1, 1])
    zero_then_one, one_then_one = 2.1 / 3.2, 0.1 / 2.2  # with 0.1 added to each count
    expected = -(math.log(zero_then_one) + math.log(one_then_one)) / 2
    assert pair_counting_loss(train, val, vocab_size=2) == pytest.approx(expected)


def test_no_model_sees_more_in_one_character_than_the_pairs_of_its_own_text(models, dataset):
    pairs = pair_counting_loss(dataset.train, dataset.train, dataset.vocab_size)
    assert losses_by_position(models[8], dataset.train, every=3).means[0] > pairs - 0.05


# --- cost -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [16, 48])
def test_naive_attention_keeps_its_matrices_and_fused_none(block_size):
    B, H, T, C = 3, 2, block_size, 10
    naive, fused = (cost_of_attention(name, T, batch_size=B, n_head=H, n_embd=C) for name in ("naive", "fused"))
    assert naive.quadratic_bytes == 4 * B * H * T * T + T * T  # the weights, and the mask at a byte each
    assert naive.linear_bytes == 4 * 3 * B * T * C  # q, k, v
    assert fused.quadratic_bytes == 0
    assert fused.linear_bytes == 4 * (4 * B * T * C + B * H * T)  # q, k, v, the result and a sum for each row
    assert naive.bytes == naive.linear_bytes + naive.quadratic_bytes


def test_a_model_keeps_matrices_in_each_layer_and_the_rest_grows_linearly():
    costs = [cost_of_model("naive", T, n_layer=2, n_head=2, n_embd=12, vocab_size=11) for T in (40, 80)]
    assert [c.quadratic_bytes for c in costs] == [2 * (4 * 2 * 2 * T * T + T * T) for T in (40, 80)]
    assert costs[1].linear_bytes / costs[0].linear_bytes == pytest.approx(2, rel=1e-3)
    fused = cost_of_model("fused", 80, n_layer=2, n_head=2, n_embd=12, vocab_size=11)
    assert fused.quadratic_bytes == 0 and fused.linear_bytes == pytest.approx(costs[1].linear_bytes, rel=0.05)


def test_shared_memory_counts_once_and_parameters_not_at_all():
    x, w = torch.ones(5, 3, requires_grad=True), torch.ones(3, requires_grad=True)
    assert kept_bytes(lambda: ((x * w) * (x.T.T * w)).sum(), 99) == (4 * (15 + 3 + 15 + 15), 0)
    assert kept_bytes(lambda: ((x * w) * (x.T.T * w)).sum(), 99, [w]) == (4 * (15 + 15 + 15), 0)


def test_the_time_is_that_of_one_pass_and_gradients_do_not_pile_up():
    x, calls = torch.ones(3, requires_grad=True), []

    def forward():
        assert x.grad is None
        calls.append(1)
        return x.sum()

    assert 0 < seconds_of(forward, [x], least_seconds=0) < 1 and len(calls) == 2


def invented():
    return [
        Cost(part, attention, T, 1e-6 * T, 1000 * T, 2 * T * T if attention == "naive" else 0)
        for T in (512, 64, 128, 256)
        for part in (ALONE, MODEL)
        for attention in ("naive", "fused")
    ]


def test_doublings_and_the_balance_of_a_linear_and_a_quadratic_part():
    assert [c.block_size for c in of(invented(), MODEL, "naive")] == [64, 128, 256, 512]
    assert doublings([c.bytes for c in of(invented(), MODEL, "fused")]).tolist() == [2, 2, 2]
    assert doublings([c.quadratic_bytes for c in of(invented(), ALONE, "naive")]).tolist() == [4, 4, 4]
    assert balance(invented()) == 500


# --- figures ----------------------------------------------------------------------------------------------


def test_figures_are_drawn_and_described(models, dataset):
    tokenizer = dataset.tokenizer
    curves = [losses_by_position(model, dataset.val) for model in models.values()]
    pictures = {
        "triangle": plot_window("the fox"),
        "block_size 4": plot_next_characters(models, tokenizer, ["the quick", "fox"]),
        "after 'the quick'": plot_continuations(models, tokenizer, ["the quick", "fox"], length=5),
        "block_size 8": plot_loss_by_position(curves, 2.0),
        "naive attention alone": plot_costs(invented()),
        "memory, model, fused": plot_doublings(invented()),
        "Share of the attention": plot_parts(invented()),
    }
    for words, picture in pictures.items():
        assert picture.png.startswith(PNG) and words in picture.alt, picture.alt
        assert not any(c.isdigit() for c in picture.name.replace("02", "")), picture.name


def test_a_window_of_n_characters_has_n_times_n_plus_one_halves_pairs():
    assert "21 pairs" in plot_window("Helena:").alt


def test_a_model_of_the_tests_is_the_real_one(models):
    assert all(isinstance(model, GPT) for model in models.values())

"""Estimated and exact losses, and that measuring them changes nothing."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gptlib import GPT, Trainer, estimate_loss, exact_loss


@pytest.fixture(scope="module")
def model(tiny, dataset):
    """Some hundredths of a second of training, so that easy and hard places differ."""
    trainer = Trainer(tiny(max_iters=30, dropout=0.5), dataset)
    list(trainer)
    return trainer.model.eval()


def test_the_exact_loss_is_the_mean_over_every_target_once(model, dataset):
    tokens = torch.from_numpy(dataset.val)
    losses = []
    for start in range(0, len(tokens) - 1, 8):
        logits = model(tokens[None, start : start + 8][:, : len(tokens) - 1 - start])[0]
        losses += F.cross_entropy(logits[0], tokens[start + 1 : start + 9], reduction="none").tolist()
    exact = exact_loss(model, dataset.val, batch_size=3)
    assert exact.mean == pytest.approx(np.mean(losses), abs=1e-6)
    assert len(losses) == len(tokens) - 1 and len(losses) % 8  # the last window is shorter
    assert (exact.standard_error, exact.sequences) == (0, math.ceil(len(losses) / 8))


def test_the_exact_loss_reaches_the_last_token(model, dataset):
    changed = dataset.val[:17].copy()
    changed[-1] += 1
    assert exact_loss(model, dataset.val[:17]).sequences == 2
    assert exact_loss(model, dataset.val[:17]).mean != exact_loss(model, changed).mean


@pytest.mark.parametrize("seed", range(5))
def test_an_estimate_lies_within_four_standard_errors_of_the_exact_loss(model, dataset, seed):
    estimate = estimate_loss(model, dataset.train, batch_size=4, eval_iters=25, seed=seed)
    assert abs(estimate.mean - exact_loss(model, dataset.train).mean) < 4 * estimate.standard_error
    assert estimate.sequences == 100


def test_the_standard_error_is_the_spread_of_repeated_estimates(model, dataset):
    estimates = [estimate_loss(model, dataset.train, batch_size=4, eval_iters=5, seed=seed) for seed in range(100)]
    spread = np.std([estimate.mean for estimate in estimates])
    assert np.mean([estimate.standard_error for estimate in estimates]) == pytest.approx(spread, rel=0.25)


def test_four_times_the_batches_halve_the_standard_error(model, dataset):
    few, many = (estimate_loss(model, dataset.train, eval_iters=n).standard_error for n in (4, 16))
    assert many / few == pytest.approx(0.5, rel=0.15)


def test_one_sequence_has_no_standard_error(model, dataset):
    assert math.isnan(estimate_loss(model, dataset.val, batch_size=1, eval_iters=1).standard_error)


def test_a_text_shorter_than_a_window_is_refused(model, dataset, refused):
    for measure in (estimate_loss, exact_loss):
        with refused("block_size = 8", "at least 9 tokens", "has 8"):
            measure(model, dataset.val[:8])


# --- measuring changes nothing --------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored_and_does_not_matter(model, dataset, training):
    expected = estimate_loss(model, dataset.val)
    model.train(training)
    assert estimate_loss(model, dataset.val) == expected
    exact_loss(model, dataset.val)
    assert model.training is training and model.h[0].training is training


def test_no_chance_is_drawn_from_the_global_generators(model, dataset):
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    estimate_loss(model, dataset.val)
    exact_loss(model, dataset.val)
    assert torch.equal(torch.get_rng_state(), torch_before) and (np.random.get_state()[1] == numpy_before).all()


def test_no_gradient_is_left(tiny, dataset):
    model = GPT(tiny().model_config(dataset.vocab_size))
    estimate_loss(model, dataset.val)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_final_weights_are_the_same_however_often_a_run_evaluates(tiny, dataset, bits, dropout):
    finals = []
    for eval_interval in (1, 7, 1000):
        trainer = Trainer(tiny(eval_interval=eval_interval, dropout=dropout), dataset)
        list(trainer)
        finals.append(bits(trainer.model))
    assert finals[0] == finals[1] == finals[2]


def test_a_text_of_few_windows_has_the_error_of_those(model, dataset):
    """Drawing the same two windows again and again makes nothing more certain."""
    two_windows = dataset.val[: 2 * model.config.block_size + 1]
    few, many = (estimate_loss(model, two_windows, batch_size=8, eval_iters=n).standard_error for n in (4, 400))
    assert many == pytest.approx(few, rel=0.5)

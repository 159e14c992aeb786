"""What lesson 04 measures: slopes of real weights, and gradients and updates by layer."""

import time

import numpy as np
import pytest
import torch

from course.lessons import lesson_04_gradients as probe
from course.lessons.lesson_04_gradients import LayerLab, LayerSizes, OneWeight, batch_loss, fixed_batch, gradients
from gptlib import GPT, Evaluation, Trainer, TrainStep


@pytest.fixture
def batch(dataset):
    return fixed_batch(dataset, block_size=8, batch_size=4)


@pytest.fixture
def model(tiny, dataset):
    """A little trained, in float64."""
    trainer = Trainer(tiny(max_iters=15), dataset)
    list(trainer)
    return trainer.model.double()


@pytest.fixture
def weight(model, batch):
    return OneWeight(model, batch, "wte.weight", (3, 5), "a number")


def test_the_batch_is_the_same_for_the_same_seed_only(dataset):
    first, again, other = (fixed_batch(dataset, 8, 4, seed)[0] for seed in (0, 0, 1))
    assert first.shape == (4, 8) and torch.equal(first, again) and not torch.equal(first, other)


def test_gradients_are_those_of_backward_and_leave_none_behind(model, batch):
    found = gradients(model, batch)
    assert all(p.grad is None for p in model.parameters())
    model(*batch)[1].backward()
    assert found.keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(found[name], p.grad) for name, p in model.named_parameters())


# --- one weight -----------------------------------------------------------------------------------------


def test_measuring_a_weight_elsewhere_puts_it_back(model, weight, bits):
    before = bits(model)
    losses = {weight.loss_at(v) for v in (-1.0, 0.0, 1.0)}
    weight.gradient_at(0.7), weight.difference_at(0.7, 0.1)
    assert len(losses) == 3 and bits(model) == before
    with pytest.raises(ZeroDivisionError):
        weight.at(3.0, lambda: 1 / 0)
    assert bits(model) == before


def test_the_loss_at_its_own_value_is_the_loss(model, weight, batch):
    assert weight.loss_at(weight.trained_value) == batch_loss(model, batch)


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.8])
def test_autograd_agrees_with_differences(weight, value):
    slope = weight.gradient_at(value)
    assert abs(slope) > 1e-4
    assert weight.difference_at(value, 1e-5) == pytest.approx(slope, rel=1e-6)


def test_a_sign_says_where_the_loss_falls(model, batch, dataset):
    found = probe.steepest_weights(model, batch, dataset.tokenizer)
    slopes = gradients(model, batch)["wte.weight"]
    for name, extreme, sign in (("positive", slopes.max(), 1), ("negative", slopes.min(), -1)):
        weight = found[name]
        assert weight.gradient_at(weight.value) == extreme.item() and probe.meaning(extreme.item()) == name
        against = weight.value - sign * 0.01
        assert weight.loss_at(against) < weight.loss_at(weight.value)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_key_bias_makes_no_difference_but_its_neighbours_do(tiny, dataset, batch, layer):
    torch.manual_seed(0)
    model = GPT(tiny(n_layer=2).model_config(dataset.vocab_size)).double()
    weight = probe.key_bias(model, batch, layer)
    assert weight.loss_at(2.0) == pytest.approx(weight.loss_at(0.0), abs=1e-12)
    bias = gradients(model, batch)[weight.parameter]
    first = weight.index[0]
    assert bias[first : first + 16].abs().max() < 1e-12  # all keys
    assert bias[first - 16 : first].abs().min() > 1e-9 and bias[first + 16 :].abs().min() > 1e-9  # queries, values
    assert probe.meaning(weight.gradient_at(0.0)) == "zero"


def test_the_error_of_the_difference_is_a_v_and_deeper_with_more_digits(weight):
    h = [1e-11, 1e-5, 1e-2, 1.0]
    single, double = (probe.difference_errors(weight, h, dtype) for dtype in (torch.float32, torch.float64))
    assert double.argmin() == 1 and double[1] < 1e-6
    assert single.argmin() == 2 and single[0] == 1 and 1e-6 < single[2] < 0.05
    assert weight.model.wte.weight.dtype == torch.float64


# --- all weights ----------------------------------------------------------------------------------------


def test_a_short_step_downhill_keeps_the_promise_and_a_long_one_does_not(model, batch, bits):
    before = bits(model)
    losses, fall = probe.losses_downhill(model, batch, [0, 1e-5, 1e-3, 50])
    assert losses[0] == batch_loss(model, batch) and bits(model) == before
    assert (losses[0] - losses[1]) / 1e-5 == pytest.approx(fall, rel=1e-2)
    assert losses[2] < losses[1] < losses[0] < losses[3]


def test_the_gradient_of_the_scores_is_p_minus_what_came(model, dataset):
    p, gradient, right = probe.logit_gradients(model, dataset.tokenizer, "the q")
    came = torch.zeros_like(p)
    came[right] = 1
    assert dataset.tokenizer.decode([right]) == "q" and p.sum().item() == pytest.approx(1)
    assert torch.allclose(gradient, p - came, atol=1e-12)


# --- by layer -------------------------------------------------------------------------------------------


def test_every_parameter_but_the_last_norm_belongs_to_one_layer(tiny, dataset):
    config = tiny(n_layer=3).model_config(dataset.vocab_size)
    layers = probe.layer_names(config)
    assert list(layers) == ["embeddings", "block 1", "block 2", "block 3"]
    for name, _ in GPT(config).named_parameters():
        owners = [layer for layer, starts in layers.items() if name.startswith(starts)]
        assert len(owners) == (not name.startswith("ln_f.")), name


def test_gradients_and_updates_are_those_between_two_steps(tiny, dataset, batch):
    trainer = Trainer(tiny(log_interval=1, max_iters=3), dataset)
    model, sizes = trainer.model, LayerSizes(trainer.model, batch, every=2)
    seen = []
    for event in trainer:
        old = {name: p.detach().clone() for name, p in model.named_parameters()} if not seen else seen[-1]
        sizes.consume(event)
        if isinstance(event, TrainStep):
            seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
            if event.step == 2:
                wte, wpe = (torch.cat([w[n].flatten() for n in ("wte.weight", "wpe.weight")]) for w in (old, seen[-1]))
                slopes = gradients(model, batch)
    assert sizes.steps == [0, 2] and all(len(sizes.updates[layer]) == 2 for layer in sizes.layers)
    assert sizes.updates["embeddings"][1] == pytest.approx(((wpe - wte).norm() / wte.norm()).item(), rel=1e-5)
    block = torch.cat([g.flatten() for name, g in slopes.items() if name.startswith("h.0.")])
    assert sizes.gradients["block 1"][1] == pytest.approx(block.square().mean().sqrt().item(), rel=1e-5)
    expected = np.divide(sizes.gradients["embeddings"][1], sizes.gradients["block 1"][1])
    assert sizes.ratio(sizes.gradients, "embeddings", "block 1") == pytest.approx(expected)


def test_watching_changes_no_bit_of_the_run(tiny, dataset, batch, bits):
    finals = []
    for watched in (True, False):
        trainer = Trainer(tiny(log_interval=1, dropout=0.1), dataset)
        sizes = LayerSizes(trainer.model, batch)
        for event in trainer:
            if watched:
                sizes.consume(event)
        finals.append(bits(trainer.model))
    assert finals[0] == finals[1]


def test_the_live_lab_ends_with_a_picture_of_every_layer(tiny, dataset):
    settings = {name: getattr(tiny(), name) for name in ("block_size", "n_layer", "n_head", "n_embd", "batch_size")}
    lab = LayerLab("learning_rate", dataset=dataset, title="test_live", max_iters=12, threads=1, **settings)
    assert "no run yet" in lab.view.image.value
    lab.start()
    deadline = time.monotonic() + 60
    while lab._worker.alive and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "finished at step 12" in lab.view.status.value
    assert lab.sizes[lab.runs[0]].steps == [0, 5, 10] and "block 1: gradient" in lab.view.image.value
    lab.reset()
    assert "no run yet" in lab.view.image.value


# --- figures --------------------------------------------------------------------------------------------


def test_figures_have_an_alt_text_and_a_name_without_measured_numbers(model, batch, dataset, tiny):
    weights = probe.steepest_weights(model, batch, dataset.tokenizer) | {"zero": probe.key_bias(model, batch)}
    trainer = Trainer(tiny(log_interval=1), dataset)
    sizes, events = LayerSizes(trainer.model, batch), []
    for event in trainer:
        sizes.consume(event)
        events.append(event)
    assert any(isinstance(event, Evaluation) for event in events)
    pictures = [
        probe.plot_weights(list(weights.values())),
        *(probe.plot_weight(weight, 0.5) for weight in weights.values()),
        probe.plot_difference_errors(weights["positive"]),
        probe.plot_pulls(model, dataset.tokenizer, "the qu", shown=10),
        probe.plot_downhill(model, batch),
        probe.plot_losses({"one": [4.0, 3.0], "other": [4.0, 3.5]}),
        probe.plot_layer_sizes(sizes, 20),
        probe.plot_layer_sizes(None, 20),
        probe.plot_clipping(events),
    ]
    for picture in pictures:
        assert picture.png.startswith(b"\x89PNG") and len(picture.alt) >= 10
        assert not any(character.isdigit() for character in picture.name)
    assert "positive" in pictures[0].alt and "zero" in pictures[0].alt
    assert "move the weight left" in probe.plot_weight(weights["positive"], weights["positive"].value).alt
    assert "move the weight right" in probe.plot_weight(weights["negative"], weights["negative"].value).alt

"""The learning-rate schedule, and which parameters decay."""

import pytest
import torch

from gptlib import GPT, GPTConfig
from gptlib.optim import build_optimizer, learning_rate_at

PLAN = {"max_iters": 110, "warmup_iters": 10, "learning_rate": 1.0, "min_lr": 0.1}


def test_the_rate_climbs_evenly_and_never_starts_at_zero(tiny):
    config = tiny(**PLAN)
    assert [learning_rate_at(step, config) for step in (0, 1, 9)] == pytest.approx([1 / 11, 2 / 11, 10 / 11])


@pytest.mark.parametrize(
    ("schedule", "quarter", "half", "end"),
    [("cosine", 0.868198, 0.55, 0.1), ("linear", 0.775, 0.55, 0.1), ("constant", 1.0, 1.0, 1.0)],
)
def test_the_rate_falls_as_its_schedule_says(tiny, schedule, quarter, half, end):
    config = tiny(**PLAN, schedule=schedule)
    rates = [learning_rate_at(step, config) for step in (10, 35, 60, 110, 1000)]
    assert rates == pytest.approx([1.0, quarter, half, end, end], rel=1e-5)


@pytest.mark.parametrize("settings", [{"warmup_iters": 0}, {"max_iters": 0}, {"warmup_iters": 500}])
def test_the_rate_keeps_its_range_at_the_edges(tiny, settings):
    config = tiny(**PLAN | settings)
    assert all(0 < learning_rate_at(step, config) <= 1 for step in range(600))


def test_only_matrices_decay(tiny):
    model = GPT(tiny().model_config(7))
    decayed, spared = build_optimizer(model, tiny(weight_decay=0.3)).param_groups
    assert {p.dim() for p in decayed["params"]} == {2} and decayed["weight_decay"] == 0.3
    assert {p.dim() for p in spared["params"]} == {1} and spared["weight_decay"] == 0
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_a_step_without_gradient_shrinks_matrices_and_leaves_vectors(tiny):
    model = GPT(GPTConfig(block_size=4, n_layer=1, n_head=1, n_embd=4, vocab_size=3))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    build_optimizer(model, tiny(weight_decay=0.5, learning_rate=0.1)).step()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), before[name] * (0.95 if p.dim() == 2 else 1))


def test_the_settings_reach_the_optimizer(tiny):
    optimizer = build_optimizer(GPT(tiny().model_config(7)), tiny(beta1=0.8, beta2=0.7, learning_rate=0.02))
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.7) and optimizer.param_groups[0]["lr"] == 0.02

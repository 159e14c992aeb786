"""The learning-rate schedule, which parameters decay, and both optimisers against torch's own."""

import copy

import pytest
import torch
from torch.optim._muon import _zeropower_via_newtonschulz as torch_newton_schulz

from gptlib import GPT, GPTConfig
from gptlib.optim import MUON_MOMENTUM, build_optimizer, learning_rate_at, zeropower_via_newtonschulz

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


# --- Muon -------------------------------------------------------------------------------------------------


@pytest.fixture
def torch_s_muon_in_float32(monkeypatch):
    """It computes in bfloat16, whose rounding the polynomials make large."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.float)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 32, 8), (2, 8, 32)])
def test_orthogonalized_matrices_are_torch_s_own(shape, torch_s_muon_in_float32):
    matrices = torch.randn(shape)
    theirs = torch.stack([torch_newton_schulz(m, (3.4445, -4.7750, 2.0315), 5, 1e-7) for m in matrices])
    torch.testing.assert_close(zeropower_via_newtonschulz(matrices), theirs, rtol=0, atol=1e-3)


def test_singular_values_come_near_one_and_their_vectors_stay():
    matrix = torch.randn(1, 16, 24)
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    after = u.mT @ zeropower_via_newtonschulz(matrix) @ v.mT
    kept = values[0] > 0.1 * values.max()
    assert after[0].diagonal()[kept].min() > 0.5 and after.abs().max() < 1.3
    assert (after - torch.diag_embed(after.diagonal(dim1=1, dim2=2))).abs().max() < 1e-3


def test_a_muon_step_is_torch_s_own_for_every_matrix_of_a_block(tiny, torch_s_muon_in_float32):
    config = tiny(optimizer="muon", muon_lr=0.1, learning_rate=0.05)
    model = GPT(config.model_config(7))
    ours = build_optimizer(model, config)
    matrix = model.h[0].mlp.c_fc.weight  # (4 C, C): the one shape that moves further
    other = torch.nn.Parameter(matrix.detach().clone())
    theirs = torch.optim.Muon([other], lr=0.1, momentum=MUON_MOMENTUM, weight_decay=0.0)
    for _ in range(3):
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        other.grad = matrix.grad.clone()
        ours.step()
        theirs.step()
    torch.testing.assert_close(matrix, other, rtol=0, atol=1e-4)


def test_queries_keys_and_values_are_moved_as_three_matrices(tiny):
    config = tiny(optimizer="muon", muon_lr=1.0)
    model = GPT(config.model_config(7))
    weight = model.h[0].attn.c_attn.weight
    before = weight.detach().clone()
    weight.grad = torch.randn_like(weight)
    weight.grad[:16] *= 1e3  # the queries' gradient would drown the others
    build_optimizer(model, config).step()
    moved = (before - weight.detach()).chunk(3)
    assert all(1 < part.norm() < 5 for part in moved), [part.norm() for part in moved]


def test_muon_takes_the_matrices_of_blocks_and_adamw_the_rest(tiny):
    model = GPT(tiny(bigram=True, smear=True).model_config(7))
    names = {id(p): name for name, p in model.named_parameters()}
    groups = build_optimizer(model, tiny(optimizer="muon")).param_groups
    muon = {names[id(p)] for group in groups if group["muon"] for p in group["params"]}
    assert muon == {name for name, p in model.named_parameters() if name.startswith("h.") and p.dim() == 2}
    assert sum(len(group["params"]) for group in groups) == len(names)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_parameter_without_gradient_stays(tiny, optimizer):
    model = GPT(tiny().model_config(7))
    before = [p.detach().clone() for p in model.parameters()]
    build_optimizer(model, tiny(optimizer=optimizer)).step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_our_adamw_is_torch_s_own(tiny):
    config = tiny(weight_decay=0.2, beta1=0.8, beta2=0.9)
    model = GPT(config.model_config(7))
    twin = copy.deepcopy(model)
    ours = build_optimizer(model, config)
    groups = [{"params": p, "weight_decay": 0.2 if p.dim() >= 2 else 0} for p in twin.parameters()]
    theirs = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.8, 0.9))
    for _ in range(3):
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        ours.step()
        theirs.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q)

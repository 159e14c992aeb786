"""The model against its formulas and against another implementation."""

import math

import pytest
import torch

from gptlib import GPT, GPTConfig, UsageError
from gptlib.model import QK_SCALE, Rotary, fused_attention, naive_attention

SMALL = {"block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16, "vocab_size": 11}


def build(seed=0, std=None, **settings):
    """A small model; with `std`, every number in it is random, biases and norms too."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**SMALL | settings))
    if std is not None:
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=std)
    return model.eval()


def random_tokens(model, batch=3, length=None):
    return torch.randint(model.config.vocab_size, (batch, length or model.config.block_size))


def twin_of(model):
    """transformers' GPT-2 with the same weights; its Conv1D keeps them transposed."""
    transformers = pytest.importorskip("transformers", reason="only the dev extra has it")
    c = model.config
    shape = {"n_positions": c.block_size, "n_embd": c.n_embd, "n_layer": c.n_layer, "n_head": c.n_head}
    no_dropout = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
    activation = {"gelu": "gelu", "gelu_tanh": "gelu_new"}[c.activation]
    config = transformers.GPT2Config(vocab_size=c.vocab_size, activation_function=activation, **shape, **no_dropout)
    twin = transformers.GPT2LMHeadModel(config).eval()
    linear = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    twin.transformer.load_state_dict({k: v.T if k.endswith(linear) else v for k, v in model.state_dict().items()})
    twin.tie_weights()
    return twin


CONFIGS = [
    {"seed": 1},
    {"seed": 2, "n_layer": 1, "n_head": 1, "n_embd": 20, "block_size": 5, "vocab_size": 3},
    {"seed": 3, "n_head": 4, "n_embd": 32, "block_size": 16, "vocab_size": 65},
    {"seed": 4, "n_layer": 3, "attention": "naive"},
    {"seed": 5, "activation": "gelu_tanh"},
]
OPTIONS = [{"positions": "rotary"}, {"qk_norm": True}, {"smear": True}, {"bigram": True}]
MODERN = {name: value for option in OPTIONS for name, value in option.items()}


@pytest.mark.parametrize("settings", CONFIGS)
def test_logits_and_loss_equal_those_of_transformers(settings):
    model = build(std=0.3, **settings)
    twin, idx = twin_of(model), random_tokens(model)
    theirs = twin(idx, labels=idx)
    torch.testing.assert_close(model(idx)[0], theirs.logits, rtol=1e-4, atol=1e-4)
    assert model(idx[:, :-1], idx[:, 1:])[1].item() == pytest.approx(theirs.loss.item(), abs=1e-4)


# --- attention ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 7])
def test_naive_attention_equals_fused_attention(length):
    q, k, v = torch.randn(3, 2, 4, length, 5).unbind()
    torch.testing.assert_close(naive_attention(q, k, v), fused_attention(q, k, v), rtol=1e-5, atol=1e-5)


def test_attention_is_a_mean_over_the_past_weighted_by_similarity():
    q, k, v = torch.randn(3, 1, 1, 4, 5).unbind()
    similarity = [math.exp(q[0, 0, 2] @ k[0, 0, t] / math.sqrt(5)) for t in range(3)]
    by_hand = sum(s * v[0, 0, t] for t, s in enumerate(similarity)) / sum(similarity)
    torch.testing.assert_close(naive_attention(q, k, v)[0, 0, 2], by_hand)


@pytest.mark.parametrize("bias", [True, False])
def test_a_model_computes_the_same_with_either_attention(bias):
    fused, naive = (build(std=0.3, attention=attention, bias=bias) for attention in ("fused", "naive"))
    idx = random_tokens(fused)
    torch.testing.assert_close(fused(idx)[0], naive(idx)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [{"attention": "naive"}, {}, *OPTIONS, MODERN])
def test_a_later_token_never_changes_an_earlier_logit(settings):
    model = build(std=0.3, **settings)
    idx = random_tokens(model)
    before = model(idx)[0]
    for t in range(1, 8):
        changed = idx.clone()
        changed[:, t:] = (changed[:, t:] + 1) % 11
        after = model(changed)[0]
        assert torch.equal(before[:, :t], after[:, :t]) and not torch.allclose(before[:, t], after[:, t])


@pytest.mark.parametrize("attention", ["fused", "naive"])
def test_dropout_works_while_training_only(attention):
    model = build(std=0.3, dropout=0.5, attention=attention)
    idx = random_tokens(model)
    assert torch.equal(model(idx)[0], model(idx)[0])
    model.train()
    assert not torch.allclose(model(idx)[0], model(idx)[0])


# --- loss and head ------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_negative_log_probability_of_the_targets():
    model = build(std=0.3)
    idx, targets = random_tokens(model), random_tokens(model)
    logits, loss = model(idx, targets)
    by_hand = -logits.log_softmax(-1).gather(-1, targets[..., None]).mean()
    torch.testing.assert_close(loss, by_hand)


def test_targets_of_minus_one_do_not_count():
    model = build(std=0.3)
    idx, targets = random_tokens(model, batch=1), random_tokens(model, batch=1)
    only_the_first_five = model(idx[:, :5], targets[:, :5])[1]
    targets[:, 5:] = -1
    torch.testing.assert_close(model(idx, targets)[1], only_the_first_five)


def test_without_targets_there_is_no_loss():
    model = build()
    assert model(random_tokens(model))[1] is None


@pytest.mark.parametrize("n_embd", [16, 32, 128])
@pytest.mark.parametrize("vocab_size", [65, 1000])
def test_before_training_every_token_is_about_equally_likely(n_embd, vocab_size):
    model = build(n_embd=n_embd, vocab_size=vocab_size, block_size=32)
    idx, targets = random_tokens(model, batch=16), random_tokens(model, batch=16)
    assert model(idx, targets)[1].item() == pytest.approx(math.log(vocab_size), abs=0.3)


def test_options_start_at_ln_v_too():
    model = build(n_embd=32, vocab_size=65, block_size=32, **MODERN)
    idx, targets = random_tokens(model, batch=16), random_tokens(model, batch=16)
    assert model(idx, targets)[1].item() == pytest.approx(math.log(65), abs=0.3)


# --- options ------------------------------------------------------------------------------------------


def test_with_rotary_positions_only_distances_count():
    turn = Rotary(block_size=16, width=8)
    q, k = torch.randn(2, 1, 1, 1, 8)
    scores = [(turn(q, start + 3) * turn(k, start)).sum() for start in (0, 5, 12)]
    torch.testing.assert_close(scores[0], scores[1])
    torch.testing.assert_close(scores[0], scores[2])
    assert (turn(q, 4) * turn(k, 0)).sum() != pytest.approx(scores[0].item(), abs=1e-3)


def test_rotary_positions_turn_and_never_stretch():
    x = torch.randn(2, 3, 16, 8)
    torch.testing.assert_close(Rotary(16, 8)(x, 0).norm(dim=3), x.norm(dim=3))


def test_smear_adds_a_share_of_the_token_before():
    model, idx = build(smear=True), torch.tensor([[3, 5, 3]])
    first, second, third = model.wte(idx)[0]
    torch.testing.assert_close(model.embed(idx)[0], torch.stack([first, second + first / 2, third + second / 2]))


def test_bigram_tells_the_same_token_apart_by_the_one_before_it():
    model = build(bigram=True)
    torch.nn.init.normal_(model.bigram.weight)
    a, b, c = (model.embed(torch.tensor([pair]))[0, 1] for pair in ([3, 5], [4, 5], [3, 6]))
    torch.testing.assert_close(a - model.wte.weight[5], model.bigram.weight[3 * 11 + 5])
    torch.testing.assert_close(b - model.wte.weight[5], model.bigram.weight[4 * 11 + 5])
    torch.testing.assert_close(c - model.wte.weight[6], model.bigram.weight[3 * 11 + 6])


def test_with_qk_norm_no_score_runs_away():
    model = build(std=50.0, qk_norm=True)
    seen = []
    model.h[0].attn.attend = lambda q, k, v, dropout: seen.append(q @ k.mT / math.sqrt(q.size(-1))) or v
    model(random_tokens(model))
    assert seen[0].abs().max() <= QK_SCALE * math.sqrt(8) * 1.001


def test_an_odd_head_cannot_turn():
    with pytest.raises(UsageError, match="must be even"):
        build(n_embd=10, positions="rotary")


def test_the_head_is_the_token_table_itself():
    model, idx = build(), torch.zeros(1, 1, dtype=torch.long)
    assert [name for name, p in model.named_parameters() if 11 in p.shape] == ["wte.weight"]
    with torch.no_grad():
        model.wte.weight[5] = 0  # a token that is not in the input: only the head can see it
    assert model(idx)[0][0, 0, 5] == 0


def test_num_parameters_counts_by_hand():
    """C = 16: tables, two blocks (4 C^2 + 8 C^2 weights, 9 C biases, 4 C norms), the last norm."""
    assert build().num_parameters() == (11 + 8) * 16 + 2 * (12 * 256 + 13 * 16) + 2 * 16


def test_without_biases_no_bias_is_left():
    assert not [name for name, _ in build(bias=False).named_parameters() if "bias" in name]


# --- the window ---------------------------------------------------------------------------------------


def test_more_tokens_than_block_size_are_refused(refused):
    model = build()
    with refused("9 tokens", "block_size = 8", "shorten"):
        model(random_tokens(model, length=9))


def test_a_shorter_input_gives_the_same_logits():
    model = build(std=0.3)
    idx = random_tokens(model)
    torch.testing.assert_close(model(idx[:, :3])[0], model(idx)[0][:, :3], rtol=1e-5, atol=1e-5)

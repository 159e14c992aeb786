"""What lesson 07 measures: attention taken apart, the stream on its way, heads levelled, tokens chosen and timed."""

import math

import pytest
import torch
import torch.nn.functional as F

from course.lessons import lesson_07_inside as probe
from gptlib import GPT, GPTConfig, Trainer, UserError
from gptlib.model import ATTENTION, naive_attention
from gptlib.sampling import choose


@pytest.fixture(scope="module")
def model(tiny, dataset):
    """Two blocks of two heads, a little trained."""
    trainer = Trainer(tiny(n_layer=2, max_iters=40, block_size=16), dataset)
    list(trainer)
    return trainer.model.eval()


@pytest.fixture
def tokens(model, dataset):
    return probe.tokens_of(model, dataset.tokenizer, "the quick brown")


@pytest.fixture
def qkv():
    return torch.randn(3, 2, 2, 6, 4, generator=torch.Generator().manual_seed(0))


# --- attention, opened up -------------------------------------------------------------------------------


def test_the_weights_are_those_of_the_model_s_attention(qkv):
    q, k, v = qkv
    weights = probe.weights_of(q, k)
    assert torch.allclose(weights @ v, naive_attention(q, k, v), atol=1e-6)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 2, 6)) and not weights.triu(1).any()


@pytest.mark.parametrize("attention", ATTENTION)
def test_maps_are_taken_where_the_model_attends_and_leave_it_as_it_was(model, tokens, bits, attention):
    own = [block.attn.attend for block in model.h]
    try:
        for block in model.h:
            block.attn.attend = ATTENTION[attention]
        before, logits = bits(model), model(tokens)[0]
        maps = probe.attention_maps(model, tokens)
        assert [block.attn.attend for block in model.h] == [ATTENTION[attention]] * 2
        assert bits(model) == before and torch.equal(model(tokens)[0], logits)
    finally:
        for block, attend in zip(model.h, own, strict=True):
            block.attn.attend = attend
    assert maps.shape == (2, 1, 2, 15, 15)
    x = model.h[0].ln_1(model.wte(tokens) + model.wpe.weight[:15])
    q, k = model.h[0].attn.c_attn(x)[0].view(15, 3, 2, 8)[:, :2].unbind(1)  # (T, H, C / H) each
    scores = q[:, 1] @ k[:, 1].T / math.sqrt(8)
    assert torch.allclose(maps[0, 0, 1, 9, :10], scores[9, :10].softmax(dim=-1), atol=1e-5)


def test_an_error_inside_leaves_the_model_as_it_was(model):
    own = [block.attn.attend for block in model.h]
    with pytest.raises(ZeroDivisionError), probe.attending_by(model, lambda layer, attend: None):
        raise ZeroDivisionError
    assert [block.attn.attend for block in model.h] == own


@pytest.mark.parametrize(("text", "words"), [("", "0 characters"), ("a" * 17, "17 characters"), ("é", "é")])
def test_a_text_that_has_no_map_is_refused_in_one_line(model, dataset, refused, text, words):
    with refused(words, error=UserError):
        probe.plot_map(model, dataset.tokenizer, text)


def test_a_later_character_changes_no_earlier_row(model, dataset):
    one, other = (
        probe.attention_maps(model, probe.tokens_of(model, dataset.tokenizer, t)) for t in ("the fox", "the fog")
    )
    assert torch.equal(one[..., :6, :6], other[..., :6, :6]) and not torch.allclose(one[..., 6, :], other[..., 6, :])


# --- on the way -------------------------------------------------------------------------------------------


def test_the_last_depth_is_the_model_and_the_first_the_embedding(model, tokens):
    depths = probe.guesses_by_depth(model, tokens)
    assert depths.shape == (3, 1, 15, model.config.vocab_size)
    assert torch.allclose(depths[-1], model(tokens)[0], atol=1e-5)
    x = model.wte(tokens) + model.wpe.weight[:15]
    assert torch.allclose(depths[0], model.lm_head(model.ln_f(x)), atol=1e-5)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_the_loss_by_depth_ends_at_the_loss(model, dataset):
    losses = probe.losses_by_depth(model, dataset, batch_size=8)
    x, y = probe.held_out_batch(model, dataset, 8)
    assert losses[-1] == pytest.approx(model(x, y)[1].item(), rel=1e-5) and losses[0] > losses[1] > losses[2]


# --- heads ------------------------------------------------------------------------------------------------


def test_level_looks_at_the_past_alike():
    assert torch.allclose(probe.level(torch.zeros(3, 3)), torch.tensor([[1, 0, 0], [0.5, 0.5, 0], [1 / 3] * 3]))


def test_levelling_changes_the_named_heads_only(qkv):
    q, k, v = qkv
    attend = probe.levelling((1, 0))(1, naive_attention)
    result, usual = attend(q, k, v), naive_attention(q, k, v)
    assert torch.equal(result[:, 1], usual[:, 1])
    assert torch.allclose(result[:, 0, 3], v[:, 0, :4].mean(dim=1), atol=1e-6)
    assert probe.levelling((1, 0))(0, naive_attention) is naive_attention


def test_a_head_that_is_level_already_costs_nothing_and_another_does(model, dataset, bits):
    before = bits(model)
    heads = probe.measure_heads(model, dataset, batch_size=8)
    assert [head.name for head in heads] == ["1.1", "1.2", "2.1", "2.2"] and bits(model) == before
    assert max(head.cost for head in heads) > 0.01 and all(1 / 16 < head.sharpness <= 1 for head in heads)
    both = probe.cost_of_levelling(model, dataset, (0, 0), (0, 1), batch_size=8)
    assert both != pytest.approx(heads[0].cost)
    level = GPT(model.config)
    for block in level.h:
        torch.nn.init.zeros_(block.attn.c_attn.weight[:16])  # no queries: all scores are 0
    assert [head.cost for head in probe.measure_heads(level, dataset, batch_size=8)] == pytest.approx([0] * 4, abs=1e-5)
    assert all(head.sharpness < 0.13 for head in probe.measure_heads(level, dataset, batch_size=8))


def test_weight_nearby_of_level_heads_is_known(model, dataset):
    level = GPT(model.config)
    for block in level.h:
        torch.nn.init.zeros_(block.attn.c_attn.weight[:16])
    expected = sum(3 / (row + 1) for row in range(3, 16)) / 13
    assert probe.weight_nearby(level, dataset, 3, batch_size=4) == pytest.approx([expected] * 2, rel=1e-4)


# --- parameters -------------------------------------------------------------------------------------------


def test_parts_add_up_and_a_block_is_as_the_exercise_says():
    model = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=3, n_head=2, n_embd=16))
    parts = probe.named_parts(model)
    assert sum(parts.values()) == model.num_parameters() and parts["norms"] == (3 * 2 + 1) * 2 * 16
    assert parts["attention"] + parts["MLP"] + 3 * 4 * 16 == 3 * (12 * 16**2 + 13 * 16)


def test_gpt2_has_its_published_size_and_takes_no_memory():
    model = probe.gpt2_shape()
    assert model.num_parameters() == 124_439_808 and model.device.type == "meta"


# --- choosing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 5), (0.5, 5), (2.0, 2), (0.0, 5), (1.0, 1)])
def test_the_chances_are_those_by_which_the_sampler_draws(temperature, top_k):
    logits = torch.tensor([1.0, 3.0, 2.0, -1.0, 0.5])
    drawn = choose(logits.expand(20_000, -1), temperature, top_k, torch.Generator().manual_seed(0))
    shares = drawn.bincount(minlength=5) / 20_000
    assert torch.allclose(probe.choosing_chances(logits, temperature, top_k), shares, atol=0.015)


def test_without_the_division_wide_scores_give_all_to_one():
    found = probe.largest_weights([4, 64])
    plain, scaled = found.values()
    assert plain[1] > plain[0] + 0.3 and abs(scaled[1] - scaled[0]) < 0.03


# --- the cost of a token --------------------------------------------------------------------------------------


def test_the_cache_says_the_same(model, tokens):
    assert probe.cache_agrees(model, tokens)
    broken = probe.attending_by(model, lambda layer, own: lambda q, k, v, dropout=0.0: v)
    with broken:  # the whole text is then read otherwise than token by token
        assert not probe.cache_agrees(model, tokens)


def test_a_long_text_costs_more_without_the_cache():
    model = GPT(GPTConfig(vocab_size=11, block_size=512, n_layer=2, n_head=2, n_embd=32))
    short, long = probe.time_next_token(model, [8, 512], repeats=5)
    assert (short.length, long.length) == (8, 512) and long.anew > 2 * long.cached


# --- figures --------------------------------------------------------------------------------------------------


def test_figures_have_an_alt_text_and_a_name_without_measured_numbers(model, dataset):
    text, tokenizer = "the quick fox", dataset.tokenizer
    pictures = [
        probe.plot_depth(model, tokenizer, text),
        probe.plot_glance(model, tokenizer, text),
        probe.plot_map(model, tokenizer, text, 2, 2),
        probe.plot_map(model, tokenizer, "t"),
        probe.plot_maps(model, tokenizer, text),
        probe.plot_making(model, tokenizer, text),
        probe.plot_largest_weights((4, 8)),
        probe.plot_parameters({"ours": model, "GPT-2": probe.gpt2_shape()}),
        probe.plot_heads(probe.measure_heads(model, dataset, batch_size=4)),
        probe.plot_choice(model, tokenizer, text, 0.0, 3),
        probe.plot_choices(model, tokenizer, text, [(0.5, 9), (1, 9)]),
        probe.plot_samples(model, tokenizer, "the", [(0, 9), (1, 9)], length=90),
        probe.plot_token_costs(probe.time_next_token(model, [4, 16], repeats=1)),
    ]
    for picture in pictures:
        assert picture.png.startswith(b"\x89PNG") and len(picture.alt) >= 20
        assert not any(character.isdigit() for character in picture.name)
    assert "GPT-2, 124,439,808 parameters" in pictures[7].alt


def test_the_loss_of_a_depth_is_a_cross_entropy(model, dataset):
    x, y = probe.held_out_batch(model, dataset, 4)
    logits = probe.guesses_by_depth(model, x)[1]
    expected = F.cross_entropy(logits.flatten(0, 1), y.flatten()).item()
    assert probe.losses_by_depth(model, dataset, batch_size=4)[1] == pytest.approx(expected)

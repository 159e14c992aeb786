"""The decoder against the model: the same logits, token by token, whatever the model is made of."""

import itertools

import pytest
import torch

from gptlib import GPT, GPTConfig, TrainConfig
from gptlib.decoding import FEW, Decoder, KVCache, gelu

OPTIONS = {
    "positions": ("learned", "rotary"),
    "qk_norm": (False, True),
    "smear": (False, True),
    "bigram": (False, True),
    "activation": ("gelu", "gelu_tanh"),
    "bias": (False, True),
}
KINDS = [dict(zip(OPTIONS, values, strict=True)) for values in itertools.product(*OPTIONS.values())]


def build(**options):
    """A small model in which every parameter counts."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(block_size=8, n_layer=2, n_head=2, n_embd=16, vocab_size=11, **options)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def tokens_for(streams=3, length=8):
    return torch.randint(11, (streams, length), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(f"{value}" for value in kind.values()))
@pytest.mark.parametrize("read_first", [0, 5])
def test_token_by_token_is_the_same_as_all_at_once(kind, read_first):
    model, idx = build(**kind), tokens_for()
    cache = KVCache(model.config, batch_size=3)
    if read_first:
        model.hidden_states(idx[:, :read_first], cache.memory)
        cache.advance(idx[:, :read_first])
    decode = Decoder(model, cache)
    logits = torch.stack([decode(token) for token in idx[:, read_first:].split(1, dim=1)], dim=1)
    torch.testing.assert_close(logits, model(idx)[0][:, read_first:], rtol=1e-4, atol=1e-4)


def test_every_option_of_the_architecture_is_tried():
    """A new option of GPTConfig that the decoder does not know would go unnoticed otherwise."""
    shape = {"block_size", "vocab_size", "n_layer", "n_head", "n_embd", "dropout", "attention"}
    assert set(OPTIONS) | shape == set(GPTConfig.__dataclass_fields__)
    assert set(GPTConfig.__dataclass_fields__) - {"vocab_size"} <= set(TrainConfig.__dataclass_fields__)


@torch.no_grad()
def test_what_is_trained_afterwards_shows():
    model, idx = build(), tokens_for()
    cache = KVCache(model.config, batch_size=3)
    decode = Decoder(model, cache)
    for parameter in model.parameters():
        parameter.mul_(1.5)
    torch.testing.assert_close(decode(idx[:, :1]), model(idx[:, :1])[0][:, 0], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_full_cache_takes_no_more(refused):
    model, idx = build(), tokens_for()
    cache = KVCache(model.config, batch_size=3)
    model.hidden_states(idx, cache.memory)
    cache.advance(idx)
    with refused("cache is full", "block_size = 8"):
        Decoder(model, cache)(idx[:, :1])


@pytest.mark.parametrize("count", [FEW, FEW + 1])
def test_gelu_is_gelu_for_few_numbers_and_for_many(count):
    x = torch.linspace(-12, 12, count)
    torch.testing.assert_close(gelu(x), torch.nn.functional.gelu(x), rtol=1e-6, atol=1e-6)

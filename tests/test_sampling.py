"""Generation with a cache against generation without one, and the choice of a token."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptlib import GPT, CharTokenizer, GPTConfig, UsageError, UserError, generate, sample_text
from gptlib.kv_cache import KVCache
from gptlib.sampling import sample_next_token, until

TOKENIZER = CharTokenizer("abcdefghijk")
MODERN = {"positions": "rotary", "qk_norm": True, "smear": True, "bigram": True}


def random_model(block_size, **options):
    """Random weights, large enough that the likeliest token depends on all earlier ones."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(block_size=block_size, n_layer=2, n_head=2, n_embd=16, vocab_size=11, **options))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


@pytest.fixture
def model():
    return random_model(8)


@pytest.fixture(params=[(8, {}), (7, {}), (2, {}), (1, {}), (8, MODERN), (7, MODERN)], ids=str)
def any_model(request):
    """With an even and an odd block_size, and the smallest two."""
    block_size, options = request.param
    return random_model(block_size, **options)


@pytest.fixture
def prompt():
    return torch.tensor([[3, 1, 4], [1, 5, 9]])


def tokens_of(*arguments, **options):
    """(B, max_new_tokens)."""
    return torch.stack(list(generate(*arguments, **options)), dim=1)


@torch.no_grad()
def greedy_without_cache(model, prompt, count):
    """What `generate` promises: the whole window is read again for every token; a full one keeps its last half."""
    block_size = model.config.block_size
    kept = max(1, block_size // 2)
    window, chosen = prompt[:, -model.config.block_size :], []
    for _ in range(count):
        chosen.append(model(window)[0][:, -1].argmax(dim=-1))
        window = torch.cat([window, chosen[-1][:, None]], dim=1)
        if window.size(1) > model.config.block_size:
            window = window[:, -kept:]
    return torch.stack(chosen, dim=1)


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("count", [5, 40], ids=["within the window", "far past it"])
def test_the_cache_changes_no_token(any_model, prompt, length, count):
    greedy = tokens_of(any_model, prompt[:, :length], count, temperature=0)
    assert torch.equal(greedy, greedy_without_cache(any_model, prompt[:, :length], count))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_the_cache_has_the_models_own_precision(any_model, prompt, dtype):
    tokens = tokens_of(any_model.to(dtype), prompt, 5, temperature=0)
    if dtype == torch.float64:  # in bfloat16 two tokens may be equally likely
        assert tokens.equal(greedy_without_cache(any_model, prompt, 5))


def test_a_prompt_longer_than_block_size_counts_by_its_end(any_model):
    long = torch.arange(33)[None] % 11
    greedy = tokens_of(any_model, long, 20, temperature=0)
    assert torch.equal(greedy, tokens_of(any_model, long[:, -any_model.config.block_size :], 20, temperature=0))
    assert torch.equal(greedy, greedy_without_cache(any_model, long, 20))


def test_every_stream_of_a_batch_goes_its_own_way(model, prompt):
    together = tokens_of(model, prompt, 20, temperature=0)
    assert torch.equal(together, torch.cat([tokens_of(model, row[None], 20, temperature=0) for row in prompt]))


def test_top_k_of_one_is_greedy(model, prompt):
    greedy = tokens_of(model, prompt, 20, temperature=0)
    assert torch.equal(tokens_of(model, prompt, 20, temperature=5.0, top_k=1), greedy)


def test_a_generator_fixes_the_tokens(model, prompt):
    def draw(seed):
        return tokens_of(model, prompt, 30, temperature=5, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))


def test_a_seed_fixes_the_text(model):
    first, again, other = (sample_text(model, TOKENIZER, "abc", 30, seed=seed, temperature=5) for seed in (1, 1, 2))
    assert first == again != other and len(first) == 30


def test_without_a_seed_chance_decides(model):
    assert sample_text(model, TOKENIZER, "a", 30, temperature=5) != sample_text(
        model, TOKENIZER, "a", 30, temperature=5
    )


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored_even_if_nobody_waits_for_the_end(model, prompt, training):
    model.train(training)
    stream = generate(model, prompt, 10)
    next(stream)
    stream.close()
    assert model.training is training


def test_an_empty_prompt_and_an_unknown_character_are_refused(model, refused):
    with refused("the text to continue is empty"):
        next(generate(model, torch.empty(1, 0, dtype=torch.int64), 1))
    with refused("not in the vocabulary", "'?'"):
        sample_text(model, TOKENIZER, "a?")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_k": 0}, ["top_k = 0", "at least 1", "None"]),
        ({"top_p": 0.0}, ["top_p = 0.0", "above 0", "None"]),
        ({"top_p": float("nan")}, ["top_p = nan", "at most 1"]),
        ({"temperature": -1.0}, ["temperature = -1.0", "at least 0"]),
        ({"temperature": float("nan")}, ["temperature = nan", "at least 0"]),
        ({"temperature": float("inf")}, ["temperature = inf", "at least 0"]),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(model, refused, options, words):
    with refused(*words, error=UsageError):
        sample_text(model, TOKENIZER, "a", **options)


# --- choosing a token -----------------------------------------------------------------------------------

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, 3.0])


def frequencies(**options):
    torch.manual_seed(0)
    return sample_next_token(LOGITS.repeat(20_000, 1), **options).bincount(minlength=5) / 20_000


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_by_their_probability_at_the_temperature(temperature):
    drawn = frequencies(temperature=temperature, top_k=None)
    torch.testing.assert_close(drawn, (LOGITS / temperature).softmax(0), rtol=0, atol=0.015)


def test_a_temperature_next_to_nothing_is_none():
    assert frequencies(temperature=1e-40, top_k=3)[4] == 1


def test_top_k_leaves_the_k_likeliest_in_proportion():
    drawn = frequencies(temperature=1.0, top_k=2)
    torch.testing.assert_close(drawn[[0, 4]], LOGITS[[0, 4]].softmax(0), rtol=0, atol=0.015)
    assert drawn[[1, 2, 3]].sum() == 0


def test_a_top_k_beyond_the_vocabulary_leaves_all():
    assert torch.equal(frequencies(temperature=1.0, top_k=50), frequencies(temperature=1.0, top_k=None))


@pytest.mark.parametrize(("top_p", "left"), [(0.6, [4]), (0.64, [4, 0]), (0.9, [4, 0, 1]), (1.0, [0, 1, 2, 3, 4])])
def test_top_p_leaves_the_likeliest_that_are_enough_together(top_p, left):
    """They have the probabilities 0.636, 0.234, 0.086, 0.032, 0.012."""
    drawn = frequencies(top_p=top_p)
    assert drawn.nonzero().flatten().tolist() == sorted(left)
    torch.testing.assert_close(drawn[left], LOGITS[left].softmax(0), rtol=0, atol=0.015)


def test_top_p_counts_among_the_top_k():
    assert frequencies(top_k=2, top_p=0.7)[4] == 1


# --- reading token by token -------------------------------------------------------------------------------

OPTIONS = {
    "positions": ("learned", "rotary"),
    "qk_norm": (False, True),
    "smear": (False, True),
    "bigram": (False, True),
    "attention": ("fused", "naive"),
}
KINDS = [dict(zip(OPTIONS, values, strict=True)) for values in itertools.product(*OPTIONS.values())]


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(map(str, kind.values())))
def test_with_a_cache_token_by_token_is_the_same_as_all_at_once(kind):
    model = random_model(8, **kind)
    idx = torch.randint(11, (3, 8))
    for first in (1, 5):
        cache, parts = KVCache(), [idx[:, :first], *idx[:, first:].split(1, dim=1)]
        states = torch.cat([model.hidden_states(part, cache) for part in parts], dim=1)
        torch.testing.assert_close(states, model.hidden_states(idx), rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="9 tokens do not fit into block_size = 8"):
        model.hidden_states(idx[:, :1], cache)


# --- where a text begins and ends -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chars", "end_of_text", "start"),
    [("a\n b", False, [0]), ("a b", False, [0]), ("ba", False, [0]), ("a\nb", True, [3])],
)
def test_without_a_start_a_text_begins(model, chars, end_of_text, start):
    assert CharTokenizer(chars, end_of_text=end_of_text).prompt().tolist() == start
    assert len(sample_text(model, TOKENIZER, max_new_tokens=5)) == 5


@given(st.lists(st.text("ab\n", max_size=4), max_size=9), st.text("ab\n", max_size=3))
def test_a_text_stops_before_what_it_is_told_to(pieces, stop):
    text = "".join(pieces)
    expected = text[: text.index(stop)] if stop and stop in text else text
    assert "".join(until(pieces, stop)) == expected


def test_what_may_become_the_stop_waits():
    assert list(until(["x", "a", "b", "aab"], "aa")) == ["x", "", "ab", ""]

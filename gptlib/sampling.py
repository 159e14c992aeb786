"""Text from a model: predict, choose, append, repeat."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from gptlib.errors import UsageError, UserError
from gptlib.kv_cache import KVCache
from gptlib.model import GPT
from gptlib.tokenizer import Tokenizer

GREEDY_BELOW = 1e-4  # dividing the logits by less may overflow


@torch.inference_mode()
def generate(
    model: GPT,
    prompt: Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """Continue `prompt`, one token at a time.

    Keys and values of earlier tokens are kept, so a new token costs one column instead of the whole
    window. Learned positions void them once the window is full: then its last half is read again
    from position 0, and the model sees between half a window and a whole one.

    Args:
        prompt: tokens (B, T) with T at least 1; only the last block_size of them are read.
        temperature: the logits are divided by it; 0, or less than `GREEDY_BELOW`, always takes the likeliest token.
        top_k: choose among the k likeliest tokens only.
        top_p: choose among the likeliest tokens that together have this probability (Holtzman et al. 2020, nucleus).
        generator: the random number generator; the global one if None.

    Yields:
        the next token of every stream, (B,).

    Raises:
        UserError: the prompt is empty.
        UsageError: a temperature below 0, a top_k below 1, or a top_p that is no probability.
    """
    if not 0 <= temperature < math.inf:  # which nan is not either
        raise UsageError(f"temperature = {temperature}: must be a number, at least 0")
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k = {top_k}: must be at least 1; None chooses among all tokens")
    if top_p is not None and not 0 < top_p <= 1:
        raise UsageError(f"top_p = {top_p}: must be above 0, at most 1; None chooses among all tokens")
    if not prompt.size(1):
        raise UserError("the text to continue is empty; give at least one character")
    was_training = model.training
    model.eval()
    block_size = model.config.block_size
    new = window = prompt[:, -block_size:].to(model.device)
    cache = KVCache()
    try:
        for _ in range(max_new_tokens):
            logits = model.lm_head(model.hidden_states(new, cache)[:, -1])
            token = sample_next_token(logits, temperature, top_k, generator, top_p)
            yield token
            new = token[:, None]
            window = torch.cat([window, new], dim=1)
            if cache.length == block_size:
                new = window = window[:, -max(1, block_size // 2) :]
                cache = KVCache()
    finally:
        model.train(was_training)


def sample_next_token(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    top_p: float | None = None,
) -> Tensor:
    """One token for each row of logits (B, V) -> (B,)."""
    if temperature < GREEDY_BELOW:
        return logits.argmax(dim=-1)
    logits, tokens = logits / temperature, None
    if top_p is not None or (top_k is not None and top_k < logits.size(-1)):
        logits, tokens = logits.topk(min(top_k or logits.size(-1), logits.size(-1)), dim=-1)  # the likeliest first
    p = logits.softmax(dim=-1)
    if top_p is not None:
        p = p.masked_fill(p.cumsum(dim=-1) - p >= top_p, 0)  # tokens after the first ones that reach top_p
    drawn = torch.multinomial(p, num_samples=1, generator=generator)
    return (drawn if tokens is None else tokens.gather(1, drawn)).squeeze(1)


def sample_text(
    model: GPT,
    tokenizer: Tokenizer,
    start: str = "",
    max_new_tokens: int = 200,
    *,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> str:
    """The model's continuation of `start`, without `start`; with a seed the same text every time.

    Without a `start` a text begins: with a document, or on a new line.
    """
    generator = None if seed is None else torch.Generator(model.device).manual_seed(seed)
    prompt = torch.from_numpy(tokenizer.prompt(start))[None]
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": generator}
    return tokenizer.decode(token.item() for token in generate(model, prompt, max_new_tokens, **options))


def until(pieces: Iterable[str], stop: str) -> Iterator[str]:
    """The pieces of a text up to the place where `stop` begins; all of them if it is empty or never comes."""
    held = ""  # the end of what has come, as long as it may be the beginning of `stop`
    for piece in pieces:
        held += piece
        if stop and stop in held:
            yield held[: held.index(stop)]
            return
        free = next(i for i in range(len(held) + 1) if stop.startswith(held[i:]))
        yield held[:free]
        held = held[free:]
    yield held

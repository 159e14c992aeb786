"""Text from a model: predict, choose, append, repeat."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from gptlib.decoding import Decoder, KVCache
from gptlib.errors import UsageError, UserError
from gptlib.model import GPT
from gptlib.tokenizer import Tokenizer

COLD = 1e-4  # from here on the logits divided by the temperature may be too large for a number


@torch.inference_mode()
def generate(
    model: GPT,
    prompt: Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    exact: bool = False,
) -> Iterator[Tensor]:
    """Continue `prompt`, one token at a time.

    Keys and values of earlier tokens are kept, so a new token costs one column instead of the whole
    window. Learned positions void them once the window is full: then its last half is read again
    from position 0, and the model sees between half a window and a whole one. With `exact` it always sees
    the whole window, which is read again for every token past it.

    Args:
        prompt: tokens (B, T) with T at least 1; only the last block_size of them are read.
        temperature: the logits are divided by it; 0, or less than `COLD`, always takes the likeliest token.
        top_k: choose among the k likeliest tokens only.
        generator: source of chance; the global one if None.
        exact: past block_size tokens, predict from all of the last block_size.

    Yields:
        the next token of every stream, (B,).

    Raises:
        UserError: the prompt is empty.
        UsageError: a temperature below 0, or a top_k below 1.
    """
    if not 0 <= temperature < math.inf:  # which nan is not either
        raise UsageError(f"temperature = {temperature}: must be a number, at least 0")
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k = {top_k}: must be at least 1; None chooses among all tokens")
    if not prompt.size(1):
        raise UserError("the text to continue is empty; give at least one character")
    was_training = model.training
    model.eval()
    block_size = model.config.block_size
    kept = block_size if exact else max(1, block_size // 2)
    window = prompt[:, -block_size:].to(model.device)  # the tokens that the model sees
    cache = KVCache(model.config, len(window), model.device, model.wte.weight.dtype)
    decode = Decoder(model, cache)
    try:
        for _ in range(max_new_tokens):
            if cache.length:
                logits = decode(window[:, -1:])
            else:
                logits = model.lm_head(model.hidden_states(window, cache.memory)[:, -1])
                cache.advance(window)
            token = choose(logits, temperature, top_k, generator)
            yield token
            window = torch.cat([window, token[:, None]], dim=1)
            if cache.length == block_size:
                window = window[:, -kept:]
                cache.clear()
    finally:
        model.train(was_training)


def choose(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None) -> Tensor:
    """One token for each row of logits (B, V) -> (B,)."""
    if temperature < COLD:
        return logits.argmax(dim=-1)
    logits = logits / temperature
    if top_k is None or top_k >= logits.size(-1):
        return torch.multinomial(logits.softmax(dim=-1), num_samples=1, generator=generator).squeeze(1)
    best, tokens = logits.topk(top_k, dim=-1)
    return tokens.gather(1, torch.multinomial(best.softmax(dim=-1), num_samples=1, generator=generator)).squeeze(1)


def sample_text(
    model: GPT,
    tokenizer: Tokenizer,
    start: str = "\n",
    max_new_tokens: int = 200,
    *,
    temperature: float = 0.8,
    top_k: int | None = None,
    seed: int | None = None,
) -> str:
    """The model's continuation of `start`, without `start`; with a seed the same text every time."""
    generator = None if seed is None else torch.Generator(model.device).manual_seed(seed)
    prompt = torch.from_numpy(tokenizer.encode(start))[None]
    options = {"temperature": temperature, "top_k": top_k, "generator": generator}
    return tokenizer.decode(token.item() for token in generate(model, prompt, max_new_tokens, **options))

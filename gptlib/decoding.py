"""One more token for each stream: what the model computes for its last column, and nothing else.

For a single token the arithmetic takes less time than calling modules and looking up their weights, so here both are
done once, before the first token: half of the time of a token is gone. The model itself stays as it reads.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptlib.config import GPTConfig
from gptlib.errors import UserError
from gptlib.model import GPT, QK_SCALE

FEW = 2048  # numbers


class KVCache:
    """Keys and values of the tokens read so far, so that generating one more token computes one column only.

    Memory for `block_size` tokens is allocated once, (n_layer, 2, B, H, block_size, C / H); `length` of them are
    filled. `last_tokens` are the two read last, which `smear` and `bigram` need.
    """

    def __init__(
        self,
        config: GPTConfig,
        batch_size: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        shape = (config.n_layer, 2, batch_size, config.n_head, config.block_size, config.n_embd // config.n_head)
        self.memory = torch.empty(shape, device=device, dtype=dtype)
        self._no_tokens = torch.empty((batch_size, 0), dtype=torch.int64, device=device)
        self.clear()

    def clear(self) -> None:
        """Forget all tokens."""
        self.length, self.last_tokens = 0, self._no_tokens

    def advance(self, idx: Tensor) -> None:
        """Count tokens (B, T) as read, once every layer has stored their keys and values."""
        self.length += idx.size(1)
        self.last_tokens = torch.cat([self.last_tokens, idx], dim=1)[:, -2:]


class Decoder:
    """Reads token after token behind those in a cache, and gives the logits of the next.

    The model is looked at once: what is trained afterwards shows, what is replaced in it (a layer, the whole table
    of tokens) does not.
    """

    def __init__(self, model: GPT, cache: KVCache):
        self.model, self.cache = model, cache
        self.gelu = gelu if model.config.activation == "gelu" else partial(F.gelu, approximate="tanh")
        self.places = model.wpe.weight if model.config.positions == "learned" else None
        self.blocks = [
            (
                *map(_looked_up, (block.ln_1, block.attn.c_attn, block.attn.c_proj)),
                *map(_looked_up, (block.ln_2, block.mlp.c_fc, block.mlp.c_proj)),
                block.attn.rotary,
                *cache.memory[layer],
            )
            for layer, block in enumerate(model.h)
        ]
        self.last_norm = _looked_up(model.ln_f)

    def __call__(self, token: Tensor) -> Tensor:
        """The tokens that come next in every stream, (B, 1) -> the logits of those after them (B, V).

        Raises:
            UserError: the cache is full.
        """
        place = self.cache.length
        if place == self.model.config.block_size:
            raise UserError(
                f"the cache is full: it holds block_size = {place} tokens; clear it and read the last ones anew"
            )
        x = self.model.embed(token, self.cache.last_tokens)
        if self.places is not None:
            x = x + self.places[place]
        for norm_1, c_attn, attn_proj, norm_2, c_fc, mlp_proj, rotary, keys, values in self.blocks:
            x = x + attn_proj(self._attend(c_attn(norm_1(x)), rotary, keys, values))
            x = x + mlp_proj(self.gelu(c_fc(norm_2(x))))
        self.cache.advance(token)
        return self.model.lm_head(self.last_norm(x)[:, -1])

    def _attend(self, qkv: Tensor, rotary: nn.Module | None, keys: Tensor, values: Tensor) -> Tensor:
        """(B, 1, 3 C) -> (B, 1, C): the token's own key and value join the cached ones; none lies in its future."""
        B, place = len(qkv), self.cache.length
        q, k, v = qkv.view(B, 3, self.model.config.n_head, 1, -1).unbind(1)
        if self.model.config.qk_norm:
            q, k = QK_SCALE * F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])
        if rotary is not None:
            q, k = rotary(q, place), rotary(k, place)
        keys[:, :, place : place + 1] = k
        values[:, :, place : place + 1] = v
        return F.scaled_dot_product_attention(q, keys[:, :, : place + 1], values[:, :, : place + 1]).view(B, 1, -1)


def gelu(x: Tensor) -> Tensor:
    """x times the share of a normal distribution that lies below x.

    PyTorch leaves it to oneDNN on a CPU, which is right for many numbers; for those of a single token its
    preparations take longer than the arithmetic, which is therefore written out.
    """
    if x.numel() > FEW:
        return F.gelu(x)
    half = x * 0.5
    return torch.addcmul(half, half, torch.erf(x * math.sqrt(0.5)))


def _looked_up(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The arithmetic of a linear layer or a layer norm, with its weights at hand."""
    if isinstance(module, nn.Linear):
        return partial(F.linear, weight=module.weight, bias=module.bias)
    options = {"weight": module.weight, "bias": module.bias, "eps": module.eps}
    return partial(F.layer_norm, normalized_shape=module.normalized_shape, **options)

"""GPT-2 in PyTorch: the model that every lesson opens up and every run trains.

Shapes: B batch, T time (tokens, at most block_size), C width (n_embd), H heads, V vocabulary.
Modules carry GPT-2's published names (wte, wpe, h.0.attn.c_attn, ...), so its weights load.
Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptlib.config import GPTConfig
from gptlib.errors import UserError
from gptlib.kv_cache import KVCache


def naive_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """Causal attention as the formula says it, with the whole (T, T) matrix in memory.

    Args:
        q: (B, H, T, C / H).
        k, v: (B, H, T, C / H), or longer by the tokens before those of q.
        dropout: probability that an attention weight is set to zero.

    Returns:
        (B, H, T, C / H): for every position a weighted average of the values at and before it.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, past + T)
    past = k.size(2) - q.size(2)
    future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1 + past)
    weights = scores.masked_fill(future, float("-inf")).softmax(dim=-1)
    return F.dropout(weights, dropout) @ v


def fused_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """The same result from one kernel that never stores the (T, T) matrix (Dao et al. 2022, FlashAttention)."""
    one_token = q.size(2) == 1  # all keys are in its past: there is nothing to mask
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=not one_token)


ATTENTION = {"naive": naive_attention, "fused": fused_attention}
QK_SCALE = 1.2  # scores of unit vectors are too close together for attention to become sharp (modded-nanogpt)
# config.py lists the names, gpt2.py those of transformers. GPT-2 uses the tanh approximation; on a CPU the exact GELU
# is three times as fast and differs by at most 0.0005.
ACTIVATION = {"gelu": F.gelu, "gelu_tanh": partial(F.gelu, approximate="tanh")}


class Rotary(nn.Module):
    """Rotary position embedding (RoPE, Su et al. 2021): rotates queries and keys by an angle that grows with position.

    The score of two tokens then depends on their distance, not on where they are.
    """

    def __init__(self, block_size: int, width: int):
        super().__init__()
        angles = torch.outer(torch.arange(block_size).float(), 1024 ** -torch.linspace(0, 1, width // 2))
        self.register_buffer("cos", angles.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", torch.cat([-angles.sin(), angles.sin()], dim=1), persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Rotate x, (B, H, T, C / H), whose first token is at position `start`."""
        positions = slice(start, start + x.size(2))
        return x * self.cos[positions] + x.roll(x.size(3) // 2, dims=3) * self.sin[positions]


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout that skips the call when p is 0: 13 no-op calls took 8 % of the time per sampled token."""
    return F.dropout(x, p) if training and p else x


class CausalSelfAttention(nn.Module):
    """Multi-head causal self-attention: each position gathers from itself and the positions before it."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.n_head, self.dropout = config.n_head, config.dropout
        self.attend = ATTENTION[config.attention]
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)  # queries, keys, values at once
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.qk_norm = config.qk_norm
        rotary = config.positions == "rotary"
        self.rotary = Rotary(config.block_size, config.n_embd // config.n_head) if rotary else None

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C); with a cache, the positions in it are looked back at too."""
        B, T, C = x.shape
        q, k, v = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4)
        if self.qk_norm:  # QK-norm: bounds the scores (Henry et al. 2020)
            q, k = QK_SCALE * F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])
        if self.rotary is not None:
            start = 0 if cache is None else cache.length - T
            q, k = self.rotary(q, start), self.rotary(k, start)
        if cache is not None:
            k, v = cache.append((self, "k"), k, 2), cache.append((self, "v"), v, 2)
        y = self.attend(q, k, v, self.dropout if self.training else 0.0)
        y = y.transpose(1, 2).reshape(B, T, C)
        return dropout(self.c_proj(y), self.dropout, self.training)


class MLP(nn.Module):
    """The feed-forward network of a block: four times wider, an activation, and back."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.dropout, self.activation = config.dropout, ACTIVATION[config.activation]
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return dropout(self.c_proj(self.activation(self.c_fc(x))), self.dropout, self.training)


class Block(nn.Module):
    """Attention, then MLP; both add to the residual stream x (pre-norm)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_2(x))


def sinusoids(length: int, width: int) -> Tensor:
    """Sines and cosines of increasing wavelength (Vaswani et al. 2017): (length, width), values from -1 to 1."""
    frequencies = length ** -(torch.arange((width + 1) // 2) / ((width + 1) // 2))
    phases = torch.outer(torch.arange(length).float(), frequencies)
    return torch.cat([phases.sin(), phases.cos()], dim=1)[:, :width]


class GPT(nn.Module):
    """A decoder-only transformer: tokens in, logits of the next token at every position out.

    Args:
        config: the shape of the model.
        generator: where the initial weights come from; torch's global RNG if None.
    """

    def __init__(self, config: GPTConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)  # token embedding; tied to the lm_head
        if config.positions == "learned":
            self.wpe = nn.Embedding(config.block_size, config.n_embd)  # position embedding
        if config.bigram:
            self.bigram = nn.Embedding(config.vocab_size**2, config.n_embd)  # one vector per pair of tokens
        if config.smear:
            self.smear = nn.Parameter(torch.zeros(config.n_embd))
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, bias=config.bias)
        self._init_weights(generator)

    @torch.no_grad()
    def _init_weights(self, generator: torch.Generator | None) -> None:
        """GPT-2's initialization (std 0.02 at its width of 768) scaled to other widths, except for the positions.

        Positions start as sinusoids instead of noise, so neighbors are similar from the start. At 128 wide, both
        together lower the loss after 250 steps from 2.39 to 2.16; see EXPERIMENTS.md.
        """
        std = 0.02 * math.sqrt(768 / self.config.n_embd)
        for name, parameter in self.named_parameters():
            if name == "bigram.weight":
                nn.init.zeros_(parameter)
            elif name.endswith("c_proj.weight"):  # 2 n_layer of these add to the residual stream: keep its variance
                nn.init.normal_(parameter, std=std / math.sqrt(2 * self.config.n_layer), generator=generator)
            elif parameter.dim() == 2:
                nn.init.normal_(parameter, std=std, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        if self.config.positions == "learned":
            self.wpe.weight.copy_(std * sinusoids(*self.wpe.weight.shape))

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits of the next token at every position, and the mean loss against `targets`.

        Args:
            idx: tokens, (B, T) int64, T at most block_size.
            targets: the next tokens, (B, T) int64; -1 where a position does not count.

        Returns:
            logits (B, T, V), and the mean cross-entropy in nats per token (None without targets).
        """
        logits = self.lm_head(self.hidden_states(idx))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)

    def hidden_states(self, idx: Tensor, cache: KVCache | None = None) -> Tensor:
        """Tokens (B, T) -> the residual stream after the last block and layer norm, (B, T, C).

        With a cache, the tokens follow those in it: all at once if it is empty, then one at a time.

        Raises UserError if these tokens and those in the cache are more than block_size.
        """
        T, read = idx.size(1), 0 if cache is None else cache.length
        if read + T > self.config.block_size:
            raise UserError(
                f"{read + T} tokens do not fit into block_size = {self.config.block_size}; shorten the input"
            )
        tokens = idx if cache is None else cache.append("tokens", idx, 1)  # smear and bigram look one token back
        x = self.embed(tokens)[:, -T:]
        if self.config.positions == "learned":
            x = x + self.wpe.weight[read : read + T]
        x = dropout(x, self.config.dropout, self.training)
        for block in self.h:
            x = block(x, cache)
        return self.ln_f(x)

    def embed(self, idx: Tensor) -> Tensor:
        """Tokens (B, T) -> their vectors (B, T, C); with `bigram` and `smear` these depend on the token before."""
        x = self.wte(idx)
        if self.config.bigram:
            x = x + self.bigram(F.pad(idx, (1, 0))[:, :-1] * self.config.vocab_size + idx)
        if self.config.smear:
            x = x + self.smear.sigmoid() * F.pad(x, (0, 0, 1, 0))[:, :-1]
        return x

    def lm_head(self, x: Tensor) -> Tensor:
        """Hidden states (B, T, C) -> logits (B, T, V): the dot product with every token's embedding (weight tying)."""
        return F.linear(x, self.wte.weight)

    def num_parameters(self) -> int:
        """The number of trained parameters."""
        return sum(p.numel() for p in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.wte.weight.device

"""GPT-2 in PyTorch: the model that every lesson opens up and every run trains.

Shapes: B batch, T time (tokens, at most block_size), C width (n_embd), H heads, V vocabulary.
Modules carry GPT-2's published names (wte, wpe, h.0.attn.c_attn, ...), so that its weights load.
Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptlib.config import GPTConfig
from gptlib.errors import UserError


def naive_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """Causal attention as the formula says it, with the whole (T, T) matrix in memory.

    Args:
        q, k, v: (B, H, T, C / H) each.
        dropout: share of attention weights set to zero.

    Returns:
        (B, H, T, C / H): for every position a mean of the values at and before it.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, T)
    future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
    weights = scores.masked_fill(future, float("-inf")).softmax(dim=-1)
    return F.dropout(weights, dropout) @ v


def fused_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """The same result by one kernel that never holds the (T, T) matrix (Dao et al. 2022, FlashAttention)."""
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)


ATTENTION = {"naive": naive_attention, "fused": fused_attention}
QK_SCALE = 1.2  # with 1, no query could ever be certain: scores of unit vectors are too much alike
# On a CPU the exact bend takes a third of the time of GPT-2's approximation, and differs by at most 0.0005.
GELU = {"gelu": "none", "gelu_tanh": "tanh"}


class Rotary(nn.Module):
    """Rotary positions (Su et al. 2021): the place of a token as an angle by which its query and key are turned.

    What two tokens make of each other then depends on their distance alone.
    """

    def __init__(self, block_size: int, width: int):
        super().__init__()
        angles = torch.outer(torch.arange(block_size).float(), 1024 ** -torch.linspace(0, 1, width // 2))
        self.register_buffer("cos", angles.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", torch.cat([-angles.sin(), angles.sin()], dim=1), persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Turn x, (B, H, T, C / H), whose first token stands at place `start`."""
        places = slice(start, start + x.size(2))
        return x * self.cos[places] + x.roll(x.size(3) // 2, dims=3) * self.sin[places]


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Dropout, free of charge where nothing is dropped: 13 calls for nothing were 8 % of a sampled token's time."""
    return F.dropout(x, share) if training and share else x


class KVCache:
    """Keys and values of the tokens read so far, for generation: each new token then costs one column (`Decoder`).

    The memory for `block_size` tokens is taken once, (layer, 2, B, H, block_size, C / H). `length` tokens of it are
    filled. `last_tokens` are the two that were read last, which `smear` and `bigram` look at.
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
        """Forget what was read."""
        self.length, self.last_tokens = 0, self._no_tokens

    def advance(self, idx: Tensor) -> None:
        """Count tokens (B, T) as read, when every layer has stored its keys and values behind the earlier ones."""
        self.length += idx.size(1)
        self.last_tokens = torch.cat([self.last_tokens, idx], dim=1)[:, -2:]


class CausalSelfAttention(nn.Module):
    """Every position looks back at all positions up to itself and gathers what it finds there."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.n_head, self.dropout = config.n_head, config.dropout
        self.attend = ATTENTION[config.attention]
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)  # queries, keys, values at once
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.qk_norm = config.qk_norm
        rotary = config.positions == "rotary"
        self.rotary = Rotary(config.block_size, config.n_embd // config.n_head) if rotary else None

    def forward(self, x: Tensor, layer: int = 0, cache: KVCache | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C); a cache keeps the keys and values of the layer."""
        B, T, C = x.shape
        q, k, v = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4)
        if self.qk_norm:  # at most QK_SCALE apart, so that no score can run away
            q, k = QK_SCALE * F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])
        if self.rotary is not None:
            q, k = self.rotary(q), self.rotary(k)
        if cache is not None:
            cache.memory[layer, :, :, :, :T] = torch.stack([k, v])
        y = self.attend(q, k, v, self.dropout if self.training else 0.0)
        y = y.transpose(1, 2).reshape(B, T, C)
        return dropout(self.c_proj(y), self.dropout, self.training)


class MLP(nn.Module):
    """What each position does with what it has gathered: widen four times, bend, narrow."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.dropout, self.gelu = config.dropout, GELU[config.activation]
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = F.gelu(self.c_fc(x), approximate=self.gelu)
        return dropout(self.c_proj(x), self.dropout, self.training)


class Block(nn.Module):
    """Look back, then think; both only add to the stream x (pre-norm residuals)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, layer: int = 0, cache: KVCache | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = x + self.attn(self.ln_1(x), layer, cache)
        return x + self.mlp(self.ln_2(x))


def sinusoids(length: int, width: int) -> Tensor:
    """Waves from one a token to one a text: (length, width), values from -1 to 1."""
    frequencies = length ** -(torch.arange((width + 1) // 2) / ((width + 1) // 2))
    phases = torch.outer(torch.arange(length).float(), frequencies)
    return torch.cat([phases.sin(), phases.cos()], dim=1)[:, :width]


class GPT(nn.Module):
    """A decoder-only transformer: tokens in, for every position the logits of the next token out."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)  # what a token is; also the output head (tied)
        if config.positions == "learned":
            self.wpe = nn.Embedding(config.block_size, config.n_embd)  # where it stands
        if config.bigram:
            self.bigram = nn.Embedding(config.vocab_size**2, config.n_embd)  # what it is behind the one before
        if config.smear:
            self.smear = nn.Parameter(torch.zeros(config.n_embd))
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, bias=config.bias)
        self._init_weights()

    @torch.no_grad()
    def _init_weights(self) -> None:
        """GPT-2's own start (std 0.02 at its width of 768), carried over to other widths, except for positions.

        Positions start as sinusoids (Vaswani et al. 2017) instead of noise: neighbours are alike from the
        beginning. At 128 wide both together lower the loss after 250 steps from 2.39 to 2.16; see EXPERIMENTS.md.
        """
        std = 0.02 * math.sqrt(768 / self.config.n_embd)
        for name, parameter in self.named_parameters():
            if name == "bigram.weight":  # pairs begin as nothing but their two tokens
                nn.init.zeros_(parameter)
            elif name.endswith("c_proj.weight"):  # 2 n_layer of them add to the stream: keep its size at the start
                nn.init.normal_(parameter, std=std / math.sqrt(2 * self.config.n_layer))
            elif parameter.dim() == 2:
                nn.init.normal_(parameter, std=std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        if self.config.positions == "learned":
            self.wpe.weight.copy_(std * sinusoids(*self.wpe.weight.shape))

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits of the next token at every position, and the mean loss against `targets`.

        Args:
            idx: tokens, (B, T) int64, T at most block_size.
            targets: the tokens that follow, (B, T) int64; -1 where a position does not count.

        Returns:
            logits (B, T, V), and the mean cross-entropy in nats a token (None without targets).
        """
        logits = self.lm_head(self.hidden_states(idx))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)

    def hidden_states(self, idx: Tensor, cache: KVCache | None = None) -> Tensor:
        """Tokens (B, T) -> the stream after the last block, normalised (B, T, C).

        An empty cache is filled with what the blocks compute on the way.
        """
        length = idx.size(1)
        if length > self.config.block_size:
            raise UserError(f"{length} tokens do not fit into block_size = {self.config.block_size}; shorten the input")
        x = self.embed(idx)
        if self.config.positions == "learned":
            x = x + self.wpe.weight[:length]
        x = dropout(x, self.config.dropout, self.training)
        for layer, block in enumerate(self.h):
            x = block(x, layer, cache)
        if cache is not None:
            cache.advance(idx)
        return self.ln_f(x)

    def embed(self, idx: Tensor, before: Tensor | None = None) -> Tensor:
        """Tokens (B, T) -> what each is (B, T, C), which with `bigram` and `smear` depends on those before it."""
        if not (self.config.bigram or self.config.smear):
            return self.wte(idx)
        T = idx.size(1)
        idx = idx if before is None else torch.cat([before, idx], dim=1)
        x = self.wte(idx)
        if self.config.bigram:
            x = x + self.bigram(F.pad(idx, (1, 0))[:, :-1] * self.config.vocab_size + idx)
        if self.config.smear:
            x = x + self.smear.sigmoid() * F.pad(x, (0, 0, 1, 0))[:, :-1]
        return x[:, -T:]

    def lm_head(self, x: Tensor) -> Tensor:
        """Stream (B, T, C) -> logits (B, T, V): how well each token's own vector fits the stream."""
        return F.linear(x, self.wte.weight)

    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.wte.weight.device

    @classmethod
    def from_checkpoint(cls, folder: str) -> "GPT":
        """The model that a run saved in `folder` (an out_dir, or one checkpoint in it), ready to sample from."""
        from gptlib.checkpoint import load_model  # checkpoint imports this module

        return load_model(folder)[0]

    @classmethod
    def from_gpt2(cls, path: str) -> "GPT":
        """The model in a GPT-2 checkpoint (safetensors), the published ones or any of their form."""
        from gptlib.gpt2 import load_gpt2

        return load_gpt2(path)

    @classmethod
    def from_nanogpt(cls, path: str) -> "GPT":
        """The model in a checkpoint of nanoGPT (`ckpt.pt`), read without executing anything in it."""
        from gptlib.gpt2 import load_nanogpt

        return load_nanogpt(path)

    def to_gpt2(self, folder: str) -> None:
        """Write `model.safetensors` and `config.json`, as GPT-2's own code reads them."""
        from gptlib.gpt2 import save_gpt2

        save_gpt2(self, folder)


def flops_per_token(model: GPT) -> int:
    """Multiplications and additions for one token of a training step.

    Each weight of a matrix takes 2 forward and 4 backward; so does each pair of tokens in attention, for queries
    times keys and for weights times values: 12 n_layer C T (Chowdhery et al. 2022, PaLM, appendix B). Vectors that
    are only looked up cost nothing, but `wte` is the output's matrix too.
    """
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    looked_up.discard(id(model.wte.weight))
    matrices = sum(p.numel() for p in model.parameters() if p.dim() == 2 and id(p) not in looked_up)
    config = model.config
    return 6 * matrices + 12 * config.n_layer * config.n_embd * config.block_size

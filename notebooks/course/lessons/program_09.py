"""The whole program of lesson 09 as we would write it: the solutions of its exercises, in the order of its cells."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def encode(text, vocab):
    number = {c: i for i, c in enumerate(vocab)}
    return torch.tensor([number[c] for c in text])


def decode(tokens, vocab):
    return "".join(vocab[i] for i in tokens)


def get_batch(tokens, step, s):
    rng = np.random.default_rng((s.seed, 0, step))
    starts = rng.integers(0, len(tokens) - s.block_size - 1, s.batch_size, endpoint=True)
    windows = torch.stack([tokens[i : i + s.block_size + 1] for i in starts])
    return windows[:, :-1], windows[:, 1:]


def attention(q, k, v):
    T = q.shape[-2]
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    weights = scores.masked_fill(future, float("-inf")).softmax(dim=-1)
    return weights @ v


class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.c_attn(x).split(C, dim=2)
        q, k, v = [part.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for part in (q, k, v)]
        y = attention(q, k, v).transpose(1, 2).reshape(B, T, C)
        return self.c_proj(y)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd)
        self.attn = SelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class MyGPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


def loss_of(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def learning_rate(step, s):
    if step < s.warmup_iters:
        return s.learning_rate * (step + 1) / (s.warmup_iters + 1)
    progress = (step - s.warmup_iters) / (s.max_iters - s.warmup_iters)
    return 0.5 * s.learning_rate * (1 + math.cos(math.pi * progress))


def make_optimizer(model, s):
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": s.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)


def train(model, optimizer, tokens, s, start=0):
    for step in range(start, s.max_iters):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, s)
        x, y = get_batch(tokens, step, s)
        loss = loss_of(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), s.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


@torch.no_grad()
def evaluate(model, tokens, s):
    losses = []
    for i in range(20):
        x, y = get_batch(tokens, i, s)
        losses.append(loss_of(model(x), y))
    losses = torch.stack(losses)
    return losses.mean().item(), losses.std().item() / math.sqrt(20)


def save(path, model, optimizer, step):
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(checkpoint | {"step": step, "random": torch.get_rng_state()}, path)


@torch.no_grad()
def generate(model, tokens, count, block_size, temperature=1.0):
    for _ in range(count):
        logits = model(tokens[:, -block_size:])[:, -1] / temperature
        new = torch.multinomial(logits.softmax(dim=-1), 1)
        tokens = torch.cat([tokens, new], dim=1)
    return tokens


# --- one thing changed ------------------------------------------------------------------------------------


def rotate(x):
    T, width = x.shape[-2:]
    angles = torch.outer(torch.arange(T), 1024 ** -torch.linspace(0, 1, width // 2))
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Both:
    def __init__(self, *optimizers):
        self.optimizers = optimizers
        self.param_groups = [group for one in optimizers for group in one.param_groups]

    def step(self):
        for one in self.optimizers:
            one.step()

    def zero_grad(self):
        for one in self.optimizers:
            one.zero_grad()


def make_muon(model, s):
    named = list(model.named_parameters())
    inside = [p for name, p in named if p.dim() == 2 and name.startswith("h.")]
    rest = [p for name, p in named if p.dim() < 2 or not name.startswith("h.")]
    muon = torch.optim.Muon(inside, weight_decay=s.weight_decay, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(rest, betas=(s.beta1, s.beta2), weight_decay=0.0)
    return Both(muon, adamw)

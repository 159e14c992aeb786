"""Lesson 09: can you write all of it yourself?"""

import inspect
import math
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.exercise import _NotAttempted
from course.lessons import Choice, Exercise, Question, Quiz, SameAs, Wrong, same, watch
from course.piece import Piece
from gptlib import GPT, GPTConfig, TrainConfig
from gptlib.model import MLP as LIBRARY_MLP
from gptlib.model import Block as LIBRARY_BLOCK
from gptlib.model import CausalSelfAttention, Rotary, naive_attention
from gptlib.optim import build_optimizer, learning_rate_at

TINY = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16, attention="naive")
SHORT = TrainConfig(block_size=8, batch_size=4, max_iters=12, warmup_iters=4, learning_rate=0.3, grad_clip=0.1)


# --- what the checks share --------------------------------------------------------------------------------


def _tokens(count: int = 200) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, TINY.vocab_size, count))


def _built(answer: Any, name: str, reference: nn.Module) -> nn.Module:
    """The learner's module with the reference's weights."""
    module = (watch(answer, name) if inspect.isclass(answer) else answer)(TINY)
    if not isinstance(module, nn.Module) or not list(module.parameters()):
        raise _NotAttempted(f"`{name}` has no parts yet: make them in `__init__`")
    try:
        module.load_state_dict(reference.state_dict())
    except RuntimeError as error:
        said = "; ".join(line.strip().rstrip(". ") for line in str(error).splitlines()[1:3])
        raise Wrong(f"its parts must have GPT-2's names and shapes, so that weights can be copied in: {said}") from None
    return module


def _reference(kind: Callable) -> nn.Module:
    torch.manual_seed(3)
    reference = kind(TINY)
    for p in reference.parameters():  # biases too, so that one that is forgotten is seen
        nn.init.normal_(p, std=0.5)
    return reference


def _check_module(name: str, kind: Callable, mistakes: dict[str, Callable], shape: tuple[int, ...] = (2, 6, 16)):
    """A check: the same parts as the library's module, and with its weights the same output."""

    def check(answer: Any) -> None:
        with torch.random.fork_rng([]):
            reference = _reference(kind)
            module = _built(answer, name, reference)
            x = torch.randn(shape) if len(shape) == 3 else torch.randint(TINY.vocab_size, shape)
            got = watch(module, name)(x)
            want = reference(x)
            want = want[0] if isinstance(want, tuple) else want
            if getattr(got, "shape", None) != want.shape:
                raise Wrong(f"for x of shape {tuple(x.shape)} it gives {_shape(got)}, not shape {tuple(want.shape)}")
            if not same(got, want):
                why = next((why for why, wrong in mistakes.items() if same(got, wrong(reference, x))), "")
                raise Wrong(f"with the same weights, it does not give what the library gives{': ' if why else ''}{why}")

    return check


def _shape(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if hasattr(value, "shape") else f"a {type(value).__name__}"


# --- the pieces: text and batches -------------------------------------------------------------------------

encode = Piece(
    name="encode",
    title="Text in, numbers out",
    difficulty=1,
    minutes=4,
    check=SameAs(
        lambda text, vocab: torch.tensor([vocab.index(c) for c in text]),
        inputs=[("abba", "ab"), ("to be", " beot")],
        mistakes={
            "those are Unicode's numbers; ours are places in `vocab`": lambda t, v: torch.tensor([ord(c) for c in t]),
        },
    ),
    hints=(
        "A character's number is its place in `vocab`: `vocab.index(c)`; a dictionary finds it faster.",
        "`number = {c: i for i, c in enumerate(vocab)}`",
        "`torch.tensor([number[c] for c in text])`",
    ),
    solution="""
        import torch

        def encode(text, vocab):
            number = {c: i for i, c in enumerate(vocab)}
            return torch.tensor([number[c] for c in text])
    """,
)

decode = Piece(
    name="decode",
    title="Numbers in, text out",
    difficulty=1,
    minutes=2,
    check=SameAs(
        lambda tokens, vocab: "".join(vocab[i] for i in tokens),
        inputs=[([0, 1, 1, 0], "ab"), ([3, 2, 0, 1], " beo")],
        mistakes={"a text is wanted, not a list: join it": lambda tokens, vocab: [vocab[i] for i in tokens]},
    ),
    hints=("The token `i` is the character `vocab[i]`.", '`"".join(...)` makes one text of many.'),
    solution="""
        def decode(tokens, vocab):
            return "".join(vocab[i] for i in tokens)
    """,
)


def _batch(tokens: Tensor, step: int, s: TrainConfig, shift: int = 1) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng((s.seed, 0, step))
    starts = rng.integers(0, len(tokens) - s.block_size - 1, s.batch_size, endpoint=True)
    windows = torch.stack([tokens[i : i + s.block_size + 1] for i in starts])
    return windows[:, :-1], windows[:, shift : s.block_size + shift]


get_batch = Piece(
    name="get_batch",
    title="A batch: random windows, and targets one further",
    difficulty=2,
    minutes=8,
    check=SameAs(
        _batch,
        inputs=[(_tokens(), 0, SHORT), (_tokens(), 7, SHORT)],
        mistakes={
            "the targets are the inputs again; they must be one token further": lambda t, n, s: _batch(t, n, s, 0),
            "every step reads the batch of step 0": lambda t, n, s: _batch(t, 0, s),
        },
    ),
    hints=(
        "A window is `block_size + 1` tokens: all but the last are the input, all but the first the targets.",
        "`torch.stack([tokens[i : i + s.block_size + 1] for i in starts])` has one row for each start.",
        "`return windows[:, :-1], windows[:, 1:]`",
    ),
    solution="""
        import numpy as np
        import torch

        def get_batch(tokens, step, s):
            rng = np.random.default_rng((s.seed, 0, step))
            starts = rng.integers(0, len(tokens) - s.block_size - 1, s.batch_size, endpoint=True)
            windows = torch.stack([tokens[i : i + s.block_size + 1] for i in starts])
            return windows[:, :-1], windows[:, 1:]
    """,
    starter="""
        def get_batch(tokens, step, s):
            rng = np.random.default_rng((s.seed, 0, step))
            starts = rng.integers(0, len(tokens) - s.block_size - 1, s.batch_size, endpoint=True)
            ...
    """,
)

# --- the pieces: the model --------------------------------------------------------------------------------


def _attention(q: Tensor, k: Tensor, v: Tensor, scale: bool = True, mask: int | None = 1, dim: int = -1) -> Tensor:
    scores = q @ k.transpose(-2, -1) / (math.sqrt(q.shape[-1]) if scale else 1)
    if mask is not None:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(mask), -1e9)
    return scores.softmax(dim) @ v


def _qkv(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(torch.randn(3, *shape, generator=torch.Generator().manual_seed(1)))


attention = Piece(
    name="attention",
    title="Attention",
    difficulty=3,
    minutes=12,
    check=SameAs(
        naive_attention,
        inputs=[_qkv(1, 1, 5, 4), _qkv(2, 3, 6, 4)],
        mistakes={
            "nothing is masked: positions see the future": lambda q, k, v: _attention(q, k, v, mask=None),
            "divide the scores by the square root of a head's width": lambda q, k, v: _attention(q, k, v, scale=False),
            "the softmax runs over the wrong dimension: each row must add up to 1": (
                lambda q, k, v: _attention(q, k, v, dim=-2)
            ),
        },
    ),
    hints=(
        "Scores are `q @ k.transpose(-2, -1)`, divided by the square root of `q.shape[-1]`. They are (T, T).",
        "The future is above the diagonal: `torch.ones(T, T, dtype=torch.bool).triu(1)`; fill it with `-inf`.",
        "`scores.masked_fill(future, float('-inf')).softmax(dim=-1) @ v`",
    ),
    solution="""
        import math
        import torch

        def attention(q, k, v):
            T = q.shape[-2]
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            future = torch.ones(T, T, dtype=torch.bool).triu(1)
            weights = scores.masked_fill(future, float("-inf")).softmax(dim=-1)
            return weights @ v
    """,
)


def _joined_wrongly(reference: CausalSelfAttention, x: Tensor) -> Tensor:
    B, T, C = x.shape
    q, k, v = reference.c_attn(x).view(B, T, 3, reference.n_head, -1).permute(2, 0, 3, 1, 4)
    return reference.c_proj(naive_attention(q, k, v).reshape(B, T, C))


def _one_head(reference: CausalSelfAttention, x: Tensor) -> Tensor:
    return reference.c_proj(naive_attention(*reference.c_attn(x).chunk(3, dim=-1)))


SelfAttention = Piece(
    name="SelfAttention",
    title="Several heads, joined",
    difficulty=3,
    minutes=15,
    check=_check_module(
        "SelfAttention",
        CausalSelfAttention,
        {
            "all channels went into one head": _one_head,
            "the heads' outputs were joined without `transpose(1, 2)` first": _joined_wrongly,
        },
    ),
    hints=(
        "`c_attn` makes queries, keys and values at once, 3C numbers for each position; `c_proj` mixes the heads.",
        "`q, k, v = self.c_attn(x).split(C, dim=2)`, then each `.view(B, T, H, C // H).transpose(1, 2)`.",
        "Back again: `.transpose(1, 2).reshape(B, T, C)`, then `self.c_proj`.",
    ),
    solution="""
        from torch import nn

        class SelfAttention(nn.Module):
            def __init__(self, config):
                super().__init__()
                self.n_head = config.n_head
                self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
                self.c_proj = nn.Linear(config.n_embd, config.n_embd)

            def forward(self, x):
                B, T, C = x.shape
                heads = [
                    part.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
                    for part in self.c_attn(x).split(C, dim=2)
                ]
                y = attention(*heads).transpose(1, 2).reshape(B, T, C)
                return self.c_proj(y)
    """,
)

MLP = Piece(
    name="MLP",
    title="The MLP: widen, bend, narrow",
    difficulty=2,
    minutes=5,
    check=_check_module(
        "MLP",
        LIBRARY_MLP,
        {
            "that bends with ReLU; GPT-2 bends with GELU": lambda r, x: r.c_proj(F.relu(r.c_fc(x))),
            "nothing bends: two linear layers in a row are one": lambda r, x: r.c_proj(r.c_fc(x)),
        },
    ),
    hints=("`c_fc` makes 4C numbers of C, `c_proj` makes C of 4C.", "Between them: `F.gelu`."),
    solution="""
        import torch.nn.functional as F
        from torch import nn

        class MLP(nn.Module):
            def __init__(self, config):
                super().__init__()
                self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd)
                self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd)

            def forward(self, x):
                return self.c_proj(F.gelu(self.c_fc(x)))
    """,
)

Block = Piece(
    name="Block",
    title="A block: look back, think, and add",
    difficulty=2,
    minutes=6,
    check=_check_module(
        "Block",
        LIBRARY_BLOCK,
        {
            "each half must be *added* to x": lambda r, x: r.mlp(r.ln_2(r.attn(r.ln_1(x)))),
            "the norms belong before attention and MLP, inside the sum": (
                lambda r, x: (lambda a: r.ln_2(a + r.mlp(a)))(r.ln_1(x + r.attn(x)))
            ),
            "the MLP must see what attention has added": lambda r, x: x + r.attn(r.ln_1(x)) + r.mlp(r.ln_2(x)),
        },
    ),
    hints=(
        "Four parts: `ln_1`, `attn`, `ln_2`, `mlp`.",
        "`x = x + self.attn(self.ln_1(x))`, then the same with the MLP.",
    ),
    solution="""
        from torch import nn

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
    """,
)


def _logits(r: GPT, idx: Tensor, positions: bool = True, norm: bool = True) -> Tensor:
    x = r.wte(idx) + (r.wpe.weight[: idx.shape[1]] if positions else 0)
    for block in r.h:
        x = block(x)
    return (r.ln_f(x) if norm else x) @ r.wte.weight.T


MyGPT = Piece(
    name="MyGPT",
    title="The GPT",
    difficulty=3,
    minutes=12,
    check=_check_module(
        "MyGPT",
        GPT,
        {
            "the positions are missing": lambda r, x: _logits(r, x, positions=False),
            "the last LayerNorm, `ln_f`, is missing": lambda r, x: _logits(r, x, norm=False),
        },
        shape=(2, 6),
    ),
    hints=(
        "Parts: `wte` and `wpe` (`nn.Embedding`), `h` (an `nn.ModuleList` of blocks), `ln_f`.",
        "`x = self.wte(idx) + self.wpe(torch.arange(T))`, then each block, then `ln_f`.",
        "The logits are the scores of x with every token's own vector: `x @ self.wte.weight.T`.",
    ),
    solution="""
        import torch
        from torch import nn

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
    """,
)

# --- the pieces: training ---------------------------------------------------------------------------------

loss_of = Piece(
    name="loss_of",
    title="The loss: surprise at what came",
    difficulty=2,
    minutes=6,
    check=SameAs(
        lambda logits, targets: F.cross_entropy(logits.flatten(0, 1), targets.flatten()),
        inputs=[
            (_qkv(2, 3, 5)[0], torch.tensor([[0, 4, 1], [2, 2, 3]])),
            (torch.zeros(1, 2, 63), torch.zeros(1, 2).long()),
        ],
        mistakes={
            "the sign is missing: a surprise is -ln p": lambda z, y: -F.cross_entropy(z.flatten(0, 1), y.flatten()),
            "that is the sum over all positions, not their mean": (
                lambda z, y: F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="sum")
            ),
        },
    ),
    hints=(
        "`logits.log_softmax(dim=-1)` is the logarithm of every probability, (B, T, V).",
        "`F.cross_entropy` wants the logits as (B * T, V) and the targets as (B * T): `.flatten(0, 1)`, `.flatten()`.",
    ),
    solution="""
        import torch.nn.functional as F

        def loss_of(logits, targets):
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    """,
)

learning_rate = Piece(
    name="learning_rate",
    title="The learning rate of a step",
    difficulty=2,
    minutes=6,
    check=SameAs(
        learning_rate_at,
        inputs=[(step, SHORT) for step in range(6)],
        mistakes={
            "the warm-up is right; after it the rate must fall along half a cosine": (
                lambda step, s: s.learning_rate * min(1, (step + 1) / (s.warmup_iters + 1))
            ),
            "the warm-up is missing": lambda step, s: (
                0.5 * s.learning_rate * (1 + math.cos(math.pi * step / s.max_iters))
            ),
        },
    ),
    hints=(
        "Before `warmup_iters`: `s.learning_rate * (step + 1) / (s.warmup_iters + 1)`.",
        "Then `progress` goes from 0, at step `warmup_iters`, to 1, at step `max_iters`.",
        "`0.5 * s.learning_rate * (1 + math.cos(math.pi * progress))`",
    ),
    solution="""
        import math

        def learning_rate(step, s):
            if step < s.warmup_iters:
                return s.learning_rate * (step + 1) / (s.warmup_iters + 1)
            progress = (step - s.warmup_iters) / (s.max_iters - s.warmup_iters)
            return 0.5 * s.learning_rate * (1 + math.cos(math.pi * progress))
    """,
)


class _Pair(nn.Module):
    """A matrix and a vector, with gradients to learn from."""

    def __init__(self, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.matrix = nn.Parameter(torch.randn(3, 2, generator=generator))
        self.vector = nn.Parameter(torch.randn(3, generator=generator))

    def moved(self, optimizer: Any, steps: int = 4) -> tuple[Tensor, Tensor]:
        """After some steps in the same changing direction."""
        for step in range(steps):
            for i, p in enumerate(self.parameters()):
                p.grad = (step + 1) ** 3 * torch.sin(torch.arange(p.numel(), dtype=p.dtype).view_as(p) + step + i)
            optimizer.step()
        return self.matrix.detach(), self.vector.detach()


def _adamw(model: nn.Module, decayed: float, left: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    groups = [{"params": [model.matrix], "weight_decay": decayed}, {"params": [model.vector], "weight_decay": left}]
    return torch.optim.AdamW(groups, lr=SHORT.learning_rate, betas=betas)


def _check_optimizer(answer: Any) -> None:
    settings = replace(SHORT, weight_decay=5.0)  # so much that it is seen
    mine, library = _Pair(), _Pair()
    optimizer = answer(mine, settings)
    if not hasattr(optimizer, "param_groups"):
        raise Wrong(f"it must return an optimizer with `param_groups`, not {_shape(optimizer)}")
    got, want = mine.moved(optimizer), library.moved(build_optimizer(library, settings))
    if same(got, want, 1e-4):
        return
    betas, torchs = (settings.beta1, settings.beta2), (0.9, 0.999)
    mistakes = {
        "vectors (biases, norms) must not decay: give them a group of their own": (5.0, 5.0, betas),
        "nothing decays: matrices need `weight_decay=s.weight_decay`": (0.0, 0.0, betas),
        "the betas are torch's; ours are `(s.beta1, s.beta2)`": (5.0, 0.0, torchs),
        "the betas are torch's, and so is the decay of everything": (0.01, 0.01, torchs),
    }
    for why, parts in mistakes.items():
        if same(got, (other := _Pair()).moved(_adamw(other, *parts))):
            raise Wrong(why)
    raise Wrong("after four steps the weights are not where the library's optimizer moves them")


make_optimizer = Piece(
    name="make_optimizer",
    title="AdamW, with decay for matrices only",
    difficulty=2,
    minutes=8,
    check=_check_optimizer,
    hints=(
        "`torch.optim.AdamW` takes a list of groups: `{'params': [...], 'weight_decay': ...}`.",
        "Two groups: parameters with `p.dim() >= 2` decay by `s.weight_decay`, the others by 0.",
        "`torch.optim.AdamW(groups, lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)`",
    ),
    solution="""
        import torch

        def make_optimizer(model, s):
            matrices = [p for p in model.parameters() if p.dim() >= 2]
            vectors = [p for p in model.parameters() if p.dim() < 2]
            groups = [{"params": matrices, "weight_decay": s.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)
    """,
)


class _Small(nn.Module):
    """The smallest model there is: a table of the next token's logits."""

    def __init__(self):
        super().__init__()
        table = torch.randn(TINY.vocab_size, TINY.vocab_size, generator=torch.Generator().manual_seed(2))
        self.table = nn.Parameter(3 * table)
        self.grad_was_on: list[bool] = []

    def forward(self, idx: Tensor) -> Tensor:
        self.grad_was_on.append(torch.is_grad_enabled())
        return self.table[idx]


def _train(rate: bool = True, clip: bool = True, zero: bool = True, step_fixed: bool = False) -> list[float]:
    model, losses = _Small(), []
    optimizer = build_optimizer(model, SHORT)
    for step in range(SHORT.max_iters):
        if rate:
            optimizer.param_groups[0]["lr"] = learning_rate_at(step, SHORT)
        x, y = _batch(_tokens(), 0 if step_fixed else step, SHORT)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), SHORT.grad_clip)
        optimizer.step()
        if zero:
            optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def _check_train(answer: Any) -> None:
    model, run = _Small(), inspect.unwrap(answer)

    def losses() -> Any:
        yielded = run(model, build_optimizer(model, SHORT), _tokens(), SHORT)
        return yielded if yielded is None or yielded is ... else list(yielded)

    got = watch(losses, "train")()
    if not all(isinstance(loss, float) for loss in got):
        raise Wrong("it must yield numbers, the loss of each step: `yield loss.item()`")
    if same(got, _train()):
        return
    if len(got) != SHORT.max_iters:
        raise Wrong(f"it yields {len(got)} losses; the run has max_iters = {SHORT.max_iters} steps")
    mistakes = {
        "the weights never move: is `optimizer.step()` called?": [_eval_small(step) for step in range(SHORT.max_iters)],
        "gradients pile up: `optimizer.zero_grad()` is missing": _train(zero=False),
        "the learning rate never changes: set it in every group, in every step": _train(rate=False),
        "the gradient is not clipped": _train(clip=False),
        "every step reads the batch of step 0": _train(step_fixed=True),
    }
    usual = "compare each line with lesson 04's loop"
    why = next((why for why, wrong in mistakes.items() if same(got, wrong)), usual)
    raise Wrong(f"its losses are not those of the library: {why}")


def _eval_small(step: int) -> float:
    x, y = _batch(_tokens(), step, SHORT)
    return F.cross_entropy(_Small()(x).flatten(0, 1), y.flatten()).item()


train = Piece(
    name="train",
    title="The loop",
    difficulty=3,
    minutes=12,
    check=_check_train,
    hints=(
        "Each step: set the rate, get a batch, loss, backward, clip, step, zero_grad, `yield loss.item()`.",
        "`for group in optimizer.param_groups: group['lr'] = learning_rate(step, s)`",
        "`torch.nn.utils.clip_grad_norm_(model.parameters(), s.grad_clip)` comes between backward and step.",
    ),
    solution="""
        import torch

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
    """,
)


def _check_evaluate(answer: Any) -> None:
    model = _Small()
    got = answer(model, _tokens(), SHORT)
    losses = [_eval_small(i) for i in range(20)]
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong("it must return two numbers: the mean, and its standard error")
    if any(model.grad_was_on):
        raise Wrong("it prepares gradients that nobody needs, which costs time and memory: `@torch.no_grad()`")
    if len(model.grad_was_on) != 20:
        raise Wrong(f"it reads {len(model.grad_was_on)} batches, not 20")
    if not same(got[0], np.mean(losses), 1e-3):
        raise Wrong(f"the mean is {float(got[0]):.4g}, not {np.mean(losses):.4g}")
    if same(got[1], np.std(losses, ddof=1), 1e-2):
        raise Wrong("the second number is the spread of single batches; for the mean of 20, divide by sqrt(20)")
    if not any(same(got[1], np.std(losses, ddof=d) / 20**0.5, 1e-3) for d in (0, 1)):
        raise Wrong("the standard error is the spread of the 20 losses, divided by the square root of 20")


evaluate = Piece(
    name="evaluate",
    title="How good is it? The mean of 20 batches, and its standard error",
    difficulty=2,
    minutes=8,
    check=_check_evaluate,
    hints=(
        "The batches of steps 0 to 19 of the held-out tokens will do: `get_batch(tokens, i, s)`.",
        "`losses = torch.stack([...])` makes one tensor; it has `.mean()` and `.std()`.",
        "`return losses.mean().item(), losses.std().item() / 20**0.5`, with `@torch.no_grad()` over the function.",
    ),
    solution="""
        import torch

        @torch.no_grad()
        def evaluate(model, tokens, s):
            losses = []
            for i in range(20):
                x, y = get_batch(tokens, i, s)
                losses.append(loss_of(model(x), y))
            losses = torch.stack(losses)
            return losses.mean().item(), losses.std().item() / 20**0.5
    """,
)


def _check_save(answer: Any) -> None:
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng([]):
        path = Path(folder, "mine.pt")
        model = _Pair(1)
        optimizer = _adamw(model, 0.1, 0.0, (0.9, 0.99))
        model.moved(optimizer)
        with suppress(_NotAttempted):  # that it returns nothing is right
            answer(path, model, optimizer, 4)
        if not path.exists():
            raise _NotAttempted("`save(path, model, optimizer, 4)` writes no file yet: `torch.save(..., path)`")
        saved = torch.load(path)
        random = torch.get_rng_state()
        entries = {
            "the model's weights": lambda v: isinstance(v, dict) and "matrix" in v,
            "the optimizer's memory": lambda v: isinstance(v, dict) and "param_groups" in v,
            "the number of the step": lambda v: isinstance(v, int) and v == 4,
            "the state of the random numbers": lambda v: isinstance(v, Tensor) and torch.equal(v, random),
        }
        if not isinstance(saved, dict):
            raise Wrong("save one dictionary with the four entries")
        missing = [what for what, found in entries.items() if not any(map(found, saved.values()))]
        if missing:
            raise Wrong(f"this is missing: {', '.join(missing)}")


save = Piece(
    name="save",
    title="A checkpoint has four entries",
    difficulty=2,
    minutes=5,
    check=_check_save,
    hints=(
        "The model and the optimizer have a `state_dict()`; the step is a number; then `torch.get_rng_state()`.",
        "One dictionary with all four: `torch.save({...}, path)`.",
    ),
    solution="""
        import torch

        def save(path, model, optimizer, step):
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                        "step": step, "random": torch.get_rng_state()}, path)
    """,
)


class _Counting(nn.Module):
    """After token i comes i + 1, nearly surely. It reads at most TINY.block_size tokens."""

    def forward(self, idx: Tensor) -> Tensor:
        if idx.shape[1] > TINY.block_size:
            raise Wrong(f"the model was given {idx.shape[1]} tokens, and block_size is {TINY.block_size}")
        return 9.0 * F.one_hot((idx + 1) % TINY.vocab_size, TINY.vocab_size)


def _check_generate(answer: Any) -> None:
    write = answer
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        got = write(_Counting(), torch.tensor([[3], [9]]), 12, TINY.block_size, 0.1)
        if getattr(got, "shape", None) != (2, 13):
            raise Wrong(f"for a start of shape (2, 1) and count = 12 it gives {_shape(got)}, not shape (2, 13)")
        if not torch.equal(got, (torch.tensor([[3], [9]]) + torch.arange(13)) % TINY.vocab_size):
            raise Wrong("a model that counts upwards, at temperature 0.1, does not count: is the last position used?")
        hot = write(_Counting(), torch.zeros(1, 1, dtype=torch.int64), 60, TINY.block_size, 100.0)
        if ((hot[0, 1:] - hot[0, :-1]) % TINY.vocab_size == 1).float().mean() > 0.5:
            raise Wrong("a temperature of 100 changes nothing: divide the logits by it")


generate = Piece(
    name="generate",
    title="Writing: predict, choose, append, repeat",
    difficulty=3,
    minutes=10,
    check=_check_generate,
    hints=(
        "The model reads at most `block_size` tokens: `tokens[:, -block_size:]`. Only its last position counts.",
        "`torch.multinomial(p, 1)` draws one token from each row of probabilities.",
        "`torch.cat([tokens, new], dim=1)` appends it; divide the logits by the temperature before the softmax.",
    ),
    solution="""
        import torch

        @torch.no_grad()
        def generate(model, tokens, count, block_size, temperature=1.0):
            for _ in range(count):
                logits = model(tokens[:, -block_size:])[:, -1] / temperature
                new = torch.multinomial(logits.softmax(dim=-1), 1)
                tokens = torch.cat([tokens, new], dim=1)
            return tokens
    """,
)


# --- one thing changed ------------------------------------------------------------------------------------

rotate = Exercise(
    name="rotate",
    title="Rotary positions: a place is an angle",
    difficulty=3,
    minutes=15,
    check=SameAs(
        lambda x: Rotary(x.shape[-2], x.shape[-1])(x),
        inputs=[(_qkv(1, 2, 6, 4)[0],), (_qkv(2, 2, 8, 8)[1],)],
        mistakes={
            "the second half is turned the other way": lambda x: Rotary(*x.shape[-2:])(
                x.roll(x.shape[-1] // 2, -1)
            ).roll(x.shape[-1] // 2, -1),
        },
    ),
    hints=(
        "Each pair of numbers is a point in a plane: `a, b = x.chunk(2, dim=-1)`. Position t turns it by an angle.",
        "The angles: `torch.outer(torch.arange(T), 1024 ** -torch.linspace(0, 1, width // 2))`.",
        "`torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)`",
    ),
    solution="""
        import torch

        def rotate(x):
            T, width = x.shape[-2:]
            angles = torch.outer(torch.arange(T), 1024 ** -torch.linspace(0, 1, width // 2))
            cos, sin = angles.cos(), angles.sin()
            a, b = x.chunk(2, dim=-1)
            return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
    """,
)


def _check_muon(answer: Any) -> None:
    model = GPT(TINY)
    optimizer = answer(model, SHORT)
    inside = dict.fromkeys(p for name, p in model.named_parameters() if p.dim() == 2 and name.startswith("h."))
    held = [p for group in getattr(optimizer, "param_groups", []) for p in group["params"]]
    if len(held) != len(set(held)) or set(held) != set(model.parameters()):
        raise Wrong("`param_groups` must hold every parameter of the model, and each only once")
    before = {p: p.detach().clone() for p in held}
    for p in held:
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())) ** 3
    optimizer.step()
    for p in held:
        spread = torch.linalg.svdvals((p.detach() - before[p]).reshape(len(p), -1))
        if (p in inside) != (p.dim() == 2 and spread.max() < 3 * spread.min()):
            raise Wrong("Muon is for the matrices inside the blocks (`h.`), and AdamW for everything else")


make_muon = Exercise(
    name="make_muon",
    title="Muon for the matrices",
    difficulty=3,
    minutes=12,
    check=_check_muon,
    hints=(
        "`torch.optim.Muon` takes matrices only: those of the blocks, whose names begin with `h.`.",
        "With `adjust_lr_fn='match_rms_adamw'` it can use AdamW's learning rate.",
        "The loop wants one object with `param_groups`, `step` and `zero_grad`: a small class that holds both.",
    ),
    solution="""
        import torch

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
    """,
)

EXERCISES = [*Piece.all, rotate, make_muon]


# --- questions --------------------------------------------------------------------------------------------

QUIZ = Quiz(
    "09",
    [
        Question(
            "Your program and the library start from the same weights and read the same batches. At step 0 the losses "
            "are 4.27 and 4.27, at step 1 they are 3.9 and 4.2. Is there a bug?",
            [
                Choice("No: rounding adds up", "Rounding is in the seventh digit. After one step it is still there."),
                Choice(
                    "Yes, in what happens between two losses",
                    "The forward pass agrees, so look at backward, clipping, the rate and the optimizer's settings.",
                    right=True,
                ),
                Choice("Yes, in attention", "Then the very first loss would already differ: it uses attention too."),
            ],
        ),
        Question(
            "Your first loss is 11.3, and your vocabulary has 63 characters. What do you look at first?",
            [
                Choice(
                    "The initial weights",
                    "ln 63 is 4.1. Weights that begin too large make the model certain of random characters.",
                    right=True,
                ),
                Choice("The learning rate", "No step has been made yet, so the rate has not done anything."),
                Choice(
                    "Nothing, training will bring it down", "It may, but the first hundreds of steps go into repairs."
                ),
            ],
        ),
        Question(
            "After 500 steps the validation loss is 0.03. What is the likeliest reason?",
            [
                Choice(
                    "A very good model", "Even the largest models do not come near that on text they have not seen."
                ),
                Choice("Too large a learning rate", "That makes a loss high or jumpy, and never nearly zero."),
                Choice(
                    "Each position can see its target",
                    "A missing mask, or targets that are not shifted: copying is easy, and it writes nonsense.",
                    right=True,
                ),
            ],
        ),
        Question(
            "You change the activation, run once, and the loss is 1.93 instead of 1.94. What can you say?",
            [
                Choice("The new activation is better", "Another seed alone moved ours by almost as much."),
                Choice(
                    "Nothing yet: run more seeds",
                    "Three seeds each way show how far chance moves the loss, and whether 0.01 is more than that.",
                    right=True,
                ),
                Choice("Nothing: losses cannot be compared", "With the same text, vocabulary and batches they can."),
            ],
        ),
        Question(
            "Two programs agree in every loss to seven digits, but some weights differ by 0.003. How can that be?",
            [
                Choice("The losses are wrong", "They come from the forward pass, and both programs agree in that."),
                Choice("One of them has forgotten a gradient", "Then its loss would soon be visibly higher."),
                Choice(
                    "Some weights do nothing to the loss",
                    "The key biases are such weights (lesson 07). AdamW turns mere rounding into steps for them.",
                    right=True,
                ),
            ],
        ),
    ],
)

RECALL = Quiz(
    "recall",
    [
        Question(
            "Lesson 03: what is the loss of a model that finds all 63 characters equally likely?",
            [
                Choice("0, since it has no preference", "That is the loss of a model that was certain, and right."),
                Choice(
                    "ln 63, about 4.1", "Each character has the probability 1/63, and -ln(1/63) is ln 63.", right=True
                ),
                Choice("1/63", "That is the probability it gives. The loss is minus its logarithm."),
            ],
        ),
        Question(
            "Lesson 04: in which order do these come in a training step?",
            [
                Choice(
                    "loss, backward, step, zero_grad",
                    "Compute the loss, its gradient, move the weights, and clear the gradient for the next step.",
                    right=True,
                ),
                Choice("loss, backward, zero_grad, step", "The gradient would be gone before the step could use it."),
                Choice(
                    "loss, step, backward, zero_grad", "A step before the first backward pass has no gradient to use."
                ),
            ],
        ),
        Question(
            "Lesson 08: which entry of a checkpoint do hand-written programs forget most easily?",
            [
                Choice("The weights", "Without them there is nothing to go on with: everybody notices."),
                Choice("The text", "It lies in its own file, and no checkpoint needs a copy."),
                Choice(
                    "The random numbers' state",
                    "The run goes on without it, with other dropout, and no longer equal to the bit.",
                    right=True,
                ),
            ],
        ),
    ],
)

"""Lesson 09: can you write all of it yourself?"""

import inspect
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course.exercise import _NotAttempted, describe
from course.lessons import Wrong, quizzes, watch
from course.lessons import program_09 as ours
from course.piece import Piece, whose
from gptlib import GPT, GPTConfig, TrainConfig

__all__ = ["EXERCISES", "PIECES", "QUIZ", "RECALL", "copy_weights", "whose"]

TINY = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16)
SHORT = TrainConfig(block_size=8, batch_size=4, max_iters=12, warmup_iters=4, learning_rate=0.3, grad_clip=0.1)
TOKENS = torch.from_numpy(np.random.default_rng(0).integers(0, TINY.vocab_size, 200))


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


# --- text and batches -------------------------------------------------------------------------------------


def _encoded(encode: Callable) -> list[Tensor]:
    got = [encode("abba", ["a", "b"]), encode("to be", list(" beot"))]
    if not all(isinstance(tokens, Tensor) for tokens in got):
        raise Wrong(f"it gives {describe(got[0])}, and a tensor is needed: `torch.tensor(...)`")
    return got


encode = Piece(
    ours.encode,
    title="Text in, numbers out",
    difficulty=1,
    minutes=4,
    probe=_encoded,
    mistakes={
        "those are Unicode's numbers; ours are positions in `vocab`": ("number[c]", "ord(c)"),
        "the first character of `vocab` has the number 0, not 1": ("enumerate(vocab)", "enumerate(vocab, 1)"),
    },
    hints=(
        "A character's number is its position in `vocab`: `vocab.index(c)`; a dictionary finds it faster.",
        "`number = {c: i for i, c in enumerate(vocab)}`",
        "`torch.tensor([number[c] for c in text])`",
    ),
)

decode = Piece(
    ours.decode,
    title="Numbers in, text out",
    difficulty=1,
    minutes=2,
    probe=lambda decode: [decode(torch.tensor([0, 1, 1, 0]), ["a", "b"]), decode(torch.tensor([3, 1]), list(" beo"))],
    mistakes={
        "a text is wanted, not a list: join it": ('"".join(vocab[i] for i in tokens)', "[vocab[i] for i in tokens]")
    },
    hints=(
        "The token `i` is the character `vocab[i]`. A dictionary does not find a tensor: it needs `i.item()`.",
        '`"".join(...)` makes one text of many.',
    ),
)

get_batch = Piece(
    ours.get_batch,
    title="A batch: random windows, and targets one further",
    difficulty=2,
    minutes=8,
    probe=lambda get_batch: [get_batch(TOKENS, 0, SHORT), get_batch(TOKENS, 7, SHORT)],
    mistakes={
        "the targets are the inputs again; they must be one token further": ("windows[:, 1:]", "windows[:, :-1]"),
        "every position needs a target, not only the last one": ("windows[:, 1:]", "windows[:, -1]"),
        "every step reads the batch of step 0": ("s.seed, 0, step", "s.seed, 0, 0"),
    },
    hints=(
        "A window is `block_size + 1` tokens: all but the last are the input, all but the first the targets.",
        "`torch.stack([tokens[i : i + s.block_size + 1] for i in starts])` has one row for each start.",
        "`return windows[:, :-1], windows[:, 1:]`",
    ),
)

# --- the model --------------------------------------------------------------------------------------------

attention = Piece(
    ours.attention,
    title="Attention",
    difficulty=3,
    minutes=12,
    probe=lambda attention: [attention(*_random(3, 1, 1, 5, 4)), attention(*_random(3, 2, 3, 6, 4))],
    mistakes={
        "nothing is masked: positions see the future": ('.masked_fill(future, float("-inf"))', ""),
        "the past is masked, and the future is not": ("triu(1)", "tril(-1)"),
        "a position may look at itself: mask only what is above the diagonal": ("triu(1)", "triu(0)"),
        "a score of 0 still counts, since exp(0) is 1: mask with -inf": ('float("-inf")', "0"),
        "mask the scores, before the softmax; now the weights of a row do not add up to 1": (
            'scores.masked_fill(future, float("-inf")).softmax(dim=-1)',
            "scores.softmax(dim=-1).masked_fill(future, 0)",
        ),
        "divide the scores by the square root of a head's width": (" / math.sqrt(q.shape[-1])", ""),
        "divide by the square root of a head's width, not by the width": ("math.sqrt(q.shape[-1])", "q.shape[-1]"),
        "the softmax runs over the wrong dimension: each row must add up to 1": ("dim=-1", "dim=-2"),
    },
    hints=(
        "Scores are `q @ k.transpose(-2, -1)`, divided by the square root of `q.shape[-1]`. They are (T, T).",
        "The future is above the diagonal: `torch.ones(T, T, dtype=torch.bool).triu(1)`; fill it with `-inf`.",
        "`scores.masked_fill(future, float('-inf')).softmax(dim=-1) @ v`",
    ),
)


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy a GPT's weights into another whose parts may have other names.

    A parameter gets the values of the one with its name and kind, else of the next one of its kind. One layer for
    queries, keys and values (`c_attn`) here may be three there.
    """
    waiting: dict[tuple, dict[str, Tensor]] = {}
    for name, kind, tensor in _parameters(source, target):
        waiting.setdefault(kind, {})[name] = tensor
    mine = _parameters(target, source)
    for name, kind, tensor in sorted(mine, key=lambda one: one[0] not in waiting.get(one[1], ())):
        if not (left := waiting.get(kind)):
            raise Wrong(
                f"GPT-2 has no counterpart of your `{name}`, {_shape(tensor)}: there one layer makes the queries of "
                "all heads (keys and values too), and the output layer is `wte.weight` itself"
            )
        tensor.copy_(left.pop(name if name in left else next(iter(left))))
    if left := [f"`{name}`, {_shape(tensor)}" for rest in waiting.values() for name, tensor in rest.items()]:
        raise Wrong(f"it has nothing for GPT-2's {left[0]}")


def _parameters(model: nn.Module, other: nn.Module) -> list[tuple[str, tuple, Tensor]]:
    """Name, kind and values of each parameter; `c_attn` in three parts if the other model has three layers."""
    norms = [name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)]
    lengths, found = {len(p) for p in other.parameters()}, []
    for _, group in groupby(model.named_parameters(), lambda named: named[0].split(".")[:-2]):
        for name, p in sorted(group, key=lambda named: _in_order(named[0])):
            split = "c_attn" in name and len(p) not in lengths
            for i, part in enumerate(p.chunk(3 if split else 1)):
                kind = (part.shape, name.endswith("bias"), name.rpartition(".")[0] in norms)
                found.append((f"{name}[{i}]" if split else name, kind, part))
    return found


def _in_order(name: str) -> int:
    """Queries first, then keys, values, anything else, and positions, as in GPT-2."""
    if re.search("pos|wpe", name):
        return 4
    found = re.search(r"(?:^|_|w)([qkv])(?:_|$|uer|ey|al)", name.lower().split(".")[-2:][0])
    return "qkv".index(found[1]) if found else 3


def _shape(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _module(part: type[nn.Module], x: Tensor, **parts: Any) -> Piece:
    """A piece that is a module: with the weights of ours, biases and norms too, it must give what ours gives for x."""

    def probe(answer: Any) -> Tensor:
        torch.manual_seed(3)
        reference = part(TINY)
        for p in reference.parameters():
            nn.init.normal_(p, std=0.5)
        module = watch(answer, part.__name__)(TINY)
        if not isinstance(module, nn.Module) or not list(module.parameters()):
            raise _NotAttempted(f"`{part.__name__}` has no parts yet: make them in `__init__`")
        copy_weights(reference, module)
        got, want = watch(module, part.__name__)(x), reference(x)
        if getattr(got, "shape", None) != want.shape:
            raise Wrong(f"for x of {_shape(x)} it gives {_shape(got)}, and needed is one tensor of {_shape(want)}")
        return got

    return Piece(part, probe=probe, **parts)


SelfAttention = _module(
    ours.SelfAttention,
    _random(2, 6, 16),
    title="Several heads, joined",
    difficulty=3,
    minutes=15,
    mistakes={
        "all channels went into one head": ("self.n_head, C // self.n_head", "1, C"),
        "cut a position's numbers into heads, `.view(B, T, H, C // H)`, and only then `.transpose(1, 2)`": (
            "part.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)",
            "part.reshape(B, self.n_head, T, C // self.n_head)",
        ),
        "the heads' outputs were joined without `transpose(1, 2)` first": (
            ".transpose(1, 2).reshape(B, T, C)",
            ".reshape(B, T, C)",
        ),
        "the last layer is missing: `c_proj` mixes the outputs of the heads": ("self.c_proj(y)", "y"),
        "GPT-2's order is queries, keys, values": ("q, k, v = self", "k, q, v = self"),
    },
    hints=(
        "`c_attn` makes queries, keys and values at once, 3C numbers for each position; `c_proj` mixes the heads.",
        "`q, k, v = self.c_attn(x).split(C, dim=2)`, then each `.view(B, T, H, C // H).transpose(1, 2)`.",
        "Back again: `.transpose(1, 2).reshape(B, T, C)`, then `self.c_proj`.",
    ),
)

MLP = _module(
    ours.MLP,
    _random(2, 6, 16),
    title="The MLP: widen, bend, narrow",
    difficulty=2,
    minutes=5,
    mistakes={
        "that bends with ReLU; GPT-2 bends with GELU": ("F.gelu", "F.relu"),
        "nothing bends: two linear layers in a row are one": ("F.gelu", ""),
        "that is GELU's tanh approximation; ours is exact, `F.gelu(x)`": (
            "F.gelu(self.c_fc(x))",
            "F.gelu(self.c_fc(x), approximate='tanh')",
        ),
    },
    hints=("`c_fc` makes 4C numbers of C, `c_proj` makes C of 4C.", "Between them: `F.gelu`."),
)

ADDED = "x + self.attn(self.ln_1(x))\n        return x + self.mlp(self.ln_2(x))"
Block = _module(
    ours.Block,
    _random(2, 6, 16),
    title="A block: look back, think, and add",
    difficulty=2,
    minutes=6,
    mistakes={
        "each half must be *added* to x": (ADDED, "self.attn(self.ln_1(x))\n        return self.mlp(self.ln_2(x))"),
        "the norms belong before attention and MLP, inside the sum": (
            ADDED,
            "self.ln_1(x + self.attn(x))\n        return self.ln_2(x + self.mlp(x))",
        ),
        "the MLP must see what attention has added": (
            ADDED,
            "x\n        return x + self.attn(self.ln_1(x)) + self.mlp(self.ln_2(x))",
        ),
    },
    hints=(
        "Four parts: `ln_1`, `attn`, `ln_2`, `mlp`.",
        "`x = x + self.attn(self.ln_1(x))`, then the same with the MLP.",
    ),
)

MyGPT = _module(
    ours.MyGPT,
    torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]]),
    title="The GPT",
    difficulty=3,
    minutes=12,
    mistakes={
        "the positions are missing": (" + self.wpe(torch.arange(idx.shape[1]))", ""),
        "the last LayerNorm, `ln_f`, is missing": ("self.ln_f(x)", "x"),
        "logits are wanted, not probabilities: the softmax is part of the loss": (
            "self.ln_f(x) @ self.wte.weight.T",
            "(self.ln_f(x) @ self.wte.weight.T).softmax(-1)",
        ),
    },
    hints=(
        "Parts: `wte` and `wpe` (`nn.Embedding`), `h` (an `nn.ModuleList` of blocks), `ln_f`.",
        "`x = self.wte(idx) + self.wpe(torch.arange(T))`, then each block, then `ln_f`.",
        "The logits are the scores of x with every token's own vector: `x @ self.wte.weight.T`.",
    ),
)

# --- training ---------------------------------------------------------------------------------------------

loss_of = Piece(
    ours.loss_of,
    title="The loss: surprise at what came",
    difficulty=2,
    minutes=6,
    probe=lambda loss_of: loss_of(_random(2, 3, 5), torch.tensor([[0, 4, 1], [2, 2, 3]])),
    mistakes={
        "the sign is missing: a surprise is -ln p": ("F.cross", "-F.cross"),
        "that is the sum over all positions, not their mean": ("flatten())", "flatten(), reduction='sum')"),
        "that is the logit of what came; the loss is minus the logarithm of its probability": (
            "F.cross_entropy",
            "F.nll_loss",
        ),
        "one softmax too many: `F.cross_entropy` wants the logits and does it itself": (
            "logits.",
            "logits.softmax(-1).",
        ),
    },
    hints=(
        "`logits.log_softmax(dim=-1)` is the logarithm of every probability, (B, T, V).",
        "`F.cross_entropy` wants the logits as (B * T, V) and the targets as (B * T): `.flatten(0, 1)`, `.flatten()`.",
    ),
)

COSINE = "0.5 * s.learning_rate * (1 + math.cos(math.pi * progress))"
learning_rate = Piece(
    ours.learning_rate,
    title="The learning rate of a step",
    difficulty=2,
    minutes=6,
    probe=lambda learning_rate: [learning_rate(step, SHORT) for step in range(SHORT.max_iters)],
    mistakes={
        "the warm-up is right; after it the rate must fall along half a cosine": (COSINE, "s.learning_rate"),
        "the warm-up is right; after it the rate falls along a straight line": (
            COSINE,
            "s.learning_rate * (1 - progress)",
        ),
        "the warm-up is missing": ("if step < s.warmup_iters", "if False"),
        "step 0 would not move at all: the warm-up starts above 0": (
            "(step + 1) / (s.warmup_iters + 1)",
            "step / s.warmup_iters",
        ),
        "after the warm-up, count from its end: `(step - s.warmup_iters) / (s.max_iters - s.warmup_iters)`": (
            "(step - s.warmup_iters) / (s.max_iters - s.warmup_iters)",
            "step / s.max_iters",
        ),
    },
    hints=(
        "Before `warmup_iters`: `s.learning_rate * (step + 1) / (s.warmup_iters + 1)`.",
        "Then `progress` goes from 0, at step `warmup_iters`, to 1, at step `max_iters`.",
        "`0.5 * s.learning_rate * (1 + math.cos(math.pi * progress))`",
    ),
)


def _moved(make_optimizer: Callable) -> list[Tensor]:
    """A small model's weights after four steps with gradients that turn; some programs go by its names."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"wte": nn.Embedding(5, 4), "ln_norm": nn.LayerNorm(4), "c_fc": nn.Linear(4, 6)})
    optimizer = make_optimizer(model, replace(SHORT, weight_decay=5.0))  # so much that it is seen
    if not hasattr(optimizer, "param_groups"):
        raise Wrong(f"it must return an optimizer with `param_groups`, not {_shape(optimizer)}")
    for step in range(4):
        for group in optimizer.param_groups:
            group["lr"] = SHORT.learning_rate
        for p in model.parameters():
            p.grad = (step + 1) ** 3 * torch.sin(torch.arange(p.numel(), dtype=p.dtype).view_as(p) + step)
        optimizer.step()
    return [p.detach() for p in model.parameters()]


make_optimizer = Piece(
    ours.make_optimizer,
    title="AdamW, with decay for matrices only",
    difficulty=2,
    minutes=8,
    probe=_moved,
    mistakes={
        "vectors (biases, norms) must not decay: give them a group of their own": (": 0.0", ": s.weight_decay"),
        "nothing decays: matrices need `weight_decay=s.weight_decay`": (": s.weight_decay", ": 0.0"),
        "the betas are torch's; ours are `(s.beta1, s.beta2)`": (", betas=(s.beta1, s.beta2)", ""),
        "the betas are torch's, and so is the decay of everything": (
            "AdamW(groups, lr=s.learning_rate, betas=(s.beta1, s.beta2)",
            "AdamW(model.parameters()",
        ),
        "that is Adam, where the decay goes through the gradient; AdamW shrinks the weights themselves": (
            "AdamW",
            "Adam",
        ),
    },
    hints=(
        "`torch.optim.AdamW` takes a list of groups: `{'params': [...], 'weight_decay': ...}`.",
        "Two groups: parameters with `p.dim() >= 2` decay by `s.weight_decay`, the others by 0.",
        "`torch.optim.AdamW(groups, lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)`",
    ),
)


class _Table(nn.Module):
    """The smallest model there is: a table of the next token's logits. It notes how it is called."""

    def __init__(self, table: Tensor):
        super().__init__()
        self.table = nn.Parameter(table)
        self.grad_was_on: list[bool] = []
        self.longest = 0

    def forward(self, idx: Tensor) -> Tensor:
        self.grad_was_on.append(torch.is_grad_enabled())
        self.longest = max(self.longest, idx.shape[1])
        return self.table[idx]


def _trained(train: Callable) -> list[list[float]]:
    def losses(start: int) -> Any:
        model = _Table(3 * _random(TINY.vocab_size, TINY.vocab_size))
        yielded = inspect.unwrap(train)(model, ours.make_optimizer(model, SHORT), TOKENS, SHORT, start)
        return yielded if yielded is None or yielded is ... else list(yielded)

    got = [watch(losses, "train")(start) for start in (0, 9)]
    if not all(isinstance(loss, float) for run in got for loss in run):
        raise Wrong("it must yield numbers, the loss of each step: `yield loss.item()`")
    return got


train = Piece(
    ours.train,
    title="The loop",
    difficulty=3,
    minutes=12,
    probe=_trained,
    mistakes={
        "the weights never move: `optimizer.step()` must come after backward and before zero_grad": (
            "        optimizer.step()\n",
            "",
        ),
        "gradients pile up: `optimizer.zero_grad()` is missing": ("        optimizer.zero_grad()\n", ""),
        "the learning rate never changes: set it in every group, in every step": ('group["lr"] = ', ""),
        "the rate is that of the next step": ("learning_rate(step, s)", "learning_rate(step + 1, s)"),
        "the gradient is not clipped": (
            "        torch.nn.utils.clip_grad_norm_(model.parameters(), s.grad_clip)\n",
            "",
        ),
        "each number is clipped on its own; clip the length of the whole gradient: `clip_grad_norm_`": (
            "clip_grad_norm_",
            "clip_grad_value_",
        ),
        "every step reads the batch of step 0": ("get_batch(tokens, step, s)", "get_batch(tokens, 0, s)"),
        "it always begins at step 0: a run that is resumed begins at `start`": ("range(start, ", "range("),
    },
    hints=(
        "Each step: set the rate, get a batch, loss, backward, clip, step, zero_grad, `yield loss.item()`.",
        "`for group in optimizer.param_groups: group['lr'] = learning_rate(step, s)`",
        "`torch.nn.utils.clip_grad_norm_(model.parameters(), s.grad_clip)` comes between backward and step.",
    ),
)


def _evaluated(evaluate: Callable) -> list:
    model = _Table(3 * _random(TINY.vocab_size, TINY.vocab_size))
    got = evaluate(model, TOKENS, SHORT)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong("it must return two numbers: the mean, and its standard error")
    mean, error = map(float, got)
    of_n = (19 / 20) ** 0.5  # a spread divided by n, as numpy's, instead of n - 1
    known = ours.evaluate(_Table(model.table.detach()), TOKENS, SHORT)[1]
    return [mean, known if abs(error / known - of_n) < 1e-4 else error, any(model.grad_was_on), len(model.grad_was_on)]


evaluate = Piece(
    ours.evaluate,
    title="How good is it? The mean of 20 batches, and its standard error",
    difficulty=2,
    minutes=8,
    probe=_evaluated,
    mistakes={
        "it prepares gradients that nobody needs, which costs time and memory: `@torch.no_grad()`": (
            "@torch.no_grad()",
            "",
        ),
        "it reads one batch 20 times: `get_batch(tokens, i, s)`": (
            "get_batch(tokens, i, s)",
            "get_batch(tokens, 0, s)",
        ),
        "the second number is the spread of single batches; for the mean of 20, divide by sqrt(20)": (
            " / math.sqrt(20)",
            "",
        ),
        "divide the spread of the 20 losses by the square root of 20, not by 20": ("math.sqrt(20)", "20"),
    },
    hints=(
        "The batches of steps 0 to 19 of the held-out tokens will do: `get_batch(tokens, i, s)`.",
        "`losses = torch.stack([...])` makes one tensor; it has `.mean()` and `.std()`.",
        "`return losses.mean().item(), losses.std().item() / math.sqrt(20)`; `@torch.no_grad()` above the function.",
    ),
)


def _saved(save: Callable) -> list[str]:
    """What is in the checkpoint, by what it is, whatever its entries are called."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mine.pt")
        model = _Table(_random(2, 2))
        optimizer = ours.make_optimizer(model, SHORT)
        with suppress(_NotAttempted):  # that it returns nothing is right
            save(path, model, optimizer, 4)
        if not path.exists():
            raise _NotAttempted("`save(path, model, optimizer, 4)` writes no file yet: `torch.save(..., path)`")
        try:
            saved = torch.load(path)
        except Exception:  # it refuses whatever is more than numbers
            raise Wrong("save the `state_dict()` of model and optimizer, not the objects themselves") from None
    if not isinstance(saved, dict):
        raise Wrong("save one dictionary with the four entries")
    entries = {
        "the model's weights": lambda v: isinstance(v, dict) and "table" in v,
        "the optimizer's memory": lambda v: isinstance(v, dict) and "param_groups" in v,
        "the number of the step": lambda v: isinstance(v, int) and v == 4,
        "the state of the random numbers": lambda v: isinstance(v, Tensor) and torch.equal(v, torch.get_rng_state()),
    }
    if missing := [what for what, found in entries.items() if not any(map(found, saved.values()))]:
        raise Wrong(f"this is missing: {', '.join(missing)}")
    return list(entries)


save = Piece(
    ours.save,
    title="A checkpoint has four entries",
    difficulty=2,
    minutes=5,
    probe=_saved,
    hints=(
        "The model and the optimizer have a `state_dict()`; the step is a number; then `torch.get_rng_state()`.",
        "One dictionary with all four: `torch.save({...}, path)`.",
    ),
)


def _written(generate: Callable) -> list:
    """A model that counts upwards, nearly surely when it is cold and half the time at temperature 1."""
    model, start = _Table(2.5 * torch.eye(TINY.vocab_size).roll(1, 1)), torch.tensor([[3], [9]])
    found = []
    for temperature in (0.1, 1.0, 100.0):
        torch.manual_seed(0)
        got = generate(model, start, 60, TINY.block_size, temperature)
        if getattr(got, "shape", None) != (2, 61):
            raise Wrong(
                f"for a start of shape (2, 1) and count = 60 it gives {_shape(got)}, and needed is shape (2, 61)"
            )
        counts = (got.diff(dim=1) % TINY.vocab_size == 1).float().mean()
        found.append("always" if counts > 0.95 else "often" if counts > 0.3 else "seldom")
    return [*found, model.longest <= TINY.block_size, any(model.grad_was_on)]


generate = Piece(
    ours.generate,
    title="Writing: predict, choose, append, repeat",
    difficulty=3,
    minutes=10,
    probe=_written,
    mistakes={
        "the model can read `block_size` tokens, and is given more: `tokens[:, -block_size:]`": (
            "[:, -block_size:]",
            "",
        ),
        "it always takes the likeliest token: draw one, with `torch.multinomial`": (
            "torch.multinomial(logits.softmax(dim=-1), 1)",
            "logits.argmax(-1, keepdim=True)",
        ),
        "the temperature changes nothing: divide the logits by it": (" / temperature", ""),
        "that multiplies by the temperature: divide, so that a low one makes the model surer": ("/ temp", "* temp"),
        "only the last position's logits are about the next token: `[:, -1]`": ("[:, -1]", "[:, 0]"),
        "nobody needs gradients here, and they cost memory with every token: `@torch.no_grad()`": (
            "@torch.no_grad()",
            "",
        ),
    },
    hints=(
        "The model reads at most `block_size` tokens: `tokens[:, -block_size:]`. Only its last position counts.",
        "`torch.multinomial(p, 1)` draws one token from each row of probabilities.",
        "`torch.cat([tokens, new], dim=1)` appends it; divide the logits by the temperature before the softmax.",
    ),
)


# --- one thing changed ------------------------------------------------------------------------------------

rotate = Piece(
    ours.rotate,
    title="Rotary positions: a position is an angle",
    difficulty=3,
    minutes=15,
    probe=lambda rotate: [rotate(_random(1, 2, 6, 4)), rotate(_random(2, 2, 8, 8))],
    mistakes={
        "the second half is turned the other way": (
            "a * cos - b * sin, a * sin + b * cos",
            "a * cos + b * sin, b * cos - a * sin",
        ),
    },
    hints=(
        "Each pair of numbers is a point in a plane: `a, b = x.chunk(2, dim=-1)`. Position t turns it by an angle.",
        "The angles: `torch.outer(torch.arange(T), 1024 ** -torch.linspace(0, 1, width // 2))`.",
        "`torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)`",
    ),
)


def _even(make_muon: Callable) -> list[bool]:
    """For each matrix of a small GPT, in order: did it move evenly in all directions?"""
    torch.manual_seed(0)
    model = GPT(TINY)
    optimizer = make_muon(model, SHORT)
    held = [p for group in getattr(optimizer, "param_groups", []) for p in group["params"]]
    if len(held) != len(set(held)) or set(held) != set(model.parameters()):
        raise Wrong("`param_groups` must hold every parameter of the model, and each only once")
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())) ** 3
    optimizer.step()
    moved = [p.detach() - old for p, old in zip(model.parameters(), before, strict=True) if p.dim() == 2]
    spreads = map(torch.linalg.svdvals, moved)
    found = [bool(spread.max() < 3 * spread.min()) for spread in spreads]
    if found != [name.startswith("h.") for name, p in model.named_parameters() if p.dim() == 2]:
        raise Wrong("Muon is for the matrices inside the blocks (`h.`), and AdamW for everything else")
    return found


make_muon = Piece(
    ours.make_muon,
    needs=[ours.Both],
    title="Muon for the matrices",
    difficulty=3,
    minutes=12,
    probe=_even,
    hints=(
        "`torch.optim.Muon` takes matrices only: those of the blocks, whose names begin with `h.`.",
        "With `adjust_lr_fn='match_rms_adamw'` it can use AdamW's learning rate.",
        "The loop wants one object with `param_groups`, `step` and `zero_grad`: a small class that holds both.",
    ),
)

PIECES = [encode, decode, get_batch, attention, SelfAttention, MLP, Block, MyGPT, loss_of, learning_rate]
PIECES += [make_optimizer, train, evaluate, save, generate]
EXERCISES = [*PIECES, rotate, make_muon]
RECALL, QUIZ = quizzes("09")

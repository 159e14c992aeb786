"""Lesson 09: can you write all of it yourself?

Each piece is compared with ours, in `program_09.py`, by what a probe below sees of it. Titles, hints and known mistakes
are in `pieces_09.md`.
"""

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
from course.piece import Piece, read_pieces, whose
from gptlib import GPT, GPTConfig, TrainConfig

__all__ = ["EXERCISES", "PIECES", "QUIZ", "RECALL", "copy_weights", "whose"]

TINY = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16)
SHORT = TrainConfig(block_size=8, batch_size=4, max_iters=12, warmup_iters=4, learning_rate=0.3, grad_clip=0.1)
TOKENS = torch.from_numpy(np.random.default_rng(0).integers(0, TINY.vocab_size, 200))


_TOLD = read_pieces(Path(__file__).with_name("pieces_09.md"))


def _piece(part: Callable, probe: Callable, **parts: Any) -> Piece:
    return Piece(part, probe=probe, **_TOLD[part.__name__], **parts)


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


# --- text and batches -------------------------------------------------------------------------------------


def _encoded(encode: Callable) -> list[Tensor]:
    got = [encode("abba", ["a", "b"]), encode("to be", list(" beot"))]
    if not all(isinstance(tokens, Tensor) for tokens in got):
        raise Wrong(f"it gives {describe(got[0])}, and a tensor is needed: `torch.tensor(...)`")
    return got


encode = _piece(ours.encode, _encoded)
decode = _piece(
    ours.decode, lambda f: [f(torch.tensor([0, 1, 1, 0]), ["a", "b"]), f(torch.tensor([3, 1]), list(" beo"))]
)
get_batch = _piece(ours.get_batch, lambda f: [f(TOKENS, step, SHORT) for step in (0, 7)])


# --- the model --------------------------------------------------------------------------------------------


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


def _given(x: Tensor) -> Callable:
    """The probe of a module: what it gives for x, with the weights of ours, biases and norms too."""

    def probe(answer: type) -> Tensor:
        name = answer.__name__
        torch.manual_seed(3)
        reference = getattr(ours, name)(TINY)
        for p in reference.parameters():
            nn.init.normal_(p, std=0.5)
        module = watch(answer, name)(TINY)
        if not isinstance(module, nn.Module) or not list(module.parameters()):
            raise _NotAttempted(f"`{name}` has no parts yet: make them in `__init__`")
        copy_weights(reference, module)
        got, want = watch(module, name)(x), reference(x)
        if getattr(got, "shape", None) != want.shape:
            raise Wrong(f"for x of {_shape(x)} it gives {_shape(got)}, not one tensor of {_shape(want)}")
        return got

    return probe


attention = _piece(ours.attention, lambda f: [f(*_random(3, 1, 1, 5, 4)), f(*_random(3, 2, 3, 6, 4))])
SelfAttention, MLP, Block = (
    _piece(part, _given(_random(2, 6, 16))) for part in (ours.SelfAttention, ours.MLP, ours.Block)
)
MyGPT = _piece(ours.MyGPT, _given(torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])))

# --- training ---------------------------------------------------------------------------------------------


loss_of = _piece(ours.loss_of, lambda f: f(_random(2, 3, 5), torch.tensor([[0, 4, 1], [2, 2, 3]])))
learning_rate = _piece(ours.learning_rate, lambda f: [f(step, SHORT) for step in range(SHORT.max_iters)])


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


make_optimizer = _piece(ours.make_optimizer, _moved)


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


train = _piece(ours.train, _trained)


def _evaluated(evaluate: Callable) -> list:
    model = _Table(3 * _random(TINY.vocab_size, TINY.vocab_size))
    got = evaluate(model, TOKENS, SHORT)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong("it must return two numbers: the mean, and its standard error")
    mean, error = map(float, got)
    of_n = (19 / 20) ** 0.5  # a spread divided by n, as numpy's, instead of n - 1
    known = ours.evaluate(_Table(model.table.detach()), TOKENS, SHORT)[1]
    return [mean, known if abs(error / known - of_n) < 1e-4 else error, any(model.grad_was_on), len(model.grad_was_on)]


evaluate = _piece(ours.evaluate, _evaluated)


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


save = _piece(ours.save, _saved)


def _written(generate: Callable) -> list:
    """A model that counts upwards, nearly surely when it is cold and half the time at temperature 1."""
    model, start = _Table(2.5 * torch.eye(TINY.vocab_size).roll(1, 1)), torch.tensor([[3], [9]])
    found = []
    for temperature in (0.1, 1.0, 100.0):
        torch.manual_seed(0)
        got = generate(model, start, 60, TINY.block_size, temperature)
        if getattr(got, "shape", None) != (2, 61):
            raise Wrong(f"for a start of shape (2, 1) and count = 60 it gives {_shape(got)}, not shape (2, 61)")
        counts = (got.diff(dim=1) % TINY.vocab_size == 1).float().mean()
        found.append("always" if counts > 0.95 else "often" if counts > 0.3 else "seldom")
    return [*found, model.longest <= TINY.block_size, any(model.grad_was_on)]


generate = _piece(ours.generate, _written)


# --- one thing changed ------------------------------------------------------------------------------------


def _turned(rotate: Callable) -> list[bool]:
    """Whether it turns: any angles, any pairs and either direction will do, as long as distance alone counts."""
    q, k = _random(2, 1, 2, 1, 8).expand(2, 1, 2, 12, 8)  # the same vector at 12 positions
    turned = rotate(q), rotate(k)
    if turned[0].shape != q.shape:
        raise Wrong(f"for {_shape(q)} it gives {_shape(turned[0])}")
    if not torch.allclose(turned[0].norm(dim=-1), q.norm(dim=-1), rtol=1e-4):
        raise Wrong("turning changes no length, and here it does: `a * cos - b * sin` and `a * sin + b * cos`")
    scores = turned[0] @ turned[1].mT
    if torch.allclose(scores, scores[..., :1, :1], rtol=1e-3):
        raise Wrong("the same vector has the same scores at each position: the angle must grow with the position")
    if not torch.allclose(scores[..., 1:, 1:], scores[..., :-1, :-1], atol=1e-3):
        raise Wrong("a score must depend on how far apart two positions are, not on where: one more turn for each step")
    return [True]


rotate = _piece(ours.rotate, _turned)


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


make_muon = _piece(ours.make_muon, _even, needs=[ours.Both])

PIECES = [encode, decode, get_batch, attention, SelfAttention, MLP, Block, MyGPT, loss_of, learning_rate]
PIECES += [make_optimizer, train, evaluate, save, generate]
EXERCISES = [*PIECES, rotate, make_muon]
RECALL, QUIZ = quizzes("09")

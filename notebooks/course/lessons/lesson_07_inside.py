"""Lesson 07: what happens between tokens and loss; who looks at whom, what it is worth, and how a token is chosen."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from gptlib.decoding import Decoder, KVCache
from matplotlib.axes import Axes
from torch import Tensor

from course.figures import BLUE, COLORS, GREEN, GREY, VERMILION, Picture, new_figure
from course.lessons.figures_04 import visible
from course.lessons.lesson_02_context import MARKERS, next_probabilities
from course.step_costs import parameters_by_part
from gptlib.config import GPTConfig
from gptlib.dataset import Dataset, make_batch, sample_offsets
from gptlib.errors import UserError
from gptlib.model import GPT
from gptlib.sampling import choose, sample_text
from gptlib.tokenizer import CharTokenizer, Tokenizer

Attend = Callable[..., Tensor]  # q, k, v, dropout -> (B, H, T, C / H), as those in `gptlib.model.ATTENTION`
LONGEST_TEXT = 48  # characters on the axis of a map; more could not be read


# --- attention, opened up -------------------------------------------------------------------------------


def scores_of(q: Tensor, k: Tensor) -> Tensor:
    """How well each position's query fits each position's key: (B, H, T, T), rows look, columns are looked at."""
    return q @ k.transpose(-2, -1) / q.size(-1) ** 0.5


def hide_future(scores: Tensor) -> Tensor:
    """The scores with minus infinity wherever a column lies behind its row."""
    future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    return scores.masked_fill(future, float("-inf"))


def weights_of(q: Tensor, k: Tensor) -> Tensor:
    """The attention weights: (B, H, T, T), each row adds up to 1."""
    return hide_future(scores_of(q, k)).softmax(dim=-1)


@contextmanager
def attending_by(model: GPT, make: Callable[[int, Attend], Attend]) -> Iterator[None]:
    """While the block lasts, layer i of the model attends by `make(i, its own attention)`."""
    own = [block.attn.attend for block in model.h]
    try:
        for layer, block in enumerate(model.h):
            block.attn.attend = make(layer, own[layer])
        yield
    finally:
        for block, attend in zip(model.h, own, strict=True):
            block.attn.attend = attend


@torch.no_grad()
def queries_keys_values(model: GPT, tokens: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What each layer's attention is given when the model reads tokens (B, T): q, k, v, (B, H, T, C / H) each."""
    seen = []

    def watching(layer: int, own: Attend) -> Attend:
        def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
            seen.append((q, k, v))
            return own(q, k, v, dropout)

        return attend

    with attending_by(model.eval(), watching):
        model(tokens)
    return seen


def attention_maps(model: GPT, tokens: Tensor) -> Tensor:
    """All attention weights while the model reads tokens (B, T): (layers, B, H, T, T)."""
    return torch.stack([weights_of(q, k) for q, k, _ in queries_keys_values(model, tokens)])


def tokens_of(model: GPT, tokenizer: Tokenizer, text: str) -> Tensor:
    """The text as tokens (1, T).

    Raises:
        UserError: it is empty or too long, or has a character that the model does not know.
    """
    longest = min(LONGEST_TEXT, model.config.block_size)
    if not 1 <= len(text) <= longest:
        raise UserError(f"the text has {len(text)} characters; a map needs 1 to {longest}")
    return torch.from_numpy(tokenizer.encode(text))[None]


# --- reading the stream along the way -------------------------------------------------------------------


@torch.no_grad()
def guesses_by_depth(model: GPT, tokens: Tensor) -> Tensor:
    """What the head would say after the embeddings, after block 1, 2, ...: probabilities (layers + 1, B, T, V).

    The last row is what the model does say; the others were never trained to be read.
    """
    streams = []
    hooks = [block.register_forward_pre_hook(lambda _, args: streams.append(args[0])) for block in model.eval().h]
    hooks.append(model.ln_f.register_forward_pre_hook(lambda _, args: streams.append(args[0])))
    try:
        model(tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([model.lm_head(model.ln_f(x)) for x in streams])


def losses_by_depth(model: GPT, data: Dataset, *, batch_size: int = 128) -> list[float]:
    """The loss on held-out text if the head read the stream after the embeddings, after block 1, 2, ..."""
    x, y = held_out_batch(model, data, batch_size)
    return [F.cross_entropy(logits.flatten(0, 1), y.flatten()).item() for logits in guesses_by_depth(model, x)]


def held_out_batch(model: GPT, data: Dataset, batch_size: int) -> tuple[Tensor, Tensor]:
    """Random windows of the held-out text, the same ones each time: inputs and targets, (B, T) each."""
    block_size = model.config.block_size
    return make_batch(data.val, sample_offsets(data.val, block_size, batch_size, (0,)), block_size)


# --- what a head is worth -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """One attention head: how sharp its map is, and what the model loses without the map."""

    layer: int  # from 0
    head: int  # from 0
    sharpness: float  # the largest weight of a row, in the mean
    cost: float  # rise of the loss in nats when each row is levelled

    @property
    def name(self) -> str:
        """Block and head, counted from 1."""
        return f"{self.layer + 1}.{self.head + 1}"


def level(weights: Tensor) -> Tensor:
    """Weights that look at everything up to themselves alike: (..., T, T)."""
    past = torch.ones(weights.shape[-2:], dtype=weights.dtype, device=weights.device).tril()
    return (past / past.sum(dim=-1, keepdim=True)).expand_as(weights)


def levelling(*heads: tuple[int, int]) -> Callable[[int, Attend], Attend]:
    """For `attending_by`: these heads, (layer, head) each, look at everything alike, all others as ever."""

    def make(layer: int, own: Attend) -> Attend:
        level_here = [head for at, head in heads if at == layer]

        def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
            result = own(q, k, v, dropout).clone()
            result[:, level_here] = level(weights_of(q, k)[:, level_here]) @ v[:, level_here]
            return result

        return attend if level_here else own

    return make


@torch.no_grad()
def cost_of_levelling(model: GPT, data: Dataset, *heads: tuple[int, int], batch_size: int = 64) -> float:
    """Rise of the loss on held-out text, in nats, when these heads are levelled at the same time."""
    x, y = held_out_batch(model.eval(), data, batch_size)
    loss = model(x, y)[1].item()
    with attending_by(model, levelling(*heads)):
        return model(x, y)[1].item() - loss


@torch.no_grad()
def measure_heads(model: GPT, data: Dataset, *, batch_size: int = 64) -> list[Head]:
    """Every head's sharpness and worth, on held-out text."""
    x, _ = held_out_batch(model, data, batch_size)
    later_half = attention_maps(model, x)[:, :, :, model.config.block_size // 2 :]
    sharpness = later_half.amax(dim=-1).mean(dim=(1, 3)).tolist()
    return [
        Head(layer, head, sharp, cost_of_levelling(model, data, (layer, head), batch_size=batch_size))
        for layer, of_layer in enumerate(sharpness)
        for head, sharp in enumerate(of_layer)
    ]


def weight_nearby(model: GPT, data: Dataset, within: int = 3, *, batch_size: int = 64) -> list[float]:
    """For each layer: the share of the attention that falls on the last `within` characters, in the mean."""
    maps = attention_maps(model, held_out_batch(model, data, batch_size)[0])[:, :, :, within:]  # rows with a choice
    T = model.config.block_size
    back = torch.arange(within, T)[:, None] - torch.arange(T)
    near = (back >= 0) & (back < within)
    return (maps * near).sum(dim=-1).mean(dim=(1, 2, 3)).tolist()


# --- parameters -----------------------------------------------------------------------------------------

PART_NAMES = {"wte": "characters or tokens (wte)", "wpe": "positions (wpe)", "attn": "attention", "mlp": "MLP"}


def named_parts(model: GPT) -> dict[str, int]:
    """Where the numbers sit: part in words -> how many of them; what has no name of its own is a norm."""
    parts = parameters_by_part(model)
    named = {words: parts[part] for part, words in PART_NAMES.items()}
    return named | {"norms": sum(parts.values()) - sum(named.values())}


def gpt2_shape() -> GPT:
    """The smallest GPT-2 as a shape without numbers: it takes no memory."""
    with torch.device("meta"):
        return GPT(GPTConfig(vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768))


# --- the cost of the next token ---------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenCost:
    """Seconds for the token behind `length` others, with the cache and without."""

    length: int
    cached: float
    anew: float


@torch.no_grad()
def time_next_token(model: GPT, lengths: Sequence[int], repeats: int = 7) -> list[TokenCost]:
    """How long the model takes to say what follows `length` tokens: the quickest of some trials, taken in turn.

    What else the computer does can only make a trial slower, so the quickest is the nearest to the truth.
    """
    tokens = torch.randint(model.config.vocab_size, (1, model.config.block_size))
    cache = KVCache(model.eval().config, 1)
    decode, costs = Decoder(model, cache), []
    for length in lengths:
        model.hidden_states(tokens[:, : length - 1], cache.memory)
        cache.advance(tokens[:, : length - 1])  # what has been read before
        trials = []
        for _ in range(repeats):
            started = perf_counter()
            decode(tokens[:, length - 1 : length])
            between = perf_counter()
            model.lm_head(model.hidden_states(tokens[:, :length])[:, -1])
            trials.append((between - started, perf_counter() - between))
            cache.length = length - 1  # the next trial reads the same token again
        costs.append(TokenCost(length, *(min(times) for times in zip(*trials, strict=True))))
        cache.clear()
    return costs


@torch.no_grad()
def cache_agrees(model: GPT, tokens: Tensor) -> bool:
    """Are the logits after each token (1, T) the same, but for rounding, with the cache and without?"""
    cache = KVCache(model.eval().config, 1)
    decode = Decoder(model, cache)
    one_by_one = torch.stack([decode(token) for token in tokens.split(1, dim=1)], dim=1)
    return torch.allclose(one_by_one, model(tokens)[0], atol=1e-4)


# --- figures ------------------------------------------------------------------------------------------


def _letters(ax: Axes, text: str, axis: str = "x") -> None:
    """The characters of the text as the ticks of an axis."""
    setter = ax.set_xticks if axis == "x" else ax.set_yticks
    size = 9 if len(text) <= 32 else 7.5
    setter(range(len(text)), [visible(c) for c in text], family="monospace", fontsize=size)


def plot_depth(model: GPT, tokenizer: CharTokenizer, text: str) -> Picture:
    """At each position of the text: the likeliest next character, were it read off after each block."""
    tokens = tokens_of(model, tokenizer, text)
    p = guesses_by_depth(model, tokens)[:, 0].softmax(dim=-1)[:, :-1]  # what follows the last one is not known
    right = tokens[0, 1:]
    of_the_right = p[:, torch.arange(len(right)), right]
    best = p.argmax(dim=-1)
    figure, ax = new_figure(8.4, 2.7)
    ax.imshow(of_the_right.numpy(), cmap="Greens", vmin=0, vmax=1, aspect="auto")
    for row, guesses in enumerate(best.tolist()):
        for column, guess in enumerate(guesses):
            hit = guess == right[column]
            color = "white" if of_the_right[row, column] > 0.55 else "black" if hit else VERMILION
            shown = visible(tokenizer.chars[guess])
            ax.text(column, row, shown, ha="center", va="center", family="monospace", fontsize=10, color=color)
    _letters(ax, text[:-1])
    ax.set_yticks(range(len(p)), ["embeddings only", *(f"after block {i + 1}" for i in range(len(p) - 1))])
    ax.set_xlabel("the model has read up to this character")
    ax.grid(False)
    hits = (best == right).sum(dim=-1).tolist()
    ax.set_title("its likeliest next character; black or white: right; the greener, the surer of the right one")
    ax.title.set(fontsize=9, ha="left", x=0)
    told = ", ".join(f"{n} of {len(right)} after block {i}" for i, n in enumerate(hits) if i)
    alt = f"Right guesses of the next character in {text!r}: {hits[0]} from the embeddings only, {told}."
    return Picture(figure, "the likeliest next character after each block", alt)


def plot_glance(model: GPT, tokenizer: CharTokenizer, text: str, block: int = 1, head: int = 1) -> Picture:
    """How one head divides the attention of the text's last position: bars that add up to 1."""
    row = attention_maps(model, tokens_of(model, tokenizer, text))[block - 1, 0, head - 1, -1]
    figure, ax = new_figure(7.6, 2.6)
    ax.bar(range(len(text)), 100 * row.numpy(), color=BLUE)
    _letters(ax, text)
    ax.set(ylabel="weight (%)", xlabel="the character that is looked at; the last one looks")
    best = row.argsort(descending=True)[:2].tolist()
    back = ", ".join(f"{visible(text[i])} ({len(text) - 1 - i} back) {row[i]:.0%}" for i in best)
    return Picture(figure, "where one position looks", f"Block {block}, head {head}: most weight on {back}.")


def plot_map(model: GPT, tokenizer: CharTokenizer, text: str, block: int = 1, head: int = 1) -> Picture:
    """One head's attention map of a text: the picture of the explorer."""
    weights = attention_maps(model, tokens_of(model, tokenizer, text))[block - 1, 0, head - 1]
    figure, ax = new_figure(6.6, 5.6)
    image = _draw_map(ax, weights)
    _letters(ax, text), _letters(ax, text, "y")
    ax.set(xlabel="is looked at", ylabel="looks")
    ax.set_title(f"block {block}, head {head}", loc="left", fontsize=10)
    figure.colorbar(image, ax=ax, shrink=0.7, label="weight")
    steps = np.arange(len(text))
    back = float((weights * torch.from_numpy(steps[:, None] - steps)).sum(dim=-1).mean())
    alt = f"Attention map of block {block}, head {head} for {text!r}: it looks {back:.1f} characters back in the mean."
    return Picture(figure, "an attention map", alt)


def _draw_map(ax: Axes, weights: Tensor, **style) -> "object":
    """Weights (T, T) in blue, and the future, which nobody may look at, in grey."""
    future = np.triu(np.ones(weights.shape, dtype=bool), 1)
    ax.grid(False)
    ax.imshow(np.where(future, 0.12, np.nan), cmap="Greys", vmin=0, vmax=1)
    return ax.imshow(np.ma.array(weights.numpy(), mask=future), **({"cmap": "Blues", "vmin": 0, "vmax": 1} | style))


def plot_maps(model: GPT, tokenizer: CharTokenizer, text: str) -> Picture:
    """All attention maps of a text: a row for each block, a column for each head."""
    maps = attention_maps(model, tokens_of(model, tokenizer, text))[:, 0]
    layers, heads = maps.shape[:2]
    figure, _ = new_figure(1.9 * heads + 0.4, 1.9 * layers + 0.5)
    figure.clear()
    axes = figure.subplots(layers, heads, squeeze=False)
    for layer, row in enumerate(axes):
        for head, ax in enumerate(row):
            _draw_map(ax, maps[layer, head], vmax=0.6)
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{layer + 1}.{head + 1}", loc="left", fontsize=9)
        row[0].set_ylabel(f"block {layer + 1}", fontsize=10)
    figure.supxlabel("in each map: rows look, columns are looked at", fontsize=10)
    neighbours = maps.diagonal(offset=-1, dim1=-2, dim2=-1).mean(dim=(1, 2))
    told = ", ".join(f"block {i + 1} {share:.0%}" for i, share in enumerate(neighbours.tolist()))
    return Picture(figure, "all attention maps of a text", f"Weight on the character just before, in the mean: {told}.")


def plot_making(model: GPT, tokenizer: CharTokenizer, text: str, block: int = 1, head: int = 1) -> Picture:
    """The three stages of a map: scores, scores with the future hidden, weights."""
    q, k, _ = queries_keys_values(model, tokens_of(model, tokenizer, text))[block - 1]
    scores = scores_of(q, k)[0, head - 1]
    figure, axes = new_figure(9.0, 3.3, columns=3)
    most = scores.abs().max().item()
    stages = ["1. scores: query · key / √d", "2. the future hidden (−∞)", "3. softmax of each row"]
    for ax, values in zip(axes, (scores, hide_future(scores)), strict=False):
        image = ax.imshow(values.masked_fill(values.isinf(), float("nan")).numpy(), cmap="RdBu", vmin=-most, vmax=most)
        figure.colorbar(image, ax=ax, shrink=0.6)
    figure.colorbar(_draw_map(axes[2], weights_of(q, k)[0, head - 1]), ax=axes[2], shrink=0.6)
    for ax, title in zip(axes, stages, strict=True):
        ax.grid(False)
        _letters(ax, text), _letters(ax, text, "y")
        ax.set_title(title, loc="left", fontsize=9)
    axes[0].set(ylabel="looks", xlabel="is looked at")
    alt = (
        f"Three squares for {text!r}: scores from {scores.min():.1f} to {scores.max():.1f}; above the diagonal nothing."
    )
    return Picture(figure, "how an attention map is made", alt)


def largest_weights(
    widths: Sequence[int], positions: int = 32, trials: int = 200, *, seed: int = 0
) -> dict[str, list[float]]:
    """The largest weight that a random query gives to one of some random keys, for each width d of both."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[float]] = {"scores as they are": [], "scores / √d": []}
    for width in widths:
        q, k = (
            torch.randn(trials, 1, width, generator=generator),
            torch.randn(trials, positions, width, generator=generator),
        )
        scores = (q * k).sum(dim=-1)
        for name, values in zip(found, (scores, scores / width**0.5), strict=True):
            found[name].append(values.softmax(dim=-1).amax(dim=-1).mean().item())
    return found


def plot_largest_weights(widths: Sequence[int] = (4, 8, 16, 32, 64, 128)) -> Picture:
    """What the division by √d is for."""
    figure, ax = new_figure(6.8, 3.2)
    alts = []
    for (name, values), color, marker in zip(largest_weights(widths).items(), (VERMILION, BLUE), "so", strict=True):
        ax.semilogx(widths, [100 * v for v in values], color=color, marker=marker, label=name)
        alts.append(f"{name}: {values[0]:.0%} at width {widths[0]}, {values[-1]:.0%} at {widths[-1]}")
    ax.set_xticks(widths, [str(w) for w in widths])
    ax.minorticks_off()
    ax.set(ylim=(0, 100), xlabel="width d of queries and keys", ylabel="largest weight (%)")
    ax.legend(fontsize=9, loc="upper left")
    return Picture(figure, "the largest weight against the width", "; ".join(alts))


def plot_parameters(models: Mapping[str, GPT]) -> Picture:
    """The share of each part in all parameters, a bar for each model."""
    figure, ax = new_figure(8.0, 0.7 * len(models) + 1.3)
    alts = []
    for row, (name, model) in enumerate(models.items()):
        parts, total, start = named_parts(model), model.num_parameters(), 0.0
        for (part, size), color in zip(parts.items(), COLORS, strict=False):
            share = 100 * size / total
            ax.barh(row, share, left=start, color=color, label=part if row == 0 else None, height=0.55)
            if share > 4:
                ax.text(start + share / 2, row, f"{share:.0f} %", ha="center", va="center", color="white", fontsize=9)
            start += share
        told = ", ".join(f"{part} {size / total:.1%}" for part, size in parts.items())
        alts.append(f"{name}, {total:,} parameters: {told}")
    ax.set_yticks(range(len(models)), [f"{name}\n{model.num_parameters():,}" for name, model in models.items()])
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="share of the parameters (%)")
    ax.grid(False)
    figure.legend(loc="outside upper center", ncols=5, fontsize=8.5)
    return Picture(figure, "where the parameters sit", "; ".join(alts))


def plot_heads(heads: Sequence[Head]) -> Picture:
    """What levelling a head costs, against how sharp its map is."""
    figure, ax = new_figure(7.0, 3.8)
    for layer in sorted({head.layer for head in heads}):
        own = [head for head in heads if head.layer == layer]
        style = {"color": COLORS[layer % len(COLORS)], "marker": MARKERS[layer % len(MARKERS)]}
        ax.plot(
            [100 * h.sharpness for h in own], [h.cost for h in own], ls="", ms=8, label=f"block {layer + 1}", **style
        )
    worth_a_name = [h for h in heads if h.cost > 0.1 * max(h.cost for h in heads) or h.sharpness > 0.35]
    for head in worth_a_name:  # the others lie upon each other
        ax.annotate(head.name, (100 * head.sharpness, head.cost), xytext=(7, 3), textcoords="offset points", fontsize=8)
    ax.axhline(0, color=GREY, lw=1)
    ax.set(xlim=(0, 100), xlabel="sharpness: largest weight of a row, in the mean (%)")
    ax.set_ylabel("rise of the loss\nwhen the head is levelled (nats)")
    ax.legend(fontsize=9, loc="upper right")
    alt = "; ".join(f"head {h.name}: sharpness {h.sharpness:.0%}, levelled +{h.cost:.3f} nats" for h in heads)
    return Picture(figure, "what each head's map is worth", alt)


def plot_choice(
    model: GPT,
    tokenizer: CharTokenizer,
    text: str,
    temperature: float = 1.0,
    top_k: int = 63,
    *,
    shown: int = 16,
    draws: int = 300,
) -> Picture:
    """The chance of each next character under temperature and top_k, and what some draws gave."""
    p = next_probabilities(model, tokenizer, text)
    chances = choosing_chances(p.log(), temperature, top_k)
    figure, ax = new_figure(7.4, 3.4)
    _draw_choice(ax, tokenizer, p, chances, shown)
    generator = torch.Generator().manual_seed(0)
    drawn = choose(p.log().expand(draws, -1), temperature, top_k, generator).bincount(minlength=len(p)) / draws
    order = p.argsort(descending=True)[:shown]
    ax.plot(range(shown), 100 * drawn[order].numpy(), "o", color="black", ms=5, label=f"{draws} draws")
    ax.set_title(f"temperature {temperature:g}, top_k {top_k}", loc="left", fontsize=10)
    ax.legend(fontsize=9, loc="upper right")
    first = tokenizer.chars[order[0]]
    possible = int((chances > 0).sum())
    alt = f"After {text[-20:]!r}: {visible(first)} {chances[order[0]]:.0%}; {possible} of {len(p)} characters possible."
    return Picture(figure, "the chance of each next character", alt)


def choosing_chances(logits: Tensor, temperature: float, top_k: int) -> Tensor:
    """The probabilities by which `gptlib.sampling.choose` draws, from logits (V,)."""
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).float()
    kept = logits >= logits.topk(min(top_k, len(logits))).values[-1]
    return (logits / temperature).masked_fill(~kept, float("-inf")).softmax(dim=-1)


def _draw_choice(ax: Axes, tokenizer: CharTokenizer, p: Tensor, chances: Tensor, shown: int) -> None:
    order = p.argsort(descending=True)[:shown]
    ax.bar(range(shown), 100 * p[order].numpy(), color="none", edgecolor=GREY, lw=1, label="what the model says")
    ax.bar(range(shown), 100 * chances[order].numpy(), color=BLUE, width=0.5, label="chance to be chosen")
    ax.set_xticks(range(shown), [visible(tokenizer.chars[token]) for token in order], family="monospace", fontsize=10)
    ax.set(ylim=(0, 100), xlabel="next character", ylabel="probability (%)")


def plot_choices(model: GPT, tokenizer: CharTokenizer, text: str, settings: Sequence[tuple[float, int]]) -> Picture:
    """The same next character under several (temperature, top_k), side by side."""
    p = next_probabilities(model, tokenizer, text)
    figure, axes = new_figure(8.8, 3.2, columns=len(settings))
    alts = []
    for ax, (temperature, top_k) in zip(axes, settings, strict=True):
        chances = choosing_chances(p.log(), temperature, top_k)
        _draw_choice(ax, tokenizer, p, chances, 10)
        ax.set_title(f"temperature {temperature:g}, top_k {top_k}", loc="left", fontsize=9)
        alts.append(f"temperature {temperature:g}, top_k {top_k}: the likeliest has {chances.max():.0%}")
    for ax in axes[1:]:
        ax.set_ylabel("")
    axes[0].legend(fontsize=8, loc="upper right")
    return Picture(figure, "the next character under several temperatures", "; ".join(alts))


def plot_samples(
    model: GPT, tokenizer: CharTokenizer, start: str, settings: Sequence[tuple[float, int]], length: int = 150
) -> Picture:
    """What the model writes after `start` under several (temperature, top_k)."""
    figure, ax = new_figure(8.4, 0.95 * len(settings))
    ax.axis("off")
    alts = []
    for row, (temperature, top_k) in enumerate(settings):
        written = sample_text(model, tokenizer, start, length, temperature=temperature, top_k=top_k, seed=1)
        lines = textwrap.wrap(start + written.replace("\n", "↵"), 72, drop_whitespace=False)
        ax.text(0, row, f"temperature {temperature:g}\ntop_k {top_k}", fontsize=9, va="top", color=BLUE)
        ax.text(1.6, row, "\n".join(lines), fontsize=9, family="monospace", va="top")
        alts.append(f"temperature {temperature:g}, top_k {top_k}: {written[:60]!r}")
    ax.set(xlim=(0, 9), ylim=(len(settings) - 0.1, -0.1))
    return Picture(figure, "what it writes under several temperatures", "; ".join(alts))


def plot_token_costs(costs: Sequence[TokenCost]) -> Picture:
    """Tokens a second against the length of what stands before, with the cache and without."""
    figure, ax = new_figure(7.0, 3.6)
    lengths = [cost.length for cost in costs]
    alts = []
    for name, seconds, color, marker in (
        ("with the cache: one row", [c.cached for c in costs], GREEN, "o"),
        ("without: the whole text again", [c.anew for c in costs], VERMILION, "s"),
    ):
        speeds = [1 / s for s in seconds]
        ax.loglog(lengths, speeds, color=color, marker=marker, label=name)
        alts.append(f"{name}: {speeds[0]:.0f} tokens/s after {lengths[0]}, {speeds[-1]:.0f} after {lengths[-1]}")
    ax.set_xticks(lengths, [str(n) for n in lengths])
    ticks = [t for t in (10, 30, 100, 300, 1000, 3000, 10000) if ax.get_ylim()[0] < t < ax.get_ylim()[1]]
    ax.set_yticks(ticks, [f"{t:,}" for t in ticks])
    ax.minorticks_off()
    ax.set(xlabel="tokens before", ylabel="tokens per second")
    ax.legend(fontsize=9, loc="lower left")
    return Picture(figure, "tokens a second with the cache and without", "; ".join(alts))

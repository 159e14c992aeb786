"""Lesson 04: the loss along real weights, autograd against differences, and gradients and updates by layer."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from course.figures import BLUE, COLORS, GREEN, GREY, VERMILION, Picture, new_figure
from course.lab.curves import MARKERS
from course.lab.lab import Lab
from course.lab.runs import Run
from gptlib.config import GPTConfig
from gptlib.dataset import Dataset, make_batch, sample_offsets
from gptlib.events import Event, TrainStep
from gptlib.model import GPT
from gptlib.tokenizer import CharTokenizer
from gptlib.trainer import Trainer

Batch = tuple[Tensor, Tensor]  # tokens and the tokens that follow them, (B, T) int64 each


def fixed_batch(data: Dataset, block_size: int = 32, batch_size: int = 16, seed: int = 0) -> Batch:
    """Random windows of the training text, the same ones for the same seed."""
    return make_batch(data.train, sample_offsets(data.train, block_size, batch_size, (seed,)), block_size)


def batch_loss(model: GPT, batch: Batch) -> float:
    """The loss of this batch, in nats a token, without dropout and without gradients."""
    was_training = model.training
    with torch.no_grad():
        loss = model.eval()(*batch)[1].item()
    model.train(was_training)
    return loss


def gradients(model: GPT, batch: Batch) -> dict[str, Tensor]:
    """The gradient of the batch's loss, without dropout, for each parameter by its name; `.grad` stays as it was."""
    was_training = model.training
    names, parameters = zip(*model.named_parameters(), strict=True)
    slopes = torch.autograd.grad(model.eval()(*batch)[1], parameters)
    model.train(was_training)
    return dict(zip(names, slopes, strict=True))


# --- one weight ---------------------------------------------------------------------------------------


class OneWeight:
    """One of the model's numbers, and what the loss of a batch does while it moves and all others stay.

    Losses are kept, since a slider comes back to the same places; so make a new one after training on.

    Args:
        model: in float64 the curves are smooth to the last pixel.
        batch: whose loss is watched.
        parameter: name of the tensor that the number is in.
        index: its place in there.
        label: what it is, in words.
    """

    def __init__(self, model: GPT, batch: Batch, parameter: str, index: tuple[int, ...], label: str):
        self.model, self.batch, self.parameter, self.index, self.label = model, batch, parameter, index, label
        self.trained_value = self.value
        self._losses: dict[float, float] = {}

    @property
    def tensor(self) -> Tensor:
        """The parameter that it is in."""
        return self.model.get_parameter(self.parameter)

    @property
    def value(self) -> float:
        """Its value now."""
        return self.tensor[self.index].item()

    def at(self, value: float, measure: Callable[[], Any]) -> Any:
        """What `measure` finds while the weight has this value; afterwards it has its old one again."""
        before = self.value
        try:
            self._set(value)
            return measure()
        finally:
            self._set(before)

    @torch.no_grad()
    def _set(self, value: float) -> None:
        self.tensor[self.index] = value

    def loss_at(self, value: float) -> float:
        """The loss if the weight had this value."""
        if value not in self._losses:
            self._losses[value] = self.at(value, lambda: batch_loss(self.model, self.batch))
        return self._losses[value]

    def gradient_at(self, value: float) -> float:
        """The slope of the loss at this value, by autograd: nats per unit of the weight."""
        return self.at(value, lambda: gradients(self.model, self.batch)[self.parameter][self.index].item())

    def difference_at(self, value: float, h: float) -> float:
        """The same slope from two losses, a step of h to each side: no calculus."""
        up, down = (self.at(value + d, lambda: batch_loss(self.model, self.batch)) for d in (h, -h))
        return (up - down) / (2 * h)


def steepest_weights(model: GPT, batch: Batch, tokenizer: CharTokenizer) -> dict[str, OneWeight]:
    """Among the numbers that describe the characters: the one with the largest and with the lowest gradient."""
    gradient = gradients(model, batch)["wte.weight"]
    found = {}
    for name, place in (("positive", gradient.argmax()), ("negative", gradient.argmin())):
        token, column = divmod(place.item(), gradient.size(1))
        label = f"number {column} of the character {visible(tokenizer.decode([token]))}"
        found[name] = OneWeight(model, batch, "wte.weight", (token, column), label)
    return found


def key_bias(model: GPT, batch: Batch, layer: int = 0) -> OneWeight:
    """A weight whose gradient is zero wherever it stands.

    What is added to all keys adds the same amount to all scores of a row, and softmax ignores that.
    """
    index = model.config.n_embd  # in c_attn queries come first, then keys, then values
    return OneWeight(model, batch, f"h.{layer}.attn.c_attn.bias", (index,), f"a key bias in block {layer + 1}")


def visible(character: str) -> str:
    """A character as it can be seen in a plot."""
    return {"\n": "↵", " ": "␣"}.get(character, character)


# --- autograd against differences -----------------------------------------------------------------------


def difference_errors(weight: OneWeight, h: Sequence[float], dtype: torch.dtype) -> np.ndarray:
    """How far the difference quotient lies from autograd's slope, relative to it, for each h: computed in `dtype`.

    Autograd's slope is taken in the weight's own model, so that should be a float64 one.
    """
    model = copy.deepcopy(weight.model).to(dtype)
    same = OneWeight(model, weight.batch, weight.parameter, weight.index, weight.label)
    slope = weight.gradient_at(weight.value)
    return np.array([abs(same.difference_at(same.value, step) / slope - 1) for step in h])


# --- all weights ----------------------------------------------------------------------------------------


def losses_downhill(model: GPT, batch: Batch, steps: Iterable[float]) -> tuple[np.ndarray, float]:
    """The loss after one step of each length along the negative gradient of all weights at once.

    Returns:
        the losses, and the squared length of the gradient: what a straight line would fall per unit of step.
    """
    slopes = gradients(model, batch)
    moved = copy.deepcopy(model)
    losses = []
    for step in steps:
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                parameter.copy_(model.get_parameter(name) - step * slopes[name])
        losses.append(batch_loss(moved, batch))
    return np.array(losses), sum(g.square().sum().item() for g in slopes.values())


def logit_gradients(model: GPT, tokenizer: CharTokenizer, text: str) -> tuple[Tensor, Tensor, int]:
    """For the guess of the last character of `text` from those before it: p (V,), the loss's gradient (V,), its token.

    The gradient is that with respect to the logits, the scores that softmax turns into p.
    """
    tokens = torch.from_numpy(tokenizer.encode(text))
    with torch.no_grad():
        scores = model.eval()(tokens[None, :-1])[0][0, -1]
    scores.requires_grad_()
    loss = torch.nn.functional.cross_entropy(scores[None], tokens[-1:])
    (gradient,) = torch.autograd.grad(loss, scores)
    return scores.detach().softmax(dim=0), gradient, tokens[-1].item()


# --- by layer, over a run -------------------------------------------------------------------------------


def layer_names(config: GPTConfig) -> dict[str, tuple[str, ...]]:
    """What is measured together: name -> how the parameters' names begin."""
    blocks = {f"block {i + 1}": (f"h.{i}.",) for i in range(config.n_layer)}
    return {"embeddings": ("wte.", "wpe."), **blocks}


class LayerSizes:
    """Gradients and updates of a model in training, by layer.

    The Trainer clears its gradients before it yields an event. So the gradient is measured on a batch
    of our own, at the weights as they stand, and the update is what changed since the event before.

    Args:
        model: the one that a Trainer trains, with log_interval = 1.
        batch: whose gradient is measured.
        every: steps between two measurements.
    """

    def __init__(self, model: GPT, batch: Batch, every: int = 5):
        self.model, self.batch, self.every = model, batch, every
        self.layers = layer_names(model.config)
        self.steps: list[int] = []
        self.gradients: dict[str, list[float]] = {name: [] for name in self.layers}
        self.updates: dict[str, list[float]] = {name: [] for name in self.layers}
        self._before = self._weights()

    def consume(self, event: Event) -> None:
        """Measure, if the event is a step whose turn it is."""
        if not isinstance(event, TrainStep):
            return
        now = self._weights()
        if event.step % self.every == 0:
            slopes = gradients(self.model, self.batch)
            self.steps.append(event.step)
            for layer in self.layers:
                old, new, slope = (self._gather(layer, tensors) for tensors in (self._before, now, slopes))
                self.gradients[layer].append(slope.square().mean().sqrt().item())
                self.updates[layer].append(((new - old).norm() / old.norm()).item())
        self._before = now

    def ratio(self, sizes: dict[str, list[float]], one: str, other: str) -> float:
        """How many times as large one layer's gradients or updates are as another's, typically in the later half."""
        half = len(self.steps) // 2
        return float(np.median(np.divide(sizes[one][half:], sizes[other][half:])))

    def _weights(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def _gather(self, layer: str, tensors: dict[str, Tensor]) -> Tensor:
        return torch.cat([t.flatten() for name, t in tensors.items() if name.startswith(self.layers[layer])])


class LayerLab(Lab):
    """A live run that shows gradients and updates by layer instead of losses; arguments as those of `Lab`."""

    def __init__(self, *sliders: str, title: str = "Gradients and updates by layer", **settings: Any):
        self.sizes: WeakKeyDictionary[Run, LayerSizes] = WeakKeyDictionary()
        super().__init__(*sliders, title=title, **{"log_interval": 1, **settings})

    def make_trainer(self, run: Run) -> Trainer:
        """What trains, and beside it what measures its layers."""
        trainer = super().make_trainer(run)
        self.sizes[run] = LayerSizes(trainer.model, fixed_batch(self.dataset, run.config.block_size))
        return trainer

    def watch(self, run: Run, event: Event) -> None:
        """Measure."""
        self.sizes[run].consume(event)

    def frame(self, run: Run | None) -> tuple[bytes, str]:
        """Gradients on the left, updates on the right."""
        sizes, steps = (self.sizes.get(run), run.config.max_iters) if run else (None, self.base.max_iters)
        picture = plot_layer_sizes(sizes, steps, self.plot_title(run))
        return picture.png, picture.alt


# --- figures ------------------------------------------------------------------------------------------


def draw_weight(ax: Axes, weight: OneWeight, value: float, reach: float, color: str = BLUE) -> float:
    """The loss along a weight, a dot at `value` and the tangent there; returns the slope."""
    values = np.linspace(-reach, reach, 41)
    slope, loss = weight.gradient_at(value), weight.loss_at(value)
    ax.plot(values, [weight.loss_at(v) for v in values], color=color, lw=2, label="loss")
    near = np.array([-0.45, 0.45]) * reach + value
    ax.plot(near, loss + slope * (near - value), color=VERMILION, lw=1.6, label="tangent")
    ax.plot([value], [loss], "o", color=VERMILION, ms=7, zorder=3)
    ax.set(xlim=(-reach * 1.03, reach * 1.03), xlabel="value of the weight")
    return slope


def meaning(slope: float, tiny: float = 1e-6) -> str:
    """What a gradient's sign says."""
    if abs(slope) < tiny:
        return "zero"
    return "positive" if slope > 0 else "negative"


def plot_weights(weights: Sequence[OneWeight], reach: float = 1.5) -> Picture:
    """Several weights side by side, each at its trained value, with its tangent."""
    figure, axes = new_figure(7.8, 3.2, columns=len(weights))
    told = []
    for ax, weight in zip(axes, weights, strict=True):
        slope = draw_weight(ax, weight, weight.trained_value, reach)
        told.append(f"{weight.label}: gradient {meaning(slope)} ({slope:.2g})")
        ax.set_title(f"{weight.label}\ngradient {_signed(slope)}", loc="left", fontsize=9)
    low, high = (f(ax.get_ylim()[i] for ax in axes) for i, f in enumerate((min, max)))
    for ax in axes:
        ax.set_ylim(low, high)
    axes[0].set_ylabel("loss (nats per character)")
    axes[-1].legend(loc="upper right", fontsize=8)
    return Picture(figure, "the loss along single weights, with tangents", "; ".join(told))


def _signed(slope: float) -> str:
    return "0" if meaning(slope) == "zero" else f"{slope:+.2g}".replace("-", "−")


def plot_weight(weight: OneWeight, value: float, reach: float = 1.5) -> Picture:
    """One weight at any value: the picture of the explorer."""
    figure, ax = new_figure(7.2, 3.6)
    slope = draw_weight(ax, weight, value, reach)
    trained = weight.trained_value
    ax.plot([trained], [weight.loss_at(trained)], "o", mfc="none", mec=GREY, ms=10, label="as trained")
    says = {
        "positive": "to the right the loss rises: move the weight left",
        "negative": "to the right the loss falls: move the weight right",
        "zero": "level here: a small move changes nothing",
    }[meaning(slope, 5e-4)]
    low, high = ax.get_ylim()
    curve = [weight.loss_at(v) for v in np.linspace(-reach, reach, 41)]
    margin = 0.15 * max(max(curve) - min(curve), 0.02)
    ax.set_ylim(max(low, min(curve) - margin), min(high, max(curve) + margin))
    ax.set_title(f"{weight.label}: gradient {_signed(slope)}\n{says}", loc="left", fontsize=10)
    ax.set_ylabel("loss (nats per character)")
    ax.legend(loc="upper center", fontsize=8)
    alt = f"{weight.label} at {value:.2f}: loss {weight.loss_at(value):.3f}, gradient {_signed(slope)}; {says}."
    return Picture(figure, "the loss along one weight, with its tangent", alt)


def plot_difference_errors(weight: OneWeight) -> Picture:
    """The error of the difference quotient against its step h, in float32 and in float64."""
    figure, ax = new_figure(7.2, 3.6)
    steps = 10.0 ** np.arange(-12, 0.6, 0.5)
    best = []
    for dtype, name, digits, color, marker in (
        (torch.float32, "float32", 7, VERMILION, "s"),
        (torch.float64, "float64", 16, BLUE, "o"),
    ):
        errors = difference_errors(weight, steps, dtype)
        best.append(f"{name}: smallest error {errors.min():.0e} at h = {steps[errors.argmin()]:.0e}")
        label = f"{name} ({digits} digits)"
        ax.loglog(steps, errors.clip(1e-13), color=color, marker=marker, ms=4, label=label)
    ax.set(xlabel="h: how far the weight is moved to each side", ylabel="error, as a share of the slope")
    ax.set_ylim(1e-13, 1e4)
    ax.text(0.02, 0.95, "← the difference drowns in rounding", transform=ax.transAxes, va="top", fontsize=9, color=GREY)
    ax.text(0.98, 0.95, "the curve bends →", transform=ax.transAxes, va="top", ha="right", fontsize=9, color=GREY)
    ax.legend(loc="lower left", fontsize=8)
    return Picture(figure, "error of the difference quotient against its step", "; ".join(best))


def plot_pulls(model: GPT, tokenizer: CharTokenizer, text: str, shown: int = 24) -> Picture:
    """The gradient of one guess with respect to each character's score: bars, the likeliest characters first."""
    p, gradient, right = logit_gradients(model, tokenizer, text)
    order = p.argsort(descending=True)[:shown].tolist()
    order = order if right in order else [*order[:-1], right]
    figure, ax = new_figure(7.4, 3.2)
    bars = ax.bar(range(shown), gradient[order].numpy(), color=[GREEN if t == right else GREY for t in order])
    ax.set_axisbelow(True)
    ax.axhline(0, color="black", lw=0.8)
    ax.set_xticks(range(shown), [visible(tokenizer.decode([t])) for t in order])
    name = visible(tokenizer.decode([right]))
    ax.legend(
        [bars[order.index(right)], bars[order.index(right) - 1]],
        [f"{name}, the character that came", "all others"],
        loc="lower right",
        fontsize=9,
    )
    ax.set(xlabel=f"the {shown} likeliest next characters, the likeliest first", ylabel="gradient of the loss")
    before = "".join(map(visible, text[:-1]))
    ax.set_title(f"after “{before}”", loc="left", fontsize=10)
    alt = f"Gradient {gradient[right]:.2f} for {name}; for all others above 0, at most {gradient.max():.2f}."
    return Picture(figure, "the gradient of one guess for each character", alt)


def plot_downhill(model: GPT, batch: Batch, longest: float = 1.0) -> Picture:
    """The loss after one step downhill with all weights, and what the tangent promised, against the step's length."""
    steps = np.linspace(0, longest, 31)
    losses, fall = losses_downhill(model, batch, steps)
    best, level = int(losses.argmin()), losses[0]
    figure, ax = new_figure(7.2, 3.6)
    ax.plot(steps, losses, color=BLUE, lw=2, label="the loss after the step")
    ax.plot(steps, level - fall * steps, color=VERMILION, lw=1.6, label="what the tangent promised")
    ax.axhline(level, color=GREY, lw=1, ls=":")
    ax.text(steps[-1], level, "the loss before the step", ha="right", va="top", fontsize=8, color=GREY)
    ax.plot([steps[best]], [losses[best]], "o", color=BLUE, ms=7)
    spread = max(level - losses[best], 1e-3)
    ax.set(xlabel="learning rate: the step is this times the gradient", ylabel="loss (nats per character)")
    ax.set_ylim(level - 2.2 * spread, max(level + 1.5 * spread, min(losses[-1], level + 2.2 * spread)))
    ax.legend(loc="upper left", fontsize=9)
    alt = f"Loss {level:.2f} before the step; best after a step of {steps[best]:.2f}: {losses[best]:.2f}, where the "
    alt += f"tangent promised {level - fall * steps[best]:.2f}; after a step of {longest:g}: {losses[-1]:.2f}."
    return Picture(figure, "the loss after one step of several lengths", alt)


def plot_losses(curves: dict[str, Sequence[float]]) -> Picture:
    """The losses of training batches, step by step: name of the run -> losses."""
    figure, ax = new_figure(7.2, 3.2)
    told = []
    for (name, losses), color, style in zip(curves.items(), COLORS, ("-", "--", ":"), strict=False):
        ax.plot(losses, style, color=color, lw=1.5, label=name)
        told.append(f"{name}: loss {losses[0]:.1f} at first, {np.mean(losses[-10:]):.1f} over the last ten steps")
    ax.set(xlabel="step", ylabel="loss (nats per character)")
    ax.legend(loc="upper right", fontsize=9)
    return Picture(figure, "losses of " + " and ".join(curves), "; ".join(told))


def plot_layer_sizes(sizes: LayerSizes | None, max_iters: int, title: str = "") -> Picture:
    """Gradients, and updates relative to the weights, by layer: lines over the steps of a run."""
    figure, (left, right) = new_figure(7.8, 3.6, columns=2)
    figure.suptitle(title, fontsize=10)
    told = []
    for i, layer in enumerate(sizes.layers if sizes else ()):
        style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)], "ms": 3.5, "markevery": 3}
        left.plot(sizes.steps, sizes.gradients[layer], label=layer, lw=1.2, **style)
        right.plot(sizes.steps, sizes.updates[layer], label=layer, lw=1.2, **style)
        if sizes.steps:
            told.append(f"{layer}: gradient {sizes.gradients[layer][-1]:.1e}, update {sizes.updates[layer][-1]:.2%}")
    left.set_title("gradient of a typical weight", loc="left", fontsize=10)
    right.set_title("one update, as a share of the weights", loc="left", fontsize=10)
    left.set_ylabel("root mean square (nats per unit)")
    for ax in (left, right):
        ax.set(xlabel="step", xlim=(-0.02 * max_iters, 1.02 * max_iters), yscale="log")
        if not told:
            ax.set_ylim(1e-4, 1e-1)  # a logarithmic axis cannot be empty
    right.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    if told:
        right.legend(fontsize=8, loc="lower center")  # the rate climbs and falls, so the middle is free
    return Picture(figure, "gradients and updates by layer", "; ".join(told) or "no run yet")


def plot_clipping(events: Iterable[Event], grad_clip: float = 1.0) -> Picture:
    """The length of the gradient at each logged step, with the line at which it is cut."""
    steps = [e for e in events if isinstance(e, TrainStep)]
    norms = np.array([e.grad_norm for e in steps])
    figure, ax = new_figure(7.2, 3.2)
    ax.semilogy([e.step for e in steps], norms, color=BLUE, lw=1.2, label="length of the gradient")
    ax.axhline(grad_clip, color=VERMILION, lw=1.5, ls="--", label=f"grad_clip = {grad_clip:g}")
    ticks = [0.5, 1, 2, 5, 10]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set(xlabel="step", ylabel="length of the gradient")
    ax.legend(loc="upper right", fontsize=9)
    alt = f"Length of the gradient: {norms[0]:.1f} at the first step, typically {np.median(norms[10:]):.1f} later; "
    alt += f"{(norms > grad_clip).mean():.0%} of the steps were clipped."
    return Picture(figure, "the length of the gradient over a run", alt)

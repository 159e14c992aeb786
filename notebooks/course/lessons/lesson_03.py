"""Lesson 03: how do we know that it learns?"""

import math
import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.lessons import Exercise, InOrder, SameAs, SameValue, Wrong, quizzes
from course.prediction import Prediction

# Macbeth, act 5: 20 letters to guess, each among five that are likely there.
GUESS_START, GUESS_REST = "Life's but a walking ", "shadow, a poor playe"
GUESS_CHOICES = ["tahso", "tiuoh", "eoair", "ldrpm", "o\n se", "r: pw", "s, en", " n-'\n", "mstab", " rnls"]
GUESS_CHOICES += ["wpsfm", "roael", "wiuso", "nlhpr", ",\n s.", "amhtp", "orael", "auoie", "niygc", "s,e '"]

predict_eval_interval = Prediction(
    "You evaluate every 5 steps instead of every 50. What happens to the training curve, the thin line?",
    choices=(
        "It falls faster: the model gets corrected more often",
        "It falls more slowly: the model gets interrupted more often",
        "It stays exactly the same, but the run takes longer",
    ),
    answer=2,
    why="An evaluation changes no weight and draws its own random batches. But it takes time: see the seconds.",
)

# --- exercises -------------------------------------------------------------------------------------------

loss_of_guessing = Exercise(
    name="loss_of_guessing",
    title="The loss of pure guessing",
    difficulty=1,
    minutes=3,
    check=SameAs(
        lambda vocab_size: math.log(vocab_size),
        inputs=[(62,), (2,)],
        random_input=lambda rng: (rng.randint(3, 50_000),),
        mistakes={
            "that is the logarithm to base 2, so it counts bits; the loss counts nats": lambda v: math.log2(v),
            "that is the logarithm to base 10; the loss uses the natural one": lambda v: math.log10(v),
            "that is the probability of one character; the loss is minus its logarithm": lambda v: 1 / v,
            "the sign is lost: the loss is minus the logarithm of 1 / V": lambda v: -math.log(v),
        },
    ),
    hints=(
        "Equally likely: each of the V characters has the probability 1 / V.",
        "The loss of one character is minus the natural logarithm of the probability that it was given.",
        "`-log(1 / V)` is `log(V)`; `math.log` is the natural logarithm.",
    ),
    solution="""
        import math

        def loss_of_guessing(vocab_size):
            return -math.log(1 / vocab_size)
    """,
)


def _check_random_batch(random_batch):
    tokens = torch.arange(100, 160)  # each token tells its place
    batches = [_batch(random_batch, tokens, 5, 40) for _ in range(2)]
    for x, y in batches:
        if torch.equal(y, x):
            raise Wrong("the targets are the inputs themselves; they should be one token further on")
        if torch.equal(y, x - 1):
            raise Wrong("inputs and targets have changed places: the target is the token that comes next")
        if not torch.equal(x[:, 1:], x[:, :-1] + 1):
            raise Wrong("a row has to be a piece of the text as it stands: neighbors there are neighbors here")
        if not torch.equal(y, x + 1):
            raise Wrong("the target of each token is the one that follows it in the text")
        if (x[:, 0] == x[0, 0]).all():
            raise Wrong("all rows are the same window: draw a start for each row")
    if torch.equal(batches[0][0], batches[1][0]):
        raise Wrong("two calls give the same batch: draw new starts each time, and set no seed in there")
    starts = set(_batch(random_batch, tokens[:7], 5, 200)[0][:, 0].tolist())
    if starts != {100, 101}:
        raise Wrong("in a text of block_size + 2 tokens, a window can start at 0 or at 1: one of them never came")


def _batch(answer, tokens: Tensor, block_size: int, batch_size: int) -> tuple[Tensor, Tensor]:
    try:
        batch = answer(tokens, block_size, batch_size)
    except Wrong as error:
        if not any(sign in str(error) for sign in ("equal size", "out of bounds")):
            raise
        raise Wrong(f"{error}. A window ran over the end of the text: where must the last one start?") from None
    if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not all(isinstance(t, Tensor) for t in batch):
        raise Wrong("return two tensors: `return x, y`")
    for name, tensor in zip("xy", batch, strict=True):
        if tensor.shape != (batch_size, block_size):
            shape = tuple(tensor.shape)
            raise Wrong(f"`{name}` has the shape {shape}; (batch_size, block_size) is {(batch_size, block_size)}")
    return batch[0], batch[1]


random_batch = Exercise(
    name="random_batch",
    title="A batch at random",
    difficulty=2,
    minutes=10,
    check=_check_random_batch,
    hints=(
        "Draw `batch_size` starts, cut `block_size + 1` tokens at each, then split into inputs and targets.",
        "`torch.randint(high, (n,))` draws n numbers below `high`. The last start is `len(tokens) - block_size - 1`.",
        "`torch.stack([tokens[s : s + block_size + 1] for s in starts])`, then `[:, :-1]` and `[:, 1:]`.",
    ),
    solution="""
        import torch

        def random_batch(tokens, block_size, batch_size):
            starts = torch.randint(len(tokens) - block_size, (batch_size,))
            windows = torch.stack([tokens[s : s + block_size + 1] for s in starts])
            return windows[:, :-1], windows[:, 1:]
    """,
)


def _random_scores(rng: random.Random) -> tuple[Tensor, Tensor]:
    B, T, V = rng.randint(2, 4), rng.randint(5, 7), rng.randint(8, 12)
    generator = torch.Generator().manual_seed(rng.randint(0, 10**6))
    return 2 * torch.randn(B, T, V, generator=generator), torch.randint(V, (B, T), generator=generator)


def _given(logits: Tensor, targets: Tensor) -> Tensor:
    """The probability that each character that came was given."""
    return logits.softmax(-1).gather(-1, targets[..., None]).squeeze(-1)


loss_of = Exercise(
    name="loss_of",
    title="The loss, without cross_entropy",
    difficulty=2,
    minutes=8,
    check=SameAs(
        lambda logits, targets: F.cross_entropy(logits.flatten(0, 1), targets.flatten()),
        inputs=[_random_scores(random.Random(3))],
        random_input=_random_scores,
        mistakes={
            "the probabilities are averaged first; the loss is the mean of the surprises, one for each character": (
                lambda logits, targets: -_given(logits, targets).mean().log()
            ),
            "that is the sum of the surprises; the loss is their mean": (
                lambda logits, targets: -_given(logits, targets).log().sum()
            ),
            "the sign is lost: surprise is minus the logarithm, and never negative": (
                lambda logits, targets: _given(logits, targets).log().mean()
            ),
            "only the character that came counts; you average over all V as well": (
                lambda logits, targets: -_given(logits, targets).log().mean() / logits.size(-1)
            ),
            "that is in bits; the loss is in nats, by the natural logarithm": (
                lambda logits, targets: -_given(logits, targets).log2().mean()
            ),
            "that is the mean probability of what came; the surprise is minus its logarithm": (
                lambda logits, targets: _given(logits, targets).mean()
            ),
            "those are the scores themselves; turn them into probabilities first": (
                lambda logits, targets: -logits.gather(-1, targets[..., None]).mean()
            ),
            "the probabilities of each position have to add up to 1: softmax over the last dimension": (
                lambda logits, targets: -logits.softmax(1).gather(-1, targets[..., None]).log().mean()
            ),
        },
    ),
    hints=(
        "Probabilities: `logits.softmax(dim=-1)`. Then pick out of each V the one of the character that came.",
        "Flatten first, and picking is easy: `p = p.flatten(0, 1)`, then `p[torch.arange(len(p)), targets.flatten()]`.",
        "The surprises are `-given.log()`; the loss is their mean.",
    ),
    solution="""
        import torch

        def loss_of(logits, targets):
            p = logits.softmax(dim=-1).flatten(0, 1)
            given = p[torch.arange(len(p)), targets.flatten()]
            return -given.log().mean()
    """,
)


def _compact(answer) -> str:
    """Letters and digits only: "c, e" and ["c", "e"] mean "ce"."""
    return "".join(c for c in str(answer) if c.isalnum()).lower()


training_order = Exercise(
    name="training_order",
    title="Put the lines in order: a training step",
    difficulty=1,
    minutes=4,
    check=InOrder(
        "cedab",
        (
            "the model needs a batch before it can predict anything",
            "the gradients can be cleared later than that",
            "the gradients are cleared between being computed and being used: the step would do nothing",
            "the optimizer steps before the gradients of this batch are there; it would use old ones, or none",
        ),
    ),
    hints=(
        "What does each line need, and what does it leave behind?",
        "Batch, loss, backward, step. And `zero_grad`? At the last moment before `backward` adds to what is there.",
        "It begins with c, and ends with b.",
    ),
    solution="""
        training_order = "cedab"
    """,
)


class _Watched(nn.Module):
    """A model that notes in which state it is asked; its loss is what the batch says."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.asked: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        loss = x.float().mean() + self.weight
        self.asked.append((self.training, torch.is_grad_enabled()))
        return loss, loss


def _check_estimate(estimate):
    losses = torch.tensor([1.0, 2.0, 3.0, 6.0])
    model, n = _Watched().train(), len(losses)
    result = estimate(model, [(loss.expand(1, 2), torch.zeros(1, 2)) for loss in losses])
    if not isinstance(result, (tuple, list, Tensor)) or len(result) != 2:
        raise Wrong("return two numbers: the mean loss and its standard error")
    mean, error = (value.item() if isinstance(value, Tensor) else float(value) for value in result)
    if len(model.asked) != n:
        raise Wrong(f"there are {n} batches, and the model was asked {len(model.asked)} times")
    if any(training for training, _ in model.asked):
        raise Wrong("the model was measured while in training mode, where dropout is active: call `model.eval()` first")
    if not model.training:
        raise Wrong("the model is left in evaluation mode, so training would go on without dropout: `model.train()`")
    if any(grad for _, grad in model.asked):
        raise Wrong("PyTorch kept everything for a backward pass that never comes: use `torch.no_grad()`")
    if abs(mean - 3) > 1e-4:
        raise Wrong(f"the losses are 1, 2, 3 and 6; their mean is 3, not {mean:.4g}")
    mistakes = {
        "that is the spread of single batches; the mean of n batches is sqrt(n) times steadier": losses.std(),
        "the spread is divided by n; it shrinks only with sqrt(n)": losses.std() / n,
        "that is the square of the standard error; take its root": losses.var() / n,
        "the spread is averaged over n; use n - 1, as a tensor's `.std()` does": losses.std(correction=0) / n**0.5,
    }
    try:
        SameValue(losses.std() / n**0.5, mistakes, rel_tol=1e-3)(error)
    except Wrong as why:
        raise Wrong(f"the standard error of 1, 2, 3 and 6 is 1.08; {why}") from None


estimate = Exercise(
    name="estimate",
    title="Estimate a loss, with its error",
    difficulty=3,
    minutes=12,
    check=_check_estimate,
    hints=(
        "`model.eval()`, collect the losses of all batches under `torch.no_grad()`, `model.train()`, then compute.",
        "`logits, loss = model(x, y)`; `torch.stack(losses)` turns a list of losses into one tensor.",
        "The standard error is `losses.std() / len(losses) ** 0.5`.",
    ),
    solution="""
        import torch

        def estimate(model, batches):
            model.eval()
            with torch.no_grad():
                losses = torch.stack([model(x, y)[1] for x, y in batches])
            model.train()
            return losses.mean(), losses.std() / len(losses) ** 0.5
    """,
)

curves = Exercise(
    name="curves",
    title="Which program made which curve?",
    difficulty=2,
    minutes=6,
    check=SameValue(
        "4132",
        mistakes={
            "A and C both go to zero. Which task is easier: to repeat the letter you see, or to learn 512 answers by "
            "heart?": "3142",
            "look at the validation losses of B and D: one of them learned, the other only got pushed around": "4231",
        },
        read=lambda answer: "".join(filter(str.isdigit, str(answer))),  # "4, 1" and [4, 1] are "41"
    ),
    hints=(
        "Two programs reach almost 0. What makes a task that easy?",
        "Copying the input is easiest of all. Learning one batch by heart takes longer, and new plays surprise it.",
        "Without `zero_grad` each step also repeats all earlier gradients: it lurches on in old directions.",
    ),
    solution="""
        curves = "4132"
    """,
)

EXERCISES = [loss_of_guessing, training_order, random_batch, loss_of, curves, estimate]
RECALL, QUIZ = quizzes("03")

"""Lesson 03: how do we know that it learns?"""

import math
import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.lessons import Choice, Exercise, Question, Quiz, SameAs, SameValue, Wrong
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


def _check_order(order):
    order = _compact(order)
    if sorted(order) != list("abcde"):
        raise Wrong('give each of the five letters once, such as "abcde"')
    at = {letter: order.index(letter) for letter in "abcde"}
    if at["c"] > at["e"]:
        raise Wrong("the model needs a batch before it can predict anything")
    if at["e"] > at["a"]:
        raise Wrong("there is no loss yet to go backward from")
    if at["a"] > at["b"]:
        raise Wrong("the optimizer steps before the gradients of this batch are there; it would use old ones, or none")
    if at["a"] < at["d"] < at["b"]:
        raise Wrong("the gradients are cleared between being computed and being used: the step would do nothing")


training_order = Exercise(
    name="training_order",
    title="Put the lines in order: a training step",
    difficulty=1,
    minutes=4,
    check=_check_order,
    hints=(
        "What does each line need, and what does it leave behind?",
        "Batch, loss, backward, step. And `zero_grad`? Anywhere but between the last two.",
        "`cedab` is one of several right orders.",
    ),
    solution="""
        training_order = "cedab"
    """,
)


class _Watched(nn.Module):
    """A model that notes in which state it is asked; its loss is what the batch says, and more while training."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.asked: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        loss = x.float().mean() + self.weight
        self.asked.append((self.training, torch.is_grad_enabled()))
        return loss, loss


def _check_estimate(estimate):
    losses = [1.0, 2.0, 3.0, 6.0]
    model = _Watched().train()
    result = estimate(model, [(torch.tensor([[loss, loss]]), torch.zeros(1, 2)) for loss in losses])
    if not isinstance(result, (tuple, list, Tensor)) or len(result) != 2:
        raise Wrong("return two numbers: the mean loss and its standard error")
    mean, error = (value.item() if isinstance(value, Tensor) else float(value) for value in result)
    if len(model.asked) != len(losses):
        raise Wrong(f"there are {len(losses)} batches, and the model was asked {len(model.asked)} times")
    if any(training for training, _ in model.asked):
        raise Wrong("the model was measured while in training mode, where dropout is active: call `model.eval()` first")
    if not model.training:
        raise Wrong("the model is left in evaluation mode, so training would go on without dropout: `model.train()`")
    if any(grad for _, grad in model.asked):
        raise Wrong("PyTorch kept everything for a backward pass that never comes: use `torch.no_grad()`")
    values = torch.tensor(losses)
    spread, n = values.std().item(), len(losses)
    if abs(mean - 3) > 1e-4:
        raise Wrong(f"the losses are 1, 2, 3 and 6; their mean is 3, not {mean:.4g}")
    known = {
        spread: "that is the spread of single batches; the mean of n batches is sqrt(n) times steadier",
        spread / n: "the spread is divided by n; it shrinks only with sqrt(n)",
        spread**2 / n: "that is the square of the standard error; take its root",
        values.std(correction=0).item()
        / n**0.5: "the spread is averaged over n; use n - 1, as a tensor's `.std()` does",
    }
    reason = next((why for wrong, why in known.items() if abs(error - wrong) < 1e-3), "")
    if abs(error - spread / n**0.5) > 1e-3:
        raise Wrong(f"the standard error of 1, 2, 3 and 6 is 1.08, not {error:.4g}" + (f": {reason}" if reason else ""))


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

_CURVES = SameValue(
    "4132",
    mistakes={
        "A and C both go to zero. Which task is easier: to repeat the letter you see, or to learn 512 answers by "
        "heart?": "3142",
        "look at the validation losses of B and D: one of them learned, the other only got pushed around": "4231",
    },
)

curves = Exercise(
    name="curves",
    title="Which program made which curve?",
    difficulty=2,
    minutes=6,
    check=lambda answer: _CURVES(_compact(answer)),
    hints=(
        "Two programs reach almost 0. What makes a task that easy?",
        "Copying the input is the easiest of all. Learning one batch by heart takes longer, and its dot is very high.",
        "Without `zero_grad` each step also repeats all earlier gradients: it lurches on in old directions.",
    ),
    solution="""
        curves = "4132"
    """,
)

EXERCISES = [loss_of_guessing, training_order, random_batch, loss_of, curves, estimate]

# --- questions -------------------------------------------------------------------------------------------

QUIZ = Quiz(
    "03",
    [
        Question(
            "The text has 63 different characters. Before any training, the loss is 9.7. Is that a bug?",
            [
                Choice(
                    "No, an untrained model may have any loss.",
                    "It knows nothing, so it should find all characters about equally likely. That costs ln 63 = 4.1.",
                ),
                Choice(
                    "Probably: guessing would cost only 4.1.",
                    "At 9.7 it is sure of wrong answers before it has seen anything. Look at the initial weights.",
                    right=True,
                ),
                Choice(
                    "Yes, a loss should never be above 1.",
                    "A loss is not a fraction of errors. It is minus the logarithm of a probability: no upper end.",
                ),
            ],
        ),
        Question(
            "The training loss is 1.2, the validation loss 1.9, and both still fall. What now?",
            [
                Choice(
                    "Stop: overfitting has set in, as the gap shows.",
                    "A gap alone is no reason to stop. Stop when the validation loss has stopped falling.",
                ),
                Choice(
                    "Look for a bug: the two should be equal.",
                    "They are about equal only early on. Later the model knows the text it has practiced on better.",
                ),
                Choice(
                    "Go on: it still gets better on new text.",
                    "Part of the gap may be text learned by heart. Part may be that these plays are harder: new names, "
                    "new words. The falling validation loss says: what it learns still holds for new text.",
                    right=True,
                ),
            ],
        ),
        Question(
            "After 200 steps on four million characters, the training loss is 0.02. What do you think first?",
            [
                Choice(
                    "There is a bug in how batches are made.",
                    "Nothing predicts new text that well. Perhaps the targets aren't shifted, or it is always the same "
                    "batch.",
                    right=True,
                ),
                Choice(
                    "This model has learned the whole text by heart.",
                    "In 200 steps it has read a small part of the text once. That can't be learned by heart.",
                ),
                Choice(
                    "This is an unusually good model, so keep it.",
                    "Even the best language models are surprised by the first letter of a new sentence.",
                ),
            ],
        ),
        Question(
            "You raise `eval_iters` from 20 to 80. What happens to the error bar of the validation loss?",
            [
                Choice(
                    "It shrinks to about a quarter.",
                    "The error falls with the square root of the number of batches. A quarter takes 16 times as many.",
                ),
                Choice(
                    "It stays, but the loss falls.",
                    "More batches measure the same model more exactly. They don't make it better.",
                ),
                Choice(
                    "It shrinks to about a half.",
                    "Four times as many batches, and the square root of four is two.",
                    right=True,
                ),
            ],
        ),
        Question(
            "The validation loss went from 1.602 ± 0.015 to 1.609 ± 0.015. Has the model got worse?",
            [
                Choice(
                    "Yes, since 1.609 is more than 1.602.",
                    "Each number is off by about 0.015, so other random batches could have turned this around.",
                ),
                Choice(
                    "We can't tell from these two numbers.",
                    "The difference, 0.007, is a third of its own error, 0.021 (0.015 times the root of 2). It may "
                    "be a bit worse, or a bit better.",
                    right=True,
                ),
                Choice(
                    "No, the bars overlap, so it is as good as before.",
                    "That you can't see a difference does not mean there is none. It may be a bit worse, or better.",
                ),
            ],
        ),
        Question(
            "You change `eval_interval` from 250 to 1. What changes in the weights at the end of the run?",
            [
                Choice(
                    "Nothing at all; the run just takes longer.",
                    "An evaluation changes no weight and has its own random numbers. Training sees the same batches.",
                    right=True,
                ),
                Choice(
                    "They get better, because the model is corrected more often.",
                    "An evaluation computes a loss but no gradient. Only a training step changes weights.",
                ),
                Choice(
                    "They overfit, because it sees the validation text more often.",
                    "It is tested on that text but does not learn from it. (You could overfit to it, by choosing "
                    "settings by that loss again and again.)",
                ),
            ],
        ),
        Question(
            "You forget `optimizer.zero_grad()`. What does each step follow?",
            [
                Choice(
                    "Nothing: without it there is an error.",
                    "PyTorch says nothing. That is what makes this slip so nasty.",
                ),
                Choice(
                    "The gradient of the new batch alone, as always.",
                    "`backward()` *adds* to what is already there. Somebody has to clear it.",
                ),
                Choice(
                    "The sum of all gradients so far.",
                    "`backward()` adds. So old batches keep pushing, long after the weights have moved on.",
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
            "Lesson 01: you cut a text into learned byte pairs instead of characters. What changes?",
            [
                Choice(
                    "Fewer tokens, and a smaller vocabulary.",
                    "The pairs are added to the single bytes, which stay: the vocabulary grows with every merge.",
                ),
                Choice(
                    "Fewer tokens, and a larger vocabulary.",
                    "Each pair stands for several characters, so fewer are needed, and each needs its own entry.",
                    right=True,
                ),
                Choice(
                    "More tokens, because each pair counts as two.",
                    "A merged pair is one token. That is the point of merging it.",
                ),
            ],
        ),
        Question(
            "Lesson 02: `block_size` is 64. What may the model use to predict the next character?",
            [
                Choice(
                    "At most the last 64 tokens.",
                    "That is what `block_size` fixes. A larger one costs time and memory in every step.",
                    right=True,
                ),
                Choice(
                    "Everything that came before it.",
                    "What lies more than 64 tokens back is cut off; the model does not even know that it exists.",
                ),
                Choice(
                    "Always exactly the last 64 tokens.",
                    "At the start of a window there are fewer: training predicts from 1, 2, ... 64 tokens at once.",
                ),
            ],
        ),
        Question(
            "Lesson 02: a table of counts stops improving when it looks back further than five letters. Why?",
            [
                Choice(
                    "Letters that far back no longer matter.",
                    "They do: a GPT with a longer window gets better.",
                ),
                Choice(
                    "Tables that large take too long to look up.",
                    "Looking up is quick. The trouble is what the table holds.",
                ),
                Choice(
                    "It has rarely met exactly the same piece.",
                    "The longer the piece, the more often it is new. A GPT does not need exactly the same piece.",
                    right=True,
                ),
            ],
        ),
    ],
)

"""Lesson 04: what is a gradient, and what does its sign say?"""

import torch
import torch.nn.functional as F
from torch import Tensor

from course.lessons import Exercise, SameAs, SameSteps, Wrong, defined, quizzes
from course.prediction import Prediction
from gptlib.config import GPTConfig, TrainConfig
from gptlib.dataset import Dataset
from gptlib.events import TrainStep
from gptlib.model import GPT
from gptlib.trainer import Trainer

predict_too_long = Prediction(
    "You have seen a step of 0.3 make the loss worse. What if every step is 0.3, from the first one on?",
    choices=(
        "It gets worse and worse, and ends in nan (not a number)",
        "It never gets below the loss of guessing, 4.14",
        "It learns later than with 0.1, but it learns all the same",
    ),
    answer=2,
    why="Until about step 50 it knows no more than the letter frequencies. Then it catches up.",
)

predict_far_too_large = Prediction(
    "AdamW likes a learning_rate of about 2e-3 here. What will 1e-1, fifty times as much, do?",
    choices=(
        "Fall faster: larger steps get there sooner",
        "Jump, fall back to about 3.2, and stay there",
        "Stay where it begins, at about 4.2: the steps cancel out",
    ),
    answer=1,
    why="The first steps throw every weight far beyond its own size. What survives is how often each letter occurs.",
)


# --- exercises ------------------------------------------------------------------------------------------


def _tiny_model() -> tuple[GPT, Tensor, Tensor]:
    """A GPT of a few hundred weights in float64, and a batch for it."""
    with torch.random.fork_rng():  # the learner's own random numbers stay as they were
        torch.manual_seed(5)
        model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=1, n_head=2, n_embd=8)).double()
        return model, *torch.randint(7, (2, 6, 4))


_STEP = """
    import torch

    def step_downhill(model, x, y, learning_rate):
        loss = model(x, y)[1]
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= learning_rate * p.grad
                p.grad = None
        return loss.item()
"""


def _two_steps(step_downhill) -> dict[str, Tensor | float]:
    """All weights after a step, and its loss."""
    model, x, y = _tiny_model()
    found = {}
    for which in ("first", "second"):
        try:
            loss = step_downhill(model, x, y, 0.1)
        except Wrong as error:
            if "NoneType" not in str(error):
                raise
            told = "is `backward` missing? Or has `model.zero_grad()`, in the loop, cleared the slopes of all weights?"
            raise Wrong(f"{error}. A `p.grad` is None: {told}") from None
        if not isinstance(loss, (int, float)):
            raise Wrong("return the loss as a number: `loss.item()`")
        found[f"the {which} step: the farthest weight"] = torch.cat([p.detach().flatten() for p in model.parameters()])
        found[f"the weights are right after the {which} step; the loss before it"] = loss
    return found


step_downhill = Exercise(
    name="step_downhill",
    title="One step downhill",
    difficulty=1,
    minutes=6,
    check=SameSteps(
        _two_steps,
        want=lambda: _two_steps(defined(_STEP)),
        solution=_STEP,
        mistakes={
            "no weight has moved: call `backward`, and change `p` in place with `-=`": ("p -=", "_ ="),
            "that goes uphill: a positive gradient means that the loss rises with the weight": ("p -=", "p +="),
            "`learning_rate` plays no part in that; it says how far to go": ("learning_rate * ", ""),
            "the size of the gradient is lost there, only its sign is left": ("* p.grad", "* p.grad.sign()"),
            "the gradient of the step before is still in there: clear `p.grad`": ("p.grad = None", "pass"),
        },
    ),
    hints=(
        "Which call finds all slopes and writes them into `.grad`?",
        "Each weight goes against its own slope: minus, and `learning_rate` times the slope.",
        "`loss.backward()`, then `p -= learning_rate * p.grad`, then `p.grad = None`.",
    ),
    solution=_STEP,
)


def _squared_error(w, b, x, y, factor=2.0, inner=None):
    error = factor * (w * x + b - y)
    return (error * (x if inner is None else inner), error)


gradient_by_hand = Exercise(
    name="gradient_by_hand",
    title="The chain rule, once by hand",
    difficulty=2,
    minutes=10,
    check=SameAs(
        _squared_error,
        inputs=[(2.0, 1.0, 3.0, 5.0), (1.0, 0.0, -2.0, 4.0)],
        random_input=lambda rng: tuple(rng.uniform(-3, 3) for _ in range(4)),
        mistakes={
            "half of it: the slope of a square is 2 times what is squared": (
                lambda w, b, x, y: _squared_error(w, b, x, y, factor=1)
            ),
            "the first one lacks the factor x: when w rises by 1, the error rises by x": (
                lambda w, b, x, y: _squared_error(w, b, x, y, inner=1)
            ),
            "the sign is the wrong way round: the error is `w * x + b - y`, and it rises with w * x": (
                lambda w, b, x, y: _squared_error(w, b, x, y, factor=-2)
            ),
            "both are right, in the wrong order: first the one for w": (
                lambda w, b, x, y: _squared_error(w, b, x, y)[::-1]
            ),
            "the factor in the first one is w; it should be x: when w rises by 1, the error rises by x": (
                lambda w, b, x, y: _squared_error(w, b, x, y, inner=w)
            ),
            "the second one is not 0: when b rises by 1, the error rises by 1": (
                lambda w, b, x, y: (_squared_error(w, b, x, y)[0], 0.0)
            ),
            "the second one has a factor b too many: when b rises by 1, the error rises by 1": (
                lambda w, b, x, y: (_squared_error(w, b, x, y)[0], _squared_error(w, b, x, y)[1] * b)
            ),
            "that is the one for w; return the one for b too": lambda w, b, x, y: _squared_error(w, b, x, y)[0],
        },
    ),
    hints=(
        "Two links of a chain: how does the loss move with the error, and how does the error move with w, and with b?",
        "With error = w * x + b - y, the loss error² has the slope 2 * error. When w rises by 1, the error rises by x.",
        "Multiply along the chain: `2 * error * x` for w, and `2 * error * 1` for b.",
    ),
    solution="""
        def gradient_by_hand(w, b, x, y):
            error = w * x + b - y
            return 2 * error * x, 2 * error
    """,
)


def _onehot(logits: Tensor, targets: Tensor) -> Tensor:
    return F.one_hot(targets, logits.size(1)).to(logits)


def _random_logits(rng) -> tuple[Tensor, Tensor]:
    rows, columns = rng.randint(2, 5), rng.randint(6, 8)
    logits = torch.tensor([[rng.gauss(0, 1) for _ in range(columns)] for _ in range(rows)], dtype=torch.float64)
    return logits, torch.tensor([rng.randrange(columns) for _ in range(rows)])


logits_gradient = Exercise(
    name="logits_gradient",
    title="Where every gradient begins",
    difficulty=2,
    minutes=10,
    check=SameAs(
        lambda logits, targets: (logits.softmax(dim=1) - _onehot(logits, targets)) / len(targets),
        inputs=[(torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), torch.tensor([0, 2]))],
        random_input=_random_logits,
        mistakes={
            "the loss is a mean over all guesses, so each one counts 1 / `len(targets)`": (
                lambda logits, targets: logits.softmax(dim=1) - _onehot(logits, targets)
            ),
            "the wrong way round: the right score must go up, so its gradient is negative": (
                lambda logits, targets: (_onehot(logits, targets) - logits.softmax(dim=1)) / len(targets)
            ),
            "these are the probabilities; the character that came gets 1 less": (
                lambda logits, targets: logits.softmax(dim=1) / len(targets)
            ),
            "each row is one guess, so its probabilities add up to 1: softmax with `dim=1`": (
                lambda logits, targets: (logits.softmax(dim=0) - _onehot(logits, targets)) / len(targets)
            ),
            "`[:, targets]` is those columns of every row; `[torch.arange(len(targets)), targets]` is one in each": (
                lambda logits, targets: (logits.softmax(dim=1) - _onehot(logits, targets).amax(dim=0)) / len(targets)
            ),
            "you divide by all the numbers in `logits`; divide by the number of guesses": (
                lambda logits, targets: (logits.softmax(dim=1) - _onehot(logits, targets)) / logits.numel()
            ),
            "scores are not probabilities: `softmax` turns one into the other": (
                lambda logits, targets: (logits - _onehot(logits, targets)) / len(targets)
            ),
        },
    ),
    hints=(
        "Three steps: scores to probabilities, 1 less for the character that came, and the mean over all guesses.",
        "`F.one_hot(targets, logits.size(1))` has a 1 in each row where the character came, and 0 elsewhere.",
        "`(logits.softmax(dim=1) - onehot) / len(targets)`.",
    ),
    solution="""
        import torch.nn.functional as F

        def logits_gradient(logits, targets):
            onehot = F.one_hot(targets, logits.size(1))
            return (logits.softmax(dim=1) - onehot) / len(targets)
    """,
)


_ADAMW = """
    def adamw_step(p, grad, m, v, t, rate, beta1=0.9, beta2=0.99, decay=0.1):
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad * grad
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        return p - rate * (m_hat / (v_hat.sqrt() + 1e-8) + decay * p), m, v
"""


def _weights_and_gradients() -> tuple[Tensor, Tensor]:
    """Four weights, and their gradients in five steps."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return torch.randn(4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)


def _five_steps(adamw_step) -> dict[str, Tensor]:
    """Where the four weights are after each step."""
    p, gradients = _weights_and_gradients()
    m, v, found = torch.zeros_like(p), torch.zeros_like(p), {}
    for t, grad in enumerate(gradients, 1):
        answer = adamw_step(p.clone(), grad.clone(), m.clone(), v.clone(), t, 0.01)
        if not isinstance(answer, (tuple, list)) or len(answer) != 3:
            raise Wrong("return three things: the new `p`, `m` and `v`")
        p, m, v = (part.detach() for part in answer)
        found[f"after step {t}, `p`"] = p
    return found


def _five_of_pytorch() -> dict[str, Tensor]:
    p, gradients = _weights_and_gradients()
    found = {}
    optimizer = torch.optim.AdamW([p.requires_grad_()], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    for t, p.grad in enumerate(gradients, 1):
        optimizer.step()
        found[f"after step {t}, `p`"] = p.detach().clone()
    return found


adamw_step = Exercise(
    name="adamw_step",
    title="AdamW, equal to PyTorch's",
    difficulty=2,
    minutes=10,
    check=SameSteps(
        _five_steps,
        want=_five_of_pytorch,
        solution=_ADAMW,
        mistakes={
            "that goes uphill": ("(m_hat /", "(-m_hat /"),
            "the new gradient counts `1 - beta1` in the mean, so that both parts make a whole": ("(1 - beta1) * ", ""),
            "`v` is the mean of the squares: `grad * grad`": ("* grad * grad", "* grad"),
            "`v` has a beta of its own: `1 - beta2`": ("(1 - beta2) *", "(1 - beta1) *"),
            "`v_hat` is a square, so take its root: `v_hat.sqrt()`": ("v_hat.sqrt()", "v_hat"),
            "`m` starts at 0 and is too small at first: divide it by `1 - beta1**t`": (" / (1 - beta1**t)", ""),
            "`v` starts at 0 and is too small at first: divide it by `1 - beta2**t`": (" / (1 - beta2**t)", ""),
            "the weight decay is missing: `decay * p` pulls every weight toward 0": (" + decay * p", ""),
            "the step follows the mean of the gradients, `m_hat`, not the last one": ("(m_hat /", "(grad /"),
        },
    ),
    hints=(
        "Both means work alike: most of the old mean, and a little of what is new. The two parts add up to 1.",
        "After t steps a mean that started at 0 holds only `1 - beta**t` of what it should. Divide by that.",
        "`m_hat / (v_hat.sqrt() + 1e-8)` is the step, and `decay * p` is added to it.",
    ),
    solution=_ADAMW,
)

_SMALL = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 8, "batch_size": 4, "max_iters": 12}
_PLAIN = {"learning_rate": 1e-2, "warmup_iters": 0, "schedule": "constant", "grad_clip": 0.0, "weight_decay": 0.0}
_QUIET = {"eval_interval": 1000, "eval_iters": 1, "log_interval": 1, "device": "cpu"}

_TRAIN = """
    import torch
    from gptlib import GPT
    from gptlib.dataset import make_batch, sample_offsets

    def train(data, config):
        generator = torch.Generator().manual_seed(config.seed)
        model = GPT(config.model_config(data.vocab_size), generator)
        betas = (config.beta1, config.beta2)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, betas=betas, weight_decay=0, fused=True
        )
        losses = []
        for step in range(config.max_iters):
            key = (config.seed, 0, step)
            offsets = sample_offsets(data.train, config.block_size, config.batch_size, key)
            x, y = make_batch(data.train, offsets, config.block_size)
            loss = model(x, y)[1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses
"""


def _two_runs() -> list[tuple[Dataset, TrainConfig]]:
    data = Dataset.from_text("the quick brown fox jumps over the lazy dog. " * 40)
    return [(data, TrainConfig(**_SMALL, **_PLAIN, **_QUIET, seed=seed)) for seed in (1337, 7)]


def _losses(train) -> dict[str, float]:
    """What the learner's loop returns, for two seeds in a row."""
    found = []
    for data, config in _two_runs():
        with torch.random.fork_rng():
            got = train(data, config)
        got = got.tolist() if hasattr(got, "tolist") else got
        if not isinstance(got, (list, tuple)) or len(got) != config.max_iters:
            raise Wrong(f"return a list of {config.max_iters} losses, one for each of `config.max_iters` steps")
        if not all(isinstance(loss, (int, float)) for loss in got):
            raise Wrong("the losses should be plain numbers: `loss.item()`")
        found += got
    return _named(found)


def _named(losses: list[float]) -> dict[str, float]:
    """Where to look, if this loss is the first one to differ."""
    steps = _SMALL["max_iters"]
    names = [f"the losses before are right, that of step {i % steps} (AdamW, as above?)" for i in range(2 * steps)]
    names[0] = "the very first loss (other first weights, or another batch?)"
    names[steps] = "with seed 1337 all was well (do you use `config.seed`, twice?); with seed 7, the first loss"
    names[steps + 1 :] = [f"with seed 7, {name}" for name in names[steps + 1 :]]
    return dict(zip(names, losses, strict=True))


def _losses_of_the_trainer() -> dict[str, float]:
    events = [event for data, config in _two_runs() for event in Trainer(config, data)]
    return _named([event.loss for event in events if isinstance(event, TrainStep)])


train = Exercise(
    name="train",
    title="A training loop of your own, equal to the Trainer's",
    difficulty=3,
    minutes=20,
    check=SameSteps(
        _losses,
        want=_losses_of_the_trainer,
        solution=_TRAIN,
        mistakes={
            "the gradients of earlier steps are still in there: call `zero_grad`": ("optimizer.zero_grad()", "pass"),
            "every step reads the same batch: its number belongs in the key": ("0, step)", "0, 0)"),
            "other windows: the number of the first step is 0": ("0, step)", "0, step + 1)"),
            "AdamW's own `betas` are (0.9, 0.999); take `(config.beta1, config.beta2)`": (" betas=betas,", ""),
            "AdamW decays weights by 0.01 unless you say `weight_decay=0`": (" weight_decay=0,", ""),
            "AdamW takes 0.001 unless you say `lr=config.learning_rate`": (" lr=config.learning_rate,", ""),
            "that goes uphill": ("fused=True", "maximize=True"),
            "the weights never move: does the optimizer `step`?": ("optimizer.step()", "pass"),
        },
        rel_tol=3e-6,  # without `fused`, sums are added in another order
    ),
    hints=(
        "In this order: generator, model, optimizer, an empty list; then the loop over `range(config.max_iters)`.",
        "In the loop: a batch, the loss, `zero_grad`, `backward`, `step`, and `loss.item()` into the list. The batch: "
        "`sample_offsets(data.train, config.block_size, config.batch_size, (config.seed, 0, step))` and `make_batch`.",
        "`torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=(config.beta1, config.beta2), "
        "weight_decay=0, fused=True)`.",
    ),
    solution=_TRAIN,
)

EXERCISES = [step_downhill, gradient_by_hand, logits_gradient, adamw_step, train]
RECALL, QUIZ = quizzes("04")

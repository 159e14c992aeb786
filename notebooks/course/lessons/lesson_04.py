"""Lesson 04: what is a gradient, and what does its sign say?"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from course.lessons import Exercise, SameAs, Wrong, quizzes
from course.prediction import Prediction
from gptlib.config import GPTConfig, TrainConfig
from gptlib.dataset import Dataset, make_batch, sample_offsets
from gptlib.events import TrainStep
from gptlib.model import GPT
from gptlib.trainer import Trainer

predict_too_long = Prediction(
    "You have seen a step of 0.3 make the loss worse. What if every step is 0.3, from the first one on?",
    choices=(
        "It gets worse and worse, and ends in nan (not a number)",
        "It never gets below the loss of guessing, 4.14",
        "It jumps at first, and then learns all the same",
    ),
    answer=2,
    why="In the first steps the loss jumps above 5. Later batches pull it back; at the end it is still behind 0.1.",
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


def _flat(model: GPT) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def _gradient(model: GPT, x: Tensor, y: Tensor) -> tuple[float, Tensor]:
    trial = copy.deepcopy(model)
    trial.zero_grad()
    loss = trial(x, y)[1]
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in trial.parameters()])


def _check_step_downhill(step_downhill) -> None:
    """Two steps of the learner's on a tiny GPT: the first thing that is wrong is said with its likely cause."""
    model, x, y = _tiny_model()
    rate, earlier = 0.1, torch.zeros(())
    for number in ("first", "second"):
        before, (loss, gradient) = _flat(model), _gradient(model, x, y)
        try:
            answer = step_downhill(model, x, y, rate)
        except Wrong as error:
            if "NoneType" not in str(error):
                raise
            told = "is `backward` missing? Or has `model.zero_grad()`, in the loop, cleared the slopes of all weights?"
            raise Wrong(f"{error}. A `p.grad` is None: {told}") from None
        moved = _flat(model) - before
        known = {
            "no weight has moved: call `backward`, and change `p` in place with `-=`": torch.zeros_like(moved),
            "that goes uphill: a positive gradient means that the loss rises with the weight": rate * gradient,
            "`learning_rate` plays no part in that; it says how far to go": -gradient,
            "the size of the gradient is lost there, only its sign is left": -rate * gradient.sign(),
            "the gradient of the step before is still in there: nothing has cleared `p.grad`": (
                -rate * (gradient + earlier)
            ),
        }
        if not torch.allclose(moved, -rate * gradient, rtol=1e-6, atol=1e-12):
            reason = next((why for why, wrong in known.items() if torch.allclose(moved, wrong, atol=1e-12)), "")
            raise Wrong(f"the {number} step: {reason or 'the weights have not moved by -learning_rate * gradient'}")
        if not isinstance(answer, (int, float)) or abs(answer - loss) > 1e-6:
            raise Wrong("the step is right, but return the loss before it as a number: `loss.item()`")
        earlier = gradient


step_downhill = Exercise(
    name="step_downhill",
    title="One step downhill",
    difficulty=1,
    minutes=6,
    check=_check_step_downhill,
    hints=(
        "Which call finds all slopes and writes them into `.grad`?",
        "Each weight goes against its own slope: minus, and `learning_rate` times the slope.",
        "`loss.backward()`, then `p -= learning_rate * p.grad`, then `p.grad = None`.",
    ),
    solution="""
        import torch

        def step_downhill(model, x, y, learning_rate):
            loss = model(x, y)[1]
            loss.backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= learning_rate * p.grad
                    p.grad = None
            return loss.item()
    """,
    starter="""
        def step_downhill(model, x, y, learning_rate):
            loss = model(x, y)[1]
            ...  # find all slopes
            with torch.no_grad():
                for p in model.parameters():
                    p -= ...  # one step downhill
                    ...  # clear the slope
            return loss.item()
    """,
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


def _adamw(g, p, m, v, t, rate, **change):
    """AdamW's step, or one with a typical mistake in it."""
    beta1, beta2, decay = 0.9, 0.99, 0.1
    m = beta1 * m + (change.get("share", 1 - beta1)) * g
    v = beta2 * v + (1 - change.get("beta_of_v", beta2)) * (g if change.get("no_square") else g * g)
    m_hat, v_hat = (m, v) if change.get("uncorrected") else (m / (1 - beta1**t), v / (1 - beta2**t))
    step = (g if change.get("no_mean") else m_hat) / ((v_hat if change.get("no_root") else v_hat.abs() ** 0.5) + 1e-8)
    step = -step if change.get("uphill") else step
    return p - rate * (step + (0 if change.get("no_decay") else decay * p)), m, v


_ADAMW_MISTAKES = {
    "that goes uphill": {"uphill": True},
    "the new gradient counts `1 - beta1` in the mean, so that both parts together make a whole": {"share": 1.0},
    "`v` is the mean of the squares: `grad * grad`": {"no_square": True},
    "`v` has a beta of its own: `1 - beta2`": {"beta_of_v": 0.9},
    "`v_hat` is a square, so take its root: `v_hat.sqrt()`": {"no_root": True},
    "the means start at 0 and are too small at first: divide them by `1 - beta**t`": {"uncorrected": True},
    "the weight decay is missing: `decay * p` pulls every weight toward 0": {"no_decay": True},
    "the step follows the mean of the gradients, `m_hat`, not the last one": {"no_mean": True},
}


def _check_adamw(adamw_step) -> None:
    """Five steps of the learner's, beside torch.optim.AdamW with the same gradients."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        start, gradients = torch.randn(4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    p = start.clone().requires_grad_()
    optimizer = torch.optim.AdamW([p], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    mine, m, v = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    wrong = {reason: (start, m, v) for reason in _ADAMW_MISTAKES}
    for t, g in enumerate(gradients, 1):
        p.grad = g.clone()
        optimizer.step()
        answer = adamw_step(mine.clone(), g.clone(), m.clone(), v.clone(), t, 0.01)
        if not isinstance(answer, (tuple, list)) or len(answer) != 3:
            raise Wrong("return three things: the new `p`, `m` and `v`")
        mine, m, v = (part.detach() for part in answer)
        for why, change in _ADAMW_MISTAKES.items():
            wrong[why] = _adamw(g, *wrong[why], t, 0.01, **change)
        if not torch.allclose(mine, p.detach(), rtol=1e-9, atol=1e-9):
            reason = next((why for why, (other, *_) in wrong.items() if torch.allclose(mine, other, atol=1e-9)), "")
            far = (mine - p.detach()).abs().max().item()
            raise Wrong(f"after step {t}, `p` is {far:.1g} away from PyTorch's" + (f": {reason}" if reason else ""))


adamw_step = Exercise(
    name="adamw_step",
    title="AdamW, equal to PyTorch's",
    difficulty=2,
    minutes=10,
    check=_check_adamw,
    hints=(
        "Both means work alike: most of the old mean, and a little of what is new. The two parts add up to 1.",
        "After t steps a mean that started at 0 holds only `1 - beta**t` of what it should. Divide by that.",
        "`m_hat / (v_hat.sqrt() + 1e-8)` is the step, and `decay * p` is added to it.",
    ),
    solution="""
        def adamw_step(p, grad, m, v, t, rate, beta1=0.9, beta2=0.99, decay=0.1):
            m = beta1 * m + (1 - beta1) * grad
            v = beta2 * v + (1 - beta2) * grad * grad
            m_hat = m / (1 - beta1**t)
            v_hat = v / (1 - beta2**t)
            return p - rate * (m_hat / (v_hat.sqrt() + 1e-8) + decay * p), m, v
    """,
    starter="""
        def adamw_step(p, grad, m, v, t, rate, beta1=0.9, beta2=0.99, decay=0.1):
            m = beta1 * m + ...  # the mean of the gradients
            v = beta2 * v + ...  # the mean of their squares
            m_hat = m / ...  # both started at 0
            v_hat = v / ...
            return p - rate * (... + decay * p), m, v
    """,
)

_TEXT = "the quick brown fox jumps over the lazy dog. " * 40
_SMALL = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 8, "batch_size": 4, "max_iters": 12}
_PLAIN = {"learning_rate": 1e-2, "warmup_iters": 0, "schedule": "constant", "grad_clip": 0.0, "weight_decay": 0.0}
_QUIET = {"eval_interval": 1000, "eval_iters": 1, "log_interval": 1, "device": "cpu"}


def _loop(data, config, *, clear=True, key=lambda step: step, **adamw):
    """The training loop, or one with a typical mistake in it."""
    generator = torch.Generator().manual_seed(config.seed)
    model, losses = GPT(config.model_config(data.vocab_size), generator), []
    settings = {"lr": config.learning_rate, "betas": (config.beta1, config.beta2), "weight_decay": 0.0} | adamw
    optimizer = torch.optim.AdamW(model.parameters(), **settings)
    for step in range(config.max_iters):
        batch_key = (config.seed, 0, key(step))
        offsets = sample_offsets(data.train, config.block_size, config.batch_size, batch_key)
        loss = model(*make_batch(data.train, offsets, config.block_size))[1]
        if clear:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


_LOOP_MISTAKES = {
    "the gradients of earlier steps are still in there: call `zero_grad` in each step": {"clear": False},
    "every step reads the same batch: its number belongs in the key, `(config.seed, 0, step)`": {"key": lambda s: 0},
    "AdamW's own `betas` are (0.9, 0.999); the Trainer uses `(config.beta1, config.beta2)`": {"betas": (0.9, 0.999)},
    "AdamW decays weights by 0.01 unless you say `weight_decay=0`": {"weight_decay": 0.01},
    "AdamW takes 0.001 unless you say `lr=config.learning_rate`": {"lr": 1e-3},
    "that goes uphill": {"maximize": True},
    "the weights never move: does the optimizer `step`?": {"lr": 0.0},
}


def _check_train(train) -> None:
    """The learner's losses beside the Trainer's, for two seeds: equal to 1e-5, or bit for bit with `fused=True`."""
    data = Dataset.from_text(_TEXT)
    with torch.random.fork_rng():
        for seed in (1337, 7):
            config = TrainConfig(**_SMALL, **_PLAIN, **_QUIET, seed=seed)
            wants = [event.loss for event in Trainer(config, data) if isinstance(event, TrainStep)]
            got = train(data, config)
            if hasattr(got, "tolist"):
                got = got.tolist()
            if not isinstance(got, (list, tuple)) or len(got) != len(wants):
                raise Wrong(f"return a list of {len(wants)} losses, one for each of `config.max_iters` steps")
            if not all(isinstance(loss, (int, float)) for loss in got):
                raise Wrong("the losses should be plain numbers: `loss.item()`")
            _compare(got, wants, data, config)


def _compare(got, wants, data, config) -> None:
    step = next((i for i, (a, b) in enumerate(zip(got, wants, strict=True)) if not abs(a - b) < 1e-5), None)
    if step is None:
        return
    if step == 0:
        if config.seed != 1337:
            reason = "with seed 1337 all was well. Use `config.seed`, for the weights and for the batches"
        elif abs(got[0] - _loop(data, config, key=lambda step: step + 1)[0]) < 1e-5:
            reason = "other windows: the key of a training batch is `(config.seed, 0, step)`, from step 0 on"
        else:
            reason = "other first weights (the generator and its seed?) or another batch (its key, its two sizes?)"
        raise Wrong(f"with seed {config.seed}, the first loss is {got[0]:.4f}, not {wants[0]:.4f}: {reason}")
    reason = "is it AdamW, with rate, betas and weight decay as above?"
    for why, change in _LOOP_MISTAKES.items():
        if all(abs(a - b) < 1e-5 for a, b in zip(got, _loop(data, config, **change), strict=True)):
            reason = why
    raise Wrong(f"the losses agree until step {step}; then {got[step]:.4f}, not {wants[step]:.4f}: {reason}")


train = Exercise(
    name="train",
    title="A training loop of your own, equal to the Trainer's",
    difficulty=3,
    minutes=20,
    check=_check_train,
    hints=(
        "In this order: generator, model, optimizer, an empty list; then the loop over `range(config.max_iters)`.",
        "In the loop: a batch, the loss, `zero_grad`, `backward`, `step`, and `loss.item()` into the list. The batch: "
        "`sample_offsets(data.train, config.block_size, config.batch_size, (config.seed, 0, step))` and `make_batch`.",
        "`torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=(config.beta1, config.beta2), "
        "weight_decay=0, fused=True)`.",
    ),
    solution="""
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
    """,
)

EXERCISES = [step_downhill, gradient_by_hand, logits_gradient, adamw_step, train]
RECALL, QUIZ = quizzes("04")

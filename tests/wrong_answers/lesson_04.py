"""What learners of lesson 04 write, and words of the reason that they must be given."""

STEP = """
def step_downhill(model, x, y, learning_rate):
    loss = model(x, y)[1]
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= learning_rate * p.grad
            p.grad = None
    return loss.item()
"""

ADAMW = """
def adamw_step(p, grad, m, v, t, rate, beta1=0.9, beta2=0.99, decay=0.1):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad * grad
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return p - rate * (m_hat / (v_hat.sqrt() + 1e-8) + decay * p), m, v
"""

LOOP = """
def train(data, config):
    from gptlib import GPT
    from gptlib.dataset import make_batch, sample_offsets

    generator = torch.Generator().manual_seed(config.seed)
    model, losses = GPT(config.model_config(data.vocab_size), generator), []
    betas = (config.beta1, config.beta2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=betas, weight_decay=0)
    for step in range(config.max_iters):
        offsets = sample_offsets(data.train, config.block_size, config.batch_size, (config.seed, 0, step))
        x, y = make_batch(data.train, offsets, config.block_size)
        loss = model(x, y)[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
"""


def changed(source: str, old: str, new: str) -> str:
    """The right answer with one mistake."""
    assert source.count(old) == 1, old
    return source.replace(old, new)


WRONG_ANSWERS = {
    "step_downhill": [
        (changed(STEP, "p -= learning_rate", "p += learning_rate"), "uphill"),
        (changed(STEP, "learning_rate * p.grad", "p.grad"), "plays no part"),
        (changed(STEP, "learning_rate * p.grad", "learning_rate * p.grad.sign()"), "only its sign"),
        (changed(STEP, "            p.grad = None\n", ""), "the second step"),
        (changed(STEP, "p -= learning_rate * p.grad", "p = p - learning_rate * p.grad"), "no weight has moved"),
        (changed(STEP, "    loss.backward()\n", ""), "is `backward` missing"),
        (changed(STEP, "p.grad = None", "model.zero_grad()"), "cleared the slopes of all"),
        (changed(STEP, "p -= learning_rate * p.grad", "p -= 2 * learning_rate * p.grad"), "have not moved by"),
        (changed(STEP, "return loss.item()", "return loss"), "as a number"),
    ],
    "gradient_by_hand": [
        ("lambda w, b, x, y: ((w * x + b - y) * x, w * x + b - y)", "half of it"),
        ("lambda w, b, x, y: (2 * (w * x + b - y), 2 * (w * x + b - y))", "lacks the factor x"),
        ("lambda w, b, x, y: (2 * (y - w * x - b) * x, 2 * (y - w * x - b))", "wrong way round"),
        ("lambda w, b, x, y: (2 * (w * x + b - y), 2 * (w * x + b - y) * x)", "wrong order"),
        ("lambda w, b, x, y: (2 * (w * x + b - y) * w, 2 * (w * x + b - y))", "the first one is w"),
        ("lambda w, b, x, y: (2 * (w * x + b - y) * x, 0)", "not 0"),
        ("lambda w, b, x, y: (2 * (w * x + b - y) * x, 2 * (w * x + b - y) * b)", "a factor b too many"),
        ("lambda w, b, x, y: 2 * (w * x + b - y) * x", "return the one for b too"),
    ],
    "logits_gradient": [
        (
            """
            def logits_gradient(logits, targets):
                return logits.softmax(dim=1) - torch.nn.functional.one_hot(targets, logits.size(1))
            """,
            "each one counts",
        ),
        (
            """
            def logits_gradient(logits, targets):
                onehot = torch.nn.functional.one_hot(targets, logits.size(1))
                return (onehot - logits.softmax(dim=1)) / len(targets)
            """,
            "must go up",
        ),
        ("lambda logits, targets: logits.softmax(dim=1) / len(targets)", "gets 1 less"),
        (
            """
            def logits_gradient(logits, targets):
                onehot = torch.nn.functional.one_hot(targets, logits.size(1))
                return (logits.softmax(dim=0) - onehot) / len(targets)
            """,
            "`dim=1`",
        ),
        (
            """
            def logits_gradient(logits, targets):
                p = logits.softmax(dim=1)
                p[:, targets] -= 1
                return p / len(targets)
            """,
            "columns of every row",
        ),
        (
            """
            def logits_gradient(logits, targets):
                onehot = torch.nn.functional.one_hot(targets, logits.size(1))
                return (logits.softmax(dim=1) - onehot) / logits.numel()
            """,
            "number of guesses",
        ),
        (
            """
            def logits_gradient(logits, targets):
                onehot = torch.nn.functional.one_hot(targets, logits.size(1))
                return (logits - onehot) / len(targets)
            """,
            "`softmax` turns",
        ),
    ],
    "adamw_step": [
        (changed(ADAMW, "p - rate * (m_hat", "p - rate * (-m_hat"), "uphill"),
        (changed(ADAMW, "(1 - beta1) * grad", "grad"), "both parts together"),
        (changed(ADAMW, "(1 - beta2) * grad * grad", "(1 - beta2) * grad.abs()"), "away from PyTorch's"),
        (changed(ADAMW, "(v_hat.sqrt() + 1e-8)", "(v_hat + 1e-8)"), "so take its root"),
        (ADAMW.replace(" / (1 - beta1**t)", "").replace(" / (1 - beta2**t)", ""), "too small at first"),
        (ADAMW.replace("beta1**t", "beta1 * t").replace("beta2**t", "beta2 * t"), "away from PyTorch's"),
        (changed(ADAMW, " + decay * p", ""), "weight decay is missing"),
        (changed(ADAMW, "(1 - beta2) * grad * grad", "(1 - beta1) * grad * grad"), "a beta of its own"),
        (changed(ADAMW, "(m_hat / ", "(grad / "), "not the last one"),
        (changed(ADAMW, ", m, v\n", "\n"), "three things"),
    ],
    "train": [
        (changed(LOOP, "        optimizer.zero_grad()\n", ""), "call `zero_grad` in each step"),
        (changed(LOOP, "(config.seed, 0, step)", "(config.seed, 0, 0)"), "reads the same batch"),
        (changed(LOOP, ", betas=betas", ""), "AdamW's own `betas`"),
        (changed(LOOP, ", weight_decay=0)", ")"), "decays weights by 0.01"),
        (changed(LOOP, "lr=config.learning_rate, ", ""), "takes 0.001"),
        (changed(LOOP, "weight_decay=0)", "weight_decay=0, maximize=True)"), "uphill"),
        (changed(LOOP, "manual_seed(config.seed)", "manual_seed(3)"), "other first weights"),
        (changed(LOOP, "(config.seed, 0, step)", "(config.seed, 0, step + 1)"), "other windows"),
        (LOOP.replace("config.seed", "1337"), "Use `config.seed`"),
        (changed(LOOP, "manual_seed(config.seed)", "manual_seed(1337)"), "Use `config.seed`"),
        (changed(LOOP, "lr=config.learning_rate", "lr=2 * config.learning_rate"), "is it AdamW"),
        (changed(LOOP, "        optimizer.step()\n", ""), "does the optimizer `step`"),
        (changed(LOOP, "losses.append(loss.item())", "losses.append(loss)"), "plain numbers"),
        (changed(LOOP, "return losses", "return losses[-1]"), "return a list"),
    ],
}

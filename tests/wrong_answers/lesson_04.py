"""What learners of lesson 04 write, and words of the reason that they must be given."""

from course.lessons import changed, lesson_04

STEP, ADAMW, LOOP = (getattr(lesson_04, name).solution_source for name in ("step_downhill", "adamw_step", "train"))

WRONG_ANSWERS = {
    "step_downhill": [
        (changed(STEP, "p -= learning_rate", "p += learning_rate"), "uphill"),
        (changed(STEP, "learning_rate * p.grad", "p.grad"), "plays no part"),
        (changed(STEP, "learning_rate * p.grad", "learning_rate * p.grad.sign()"), "only its sign"),
        (changed(STEP, "            p.grad = None\n", ""), "the second step"),
        (changed(STEP, "p -= learning_rate * p.grad", "p = p - learning_rate * p.grad"), "no weight has moved"),
        (changed(STEP, "    loss.backward()\n", ""), "is `backward` missing"),
        (changed(STEP, "p.grad = None", "model.zero_grad()"), "cleared the slopes of all"),
        (changed(STEP, "p -= learning_rate * p.grad", "p -= 2 * learning_rate * p.grad"), "the farthest weight is off"),
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
        (changed(ADAMW, "(1 - beta1) * grad", "grad"), "both parts make a whole"),
        (changed(ADAMW, "(1 - beta2) * grad * grad", "(1 - beta2) * grad.abs()"), "after step 1, `p` is off"),
        (changed(ADAMW, "grad * grad", "grad"), "mean of the squares"),
        (changed(ADAMW, "(v_hat.sqrt() + 1e-8)", "(v_hat + 1e-8)"), "so take its root"),
        (changed(ADAMW, " / (1 - beta1**t)", ""), "`m` starts at 0"),
        (changed(ADAMW, " / (1 - beta2**t)", ""), "`v` starts at 0"),
        (ADAMW.replace(" / (1 - beta1**t)", "").replace(" / (1 - beta2**t)", ""), "after step 2"),
        (ADAMW.replace("beta1**t", "beta1 * t").replace("beta2**t", "beta2 * t"), "after step 2, `p` is off"),
        (changed(ADAMW, " + decay * p", ""), "weight decay is missing"),
        (changed(ADAMW, "(1 - beta2) * grad * grad", "(1 - beta1) * grad * grad"), "a beta of its own"),
        (changed(ADAMW, "(m_hat / ", "(grad / "), "not the last one"),
        (changed(ADAMW, "p), m, v", "p)"), "three things"),
    ],
    "train": [
        (changed(LOOP, "        optimizer.zero_grad()\n", ""), "call `zero_grad`"),
        (changed(LOOP, "(config.seed, 0, step)", "(config.seed, 0, 0)"), "reads the same batch"),
        (changed(LOOP, ", betas=betas", ""), "AdamW's own `betas`"),
        (changed(LOOP, ", weight_decay=0", ""), "decays weights by 0.01"),
        (changed(LOOP, "lr=config.learning_rate, ", ""), "takes 0.001"),
        (changed(LOOP, "fused=True", "maximize=True"), "uphill"),
        (changed(LOOP, "manual_seed(config.seed)", "manual_seed(3)"), "other first weights"),
        (changed(LOOP, "(config.seed, 0, step)", "(config.seed, 0, step + 1)"), "other windows"),
        (LOOP.replace("config.seed", "1337"), "Use `config.seed`"),
        (changed(LOOP, "manual_seed(config.seed)", "manual_seed(1337)"), "Use `config.seed`"),
        (changed(LOOP, "lr=config.learning_rate", "lr=2 * config.learning_rate"), "AdamW, as above?"),
        (changed(LOOP, "        optimizer.step()\n", ""), "does the optimizer `step`"),
        (changed(LOOP, "losses.append(loss.item())", "losses.append(loss)"), "plain numbers"),
        (changed(LOOP, "return losses", "return losses[-1]"), "return a list"),
    ],
}

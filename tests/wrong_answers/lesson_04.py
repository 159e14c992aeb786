"""What learners of lesson 04 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "central_difference": [
        ("lambda f, x, h: (f(x + h) - f(x)) / h", "to the right only"),
        ("lambda f, x, h: (f(x + h) - f(x - h)) / h", "2 h apart"),
        ("lambda f, x, h: f(x + h) - f(x - h)", "rise divided"),
        ("lambda f, x, h: (f(x - h) - f(x + h)) / (2 * h)", "right minus left"),
        ("lambda f, x, h: (f(x + h) - f(x - h)) / 2 * h", "gives"),
        ("lambda f, x: (f(x + 1e-5) - f(x - 1e-5)) / 2e-5", "positional argument"),
        ("lambda f, x, h: f(x + h) / f(x)(h)", "raised TypeError"),
    ],
    "sgd_step": [
        ("lambda ws, gs, lr: [w + lr * g for w, g in zip(ws, gs)]", "uphill"),
        ("lambda ws, gs, lr: [w - g for w, g in zip(ws, gs)]", "`learning_rate`"),
        ("lambda ws, gs, lr: [w - lr * abs(g) for w, g in zip(ws, gs)]", "push the weight up"),
        ("lambda ws, gs, lr: [-lr * g for w, g in zip(ws, gs)]", "from the weight"),
        ("lambda ws, gs, lr: [w - lr * np.sign(g) for w, g in zip(ws, gs)]", "its size is not"),
        ("lambda ws, gs, lr: ws - lr * gs", "raised TypeError"),
        ("lambda ws, gs, lr: ws", "gives"),
        ("lambda weights, gradients, lr: [w - lr for w in weights]", "gradient plays no part"),
    ],
    "gradient_by_hand": [
        ("lambda w, b, x, y: ((w * x + b - y) * x, w * x + b - y)", "half of it"),
        ("lambda w, b, x, y: (2 * (w * x + b - y), 2 * (w * x + b - y))", "factor x is missing"),
        ("lambda w, b, x, y: (2 * (y - w * x - b) * x, 2 * (y - w * x - b))", "turned round"),
        ("lambda w, b, x, y: (2 * (w * x + b - y), 2 * (w * x + b - y) * x)", "wrong order"),
        ("lambda w, b, x, y: 2 * (w * x + b - y) * x", "gives"),
        ("lambda w, b, x, y: (2 * (w * x + b - y) * w, 2 * (w * x + b - y))", "the factor is w"),
        ("lambda w, b, x, y: (2 * (w * x + b - y) * x, 0)", "not 0"),
        ("lambda w, b, x, y: (2 * (w * x + b - y) * x, 2 * (w * x + b - y) * b)", "a factor b too many"),
        ("lambda w, b, x, y: 2 * (w * x + b - y) * x", "for b is asked for too"),
    ],
    "score_gradient": [
        ("lambda ps, right: [(1 if i == right else 0) - p for i, p in enumerate(ps)]", "pushed up"),
        ("lambda ps, right: list(ps)", "1 less"),
        ("lambda ps, right: [p - 1 if i == right else 0 for i, p in enumerate(ps)]", "left alone"),
        ("lambda ps, right: [-1 / p if i == right else 0 for i, p in enumerate(ps)]", "through softmax"),
        ("lambda ps, right: ps[right] - 1", "gives"),
        ("lambda probabilities, right: [p - 1 for p in probabilities]", "gets 1 less; the others"),
        ("lambda probabilities, right: probabilities[right] - 1", "each score has"),
    ],
}

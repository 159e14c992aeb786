"""What learners of lesson 09 write, and words of the reason that they must be given.

The known mistakes are our program with one line wrong. What follows is wrong in ways of its own.
"""

from course.lessons import lesson_09 as lesson


def module(name, parts, forward):
    """Source code of a class of the model."""
    lines = ["from torch import nn", f"class {name}(nn.Module):", "    def __init__(self, config):"]
    lines += ["        super().__init__()", "        C = config.n_embd", *[f"        {part}" for part in parts]]
    return "\n".join([*lines, "    def forward(self, x):", f"        return {forward}"])


def program(name, old="", new=""):
    """Our piece, with one thing replaced."""
    source = getattr(lesson, name).solution_source
    assert old in source
    return source.replace(old, new)


OWN = {
    "encode": [("lambda text, vocab: [vocab.index(c) for c in text]", "a tensor is needed")],
    "decode": [("lambda tokens, vocab: ''.join(dict(enumerate(vocab))[i] for i in tokens)", "KeyError")],
    "get_batch": [(program("get_batch", "windows[:, :-1], windows[:, 1:]", "windows[:, :-1]"), "gives")],
    "attention": [("lambda q, k, v: (q @ k.T).softmax(-1) @ v", "raised")],
    "SelfAttention": [
        (
            module("SelfAttention", ["self.key = nn.Linear(C, C // 2)", "self.proj = nn.Linear(C, C)"], "x"),
            "queries of all heads",
        ),
        (module("SelfAttention", ["self.c_attn = nn.Linear(C, 3 * C)"], "x"), "nothing for GPT-2's `c_proj.weight`"),
        (program("SelfAttention", "3 * config.n_embd)", "3 * config.n_embd, bias=False)"), "`c_attn.bias`"),
        (program("SelfAttention", "return self.c_proj(y)", "return y, x"), "a tuple"),
    ],
    "MLP": [(module("MLP", ["self.fc = nn.Linear(C, 4 * C)"], "self.fc(x)"), "c_proj.weight")],
    "Block": [(program("Block", "super().__init__()", "pass"), "raised AttributeError")],
    "MyGPT": [
        (program("MyGPT", " @ self.wte.weight.T", ""), "(2, 6, 16)"),
        (
            program("MyGPT", "self.ln_f =", "self.head = nn.Linear(config.n_embd, config.vocab_size); self.ln_f ="),
            "output layer is `wte.weight`",
        ),
    ],
    "loss_of": [("lambda logits, targets: F.cross_entropy(logits, targets)", "raised")],
    "learning_rate": [("lambda step, s: s.learning_rate", "gives")],
    "make_optimizer": [
        ("lambda model, s: torch.optim.SGD(model.parameters(), lr=s.learning_rate)", "compare"),
        ("lambda model, s: 3", "param_groups"),
    ],
    "train": [
        (program("train", "loss.item()", "loss"), "must yield numbers"),
        (program("train", "s.max_iters", "3"), "gives"),
        (program("train", "loss_of(", "lossof("), "NameError"),
    ],
    "evaluate": [
        (program("evaluate", ", losses.std().item() / math.sqrt(20)", ""), "two numbers"),
        (program("evaluate", "range(20)", "range(5)"), "gives"),
    ],
    "save": [
        (program("save", ', "optimizer": optimizer.state_dict()', ""), "optimizer's memory"),
        (program("save", ', "random": torch.get_rng_state()', ""), "random numbers"),
        (program("save", '"step": step, ', ""), "number of the step"),
        (program("save", 'checkpoint | {"step": step, "random": torch.get_rng_state()}', "[step]"), "one dictionary"),
        (program("save", "model.state_dict()", "model"), "not the objects themselves"),
    ],
    "generate": [(program("generate", "return tokens", "return tokens[:, 1:]"), "shape (2, 61)")],
    "rotate": [
        ("lambda x: x", "grow with the position"),
        ("lambda x: x[..., :4]", "(1, 2, 12, 4)"),
        (program("rotate", "a * cos - b * sin", "a * cos + b * sin"), "changes no length"),
        (program("rotate", "torch.arange(T)", "torch.arange(T) ** 2"), "how far apart"),
    ],
    "make_muon": [
        ("lambda model, s: torch.optim.AdamW(model.parameters())", "inside the blocks"),
        ("lambda model, s: torch.optim.AdamW(list(model.parameters())[:3])", "every parameter"),
    ],
}

WRONG_ANSWERS = {
    piece.name: [(piece.with_mistake(reason), reason) for reason in piece.mistakes] + OWN[piece.name]
    for piece in lesson.EXERCISES
}

"""What learners of lesson 09 write, and words of the reason that they must be given."""


def module(name, init, forward):
    """Source code of a class of the model."""
    return (
        f"from torch import nn\nimport torch.nn.functional as F\nclass {name}(nn.Module):\n"
        f"    def __init__(self, config):\n        super().__init__()\n        C = config.n_embd\n"
        + "".join(f"        {line}\n" for line in init)
        + "".join(f"    {line}\n" if line.startswith("def") else f"        {line}\n" for line in forward)
    )


HEADS = ["self.n_head = config.n_head", "self.c_attn = nn.Linear(C, 3 * C)", "self.c_proj = nn.Linear(C, C)"]
SPLIT = ["def forward(self, x):", "B, T, C = x.shape", "q, k, v = self.c_attn(x).split(C, dim=2)"]
TO_HEADS = "q, k, v = [t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for t in (q, k, v)]"
WIDE = ["self.c_fc = nn.Linear(C, 4 * C)", "self.c_proj = nn.Linear(4 * C, C)"]
PARTS = [
    "self.ln_1, self.ln_2 = nn.LayerNorm(C), nn.LayerNorm(C)",
    "self.attn, self.mlp = SelfAttention(config), MLP(config)",
]
WHOLE = [
    "self.wte, self.wpe = nn.Embedding(config.vocab_size, C), nn.Embedding(config.block_size, C)",
    "self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))",
    "self.ln_f = nn.LayerNorm(C)",
]
LOOP = """
import torch
def train(model, optimizer, tokens, s, start=0):
    for step in range(start, s.max_iters):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, s)
        x, y = get_batch(tokens, step, s)
        loss = loss_of(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), s.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()
"""
MEAN = """
import torch
def evaluate(model, tokens, s):
    with torch.no_grad():
        losses = torch.stack([loss_of(model(x), y) for x, y in (get_batch(tokens, i, s) for i in range(20))])
    return losses.mean().item(), losses.std().item() / 20**0.5
"""
SAVE = """
import torch
def save(path, model, optimizer, step):
    torch.save({"m": model.state_dict(), "o": optimizer.state_dict(), "s": step, "r": torch.get_rng_state()}, path)
"""
WRITE = """
import torch
def generate(model, tokens, count, block_size, temperature=1.0):
    for _ in range(count):
        p = (model(tokens[:, -block_size:])[:, -1] / temperature).softmax(-1)
        tokens = torch.cat([tokens, torch.multinomial(p, 1)], dim=1)
    return tokens
"""
ADAMW = "lambda model, s: torch.optim.AdamW({}, lr=s.learning_rate{})"
BETAS = ", betas=(s.beta1, s.beta2)"

WRONG_ANSWERS = {
    "encode": [("lambda text, vocab: torch.tensor([ord(c) for c in text])", "Unicode")],
    "decode": [("lambda tokens, vocab: [vocab[i] for i in tokens]", "join it")],
    "get_batch": [
        (
            "def get_batch(tokens, step, s):\n"
            "    rng = np.random.default_rng((s.seed, 0, step))\n"
            "    starts = rng.integers(0, len(tokens) - s.block_size - 1, s.batch_size, endpoint=True)\n"
            f"    windows = torch.stack([tokens[i : i + s.block_size + 1] for i in starts])\n    return {result}",
            words,
        )
        for result, words in [
            ("windows[:, :-1], windows[:, :-1]", "inputs again"),
            ("windows[:, :-1]", "gives"),
        ]
    ]
    + [
        (
            "def get_batch(tokens, step, s):\n"
            "    starts = np.random.default_rng((s.seed, 0, 0)).integers(\n"
            "        0, len(tokens) - s.block_size - 1, s.batch_size, endpoint=True)\n"
            "    windows = torch.stack([tokens[i : i + s.block_size + 1] for i in starts])\n"
            "    return windows[:, :-1], windows[:, 1:]",
            "batch of step 0",
        )
    ],
    "attention": [
        ("lambda q, k, v: (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v", "future"),
        (
            "lambda q, k, v: (q @ k.transpose(-2, -1)).masked_fill("
            "torch.ones(q.shape[-2], q.shape[-2]).triu(1) == 1, float('-inf')).softmax(-1) @ v",
            "square root",
        ),
        (
            "lambda q, k, v: (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill("
            "torch.ones(q.shape[-2], q.shape[-2]).triu(1) == 1, float('-inf')).softmax(-2) @ v",
            "wrong dimension",
        ),
        ("lambda q, k, v: (q @ k.T).softmax(-1) @ v", "raised"),
    ],
    "SelfAttention": [
        (module("SelfAttention", HEADS, [*SPLIT, "return self.c_proj(attention(q, k, v))"]), "one head"),
        (
            module(
                "SelfAttention", HEADS, [*SPLIT, TO_HEADS, "return self.c_proj(attention(q, k, v).reshape(B, T, C))"]
            ),
            "without `transpose(1, 2)`",
        ),
        (
            module(
                "SelfAttention", HEADS, [*SPLIT, TO_HEADS, "return attention(q, k, v).transpose(1, 2).reshape(B, T, C)"]
            ),
            "not give what the library gives",
        ),
        (module("SelfAttention", HEADS, [*SPLIT, TO_HEADS, "return attention(q, k, v)"]), "shape (2, 2, 6, 8)"),
    ],
    "MLP": [
        (module("MLP", WIDE, ["def forward(self, x):", "return self.c_proj(F.relu(self.c_fc(x)))"]), "ReLU"),
        (module("MLP", WIDE, ["def forward(self, x):", "return self.c_proj(self.c_fc(x))"]), "bends"),
        (
            module("MLP", ["self.fc = nn.Linear(C, 4 * C)"], ["def forward(self, x):", "return self.fc(x)"]),
            "c_fc.weight",
        ),
    ],
    "Block": [
        (
            module("Block", PARTS, ["def forward(self, x):", "return self.mlp(self.ln_2(self.attn(self.ln_1(x))))"]),
            "*added*",
        ),
        (
            module(
                "Block",
                PARTS,
                ["def forward(self, x):", "return x + self.attn(self.ln_1(x)) + self.mlp(self.ln_2(x))"],
            ),
            "what attention has added",
        ),
        (
            module(
                "Block",
                PARTS,
                ["def forward(self, x):", "x = self.ln_1(x + self.attn(x))", "return self.ln_2(x + self.mlp(x))"],
            ),
            "inside the sum",
        ),
    ],
    "MyGPT": [
        (
            module("MyGPT", WHOLE, ["def forward(self, idx):", "x = self.wte(idx)", *lines]),
            words,
        )
        for lines, words in [
            (["for b in self.h: x = b(x)", "return self.ln_f(x) @ self.wte.weight.T"], "positions"),
            (
                ["x = x + self.wpe.weight[:idx.shape[1]]", "for b in self.h: x = b(x)", "return x @ self.wte.weight.T"],
                "ln_f",
            ),
            (
                ["x = x + self.wpe.weight[:idx.shape[1]]", "for b in self.h: x = b(x)", "return self.ln_f(x)"],
                "(2, 6, 16)",
            ),
        ]
    ],
    "loss_of": [
        ("lambda z, y: z.log_softmax(-1).gather(-1, y[..., None]).mean()", "sign"),
        ("lambda z, y: -z.log_softmax(-1).gather(-1, y[..., None]).sum()", "sum over all"),
    ],
    "learning_rate": [
        ("lambda step, s: s.learning_rate * min(1, (step + 1) / (s.warmup_iters + 1))", "half a cosine"),
        ("lambda step, s: 0.5 * s.learning_rate * (1 + math.cos(math.pi * step / s.max_iters))", "warm-up is missing"),
    ],
    "make_optimizer": [
        (ADAMW.format("model.parameters()", BETAS + ", weight_decay=s.weight_decay"), "vectors"),
        (ADAMW.format("model.parameters()", BETAS + ", weight_decay=0"), "nothing decays"),
        (ADAMW.format("model.parameters()", ""), "betas are torch's, and"),
        (
            ADAMW.format(
                "[{'params': [p for p in model.parameters() if p.dim() > 1], 'weight_decay': s.weight_decay}, "
                "{'params': [p for p in model.parameters() if p.dim() < 2], 'weight_decay': 0}]",
                "",
            ),
            "betas are torch's; ours",
        ),
        ("lambda model, s: torch.optim.SGD(model.parameters(), lr=s.learning_rate)", "after four steps"),
        ("lambda model, s: 3", "param_groups"),
    ],
    "train": [
        (LOOP.replace("        optimizer.step()\n", ""), "never move"),
        (LOOP.replace("        optimizer.zero_grad()\n", ""), "pile up"),
        (LOOP.replace('            group["lr"] = learning_rate(step, s)\n', "            pass\n"), "never changes"),
        (LOOP.replace("        torch.nn.utils.clip_grad_norm_(model.parameters(), s.grad_clip)\n", ""), "not clipped"),
        (LOOP.replace("get_batch(tokens, step, s)", "get_batch(tokens, 0, s)"), "batch of step 0"),
        (LOOP.replace("loss.item()", "loss"), "must yield numbers"),
        (LOOP.replace("range(start, s.max_iters)", "range(3)"), "3 losses"),
    ],
    "evaluate": [
        (MEAN.replace(", losses.std().item() / 20**0.5", ""), "two numbers"),
        (MEAN.replace("no_grad", "enable_grad"), "gradients that nobody needs"),
        (MEAN.replace("range(20)", "range(5)"), "5 batches"),
        (MEAN.replace(" / 20**0.5", ""), "divide by sqrt(20)"),
        (MEAN.replace("20**0.5", "20"), "square root of 20"),
        (MEAN.replace("losses.mean()", "losses.max()"), "the mean is"),
    ],
    "save": [
        (SAVE.replace('"o": optimizer.state_dict(), ', ""), "optimizer's memory"),
        (SAVE.replace(', "r": torch.get_rng_state()', ""), "random numbers"),
        (SAVE.replace(', "s": step', ""), "number of the step"),
        (
            SAVE.replace(
                '{"m": model.state_dict(), "o": optimizer.state_dict(), "s": step, "r": torch.get_rng_state()}',
                "[step]",
            ),
            "one dictionary",
        ),
    ],
    "generate": [
        (WRITE.replace("[:, -block_size:]", ""), "block_size is 8"),
        (WRITE.replace(" / temperature", ""), "changes nothing"),
        (WRITE.replace("return tokens", "return tokens[0]"), "shape (2, 13)"),
        (WRITE.replace("[:, -1]", "[:, 0]"), "count"),
    ],
    "rotate": [
        (
            "def rotate(x):\n    T, w = x.shape[-2:]\n"
            "    angles = torch.outer(torch.arange(T), 1024 ** -torch.linspace(0, 1, w // 2))\n"
            "    a, b = x.chunk(2, dim=-1)\n    cos, sin = angles.cos(), angles.sin()\n"
            "    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)",
            "the other way",
        )
    ],
    "make_muon": [
        ("lambda model, s: torch.optim.AdamW(model.parameters())", "inside the blocks"),
        ("lambda model, s: torch.optim.AdamW(list(model.parameters())[:3])", "every parameter"),
    ],
}

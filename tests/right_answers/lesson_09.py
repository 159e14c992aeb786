"""Other ways to write the pieces of lesson 09, all of them right."""

SPLIT = """
class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.n_head
        self.key = nn.Linear(config.n_embd, config.n_embd)
        self.query = nn.Linear(config.n_embd, config.n_embd)
        self.value = nn.Linear(config.n_embd, config.n_embd)
        self.out = nn.Linear(config.n_embd, config.n_embd)
        self.register_buffer("mask", torch.tril(torch.ones(config.block_size, config.block_size)))

    def forward(self, x):
        B, T, C = x.shape
        cut = lambda t: t.view(B, T, self.heads, -1).transpose(1, 2)
        q, k, v = cut(self.query(x)), cut(self.key(x)), cut(self.value(x))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).contiguous().view(B, T, C))
"""
FUSED = """
class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.proj = nn.Linear(config.n_embd, config.n_embd)
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.n_head = config.n_head

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4)
        return self.proj(attention(q, k, v).transpose(1, 2).flatten(2))
"""
SEQUENTIAL = """
class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        C = config.n_embd
        self.net = nn.Sequential(nn.Linear(C, 4 * C), nn.GELU(), nn.Linear(4 * C, C), nn.Dropout(config.dropout))

    def forward(self, x):
        return self.net(x)
"""
BLOCK = """
class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(config.n_embd), nn.LayerNorm(config.n_embd)
        self.sa = SelfAttention(config)
        self.ffwd = MLP(config)

    def forward(self, x):
        x = x + self.sa(self.norm1(x))
        x = x + self.ffwd(self.norm2(x))
        return x
"""
TIED = """
class MyGPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.position = nn.Parameter(torch.zeros(config.block_size, config.n_embd))
        self.token = nn.Embedding(config.vocab_size, config.n_embd)
        self.blocks = nn.Sequential(*[Block(config) for _ in range(config.n_layer)])
        self.norm = nn.LayerNorm(config.n_embd)
        self.lm_head.weight = self.token.weight

    def forward(self, idx):
        x = self.token(idx) + self.position[: idx.size(1)]
        return self.lm_head(self.norm(self.blocks(x)))
"""
TRANSFORMER = """
class MyGPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding(config.vocab_size, config.n_embd), wpe=nn.Embedding(config.block_size, config.n_embd),
            h=nn.ModuleList([Block(config) for _ in range(config.n_layer)]), ln_f=nn.LayerNorm(config.n_embd)))

    def forward(self, idx):
        x = self.transformer.wte(idx) + self.transformer.wpe(torch.arange(idx.size(1), device=idx.device))
        for block in self.transformer.h:
            x = block(x)
        return F.linear(self.transformer.ln_f(x), self.transformer.wte.weight)
"""
BY_NAME = """
def make_optimizer(model, s):
    named = dict(model.named_parameters())
    rest = [p for name, p in named.items() if name.endswith("bias") or "ln_" in name]
    held = [p for name, p in named.items() if not (name.endswith("bias") or "ln_" in name)]
    return torch.optim.AdamW(
        [{"params": rest, "weight_decay": 0}, {"params": held}], betas=(s.beta1, s.beta2), weight_decay=s.weight_decay)
"""
LISTED = """
def train(model, optimizer, tokens, s, start=0):
    model.train()
    step = start
    while step < s.max_iters:
        rate = learning_rate(step, s)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        xb, yb = get_batch(tokens, step, s)
        logits = model(xb)
        loss = loss_of(logits, yb)
        loss.backward()
        if s.grad_clip > 0:
            nn.utils.clip_grad_norm_(model.parameters(), s.grad_clip)
        optimizer.step()
        step += 1
        yield loss.item()
"""
NUMPY = """
def evaluate(model, tokens, s):
    model.eval()
    with torch.no_grad():
        losses = np.array([loss_of(model(x), y).item() for x, y in (get_batch(tokens, i, s) for i in range(20))])
    model.train()
    return losses.mean(), losses.std() / np.sqrt(len(losses))
"""
SAMPLED = """
def generate(model, tokens, count, block_size, temperature=1.0):
    model.eval()
    with torch.inference_mode():
        for _ in range(count):
            p = F.softmax(model(tokens[:, -block_size:])[:, -1, :] / temperature, dim=-1)
            tokens = torch.cat((tokens, torch.distributions.Categorical(p).sample()[:, None]), dim=1)
    return tokens
"""
BATCH = """
def get_batch(tokens, step, s):
    rng = np.random.default_rng((s.seed, 0, step))
    starts = rng.integers(0, len(tokens) - s.block_size - 1, s.batch_size, endpoint=True)
    x = torch.stack([tokens[i : i + s.block_size] for i in starts])
    y = torch.stack([tokens[i + 1 : i + 1 + s.block_size] for i in starts])
    return x, y
"""
TRIL = """
def attention(q, k, v):
    B, H, T, hs = q.shape
    wei = q @ k.mT * hs**-0.5
    wei = wei.masked_fill(torch.tril(torch.ones(T, T)) == 0, -1e9)
    return F.softmax(wei, dim=-1) @ v
"""
SAVE = """
def save(path, model, optimizer, step):
    with open(path, "wb") as file:
        torch.save(dict(w=model.state_dict(), o=optimizer.state_dict(), i=step, rng=torch.get_rng_state()), file)
"""
PAIRS = """
def rotate(x):
    T, width = x.shape[-2:]
    angles = torch.arange(T)[:, None] * 10000.0 ** (-torch.arange(0, width, 2) / width)
    turn = torch.polar(torch.ones(T, width // 2), angles)
    return torch.view_as_real(torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * turn).flatten(-2)
"""
HALVES = """
def rotate(x):
    T, half = x.shape[-2], x.shape[-1] // 2
    angle = torch.arange(T)[:, None] * 10000.0 ** (-torch.arange(half) / half)
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)
"""
RIGHT = {
    "encode": ["lambda text, vocab: torch.tensor([vocab.index(c) for c in text], dtype=torch.long)"],
    "decode": ["lambda tokens, vocab: ''.join([vocab[i] for i in tokens.tolist()])"],
    "get_batch": [BATCH],
    "attention": ["lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)", TRIL],
    "SelfAttention": [SPLIT, FUSED],
    "MLP": [SEQUENTIAL],
    "Block": [BLOCK],
    "MyGPT": [TIED, TRANSFORMER],
    "loss_of": [
        "lambda logits, targets: -logits.log_softmax(-1).gather(-1, targets[..., None]).mean()",
        "lambda logits, targets: F.cross_entropy(logits.transpose(1, 2), targets)",
        "lambda z, y: (z.exp().sum(-1).log() - z.gather(2, y.unsqueeze(2)).squeeze(2)).mean()",
    ],
    "make_optimizer": [BY_NAME, BY_NAME.replace("ln_", "norm")],
    "train": [LISTED],
    "evaluate": [NUMPY],
    "save": [SAVE],
    "generate": [SAMPLED],
    "rotate": [PAIRS, HALVES],
}

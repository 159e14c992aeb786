"""What a lab looks at in a model that is being trained: what it writes, what it thinks, where it looks."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course.lab.runs import Sample, Thoughts
from gptlib.dataset import Dataset
from gptlib.model import GPT, naive_attention
from gptlib.sampling import generate

FEWEST, MOST = 24, 300  # tokens of a sample
TEMPERATURE = 0.8
SAMPLE_SECONDS, LAST_SAMPLE_SECONDS = 0.06, 0.3  # at most, unless that is not enough for the fewest
LIKELIEST = 10


def sample_is_due(step: int, last: int) -> bool:
    """At 0, 10, 30, 100, 300, ... steps, and at the last one."""
    power = 10 ** (len(str(step)) - 1)
    return step in (0, last) or (step >= 10 and step in (power, 3 * power))


def write_sample(model: GPT, dataset: Dataset, step: int, seed: int, seconds: float = SAMPLE_SECONDS) -> Sample:
    """What the model writes after the first token of the held-out text: as much as `seconds` allow.

    It draws from a source of random numbers of its own, so training continues as if nothing had been written.
    """
    started = time.perf_counter()
    generator = torch.Generator(model.device).manual_seed(seed)
    prompt = torch.from_numpy(np.asarray(dataset.val[:1]).astype("int64"))[None]
    tokens: list[int] = []
    for token in generate(model, prompt, MOST, temperature=TEMPERATURE, generator=generator):
        tokens.append(token.item())
        if len(tokens) >= FEWEST and time.perf_counter() > started + seconds:
            break
    return Sample(step, dataset.tokenizer.decode(tokens), time.perf_counter() - started)


def think(model: GPT, dataset: Dataset, line: str, step: int, maps: bool = False) -> Thoughts:
    """The likeliest next tokens after a line; with `maps` where each position of it looks, in each head.

    Characters that the text does not have are left out.
    """
    started = time.perf_counter()
    known = getattr(dataset.tokenizer, "chars", None)
    kept = line if known is None else "".join(c for c in line if c in known)
    tokens = dataset.tokenizer.encode(kept)[-model.config.block_size :]
    if not len(tokens):
        return Thoughts(step, line, (), time.perf_counter() - started)
    idx = torch.from_numpy(np.asarray(tokens).astype("int64"))[None].to(model.device)
    found: list[np.ndarray] = []
    was_training = model.training
    model.eval()
    before = [block.attn.attend for block in model.h]
    if maps:
        for block in model.h:
            block.attn.attend = recorder(found)
    try:
        with torch.no_grad():
            probabilities = model(idx)[0][0, -1].float().softmax(0)
    finally:
        model.train(was_training)
        for block, attend in zip(model.h, before, strict=True):
            block.attn.attend = attend
    best = probabilities.topk(min(LIKELIEST, len(probabilities)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    told = tuple((dataset.tokenizer.decode([token]), p) for token, p in pairs)
    labels = tuple(dataset.tokenizer.decode([token]) for token in tokens)
    return Thoughts(step, line, told, time.perf_counter() - started, tuple(found), labels)


def recorder(found: list[np.ndarray]) -> Callable[..., Tensor]:
    """Attention that also keeps its weights, (heads, T, T): they are how it averages the rows of the identity."""

    def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        weights = naive_attention(q, k, torch.eye(q.size(2), dtype=q.dtype, device=q.device))
        found.append(weights[0].float().cpu().numpy())
        return weights @ v

    return attend

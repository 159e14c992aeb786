"""What a lab looks at in a model that is being trained: what it writes, what it thinks, where it looks."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course.lab.runs import Sample, Thoughts
from gptlib.dataset import Dataset
from gptlib.model import GPT
from gptlib.sampling import generate

SAMPLE = 200  # tokens
TEMPERATURE = 0.8
LIKELIEST = 10


def sample_is_due(step: int, last: int) -> bool:
    """At 0, 10, 30, 100, 300, ... steps, and at the last one."""
    power = 10 ** (len(str(step)) - 1)
    return step in (0, last) or (step >= 10 and step in (power, 3 * power))


def write_sample(model: GPT, dataset: Dataset, step: int, seed: int) -> Sample:
    """What the model writes after the first token of the held-out text.

    It draws from a source of random numbers of its own, so training continues as if nothing had been written.
    """
    started = time.perf_counter()
    generator = torch.Generator(model.device).manual_seed(seed)
    prompt = torch.tensor([dataset.val[:1].tolist()])
    written = generate(model, prompt, SAMPLE, temperature=TEMPERATURE, generator=generator)
    text = dataset.tokenizer.decode([token.item() for token in written])
    return Sample(step, text, time.perf_counter() - started)


def think(model: GPT, dataset: Dataset, line: str, step: int) -> Thoughts:
    """The likeliest next tokens after a line, and where each position of it looks, in each head.

    Characters that the text does not have are left out.
    """
    started, decode = time.perf_counter(), dataset.tokenizer.decode
    known = getattr(dataset.tokenizer, "chars", line)
    tokens = dataset.tokenizer.encode("".join(c for c in line if c in known))[-model.config.block_size :].tolist()
    if not tokens:
        return Thoughts(step, line)
    maps: list[np.ndarray] = []
    was_training, attends = model.training, [block.attn.attend for block in model.h]
    model.eval()
    for block in model.h:
        block.attn.attend = recording(block.attn.attend, maps)
    try:
        with torch.no_grad():
            probabilities = model(torch.tensor([tokens], device=model.device))[0][0, -1].float().softmax(0)
    finally:
        model.train(was_training)
        for block, attend in zip(model.h, attends, strict=True):
            block.attn.attend = attend
    best = probabilities.topk(min(LIKELIEST, len(probabilities)))
    told = [(decode([token]), p) for token, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
    return Thoughts(step, line, told, [decode([token]) for token in tokens], maps, time.perf_counter() - started)


def recording(attend: Callable[..., Tensor], maps: list[np.ndarray]) -> Callable[..., Tensor]:
    """The same attention, which also keeps its weights, (heads, T, T): what it makes of the identity."""

    def attend_and_keep(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        identity = torch.eye(q.size(2), dtype=q.dtype, device=q.device).expand(*q.shape[:2], -1, -1)
        maps.append(attend(q, k, identity)[0].float().cpu().numpy())
        return attend(q, k, v, dropout)

    return attend_and_keep

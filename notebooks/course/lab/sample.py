"""A few words from the model in training, at a price that is known before."""

import time

import torch

from gptlib.dataset import Dataset
from gptlib.model import GPT
from gptlib.sampling import generate

FEWEST, MOST = 24, 160  # tokens
TEMPERATURE = 0.8


def short_sample(model: GPT, dataset: Dataset, seconds: float, seed: int) -> str:
    """What the model writes after the first token of the held-out text: as much as `seconds` allow, but some tokens.

    It draws from a source of random numbers of its own, so training goes on as if nothing had been written.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    prompt = torch.from_numpy(dataset.val[:1].astype("int64"))[None]
    tokens, until = [], time.perf_counter() + seconds
    for token in generate(model, prompt, MOST, temperature=TEMPERATURE, generator=generator):
        tokens.append(token.item())
        if len(tokens) >= FEWEST and time.perf_counter() > until:
            break
    return dataset.tokenizer.decode(tokens)

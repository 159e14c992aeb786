"""How good is the model? The loss estimated from random batches, or exactly over a whole text."""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gptlib.dataset import make_batch, max_offset, sample_offsets
from gptlib.device import autocast
from gptlib.distributed import SINGLE_PROCESS, DistEnv
from gptlib.events import Estimate
from gptlib.model import GPT


@torch.no_grad()
def sequence_losses(model: GPT, x: Tensor, y: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The mean loss of each sequence: (B, T) inputs and targets -> (B,) nats per token, without dropout."""
    was_training = model.training
    model.eval()
    with autocast(model.device, dtype):
        logits, _ = model(x.to(model.device))
    model.train(was_training)
    losses = F.cross_entropy(logits.float().flatten(0, 1), y.to(model.device).flatten(), reduction="none")
    return losses.view(y.shape).mean(1)


def batch_losses(
    model: GPT,
    tokens: np.ndarray,
    offsets: np.ndarray,
    dtype: torch.dtype = torch.float32,
    dist: DistEnv = SINGLE_PROCESS,
) -> Iterator[Tensor]:
    """The losses (B,) of the windows at `offsets` (batches, B), one batch at a time.

    Each rank computes its own batches; together they yield the same losses as a single process.
    """
    block_size = model.config.block_size
    for done in range(0, len(offsets), dist.size):
        batch = offsets[min(done + dist.rank, len(offsets) - 1)]
        losses = dist.all_gather(sequence_losses(model, *make_batch(tokens, batch, block_size), dtype))
        yield losses[: len(offsets) - done].flatten()


def summarize(losses: list[Tensor], windows: int) -> Estimate:
    """The mean over all sequences, and its standard error: standard deviation / sqrt(independent sequences).

    No more sequences are independent than there are separate `windows` in the text.
    """
    values = torch.cat(losses).double()
    independent = min(len(values), windows)
    std = values.std().item() if independent > 1 else math.nan
    return Estimate(values.mean().item(), std / math.sqrt(max(1, independent)), len(values))


def estimate_loss(
    model: GPT, tokens: np.ndarray, *, batch_size: int = 12, eval_iters: int = 20, seed: int = 0
) -> Estimate:
    """The loss on `tokens`, estimated from `eval_iters` random batches of `batch_size` sequences.

    Unlike those of a Trainer, its windows may reach across the border of two documents.
    """
    block_size = model.config.block_size
    offsets = sample_offsets(tokens, block_size, eval_iters * batch_size, (seed,)).reshape(eval_iters, batch_size)
    return summarize(list(batch_losses(model, tokens, offsets)), len(tokens) // block_size)


def exact_loss(model: GPT, tokens: np.ndarray, *, batch_size: int = 24) -> Estimate:
    """The loss over all of `tokens`, in adjacent windows that cover each target once; nothing is random.

    The last window may be shorter than block_size; every target counts the same.

    Raises UserError if the text is shorter than one window.
    """
    block_size = model.config.block_size
    offsets = np.arange(0, max_offset(tokens, block_size) + 1, block_size)
    batches = [offsets[i : i + batch_size] for i in range(0, len(offsets), batch_size)]
    losses = [sequence_losses(model, *make_batch(tokens, batch, block_size)) for batch in batches]
    total = torch.cat(losses).double().sum().item() * block_size
    targets = len(tokens) - 1
    if rest := targets % block_size:
        last = make_batch(tokens, np.array([targets - rest]), rest)
        total += sequence_losses(model, *last).item() * rest
    return Estimate(total / targets, 0.0, math.ceil(targets / block_size))

"""What a run will cost, counted before it is begun: parameters, arithmetic and memory.

One training step is gone through with tensors that have a shape and no content (torch's "fake tensors"), so the
count follows the model's own code, takes no memory, and answers for a model that does not fit on this machine.
Which kernel computes attention, and so what it keeps, is what torch chooses on a CPU (with dropout it keeps the
whole (T, T) matrices); a GPU's kernels may keep less.
"""

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from gptlib.config import TrainConfig
from gptlib.device import autocast, flops_per_token, pick_dtype
from gptlib.model import GPT
from gptlib.optim import build_optimizer


@dataclass(frozen=True)
class Summary:
    """Counts of one training step; memory in bytes."""

    num_parameters: int
    flops_per_token: int  # forward and backward
    weights: int
    gradients: int
    optimizer: int
    activations: int  # what one micro-batch's forward pass leaves for its backward pass, and its logits
    logits_gradient: int  # where the backward pass begins: as large as the logits, in float32

    @property
    def memory(self) -> int:
        """All at once: the most that is needed when gradients of earlier micro-batches wait."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits_gradient


def count(config: TrainConfig, vocab_size: int) -> Summary:
    """The costs of a step of this run, of which batch_size (B) and block_size (T) matter most to the memory."""
    from torch._subclasses import FakeTensorMode  # takes a second to import, which training need not wait for

    shape = config.model_config(vocab_size)
    with FakeTensorMode():
        model = GPT(shape)
        optimizer = build_optimizer(model, config)
        idx = torch.zeros(config.batch_size, config.block_size, dtype=torch.int64)
        with SavedActivationBytes(model) as kept, autocast(idx.device, pick_dtype(config.dtype, idx.device)):
            logits, loss = model(idx, idx)
        activations = kept.total + (0 if kept.holds(logits) else bytes_of([logits]))
        loss.backward()
        gradients = bytes_of(p.grad for p in model.parameters())
        optimizer.step()
        memory = bytes_of(value for state in optimizer.state.values() for value in state.values())
        return Summary(
            num_parameters=model.num_parameters(),
            flops_per_token=flops_per_token(model),
            weights=bytes_of(model.parameters()),
            gradients=gradients,
            optimizer=memory,
            activations=activations,
            logits_gradient=logits.numel() * (4 if logits.dtype == torch.float32 else 4 + logits.element_size()),
        )


def measured_step(config: TrainConfig, vocab_size: int) -> int:
    """The most bytes that a real forward and backward pass take beside weights and gradients, by torch's allocator."""
    model = GPT(config.model_config(vocab_size))
    idx = torch.zeros(config.batch_size, config.block_size, dtype=torch.int64)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would report to stderr that it began

    def step() -> None:
        with autocast(idx.device, pick_dtype(config.dtype, idx.device)):
            loss = model(idx, idx)[1]
        loss.backward()

    step()  # from now on there are gradients
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(sizes))


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Memory of these tensors, if none looks into another's."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class SavedActivationBytes(torch.autograd.graph.saved_tensors_hooks):
    """Counts what a forward pass keeps for its backward pass: `with SavedActivationBytes(model) as kept`.

    The weights are not counted, and no memory is counted twice.
    """

    def __init__(self, model: nn.Module):
        super().__init__(self._keep, lambda tensor: tensor)
        self._weights = {_memory_of(p) for p in model.parameters()}
        self._sizes: dict[int, int] = {}  # of each piece of memory

    def __enter__(self) -> "SavedActivationBytes":
        super().__enter__()
        return self

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return sum(self._sizes.values())

    def holds(self, tensor: Tensor) -> bool:
        """Whether the tensor's memory is among what is kept."""
        return _memory_of(tensor) in self._sizes

    def _keep(self, tensor: Tensor) -> Tensor:
        if (memory := _memory_of(tensor)) not in self._weights:
            self._sizes[memory] = tensor.untyped_storage().nbytes()
        return tensor.detach()


def _memory_of(tensor: Tensor) -> int:
    """A number for the piece of memory that a tensor looks into; fake tensors have no address."""
    return tensor.untyped_storage()._cdata

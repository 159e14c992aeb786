"""Several processes as one run: set up by torchrun, and the few things that they do together.

    torchrun --standalone --nproc_per_node=8 -m gptlib.train CONFIG.toml

Each process takes its part of every step's sequences. With `parallel = "ddp"` each holds the whole model and
their gradients are averaged; with "fsdp" each holds a part of every matrix, and lends it to the others for as long
as they compute with it (Zhao et al. 2023, PyTorch FSDP).
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gptlib.config import TrainConfig
from gptlib.device import pick_device
from gptlib.errors import UsageError, UserError


@dataclass(frozen=True)
class DistEnv:
    """This process among all that make the run: number `rank` of `size`, number `local_rank` on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    parallel: str = "ddp"

    @property
    def is_main(self) -> bool:
        """Whether this one writes: files, and to the terminal."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """Whether each process holds a part of the model only."""
        return self.size > 1 and self.parallel == "fsdp"

    def device(self, name: str) -> torch.device:
        """The device of this process: with CUDA each on its machine has a GPU of its own.

        Raises:
            UsageError: more processes than GPUs, or a device that several processes cannot use.
        """
        device = pick_device(name)
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type == "mps":
            raise UsageError("device = 'mps': several processes need cuda or cpu; add --device=cpu")
        if self.local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"process {self.local_rank} of this machine has no GPU of its own: it has "
                f"{torch.cuda.device_count()}; lower torchrun's --nproc_per_node"
            )
        return torch.device("cuda", self.local_rank)

    def wrap_model(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Bring the model to its device; return what to call for forward passes whose gradients are shared."""
        if self.sharded:
            from torch.distributed.fsdp import fully_shard

            mesh = dist.init_device_mesh(device.type, (self.size,))
            for block in model.h:
                fully_shard(block, mesh=mesh)
            return fully_shard(model, mesh=mesh)
        model.to(device)
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)

    def grad_sync(self, forward: nn.Module, last: bool) -> AbstractContextManager:
        """The context of a micro-batch: gradients travel between processes at the last one only."""
        if self.sharded:
            forward.set_requires_gradient_sync(last)
        elif self.size > 1 and not last:
            return forward.no_sync()
        return nullcontext()

    # --- what all do together ---------------------------------------------------------------------

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process; all must ask."""
        return flag if self.size == 1 else bool(self.gather(torch.tensor(int(flag))).any())

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes in their order: one more dimension in front."""
        if self.size == 1:
            return tensor[None]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor)
        return torch.stack(parts)

    def collect(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The whole of each, put together one by one, in the main process's memory; nothing elsewhere."""
        collected = {}
        for name, tensor in tensors.items():
            tensor = whole(tensor)
            if self.is_main:
                collected[name] = tensor.detach().cpu()
        return collected

    def wait(self) -> None:
        """Until all have come here."""
        self.any(False)

    @contextmanager
    def local_rank_zero_first(self) -> Iterator[None]:
        """One process of each machine does it, then the others, who find it done."""
        if self.local_rank:
            self.wait()
        yield
        if not self.local_rank:
            self.wait()


SINGLE_PROCESS = DistEnv()


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which each process holds a part, put together; any other as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def shard_like(tensor: Tensor, other: Tensor) -> Tensor:
    """The part of a whole tensor that this process holds of `other`; all of it if it holds all of that."""
    if not hasattr(other, "full_tensor") or tensor.shape != other.shape:
        return tensor
    whole_here = tensor.to(other.device)  # in every process, so nothing needs to travel
    return dist.tensor.distribute_tensor(whole_here, other.device_mesh, other.placements, src_data_rank=None)


def from_env(environment: Mapping[str, str], parallel: str) -> DistEnv:
    """What torchrun says in its environment variables; alone without them.

    Raises:
        UsageError: some of them are missing, as where a scheduler sets its own.
    """
    usual = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0}
    try:
        rank, size, local_rank = (int(environment.get(name) or alone) for name, alone in usual.items())
    except ValueError as error:
        raise UsageError(f"{', '.join(usual)} must be numbers ({error}): start by torchrun, or unset them") from None
    missing = [name for name in (*usual, "MASTER_ADDR", "MASTER_PORT") if not environment.get(name)]
    if size > 1 and missing:
        raise UsageError(f"WORLD_SIZE = {size}, but no {', '.join(missing)}: start by torchrun, or unset WORLD_SIZE")
    return DistEnv(rank, size, local_rank, parallel)


def process_group_kwargs(device: torch.device) -> dict:
    """For `init_process_group`: NCCL among GPUs, Gloo for what lies in ordinary memory."""
    if device.type == "cuda":
        return {"backend": "cpu:gloo,cuda:nccl", "device_id": device}
    return {"backend": "gloo"}


@contextmanager
def join(config: TrainConfig) -> Iterator[DistEnv]:
    """Meet the other processes that torchrun started; alone where it did not.

    Raises:
        UserError: another process is gone.
    """
    world = from_env(os.environ, config.parallel)
    if world.size == 1:
        yield world
        return
    device = world.device(config.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(**process_group_kwargs(device))
    try:
        yield world
    except RuntimeError as error:  # Gloo has no type of its own for it
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise UserError(f"process {world.rank} lost another one, which says why above or below") from error
    # Not after an error: NCCL would wait for those who are gone. And not Gloo, which needs none: its threads may
    # still want Python's lock to let go of the last tensors, and would be waited for with that lock held.
    if device.type == "cuda":
        dist.destroy_process_group()

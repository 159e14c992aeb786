"""Distributed training: the processes that torchrun started, and the collectives of a run.

    torchrun --standalone --nproc_per_node=8 -m gptlib.train CONFIG.toml

Each process takes its micro-batches of every step. With `parallel = "ddp"` each holds a copy of the model, and
gradients are averaged (all-reduce). With "fsdp" each holds a shard of every parameter, gathered while it is needed
(Zhao et al. 2023, PyTorch FSDP).
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
    """This process: `rank` of `size` (the world size), and `local_rank` on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    parallel: str = "ddp"

    @property
    def is_main(self) -> bool:
        """Whether this rank writes files and to the terminal."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """Whether each process holds only a shard of the model (FSDP)."""
        return self.size > 1 and self.parallel == "fsdp"

    def device(self, name: str) -> torch.device:
        """The device of this process; with CUDA, each process of a machine has its own GPU.

        Raises UsageError for more processes than GPUs, or a device that several processes cannot use.
        """
        device = pick_device(name)
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type == "mps":
            raise UsageError("device = 'mps': several processes need cuda or cpu; add --device=cpu")
        if self.local_rank >= torch.cuda.device_count():
            found = f"this machine has {torch.cuda.device_count()}"
            raise UsageError(f"local rank {self.local_rank} has no GPU: {found}; lower torchrun's --nproc_per_node")
        return torch.device("cuda", self.local_rank)

    def micro_steps(self, config: TrainConfig) -> int:
        """The micro-batches of a step that this rank computes.

        Raises UsageError if they cannot be divided evenly among the processes.
        """
        steps = config.gradient_accumulation_steps
        if steps % self.size:
            shared = f"the {self.size} processes, which share the micro-batches of a step"
            raise UsageError(f"gradient_accumulation_steps = {steps}: must be a multiple of {shared}")
        return steps // self.size

    def wrap_model(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Move the model to its device and wrap it in DDP or FSDP; call the result for forward passes."""
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
        """The context of a micro-batch: gradients are synchronized only at the last one (DDP's no_sync)."""
        if self.sharded:
            forward.set_requires_gradient_sync(last)
        elif self.size > 1 and not last:
            return forward.no_sync()
        return nullcontext()

    # --- collectives: every process must call them -----------------------------------------------------

    def any_rank(self, flag: bool) -> bool:
        """Whether `flag` is true on any rank."""
        return flag if self.size == 1 else bool(self.all_gather(torch.tensor(int(flag))).any())

    def all_gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all ranks, stacked along a new first dimension."""
        if self.size == 1:
            return tensor[None]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor)
        return torch.stack(parts)

    def gather_full_state_dict(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every tensor in full, in the main process's CPU memory; an empty dict on the other ranks."""
        gathered = {}
        for name, tensor in tensors.items():
            tensor = full_tensor(tensor)
            if self.is_main:
                gathered[name] = tensor.detach().cpu()
        return gathered


SINGLE_PROCESS = DistEnv()


def full_tensor(tensor: Tensor) -> Tensor:
    """The full tensor of a sharded one (a DTensor); any other tensor unchanged."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def shard_like(tensor: Tensor, other: Tensor) -> Tensor:
    """This rank's shard of `tensor`, sharded like `other`; unchanged if `other` is not sharded."""
    if not hasattr(other, "full_tensor") or tensor.shape != other.shape:
        return tensor
    local = tensor.to(other.device)  # every rank has all of it: nothing is sent
    return dist.tensor.distribute_tensor(local, other.device_mesh, other.placements, src_data_rank=None)


def from_env(environment: Mapping[str, str], parallel: str = "ddp") -> DistEnv:
    """What torchrun says in its environment variables; a single process without them."""
    rank, local_rank = int(environment.get("RANK", 0)), int(environment.get("LOCAL_RANK", 0))
    size = int(environment.get("WORLD_SIZE", 1))
    return DistEnv(rank, size, local_rank, parallel) if size > 1 else DistEnv(parallel=parallel)


@contextmanager
def init_distributed(config: TrainConfig) -> Iterator[DistEnv]:
    """Join the process group that torchrun started; a single process without torchrun.

    Raises UserError if another process is gone.
    """
    env = from_env(os.environ, config.parallel)
    if env.size == 1:
        yield env
        return
    device = env.device(config.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    try:
        yield env
    except RuntimeError as error:  # Gloo has no error type of its own
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise UserError(f"rank {env.rank} lost another rank, whose error is in this output too") from error
    # Not after an error: NCCL would wait for ranks that are gone. Not with Gloo: its threads may still want the GIL,
    # and would be waited for while it is held.
    if device.type == "cuda":
        dist.destroy_process_group()

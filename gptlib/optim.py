"""AdamW, Muon and the learning-rate schedule."""

import math
from inspect import unwrap

import torch
from torch import Tensor, nn

from gptlib.config import TrainConfig
from gptlib.distributed import full_tensor, shard_like

MUON_MOMENTUM = 0.9
# Coefficients of the quintic Newton-Schulz iteration x -> a x + b x^3 + c x^5 (Jordan et al. 2024, Muon).
NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 5


def build_optimizer(model: nn.Module, config: TrainConfig) -> "MuonAdamW":
    """The optimizer of a run (nanoGPT: configure_optimizers).

    AdamW's matrices get weight decay; vectors (biases, layer norms) do not. With `optimizer = "muon"`, Muon takes the
    matrices inside the blocks, without weight decay, and AdamW the embeddings and vectors.
    """
    matrices, vectors, muon, parts = [], [], [], []
    for name, p in model.named_parameters():
        if config.optimizer == "muon" and p.dim() == 2 and name.startswith("h."):
            muon.append(p)
            parts.append(3 if name.endswith("c_attn.weight") else 1)  # queries, keys, values: a matrix each
        else:
            (matrices if p.dim() >= 2 else vectors).append(p)
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay, "muon": False},
        {"params": vectors, "weight_decay": 0.0, "muon": False},
        {"params": muon, "lr": config.muon_lr, "muon": True, "parts": parts},
    ]
    fused = next(model.parameters()).device.type in ("cpu", "cuda", "mps")
    betas = (config.beta1, config.beta2)
    return MuonAdamW([g for g in groups if g["params"]], lr=config.learning_rate, betas=betas, fused=fused)


class MuonAdamW(torch.optim.AdamW):
    """PyTorch's AdamW (Loshchilov and Hutter 2019), and Muon for the groups with `muon=True`.

    Muon (Jordan et al. 2024) orthogonalizes the momentum of a matrix, so that every direction counts alike.
    `torch.optim.Muon` does it one matrix at a time; here all matrices of a shape are one batch. If the model is
    sharded, every rank gathers the full update and orthogonalizes it.
    """

    # PyTorch imports its compiler only to keep it out of these methods: two seconds at the start of every run.
    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    state_dict = unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = unwrap(torch.optim.AdamW.load_state_dict)
    adamw_step = unwrap(torch.optim.AdamW.step)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every parameter that has a gradient."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group["muon"]]  # those that AdamW is to see
        self.adamw_step()
        self.param_groups = groups
        for group in groups:
            if group["muon"]:
                self._muon_step(group)

    def _muon_step(self, group: dict) -> None:
        moved, by_shape = [], {}
        for p, parts in zip(group["params"], group["parts"], strict=True):
            if p.grad is None:
                continue
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(p.grad, 1 - MUON_MOMENTUM)
            update = full_tensor(p.grad.lerp(momentum, MUON_MOMENTUM))  # Nesterov momentum
            moved.append((p, update))
            for part in update.chunk(parts):
                by_shape.setdefault(part.shape, []).append(part)
        for (rows, columns), parts in by_shape.items():
            lr = group["lr"] * math.sqrt(max(1, rows / columns))
            torch._foreach_copy_(parts, (zeropower_via_newtonschulz(torch.stack(parts)) * lr).unbind())
        for p, update in moved:
            p.sub_(shard_like(update, p))


def zeropower_via_newtonschulz(matrices: Tensor) -> Tensor:
    """Orthogonalize: (N, rows, columns) -> the same singular vectors, with singular values near 1.

    The iteration multiplies X by polynomials of the Gram matrix X X^T, which is small where X is wide. So the
    polynomials are multiplied first, and X only once.
    """
    tall = matrices.size(1) > matrices.size(2)
    x = matrices.mT if tall else matrices
    x = x / x.flatten(1).norm(dim=1)[:, None, None].clamp(min=1e-7)
    gram = x @ x.mT
    product = None
    for i, (a, b, c) in enumerate(NEWTON_SCHULZ):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        if i + 1 < len(NEWTON_SCHULZ):
            gram = factor @ gram @ factor
    x = product @ x
    return x.mT if tall else x


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate of step `step`, from 0 (nanoGPT: get_lr): linear warm-up, then the schedule down to min_lr."""
    if step < config.warmup_iters:
        return config.learning_rate * (step + 1) / (config.warmup_iters + 1)
    progress = min(1.0, (step - config.warmup_iters) / max(1, config.max_iters - config.warmup_iters))
    decay = {"cosine": 0.5 * (1 + math.cos(math.pi * progress)), "linear": 1 - progress, "constant": 1.0}
    return config.min_lr + (config.learning_rate - config.min_lr) * decay[config.schedule]

"""The optimisers and the learning-rate schedule."""

import math

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from gptlib.config import TrainConfig
from gptlib.distributed import shard_like, whole

MUON_MOMENTUM = 0.9
# Each row brings the singular values of a matrix nearer to 1: x -> a x + b x^3 + c x^5 (Jordan et al. 2024, Muon).
NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 5


def build_optimizer(model: nn.Module, config: TrainConfig) -> "MuonAdamW":
    """The optimiser of a run: matrices decay, vectors (biases, layer norms) do not, since zero only distorts them.

    Muon takes the matrices inside the blocks, and neither embeddings nor vectors.
    """
    matrices, vectors, muon = [], [], []
    for name, p in model.named_parameters():
        if config.optimizer == "muon" and p.dim() == 2 and name.startswith("h."):
            muon.append(p)
        else:
            (matrices if p.dim() >= 2 else vectors).append(p)
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay, "muon": False, "lr": config.learning_rate},
        {"params": vectors, "weight_decay": 0.0, "muon": False, "lr": config.learning_rate},
        {"params": muon, "weight_decay": 0.0, "muon": True, "lr": config.muon_lr},
    ]
    groups = [group for group in groups if group["params"]]
    return MuonAdamW(groups, {"betas": (config.beta1, config.beta2), "eps": 1e-8})


class MuonAdamW(torch.optim.Optimizer):
    """Muon for the groups that say so, AdamW (Loshchilov and Hutter 2019) for the others.

    Muon (Jordan et al. 2024) moves a matrix by its momentum, made orthogonal: every direction that the gradient
    has counts alike, also those that a few strong ones would drown. `torch.optim.Muon` does the same for one
    matrix at a time; here all matrices of one shape are made orthogonal at once. Where each process holds a part of
    a matrix, its update is put together, and every process makes it orthogonal for itself.

    AdamW is PyTorch's own fused kernel, one call for all parameters. It is called by its functional form, because the
    methods of `torch.optim.AdamW` import torch's compiler at their first use: a second at the start of every run.
    """

    def add_param_group(self, param_group: dict) -> None:
        """As in every optimiser, without the wrapper that imports the compiler."""
        torch.optim.Optimizer.add_param_group.__wrapped__(self, param_group)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            (self._muon_step if group["muon"] else self._adamw_step)(group)

    def _adamw_step(self, group: dict) -> None:
        parameters = [p for p in group["params"] if p.grad is not None]
        for p in parameters:
            if not self.state[p]:
                self.state[p] |= {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        states = [self.state[p] for p in parameters]
        adamw(
            parameters,
            [p.grad for p in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            max_exp_avg_sqs=[],
            state_steps=[state["step"] for state in states],
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            amsgrad=False,
            maximize=False,
            fused=True,
        )

    def _muon_step(self, group: dict) -> None:
        moved = [p for p in group["params"] if p.grad is not None]
        updates, by_shape = [], {}
        for p in moved:
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(p.grad, 1 - MUON_MOMENTUM)
            update = whole(p.grad.lerp(momentum, MUON_MOMENTUM))  # Nesterov: look one step ahead
            parts = 3 if p.size(0) == 3 * p.size(1) else 1  # queries, keys and values are matrices of their own
            for part in update.chunk(parts):
                by_shape.setdefault(part.shape, []).append(part)
            updates.append(update)
        for (rows, columns), parts in by_shape.items():
            rate = group["lr"] * math.sqrt(max(1, rows / columns))  # a matrix that widens may move further
            torch._foreach_copy_(parts, (zeropower_via_newtonschulz(torch.stack(parts)) * rate).unbind())
        for p, update in zip(moved, updates, strict=True):
            p.sub_(shard_like(update, p))


def zeropower_via_newtonschulz(matrices: Tensor) -> Tensor:
    """(N, rows, columns) -> matrices with the same singular vectors and singular values near 1.

    A few Newton-Schulz steps. They only multiply by polynomials of G = X X^T, which is small where X is wide, so
    the polynomials are collected and X itself is multiplied once.
    """
    tall = matrices.size(1) > matrices.size(2)
    x = matrices.mT if tall else matrices
    x = x / x.flatten(1).norm(dim=1)[:, None, None].clamp(min=1e-7)
    gram = x @ x.mT
    collected = None
    for i, (a, b, c) in enumerate(NEWTON_SCHULZ):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        collected = factor if collected is None else factor @ collected
        if i + 1 < len(NEWTON_SCHULZ):
            gram = factor @ gram @ factor
    x = collected @ x
    return x.mT if tall else x


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate of optimiser step `step` (from 0): a linear climb, then the schedule down to min_lr."""
    if step < config.warmup_iters:
        return config.learning_rate * (step + 1) / (config.warmup_iters + 1)
    progress = min(1.0, (step - config.warmup_iters) / max(1, config.max_iters - config.warmup_iters))
    left = {"cosine": 0.5 * (1 + math.cos(math.pi * progress)), "linear": 1 - progress, "constant": 1.0}
    return config.min_lr + (config.learning_rate - config.min_lr) * left[config.schedule]

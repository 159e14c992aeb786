"""Device and precision: the few choices that depend on the machine."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from gptlib.errors import UsageError
from gptlib.model import GPT


def pick_device(name: str) -> torch.device:
    """The device of that name; 'auto' is the first of cuda, mps, cpu that this machine has.

    Raises UsageError if this machine has none.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present[name]:
        allowed = ", ".join(device for device, there in present.items() if there)
        raise UsageError(f"device = {name!r}: this machine's torch has none; choose one of auto, {allowed}")
    return torch.device(name)


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of that name; 'auto' is bfloat16 on CUDA GPUs that have it and float32 elsewhere."""
    if name != "auto":
        return getattr(torch, name)
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)  # not on T4 and V100
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Mixed precision: matrix products in `dtype`, weights in float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def fastest_threads(repeats: int = 3) -> int:
    """How many CPU threads compute fastest just now, measured in a tenth of a second.

    Beside a busy program two threads can be ten times slower than one, because each waits for the other.
    """
    x, w = torch.ones(768, 128), torch.ones(512, 128)  # no random numbers: a run's own come from the same source
    before, best = torch.get_num_threads(), (float("inf"), 1)
    if before == 1:
        return 1
    for threads in sorted({1, before}):
        torch.set_num_threads(threads)
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            for _ in range(8):
                F.gelu(F.linear(x, w))
            times.append(time.perf_counter() - start)
        best = min(best, (sorted(times[1:])[repeats // 2], threads))  # the first one only warms up
    torch.set_num_threads(before)
    return best[1]


def set_float32_precision(device: torch.device, dtype: torch.dtype) -> None:
    """On NVIDIA GPUs: no TF32 if float32 was asked for; TF32 for what mixed precision leaves in float32."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest" if dtype == torch.float32 else "high")


# Peak dense bfloat16 FLOP/s (float16 for V100 and T4), from NVIDIA's data sheets. Where only the number "with sparsity"
# is given, half of it. The first entry whose words are all in the device's name counts; None: not known.
PEAK_FLOPS = {
    "Laptop": None,
    "4090 D": None,
    "B200": 2250e12,
    "H200 NVL": None,
    "H200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "V100 PCIE": 112e12,
    "V100": 125e12,
    "T4": 65e12,
}


def peak_flops(device: torch.device, dtype: torch.dtype) -> float | None:
    """Peak FLOP/s of the device in half precision; None if not known, and in float32."""
    if device.type != "cuda" or dtype == torch.float32:
        return None
    words = torch.cuda.get_device_name(device).replace("-", " ").split()
    return next((peak for name, peak in PEAK_FLOPS.items() if set(name.split()) <= set(words)), None)


def flops_per_token(model: GPT) -> int:
    """Floating-point operations per token of a training step, forward and backward.

    6 per weight of a matrix, and 12 n_layer C T for attention (Chowdhery et al. 2022, PaLM, appendix B). Embeddings
    are looked up for free, but `wte` is also the matrix of the lm_head.
    """
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    looked_up.discard(id(model.wte.weight))
    matrices = sum(p.numel() for p in model.parameters() if p.dim() == 2 and id(p) not in looked_up)
    config = model.config
    return 6 * matrices + 12 * config.n_layer * config.n_embd * config.block_size


def mfu(model: GPT, tokens_per_second: float, device: torch.device, dtype: torch.dtype) -> float | None:
    """Model FLOPs utilization of one device: achieved / peak FLOP/s; None if the peak is not known."""
    peak = peak_flops(device, dtype)
    return flops_per_token(model) * tokens_per_second / peak if peak else None


def peak_memory(device: torch.device) -> int | None:
    """Peak memory so far in bytes: of CUDA's allocator, else of the process; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

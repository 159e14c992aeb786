"""Where to compute and in which arithmetic: the few choices that depend on the machine."""

import time
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F

from gptlib.errors import UsageError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str) -> torch.device:
    """The device of that name; 'auto' is the first of cuda, mps, cpu that this machine has.

    Raises:
        UsageError: the device is not there.
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
        return DTYPES[name]
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """The context in which matrix products run in `dtype` while weights stay in float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def fastest_threads(repeats: int = 5) -> int:
    """How many CPU threads compute fastest just now, by a measurement of some hundredths of a second.

    With a busy browser beside it two threads can be ten times slower than one, because each waits for the other.
    """
    x, w = torch.ones(768, 128), torch.ones(512, 128)  # no random numbers: a run's own come from the same source
    before, best = torch.get_num_threads(), (float("inf"), 1)
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

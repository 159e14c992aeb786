"""Where to compute and in which arithmetic: the few choices that depend on the machine."""

import importlib.util
import os
import shutil
import sys
import sysconfig
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from gptlib.errors import UsageError, first_line


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
        return getattr(torch, name)
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """The context in which matrix products run in `dtype` while weights stay in float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def set_float32_precision(device: torch.device, dtype: torch.dtype) -> None:
    """TF32 on NVIDIA GPUs: never where float32 was asked for, and allowed for what half precision leaves in float32."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest" if dtype == torch.float32 else "high")


# Products and sums a second of dense matrices in bfloat16, with float32 sums; V100 and T4, which have none: float16.
# As tables give them that quote NVIDIA's data sheets, and its Ada white paper for the RTX 4090 (165.2). Where only the
# number "with sparsity" is given, half of it: B200 4,500; H200 and H100 SXM 1,979; H100 NVL 1,671; H100 PCIe 1,513;
# L4 242. The first entry whose words are all in the device's name counts.
PEAK_FLOPS = {
    "Laptop": None,  # a smaller chip under the same name
    "4090 D": None,
    "B200": 2250e12,
    "H200 NVL": None,  # not confirmed
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
    """What the device could do at most in half precision; None where that is not known, and in float32."""
    if device.type != "cuda" or dtype == torch.float32:
        return None
    words = torch.cuda.get_device_name(device).replace("-", " ").split()
    return next((peak for name, peak in PEAK_FLOPS.items() if set(name.split()) <= set(words)), None)


def peak_memory(device: torch.device) -> int | None:
    """The most bytes so far: of tensors on a GPU by CUDA, else of the whole process; None where nobody counts."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def compile_obstacle(device: torch.device) -> str:
    """What `torch.compile` lacks on this machine, with the remedy; empty if it has what it needs."""
    compilers = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
    if not any(shutil.which(name) for name in compilers if name):
        return "no C++ compiler; install g++ (Debian, Ubuntu: apt install g++), or set CXX"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "no Python.h; install Python's headers (Debian, Ubuntu: apt install python3-dev)"
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "no triton; pip install triton"
    return ""


def compile_failure(error: RuntimeError) -> str:
    """What went wrong when `torch.compile` was tried, in a line with the remedy."""
    cause = getattr(error, "inner_exception", error)  # of torch's own errors, which go on for pages
    reason = first_line(cause)
    remedy = "set CXX to a C++ compiler that works" if "C++ compile" in reason else "leave it out by --compile=false"
    return f"{type(cause).__name__}: {reason}; {remedy}"

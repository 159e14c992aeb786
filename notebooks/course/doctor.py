"""What this machine can do: python -m course.doctor. For each problem it prints the one command that mends it."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

# gptlib itself is imported only where the packages that it needs are known to be there.
DATA = Path(__file__).resolve().parents[2] / "data"
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is a command, and empty where nothing is wrong."""

    what: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = "->" if self.remedy else "ok"
        return f"{mark}  {self.what:<12}{self.found}" + (f"\n{'mend:':>14}  {self.remedy}" if self.remedy else "")


def examine() -> Iterator[Finding]:
    """Look at everything that a run or a notebook needs; what needs a missing package is not looked at."""
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    packages = list(_packages())
    yield from packages
    if not any(finding.remedy for finding in packages):
        yield from _torch()
        yield _kernel()
    prepared = (DATA / "data-by-char" / "meta.json").exists()
    remedy = "" if prepared else "python data/data-by-char/prepare.py"
    yield Finding("text", "prepared" if prepared else "not prepared yet", remedy)


def _packages() -> Iterator[Finding]:
    try:
        needed = [re.match(r"[\w-]+", line)[0] for line in requires("gptlib") if "extra ==" not in line]
    except PackageNotFoundError:
        yield Finding("gptlib", "not installed", "pip install -c constraints.txt -e .")
        return
    for name in [*needed, "ipykernel"]:
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "missing", f"pip install -c constraints.txt {name}")


def _torch() -> Iterator[Finding]:
    try:
        import psutil
        import torch
    except (ImportError, OSError) as error:  # it is there, but not one of the libraries that it loads
        yield Finding("torch", f"cannot be imported ({error})", "pip install --force-reinstall torch")
        return
    from gptlib.device import pick_device, pick_dtype

    unused = shutil.which("nvidia-smi") and not torch.cuda.is_available()
    remedy = "pip install --force-reinstall torch  (the build for your driver: see pytorch.org)" if unused else ""
    found = f"torch has {torch.version.cuda or 'none'}" + (": the GPU is not used" if unused else "")
    yield Finding("cuda", found, remedy)
    device = pick_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores"
    yield Finding("device", f"{device.type} ({name}, {torch.get_num_threads()} torch threads)")
    yield Finding("dtype", f"{pick_dtype('auto', device)}, by dtype = 'auto'".removeprefix("torch."))
    ram = psutil.virtual_memory()
    free, total = torch.cuda.mem_get_info() if device.type == "cuda" else (ram.available, ram.total)
    yield Finding("memory", f"{free / GIB:.1f} GiB free of {total / GIB:.1f}")


def _kernel() -> Finding:
    """Whether the notebooks' kernel is this Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    remedy = f"{sys.executable} -m ipykernel install --sys-prefix"
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except Exception as error:  # there is none, or its kernel.json holds something else
        return Finding("kernel", f"there is no kernel python3 that can be read ({type(error).__name__})", remedy)
    found = shutil.which(program) or program
    same = os.path.exists(found) and os.path.samefile(found, sys.executable)
    if program != "python" and not same:  # "python" is whoever starts Jupyter
        return Finding("kernel", f"python3 is {found}, which is not this Python", remedy)
    return Finding("kernel", "python3 is this Python")


if __name__ == "__main__":
    ill = False
    for finding in examine():
        print(finding, flush=True)
        ill |= bool(finding.remedy)
    sys.exit(ill)

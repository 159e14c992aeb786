"""What this machine can do: python -m course.doctor. For each problem it prints the one command that mends it."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from gptlib.errors import run_cli
from gptlib.files import COURSE_DATA

PACKAGES = ("numpy", "safetensors", "tiktoken", "tokenizers", "matplotlib", "ipywidgets", "jupyterlab", "ipykernel")
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
    """Look at everything that a run or a notebook needs."""
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _torch()
    for name in PACKAGES:
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "missing", f"pip install -c constraints.txt {name}")
    yield _kernel()
    prepared = (COURSE_DATA / "data-by-char" / "meta.json").exists()
    remedy = "" if prepared else "python data/data-by-char/prepare.py"
    yield Finding("text", "prepared" if prepared else "not prepared yet", remedy)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except ImportError as error:
        yield Finding("torch", f"cannot be imported ({error})", "pip install -c constraints.txt torch")
        return
    from gptlib.device import compile_obstacle, pick_device, pick_dtype

    build = f"with CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    unused = shutil.which("nvidia-smi") and not torch.cuda.is_available()
    remedy = "pip install --force-reinstall torch  (the build for your driver: see pytorch.org)" if unused else ""
    yield Finding(
        "torch", f"{torch.__version__}, built for {build}" + (": the GPU is not used" if unused else ""), remedy
    )
    device = pick_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores"
    yield Finding("device", f"{device.type} ({name}, {torch.get_num_threads()} torch threads)")
    dtype = str(pick_dtype("auto", device)).removeprefix("torch.")
    yield Finding("dtype", f"{dtype}, by dtype = 'auto'")
    if device.type == "cuda":
        yield Finding(
            "memory", "{:.1f} GiB free of {:.1f} on the GPU".format(*(n / GIB for n in torch.cuda.mem_get_info()))
        )
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        yield Finding("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIB:.1f} GiB")
    obstacle, _, remedy = compile_obstacle(device).partition("; ")
    yield Finding("compile", obstacle or "possible", remedy)


def _kernel() -> Finding:
    """Whether the notebooks' kernel is this Python."""
    remedy = f"{sys.executable} -m ipykernel install --sys-prefix"
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
        from traitlets import TraitError
    except ImportError:
        return Finding("kernel", "jupyter_client is missing", "pip install -c constraints.txt jupyterlab")
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding("kernel", "there is no kernel python3", remedy)
    except (OSError, ValueError, LookupError, TypeError, TraitError) as error:
        return Finding("kernel", f"its kernel.json cannot be read ({type(error).__name__})", remedy)
    found = shutil.which(program) or program
    same = os.path.exists(found) and os.path.samefile(found, sys.executable)
    if program != "python" and not same:  # "python" is whoever starts Jupyter
        return Finding("kernel", f"python3 is {found}, which is not this Python", remedy)
    return Finding("kernel", "python3 is this Python")


def main() -> None:
    """Print all findings; the exit code is 1 if one of them needs mending."""
    findings = []
    for finding in examine():
        print(finding, flush=True)
        findings.append(finding)
    sys.exit(any(finding.remedy for finding in findings))


if __name__ == "__main__":
    run_cli(main)

"""`python -m gptlib.train` and `.sample` in processes of their own, without seconds of importing torch for each.

They are forked from a server that has imported it already (Python's own "forkserver"), and with it what torch
would import for FSDP.
"""

import ctypes
import faulthandler
import multiprocessing
import os
import resource
import signal
import sys
from importlib import import_module

from gptlib.errors import run_cli

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(
    ["__main__", "processes", "gptlib.train", "gptlib.sample", "torch._dynamo", "torch.distributed.fsdp"]
)


def give_up_root():
    """Root writes where it likes, for the sake of its capabilities; without them it is a user like any other."""
    if os.geteuid() == 0:
        header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # version 3; this thread
        if ctypes.CDLL(None).capset(header, none):
            raise OSError("cannot give up root's capabilities")


def _run(module, argv, output, largest_file, environment):
    os.environ.update(environment)
    give_up_root()
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    faulthandler.enable(2)  # a run that crashes says where
    faulthandler.register(signal.SIGUSR1, 2)  # and one that hangs, when `exit_code` asks
    main = import_module(f"gptlib.{module}").main
    try:
        run_cli(lambda: main(argv))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def start_program(module, argv, output, largest_file=None, **environment):
    """Begin it; what it prints is appended to the file `output`. `largest_file`: bytes, as if the disk were full."""
    process = FORKSERVER.Process(target=_run, args=(module, argv, output, largest_file, environment))
    process.start()
    return process


def exit_code(process, within=60):
    """Wait for its end; one that takes more seconds than that says where it is, and is killed.

    It is asked once, and then is given up. A timer that asked all of them at ten seconds (`dump_traceback_later`)
    crashed a healthy run now and then: it reads the frames of a thread that goes on running (CPython #131580).
    """
    process.join(within)
    if process.exitcode is None:
        os.kill(process.pid, signal.SIGUSR1)
        process.join(1)
        process.kill()
        process.join()
    return process.exitcode

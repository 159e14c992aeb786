"""Programs in processes of their own, without seconds of importing torch for each.

They are forked from a server that has imported it already (Python's own "forkserver"), and with it what torch
would import for FSDP.
"""

import ctypes
import faulthandler
import multiprocessing
import os
import re
import resource
import runpy
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path

from gptlib.errors import run_cli

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(
    ["__main__", "processes", "gptlib.train", "gptlib.sample", "torch._dynamo", "torch.distributed.fsdp", "tokenizers"]
)


def give_up_root():
    """Root writes where it likes, for the sake of its capabilities; without them it is a user like any other."""
    if os.geteuid() == 0:
        header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # version 3; this thread
        if ctypes.CDLL(None).capset(header, none):
            raise OSError("cannot give up root's capabilities")


def limit_memory(bytes_more):
    """From now on this process gets no more than that."""
    now = int(re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (now + bytes_more,) * 2)
    threading.stack_size(2**20)  # instead of 8 MB each
    os.cpu_count = lambda: 2  # each thread has some blocks


def _run(program, argv, output, errors, largest_file, memory, environment):
    os.environ.update(environment)
    give_up_root()
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    for name, number in ((output, 1), (errors or output, 2)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    # As in a terminal of Windows, whatever the real one is.
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, encoding="cp1252") for number in (1, 2))  # noqa: SIM115
    faulthandler.enable(2)  # a run that crashes says where
    faulthandler.register(signal.SIGUSR1, 2)  # and one that hangs, when `exit_code` asks
    script = program.endswith(".py")
    main = None if script else import_module(program).main
    if memory:
        limit_memory(memory)
    try:
        if script:
            sys.argv = [program, *argv]
            runpy.run_path(program, run_name="__main__")
        else:
            run_cli(lambda: main(argv))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def start_program(program, argv, output, errors=None, largest_file=None, memory=None, **environment):
    """Begin a module's `main`, or a script; what it prints is appended to the file `output`, or `errors` in part.

    `largest_file`: bytes, as if the disk were full. `memory`: bytes that it may take.
    """
    words = [str(word) for word in argv]
    process = FORKSERVER.Process(target=_run, args=(program, words, output, errors, largest_file, memory, environment))
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

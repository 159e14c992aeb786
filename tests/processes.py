"""`python -m gptlib.train` in processes of their own, without a second of importing torch for each.

They are forked from a server that has imported it already (Python's own "forkserver"), and with it what torch
would import at the first step of an optimiser.
"""

import ctypes
import faulthandler
import multiprocessing
import os
import resource
import sys

from gptlib.errors import run_cli

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["__main__", "processes", "gptlib.train", "torch._dynamo", "torch.distributed.fsdp"])


def give_up_root():
    """Root writes where it likes, for the sake of its capabilities; without them it is a user like any other."""
    if os.geteuid() == 0:
        header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # version 3; this thread
        if ctypes.CDLL(None).capset(header, none):
            raise OSError("cannot give up root's capabilities")


def _train(argv, output, largest_file, environment):
    os.environ.update(environment)
    give_up_root()
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable(2)  # a run that crashes says where
    faulthandler.dump_traceback_later(10, exit=False)  # and one that hangs
    from gptlib.train import main

    try:
        run_cli(lambda: main(argv))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def start_training(argv, output, largest_file=None, **environment):
    """Begin it; what it prints is appended to the file `output`. `largest_file`: bytes, as if the disk were full."""
    process = FORKSERVER.Process(target=_train, args=(argv, output, largest_file, environment))
    process.start()
    return process

"""Errors that the user can mend: one line that says what is wrong, what is allowed and what to do."""

import io
import os
import sys
import time
from collections.abc import Callable

OUT_OF_MEMORY = "out of memory: choose a smaller batch_size (and more gradient_accumulation_steps), block_size or model"
PATIENCE = 5.0  # seconds that a process waits for the first one to speak


class UserError(Exception):
    """The run cannot go on, and the message says how to mend it (exit code 1)."""

    exit_code = 1


class UsageError(UserError):
    """A setting or an argument is wrong (exit code 2)."""

    exit_code = 2


def run_cli(main: Callable[[], None]) -> None:
    """Call `main` as a program: what the user can mend, and Ctrl-C, become one line on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the sign ± is no reason to end a run
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        _end(str(error), error.exit_code)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _end(OUT_OF_MEMORY, 1)
    except BrokenPipeError:  # who read the output has left, as `head` does; Python would try to write the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)  # as shells report a program that Ctrl-C ended


def first_line(error: BaseException) -> str:
    """What an error says, without the pages that may follow; '' if it says nothing."""
    return next(iter(str(error).splitlines()), "")


def is_out_of_memory(error: Exception) -> bool:
    """Whether this is what Python, numpy or torch say when there is no memory left, on a CPU or a GPU."""
    # torch: "DefaultCPUAllocator: can't allocate memory", "CUDA out of memory", "MPS backend out of memory"
    said = first_line(error)
    return isinstance(error, MemoryError) or any(words in said for words in ("allocate memory", "out of memory"))


def _end(message: str, exit_code: int) -> None:
    # What is wrong is mostly wrong in all processes that torchrun started; one of each machine should say it. When that
    # one has ended, torchrun ends the others. Who is still there after a while has a reason of its own.
    if os.environ.get("LOCAL_RANK", "0") != "0":
        time.sleep(PATIENCE)
    print(f"error: {message}", file=sys.stderr)
    sys.exit(exit_code)

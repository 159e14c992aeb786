"""Errors that the user can fix: one line that says what is wrong, what is allowed and what to do."""

import io
import os
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Callable

OUT_OF_MEMORY = "out of memory: choose a smaller batch_size (and more gradient_accumulation_steps), block_size or model"
REPORT_SECONDS = 5.0  # that the other ranks leave rank 0 to report an error


class UserError(Exception):
    """The run cannot continue, and the message says how to fix it (exit code 1)."""

    exit_code = 1


class UsageError(UserError):
    """A setting or an argument is wrong (exit code 2)."""

    exit_code = 2


def run_cli(main: Callable[[], None]) -> None:
    """Call `main` as a program: an error becomes one line on stderr and an exit code; --debug shows the traceback."""
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell (>&-)
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # what a model writes is UTF-8
    try:
        main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _end("interrupted", 130)  # as shells report a program that Ctrl-C ended
    except BrokenPipeError:  # the reader has left, as `head` does
        discard_stdout()
        sys.exit(1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError):
            discard_stdout()
        _end(*_described(error))


def discard_stdout() -> None:
    """Drop what could not be written to stdout; else Python would try again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end_quietly_when_interrupted() -> None:
    """Let Ctrl-C before `run_cli` print one line instead of a traceback."""

    def hook(kind: type[BaseException], error: BaseException, trace: object) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("error: interrupted", file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook


def _described(error: Exception) -> tuple[str, int]:
    if isinstance(error, UserError):
        return str(error), error.exit_code
    if is_out_of_memory(error):
        return OUT_OF_MEMORY, 1
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or 'standard output'}", 1
    return f"unexpected {type(error).__name__}: {first_line(error)}; --debug shows where", 1


def first_line(error: BaseException) -> str:
    """The first line of an error's message; '' if there is none."""
    return next(iter(str(error).splitlines()), "")


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python, numpy or torch (CPU, CUDA, MPS) says that there is no memory left."""
    # torch: "DefaultCPUAllocator: can't allocate memory", "CUDA out of memory", "MPS backend out of memory"
    message = first_line(error)
    return isinstance(error, MemoryError) or any(words in message for words in ("allocate memory", "out of memory"))


def quoted(*words: str) -> str:
    """A command, quoted for the user's shell."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _end(message: str, exit_code: int) -> None:
    # Most errors are the same on all ranks: local rank 0 reports them and ends, and torchrun then ends the others.
    # A rank that is still alive after REPORT_SECONDS failed for a reason of its own.
    if os.environ.get("LOCAL_RANK", "0") != "0":
        time.sleep(REPORT_SECONDS)
    print(f"error: {message}", file=sys.stderr)
    sys.exit(exit_code)

"""Errors that the user can mend: one line that says what is wrong, what is allowed and what to do."""

import os
import sys
import time
from collections.abc import Callable

PATIENCE = 5.0  # seconds that a process waits for the first one to speak


class UserError(Exception):
    """The run cannot go on, and the message says how to mend it (exit code 1)."""

    exit_code = 1


class UsageError(UserError):
    """A setting or an argument is wrong (exit code 2)."""

    exit_code = 2


def run_cli(main: Callable[[], None]) -> None:
    """Call `main` as a program: a `UserError` or Ctrl-C becomes one line on stderr and an exit code."""
    try:
        main()
    except UserError as error:
        _let_the_first_process_speak()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)  # as shells report a program that Ctrl-C ended


def _let_the_first_process_speak() -> None:
    """What is wrong is mostly wrong in all processes that torchrun started; one of each machine should say it.

    When that one has ended, torchrun ends the others. Who is still there after a while has a reason of its own.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        time.sleep(PATIENCE)

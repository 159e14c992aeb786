"""Errors that the user can mend: one line that says what is wrong, what is allowed and what to do."""

import sys
from collections.abc import Callable


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
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)  # as shells report a program that Ctrl-C ended

"""What every cell of the course gets: as many CPU threads as are fast just now, a bar if it is slow, short errors."""

import time
from functools import cache

import torch
from IPython import get_ipython

from course.progress_bar import begin_cell, end_cell
from gptlib.device import fastest_threads
from gptlib.errors import UserError

LOOK_AGAIN = 30.0  # seconds


@cache
def set_up_cells() -> None:
    """From now on, cells start with the fastest number of threads, slow ones say so, `UserError` has no traceback.

    The number only ever goes down: equal cells give equal numbers unless the computer gets busy, and then nothing
    stands still for minutes.
    """
    if (shell := get_ipython()) is None:
        return
    UserError._render_traceback_ = lambda error: [f"{type(error).__name__}: {error}"]  # which IPython looks for
    looked = -LOOK_AGAIN

    def look(*_: object) -> None:
        nonlocal looked
        if time.monotonic() - looked >= LOOK_AGAIN:
            torch.set_num_threads(fastest_threads())
            looked = time.monotonic()

    look()
    shell.events.register("pre_run_cell", look)
    begin_cell()  # the one that imports the course
    shell.events.register("pre_run_cell", begin_cell)
    shell.events.register("post_run_cell", end_cell)

"""What holds for every test, notebooks under nbval too, and for the processes and kernels that they start."""

import os

# Nothing is written into the progress of whoever runs it.
os.environ["GPTLIB_PROGRESS"] = "off"
# One torch thread: with two, a busy neighbour on one of two cores makes a step ten times slower (EXPERIMENTS.md).
os.environ.setdefault("OMP_NUM_THREADS", "1")

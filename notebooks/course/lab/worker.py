"""The thread in which a live run trains, so that sliders, Stop and other cells stay alive.

A worker goes through the events of a run and puts them onto a queue. Between two of them it looks at what it was told.
"""

import atexit
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import WeakSet

from course.lab.runs import FAILED, PAUSED, RUNNING, STOPPED, Status
from gptlib.errors import OUT_OF_MEMORY, UserError, first_line, is_out_of_memory
from gptlib.events import TrainStep

PATIENCE_AT_EXIT = 10.0  # seconds

_changed = threading.Condition()  # guards what workers are told
_workers: WeakSet["Worker"] = WeakSet()


def end_all() -> None:
    """Stop all workers: a thread that still computes when Python ends would abort the whole process."""
    workers = list(_workers)
    for worker in workers:
        worker.tell(stopped=True)
    for worker in workers:
        for thread in worker.threads:
            thread.join(PATIENCE_AT_EXIT)


def reason_for(error: Exception) -> str:
    """Why a run failed, in one plain sentence."""
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    said = first_line(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class Worker:
    """Goes through `events` in a thread; iterating over it, in another one, gives them too, and a `Status` at last."""

    def __init__(self, events: Iterable[Any]):
        self._events = events
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.paused = self.stepping = self.stopped = False
        self.threads: list[threading.Thread] = []
        _workers.add(self)

    def start(self, follow: Callable[[], Any]) -> None:
        """Begin; `follow` takes the events, in a thread of its own."""
        self.tell(paused=False)
        atexit.unregister(end_all)
        atexit.register(end_all)  # now the first to be called: what its threads say last can still be sent
        for work, name in ((self._work, "gptlib-live"), (follow, "gptlib-view")):
            self.threads.append(threading.Thread(target=work, name=name, daemon=True))
            self.threads[-1].start()

    def tell(self, **orders: bool) -> None:
        """Set `paused`, `stepping` (pause after the next step) or `stopped`.

        Of several workers only one goes on, since two would fight for the cores: the others pause.
        """
        with _changed:
            for name, value in orders.items():
                setattr(self, name, value)
            if orders.get("paused") is False:
                for other in _workers - {self}:
                    other.paused = True
            _changed.notify_all()

    def join(self, seconds: float | None = None) -> None:
        """Wait until the run is over and shown, but for `seconds` at most."""
        self.threads[-1].join(seconds)

    @property
    def alive(self) -> bool:
        """Whether the run goes on, or its end is not shown yet."""
        return any(thread.is_alive() for thread in self.threads)

    def __iter__(self) -> Iterator[Any]:
        over = False
        while not over:
            yield (event := self._queue.get())
            over = isinstance(event, Status) and event.over

    def _work(self) -> None:
        end = Status(STOPPED)
        try:
            for event in self._events:
                self._queue.put(event)
                if self.stepping and isinstance(event, TrainStep):
                    self.paused = True
                if self.paused and not self.stopped:
                    self._pause()
                if self.stopped:
                    break
        except Exception as error:  # a thread must not die in silence: whatever it was, the learner reads it
            end = Status(FAILED, reason_for(error))
        self._queue.put(end)

    def _pause(self) -> None:
        self._queue.put(Status(PAUSED))
        with _changed:
            _changed.wait_for(lambda: self.stopped or not self.paused)
        self._queue.put(Status(RUNNING))

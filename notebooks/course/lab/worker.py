"""The thread in which a live run trains, so that sliders, Stop and other cells stay alive.

A worker goes through the events of a run and puts them onto a queue. Between two of them it looks at what it was told.
"""

import atexit
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakSet

from course.lab.runs import DIVERGED, FAILED, PAUSED, RUNNING, STOPPED, Run, Status
from gptlib.errors import OUT_OF_MEMORY, UserError, first_line, is_out_of_memory
from gptlib.events import TrainStep

PATIENCE_AT_EXIT = 10.0  # seconds

_changed = threading.Condition()  # guards what workers are told
_workers: WeakSet["Worker"] = WeakSet()


def end_all() -> None:
    """Stop all workers: a thread that still computes when Python ends would abort the whole process."""
    workers = list(_workers)
    for worker in workers:
        worker.stop()
    for worker in workers:
        worker.thread.join(PATIENCE_AT_EXIT)


def reason_for(error: Exception) -> str:
    """Why a run failed, in one plain sentence."""
    if isinstance(error, UserError):
        return str(error)
    return OUT_OF_MEMORY if is_out_of_memory(error) else f"{type(error).__name__}: {first_line(error)}"


class Worker:
    """Goes through the `events` of a run until it is over: in a thread by `start`, or right here by `work`."""

    def __init__(self, run: Run, events: Iterable[Any]):
        self.run, self._events = run, events
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.paused = self.stepping = self.stopped = False

    def start(self, take: Callable[[Any], Any]) -> None:
        """Begin in a thread; `take` gets the events in another one, `thread`, which ends when all are taken."""
        _workers.add(self)
        self.tell(paused=False)
        atexit.unregister(end_all)
        atexit.register(end_all)  # now the first to be called: what its threads say last can still be sent
        self.thread = threading.Thread(target=self._follow, args=[take], name="gptlib-view", daemon=True)
        threading.Thread(target=self._train, name="gptlib-live", daemon=True).start()
        self.thread.start()

    def tell(self, **orders: bool) -> None:
        """Set `paused`, or `stepping` (pause after the next step).

        Of several workers only one goes on, since two would fight for the cores: the others pause.
        """
        with _changed:
            for name, value in orders.items():
                setattr(self, name, value)
            if orders.get("paused") is False:
                for other in _workers - {self}:
                    other.paused = True
            _changed.notify_all()

    def stop(self) -> None:
        """End the run, which says so at once; the thread ends after the step that it is in."""
        if not self.run.over:
            self.run.status = STOPPED
        self.tell(stopped=True)

    def work(self, say: Callable[[Any], Any]) -> None:
        """Go through the events; `say` gets each of them, and at last a `Status`."""
        end = Status(STOPPED)
        try:
            for event in self._events:
                say(event)
                if self.stepping and isinstance(event, TrainStep):
                    self.paused = True
                if self.paused and not self.stopped and not self.run.over:
                    say(Status(PAUSED))
                    with _changed:
                        _changed.wait_for(lambda: self.stopped or self.run.over or not self.paused)
                    say(Status(RUNNING))
                if self.stopped or self.run.status in (STOPPED, DIVERGED):
                    break
        except KeyboardInterrupt:  # in a cell, that is Stop
            pass
        except Exception as error:  # a thread must not die in silence: whatever it was, the learner reads it
            end = Status(FAILED, reason_for(error))
        say(end)

    def _train(self) -> None:
        self.work(self._queue.put)
        self._queue.put(None)

    def _follow(self, take: Callable[[Any], Any]) -> None:
        for event in iter(self._queue.get, None):
            take(event)
            if self.run.over:
                self.tell()  # it may be paused

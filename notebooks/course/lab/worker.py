"""The thread in which a live run trains, so that sliders, Stop and other cells stay alive.

All that the thread has to say goes onto a queue, `messages`. What it is told is read between two events.
"""

import atexit
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakSet

from gptlib.errors import OUT_OF_MEMORY, UserError, first_line, is_out_of_memory
from gptlib.events import Event, TrainStep
from gptlib.trainer import Trainer

PATIENCE_AT_EXIT = 10.0  # seconds


@dataclass(frozen=True)
class Waiting:
    """Another run has to end or to pause first."""


@dataclass(frozen=True)
class Paused:
    """The run is paused."""


@dataclass(frozen=True)
class Resumed:
    """It continues, or begins."""


@dataclass(frozen=True)
class Ended:
    """The thread is done; `reason` says why the run failed, if it did."""

    reason: str = ""


_changed = threading.Condition()  # guards what workers are told, and whose turn it is: two at once fight for the cores
_active: object | None = None
_threads: WeakSet[threading.Thread] = WeakSet()
_exiting = threading.Event()


def spawn(work: Callable[[], Any], name: str) -> threading.Thread:
    """A thread that ends when Python does: one that still computes then would abort the whole process."""
    thread = threading.Thread(target=work, name=f"gptlib-{name}", daemon=True)
    _threads.add(thread)
    thread.start()
    return thread


@atexit.register
def end_all() -> None:
    """Ask all threads to end, and wait for them."""
    with _changed:
        _exiting.set()
        _changed.notify_all()
    for thread in list(_threads):
        thread.join(PATIENCE_AT_EXIT)


def exiting() -> bool:
    """Whether Python is about to end: then nothing can be shown any more."""
    return _exiting.is_set()


def reason_for(error: Exception) -> str:
    """Why a run failed, in one plain sentence."""
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    said = first_line(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class Worker:
    """Runs one Trainer to its end in a thread.

    Args:
        make_trainer: called in the thread, since building a model takes time too.
        observe: called in the thread with the trainer and each event; what it yields goes onto the queue as well.
    """

    def __init__(self, make_trainer: Callable[[], Trainer], observe: Callable[[Trainer, Event], Iterable[Any]]):
        self._make_trainer, self._observe = make_trainer, observe
        self.messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.paused = self.stepping = self.stopped = False
        self.trainer: Trainer | None = None
        self.thread: threading.Thread | None = None

    # --- from outside ---------------------------------------------------------------------------------

    def start(self, follow: Callable[[], Any]) -> None:
        """Begin, or wait for the run before; `follow` takes the messages, in another thread, until `Ended`."""
        spawn(self._work, "live")
        self.thread = spawn(follow, "view")

    def tell(self, **orders: bool) -> None:
        """Set `paused`, `stepping` (pause after the next step) or `stopped`."""
        with _changed:
            for name, value in orders.items():
                setattr(self, name, value)
            _changed.notify_all()

    @property
    def alive(self) -> bool:
        """Whether the run goes on, or its end is not shown yet."""
        return self.thread is not None and self.thread.is_alive()

    def __iter__(self) -> Iterator[Any]:
        """All that the run has to say; the last is `Ended`."""
        while True:
            message = self.messages.get()
            yield message
            if isinstance(message, Ended):
                return

    # --- in the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        reason = ""
        try:
            if self._may_go_on():
                self._train()
        except Exception as error:  # a thread must not die in silence: whatever it was, the learner reads it
            reason = reason_for(error)
        finally:
            self._leave()
            self.messages.put(Ended(reason))

    def _train(self) -> None:
        self.trainer = self._make_trainer()
        for event in self.trainer:
            self.messages.put(event)
            for more in self._observe(self.trainer, event):
                self.messages.put(more)
            if self.stepping and isinstance(event, TrainStep):
                self.tell(paused=True)
            if not self._may_go_on():
                return

    def _may_go_on(self) -> bool:
        """Wait while the run is paused or another one has its turn; False once it is stopped."""
        global _active
        if _active is self and not (self.paused or self.stopped or _exiting.is_set()):
            return True
        with _changed:
            while not (self.stopped or _exiting.is_set()):
                paused = self.paused
                if not paused and _active in (None, self):
                    _active = self
                    self.messages.put(Resumed())
                    return True
                self._leave()
                self.messages.put(Paused() if paused else Waiting())
                _changed.wait_for(partial(self._is_news, paused))
        return False

    def _is_news(self, paused: bool) -> bool:
        """Whether there is something to do for a worker that is paused, or else waits for its turn."""
        return self.stopped or _exiting.is_set() or self.paused != paused or (not paused and _active is None)

    def _leave(self) -> None:
        """Let others have their turn."""
        global _active
        with _changed:
            if _active is self:
                _active = None
                _changed.notify_all()

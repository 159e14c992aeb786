"""The thread in which a live run trains, so that sliders, Stop and other cells stay alive."""

import threading
import time
from collections.abc import Callable
from functools import cache

from gptlib.config import TrainConfig
from gptlib.dataset import Dataset
from gptlib.errors import UserError
from gptlib.events import Event
from gptlib.trainer import Trainer

_turn = threading.Lock()  # two runs at once would fight for the same cores: the second waits for its turn


@cache
def warm_up() -> threading.Thread:
    """Train a tiny model aside, once, while the learner reads: the first Trainer loads a second's worth of code."""
    config = TrainConfig(n_layer=1, n_head=1, n_embd=8, block_size=4, batch_size=1, max_iters=1, eval_iters=1)
    dataset = Dataset.from_text("to be or not to be " * 9)

    def work() -> None:
        with _turn:
            for _ in Trainer(config, dataset):
                pass

    thread = threading.Thread(target=work, name="gptlib-warm-up", daemon=True)
    thread.start()
    return thread


class Worker:
    """Runs one Trainer to its end in a daemon thread.

    Args:
        make_trainer: called in the thread, since building a model takes time too.
        on_event: called in the thread with each event.
        on_end: called once at the end, with the reason if the run failed, else with ''.
        on_wait: called if another run has to end first.
    """

    def __init__(
        self,
        make_trainer: Callable[[], Trainer],
        on_event: Callable[[Event], None],
        on_end: Callable[[str], None],
        on_wait: Callable[[], None],
    ):
        self._make_trainer, self._on_event, self._on_end, self._on_wait = make_trainer, on_event, on_end, on_wait
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        self.trainer: Trainer | None = None
        self.paused_seconds = 0.0
        self.thread = threading.Thread(target=self._work, name="gptlib-live", daemon=True)

    def start(self) -> None:
        """Begin, or wait for the run before."""
        self.thread.start()

    def stop(self, wait: float = 0.0) -> None:
        """Ask the run to end, and wait up to `wait` seconds until it has."""
        self._stop.set()
        self._go.set()
        if wait:
            self.thread.join(wait)

    def pause(self) -> None:
        """Hold the run after its next event."""
        self._go.clear()

    def resume(self) -> None:
        """Go on."""
        self._go.set()

    @property
    def alive(self) -> bool:
        """Whether the thread still works."""
        return self.thread.is_alive()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked the run to end."""
        return self._stop.is_set()

    def _work(self) -> None:
        reason = ""
        if not _turn.acquire(blocking=False):
            self._on_wait()
            while not _turn.acquire(timeout=0.1):
                if self._stop.is_set():
                    self._on_end("")
                    return
        try:
            self.trainer = self._make_trainer()
            for event in self.trainer:
                self._on_event(event)
                self._hold()
                if self._stop.is_set():
                    break
        except UserError as error:
            reason = str(error)
        except Exception as error:  # a thread must not die in silence: whatever it was, the learner reads it
            reason = f"{type(error).__name__}: {error}"
        finally:
            _turn.release()
        self._on_end(reason)

    def _hold(self) -> None:
        if not self._go.is_set():
            started = time.perf_counter()
            self._go.wait()
            self.paused_seconds += time.perf_counter() - started

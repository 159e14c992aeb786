"""The thread in which a live run trains, so that sliders, Stop and other cells stay alive."""

import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from course.lab.kernel import kernel
from gptlib.config import TrainConfig
from gptlib.dataset import Dataset
from gptlib.errors import OUT_OF_MEMORY, UserError, first_line, is_out_of_memory
from gptlib.events import Event, TrainStep
from gptlib.trainer import Trainer

_turn = threading.Lock()  # two runs at once would fight for the same cores: the second waits for its turn
QUIET = 1.0  # seconds after a cell: then its outputs stand in the page too


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


def in_a_quiet_moment(work: Callable[[], Any]) -> threading.Thread:
    """Do something short aside that wants the cores for itself, once neither a cell nor a run goes on."""

    def wait_and_work() -> None:
        while kernel().idle_for() < QUIET:
            time.sleep(QUIET / 4)
        with _turn:
            work()

    thread = threading.Thread(target=wait_and_work, name="gptlib-aside", daemon=True)
    thread.start()
    return thread


def reason_for(error: Exception) -> str:
    """Why a run failed, in one plain sentence."""
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    said = first_line(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class Worker:
    """Runs one Trainer to its end in a daemon thread.

    Args:
        make_trainer: called in the thread, since building a model takes time too.
        on_event: called in the thread with each event.
        on_end: called once at the end, with the reason if the run failed, else with ''.
        on_wait: called if another run has to end or to pause first.
        on_hold: called in the thread when it holds.
    """

    def __init__(
        self,
        make_trainer: Callable[[], Trainer],
        on_event: Callable[[Event], None],
        on_end: Callable[[str], None],
        on_wait: Callable[[], None],
        on_hold: Callable[[], None],
    ):
        self._make_trainer, self._on_event, self._on_end = make_trainer, on_event, on_end
        self._on_wait, self._on_hold = on_wait, on_hold
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        self.stepping = self._has_turn = False
        self._log_interval = 0  # what it is when not stepping
        self.trainer: Trainer | None = None
        self.paused_seconds = 0.0
        self.thread = threading.Thread(target=self._work, name="gptlib-live", daemon=True)

    # --- from outside ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, or wait for the run before."""
        self.thread.start()

    def stop(self, wait: float = 0.0) -> None:
        """Ask the run to end, and wait up to `wait` seconds until it has."""
        self._stop.set()
        self._go.set()
        if wait and self.thread is not threading.current_thread():
            self.thread.join(wait)

    def pause(self) -> None:
        """Hold the run after its next event; meanwhile another one may have its turn."""
        self._go.clear()

    def resume(self) -> None:
        """Go on."""
        self._pace(stepping=False)
        self._go.set()

    def step(self) -> None:
        """Go on for one optimiser step, and hold again."""
        self._pace(stepping=True)
        self._go.set()

    def change(self, **settings: Any) -> None:
        """Change settings of the running Trainer; one that is not built yet keeps those that it was given."""
        if self.trainer is not None:
            self._log_interval = settings.get("log_interval", self._log_interval)
            self.trainer.change(**settings)
            self._pace(self.stepping)

    @property
    def alive(self) -> bool:
        """Whether the thread still works."""
        return self.thread.is_alive()

    @property
    def held(self) -> bool:
        """Whether the run is paused, or about to be."""
        return not self._go.is_set()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked the run to end."""
        return self._stop.is_set()

    def _pace(self, stepping: bool) -> None:
        """Step by step every step is logged, or nobody would see it."""
        self.stepping = stepping
        if self.trainer is not None:
            self.trainer.change(log_interval=1 if stepping else self._log_interval)

    # --- in the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        reason = ""
        try:
            if self._take_turn():
                self._train()
        except Exception as error:  # a thread must not die in silence: whatever it was, the learner reads it
            reason = reason_for(error)
        finally:
            self._leave_turn()
        self._on_end(reason)

    def _train(self) -> None:
        self.trainer = self._make_trainer()
        self._log_interval = self.trainer.config.log_interval
        self._pace(self.stepping)
        for event in self.trainer:
            self._on_event(event)
            if self.stepping and isinstance(event, TrainStep):
                self._go.clear()
            self._hold()
            if self.stopped:
                break

    def _hold(self) -> None:
        """Wait as long as the run is paused, and let others have their turn meanwhile."""
        if not self.held or self.stopped:
            return
        started = time.perf_counter()
        self._leave_turn()
        self._take_turn()  # or not, if the run was stopped meanwhile; then the loop ends
        self.paused_seconds += time.perf_counter() - started

    def _take_turn(self) -> bool:
        """Wait as long as the run is paused, and for its turn; False if it was stopped before that came."""
        patience = 0.0
        while not self.stopped:
            if self.held:
                self._on_hold()
                self._go.wait()
                patience = 0.0
            elif _turn.acquire(timeout=patience):
                self._has_turn = True
                return True
            elif not patience:
                self._on_wait()
                patience = 0.1
        return False

    def _leave_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            _turn.release()

"""The live lab: sliders, a prediction, Run, Pause and Stop, and the curves of the last runs.

The lab knows nothing about training. It starts a `Trainer`, consumes its events into a `Run`, and has its
view (see view.py) show that. What it knows is plain data: `runs`, `scale`, `chosen`, `settings()`.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, ClassVar

import ipywidgets as widgets

from course.cells import fastest_threads
from course.lab import table
from course.lab.controls import keep_product, make_control
from course.lab.costs import memory_in_use
from course.lab.curves import LivePlot
from course.lab.kernel import current_cell
from course.lab.prediction import Prediction
from course.lab.presets import Preset
from course.lab.runs import DIVERGED, FAILED, FINISHED, KEPT_RUNS, RUNNING, STOPPED, Run, Scale, add_run, in_words
from course.lab.sample import short_sample
from course.lab.view import LabView
from course.lab.worker import Worker, in_a_quiet_moment, warm_up
from course.shown import in_place_of, widgets_only
from gptlib.config import TrainConfig
from gptlib.dataset import Dataset
from gptlib.errors import UserError
from gptlib.events import Evaluation, Event
from gptlib.trainer import CHANGEABLE, Trainer

# At most these shares of a run's time go into its pictures, and into what the model writes.
DRAWING_SHARE, SAMPLING_SHARE = 0.03, 0.02
LAST_SAMPLE = 1.0  # seconds at most
SHORTEST_PAUSE = 0.1  # seconds between two pictures at least: nobody sees more
# Ends in words after 6 s of one core: validation loss 1.93 (EXPERIMENTS.md). Small, and still a GPT in every part.
DEFAULTS = {"n_layer": 2, "n_embd": 64, "block_size": 64, "batch_size": 24, "max_iters": 250, "schedule": "linear"}
DEFAULTS |= {"optimizer": "muon", "learning_rate": 1.5e-2, "muon_lr": 5e-2, "warmup_iters": 10}
DEFAULTS |= {"eval_interval": 50, "eval_iters": 5, "log_interval": 5}
# A lab that is about the learning rate trains with AdamW, whose rate it is.
ADAMW = {"optimizer": "adamw", "learning_rate": 1e-2}


def defaults(names: Iterable[str]) -> dict[str, Any]:
    """The settings of a lab that gives or moves those of these names."""
    return DEFAULTS | (ADAMW if "learning_rate" in names and "optimizer" not in names else {})


class Lab:
    """A live training run with sliders, as the result of a notebook cell.

    A lab of another kind overrides `controls`, `new_run`, `make_trainer`, `watch` or `frame`.

    Args:
        sliders: names of the settings that the learner moves (see controls.py).
        dataset: a Dataset, or its name.
        prediction: asked first; Run waits for an answer, or for Skip.
        title: stands over the plot. A new lab of the same title, made by the same cell, takes the place of the
            old one, whose run is stopped: running a cell twice leaves no thread behind.
        loss_range: the y axis.
        sequences_per_step: if given, batch_size x gradient_accumulation_steps stays at it: moving the
            slider of one moves the other.
        stop_diverged: whether a run ends when its loss stays far above where it began.
        settings: any setting of `TrainConfig` that differs from `defaults`.
    """

    _by_place: ClassVar[dict[tuple[str, str], "Lab"]] = {}

    def __init__(
        self,
        *sliders: str,
        dataset: Dataset | str = "data-by-char",
        prediction: Prediction | None = None,
        title: str = "A GPT learns Shakespeare",
        loss_range: tuple[float, float] = (1.5, 4.5),
        sequences_per_step: int | None = None,
        stop_diverged: bool = True,
        **settings: Any,
    ):
        self.own = TrainConfig(**(defaults([*sliders, *settings]) | settings))
        self.named = isinstance(dataset, str)
        if self.named:
            self.own = replace(self.own, dataset=dataset)
        self.base = self.own
        self.dataset = Dataset.open(dataset) if self.named else dataset
        self.prediction, self.title, self.loss_range = prediction, title, loss_range
        self.sequences_per_step, self.stop_diverged = sequences_per_step, stop_diverged
        self.runs: list[Run] = []
        self.scale = Scale()
        self.chosen = ""  # the learner's prediction
        self.locked = prediction is not None  # until it is answered or skipped
        self._figure_count = 0
        self._worker: Worker | None = None
        self._next_frame = 0.0
        self._why_held = ""
        self.sliders = {name: make_control(name, getattr(self.base, name)) for name in sliders}
        for slider in self.sliders.values():
            slider.observe(self._slider_moved, names="value")
        self.view = LabView(self, self.controls())
        self._take_place()
        self._plot = self._new_plot()
        self._show(None)
        self._say_ready()
        warm_up()
        in_a_quiet_moment(lambda: self.threads)  # which takes a tenth of a second: now, and not when Run is pressed

    def _take_place(self) -> None:
        place = (current_cell(), self.title)
        if (old := Lab._by_place.get(place)) is not None:
            old.stop()
            if place[0]:  # its output was replaced, so nobody sees it; elsewhere it may still stand in the page
                old.view.close()
        Lab._by_place[place] = self

    def _say_ready(self) -> None:
        self.view.say("predict first, then Run" if self.locked else "ready")

    # --- what other kinds of labs change --------------------------------------------------------------

    def controls(self) -> list[widgets.Widget]:
        """What the learner moves: the sliders."""
        return list(self.sliders.values())

    def new_run(self, number: int, **settings: Any) -> Run:
        """A run as the sliders say, but for `settings`; its number gives it its colour."""
        config = replace(self.base, **{**self.settings(), **settings})
        unusual = [name for name, value in asdict(self.base).items() if value != getattr(self.own, name)]  # by a preset
        shown = {name: getattr(config, name) for name in dict.fromkeys([*self.sliders, *unusual, *settings])}
        return Run((number - 1) % KEPT_RUNS + 1, config, shown, unit=self.dataset.tokenizer.unit)

    def make_trainer(self, run: Run) -> Trainer:
        """What trains; called in the thread."""
        return Trainer(run.config, self.dataset)

    def watch(self, run: Run, event: Event) -> None:
        """Look at an event before it is shown; called in the thread."""

    def frame(self, run: Run | None) -> tuple[bytes, str]:
        """The picture of the runs as PNG, and its numbers in words; `run` is the one that goes on, or the last."""
        return self._plot.frame(), self._plot.alt()

    # --- what the buttons do ----------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """What the sliders say now."""
        return {name: slider.value for name, slider in self.sliders.items()}

    @property
    def running(self) -> bool:
        """Whether a run goes on, is paused, or waits for its turn."""
        return bool(self.runs) and self.runs[-1].status == RUNNING and self._worker is not None

    @property
    def held(self) -> bool:
        """Whether the run is paused."""
        return self._worker is not None and self._worker.held

    def start(self) -> None:
        """Begin a run with the settings of the sliders; one that still runs is stopped first."""
        self._start(lambda worker: None)

    def step(self) -> None:
        """One optimiser step of the run that is there, or the first one of a new run; then hold."""
        self._why_held = "paused at"
        if self.running:
            self._worker.step()
        else:
            self._start(Worker.step)

    def _start(self, prepare: Callable[[Worker], None]) -> None:
        self.stop(wait=5.0)
        try:
            run = self.new_run(1)
        except UserError as error:
            self.view.say(str(error))
            return
        run.prediction = self.chosen
        self.runs = add_run(self.runs, run)
        self._plot = self._new_plot(before=self._plot)
        self._next_frame = 0.0
        self._worker = worker = Worker(
            make_trainer=lambda: self._begin(run),
            on_event=lambda event: self._consume(run, event, worker),
            on_end=lambda reason: self._end(run, reason),
            on_wait=lambda: self.view.say("waiting: another run has to end or to pause first"),
            on_hold=lambda: self._say_held(self._why_held),
        )
        prepare(worker)
        self.view.answer("")
        self.view.buttons()
        self.view.runs()
        worker.start()

    def stop(self, wait: float = 0.0) -> None:
        """End the run, if there is one."""
        if self._worker is not None:
            self._worker.stop(wait)

    def wait(self, seconds: float | None = None) -> None:
        """Until the run is over, but for `seconds` at most."""
        if self._worker is not None:
            self._worker.thread.join(seconds)

    def pause(self) -> None:
        """Hold the run, or let it go on."""
        if not self.running:
            return
        if self.held:
            self._say_held("running on from")
            self._worker.resume()  # which may have to wait for its turn, and then says so
            self.view.buttons()
        else:
            self._hold("paused at")

    def _hold(self, why: str) -> None:
        self._why_held = why
        self._worker.pause()
        self.view.buttons()

    def _say_held(self, words: str) -> None:
        self._show(self.runs[-1])
        self.view.say(f"{words} step {self.runs[-1].step:,} of {self.runs[-1].config.max_iters:,}")
        self.view.buttons()
        self.view.folded_out()

    def reset(self) -> None:
        """Back to the first settings, with no run and an empty plot."""
        self.stop(wait=5.0)
        self.runs = []
        self.view.preset.value = None
        self.load(None)
        self.view.answer("")
        self._show_others()
        self._say_ready()

    def unlock(self) -> None:
        """Run without a prediction."""
        if self.locked:
            self.locked = False
            self.view.buttons()
            self._say_ready()

    def predict(self, choice: str | None) -> None:
        """The learner's prediction for the runs to come."""
        self.chosen = choice or ""
        self.unlock()
        if not self.runs:
            self._redraw()

    def load(self, preset: Preset | None) -> None:
        """Set the sliders, and what no slider shows, to settings worth trying; None: to the lab's own."""
        settings = preset.settings if preset else {}
        self.base = replace(self.own, **settings)
        for name, slider in self.sliders.items():
            slider.value = getattr(self.base, name)
        hidden = {name: value for name, value in settings.items() if name not in self.sliders}
        words = f" It also sets {in_words(hidden)}." if hidden else ""
        self.view.comment_on(f"{preset.comment}{words} Press Run." if preset else "")

    def _slider_moved(self, change: dict[str, Any]) -> None:
        """A setting that may change during a run takes effect at once, and the plot marks where."""
        name = next(name for name, slider in self.sliders.items() if slider is change["owner"])
        if self.sequences_per_step is not None:
            keep_product(self.sliders, self.sequences_per_step, name, change["old"], change["new"])
        if name not in CHANGEABLE or not self.running:
            return
        run, new = self.runs[-1], {name: change["new"]}
        try:
            if self._worker.trainer is None:  # it waits for its turn, and will begin with the new value
                run.config = replace(run.config, **new)
                run.settings |= new
            else:
                self._worker.change(**new)
                run.mark(name, change["new"])
        except UserError as error:
            self.view.say(str(error))

    # --- several runs -----------------------------------------------------------------------------------

    def hide(self, run: Run, hidden: bool = True) -> None:
        """Leave a run out of the plot, or show it again."""
        run.hidden = hidden
        self._redraw()

    def rename(self, run: Run, name: str) -> None:
        """Give a run a name, in place of its settings."""
        run.name = name.strip()
        self._redraw()

    def delete(self, run: Run) -> None:
        """Forget a run; if it still goes on, it is stopped."""
        if run is self.runs[-1]:
            self.stop(wait=5.0)
        self.runs = [other for other in self.runs if other is not run]
        self._show_others()

    def compare(self, scale: Scale) -> None:
        """Draw the runs on other axes."""
        self.scale = scale
        self._redraw()

    def command(self, run: Run) -> str:
        """The command line that repeats a run in a terminal; '' if its text is only in this notebook."""
        return table.command(run.config) if self.named else ""

    def _show_others(self) -> None:
        self.view.runs()
        self.view.buttons()
        self._redraw()

    def _redraw(self) -> None:
        self._plot = self._new_plot()
        self._show(self.runs[-1] if self.runs else None)
        self.view.folded_out()

    # --- what is drawn, mostly from the worker's thread ---------------------------------------------------

    def _new_plot(self, before: LivePlot | None = None) -> LivePlot:
        run = self.runs[-1] if self.runs else None
        growing = run if run and run.status == RUNNING else None
        end = 0.0 if run else self.scale.length(self.base)
        return LivePlot(self.runs, growing, self.plot_title(run), self.loss_range, self.scale, end, before)

    def plot_title(self, run: Run | None) -> str:
        """The title, and what was predicted of this run, or of the first one to come."""
        predicted = run.prediction if run else self.chosen
        return f"{self.title}\nyou predicted: {predicted}" if predicted else self.title

    def _show(self, run: Run | None) -> None:
        self.view.frame(*self.frame(run))
        self.view.run(run)

    @cached_property
    def threads(self) -> int:
        """Measured once a lab: the same number for all its runs, so that equal settings give equal curves."""
        return self.base.threads or fastest_threads()

    def _begin(self, run: Run) -> Trainer:
        run.config = replace(run.config, threads=self.threads)
        trainer = self.make_trainer(run)
        trainer.change(**{name: getattr(run.config, name) for name in CHANGEABLE})  # sliders moved meanwhile
        run.vocab_size = trainer.dataset.vocab_size
        run.memory = (memory_in_use(),) * 2
        return trainer

    def _consume(self, run: Run, event: Event, worker: Worker) -> None:
        run.paused = worker.paused_seconds
        if self.view.page.deserted():  # hold the run: it costs nothing and can go on where it is seen again
            self._hold("paused, since the lab was no longer shown anywhere, at")
        self.watch(run, event)
        run.consume(event)
        if self.stop_diverged and (reason := run.divergence()):
            run.status, run.message = DIVERGED, reason
            worker.stop()
            return
        first_point = isinstance(event, Evaluation) and len(run.evaluations) == 1
        if first_point or time.perf_counter() >= self._next_frame:
            self._draw(run, event)
        if first_point:  # somebody waited for it; now there is time for the legend
            self._complete(run)
        if isinstance(event, Evaluation):  # after the picture, for which somebody waits
            self._write(run, worker.trainer)
        if run.status == FINISHED:  # there is nothing left to hold
            worker.resume()

    def _draw(self, run: Run, event: Event) -> None:
        started = time.perf_counter()
        run.memory = (run.memory[0], max(run.memory[1], memory_in_use()))
        if run.evaluations:  # the first is the first point
            self._show(run)
        doing = " (evaluating)" if getattr(event, "doing", "") == "evaluate" else ""
        self.view.say(run.summary() + doing, aloud=isinstance(event, Evaluation))
        cost = time.perf_counter() - started
        run.drawing += cost
        self._next_frame = started + cost + max(SHORTEST_PAUSE, cost / DRAWING_SHARE)

    def _complete(self, run: Run) -> None:
        started = time.perf_counter()
        self._plot.prepare()
        self._next_frame = time.perf_counter() + SHORTEST_PAUSE
        run.drawing += time.perf_counter() - started

    def _write(self, run: Run, trainer: Trainer) -> None:
        started = time.perf_counter()
        seconds = SAMPLING_SHARE * run.seconds() - run.sampling
        with suppress(RuntimeError):  # a model whose numbers are not finite has no next token
            run.sample = short_sample(trainer.model, trainer.dataset, seconds, run.config.seed)
        self.view.run(run)
        run.sampling += time.perf_counter() - started

    def _end(self, run: Run, reason: str) -> None:
        if run.status == RUNNING:
            run.status, run.message = (FAILED if reason else STOPPED), reason
        if run not in self.runs:  # deleted meanwhile
            return
        self.view.say(run.summary())
        self.view.buttons()
        self._show(run)
        if run.prediction and run.status in (FINISHED, DIVERGED):
            self.view.answer(self.prediction.verdict(run.prediction))
        self.view.folded_out()
        if run.status == FINISHED:  # now there is time for more than a few words
            trainer = self._worker.trainer
            run.sample = short_sample(trainer.model, trainer.dataset, LAST_SAMPLE, run.config.seed)
            self.view.run(run)

    # --- without a front end ---------------------------------------------------------------------------------

    def train(self, **settings: Any) -> Run:
        """The same run in this cell, to its end whatever its loss does, for a figure stored with the notebook."""
        warm_up().join()  # it draws from the same random numbers as this run's initial weights
        self._figure_count += 1
        run = self.new_run(self._figure_count, **settings)
        for event in self._begin(run):
            run.consume(event)
        return run

    def __repr__(self) -> str:
        return f"live lab: {', '.join(self.sliders)}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The widgets where widgets are shown; elsewhere a line that says what would be here."""
        return in_place_of(repr(self)) | widgets_only(self.view.box)

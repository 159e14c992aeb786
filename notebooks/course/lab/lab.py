"""The live lab: sliders, a prediction, Run, Pause and Stop, and the curves of the last runs.

The lab knows nothing about training. A worker starts a `Trainer` and puts its events onto a queue; `_consume` takes
them into a `Run`; `state()` says what is to be seen, and the view renders that. `run()` does the same in the cell.
"""

import html
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets as widgets
import torch
from IPython.display import display

from course.figures import Picture, as_html
from course.lab.controls import beyond, did_you_mean, keep_product, make_control
from course.lab.curves import LivePlot, Plot, draw_runs
from course.lab.observe import LAST_SAMPLE_SECONDS, SAMPLE_SECONDS, sample_is_due, think, write_sample
from course.lab.page import current_cell
from course.lab.runs import DIVERGED, FAILED, FINISHED, RUNNING, STOPPED, Run, Scale, Thoughts, add_run, in_words
from course.lab.table import command
from course.lab.texts import Text, choices, open_pasted, open_text, warning
from course.lab.view import LabView, State
from course.lab.worker import Ended, Paused, Resumed, Waiting, Worker, exiting, reason_for
from course.landmarks import landmarks
from course.prediction import Prediction
from course.shown import in_place_of, widgets_only
from gptlib.config import TrainConfig
from gptlib.dataset import Dataset
from gptlib.errors import UsageError, UserError
from gptlib.events import Evaluation, Event, TrainStep
from gptlib.trainer import CHANGEABLE, Trainer

DRAWING_SHARE = 0.04  # of a run's time goes into its pictures at most
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

    A lab of another kind overrides one of `controls`, `new_run`, `make_trainer`, `watch` or `frame`.

    Args:
        sliders: names of the settings that the learner moves (see controls.py).
        dataset: a Dataset, the name of a prepared one, the path of a file, or a text.
        prediction: asked first; Run waits for an answer, or for Skip.
        title: stands over the plot; says which text it is if None. A new lab of the same title, made by the same cell,
            takes the place of the old one, whose run is stopped: running a cell twice leaves no thread behind.
        loss_range: the y axis; if None it begins above guessing and follows the curves.
        sequences_per_step: if given, batch_size x gradient_accumulation_steps stays at it: moving the
            slider of one moves the other.
        texts: whether the learner chooses the text, or pastes one.
        line: what "What it thinks" begins with; "" for the beginning of the held-out text.
        maps: whether that also shows attention maps.
        unfolded: names of the parts below the plot that are open at first.
        settings: any setting of `TrainConfig` that differs from `defaults`.

    Raises:
        UsageError: no such slider or setting, or a value that makes no sense.
    """

    _by_place: ClassVar[dict[tuple[str, str], "Lab"]] = {}

    def __init__(
        self,
        *sliders: str,
        dataset: Dataset | str | Path = "data-by-char",
        prediction: Prediction | None = None,
        title: str | None = None,
        loss_range: tuple[float, float] | None = None,
        sequences_per_step: int | None = None,
        texts: bool = False,
        line: str = "",
        maps: bool = False,
        unfolded: tuple[str, ...] = (),
        **settings: Any,
    ):
        known = [f.name for f in fields(TrainConfig)]
        for name in settings:
            if name not in known:
                raise UsageError(f"no setting {name!r}; {did_you_mean(name, known)}")
        for name in sliders:
            if name not in known:
                raise UsageError(f"no slider for {name!r}; {did_you_mean(name, known)}")
        base = TrainConfig(**(defaults([*sliders, *settings]) | settings))
        # Equal settings give equal curves: all runs of a lab have as many threads as its cell (see cells.py).
        self.base = replace(base, threads=base.threads or torch.get_num_threads())
        self.prediction, self.loss_range = prediction, loss_range
        self._title = title
        self._open(given := open_text(dataset))
        self.sequences_per_step, self.maps = sequences_per_step, maps
        self.runs: list[Run] = []
        self.scale = Scale()
        self.chosen = ""  # the learner's prediction
        self.locked = prediction is not None  # until it is answered or skipped
        self.line = line or self._first_line()
        self._line_is_new = False
        self._status, self._aloud, self._verdict, self._why_paused = "", True, "", ""
        self._remark = "".join(beyond(name, getattr(self.base, name)) for name in sliders)
        self._figure_count = 0
        self._worker: Worker | None = None
        self._output: Any = None  # of the cell in which a run trains
        self._next_frame = 0.0
        self._plot = LivePlot()
        self._picture = (b"", "")
        self.sliders = {name: make_control(name, getattr(self.base, name)) for name in sliders}
        for slider in self.sliders.values():
            slider.observe(self._slider_moved, names="value")
        self._choices = choices(given) if texts else {}
        self.view = LabView(self, self.controls(), prediction, list(self._choices), self.line, unfolded)
        self._take_place()
        self._say_ready()
        self._redraw()

    def _take_place(self) -> None:
        place = (current_cell(), self.title)
        if (old := Lab._by_place.get(place)) is not None:
            old.stop()
            if place[0]:  # its output was replaced, so nobody sees it; elsewhere it may still be in the page
                old.view.close()
        Lab._by_place[place] = self

    # --- the text -------------------------------------------------------------------------------------

    def _open(self, text: Text) -> None:
        self.dataset, self._named = text.data, bool(text.name)
        self.base = replace(self.base, dataset=text.name or self.base.dataset)
        self.title = self._title or f"A GPT learns {text.label}"
        self.landmarks = tuple(landmarks(text.data).items())

    def _first_line(self) -> str:
        """The beginning of a line of the held-out text, the first that is whole and not short."""
        text = self.dataset.tokenizer.decode(self.dataset.val[:400].tolist())
        lines = [line.strip() for line in text.splitlines()[1:] if line.strip()] or [text.strip()]
        line = next((line for line in lines if len(line) > 12), lines[0])
        return line if len(line) <= 24 else line[:24].rsplit(" ", 1)[0]

    def open_text(self, name: str, pasted: str = "") -> None:
        """Learn from another text: one of the choices, or the learner's own. Runs on the text before leave the plot."""
        try:
            text = self._choices[name]() if name in self._choices else open_pasted(pasted)
            self._open(text)
        except UserError as error:
            self._say(str(error))
            self.render()
            return
        self.stop()
        self.runs, self._worker = [], None
        self.line = self.view.line.value = self._first_line()
        self._say(warning(text.data) or "ready")
        self._redraw()

    # --- what other kinds of labs change --------------------------------------------------------------

    def controls(self) -> list[widgets.Widget]:
        """What the learner moves: the sliders."""
        return list(self.sliders.values())

    def new_run(self, number: int, **settings: Any) -> Run:
        """A run as the sliders say, but for `settings`."""
        config = replace(self.base, **{**self.settings(), **settings})
        if config.optimizer == "muon" and "muon_lr" not in (own := {**self.sliders, **settings}) and own:
            factor = config.learning_rate / self.base.learning_rate  # one slider moves both rates
            config = replace(config, muon_lr=config.muon_lr * factor)
        shown = {name: getattr(config, name) for name in dict.fromkeys([*self.sliders, *settings])}
        return Run(number, config, shown, unit=self.dataset.tokenizer.unit)

    def make_trainer(self, run: Run) -> Trainer:
        """What trains; called in the thread."""
        return Trainer(run.config, self.dataset)

    def watch(self, run: Run, event: Event) -> None:
        """Look at the model after an event; called in the thread."""

    def frame(self, run: Run | None) -> tuple[bytes, str]:
        """The picture of the runs as PNG, and its numbers in words; `run` is the one that goes on, or the last."""
        plot = Plot(
            runs=tuple(run for run in self.runs if not run.hidden),
            title=self.title,
            loss_range=self.loss_range,
            scale=self.scale,
            end=0.0 if run else self.scale.length(self.base),
            unit=self.dataset.tokenizer.unit,
            landmarks=self.landmarks,
        )
        return self._plot.frame(plot), plot.alt()

    # --- what is seen ---------------------------------------------------------------------------------

    def state(self) -> State:
        """What is to be seen now."""
        png, alt = self._picture
        return State(
            runs=tuple(self.runs),
            running=self.running,
            paused=self.paused,
            locked=self.locked,
            status=self._status,
            aloud=self._aloud,
            note=self._note(),
            verdict=self._verdict,
            png=png,
            alt=alt,
            commands=tuple(self._command(run) for run in self.runs if not run.hidden),
        )

    def render(self) -> None:
        """Show the state."""
        self.view.render(self.state())
        if self._output is not None:
            self._output.update(self._as_output(), raw=True)

    def _say(self, text: str, aloud: bool = True) -> None:
        self._status, self._aloud = text, aloud

    def _say_ready(self) -> None:
        self._say("predict first, then Run" if self.locked else "ready")

    def _draw(self) -> None:
        self._picture = self.frame(self.runs[-1] if self.runs else None)

    def _redraw(self) -> None:
        self._draw()
        self.render()

    def _note(self) -> str:
        """What was moved that the run cannot take up any more; or which run left, or which slider had to grow."""
        if not self.running:
            return self._remark
        run = self.runs[-1]
        moved = {name: value for name, value in self.settings().items() if value != run.setting(name)}
        return f"From the next Run: {in_words(moved)}" if moved else self._remark

    def _command(self, run: Run) -> str:
        if not self._named:
            return f"run {run.number}: its text is only in this notebook, so no command repeats it"
        marked = " (settings as at its start)" if run.marks else ""
        return f"run {run.number}: <code>{html.escape(command(run.config))}</code>{marked}"

    def export(self) -> Picture:
        """The runs that are shown as a static figure."""
        shown = [run for run in self.runs if not run.hidden]
        return draw_runs(shown, self.title, self.loss_range, self.scale, dict(self.landmarks))

    # --- what the buttons do ----------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """What the sliders say now."""
        return {name: slider.value for name, slider in self.sliders.items()}

    @property
    def running(self) -> bool:
        """Whether a run goes on, is paused, or waits for its turn."""
        return bool(self.runs) and self.runs[-1].status == RUNNING and self._worker is not None

    @property
    def paused(self) -> bool:
        """Whether the run is paused."""
        return self._worker is not None and self._worker.paused

    def start(self) -> None:
        """Begin a run with the settings of the sliders; one that still runs is stopped first."""
        if "google.colab" in sys.modules:
            self.run()
        else:
            self._start()

    def step(self) -> None:
        """One optimizer step of the run that is there, or the first one of a new run; then pause."""
        self._why_paused = "paused at"
        if self.running:
            self._worker.tell(stepping=True, paused=False)
        else:
            self._start(stepping=True)

    def _start(self, **orders: bool) -> None:
        self.stop()
        if (run := self._add_run()) is None:
            return
        worker = Worker(lambda: self._begin(run), lambda trainer, event: self._observe(run, trainer, event))
        self._worker = worker
        worker.tell(**orders)
        self.render()
        worker.start(lambda: self._follow(run, worker))

    def _add_run(self) -> Run | None:
        """A new run, last in the list; None if the settings do not go together."""
        try:
            run = self.new_run(1)
        except UserError as error:
            self._say(str(error))
            self.render()
            return None
        run.look.prediction = self.chosen
        self.runs, gone = add_run(self.runs, run)
        self._remark = "".join(f"Run {old.number} left the plot, which keeps the last five. " for old in gone)
        self._verdict, self._next_frame = "", 0.0
        return run

    def stop(self, wait: float = 0.0) -> None:
        """End the run, if there is one. The page says so at once; the thread ends after the step that it is in."""
        if self._worker is None:
            return
        self._worker.tell(stopped=True)
        if self.running:
            self.runs[-1].status = STOPPED
            self._say(self.runs[-1].summary())
            self.render()
        self.wait(wait)

    def wait(self, seconds: float | None = None) -> None:
        """Until the run is over and shown, but for `seconds` at most."""
        if self._worker is not None and seconds != 0.0:
            self._worker.thread.join(seconds)

    def pause(self) -> None:
        """Pause the run, or let it continue."""
        if self.running:
            self._why_paused = "paused at"
            self._worker.tell(paused=not self.paused, stepping=False)
            self.render()

    def reset(self) -> None:
        """Back to the first settings, with no run and an empty plot."""
        self.stop()
        self.runs, self._worker, self._verdict, self._remark = [], None, "", ""
        for name, slider in self.sliders.items():
            slider.value = getattr(self.base, name)
        self._say_ready()
        self._redraw()

    def unlock(self) -> None:
        """Run without a prediction."""
        if self.locked:
            self.locked = False
            self._say_ready()
        self.render()

    def predict(self, choice: str | None) -> None:
        """The learner's prediction for the runs to come."""
        self.chosen = choice or ""
        self.unlock()

    def _slider_moved(self, change: dict[str, Any]) -> None:
        """A setting that may change during a run takes effect at once, and the plot marks where."""
        name = next(name for name, slider in self.sliders.items() if slider is change["owner"])
        if self.sequences_per_step is not None:
            keep_product(self.sliders, self.sequences_per_step, name, change["old"], change["new"])
        if self.running and self._can_change(name):
            run, new = self.runs[-1], {name: change["new"]}
            try:
                if self._worker.trainer is None:  # it waits for its turn, and will begin with the new value
                    run.config = replace(run.config, **new)
                    run.settings |= new
                else:
                    self._worker.trainer.change(**new)
                    run.mark(name, change["new"])
            except UserError as error:
                self._say(str(error))
        self.render()

    def _can_change(self, name: str) -> bool:
        muon = self.runs[-1].config.optimizer == "muon"  # whose own rate a running trainer keeps
        return name in CHANGEABLE and not (name == "learning_rate" and muon)

    def think(self, line: str) -> None:
        """Ask what the model expects after this line, now and from now on."""
        self.line, worker = line, self._worker
        self._line_is_new = True
        if not self.runs or worker is None or worker.trainer is None or (worker.alive and not self.paused):
            return  # the thread that trains will answer
        self.runs[-1].thoughts = self._think_now()
        self.view.fill()

    def _think_now(self) -> Thoughts:
        self._line_is_new = False
        trainer = self._worker.trainer
        return think(trainer.model, trainer.dataset, self.line, trainer.step, self.maps)

    # --- several runs -----------------------------------------------------------------------------------

    def hide(self, run: Run, hidden: bool = True) -> None:
        """Leave a run out of the plot, or show it again."""
        run.look.hidden = hidden
        self._redraw()

    def rename(self, run: Run, name: str) -> None:
        """Give a run a name, in place of its settings."""
        run.look.name = name.strip()
        self._redraw()

    def delete(self, run: Run) -> None:
        """Forget a run; if it still goes on, it is stopped."""
        if run is self.runs[-1]:
            self.stop()
        self.runs = [other for other in self.runs if other is not run]
        self._redraw()

    def compare(self, scale: Scale) -> None:
        """Draw the runs on other axes."""
        self.scale = scale
        self._redraw()

    # --- in the thread that trains --------------------------------------------------------------------------

    def _begin(self, run: Run) -> Trainer:
        trainer = self.make_trainer(run)
        trainer.change(**{name: getattr(run.config, name) for name in CHANGEABLE})  # sliders moved meanwhile
        return trainer

    def _observe(self, run: Run, trainer: Trainer, event: Event) -> Iterator[Any]:
        """What the lab adds to the trainer's events: samples and thoughts."""
        self.watch(run, event)
        step, last = trainer.step, run.config.max_iters
        evaluated = isinstance(event, Evaluation)
        try:
            due = evaluated or isinstance(event, TrainStep)
            if due and sample_is_due(step, last) and step not in {sample.step for sample in run.samples}:
                seconds = LAST_SAMPLE_SECONDS if step == last else SAMPLE_SECONDS
                yield write_sample(trainer.model, trainer.dataset, step, run.config.seed, seconds)
            if evaluated or self._line_is_new:
                self._line_is_new = False
                yield think(trainer.model, trainer.dataset, self.line, step, self.maps)
        except RuntimeError:  # a model whose numbers are not finite has no next token
            return

    # --- in the thread that shows -----------------------------------------------------------------------------

    def _follow(self, run: Run, worker: Worker) -> None:
        """Take what the worker says, and show it, until the run is over."""
        for message in worker:
            if exiting():
                return
            if run not in self.runs or worker is not self._worker:  # deleted, or another one began
                worker.tell(stopped=True)
                continue
            try:
                self._consume(run, message)
            except Exception as error:  # in a subclass's picture, say: the learner reads it, and the run ends
                worker.tell(stopped=True)
                run.status, run.message = FAILED, reason_for(error)
                self._say(run.summary())
                self.render()

    def _consume(self, run: Run, message: Any) -> None:
        """Take in what a run says."""
        match message:
            case Waiting():
                self._say("waiting: another run has to end or to pause first")
            case Resumed():
                self._say(run.summary())
            case Paused():
                self._say(f"{self._why_paused} step {run.step:,} of {run.config.max_iters:,}")
                self._draw()
            case Ended(reason):
                self._end(run, reason)
            case _:
                self._take(run, message)
                return
        self.render()

    def _take(self, run: Run, event: Any) -> None:
        worker = self._worker  # None where a run trains in the cell
        if worker is not None and self.view.page.deserted():  # pause: it costs nothing and can continue later
            self._why_paused = "paused, since the lab was no longer shown anywhere, at"
            worker.tell(paused=True)
        run.consume(event)
        if run.status == FINISHED and worker is not None:
            worker.tell(paused=False, stepping=False)  # there is nothing left to pause
        if run.status == RUNNING and (reason := run.divergence()):
            run.status, run.message = DIVERGED, reason
            if worker is not None:
                worker.tell(stopped=True)
        elif (isinstance(event, Evaluation) and len(run.evaluations) == 1) or time.perf_counter() >= self._next_frame:
            self._show(run, event)

    def _show(self, run: Run, event: Any) -> None:
        started = time.perf_counter()
        doing = " (evaluating)" if getattr(event, "doing", "") == "evaluate" else ""
        self._say(run.summary() + doing, aloud=isinstance(event, Evaluation))
        if run.evaluations:  # the first is the first point
            self._draw()
        self.render()
        cost = time.perf_counter() - started
        run.drawing += cost
        self._next_frame = started + cost + max(SHORTEST_PAUSE, cost / DRAWING_SHARE)

    def _end(self, run: Run, reason: str) -> None:
        if run.status == RUNNING or (reason and run.status == STOPPED):
            run.status, run.message = (FAILED if reason else STOPPED), reason
        self._say(run.summary())
        if self._line_is_new and self._worker and self._worker.trainer:  # written as the run ended
            run.thoughts = self._think_now()
        self._judge(run)
        self._draw()

    def _judge(self, run: Run) -> None:
        """The verdict on a prediction, once a run has tested it."""
        prediction = self.prediction
        if not run.look.prediction or run.status not in (FINISHED, DIVERGED):
            return
        moves = prediction.moves if prediction.moves != "" else next(iter(self.sliders), None)
        if moves in self.sliders and self.sliders[moves].value == getattr(self.base, moves):
            self._verdict = f"“{run.look.prediction}”. To test it, move {moves} and press Run again."
        else:
            self._verdict = prediction.verdict(run.look.prediction)

    # --- in the cell, without a thread ------------------------------------------------------------------------

    def run(self, **settings: Any) -> None:
        """Train here, in this cell, and redraw the figure in place; interrupting the cell is Stop.

        For places where widgets cannot follow a thread, such as Colab, where Run does this too. (Tried in JupyterLab,
        with ipywidgets 7.7 and without a page; Colab itself was not tried.)
        """
        for name, value in settings.items():
            self.sliders[name].value = value
        self.stop()
        if (run := self._add_run()) is None:
            print(self._status)
            return
        self._worker, reason = None, ""
        self._output = display(self._as_output(), raw=True, display_id=True)
        try:
            trainer = self._begin(run)
            for event in trainer:
                for message in (event, *self._observe(run, trainer, event)):
                    self._take(run, message)
                if run.status == DIVERGED:
                    break
        except KeyboardInterrupt:
            pass
        except Exception as error:
            reason = reason_for(error)
        self._end(run, reason)
        self.render()
        self._output = None

    def _as_output(self) -> dict[str, str]:
        """The picture, the status and the last sample as the output of a cell."""
        text = html.escape(self.runs[-1].samples[-1].text) if self.runs and self.runs[-1].samples else ""
        page = f"{as_html(*self._picture)}<p>{html.escape(self._status)}</p><pre>{text}</pre>"
        return {"text/plain": "a live run", "text/html": page}

    def train(self, **settings: Any) -> Run:
        """The same run in this cell, to its end whatever its loss does, for a figure stored with the notebook."""
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

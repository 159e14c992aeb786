"""The live lab: sliders, a prediction, Run, Pause and Stop, and the curves of the last runs.

All goes one way. A worker puts the events of a `Trainer` onto a queue; `_take` takes them into a `Run`; `state()`
says what is to be seen, and the view renders that. `run()` does the same in the cell, without a thread.
"""

import html
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets as widgets
import torch
import traitlets
from IPython import get_ipython
from IPython.display import display

from course.figures import as_html
from course.lab.controls import ABOUT, PAIR, beyond, check_keywords, did_you_mean, make_control
from course.lab.curves import LivePlot, alt_text
from course.lab.observe import sample_is_due, think, write_sample
from course.lab.runs import DIVERGED, FINISHED, KEPT_RUNS, PAUSED, STOPPED, Look, Run, Status, add_run, in_words
from course.lab.table import command
from course.lab.texts import Text, choices, open_pasted, open_text, warning
from course.lab.view import LabView, State, close
from course.lab.worker import Worker
from course.landmarks import landmarks
from course.prediction import Prediction
from course.shown import in_place_of, widgets_only
from gptlib.config import TrainConfig
from gptlib.dataset import Dataset
from gptlib.errors import UsageError, UserError
from gptlib.events import Evaluation, Heartbeat
from gptlib.trainer import Trainer

# Settings that act at once in a run that goes on; the learning rate only under AdamW, whose rate it is.
CHANGEABLE = ("eval_interval", "eval_iters", "log_interval", "learning_rate")
DRAWING_SHARE = 0.025  # of a run's time goes into its pictures at most, the first and the last left out
LINE = 16  # letters of the first line for "What it thinks": so many can be read beside an attention map
SHORTEST_PAUSE = 0.1  # seconds between two pictures at least: nobody sees more
# Ends in words after 4.5 s of one core: validation loss 1.97 (EXPERIMENTS.md). Small, and still a GPT in every part.
DEFAULTS = {"n_layer": 2, "n_embd": 64, "block_size": 32, "batch_size": 32, "max_iters": 250, "schedule": "linear"}
DEFAULTS |= {"optimizer": "muon", "learning_rate": 1.5e-2, "muon_lr": 5e-2, "warmup_iters": 10}
DEFAULTS |= {"eval_interval": 50, "eval_iters": 5, "log_interval": 5}
# A lab that is about the learning rate trains with AdamW, whose rate it is.
ADAMW = {"optimizer": "adamw", "learning_rate": 1e-2}


def defaults(names: Iterable[str]) -> dict[str, Any]:
    """The settings of a lab that gives or moves those of these names."""
    return DEFAULTS | (ADAMW if "learning_rate" in names and "optimizer" not in names else {})


def current_cell() -> str:
    """The id of the notebook cell that runs now; '' where there is none."""
    parent = getattr(get_ipython(), "get_parent", dict)()
    return parent.get("metadata", {}).get("cellId", "")


class Lab:
    """A live training run with sliders, as the result of a notebook cell.

    A lab of another kind overrides `make_trainer`.

    Args:
        sliders: names of the settings that the learner moves (see controls.py).
        menus: more for the learner to choose, name -> choices; `make_trainer` finds them in `run.settings`.
        dataset: a Dataset, the name of a prepared one, the path of a file, or a text.
        prediction: asked first; Run waits for an answer, or for Skip.
        title: stands over the plot; says which text it is if None.
        loss_range: the y axis; if None it begins above guessing and follows the curves.
        sequences_per_step: batch_size x gradient_accumulation_steps, two more sliders: moving one moves the other.
        texts: whether the learner chooses the text, or pastes one.
        maps: whether "What it thinks" is open from the start, and shows attention maps too.
        settings: any setting of `TrainConfig` that differs from `defaults`.

    Raises:
        UsageError: no such setting, or a value that makes no sense.
    """

    _by_cell: ClassVar[dict[str, "Lab"]] = {}

    def __init__(
        self,
        *sliders: str,
        menus: Mapping[str, Sequence[str]] | None = None,
        dataset: Dataset | str | Path = "data-by-char",
        prediction: Prediction | None = None,
        title: str | None = None,
        loss_range: tuple[float, float] | None = None,
        sequences_per_step: int | None = None,
        texts: bool = False,
        maps: bool = False,
        **settings: Any,
    ):
        check_keywords(Lab.__init__, locals())
        known = list(ABOUT)
        for name in (*sliders, *settings):
            if name not in known:
                raise UsageError(f"no setting {name!r}; {did_you_mean(name, known)}")
        base = TrainConfig(**(defaults([*sliders, *settings]) | settings))
        sequences = base.batch_size * base.gradient_accumulation_steps
        if sequences_per_step not in (None, sequences):
            raise UsageError(f"sequences_per_step = {sequences_per_step}: must be {' x '.join(PAIR)} = {sequences}")
        if loss_range and not (len(loss_range) == 2 and loss_range[0] < loss_range[1]):
            raise UsageError(f"loss_range = {loss_range}: must be two losses, the lower one first")
        # Equal settings give equal curves: all runs of a lab have as many threads as its cell (see cells.py).
        self.base = replace(base, threads=base.threads or torch.get_num_threads())
        self.prediction, self.loss_range, self._title = prediction, loss_range, title
        self.runs: list[Run] = []
        self.chosen: str | None = None if prediction else ""  # the learner's prediction; None: not yet asked
        self._picture = (b"", "")
        self._plot, self._next_frame = LivePlot(), 0.0
        self._worker: Worker | None = None
        self._output: Any = None  # of the cell in which a run trains
        self.sliders = {n: widgets.Dropdown(options=of, description=n) for n, of in (menus or {}).items()}
        for name in dict.fromkeys([*sliders, *(PAIR if sequences_per_step else ())]):
            divides = sequences_per_step if name in PAIR else None
            self.sliders[name] = make_control(name, getattr(self.base, name), divides)
        if sequences_per_step:
            pair = [(self.sliders[name], "value") for name in PAIR]
            traitlets.link(*pair, transform=[lambda n: sequences_per_step // n] * 2)
        self._first = self.settings()
        self._grown = [beyond(name, getattr(self.base, name)) for name in sliders]
        for name, slider in self.sliders.items():
            slider.observe(partial(self._slider_moved, name), names="value")
        given = open_text(dataset)
        self._choices = choices(given) if texts else {}
        self.view = LabView(self, list(self.sliders.values()), prediction, list(self._choices), maps)
        self._open(given)
        if cell := current_cell():  # running it twice leaves nothing behind
            if old := Lab._by_cell.get(cell):
                old.stop()
                close(old.view.box)
            Lab._by_cell[cell] = self

    # --- the text -------------------------------------------------------------------------------------

    def _open(self, text: Text) -> None:
        """Learn from this text from now on; runs on the one before leave the plot."""
        self.stop()
        self.runs, self.dataset, self._name = [], text.data, text.name
        self.title = self._title or f"A GPT learns {text.label}"
        self.landmarks = landmarks(text.data)
        held_out = text.data.tokenizer.decode(text.data.val[:400].tolist())
        self.view.line.value = max(held_out.splitlines()[1:] or [held_out], key=len).strip()[:LINE].strip()
        self.redraw()

    def open_text(self, name: str, pasted: str = "") -> None:
        """Learn from another text: one of the choices, or the learner's own."""
        try:
            self._open(self._choices[name]() if name in self._choices else open_pasted(pasted))
        except UserError as error:
            self.render(str(error))

    # --- what is seen ---------------------------------------------------------------------------------

    def state(self, said: str = "") -> State:
        """What is to be seen now; what is `said` takes the place of what the run says."""
        run = self.runs[-1] if self.runs else None
        locked = self.chosen is None
        ready = "predict first, then Run" if locked else "ready"
        return State(
            runs=tuple(self.runs),
            locked=locked,
            status=said or (run.summary() if run else ready),
            heard=said or (run.heard() if run else ready),
            note=" ".join(filter(None, self._notes(run))),
            verdict=self._verdict(run) if run else "",
            picture=self._picture,
            commands=tuple(self._command(run) for run in self.shown()),
        )

    def render(self, said: str = "") -> None:
        """Show the state."""
        state = self.state(said)
        self.view.render(state)
        if self._output is not None:
            text = state.run.samples[-1].text if state.run and state.run.samples else ""
            page = f"{as_html(*state.picture)}<p>{html.escape(state.status)}</p><pre>{html.escape(text)}</pre>"
            self._output.update({"text/plain": "a live run", "text/html": page}, raw=True)

    def redraw(self) -> None:
        """Draw the runs, and show the state."""
        runs, blank = self.shown(), Run(0, self.base, {}, unit=self.dataset.tokenizer.unit)
        x_axis = self.view.x_axis.value
        png = self._plot.frame(runs or [blank], self.title, self.loss_range, x_axis, self.landmarks)
        self._picture = png, alt_text(runs, self.title, x_axis)
        self.render()

    def shown(self) -> list[Run]:
        """The runs that are not hidden."""
        return [run for run in self.runs if not run.look.hidden]

    def _notes(self, run: Run | None) -> Iterator[str]:
        """What explains the sliders and the plot."""
        yield from self._grown
        yield warning(self.dataset)
        if run and not run.over:
            moved = {name: value for name, value in self.settings().items() if value != run.setting(name)}
            yield f"From the next Run: {in_words(moved)}." if moved else ""
        if len(self.runs) == KEPT_RUNS and self.runs[0].number > 1:
            yield f"The plot keeps the last {KEPT_RUNS} runs: run {self.runs[0].number - 1} has left it."

    def _command(self, run: Run) -> str:
        if not self._name:
            return f"run {run.number}: its text is only in this notebook, so no command repeats it"
        marked = " (settings as at its start)" if run.marks else ""
        return f"run {run.number}: <code>{html.escape(command(run.config))}</code>{marked}"

    def _verdict(self, run: Run) -> str:
        """What became of the learner's prediction, once a run has tested it."""
        if not run.look.prediction or run.status not in (FINISHED, DIVERGED):
            return ""
        moves = next(iter(self.sliders), None) if self.prediction.moves == "" else self.prediction.moves
        if moves in self.sliders and run.setting(moves) == self._first[moves]:
            return f"“{run.look.prediction}”. To test it, move {moves} and press Run again."
        return self.prediction.verdict(run.look.prediction)

    # --- what the buttons do ----------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """What the sliders and menus say now."""
        return {name: slider.value for name, slider in self.sliders.items()}

    def new_run(self) -> Run:
        """A run as the sliders say."""
        own = self.settings()
        config = replace(self.base, dataset=self._name or self.base.dataset)
        config = replace(config, **{name: value for name, value in own.items() if name in ABOUT})
        if config.optimizer == "muon" and "muon_lr" not in own:  # one slider moves both rates
            config = replace(config, muon_lr=config.muon_lr * config.learning_rate / self.base.learning_rate)
        return Run(1, config, own, unit=self.dataset.tokenizer.unit, look=Look(prediction=self.chosen or ""))

    def start(self, stepping: bool = False) -> None:
        """Begin a run with the settings of the sliders; one that still goes on is stopped first."""
        try:
            if "google.colab" in sys.modules:
                return self.run()
            run = self._begin()
        except UserError as error:  # the settings do not go together
            self.render(str(error))
            return
        self._worker = Worker(run, self._events(run))
        self._worker.stepping = stepping
        self._worker.start(partial(self._take, run))

    def _begin(self) -> Run:
        """A new run, last in the list."""
        self.stop()
        run = self.new_run()
        for old in self.runs:
            old.trainer = None  # and its memory
        self.runs, self._next_frame = add_run(self.runs, run), 0.0
        self.render()
        return run

    @property
    def running(self) -> bool:
        """Whether a run goes on, or is paused."""
        return bool(self.runs) and not self.runs[-1].over

    def step(self) -> None:
        """One optimizer step of the run that is there, or the first one of a new run; then pause."""
        if self.running and self._worker:
            self._worker.tell(stepping=True, paused=False)
        else:
            self.start(stepping=True)

    def pause(self) -> None:
        """Pause the run, or let it continue."""
        if self.running and self._worker:
            self._worker.tell(paused=not self._worker.paused, stepping=False)

    def stop(self) -> None:
        """End the run, if there is one. The page says so at once; the thread ends after the step that it is in."""
        if self.running:
            if self._worker:
                self._worker.stop()
            else:  # in a cell
                self.runs[-1].status = STOPPED
            self.render()

    def wait(self, seconds: float | None = None) -> None:
        """Until the run is over and shown, but for `seconds` at most."""
        if self._worker:
            self._worker.thread.join(seconds)

    def predict(self, choice: str = "") -> None:
        """The learner's prediction for the runs to come; "" for none."""
        self.chosen = choice
        self.render()

    def _slider_moved(self, name: str, change: dict[str, Any]) -> None:
        """A setting that may change during a run takes effect at once, and the plot marks where."""
        run = self.runs[-1] if self.running else None
        if run and run.trainer and name in CHANGEABLE and (name, run.config.optimizer) != ("learning_rate", "muon"):
            run.trainer.config = replace(run.trainer.config, **{name: change["new"]})
            run.mark(name, change["new"])
        self.render()

    def think(self) -> None:
        """Tell what is expected after the line that was typed; while a thread trains, that one will."""
        run = self.runs[-1] if self.runs else None
        if run and (run.status == PAUSED or not (self._worker and self._worker.thread.is_alive())):
            self._think(run)
            self.render()

    def _think(self, run: Run) -> None:
        if trainer := run.trainer:  # else it has not begun, or another run followed
            run.thoughts = think(trainer.model, trainer.dataset, self.view.line.value, trainer.step)

    def delete(self, run: Run) -> None:
        """Forget a run; if it still goes on, it is stopped."""
        if run is self.runs[-1]:
            self.stop()
        self.runs = [other for other in self.runs if other is not run]
        self.redraw()

    # --- a run ------------------------------------------------------------------------------------------------

    def make_trainer(self, run: Run) -> Trainer:
        """What trains; called in the thread."""
        return Trainer(run.config, self.dataset)

    def _events(self, run: Run) -> Iterator[Any]:
        """All that a run has to say: its trainer's events, what the model writes, and what it thinks."""
        trainer = run.trainer = self.make_trainer(run)
        sampled, line = -1, None
        for event in trainer:
            yield event
            if isinstance(event, Heartbeat):  # the first evaluation is not made yet: nothing may delay it
                continue
            try:
                if trainer.step != sampled and sample_is_due(trainer.step, run.config.max_iters):
                    sampled = trainer.step
                    yield write_sample(trainer.model, trainer.dataset, sampled, run.config.seed)
                if isinstance(event, Evaluation) or line != self.view.line.value:
                    line = self.view.line.value
                    yield think(trainer.model, trainer.dataset, line, trainer.step)
            except RuntimeError:  # a model whose numbers are not finite has no next token
                pass

    def _take(self, run: Run, event: Any) -> None:
        """Take in an event; draw now if it matters, or if it is time to."""
        run.consume(event)
        if event == Status(STOPPED) and run.status in (FINISHED, STOPPED):  # nothing computes any more
            self._think(run)
        now = time.perf_counter()
        if isinstance(event, Status) or (run.evaluations and now >= self._next_frame):
            self.redraw()
            cost = time.perf_counter() - now
            self._next_frame = now + cost + max(SHORTEST_PAUSE, cost / DRAWING_SHARE)

    def run(self) -> None:
        """Train here, in this cell, and redraw the figure in place; interrupting the cell is Stop.

        For places where widgets cannot follow a thread, such as Colab, where Run does this too. (Tried in JupyterLab,
        with ipywidgets 7.7 and without a page; Colab itself was not tried.)
        """
        run, self._worker = self._begin(), None
        self._output = display({"text/plain": "a live run"}, raw=True, display_id=True)
        try:
            Worker(run, self._events(run)).work(partial(self._take, run))
        finally:  # a second interrupt may come while the end of the run is drawn
            self._output = None
            self.stop()

    def __repr__(self) -> str:
        return f"live lab: {', '.join(self.sliders)}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The widgets where widgets are shown; elsewhere a line that says what would be here."""
        return in_place_of(repr(self)) | widgets_only(self.view.box)

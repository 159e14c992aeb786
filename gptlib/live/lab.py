"""The live lab: sliders, a prediction, Run, Pause and Stop, and the curves of the last runs.

The lab knows nothing about training. It starts a `Trainer`, consumes its events into a `Run`, and
shows that. Frames are pushed as an image into an HTML widget: output captured from a thread gets
lost or lands in another cell, an ipywidgets.Image has no alt text.
"""

import html
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import ipywidgets as widgets

from gptlib.config import TrainConfig
from gptlib.dataset import Dataset
from gptlib.device import fastest_threads
from gptlib.errors import UserError
from gptlib.events import Event
from gptlib.live.controls import make_control
from gptlib.live.curves import LivePlot
from gptlib.live.picture import as_html
from gptlib.live.runs import FAILED, FINISHED, STOPPED, Run, in_words
from gptlib.live.worker import Worker, warm_up
from gptlib.trainer import CHANGEABLE, Trainer

KEPT_RUNS = 5
DRAWING_SHARE = 0.1  # at most this share of a run's time goes into its pictures
STATUS_STYLE = "min-height: 3em; line-height: 1.5em"
SHORTEST_PAUSE = 0.1  # seconds between two pictures at least: nobody sees more
# A model small enough that a run takes seconds on two CPU cores, and still a GPT in every part.
DEFAULTS = {"n_layer": 3, "n_embd": 96, "block_size": 32, "batch_size": 16, "learning_rate": 4e-3}
DEFAULTS |= {"max_iters": 300, "eval_interval": 50, "eval_iters": 5, "log_interval": 5, "warmup_iters": 30}


@dataclass(frozen=True)
class Prediction:
    """What the learner is asked before the first run; `answer` is the index of the right choice."""

    question: str
    choices: tuple[str, ...]
    answer: int
    why: str

    def verdict(self, chosen: str) -> str:
        """What to tell a learner who chose this."""
        right = self.choices[self.answer]
        return ("Right. " if chosen == right else f"Not quite. What happens: “{right}”. ") + self.why


class Lab:
    """A live training run with sliders, as the result of a notebook cell.

    Args:
        sliders: names of the settings that the learner moves (see `controls`).
        dataset: a Dataset, or its name.
        prediction: asked first; Run waits for an answer, or for Skip.
        title: stands over the plot. A new lab of the same title stops the run of the old one, so that
            running a cell twice leaves no thread behind.
        loss_range: the y axis.
        sequences_per_step: if given, batch_size x gradient_accumulation_steps stays at it: moving the
            slider of one moves the other.
        settings: any setting of `TrainConfig` that differs from `DEFAULTS`.
    """

    _by_title: ClassVar[dict[str, "Lab"]] = {}

    def __init__(
        self,
        *sliders: str,
        dataset: Dataset | str = "data-by-char",
        prediction: Prediction | None = None,
        title: str = "A GPT learns Shakespeare",
        loss_range: tuple[float, float] = (1.5, 4.5),
        sequences_per_step: int | None = None,
        **settings: Any,
    ):
        if title in Lab._by_title:
            Lab._by_title[title].stop()
        Lab._by_title[title] = self
        self.base = TrainConfig(**(DEFAULTS | settings))
        self.dataset = Dataset.open(dataset) if isinstance(dataset, str) else dataset
        self.prediction, self.title, self.loss_range = prediction, title, loss_range
        self.sequences_per_step = sequences_per_step
        self.runs: list[Run] = []
        self._run_count = self._figure_count = 0
        self._worker: Worker | None = None
        self.sliders = {name: make_control(name, getattr(self.base, name)) for name in sliders}
        for slider in self.sliders.values():
            slider.observe(self._slider_moved, names="value")
        self._build_view()
        self._plot = LivePlot([], title, loss_range)
        self._show_frame(None)
        self._say("ready" if prediction is None else "predict first, then Run")
        warm_up()

    # --- the view -----------------------------------------------------------------------------------

    def _build_view(self) -> None:
        self.run_button = widgets.Button(description="Run", button_style="primary", tooltip="Train with these settings")
        self.pause_button = widgets.Button(description="Pause", tooltip="Hold the run, or let it go on", disabled=True)
        self.stop_button = widgets.Button(description="Stop", tooltip="End the run now", disabled=True)
        self.run_button.on_click(lambda _: self.start())
        self.pause_button.on_click(lambda _: self.pause())
        self.stop_button.on_click(lambda _: self.stop())
        self.image, self.status, self.costs, self.verdict = (widgets.HTML() for _ in range(4))
        for widget, name in ((self.image, "plot"), (self.status, "status"), (self.costs, "costs")):
            widget.add_class(f"gptlib-{name}")
        buttons = widgets.HBox([self.run_button, self.pause_button, self.stop_button])
        below = [buttons, self.status, self.costs, self.image, self.verdict]
        self.box = widgets.VBox([*self._build_prediction(), *self.sliders.values(), *below])
        self.box.add_class("gptlib-lab")

    def _build_prediction(self) -> list[widgets.Widget]:
        if self.prediction is None:
            return []
        self.choice = widgets.RadioButtons(options=self.prediction.choices, index=None, layout={"width": "auto"})
        self.skip_button = widgets.Button(
            description="Skip", tooltip="Run without a prediction", layout={"width": "6em"}
        )
        self.run_button.disabled = True
        self.choice.observe(lambda _: self._unlock(), names="index")
        self.skip_button.on_click(lambda _: self._unlock())
        question = widgets.HTML(f"<b>Predict:</b> {html.escape(self.prediction.question)}")
        return [question, self.choice, self.skip_button]

    def _unlock(self) -> None:
        if self.run_button.disabled:
            self.run_button.disabled = False
            self.skip_button.layout.display = "none"
            self._say("ready")

    def _say(self, text: str) -> None:
        """Show a sentence in the status line, which screen readers announce; two lines high, so that nothing jumps."""
        self.status.value = f'<div role="status" aria-live="polite" style="{STATUS_STYLE}">{html.escape(text)}</div>'

    def _show_frame(self, run: Run | None) -> None:
        alt = f"{self.title}: " + (f"run {run.number} ({run.label}), {run.summary()}" if run else "no run yet")
        self.image.value = as_html(self._plot.frame(run), alt)

    def _show_costs(self, run: Run) -> None:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in run.shares().items())
        self.costs.value = f"<small>{run.seconds():.1f} s: {shares}</small>"

    # --- what the buttons do ----------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """What the sliders say now."""
        return {name: slider.value for name, slider in self.sliders.items()}

    def new_run(self, number: int, **settings: Any) -> Run:
        """A run as the sliders say, but for `settings`; its number gives it its colour."""
        config = replace(self.base, **{**self.settings(), **settings})
        shown = {name: getattr(config, name) for name in {**self.sliders, **settings}}
        return Run((number - 1) % KEPT_RUNS + 1, config, shown)

    def start(self) -> None:
        """Begin a run with the settings of the sliders; one that still runs is stopped first."""
        self.stop(wait=5.0)
        try:
            run = self.new_run(self._run_count + 1)
        except UserError as error:
            self._say(str(error))
            return
        self._run_count += 1
        self.runs = [*self.runs, run][-KEPT_RUNS:]
        if self.prediction is not None and self.choice.index is not None:
            run.prediction = self.prediction.choices[self.choice.index]
        self._plot = LivePlot(self.runs, self._plot_title(run), self.loss_range)
        self._next_frame = 0.0
        self.stop_button.disabled = self.pause_button.disabled = False
        self._worker = Worker(
            make_trainer=lambda: self._trainer(run),
            on_event=lambda event: self._consume(run, event),
            on_end=lambda reason: self._end(run, reason),
            on_wait=lambda: self._say("waiting: another run has to end first"),
        )
        self._worker.start()

    def _plot_title(self, run: Run) -> str:
        return f"{self.title}\nyou predicted: {run.prediction}" if run.prediction else self.title

    @cached_property
    def threads(self) -> int:
        """Measured once a lab: the same number for all its runs, so that equal settings give equal curves."""
        return self.base.threads or fastest_threads()

    def _trainer(self, run: Run) -> Trainer:
        return Trainer(replace(run.config, threads=self.threads), self.dataset)

    def stop(self, wait: float = 0.0) -> None:
        """End the run, if there is one."""
        if self._worker is not None:
            self._worker.stop(wait)

    def pause(self) -> None:
        """Hold the run, or let it go on."""
        going = self.pause_button.description == "Pause"
        self.pause_button.description = "Resume" if going else "Pause"
        (self._worker.pause if going else self._worker.resume)()
        self._say(f"{'paused at' if going else 'running on from'} step {self.runs[-1].step:,}")

    def _slider_moved(self, change: dict[str, Any]) -> None:
        """A setting that may change during a run takes effect at once, and the plot marks where."""
        name = next(name for name, slider in self.sliders.items() if slider is change["owner"])
        self._keep_product(name, change["old"], change["new"])
        if name not in CHANGEABLE or self._worker is None or not self._worker.alive or self._worker.trainer is None:
            return
        self._worker.trainer.change(**{name: change["new"]})
        run = self.runs[-1]
        run.marks.append((run.step, in_words({name: change["new"]})))

    def _keep_product(self, name: str, old: int, new: int) -> None:
        """Move both sliders to a pair of divisors: the nearest, but onwards, so that an arrow key always gets away."""
        pair = ("batch_size", "gradient_accumulation_steps")
        product = self.sequences_per_step
        if product is None or name not in pair:
            return
        this, other = self.sliders[name], self.sliders[pair[1 - pair.index(name)]]
        if new * other.value == product:
            return
        divisors = [n for n in range(this.min, this.max + 1) if product % n == 0 and product // n <= other.max]
        onwards = [n for n in divisors if (n - old) * (new - old) > 0]
        this.value = min(onwards or [old], key=lambda n: abs(n - new))
        other.value = product // this.value

    # --- what the worker's thread calls -------------------------------------------------------------------

    def _consume(self, run: Run, event: Event) -> None:
        run.consume(event)
        run.paused = self._worker.paused_seconds
        started = time.perf_counter()
        if started < self._next_frame:
            return
        self._show_frame(run)
        self._show_costs(run)
        self._say(run.summary() + (" (evaluating)" if getattr(event, "doing", "") == "evaluate" else ""))
        cost = time.perf_counter() - started
        run.drawing += cost
        self._next_frame = started + cost + max(SHORTEST_PAUSE, cost / DRAWING_SHARE)

    def _end(self, run: Run, reason: str) -> None:
        run.message = reason
        if run.status != FINISHED:
            run.status = FAILED if reason else STOPPED
        self._show_frame(run)
        self._show_costs(run)
        self.stop_button.disabled = self.pause_button.disabled = True
        self.pause_button.description = "Pause"
        if run.prediction and run.status == FINISHED:
            self.verdict.value = f"<b>You predicted:</b> {html.escape(self.prediction.verdict(run.prediction))}"
        self._say(run.summary())

    # --- without a front end ---------------------------------------------------------------------------------

    def train(self, **settings: Any) -> Run:
        """The same run in this cell, apart from the lab's own, for a figure that is stored with the notebook."""
        warm_up().join()  # it draws from the same random numbers as this run's initial weights
        self._figure_count += 1
        run = self.new_run(self._figure_count, **settings)
        for event in self._trainer(run):
            run.consume(event)
        return run

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The widgets where widgets are shown; elsewhere a line that says what would be here."""
        data = {"text/plain": f"<live lab: {', '.join(self.sliders)}>"}
        view = self.box._repr_mimebundle_() or {}
        return data | {kind: value for kind, value in view.items() if "widget-view" in kind}

"""Train a GPT: python -m gptlib.train CONFIG.toml [--name=value ...]; the later setting wins."""

import shlex
import signal
import sys
from contextlib import suppress

from tqdm import tqdm

from gptlib.config import TrainConfig, read_command_line
from gptlib.distributed import join
from gptlib.errors import run_cli
from gptlib.events import Evaluation, Event, Progress, Saved, TrainStep
from gptlib.runlog import WandbLog
from gptlib.trainer import Trainer

PROG = "python -m gptlib.train"
DOING = {"train": "training", "evaluate": "evaluating", "compile": "compiling"}


class ProgressBar:
    """The run in the terminal: a bar with loss, speed and time left, and a line for each event.

    Where the terminal, or what reads its output, is gone (`| tee` dies of the same Ctrl-C), the run goes on unseen.
    """

    def __init__(self, trainer: Trainer):
        self._trainer = trainer
        self._seen = True
        self._bar: tqdm | None = None  # once the run has begun

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if self._seen:
            try:
                self._show(event)
            except OSError:
                self._seen = False

    def _show(self, event: Event) -> None:
        if self._bar is None:
            self._bar = self._begin()
        self._bar.update(self._trainer.step - self._bar.n)
        match event:
            case Progress():
                self._bar.set_description(DOING[event.doing])
            case TrainStep():
                self._bar.set_postfix_str(f"loss {event.loss:.3f}, {event.tokens_per_second:,.0f} tokens/s")
                self._bar.write(
                    f"step {event.step}: loss {event.loss:.4f}, learning rate {event.learning_rate:.2e}, "
                    f"gradient {event.grad_norm:.2f}, {event.tokens_per_second:,.0f} tokens/s"
                    + (f", MFU {event.mfu:.1%}" if event.mfu is not None else ""),
                    file=sys.stdout,
                )
            case Evaluation():
                best = "  (best so far)" if event.best else ""
                self._bar.write(
                    f"step {event.step}: train loss {event.train}, val loss {event.val}{best}", file=sys.stdout
                )
            case Saved():
                self._bar.set_description(f"saved {event.folder}")

    def _begin(self) -> tqdm:
        trainer = self._trainer
        if trainer.earlier:
            print(f"the earlier run in {trainer.config.out_dir} is now in {trainer.earlier}")
        return tqdm(total=trainer.config.max_iters, initial=trainer.step, unit="step", dynamic_ncols=True)

    def close(self) -> None:
        """Leave the terminal in order."""
        with suppress(OSError):
            if self._bar is not None:
                self._bar.close()


def main(argv: list[str] | None = None) -> None:
    """Read the settings, meet the other processes if torchrun started several, and train."""
    argv = sys.argv[1:] if argv is None else argv
    config = read_command_line(TrainConfig, PROG, __doc__, argv, toml="CONFIG.toml")
    with join(config) as world:
        trainer = Trainer(config, world=world)
        consumers = _consumers(trainer) if world.is_main else []  # one process writes
        earlier_handlers = _stop_on_signals(trainer)
        try:
            for event in trainer:
                for consume in consumers:
                    consume(event)
        finally:
            for signum, handler in earlier_handlers.items():
                signal.signal(signum, handler)
            for consumer in consumers:
                consumer.close()
        if world.is_main:
            _say_goodbye(trainer, argv)


def _consumers(trainer: Trainer) -> list:
    config, world = trainer.config, trainer.world
    print(
        f"{trainer.model.num_parameters():,} parameters on {trainer.device.type}; "
        f"{trainer.tokens_per_step:,} tokens a step: batch_size {config.batch_size} x gradient_accumulation_steps "
        f"{config.gradient_accumulation_steps} x block_size {config.block_size}"
        + (f" x {world.size} processes ({config.parallel})" if world.size > 1 else "")
    )
    return [*([WandbLog(config)] if config.wandb_log else []), ProgressBar(trainer)]


def _stop_on_signals(trainer: Trainer) -> dict:
    """Ctrl-C and SIGTERM end the run after the step in hand; a second Ctrl-C ends it at once."""

    def stop(signum: int, frame: object) -> None:
        trainer.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}


def _say_goodbye(trainer: Trainer, argv: list[str]) -> None:
    config = trainer.config
    if trainer.step < config.max_iters or trainer.progress.evaluated_at != trainer.step:
        print(f"stopped at step {trainer.step} of {config.max_iters}; {_how_to_go_on(trainer, argv)}")
    elif config.out_dir:
        print(f"done: read what it writes with: python -m gptlib.sample --out_dir={shlex.quote(config.out_dir)}")


def _how_to_go_on(trainer: Trainer, argv: list[str]) -> str:
    if not trainer.config.out_dir:
        return "nothing was saved: out_dir is empty"
    if trainer.world.size > 1:
        return "go on with the same command, torchrun and all, and --init_from=resume behind it"
    again = argv if trainer.config.init_from == "resume" else [*argv, "--init_from=resume"]  # the last one counts
    return f"go on with: {PROG} {shlex.join(again)}"


if __name__ == "__main__":
    run_cli(main)

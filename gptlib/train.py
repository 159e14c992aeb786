"""Train a GPT: python -m gptlib.train CONFIG.toml [--name=value ...]; the later setting wins."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, replace

from tqdm import tqdm

from gptlib.config import TrainConfig, read_command_line
from gptlib.device import fastest_threads
from gptlib.distributed import init_distributed
from gptlib.errors import UserError, discard_stdout, first_line, is_out_of_memory, quoted, run_cli
from gptlib.events import Evaluation, Event, Heartbeat, Saved, TrainStep
from gptlib.trainer import Trainer

PROG = "python -m gptlib.train"


class ProgressBar:
    """The run in the terminal: a bar with loss, speed and time left, and a line for each logged event.

    If the terminal or the reader of its output is gone (`| tee` dies of the same Ctrl-C), the run continues unseen.
    """

    def __init__(self, trainer: Trainer):
        self.trainer, self.seen = trainer, True
        self.bar: tqdm | None = None  # once the run has begun

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if self.seen:
            try:
                self._show(event)
            except OSError:
                self.seen = False

    def _show(self, event: Event) -> None:
        trainer, config = self.trainer, self.trainer.config
        if self.bar is None:
            print(header(trainer))
            if trainer.folder.moved_to:
                moved = "what came after this checkpoint" if config.init_from == "resume" else "the earlier run"
                print(f"{moved} in {config.out_dir} is now in {trainer.folder.moved_to}")
            options = {"unit": "step", "dynamic_ncols": True, "disable": None}
            self.bar = tqdm(total=config.max_iters, initial=trainer.step, **options)
        self.bar.update(trainer.step - self.bar.n)
        match event:
            case Heartbeat():
                self.bar.set_description(event.doing)
            case TrainStep(logged=True):
                self.bar.set_description("train", refresh=False)
                self.bar.set_postfix_str(f"loss {event.loss:.3f}, {event.tokens_per_second:,.0f} tokens/s")
                self._write(
                    f"step {event.step}: loss {event.loss:.4f}, learning rate {event.learning_rate:.2e}, "
                    f"gradient {event.grad_norm:.2f}, {event.tokens_per_second:,.0f} tokens/s"
                    + (f", MFU {event.mfu:.1%}" if event.mfu is not None else "")
                )
            case Evaluation():
                best = "  (best so far)" if event.best else ""
                self._write(f"step {event.step}: train loss {event.train}, val loss {event.val}{best}")
            case Saved():
                self.bar.set_description(f"saved {event.folder}")

    def _write(self, line: str) -> None:
        self.bar.write(line, file=sys.stdout)

    def close(self) -> None:
        """Leave the terminal in order."""
        with suppress(OSError):
            if self.bar is not None:
                self.bar.close()


@contextmanager
def wandb_log(trainer: Trainer) -> Iterator[Callable[[Event], None]]:
    """A function that sends events to Weights & Biases, an optional extra."""
    try:
        import wandb
    except ImportError:
        needed = "wandb_log = true needs the package wandb: pip install wandb (or --wandb_log=false)"
        raise UserError(needed) from None
    with wandb.init(project=trainer.config.wandb_project, config=asdict(trainer.config)) as run:

        def send(event: Event) -> None:
            if event.logged:
                run.log({type(event).__name__: asdict(event)}, step=event.step)

        yield send


def main(argv: list[str] | None = None) -> None:
    """Read the settings, join the other processes if torchrun started several, and train."""
    argv = sys.argv[1:] if argv is None else argv
    config = read_command_line(TrainConfig, PROG, __doc__, argv, toml="CONFIG.toml")
    with init_distributed(config) as dist:
        trainer = Trainer(config, dist=dist)
        if is_done(trainer):
            more = "a larger --patience" if trainer.step < config.max_iters else "a larger --max_iters"
            raise UserError(
                f"the run in {config.out_dir} is at step {trainer.step} of {config.max_iters}, nothing to do; "
                f"{more} continues it"
            )
        if trainer.device.type == "cpu" and not trainer.config.threads:
            trainer.config = replace(trainer.config, threads=fastest_threads())
        with stopped_by_signals(trainer), ExitStack() as stack:
            consumers = []
            if dist.is_main and config.wandb_log:
                consumers.append(stack.enter_context(wandb_log(trainer)))
            if dist.is_main:
                consumers.append(stack.enter_context(closing(ProgressBar(trainer))))
            try:
                for event in trainer:
                    for consume in consumers:
                        consume(event)
            except RuntimeError as error:
                if not config.compile or is_out_of_memory(error):
                    raise
                reason = first_line(getattr(error, "inner_exception", error))  # torch._dynamo wraps the cause
                raise UserError(f"{reason} (without torch.compile: --compile=false)") from error
        if dist.is_main:
            try:
                print(farewell(trainer, argv), flush=True)
            except OSError:  # nobody can read it, and the work is done
                discard_stdout()


@contextmanager
def stopped_by_signals(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the run after the current step; a second Ctrl-C ends it at once."""

    def stop(signum: int, frame: object) -> None:
        trainer.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    previous = {name: signal.signal(getattr(signal, name), stop) for name in names if hasattr(signal, name)}
    try:
        yield
    finally:
        for name, handler in previous.items():
            signal.signal(getattr(signal, name), handler)


def is_done(trainer: Trainer) -> bool:
    """Whether there is nothing left to do, the last evaluation included."""
    return trainer.finished and trainer.state.evaluated_at == trainer.step


def header(trainer: Trainer) -> str:
    """The run in a line."""
    config, processes = trainer.config, trainer.dist.size
    return (
        f"{trainer.model.num_parameters():,} parameters on {trainer.device.type}; "
        f"{config.tokens_per_step:,} tokens per step: batch_size {config.batch_size} x gradient_accumulation_steps "
        f"{config.gradient_accumulation_steps} x block_size {config.block_size}"
        + (f"; {processes} processes ({config.parallel})" if processes > 1 else "")
    )


def farewell(trainer: Trainer, argv: list[str]) -> str:
    """How the run ended, and the command for what comes next."""
    config = trainer.config
    if is_done(trainer):
        sample = quoted("python", "-m", "gptlib.sample", f"--out_dir={config.out_dir}")
        return f"done: read what it writes with: {sample}" if config.out_dir else "done"
    if not config.out_dir:
        how = "nothing was saved: out_dir is empty"
    elif trainer.dist.size > 1:
        how = "continue with the same torchrun command and --init_from=resume"
    else:
        again = argv if config.init_from == "resume" else [*argv, "--init_from=resume"]  # the last one counts
        how = f"continue with: {quoted(*PROG.split(), *again)}"
    return f"stopped at step {trainer.step} of {config.max_iters}; {how}"


if __name__ == "__main__":
    run_cli(main)

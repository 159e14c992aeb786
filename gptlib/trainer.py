"""The one training loop: an iterator of events."""

import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gptlib import checkpoint
from gptlib.config import TrainConfig
from gptlib.dataset import EVAL_STREAM, SPLITS, TRAIN_STREAM, Dataset, make_batch, max_offset, sample_offsets
from gptlib.device import (
    autocast,
    compile_failure,
    compile_obstacle,
    peak_flops,
    peak_memory,
    pick_dtype,
    set_float32_precision,
)
from gptlib.distributed import SINGLE_PROCESS, DistEnv, whole
from gptlib.errors import UsageError, UserError
from gptlib.evaluation import random_batch_losses, summarize
from gptlib.events import Evaluation, Event, Progress, Saved, Stopwatch, TrainStep
from gptlib.files import alone_in
from gptlib.model import GPT, flops_per_token
from gptlib.optim import build_optimizer, learning_rate_at
from gptlib.runlog import RunLog

HEARTBEAT = 0.1  # seconds: whoever watches can pause or stop at least this often
CHANGEABLE = ("eval_interval", "eval_iters", "log_interval", "learning_rate")
# torch has one source of random numbers: two threads must not draw weights from it at once.
_one_at_a_time = threading.Lock()


class Trainer:
    """Trains a GPT: `for event in Trainer(config): ...` is a whole run.

    To pause is to stop pulling events; to stop is to leave the loop, or to call `stop` from anywhere.
    Iterating again goes on where the run stands.

    Args:
        config: what to do; `config.out_dir` says where checkpoints and the log go (nowhere if empty).
        dataset: the text; opened from `config.dataset` if not given.
        world: the processes that share the work (see distributed.join).

    Raises:
        UserError: the settings do not fit the data, the checkpoint or the machine.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset | None = None, world: DistEnv = SINGLE_PROCESS):
        self.config, self.world = config, world
        with world.local_rank_zero_first():
            dataset = dataset or Dataset.open(config.dataset)
        self.dataset = dataset.subset(config.train_fraction)
        for split in SPLITS:
            max_offset(getattr(self.dataset, split), config.block_size, f"the {split} split")
        self.device = world.device(config.device)
        self.dtype = pick_dtype(config.dtype, self.device)
        set_float32_precision(self.device, self.dtype)
        with _one_at_a_time:
            torch.manual_seed(config.seed)
            self.model = GPT(config.model_config(self.dataset.vocab_size))
            if not world.is_main:  # the same weights everywhere, and different dropout
                torch.manual_seed(config.seed + world.rank)
        self._forward = world.wrap_model(self.model, self.device)
        self.optimizer = build_optimizer(self.model, config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.progress = checkpoint.RunProgress()
        self.earlier: Path | None = None  # where a run that was in out_dir has been moved to
        self._goes_on = config.init_from == "resume"  # the run that is in out_dir
        self._began_from, self._damaged = config.init_from, ()
        self._stamp: str | None = None  # of the newest checkpoint in out_dir, as far as this run knows
        if config.init_from != "scratch":
            self._start_from_checkpoint()
        self._compile_first = config.compile
        peak = peak_flops(self.device, self.dtype)
        self._mfu_per_speed = flops_per_token(self.model) / (peak * world.size) if peak else None
        self._clock = Stopwatch()
        self._stop = False
        self._to_save: list[str] = []  # what the last evaluation has found worth a checkpoint
        self._bad_steps = 0  # in a row, whose loss or gradient was not finite

    @property
    def step(self) -> int:
        """Optimiser steps done so far."""
        return self.progress.step

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimiser step learns from, in all processes."""
        return self.config.tokens_per_step * self.world.size

    def stop(self) -> None:
        """End the run after the step in hand, with a checkpoint; safe from a signal handler or a thread."""
        self._stop = True

    def change(self, **settings) -> None:
        """Give a setting of `CHANGEABLE` a new value in the running run.

        Raises:
            UsageError: another setting, or a value out of range.
        """
        for name in settings:
            if name not in CHANGEABLE:
                raise UsageError(f"{name} cannot change during a run; these can: {', '.join(CHANGEABLE)}")
        self.config = replace(self.config, **settings)

    def __iter__(self) -> Iterator[Event]:
        if self.config.threads:
            torch.set_num_threads(self.config.threads)  # counts for the calling thread, so it is set here
        self._clock = Stopwatch()
        with self._log() as log:
            for event in self._run():
                doing = self._clock.switch("outside")
                log(event)
                yield event
                self._last_event = time.perf_counter()
                self._clock.switch(doing)

    # --- compiling ----------------------------------------------------------------------------------

    def _compile(self) -> Iterator[Progress]:
        """Compile the model, or say why not and go on without."""
        yield Progress(self.step, "compile", self._clock.costs())
        self._clock.switch("train")
        obstacle = compile_obstacle(self.device)
        if not obstacle:
            compiled = torch.compile(self._forward)
            try:
                self._try(compiled)
                self._forward = compiled
            except RuntimeError as error:
                obstacle = compile_failure(error)
        if obstacle:
            warnings.warn(f"compile = true, and torch.compile cannot: {obstacle}. Going on without", stacklevel=2)

    def _try(self, forward: nn.Module) -> None:
        """Forward and backward once, which is when a model is compiled. Nothing of it stays, no chance is used up."""
        x, y = next(self._micro_batches())
        try:
            with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
                with autocast(self.device, self.dtype):
                    loss = forward(x, y)[1]
                loss.backward()
        finally:
            self.model.zero_grad(set_to_none=True)

    # --- the loop ---------------------------------------------------------------------------------

    def _run(self) -> Iterator[Event]:
        self._last_event = time.perf_counter()
        if self._compile_first:
            self._compile_first = False
            yield from self._compile()
        yield from self._save_what_waits()
        while not self._asked_to_stop():
            if self._evaluation_is_due():
                yield from self._evaluate()
            if self.step >= self.config.max_iters or self._asked_to_stop():
                break
            self._clock.switch("train")
            logged = self.step % self.config.log_interval == 0
            event = self._train_step(logged)
            yield from [event] if logged else self._heartbeat("train")
        if self._asked_to_stop():
            self._stop = False
            if not self._bad_steps:  # else the last good checkpoint is worth more
                yield from self._save("latest")

    def _asked_to_stop(self) -> bool:
        return self.world.any(self._stop)  # all processes leave at the same step

    def _evaluation_is_due(self) -> bool:
        at_the_end = self.step >= self.config.max_iters
        return (self.step % self.config.eval_interval == 0 or at_the_end) and self.progress.evaluated_at != self.step

    def _heartbeat(self, doing: str) -> Iterator[Progress]:
        if time.perf_counter() - self._last_event > HEARTBEAT:
            yield Progress(self.step, doing, self._clock.costs())

    def _train_step(self, logged: bool) -> TrainStep | None:
        """One optimiser step: the mean gradient over all micro-batches of all processes, clipped, applied."""
        config, started = self.config, time.perf_counter()
        learning_rate = learning_rate_at(self.step, config)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * (config.muon_lr / config.learning_rate if group["muon"] else 1.0)
        loss = 0.0
        for i, (x, y) in enumerate(self._micro_batches(), start=1):
            with self.world.grad_sync(self._forward, last=i == config.gradient_accumulation_steps):
                with autocast(self.device, self.dtype):
                    micro_loss = self._forward(x, y)[1] / config.gradient_accumulation_steps
                self.scaler.scale(micro_loss).backward()
            loss = loss + micro_loss.detach()  # in the model's own precision, which may be float64
        loss = self.world.gather(loss).mean(dim=0)
        self.scaler.unscale_(self.optimizer)
        grad_norm = whole(torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.grad_clip or float("inf")))
        if self._is_finite(loss, grad_norm):
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.model.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.tokens += self.tokens_per_step
        if not logged:
            return None
        if self.device.type == "cuda":  # which is still at work on the update
            torch.cuda.synchronize(self.device)
        speed = self.tokens_per_step / (time.perf_counter() - started)
        return TrainStep(
            step=self.step - 1,
            loss=loss.item(),
            learning_rate=learning_rate,
            grad_norm=grad_norm.item(),
            tokens=self.progress.tokens - self.tokens_per_step,
            tokens_per_second=speed,
            costs=self._clock.costs(),
            mfu=self._mfu_per_speed and self._mfu_per_speed * speed,
            peak_memory=peak_memory(self.device),
        )

    def _micro_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's part of the step's sequences, which are the same however many processes there are."""
        config = self.config
        key = (config.seed, TRAIN_STREAM, self.step)
        shape = (config.gradient_accumulation_steps, self.world.size, config.batch_size)
        starts = sample_offsets(self.dataset.train, config.block_size, math.prod(shape), key).reshape(shape)
        for micro_starts in starts[:, self.world.rank]:
            x, y = make_batch(self.dataset.train, micro_starts, config.block_size, self.dataset.vocab_size)
            if self.device.type == "cuda":  # pinned memory lets the copy run while the GPU computes
                x, y = x.pin_memory(), y.pin_memory()
            yield x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)

    def _is_finite(self, loss: Tensor, grad_norm: Tensor) -> bool:
        """Whether the step may change the weights; too many in a row that may not end the run.

        A GPU is waited for here, which costs little: the alternative is to find out when the weights are lost.
        """
        if torch.isfinite(loss + grad_norm):
            self._bad_steps = 0
            return True
        self._bad_steps += 1
        if self._bad_steps >= self.config.max_bad_steps:
            raise self._diverged(
                f"the loss became {loss.item()} and the gradient {grad_norm.item()} at step {self.step}, "
                f"number {self._bad_steps} in a row that is not finite"
            )
        return False

    def _diverged(self, what: str) -> UserError:
        config = self.config
        kept = f"; the last good checkpoint is kept in {config.out_dir}" if config.out_dir else ""
        return UserError(
            f"{what}; try a smaller learning_rate (now {config.learning_rate:g}), a longer warmup_iters "
            f"or grad_clip = 1{kept}"
        )

    def _evaluate(self) -> Iterator[Event]:
        self._clock.switch("evaluate")
        config, estimates = self.config, []
        for i, split in enumerate(SPLITS):
            key = (config.seed, EVAL_STREAM, self.step, i)
            tokens, losses = getattr(self.dataset, split), []
            work = (self.model, tokens, config.batch_size, config.eval_iters, key, self.world)
            for batch_losses in random_batch_losses(*work):
                losses.append(batch_losses)
                yield from self._heartbeat("evaluate")
                if self._asked_to_stop():
                    return
            estimates.append(summarize(losses))
        loss, lowest = estimates[1].mean, self.progress.best_val
        finite = math.isfinite(loss)
        best = finite and (lowest is None or loss < lowest)
        if best:
            self.progress.best_val = loss
        self.progress.evaluated_at = self.step
        if finite:  # else the last good checkpoint stays where it is
            # best before latest: a run killed in between does this evaluation again, and saves both
            self._to_save = ["best", "latest"] if best else ["latest"]
        yield Evaluation(self.step, *estimates, best, self.progress.tokens, self._clock.costs())
        if not finite and self.step >= config.max_iters:
            raise self._diverged(f"the validation loss is {loss} at the end, step {self.step}")
        yield from self._save_what_waits()

    # --- what is written ----------------------------------------------------------------------------

    @contextmanager
    def _log(self) -> Iterator[Callable[[Event], None]]:
        """Where events are written down; out_dir belongs to this run as long as it lasts."""
        if not self.config.out_dir or not self.world.is_main:  # one process writes
            yield lambda event: None
            return
        folder = Path(self.config.out_dir)
        with alone_in(folder):
            if self._goes_on:
                checkpoint.refuse_changed(folder, self._stamp)
            with closing(RunLog(self._lasting_config(), self.step, self._goes_on)) as log:
                self.earlier, self._goes_on = log.earlier, True
                checkpoint.set_aside(self._damaged)
                self._damaged, self._stamp = (), checkpoint.stamp(folder)
                yield log

    def _lasting_config(self) -> TrainConfig:
        """The settings that repeat the run from its start, however often it has been resumed."""
        return replace(self.config, init_from=self._began_from)

    def _save_what_waits(self) -> Iterator[Saved]:
        """Also for whoever left the loop at an evaluation, and goes on."""
        while self._to_save:
            yield from self._save(self._to_save.pop(0))

    def _save(self, name: str) -> Iterator[Saved]:
        if not self.config.out_dir:
            return
        self._clock.switch("save")
        content = checkpoint.Checkpoint(
            weights=self.world.collect(self.model.state_dict()),
            training=self.world.collect(checkpoint.training_tensors(self.model, self.optimizer, self.world)),
            tokenizer=self.dataset.tokenizer,
            progress=self.progress,
            config=asdict(self._lasting_config()),
            scaler=self.scaler.state_dict(),
            text=self.dataset.fingerprint(),
        )
        if self.world.is_main:
            checkpoint.save(self.config.out_dir, name, content, self.config.keep_checkpoints)
            self._stamp = checkpoint.stamp(self.config.out_dir)
        yield Saved(self.step, str(Path(self.config.out_dir, name)))

    def _start_from_checkpoint(self) -> None:
        resume = self.config.init_from == "resume"
        folder = self.config.out_dir if resume else self.config.init_from
        if not resume and not os.path.isdir(folder):
            raise UsageError(f"init_from = {folder!r}: must be scratch, resume or the folder of a checkpoint")
        self._stamp = checkpoint.stamp(folder)
        saved = checkpoint.load(folder, prefer="latest" if resume else "best")
        checkpoint.refuse_mismatch(saved, self.config, self.dataset)
        checkpoint.restore_weights(saved, self.model)
        if resume:
            checkpoint.restore(saved, self.model, self.optimizer, self.scaler, self.world)
            self.progress, self._damaged, self._began_from = saved.progress, saved.damaged, saved.config["init_from"]
        self.world.wait()  # until all have read, before anything is renamed

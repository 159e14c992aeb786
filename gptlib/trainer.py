"""The training loop: `for event in Trainer(config): ...` is a whole run."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from gptlib.checkpoint import Checkpoint, TrainState, check_compatible, restore_training, training_tensors
from gptlib.config import TrainConfig
from gptlib.dataset import EVAL_STREAM, SPLITS, TRAIN_STREAM, Dataset, make_batch, max_offset, sample_offsets
from gptlib.device import autocast, mfu, peak_memory, pick_dtype, set_float32_precision
from gptlib.distributed import SINGLE_PROCESS, DistEnv, full_tensor, shard_like
from gptlib.errors import UserError
from gptlib.evaluation import batch_losses, summarize
from gptlib.events import Evaluation, Event, Heartbeat, Saved, TrainStep
from gptlib.model import GPT
from gptlib.optim import build_optimizer, learning_rate_at
from gptlib.run_folder import RunFolder, load_checkpoint, step_folder


class Trainer:
    """Trains a GPT: iterating over it runs the training and yields an event for everything that happens.

    To pause, stop pulling events. To stop, leave the loop, or call `stop` from anywhere. Iterating again continues.

    A run resumed with the same settings continues bit for bit on the same machine's CPU: batches are a function of seed
    and step, the learning rate of the step, and the checkpoint holds the rest: weights, optimizer, threads and RNG
    states. These are torch's global ones, and dropout draws from them.

    Args:
        config: the settings; `config.out_dir` gets checkpoints and the log (nothing is written if it is empty).
            While a run goes on, `trainer.config` may be replaced by one with another learning_rate, eval_interval,
            eval_iters or log_interval.
        dataset: the text; opened from `config.dataset` if None.
        dist: the processes that share the work (see distributed.init_distributed).

    Raises UserError if the settings do not fit the data, the checkpoint or the machine.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset | None = None, dist: DistEnv = SINGLE_PROCESS):
        self.config, self.dist = config, dist
        self.dataset = (dataset or Dataset.open(config.dataset)).subset(config.train_fraction)
        for split in SPLITS:
            max_offset(getattr(self.dataset, split), config.block_size, f"the {split} split")  # or refuse it now
        self.micro_steps = dist.micro_steps(config)
        self.device = dist.device(config.device)
        self.dtype = pick_dtype(config.dtype, self.device)
        set_float32_precision(self.device, self.dtype)
        self.model = GPT(config.model_config(self.dataset.vocab_size), torch.Generator().manual_seed(config.seed))
        torch.manual_seed(config.seed + dist.rank)  # dropout differs between ranks
        self.forward = dist.wrap_model(self.model, self.device)  # with several processes: in DDP or FSDP
        self.optimizer = build_optimizer(self.model, config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.state = TrainState()
        self.folder = RunFolder(config.out_dir if dist.is_main else "")  # one process writes
        self.stopped = False
        if config.init_from != "scratch":
            self.restore()
        if config.compile:
            self.model.compile()  # in place: for evaluations too, and inside of DDP

    @property
    def step(self) -> int:
        """Optimizer steps done so far."""
        return self.state.step

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do: all steps done, or no better evaluation for `patience` of them."""
        config, state = self.config, self.state
        out_of_patience = 0 < config.patience <= state.evaluations_since_best
        return state.step >= config.max_iters or out_of_patience

    @property
    def unsaved(self) -> bool:
        """Whether out_dir has no checkpoint of this step."""
        return bool(self.config.out_dir) and self.state.saved_at != self.state.step

    def stop(self) -> None:
        """End the run after the current step, with a checkpoint; safe from a signal handler or a thread."""
        self.stopped = True

    # --- the loop -------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Event]:
        if self.config.threads:
            torch.set_num_threads(self.config.threads)  # applies to the calling thread
        with self.folder.opened(self.config, self.step) as log:
            for event in self.run():
                log(event)
                yield event

    def run(self) -> Iterator[Event]:
        """Evaluate, save, step, step, ...; `__iter__` opens out_dir around it."""
        state = self.state
        if self.config.compile:
            yield Heartbeat(state.step, "compile")  # happens in the first evaluation and the first step
        while not self.dist.any_rank(self.stopped):  # all ranks leave at the same step
            due = state.step % self.config.eval_interval == 0 or self.finished
            if due and state.evaluated_at != state.step:
                yield from self.evaluate()
            elif due and self.unsaved:
                yield self.save()
            elif self.finished:
                return
            else:
                yield self.train_step()
        self.stopped = False
        if self.unsaved:
            yield self.save()

    def train_step(self) -> TrainStep:
        """One optimizer step: the mean gradient over all micro-batches of all ranks, clipped, applied."""
        config, state, started = self.config, self.state, time.perf_counter()
        lr = learning_rate_at(state.step, config)
        for group in self.optimizer.param_groups:
            ratio = config.muon_lr / config.learning_rate if group["muon"] else 1.0  # one schedule for both
            group["lr"] = lr * ratio

        loss = torch.zeros((), device=self.device)  # a tensor: reading it would wait for the GPU
        for i, (x, y) in enumerate(self.micro_batches(), start=1):
            with self.dist.grad_sync(self.forward, last=i == self.micro_steps):
                with autocast(self.device, self.dtype):
                    micro_loss = self.forward(x, y)[1] / self.micro_steps
                self.scaler.scale(micro_loss).backward()
            loss = loss + micro_loss.detach()
        loss = self.dist.all_gather(loss).mean(dim=0)

        self.scaler.unscale_(self.optimizer)
        grad_norm = full_tensor(clip_grad_norm_(self.model.parameters(), config.grad_clip or math.inf))
        if torch.isfinite(loss + grad_norm):
            self.scaler.step(self.optimizer)
        elif not (self.scaler.is_enabled() and torch.isfinite(loss)):  # float16 skips overflows of the gradient
            raise diverged(f"the loss is {loss.item():.4g}, the gradient norm {grad_norm.item():.4g}", state, config)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

        seconds = time.perf_counter() - started
        tokens_per_second = config.tokens_per_step / seconds
        event = TrainStep(
            step=state.step,
            loss=loss.item(),
            learning_rate=lr,
            grad_norm=grad_norm.item(),
            tokens=state.tokens,
            tokens_per_second=tokens_per_second,
            seconds=seconds,
            logged=state.step % config.log_interval == 0,
            mfu=mfu(self.model, tokens_per_second / self.dist.size, self.device, self.dtype),
            peak_memory=peak_memory(self.device),
        )
        state.step += 1
        state.tokens += config.tokens_per_step
        return event

    def offsets(self, tokens: np.ndarray, batches: int, *key: int) -> np.ndarray:
        """Random windows, (batches, batch_size): a function of seed and key alone, so there is nothing to save."""
        config, document_start = self.config, self.dataset.tokenizer.end_of_text
        count, key = batches * config.batch_size, (config.seed, *key)
        return sample_offsets(tokens, config.block_size, count, key, document_start).reshape(batches, -1)

    def micro_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This rank's micro-batches of the step, which are the same for any number of ranks."""
        config, tokens = self.config, self.dataset.train
        offsets = self.offsets(tokens, config.gradient_accumulation_steps, TRAIN_STREAM, self.state.step)
        for micro_offsets in offsets[self.dist.rank :: self.dist.size]:
            x, y = make_batch(tokens, micro_offsets, config.block_size)
            if self.device.type == "cuda":  # pinned memory: the copy overlaps with the computation
                x, y = x.pin_memory(), y.pin_memory()
            yield x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)

    def evaluate(self) -> Iterator[Heartbeat | Evaluation]:
        """The loss on both splits; a Heartbeat after every batch."""
        config, state, estimates, seconds = self.config, self.state, {}, 0.0
        for i, split in enumerate(SPLITS):
            tokens, losses, started = getattr(self.dataset, split), [], time.perf_counter()
            offsets = self.offsets(tokens, config.eval_iters, EVAL_STREAM, state.step, i)
            for batch in batch_losses(self.model, tokens, offsets, self.dtype, self.dist):
                losses.append(batch)
                seconds += time.perf_counter() - started
                yield Heartbeat(state.step, "evaluate")
                if self.dist.any_rank(self.stopped):
                    return
                started = time.perf_counter()
            estimates[split] = summarize(losses, len(tokens) // config.block_size)
        val = estimates["val"].mean
        if not math.isfinite(val):
            raise diverged(f"the validation loss is {val}", state, config)
        best = state.evaluated(val)
        yield Evaluation(state.step, **estimates, best=best, tokens=state.tokens, seconds=seconds)

    # --- checkpoints ----------------------------------------------------------------------------------

    def save(self) -> Saved:
        """Write a checkpoint to out_dir."""
        state, config, started = self.state, self.config, time.perf_counter()
        checkpoint = Checkpoint(
            weights=self.dist.gather_full_state_dict(self.model.state_dict()),
            training=self.dist.gather_full_state_dict(training_tensors(self.model, self.optimizer, self.dist)),
            tokenizer=self.dataset.tokenizer,
            state=replace(state, saved_at=state.step),
            config=config,
            scaler=self.scaler.state_dict(),
            text=self.dataset.fingerprint(),
        )
        if self.dist.is_main:
            self.folder.save(checkpoint, config.keep_checkpoints)
        state.saved_at = state.step
        return Saved(state.step, str(step_folder(config.out_dir, state.step)), time.perf_counter() - started)

    def restore(self) -> None:
        """Start from the checkpoint that `init_from` names; with "resume", continue the run in out_dir."""
        config, resume = self.config, self.config.init_from == "resume"
        saved = load_checkpoint(config.out_dir if resume else config.init_from, prefer="latest" if resume else "best")
        check_compatible(saved, config, self.dataset)
        own = self.model.state_dict()
        self.model.load_state_dict({name: shard_like(tensor, own[name]) for name, tensor in saved.weights.items()})
        if resume:
            restore_training(saved, self.model, self.optimizer, self.dist)
            if saved.scaler and self.scaler.is_enabled():
                self.scaler.load_state_dict(saved.scaler)
            self.state = saved.state
            threads = config.threads or saved.config.threads  # another number gives other last digits
            self.config = replace(config, threads=threads)
            self.folder.resume(saved)
        self.dist.any_rank(False)  # a barrier: all ranks have read before anything is written


def diverged(what: str, state: TrainState, config: TrainConfig) -> UserError:
    """The error of a run whose loss is no longer finite."""
    kept = f"; earlier checkpoints are kept in {config.out_dir}" if config.out_dir else ""
    return UserError(
        f"{what} at step {state.step}; try a smaller learning_rate (now {config.learning_rate:g}), "
        f"a longer warmup_iters or grad_clip = 1{kept}"
    )

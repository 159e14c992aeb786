"""The training loop: its events, its arithmetic, and how it is stopped and changed."""

from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from gptlib import Dataset, Evaluation, Heartbeat, Saved, Trainer, TrainStep, UsageError, exact_loss
from gptlib.optim import learning_rate_at
from gptlib.run_folder import load_checkpoint


def events_of(trainer):
    """Without the heartbeats."""
    return [event for event in trainer if not isinstance(event, Heartbeat)]


def steps_of(events, kind):
    return [event.step for event in events if isinstance(event, kind)]


def losses_of(trainer):
    return [event.loss for event in trainer if isinstance(event, TrainStep)]


def watch_gradients(trainer):
    """A list that gets, at every step, the gradient that the optimiser is given."""
    seen = []

    def look():
        seen.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters()]))
        step()

    step, trainer.optimizer.step = trainer.optimizer.step, look
    return seen


# --- events -------------------------------------------------------------------------------------------


def test_the_events_of_a_run_in_order(tiny, dataset):
    events = events_of(Trainer(tiny(max_iters=5, eval_interval=4, log_interval=2), dataset))
    names = ["Evaluation", *["TrainStep"] * 4, "Evaluation", "TrainStep", "Evaluation"]
    assert [type(event).__name__ for event in events] == names
    assert [event.step for event in events] == [0, 0, 1, 2, 3, 4, 4, 5]
    assert [event.logged for event in events if isinstance(event, TrainStep)] == [True, False, True, False, True]


@pytest.mark.parametrize(("max_iters", "expected"), [(0, [0]), (1, [0, 1]), (8, [0, 4, 8]), (9, [0, 4, 8, 9])])
def test_a_run_evaluates_at_the_start_at_the_interval_and_once_at_the_end(tiny, dataset, max_iters, expected):
    events = events_of(Trainer(tiny(max_iters=max_iters, eval_interval=4), dataset))
    assert steps_of(events, Evaluation) == expected and isinstance(events[-1], Evaluation)


def test_every_evaluation_is_followed_by_its_checkpoint(tiny, dataset, tmp_path):
    events = events_of(Trainer(tiny(max_iters=4, eval_interval=2, out_dir=str(tmp_path)), dataset))
    steps = [(type(event), event.step) for event in events if not isinstance(event, TrainStep)]
    assert steps == [(kind, step) for step in (0, 2, 4) for kind in (Evaluation, Saved)]
    assert [e.folder for e in events if isinstance(e, Saved)][-1] == str(tmp_path / "step-00000004")


def test_best_marks_the_lowest_validation_loss_so_far(tiny, dataset):
    config = tiny(max_iters=40, eval_interval=2, learning_rate=0.3, warmup_iters=0, schedule="constant")
    evaluations = [event for event in Trainer(config, dataset) if isinstance(event, Evaluation)]
    means = [event.val.mean for event in evaluations]
    assert [event.best for event in evaluations] == [m == min(means[: i + 1]) for i, m in enumerate(means)]
    assert not all(event.best for event in evaluations)


def test_the_first_logged_loss_is_the_untrained_models(tiny, dataset):
    trainer = Trainer(tiny(max_iters=1), dataset)
    x, y = next(trainer.micro_batches())
    expected = trainer.model(x, y)[1].item()
    assert losses_of(trainer) == [pytest.approx(expected, abs=1e-6)]


def test_tokens_are_counted_over_all_micro_batches(tiny, dataset):
    events = events_of(Trainer(tiny(max_iters=3, log_interval=1, gradient_accumulation_steps=2), dataset))
    assert [event.tokens for event in events] == [0, 0, 64, 128, 192]


def test_the_same_seed_gives_the_same_run_and_another_does_not(tiny, dataset):
    first, again, other = (losses_of(Trainer(tiny(seed=seed, dropout=0.1), dataset)) for seed in (1, 1, 2))
    assert first == again != other


def test_an_easy_text_is_learnt(tiny):
    trainer = Trainer(tiny(max_iters=100), Dataset.from_text("abc" * 300))
    final = events_of(trainer)[-1]
    assert final.val.mean < 0.1 and final.train.mean < 0.1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_learns_it_too(tiny, dtype):
    trainer = Trainer(tiny(max_iters=60, dtype=dtype), Dataset.from_text("abc" * 300))
    assert events_of(trainer)[-1].val.mean < 0.3 and trainer.model.wte.weight.dtype == torch.float32


def test_only_the_asked_share_of_the_text_is_read(tiny):
    easy_then_hard = Dataset.from_text("a" * 500 + "bcdefgh" * 72, val_fraction=0.001)
    trainer = Trainer(tiny(max_iters=1, train_fraction=0.4, block_size=1), easy_then_hard)
    assert set(trainer.dataset.train) == {0} and len(trainer.dataset.train) == 400


# --- one step -----------------------------------------------------------------------------------------

SPLITS_OF_EIGHT = [(8, 1), (4, 2), (1, 8)]


@pytest.fixture
def split_runs(tiny, dataset):
    plan = {"log_interval": 1, "grad_clip": 0.0}
    return [
        Trainer(tiny(batch_size=batch_size, gradient_accumulation_steps=accumulation, **plan), dataset)
        for batch_size, accumulation in SPLITS_OF_EIGHT
    ]


def test_accumulated_micro_batches_give_the_gradient_of_the_whole_batch(split_runs):
    whole, *parts = [watch_gradients(trainer) for trainer in split_runs]
    for trainer in split_runs:
        next(event for event in trainer if isinstance(event, TrainStep))
    for part in parts:
        torch.testing.assert_close(part[0], whole[0], rtol=0, atol=1e-6)


def test_accumulated_micro_batches_give_the_same_loss_curve(split_runs):
    whole, *parts = [losses_of(trainer) for trainer in split_runs]
    assert len(whole) == 20
    for part in parts:
        assert part == pytest.approx(whole, abs=1e-4)


def test_a_long_gradient_is_shortened_to_grad_clip(tiny, dataset):
    trainer = Trainer(tiny(max_iters=3, log_interval=1, grad_clip=0.01), dataset)
    gradients = watch_gradients(trainer)
    norms = [event.grad_norm for event in trainer if isinstance(event, TrainStep)]
    assert min(norms) > 0.1 and [g.norm().item() for g in gradients] == pytest.approx([0.01] * 3, rel=1e-3)


@pytest.mark.parametrize("grad_clip", [0.0, 1000.0])
def test_a_gradient_within_grad_clip_is_used_as_it_is(tiny, dataset, grad_clip):
    trainer = Trainer(tiny(max_iters=3, log_interval=1, grad_clip=grad_clip), dataset)
    gradients = watch_gradients(trainer)
    norms = [event.grad_norm for event in trainer if isinstance(event, TrainStep)]
    assert [g.norm().item() for g in gradients] == pytest.approx(norms)


def test_every_step_uses_the_rate_of_the_schedule(tiny, dataset):
    config = tiny(log_interval=1)
    rates = [event.learning_rate for event in Trainer(config, dataset) if isinstance(event, TrainStep)]
    assert rates == [learning_rate_at(step, config) for step in range(20)]


# --- numbers that are not finite -----------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_first_loss_that_is_not_finite_ends_the_run_with_advice(tiny, dataset, tmp_path, bits, refused, value):
    trainer, before = Trainer(tiny(eval_interval=2, out_dir=str(tmp_path)), dataset), {}
    forward = trainer.forward

    def spoiled(x, y):
        logits, loss = forward(x, y)
        return logits, loss * value if trainer.step == 7 else loss

    trainer.forward = spoiled
    with refused("the loss is", "at step 7", "smaller learning_rate (now 0.01)", "kept in", str(tmp_path)):
        for event in trainer:
            before[event.step] = bits(trainer.model)
    assert bits(trainer.model) == before[6]  # the weights are those of the last good step
    assert load_checkpoint(tmp_path, prefer="latest").state.step == 6


def test_lost_weights_replace_no_checkpoint(tiny, dataset, tmp_path, refused):
    trainer = Trainer(tiny(eval_interval=2, out_dir=str(tmp_path)), dataset)
    with refused("the validation loss is nan at step 6"):
        for event in trainer:
            if isinstance(event, TrainStep) and event.step == 5:
                trainer.model.wte.weight.data.fill_(float("inf"))
    assert load_checkpoint(tmp_path, prefer="latest").state.step == 4


class Overflow(torch.autograd.Function):
    """The loss as it is; its gradient overflows where the product with the scale is beyond float16."""

    @staticmethod
    def forward(ctx, loss, limit):
        ctx.limit = limit
        return loss.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.where(gradient > ctx.limit, float("inf"), gradient), None


def test_an_overflow_in_float16_halves_the_scale_skips_the_step_and_the_run_goes_on(tiny, dataset, bits):
    trainer, scales, states = Trainer(tiny(dtype="float16", max_iters=6, log_interval=1), dataset), [], []
    forward = trainer.forward
    trainer.forward = lambda x, y: (None, Overflow.apply(forward(x, y)[1], 20000.0))
    for event in trainer:
        if isinstance(event, TrainStep):
            scales.append(trainer.scaler.get_scale())
            states.append(bits(trainer.model))
    assert scales == [2.0**15, 2.0**14, 2.0**14, 2.0**14, 2.0**14, 2.0**14]  # from 2 ** 16
    assert states[0] == states[1] and len({str(state) for state in states}) == 5
    assert trainer.step == 6


def test_a_text_shorter_than_a_window_is_refused(tiny, refused):
    for split, val_fraction in (("train", 0.9), ("val", 0.1)):
        with refused("block_size = 8", f"the {split} split has", "choose a smaller block_size or more text"):
            Trainer(tiny(), Dataset.from_text("abcdefghijklmnopqrst", val_fraction=val_fraction))


def test_a_device_that_is_not_there_is_refused(tiny, dataset, refused, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with refused("device = 'cuda'", "choose one of auto", "cpu", error=UsageError):
        Trainer(tiny(device="cuda"), dataset)


# --- stopping, leaving, going on ----------------------------------------------------------------------


def test_stop_ends_the_run_after_the_current_step_with_a_checkpoint(tiny, dataset, tmp_path):
    trainer, events = Trainer(tiny(out_dir=str(tmp_path)), dataset), []
    for event in trainer:
        events.append(event)
        if isinstance(event, TrainStep) and event.step == 3:
            trainer.stop()
    assert trainer.step == 4 and isinstance(events[-1], Saved) and events[-1].folder == str(tmp_path / "step-00000004")


def test_stop_ends_a_long_evaluation_too(tiny, dataset):
    trainer, events = Trainer(tiny(eval_iters=1000), dataset), []
    for event in trainer:
        events.append(event)
        trainer.stop()
    assert events == [Heartbeat(0, "evaluate")]


@pytest.mark.parametrize(("patience", "last"), [(0, 20), (2, 6)])
def test_patience_ends_a_run_that_no_longer_improves(tiny, dataset, patience, last):
    trainer, losses = Trainer(tiny(eval_interval=2, patience=patience), dataset), iter([3.0, 2.0, 2.5, 2.1, *[2.0] * 9])
    trainer.evaluate = lambda: evaluated(trainer, next(losses))
    list(trainer)
    assert trainer.step == last


def evaluated(trainer, val):
    """An evaluation that finds this loss."""
    trainer.state.evaluated(val)
    yield Heartbeat(trainer.step, "evaluate")


@pytest.mark.parametrize("leave_at", range(1, 9))
def test_a_run_that_was_left_anywhere_goes_on_and_ends_the_same(tiny, dataset, bits, leave_at):
    config = tiny(max_iters=5, eval_interval=2, log_interval=1, dropout=0.1)
    whole = Trainer(config, dataset)
    expected = events_of(whole)
    left = Trainer(config, dataset)
    part = list(islice((event for event in left if not isinstance(event, Heartbeat)), leave_at))
    assert [(type(e), e.step) for e in part + events_of(left)] == [(type(e), e.step) for e in expected]
    assert bits(left.model) == bits(whole.model)


def test_a_run_that_was_stopped_goes_on(tiny, dataset):
    trainer = Trainer(tiny(log_interval=1), dataset)
    for _ in trainer:
        trainer.stop()
    stopped_at = trainer.step
    assert stopped_at < 20 and steps_of(trainer, TrainStep) == list(range(stopped_at, 20))


def test_a_run_that_is_over_has_no_more_events(tiny, dataset):
    trainer = Trainer(tiny(), dataset)
    list(trainer)
    assert list(trainer) == []


# --- changing settings ----------------------------------------------------------------------------------


def test_a_change_takes_effect_in_the_running_run(tiny, dataset):
    trainer, events = Trainer(tiny(log_interval=1, schedule="constant"), dataset), []
    for event in trainer:
        events.append(event)
        if isinstance(event, TrainStep) and event.step == 9:
            trainer.config = replace(trainer.config, learning_rate=0.5, log_interval=4, eval_interval=3)
    rates = [event.learning_rate for event in events if isinstance(event, TrainStep)]
    assert rates == pytest.approx([0.01 / 3, 0.02 / 3, *[0.01] * 8, *[0.5] * 10])
    assert [e.step for e in events if isinstance(e, TrainStep) and e.logged][10:] == [12, 16]
    assert steps_of(events, Evaluation) == [0, 12, 15, 18, 20]


def test_muons_own_rate_is_not_changed_with_the_other(tiny, dataset):
    """So a checkpoint of a changed run, which holds the config, goes on with the same rates."""
    config = tiny(optimizer="muon", muon_lr=0.02, learning_rate=0.01, schedule="constant", warmup_iters=0, max_iters=1)
    trainer = Trainer(config, dataset)
    trainer.config = replace(trainer.config, learning_rate=0.005)
    list(trainer)
    rates = {group["muon"]: group["lr"] for group in trainer.optimizer.param_groups}
    assert rates == pytest.approx({False: 0.005, True: 0.02})


def test_leaving_at_the_best_evaluation_and_continuing_saves_its_checkpoint(tiny, dataset, tmp_path):
    trainer = Trainer(tiny(eval_interval=5, max_iters=6, out_dir=str(tmp_path)), dataset)
    for event in trainer:
        if isinstance(event, Evaluation) and event.step == 5:
            break
    next(event for event in trainer if isinstance(event, Saved))
    assert event.best and load_checkpoint(tmp_path).state == trainer.state and trainer.step == 5


# --- timings ------------------------------------------------------------------------------------------


def test_events_carry_the_seconds_they_took_and_not_those_of_their_consumer(tiny, dataset, tmp_path, monkeypatch):
    """On a clock that advances 1 s whenever it is read, and 100 s while somebody looks at an event."""
    clock = SimpleNamespace(now=0.0)

    def perf_counter():
        clock.now += 1
        return clock.now

    monkeypatch.setattr("gptlib.trainer.time", SimpleNamespace(perf_counter=perf_counter))
    for event in Trainer(tiny(max_iters=3, eval_iters=4, out_dir=str(tmp_path)), dataset):
        clock.now += 100
        if isinstance(event, TrainStep):
            assert event.seconds == 1 and event.tokens_per_second == 32
        elif isinstance(event, Evaluation):
            assert event.seconds == 8  # a second for each batch
        elif isinstance(event, Saved):
            assert event.seconds == 1


def test_evaluations_have_the_precision_of_the_run(tiny, dataset):
    losses = {}
    for dtype in ("float32", "bfloat16"):
        trainer = Trainer(tiny(dtype=dtype), dataset)
        losses[dtype] = next(event for event in trainer if isinstance(event, Evaluation)).val.mean
    assert losses["float32"] != losses["bfloat16"] == pytest.approx(losses["float32"], abs=0.01)


@pytest.mark.slow
def test_bfloat16_learns_as_well_as_float32(tiny, dataset):
    settings = {"max_iters": 150, "eval_interval": 1000, "batch_size": 2}
    losses = []
    for dtype in ("float32", "bfloat16"):
        trainer = Trainer(tiny(dtype=dtype, **settings), dataset)
        for _ in trainer:
            pass
        losses.append(exact_loss(trainer.model, dataset.val).mean)
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.01)
    assert losses[0] < 1.0  # it has learned something


def test_an_evaluation_reads_other_windows_than_the_step_after_it(tiny, dataset):
    """The loss on windows that are learned from next would say too little about the rest of the text."""
    read = []

    class Watched(Trainer):
        def offsets(self, *args):
            read.append(super().offsets(*args))
            return read[-1]

    list(Watched(tiny(max_iters=1), dataset))
    evaluated, _, trained = read[:3]
    assert evaluated[0].tolist() != trained[0].tolist()

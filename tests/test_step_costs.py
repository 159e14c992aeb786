"""The counted costs of a step against measured ones."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from course.step_costs import count
from gptlib import GPT, Dataset, Trainer
from gptlib.device import autocast, pick_dtype

SHAPE = {"n_layer": 2, "n_head": 4, "n_embd": 96, "batch_size": 4, "block_size": 64}
CASES = [
    {},
    {"attention": "naive"},
    {"dropout": 0.1},
    {"attention": "naive", "dropout": 0.1},
    {"dtype": "bfloat16"},
    {"batch_size": 1, "block_size": 256},
    {"batch_size": 1, "block_size": 256, "attention": "naive"},
]


@pytest.fixture(scope="module")
def text():
    return Dataset.from_text("".join(chr(97 + i * i * i % 50) for i in range(4000)))


def allocated(work):
    """Run `work`, and return the bytes that its allocations came to at the end and at most, by torch's own account."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept_alive = work()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    now, most = 0, 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    del kept_alive
    return now, most


@pytest.mark.parametrize("case", CASES, ids=str)
def test_counted_activations_are_what_a_forward_pass_leaves_in_memory(tiny, text, case):
    config = tiny(**SHAPE | case)
    model = GPT(config.model_config(text.vocab_size))
    x = torch.zeros(config.batch_size, config.block_size, dtype=torch.int64)

    def forward():
        with autocast(x.device, pick_dtype(config.dtype, x.device)):
            return model(x, x)

    forward()
    left, _ = allocated(forward)
    assert count(config, text.vocab_size).activations == pytest.approx(left, rel=0.05)


@pytest.mark.parametrize("case", CASES[:4], ids=str)
def test_the_counted_memory_is_the_measured_peak_of_training(tiny, text, case):
    config = tiny(**SHAPE | case, max_iters=2, gradient_accumulation_steps=2, eval_interval=100)
    trainers = []

    def train():
        trainers.append(Trainer(config, text))
        for _ in range(2):
            trainers[0].train_step()

    _, peak = allocated(train)
    assert count(config, text.vocab_size).memory == pytest.approx(peak, rel=0.15)
    trainer = trainers[0]
    state = [t for entry in trainer.optimizer.state.values() for t in entry.values()]
    assert count(config, text.vocab_size).optimizer == sum(t.nbytes for t in state)
    assert count(config, text.vocab_size).num_parameters == trainer.model.num_parameters()


def test_memory_grows_with_b_and_t_as_it_should(tiny):
    def activations(**settings):
        return count(tiny(**SHAPE | settings), 50).activations

    assert activations(batch_size=8) == pytest.approx(2 * activations(batch_size=4), rel=0.01)
    assert activations(block_size=512) == pytest.approx(2 * activations(block_size=256), rel=0.01)
    long, longer = (activations(block_size=T, attention="naive") for T in (2048, 4096))
    assert longer > 3 * long


def test_counted_flops_are_those_of_the_matrix_products(tiny):
    config = tiny(**SHAPE, attention="naive")
    model, x = GPT(config.model_config(50)), torch.zeros(4, 64, dtype=torch.int64)
    with FlopCounterMode(display=False) as flops:
        model(x, x)[1].backward()
    assert count(config, 50).flops_per_token == flops.get_total_flops() / x.numel()


def test_a_model_that_no_laptop_holds_is_counted_too(tiny):
    counted = count(tiny(n_layer=12, n_head=12, n_embd=768, block_size=1024, batch_size=64), 50257)
    assert counted.num_parameters == 124_439_808  # GPT-2
    assert counted.weights == 4 * counted.num_parameters and counted.memory > 60 * 2**30

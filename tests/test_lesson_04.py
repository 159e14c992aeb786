"""What lesson 04 rests on: its formulas, its figures, and a lab that takes the steps of its own loop."""

import pytest
import torch
import torch.nn.functional as F

from course.lessons import defined
from course.lessons import figures_04 as figures
from course.lessons import lesson_04 as lesson
from gptlib import GPT, Trainer, TrainStep
from gptlib.dataset import make_batch, sample_offsets

PLAIN = {"warmup_iters": 0, "schedule": "constant", "grad_clip": 0.0, "weight_decay": 0.0}


def own_loop(data, config, optimizer):
    """The losses of a loop written as in the lesson."""
    generator = torch.Generator().manual_seed(config.seed)
    model, losses = GPT(config.model_config(data.vocab_size), generator), []
    optimizer = optimizer(model.parameters())
    for step in range(config.max_iters):
        key = (config.seed, 0, step)
        offsets = sample_offsets(data.train, config.block_size, config.batch_size, key)
        loss = model(*make_batch(data.train, offsets, config.block_size))[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def losses_of(trainer):
    return [event.loss for event in trainer if isinstance(event, TrainStep)]


@pytest.mark.parametrize(("fused", "tolerance"), [(True, 0.0), (False, 1e-5)])
def test_a_loop_of_ones_own_equals_the_trainer_bit_for_bit_with_the_fused_kernel(tiny, dataset, fused, tolerance):
    config = tiny(**PLAIN, log_interval=1)
    mine = own_loop(
        dataset,
        config,
        lambda p: torch.optim.AdamW(p, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0, fused=fused),
    )
    assert max(abs(a - b) for a, b in zip(mine, losses_of(Trainer(config, dataset)), strict=True)) <= tolerance


def test_the_plain_lab_takes_the_steps_of_the_lessons_loop(tiny, dataset):
    config = tiny(**PLAIN, log_interval=1, learning_rate=0.1)
    settings = {name: getattr(config, name) for name in ("block_size", "n_layer", "n_head", "n_embd", "batch_size")}
    settings |= {"max_iters": 20, "eval_interval": 20, "eval_iters": 1, "log_interval": 1, "threads": 1}
    lab = figures.PlainLab("learning_rate", dataset=dataset, title="plain", learning_rate=0.1, **PLAIN, **settings)
    lab.run()
    want = own_loop(dataset, config, lambda p: torch.optim.SGD(p, lr=0.1))
    assert lab.runs[0].losses == pytest.approx(want, abs=1e-6)


def test_the_plain_lab_runs_live(tiny, dataset):
    shape = {name: getattr(tiny(), name) for name in ("block_size", "n_layer", "n_head", "n_embd", "batch_size")}
    lab = figures.PlainLab("learning_rate", dataset=dataset, title="live", learning_rate=0.1, max_iters=12, **shape)
    lab.start()
    lab.wait()
    assert lab.runs[0].step == 12


def test_the_gradient_of_the_logits_is_p_minus_onehot_over_the_number_of_guesses(tiny, dataset):
    torch.manual_seed(0)
    model = GPT(tiny().model_config(dataset.vocab_size)).double()
    x, y = make_batch(dataset.train, sample_offsets(dataset.train, 8, 4, (0,)), 8)
    logits, loss = model(x, y)
    logits.retain_grad()
    loss.backward()
    onehot = F.one_hot(y, dataset.vocab_size)
    assert torch.allclose(logits.grad, (logits.softmax(dim=-1) - onehot) / y.numel(), atol=1e-12)
    flat = defined(lesson.logits_gradient.solution_source)(logits.detach().flatten(0, 1), y.flatten())
    assert torch.allclose(logits.grad.flatten(0, 1), flat, atol=1e-12)


# --- figures --------------------------------------------------------------------------------------------


def test_figures_have_an_alt_text_and_a_name_without_measured_numbers():
    look = figures.visit(lambda value: (value - 0.3) ** 2 + 2)
    pictures = [
        look(1.0),
        figures.plot_losses({"one": [4.0, 3.0], "other": [4.0, 3.5]}, {"guessing": 4.1}, what="hand"),
    ]
    for picture in pictures:
        assert picture.png.startswith(b"\x89PNG") and len(picture.alt) >= 20
        assert not any(character.isdigit() for character in picture.name)


def test_the_explorer_remembers_where_one_has_been():
    look = figures.visit(lambda value: (value - 0.3) ** 2)
    look(1.0), look(0.3)
    assert "Places tried: 3; the lowest loss so far is 0.000, at 0.30" in look(-1.0).alt

"""What lesson 05 rests on: any split is the same run, noise falls with the root, and its figures."""

import numpy as np
import pytest
import torch

from course.lab import Lab
from course.lessons import figures_05 as figures
from course.lessons import lesson_05_museum as museum
from course.step_costs import SavedActivationBytes
from gptlib import GPT, Dataset, Trainer, TrainStep
from gptlib.dataset import make_batch, sample_offsets


@pytest.fixture
def parts(tiny, dataset):
    """A tiny GPT and 64 sequences for it."""
    torch.manual_seed(0)
    model = GPT(tiny().model_config(dataset.vocab_size))
    return model, *make_batch(dataset.train, sample_offsets(dataset.train, 8, 64, (0,)), 8)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_every_split_gives_the_same_gradient(parts, dtype, limit):
    model, x, y = parts
    whole = museum.gradient(model.to(dtype), x, y, 64)
    assert all(((museum.gradient(model, x, y, n) - whole).norm() / whole.norm()).item() < limit for n in (16, 4, 1))


def test_the_trainer_makes_the_same_run_of_every_split(tiny, dataset):
    runs = []
    for n in (8, 2, 1):
        trainer = Trainer(tiny(batch_size=n, gradient_accumulation_steps=8 // n, log_interval=1), dataset)
        runs.append([event.loss for event in trainer if isinstance(event, TrainStep)])
    assert np.abs(np.array(runs[1:]) - runs[0]).max() < 1e-4


def test_noise_falls_with_the_root_of_the_batch(parts):
    model, x, y = parts
    g = torch.stack([museum.gradient(model, a, b, 1) for a, b in zip(x.split(1), y.split(1), strict=True)])
    quarter = g.view(-1, 4, g.size(1)).mean(dim=1)
    assert (g.std(dim=0).norm() / quarter.std(dim=0).norm()).item() == pytest.approx(2, abs=0.4)


def test_lines_end_at_their_line_break():
    text = Dataset.from_text("ab\nabcdefghijkl\nabcde\n" * 40)
    x, y = museum.lines(text, 20, 8)
    newline = text.tokenizer.encode("\n")[0]
    counts = (y >= 0).sum(dim=1).tolist()
    assert set(counts) <= {2, 5, 8} and len(set(counts)) > 1
    for tokens, targets, count in zip(x, y, counts, strict=True):
        assert torch.equal(targets[: count - 1], tokens[1:count]) and (targets[count:] == -1).all()
        assert count == 8 or targets[count - 1] == newline


# --- the figure, and the lab ------------------------------------------------------------------------------------


def test_the_museums_figure_says_what_it_shows():
    picture = figures.plot_museum([[4.0, 3.0, 2.5]] * 6, [[4.0, 3.0, 2.4]] * 6, [4.0, 3.0, 2.5])
    assert picture.png.startswith(b"\x89PNG") and "A: starts at 4.0, ends at 3.17, should 3.13" in picture.alt


@pytest.mark.parametrize(
    ("moves", "want"),
    [
        ([("batch_size", 8)], (8, 4)),
        ([("gradient_accumulation_steps", 32)], (1, 32)),
        ([("batch_size", 8), ("gradient_accumulation_steps", 2)], (16, 2)),
    ],
)
def test_the_labs_two_sliders_keep_their_product(dataset, moves, want):
    pair = ("batch_size", "gradient_accumulation_steps")
    settings = {"sequences_per_step": 32, "batch_size": 32, "gradient_accumulation_steps": 1, "block_size": 8}
    lab = Lab(*pair, dataset=dataset, **settings)
    for name, value in moves:
        lab.sliders[name].value = value
    assert tuple(lab.sliders[name].value for name in pair) == want
    assert list(lab.sliders["batch_size"].options) == [1, 2, 4, 8, 16, 32]


def test_what_the_lesson_counts_is_what_step_costs_counts(parts):
    """The cell of the lesson, on a tiny model: addresses of what autograd keeps, without the weights."""
    model, x, y = parts
    weights, kept = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}

    def note(t):
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with SavedActivationBytes(model) as counted:
        loss = model(x, y)[1]
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        again = model(x, y)[1]
    assert loss == again
    assert sum(size for place, size in kept.items() if place not in weights) == counted.total

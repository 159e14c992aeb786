import numpy as np
import pytest
import torch

from course.lab import Lab, Run
from course.lessons import lesson_05_accumulation as probe
from gptlib import GPT, Dataset

SEQUENCES = 16


@pytest.fixture
def parts(tiny, dataset):
    """A tiny GPT and some sequences for it."""
    torch.manual_seed(0)
    model = GPT(tiny().model_config(dataset.vocab_size))
    return model, *probe.sequences_of(dataset, SEQUENCES, 8)


@pytest.fixture
def lines():
    return Dataset.from_text("ab\nabcdefghijkl\nabcde\n" * 40)


# --- gradients ------------------------------------------------------------------------------------------


def test_the_gradient_is_pytorchs_own(parts):
    model, x, y = parts
    model(x, y)[1].backward()
    want = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert torch.equal(probe.gradient(model, x, y, SEQUENCES), want)


def test_every_split_gives_the_same_gradient(parts):
    differences = probe.differences_by_split(*parts, [8, 4, 1])
    assert max(differences["float32"]) < 1e-6
    assert 0 < max(differences["float64"]) < 1e-14
    assert parts[0].wte.weight.dtype == torch.float32


def test_another_batch_gives_another_gradient(parts, dataset):
    model, x, y = parts
    other = probe.gradient(model, *probe.sequences_of(dataset, SEQUENCES, 8, seed=1), SEQUENCES)
    assert probe.relative_difference(other, probe.gradient(model, x, y, 4)) > 1e-3


def test_lines_end_at_their_line_break(lines):
    x, y = probe.lines_of(lines, 20, 8)
    newline = lines.tokenizer.encode("\n")[0]
    counts = (y >= 0).sum(dim=1).tolist()
    assert set(counts) <= {2, 5, 8} and len(set(counts)) > 1
    for tokens, targets, count in zip(x, y, counts, strict=True):
        assert torch.equal(targets[: count - 1], tokens[1:count]) and (targets[count:] == -1).all()
        assert count == 8 or targets[count - 1] == newline


def test_unequal_lengths_need_weights(parts, lines):
    model = GPT(parts[0].config.__class__(**{**vars(parts[0].config), "vocab_size": lines.vocab_size}))
    x, y = probe.lines_of(lines, SEQUENCES, 8)
    whole = probe.gradient(model, x, y, SEQUENCES)
    assert sum(probe.token_weights(y, 2)) == pytest.approx(1)
    assert probe.relative_difference(probe.gradient(model, x, y, 2), whole) > 1e-3
    assert probe.relative_difference(probe.gradient(model, x, y, 2, probe.token_weights(y, 2)), whole) < 1e-6


def test_what_changes_the_gradient_and_what_does_not(parts, lines):
    config = parts[0].config.__class__(**{**vars(parts[0].config), "vocab_size": lines.vocab_size})
    values = list(probe.differences_by_cause(GPT(config), lines, 8).values())
    assert [value > 1e-4 for value in values] == [False, True, True, True, False, True, False]


def test_noise_falls_with_the_root_of_the_batch(parts, dataset):
    noise = probe.gradient_noise(parts[0], *probe.sequences_of(dataset, 256, 8), smallest=1, every=1)
    assert noise.sequences == [1, 2, 4, 8, 16, 32]
    slope = np.polyfit(np.log(noise.sequences), np.log(noise.errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)
    whole = probe.gradient(parts[0], *probe.sequences_of(dataset, 256, 8), 256)
    assert noise.signal == pytest.approx(whole.norm().item(), rel=0.2)


# --- runs -------------------------------------------------------------------------------------------------


def test_runs_agree_in_float32_and_in_float64(tiny, dataset):
    runs = {
        double: [probe.short_run(tiny(), dataset, n, 8 // n, double=double) for n in (8, 2)] for double in (False, True)
    }
    assert probe.largest_difference(*(run.losses for run in runs[False])) < 1e-4
    assert probe.largest_difference(*(run.losses for run in runs[True])) < 1e-8
    assert runs[True][0].model.wte.weight.dtype == torch.float64
    assert len(runs[True][0].losses) == 20 and runs[True][0].losses[-1] < runs[True][0].losses[0]


def test_a_run_in_float64_says_its_loss_in_float64(tiny, dataset):
    losses = probe.short_run(tiny(max_iters=2), dataset, 4, 2, double=True).losses
    assert (losses != losses.astype(np.float32)).all()


def test_noise_moves_the_key_biases_only(tiny, dataset):
    pair = [probe.short_run(tiny(), dataset, n, 8 // n) for n in (8, 2)]
    query, key, value = (a - b for a, b in zip(*(probe.attention_biases(run.model) for run in pair), strict=True))
    free = [probe.short_run(tiny(), dataset, n, 8 // n, eps=1e-15) for n in (8, 2)]
    free_key = probe.attention_biases(free[0].model)[1] - probe.attention_biases(free[1].model)[1]
    assert key.abs().max() > 10 * max(query.abs().max(), value.abs().max())
    assert free_key.abs().max() > 10 * key.abs().max()
    assert probe.largest_difference(free[0].losses, free[1].losses) < 1e-4


def test_smoothing_averages_the_same_number_of_sequences(tiny):
    run = Run(1, tiny(batch_size=2), {}, steps=[0, 1, 2, 3, 4], losses=[1.0, 3.0, 5.0, 7.0, 9.0])
    assert list(probe.smooth(run, 4)) == [(2, 2.0), (4, 6.0)]
    assert len(list(probe.smooth(run, 1))) == 5


# --- memory and time ----------------------------------------------------------------------------------------


def test_what_is_kept_is_what_autograd_saves():
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Sigmoid())
    x = torch.zeros(3, 4)
    with probe.KeptForBackward(model) as kept:
        loss = model(x).sum()
        assert kept.now == kept.peak == 4 * (3 * 4 + 3 * 8)  # the input, and what the sigmoid gives; not the weights
        loss.backward()
    del loss
    assert kept.now == 0 and kept.peak == 4 * (3 * 4 + 3 * 8)


def test_a_tensor_saved_twice_is_counted_once():
    x = torch.zeros(5, requires_grad=True)
    with probe.KeptForBackward(torch.nn.Linear(1, 1)) as kept:
        y = x.exp()
        z = y.exp() * y
    assert kept.now == 2 * 20  # y is saved by both, exp(y) by itself
    del z, y
    assert kept.now == 0


def test_memory_grows_with_the_micro_batch_and_not_with_the_steps(parts, dataset):
    model, x, y = parts
    kept = {n: probe.bytes_kept(model, x, y, n) for n in (1, 4, 16)}
    assert kept[16] == pytest.approx(4 * kept[4], rel=0.1) == pytest.approx(16 * kept[1], rel=0.25)
    assert probe.bytes_kept(model, x[:8], y[:8], 4) == kept[4]
    assert probe.bytes_kept(model, x, y, 4, backward_at_the_end=True) == pytest.approx(kept[16], rel=0.1)


def test_costs_and_fixed_bytes(parts):
    model, x, y = parts
    costs = probe.costs_by_split(model, x, y, [16, 2], repeats=1)
    assert [cost.split for cost in costs] == ["(16, 1)", "(2, 8)"]
    assert all(cost.seconds > 0 for cost in costs) and costs[0].bytes_kept > costs[1].bytes_kept
    assert probe.fixed_bytes(model) == 16 * model.num_parameters()


# --- figures, and the lab ------------------------------------------------------------------------------------


def test_figures_say_what_they_show(parts, tiny, dataset):
    model, x, y = parts
    pair = tuple(probe.short_run(tiny(), dataset, n, 4 // n) for n in (4, 2))
    run = Run(1, tiny(), {}, steps=list(range(20)), losses=list(pair[0].losses))
    noise = probe.gradient_noise(model, x, y, smallest=1)
    pictures = [
        probe.plot_differences_by_split({"float32": [1e-7], "float64": [1e-16]}, 16, [4]),
        probe.plot_run_differences(pair[0].losses, {"(2, 2)": pair[1].losses}, [pair[0].losses, pair[1].losses]),
        probe.plot_biases([("query", 0, pair), ("key", 1, pair)], ("(4, 1)", "(2, 2)"), 1e-2),
        probe.plot_costs(probe.costs_by_split(model, x, y, [16, 4], repeats=1), 1000, ("late", 2000)),
        probe.plot_gradient_noise({"untrained": noise}),
        probe.plot_same_tokens([run], sequences=8),
        probe.plot_differences_by_cause({"equal": 1e-7, "dropout": 0.5}),
    ]
    for picture in pictures:
        assert picture.png.startswith(b"\x89PNG") and len(picture.alt) > 20
    assert len({picture.name for picture in pictures}) == len(pictures)


@pytest.mark.parametrize(
    ("moves", "want"),
    [
        ([("batch_size", 8)], (8, 4)),
        ([("batch_size", 9)], (8, 4)),
        ([("batch_size", 31)], (16, 2)),  # from 32 an arrow key to the left
        ([("batch_size", 8), ("batch_size", 9)], (16, 2)),  # from 8 one to the right
        ([("batch_size", 64)], (32, 1)),
        ([("gradient_accumulation_steps", 32)], (1, 32)),
        ([("gradient_accumulation_steps", 2), ("gradient_accumulation_steps", 3)], (8, 4)),
    ],
)
def test_the_labs_two_sliders_keep_their_product(dataset, moves, want):
    pair = ("batch_size", "gradient_accumulation_steps")
    settings = {"sequences_per_step": 32, "batch_size": 32, "gradient_accumulation_steps": 1, "block_size": 8}
    lab = Lab(*pair, dataset=dataset, **settings)
    for name, value in moves:
        lab.sliders[name].value = value
    assert tuple(lab.sliders[name].value for name in pair) == want

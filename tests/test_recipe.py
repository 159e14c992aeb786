"""What EXPERIMENTS.md found to make the difference is what the code does; each value is worked out again here.

None of these choices breaks a run when it gets lost: the loss is only higher, or a power cut only then costs a
checkpoint. So nothing but a test of its own would notice.
"""

import cmath
import math
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
import torch

from gptlib import GPT, GPTConfig, Saved, Trainer, TrainStep
from gptlib.files import atomic_write
from gptlib.model import Rotary
from gptlib.optim import build_optimizer


def model_of(**shape):
    torch.manual_seed(0)
    return GPT(GPTConfig(**{"vocab_size": 500, "block_size": 32, "n_layer": 2, "n_head": 2, "n_embd": 48} | shape))


def std_at(width):
    """GPT-2 starts with 0.02 at its width of 768; another width gets the same size of its sums."""
    return 0.02 * math.sqrt(768 / width)


# --- how a model starts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "width"), [(32, 48), (8, 192)])
def test_positions_start_as_sinusoids_of_the_embeddings_size(length, width):
    """Waves from one radian a token to one a text: first the sines, then the cosines of each frequency."""
    positions = model_of(block_size=length, n_embd=width).wpe.weight
    half = width // 2
    for place in (0, 1, length - 1):
        angles = [place * length ** (-i / half) for i in range(half)]
        expected = [std_at(width) * wave(angle) for wave in (math.sin, math.cos) for angle in angles]
        torch.testing.assert_close(positions[place], torch.tensor(expected))


@pytest.mark.parametrize("width", [48, 192])
def test_a_narrower_model_starts_with_larger_weights(width):
    model = model_of(n_embd=width)
    for weight in (model.wte.weight, model.h[0].attn.c_attn.weight, model.h[1].mlp.c_fc.weight):
        assert weight.std().item() == pytest.approx(std_at(width), rel=0.05)


@pytest.mark.parametrize("n_layer", [2, 8])
def test_what_is_added_to_the_residual_stream_starts_smaller_the_more_layers_add_to_it(n_layer):
    model = model_of(n_layer=n_layer, n_embd=96)
    for weight in (model.h[0].attn.c_proj.weight, model.h[-1].mlp.c_proj.weight):
        assert weight.std().item() == pytest.approx(std_at(96) / math.sqrt(2 * n_layer), rel=0.05)


def test_biases_and_pairs_start_at_zero_and_norms_at_one():
    model = model_of(bigram=True)
    parameters = dict(model.named_parameters())
    zeros = {name for name in parameters if name.endswith("bias")} | {"bigram.weight"}
    assert len(zeros) == 2 * 6 + 1 + 1 and not any(parameters[name].any() for name in zeros)
    norms = [p for name, p in parameters.items() if "ln_" in name and name.endswith("weight")]
    assert len(norms) == 2 * 2 + 1 and all((norm == 1).all() for norm in norms)


def test_models_built_at_the_same_time_start_as_each_would_alone(tiny, dataset, bits):
    """A lab builds one in its thread while a cell builds another."""
    configs = [tiny(seed=seed, n_layer=12) for seed in range(4)]
    alone = [bits(Trainer(config, dataset).model) for config in configs]
    together, start = {}, threading.Barrier(len(configs))

    def build(i, config):
        start.wait()
        together[i] = bits(Trainer(config, dataset).model)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    try:
        threads = [threading.Thread(target=build, args=pair) for pair in enumerate(configs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [together.get(i) == alone[i] for i in range(len(configs))] == [True] * len(configs)


# --- the modern parts -----------------------------------------------------------------------------------


def test_with_qk_norm_queries_have_length_1_2_and_keys_1():
    """Times the root of their size; with 1 for both, no query could ever be certain of a key."""
    model, seen = model_of(qk_norm=True), []
    model.h[0].attn.attend = lambda q, k, v, dropout: seen.extend((q, k)) or v
    model(torch.arange(32)[None])
    lengths = [(x.norm(dim=-1) / math.sqrt(x.size(-1))) for x in seen]
    torch.testing.assert_close(lengths[0], torch.full_like(lengths[0], 1.2), rtol=1e-3, atol=0)
    torch.testing.assert_close(lengths[1], torch.full_like(lengths[1], 1.0), rtol=1e-3, atol=0)


def test_rotary_positions_turn_from_a_radian_a_token_to_one_in_1024():
    width, place = 8, 100
    turned = Rotary(block_size=128, width=width)(torch.eye(width)[:, None, None, :], place)[:, 0, 0]
    for i in range(width // 2):  # component i and component i + width / 2 are one complex number
        number = cmath.exp(1j * place * 1024 ** (-i / (width // 2 - 1)))
        found = torch.stack([turned[i, i], turned[i, i + width // 2]]).abs()
        torch.testing.assert_close(found, torch.tensor([number.real, number.imag]).abs(), rtol=0, atol=1e-5)


def test_muon_remembers_nine_tenths_of_a_gradient(tiny):
    """At width 1 a matrix has one column, and its orthogonal update is its momentum, scaled to length 1."""
    model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=1, n_head=1, n_embd=1))
    optimizer = build_optimizer(model, tiny(optimizer="muon"))
    weight = model.h[0].mlp.c_fc.weight  # (4, 1)
    first, second = torch.eye(4)[:2, :, None]
    for gradient in (first, second):
        before, weight.grad = weight.detach().clone(), gradient.clone()
        optimizer.step()
    moved = (before - weight.detach()).flatten()
    momentum = 0.9 * (0.1 * first) + 0.1 * second
    ahead = (0.9 * momentum + 0.1 * second).flatten()  # Nesterov
    torch.testing.assert_close(moved / moved.norm(), ahead / ahead.norm(), rtol=0, atol=0.01)


# --- a step ---------------------------------------------------------------------------------------------


def test_a_step_moves_the_weights_by_the_scheduled_learning_rate(tiny, dataset):
    """AdamW's first step is the learning rate times the sign of the gradient."""
    trainer = Trainer(tiny(warmup_iters=9, learning_rate=0.05, weight_decay=0.0), dataset)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    event = next(event for event in trainer if isinstance(event, TrainStep))
    moved = max((p - q).abs().max().item() for p, q in zip(trainer.model.parameters(), before, strict=True))
    assert moved == pytest.approx(event.learning_rate, rel=1e-3) == 0.005


# --- dropout ----------------------------------------------------------------------------------------------


def test_dropout_drops_embeddings_and_what_attention_and_mlp_add_to_the_residual_stream():
    model, entered = model_of(dropout=0.5, n_layer=1).train(), []
    block = model.h[0]
    for layer in (block.attn.c_proj, block.mlp.c_proj):  # whose output is 1 everywhere
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.ones_(layer.bias)
    block.register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0]))
    x = torch.randn(4, 32, 48)
    model(torch.arange(128).view(4, 32))
    for added in (block.attn(x), block.mlp(x)):
        assert set(added.unique().tolist()) == {0.0, 2.0} and added.mean().item() == pytest.approx(1, abs=0.1)
    assert (entered[0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("attention", ["fused", "naive"])
def test_dropout_drops_what_positions_look_at(attention):
    attn = model_of(dropout=0.5, attention=attention).h[0].attn
    with torch.no_grad():
        for layer in (attn.c_attn, attn.c_proj):  # values are 1, and attention's output is what comes out
            layer.weight.zero_()
            layer.bias.fill_(1.0)
        attn.c_proj.weight += torch.eye(48)
        attn.c_proj.bias.zero_()
    first = [attn.train(mode)(torch.randn(8, 32, 48))[:, 0] for mode in (False, True)]  # each sees but itself
    assert (first[0] == 1).all() and {*first[1].unique().tolist()} == {0.0, 4.0}  # doubled twice


# --- what a power cut must not take ---------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch):
    """`synced(path)`: the names that a folder had when the system last put it on the disk; False if it never did."""
    asked, fsync = {}, os.fsync

    def record(descriptor):
        fsync(descriptor)
        found = os.fstat(descriptor)
        asked[found.st_dev, found.st_ino] = os.listdir(descriptor) if stat.S_ISDIR(found.st_mode) else []

    monkeypatch.setattr(os, "fsync", record)
    return lambda path: asked.get((path.stat().st_dev, path.stat().st_ino), False)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no call for a folder")
def test_a_file_and_its_new_name_are_on_the_disk_when_writing_ends(tmp_path, synced):
    for content in ("first", "second"):
        atomic_write(tmp_path / "file", content)
        assert synced(tmp_path / "file") == [] and "file" in synced(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no call for a folder")
def test_a_checkpoint_is_on_the_disk_when_a_run_says_so(tiny, dataset, tmp_path, synced):
    for event in Trainer(tiny(max_iters=4, eval_interval=2, out_dir=str(tmp_path)), dataset):
        if isinstance(event, Saved):
            folder = Path(event.folder)
            files = list(folder.iterdir())
            assert len(files) >= 3 and [path.name for path in files if synced(path) is False] == []
            assert folder.name in synced(tmp_path)

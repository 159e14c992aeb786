"""What depends on the machine, chosen without having it: nothing here is computed on a GPU."""

from functools import partial

import pytest
import torch

from gptlib import Heartbeat, Trainer, TrainStep, train
from gptlib import device as device_module
from gptlib.device import autocast, peak_flops, peak_memory, pick_dtype, set_float32_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch):
    """`gpu(name)`: torch says that it has this one."""

    def pretend(name, bf16=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16 or including_emulation)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)

    return pretend


@pytest.mark.parametrize(("bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_bfloat16_where_the_gpu_has_it(gpu, bf16, dtype):
    gpu("any", bf16)
    assert pick_dtype("auto", CUDA) == dtype and pick_dtype("auto", CPU) == torch.float32


def test_matrices_are_multiplied_in_half_precision_and_weights_stay():
    weight, x = torch.ones(4, 4, requires_grad=True), torch.ones(2, 4)
    for dtype in (torch.bfloat16, torch.float16):
        with autocast(CPU, dtype):
            assert (x @ weight).dtype == dtype and weight.dtype == torch.float32


def test_tf32_is_never_used_where_float32_was_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", asked.append)
    for device, dtype in ((CUDA, torch.float32), (CUDA, torch.bfloat16), (CPU, torch.bfloat16)):
        set_float32_precision(device, dtype)
    assert asked == ["highest", "high"]


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("GeForce RTX 4090 Laptop GPU", None),
    ],
)
def test_the_peak_of_a_gpu_is_found_by_its_name(gpu, name, peak):
    gpu(name)
    assert peak_flops(CUDA, torch.bfloat16) == peak
    assert peak_flops(CUDA, torch.float32) is None and peak_flops(CPU, torch.bfloat16) is None


def test_mfu_is_the_fraction_of_the_peak_that_the_counted_flops_take(tiny, dataset, monkeypatch):
    monkeypatch.setattr(device_module, "peak_flops", lambda device, dtype: 1e12)
    step = next(event for event in Trainer(tiny(), dataset) if isinstance(event, TrainStep))
    flops = 6 * (12 * 16 * 16 + 28 * 16) + 12 * 16 * 8  # of a token, in the model of these tests
    assert step.mfu == pytest.approx(flops * step.tokens_per_second / 1e12)


def test_without_a_known_peak_there_is_no_mfu_and_memory_is_the_processs(tiny, dataset):
    step = next(event for event in Trainer(tiny(), dataset) if isinstance(event, TrainStep))
    assert step.mfu is None and step.peak_memory == peak_memory(CPU) > 2**26


@pytest.mark.parametrize(("device", "pinned"), [(CUDA, ["pinned"] * 2), (CPU, [])])
def test_batches_for_a_gpu_are_pinned_and_copied_while_it_computes(tiny, dataset, monkeypatch, device, pinned):
    """What is asked for, that is: nothing is copied here."""
    asked = []
    trainer = Trainer(tiny(), dataset)
    trainer.device = device
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: asked.append("pinned") or tensor)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, where, **how: asked.append((where, how)) or tensor)
    next(trainer.micro_batches())
    assert asked == pinned + [(device, {"non_blocking": True})] * 2


# --- torch.compile --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_compiled_run_says_so_first_and_comes_to_the_same(tiny, dataset, monkeypatch):
    """As far as torch.compile goes without a compiler: it traces the model, and PyTorch computes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    plain = Trainer(tiny(max_iters=3, dropout=0.2), dataset)
    list(plain)
    compiled = Trainer(tiny(compile=True, max_iters=3, dropout=0.2), dataset)
    assert next(iter(compiled)) == Heartbeat(0, "compile")
    list(compiled)
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(compiled.model.state_dict()[name], value, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_compiler_that_fails_is_one_line_with_the_remedy(tiny, prepared, monkeypatch, refused):
    def fail(graph, inputs):
        raise NotImplementedError("no kernel for that\nand a page of details")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=fail))
    words = [f"--{name}={value}" for name, value in vars(tiny(dataset=str(prepared), compile=True)).items()]
    with refused("no kernel for that", "--compile=false"):
        train.main(words)


# --- the GPU's recipe -----------------------------------------------------------------------------------


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")
def test_a_run_on_a_gpu_learns(tiny, dataset):
    trainer = Trainer(tiny(device="cuda", max_iters=100), dataset)
    steps = [event for event in trainer if isinstance(event, TrainStep)]
    assert steps[-1].loss < steps[0].loss / 2 and steps[-1].peak_memory > 0

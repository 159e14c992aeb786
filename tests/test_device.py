"""What depends on the machine, chosen without having it: nothing here is computed on a GPU."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from gptlib import TrainConfig, Trainer, TrainStep
from gptlib import device as device_module
from gptlib import trainer as trainer_module
from gptlib.config import read_config
from gptlib.device import autocast, compile_obstacle, peak_flops, peak_memory, pick_dtype, set_float32_precision

ROOT = Path(__file__).resolve().parents[1]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch):
    """`gpu(name)`: torch says that it has this one."""

    def pretend(name, bf16=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
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
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("Tesla T4", 65e12),
        ("Tesla V100-SXM2-16GB", 125e12),
        ("Tesla V100-PCIE-16GB", 112e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA GeForce RTX 4060", None),
    ],
)
def test_peaks_of_known_gpus_and_none_for_the_others(gpu, name, peak):
    gpu(name)
    assert peak_flops(CUDA, torch.bfloat16) == peak
    assert peak_flops(CUDA, torch.float32) is None and peak_flops(CPU, torch.bfloat16) is None


def test_mfu_is_the_share_of_the_peak_that_the_counted_arithmetic_takes(tiny, dataset, monkeypatch):
    monkeypatch.setattr(trainer_module, "peak_flops", lambda device, dtype: 1e12)
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
    next(trainer._micro_batches())
    assert asked == pinned + [(device, {"non_blocking": True})] * 2


# --- torch.compile --------------------------------------------------------------------------------------


def test_without_a_compiler_the_run_says_so_and_goes_on(tiny, dataset, monkeypatch):
    monkeypatch.setattr(device_module.shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler; install g\\+\\+.*Going on without"):
        trainer, _ = trained(tiny(compile=True, max_iters=2), dataset)
    assert trainer._forward is trainer.model and trainer.step == 2


def trained(config, dataset):
    trainer = Trainer(config, dataset)
    return trainer, list(trainer)


@pytest.fixture
def without_a_compiler(monkeypatch):
    """torch.compile as far as it goes without one: it looks at the model, and PyTorch computes."""
    monkeypatch.setattr(trainer_module, "compile_obstacle", lambda device: "")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


def test_a_compiled_run_says_so_first_and_comes_to_the_same(tiny, dataset, without_a_compiler):
    """Dropout is on: to try the model must not use up any chance."""
    settings = {"max_iters": 3, "dropout": 0.2, "threads": 1}
    (plain, _), (trainer, events) = (trained(tiny(compile=c, **settings), dataset) for c in (False, True))
    assert (events[0].step, events[0].doing) == (0, "compile") and trainer._forward is not trainer.model
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(trainer.model.state_dict()[name], value, rtol=0, atol=1e-6)


def test_a_trial_that_fails_half_way_leaves_no_gradient_to_the_first_step(
    tiny, dataset, without_a_compiler, monkeypatch
):
    def fail(model):
        def forward(x, y):
            model(x, y)[1].backward()
            raise RuntimeError("too late")

        return forward

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.warns(UserWarning, match="RuntimeError: too late"):
        trainer, _ = trained(tiny(compile=True, max_iters=1, grad_clip=0.0), dataset)
    plain, _ = trained(tiny(max_iters=1, grad_clip=0.0), dataset)
    states = [t.optimizer.state_dict()["state"][0]["exp_avg"] for t in (trainer, plain)]
    torch.testing.assert_close(*states)


def test_what_fails_on_the_model_alone_is_said_and_the_run_goes_on(tiny, dataset, without_a_compiler, monkeypatch):
    def fail(graph, inputs):
        raise NotImplementedError("no kernel for that\nand a page of details")

    monkeypatch.setattr(torch, "compile", partial(torch.compile.func, backend=fail))
    said = "cannot: NotImplementedError: no kernel for that; leave it out by --compile=false. Going on without"
    with pytest.warns(UserWarning, match=said):
        trainer, events = trained(tiny(compile=True, max_iters=2), dataset)
    assert trainer.step == 2 and events[-1].step == 2


@pytest.mark.skipif("Python.h" in compile_obstacle(CPU), reason="Python has no headers here")
def test_a_compiler_that_fails_is_noticed_before_the_first_step_and_the_run_goes_on(tmp_path, prepared, tiny):
    """In a process of its own: torch asks for the compiler once."""
    compiler = tmp_path / "g++"
    compiler.write_text(
        "#!/bin/sh\ncase $1 in --version) echo g++ 12;; *) echo no such instruction >&2; exit 1;; esac\n"
    )
    compiler.chmod(0o755)
    config = tiny(dataset=str(prepared), compile=True, max_iters=2)
    words = [f"--{name}={value}" for name, value in vars(config).items()]
    environment = os.environ | {"CXX": str(compiler), "PYTHONPATH": str(ROOT)}
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path / "cache")
    run = subprocess.run(
        [sys.executable, "-m", "gptlib.train", *words], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0 and "step 2: train loss" in run.stdout, run.stderr
    (said,) = [line for line in run.stderr.splitlines() if "UserWarning" in line]
    assert "torch.compile cannot: CppCompileError: C++ compile error; set CXX" in said and "without" in said


def test_each_lack_has_its_remedy(monkeypatch):
    monkeypatch.setattr(device_module.shutil, "which", lambda name: name)
    monkeypatch.setattr(device_module.Path, "exists", lambda path: True)
    assert compile_obstacle(CPU) == ""
    monkeypatch.setattr(device_module.importlib.util, "find_spec", lambda name: None)
    assert "pip install triton" in compile_obstacle(CUDA)
    monkeypatch.setattr(device_module.Path, "exists", lambda path: False)
    assert "python3-dev" in compile_obstacle(CPU)


# --- the GPU's recipe -----------------------------------------------------------------------------------


def test_the_recipe_for_a_gpu_is_the_known_one():
    config = read_config(TrainConfig, ROOT / "data" / "data-by-char" / "train_gpu.toml")
    shape = config.n_layer, config.n_head, config.n_embd, config.block_size, config.batch_size
    assert shape == (6, 6, 384, 256, 64) and config.max_iters == 5000 and config.dropout == 0.2
    assert (config.device, config.dtype, config.compile) == ("cuda", "bfloat16", True)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")
def test_a_run_on_a_gpu_learns(tiny, dataset):
    trainer = Trainer(tiny(device="cuda", max_iters=100), dataset)
    steps = [event for event in trainer if isinstance(event, TrainStep)]
    assert steps[-1].loss < steps[0].loss / 2 and steps[-1].peak_memory > 0

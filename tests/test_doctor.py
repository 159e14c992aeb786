"""python -m course.doctor: what this machine can do, and for each problem the command that mends it."""

import runpy
import sys
from importlib.metadata import PackageNotFoundError

import pytest
import torch

from course import doctor


def remedies():
    return {finding.what: finding.remedy for finding in doctor.examine() if finding.remedy}


def test_as_a_program_it_names_what_there_is(capsys):
    with pytest.raises(SystemExit) as left, pytest.warns(RuntimeWarning, match=r"found in sys\.modules"):
        runpy.run_module("course.doctor", run_name="__main__")
    said = capsys.readouterr()
    assert said.err == "" and left.value.code == ("mend:" in said.out)
    for word in ("python", "torch", "tqdm", "ipykernel", "cuda", "device", "dtype", "memory", "kernel", "text"):
        assert f"  {word} " in said.out, said.out


def test_a_missing_package_is_named_with_its_command_and_nothing_that_needs_it_is_imported(monkeypatch):
    def version(name):
        if name == "filelock":
            raise PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "_torch", lambda: pytest.fail("imports gptlib"))
    assert remedies()["filelock"] == "pip install -c constraints.txt filelock"


def test_a_torch_that_does_not_load_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "_packages", lambda: [])
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "reinstall torch" in remedies()["torch"]


def test_a_text_that_is_not_prepared_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "DATA", tmp_path)
    assert remedies()["text"] == "python data/data-by-char/prepare.py"


def test_a_gpu_that_torch_cannot_use_is_noticed(monkeypatch):
    which = doctor.shutil.which
    monkeypatch.setattr(doctor.shutil, "which", lambda name: name if name == "nvidia-smi" else which(name))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "pytorch.org" in remedies()["cuda"]


@pytest.mark.parametrize(
    "content", ['{"argv": ["/gone/bin/python"], "display_name": "gone"}', "{", "[]", '{"argv": 3}']
)
def test_a_kernel_that_is_gone_or_damaged_is_named(content, monkeypatch, tmp_path):
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(content)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    assert "ipykernel install" in remedies()["kernel"]

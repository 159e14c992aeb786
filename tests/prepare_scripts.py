"""The prepare.py of data/, side by side, and what their tests share."""

import importlib.util
import sys
from pathlib import Path

from gptlib import Dataset

DATA = Path(__file__).resolve().parents[1] / "data"
END = "<|endoftext|>"
FILES = ["meta.json", "tokenizer.json", "train.bin", "val.bin"]


def load(folder):
    spec = importlib.util.spec_from_file_location(f"prepare_{folder.replace('-', '_')}", DATA / folder / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHAR, BPE, GPT2 = load("data-by-char"), load("data-by-bpe"), load("gpt2")
prepare_text, plays, shakespeare, wheel = map(sys.modules.get, ("prepare_text", "plays", "shakespeare", "wheel"))


def prepare(out, *arguments, script=CHAR):
    script.run(lambda: script.main([*map(str, arguments), f"--out_dir={out}"]))
    return Dataset.open(out)


def contents(folder):
    files = folder.rglob("*") if folder.exists() else []
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.is_file() and p.name != ".lock"}

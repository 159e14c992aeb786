"""A small GPT, its trainer, and what the course's notebooks measure with them."""

from importlib import import_module
from typing import Any

from gptlib.version import __version__

# Where each public name lives. They are imported at first use, because torch takes seconds: preparing
# a text, or reading --help, does not need it.
_NAMES = {
    "config": ("GPTConfig", "TrainConfig"),
    "dataset": ("Dataset",),
    "errors": ("UsageError", "UserError"),
    "evaluation": ("estimate_loss", "exact_loss"),
    "events": ("Estimate", "Evaluation", "Progress", "Saved", "TrainStep"),
    "model": ("GPT",),
    "sampling": ("generate", "sample_text"),
    "tokenizer": ("BPETokenizer", "CharTokenizer"),
    "trainer": ("Trainer",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gptlib' has no attribute {name!r}")
    return getattr(import_module(f"gptlib.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__

"""A small GPT, its trainer, and what the course's notebooks measure with them."""

from importlib import import_module
from typing import Any

from gptlib.version import __version__

# Where each public name lives. They are imported at first use, because torch takes seconds: preparing
# a text, or reading --help, does not need it.
_HOME = {
    "GPT": "model",
    "BPETokenizer": "tokenizer",
    "CharTokenizer": "tokenizer",
    "Dataset": "dataset",
    "Estimate": "events",
    "Evaluation": "events",
    "GPTConfig": "config",
    "Progress": "events",
    "Saved": "events",
    "TrainConfig": "config",
    "TrainStep": "events",
    "Trainer": "trainer",
    "UsageError": "errors",
    "UserError": "errors",
    "estimate_loss": "evaluation",
    "exact_loss": "evaluation",
    "generate": "sampling",
    "sample_text": "sampling",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gptlib' has no attribute {name!r}")
    return getattr(import_module(f"gptlib.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__

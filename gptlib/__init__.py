"""A small GPT and its trainer."""

import sys

from gptlib.errors import UsageError, UserError, end_quietly_when_interrupted

if sys.argv[:1] == ["-m"]:  # `python -m gptlib.train`: Ctrl-C may come while torch is imported
    end_quietly_when_interrupted()

from gptlib.config import GPTConfig, TrainConfig
from gptlib.dataset import Dataset
from gptlib.evaluation import estimate_loss, exact_loss
from gptlib.events import Estimate, Evaluation, Heartbeat, Saved, TrainStep
from gptlib.model import GPT
from gptlib.sampling import generate, sample_text
from gptlib.tokenizer import BPETokenizer, CharTokenizer
from gptlib.trainer import Trainer

__version__ = "0.1.0"
__all__ = [
    "GPT",
    "BPETokenizer",
    "CharTokenizer",
    "Dataset",
    "Estimate",
    "Evaluation",
    "GPTConfig",
    "Heartbeat",
    "Saved",
    "TrainConfig",
    "TrainStep",
    "Trainer",
    "UsageError",
    "UserError",
    "__version__",
    "estimate_loss",
    "exact_loss",
    "generate",
    "sample_text",
]

"""A small GPT, its trainer, and what the course's notebooks measure with them."""

from gptlib.config import GPTConfig, TrainConfig
from gptlib.dataset import Dataset
from gptlib.errors import UsageError, UserError
from gptlib.evaluation import estimate_loss, exact_loss
from gptlib.events import Estimate, Evaluation, Progress, Saved, TrainStep
from gptlib.model import GPT
from gptlib.sampling import generate, sample_text
from gptlib.tokenizer import BPETokenizer, CharTokenizer, Tokenizer
from gptlib.trainer import Trainer
from gptlib.version import __version__

__all__ = [
    "GPT",
    "BPETokenizer",
    "CharTokenizer",
    "Dataset",
    "Estimate",
    "Evaluation",
    "GPTConfig",
    "Progress",
    "Saved",
    "Tokenizer",
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

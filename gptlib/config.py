"""The settings of a run: one documented line per field, checked in one place."""

import argparse
import difflib
import math
import operator
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from gptlib.errors import UsageError

_WITHIN = {"at least": operator.ge, "above": operator.gt, "at most": operator.le, "below": operator.lt}


def setting(default: Any, doc: str, *, choices: tuple[str, ...] = (), **limits: float) -> Any:
    """A field of `Settings` with its meaning and its range: at_least, above, at_most, below."""
    limits = {name.replace("_", " "): bound for name, bound in limits.items()}
    return field(default=default, metadata={"doc": doc, "limits": limits, "choices": choices})


def describe(f: Any) -> str:
    """What a field accepts, in words: 'a whole number, at least 1'."""
    if f.metadata["choices"]:
        return "one of " + ", ".join(f.metadata["choices"])
    kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[f.type]
    return ", ".join([kind, *(f"{name} {bound}" for name, bound in f.metadata["limits"].items())])


def _refusal(f: Any, value: Any) -> UsageError:
    return UsageError(f"{f.name} = {value!r}: must be {describe(f)} ({f.metadata['doc']})")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A table of settings; raises UsageError for the first one of the wrong type or out of its range."""

    def __post_init__(self):
        for f in fields(self):
            value, choices = getattr(self, f.name), f.metadata["choices"]
            right_type = isinstance(value, (int, float) if f.type is float else f.type)
            if not right_type or (isinstance(value, bool) and f.type is not bool):
                raise _refusal(f, value)
            inside = all(_WITHIN[name](value, bound) for name, bound in f.metadata["limits"].items())
            if not inside or (choices and value not in choices) or value in (math.inf, -math.inf):
                raise _refusal(f, value)


@dataclass(frozen=True, kw_only=True)
class Architecture(Settings):
    """What makes the model, without the vocabulary, which comes from the dataset.

    A run that continues from a checkpoint must agree with it on these (but for dropout and attention).
    """

    block_size: int = setting(64, "context length T: tokens the model can look back on", at_least=1)
    n_layer: int = setting(4, "transformer blocks", at_least=1)
    n_head: int = setting(4, "attention heads per block (H)", at_least=1)
    n_embd: int = setting(128, "embedding width C; a multiple of n_head", at_least=1)
    dropout: float = setting(0.0, "dropout probability while training", at_least=0, below=1)
    bias: bool = setting(True, "biases in linear layers and layer norms, as in GPT-2")
    attention: str = setting("fused", "attention code", choices=("fused", "naive"))
    activation: str = setting(
        "gelu", "activation function of the MLP; gelu_tanh is GPT-2's approximation", choices=("gelu", "gelu_tanh")
    )
    positions: str = setting("learned", "position encoding; rotary is RoPE", choices=("learned", "rotary"))
    qk_norm: bool = setting(False, "normalize queries and keys (QK-norm, Henry et al. 2020)")
    smear: bool = setting(False, "add a learned fraction of the previous token's embedding (modded-nanogpt)")
    bigram: bool = setting(False, "add a learned embedding of each pair of neighboring tokens (modded-nanogpt)")

    def __post_init__(self):
        super().__post_init__()
        if self.n_embd % self.n_head:
            raise UsageError(f"n_embd = {self.n_embd}: must be a multiple of n_head = {self.n_head}")
        if self.positions == "rotary" and (self.n_embd // self.n_head) % 2:
            raise UsageError(f"n_embd / n_head = {self.n_embd // self.n_head}: must be even for positions = 'rotary'")


@dataclass(frozen=True, kw_only=True)
class GPTConfig(Architecture):
    """The configuration of a model."""

    vocab_size: int = setting(65, "number of different tokens (V)", at_least=1)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Architecture):
    """The configuration of a training run. The defaults suit a laptop's CPU."""

    dataset: str = setting("data-by-char", "folder of a prepared text, or its name in the course's data/")
    train_fraction: float = setting(1.0, "fraction of the training text to use, from its start", above=0, at_most=1)
    out_dir: str = setting("", "folder for checkpoints, config and log; empty: nothing is written")
    init_from: str = setting(
        "scratch", "'scratch', 'resume' (continue the run in out_dir), or a checkpoint: its weights"
    )
    seed: int = setting(1337, "seed of the initial weights, the batches and dropout", at_least=0)

    max_iters: int = setting(2000, "optimizer steps", at_least=0)
    batch_size: int = setting(12, "sequences per micro-batch (B)", at_least=1)
    gradient_accumulation_steps: int = setting(1, "micro-batches per optimizer step, over all processes", at_least=1)

    optimizer: str = setting("adamw", "muon: Muon for the matrices of the blocks", choices=("adamw", "muon"))
    learning_rate: float = setting(3e-3, "peak learning rate", above=0)
    muon_lr: float = setting(0.02, "peak learning rate of Muon's matrices", above=0)
    min_lr: float = setting(0.0, "learning rate at the end of the schedule", at_least=0)
    warmup_iters: int = setting(50, "steps of linear warm-up", at_least=0)
    schedule: str = setting("cosine", "learning-rate decay", choices=("cosine", "linear", "constant"))
    weight_decay: float = setting(0.1, "AdamW: weight decay of the matrices", at_least=0)
    beta1: float = setting(0.9, "AdamW: decay of the gradient's moving average", at_least=0, below=1)
    beta2: float = setting(0.99, "AdamW: decay of the squared gradient's moving average", at_least=0, below=1)
    grad_clip: float = setting(
        1.0, "largest gradient norm; longer gradients are scaled down; 0: no clipping", at_least=0
    )

    eval_interval: int = setting(250, "steps between two evaluations", at_least=1)
    eval_iters: int = setting(20, "random batches of each split per evaluation", at_least=1)
    patience: int = setting(0, "stop after this many evaluations without improvement; 0: never", at_least=0)
    keep_checkpoints: int = setting(2, "newest checkpoints to keep, beside the best", at_least=2)
    log_interval: int = setting(10, "steps between two logged training losses", at_least=1)

    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = setting("auto", "precision of the forward pass", choices=("auto", "float32", "bfloat16", "float16"))
    parallel: str = setting("ddp", "each process holds the model (ddp) or a shard (fsdp)", choices=("ddp", "fsdp"))
    compile: bool = setting(False, "torch.compile the model (worth it on GPUs)")
    threads: int = setting(0, "CPU threads; 0: as many as are fastest when the command starts", at_least=0)

    wandb_log: bool = setting(False, "log to Weights & Biases too (pip install wandb)")
    wandb_project: str = setting("gptlib", "its project there")

    def __post_init__(self):
        super().__post_init__()
        if self.min_lr > self.learning_rate:
            raise UsageError(f"min_lr = {self.min_lr}: must be at most learning_rate = {self.learning_rate}")
        if self.init_from == "resume" and not self.out_dir:
            raise UsageError("out_dir is empty: with init_from = 'resume' it must name the folder of the earlier run")

    @property
    def tokens_per_step(self) -> int:
        """Tokens per optimizer step, over all processes."""
        return self.batch_size * self.gradient_accumulation_steps * self.block_size

    def model_config(self, vocab_size: int) -> GPTConfig:
        """The configuration of the model that this run trains."""
        shape = {f.name: getattr(self, f.name) for f in fields(Architecture)}
        return GPTConfig(vocab_size=vocab_size, **shape)


# --- reading: defaults < TOML file < command line ---------------------------------------------------

FOLDERS = ("dataset", "out_dir", "init_from", "folder")  # here ~ is the home folder, in `--out_dir=~/x` too

Config = TypeVar("Config", bound=Settings)


def read_config(cls: type[Config], toml: Path | None = None, overrides: Mapping[str, str] | None = None) -> Config:
    """Build a config from its defaults, a TOML file and `--name=value` texts; the later wins.

    Raises UsageError for an unknown name, a value of the wrong type or out of range, or an unreadable file.
    """
    known, overrides = {f.name: f for f in fields(cls)}, overrides or {}
    _refuse_unknown(overrides, known)
    values = _read_toml(toml) if toml else {}
    _refuse_unknown(values, known, where=f" (in {toml})")
    values |= {name: _from_text(known[name], text) for name, text in overrides.items()}
    values |= {name: os.path.expanduser(values[name]) for name in FOLDERS if isinstance(values.get(name), str)}
    return cls(**values)


def _refuse_unknown(names: Iterable[str], known: Iterable[str], where: str = "") -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else "--help lists the names"
            raise UsageError(f"unknown setting {name!r}; {remedy}{where}")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read the config {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None


def _from_text(f: Any, text: str) -> Any:
    try:
        if f.type is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return f.type(text)
    except (ValueError, KeyError):
        raise _refusal(f, text) from None


class ArgumentParser(argparse.ArgumentParser):
    """argparse that reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise UsageError(f"{message}; --help lists what is allowed")


def read_command_line(cls: type[Config], prog: str, doc: str, argv: list[str] | None = None, toml: str = "") -> Config:
    """Build a config from a command line; a TOML file may come first, if `toml` is the metavar for it.

    argparse splits the words; `read_config` converts and checks them, so that a value is refused with the same
    sentence wherever it stands.
    """
    parser = ArgumentParser(prog=prog, description=doc, allow_abbrev=False)
    if toml:
        parser.add_argument("toml", metavar=toml, nargs="?", type=Path, help="TOML file of settings")
    for f in fields(cls):
        text = f"{f.metadata['doc']} [{describe(f)}; default {f.default!r}]".replace("%", "%%")
        parser.add_argument(f"--{f.name}", default=argparse.SUPPRESS, metavar="VALUE", help=text)
    known, unknown = parser.parse_known_args(argv)
    overrides = vars(known)
    file = overrides.pop("toml", None)
    names = [word for word in unknown if word.startswith("--")]
    if unknown and not names:
        raise UsageError(f"unexpected argument {unknown[0]!r}; settings are given as --name=value, --help lists them")
    overrides |= {name.removeprefix("--").split("=")[0]: "" for name in names}
    return read_config(cls, file, overrides)

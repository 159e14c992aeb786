"""The settings of a run: one documented line a field, one place where they are checked."""

import argparse
import difflib
import operator
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from gptlib.errors import UsageError


def setting(default: Any, doc: str, *, choices: tuple[str, ...] = (), **limits: float) -> Any:
    """A dataclass field that knows its meaning and its range, by the names in `_WITHIN`; `check` enforces them."""
    limits = {name.replace("_", " "): bound for name, bound in limits.items()}
    return field(default=default, metadata={"doc": doc, "limits": limits, "choices": choices})


LARGEST_SEED = 2**32 - 1  # torch takes a few bits more
# More than these is a slip, and would end in an error that nobody can read.
LARGEST_COUNT = 10**6  # of what a step or an evaluation holds
LARGEST_STEP = 10**12
MOST_LAYERS = 10**4  # and heads
LONGEST_SHOWN = 200  # characters of a wrong value


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The shape of the model, without the vocabulary, which comes from the dataset."""

    block_size: int = setting(
        64, "tokens the model may look back on (context length T)", at_least=1, at_most=LARGEST_COUNT
    )
    n_layer: int = setting(4, "transformer blocks", at_least=1, at_most=MOST_LAYERS)
    n_head: int = setting(4, "attention heads in each block (H)", at_least=1, at_most=MOST_LAYERS)
    n_embd: int = setting(
        128, "width: numbers that describe one token (C); a multiple of n_head", at_least=1, at_most=LARGEST_COUNT
    )
    dropout: float = setting(0.0, "share of activations set to zero while training", at_least=0, below=1)
    bias: bool = setting(True, "biases in linear layers and layer norms, as GPT-2 has them")
    attention: str = setting("fused", "attention code", choices=("fused", "naive"))
    activation: str = setting("gelu", "bend of the MLP; gelu_tanh is GPT-2's slower one", choices=("gelu", "gelu_tanh"))
    positions: str = setting("learned", "how a token knows its place", choices=("learned", "rotary"))
    qk_norm: bool = setting(False, "queries and keys of one length (Henry et al. 2020)")
    smear: bool = setting(False, "each token takes in a learned share of the one before it (modded-nanogpt)")
    bigram: bool = setting(False, "a learned vector for each pair of neighbouring tokens (modded-nanogpt)")

    def __post_init__(self):
        check(self)
        if self.n_embd % self.n_head:
            raise UsageError(f"n_embd = {self.n_embd}: must be a multiple of n_head = {self.n_head}")
        if self.positions == "rotary" and (self.n_embd // self.n_head) % 2:
            raise UsageError(f"n_embd / n_head = {self.n_embd // self.n_head}: must be even for positions = 'rotary'")


@dataclass(frozen=True, kw_only=True)
class GPTConfig(Architecture):
    """Everything that fixes a model's parameters."""

    vocab_size: int = setting(65, "different tokens (V)", at_least=1, at_most=2**32)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Architecture):
    """Everything that fixes a training run. The defaults suit a laptop's CPU."""

    dataset: str = setting("data-by-char", "folder of the prepared text, or its name in the course's data/")
    train_fraction: float = setting(1.0, "share of the training text that is used, from its start", above=0, at_most=1)
    out_dir: str = setting("", "folder for checkpoints, config and log; empty: nothing is written")
    init_from: str = setting("scratch", "'scratch', 'resume' (go on from out_dir), or a checkpoint folder: its weights")
    seed: int = setting(1337, "fixes the initial weights, the batches and dropout", at_least=0, at_most=LARGEST_SEED)

    max_iters: int = setting(2000, "optimiser steps", at_least=0, at_most=LARGEST_STEP)
    batch_size: int = setting(12, "sequences in one micro-batch (B)", at_least=1, at_most=LARGEST_COUNT)
    gradient_accumulation_steps: int = setting(
        1, "micro-batches, in each process, whose gradients make one step", at_least=1, at_most=LARGEST_COUNT
    )

    optimizer: str = setting("adamw", "muon: Muon for the matrices of the blocks", choices=("adamw", "muon"))
    learning_rate: float = setting(3e-3, "largest step size", above=0)
    muon_lr: float = setting(0.02, "the same for Muon's matrices, with optimizer = 'muon'", above=0)
    min_lr: float = setting(0.0, "step size at the end of the schedule", at_least=0)
    warmup_iters: int = setting(
        50, "steps in which the rate climbs from 0 to learning_rate", at_least=0, at_most=LARGEST_STEP
    )
    schedule: str = setting("cosine", "how the rate falls after that", choices=("cosine", "linear", "constant"))
    weight_decay: float = setting(0.1, "pull of the matrices towards zero", at_least=0)
    beta1: float = setting(0.9, "AdamW: memory of the gradient's mean", at_least=0, below=1)
    beta2: float = setting(0.99, "AdamW: memory of the gradient's square", at_least=0, below=1)
    grad_clip: float = setting(1.0, "longest gradient that is used as it is; 0: never shortened", at_least=0)
    max_bad_steps: int = setting(
        10, "steps in a row that are skipped as not finite before the run stops", at_least=1, at_most=LARGEST_STEP
    )

    eval_interval: int = setting(250, "steps between two evaluations", at_least=1, at_most=LARGEST_STEP)
    eval_iters: int = setting(
        20, "random batches of each split that one evaluation averages", at_least=1, at_most=LARGEST_COUNT
    )
    keep_checkpoints: int = setting(
        2, "checkpoints kept beside best: latest and those before it", at_least=2, at_most=10_000
    )
    log_interval: int = setting(10, "steps between two logged training losses", at_least=1, at_most=LARGEST_STEP)

    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = setting("auto", "arithmetic of the forward pass", choices=("auto", "float32", "bfloat16", "float16"))
    parallel: str = setting(
        "ddp", "what each of several processes holds: the model (ddp) or a part of it (fsdp)", choices=("ddp", "fsdp")
    )
    compile: bool = setting(False, "compile the model by torch.compile (worth it on GPUs)")
    threads: int = setting(0, "CPU threads; 0: as many as torch chooses", at_least=0, at_most=1000)

    wandb_log: bool = setting(False, "send the events to Weights & Biases too (pip install wandb)")
    wandb_project: str = setting("gptlib", "the project's name there")

    def __post_init__(self):
        super().__post_init__()
        if self.min_lr > self.learning_rate:
            raise UsageError(f"min_lr = {self.min_lr}: must be at most learning_rate = {self.learning_rate}")
        if self.init_from == "resume" and not self.out_dir:
            raise UsageError("out_dir is empty: with init_from = 'resume' it must name the folder of the earlier run")

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimiser step learns from, in each process."""
        return self.batch_size * self.gradient_accumulation_steps * self.block_size

    def model_config(self, vocab_size: int) -> GPTConfig:
        """The configuration of the model that this run trains."""
        shape = {f.name: getattr(self, f.name) for f in fields(Architecture)}
        return GPTConfig(vocab_size=vocab_size, **shape)


# --- checking -------------------------------------------------------------------------------------

_WITHIN = {"at least": operator.ge, "above": operator.gt, "at most": operator.le, "below": operator.lt}


def check(config: Any) -> None:
    """Raise `UsageError` for the first field of the wrong type or out of its range."""
    for f in fields(config):
        value = getattr(config, f.name)
        right_type = isinstance(value, (int, float) if f.type is float else f.type)
        storable = not isinstance(value, str) or (  # as TOML and JSON, and as a name
            value == value.encode(errors="replace").decode() and "\0" not in value
        )
        if not right_type or not storable or (isinstance(value, bool) and f.type is not bool):
            raise UsageError(f"{f.name} = {_shown(value)}: must be {describe(f)}")
        finite = f.type is not float or abs(value) <= sys.float_info.max  # which nan is not, nor an int of 400 digits
        inside = all(_WITHIN[name](value, bound) for name, bound in f.metadata["limits"].items())
        if not finite or not inside or (f.metadata["choices"] and value not in f.metadata["choices"]):
            raise UsageError(f"{f.name} = {_shown(value)}: must be {describe(f)} ({f.metadata['doc']})")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        text = hex(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def describe(f: Any) -> str:
    """What a field accepts, in words: 'an int, at least 1'."""
    if f.metadata["choices"]:
        return "one of " + ", ".join(f.metadata["choices"])
    kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[f.type]
    return ", ".join([kind, *(f"{name} {bound}" for name, bound in f.metadata["limits"].items())])


# --- reading: defaults < TOML file < command line ---------------------------------------------------

FOLDERS = ("dataset", "out_dir", "init_from")  # in which ~ is the user's own folder, also behind `--out_dir=`

Config = TypeVar("Config")


def read_config(cls: type[Config], toml: Path | None = None, overrides: Mapping[str, str] | None = None) -> Config:
    """Build a config from its defaults, a TOML file and `--name=value` texts; the later wins.

    Raises:
        UsageError: an unknown name, a value of the wrong type or out of range, an unreadable file.
    """
    known = {f.name: f for f in fields(cls)}
    values = _read_toml(toml) if toml else {}
    for name in [*values, *(overrides or {})]:
        if name not in known:
            raise UsageError(_unknown(name, known) + (f" (in {toml})" if name in values else ""))
    values |= {name: _from_text(known[name], text) for name, text in (overrides or {}).items()}
    values |= {name: os.path.expanduser(values[name]) for name in FOLDERS if isinstance(values.get(name), str)}
    return cls(**values)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read the config {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None


def _from_text(f: Any, text: str) -> Any:
    try:
        if f.type is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return f.type(text)
    except (ValueError, KeyError):
        raise UsageError(f"{f.name} = {_shown(text)}: must be {describe(f)} ({f.metadata['doc']})") from None


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else "--help lists the names"
    return f"unknown setting {name!r}; {remedy}"


class ArgumentParser(argparse.ArgumentParser):
    """argparse that reports in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise UsageError(f"{message}; --help lists what is allowed")


def read_command_line(cls: type[Config], prog: str, doc: str, argv: list[str] | None = None, toml: str = "") -> Config:
    """The config that a command line asks for; it may name a TOML file first, if `toml` is a metavar for it.

    argparse reads the words; `read_config` gives them their types, so that a TOML value and a
    command-line value are refused by the same sentence.
    """
    parser = ArgumentParser(prog=prog, description=doc, allow_abbrev=False)
    if toml:
        parser.add_argument("toml", metavar=toml, nargs="?", type=Path, help="TOML file of settings")
    for f in fields(cls):
        text = f"{f.metadata['doc']} [{describe(f)}; default {f.default!r}]".replace("%", "%%")
        parser.add_argument(f"--{f.name}", default=argparse.SUPPRESS, metavar="VALUE", help=text)
    known, unknown = parser.parse_known_args(argv)
    overrides = vars(known)
    for word in unknown:
        if not word.startswith("--"):
            raise UsageError(f"unexpected argument {word!r}; settings are given as --name=value, --help lists them")
        raise UsageError(_unknown(word.removeprefix("--").split("=")[0], {f.name: f for f in fields(cls)}))
    return read_config(cls, overrides.pop("toml", None), overrides)


def as_arguments(config: Any) -> list[str]:
    """The arguments from which `read_command_line` makes this config: those that differ from the defaults."""
    return [
        f"--{f.name}={str(value).lower() if f.type is bool else value}"
        for f in fields(config)
        if (value := getattr(config, f.name)) != f.default
    ]

"""GPT-2's weights in and out: the published files, nanoGPT's checkpoints, and ours in the same form.

Our modules carry GPT-2's names. In the published `model.safetensors` the matrices of linear layers are transposed
(Conv1D); some exports put `transformer.` before every name, or store the causal mask and the tied lm_head too.

    model = load_gpt2("folder with model.safetensors and config.json")
    save_gpt2(model, "folder")
    model = load_nanogpt("out/ckpt.pt")
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from gptlib.config import GPTConfig
from gptlib.errors import UserError
from gptlib.files import atomic_write
from gptlib.model import GPT

TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
NOT_NEEDED = (".attn.bias", ".attn.masked_bias", "lm_head.weight")
HF_ACTIVATION = {"gelu_tanh": "gelu_new", "gelu": "gelu"}  # our names: those of transformers
ALWAYS = {"tie_word_embeddings": True, "scale_attn_by_inverse_layer_idx": False, "layer_norm_epsilon": 1e-5}
GPT2_HAS = {"bias": True, "positions": "learned", "qk_norm": False, "smear": False, "bigram": False}


def load_gpt2(path: str | Path) -> GPT:
    """The model in a GPT-2 checkpoint: a folder with `model.safetensors`, or that file.

    The number of heads is read from `config.json` beside it; n_embd / 64 if there is none, as in every published GPT-2.

    Raises UserError if there is no such file, or its tensors are not GPT-2's.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    config = path.with_name("config.json")
    try:
        tensors = {name: t.t() if name.endswith(TRANSPOSED) else t for name, t in load_file(path).items()}
        return _build(tensors, json.loads(config.read_text(encoding="utf-8")) if config.exists() else {})
    except Exception as error:  # a file that is no checkpoint may raise anything
        why = f"cannot read GPT-2 weights from {path} ({_in_one_line(error)})"
        raise UserError(f"{why}; give a folder with model.safetensors") from error


def load_nanogpt(path: str | Path) -> GPT:
    """The model in nanoGPT's `ckpt.pt`, or in a bare state dict with its names; nothing in it is executed.

    Raises UserError if there is no such file, or its tensors are not GPT-2's.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return _build(content.get("model", content), {"activation_function": "gelu", **content.get("model_args", {})})
    except Exception as error:
        raise UserError(f"cannot read {path} as weights ({_in_one_line(error)}); give nanoGPT's ckpt.pt") from error


def save_gpt2(model: GPT, folder: str | Path) -> None:
    """Write `model.safetensors` and `config.json` as `transformers` reads them.

    Raises UserError for a setting that GPT-2 does not have, such as bias = false, or a folder that cannot be written.
    """
    config = model.config
    for name, needed in GPT2_HAS.items():
        if getattr(config, name) != needed:
            found = f"{name} = {getattr(config, name)!r}"
            raise UserError(f"{found}: GPT-2 has {needed!r}; train with --{name}={needed} to export it")
    tensors = {name: t.t() if name.endswith(TRANSPOSED) else t for name, t in model.state_dict().items()}
    tensors = {name: t.contiguous().cpu() for name, t in tensors.items()}
    settings = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_positions": config.block_size,
        "n_ctx": config.block_size,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "activation_function": HF_ACTIVATION[config.activation],
    }
    atomic_write(Path(folder, "model.safetensors"), save(tensors, metadata={"format": "pt"}))
    atomic_write(Path(folder, "config.json"), json.dumps(settings, indent=2) + "\n")


def _build(tensors: dict[str, Tensor], settings: dict) -> GPT:
    """A model of the shape of its tensors; what does not fit is named."""
    weights = {
        name.removeprefix("_orig_mod.").removeprefix("transformer."): t  # torch.compile's prefix, GPT-2's
        for name, t in tensors.items()
        if not name.endswith(NOT_NEEDED)
    }
    vocab_size, n_embd = weights["wte.weight"].shape
    activation = {theirs: ours for ours, theirs in HF_ACTIVATION.items()}
    model = GPT(
        GPTConfig(
            vocab_size=vocab_size,
            block_size=weights["wpe.weight"].shape[0],
            n_layer=len({name.split(".")[1] for name in weights if name.startswith("h.")}),
            n_head=settings.get("n_head", max(1, n_embd // 64)),
            n_embd=n_embd,
            bias="ln_f.bias" in weights,
            activation=activation[settings.get("activation_function", "gelu_new")],
        )
    )
    for name, value in ALWAYS.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{name} is {settings[name]}; here it is always {value}")
    if other := [f"{name} is {t.dtype}" for name, t in weights.items() if not t.is_floating_point()]:
        raise ValueError(f"{other[0]}, not a float")
    model.load_state_dict(weights)
    return model.eval()


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"

"""GPT-2's published weights in, and ours out in the same form; nanoGPT's checkpoints in.

The published file (`model.safetensors`, beside a `config.json`) names its tensors as our modules do.
Three things differ: its linear layers are Conv1D, whose matrices lie transposed; some exports put
`transformer.` in front of every name; and some store the causal mask and the tied head, which we do not need.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gptlib.config import GPTConfig
from gptlib.errors import UserError, first_line
from gptlib.files import atomic_files
from gptlib.model import GPT

TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
NOT_NEEDED = (".attn.bias", ".attn.masked_bias", "lm_head.weight")
ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu": "gelu"}  # theirs: ours
NEEDED = ("wte.weight", "wpe.weight")  # which tell vocab_size, n_embd and block_size
GPT2_HAS = {"bias": True, "positions": "learned", "qk_norm": False, "smear": False, "bigram": False}


def load_gpt2(path: str | Path) -> GPT:
    """The model in a GPT-2 checkpoint: a folder with `model.safetensors`, or that file.

    The number of heads is not in the weights: it is read from the `config.json` beside them, and is n_embd / 64
    where there is none.

    Raises:
        UserError: no such file, or names, shapes or dtypes that are not GPT-2's; the first three are named.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    try:
        tensors = load_file(path)
        config = path.with_name("config.json")
        settings = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
        if not isinstance(settings, dict):
            raise ValueError("its config.json holds no settings")
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"cannot read GPT-2 weights from {path} ({error}); give a folder with model.safetensors"
        ) from None
    tensors = {name: t.t() if name.endswith(TRANSPOSED) and t.dim() == 2 else t for name, t in tensors.items()}
    return _model_of(tensors, settings, path)


def load_nanogpt(path: str | Path) -> GPT:
    """The model in a checkpoint of nanoGPT's form (`ckpt.pt`), or in a bare state dict with its names.

    It is read with `weights_only=True`, so nothing in it is executed.

    Raises:
        UserError: no such file, code in it, or names, shapes or dtypes that are not GPT-2's; the first three are named.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a file that is something else makes of a reader of pickles has no end
        raise UserError(
            f"cannot read {path} as weights ({first_line(error) or type(error).__name__}); give nanoGPT's ckpt.pt"
        ) from None
    content = content if isinstance(content, dict) else {}
    tensors, settings = content.get("model", content), content.get("model_args", {})
    whole = isinstance(tensors, dict) and isinstance(settings, dict)
    if not (whole and all(isinstance(name, str) and isinstance(t, Tensor) for name, t in tensors.items())):
        raise UserError(f"{path} holds no state dict; give nanoGPT's ckpt.pt")
    return _model_of(tensors, {"activation_function": "gelu", **settings}, path)


def save_gpt2(model: GPT, folder: str | Path) -> None:
    """Write `model.safetensors` and `config.json` as GPT-2's own code reads them.

    Raises:
        UserError: a model with settings that GPT-2 does not know, no biases for one; a folder that cannot be written.
    """
    config = model.config
    for name, needed in GPT2_HAS.items():
        if getattr(config, name) != needed:
            raise UserError(
                f"{name} = {getattr(config, name)!r}: GPT-2 has {needed!r}; train with --{name}={needed} to export it"
            )
    tensors = {
        name: (t.t() if name.endswith(TRANSPOSED) else t).contiguous().cpu() for name, t in model.state_dict().items()
    }
    settings = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_positions": config.block_size,
        "n_ctx": config.block_size,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "activation_function": next(theirs for theirs, ours in ACTIVATIONS.items() if ours == config.activation),
    }
    with atomic_files(folder, "model.safetensors", "config.json") as stage:
        save_file(tensors, stage / "model.safetensors", metadata={"format": "pt"})
        (stage / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _model_of(tensors: dict[str, Tensor], settings: dict, path: str | Path) -> GPT:
    weights = {
        name.removeprefix("_orig_mod.").removeprefix("transformer."): tensor  # torch.compile's mark, GPT-2's own
        for name, tensor in tensors.items()
        if not name.endswith(NOT_NEEDED)
    }
    model = GPT(_config_of(weights, settings, path))
    wanted = model.state_dict()
    differences = [f"{name} is missing" for name in wanted if name not in weights]
    differences += [f"{name} is not GPT-2's" for name in weights if name not in wanted]
    for name in weights.keys() & wanted.keys():
        if weights[name].shape != wanted[name].shape:
            differences.append(f"{name} is {tuple(weights[name].shape)}, not {tuple(wanted[name].shape)}")
        elif weights[name].dtype not in (torch.float32, torch.float16, torch.bfloat16):
            differences.append(f"{name} is {weights[name].dtype}, not a float")
    if differences:
        shown = "; ".join(sorted(differences)[:3])
        raise UserError(f"{path} does not fit GPT-2 in {len(differences)} places: {shown}")
    model.load_state_dict(weights)
    return model.eval()


def _config_of(weights: dict[str, Tensor], settings: dict, path: str | Path) -> GPTConfig:
    """The shape of the model, read off its tensors."""
    missing = [name for name in NEEDED if name not in weights]
    if missing:
        raise UserError(f"{path} is not GPT-2: it has no {' and no '.join(missing)}")
    flat = [f"{name} is {tuple(weights[name].shape)}" for name in NEEDED if weights[name].dim() != 2]
    if flat:
        raise UserError(f"{path} is not GPT-2: {' and '.join(flat)}, and no matrix")
    vocab_size, n_embd = weights["wte.weight"].shape
    activation = settings.get("activation_function", "gelu_new")
    if str(activation) not in ACTIVATIONS:
        raise UserError(f"{path} has the activation {activation!r}; known: {', '.join(ACTIVATIONS)}")
    layers = {name.split(".")[1] for name in weights if name.startswith("h.")}
    return GPTConfig(
        vocab_size=vocab_size,
        block_size=weights["wpe.weight"].shape[0],
        n_layer=max(1, len(layers)),
        n_head=settings.get("n_head", max(1, n_embd // 64)),  # as wide as in every published GPT-2
        n_embd=n_embd,
        activation=ACTIVATIONS[activation],
        bias="ln_f.bias" in weights,
    )

"""Take a model to Hugging Face's transformers, or a model of theirs to gptlib.

    python -m gptlib.export --out_dir=RUN --folder=FOLDER               the best checkpoint of a run -> transformers
    python -m gptlib.export --to=gptlib --folder=FOLDER --out_dir=RUN   GPT-2 in their form, or a ckpt.pt -> a run

A run that came from elsewhere can be sampled from. To train it further, prepare a text with its tokens (--vocab=RUN):

    python -m gptlib.train RUN/config.toml --init_from=RUN --dataset=TEXT --out_dir=ANOTHER
"""

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as HuggingFaceTokenizer

from gptlib.checkpoint import Checkpoint, TrainState
from gptlib.config import Settings, TrainConfig, read_command_line, setting
from gptlib.errors import UsageError, UserError, quoted, run_cli
from gptlib.files import atomic_write
from gptlib.gpt2 import load_gpt2, load_nanogpt, save_gpt2
from gptlib.run_folder import RunFolder, load_model
from gptlib.tokenizer import BYTE_OF, END_OF_TEXT, GPT2_PATTERN, BPETokenizer, CharTokenizer, Tokenizer, bytes_of

ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<s>")  # names of the token in front of documents, as published


@dataclass(frozen=True, kw_only=True)
class ExportConfig(Settings):
    """From where a model is read, and where it is written."""

    to: str = setting("hf", "hf: from out_dir to folder; gptlib: from folder to out_dir", choices=("hf", "gptlib"))
    out_dir: str = setting("out-data-by-char", "folder of a run")
    folder: str = setting("", "folder with model.safetensors, config.json and tokenizer.json; or nanoGPT's ckpt.pt")

    def __post_init__(self):
        super().__post_init__()
        if not self.folder:
            raise UsageError("folder is empty; --folder=NAME says where the files of transformers are, or will be")


def main(argv: list[str] | None = None) -> None:
    """Convert a model to the files of transformers, or back."""
    config = read_command_line(ExportConfig, "python -m gptlib.export", __doc__, argv)
    if config.to == "hf":
        to_hugging_face(config.out_dir, config.folder)
        print(f"wrote {config.folder}; AutoModelForCausalLM and AutoTokenizer of transformers read it")
    else:
        to_gptlib(config.folder, config.out_dir)
        sample = quoted("python", "-m", "gptlib.sample", f"--out_dir={config.out_dir}")
        print(f"wrote {config.out_dir}; read what it writes with: {sample}")


def to_hugging_face(out_dir: str, folder: str) -> None:
    """Write the best model of a run, and its tokenizer, as transformers reads them."""
    model, saved = load_model(out_dir)
    save_gpt2(model, folder)
    path, end_of_text = Path(folder, "config.json"), saved.tokenizer.end_of_text
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings |= {"bos_token_id": end_of_text, "eos_token_id": end_of_text}
    atomic_write(path, json.dumps(settings, indent=2) + "\n")
    atomic_write(Path(folder, "tokenizer.json"), hugging_face_tokenizer(saved.tokenizer).to_str(pretty=True))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": model.config.block_size}
    about |= {"clean_up_tokenization_spaces": False}
    about |= {} if end_of_text is None else {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT}
    atomic_write(Path(folder, "tokenizer_config.json"), json.dumps(about, indent=2) + "\n")


def hugging_face_tokenizer(tokenizer: Tokenizer) -> HuggingFaceTokenizer:
    """The same tokens in the form of the package `tokenizers`."""
    if isinstance(tokenizer, CharTokenizer):
        vocab = {c: i for i, c in enumerate(tokenizer.chars)}
        vocab |= {} if tokenizer.end_of_text is None else {END_OF_TEXT: tokenizer.end_of_text}
        theirs = HuggingFaceTokenizer(models.WordLevel(vocab, unk_token="<unk>"))
        theirs.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        theirs.decoder = decoders.Fuse()
        theirs.add_special_tokens([AddedToken(token, special=True) for token in vocab if token == END_OF_TEXT])
        return theirs
    names = [shown(piece) for piece in tokenizer.pieces]
    special = [tokenizer.pieces[i].decode() for i in tokenizer.special]
    for i, name in zip(tokenizer.special, special, strict=True):
        names[i] = name
    pairs = [[shown(part) for part in pair] for pair in pairs_of(tokenizer)]
    theirs = HuggingFaceTokenizer(models.BPE({name: i for i, name in enumerate(names)}, [*map(tuple, pairs)]))
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=tokenizer.pattern == GPT2_PATTERN)
    split = [] if tokenizer.pattern == GPT2_PATTERN else [pre_tokenizers.Split(Regex(tokenizer.pattern), "isolated")]
    theirs.pre_tokenizer = pre_tokenizers.Sequence([*split, as_bytes]) if split else as_bytes
    theirs.decoder = decoders.ByteLevel()
    theirs.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return theirs


def shown(piece: bytes) -> str:
    """Bytes as GPT-2's files write them."""
    character_of = {byte: character for character, byte in BYTE_OF.items()}
    return "".join(character_of[byte] for byte in piece)


def load_hugging_face_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a `tokenizer.json` of Hugging Face, with the same ids: byte pairs, or our characters.

    Raises UserError for another kind of tokenizer, or none at all.
    """
    try:
        return _tokenizer_in(json.loads(path.read_text(encoding="utf-8")))
    except (UserError, OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"cannot read the tokenizer {path}: {error}") from None


def _tokenizer_in(content: dict[str, Any]) -> Tokenizer:
    model, added = content["model"], {token["id"]: token["content"] for token in content["added_tokens"]}
    end_of_text = next((i for name in ENDS for i, token in added.items() if token == name), None)
    if model["type"] == "WordLevel":
        vocab = {token: i for token, i in model["vocab"].items() if i not in added}
        tokenizer = CharTokenizer("".join(vocab), end_of_text=end_of_text is not None)
        if vocab != {c: i for i, c in enumerate(tokenizer.chars)}:
            raise UserError("its tokens are words")
        return tokenizer
    steps = content["pre_tokenizer"] or {}
    steps = {step["type"]: step for step in steps.get("pretokenizers", [steps]) if step}
    if model["type"] != "BPE" or "ByteLevel" not in steps or content.get("normalizer"):
        raise UserError(f"its {model['type']} is not the byte pairs of GPT-2")
    of_text = {bytes_of(token): i for token, i in model["vocab"].items() if i not in added}
    pieces = {i: piece for piece, i in of_text.items()} | {i: token.encode() for i, token in added.items()}
    pairs = (pair if isinstance(pair, str) else "".join(pair) for pair in model["merges"])
    order = [of_text[bytes_of(pair.replace(" ", ""))] for pair in pairs]
    if sorted(pieces) != list(range(len(pieces))) or order != sorted(order):
        raise UserError("its pairs are not in the order of their ids")
    pattern = steps["Split"]["pattern"]["Regex"] if "Split" in steps else GPT2_PATTERN
    return BPETokenizer([pieces[i] for i in sorted(pieces)], special=added, end_of_text=end_of_text, pattern=pattern)


def pairs_of(tokenizer: BPETokenizer) -> list[tuple[bytes, bytes]]:
    """The two tokens that each learned token joins: what is left of its bytes when all earlier pairs are joined."""
    ids = {piece: i for i, piece in enumerate(tokenizer.pieces) if i not in {*tokenizer.special}}
    pairs = []
    for piece, i in ids.items():
        parts = [piece[j : j + 1] for j in range(len(piece))]
        while len(parts) > 2:
            joined = [ids.get(a + b, i) for a, b in pairwise(parts)]
            if (first := min(joined)) == i:
                break
            at = joined.index(first)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if len(piece) > 1:
            pairs.append((parts[0], b"".join(parts[1:])))
    return pairs


def to_gptlib(folder: str, out_dir: str) -> None:
    """Write a run whose only checkpoint is this model; an earlier run in out_dir is moved aside."""
    path = Path(folder)
    model = load_nanogpt(path) if path.suffix == ".pt" else load_gpt2(path)
    described = (path if path.is_dir() else path.parent) / "tokenizer.json"
    tokenizer = load_hugging_face_tokenizer(described) if described.exists() else BPETokenizer.gpt2()
    if tokenizer.vocab_size > model.config.vocab_size:
        raise UserError(
            f"the model has {model.config.vocab_size} tokens and its tokenizer {tokenizer.vocab_size}; "
            f"put its own tokenizer.json at {described}"
        )
    weights = model.state_dict()
    weights["wte.weight"] = weights["wte.weight"][: tokenizer.vocab_size]  # what comes after is padding
    shape = {name: value for name, value in asdict(model.config).items() if name != "vocab_size"}
    config, run = TrainConfig(out_dir=out_dir, **shape), RunFolder(out_dir)
    with run.opened(config, step=0):
        run.save(Checkpoint(weights, {}, tokenizer, TrainState(), config, {}, text=None), keep=1)


if __name__ == "__main__":
    run_cli(main)

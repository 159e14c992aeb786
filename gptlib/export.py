"""Take a model to Hugging Face's transformers and back: python -m gptlib.export --to=hf --out_dir=RUN --folder=FOLDER.

--to=hf       the best checkpoint of the run in out_dir -> folder: model.safetensors, config.json, tokenizer.json
--to=gptlib   such a folder -> out_dir: a checkpoint to sample from, or to start from by --init_from
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as HuggingFaceTokenizer

from gptlib.checkpoint import load_model
from gptlib.config import check, read_command_line, setting
from gptlib.errors import UsageError, run_cli
from gptlib.files import atomic_write, shell_command
from gptlib.gpt2 import load_gpt2, save_gpt2
from gptlib.tokenizer import BYTE_OF, END_OF_TEXT, GPT2_PATTERN, BPETokenizer, CharTokenizer, Tokenizer, load_tokenizer


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What to take where."""

    to: str = setting("hf", "hf: from out_dir to folder; gptlib: from folder to out_dir", choices=("hf", "gptlib"))
    out_dir: str = setting("out-data-by-char", "folder of a run")
    folder: str = setting("", "folder of Hugging Face's files")

    def __post_init__(self):
        check(self)
        if not self.folder:
            raise UsageError("folder is empty: it must name the folder of Hugging Face's files")


def main(argv: list[str] | None = None) -> None:
    """Take a model there, or back."""
    config = read_command_line(ExportConfig, "python -m gptlib.export", __doc__, argv)
    if config.to == "hf":
        to_hugging_face(config.out_dir, config.folder)
        print(f"wrote {config.folder}: transformers reads it with AutoModelForCausalLM and AutoTokenizer")
    else:
        from_hugging_face(config.folder, config.out_dir)
        print(
            f"wrote {config.out_dir}: sample from it with {shell_command('python', '-m', 'gptlib.sample', f'--out_dir={config.out_dir}')}"
        )


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


def pairs_of(tokenizer: BPETokenizer) -> list[tuple[bytes, bytes]]:
    """The two tokens that each learned token joins: what is left of its bytes when all earlier pairs are joined."""
    ids = {piece: i for i, piece in enumerate(tokenizer.pieces) if i not in {*tokenizer.special}}
    pairs = []
    for piece, i in ids.items():
        parts = [piece[j : j + 1] for j in range(len(piece))]
        while len(parts) > 2:
            joined = [ids.get(a + b, i) for a, b in zip(parts, parts[1:], strict=False)]
            if (first := min(joined)) == i:
                break
            at = joined.index(first)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if len(piece) > 1:
            pairs.append((parts[0], b"".join(parts[1:])))
    return pairs


def from_hugging_face(folder: str, out_dir: str) -> None:
    """Write a checkpoint of the model and the tokenizer in a folder of Hugging Face's files."""
    raise NotImplementedError


if __name__ == "__main__":
    run_cli(main)

"""Write text with a trained GPT: python -m gptlib.sample --out_dir=FOLDER [--name=value ...]."""

from dataclasses import dataclass
from pathlib import Path

import torch

from gptlib.config import Settings, read_command_line, setting
from gptlib.device import fastest_threads, pick_device
from gptlib.errors import UserError, run_cli
from gptlib.run_folder import load_model
from gptlib.sampling import generate, until
from gptlib.tokenizer import END_OF_TEXT


@dataclass(frozen=True, kw_only=True)
class SampleConfig(Settings):
    """The run to sample from, and how."""

    out_dir: str = setting("out-data-by-char", "folder that python -m gptlib.train wrote")
    start: str = setting("", "the text to continue, or FILE: and the name of a file; empty: a document begins")
    stop: str = setting(END_OF_TEXT, r"end a text before this one, such as \n; by default where a document ends")
    num_samples: int = setting(3, "texts, one after the other", at_least=1)
    max_new_tokens: int = setting(500, "tokens in each", at_least=1)
    temperature: float = setting(0.8, "below 1: safer, above 1: wilder, 0: always the likeliest", at_least=0)
    top_k: int = setting(200, "choose among the k likeliest tokens only", at_least=1)
    top_p: float = setting(1.0, "choose among the likeliest that have this probability together", above=0, at_most=1)
    seed: int = setting(1337, "the same seed gives the same texts", at_least=0)
    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))


def main(argv: list[str] | None = None) -> None:
    """Load the best checkpoint of a run and print its texts as they are made."""
    config = read_command_line(SampleConfig, "python -m gptlib.sample", __doc__, argv)
    device = pick_device(config.device)
    model, saved = load_model(config.out_dir)
    model.to(device)
    torch.set_num_threads(fastest_threads())
    start, stop = read_start(config.start), config.stop.replace(r"\n", "\n").replace(r"\t", "\t")
    prompt = torch.from_numpy(saved.tokenizer.prompt(start))[None]
    generator = torch.Generator(device).manual_seed(config.seed)
    options = {"temperature": config.temperature, "top_k": config.top_k, "generator": generator}
    options["top_p"] = config.top_p if config.top_p < 1 else None
    for _ in range(config.num_samples):
        tokens = (token.item() for token in generate(model, prompt, config.max_new_tokens, **options))
        print(start, end="", flush=True)
        for text in until(saved.tokenizer.decode_stream(tokens), stop):
            print(text, end="", flush=True)
        print("\n---------------")


def read_start(start: str) -> str:
    """The text to continue; `FILE:` names a file that holds it, as in nanoGPT."""
    if not start.startswith("FILE:"):
        return start
    path = Path(start.removeprefix("FILE:")).expanduser()
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}); start = FILE:NAME names a text in UTF-8") from None


if __name__ == "__main__":
    run_cli(main)

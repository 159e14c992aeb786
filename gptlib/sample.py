"""Write text with a trained GPT: python -m gptlib.sample --out_dir=FOLDER [--name=value ...]."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch

from gptlib.config import check, read_command_line, setting
from gptlib.device import pick_device
from gptlib.errors import UserError, run_cli
from gptlib.model import GPT
from gptlib.run_folder import load_model
from gptlib.sampling import generate
from gptlib.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """What to write, and how freely."""

    out_dir: str = setting("out-data-by-char", "folder that python -m gptlib.train wrote")
    start: str = setting("", "the text to continue; empty: where a document begins, or a line where there are none")
    stop_at_end: bool = setting(False, "end a text where the model ends a document")
    num_samples: int = setting(3, "texts, one after the other", at_least=1)
    max_new_tokens: int = setting(500, "tokens in each", at_least=1)
    temperature: float = setting(0.8, "below 1: safer, above 1: wilder, 0: always the likeliest", at_least=0)
    top_k: int = setting(200, "choose among the k likeliest tokens only", at_least=1)
    seed: int = setting(1337, "the same seed gives the same texts", at_least=0)
    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))

    def __post_init__(self):
        check(self)


def main(argv: list[str] | None = None) -> None:
    """Load the best checkpoint of a run and print its texts as they are made."""
    config = read_command_line(SampleConfig, "python -m gptlib.sample", __doc__, argv)
    device = pick_device(config.device)
    model, saved = load_model(config.out_dir)
    model.to(device)
    generator = torch.Generator(device).manual_seed(config.seed)
    for _ in range(config.num_samples):
        tokens = tokens_of(model, saved.tokenizer, config, generator)
        print(config.start, end="", flush=True)
        for text in saved.tokenizer.decode_stream(tokens):
            print(text, end="", flush=True)
        print("\n---------------")


def tokens_of(model: GPT, tokenizer: Tokenizer, config: SampleConfig, generator: torch.Generator) -> Iterator[int]:
    """The tokens of one text, behind its start.

    Raises:
        UserError: the text is to stop at the end of a document, and the model has learned from a single text.
    """
    end = tokenizer.end_of_text
    if config.stop_at_end and end is None:
        raise UserError("stop_at_end = true: this model knows no end of a document; leave it out")
    prompt = tokenizer.encode(config.start) if config.start else _where_a_text_begins(tokenizer)
    prompt = torch.from_numpy(prompt)[None]
    options = {"temperature": config.temperature, "top_k": config.top_k, "generator": generator}
    tokens = (token.item() for token in generate(model, prompt, config.max_new_tokens, **options))
    return takewhile(lambda token: token != end, tokens) if config.stop_at_end else tokens


def _where_a_text_begins(tokenizer: Tokenizer) -> np.ndarray:
    """Behind the end of the text before, behind a line, or, where a text has no lines, behind its first character."""
    if tokenizer.end_of_text is not None:
        return np.array([tokenizer.end_of_text])
    try:
        return tokenizer.encode("\n")
    except UserError:  # not in the vocabulary
        return np.array([0])


if __name__ == "__main__":
    run_cli(main)

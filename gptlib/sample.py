"""Write text with a trained GPT: python -m gptlib.sample --out_dir=FOLDER [--name=value ...]."""

from dataclasses import dataclass

import torch

from gptlib.checkpoint import load_model
from gptlib.config import LARGEST_SEED, check, read_command_line, setting
from gptlib.device import pick_device
from gptlib.errors import UsageError, run_cli
from gptlib.sampling import generate


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """What to write, and how freely."""

    out_dir: str = setting("out-data-by-char", "folder that python -m gptlib.train wrote")
    start: str = setting("\n", "the text to continue")
    num_samples: int = setting(3, "texts, one after the other", at_least=1)
    max_new_tokens: int = setting(500, "tokens in each", at_least=1)
    temperature: float = setting(0.8, "below 1: safer, above 1: wilder, 0: always the likeliest", at_least=0)
    top_k: int = setting(200, "choose among the k likeliest tokens only", at_least=1)
    seed: int = setting(1337, "the same seed gives the same texts", at_least=0, at_most=LARGEST_SEED)
    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))

    def __post_init__(self):
        check(self)
        if not self.start:
            raise UsageError("start is empty; give at least one character, for example --start=Helena:")


def main(argv: list[str] | None = None) -> None:
    """Load the best checkpoint of a run and print its texts as they are made."""
    config, _ = read_command_line(SampleConfig, "python -m gptlib.sample", __doc__, argv)
    device = pick_device(config.device)
    model, saved = load_model(config.out_dir)
    model.to(device)
    generator = torch.Generator(device).manual_seed(config.seed)
    prompt = torch.from_numpy(saved.tokenizer.encode(config.start))[None]
    for _ in range(config.num_samples):
        print(config.start, end="", flush=True)
        tokens = generate(
            model,
            prompt,
            config.max_new_tokens,
            temperature=config.temperature,
            top_k=config.top_k,
            generator=generator,
        )
        for text in saved.tokenizer.decode_stream(token.item() for token in tokens):
            print(text, end="", flush=True)
        print("\n---------------")


if __name__ == "__main__":
    run_cli(main)

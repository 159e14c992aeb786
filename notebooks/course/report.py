"""One page about a run: python -m course.report --out_dir=FOLDER writes report.md and report.png into it."""

import io
import statistics
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from course.read_log import read_log
from gptlib.config import Settings, TrainConfig, read_command_line, read_config, setting
from gptlib.dataset import Dataset
from gptlib.errors import UserError, quoted, run_cli
from gptlib.evaluation import exact_loss
from gptlib.events import Estimate
from gptlib.files import atomic_write
from gptlib.run_folder import CONFIG, LOG, load_model
from gptlib.sampling import sample_text, until
from gptlib.tokenizer import END_OF_TEXT

SEARCHED = 2 * 10**7  # tokens of the training text in which copied pieces are looked for
EXACT = 10**6  # up to so many tokens, the validation loss is computed over all of them


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Settings):
    """Which run, and what it should write."""

    out_dir: str = setting("out-data-by-char", "folder that python -m gptlib.train wrote")
    num_samples: int = setting(3, "texts", at_least=1)
    max_new_tokens: int = setting(300, "tokens in each", at_least=1)
    temperature: float = setting(0.8, "of the texts; 1: as the model has it", at_least=0)


def main(argv: list[str] | None = None) -> None:
    """Write the report of a run."""
    options = read_command_line(ReportConfig, "python -m course.report", __doc__, argv)
    folder = Path(options.out_dir)
    log, config = read_log(folder / LOG), read_config(TrainConfig, folder / CONFIG)
    atomic_write(folder / "report.png", figure_of(log))
    atomic_write(folder / "report.md", report(options, log, config))
    print(f"wrote {folder / 'report.md'}")


def report(options: ReportConfig, log: list[dict[str, Any]], config: TrainConfig) -> str:
    """The page, in Markdown."""
    model, saved = load_model(options.out_dir)
    length = {"max_new_tokens": options.max_new_tokens, "temperature": options.temperature}
    texts = [sample_text(model, saved.tokenizer, seed=seed, **length) for seed in range(options.num_samples)]
    texts = ["".join(until([text], END_OF_TEXT)) for text in texts]
    steps = [event for event in log if event["event"] == "TrainStep"]
    evaluations = [event for event in log if event["event"] == "Evaluation"]
    changed = [f for f in fields(config) if getattr(config, f.name) != f.default]
    about = f"{model.num_parameters():,} parameters, {saved.state.step:,} steps, {saved.state.tokens:,} tokens."
    if steps:
        speed = statistics.median(event["tokens_per_second"] for event in steps)
        about += f" {speed:,.0f} tokens per second (median)."
    lines = [f"# {Path(options.out_dir).name}", "", about]
    lines += ["", "![Training and validation loss by step](report.png)", ""]
    lines += ["| step | training loss | validation loss |", "|---|---|---|"]
    lines += [f"| {e['step']:,} | {_shown(e['train'])} | {_shown(e['val'])} |" for e in evaluations[-5:]]
    lines += ["", "Losses are in nats per token, ± is the standard error.", ""]
    try:
        lines += about_the_text(Dataset.open(config.dataset), model, saved.tokenizer, texts)
    except UserError as error:
        lines += [f"The text is not here any more ({error})."]
    lines += ["", "## What it writes", ""]
    lines += [line for text in texts for line in ("```text", text.strip("\n").replace("```", "'''"), "```", "")]
    lines += ["## Settings", "", "Every other setting has its default.", "", "| setting | value |", "|---|---|"]
    lines += [f"| `{f.name}` | {getattr(config, f.name)} |" for f in changed]
    train = ["python", "-m", "gptlib.train", str(Path(options.out_dir, CONFIG))]
    elsewhere = ["--dataset=PREPARED", f"--init_from={options.out_dir}", f"--out_dir={options.out_dir}-2"]
    commands = {
        "Continue": [*train, "--init_from=resume", f"--max_iters={2 * config.max_iters}"],
        "Another text, from these weights": [*train, *elsewhere],
        "Sample": ["python", "-m", "gptlib.sample", f"--out_dir={options.out_dir}"],
        "Take it to transformers": ["python", "-m", "gptlib.export", f"--out_dir={options.out_dir}", "--folder=hf"],
    }
    lines += ["", "## Commands", "", *(f"- {what}: `{quoted(*words)}`" for what, words in commands.items())]
    return "\n".join(lines) + "\n"


def _shown(estimate: dict[str, Any]) -> str:
    numbers = {name: float("nan") if value is None else value for name, value in estimate.items()}
    return str(Estimate(**numbers))


def about_the_text(data: Dataset, model: Any, tokenizer: Any, texts: list[str]) -> list[str]:
    """The validation loss in bits per character, and how much of the samples is copied from the training text."""
    if data.tokenizer.to_json() != tokenizer.to_json():
        raise UserError("another one is there now")
    lines = []
    if len(data.val) <= EXACT:
        loss = exact_loss(model, data.val).mean
        bits = f"{data.bits_per_character(loss):.3f} bits per character"
        lines = [f"Over all of the validation text: {loss:.4f} nats per token, {bits}.", ""]
    training, length = data.tokenizer.decode(data.train[:SEARCHED]), sum(map(len, texts))
    copied = max((longest_copy(text, training) for text in texts), key=len)
    usual = longest_copy(data.tokenizer.decode(data.val[:length])[:length], training)
    return [
        *lines,
        f"Memorization: the longest piece of the samples below that the training text has too is {copied!r}, "
        f"{len(copied)} characters long. In as much of the validation text it is {len(usual)} characters long.",
    ]


def longest_copy(text: str, source: str) -> str:
    """The longest piece of `text` that occurs in `source`."""
    best = ""
    for i in range(len(text)):
        while len(best) < len(text) - i and text[i : i + len(best) + 1] in source:
            best = text[i : i + len(best) + 1]
    return best


def figure_of(log: list[dict[str, Any]]) -> bytes:
    """Training and validation loss by step, as a PNG."""
    figure = Figure(figsize=(7.2, 3.6), dpi=200, layout="constrained")
    ax = figure.subplots()
    steps = [event for event in log if event["event"] == "TrainStep" and event["loss"] is not None]
    ax.plot([e["step"] for e in steps], [e["loss"] for e in steps], color="0.7", linewidth=1)
    evaluations = [event for event in log if event["event"] == "Evaluation"]
    for split, color, marker in (("train", "#0072B2", "o"), ("val", "#D55E00", "s")):
        x, y = [e["step"] for e in evaluations], [e[split]["mean"] for e in evaluations]
        errors = [e[split]["standard_error"] or 0.0 for e in evaluations]
        ax.errorbar(x, y, errors, color=color, marker=marker, markersize=4, linewidth=1.2, label=split)
    ax.set(xlabel="step", ylabel="loss (nats per token)")
    ax.legend(frameon=False)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


if __name__ == "__main__":
    run_cli(main)

"""The page about a run."""

import pytest

from course import report
from gptlib import CharTokenizer, Dataset, Trainer, exact_loss


@pytest.fixture
def run(tiny, tmp_path, prepared):
    config = tiny(dataset=str(prepared), out_dir=str(tmp_path / "my run"))
    events = [*Trainer(config, Dataset.open(prepared))]
    report.main([f"--out_dir={config.out_dir}", "--max_new_tokens=40"])
    return (tmp_path / "my run" / "report.md").read_text(), events


def test_it_has_losses_with_errors_samples_settings_and_commands(run, tmp_path):
    page, events = run
    last = [event for event in events if hasattr(event, "val")][-1]
    assert f"| 20 | {last.train} | {last.val} |" in page and "bits per character" in page
    assert page.count("```text") == 3 and "| `n_embd` | 16 |" in page and "tokens per second" in page
    assert (
        f"`python -m gptlib.sample '--out_dir={tmp_path}/my run'`" in page
        and "--init_from=resume --max_iters=40" in page
    )
    assert "Memorization: the longest piece" in page
    assert (tmp_path / "my run" / "report.png").read_bytes().startswith(b"\x89PNG")


def test_what_it_says_about_the_text(tiny):
    train, val = "to be or not to be, ", "that is the question; "
    data = Dataset.from_texts(train * 9, val * 9, CharTokenizer.from_text(train + val))
    model = Trainer(tiny(), data).model
    loss, _, memory = report.about_the_text(data, model, data.tokenizer, ["the question is not to be asked"])
    assert f"{exact_loss(model, data.val).mean:.4f} nats per token" in loss
    assert "has too is ' not to be', 10 characters long" in memory and memory.endswith("it is 2 characters long.")


def test_without_the_text_the_rest_is_there(tiny, tmp_path, dataset):
    list(Trainer(tiny(max_iters=0, dataset="nowhere", out_dir=str(tmp_path)), dataset))
    report.main([f"--out_dir={tmp_path}", "--num_samples=1"])
    assert "The text is not here any more" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(("text", "piece"), [("xxbcdyy", "bcd"), ("abcdef", "abcdef"), ("xyz", ""), ("", "")])
def test_the_longest_copy(text, piece):
    assert report.longest_copy(text, "abcdef bc") == piece


def test_no_run_is_one_line(refused, tmp_path):
    with refused("cannot read", "log.jsonl"):
        report.main([f"--out_dir={tmp_path}"])

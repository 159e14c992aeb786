import difflib
import math
import random

import numpy as np
import pytest

from course.lab import Picture, Run
from course.lessons.lesson_06_memorisation import (
    as_marked_html,
    match_lengths,
    mean_copied,
    measure,
    pieces,
    plot_baseline,
    plot_both_losses,
    plot_copying,
    plot_marked,
    plot_sureness,
    show_written,
    sureness,
    text_of,
    wrapped,
    write_samples,
)
from course.lessons.lesson_06_stopping import plot_stops, record, should_stop, stops_at
from gptlib import CharTokenizer, Dataset, Evaluation, GPTConfig, Trainer
from gptlib.events import Estimate
from gptlib.model import GPT

SPEECH = """
    thou art as wise as thou art beautiful not so neither but if I had wit enough to get out of this wood I have
    enough to serve mine own turn out of this wood do not desire to go thou shalt remain here whether thou wilt or no
"""


def prose(seed, words=600):
    rng = random.Random(seed)
    lines = [" ".join(rng.choices(SPEECH.split(), k=7)) for _ in range(words // 7)]
    return "\n".join(lines)


def by_brute_force(sample, text):
    """The longest span from each position, tried from the longest down."""
    n = len(sample)
    return [next(j - i for j in range(n, i - 1, -1) if sample[i:j] in text) for i in range(n)]


# --- the meter ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_match_lengths_are_those_of_brute_force(seed):
    rng = random.Random(seed)
    sample, text = ("".join(rng.choices("ab\n"[: rng.randint(1, 3)], k=rng.randint(0, 40))) for _ in range(2))
    assert match_lengths(sample, text).tolist() == by_brute_force(sample, text)


@pytest.mark.parametrize("seed", range(5))
def test_the_longest_span_is_difflibs(seed):
    sample, text = prose(seed, 60), prose(seed + 100, 60)
    matcher = difflib.SequenceMatcher(None, sample, text, autojunk=False)
    assert measure(sample, text).longest == matcher.find_longest_match().size


def test_copied_text_is_all_copied():
    text = prose(0)
    meter = measure(text[100:500], text)
    assert meter.copied == 1 and meter.longest == 400 and meter.longest_at == range(400)


def test_shuffled_text_is_at_the_baseline():
    text, held_out = prose(0), prose(1)
    rng = random.Random(0)
    copied = [text[start : start + 300] for start in (0, 500, 900)]
    shuffled = ["".join(rng.sample(sample, len(sample))) for sample in copied]
    same_words = [" ".join(rng.sample(sample.split(), len(sample.split()))) for sample in copied]
    baseline = mean_copied(pieces(held_out, 300, 8), text, at_least=20)
    assert mean_copied(copied, text, at_least=20) == 1
    assert mean_copied(shuffled, text, at_least=20) == 0
    assert abs(mean_copied(same_words, text, at_least=20) - baseline) < 0.15


def test_only_spans_of_at_least_so_many_characters_count():
    text = "the moon methinks looks with a watery eye"
    meter = measure("moon, methinks looks on", text, at_least=9)
    assert [c for c, copied in zip(meter.sample, meter.mask, strict=True) if copied] == list(" methinks looks ")
    assert meter.longest == 16 and meter.copied == 16 / 23
    assert measure("moon, methinks looks on", text, at_least=16).copied == 16 / 23
    assert measure("moon, methinks looks on", text, at_least=17).copied == 0


def test_an_empty_sample_is_not_copied():
    meter = measure("", "abc")
    assert meter.copied == 0 and meter.longest == 0 and meter.longest_at == range(0)


def test_a_span_of_no_characters_is_refused(refused):
    with refused("at_least", "at least 1"):
        measure("abc", "abc", at_least=0)


def test_pieces_begin_lines_and_are_the_same_each_time(refused):
    text = prose(3)
    chosen = pieces(text, 50, 6)
    assert chosen == pieces(text, 50, 6) and len(chosen) == 6
    assert all(len(piece) == 50 and ("\n" + text).count("\n" + piece) for piece in chosen)
    with refused("10 characters", "50"):
        pieces("0123456789", 50, 1)


def test_lines_of_a_sample_are_wrapped_without_a_character_lost():
    sample = "Helena:\n\n" + "a very long line " * 6 + "\nend"
    lines = wrapped(sample, columns=20)
    shown = {i for line in lines for i in line}
    assert all(len(line) <= 20 for line in lines)
    assert "".join(c for i, c in enumerate(sample) if i not in shown) == "\n\n\n"


def test_html_marks_by_more_than_colour_and_escapes():
    html = as_marked_html(measure("<moon> methinks", "> methinks", at_least=5), "a & b")
    assert "a &amp; b" in html and "&lt;moon" in html
    assert "underline" in html and "<strong>&gt; methinks</strong></mark>" in html


# --- models, and the figures ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return GPT(GPTConfig(vocab_size=27, block_size=8, n_layer=1, n_head=2, n_embd=16))


@pytest.fixture
def trained(tiny, dataset):
    trainer = Trainer(tiny(), dataset)
    run = Run(1, trainer.config, {"dropout": 0.0})
    for event in trainer:
        run.consume(event)
    return run, trainer


def test_samples_have_their_length_and_repeat_with_their_seed(model):
    tokenizer = CharTokenizer("\n abcdefghijklmnopqrstuvwxy")
    samples = write_samples(model, tokenizer, count=3, length=20)
    assert [len(sample) for sample in samples] == [20] * 3 and len(set(samples)) == 3
    assert samples == write_samples(model, tokenizer, count=3, length=20)


def test_sureness_of_a_model_that_knows_nothing(model):
    tokens = np.random.default_rng(0).integers(0, 27, 2000)
    sure, right = sureness(model, tokens)
    assert 1 / 27 < sure < 0.5 and abs(right - 1 / 27) < 0.02


def test_text_of_is_the_text(dataset):
    assert text_of(dataset.val[:9], dataset.tokenizer) == dataset.tokenizer.decode(dataset.val[:9])


def test_figures_are_named_without_numbers_and_described_with_them(trained, dataset):
    run, trainer = trained
    text = prose(0)
    meters = {"copied": measure(text[:100], text), "other": measure("xyz\n$a$", text)}
    pictures = [
        plot_marked(meters),
        plot_baseline(text, prose(1), [200, len(text)]),
        plot_both_losses({"one": run}),
        plot_sureness({"one": trainer.model}, dataset.val),
        plot_stops({"one": run, "two": run}, patience=1),
    ]
    for picture in pictures:
        assert isinstance(picture, Picture) and not any(c.isdigit() for c in picture.name)
        assert any(c.isdigit() for c in picture.alt) and len(picture.png) > 1000
    assert "copied: 100% copied" in pictures[0].alt and "other: 0% copied" in pictures[0].alt


def test_copying_is_drawn_along_a_run(tiny):
    data = Dataset.from_text("\n" + prose(0))
    trainer = Trainer(tiny(), data)
    run = Run(1, trainer.config, {})
    for event in trainer:
        run.consume(event)
    held_out = prose(1)
    snapshots = {e.step: trainer.model for e in run.evaluations}
    picture = plot_copying(run, snapshots, data.tokenizer, prose(0), held_out)
    assert "baseline" in picture.alt
    html = show_written(snapshots, data.tokenizer, prose(0), step=20)
    assert "written at step 20" in html
    assert "100% copied" in show_written(snapshots, data.tokenizer, prose(0), step=20, your_words=prose(0)[:40])


# --- when to stop -------------------------------------------------------------------------------------------


def evaluations(*values, error=0.01, gap=0.0):
    return [
        Evaluation(10 * i, Estimate(v - gap, error, 16), Estimate(v, error, 16), False, 0, 0.0)
        for i, v in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("losses", "patience", "step", "reason"),
    [
        ([4.2, 3.0, 2.5, 2.2, 2.0], 2, 40, ""),  # healthy
        ([4.2, 3.0, 2.5, 2.6, 2.7, 2.9, 3.1], 3, 50, "rises"),
        ([4.2, 3.0, 2.5, 2.5, 2.495, 2.5, 2.5], 3, 50, "no gain"),  # 2.495 is no record: its error bar is larger
        ([4.2, 3.0, 2.5, 2.6, 2.4, 2.5, 2.3], 2, 60, ""),  # each record starts the waiting anew
        ([4.2, 9.0, 5.0], 3, 10, "worse than before"),
        ([4.2, math.nan], 3, 10, "worse than before"),
        ([4.2, 4.21, 4.0], 3, 20, ""),  # within its error of the first: no divergence yet
        ([4.2], 1, 0, ""),
    ],
)
def test_the_rule_stops_where_it_should(losses, patience, step, reason):
    at, why = stops_at(evaluations(*losses), patience)
    assert at == step and (reason in why if reason else why == "")


def test_a_gain_counts_only_beyond_its_error_bar():
    losses = [4.2, 2.5, 2.45, 2.42, 2.4]
    assert should_stop(evaluations(*losses, error=0.01), patience=3) == ""
    assert "± 0.20" in should_stop(evaluations(*losses, error=0.2), patience=3)


def test_small_gains_add_up_to_a_record():
    falling = evaluations(4.2, 2.5, 2.47, 2.44, 2.41, error=0.05)
    assert record(falling).val.mean == 2.44

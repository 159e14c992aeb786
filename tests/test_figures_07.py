"""Lesson 07: its live lab, and its figures. (The lesson's cells compare what they compute with gptlib.)"""

import json
from pathlib import Path

import pytest
import torch

from course.lessons import figures_07 as figures
from gptlib import TrainConfig

TEXT = "the quick fox"
CHARS = "\n abcdefghijklmnopqrstuvwxyz"
PARTS = json.loads((Path(__file__).parent.parent / "notebooks/results/parts.json").read_text(encoding="utf-8"))


@pytest.fixture
def maps():
    T = len(TEXT)
    even = torch.tril(torch.ones(T, T)) / torch.arange(1, T + 1)[:, None]
    return {(block, head): even for block in (1, 2) for head in (1, 2)}


def test_figures_have_an_alt_text_and_a_name_without_measured_numbers(maps):
    logits = [torch.randn(1, len(TEXT), len(CHARS)) for _ in range(3)]
    p = logits[0][0, -1].softmax(-1)
    weights = torch.tril(torch.ones(4, 4)) / 4
    pictures = [
        figures.plot_gpt(),
        figures.plot_product(weights, torch.ones(4, 2), weights @ torch.ones(4, 2)),
        figures.plot_steps({"one": weights.masked_fill(weights == 0, -torch.inf), "two": weights}, "a be"),
        figures.plot_largest([4, 8], {"as they are": [0.3, 0.5], "divided": [0.2, 0.2]}),
        figures.plot_map(maps[1, 1], TEXT, "block one"),
        figures.plot_maps(maps, TEXT, dict.fromkeys(maps, "near 20%")),
        figures.plot_riddles(),
        figures.plot_depth(logits, CHARS, TEXT),
        figures.plot_choices({"one": p, "two": p}, CHARS),
        figures.plot_token_costs(
            {"with": {16: [0.1, 0.2], 64: [0.1, 0.3]}, "without": {16: [0.2, 0.2], 64: [0.9, 1.0]}}
        ),
        figures.plot_parts(PARTS["validation_loss"], {"letter pairs": 2.46}),
        figures.plot_heads(dict.fromkeys(maps, 0.4), dict.fromkeys(maps, (0.01, 0.002))),
        figures.plot_losses({"one": {0: 4.2, 25: 3.0, 50: 2.5}}, {"guessing": 4.14}),
    ]
    for picture in pictures:
        assert picture.png.startswith(b"\x89PNG") and len(picture.alt) >= 20
        assert not any(character.isdigit() for character in picture.name)


def test_the_lab_takes_a_part_out_of_the_model_it_trains(tiny, dataset):
    seen = []
    lab = figures.PartsLab(lambda part, model: seen.append((part, model)), ["nothing", "attention"], dataset=dataset)
    lab.sliders["take out"].value = "attention"
    run = lab.new_run(1)
    trainer = lab.make_trainer(run)
    assert run.settings["take out"] == "attention" and seen == [("attention", trainer.model)]
    assert isinstance(run.config, TrainConfig)

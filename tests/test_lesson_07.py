"""Lesson 07: its live lab, and its attention maps. (The lesson's cells compare what they compute with gptlib.)"""

import torch

from course.lessons import figures_07 as figures
from gptlib import TrainConfig


def test_maps_say_in_words_where_the_last_row_looks():
    text = "a fox"
    even = torch.tril(torch.ones(5, 5)) / torch.arange(1, 6)[:, None]
    picture = figures.plot_maps({"one": even, "two": torch.eye(5)}, text)
    assert "two: the last row looks most at place 4" in picture.alt and repr(text) in picture.alt
    assert figures.visible("a b\n") == "a␣b↵"


def test_the_lab_takes_a_part_out_of_the_model_it_trains(tiny, dataset):
    seen = []
    lab = figures.PartsLab(lambda part, model: seen.append((part, model)), ["nothing", "attention"], dataset=dataset)
    lab.sliders["take out"].value = "attention"
    run = lab.new_run()
    trainer = lab.make_trainer(run)
    assert run.settings["take out"] == "attention" and seen == [("attention", trainer.model)]
    assert isinstance(run.config, TrainConfig)

"""Pieces of a program: the learner's where they are right, ours until then; and the table of results."""

import inspect
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from course.lessons import lesson_09 as lesson
from course.lessons import program_09 as program
from course.my_results import Results
from course.piece import Piece, whose
from gptlib import GPT, Dataset, GPTConfig, TrainConfig, Trainer, TrainStep

RIGHT = runpy.run_path(Path(__file__).parent / "right_answers" / "lesson_09.py")["RIGHT"]
IMPORTS = "import numpy as np, torch\nfrom torch import nn\nimport torch.nn.functional as F"


@pytest.fixture
def pieces():
    about = {"title": "Times", "difficulty": 1, "minutes": 1, "hints": ("think",)}
    mistakes = {"squared": [("2 * x", "x * x")], "halved": [("2 * x", "x / 2")]}
    return Piece(twice, probe=lambda f: f(3), mistakes=mistakes, **about), Piece(four, probe=lambda f: f(3), **about)


def twice(x):
    return 2 * x


def four(x):
    return twice(twice(x))


def written(source, name):
    names = {"__name__": "notebook"}
    exec(source, names)
    return names[name], names


def test_a_right_piece_is_used_and_a_missing_one_is_lent(pieces, capsys):
    mine, _ = written("def twice(x):\n    return x + x", "twice")
    assert pieces[0].use(mine) is mine and "1 of 2 pieces" in repr(whose(pieces))
    stub, names = written("def twice(x): ...", "twice")
    assert pieces[0].use(stub)(5) == 10 and names["twice"](5) == 10 and "0 of 2 pieces" in repr(whose(pieces))


def test_a_wrong_piece_is_told_its_mistake_and_lent(pieces, capsys):
    wrong, _ = written("def twice(x):\n    return x**2", "twice")
    assert pieces[0].use(wrong)(5) == 10
    said = capsys.readouterr().out
    assert "squared" in said and "with our `twice`" in said


def test_an_unknown_mistake_is_told_what_it_gives(pieces):
    assert pieces[0].check(lambda x: 7).text == "it gives 7, not 6"


def test_a_piece_may_call_another_that_was_never_written(pieces):
    mine, names = written("def four(x):\n    return twice(x) + twice(x)", "four")
    assert pieces[1].use(mine) is mine and names["twice"](1) == 2


def test_a_piece_calls_the_learners_own(pieces):
    mine, names = written("def twice(x):\n    return 3 * x\ndef four(x):\n    return twice(x) + x", "four")
    assert pieces[1].use(mine) is mine and names["twice"](1) == 3


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in RIGHT.items() for text in texts])
def test_another_way_to_write_it_is_right_too(name, text):
    names = {"__name__": "notebook", "torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    answer = eval(text, names) if text.startswith("lambda") else written(f"{IMPORTS}\n{text}", name)[0]
    assert repr(getattr(lesson, name).check(answer)).startswith("right")


def test_a_model_with_names_of_its_own_gets_the_librarys_weights():
    names = {"__name__": "notebook"}
    exec("\n".join([IMPORTS, *(RIGHT[part][0] for part in ("SelfAttention", "MLP", "Block", "MyGPT"))]), names)
    config = GPTConfig(vocab_size=16, block_size=16, n_layer=3, n_head=2, n_embd=32)  # two tables of one shape
    library, mine = GPT(config), names["MyGPT"](config)
    lesson.copy_weights(library, mine)
    idx = torch.arange(16)[None]
    assert torch.allclose(mine(idx), library(idx)[0], atol=1e-5)
    again = GPT(config)
    lesson.copy_weights(mine, again)
    assert all(map(torch.equal, again.parameters(), library.parameters()))


def test_the_whole_program_is_our_solutions():
    lines = [line for piece in lesson.PIECES for line in piece.solution_source.splitlines() if line.strip()]
    assert 90 <= len(lines) <= 150 and len(lesson.PIECES) == 15


def beside_the_library(**changed):
    """Losses of the library and of our program with some pieces changed, and how far the weights are apart."""
    text = "".join(chr(97 + i * i * i % 50) for i in range(3000))
    settings = TrainConfig(n_layer=2, n_head=2, n_embd=32, block_size=16, batch_size=4, attention="naive", max_iters=40)
    settings = replace(settings, warmup_iters=5, log_interval=1, eval_interval=100, eval_iters=1, threads=1)
    names = {"__name__": "notebook"}
    exec(inspect.getsource(program), names)
    names |= changed
    library = Trainer(settings, Dataset.from_text(text))
    mine = names["MyGPT"](settings.model_config(library.dataset.vocab_size))
    mine.load_state_dict(library.model.state_dict())
    tokens = names["encode"](text, sorted(set(text)))
    losses = list(names["train"](mine, names["make_optimizer"](mine, settings), tokens[:2700], settings))
    theirs = [event.loss for event in library if isinstance(event, TrainStep)]
    weights = library.model.state_dict()
    return losses, theirs, {name: (mine.state_dict()[name] - weights[name]).abs() for name in weights}


def test_our_program_is_the_library_to_the_last_bit():
    losses, theirs, apart = beside_the_library()
    assert losses == theirs and not any(gap.any() for gap in apart.values())


def test_a_loss_by_hand_changes_last_digits_and_no_weight():
    losses, theirs, apart = beside_the_library(
        loss_of=lambda logits, y: -logits.log_softmax(-1).gather(-1, y[..., None]).mean()
    )
    assert losses != theirs and losses == pytest.approx(theirs, abs=2e-6)
    assert not any(gap.any() for gap in apart.values())


def test_an_optimizer_that_is_not_fused_changes_the_key_biases_most():
    def make_optimizer(model, s):
        groups = [
            {"params": [p for p in model.parameters() if (p.dim() > 1) == matrix], "weight_decay": decay}
            for matrix, decay in ((True, s.weight_decay), (False, 0.0))
        ]
        return torch.optim.AdamW(groups, lr=s.learning_rate, betas=(s.beta1, s.beta2))

    losses, theirs, apart = beside_the_library(make_optimizer=make_optimizer)
    assert losses == pytest.approx(theirs, abs=2e-5)
    keys = [apart.pop(f"h.{i}.attn.c_attn.bias")[32:64].max() for i in range(2)]
    assert max(keys) > 10 * max(gap.max() for gap in apart.values())


def test_results_are_kept_and_the_same_run_replaces_its_row(tmp_path, monkeypatch):
    monkeypatch.setenv("GPTLIB_PROGRESS", str(tmp_path / "progress.json"))
    Results().add(text="plays", change="nothing", steps=300, loss=2.0)
    Results().add(text="plays", change="nothing", steps=300, loss=1.9)
    again = Results().add(text="plays", change="<Muon>", steps=300, loss=1.8)
    assert [row["loss"] for row in again.rows] == [1.9, 1.8] and Results().rows == again.rows
    assert "1.90" in again._repr_html_() and "&lt;Muon&gt;" in again._repr_html_()
    assert repr(again).splitlines()[0] == "text: plays  change: nothing  steps: 300  loss: 1.90"


def test_a_damaged_file_of_results_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("GPTLIB_PROGRESS", str(tmp_path / "progress.json"))
    (tmp_path / "my_gpt.json").write_text("{")
    assert Results().rows == []
    monkeypatch.setenv("GPTLIB_PROGRESS", "off")
    assert Results().add(change="x").rows == [{"change": "x"}] and Results().rows == []

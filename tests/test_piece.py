"""Pieces of a program: the learner's where they are right, ours until then; and the table of results."""

from dataclasses import replace

import pytest
import torch

from course.exercise import SameAs
from course.lessons import lesson_09 as lesson
from course.my_results import Results
from course.piece import Piece, emptied
from gptlib import Dataset, TrainConfig, Trainer, TrainStep


@pytest.fixture
def pieces(monkeypatch):
    monkeypatch.setattr(Piece, "all", [])
    about = {"difficulty": 1, "minutes": 1, "hints": ("think",)}
    double = SameAs(lambda x: 2 * x, [(3,)])
    twice = Piece(name="twice", title="Twice", check=double, solution="def twice(x):\n    return 2 * x", **about)
    four = SameAs(lambda x: 4 * x, [(3,)])
    solution = "def four(x):\n    return twice(twice(x))"
    return twice, Piece(name="four", title="Four times", check=four, solution=solution, **about)


def written(source, name):
    names = {"__name__": "notebook"}
    exec(source, names)
    return names[name], names


def test_a_right_piece_is_used_and_a_missing_one_is_lent(pieces, capsys):
    twice, _ = pieces
    mine, _ = written("def twice(x):\n    return x + x", "twice")
    assert twice.use(mine) is mine and "1 of 2 pieces" in repr(Piece.whose())
    stub, names = written("def twice(x): ...", "twice")
    assert twice.use(stub)(5) == 10 and names["twice"](5) == 10 and "0 of 2 pieces" in repr(Piece.whose())


def test_a_wrong_piece_is_told_and_lent(pieces, capsys):
    wrong, _ = written("def twice(x):\n    return x * x", "twice")
    assert pieces[0].use(wrong)(5) == 10
    said = capsys.readouterr().out
    assert "gives 9, not 6" in said and "with our `twice`" in said


def test_a_piece_may_call_an_earlier_one_that_was_never_written(pieces):
    mine, names = written("def four(x):\n    return twice(x) + twice(x)", "four")
    assert pieces[1].use(mine) is mine and names["twice"](1) == 2


def test_a_piece_calls_the_learners_own_earlier_one(pieces):
    mine, names = written("def twice(x):\n    return 3 * x\ndef four(x):\n    return twice(x) + x", "four")
    assert pieces[1].use(mine) is mine and names["twice"](1) == 3


def test_starters_are_the_solution_with_nothing_in_it():
    source = "@decorated\nclass A(B):\n    def __init__(self, x):\n        super().__init__()\n        self.x = x"
    assert emptied(source).splitlines()[-3:] == [
        "    def __init__(self, x):",
        "        super().__init__()",
        "        ...",
    ]
    assert emptied("def f(a, b=1):\n    return a") == "def f(a, b=1):\n    ..."


def test_the_whole_program_is_our_solutions():
    names = {"__name__": "notebook"}
    for piece in Piece.all:
        piece.ours(names)
    assert {piece.name for piece in Piece.all} <= set(names) and len(Piece.all) == 15
    lines = [line for piece in Piece.all for line in piece.solution_source.splitlines() if line.strip()]
    assert 100 <= len(lines) <= 150
    assert lesson.Piece is Piece


def beside_the_library(**changed):
    """Losses of the library and of our program with some pieces changed, and how far the weights are apart."""
    text = "".join(chr(97 + i * i * i % 50) for i in range(3000))
    settings = TrainConfig(n_layer=2, n_head=2, n_embd=32, block_size=16, batch_size=4, attention="naive", max_iters=40)
    settings = replace(settings, warmup_iters=5, log_interval=1, eval_interval=100, eval_iters=1, threads=1)
    names = {"__name__": "notebook"}
    for piece in Piece.all:
        piece.ours(names)
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
    assert "1.90" in again.static_html() and "&lt;Muon&gt;" in again.static_html()
    assert repr(again).splitlines()[0] == "text: plays  change: nothing  steps: 300  loss: 1.90"


def test_a_damaged_file_of_results_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("GPTLIB_PROGRESS", str(tmp_path / "progress.json"))
    (tmp_path / "my_gpt.json").write_text("{")
    assert Results().rows == []
    monkeypatch.setenv("GPTLIB_PROGRESS", "off")
    assert Results().add(change="x").rows == [{"change": "x"}] and Results().rows == []

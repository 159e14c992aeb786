"""Settings: where they come from, which are refused, and that a written config can be read again."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlib import GPTConfig, TrainConfig, UsageError
from gptlib.config import read_command_line, read_config
from gptlib.run_folder import config_as_toml
from gptlib.sample import SampleConfig


def command_line(*argv):
    return read_command_line(TrainConfig, "prog", "what it does", argv, toml="CONFIG.toml")


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("n_layer = 2\nn_embd = 64\n")
    return path


def test_a_windows_editor_s_mark_at_the_beginning_is_no_setting(tmp_path):
    (tmp_path / "run.toml").write_bytes(b"\xef\xbb\xbfn_layer = 2\n")
    assert command_line(str(tmp_path / "run.toml")).n_layer == 2


def test_a_tilde_is_the_users_own_folder_and_only_there(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("USERPROFILE", "/somewhere")
    config = command_line("--out_dir=~/runs", "--dataset=~/texts", "--init_from=~/old", "--wandb_project=~/x")
    assert (config.out_dir, config.dataset) == ("/somewhere/runs", "/somewhere/texts")
    assert (config.init_from, config.wandb_project) == ("/somewhere/old", "~/x")


# --- defaults < TOML < command line ---------------------------------------------------------------


def test_without_anything_the_defaults_hold():
    assert command_line() == TrainConfig()


def test_a_file_beats_the_defaults_and_the_command_line_beats_the_file(toml):
    config = command_line(str(toml), "--n_embd=32")
    assert config == TrainConfig(n_layer=2, n_embd=32)


def test_two_words_do_as_well_as_one_with_an_equals_sign():
    assert command_line("--n_layer", "3").n_layer == 3


def test_the_texts_of_a_bool():
    assert all(command_line(f"--bias={text}").bias is True for text in ("true", "True", "1"))
    assert all(command_line(f"--bias={text}").bias is False for text in ("false", "False", "0"))


def test_a_whole_number_may_stand_for_a_float(toml):
    toml.write_text("learning_rate = 1\n")
    assert command_line(str(toml)).learning_rate == 1


def test_tokens_per_step_counts_every_micro_batch():
    assert TrainConfig(batch_size=3, gradient_accumulation_steps=5, block_size=7).tokens_per_step == 105


def test_the_models_config_takes_the_shape_of_the_run():
    config = TrainConfig(n_layer=2, n_embd=32, block_size=16, dropout=0.1, bias=False, attention="naive")
    shape = {"n_layer": 2, "n_embd": 32, "block_size": 16, "dropout": 0.1, "bias": False, "attention": "naive"}
    assert config.model_config(99) == GPTConfig(vocab_size=99, **shape)


# --- what is refused ----------------------------------------------------------------------------------

REFUSED = [
    (["--n_layers=2"], ["unknown setting 'n_layers'", "did you mean 'n_layer'?"]),
    (["--n_laye=2"], ["unknown setting 'n_laye'", "did you mean 'n_layer'?"]),  # argparse would guess
    (["--zebra=2"], ["unknown setting 'zebra'", "--help"]),
    (["--n_layer=0"], ["n_layer = 0", "a whole number, at least 1", "transformer blocks"]),
    (["--n_layer=two"], ["n_layer = 'two'", "a whole number, at least 1"]),
    (["--n_layer=2.5"], ["n_layer = '2.5'", "a whole number"]),
    (["--n_layer"], ["n_layer", "expected one argument", "--help"]),
    (["--dropout=1"], ["dropout = 1.0", "at least 0, below 1"]),
    (["--dropout=-0.1"], ["dropout = -0.1", "at least 0"]),
    (["--train_fraction=0"], ["train_fraction", "above 0, at most 1"]),
    (["--train_fraction=1.1"], ["train_fraction", "at most 1"]),
    (["--learning_rate=nan"], ["learning_rate = nan", "above 0"]),
    (["--learning_rate=inf"], ["learning_rate = inf", "above 0"]),
    (["--bias=yes"], ["bias = 'yes'", "true or false"]),
    (["--bias"], ["bias", "expected one argument"]),
    (["--schedule=sine"], ["schedule = 'sine'", "one of cosine, linear, constant"]),
    (["--n_embd=30", "--n_head=4"], ["n_embd = 30", "multiple of n_head = 4"]),
    (["--learning_rate=0.1", "--min_lr=0.2"], ["min_lr = 0.2", "at most learning_rate = 0.1"]),
    (["--init_from=resume"], ["out_dir is empty", "resume"]),
    (["a.toml", "b"], ["unexpected argument 'b'", "--name=value", "--help"]),
    (["--n_layers", "2"], ["unknown setting 'n_layers'", "did you mean 'n_layer'?"]),
    (["a.toml", "--n_layers", "2"], ["unknown setting 'n_layers'", "did you mean 'n_layer'?"]),
    (["--toml=a.toml"], ["unknown setting 'toml'"]),
    (["a\nb.toml", "c\nd"], ["unexpected argument 'c\\nd'"]),
    (["no-such.toml"], ["cannot read the config no-such.toml", "No such file"]),
    (["--new\nline=1"], ["unknown setting 'new\\nline'"]),
]


@pytest.mark.parametrize(("argv", "words"), REFUSED, ids=lambda case: " ".join(case)[:40])
def test_a_command_line_is_refused_in_one_line(refused, argv, words):
    with refused(*words, error=UsageError):
        command_line(*argv)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("n_layers = 2", ["unknown setting 'n_layers'", "did you mean 'n_layer'?", "run.toml"]),
        ("n_layer = 2.0", ["n_layer = 2.0", "a whole number, at least 1"]),
        ("n_layer = true", ["n_layer = True", "a whole number"]),
        ("n_layer = [1]", ["n_layer = [1]", "a whole number"]),
        ("dropout = '0.1'", ["dropout = '0.1'", "a number, at least 0, below 1"]),
        ("bias = 1", ["bias = 1", "true or false"]),
        ("dataset = 5", ["dataset = 5", "a text"]),
        ("[model]\nn_layer = 2", ["unknown setting 'model'"]),
        ("n_layer", ["run.toml is not valid TOML", "Expected '='"]),
        ("x = '\udcff'", ["run.toml is not valid TOML"]),
    ],
)
def test_a_file_is_refused_in_one_line(refused, toml, content, words):
    toml.write_text(content, errors="surrogateescape")
    with refused(*words, error=UsageError):
        command_line(str(toml))


def test_a_folder_is_no_config(refused, tmp_path):
    with refused("cannot read the config", "directory", error=UsageError):
        command_line(str(tmp_path))


def test_from_python_the_same_rules_hold(refused):
    with refused("n_layer = '2'", "a whole number"):
        GPTConfig(n_layer="2")
    with refused("n_layer = True"):
        replace(TrainConfig(), n_layer=True)


# --- documentation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [TrainConfig, SampleConfig])
def test_every_field_is_documented_in_one_line(cls):
    docs = [f.metadata["doc"] for f in fields(cls)]
    assert all(docs) and not any("\n" in doc for doc in docs)


@pytest.mark.parametrize("cls", [TrainConfig, SampleConfig])
def test_help_shows_every_field_with_its_default(cls, capsys):
    with pytest.raises(SystemExit) as left:
        read_command_line(cls, "prog", "what it does", ["--help"])
    shown = "".join(capsys.readouterr().out.split())
    missing = [f.name for f in fields(cls) if f"--{f.name}VALUE" not in shown or f"default{f.default!r}" not in shown]
    assert left.value.code == 0 and missing == []


# --- a written config is the config ----------------------------------------------------------------------


def names():
    return st.text(st.characters(exclude_characters="\0\x7f", exclude_categories=["Cs"]), max_size=10).filter(
        lambda name: not name.startswith("~")
    )


def values_of(f):
    """Anything that the field accepts."""
    if f.metadata["choices"]:
        return st.sampled_from(f.metadata["choices"])
    limits = f.metadata["limits"]
    low, high = limits.get("at least", limits.get("above")), limits.get("at most", limits.get("below"))
    if f.type is float:
        open_ends = {"exclude_min": "above" in limits, "exclude_max": "below" in limits}
        return st.floats(low, high, allow_nan=False, allow_infinity=False, **open_ends)
    return {int: st.integers(low, high), bool: st.booleans(), str: names()}[f.type]


@st.composite
def configs(draw):
    values = {f.name: draw(values_of(f)) for f in fields(TrainConfig)}
    values["n_embd"] = values["n_head"] * 2 * draw(st.integers(1, 32))  # even, as rotary positions need it
    if values["dtype"] == "float16" or values["optimizer"] == "muon":
        values["parallel"] = "ddp"
    values["min_lr"] = min(values["min_lr"], values["learning_rate"])
    return TrainConfig(**values)


@given(config=configs())
def test_a_config_written_as_toml_reads_back_equal(tmp_path_factory, config):
    path = tmp_path_factory.getbasetemp() / "written.toml"
    path.write_text(config_as_toml(config), encoding="utf-8")
    assert read_config(TrainConfig, path) == config


@pytest.mark.parametrize("name", ["caffè", "😀", 'quo"te', "back\\slash", "new\nline", "tab\t"])
def test_any_folder_name_survives(tmp_path, name):
    (tmp_path / "written.toml").write_text(config_as_toml(TrainConfig(out_dir=name)), encoding="utf-8")
    assert read_config(TrainConfig, tmp_path / "written.toml").out_dir == name

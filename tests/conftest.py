"""What several test files share: a small text, a small run, and the form of an error message."""

import json
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

# torch is imported where it is needed: the process that hands the tests to the workers is without it.

# Longest first. Their tests train for seconds, start processes, draw many figures, drive a lab or a browser.
# `make check` leaves them out, and single tests that are marked as slow.
FORKING = ("test_distributed", "test_cli", "test_prepare", "test_kill")
SLOW = (
    "browser",
    "notebooks",
    *FORKING,
    "test_live",
    "test_gpu_benchmark",
    "test_lesson_08",
    "test_step_costs",
    "test_lesson_05",
    "test_plays",
    "test_execute_notebooks",
    "test_museum",
)
TINY = {
    "block_size": 8,
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 16,
    "batch_size": 4,
    "max_iters": 20,
    "learning_rate": 1e-2,
    "warmup_iters": 2,
    "eval_interval": 10,
    "eval_iters": 2,
    "log_interval": 5,
    "device": "cpu",
    "threads": 1,
}


settings.register_profile("course", deadline=None, max_examples=30)
settings.load_profile("course")


def pytest_ignore_collect(collection_path, config):
    """`make check` does not even import the slow files."""
    return True if config.option.markexpr == "not slow" and collection_path.stem in SLOW else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file of tests runs in one worker; so do all that drive a browser, and all that fork from one process.

    A file's tests share what they have trained, and two JupyterLabs at once are too much for two cores. xdist's own
    groups (`--dist loadgroup`) fall apart under pytest 9.2: https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    from xdist.scheduler import LoadFileScheduling

    class Groups(LoadFileScheduling):
        def _split_scope(self, nodeid):
            if nodeid.startswith("tests/browser/"):
                return "browser"
            file = super()._split_scope(nodeid)
            return "processes" if Path(file).stem in FORKING else file

    return Groups(config, log)


def pytest_collection_modifyitems(items):
    """Longest first: a long file that begins last keeps the other workers waiting.

    Of two notebooks, the later lesson is the longer one.
    """

    def turn(item):
        folder, stem = item.path.parent.name, item.path.stem
        name = folder if folder in SLOW else stem
        lesson = int(stem[:2]) if folder == "notebooks" and stem[:2].isdecimal() else 0
        return SLOW.index(name) if name in SLOW else len(SLOW), -lesson

    items.sort(key=turn)
    for item in items:
        if turn(item)[0] < len(SLOW):
            item.add_marker("slow")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Models this small are slower on two."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_counts():
    """A shell that starts the tests in the background lets them, and all that they start, ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny():
    """`tiny(max_iters=5)`: the settings of a run of some hundredths of a second."""
    from gptlib import TrainConfig

    return lambda **settings: TrainConfig(**TINY | settings)


@pytest.fixture(scope="session")
def dataset():
    from gptlib import Dataset

    return Dataset.from_text("the quick brown fox jumps over the lazy dog. " * 40)


@pytest.fixture
def prepared(tmp_path, dataset):
    """The same text as a folder that prepare.py could have written."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    for split in ("train", "val"):
        getattr(dataset, split).astype("<u2").tofile(folder / f"{split}.bin")
    dataset.tokenizer.save(folder / "tokenizer.json")
    sizes = {"train_tokens": len(dataset.train), "val_tokens": len(dataset.val), "vocab_size": dataset.vocab_size}
    sizes["tokenizer"] = dataset.tokenizer.fingerprint()
    (folder / "meta.json").write_text(json.dumps({"source": "a test", **sizes}))
    return folder


@pytest.fixture(scope="session")
def refused():
    """`with refused("n_layer", "at least 1"):` expects a `UserError` of one line that holds these words."""
    from gptlib import UserError

    @contextmanager
    def expect(*words, error=UserError):
        with pytest.raises(error) as caught:
            yield
        message = str(caught.value)
        assert "\n" not in message
        assert [word for word in words if word not in message] == [], message

    return expect


@pytest.fixture(scope="session")
def bits():
    """`bits(model)`: all its numbers as bytes, to compare two models bit for bit."""
    return lambda model: {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}

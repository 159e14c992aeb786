"""Break the code one line at a time, and see which test notices: `python tests/benchmarks/broken_lines.py`.

Every line here once could be broken without a test going red, or might be one day: most of them only make a run
learn worse. The last column says which tests are asked. A line that survives, or is no longer there, is an error.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
BROKEN = [
    # how a model starts, and what it computes
    ("gptlib/model.py", "self.wpe.weight.copy_(std * sinusoids(*self.wpe.weight.shape))", "pass", "recipe"),
    ("gptlib/model.py", "copy_(std * sinusoids", "copy_(sinusoids", "recipe"),
    ("gptlib/model.py", "std = 0.02 * math.sqrt(768 / self.config.n_embd)", "std = 0.02", "recipe"),
    ("gptlib/model.py", "std=std / math.sqrt(2 * self.config.n_layer)", "std=std", "recipe"),
    ("gptlib/model.py", "QK_SCALE = 1.2", "QK_SCALE = 1.0", "recipe"),
    ("gptlib/model.py", "1024 ** -torch", "10000 ** -torch", "recipe"),
    ("gptlib/model.py", "F.pad(idx, (1, 0))[:, :-1] * self", "idx * self", "model"),
    ("gptlib/model.py", "self.smear.sigmoid() * F.pad", "F.pad", "model"),
    ("gptlib/model.py", "cache is None else cache.length - T", "cache is None else 0", "sampling"),
    ("gptlib/model.py", "self.dropout if self.training else 0.0", "0.0", "model recipe"),
    ("gptlib/model.py", "math.sqrt(q.size(-1))", "q.size(-1)", "model"),
    # the optimizer and the schedule
    ("gptlib/optim.py", "MUON_MOMENTUM = 0.9", "MUON_MOMENTUM = 0.95", "recipe"),
    ("gptlib/optim.py", '"params": vectors, "weight_decay": 0.0', '"params": vectors, "weight_decay": 0.1', "optim"),
    ("gptlib/optim.py", "betas = (config.beta1, config.beta2)", "betas = (0.9, 0.999)", "optim"),
    ("gptlib/optim.py", 'parts.append(3 if name.endswith("c_attn.weight") else 1)', "parts.append(1)", "optim"),
    ("gptlib/optim.py", "math.sqrt(max(1, rows / columns))", "1", "optim"),
    ("gptlib/optim.py", "* (step + 1) / (config", "* step / (config", "optim"),
    ("gptlib/optim.py", "return config.min_lr + (config", "return (config", "optim"),
    # a step
    ("gptlib/trainer.py", "torch.Generator().manual_seed(config.seed))", "None)", "recipe trainer"),
    ("gptlib/trainer.py", "manual_seed(config.seed + dist.rank)", "manual_seed(config.seed)", "distributed"),
    ("gptlib/trainer.py", "[1] / self.micro_steps", "[1]", "trainer"),
    ("gptlib/trainer.py", "config.grad_clip or math.inf", "math.inf", "trainer"),
    ("gptlib/trainer.py", 'config.muon_lr / config.learning_rate if group["muon"] else 1.0', "1.0", "trainer optim"),
    ("gptlib/trainer.py", 'group["lr"] = lr * ', 'group["lr"] = config.learning_rate * ', "recipe"),
    ("gptlib/trainer.py", "0 < config.patience <= state", "0 < config.patience < state", "trainer"),
    ("gptlib/trainer.py", "config.eval_iters, EVAL_STREAM", "config.eval_iters, TRAIN_STREAM", "trainer evaluation"),
    ("gptlib/dataset.py", "size=count, endpoint=True", "size=count, endpoint=False", "dataset"),
    # the loss
    ("gptlib/evaluation.py", "    model.eval()\n", "", "evaluation"),
    ("gptlib/evaluation.py", "independent = min(len(values), windows)", "independent = len(values)", "evaluation"),
    ("gptlib/evaluation.py", "total += sequence_losses(model, *last).item() * rest", "pass", "evaluation"),
    # checkpoints
    ("gptlib/run_folder.py", "flush_to_disk(self.path)\n", "pass\n", "recipe"),
    ("gptlib/run_folder.py", " - {state.best_step}:", ":", "run_folder trainer"),
    ("gptlib/checkpoint.py", "self.evaluations_since_best + 1", "1", "trainer"),
    ("gptlib/checkpoint.py", "module.set_rng_state(states[dist.rank].clone())", "pass", "distributed"),
    ("gptlib/checkpoint.py", 'sha256(folder / file) != meta["sha256"][file]', "False", "run_folder trainer"),
    # sampling
    ("gptlib/sampling.py", "logits / temperature, None", "logits * temperature, None", "sampling"),
    ("gptlib/sampling.py", "p.cumsum(dim=-1) - p >= top_p", "p.cumsum(dim=-1) >= top_p", "sampling"),
    # texts, settings, other people's files
    ("data/prepare_text.py", "BLOCK = 2**17", "BLOCK = 2**30", "prepare"),
    ("data/prepare_text.py", '(folder / "meta.json").unlink(missing_ok=True)', "pass", "prepare"),
    ("data/prepare_text.py", "digest_size=6, key=str(seed).encode())", "digest_size=6)", "prepare"),
    ("data/prepare_text.py", "text[-LONGEST:], False", "text[-LONGEST:], True", "prepare"),
    ("gptlib/config.py", "allow_abbrev=False", "allow_abbrev=True", "config cli"),
    ("gptlib/tokenizer.py", "if i not in self.special}", "}", "bpe"),
    ("gptlib/gpt2.py", "max(1, n_embd // 64)", "12", "gpt2"),
    ("gptlib/gpt2.py", '{"activation_function": "gelu", **', '{"activation_function": "gelu_new", **', "gpt2"),
    ("gptlib/export.py", '["wte.weight"][: tokenizer.vocab_size]', '["wte.weight"]', "export"),
    ("gptlib/export.py", '"clean_up_tokenization_spaces": False', '"clean_up_tokenization_spaces": True', "export"),
    ("notebooks/course/report.py", "loss = exact_loss(model, data.val).mean", "loss = 0.0", "report"),
    (
        "notebooks/course/report.py",
        "data.tokenizer.decode(data.train[:SEARCHED])",
        "data.tokenizer.decode(data.val)",
        "report",
    ),
    ("gptlib/trainer.py", 'prefer="latest" if resume else "best"', 'prefer="latest"', "run_folder"),
    # the course
    (
        "notebooks/course/lab/observe.py",
        "return attend(q, k, v, dropout)",
        "return attend(q, k, k, dropout)",
        "live_runs live",
    ),
    ("notebooks/course/lab/observe.py", "    model.eval()\n", "", "live_runs live"),
    ("notebooks/course/lab/curves.py", "evaluated_at[1:], means[1:]", "evaluated_at, means", "live_runs"),
    ("notebooks/course/measured.py", "assert abs(value - ours) <= within", "assert True", "measured"),
    ("notebooks/course/landmarks.py", "(single[val] + 1) / (len(train) + V)", "single[val] / len(train)", "landmarks"),
]


def first_failure(tests: str, root: Path) -> str | None:
    """The first of these tests that fails in the tree `root`."""
    files = [f"tests/test_{name}.py" for name in tests.split()]
    quick = ["-p", "no:cacheprovider", "-p", "no:nbval", "-o", "addopts="]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=no", "-rfE", *quick, *files]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{root}:{root / 'notebooks'}", "OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if said.returncode not in (0, 1):
        raise SystemExit(f"pytest {' '.join(files)} did not run:\n{said.stdout[-2000:]}{said.stderr[-2000:]}")
    failed = [line.split()[1] for line in said.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].rpartition("/")[2] if failed else None


def main(only: str = "") -> int:
    """Print a line for every broken one; how many survived."""
    survived = 0
    with TemporaryDirectory() as folder:
        root = Path(folder, "tree")
        kept = shutil.ignore_patterns(".git", ".venv", "out-*", "_site", "*.ipynb", "__pycache__")
        shutil.copytree(ROOT, root, ignore=kept)
        for file, line, broken, tests in BROKEN:
            if only not in file + line:
                continue
            path, source = root / file, (root / file).read_text()
            if source.count(line) != 1:
                caught = f"NOT THERE, or {source.count(line)} times"
            else:
                path.write_text(source.replace(line, broken))
                caught = first_failure(tests, root) or "SURVIVED"
                path.write_text(source)
            survived += caught.isupper() or caught.startswith("NOT")
            print(f"| `{file}` | `{line.strip()}` | `{broken.strip()}` | {caught} |", flush=True)
    return survived


if __name__ == "__main__":
    sys.exit(min(main(*sys.argv[1:]), 1))

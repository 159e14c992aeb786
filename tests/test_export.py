"""To transformers and back: the same tokens, the same logits."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from gptlib import GPT, BPETokenizer, CharTokenizer, Dataset, GPTConfig, Trainer, export, sample_text
from gptlib.gpt2 import save_gpt2
from gptlib.run_folder import load_model

TEXT = "low lower lowest, said the naïve 🙂 one;\nit's 12 o'clock   there , and so on .\n" * 20
TOKENIZERS = {
    "characters": CharTokenizer.from_text(TEXT),
    "characters of documents": CharTokenizer("".join(set(TEXT)), end_of_text=True),
    "byte pairs": BPETokenizer.train(TEXT, 300),
    "byte pairs of documents": BPETokenizer.train(TEXT, 300, end_of_text=True),
}
by_name = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)


@pytest.fixture
def run(tiny, tmp_path):
    def train(tokenizer):
        config = tiny(max_iters=2, eval_interval=2, out_dir=str(tmp_path / "run"))
        list(Trainer(config, Dataset.from_text(TEXT, tokenizer)))
        return config.out_dir

    return train


@by_name
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transformers_reads_the_same_tokens_and_computes_the_same_logits(run, tmp_path, tokenizer):
    transformers = pytest.importorskip("transformers")
    out_dir, folder = run(tokenizer), str(tmp_path / "hf")
    export.main([f"--out_dir={out_dir}", f"--folder={folder}"])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    their_tokens = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer.encode(TEXT)
    assert their_tokens(TEXT)["input_ids"] == tokens.tolist()
    assert their_tokens.decode(tokens) == TEXT and their_tokens.eos_token_id == tokenizer.end_of_text
    idx = torch.from_numpy(tokens[None, :8])
    with torch.no_grad():
        torch.testing.assert_close(theirs(idx).logits, load_model(out_dir)[0](idx)[0], rtol=1e-5, atol=1e-5)


@by_name
def test_what_comes_back_is_what_went(run, tmp_path, tokenizer):
    out_dir, back = run(tokenizer), str(tmp_path / "back")
    export.main([f"--out_dir={out_dir}", f"--folder={tmp_path / 'hf'}"])
    export.main(["--to=gptlib", f"--folder={tmp_path / 'hf'}", f"--out_dir={back}"])
    (before, _), (after, saved) = load_model(out_dir), load_model(back)
    assert saved.tokenizer.to_json() == tokenizer.to_json()
    assert all(tensor.equal(after.state_dict()[name]) for name, tensor in before.state_dict().items())
    texts = [sample_text(model, tokenizer, "low", 20, seed=1) for model in (before, after)]
    assert texts[0] == texts[1]


def test_a_run_from_elsewhere_is_trained_further_by_one_command(run, tiny, tmp_path):
    export.main([f"--out_dir={run(TOKENIZERS['byte pairs'])}", f"--folder={tmp_path / 'hf'}"])
    export.main(["--to=gptlib", f"--folder={tmp_path / 'hf'}", f"--out_dir={tmp_path / 'back'}"])
    config = tiny(max_iters=1, init_from=str(tmp_path / "back"))
    assert len([*Trainer(config, Dataset.from_text(TEXT, TOKENIZERS["byte pairs"]))]) > 1


def test_rows_that_only_pad_the_vocabulary_are_dropped(tmp_path):
    """nanoGPT rounds 50,257 up to 50,304."""
    tokenizer = TOKENIZERS["byte pairs"]
    model = GPT(GPTConfig(block_size=8, n_layer=1, n_head=1, n_embd=8, vocab_size=tokenizer.vocab_size + 20))
    save_gpt2(model, tmp_path / "hf")
    export.hugging_face_tokenizer(tokenizer).save(str(tmp_path / "hf" / "tokenizer.json"))
    export.to_gptlib(str(tmp_path / "hf"), str(tmp_path / "run"))
    assert load_model(tmp_path / "run")[0].wte.weight.equal(model.wte.weight[: tokenizer.vocab_size])


# --- tokenizers of other people ----------------------------------------------------------------------------


def learned_by_hugging_face(special):
    """As their own documentation learns one: special tokens come first."""
    theirs = HuggingFaceTokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    theirs.train_from_iterator([TEXT], trainer)
    return theirs


THEIRS = learned_by_hugging_face(["<pad>", "<|endoftext|>"])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("theirs") / "tokenizer.json"
    THEIRS.save(str(path))
    return export.load_hugging_face_tokenizer(path)


def test_special_tokens_keep_their_ids(loaded):
    assert (loaded.special, loaded.end_of_text, loaded.vocab_size) == ([0, 1], 1, THEIRS.get_vocab_size())
    assert loaded.decode([0, 1]) == "<pad><|endoftext|>"


@given(st.text() | st.text(alphabet=sorted(set(TEXT))))
def test_any_text_has_the_ids_that_hugging_face_gives_it(loaded, text):
    assert loaded.encode(text).tolist() == THEIRS.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content | {"normalizer": {"type": "NFC"}}, "not the byte pairs of GPT-2"),
        (lambda content: content | {"pre_tokenizer": {"type": "Whitespace"}}, "not the byte pairs of GPT-2"),
        (lambda content: content | {"model": {"type": "Unigram", "vocab": []}}, "Unigram is not the byte pairs"),
        (lambda content: content | {"model": {"type": "WordLevel", "vocab": {"a": 3, "the": 2}}}, "tokens are words"),
        (lambda content: content["model"]["merges"].reverse() or content, "not in the order of their ids"),
        (lambda content: {"model": {}}, "cannot read"),
        (lambda content: [], "cannot read"),
    ],
)
def test_another_kind_of_tokenizer_is_refused(tmp_path, refused, change, words):
    (tmp_path / "tokenizer.json").write_text(json.dumps(change(json.loads(THEIRS.to_str()))))
    with refused("cannot read the tokenizer", "tokenizer.json", words):
        export.load_hugging_face_tokenizer(tmp_path / "tokenizer.json")


def test_a_folder_must_be_named(refused):
    with refused("folder is empty", "--folder"):
        export.main([])

"""GPT-2's own code and ours must compute the same from the same file."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from gptlib import GPT, GPTConfig
from gptlib.gpt2 import load_gpt2, load_nanogpt, save_gpt2

transformers = pytest.importorskip("transformers", reason="transformers is not installed: no GPT-2 to compare with")

SHAPES = [
    {"vocab_size": 65, "block_size": 16, "n_layer": 1, "n_head": 2, "n_embd": 16},
    {"vocab_size": 50, "block_size": 8, "n_layer": 3, "n_head": 4, "n_embd": 32},
    {"vocab_size": 99, "block_size": 32, "n_layer": 2, "n_head": 1, "n_embd": 24},
]


def theirs(vocab_size, block_size, n_layer, n_head, n_embd):
    torch.manual_seed(0)
    shape = {"n_layer": n_layer, "n_head": n_head, "n_embd": n_embd, "n_positions": block_size}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=vocab_size, **shape))
    for parameter in model.parameters():  # biases start at zero; only random ones show that they arrive
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def some_tokens(shape):
    return torch.randint(shape["vocab_size"], (2, shape["block_size"]))


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_their_weights_in_our_model(shape, tmp_path):
    model, idx = theirs(**shape), some_tokens(shape)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(load_gpt2(tmp_path)(idx)[0], model(idx).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_our_weights_in_their_model(shape, activation, tmp_path):
    model, idx = GPT(GPTConfig(**shape, activation=activation)).eval(), some_tokens(shape)
    save_gpt2(model, tmp_path)
    reread = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(model(idx)[0], reread(idx).logits, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_published_file_has_no_prefix_and_stores_its_masks(tmp_path):
    model = theirs(**SHAPES[0])
    model.save_pretrained(tmp_path)
    tensors = {k.removeprefix("transformer."): v for k, v in load_file(tmp_path / "model.safetensors").items()}
    save_file(tensors | {"h.0.attn.bias": torch.ones(1, 1, 16, 16)}, tmp_path / "model.safetensors")
    idx = some_tokens(SHAPES[0])
    torch.testing.assert_close(load_gpt2(tmp_path)(idx)[0], model(idx).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("h.0.ln_1.weight"), "h.0.ln_1.weight"),
        (lambda t: t.update(extra=torch.ones(2)), "extra"),
        (lambda t: t.update({"ln_f.weight": torch.ones(3)}), "ln_f.weight"),
        (lambda t: t.update({"ln_f.weight": torch.ones(16, dtype=torch.int32)}), "ln_f.weight is torch.int32"),
        (lambda t: t.pop("wte.weight"), "KeyError: 'wte.weight'"),
    ],
)
def test_a_file_that_is_not_gpt2_is_refused(change, words, tmp_path, refused):
    theirs(**SHAPES[0]).save_pretrained(tmp_path)
    tensors = {k.removeprefix("transformer."): v for k, v in load_file(tmp_path / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with refused("cannot read GPT-2 weights", words):
        load_gpt2(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        *("[1]", "{", '{"activation_function": ["gelu"]}', '{"activation_function": "relu"}'),
        '{"scale_attn_by_inverse_layer_idx": true}',
    ],
)
def test_odd_settings_are_refused(settings, tmp_path, refused):
    theirs(**SHAPES[0]).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(settings)
    with refused(str(tmp_path)):
        load_gpt2(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors"])
def test_a_missing_or_broken_file_is_refused(content, tmp_path, refused):
    if content is not None:
        (tmp_path / "model.safetensors").write_bytes(content)
    with refused("cannot read GPT-2 weights", "model.safetensors"):
        load_gpt2(tmp_path)


@pytest.mark.parametrize(("setting", "words"), [({"bias": False}, "True"), ({"positions": "rotary"}, "'learned'")])
def test_a_model_with_what_gpt2_lacks_is_not_exported(setting, words, tmp_path, refused):
    with refused(*setting, f"GPT-2 has {words}"):
        save_gpt2(GPT(GPTConfig(**SHAPES[0], **setting)), tmp_path)


# --- nanoGPT's checkpoints ----------------------------------------------------------------------------------


def nanogpt_names(model, prefix=""):
    return {f"{prefix}transformer.{name}": tensor for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
@torch.no_grad()
def test_a_checkpoint_of_nanogpt_is_read(tmp_path, bias, prefix):
    model, idx = GPT(GPTConfig(**SHAPES[1], bias=bias)).eval(), some_tokens(SHAPES[1])
    tensors = nanogpt_names(model, prefix) | {f"{prefix}lm_head.weight": model.wte.weight}
    torch.save({"model": tensors, "model_args": {"n_head": 4, "bias": bias}, "iter_num": 7}, tmp_path / "ckpt.pt")
    assert torch.equal(load_nanogpt(tmp_path / "ckpt.pt")(idx)[0], model(idx)[0])


def test_a_bare_state_dict_will_do(tmp_path):
    model = GPT(GPTConfig(**SHAPES[2] | {"n_embd": 64}))
    torch.save(nanogpt_names(model), tmp_path / "weights.pt")
    assert load_nanogpt(tmp_path / "weights.pt").config == model.config


class Trap:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    "content",
    [
        *(Trap(), [1, 2], {"model": {"transformer.wte.weight": torch.ones(3, 4)}}),
        *(
            {"model": None},
            {"model": {1: torch.ones(2)}},
            {"model": {"wte.weight": 3}},
            {"model": {}, "model_args": None},
        ),
    ],
)
def test_what_is_no_checkpoint_of_nanogpt_is_refused(tmp_path, refused, content, capsys):
    torch.save(content, tmp_path / "ckpt.pt")
    with refused(str(tmp_path / "ckpt.pt")):
        load_nanogpt(tmp_path / "ckpt.pt")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"", b"a text file\n", b"]", bytes(range(256))])
def test_a_file_that_is_something_else_is_one_line(content, tmp_path, refused):
    if content is not None:
        (tmp_path / "ckpt.pt").write_bytes(content)
    with refused("cannot read", "ckpt.pt"):
        load_nanogpt(tmp_path / "ckpt.pt")

"""Weights are read and written unchanged; a file that is not what it should be is refused."""

import copy
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import miniclip
from miniclip import objectives
from miniclip.bpe import Tokenizer
from miniclip.model.clip import CLIP, create_model
from miniclip.model.vit import resize_positions
from miniclip.weights import convert
from miniclip.weights.convert import initial_state, load, save_openclip
from tests.model.numbers import batch
from tests.rounding import tower_error
from tests.shared import must_refuse
from tests.weights.models import (
    openclip_config,
    our_checkpoint,
    refused,
    same_weights,
    tiny_release,
    write,
)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return create_model("vit_mini", vocab_size=520).eval()


@pytest.mark.parametrize("activation", ["gelu", "quickgelu"])
def test_our_own_checkpoint_brings_its_activation_and_its_tokenizer(tmp_path, activation):
    """The tokenizer in it counts, whatever its config says of one."""
    model = create_model("rn_mini", vocab_size=520, activation=activation)
    config = model.config
    before = {k: v for k, v in config.items() if k != "tokenizer"}  # as long as it was no key
    for model.config in (config | {"tokenizer": "openai"}, before, config):
        tokenizer = our_checkpoint(model, tmp_path / "c.pt")
        loaded, its, preprocess = miniclip.load(tmp_path / "c.pt")
        assert loaded.config == config | {"tokenizer": tokenizer.digest}
    assert same_weights(model, loaded) and not loaded.training
    assert its.encode("a red cup") == tokenizer.encode("a red cup")
    assert preprocess(Image.new("RGB", (60, 50))).shape == (3, 48, 48)
    other = "gelu" if activation == "quickgelu" else "quickgelu"
    refused(tmp_path / "c.pt", f"trained with {activation}", other, activation=other)


class Both(torch.nn.Module):
    """What OpenAI traced: both towers in one archive, the weights flat at its top."""

    def __init__(self, model):
        super().__init__()
        for name, child in model.named_children():
            setattr(self, name, child)
        for name, parameter in model.named_parameters(recurse=False):
            setattr(self, name, parameter)
        for name in ("input_resolution", "context_length", "vocab_size"):
            self.register_buffer(name, torch.tensor(1))

    def encode_image(self, images):
        return self.visual(images)

    def encode_text(self, tokens):
        return CLIP.encode_text(self, tokens)


def openai_file(model, path):
    size = model.config["image_size"]
    tokens = torch.ones(1, model.config["context_length"], dtype=torch.int64)
    inputs = {"encode_image": torch.randn(1, 3, size, size), "encode_text": tokens}
    traced = torch.jit.trace_module(Both(model), inputs, check_trace=False)
    torch.jit.save(traced.half(), path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name, activation, size",
    [
        ("rn_tiny", "quickgelu", 520),
        ("rn_tiny", "gelu", 520),
        pytest.param("vit_b32", "quickgelu", 49408, marks=pytest.mark.slow),
    ],
)
def test_an_archive_in_openai_format_tells_whether_its_activation_is_quickgelu(
    tmp_path, name, activation, size, monkeypatch
):
    tiny_release(monkeypatch)
    model = create_model(name, vocab_size=size, activation=activation).eval()
    with torch.no_grad():  # numbers that half precision keeps, so that equality is exact
        for p in model.parameters():
            p.copy_(p.half().float())
    path = openai_file(model, tmp_path / "model.pt")
    if activation == "gelu":
        refused(path, "give --activation quickgelu", "activation='quickgelu'")
    else:
        refused(path, "trained with quickgelu", activation="gelu")
    loaded, tokenizer, _ = load(path, activation=activation)
    assert same_weights(model.float(), loaded)
    vocabulary = {"tokenizer": None if size == 520 else "openai"}  # of 520 tokens nothing is known
    assert loaded.config == model.config | vocabulary


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@torch.no_grad()
def test_what_save_openclip_writes_loads_in_open_clip(tmp_path, suffix):
    open_clip = pytest.importorskip("open_clip")
    model, path = create_model("rn50").eval(), tmp_path / f"w{suffix}"
    name = save_openclip(model, path)
    assert name == "RN50-quickgelu"
    theirs = open_clip.create_model(name, pretrained=str(path)).eval()
    images, tokens = batch(model, 2)
    for found, want in zip(theirs(images, tokens), model(images, tokens)):
        error = (found - want).norm() / want.norm()
        assert error <= tower_error(model, torch.float32), f"{error:.1e}"


def test_save_openclip_refuses_what_open_clip_has_no_config_for(tmp_path, small):
    with torch.device("meta"):
        wide = create_model("vit_b32", context_length=32, vocab_size=600)
    for model in (small, wide):
        must_refuse("open_clip has no config", save_openclip, model, tmp_path / "w.pt")
    assert not list(tmp_path.iterdir())


def test_a_model_of_another_vocabulary_is_exported_only_on_request(tmp_path, monkeypatch):
    """Else open_clip feeds it the ids of the released vocabulary without an error."""
    monkeypatch.setattr(convert, "RELEASED_TOKENS", 520)
    model, path = tiny_release(monkeypatch), tmp_path / "w.pt"
    model.config["tokenizer"] = "ab" * 32
    must_refuse("a vocabulary of its own .*abab.* any_tokenizer=True", save_openclip, model, path)
    assert not path.exists()
    assert save_openclip(model, path, any_tokenizer=True) == "Tiny-quickgelu"
    loaded, tokenizer, _ = load(path)
    assert same_weights(model, loaded) and loaded.config == model.config
    must_refuse("a vocabulary of its own .520 tokens, sha256 abab", tokenizer, ["a heart"])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("activation", ["gelu", "quickgelu"])
def test_what_save_openclip_writes_tells_its_config(tmp_path, suffix, activation, monkeypatch):
    model, path = tiny_release(monkeypatch), tmp_path / f"w{suffix}"
    model.config |= dict(activation=activation, checkpointing=True, name="another")
    assert save_openclip(model, path) == "Tiny" + "-quickgelu" * (activation == "quickgelu")
    loaded, _, _ = load(path)
    assert same_weights(model, loaded)
    assert loaded.config == model.config | dict(checkpointing=False, name="rn_tiny")
    other = "quickgelu" if activation == "gelu" else "gelu"
    refused(path, f"trained with {activation}, and activation='{other}'", activation=other)


def test_open_clip_files_need_an_activation(tmp_path, monkeypatch):
    model = tiny_release(monkeypatch)
    state = model.state_dict()
    runs = [  # as DDP, and as DDP of Lightning's module of torch.compile's
        {"epoch": 3, "state_dict": {prefix + k: v for k, v in state.items()}}
        for prefix in ("module.", "module.model._orig_mod.")
    ]
    half = {k: v.half() if v.ndim else v for k, v in state.items()}
    save_file(state, tmp_path / "w.safetensors")
    paths = (
        tmp_path / "w.safetensors",
        *(write(tmp_path / f"w{k}.pt", run) for k, run in enumerate(runs)),
        write(tmp_path / "h.pt", half),
    )
    for path in paths:
        refused(path, "activation")
        refused(path, "relu", "quickgelu or gelu", activation="relu")
        loaded, _, _ = load(path, activation="gelu")
        assert {p.dtype for p in loaded.parameters()} == {torch.float32}
        assert path.stem == "h" or same_weights(model, loaded)
        assert loaded.config == model.config | dict(activation="gelu")
    for activation in ("quickgelu", "gelu"):
        beside = openclip_config(model.config | dict(activation=activation))
        (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": beside}))
        for path in paths:
            assert load(path)[0].config == model.config | dict(activation=activation)


@pytest.mark.parametrize("tokens, vocabulary", [(520, "openai"), (521, None)])
def test_a_file_with_as_many_tokens_as_the_released_models_has_their_vocabulary(
    tokens, vocabulary, tmp_path, monkeypatch
):
    monkeypatch.setattr(convert, "RELEASED_TOKENS", 520)
    monkeypatch.setattr(Tokenizer, "openai", lambda: Tokenizer.train(["a b"], 520))
    path = write(tmp_path / "w.pt", tiny_release(monkeypatch, tokens).state_dict())
    model, tokenizer, _ = load(path, activation="gelu")
    assert model.config["tokenizer"] == vocabulary
    if vocabulary:
        assert tokenizer(["a b"]).shape == (1, 12), "the texts are cut to the model's context"
    else:
        must_refuse("a vocabulary of its own .521 tokens", tokenizer, ["a b"])


def test_numbers_that_openai_kept_beside_the_weights_and_counters_that_are_missing(
    tmp_path, monkeypatch
):
    model = tiny_release(monkeypatch)
    state = {k: v for k, v in model.state_dict().items() if "num_batches" not in k}
    for name in ("input_resolution", "context_length", "vocab_size"):
        state[name] = torch.tensor(7)
    with torch.device("meta"):  # as after torch.set_default_device in a notebook
        loaded, _, _ = load(write(tmp_path / "w.pt", state), activation="gelu")
    assert same_weights(model, loaded)
    assert loaded.visual.bn1.num_batches_tracked.dtype == torch.int64


def test_positions_are_interpolated_to_another_image_size(tmp_path, small):
    resnet = create_model("rn_mini", vocab_size=520)
    for model, size in ((resnet, 64), (small, 96), (small, 32)):
        our_checkpoint(model, tmp_path / "c.pt")
        loaded, _, _ = load(tmp_path / "c.pt", image_size=size)
        assert loaded.config["image_size"] == size
        assert loaded.encode_image(batch(loaded, 2)[0]).isfinite().all()
    refused(tmp_path / "c.pt", "do not tile", image_size=65)
    our_checkpoint(objectives.create("captioning", "rn_mini", vocab_size=520), tmp_path / "c.pt")
    assert load(tmp_path / "c.pt", image_size=64)[0].config["image_size"] == 64  # has no positions


def test_positions_of_16_bits_are_interpolated_in_32_and_a_model_may_be_loaded_for_inference(
    tmp_path, small
):
    with torch.inference_mode():  # the model can be trained, and used elsewhere
        our_checkpoint(copy.deepcopy(small).bfloat16(), tmp_path / "c.pt")
        loaded = load(tmp_path / "c.pt", image_size=96)[0]
    want = resize_positions(small.visual.positional_embedding.bfloat16().float(), 6)
    assert torch.equal(loaded.visual.positional_embedding, want)
    loaded.encode_image(batch(loaded, 2)[0]).sum().backward()


def test_a_run_starts_from_the_weights_of_a_file_perhaps_for_pictures_of_another_size(tmp_path):
    """Texts and activation stay the file's."""
    how = dict(vocab_size=520, image_size=32, activation="gelu", context_length=20)
    model, path = create_model("vit_mini", **how), tmp_path / "c.pt"
    tokenizer = our_checkpoint(model, path)
    found, own = initial_state(path), model.config | {"tokenizer": tokenizer.digest}
    assert (found["config"], found["tokenizer"]) == (own, tokenizer.state())
    assert all(torch.equal(x, found["model"][name]) for name, x in model.state_dict().items())
    found = initial_state(path, "vit_mini")
    assert found["config"] == own | dict(image_size=64)
    differ = [n for n, x in model.state_dict().items() if x.shape != found["model"][n].shape]
    assert differ == ["visual.positional_embedding"]
    must_refuse(
        "other towers than --model rn_mini: its vision_layers", initial_state, path, "rn_mini"
    )

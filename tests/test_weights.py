"""Weights go in and out unchanged, and a file that is not what it should be is refused in words."""

import json
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

import miniclip
from miniclip import checkpoint
from miniclip.bpe import Tokenizer
from miniclip.clip import MODELS, create_model
from miniclip.recognise import OPENCLIP, config_from_shapes, with_heads_of_released
from miniclip.weights import load, save_openclip

LIGHT = "rn50"  # with fewer tokens and pixels: half of the smallest released model


def light(**overrides):
    return create_model(LIGHT, **dict(vocab_size=520, context_length=8, image_size=32) | overrides)


@pytest.fixture(scope="module")
def big():
    torch.manual_seed(0)
    return create_model("rn50").eval()


@pytest.fixture(scope="module")
def slim():
    torch.manual_seed(0)
    return light().eval()


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return create_model("vit_mini", vocab_size=520).eval()


def features(model, size=224, vocab=49408):
    torch.manual_seed(1)
    images = torch.randn(2, 3, size, size)
    tokens = torch.randint(1, vocab - 1, (2, len(model.positional_embedding)))
    tokens[:, -1] = vocab - 1
    with torch.no_grad():
        return torch.cat([model.encode_image(images), model.encode_text(tokens)])


def same_weights(model, other):
    a, b = model.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def shell(name, **overrides):
    """A model's tensors without memory: only names and shapes."""
    with torch.device("meta"):
        return create_model(name, **overrides).state_dict()


def write(path, content):
    torch.save(content, path)
    return path


def refused(path, *words, **options):
    """The one sentence that load refuses the file with; it must name `words`."""
    before = torch.get_rng_state()
    with pytest.raises(ValueError) as caught:
        load(path, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 500, sentence
    for word in (str(path), *words):
        assert word in sentence, f"{word!r} is not in {sentence!r}"
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", OPENCLIP)
def test_the_shapes_tell_the_released_model(name):
    config = with_heads_of_released("file", config_from_shapes("file", shell(name)))
    want = {**MODELS[name], "vision_patch": MODELS[name].get("vision_patch"), "vocab_size": 49408}
    assert config == {k: v for k, v in want.items() if k != "activation"} | {"name": name}


def our_checkpoint(model, path):
    tokenizer = Tokenizer.train(["a red heart", "a red cup"], model.config["vocab_size"])
    state = dict(model=model.state_dict(), config=model.config, tokenizer=tokenizer.state(), step=3)
    checkpoint.save(path, state)
    return tokenizer


@pytest.mark.parametrize("activation", ["gelu", "quickgelu"])
def test_our_own_checkpoint_brings_its_activation_and_its_tokenizer(tmp_path, activation):
    model = create_model("rn_mini", vocab_size=520, activation=activation)
    tokenizer = our_checkpoint(model, tmp_path / "c.pt")
    loaded, its, preprocess = miniclip.load(tmp_path / "c.pt")
    assert same_weights(model, loaded) and not loaded.training
    assert loaded.config == model.config
    assert its.encode("a red cup") == tokenizer.encode("a red cup")
    from PIL import Image

    assert preprocess(Image.new("RGB", (60, 50))).shape == (3, 48, 48)


def test_a_checkpoint_keeps_its_activation_against_another_wish(tmp_path):
    our_checkpoint(create_model("rn_mini", vocab_size=520), tmp_path / "c.pt")
    refused(tmp_path / "c.pt", "quickgelu", "'gelu'", activation="gelu")


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


def openai_file(model, path):
    size = model.config["image_size"]
    inputs = {"encode_image": torch.randn(1, 3, size, size)}
    traced = torch.jit.trace_module(Both(model), inputs, check_trace=False)
    torch.jit.save(traced.half(), path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [LIGHT, pytest.param("vit_b32", marks=pytest.mark.slow)])
def test_an_archive_in_openai_format_loads_as_quickgelu(tmp_path, name):
    torch.manual_seed(0)
    model = (light() if name == LIGHT else create_model(name)).eval()
    with torch.no_grad():  # numbers that half precision keeps, so that equality is exact
        for p in model.parameters():
            p.copy_(p.half().float())
    path = openai_file(model, tmp_path / "model.pt")
    model.float()
    loaded, tokenizer, _ = load(path)
    assert same_weights(model, loaded)
    assert loaded.config == model.config and loaded.config["activation"] == "quickgelu"
    if name != LIGHT:
        assert tokenizer("a heart").shape == (1, 77)
    refused(path, "quickgelu", activation="gelu")


@pytest.mark.filterwarnings("ignore")
def test_an_archive_that_calls_gelu_says_so(tmp_path):
    path = tmp_path / "traced.pt"
    model = create_model(
        "vit_b32", vocab_size=520, context_length=8, image_size=32, activation="gelu"
    )
    openai_file(model, path)
    assert load(path)[0].config["activation"] == "gelu"


@pytest.mark.filterwarnings("ignore")
def test_an_archive_whose_code_would_run_on_loading_is_refused(tmp_path):
    class Trap(torch.nn.Module):
        def forward(self, x):
            return x

        @torch.jit.export
        def __getstate__(self):
            return (torch.ones(1), self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]):
            torch.save(state[0], "sprung")
            self.training = state[1]

    torch.jit.save(torch.jit.script(Trap()), tmp_path / "trap.pt")
    refused(tmp_path / "trap.pt", "__setstate__")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_save_openclip_writes_loads_in_open_clip_and_here(tmp_path, big, suffix):
    open_clip = pytest.importorskip("open_clip")
    path = tmp_path / f"w{suffix}"
    name = save_openclip(big, path)
    assert name == "RN50-quickgelu"
    loaded, _, _ = load(path)
    assert same_weights(big, loaded) and loaded.config == big.config
    theirs = open_clip.create_model(name, pretrained=str(path)).eval()
    error = (features(theirs) - features(big)).norm() / features(big).norm()
    assert error < 1e-5, f"{error:.1e}"


def test_save_openclip_refuses_what_open_clip_has_no_config_for(tmp_path, small):
    wide = dict(context_length=32, vocab_size=600)
    with torch.device("meta"):
        others = [create_model("vit_b32", **wide), create_model("vit_b32", image_size=256)]
    for model in (small, *others):
        with pytest.raises(ValueError, match="open_clip has no config"):
            save_openclip(model, tmp_path / "w.pt")
    assert not list(tmp_path.iterdir())


def test_open_clip_files_need_an_activation(tmp_path, slim):
    state = slim.state_dict()
    save_file(state, tmp_path / "w.safetensors")
    write(
        tmp_path / "w.pt", {"epoch": 3, "state_dict": {"module." + k: v for k, v in state.items()}}
    )
    for name in ("w.safetensors", "w.pt"):
        path = tmp_path / name
        refused(path, "activation")
        refused(path, "relu", "quickgelu or gelu", activation="relu")
        loaded, _, _ = load(path, activation="gelu")
        assert same_weights(slim, loaded) and loaded.config["activation"] == "gelu"
    for quick, activation in ((True, "quickgelu"), (False, "gelu")):
        beside = {"embed_dim": 1024, "quick_gelu": quick, "vision_cfg": {"image_size": 32}}
        beside["text_cfg"] = {"heads": 8}
        (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": beside}))
        assert load(tmp_path / "w.safetensors")[0].config == slim.config | dict(
            activation=activation
        )
    for bad in ("{", "{}", '{"vision_cfg": {"timm_pool": "avg"}, "text_cfg": {}}', "[1]"):
        (tmp_path / "open_clip_config.json").write_text(bad)
        with pytest.raises(ValueError, match="open_clip_config.json describes no model"):
            load(tmp_path / "w.safetensors")


def test_a_config_beside_the_file_brings_heads_that_shapes_do_not_tell(tmp_path, small):
    save_file(small.state_dict(), tmp_path / "w.safetensors")
    refused(tmp_path / "w.safetensors", "heads", activation="quickgelu")
    vision = {"image_size": 64, "layers": 4, "width": 128, "patch_size": 16, "head_width": 32}
    text = {"context_length": 32, "vocab_size": 520, "width": 128, "heads": 4, "layers": 2}
    config = {"embed_dim": 128, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    loaded, tokenizer, _ = load(tmp_path / "w.safetensors")
    assert torch.equal(features(loaded, 64, 520), features(small, 64, 520))
    with pytest.raises(ValueError, match="520 tokens"):
        tokenizer(["a heart"])


def test_positions_are_interpolated_to_another_image_size(tmp_path, small):
    our_checkpoint(small, tmp_path / "c.pt")
    for size in (64, 96, 32):
        model, _, _ = load(tmp_path / "c.pt", image_size=size)
        assert model.config["image_size"] == size
        assert features(model, size, 520).isfinite().all()
    refused(tmp_path / "c.pt", "multiple of 16", image_size=65)
    resnet = create_model("rn_mini", vocab_size=520)
    our_checkpoint(resnet, tmp_path / "r.pt")
    model, _, _ = load(tmp_path / "r.pt", image_size=64)
    assert features(model, 64, 520).isfinite().all()


def test_without_a_merges_file_the_model_still_loads(tmp_path, big, monkeypatch):
    def missing(path=None):
        raise ValueError("there is no merges file")

    monkeypatch.setattr(Tokenizer, "openai", missing)
    save_openclip(big, tmp_path / "w.pt")
    model, tokenizer, _ = load(tmp_path / "w.pt")
    assert same_weights(big, model)
    for use in (
        lambda: tokenizer(["x"]),
        lambda: tokenizer.encode("x"),
        lambda: tokenizer.vocab_size,
    ):
        with pytest.raises(ValueError, match="no merges file"):
            use()


def test_malformed_files_are_refused_in_one_sentence(tmp_path, small):
    good = write(tmp_path / "good.pt", small.state_dict()).read_bytes()
    save_file(small.state_dict(), tmp_path / "good.safetensors")
    safe = (tmp_path / "good.safetensors").read_bytes()
    our_checkpoint(small, tmp_path / "ours.pt")
    ours = (tmp_path / "ours.pt").read_bytes()
    refused(tmp_path / "nowhere.pt", "no weights file")
    for i, data in enumerate(
        [b"", b"hello", b"PK\x03\x04", good[:100], good[: len(good) // 2], good[:-30],
         safe[:40], safe[: len(safe) // 2], ours[: len(ours) // 2], pickle.dumps({"a": 1})[:5]]
    ):  # fmt: skip
        path = tmp_path / f"bad{i}.pt"
        path.write_bytes(data)
        refused(path, "cannot be read", activation="gelu")
    (tmp_path / "bad.safetensors").write_bytes(safe[:-8])
    refused(tmp_path / "bad.safetensors", "cannot be read", activation="gelu")
    for content in ([1, 2], {"a": 1}, "text", torch.ones(3), {"state_dict": {"a": [1]}}):
        refused(write(tmp_path / "odd.pt", content), "no weights", activation="gelu")
    damaged = {"format": "miniclip", "version": 1}
    for content in (damaged, damaged | {"version": "x"}, damaged | {"config": {}, "model": 3},
                    damaged | {"version": 99, "config": small.config}):  # fmt: skip
        refused(write(tmp_path / "odd.pt", content), "no checkpoint that can be read")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """(path, bytes) of the smallest checkpoint there is."""
    path = tmp_path_factory.mktemp("tiny") / "c.pt"
    numbers = dict(vision_layers=1, text_layers=1, vision_width=32, text_width=32, image_size=32)
    model = create_model("vit_mini", vocab_size=520, context_length=4, embed_dim=8, **numbers)
    our_checkpoint(model, path)
    return path, path.read_bytes()


@given(data=st.data())
def test_a_file_damaged_anywhere_loads_or_is_refused_in_one_sentence(tiny, data):
    path, good = tiny
    bad = bytearray(good[: data.draw(st.one_of(st.just(len(good)), st.integers(0, len(good))))])
    places = st.one_of(st.integers(0, 4000), st.integers(len(good) - 6000, len(good) - 1))
    for place in data.draw(st.lists(places, max_size=5)):
        if place < len(bad):
            bad[place] ^= 0xFF
    path.write_bytes(bad)
    try:
        load(path)
    except ValueError as error:
        assert "\n" not in str(error) and str(path) in str(error)


def test_a_mismatch_names_the_tensor_what_was_found_and_what_was_expected(tmp_path, slim, small):
    state, path = slim.state_dict(), tmp_path / "w.pt"

    def changed(**changes):
        new = {**state, **changes}
        return write(path, {k: v for k, v in new.items() if v is not None})

    ask = dict(activation="quickgelu")
    name = "visual.layer1.0.conv2.weight"
    changed(**{name: torch.ones(3, 3)})
    refused(path, name, "(3, 3)", "(64, 64, 3, 3)", "rn50", **ask)
    changed(**{name: None})
    refused(path, name, "missing", "(64, 64, 3, 3)", **ask)
    changed(**{"visual.extra": torch.ones(2)})
    refused(path, "visual.extra", "(2,)", "nothing", **ask)
    changed(token_embedding=None, **{"token_embedding.weight": None})
    refused(path, "token_embedding.weight", "missing", **ask)
    changed(text_projection=torch.ones(()))
    refused(path, "text_projection", "()", **ask)
    changed(**{"visual.attnpool.positional_embedding": torch.ones(49, 2048)})
    refused(path, "visual.attnpool.positional_embedding", **ask)
    changed(**{"visual.bn1.num_batches_tracked": None})
    load(path, **ask)  # files of older torch have no such counters, and nothing depends on them
    ours = dict(model=slim.state_dict(), config=small.config)
    ours["tokenizer"] = Tokenizer.train(["a b"], 520).state()
    checkpoint.save(path, ours)
    refused(path, "positional_embedding", "(8, 512)", "(32, 128)", "vit_mini")


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Bomb:
        def __reduce__(self):
            return (open, ("sprung", "w"))

    for i, content in enumerate(
        [Bomb(), {"state_dict": Bomb()}, {"format": "miniclip", "x": Bomb()}]
    ):
        write(tmp_path / f"{i}.pt", content)
        (tmp_path / f"{i}.pkl").write_bytes(pickle.dumps(content))
        for suffix in ("pt", "pkl"):
            refused(tmp_path / f"{i}.{suffix}", "more than tensors")
    assert not (tmp_path / "sprung").exists()

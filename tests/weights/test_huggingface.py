"""CLIP of transformers is read and written with equal features; other folders are refused."""

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from miniclip.bpe import Tokenizer
from miniclip.common import UserError
from miniclip.model.clip import MODELS, OPENCLIP, create_model
from miniclip.weights import huggingface, save_huggingface
from miniclip.weights.convert import load
from tests.shared import must_refuse
from tests.weights.models import refused, same_weights, write_tokenizer

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

pytestmark = pytest.mark.numerics
TEXTS = ["a red heart", "a red cup and a blue cup"]
# as laion's ViT-H/14: heads of 5/4 of the usual width, and towers that differ in depth
SHAPES = {
    "text_config": dict(
        vocab_size=540,
        bos_token_id=538,
        eos_token_id=539,
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=12,
    ),
    "vision_config": dict(
        image_size=32,
        patch_size=8,
        hidden_size=60,
        intermediate_size=240,
        num_hidden_layers=3,
        num_attention_heads=3,
    ),
}


def theirs(act="quick_gelu", text=(), vision=(), embed=24):
    """A small CLIPModel of transformers, with random numbers in every tensor."""
    parts = {key: {**part, "hidden_act": act} for key, part in SHAPES.items()}
    parts["text_config"] |= dict(text)
    parts["vision_config"] |= dict(vision)
    return filled(transformers.CLIPConfig(projection_dim=embed, **parts))


def filled(config):
    torch.manual_seed(0)
    model = transformers.CLIPModel(config).eval()
    for name, p in model.named_parameters():  # its biases start at 0, its gains at 1
        if p.ndim == 1:
            torch.nn.init.normal_(p, mean=float(p.detach().mean()), std=0.1)
    return model


def batch(model, n=3):
    """Pictures, and texts of several lengths, padded with end tokens as transformers does."""
    size, text = model.config.vision_config.image_size, model.config.text_config
    g = torch.Generator().manual_seed(1)
    tokens = torch.randint(1, text.vocab_size - 2, (n, text.max_position_embeddings), generator=g)
    for row, length in zip(tokens, (4, 7, len(tokens[0]) - 1)):
        row[length:] = text.vocab_size - 1
    return torch.randn(n, 3, size, size, generator=g), tokens


def apart(model, ours):
    """The larger relative distance of the two models' unit features, in norm."""
    images, tokens = batch(model)
    with torch.no_grad():
        want = model(input_ids=tokens, pixel_values=images)
        pairs = zip((want.image_embeds, want.text_embeds), ours(images, tokens))
    return max(((a - b).norm() / a.norm()).item() for a, b in pairs)


def from_pretrained(folder):
    """CLIPModel of transformers, which must miss no tensor, and find none that is not its own."""
    model, info = transformers.CLIPModel.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model.eval()


def saved(model, folder):
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def small():
    return theirs()


@pytest.fixture
def folder(small, tmp_path):
    return saved(small, tmp_path / "hf")


def edit(folder, name="config.json", **parts):
    """Change a JSON file: keys of it, or of its parts where the value is a dict."""
    whole = json.loads((folder / name).read_text())
    for key, value in parts.items():
        old = whole.get(key)
        whole[key] = (
            {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        )
    (folder / name).write_text(json.dumps(whole))


# --- in and out


@pytest.mark.parametrize("act, ours", [("quick_gelu", "quickgelu"), ("gelu", "gelu")])
def test_features_equal_transformers_both_ways(tmp_path, act, ours):
    model = theirs(act)
    loaded, _, preprocess = load(saved(model, tmp_path / "in"))
    assert loaded.config["activation"] == ours and not loaded.training
    assert apart(model, loaded) < 1e-5
    save_huggingface(loaded, tmp_path / "out")
    back = from_pretrained(tmp_path / "out")
    assert same_weights(model, back)
    assert apart(back, loaded) < 1e-5
    text = back.config.text_config
    assert (text.bos_token_id, text.eos_token_id, text.pad_token_id) == (538, 539, 539)
    assert back.config.vision_config.hidden_act == act
    made = transformers.CLIPImageProcessor.from_pretrained(tmp_path / "out")
    assert made.size["shortest_edge"] == made.crop_size["height"] == 32
    grey = Image.new("RGB", (60, 50), "grey")
    pixels = torch.as_tensor(made(grey)["pixel_values"][0])
    torch.testing.assert_close(pixels, preprocess(grey), rtol=0, atol=1e-5)


def released_config(name, act):
    """transformers' config of a model of MODELS."""
    m = MODELS[name]
    towers = {
        f"{side}_config": dict(
            hidden_size=m[f"{side}_width"],
            intermediate_size=4 * m[f"{side}_width"],
            num_hidden_layers=m[f"{side}_layers"],
            num_attention_heads=m[f"{side}_heads"],
            hidden_act=act,
        )
        for side in ("text", "vision")
    }
    towers["vision_config"] |= dict(image_size=m["image_size"], patch_size=m["vision_patch"])
    return transformers.CLIPConfig(projection_dim=m["embed_dim"], **towers)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, act",
    [(name, act) for name in OPENCLIP if "vit" in name for act in ("quick_gelu", "gelu")],
)
def test_features_of_the_released_sizes_equal_transformers_both_ways(tmp_path, name, act):
    """OpenAI's with quick_gelu, laion's with gelu."""
    model = filled(released_config(name, act))
    model.save_pretrained(tmp_path / "in")
    loaded, tokenizer, _ = load(tmp_path / "in")
    assert loaded.config["name"] == name and loaded.config["tokenizer"] == tokenizer.digest
    assert apart(model, loaded) < 1e-5
    del model
    save_huggingface(loaded, tmp_path / "out")
    assert apart(from_pretrained(tmp_path / "out"), loaded) < 1e-5


def test_each_layout_of_files_gives_the_same_model(small, tmp_path):
    state = small.state_dict()
    want = load(saved(small, tmp_path / "hf"))[0]
    assert same_weights(want, load(tmp_path / "hf/model.safetensors")[0])
    whole = tmp_path / "bin/pytorch_model.bin"
    small.config.save_pretrained(whole.parent)
    positions = torch.arange(9)[None]  # a buffer that older versions of transformers saved
    torch.save(state | {"text_model.embeddings.position_ids": positions}, whole)
    small.save_pretrained(tmp_path / "several", max_shard_size="40KB")
    index = tmp_path / "several/model.safetensors.index.json"
    assert index.is_file()
    for path in (whole, index):
        assert same_weights(want, load(path)[0]) and same_weights(want, load(path.parent)[0]), path


def test_half_precision_is_read_as_float32_of_the_same_numbers_and_written_as_it_is(
    small, tmp_path
):
    half = copy.deepcopy(small).half()
    model, _, _ = load(saved(half, tmp_path / "half"))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert apart(copy.deepcopy(half).float(), model) < 1e-5
    save_huggingface(model.half(), tmp_path / "out")
    back = transformers.CLIPModel.from_pretrained(tmp_path / "out", torch_dtype="auto")
    assert back.dtype == torch.float16 and same_weights(back, half)
    model.float().logit_scale.data = model.logit_scale.data.half()  # the others stay as they are
    save_huggingface(model, tmp_path / "out", overwrite=True)
    assert json.loads((tmp_path / "out/config.json").read_text())["torch_dtype"] == "float32"


def test_old_configs_have_the_tower_twice_and_eos_2(small, folder):
    """As OpenAI's and laion's files from before transformers 4.31: text_config_dict counts more."""
    want = load(folder)[0].config
    text = json.loads((folder / "config.json").read_text())["text_config"]
    old = {**text, "eos_token_id": 2, "bos_token_id": 0}
    edit(folder, text_config={**old, "hidden_act": "relu"}, text_config_dict=old)
    edit(folder, vision_config_dict=None)
    assert load(folder)[0].config == want
    assert apart(from_pretrained(folder), load(folder)[0]) < 1e-5


# --- what is refused


CONFIGS = {
    "siglip": (dict(model_type="siglip"), "'siglip', not 'clip'"),
    "chinese": (dict(model_type="chinese_clip"), "'chinese_clip'"),
    "one tower": (dict(model_type="clip_vision_model"), "'clip_vision_model'"),
    "g/14": (
        dict(vision_config=dict(hidden_size=1408, intermediate_size=6144)),
        "6144, not 4 times 1408",
    ),
    "mixed": (dict(text_config=dict(hidden_act="gelu")), "'gelu' and 'quick_gelu'"),
    "a text": (dict(vision_config=dict(hidden_size="64")), "must be whole numbers, not"),
    "relu": (
        dict(text_config=dict(hidden_act="relu"), vision_config=dict(hidden_act="relu")),
        "'relu'",
    ),
    "norm": (dict(vision_config=dict(layer_norm_eps=1e-6)), "layer_norm_eps is 1e-06"),
    "dropout": (dict(text_config=dict(attention_dropout=0.1)), "attention_dropout is 0.1"),
    "channels": (dict(vision_config=dict(num_channels=4)), "4 channels"),
    "heads": (dict(vision_config=dict(num_attention_heads=7)), "60 cannot be split among 7"),
    "patch": (dict(vision_config=dict(patch_size=7)), "patches of 7"),
    "list": (dict(vision_config=dict(num_hidden_layers=[1, 2])), "vision_layers is [1, 2]"),
    "endless": (dict(vision_config=dict(num_hidden_layers=10**9)), "vision_layers is 1000000000"),
    "wide": (dict(projection_dim=10**30), "embed_dim is 1000"),
    "null": (dict(vision_config=dict(image_size=None)), "image_size is a NoneType"),
    "eos": (dict(text_config=dict(eos_token_id=7)), "eos_token_id 7", "539"),
    "deep": (dict(text_config=dict(num_hidden_layers=3)), "layers.2", "is missing"),
    "shallow": (dict(text_config=dict(num_hidden_layers=1)), "layers.1", "expected nothing"),
    "narrow": (dict(projection_dim=25), "text_projection.weight has shape (24, 32)", "(25, 32)"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_of_another_model_is_refused_in_one_sentence(folder, case):
    change, *words = CONFIGS[case]
    edit(folder, **change)
    refused(folder, *words)


def test_a_damaged_folder_is_refused_in_one_sentence(small, folder):
    weights, state = folder / "model.safetensors", small.state_dict()
    name = "vision_model.encoder.layers.1.self_attn.k_proj.bias"
    for changed, *words in (
        ({k: v for k, v in state.items() if k != name}, f"{name} is missing"),
        (state | {"text_model.extra": torch.ones(2)}, "text_model.extra", "nothing of this name"),
        (
            state | {"visual_projection.weight": torch.ones(60, 24)},
            "visual_projection.weight has shape (60, 24), expected (24, 60)",
        ),
    ):
        save_file(changed, weights)
        refused(folder, *words)
    for path, words in (
        (folder / "config.json", "no config.json beside it"),
        (weights, "holds none of model.saf"),
    ):
        path.unlink()
        refused(folder, words)


def test_a_damaged_index_is_refused_in_one_sentence(small, folder):
    (folder / "model.safetensors").unlink()
    index, home = folder / "model.safetensors.index.json", "model-00001-of-00002.safetensors"
    save_file(small.state_dict(), folder / home)
    contents = {"list.bin": [1], "number.bin": 1, "text.bin": "logit", "tensor.bin": torch.ones(3)}
    for name, content in contents.items():
        torch.save(content, folder / name)
    strange = (
        "../model.safetensors",
        "/etc/passwd",
        index.name,
        "",
        3,
        None,
        ["a.bin"],
    )
    for home_of_logit, *words in (
        ("model-00002-of-00002.safetensors", "no weights file", "00002-of-00002"),
        (home, "names a file for logit that does not hold it"),
        *((name, "it should hold a dict of tensors by name") for name in contents),
        *((elsewhere, "is no index of weights") for elsewhere in strange),
    ):
        homes = dict.fromkeys(small.state_dict(), home) | {"logit": home_of_logit}
        index.write_text(json.dumps({"weight_map": homes}))
        refused(folder, *words)


def test_what_a_config_leaves_out_is_as_transformers_has_it():
    whole = json.loads(transformers.CLIPConfig().to_json_string(use_diff=False))
    assert huggingface._from_json({"model_type": "clip"}) == huggingface._from_json(whole)


def test_a_tokenizer_may_have_fewer_tokens_than_the_model_and_not_more(folder):
    assert load(folder)[0].config["tokenizer"] is None  # without one nothing is known of it
    texts = [*TEXTS, "the quick brown fox jumps over a lazy dog"] * 9
    for size, words in ((520, ""), (540, ""), (541, "540 tokens, and its tokenizer has 541")):
        write_tokenizer(Tokenizer.train(texts, size), folder, 12)
        edit(folder, text_config={"eos_token_id": size - 1})
        if words:
            refused(folder, words)
        else:
            model, tokenizer, _ = load(folder)
            assert model.config["tokenizer"] == tokenizer.digest and tokenizer.vocab_size == size


PREPROCESSORS = {
    "mean": (dict(image_mean=[0.5, 0.5, 0.5]), "image_mean is [0.5, 0.5, 0.5]"),
    "deviation": (dict(image_std=[0.5] * 3), "image_std"),
    "size": (dict(size={"shortest_edge": 64}), "size is {'shortest_edge': 64}", "32"),
    "squashed": (dict(size={"height": 32, "width": 32}), "size is {'height': 32"),
    "crop": (dict(crop_size=31), "crop_size is 31"),
    "bilinear": (dict(resample=2), "resample is 2"),
    "whole": (dict(do_center_crop=False), "do_center_crop is False"),
    "odd": (dict(image_mean="red"), "asks for pictures"),
    **{
        f"scale {scale}": (dict(rescale_factor=scale), "rescale_factor is")
        for scale in (0.004, 1 / 256, 0.00383, None, "x")
    },
}


@pytest.mark.parametrize("case", PREPROCESSORS)
@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json"])
def test_other_pictures_are_refused_in_one_sentence(folder, case, name):
    own = {"size": 32, "crop_size": 32, "do_resize": True}  # as older files write it
    asked, *words = PREPROCESSORS[case]
    for content in (own, own | asked):
        nested = {"image_processor": content} if name.startswith("processor") else content
        (folder / name).write_text(json.dumps(nested))
        if content == own:
            load(folder, image_size=48)
    refused(folder, name, *words)


JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
)


@settings(max_examples=15)
@given(data=st.data())
def test_a_folder_changed_anywhere_loads_or_is_refused_in_one_sentence(hostile, data):
    folder, good = hostile
    for name, text in good.items():
        (folder / name).write_text(text)
    name = data.draw(st.sampled_from(sorted(good)))
    if data.draw(st.booleans()):
        cut = data.draw(st.integers(0, len(good[name])))
        (folder / name).write_text(good[name][:cut])
    else:
        part = whole = json.loads(good[name])
        while True:
            key = data.draw(st.sampled_from(sorted(part)))
            if not isinstance(part[key], dict) or not part[key] or data.draw(st.booleans()):
                break
            part = part[key]
        part[key] = data.draw(JSON)
        (folder / name).write_text(json.dumps(whole))
    try:
        load(folder)
    except UserError as error:
        assert "\n" not in str(error) and str(folder) in str(error)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """(a folder with every file that load reads, {name of a JSON file: its text})."""
    model, folder = theirs(), tmp_path_factory.mktemp("hostile") / "hf"
    model.save_pretrained(folder)
    out = folder.parent / "out"
    save_huggingface(load(folder)[0], out, Tokenizer.train(TEXTS * 9, 540))
    (out / "model.safetensors").rename(out / "part.safetensors")
    homes = dict.fromkeys(model.state_dict(), "part.safetensors")
    (out / "model.safetensors.index.json").write_text(json.dumps({"weight_map": homes}))
    return out, {path.name: path.read_text() for path in out.glob("*.json")}


def test_what_transformers_has_not_got_is_not_written(folder, tmp_path):
    model, tokenizer, out = load(folder)[0], Tokenizer.train(TEXTS * 9, 540), tmp_path / "out"
    resnet, small = create_model("rn_mini", vocab_size=540), tokenizer.vocab_size - 1
    for wrong, changes, its, words in (
        (resnet, {}, None, "has no ResNet, so this rn_mini"),
        (model, dict(tokenizer="ab" * 32), None, "a vocabulary of its own .*abab"),
        (model, dict(tokenizer="ab" * 32), tokenizer, "another vocabulary"),
        (model, dict(tokenizer=None, vocab_size=small), tokenizer, "another vocabulary"),
    ):
        wrong.config |= changes
        must_refuse(words, save_huggingface, wrong, out, its)
        assert not out.exists()


def test_a_folder_with_files_that_would_be_read_beside_the_new_ones_is_not_written_to(
    folder, tmp_path
):
    model, tokenizer = load(folder)[0], Tokenizer.train(TEXTS * 9, 540)
    out = tmp_path / "out"
    save_huggingface(model, out, tokenizer)
    for name, its in (
        ("vocab.json", None),
        ("tokenizer.json", tokenizer),
        ("model.safetensors.index.json", tokenizer),
    ):
        (out / name).write_text("{}")
        must_refuse(
            f"holds {name}, which would be read beside",
            save_huggingface,
            model,
            out,
            its,
            overwrite=True,
        )
        (out / name).unlink()

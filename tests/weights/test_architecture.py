"""The architecture of a file: from shapes, from the released models, or from a config beside it."""

import json

import pytest
import torch

from miniclip import create_model
from miniclip.common import UserError
from miniclip.data.transforms import MEAN
from miniclip.model.clip import MODELS
from miniclip.weights.architecture import (
    OPENCLIP,
    config_beside,
    config_from_shapes,
    released,
    with_heads_of_released,
)


def shell(name, **overrides):
    """A model without memory."""
    with torch.device("meta"):
        return create_model(name, **overrides)


UNKNOWN = ("vision_heads", "text_heads", "activation", "checkpointing", "name", "tokenizer")


@pytest.mark.parametrize(
    "name, overrides",
    [
        ("rn_mini", {}),
        ("rn_mini", dict(vision_layers=[2, 1], image_size=40)),
        ("rn50", dict(vision_layers=[1, 2, 12, 1])),
        ("vit_mini", {}),
        ("vit_mini", dict(vision_layers=11, text_layers=3, vision_patch=8, image_size=8)),
    ],
)
def test_shapes_tell_all_but_heads_and_activation(name, overrides):
    model = shell(name, vocab_size=520, **overrides)
    wanted = {k: v for k, v in model.config.items() if k not in UNKNOWN}
    assert config_from_shapes("w.pt", model.state_dict()) == wanted


def test_a_tensor_that_is_missing_or_has_other_dimensions_is_named():
    state = shell("rn_mini", vocab_size=520).state_dict()
    for name in ("token_embedding.weight", "visual.conv3.weight", "text_projection"):
        rest = {key: x for key, x in state.items() if key != name}
        for changed, words in (
            (rest, f"w.pt holds no CLIP that miniclip knows: {name} is missing"),
            (rest | {name: torch.empty(7)}, f"{name} has shape .7,., expected . dimensions"),
        ):
            with pytest.raises(UserError, match=words):
                config_from_shapes("w.pt", changed)


def test_a_released_model_has_its_numbers_whatever_its_activation():
    config = MODELS["vit_l14_336"] | dict(vocab_size=49408, activation="gelu")
    assert released(config) == "vit_l14_336"
    for change in (dict(vocab_size=49409), dict(context_length=76), dict(image_size=448)):
        assert released(config | change) is None
        assert released(config | change, but=change) is not None
    assert released(MODELS["rn_mini"]) is None


@pytest.mark.parametrize("name", OPENCLIP)
def test_heads_are_those_of_the_released_model_of_these_shapes(name):
    config = with_heads_of_released("w.pt", config_from_shapes("w.pt", shell(name).state_dict()))
    assert config | MODELS[name] == config | {"activation": "quickgelu"}
    assert config["name"] == name and config["vocab_size"] == 49408


def test_heads_of_other_texts_or_picture_sizes_are_those_of_the_nearest_released_model():
    shapes = {k: v for k, v in MODELS["vit_l14_336"].items() if "heads" not in k}
    for change, name in (
        (dict(vocab_size=99, context_length=5), "vit_l14_336"),
        (dict(image_size=448), "vit_l14"),
    ):
        found = with_heads_of_released("w.pt", shapes | change)
        assert (found["vision_heads"], found["text_heads"], found["name"]) == (16, 12, name)
    with pytest.raises(UserError, match=r"no released model \(vision width 999, layers 24\)"):
        with_heads_of_released("w.pt", shapes | dict(vision_width=999))


@pytest.mark.parametrize("name, channels", [("vit_mini", 128), ("rn_mini", 512)])
def test_a_config_beside_the_file_tells_heads_size_and_activation(name, channels, tmp_path):
    """open_clip's defaults count where it says nothing, and a mean that is only rounded is CLIP's."""
    state, path = shell(name, vocab_size=520).state_dict(), tmp_path / "w.pt"
    assert config_beside(path, state) is None
    shapes, near = config_from_shapes(path, state), [MEAN[0] + 5e-5, *MEAN[1:]]
    plain = dict(vision_heads=channels // 64, text_heads=8, activation="gelu", name=None)
    sized = dict(vision_heads=channels // 32, activation="quickgelu")
    vision = dict(head_width=32, image_size=shapes["image_size"], timm_pool="")
    for mean in (None, [], list(MEAN), near):
        for told, quick, towers in ((plain, None, {}), (plain | sized, True, vision)):
            whole = dict(quick_gelu=quick, vision_cfg=towers, text_cfg={})
            whole["preprocess_cfg"] = dict(mean=mean)
            (tmp_path / "open_clip_config.json").write_text(json.dumps(whole))
            assert config_beside(path, state) == shapes | told


SIZES = [("model", "embed_dim", "embed_dim")]
SIZES += [("vision_cfg", key, f"vision_{key}") for key in ("layers", "width")]
SIZES += [("vision_cfg", "patch_size", "vision_patch"), ("vision_cfg", "image_size", "image_size")]
SIZES += [("text_cfg", key, f"text_{key}") for key in ("layers", "width")]
SIZES += [("text_cfg", key, key) for key in ("vocab_size", "context_length")]


@pytest.mark.parametrize("name", ["vit_mini", "rn_mini"])
@pytest.mark.parametrize("part, key, ours", SIZES, ids=[ours for *_, ours in SIZES])
def test_a_config_beside_the_file_has_the_sizes_of_the_weights(name, part, key, ours, tmp_path):
    """An open_clip_config.json of another model would bring heads and an activation that are wrong."""
    state, path = shell(name, vocab_size=520).state_dict(), tmp_path / "w.pt"
    own = config_from_shapes(path, state)[ours]
    for value in (own, 2 * own if own else 16):
        whole = dict(quick_gelu=True, vision_cfg={}, text_cfg={})
        whole.get(part, whole)[key] = value
        (tmp_path / "open_clip_config.json").write_text(json.dumps(whole))
        if value == own:
            config_beside(path, state)
        else:
            with pytest.raises(UserError, match=f"of another model than w.pt: its {ours} is"):
                config_beside(path, state)

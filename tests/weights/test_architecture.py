"""The architecture of a file: from shapes, from the released models, or from a config beside it."""

import json

import pytest
import torch

from miniclip import create_model
from miniclip.common import UserError
from miniclip.data.transforms import MEAN
from miniclip.model.clip import MODELS, OPENCLIP
from miniclip.weights.architecture import config_from_shapes, config_of, released


def weights(name, **overrides):
    """(the config of a model, its state dict without memory)."""
    with torch.device("meta"):
        model = create_model(name, **overrides)
    return model.config, model.state_dict()


def beside(folder, state, **config):
    """The config of weights beside an open_clip_config.json."""
    whole = dict(vision_cfg={}, text_cfg={}) | config
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    return config_of(folder / "w.pt", state)


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
    config, state = weights(name, vocab_size=520, **overrides)
    wanted = {k: v for k, v in config.items() if k not in UNKNOWN}
    assert config_from_shapes("w.pt", state) == wanted


def test_a_released_model_has_its_numbers_whatever_its_activation():
    config = MODELS["vit_l14_336"] | dict(vocab_size=49408, activation="gelu")
    assert released(config) == "vit_l14_336" and released(MODELS["rn_mini"]) is None
    for change in (dict(vocab_size=49409), dict(context_length=76), dict(image_size=448)):
        assert released(config | change) is None is not released(config | change, but=change)


@pytest.mark.parametrize("name", OPENCLIP)
def test_heads_are_those_of_the_released_model_of_these_shapes(name):
    found = config_of("w.pt", weights(name)[1])
    assert found | MODELS[name] | dict(name=name) == found | {"activation": "quickgelu"}


def test_heads_of_other_texts_or_picture_sizes_are_those_of_the_nearest_released_model():
    for change, name in (
        (dict(vocab_size=99, context_length=5), "vit_l14_336"),
        (dict(image_size=448), "vit_l14"),
    ):
        found = config_of("w.pt", weights("vit_l14_336", **change)[1])
        assert (found["vision_heads"], found["text_heads"], found["name"]) == (16, 12, name)
    with pytest.raises(UserError, match=r"no released model \(vision width 2048, layers 24\)"):
        config_of("w.pt", weights("vit_l14_336", vision_width=2048)[1])


@pytest.mark.parametrize("name, channels", [("vit_mini", 128), ("rn_mini", 512)])
def test_a_config_beside_the_file_tells_heads_size_and_activation(name, channels, tmp_path):
    """open_clip's defaults count where it says nothing, and a mean that is only rounded is CLIP's."""
    _, state = weights(name, vocab_size=520)
    shapes = config_from_shapes("w.pt", state)
    plain = dict(vision_heads=channels // 64, text_heads=8, activation="gelu", name=None)
    sized = dict(vision_heads=channels // 32, activation="quickgelu")
    vision = dict(head_width=32, image_size=shapes["image_size"], timm_pool="")
    for mean in (None, [], list(MEAN), [MEAN[0] + 5e-5, *MEAN[1:]]):
        asked = dict(preprocess_cfg=dict(mean=mean))
        assert beside(tmp_path, state, **asked) == shapes | plain
        found = beside(tmp_path, state, quick_gelu=True, vision_cfg=vision, **asked)
        assert found == shapes | plain | sized


SIZES = [("vision_cfg", key, f"vision_{key}") for key in ("layers", "width")]
SIZES += [("vision_cfg", "patch_size", "vision_patch"), ("vision_cfg", "image_size", "image_size")]
SIZES += [("text_cfg", key, f"text_{key}") for key in ("layers", "width")]
SIZES += [("text_cfg", key, key) for key in ("vocab_size", "context_length")]


@pytest.mark.parametrize("name", ["vit_mini", "rn_mini"])
def test_a_config_beside_the_file_has_the_sizes_of_the_weights(name, tmp_path):
    """An open_clip_config.json of another model would bring heads and an activation that are wrong."""
    own, state = weights(name, vocab_size=520)
    for part, key, ours in SIZES:
        beside(tmp_path, state, **{part: {key: own[ours]}})
        with pytest.raises(UserError, match=f"of another model than w.pt: its {ours} is"):
            beside(tmp_path, state, **{part: {key: 2 * own[ours] if own[ours] else 16}})
    with pytest.raises(UserError, match="of another model than w.pt: its embed_dim is 9"):
        beside(tmp_path, state, embed_dim=9)

"""The architecture of a file: that of a released model, or of a config beside it."""

import json

import pytest
import torch

from miniclip import create_model
from miniclip.data.transforms import MEAN
from miniclip.model.clip import MODELS, OPENCLIP
from miniclip.weights.architecture import TOWERS, config_of, released
from tests.shared import must_refuse
from tests.weights.models import openclip_config


def weights(name, **overrides):
    """(the config of a model, its state dict without memory)."""
    with torch.device("meta"):
        model = create_model(name, **overrides)
    return model.config, model.state_dict()


def test_a_released_model_has_its_numbers_whatever_its_activation():
    config = MODELS["vit_l14_336"] | dict(vocab_size=49408, activation="gelu")
    assert released(config) == "vit_l14_336" and released(MODELS["rn_mini"]) is None
    for change in (dict(vocab_size=49409), dict(context_length=76), dict(image_size=448)):
        assert released(config | change) is None


@pytest.mark.parametrize("name", OPENCLIP)
def test_heads_are_those_of_the_released_model_of_these_shapes(name):
    found = config_of("w.pt", weights(name)[1])
    assert found | MODELS[name] | dict(name=name) == found | {"activation": "quickgelu"}


def test_heads_of_other_texts_or_picture_sizes_are_those_of_the_nearest_released_model():
    for change, name in (
        (dict(vocab_size=99, context_length=5), "vit_l14_336"),
        (dict(image_size=448), "vit_l14"),
    ):
        config, state = weights("vit_l14_336", **change)
        found = config_of("w.pt", state)
        assert found == {key: config[key] for key in found} | dict(name=name, activation=None)
    must_refuse(
        "no released model .*'vision_width': 2048",
        config_of,
        "w.pt",
        weights("vit_l14_336", vision_width=2048)[1],
    )


@pytest.mark.parametrize("name", ["vit_mini", "rn_mini", "vit_b16", "rn50"])
def test_a_config_beside_the_file_tells_all_numbers(name, tmp_path):
    """open_clip's defaults count where it says nothing, and a mean that is only rounded is CLIP's."""
    config, whole = weights(name)[0], {}
    for whole["model_cfg"] in (
        openclip_config(config),
        openclip_config(config, dict(timm_pool="")),
    ):
        for mean in (None, [], list(MEAN), [MEAN[0] + 5e-5, *MEAN[1:]]):
            whole["preprocess_cfg"] = dict(mean=mean)
            (tmp_path / "open_clip_config.json").write_text(json.dumps(whole))
            found = config_of(tmp_path / "w.pt", {})
            wanted = {key: config[key] for key in found}
            assert found == wanted | dict(name=name if name in OPENCLIP else None)


def test_open_clips_defaults_are_its_own():
    model = pytest.importorskip("open_clip.model")
    theirs = dict(vision_cfg=model.CLIPVisionCfg(), text_cfg=model.CLIPTextCfg())
    for tower, ours in TOWERS.items():
        assert {key: getattr(theirs[tower], key) for key in ours} == ours

"""The architecture of a file: from shapes, from the released models, or from a config beside it."""

import json

import pytest
import torch

from miniclip import create_model
from miniclip.common import UserError
from miniclip.data.transforms import MEAN
from miniclip.model.clip import MODELS
from miniclip.weights.architecture import (
    config_beside,
    config_from_shapes,
    must_be_clip,
    must_match,
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


def test_a_tower_without_blocks_or_cells_has_none():
    state = shell("vit_mini", vocab_size=520).state_dict()
    state = {name: x for name, x in state.items() if "resblocks" not in name}
    state["visual.positional_embedding"] = torch.empty(1, 128)
    config = config_from_shapes("w.pt", state)
    assert (config["text_layers"], config["vision_layers"], config["image_size"]) == (0, 0, 16)


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


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (dict(b=None), "f: b is missing, expected (3,) for this vit_mini"),
        (dict(a=torch.empty(3)), "f: a has shape (3,), expected (2,) for this vit_mini"),
        (
            dict(z=torch.empty(1), c=torch.empty(4)),
            "f: c has shape (4,), expected nothing of this name for this vit_mini",
        ),
        (dict(a=None, c=torch.empty(1)), "f: a is missing, expected (2,) for this vit_mini"),
    ],
)
def test_the_first_tensor_that_does_not_match_is_named(changes, sentence):
    want = dict(a=torch.empty(2), b=torch.empty(3))
    must_match("f", dict(want), want)
    state = {name: x for name, x in (want | changes).items() if x is not None}
    with pytest.raises(UserError) as caught:
        must_match("f", state, want, "vit_mini")
    assert str(caught.value) == sentence
    with pytest.raises(UserError, match="for this model$"):
        must_match("f", state, want)


def test_only_clip_itself_is_written_for_others():
    model = shell("rn_mini")
    must_be_clip(model)
    for option, value in (("objective", "sigmoid"), ("projection", "mlp")):
        model.config = {option: value}
        with pytest.raises(UserError, match=f"trained with --{option} {value}"):
            must_be_clip(model)


def test_a_released_model_has_its_numbers_whatever_its_activation():
    config = MODELS["vit_l14_336"] | dict(vocab_size=49408, activation="gelu")
    assert released(config) == "vit_l14_336"
    for change in (dict(vocab_size=49409), dict(context_length=76), dict(image_size=448)):
        assert released(config | change) is None
        assert released(config | change, but=change) is not None
    assert released(MODELS["rn_mini"]) is None


def test_heads_are_those_of_the_released_model_of_this_size_or_of_another_one():
    shapes = {k: v for k, v in MODELS["vit_l14_336"].items() if "heads" not in k}
    for change, name in (
        ({}, "vit_l14_336"),
        (dict(vocab_size=99, context_length=5), "vit_l14_336"),
        (dict(image_size=448), "vit_l14"),
    ):
        found = with_heads_of_released("w.pt", shapes | change)
        assert (found["vision_heads"], found["text_heads"], found["name"]) == (16, 12, name)
    with pytest.raises(UserError) as caught:
        with_heads_of_released("w.pt", shapes | dict(vision_width=999))
    assert str(caught.value).startswith(
        "w.pt has the shapes of no released model (vision width 999, layers 24), so its heads are"
    )


@pytest.fixture
def beside(tmp_path):
    """(state, the open_clip_config.json beside it, or None) -> config_beside."""

    def read(state, whole):
        if whole is not None:
            (tmp_path / "open_clip_config.json").write_text(json.dumps(whole))
        return config_beside(tmp_path / "w.pt", state)

    return read


@pytest.mark.parametrize("name, channels", [("vit_mini", 128), ("rn_mini", 512)])
def test_a_config_beside_the_file_tells_heads_size_and_activation(name, channels, beside):
    state = shell(name, vocab_size=520).state_dict()
    assert beside(state, None) is None
    plain = beside(state, dict(vision_cfg={}, text_cfg={}))
    assert (plain["vision_heads"], plain["text_heads"]) == (
        channels // 64,
        8,
    )  # open_clip's default
    assert plain["activation"] == "gelu" and plain["image_size"] == MODELS[name]["image_size"]
    assert plain["name"] is None and plain.items() >= config_from_shapes("w.pt", state).items()
    model = dict(
        quick_gelu=True,
        vision_cfg=dict(head_width=32, image_size=96, timm_pool=""),
        text_cfg=dict(heads=8),
    )
    told = beside(state, dict(model_cfg=model))
    assert (told["vision_heads"], told["text_heads"]) == (channels // 32, 8)
    assert told["activation"] == "quickgelu" and told["image_size"] == 96


def test_a_config_beside_the_file_that_asks_for_more_is_refused(beside):
    state = shell("vit_mini", vocab_size=520).state_dict()
    plain = dict(vision_cfg={}, text_cfg={})
    near = [MEAN[0] + 5e-5, *MEAN[1:]]
    for mean in (None, [], list(MEAN), near):
        assert beside(state, plain | dict(preprocess_cfg=dict(mean=mean)))
    for change, words in (
        (dict(vision_cfg=dict(pool_type="avg")), "miniclip has no pool_type = 'avg'"),
        (dict(text_cfg=dict(hf_model="x")), "miniclip has no hf_model = 'x'"),
        (dict(preprocess_cfg=dict(mean=[0.5, *MEAN[1:]])), "mean is .0.5, 0.4.*, and CLIP's is"),
    ):
        with pytest.raises(UserError, match=f"describes no model of miniclip's: .*{words}"):
            beside(state, plain | change)

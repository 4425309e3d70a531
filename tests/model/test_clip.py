"""The models are those of the paper: their sizes, and open_clip's features and training curve."""

import json

import numpy as np
import pytest
import torch

import miniclip
from miniclip.loss import clip_loss
from miniclip.model.clip import CLIP, MODELS, OPENCLIP, create_model
from miniclip.training import checkpoint
from miniclip.training.recipe import parameter_groups
from miniclip.weights import reading
from tests.model.numbers import as_if_trained, assert_same_gradients, batch, gradients
from tests.rounding import rounding, tower_error
from tests.shared import python

pytestmark = pytest.mark.numerics

PARAMETERS = {
    "rn50": 102_007_137,
    "rn101": 119_688_033,
    "rn50x4": 178_300_601,
    "rn50x16": 290_979_217,
    "rn50x64": 623_258_305,
    "vit_b32": 151_277_313,
    "vit_b16": 149_620_737,
    "vit_l14": 427_616_513,
    "vit_l14_336": 427_944_193,
}
SMALL = dict(
    embed_dim=32,
    image_size=64,
    vision_width=16,
    text_width=64,
    text_heads=1,
    text_layers=2,
    vocab_size=50,
    context_length=10,
)


def shell(name, **options):
    """A model without memory: names and shapes only."""
    with torch.device("meta"):
        return create_model(name, **options)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameter_count_is_the_released_one(name):
    assert sum(p.numel() for p in shell(name).parameters()) == PARAMETERS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_features_equal_open_clip_with_the_same_weights(name):
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(0)
    theirs = open_clip.create_model(OPENCLIP[name] + "-quickgelu").eval()
    for key, tensor in theirs.state_dict().items():  # as if trained: nothing is 0 or 1 any more
        if "bn" in key and key.endswith(("weight", "running_var")):
            tensor.uniform_(0.5, 1)
        elif key.endswith(("bias", "running_mean")):
            tensor.normal_(std=0.02)
    ours = shell(name).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images, tokens = batch(ours, 2)
    with torch.no_grad():
        both = ours(images, tokens), theirs(images, tokens)
    for a, b in zip(*both):
        same_features(a, b, ours)
    for wrong in (0, 1):  # one percent is seen
        with pytest.raises(AssertionError):
            same_features(1.01 * both[0][wrong], both[1][wrong], ours)


def same_features(a, b, model):
    error, allowed = (a - b).norm() / b.norm(), tower_error(model, torch.float32)
    assert error <= allowed, f"{error:.1e} > {allowed:.1e}"


def loss_of(image, text, scale):
    """Figure 3 of the paper."""
    return clip_loss(image, text, scale.log())


def twins(layers):
    """A small model and open_clip's with the same weights."""
    open_clip = pytest.importorskip("open_clip")
    patch = 16 if layers == 2 else None
    torch.manual_seed(0)
    heads = 1 if patch else 8
    ours = CLIP(**SMALL, vision_layers=layers, vision_patch=patch, vision_heads=heads)
    head = 16 if patch else 64
    vision = dict(layers=layers, width=16, patch_size=patch, image_size=64, head_width=head)
    text = dict(context_length=10, vocab_size=50, width=64, heads=1, layers=2)
    theirs = open_clip.CLIP(32, quick_gelu=True, vision_cfg=vision, text_cfg=text)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


@pytest.mark.parametrize("layers", [2, [1, 1, 1, 1]], ids=["vit", "resnet"])
def test_gradients_equal_open_clip_s(layers):
    models = [as_if_trained(model.double()) for model in twins(layers)]
    images, tokens = batch(models[0], 8, dtype=torch.float64)
    for model in models:
        loss_of(*model(images, tokens)).backward()
    assert_same_gradients(*map(gradients, models))


@pytest.mark.parametrize(
    "layers", [2, pytest.param([1, 1, 1, 1], marks=pytest.mark.slow)], ids=["vit", "resnet"]
)
def test_thirty_steps_follow_open_clip(layers):
    losses, models = [], twins(layers)
    for model in models:
        # float64: AdamW and batch norm magnify rounding, in float32 past 1e-4 with some threads
        model.double().train()
        groups = parameter_groups(model, 0.2)
        optimizer = torch.optim.AdamW(groups, lr=5e-4, betas=(0.9, 0.98), eps=1e-6)
        curve = []
        for step in range(30):
            images, tokens = batch(models[0], 8, seed=step % 5, dtype=torch.float64)
            loss = loss_of(*model(images, tokens))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        losses.append(torch.tensor(curve, dtype=torch.float64))
    assert losses[0][-5:].mean() < losses[0][:5].mean() - 0.3, "the loss did not fall"
    # 1e-16, of which AdamW makes whole steps of 5e-4 where a gradient is about zero, 30 times
    apart = (losses[0] - losses[1]).abs().max()
    assert apart < 1e-6, f"{apart:.1e}"


@pytest.mark.parametrize("name", ["rn_mini", "vit_mini"])
@pytest.mark.parametrize("autocast", [True, False])
@torch.no_grad()
def test_half_precision_and_autocast_run(name, autocast):
    torch.manual_seed(0)
    model = create_model(name, vocab_size=50).eval()
    images, tokens = batch(model, 4)
    want = torch.cat(model(images, tokens)[:2])
    # every layer rounds its weights and what it writes, once
    layers = sum(not list(m.children()) for m in model.modules())
    if not autocast:
        model.bfloat16()
        images = images.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = torch.cat(model(images, tokens)[:2])
    assert autocast or found.dtype == model.dtype == torch.bfloat16
    assert (found - want).norm() <= rounding(torch.bfloat16, 2 * layers) * want.norm()


@pytest.mark.parametrize("name", ["rn_mini", "vit_mini"])
def test_both_towers_checkpoint_with_one_argument(name):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = create_model(name, vocab_size=50, checkpointing=checkpointing)
        flags = [m.checkpointing for m in model.modules() if hasattr(m, "checkpointing")]
        assert flags == [checkpointing] * 2  # one in each tower
        loss_of(*model(*batch(model, 4))).backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients))


def test_it_starts_at_the_temperature_of_the_paper():
    model = create_model("rn_mini", vocab_size=50)
    *_, scale = model(*batch(model, 2))
    assert abs(scale.item() * 0.07 - 1) < 1e-5 and model.logit_scale.shape == ()


@pytest.mark.parametrize("name", MODELS)
def test_the_config_makes_the_same_model_again(name):
    model = shell(name)
    with torch.device("meta"):
        again = CLIP(**model.config)
    assert again.config == model.config and model.config["name"] == name


def test_a_config_without_what_later_versions_added_is_that_of_the_released_models():
    added = ("vocab_size", "context_length", "activation", "checkpointing", "name", "tokenizer")
    config = shell("vit_b32").config
    with torch.device("meta"):
        again = CLIP(**{key: value for key, value in config.items() if key not in added})
    assert again.config == config | {"name": None}


def test_values_of_numpy_become_plain_ones_in_the_config():
    one, more = np.int64(1), dict(checkpointing=np.bool_(True), activation=np.str_("gelu"))
    sizes = dict(vocab_size=1000 * one, image_size=96 * one, text_width=np.array(128))
    model = shell("rn_mini", vision_layers=(one, one), **sizes, **more)
    assert json.loads(json.dumps(model.config)) == model.config
    assert {type(x) for x in model.config.values()} <= {int, str, bool, list, type(None)}
    assert model.config["vision_layers"] == [1, 1] and model.config["vocab_size"] == 1000


def test_the_model_for_icons_is_the_one_in_the_package():
    released = checkpoint.load(reading.find("icons"))["config"]
    own = shell("rn_icons", vocab_size=released["vocab_size"], tokenizer=released["tokenizer"])
    assert own.config == released


def test_importing_miniclip_imports_nothing_heavy():
    code = "import miniclip, sys; assert 'torch' not in sys.modules"
    python("-c", code)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        miniclip.nothing

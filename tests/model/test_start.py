"""How weights start, as the released models did, and which numbers and inputs are refused."""

import pytest
import torch

from miniclip.model.attnpool import AttentionPool
from miniclip.model.blurpool import BlurPool
from miniclip.model.clip import create_model
from miniclip.model.resnet import Bottleneck, ResNet
from miniclip.model.text import TextTransformer
from miniclip.model.transformer import Transformer
from miniclip.model.vit import ViT, resize_positions

pytestmark = pytest.mark.numerics

PROJECTIONS = [f"{name}.weight" for name in ("q_proj", "k_proj", "v_proj", "c_proj")]
# the tower: (what makes it, {parameter: standard deviation})
STARTS = {
    "attention pool": (
        lambda: AttentionPool(7, 512, 8, 256),
        dict.fromkeys([*PROJECTIONS, "positional_embedding"], 512**-0.5),
    ),
    "text": (  # its blocks as GPT-2's, scaled by the width: the ends of 2 x 8 branches are smaller
        lambda: TextTransformer(256, 256, 8, 4, 2000),
        {
            "token_embedding.weight": 0.02,
            "positional_embedding": 0.01,
            "text_projection": 256**-0.5,
            "transformer.resblocks.0.attn.in_proj_weight": 256**-0.5,
            "transformer.resblocks.0.attn.out_proj.weight": 256**-0.5 / 4,
            "transformer.resblocks.7.mlp.c_fc.weight": (2 * 256) ** -0.5,
            "transformer.resblocks.7.mlp.c_proj.weight": 256**-0.5 / 4,
        },
    ),
    "ViT": (
        lambda: ViT(128, 224, 16, 256, 2, 4),
        {
            "positional_embedding": 256**-0.5,
            "proj": 256**-0.5,
            # torch's own defaults: Xavier for the packed projection, uniform of width 2 / sqrt(fan in)
            "transformer.resblocks.0.attn.in_proj_weight": (2 / (256 + 3 * 256)) ** 0.5,
            "transformer.resblocks.0.attn.out_proj.weight": (3 * 256) ** -0.5,
            "transformer.resblocks.0.mlp.c_fc.weight": (3 * 256) ** -0.5,
            "transformer.resblocks.1.mlp.c_proj.weight": (3 * 1024) ** -0.5,
            "conv1.weight": (3 * 3 * 16 * 16) ** -0.5,
        },
    ),
}


@pytest.mark.parametrize("tower", STARTS)
def test_weights_start_with_the_released_sizes(tower):
    torch.manual_seed(0)
    make, sizes = STARTS[tower]
    model = make()
    for name, std in sizes.items():
        found = model.get_parameter(name)
        assert abs(found.std() - std) < 0.03 * std, f"{name}: {found.std():.4f}, want {std:.4f}"
        assert abs(found.mean()) < 0.03 * std, name


def test_a_resnet_starts_with_the_released_sizes():
    torch.manual_seed(0)
    for name, parameter in ResNet(64, 64, [1, 1, 1, 2], 32, 16).named_parameters():
        if name.startswith("layer") and name.endswith("bn3.weight"):  # each block is its shortcut
            assert (parameter == 0).all(), name
        elif parameter.ndim == 4:  # torch's default for a convolution
            bound = parameter[0].numel() ** -0.5
            assert 0.9 * bound < parameter.abs().max() <= bound, name
            assert abs(parameter.std() * 3**0.5 - bound) < 0.1 * bound, name
        elif "bn" in name or "downsample.1" in name:
            assert (parameter == (1.0 if name.endswith("weight") else 0.0)).all(), name


def tokens(*shape):
    ids, tower = torch.ones(shape, dtype=torch.long), TextTransformer(6, 16, 1, 4, 100, 12)
    return lambda: tower.encode_text(ids)


REFUSED = [
    (lambda: AttentionPool(3, 16, 4, 6)(torch.zeros(1, 16, 3, 4)), "3x3 cells, not 3x4"),
    (lambda: AttentionPool(3, 16, 5, 4), "a width of 16 cannot be split among 5 heads"),
    (lambda: Transformer(16, 1, 5, "gelu"), "a width of 16 cannot be split among 5 heads"),
    (lambda: Transformer(16, 1, 4, "relu"), "must be quickgelu or gelu, not 'relu'"),
    (lambda: ResNet(6, 40, [1, 1, 1], 8, 4), "multiple of 16, not 40"),
    (lambda: ViT(6, 9, 4, 16, 1, 4), "do not tile"),
    (lambda: ViT(6, 8, 4, 16, 1, 4)(torch.zeros(1, 3, 12, 12)), r"must be \(N, 3, 8, 8\)"),
    *((lambda n=n: resize_positions(torch.zeros(n, 4), 2), "a square") for n in (0, 1, 3, 4, 9)),
    *((tokens(*shape), "with L from 1 to 12") for shape in ((2, 13), (2, 0), (12,), (1, 2, 3))),
    (lambda: create_model("ViT-B-33"), "there are rn50, rn101"),
    *(
        (lambda n=name, how=how: create_model(n, **how), "a ViT has a number of layers and a patch")
        for name, how in (
            ("rn_mini", dict(vision_patch=16)),
            ("rn_mini", dict(vision_layers=4)),
            ("vit_mini", dict(vision_patch=None)),
            ("vit_mini", dict(vision_layers=[1, 1])),
            ("vit_mini", dict(vision_layers=(1, 1))),
        )
    ),
    (lambda: create_model("rn50", image_size=0), "image_size .*whole number from 1"),
    (lambda: create_model("rn50", vision_layers=[3, 257]), "vision_layers .*from 1 to 256"),
    (lambda: create_model("vit_b32", vision_patch=2.0), "vision_patch .*whole number"),
    (lambda: create_model("rn50", activation=1.5), "activation cannot be 1.5"),
]


@pytest.mark.parametrize("make, words", REFUSED)
def test_what_cannot_be_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_new_block_is_its_shortcut():
    block, x = Bottleneck(32, 8).eval(), torch.randn(2, 32, 6, 6)
    assert torch.equal(block(x), x.relu()) and block.downsample is None
    block, x = Bottleneck(32, 8, stride=2).eval(), torch.randn(2, 32, 6, 6)
    assert torch.equal(block(x), block.downsample(BlurPool()(x)).relu())

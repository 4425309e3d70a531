"""CLIP: a picture tower and a text tower with one output space (CLIP, figure 3 and section 2.4).

Each picture and each caption becomes a vector of E numbers. Training makes the two vectors of a
pair point in the same direction, and the vectors of different pairs in different directions.
Left out: the loss (miniclip/loss.py), and the ResNets and ViTs that the paper does not train.
"""

import contextlib
import math

import torch
from torch import nn

from miniclip.common import checked, described, refuse
from miniclip.model.resnet import ResNet
from miniclip.model.text import TextTransformer
from miniclip.model.vit import ViT


def _released(embed_dim, image_size, layers, width, text_width, patch=None):
    """The config of a released model. patch: the patch size of a ViT, or None for a ResNet.

    Every attention head has 64 channels: in the text tower, in a ViT, and in the attention pool of
    a ResNet, which is 32 times as wide as the stem.
    """
    return dict(
        embed_dim=embed_dim,
        image_size=image_size,
        vision_layers=layers,
        vision_width=width,
        vision_heads=width // 64 if patch else 32 * width // 64,
        vision_patch=patch,
        text_width=text_width,
        text_heads=text_width // 64,
        text_layers=12,
        context_length=77,
        activation="quickgelu",
    )


_SMALL_TEXT = dict(
    text_width=128, text_layers=2, text_heads=4, context_length=32, activation="quickgelu"
)


def _icons(width, text_width):
    """The config of a ResNet for drawings of 32 x 32 pixels, whose captions are short names."""
    return dict(
        embed_dim=128,
        image_size=32,
        vision_layers=[1, 1, 1],
        vision_width=width,
        vision_heads=8,
        **_SMALL_TEXT | dict(text_width=text_width, context_length=24),
    )


MODELS = {
    "rn50": _released(1024, 224, [3, 4, 6, 3], 64, 512),
    "rn101": _released(512, 224, [3, 4, 23, 3], 64, 512),
    "rn50x4": _released(640, 288, [4, 6, 10, 6], 80, 640),
    "rn50x16": _released(768, 384, [6, 8, 18, 8], 96, 768),
    "rn50x64": _released(1024, 448, [3, 15, 36, 10], 128, 1024),
    "vit_b32": _released(512, 224, 12, 768, 512, patch=32),
    "vit_b16": _released(512, 224, 12, 768, 512, patch=16),
    "vit_l14": _released(768, 224, 24, 1024, 768, patch=14),
    "vit_l14_336": _released(768, 336, 24, 1024, 768, patch=14),
    # these are not in the paper: they are small enough to be trained on two CPU cores
    "rn_mini": dict(
        embed_dim=128,
        image_size=48,
        vision_layers=[1, 1, 1],
        vision_width=16,
        vision_heads=8,
        **_SMALL_TEXT,
    ),
    "rn_icons_xs": _icons(8, 48),
    "rn_icons": _icons(24, 128),
    "vit_mini": dict(
        embed_dim=128,
        image_size=64,
        vision_layers=4,
        vision_width=128,
        vision_heads=4,
        vision_patch=16,
        **_SMALL_TEXT,
    ),
}

# the released models' names in OpenAI's package -> their names here
OPENAI = {
    "RN50": "rn50",
    "RN101": "rn101",
    "RN50x4": "rn50x4",
    "RN50x16": "rn50x16",
    "RN50x64": "rn50x64",
    "ViT-B/32": "vit_b32",
    "ViT-B/16": "vit_b16",
    "ViT-L/14": "vit_l14",
    "ViT-L/14@336px": "vit_l14_336",
}
# our names -> open_clip's names, which end in -quickgelu for models with QuickGELU
OPENCLIP = {ours: name.replace("/", "-").replace("@336px", "-336") for name, ours in OPENAI.items()}
ALIASES = OPENAI | {name: ours for ours, name in OPENCLIP.items()}

# the largest value that each number of a config may have; the released models are far below
LARGEST = {
    "embed_dim": 1 << 14,
    "image_size": 1 << 12,  # pixels per side of the pictures that preprocess makes
    "vision_layers": 256,
    "vision_width": 1 << 14,
    "vision_heads": 1 << 10,
    "vision_patch": 1 << 12,
    "text_width": 1 << 14,
    "text_layers": 256,
    "text_heads": 1 << 10,
    "vocab_size": 1 << 20,
    "context_length": 1 << 14,  # positions of a text; also the limit for a picture's patches
}
MOST_WEIGHTS = 1 << 33  # 34 GB; the released models have up to 6e8
# The types of the other entries of a config. An entry that is in neither table may be a text, a
# whole number or None.
TYPES = dict.fromkeys(("name", "tokenizer"), (str, type(None))) | {"checkpointing": bool}


def pictures(images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Pictures in the dtype of a model's weights. Raises UserError unless they are a float tensor
    (N, 3, H, W)."""
    refuse(
        {
            "pictures must be floats (N, 3, H, W), such as stacked results of preprocess, and not "
            f"{described(images)}": (
                not torch.is_tensor(images)
                or not images.is_floating_point()
                or images.ndim != 4
                or images.shape[1] != 3
            )
        }
    )
    return images.to(dtype)


class CLIP(TextTransformer):
    """Two towers, two projections, one temperature. The arguments are those of a MODELS entry.

    - vision_layers: a list with the number of blocks in each stage makes a ResNet. A number makes a
      ViT of that depth, which also needs vision_patch.
    - activation: "quickgelu" or "gelu", in every Transformer block.
    - checkpointing: save memory in both towers by computing blocks again in the backward pass.
    - name, tokenizer: only kept in the config. tokenizer is the Tokenizer.digest of the vocabulary
      that the model is trained on, or None.

    The text tower is the base class instead of an attribute, because the released state dicts have
    its tensors at the top level.
    """

    shared_space = True  # the vectors of pictures and texts can be compared with each other

    def __init__(
        self,
        *,
        embed_dim,
        image_size,
        vision_layers,
        vision_width,
        vision_heads,
        vision_patch=None,
        text_width,
        text_layers,
        text_heads,
        vocab_size=49408,
        context_length=77,
        activation="quickgelu",
        checkpointing=False,
        name=None,
        tokenizer=None,
    ):
        how = dict(activation=activation, checkpointing=checkpointing)
        super().__init__(
            embed_dim, text_width, text_layers, text_heads, vocab_size, context_length, **how
        )
        if isinstance(vision_layers, int):
            self.visual = ViT(
                embed_dim,
                image_size,
                vision_patch,
                vision_width,
                vision_layers,
                vision_heads,
                **how,
            )
        else:
            self.visual = ResNet(
                embed_dim, image_size, vision_layers, vision_width, vision_heads, checkpointing
            )
            vision_layers = list(vision_layers)
        # learned as a log, so that it stays positive; starts at the paper's temperature, 0.07
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.config = dict(
            embed_dim=embed_dim,
            image_size=image_size,
            vision_layers=vision_layers,
            vision_width=vision_width,
            vision_heads=vision_heads,
            vision_patch=vision_patch,
            text_width=text_width,
            text_layers=text_layers,
            text_heads=text_heads,
            vocab_size=vocab_size,
            context_length=context_length,
            activation=activation,
            checkpointing=checkpointing,
            name=name,
            tokenizer=tokenizer,
        )

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return self.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.text_projection.dtype

    def extra_repr(self) -> str:
        """What print(model) says before the towers."""
        return (
            f"{self.config['name'] or 'unnamed'}, pictures of {self.config['image_size']} pixels, "
            f"{self.config['vocab_size']:,} tokens, E = {self.config['embed_dim']}"
        )

    def encode_image(self, images: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """(N, 3, H, W) preprocessed pictures -> (N, E). normalize: make each vector of length 1.

        The pictures are converted to the dtype of the weights. Raises ValueError unless images is a
        float tensor of that shape.
        """
        x = self.visual(pictures(images, self.dtype))
        return nn.functional.normalize(x, dim=1) if normalize else x

    def forward(
        self, images: torch.Tensor, tokens: torch.Tensor, normalize: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pictures (N, 3, H, W), tokens (N, L) -> image (N, E), text (N, E), exp(logit_scale)."""
        return (
            self.encode_image(images, normalize),
            self.encode_text(tokens, normalize),
            self.logit_scale.exp(),
        )


def check_numbers(config: dict) -> None:
    """Raise UserError if a model's config, {name: value}, has a value that no model can have, or if
    its vision_layers and vision_patch belong to different kinds of picture towers."""
    for name, value in config.items():
        types, largest = TYPES.get(name, (str, int, type(None))), LARGEST.get(name)
        numbered = largest and not (name == "vision_patch" and value is None)
        may_be_list = name == "vision_layers" or name not in LARGEST and name != "activation"
        is_list = may_be_list and isinstance(value, (list, tuple))
        for part in value if is_list else [value]:
            kind = type(part)
            found = part if kind in (int, float) else f"a {kind.__name__}"
            refuse(
                {
                    f"{name} is {found}, not a whole number from 1 to {largest}": numbered
                    and (kind is not int or not 0 < part <= largest),
                    f"{name} cannot be {found}": not numbered and not isinstance(part, types),
                    f"{name} cannot be a text of more than 200 characters": (
                        kind is str and len(part) > 200
                    ),
                }
            )
    layers, patch = config["vision_layers"], config.get("vision_patch")
    positions = (config["image_size"] // patch) ** 2 if patch else 0
    # a block has at least 12 width^2 weights, and each stage of a ResNet doubles the width
    size = config["text_width"] * config.get("vocab_size", 0) + 12 * (
        sum(
            n * (config["vision_width"] << min(k, 30)) ** 2
            for k, n in enumerate([layers] if isinstance(layers, int) else layers)
        )
        + config["text_layers"] * config["text_width"] ** 2
    )
    refuse(
        {
            f"the model has at least {size:,} weights, and at most {MOST_WEIGHTS:,} are possible": (
                size > MOST_WEIGHTS
            ),
            f"the pictures have {positions:,} patches, and at most {LARGEST['context_length']:,} "
            "are possible": positions > LARGEST["context_length"],
            f"vision_layers is {layers} and vision_patch is {patch}; a ViT has a number of layers and "
            "a patch, and a ResNet has a list of stages and no patch": (
                isinstance(layers, int) == (patch is None) or not layers
            ),
        }
    )


def own_config(model) -> dict:
    """The config of a model of miniclip. Raises UserError for any other model."""
    config, name = getattr(model, "config", None), type(model).__name__
    refuse({f"the model must be miniclip's, and not a {name}": not isinstance(config, dict)})
    return config


@contextlib.contextmanager
def evaluating(model):
    """`with evaluating(model):` evaluation mode inside the block, and the earlier mode after it.

    Each module gets its own mode back, because a frozen tower may not have been in training mode.
    When the blocks of two threads overlap, the model is in training mode again as soon as the first
    of them ends. So call model.eval() before several threads encode with one model.
    """
    in_training = [m for m in getattr(model, "modules", lambda: [model])() if m.training]
    model.eval()
    try:
        yield
    finally:
        for module in in_training:
            module.training = True


def named(name: str) -> str:
    """The key of MODELS that `name` means: "ViT-B/32" -> "vit_b32". UserError if there is none."""
    name = ALIASES.get(name, name)
    refuse({f"no model is called {name!r}; there are {', '.join(MODELS)}": name not in MODELS})
    return name


def plain(config: dict) -> dict:
    """A config with Python's own numbers and lists. Raises UserError as check_numbers does."""
    config = {key: _plain(value) for key, value in config.items()}
    check_numbers(config)
    return config


def _plain(value):
    """A value of a config with Python's own values in the place of numpy's and torch's, because a
    checkpoint can hold no others."""
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return getattr(value, "tolist", lambda: value)()


@checked
def create_model(name: str, vocab_size: int = 49408, **overrides) -> CLIP:
    """A new CLIP with random weights.

    - name: a key of MODELS such as "vit_b32". "ViT-B/32" and "ViT-B-32" mean the same model.
    - overrides: these replace entries of the model's config, e.g. context_length=32,
      image_size=256, activation="gelu", checkpointing=True. Values may also be numpy's.

    Raises

    - UserError for an unknown name and for a value that no model can have, and if vision_layers and
      vision_patch belong to different kinds of picture towers;
    - ValueError if values do not fit each other, such as a width and the number of heads;
    - TypeError for an override of an unknown name. If its value also has a type that no config
      holds, UserError is raised instead.
    """
    name = named(name)
    return CLIP(**plain({**MODELS[name], "name": name, "vocab_size": vocab_size, **overrides}))

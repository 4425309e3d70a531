"""Which CLIP is this? The architecture of a model, from the names and shapes of its tensors.

Widths, depths, patches, grids and vocabularies are all shapes. Heads are not: they are taken from
the released model with these very shapes, or from a config beside the file. Nor is the activation.
"""

import json
import math
import re
from pathlib import Path

from miniclip.common import UserError
from miniclip.model.clip import MODELS

# our names and open_clip's; with QuickGELU, theirs ends in -quickgelu
OPENCLIP = {
    "rn50": "RN50", "rn101": "RN101", "rn50x4": "RN50x4", "rn50x16": "RN50x16",
    "rn50x64": "RN50x64", "vit_b32": "ViT-B-32", "vit_b16": "ViT-B-16", "vit_l14": "ViT-L-14",
    "vit_l14_336": "ViT-L-14-336",
}  # fmt: skip


def config_from_shapes(path, state):
    """The config of CLIP that the tensors' shapes tell: all but heads, activation and name.

    state: {name: tensor}. Raises UserError naming `path` and the tensor that is missing.
    """

    def shape(name, dims):
        if name not in state:
            raise UserError(f"{path} holds no CLIP that miniclip knows: {name} is missing")
        if state[name].ndim != dims:
            found = tuple(state[name].shape)
            raise UserError(f"{path}: {name} has shape {found}, expected {dims} dimensions")
        return state[name].shape

    def depth(prefix):
        found = (re.match(re.escape(prefix) + r"(\d+)\.", name) for name in state)
        return max((int(m[1]) + 1 for m in found if m), default=0)

    vocab_size, text_width = shape("token_embedding.weight", 2)
    config = dict(
        embed_dim=shape("text_projection", 2)[1], text_width=text_width, vocab_size=vocab_size,
        text_layers=depth("transformer.resblocks."),
        context_length=shape("positional_embedding", 2)[0],
    )  # fmt: skip
    if "visual.layer1.0.conv1.weight" in state:
        layers = [depth(f"visual.layer{stage}.") for stage in (1, 2, 3, 4)]
        layers = [n for n in layers if n]
        cells, stride = shape("visual.attnpool.positional_embedding", 2)[0], 2 ** (len(layers) + 1)
        config |= dict(vision_layers=layers, vision_width=shape("visual.conv3.weight", 4)[0])
        config |= dict(vision_patch=None, image_size=_side(cells) * stride)
    else:
        width, _, patch, _ = shape("visual.conv1.weight", 4)
        cells = shape("visual.positional_embedding", 2)[0]
        config |= dict(vision_layers=depth("visual.transformer.resblocks."), vision_width=width)
        config |= dict(vision_patch=patch, image_size=_side(cells) * patch)
    return config


def _side(positions):
    """Cells a side of a grid with this many positions, the class token's or the mean's included."""
    return max(1, math.isqrt(max(0, positions - 1)))


def released(config, but=()):
    """The name of the released model whose numbers these are, apart from those in `but`, or None.

    The activation is not compared: open_clip trained the same shapes with plain GELU.
    """
    for name in OPENCLIP:
        want = {"vocab_size": 49408, "vision_patch": None, **MODELS[name]}
        keys = config.keys() & want.keys() - {"activation", *but}
        if all(config[key] == want[key] for key in keys):
            return name
    return None


def _nearest_released(config):
    """The same, for pictures and texts of any size; the right size is preferred."""
    texts = ("vocab_size", "context_length")
    return released(config, but=texts) or released(config, but=("image_size", *texts))


def with_heads_of_released(path, config):
    """Add the heads and the name of the released model that has these shapes, else ValueError."""
    name = _nearest_released(config)
    if name is None:
        raise UserError(
            f"{path} has the shapes of no released model (vision width {config['vision_width']}, "
            f"layers {config['vision_layers']}), so its heads are unknown; put the model's "
            "open_clip_config.json beside it"
        )
    heads = {key: MODELS[name][key] for key in ("vision_heads", "text_heads")}
    return config | heads | dict(name=name)


def config_beside(path, state):
    """The config in open_clip_config.json beside the file, completed from the shapes, or None.

    Raises UserError when it cannot be read or asks for something that miniclip has not got.
    """
    beside = Path(path).parent / "open_clip_config.json"
    if not beside.is_file():
        return None
    config = config_from_shapes(path, state)
    try:
        whole = json.loads(beside.read_text(encoding="utf-8"))
        model = whole.get("model_cfg", whole)
        vision, text = model["vision_cfg"], model["text_cfg"]
        known = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
        known |= {"context_length", "vocab_size", "heads"}
        for key, value in [*vision.items(), *text.items()]:
            if key not in known and value:
                raise UserError(f"miniclip has no {key} = {value!r}")
        channels = config["vision_width"] * (1 if config["vision_patch"] else 32)
        config["vision_heads"] = channels // vision.get("head_width", 64)
        config["text_heads"] = text.get("heads", config["text_width"] // 64)
        config["image_size"] = int(vision.get("image_size", config["image_size"]))
        config["activation"] = "quickgelu" if model.get("quick_gelu") else "gelu"
        mean = whole.get("preprocess_cfg", {}).get("mean")
        if mean and abs(mean[0] - 0.48145466) > 1e-4:
            raise UserError(f"its pictures have the mean {mean}, not CLIP's")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise UserError(f"{beside} describes no model of miniclip's: {error}") from None
    return config | dict(name=_nearest_released(config))

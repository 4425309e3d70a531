"""The architecture of a model (CLIP, section 2.4), from the names and shapes of its tensors.

Widths, depths, patch and picture sizes and the vocabulary follow from shapes. The number of heads does
not: it is taken from the released model of these shapes, or from a config beside the file. The
activation does not either; convert.py finds it.
"""

import contextlib
import math
import re
from pathlib import Path

import numpy as np
import torch

from miniclip.common import UserError, refuse
from miniclip.data.transforms import MEAN, STD
from miniclip.loss import LARGEST_LOG
from miniclip.model.clip import CLIP, MODELS, OPENCLIP, check_numbers
from miniclip.objectives import from_config
from miniclip.weights.reading import WRONG, read_json, said

RELEASED_TOKENS = 49408
# what open_clip_config.json may say of each tower without asking for something that miniclip lacks
KNOWN = {
    "vision_cfg": "image_size layers width patch_size head_width mlp_ratio".split(),
    "text_cfg": "context_length vocab_size layers width heads mlp_ratio".split(),
}
# open_clip's defaults (3.2) that are not false, of vision_cfg and text_cfg
DEFAULTS = dict(
    pos_embed_type=["learnable"],
    pool_type=["tok", "argmax"],
    proj_type=["linear"],
    eos_id=[2],
    attn_pooler_queries=[256],
    attn_pooler_heads=[8],
    timm_pool=["avg"],
    timm_proj=["linear"],
    hf_model_pretrained=[True],
    hf_proj_type=["mlp"],
    hf_pooler_type=["mean_pooler"],
)
PICTURES = dict(mean=MEAN, std=STD, interpolation="bicubic", resize_mode="shortest", mode="RGB")


def on_meta(path: Path, config: dict, tensors: int) -> CLIP:
    """The model of a config that was found in the file `path`, without memory for its weights; its
    .config is complete.

    tensors: how many there are for the model, which has no more layers than that. Raises UserError
    for a config whose numbers are impossible or too large.
    """
    try:
        check_numbers(config)
        layers = config["text_layers"] + int(np.sum(config["vision_layers"]))
        refuse({f"it has more layers than its {tensors} tensors can fill": layers > tensors})
        with torch.device("meta"):
            return from_config(config).float()  # whatever the default dtype is
    except WRONG as error:
        raise UserError(f"{path} describes no model that miniclip has: {said(error)}") from None


def check_pictures(asked: dict, ours: dict) -> None:
    """Raise UserError where a file's preprocessing, {key: value}, has other values than `ours`."""
    for key, value in ours.items():
        found = asked.get(key, value)
        # older files write a dict of equal sizes as one number
        same = found == value or isinstance(value, dict) and found in value.values()
        if not isinstance(value, (str, dict)):
            with contextlib.suppress(TypeError, ValueError):  # null, text, or too many numbers
                same = np.allclose(found, value, rtol=5e-4, atol=0)
        refuse({f"{key} is {str(found)[:80]}, and CLIP's is {value}": not same})


def must_be_clip(model: CLIP) -> None:
    """Raise UserError for another objective or an MLP head, which other libraries cannot describe."""
    refuse(
        {
            f"this model was trained with --{option} {model.config.get(option)}, and only CLIP itself "
            "can be written for other libraries": option in model.config
            for option in ("objective", "projection")
        }
    )


def must_match(path: Path, state: dict, want: dict, model: str | None = None) -> None:
    """Raise a UserError that names a tensor, unless `state` has exactly the names and shapes of
    `want`, a dict of (meta) tensors. model: its name, or None."""
    for name in [*want, *sorted(state.keys() - want.keys())]:
        shown = ascii(name[:80])[1:-1]
        found = f"has shape {tuple(state[name].shape)}" if name in state else "is missing"
        expected = tuple(want[name].shape) if name in want else "nothing of this name"
        of = ascii(model)[1:-1][:80] if model else "model"
        wrong = f"{path}: {shown} {found}, expected {expected} for this {of}"
        refuse({wrong: found != f"has shape {expected}"})


def must_be_numbers(path: Path, state: dict) -> None:
    """Raise a UserError that names a tensor, if one in {name: tensor} holds what no weight can be."""
    for name, x in state.items():
        # a sum is NaN or infinite if a number is, and five times as fast as isfinite
        refuse(
            {
                f"{path}: {name} holds numbers that are NaN or infinite, or no numbers": (
                    x.is_meta or not x.sum().isfinite() and not x.isfinite().all()
                ),
                f"{path}: {name} holds a variance below 0": (
                    name.endswith("running_var") and not x.is_meta and (x < 0).any()
                ),
                f"{path} has a logit_scale above {LARGEST_LOG:g}; it is the logarithm of the scale": (
                    name == "logit_scale" and not x.is_meta and x > LARGEST_LOG
                ),
            }
        )


def to_write(path: Path, model: CLIP) -> dict:
    """The state dict of a model, on the CPU, to be written to `path`. UserError unless `load` would
    read it. It is that of the model itself, if torch.compile made this one."""
    state = getattr(model, "_orig_mod", model).state_dict()
    must_match(path, state, on_meta(path, model.config, len(state)).state_dict())
    must_be_numbers(path, state)
    return {name: x.cpu().clone(memory_format=torch.contiguous_format) for name, x in state.items()}


def config_from_shapes(path: Path, state: dict) -> dict:
    """The config of CLIP that the tensors' shapes tell: all but heads, activation, name, tokenizer
    and checkpointing.

    state: {name: tensor}. Raises UserError naming `path` and the tensor that is missing.
    """

    def shape(name, dims):
        found = tuple(state[name].shape) if name in state else ()
        refuse(
            {
                f"{path} holds no CLIP that miniclip knows: {name} is missing": name not in state,
                f"{path}: {name} has shape {found}, expected {dims} dimensions": len(found) != dims,
            }
        )
        return found

    def depth(prefix):
        found = (re.match(re.escape(prefix) + r"(\d{1,9})\.", name) for name in state)
        return max((int(m[1]) + 1 for m in found if m), default=0)

    vocab_size, text_width = shape("token_embedding.weight", 2)
    if "visual.layer1.0.conv1.weight" in state:
        width, patch, positions = shape("visual.conv3.weight", 4)[0], None, "attnpool."
        layers = [n for n in map(depth, [f"visual.layer{k}." for k in (1, 2, 3, 4)]) if n]
        stride = 2 ** (len(layers) + 1)
    else:
        width, _, patch, _ = shape("visual.conv1.weight", 4)
        layers, stride, positions = depth("visual.transformer.resblocks."), patch, ""
    # S * S cells, and the class token or the mean
    rows = shape(f"visual.{positions}positional_embedding", 2)[0]
    return dict(
        embed_dim=shape("text_projection", 2)[1],
        text_width=text_width,
        vocab_size=vocab_size,
        text_layers=depth("transformer.resblocks."),
        context_length=shape("positional_embedding", 2)[0],
        vision_layers=layers,
        vision_width=width,
        vision_patch=patch,
        image_size=math.isqrt(rows) * stride,
    )


def released(config: dict, but: tuple[str, ...] = ()) -> str | None:
    """The name of the released model whose numbers these are, apart from those in `but`, or None.

    The activation is not compared: open_clip trained the same shapes with plain GELU.
    """
    for name in OPENCLIP:
        want = {"vocab_size": 49408, "vision_patch": None, **MODELS[name]}
        keys = config.keys() & want.keys() - {"activation", *but}
        if all(config[key] == want[key] for key in keys):
            return name
    return None


def config_of(path: Path, state: dict) -> dict:
    """The config of a file of weights without one inside: the sizes are those of the tensors in
    `state`, and the rest is that of the open_clip_config.json beside the file, or else the heads and
    the name of the released model of these shapes. Then there is no activation.

    Raises UserError where the config beside the file cannot be read, asks for something that miniclip
    has not got, or names other sizes than the weights have, and where there is neither.
    """
    config = config_from_shapes(path, state)
    # its texts may have any length and vocabulary, and its pictures another size where none has theirs
    texts = ("vocab_size", "context_length")
    name = released(config, but=texts) or released(config, but=("image_size", *texts))
    beside = Path(path).parent / "open_clip_config.json"
    if beside.is_file():
        return config | _heads_beside(beside, path.name, config) | dict(name=name)
    refuse(
        {
            f"{path} has the shapes of no released model (vision width {config['vision_width']}, "
            f"layers {config['vision_layers']}), so its heads are unknown; put the model's "
            "open_clip_config.json beside it": name is None
        }
    )
    heads = {key: MODELS[name][key] for key in ("vision_heads", "text_heads")}
    return config | heads | dict(name=name)


def _heads_beside(beside, weights, config):
    """{"vision_heads", "text_heads", "activation"} from the open_clip_config.json `beside` a file of
    weights; config: what their shapes tell."""
    try:
        whole = read_json(beside)
        model = whole.get("model_cfg", whole)
        vision, text = model["vision_cfg"], model["text_cfg"]
        refuse(
            {
                f"miniclip has no {key} = {value!r} in {tower}": (
                    key not in known and value and value not in DEFAULTS.get(key, ())
                )
                for tower, known in KNOWN.items()
                for key, value in model[tower].items()
            }
        )
        asked = whole.get("preprocess_cfg") or {}
        check_pictures({k: v for k, v in asked.items() if v not in (None, [])}, PICTURES)
        sizes = dict(
            embed_dim=model.get("embed_dim"),
            image_size=vision.get("image_size"),
            vision_layers=vision.get("layers"),
            vision_width=vision.get("width"),
            vision_patch=vision.get("patch_size"),
            text_layers=text.get("layers"),
            text_width=text.get("width"),
            vocab_size=text.get("vocab_size"),
            context_length=text.get("context_length"),
        )
        channels = config["vision_width"] * (1 if config["vision_patch"] else 32)
        heads = channels // vision.get("head_width", 64)
    except WRONG as error:
        raise UserError(f"{beside} describes no model that miniclip has: {said(error)}") from None
    refuse(
        {
            f"{beside} is of another model than {weights}: its {key} is {value}, and the weights have "
            f"{config[key]}": value not in (None, config[key])
            for key, value in sizes.items()
        }
    )
    return dict(
        vision_heads=heads,
        text_heads=text.get("heads", 8),  # open_clip's default, whatever the width
        activation="quickgelu" if model.get("quick_gelu") else "gelu",
    )

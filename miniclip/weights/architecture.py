"""The architecture of a model (CLIP, section 2.4): found, and compared with the tensors of a file.

No shape tells the number of heads. So a file without a config inside is one of the released models,
which the shapes of two tensors tell apart, or it has open_clip's config beside it. Every name and shape
is compared with the model's then. The activation is not known from shapes either; convert.py finds it.
"""

import contextlib
import math
from pathlib import Path

import numpy as np
import torch

from miniclip.common import refuse, refusing
from miniclip.data.transforms import MEAN, STD
from miniclip.loss import LARGEST_LOG
from miniclip.model.clip import CLIP, MODELS, OPENCLIP, check_numbers
from miniclip.objectives import from_config
from miniclip.weights.reading import read_json

RELEASED_TOKENS = 49408
# what open_clip_config.json may say of each tower, and open_clip's defaults (3.2)
TOWERS = dict(
    vision_cfg=dict(
        image_size=224, layers=12, width=768, patch_size=16, head_width=64, mlp_ratio=4.0
    ),
    text_cfg=dict(
        context_length=77, vocab_size=RELEASED_TOKENS, layers=12, width=512, heads=8, mlp_ratio=4.0
    ),
)
# ... of what it may also say without asking for something that miniclip lacks, if not false
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
    with refusing(f"{path} describes no model that miniclip has"):
        check_numbers(config)
        refuse(
            {
                f"it has more layers than its {tensors} tensors can fill": (
                    config["text_layers"] + int(np.sum(config["vision_layers"])) > tensors
                )
            }
        )
        with torch.device("meta"):
            return from_config(config).float()  # whatever the default dtype is


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


def must_be_clip(model: torch.nn.Module) -> None:
    """Raise UserError for a model that is not ours, and for another objective or an MLP head, which
    other libraries cannot describe."""
    config = getattr(model, "config", None)
    name = type(model).__name__
    refuse({f"the model must be miniclip's, and not a {name}": not isinstance(config, dict)})
    refuse(
        {
            f"this model was trained with --{option} {config.get(option)}, and only CLIP itself "
            "can be written for other libraries": option in config
            for option in ("objective", "projection")
        }
    )


def must_match(path: Path, state: dict, want: dict, model: str = "model") -> None:
    """Raise a UserError that names a tensor, unless `state` has exactly the names and shapes of
    `want`, a dict of (meta) tensors, and holds what weights can be. model: its name."""
    for name in [*want, *sorted(state.keys() - want.keys())]:
        found = f"has shape {tuple(state[name].shape)}" if name in state else "is missing"
        expected = tuple(want[name].shape) if name in want else "nothing of this name"
        refuse(
            {
                f"{path}: {ascii(name[:80])[1:-1]} {found}, expected {expected} for this "
                f"{ascii(model[:80])[1:-1]}": found != f"has shape {expected}"
            }
        )
        stored, kind = state[name], want[name].dtype
        x = stored.to(kind)
        # a sum is NaN or infinite if a number is, and five times as fast as isfinite
        total = torch.tensor(torch.nan) if x.is_meta else x.sum()
        finite = not x.is_meta and (total.isfinite() or x.isfinite().all())
        refuse(
            {
                f"{path}: {name} has the type {stored.dtype}, expected {kind}": (
                    stored.is_floating_point() != kind.is_floating_point
                ),
                f"{path}: {name} holds numbers that are NaN or infinite, or no numbers": not finite,
                f"{path}: {name} holds only zeros; was it downloaded completely?": (
                    x.ndim > 1 and total == 0 and not x.any()
                ),
                f"{path}: {name} holds a variance below 0": (
                    name.endswith("running_var") and finite and (x < 0).any()
                ),
                f"{path} has a logit_scale above {LARGEST_LOG:g}; it is the logarithm of the scale": (
                    name == "logit_scale" and finite and x > LARGEST_LOG
                ),
            }
        )


def to_write(path: Path, model: CLIP) -> dict:
    """The state dict of a model, on the CPU, to be written to `path`. UserError unless `load` would
    read it. It is that of the model itself, if torch.compile made this one."""
    state = getattr(model, "_orig_mod", model).state_dict()
    must_match(path, state, on_meta(path, model.config, len(state)).state_dict())
    return {name: x.cpu().clone(memory_format=torch.contiguous_format) for name, x in state.items()}


def released(config: dict) -> str | None:
    """The name of the released model with these numbers, which may be some of a config's, or None.

    The activation is not compared: open_clip trained the same shapes with plain GELU.
    """
    for name in OPENCLIP:
        want = {"vocab_size": RELEASED_TOKENS, "vision_patch": None, **MODELS[name]}
        if all(config[key] == want[key] for key in config.keys() & want.keys() - {"activation"}):
            return name
    return None


def config_of(path: Path, state: dict) -> dict:
    """The config of a file of weights without one inside: what the open_clip_config.json beside it
    says, or the numbers of the released model whose towers and patches are as wide as those of the
    tensors in `state`. Texts of any length and vocabulary, and pictures of any size, are the file's own.
    The released models have no activation here.

    Raises UserError where the config beside the file cannot be read or asks for something that
    miniclip has not got, and where there is none and the model is no released one.
    """
    beside = Path(path).parent / "open_clip_config.json"
    if beside.is_file():
        return _from_openclip(beside)
    with refusing(f"{path} holds no CLIP that miniclip knows"):
        is_vit, stem = "visual.class_embedding" in state, state["visual.conv1.weight"].shape
        positions = (
            f"visual.{'' if is_vit else 'attnpool.'}positional_embedding"  # one, and a square
        )
        towers = dict(
            embed_dim=state["text_projection"].shape[1],
            text_width=state["text_projection"].shape[0],
            vision_width=stem[0] if is_vit else 2 * stem[0],
            vision_patch=stem[3] if is_vit else None,
        )
        own = dict(
            image_size=math.isqrt(len(state[positions])) * (stem[3] if is_vit else 32),
            vocab_size=len(state["token_embedding.weight"]),
            context_length=len(state["positional_embedding"]),
        )
    name = released(towers | {"image_size": own["image_size"]}) or released(towers)
    refuse(
        {
            f"{path} has the shapes of no released model ({towers}), so its heads are unknown; put the "
            "model's open_clip_config.json beside it": name is None
        }
    )
    return MODELS[name] | towers | own | dict(name=name, activation=None)


def _from_openclip(path):
    """The config that an open_clip_config.json describes."""
    with refusing(f"{path} describes no model that miniclip has"):
        whole = read_json(path)
        model = whole.get("model_cfg", whole)
        refuse(
            {
                f"miniclip has no {key} = {value!r} in {tower}": (
                    key not in known and value and value not in DEFAULTS.get(key, ())
                )
                for tower, known in TOWERS.items()
                for key, value in model[tower].items()
            }
            | {
                "quick_gelu is neither true nor false": model.get("quick_gelu")
                not in (True, False, None)
            }
        )
        asked = whole.get("preprocess_cfg") or {}
        check_pictures({k: v for k, v in asked.items() if v not in (None, [])}, PICTURES)
        vision, text = (known | model[tower] for tower, known in TOWERS.items())
        is_vit = isinstance(vision["layers"], int)
        config = dict(
            embed_dim=model["embed_dim"],
            image_size=vision["image_size"],
            vision_layers=vision["layers"],
            vision_width=vision["width"],
            vision_heads=vision["width"] * (1 if is_vit else 32) // vision["head_width"],
            vision_patch=vision["patch_size"] if is_vit else None,
            text_layers=text["layers"],
            text_width=text["width"],
            text_heads=text["heads"],
            vocab_size=text["vocab_size"],
            context_length=text["context_length"],
            activation="quickgelu" if model.get("quick_gelu") else "gelu",
        )
    return config | dict(name=released(config))

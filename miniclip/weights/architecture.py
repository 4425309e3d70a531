"""Find the architecture for the tensors of a file, and check the tensors (CLIP, section 2.4).

The shapes of the tensors do not tell the number of heads. So a file that holds no config needs
open_clip's config beside it, unless its model is one of the released ones. The shapes of two
tensors tell the towers of the released models apart. Then the name and shape of every tensor are
compared with those of the model. The shapes do not tell the activation either; convert.py finds it.
"""

import contextlib
import math
import os
from pathlib import Path

import numpy as np
import torch

from miniclip.common import refuse, refusing
from miniclip.data.transforms import MEAN, STD
from miniclip.loss import LARGEST_LOG
from miniclip.model.clip import CLIP, MODELS, OPENCLIP, check_numbers, own_config
from miniclip.objectives import from_config
from miniclip.weights.reading import read_json

RELEASED_TOKENS = 49408
# the settings of each tower that open_clip_config.json may change, with open_clip's defaults (3.2)
TOWERS = dict(
    vision_cfg=dict(image_size=224, layers=12, width=768, patch_size=16, head_width=64),
    text_cfg=dict(context_length=77, vocab_size=RELEASED_TOKENS, layers=12, width=512, heads=8),
)
# A config may have these settings beside those of the towers. miniclip refuses any other setting.
WHOLE = """embed_dim vision_cfg text_cfg multimodal_cfg quick_gelu custom_text init_logit_scale
    init_logit_bias nonscalar_logit_scale cast_dtype output_dict preprocess_cfg""".split()
# Values of other settings that ask for nothing that miniclip lacks. A setting may also be false,
# null or 0.
DEFAULTS = dict(
    mlp_ratio=[4],
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
    """The model of a config, on torch's meta device, where its weights take no memory. Its .config
    also has the entries that `config` leaves out.

    path: the file of the config, for messages; tensors: the number of tensors in the file. Raises
    UserError if a number in the config is impossible, or if the config has more layers than the
    file has tensors.
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
    """Raise UserError if the preprocessing that a file asks for, `asked`, differs from `ours`. Both
    are {key: value}, and a key that is not asked for does not differ."""
    for key, value in ours.items():
        found = asked.get(key, value)
        # older files write one number for a dict of equal sizes
        same = found == value or isinstance(value, dict) and found in value.values()
        if not isinstance(value, (str, dict)):
            with contextlib.suppress(TypeError, ValueError):  # null, text, or too many numbers
                same = np.allclose(found, value, rtol=5e-4, atol=0)
        refuse({f"{key} is {str(found)[:80]}, and CLIP's is {value}": not same})


def must_be_clip(model: torch.nn.Module) -> None:
    """Raise UserError unless this is a model of miniclip with CLIP's own objective and projections,
    because other libraries cannot describe anything else."""
    config = own_config(model)
    refuse(
        {
            f"this model was trained with --{option} {config.get(option)}, and only CLIP itself "
            "can be written for other libraries": option in config
            for option in ("objective", "projection")
        }
    )


def must_match(path: Path, state: dict, want: dict, model: str = "model") -> None:
    """Raise a UserError that names a tensor, unless `state` has exactly the names and shapes of
    `want` and its numbers can be weights.

    path: the file, for messages; want: {name: (meta) tensor}; model: the name of the model.
    """
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
        # The sum is NaN or infinite if any number is, and is five times as fast as isfinite. A sum
        # of finite numbers can overflow, so isfinite decides then.
        total = torch.tensor(torch.nan) if x.is_meta else x.sum()
        finite = not x.is_meta and (total.isfinite() or x.isfinite().all())
        refuse(
            {
                f"{path}: {name} has the type {stored.dtype}, expected {kind}": (
                    stored.is_floating_point() != kind.is_floating_point
                ),
                f"{path}: {name} holds NaN or infinite numbers, or no numbers at all": not finite,
                f"{path}: {name} holds only zeros; was it downloaded completely?": (
                    x.ndim > 1 and total == 0 and not x.any()
                ),
                f"{path}: {name} holds a variance below 0": (
                    name.endswith("running_var") and finite and (x < 0).any()
                ),
                f"{path} has a logit_scale above {LARGEST_LOG:g}; it must be the logarithm of the "
                "scale": (name == "logit_scale" and finite and x > LARGEST_LOG),
            }
        )


def to_write(path: Path, model: CLIP) -> dict:
    """The state dict of a model, on the CPU, to be written to `path`. If torch.compile wraps the
    model, the wrapper's prefix is left out. Raises UserError if `load` would refuse the state."""
    state = getattr(model, "_orig_mod", model).state_dict()
    must_match(path, state, on_meta(path, model.config, len(state)).state_dict())
    return {name: x.cpu().clone(memory_format=torch.contiguous_format) for name, x in state.items()}


def released(config: dict) -> str | None:
    """The name of the released model that has these numbers, or None.

    config: a config or a part of one. The activation is not compared, because open_clip trained the
    same shapes with plain GELU.
    """
    for name in OPENCLIP:
        want = {"vocab_size": RELEASED_TOKENS, "vision_patch": None, **MODELS[name]}
        if all(config[key] == want[key] for key in config.keys() & want.keys() - {"activation"}):
            return name
    return None


def config_of(path: Path, state: dict) -> dict:
    """The config for a file of weights that holds no config.

    If open_clip_config.json is beside the file, it gives the config. If not, the config is that of
    the released model whose towers and patches are as wide as the tensors in `state`, with the
    picture size, the context length and the number of tokens of these tensors. Its activation is
    None, because it is unknown.

    Raises UserError

    - if the config beside the file cannot be read, or asks for something that miniclip lacks;
    - if no config is beside the file and the model is not a released one.
    """
    beside = Path(path).parent / "open_clip_config.json"
    if os.path.lexists(beside):
        return _from_openclip(beside)
    with refusing(f"{path} holds no CLIP that miniclip knows"):
        is_vit, stem = "visual.class_embedding" in state, state["visual.conv1.weight"].shape
        positions = f"visual.{'' if is_vit else 'attnpool.'}positional_embedding"  # 1 + S*S of them
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
        parts = {tower: model.get(tower) for tower in TOWERS if isinstance(model, dict)}
        refuse(
            {
                "model_cfg, vision_cfg and text_cfg must be objects of names and values": (
                    not all(isinstance(part, dict) for part in [model, *parts.values()])
                )
            }
        )
        refuse(
            {
                f"miniclip has no {key} = {value!r} in {name}": (
                    key not in known and value and value not in DEFAULTS.get(key, ())
                )
                for name, known in (TOWERS | {"model_cfg": WHOLE}).items()
                for key, value in parts.get(name, model).items()
            }
            | {
                "quick_gelu is neither true nor false": model.get("quick_gelu")
                not in (True, False, None)
            }
        )
        asked = (model | whole).get("preprocess_cfg") or {}
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

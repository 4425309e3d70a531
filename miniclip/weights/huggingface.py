"""CLIP in the files of Hugging Face's transformers: a folder becomes a model, and back.

The tensors differ from ours in three ways:

- they have other names;
- q, k and v are three matrices instead of a packed one;
- the projections to the shared space are transposed, (E, D).

The shapes do not tell the number of heads and the activation; config.json does.
preprocessor_config.json must ask for CLIP's own preprocessing, because miniclip has no other.

The text feature is the activation at the first end token. model/text.py takes the largest id of a
row as the end token. transformers takes the first id that equals eos_token_id in config.json. Files
from before transformers 4.31 say 2 there, and for them transformers takes the largest id too. In
rows of CLIP's tokenizer both rules find the same position, also if the rows are padded with end
tokens. An eos_token_id that is neither 2 nor the tokenizer's end token is refused.

The vocabulary is in tokenizer.json, or in vocab.json and merges.txt. These files write an entry in
visible characters (byte_alphabet), and the end of a word as "</w>". The ids must be in the order of
bpe/tokenizer.py, as in the released files: bytes, bytes that end a word, merges, start, end.
bpe/cleaning.py splits and lower-cases words, so tokenizer.json must ask for the same rules.
docs/weights.md lists the texts that transformers' tokenizer reads differently.
Left out: ResNets (transformers' CLIP has none), MLPs that are not 4 times as wide, models of one
tower, added tokens, other kinds of tokenizers.
"""

import json
import os
import warnings
from pathlib import Path

import torch

from miniclip.bpe.tokenizer import END as WORD_END
from miniclip.bpe.tokenizer import Tokenizer, byte_alphabet
from miniclip.common import check_new, checked, refuse, refusing, replacing_all
from miniclip.data.files import read_text
from miniclip.data.transforms import MEAN, STD
from miniclip.weights.architecture import (
    RELEASED_TOKENS,
    check_pictures,
    must_be_clip,
    must_match,
    on_meta,
    released,
    to_write,
)
from miniclip.weights.reading import read_json, write_safetensors

# our name -> transformers' name: NAMES has whole names, PARTS the parts of all other names
NAMES = {
    "logit_scale": "logit_scale",
    "text_projection": "text_projection.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "visual.proj": "visual_projection.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
}
PARTS = {
    "transformer": "encoder",
    "resblocks": "layers",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn": "self_attn",
    "c_fc": "fc1",
    "c_proj": "fc2",
    "ln_pre": "pre_layrnorm",  # sic
    "ln_post": "post_layernorm",
    "ln_final": "final_layer_norm",
}
TRANSPOSED = ("text_projection", "visual.proj")
ACTIVATIONS = {"quick_gelu": "quickgelu", "gelu": "gelu"}
# The values of what config.json leaves out (transformers 5.24). miniclip has no others for FIXED.
FIXED = {"layer_norm_eps": 1e-5, "attention_dropout": 0.0}
TOWER = {"num_hidden_layers": 12, "hidden_act": "quick_gelu", **FIXED}
TEXT = TOWER | {
    "vocab_size": RELEASED_TOKENS,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "eos_token_id": RELEASED_TOKENS - 1,
}
VISION = TOWER | {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
}
PICTURES = {
    "do_resize": True,
    "do_center_crop": True,
    "do_rescale": True,
    "do_normalize": True,
    "resample": 3,  # bicubic
    "rescale_factor": 1 / 255,
    "image_mean": list(MEAN),
    "image_std": list(STD),
}
START, END = "<|startoftext|>", "<|endoftext|>"
# How tokenizer.json splits a text of CLIP into words. From transformers 5 on, the expression begins
# with the special tokens.
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
SPLITS = [
    [
        dict(type="Split", pattern={"Regex": pattern}, behavior="Removed", invert=True),
        dict(type="ByteLevel", add_prefix_space=False),
    ]
    for pattern in (SPLIT, r"<\|startoftext\|>|<\|endoftext\|>|" + SPLIT)
]
LOWERCASE = {"type": "Lowercase"}
NORMALIZERS = [
    LOWERCASE,
    {"type": "NFC"},
    {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
]
WEIGHTS = "model.safetensors"
ADAPTER = "adapter_config.json"
# save_huggingface refuses a folder that holds one of these files, unless it would replace the file.
# The last one would make miniclip read open_clip's weights.
READ_BY_OTHERS = f"""config.json model.safetensors model.safetensors.index.json tokenizer.json
    vocab.json merges.txt tokenizer_config.json special_tokens_map.json added_tokens.json
    preprocessor_config.json processor_config.json {ADAPTER} open_clip_config.json""".split()


def read(path: str | Path, state: dict) -> tuple[dict, dict, Tokenizer | None]:
    """The model in a file of transformers -> (config, {our name: tensor}, tokenizer or None).

    path: the file of weights. config.json must be beside it, and files of the tokenizer and of the
    preprocessor may be. state: the {name: tensor} in the file. Raises UserError if the model is no
    CLIP, has a part that miniclip lacks, or is not what its config.json says.
    """
    beside = Path(path).parent / "config.json"
    refuse(
        {
            f"{path} has transformers' tensors, but there is no config.json beside it": (
                not os.path.lexists(beside)
            )
        }
    )
    with refusing(f"{beside} describes no model that miniclip has"):
        config, eos = _from_json(read_json(beside))
    want = on_meta(beside, config, len(state)).state_dict()
    tokenizer = read_tokenizer(beside.parent, config["context_length"])
    size = config["vocab_size"] if tokenizer is None else tokenizer.vocab_size
    refuse(
        {
            f"{beside}: it says {config['vocab_size']} tokens, and its tokenizer has {size}": size
            > config["vocab_size"],
            f"{beside}: texts end at eos_token_id {eos}, and the tokenizer's end token is "
            f"{size - 1}": eos not in (2, size - 1),  # 2: in files from before transformers 4.31
        }
    )
    for name in ("preprocessor_config.json", "processor_config.json"):
        other = beside.with_name(name)
        with refusing(f"{other} asks for pictures that miniclip does not make"):
            whole = read_json(other) if os.path.lexists(other) else {}
            asked = whole.get("image_processor") or whole
            refuse(
                {  # which has other values for the settings that the file leaves out
                    f"they are for a {asked.get(key)}": (
                        not str(asked.get(key) or "CLIP").startswith("CLIP")
                    )
                    for key in ("image_processor_type", "feature_extractor_type")
                }
                | {
                    f"{key} is {asked.get(key)}": asked.get(key)
                    for key in ("do_pad", "default_to_square")
                }
            )
            check_pictures(asked, _pictures(config["image_size"]))
    # older files hold the positions 0, 1, 2, ... beside the weights
    state = {k: v for k, v in state.items() if not k.endswith("embeddings.position_ids")}
    must_match(path, state, to_theirs(want))
    assumed = "openai" if size == RELEASED_TOKENS else None
    config |= {"name": released(config), "tokenizer": tokenizer.digest if tokenizer else assumed}
    return config, _to_ours(want, state), tokenizer


@checked
def save_huggingface(
    model: torch.nn.Module,
    folder: str | Path,
    tokenizer=None,
    overwrite: bool = False,
) -> None:
    """Write a folder that transformers' CLIPModel.from_pretrained loads with no tensor missing.

    The folder gets config.json, model.safetensors and preprocessor_config.json, and for
    CLIPTokenizer vocab.json, merges.txt and tokenizer_config.json.

    - tokenizer: a Tokenizer, which is written into the last three files. None means the released
      tokenizer, if the model was trained with it. If it is None and the model's vocabulary is
      unknown, the three files are not written, and a warning says so.
    - overwrite: replace files that exist. If one of them is a link, as in the cache of the hub, the
      link is replaced, and the file that it leads to stays as it is.

    Raises UserError

    - for a ResNet;
    - if the model was trained with another vocabulary than that tokenizer has;
    - if a file that would be replaced is write-protected;
    - for a folder with other files that transformers or miniclip would read beside the new ones,
      e.g. a tokenizer.json.
    """
    must_be_clip(model)
    config, folder = model.config, Path(folder)
    vocabulary, size = config["tokenizer"], config["vocab_size"]
    if tokenizer is None and vocabulary == "openai":
        tokenizer = Tokenizer.openai()
    digest = getattr(tokenizer, "digest", None)  # raises if the model's file had no tokenizer
    end, known = getattr(tokenizer, "end", size - 1), (None, digest)
    refuse(
        {
            f"the tokenizer must be miniclip's, and not a {type(tokenizer).__name__}": (
                tokenizer is not None and not digest
            ),
            f"transformers' CLIP has no ResNet, so this {config['name'] or 'model'} cannot be "
            "written": config["vision_patch"] is None,
            "this tokenizer has another vocabulary than the model was trained on": tokenizer
            and (vocabulary not in known or end >= size),
            f"this model was trained on a vocabulary of its own (sha256 {vocabulary}); give its "
            "tokenizer, because transformers would use the released one": vocabulary not in known,
        }
    )
    if tokenizer is None:
        warnings.warn("no tokenizer is written: the model's vocabulary is unknown", stacklevel=3)
    weights = {k: x.contiguous() for k, x in to_theirs(to_write(folder, model)).items()}
    written = {} if tokenizer is None else tokenizer_files(tokenizer, config["context_length"])
    # transformers loads all weights in one dtype, and a narrower one would round some of them
    widest = max(weights.values(), key=torch.Tensor.element_size).dtype
    written |= {
        "preprocessor_config.json": json.dumps(
            _pictures(config["image_size"])
            | {"image_processor_type": "CLIPImageProcessor", "do_convert_rgb": True},
            indent=2,
        ),
        "config.json": json.dumps(_to_json(config, end, widest), indent=2),
    }
    refuse(
        {
            f"{folder} holds {name}, which would be read beside the new files; give an empty "
            "folder": os.path.lexists(folder / name)
            for name in READ_BY_OTHERS
            if name not in (WEIGHTS, *written)
        }
    )
    for name in (WEIGHTS, *written):
        check_new(folder / name, overwrite)
    contents = {
        folder / WEIGHTS: lambda file: write_safetensors(weights, {"format": "pt"}, file)
    } | {
        folder / name: lambda file, text=text: file.write(text.encode())
        for name, text in written.items()
    }
    # config.json goes first and comes last, so that nobody reads new weights with the config of
    # another model
    with replacing_all(contents, overwrite):
        (folder / "config.json").unlink(missing_ok=True)


def to_theirs(state: dict) -> dict:
    """{our name: tensor} of a CLIP with a ViT -> {transformers' name: a view of the tensor}."""
    out = {}
    for name, tensor in state.items():
        theirs = _names(name)
        tensor = tensor.T if name in TRANSPOSED else tensor
        out |= zip(theirs, tensor.chunk(3) if len(theirs) == 3 else [tensor])
    return out


def _to_ours(want, state):
    """{transformers' name: tensor} -> {our name: tensor} for the names of `want`."""
    packed = {name: [state[theirs] for theirs in _names(name)] for name in want}
    whole = {name: torch.cat(p) if len(p) > 1 else p[0] for name, p in packed.items()}
    return {name: x.T.contiguous() if name in TRANSPOSED else x for name, x in whole.items()}


def _names(ours):
    """A list of transformers' name for one of our tensors, or three names for packed q, k and v."""
    if ours in NAMES:
        return [NAMES[ours]]
    tower = "vision_model." if ours.startswith("visual.") else "text_model."
    parts = [PARTS.get(part, part) for part in ours.removeprefix("visual.").split(".")]
    if parts[-1] in ("in_proj_weight", "in_proj_bias"):
        kind = parts.pop().removeprefix("in_proj_")
        return [f"{tower}{'.'.join(parts)}.{which}_proj.{kind}" for which in "qkv"]
    return [tower + ".".join(parts)]


def _from_json(whole):
    """config.json -> (config of CLIP, eos_token_id). UserError if miniclip lacks such a model."""
    # checked first, because for another kind of model `_tower` would name a less telling mistake
    refuse(
        {
            f"its model_type is {whole.get('model_type')!r}, not 'clip'": (
                whole.get("model_type") != "clip"
            )
        }
    )
    text, vision = _tower(whole, "text_config", TEXT), _tower(whole, "vision_config", VISION)
    acts, channels = (text["hidden_act"], vision["hidden_act"]), vision["num_channels"]
    refuse(
        {
            f"its pictures have {channels!r} channels, not 3": channels != 3,
            f"hidden_act is {acts[0]!r} and {acts[1]!r}; both must be 'gelu', or both "
            "'quick_gelu'": acts[0] != acts[1] or acts[0] not in ACTIVATIONS,
        }
    )
    return dict(
        embed_dim=whole.get("projection_dim", 512),
        image_size=vision["image_size"],
        vision_layers=vision["num_hidden_layers"],
        vision_width=vision["hidden_size"],
        vision_heads=vision["num_attention_heads"],
        vision_patch=vision["patch_size"],
        text_width=text["hidden_size"],
        text_layers=text["num_hidden_layers"],
        text_heads=text["num_attention_heads"],
        vocab_size=text["vocab_size"],
        context_length=text["max_position_embeddings"],
        activation=ACTIVATIONS[acts[0]],
    ), text["eos_token_id"]


def _tower(whole, key, defaults):
    """The part of config.json for one tower, checked, with the defaults of what it leaves out.

    In old files the part occurs a second time, as key + "_dict". Then only the second one counts.
    """
    config = defaults | (whole.get(key) or {})
    if whole.get(f"{key}_dict") is not None:
        config |= defaults | whole[f"{key}_dict"]
    inner, width = config["intermediate_size"], config["hidden_size"]
    refuse(
        {
            f"the sizes in {key} must be whole numbers, not {inner!r} and {width!r}": (
                {type(inner), type(width)} != {int}
            )
        }
        | {
            f"{name} is {config[name]!r} in {key}; miniclip has {default}": config[name] != default
            for name, default in FIXED.items()
        }
        | {f"the MLPs of {key} have the width {inner}, not 4 times {width}": inner != 4 * width}
    )
    return config


def _to_json(config, end, dtype):
    """config.json for a config of CLIP, a dict. end: the end token's id; dtype: of the weights."""
    [act] = [theirs for theirs, ours in ACTIVATIONS.items() if ours == config["activation"]]
    text, vision = (
        FIXED
        | {
            "model_type": f"clip_{tower}_model",
            "hidden_size": config[f"{tower}_width"],
            "intermediate_size": 4 * config[f"{tower}_width"],
            "num_hidden_layers": config[f"{tower}_layers"],
            "num_attention_heads": config[f"{tower}_heads"],
            "projection_dim": config["embed_dim"],
            "hidden_act": act,
        }
        for tower in ("text", "vision")
    )
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "torch_dtype": str(dtype).removeprefix("torch."),
        "projection_dim": config["embed_dim"],
        "text_config": text
        | {
            "vocab_size": config["vocab_size"],
            "max_position_embeddings": config["context_length"],
            "bos_token_id": end - 1,
            "eos_token_id": end,
            "pad_token_id": end,
        },
        "vision_config": vision
        | {
            "image_size": config["image_size"],
            "patch_size": config["vision_patch"],
            "num_channels": 3,
        },
    }


def _pictures(image_size):
    """The settings for pictures in preprocessor_config.json, a dict."""
    return PICTURES | {
        "size": {"shortest_edge": image_size},
        "crop_size": {"height": image_size, "width": image_size},
    }


def read_tokenizer(folder: Path, context_length: int) -> Tokenizer | None:
    """The Tokenizer in a folder, or None if the folder has none. Raises UserError if it is damaged
    or not of CLIP's kind."""
    files = [folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt")]
    if not any(map(os.path.lexists, files)):
        return None
    path = files[0] if os.path.lexists(files[0]) else files[1]
    shown = path if path == files[0] else f"{path} or merges.txt"
    with refusing(f"{shown} holds no tokenizer of CLIP's kind"):
        if path == files[0]:
            vocabulary, merges = _from_tokenizer_json(read_json(path))
        else:
            vocabulary = read_json(path)
            lines = read_text(files[2]).replace("\r\n", "\n").split("\n")
            merges = [line for line in lines if line and not line.startswith("#version")]
        added, *settings = (
            read_json(folder / name) if os.path.lexists(folder / name) else {}
            for name in ("added_tokens.json", "tokenizer_config.json", "special_tokens_map.json")
        )
        # transformers adds each of these tokens that the vocabulary lacks
        named = """added_tokens_decoder additional_special_tokens extra_special_tokens bos_token
            eos_token""".split()
        more = {*added, *_tokens([part.get(key) for part in settings for key in named])}
        refuse(
            {
                "it has added tokens": not more <= vocabulary.keys(),
                f"its rows of ids must begin with {START} and finish with {END}": any(
                    _tokens(part.get(key) or token) != [token]
                    for part in settings
                    for key, token in (("bos_token", START), ("eos_token", END))
                ),
            }
        )
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
        tokenizer = Tokenizer([(vocabulary[a], vocabulary[b]) for a, b in pairs], context_length)
        entries = _entries(tokenizer)
        odd = min(vocabulary.keys() ^ set(entries), default="the order")
        refuse(
            {
                f"its entries must be bytes, merges, start and end; what differs is {odd[:40]!r}": (
                    vocabulary != {name: i for i, name in enumerate(entries)}
                )
            }
        )
    return tokenizer


def _tokens(x):
    """A list of the tokens in nested settings. A token is a text, or a dict with its "content"."""
    x = x.get("content", [*x.values()]) if isinstance(x, dict) else x
    return [x] if isinstance(x, str) else [token for part in x or () for token in _tokens(part)]


def tokenizer_files(tokenizer: Tokenizer, context_length: int) -> dict[str, str]:
    """The files that transformers' CLIPTokenizer reads: {name: text}."""
    entries = _entries(tokenizer)
    merges = (f"{entries[left]} {entries[right]}\n" for left, right in tokenizer.merges)
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": context_length,
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "unk_token": END,
    }
    return {
        "vocab.json": json.dumps({name: i for i, name in enumerate(entries)}, indent=2) + "\n",
        "merges.txt": "#version: 0.2\n" + "".join(merges),
        "tokenizer_config.json": json.dumps(settings, indent=2) + "\n",
    }


def _from_tokenizer_json(whole):
    """tokenizer.json -> ({entry: id}, merges)."""
    model = whole["model"]
    odd = any(model.get(key) for key in ("dropout", "continuing_subword_prefix", "ignore_merges"))
    normalizers = _steps(whole, "normalizer")
    known = LOWERCASE in normalizers and all(step in NORMALIZERS for step in normalizers)
    added = {token["content"]: token["id"] for token in whole.get("added_tokens", [])}
    vocabulary, rows = model["vocab"] | added, whole.get("post_processor") or {}
    refuse(
        {
            "its model must be a byte-pair encoding in which only the ends of words are marked": (
                odd
                or model.get("type", "BPE") != "BPE"
                or model.get("end_of_word_suffix") != "</w>"
            ),
            "it splits words, or treats upper case, differently from CLIP": (
                not known or _steps(whole, "pre_tokenizer") not in SPLITS
            ),
            "its rows of ids must begin with the start token and finish with the end token": any(
                step.get(key, wanted) != wanted
                for step in rows.get("processors", [rows])
                for key, wanted in (
                    ("cls", [START, vocabulary.get(START)]),
                    ("sep", [END, vocabulary.get(END)]),
                    (
                        "single",
                        [
                            {"SpecialToken": {"id": START, "type_id": 0}},
                            {"Sequence": {"id": "A", "type_id": 0}},
                            {"SpecialToken": {"id": END, "type_id": 0}},
                        ],
                    ),
                )
            ),
        }
    )
    return vocabulary, model["merges"]


def _steps(whole, part):
    """A list of the steps in a part of tokenizer.json, without the options that change no ids."""
    part, several = whole.get(part) or {}, part.replace("_", "") + "s"
    return [
        {key: value for key, value in step.items() if key not in ("trim_offsets", "use_regex")}
        for step in part.get(several, [part])
    ]


def _entries(tokenizer):
    """The entries as the files write them, in the order of their ids."""
    alphabet = byte_alphabet()
    words = (
        "".join(alphabet[byte] for byte in piece.removesuffix(WORD_END))
        + "</w>" * piece.endswith(WORD_END)
        for piece in tokenizer.pieces
    )
    return [*words, START, END]

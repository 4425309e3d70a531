"""Weights in and out: OpenAI's, open_clip's and our own files become a model, and a model a file.

names.py finds weights that are given by a name, and downloads them. reading.py opens the file.
architecture.py finds the architecture from the shapes of the tensors, and huggingface.py finds it
in config.json. Here the name and shape of every tensor are checked before a model is built.

The shapes do not tell the activation (GELU or QuickGELU), so it must be written down somewhere.
Weights that run with the wrong activation raise no error, but lose accuracy.
Left out: models that CLIP's files cannot describe (other text encoders, other poolings).
"""

import contextlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import torch

from miniclip.bpe import Tokenizer
from miniclip.common import (
    UserError,
    check_new,
    check_output,
    checked,
    pick_device,
    refuse,
    refusing,
    replacing,
)
from miniclip.data.transforms import Preprocess
from miniclip.model.clip import CLIP, MODELS, OPENCLIP, named
from miniclip.model.vit import resize_positions
from miniclip.training import checkpoint
from miniclip.weights import huggingface, reading
from miniclip.weights.architecture import (
    RELEASED_TOKENS,
    config_of,
    must_be_clip,
    must_match,
    on_meta,
    released,
    to_write,
)

NOTE = "miniclip"  # save_openclip records the config under this name
# entries of the config that may differ between the weights and --model
RESIZED = ("image_size", "context_length", "activation")


@checked
def load(
    path: str | Path,
    device: str | torch.device = "cpu",
    activation: str | None = None,
    image_size: int | None = None,
) -> tuple[CLIP, Tokenizer, Callable]:
    """Read a model: path -> (model, tokenizer, preprocess). The model is in eval mode, in float32.

    path is one of
        "icons", "web"              the models in the package ("./icons", or a Path, is yours)
        "ViT-B/32", "hf-hub:..."    a name of names.py, downloaded if it is not on this machine
        checkpoint.pt               of a run of train.py
        .pt                         of OpenAI (QuickGELU)
        .pt, .bin, .safetensors     of open_clip, or the folder with such a file
        a folder, or a file in it   a CLIP of Hugging Face's transformers (huggingface.py)

    - activation: "gelu" or "quickgelu". A file of open_clip does not record it, so it must be
      given, unless the model's open_clip_config.json is beside the file or save_openclip wrote the
      file.
    - image_size: in pixels, to use the model at another size than it was trained at (position
      embeddings are interpolated).

    The tokenizer is the one in our checkpoint or in Hugging Face's folder, and otherwise the
    released one. A model may have been trained with a vocabulary that is neither the released one
    nor in the file. `load` then returns an object in place of the tokenizer, which raises UserError
    when it is used. model.config["tokenizer"] says which vocabulary it is:
    "openai", a SHA-256 (Tokenizer.digest), or None if it is unknown. preprocess turns a picture
    into a (3, S, S) tensor.

    Raises UserError

    - for a file that is damaged or holds no CLIP;
    - for a file in which the shapes of the tensors differ from what its config says, or whose
      header declares more data than the file contains;
    - for weights that are NaN or infinite;
    - if `activation` is not the one that the file records;
    - for a device that is not there.

    Nothing in the file is executed.
    """
    return load_with_file(path, device, activation, image_size)[2:]


@torch.inference_mode(False)  # or the model could not be trained, nor used outside of that mode
def load_with_file(path, device="cpu", activation=None, image_size=None):
    """As `load`, but returns (path of the file, its content, model, tokenizer, preprocess)."""
    path = reading.find(path)
    file = reading.read(path)
    device, content, tokenizer = pick_device(device), file["content"], None
    if content.get("format") == checkpoint.FORMAT:
        checkpoint.checked(path, content, needs=("model", "config", "tokenizer"))
        config, state, tokenizer = from_checkpoint(path, content)
    else:
        state, note = _state_dict(path, content), file["notes"].get(NOTE)
        if any(name.startswith(("text_model.", "vision_model.")) for name in state):
            config, state, tokenizer = huggingface.read(path, state)
        elif isinstance(note, str):
            config = on_meta(path, reading.parse_json(path, note), len(state)).config
        else:
            config = config_of(path, state)
            config["tokenizer"] = "openai" if config["vocab_size"] == RELEASED_TOKENS else None
        config["activation"] = file["activation"] or config.get("activation")
    told = config.get("activation")
    activation = told if activation is None else activation
    refuse(
        {
            f"{path} was trained with {told}, and {activation=} was asked for": (
                told not in (None, activation)
            ),
            f"{path} does not tell its activation; give --activation quickgelu (for OpenAI's "
            "weights, and for models whose open_clip name ends so) or gelu (in Python: "
            "activation='quickgelu'), or put the model's open_clip_config.json beside the file": (
                activation is None
            ),
        }
    )
    config["activation"] = activation
    if image_size is not None:
        config["image_size"] = int(image_size)
        want = on_meta(f"{image_size=} for {path}", config, len(state)).state_dict()
        # none, where an objective reads the grid in place of the attention pool
        for name in [n for n in want if n.startswith("visual.") and "positional" in n]:
            with contextlib.suppress(Exception):  # if the tensor is missing or odd, `build` says so
                # in float32, because 16 or 8 bits would round what is interpolated
                state = state | {
                    name: resize_positions(state[name].float(), math.isqrt(len(want[name])))
                }
    return (
        path,
        content,
        build(path, config, state).to(device).eval(),
        _tokenizer_of(config) if tokenizer is None else tokenizer,
        Preprocess(config["image_size"]),
    )


def build(path: Path, config: dict, state: dict) -> CLIP:
    """The model of a config with the weights `state`, {name: tensor}, on the CPU and in float32.

    path: the file that both are from. Raises UserError, naming a tensor, unless `state` has exactly
    the tensors of this config and all its numbers are finite.
    """
    model = on_meta(path, config, len(state))
    want = model.state_dict()
    # for the counters, which older files do not have
    zero = torch.zeros((), dtype=torch.int64, device="cpu")
    state = {name: zero for name in want if name.endswith("num_batches_tracked")} | state
    must_match(path, state, want, config.get("name") or "model")
    model.to_empty(device="cpu").load_state_dict(state)  # becomes float32, whatever the file has
    return model


@checked
def save_openclip(
    model: torch.nn.Module, path: str | Path, any_tokenizer: bool = False, overwrite: bool = False
) -> str:
    """Write weights that open_clip.create_model(name, pretrained=path) loads; returns that name.

    - path: a .pt or a .safetensors file. The config is recorded in it, so that `load` knows the
      activation and the vocabulary.
    - any_tokenizer: also write a model that was trained on another vocabulary than open_clip's.
      Whoever uses the file must bring that tokenizer.
    - overwrite: replace a file that exists. If it is a link, the link is replaced, and the file
      that it leads to stays as it is. The checkpoint and the best.pt of a run are never replaced,
      because the run could not go on without them.

    Raises UserError if open_clip has no config for the model, or if the model was trained on
    another vocabulary and any_tokenizer is False.
    """
    must_be_clip(model)
    name, vocabulary = released(model.config), model.config["tokenizer"]
    refuse(
        {
            f"open_clip has no config for this {model.config['name'] or 'model'}: it must be one of "
            f"{', '.join(OPENCLIP)} with the released image size, context length and 49408 "
            "tokens": name is None,
            f"this model was trained on a vocabulary of its own (sha256 {vocabulary}), and open_clip "
            "would feed it the ids of the released one; any_tokenizer=True writes the model "
            "anyway": vocabulary not in (None, "openai") and not any_tokenizer,
            # a name without an ending may be a tag of open_clip's, such as openai
            f"open_clip would not read {path} as this model's weights; end the name in .pt or "
            ".safetensors": Path(path).suffix in ("", ".npz", ".npy"),
        }
    )
    check_output(path, reading.by_miniclip, overwrite)
    check_new(path, overwrite)  # best.pt of a run, or an earlier export, may be the only copy
    state = to_write(path, model)
    note = json.dumps({**model.config, "name": name, "checkpointing": False})
    with replacing(path, follow=False, overwrite=overwrite) as file:
        if str(path).endswith(".safetensors"):
            reading.write_safetensors(state, {"format": "pt", NOTE: note}, file)
        else:
            torch.save({NOTE: note, "state_dict": state}, file)
    return OPENCLIP[name] + ("-quickgelu" if model.config["activation"] == "quickgelu" else "")


def initial_state(name: str, model: str | None = None, activation: str | None = None) -> dict:
    """The weights that fine-tuning starts from (train.py --init): {"model", "config", "tokenizer",
    "learned"}.

    - name, activation: as `path` and `activation` of `load`.
    - model: a name of MODELS with the same towers. Its picture size is then used, and position
      embeddings are interpolated, as for the paper's ViT-L/14@336px (section 2.5). None keeps the
      picture size of the weights.

    The values are a state dict, `model.config`, `Tokenizer.state()`, and the pairs that the weights
    have learned from (checkpoint.learned_by), as in the checkpoint of a run. Raises UserError

    - for weights that `load` refuses;
    - if `model` has other towers, because these would start from random weights;
    - if the vocabulary of the weights is not known, because a new one would start from random
      weights.

    Lesson: lessons/19_finetuning.md.
    """
    towers = MODELS[named(model)] if model else {}
    _, content, loaded, tokenizer, _ = load_with_file(
        name, activation=activation, image_size=towers.get("image_size")
    )
    config = loaded.config | ({"name": model} if model else {})
    refuse(
        {
            f"--init {name} has other towers than --model {model}: its {key} is {config[key]}, not "
            f"{wanted}; leave out --model to use the towers of {name}": config[key] != wanted
            for key, wanted in towers.items()
            if key not in RESIZED
        }
    )
    return dict(
        model=loaded.state_dict(),
        config=config,
        tokenizer=tokenizer.state(),
        learned=checkpoint.learned_by(content),
    )


def from_checkpoint(path: Path, content: dict) -> tuple[dict, dict, Tokenizer]:
    """(config, state, tokenizer) from a checkpoint that miniclip/training/checkpoint.py wrote."""
    with refusing(f"{path} is no checkpoint that can be read"):
        tokenizer = Tokenizer.from_state(content["tokenizer"])
    config, state = content["config"] | {"tokenizer": tokenizer.digest}, dict(content["model"])
    config = on_meta(path, config, len(state)).config
    refuse(
        {
            f"{path}: its tokenizer has more tokens than the model": (
                tokenizer.vocab_size > config["vocab_size"]
            ),
            f"{path}: its tokenizer makes texts of {tokenizer.context_length} ids, and the model has "
            f"{config['context_length']} positions for them; one of the two was changed": (
                tokenizer.context_length != config["context_length"]
            ),
        }
    )
    return config, state, tokenizer


def _state_dict(path, content):
    """{name: tensor} from the content of a file that no run of miniclip wrote."""
    if isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]  # a checkpoint of open_clip also holds an optimizer
    refuse(
        {
            f"{path} holds no weights: it should be a dict of tensors by name": (
                not checkpoint.are_weights(content)
            ),
            f"{path.parent} holds an adapter ({huggingface.ADAPTER}), which miniclip would leave "
            "out; merge it into the weights (PEFT: merge_and_unload), or remove that file": (
                os.path.lexists(path.with_name(huggingface.ADAPTER))
            ),
        }
    )
    # what DDP, torch.compile and Lightning put before each name: "module.", "_orig_mod.", "model."
    ends = (name.removesuffix("logit_scale") for name in content if name.endswith("logit_scale"))
    prefix = min(ends, default="")
    state = {name.removeprefix(prefix): tensor for name, tensor in content.items()}
    refuse({f"{path} has two tensors of one name": len(state) < len(content)})
    # OpenAI's archives hold three numbers and the causal mask beside the weights
    others = ("input_resolution", "context_length", "vocab_size", "attn_mask")
    return {name: tensor for name, tensor in state.items() if name not in others}


class _NoTokenizer:
    """Stands in for a tokenizer that the file does not hold: any use raises UserError(reason)."""

    def __init__(self, reason):
        self._reason = reason

    def __call__(self, *texts, **options):
        raise UserError(self._reason)

    def __getattr__(self, name):
        if name.startswith("_"):  # copy and pickle look for methods that need not exist
            raise AttributeError(name)
        self()


def _tokenizer_of(config):
    """Tokenizer.openai() for the released vocabulary, else a _NoTokenizer."""
    size, vocabulary = config["vocab_size"], config["tokenizer"]
    if size != RELEASED_TOKENS or vocabulary not in (None, "openai"):
        return _NoTokenizer(
            f"the model was trained on a vocabulary of its own ({size} tokens, sha256 {vocabulary}), "
            "which the file does not hold; use the tokenizer of its checkpoint"
        )
    tokenizer = Tokenizer.openai()
    tokenizer.context_length = config["context_length"]
    return tokenizer

"""Weights in and out: OpenAI's files, open_clip's and our own checkpoints become a model, and back.

reading.py opens the file. architecture.py finds the architecture from the shapes of the tensors, and
huggingface.py from config.json. Every tensor is checked here by name and shape before a model is built.
No shape tells the activation (GELU or QuickGELU), so it must be written down somewhere: weights that
run with the wrong one raise no error and lose accuracy.
Left out: models that CLIP's files cannot describe (other text encoders, other poolings), downloads.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from miniclip.bpe import Tokenizer
from miniclip.common import UserError, check_output, pick_device, refuse, replacing
from miniclip.data.transforms import Preprocess
from miniclip.model.clip import CLIP
from miniclip.model.vit import resize_positions
from miniclip.training import checkpoint
from miniclip.weights import huggingface, reading
from miniclip.weights.architecture import (
    OPENCLIP,
    RELEASED_TOKENS,
    config_beside,
    config_from_shapes,
    must_be_clip,
    must_be_numbers,
    must_match,
    on_meta,
    released,
    to_write,
    with_heads_of_released,
)

NOTE = "miniclip"  # under this name save_openclip records the config


def load(
    path: str | Path,
    device: str = "cpu",
    activation: str | None = None,
    image_size: int | None = None,
) -> tuple[CLIP, Tokenizer, Callable]:
    """Read a model from a file: path -> (model, tokenizer, preprocess), the model in eval mode, fp32.

    path: "icons" or "web", the models that the package brings (write "./icons" for a file of that name;
    "icons" is the first one, which was trained on thirteen sets of fonts that are no longer read), our
    checkpoint.pt, OpenAI's .pt (QuickGELU), open_clip's .pt or .safetensors, or the folder or
    file of a CLIP of Hugging Face's transformers (huggingface.py). Those of open_clip do not tell
    their activation: give "gelu" or "quickgelu", or keep the model's open_clip_config.json beside
    the file; what save_openclip wrote knows. image_size: pixels, to use the model at another size
    than it was trained at (position embeddings are interpolated).
    tokenizer: that of our checkpoint or of Hugging Face's folder, else the released one. Where the
    model has another vocabulary, the tokenizer raises UserError when it is used.
    model.config["tokenizer"] says which: "openai", a SHA-256 (Tokenizer.digest), None for unknown.
    preprocess: picture -> (3, S, S) tensor.
    Raises UserError, one sentence, for a file that is damaged, no CLIP, of another shape or
    activation than it says, or larger than limits.py allows; for weights that are NaN or infinite;
    and for a device that is not there. Nothing in the file is executed.
    """
    path = reading.find(path)
    return from_file(path, reading.read(path), device, activation, image_size)


def from_file(path, file, device="cpu", activation=None, image_size=None):
    """`load` for a file that was read already: file is what reading.read(path) returned."""
    device, content, tokenizer = pick_device(device), file["content"], None
    if isinstance(content, dict) and content.get("format") == checkpoint.FORMAT:
        checkpoint.checked(path, content, needs=("model", "config", "tokenizer"))
        config, state, tokenizer = from_checkpoint(path, content)
    else:
        state = _state_dict(path, content)
        config = _recorded_config(path, file, len(state))
        if huggingface.wrote(state):
            config, state, tokenizer = huggingface.read(path, state)
        elif config is None:
            config = config_beside(path, state) or with_heads_of_released(
                path, config_from_shapes(path, state)
            )
            config["tokenizer"] = "openai" if config["vocab_size"] == RELEASED_TOKENS else None
        config["activation"] = file["activation"] or config.get("activation")
    told = config.get("activation")
    refuse(
        {
            f"{path} was trained with {told}, and {activation=} was asked for": told
            and activation
            and told != activation,
            f"{path} does not tell its activation; give activation='gelu' or 'quickgelu' (OpenAI's "
            "weights, and open_clip's models named so), or put its open_clip_config.json beside "
            "it": not (told or activation),
        }
    )
    config["activation"] = told or activation
    if image_size is not None:
        config["image_size"] = image_size
        on_meta(path, config, len(state))
        state = _resized(path, config, state)
    model = build(path, config, state).to(device).eval()
    return (
        model,
        _tokenizer_of(config) if tokenizer is None else tokenizer,
        Preprocess(config["image_size"]),
    )


def build(path: Path, config: dict, state: dict) -> CLIP:
    """The model of a config with the weights `state`, {name: tensor}, on the CPU and in float32.

    path: the file that both are from. Raises UserError, naming a tensor, unless `state` is exactly the
    config's and all its numbers are finite.
    """
    model = on_meta(path, config, len(state))
    want = model.state_dict()
    counters = [name for name in want if name.endswith("num_batches_tracked")]
    # not in older files
    state = dict.fromkeys(counters, torch.zeros((), dtype=torch.int64)) | state
    must_match(path, state, want, config.get("name"))
    for name, x in state.items():
        wrong = f"{path}: {name} has the type {x.dtype}, expected {want[name].dtype}"
        refuse({wrong: x.is_floating_point() != want[name].is_floating_point()})
        state[name] = x.to(want[name].dtype)
    must_be_numbers(path, state)
    model.to_empty(device="cpu").load_state_dict(state)
    return model


def save_openclip(
    model: CLIP, path: str | Path, any_tokenizer: bool = False, overwrite: bool = False
) -> str:
    """Write weights that open_clip.create_model(name, pretrained=path) loads; returns that name.

    path: .pt, or .safetensors. The config is recorded in the file, so that `load` knows the
    activation and the vocabulary. any_tokenizer: write a model that was trained on ids of another
    vocabulary than open_clip's too; whoever uses the file must bring that tokenizer. overwrite:
    replace a file that miniclip did not write. Raises UserError when open_clip has no config for the
    model, or would feed it other ids, or the file cannot be written.
    """
    must_be_clip(model)
    named, vocabulary = released(model.config), model.config["tokenizer"]
    refuse(
        {
            f"open_clip has no config for this {model.config['name'] or 'model'}: it must be one of "
            f"{', '.join(OPENCLIP)} with its image size, context length and 49408 "
            "tokens": named is None,
            f"this model was trained on a vocabulary of its own (sha256 {vocabulary}), and open_clip "
            "would feed it the ids of the released one; any_tokenizer=True writes it all the "
            "same": vocabulary not in (None, "openai") and not any_tokenizer,
        }
    )
    check_output(path, reading.by_miniclip, overwrite)
    state = to_write(path, model)
    note = json.dumps({**model.config, "name": named, "checkpointing": False})
    try:
        with replacing(path) as file:
            if str(path).endswith(".safetensors"):
                from safetensors.torch import save

                file.write(save(state, metadata={"format": "pt", NOTE: note}))
            else:
                torch.save({NOTE: note, "state_dict": state}, file)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    return OPENCLIP[named] + ("-quickgelu" if model.config["activation"] == "quickgelu" else "")


def from_checkpoint(path: Path, content: dict) -> tuple[dict, dict, Tokenizer]:
    """(config, state, tokenizer) of what miniclip/training/checkpoint.py wrote."""
    try:
        tokenizer = Tokenizer.from_state(content["tokenizer"])
    except UserError as error:
        raise UserError(f"{path} is no checkpoint that can be read: {error}") from None
    config, state = content["config"] | {"tokenizer": tokenizer.digest}, dict(content["model"])
    config = on_meta(path, config, len(state)).config
    lengths = tokenizer.context_length, config["context_length"]
    refuse(
        {
            f"{path}: its tokenizer has more tokens than the model": (
                tokenizer.vocab_size > config["vocab_size"]
            ),
            f"{path}: its tokenizer makes texts of {lengths[0]} ids, and the model has {lengths[1]} "
            "positions for them; one of the two was changed": lengths[0] != lengths[1],
        }
    )
    return config, state, tokenizer


def _state_dict(path, content):
    """{name: tensor} of OpenAI's and open_clip's formats."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]  # open_clip's runs keep an optimizer beside it
    no_weights = f"{path} holds no weights: it should be a dict of tensors by name"
    refuse({no_weights: not checkpoint.are_weights(content)})
    state = {name.removeprefix("module."): tensor for name, tensor in content.items()}
    twice = f"{path} holds tensors twice, with and without 'module.' in their names"
    refuse({twice: len(state) < len(content)})
    # numbers, and the causal mask, that archives hold beside the weights
    for name in ("input_resolution", "context_length", "vocab_size", "attn_mask"):
        state.pop(name, None)
    return state


def _recorded_config(path, file, tensors):
    """The config that save_openclip wrote into the file, or None."""
    content = file["content"]
    note = file["notes"].get(NOTE) or (content.get(NOTE) if file["format"] == "torch" else None)
    known = isinstance(note, str)
    return on_meta(path, reading.parse_json(path, note), tensors).config if known else None


def _resized(path, config, state):
    """Interpolate the position embeddings of pictures to config's image size."""
    patch = config["vision_patch"]
    name = "visual.positional_embedding" if patch else "visual.attnpool.positional_embedding"
    stride = patch or 2 ** (len(config["vision_layers"]) + 1)
    if name not in state or state[name].ndim != 2:
        return state
    try:
        return state | {name: resize_positions(state[name], config["image_size"] // stride)}
    except ValueError as error:
        raise UserError(f"{path}: {name}: {error}") from None


class _NoTokenizer:
    """In the place of a tokenizer that is not there: any use of it raises UserError(reason)."""

    def __init__(self, reason):
        self._reason = reason

    def __call__(self, *texts, **options):
        raise UserError(self._reason)

    __getattr__ = __call__


def _tokenizer_of(config):
    """Tokenizer.openai() for the released vocabulary, else a _NoTokenizer."""
    size, vocabulary = config["vocab_size"], config["tokenizer"]
    if size != RELEASED_TOKENS:
        return _NoTokenizer(f"the file has {size} tokens, not the released 49408, and no tokenizer")
    if vocabulary not in (None, "openai"):
        return _NoTokenizer(
            f"the model was trained on a vocabulary of its own (sha256 {vocabulary}), which the "
            "file does not hold; use the tokenizer of its checkpoint"
        )
    tokenizer = Tokenizer.openai()
    tokenizer.context_length = config["context_length"]
    return tokenizer

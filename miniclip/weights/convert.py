"""Weights in and out: OpenAI's files, open_clip's and our own checkpoints become a model; back too.

files.py opens the file, architecture.py reads the architecture off the shapes of the tensors, and
here every tensor is checked by name and shape before a model is built. The activation (GELU or
QuickGELU) no shape tells: it must be written down somewhere, because weights in the wrong one lose
up to 2.7 points of ImageNet without a word of complaint.
Left out: models that CLIP's files cannot describe (other text encoders, other poolings), downloads.
"""

import json
from pathlib import Path

import torch

from miniclip.bpe import Tokenizer
from miniclip.common import UserError, replacing
from miniclip.data.transforms import evaluation
from miniclip.model.clip import CLIP
from miniclip.model.vit import resize_positions
from miniclip.training import checkpoint
from miniclip.weights import files
from miniclip.weights.architecture import (
    OPENCLIP,
    config_beside,
    config_from_shapes,
    released,
    with_heads_of_released,
)

NOTE = "miniclip"  # under this name save_openclip records the config
RELEASED_TOKENS = 49408


def load(path, device="cpu", activation=None, image_size=None):
    """Read a model from a file: path -> (model, tokenizer, preprocess), the model in eval mode, fp32.

    path: our checkpoint.pt, OpenAI's .pt (QuickGELU), or open_clip's .pt or .safetensors. Those of
    open_clip do not tell their activation: give "gelu" or "quickgelu", or keep the model's
    open_clip_config.json beside the file; what save_openclip wrote knows. image_size: pixels, to
    use the model at another size than it was trained at (position embeddings are interpolated).
    tokenizer: our checkpoint's own, or the released one; where its merges file is missing, or the
    file says that the model has another vocabulary, one that raises UserError when used.
    model.config["tokenizer"] says which: "openai", a SHA-256 (Tokenizer.digest), None for unknown.
    preprocess: picture -> (3, S, S) tensor.
    Raises UserError, one sentence, for a file that is damaged, no CLIP, or of another shape or
    activation than it says. Nothing in the file is executed; files.py says what is trusted.
    """
    return from_file(path, files.read(path), device, activation, image_size)


def from_file(path, file, device="cpu", activation=None, image_size=None):
    """`load` for a file that was read already: file is what files.read(path) returned."""
    content = file["content"]
    if isinstance(content, dict) and content.get("format") == checkpoint.FORMAT:
        config, state, tokenizer = _from_checkpoint(path, content)
    else:
        tokenizer = None
        state = _state_dict(path, file)
        config = _recorded_config(path, file)
        if config is None:
            config = config_beside(path, state)
            if config is None:
                config = with_heads_of_released(path, config_from_shapes(path, state))
            config["tokenizer"] = "openai" if config["vocab_size"] == RELEASED_TOKENS else None
        if file["format"] == "torchscript":
            config["activation"] = "gelu" if "torch.gelu(" in file["code"] else "quickgelu"
    _settle_activation(path, config, activation)
    config["image_size"] = image_size or config["image_size"]
    state = _resized(path, config, state)
    _check(path, config, state)
    with torch.random.fork_rng(devices=[]):  # new weights are drawn only to be replaced
        model = CLIP.from_config(config)
    model.load_state_dict(state)
    model.to(device).eval()
    tokenizer = _tokenizer_of(config) if tokenizer is None else tokenizer
    return model, tokenizer, evaluation(config["image_size"])


def save_openclip(model, path, any_tokenizer=False):
    """Write weights that open_clip.create_model(name, pretrained=path) loads; returns that name.

    path: .pt, or .safetensors. The config is recorded in the file, so that `load` knows the
    activation and the vocabulary. any_tokenizer: write a model that was trained on ids of another
    vocabulary than open_clip's too; whoever uses the file must bring that tokenizer.
    Raises UserError when open_clip has no config for the model, or would feed it other ids.
    """
    named = released(model.config)
    if named is None:
        raise UserError(
            f"open_clip has no config for this {model.config['name'] or 'model'}: it must be one of "
            f"{', '.join(OPENCLIP)} with its image size, context length and 49408 tokens"
        )
    vocabulary = model.config["tokenizer"]
    if vocabulary not in (None, "openai") and not any_tokenizer:
        raise UserError(
            f"this model was trained on a vocabulary of its own (sha256 {vocabulary}), and "
            "open_clip would feed it the ids of the released one; any_tokenizer=True writes it all the same"
        )
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    note = json.dumps({**model.config, "name": named, "checkpointing": False})
    with replacing(path) as file:
        if Path(path).suffix == ".safetensors":
            from safetensors.torch import save

            file.write(save(state, metadata={"format": "pt", NOTE: note}))
        else:
            torch.save({"state_dict": state, NOTE: note}, file)
    return OPENCLIP[named] + ("-quickgelu" if model.config["activation"] == "quickgelu" else "")


def _from_checkpoint(path, content):
    """(config, state, tokenizer) of what miniclip/training/checkpoint.py wrote."""
    try:
        if content["version"] > checkpoint.VERSION:
            raise UserError(f"version {content['version']} is newer than this code")
        state = content["model"]
        if not _are_weights(state):
            raise UserError("its model is not a dict of tensors by name")
        tokenizer = Tokenizer.from_state(content["tokenizer"])
        return _sound({**content["config"], "tokenizer": tokenizer.digest}), dict(state), tokenizer
    except KeyError as error:
        raise UserError(f"{path} is no checkpoint that can be read: it has no {error}") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"{path} is no checkpoint that can be read: {error}") from None


def _sound(config):
    """A config that was found in a file, once a model of its shape has been tried without memory."""
    with torch.device("meta"):
        return CLIP.from_config(config).config


def _are_weights(state):
    """Is this a dict of tensors by name?"""
    return isinstance(state, dict) and all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    )


def _state_dict(path, file):
    """{name: fp32 tensor} of OpenAI's and open_clip's formats."""
    state = file["content"]
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]  # open_clip's training checkpoints hold an optimiser as well
    if not _are_weights(state):
        raise UserError(f"{path} holds no weights: it should be a dict of tensors by name")
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    for name in ("input_resolution", "context_length", "vocab_size"):
        state.pop(name, None)  # numbers that OpenAI's archives keep beside the weights
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _recorded_config(path, file):
    """What save_openclip wrote down, or None."""
    content = file["content"]
    note = file["notes"].get(NOTE) or (content.get(NOTE) if file["format"] == "torch" else None)
    try:
        return None if note is None else _sound(json.loads(note))
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(f"{path} has a damaged record of its config: {error}") from None


def _settle_activation(path, config, asked):
    """Put the activation into config; refuse one that is unknown, or another than the file's."""
    told = config.get("activation")
    if told and asked and told != asked:
        raise UserError(f"{path} was trained with {told}, and activation={asked!r} was asked for")
    if not (told or asked):
        raise UserError(
            f"{path} does not tell its activation; give activation='gelu' or 'quickgelu' (OpenAI's "
            "weights, and open_clip's models named so), or put its open_clip_config.json beside it"
        )
    config["activation"] = told or asked


def _resized(path, config, state):
    """Interpolate the picture's position embeddings to config's image size; fill in counters."""
    if config["vision_patch"]:
        name, stride = "visual.positional_embedding", config["vision_patch"]
    else:
        name, stride = (
            "visual.attnpool.positional_embedding",
            2 ** (len(config["vision_layers"]) + 1),
        )
    if config["image_size"] % stride:
        raise UserError(f"{path}: image_size must be a multiple of {stride}")
    if name in state and state[name].ndim == 2:
        try:
            resized = resize_positions(state[name], config["image_size"] // stride)
        except ValueError as error:
            raise UserError(f"{path}: {name}: {error}") from None
        state = {**state, name: resized}
    return state


def _check(path, config, state):
    """Refuse a state that is not exactly the config's, naming one tensor, found and expected."""
    try:
        with torch.device("meta"):
            want = CLIP.from_config(config).state_dict()
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} tells a config that makes no model: {error}") from None
    what = config.get("name") or "model"
    for name, tensor in want.items():
        expected = tuple(tensor.shape)
        if name not in state and name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.int64)  # older files lack the counters
        elif name not in state:
            raise UserError(f"{path}: {name} is missing, expected {expected} for this {what}")
        elif tuple(state[name].shape) != expected:
            found = tuple(state[name].shape)
            raise UserError(
                f"{path}: {name} has shape {found}, expected {expected} for this {what}"
            )
    extra = sorted(state.keys() - want.keys())
    if extra:
        found = tuple(state[extra[0]].shape)
        raise UserError(
            f"{path}: {extra[0]} {found} is in the file, expected nothing for this {what}"
        )


class _NoTokenizer:
    """Stands in for a tokenizer that is not there, and says so when it is used."""

    def __init__(self, reason):
        self._reason = reason

    def __getattr__(self, name):
        raise UserError(self._reason)

    def __call__(self, *texts, **options):
        raise UserError(self._reason)


def _tokenizer_of(config):
    """Tokenizer.openai() for the released vocabulary, or a stand-in."""
    size, vocabulary = config["vocab_size"], config["tokenizer"]
    if size != RELEASED_TOKENS:
        return _NoTokenizer(f"the file has {size} tokens, not the released 49408, and no tokenizer")
    if vocabulary not in (None, "openai"):
        return _NoTokenizer(
            f"the model was trained on a vocabulary of its own (sha256 {vocabulary}), which the "
            "file does not hold; use the tokenizer of its checkpoint"
        )
    try:
        tokenizer = Tokenizer.openai()
    except UserError as error:
        return _NoTokenizer(str(error))
    tokenizer.context_length = config["context_length"]
    return tokenizer

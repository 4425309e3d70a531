"""How much a weights file may ask for: stated limits, compared before memory or time is taken.

No released CLIP comes near them. A number in a config is a whole number up to its limit, whoever wrote
the config; a model has no more layers than its file has tensors; JSON is not endless. Two limits stand
elsewhere, because what they guard stands on a lower floor: how far a file may inflate
(training/archive.py), and how long an entry of a vocabulary may be (bpe/tokenizer.py).
"""

import json
import reprlib

LARGEST = {
    "embed_dim": 1 << 14,
    "image_size": 1 << 12,  # pixels: preprocess makes pictures of this size
    "vision_layers": 256,
    "vision_width": 1 << 14,
    "vision_heads": 1 << 10,
    "vision_patch": 1 << 12,
    "text_width": 1 << 14,
    "text_layers": 256,
    "text_heads": 1 << 10,
    "vocab_size": 1 << 20,
    "context_length": 1 << 14,
}
STAGES = 6  # of a ResNet; each doubles the width
JSON_BYTES = 32 << 20
# what a value of another kind than expected raises, somewhere
WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RuntimeError)


def whole_number(value, name, largest):
    """The value, if it is a whole number from 1 to `largest`; else ValueError."""
    if type(value) is not int or not 0 < value <= largest:
        raise ValueError(f"{name} is {reprlib.repr(value)}, not a whole number from 1 to {largest}")
    return value


def check_config(config, tensors=None):
    """Raise ValueError for a model's config, {name: value}, whose numbers are none or too large.

    tensors: how many there are for the model, each layer needs one at least. Names are not checked.
    """
    layers = config["vision_layers"]
    stages = layers if isinstance(layers, list) else [layers]
    if not 0 < len(stages) <= STAGES:
        raise ValueError(f"vision_layers has {len(stages)} stages, not 1 to {STAGES}")
    numbers = {k: v for k, v in config.items() if k in LARGEST and k != "vision_layers"}
    if numbers.get("vision_patch") is None and isinstance(layers, list):
        numbers.pop("vision_patch", None)
    for name, value in [*numbers.items(), *(("vision_layers", n) for n in stages)]:
        whole_number(value, name, LARGEST[name])
    for name, value in config.items():
        if name not in LARGEST and not isinstance(value, (str, bool, type(None), list)):
            raise ValueError(f"{name} is {reprlib.repr(value)}")
    for count in config.get("ngrams", ()):
        whole_number(count + 1, "ngrams", LARGEST["vocab_size"])
    if (config["image_size"] // stride_of(config)) ** 2 > LARGEST["context_length"]:
        raise ValueError(f"pictures have more than {LARGEST['context_length']} patches")
    if tensors is not None and sum(stages) + config["text_layers"] > tensors:
        raise ValueError(f"it has {tensors} tensors, fewer than layers")


def stride_of(config):
    """Pixels from a cell of the picture tower's last grid to the next one."""
    return config.get("vision_patch") or 2 ** (len(config["vision_layers"]) + 1)


def read_json(path):
    """The object in a JSON file (a Path), a dict. ValueError for anything else, or OSError."""
    if path.stat().st_size > JSON_BYTES:
        raise ValueError(f"it has more than {JSON_BYTES:,} bytes")
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text):
    """The object in JSON text, a dict; else ValueError."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found

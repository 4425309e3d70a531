"""How much a weights file may ask for: stated limits, compared before memory or time is taken.

No released CLIP comes near them. A number in a config is a whole number up to its limit, whoever wrote
the config; a model has no more layers than its file has tensors; JSON is not endless. How long an entry
of a vocabulary may be stands in bpe/tokenizer.py, on a lower floor.
"""

import json

from miniclip.common import UserError
from miniclip.model.clip import check_numbers

MODULES = 10_000  # of a TorchScript archive; RN50x64 has about 600
LONGEST_NAME = 1000  # characters, of a module in an archive
SOURCE_BYTES = 64 << 20  # of its compressed text, beyond the archive's size
JSON_BYTES = 32 << 20
# what a value of another kind than expected raises, somewhere
WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RuntimeError)


def check_config(config, tensors):
    """Raise ValueError for a model's config, {name: value}, whose numbers are none or too large.

    tensors: how many there are for the model. Names are not checked, the model's class does that.
    """
    check_numbers(config)
    layers = config["vision_layers"]
    if config["text_layers"] + (sum(layers) if isinstance(layers, list) else layers) > tensors:
        raise ValueError(f"it has more layers than its {tensors} tensors are for")


def read_json(path):
    """The object in a JSON file, a dict. UserError for anything else."""
    try:
        with open(path, "rb") as file:
            return parse_json(path, file.read(JSON_BYTES))  # one that is longer is cut short
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def parse_json(path, text):
    """The object in JSON text that is from a file, a dict. UserError for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} holds damaged JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} holds JSON that is no object")
    return found

"""Open a file of weights without running what is in it: four formats in, one dict out.

A checkpoint of torch is a pickle, and a pickle is a program. So: .safetensors holds tensors and
text only; torch.load(weights_only=True) unpickles tensors, numbers, strings, lists and dicts and
refuses everything else; and OpenAI's files are TorchScript archives, which need torch.jit.load. That
one compiles the methods in the archive but calls none, unless one is named __setstate__: an archive
with such a method is refused here. The check uses the reader that torch.jit.load uses, and refuses
two entries of one name, so that what is checked is what is compiled. What is still trusted is
torch's own reader of these formats.
Left out: sharded files, numpy files, downloads.
"""

from collections import Counter
from pathlib import Path

import torch
from safetensors import safe_open

from miniclip.common import UserError


def read(path):
    """Read a weights file onto the CPU: path -> dict with

    format: "safetensors", "torch" or "torchscript"; content: what it holds, which for safetensors
    and TorchScript is {name: tensor}; notes: its strings (safetensors), or {}; code: the source of
    its methods (TorchScript), or "". Raises UserError in one sentence for what cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no weights file at {path}")
    with open(path, "rb") as file:
        start = file.read(9)
    # Anything at all may be raised for a file that is not what it looks like
    try:
        if start[8:] == b"{":  # the length of a JSON header, then the header
            return _read_safetensors(path)
        code = _torchscript_code(path)
        if code is None:
            content = torch.load(path, map_location="cpu", weights_only=True)
            return {"format": "torch", "content": content, "notes": {}, "code": ""}
        if "__setstate__" in code:
            raise UserError("its __setstate__ would run as soon as it is loaded")
        module = torch.jit.load(str(path), map_location="cpu")
        content = dict(module.state_dict())
        return {"format": "torchscript", "content": content, "notes": {}, "code": code}
    except Exception as error:
        raise UserError(f"{path} cannot be read as weights: {_reason(error)}") from None


def _read_safetensors(path):
    with safe_open(path, framework="pt") as file:
        content = {name: file.get_tensor(name) for name in file.keys()}
        notes = file.metadata() or {}
    return {"format": "safetensors", "content": content, "notes": notes, "code": ""}


def _torchscript_code(path):
    """The source text of a TorchScript archive's methods; None for any other file.

    Raises UserError for entries that torch.jit.load may look up and find another one.
    """
    try:
        archive = torch._C.PyTorchFileReader(str(path))
        names = archive.get_all_records()
    except (RuntimeError, UnicodeDecodeError):  # not one of torch's archives
        return None
    name, times = Counter(map(str.lower, names)).most_common(1)[0]  # its look-up ignores case
    if times > 1:
        raise UserError(f"it has {times} entries called {name!r}")
    if not all(map(archive.has_record, names)):  # names of more than 511 bytes are listed cut off
        raise UserError("it has an entry whose name is too long")
    if "constants.pkl" not in map(str.lower, names):
        return None
    sources = [name for name in names if name.lower().endswith(".py")]
    return "\n".join(archive.get_record(name).decode("utf-8", "replace") for name in sources)


def _reason(error):
    """An exception in a few words, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "WeightsUnpickler" in text or "weights_only" in text:
        for mark in ("Unsupported global: GLOBAL ", "Unsupported class ", "Unsupported operand "):
            if mark in text:
                return f"it holds more than tensors ({text.split(mark)[1].split()[0]})"
        return "it is cut short, or holds more than tensors"
    return text[:160]

"""What the whole library shares: the exception for users' mistakes, options, devices, files.

A UserError is a mistake of the user: a wrong path, option or file, or a missing package. A command
prints its sentence and exits with code 2. Any other exception is a bug, and shows its traceback.
"""

import argparse
import contextlib
import functools
import json
import math
import os
import platform
import sys
from pathlib import Path


class UserError(ValueError):
    """A mistake of the user, in one sentence: what is wrong, and what would be right."""


class Parser(argparse.ArgumentParser):
    """An argument parser that prints one sentence and exits with code 2 on a mistake."""

    def error(self, message):
        """Print the sentence, unless it is empty, and exit with code 2."""
        if message:
            print(f"{self.prog}: error: {message}", file=sys.stderr)
        raise SystemExit(2)


def command(prog):
    """Decorator of a command's main(argv=None): a UserError prints "prog: error: sentence" and
    exits with code 2. An empty sentence prints nothing (another rank prints it)."""

    def decorate(main):
        @functools.wraps(main)
        def run(argv=None):
            try:
                return main(argv)
            except UserError as error:
                Parser(prog).error(str(error))

        return run

    return decorate


def number(kind, low=None, above=None):
    """An argparse type: a finite int or float that is at least `low`, or greater than `above`."""
    word = "a whole number" if kind is int else "a number"
    bound = "" if low is None else f" of at least {low}"
    bound = bound if above is None else f" above {above}"
    low, above = (-math.inf if limit is None else limit for limit in (low, above))

    def parse(text):
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) < math.inf and value > above:
                return value
        raise argparse.ArgumentTypeError(f"must be {word}{bound}, not {text!r}")

    return parse


def pick_device(name):
    """'auto', 'cpu', 'cuda', 'cuda:1', 'mps' -> torch.device. UserError where there is none.

    'auto' is a CUDA card or the CPU. Apple's mps must be given by name.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        raise UserError(f"--device {name} is not available here; try --device cpu") from None
    return device


def machine(device):
    """The machine in words, for results.json: {'device', 'cores', 'threads', 'torch', 'python'}."""
    import torch

    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def emulates(precision):
    """Whether torch has no matrix product in `precision` ("bf16", "fp16") for this CPU.

    It then converts to float32. On x86 oneDNN needs AVX-512 for such products (torch 2.7 to 2.13).
    False where torch lacks oneDNN.
    """
    import torch

    if precision == "fp32" or not torch.backends.mkldnn.is_available():
        return False
    return not getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported")()


def write_json(path, results):
    """Write a dict as indented JSON, atomically."""
    with replacing(path) as file:
        file.write((json.dumps(results, indent=2) + "\n").encode())


@contextlib.contextmanager
def replacing(path):
    """`with replacing(path) as file:` writes a binary file that replaces `path` when complete.

    After an exception in the block `path` is unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f".{path.name}.*.tmp"):  # left by a killed process
        old.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(PermissionError):  # Windows cannot open a folder
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)  # forces the new name to the disk
        os.close(folder)

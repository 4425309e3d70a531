"""What the whole library shares: the exception for users' mistakes, options, devices, atomic writes.

A UserError is something that the person at the keyboard got wrong: a path, an option, a file, a
missing package. A command line prints its sentence and exits with 2. Any other exception is a bug,
and shows its traceback.
"""

import argparse
import functools
import json
import math
import os
import platform
import sys
from pathlib import Path


class UserError(ValueError):
    """What a user did wrong: one sentence that says what was wrong and what would be right."""


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one sentence and exit code 2."""

    def error(self, message):
        """Print the sentence (None: another rank prints it) and leave with exit code 2."""
        if message:
            print(f"{self.prog}: error: {message}", file=sys.stderr)
        raise SystemExit(2)


def command(prog):
    """Decorator of a command's main(argv=None): a UserError prints "prog: error: sentence" and exits
    with code 2. An empty sentence prints nothing (another rank prints it)."""

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
    bound = f" of at least {low}" if low is not None else ""
    bound = f" above {above}" if above is not None else bound

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        inside = (low is None or value >= low) and (above is None or value > above)
        if not (math.isfinite(value) and inside):
            raise argparse.ArgumentTypeError(f"must be {word}{bound}, not {text!r}")
        return value

    return parse


def pick_device(name):
    """'auto', 'cpu', 'cuda', 'cuda:1', 'mps' -> torch.device. UserError where it is not there.

    'auto' is a CUDA card or the CPU; Apple's mps is taken only by its name.
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
    """Whether torch has no 16-bit matrix product for this CPU ("bf16", "fp16") and converts instead.

    On x86 oneDNN needs AVX-512 for them (torch 2.7 to 2.13). False where torch lacks oneDNN.
    """
    import torch

    if precision == "fp32" or not torch.backends.mkldnn.is_available():
        return False
    return not getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported")()


def write_json(path, results):
    """Write a dict as indented JSON, atomically."""
    with replacing(path) as file:
        file.write((json.dumps(results, indent=2) + "\n").encode())


class replacing:
    """`with replacing(path) as file:` writes a binary file that replaces `path` only when whole."""

    def __init__(self, path):
        self.path = Path(path)
        self.temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for old in self.path.parent.glob(f".{self.path.name}.*.tmp"):  # left by a killed process
            old.unlink(missing_ok=True)
        self.file = open(self.temporary, "wb")
        return self.file

    def __exit__(self, kind, error, traceback):
        try:
            with self.file:
                if kind is None:
                    self.file.flush()
                    os.fsync(self.file.fileno())
            if kind is None:
                os.replace(self.temporary, self.path)
                sync_folder(self.path.parent)
        finally:  # it is there still if anything went wrong
            self.temporary.unlink(missing_ok=True)


def sync_folder(folder):
    """Force a rename in `folder` to the disk, where the system can (Windows cannot)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

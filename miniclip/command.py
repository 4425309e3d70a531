"""What the command lines share: options refused in one sentence, the machine in words, results."""

import argparse
import json
import math
import os
import platform
import sys

import torch

from miniclip.checkpoint import replacing


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one sentence and exit code 2."""

    def error(self, message):
        """Print the sentence (None: another rank prints it) and leave with exit code 2."""
        if message:
            print(f"{self.prog}: error: {message}", file=sys.stderr)
        raise SystemExit(2)


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
    """'auto', 'cpu', 'cuda', 'cuda:1' -> torch.device. ValueError where it is not there.

    Apple's 'mps' is refused: the loss keeps a few vectors in float64, which it does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device, dtype=torch.float64)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        raise ValueError(f"--device {name} is not available here; try --device cpu") from None
    return device


def machine(device):
    """The machine in words, for results.json: {'device', 'cores', 'threads', 'torch', 'python'}."""
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


def write_json(path, results):
    """Write a dict as indented JSON, atomically."""
    with replacing(path) as file:
        file.write((json.dumps(results, indent=2) + "\n").encode())

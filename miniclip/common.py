"""What the whole library shares: the exception for users' mistakes, options, devices, files.

A UserError is a mistake of the user: a wrong path, option or file, or a missing package. A command
prints its sentence and exits with code 2, as it does for a file that the system refuses to read or
write. It exits with 130 after Ctrl-C and with 141 when nobody reads its output any more. Any other
exception is a bug, and shows its traceback.
"""

import argparse
import contextlib
import functools
import json
import math
import os
import platform
import re
import secrets
import shutil
import signal
import sys
import time
from pathlib import Path


class UserError(ValueError):
    """A mistake of the user, in one sentence: what is wrong, and what would be right."""


def refuse(mistakes: dict[str, bool]) -> None:
    """Raise a UserError with the first sentence of {sentence: whether it is so} that is so."""
    for sentence, so in mistakes.items():
        if so:
            raise UserError(sentence)


class Parser(argparse.ArgumentParser):
    """An argument parser that prints one sentence and exits with code 2 on a mistake."""

    def error(self, message):
        """Print the sentence, unless it is empty, and exit with code 2."""
        if message:
            print(f"{self.prog}: error: {_one_line(message)}", file=sys.stderr)
        raise SystemExit(2)


def _one_line(sentence):
    """A sentence for a terminal, although a name in it may hold line breaks or control characters."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence)


def command(prog):
    """Decorator of a command's main(argv=None): it turns what a user can change into one sentence on
    stderr, "prog: error: sentence", and an exit code.

    2: a UserError, or an OSError (its file and what the system says of it). An empty sentence prints
    nothing, because another rank prints it. 130: Ctrl-C. 141: what read the output has ended.
    """

    def decorate(main):
        @functools.wraps(main)
        def run(argv=None):
            if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # see miniclip/__init__.py
                signal.signal(signal.SIGINT, signal.default_int_handler)
            for name in ("stdout", "stderr"):
                if getattr(sys, name) is None:  # it was closed by who started this process
                    setattr(sys, name, open(os.devnull, "w"))
                if hasattr(getattr(sys, name), "reconfigure"):  # a terminal may lack characters
                    getattr(sys, name).reconfigure(errors="backslashreplace")
            code = None
            try:
                code = main(argv)
                sys.stdout.flush()
                return code
            except UserError as error:
                sentence, code = str(error), 2
            except KeyboardInterrupt:
                sentence, code = "stopped by Ctrl-C", 130
            except BrokenPipeError:
                sentence, code = "", code or 141
            except OSError as error:
                if error.strerror is None:
                    raise
                sentence = f"{error.filename or 'the output'}: {error.strerror}"
                code = code or 2  # main may have ended with its own code before the flush failed
            _end(prog, sentence, code)

        return run

    return decorate


def _end(prog, sentence, code):
    """Print the sentence, unless it is empty, and exit. What cannot be printed is dropped."""
    try:
        sys.stdout.flush()
    except OSError:  # Python would flush once more, and print a traceback
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with contextlib.suppress(OSError):
        if sentence:
            print(f"{prog}: {'error: ' * (code == 2)}{_one_line(sentence)}", file=sys.stderr)
    raise SystemExit(code)


def number(kind, low=None, above=None, high=1e15):
    """An argparse type: an int or float that is at least `low`, or greater than `above`, and at most
    `high`."""
    word = "a whole number" if kind is int else "a number"
    bound = "" if low is None else f" of at least {low}"
    bound = bound if above is None else f" above {above}"
    low, above = -high if low is None else low, -math.inf if above is None else above

    def parse(text):
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) <= high and value > above:
                return value
            if value > high:
                raise argparse.ArgumentTypeError(f"must be at most {high:,g}, not {text[:40]!r}")
        raise argparse.ArgumentTypeError(f"must be {word}{bound}, not {text[:40]!r}")

    return parse


def path(kind=Path):
    """An argparse type: a path, as a Path or a str, with ~ expanded. It must not be empty."""

    def parse(text):
        if not text.strip() or "\0" in text:
            raise argparse.ArgumentTypeError("must be a path, and not empty")
        return kind(os.path.expanduser(text))

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
        if device.type == "meta":
            raise TypeError("it has no numbers")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, OverflowError):
        raise UserError(f"the device {str(name)[:40]} is not available here; try cpu") from None
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


def save_figure(figure, path, dpi=100):
    """Write matplotlib's figure, atomically, with a mark that says who drew it: a .pdf or an .svg,
    and under any other name a PNG."""
    kind = {".pdf": "pdf", ".svg": "svg"}.get(Path(path).suffix, "png")
    mark = {"Software" if kind == "png" else "Creator": "miniclip"}
    with replacing(path) as file:
        figure.savefig(file, format=kind, dpi=dpi, metadata=mark)


_TEMPORARY = re.compile(r"\.miniclip-\d+-[0-9a-f]{8}\.tmp")  # what `replacing` writes, and deletes


@contextlib.contextmanager
def replacing(path):
    """`with replacing(path) as file:` writes a binary file that replaces `path` when complete.

    Links in `path` are followed: the file that they lead to is replaced. After an exception in the
    block it is unchanged. Raises UserError where `path` is something else than a file.
    """
    path = _target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    temporary = _temporary(path)
    try:
        with open(temporary, "xb") as file:
            lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except RuntimeError as error:
        reason = error
        while reason is not None and not isinstance(reason, OSError):
            reason = reason.__context__  # torch.save raises a RuntimeError on top of the OSError
        raise reason or error
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(PermissionError):  # Windows cannot open a folder
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)  # forces the new name to the disk
        os.close(folder)


def _target(path):
    try:
        path = Path(os.path.realpath(path))
    except ValueError:
        raise UserError(f"{str(path)!r} has a NUL, and no file can be called so") from None
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no file and cannot be written; choose another name")
    return path


def _temporary(path):
    return path.with_name(f".miniclip-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _remove_leftovers(folder):
    """Delete the temporary files that killed processes left in a folder.

    A living process holds the lock of its file; one that has just made it may not have it yet.
    """
    with contextlib.suppress(OSError):
        for old in folder.glob(".miniclip-*.tmp"):
            ours = _TEMPORARY.fullmatch(old.name) and old.is_file() and not old.is_symlink()
            if ours and time.time() - old.stat().st_mtime > 60:
                with open(old, "r+b") as file:
                    if lock(file):
                        old.unlink()


def lock(file):
    """Whether this process holds the lock of an open file now; the lock ends with the process.

    True as well where the system has no locks (Windows, some network disks).
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def check_output(path, ours=None, overwrite=False):
    """Before the work starts: raise UserError unless the file `path` can be written and may be.

    ours: path -> whether an existing file says by its format that miniclip wrote it. A file that
    does not is only replaced with `overwrite`. None: any file is replaced.
    """
    try:
        target = _target(path)
        if target.exists() and ours and not (overwrite or ours(target)):
            raise UserError(
                f"{path} exists, and miniclip did not write it, or it was changed since; choose another "
                "name, or add --overwrite to replace it"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        probe = _temporary(target)
        open(probe, "xb").close()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None

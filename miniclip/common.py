"""What the whole library shares: the exception for users' mistakes, options, devices, files.

A UserError is a mistake of the user: a wrong path, option or file, or a missing package. A command
prints the error's sentence and exits with code 2. It does the same if the system refuses to read or
write a file. It exits with 130 after Ctrl-C, and with 141 if nobody reads its output any more. Any
other exception is a bug, and shows its traceback.
"""

import argparse
import contextlib
import errno
import functools
import importlib
import inspect
import json
import numbers
import os
import platform
import re
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# The names of temporary files and folders. `remove_leftovers` deletes nothing else.
TEMPORARY = re.compile(r"\.miniclip-\d+-[0-9a-z_]{8}\.tmp")
NO_THREADS = (
    "the system lets this process start no more threads; raise its limit (ulimit -u, or a "
    "container's), or end other programs"
)
MEMORY_FULL = re.compile("out of memory|allocate memory")  # what torch's errors say
# seconds without a change, after which a temporary file or folder counts as left behind
ABANDONED_S = 86_400


class UserError(ValueError):
    """A mistake of the user, in one sentence: what is wrong, and what would be right."""


def refuse(mistakes: dict[str, bool], error: type[Exception] = UserError) -> None:
    """Raise an error with the first sentence of {sentence: condition} whose condition holds."""
    for sentence, so in mistakes.items():
        if so:
            raise error(sentence)


def odd_file(path: str | Path) -> dict[str, bool]:
    """The mistakes for `refuse` at a path that should be a file. None of them holds if there is a
    file, or nothing at all."""
    return {
        f"{path} is a link that leads to no file; bring its file back": (
            os.path.islink(path) and not os.path.exists(path)
        ),
        # a pipe could block for ever
        f"{path} is not a file": os.path.exists(path) and not os.path.isfile(path),
    }


@contextlib.contextmanager
def refusing(sentence: str, reasons: dict[str, str] = {}) -> Iterator[None]:
    """`with refusing("x is no index"):` turns any error of the block into a UserError, for example
    "x is no index: it lacks 'weight_map'". A damaged file can cause almost any error.

    reasons: {message of an error: what is said in its place}.
    """
    try:
        yield
    except Exception as error:
        said = re.sub(r"^\[(Errno|WinError) \d+\] ", "", reasons.get(str(error), str(error)))
        reason = " ".join(said.split()) or type(error).__name__
        # Python's words about a value of another type tell a user nothing when they stand alone
        what = "it lacks " * isinstance(
            error, KeyError
        ) + "another form was expected: " * isinstance(
            error, (TypeError, AttributeError, ZeroDivisionError)
        )
        raise UserError(f"{sentence}: {what}{reason[:300]}") from None


@contextlib.contextmanager
def in_words(sentence: str, *errors: type[Exception]) -> Iterator[None]:
    """`with in_words("parquet files need: pip install pyarrow", ImportError):` turns errors of these
    types in the block into a UserError with this sentence."""
    try:
        yield
    except errors:
        raise UserError(sentence) from None


def is_first_here() -> bool:
    """Whether this process prints what depends on the command line alone. torchrun gives the same
    command line to all processes that it starts on a machine, so only the first of them prints."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("LOCAL_RANK") == "0"


class Parser(argparse.ArgumentParser):
    """An argument parser that prints one sentence and exits with code 2 on a mistake.

    prog: the name of the command in its messages, if it was started by itself. If `choose` started
    it, its messages name what was typed, for example "miniclip search find".
    """

    typed = None  # the words of the command line that `choose` has read

    def __init__(self, prog: str, **how):
        super().__init__(prog=Parser.typed or prog, **how)

    @classmethod
    def of(cls, prog: str, description: str, options: dict[str, dict], **how) -> "Parser":
        """The parser of a command. options: {name of an option: arguments of add_argument}."""
        parser = cls(prog=prog, description=description, **how)
        for name, option in options.items():
            parser.add_argument(name, **option)
        return parser

    def parse_args(self, args=None, namespace=None):
        """As argparse's, but an option that takes one value must not be given twice, because only
        the last value would count."""
        refuse({"main takes a list of words, and not one text": isinstance(args, str)})
        self.given = []
        words = sys.argv[1:] if args is None else [*map(str, args)]  # paths and numbers, too
        # the other method also takes an option between two words that may be left out (in
        # Python 3.11 the first one does not), but it loses the meaning of --
        parse = super().parse_args if "--" in words else super().parse_intermixed_args
        return parse(words, namespace)

    def _get_values(self, action, arg_strings):
        name = (action.option_strings or [""])[0]
        if name and "--" in arg_strings:  # argparse would make an empty list of --out=--
            self.error(f"{name} needs a value, and -- is none")
        if name and name in self.given and isinstance(action, argparse._StoreAction):
            self.error(f"{name} is given twice, and only the last would count; give it once")
        self.given.append(name)
        return super()._get_values(action, arg_strings)

    def error(self, message: str):
        """Print the sentence, unless it is empty, and exit with code 2."""
        if re.match("unrecognized arguments: [^-]", message):  # a shell makes several of a pattern
            message += "; put a pattern such as 'shards/*.tar', or a name with spaces, in quotes"
        # argparse's messages repeat what was typed
        _end(self.prog, message[:2000] * is_first_here(), 2)

    def renamed(self, old: str, new: str) -> None:
        """Print one line: the option `old`, which was given, is now written `new`."""
        self._print_message(f"{self.prog}: {old} is now written {new}\n")

    def _print_message(self, message, file=None):  # argparse's own method hides a full disk
        print(message * is_first_here(), end="", file=file or sys.stderr, flush=True)


def command(prog: str, what: str = "", options: dict[str, dict] | None = None) -> Callable:
    """Decorator of a command's main, which is then called as main(argv=None). An error that the
    user can correct becomes one line on stderr, "prog: error: sentence", and an exit code, without
    a traceback.

    what, options: the description and the options of the command, as Parser.of takes them. If they
    are given, main gets the value of each option by the option's name. Otherwise main gets argv.
    main returns its exit code, or nothing if all went well.

    The code is 2 for a UserError or an OSError, and if memory is full. The sentence of an OSError is
    the file's name and the system's message. The code is 130 after Ctrl-C, and 141 if nobody reads
    the output any more. A UserError with an empty sentence prints nothing, because another rank
    prints the sentence.
    """

    def decorate(main):
        @functools.wraps(main)
        def run(argv=None):
            if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # see miniclip/__init__.py
                signal.signal(signal.SIGINT, signal.default_int_handler)
            # a backend that a notebook has set may not be installed here, and no figure is shown
            os.environ.pop("MPLBACKEND", None)
            # a stream is None if the program that started this process has closed it
            sys.stdin = sys.stdin or open(os.devnull)
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name) or open(os.devnull, "w")
                setattr(sys, name, stream)
                if hasattr(stream, "reconfigure"):  # a terminal may lack some characters
                    stream.reconfigure(errors="backslashreplace")
            code = None
            try:
                os.getcwd()  # fails in a folder that was deleted, where torch would abort the process
                _check_torch()
                if options is None:
                    code = main(argv) or 0
                else:
                    code = main(**vars(Parser.of(prog, what, options).parse_args(argv))) or 0
                getattr(sys.stdout, "flush", bool)()  # print needs only write
                return code
            except UserError as error:
                sentence, code = str(error), 2
            except (KeyboardInterrupt, RuntimeError, MemoryError, AttributeError) as error:
                # Python up to 3.11 wraps what is raised while a class with descriptors is made
                if KeyboardInterrupt in (type(error), type(error.__cause__)):
                    sentence, code = "stopped by Ctrl-C", 130
                elif isinstance(error, MemoryError) or MEMORY_FULL.search(str(error)):
                    sentence, code = "memory is full; free some of it, or ask for less at a time", 2
                # Python's pool of threads raises an AttributeError if it could start only some
                elif "can't start new thread" in f"{error} {error.__context__}":
                    sentence, code = NO_THREADS, 2
                else:
                    raise
            except BrokenPipeError:
                sentence, code = "", code or 141
            except OSError as error:
                if error.strerror is None:
                    raise
                # an error of os.getcwd or of printing comes without a file's name
                gone = {errno.ENOENT: "this folder", errno.ENOSPC: "the output"}.get(error.errno)
                sentence = ": ".join(filter(None, (error.filename or gone, error.strerror)))
                code = code or 2  # main may have ended with its own code before the flush failed
            _end(Parser.typed or prog, sentence, code)

        return run

    return decorate


def _check_torch():
    """Raise UserError if a notebook has set torch so that a command's numbers would be wrong."""
    if torch := sys.modules.get("torch"):
        refuse(
            {
                "commands compute in float32; call torch.set_default_dtype(torch.float32)": (
                    torch.get_default_dtype() != torch.float32
                ),
                "commands choose the device of each tensor; call torch.set_default_device('cpu')": (
                    torch.get_default_device().type != "cpu"
                ),
                "commands choose what they compute in 16 bits; leave torch.autocast": any(
                    map(torch.is_autocast_enabled, ("cpu", "cuda"))
                ),
            }
        )


def choose(
    prog: str, what: str, commands: dict, argv: list[str] | None = None, more: str = ""
) -> int:
    """Run the command that the first word of `argv` names, with the other words as its arguments.
    Returns the command's exit code.

    commands: {name: (a module with a main(argv), what the command does)}. more: the last line of
    --help.
    """
    lines = [f"{name:11}{does}" for name, (_, does) in commands.items()]
    prog, before = Parser.typed or prog, Parser.typed
    parser = Parser(
        prog=prog,
        usage=f"{prog} COMMAND [its options, or -h]",
        description=what,
        epilog="\n".join([*lines, more]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=commands, metavar="COMMAND", help=", ".join(commands))

    @command(prog)  # importing torch may fail as well: without a temporary folder
    def run(argv):
        name = parser.parse_args(argv[:1]).command
        Parser.typed = f"{prog} {name}"
        with ctrl_c_ends():  # an exception in the middle of torch's own imports would abort it
            module = importlib.import_module(commands[name][0])
        return module.main(argv[1:])

    try:
        return run(sys.argv[1:] if argv is None else argv)
    finally:
        Parser.typed = before


@contextlib.contextmanager
def ctrl_c_ends() -> Iterator[None]:
    """`with ctrl_c_ends():` is a block in which Ctrl-C ends the process at once, without Python's
    KeyboardInterrupt."""
    before = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if ours := in_main and before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _end(prog, sentence, code):
    """Print the sentence, unless it is empty, and exit. What cannot be printed is dropped."""
    try:
        sys.stdout.flush()
    except OSError:  # at its end Python would flush again, and print a traceback
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # a file's name in the sentence may hold line breaks or control characters
    sentence = "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence)
    with contextlib.suppress(OSError):
        if sentence:
            print(f"{prog}: {'error: ' * (code == 2)}{sentence}", file=sys.stderr)
    raise SystemExit(code)


def described(x) -> str:
    """An argument in a few words, for a message: "a list", "a Tensor of (2, 3), torch.uint8"."""
    shape = f" of {tuple(x.shape)}, {x.dtype}" if hasattr(x, "shape") else ""
    return f"a {type(x).__name__}{shape}"


def check_list(what: str, given) -> None:
    """Raise UserError for a collection of texts whose rows would have no order, or be columns."""
    refuse(
        {
            f"{what} must be in an order; give a list, of a dict list(d.values())": (
                isinstance(given, (dict, set, frozenset))
            ),
            f"{what} must be one list; of a table give one column": getattr(given, "ndim", 1) != 1,
        }
    )


# {type of an annotation: what is accepted for it}: numpy's numbers, whole numbers for float, and
# other kinds of paths
ALSO = {int: numbers.Integral, float: numbers.Real, Path: os.PathLike}


def checked(function: Callable) -> Callable:
    """Decorator of a function that people call from Python. It raises a UserError if the type of an
    argument does not fit its annotation. The sentence names the argument and both types. In an
    argument that may be a Path, ~ is expanded, as a shell does. A number or a text of numpy's
    becomes one of Python's, because sums of numpy's small numbers wrap around; so does a tensor of
    one number where a number is wanted.

    Without this check, such an argument would fail somewhere deep inside, or not at all, because a
    string is also a sequence of letters and True is also the number 1. The elements of a list are
    not checked.
    """
    parameters = [*inspect.signature(function).parameters]

    @functools.cache  # at the first call: an annotation may name a class that is defined later
    def kinds():
        """{parameter: the types that it may have}."""
        found = {}
        for name, hint in typing.get_type_hints(function).items():
            is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
            parts = typing.get_args(hint) if is_union else [hint]
            found[name] = [typing.get_origin(part) or part for part in parts]
        return found

    @functools.wraps(function)
    def call(*args, **options):
        given = dict(zip(parameters, args)) | options
        for name, allowed in kinds().items():
            if name in given:
                given[name] = _taken(name, given[name], allowed)
        own = [given[name] for name in parameters[: len(args)]]
        return function(*own, *args[len(own) :], **{name: given[name] for name in options})

    return call


def _taken(name, value, kinds):
    """The value of an argument, where ~ in a path is expanded. Raises UserError unless it has one
    of the types in `kinds`. An empty string is no path."""
    is_one = hasattr(value, "item") and (
        isinstance(value, (numbers.Number, str))
        or bool({int, float} & {*kinds})
        and getattr(value, "shape", None) == ()
    )
    value = value.item() if is_one else value  # Python's own
    inside = getattr(value, "_orig_mod", value)  # the model that torch.compile has wrapped
    # a bool is also an int, and the other two are also Iterable
    fits = type(value) in kinds or (
        type(value) not in (bool, str, bytes)
        and isinstance(inside, tuple(ALSO.get(kind, kind) for kind in kinds))
    )
    wanted = " or ".join(kind.__name__.replace("NoneType", "None") for kind in kinds)
    is_path = Path in kinds and isinstance(value, (str, Path))
    refuse(
        {
            f"{name} must be of type {wanted}, not {type(inside).__name__}": not fits,
            f"{name} must not be beyond 1e300": (
                isinstance(value, numbers.Real) and 1e300 < abs(value) < float("inf")
            ),
            f"{name} must not be empty": is_path and not str(value),
            f"{name} must not hold a NUL character": is_path and "\0" in str(value),
        }
    )
    # otherwise a folder "~" could be made, and rm -r ~ would remove another one
    return type(value)(os.path.expanduser(value)) if is_path else value


def number(kind: type, low: float = -1e15, high: float = 1e15) -> Callable[[str], float]:
    """An argparse type: an int or float that is at least `low` and at most `high`."""
    what = "a whole number" if kind is int else "a number"

    def parse(text):
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high:
                return value
        raise argparse.ArgumentTypeError(
            f"must be {what} of at least {low:,g} and at most {high:,g}, not {text[:40]!r}"
        )

    return parse


def path(kind: type = Path) -> Callable[[str], Path | str]:
    """An argparse type: a path, as a Path or a str, with ~ expanded. It must not be empty. A Path
    must not be an address, because pathlib would make a name of a folder of it."""

    def parse(text):
        refuse(
            {
                "must be a path that is not empty": not text.strip() or "\0" in text,
                f"must be a path on this machine, and not the address {text[:80]}": (
                    kind is Path and "://" in text
                ),
            },
            argparse.ArgumentTypeError,
        )
        return kind(os.path.expanduser(text))

    return parse


def given(option: str, value) -> list[str]:
    """The words that give an option in a command line that we print: ["--out", "x"]. A value that
    begins with a dash gives ["--out=-x"], because argparse would take "-x" for another option."""
    return [f"{option}={value}"] if str(value).startswith("-") else [option, str(value)]


def shell_line(words: Iterable[str]) -> str:
    """A line that a shell reads as these words. bash and zsh read $'...', in which a word stands
    that cannot be printed as it is: a name with a line break, or one that is not in UTF-8."""

    def quoted(word):
        if word.isprintable():
            return shlex.quote(word)
        kept = (c.isprintable() and c not in "'\\" for c in word)
        codes = ("".join(rf"\x{byte:02x}" for byte in os.fsencode(c)) for c in word)
        return "$'" + "".join(c if keep else x for c, x, keep in zip(word, codes, kept)) + "'"

    return " ".join(map(quoted, words))


def pick_device(name: str):
    """The torch.device of a name: 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'. Raises UserError if
    this machine has no such device.

    'auto' is the CUDA card if there is one, otherwise the CPU. Apple's mps must be given by name.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with in_words(
        f"the device {str(name)[:40]} is not available here; try cpu",
        RuntimeError,
        AssertionError,
        NotImplementedError,
        TypeError,
        OverflowError,
        ImportError,
    ):
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # fails for "meta": its tensors have no numbers
    return device


def machine(device) -> dict:
    """The machine in words, for results.json: {'device', 'cores', 'threads', 'torch', 'python'}."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")  # Linux
    names = re.findall(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else []
    processor = names[0] if names else platform.processor() or platform.machine()
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


@checked
def write_json(path: str | Path, results: dict | list) -> None:
    """Write results as indented JSON, atomically."""
    with replacing(path) as file:
        file.write((json.dumps(results, indent=2) + "\n").encode())


@checked
def save_figure(figure, path: str | Path, overwrite: bool = True) -> None:
    """Write a matplotlib figure, atomically, with a mark that says that miniclip drew it. A name
    that ends in .pdf or .svg gets that format, and any other name gets a PNG. overwrite: as for
    `replacing`."""
    kind = {".pdf": "pdf", ".svg": "svg"}.get(Path(path).suffix.lower(), "png")
    mark = {"Software" if kind == "png" else "Creator": "miniclip"}
    with warnings.catch_warnings(), replacing(path, overwrite=overwrite) as file:
        warnings.filterwarnings("ignore", "Glyph")  # a glyph that the font lacks is drawn as a box
        figure.savefig(file, format=kind, dpi=100, metadata=mark)


@contextlib.contextmanager
def replacing(path: str | Path, follow: bool = True, overwrite: bool = True) -> Iterator:
    """`with replacing(path) as file:` writes a binary file, which replaces `path` when complete.

    If `path` is a link, the file that it leads to is replaced; with follow=False the link itself
    is. If the block raises an exception, the file at `path` is unchanged. Raises UserError if
    `path` exists, but is not a file or a link to a file; with overwrite=False also if it exists at
    the end, because another program may have written it meanwhile.
    """
    path = _target(path, follow)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    temporary = path.with_name(f".miniclip-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # a new file has no mode to keep, and some disks have none
        with contextlib.suppress(OSError):
            shutil.copymode(path, temporary)
        if not overwrite:
            check_new(path)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno:  # a name would take the place of the message of any other error
            error.filename = error.filename or str(path)
        raise
    except RuntimeError as error:  # torch.save raises one on top of the OSError, or of Ctrl-C
        below = error.__context__
        if isinstance(below, OSError):
            raise OSError(below.errno, below.strerror, str(path)) from None
        raise below if isinstance(below, KeyboardInterrupt) else error
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)  # Windows cannot open a folder
        try:
            os.fsync(folder)  # forces the new name to the disk, where the disk can
        finally:
            os.close(folder)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """`with undisturbed():` is a short block that Ctrl-C does not interrupt. After a Ctrl-C in the
    block KeyboardInterrupt is raised at its end, or what else the program's own handler does."""
    came, before = [], signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield  # Python can set no handler here
        return
    signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A block in which no other process is that locks the same folder. It waits for its turn."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(ImportError, OSError):  # Windows and some disks have no locks
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            held.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def replacing_all(contents: dict[Path, Callable], overwrite: bool = True) -> Iterator[None]:
    """`with replacing_all({path: a function that writes into an open file}):` writes all files to
    the disk. After the block each replaces its path, in the order of the dict. If a path is a link,
    the link itself is replaced, because other folders may share the file that it leads to. The
    blobs in the hub's cache, for example, belong to several revisions of a model.

    If one of the files cannot be written, or the block raises an exception, no path is replaced;
    with overwrite=False also if one of the paths exists when all files are written. If the system
    then refuses to replace one of the paths, for example because it is a mount point, the paths
    before it in the dict have already been replaced.
    """
    with contextlib.ExitStack() as files:
        for path, content in reversed(contents.items()):  # ExitStack leaves the last one first
            file = files.enter_context(replacing(path, follow=False))
            content(file)
            file.flush()
            os.fsync(file.fileno())
        # or Ctrl-C, or another process that does the same, would leave a part of the old files
        with undisturbed(), locked(next(iter(contents)).parent):
            for path in contents if not overwrite else ():
                check_new(path)
            yield
            files.close()


def _target(path, follow=True):
    """The file that `path` leads to, through its links, as a Path, or `path` itself if follow is
    False. Raises UserError if something other than a file is there."""
    target = Path(os.path.realpath(path) if follow else path)
    refuse(
        {
            f"{target} is not a file and cannot be written; choose another name": (
                target.exists() and not target.is_file()
            )
        }
    )
    return target


def first_bytes(path: str | Path, most: int) -> bytes:
    """The first `most` bytes of a file, or the whole file if it is shorter."""
    with open(path, "rb") as file:
        return file.read(most)


def holds(path: str | Path, marks: Iterable[bytes]) -> bool:
    """Whether one of these marks is in the first 64 MiB of a file."""
    start = first_bytes(path, 1 << 26)
    return any(mark in start for mark in marks)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders that killed processes left in a folder long ago."""
    with contextlib.suppress(OSError):
        for old in folder.glob(".miniclip-*.tmp"):
            age = time.time() - old.lstat().st_mtime
            if TEMPORARY.fullmatch(old.name) and age > ABANDONED_S:
                remove = shutil.rmtree if old.is_dir() else os.unlink
                remove(old)


def check_new(path: str | Path, overwrite: bool = False) -> None:
    """Raise UserError unless a file can be written at `path`, which the user named. Called before
    the work starts. An existing file or link may be replaced only with `overwrite`, and a
    write-protected file not at all."""
    check_output(path)
    refuse(
        {
            f"{path} exists; choose another name, or add --overwrite (in Python: overwrite=True) to "
            "replace it": os.path.lexists(path) and not overwrite,
            f"{path} is write-protected; choose another name, or make it writable": (
                os.path.exists(path) and not os.access(path, os.W_OK)
            ),
        }
    )


def check_output(
    path: str | Path, ours: Callable[[Path], bool] | None = None, overwrite: bool = False
) -> None:
    """Raise UserError if no file can be written at `path`, or if the file there must not be
    replaced. Called before the work starts.

    ours: a function that gets the path of an existing file, and returns whether miniclip wrote that
    file, judged by its format. A file that miniclip did not write may be replaced only with
    `overwrite`. If `ours` is None, any file may be replaced.
    """
    try:
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=target.parent).close()
        strange = target.exists() and ours and not ours(target) and not overwrite
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{path} cannot be written: a part of this path is a file") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    refuse(
        {
            f"{path} exists, and miniclip did not write it, or it was changed since; choose another "
            "name, or add --overwrite (in Python: overwrite=True) to replace it": strange
        }
    )

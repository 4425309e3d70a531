"""Attacks: what a hostile or careless user could do, one row each, and what must come of it.

A row is a function that makes its input in the folder it is given and then does what a user would do.
The decorator `attack` says what must come out. runner.py runs each row in a process of its own, forked
from one that has imported torch already, because the import takes two seconds.
"""

import importlib
import itertools
import os
import pkgutil
import shlex
import signal
from pathlib import Path
from typing import NamedTuple

ROWS = {}  # "module.function": Row
SLOW = """data.a_tar_of_a_terabyte_of_zeros data.braces_whose_product_is_large
    pictures.pictures_that_pillow_reads_in_python_for_minutes""".split()  # more than a second each


class Row(NamedTuple):
    """function(folder: Path); code: the exit code that must come out, where a UserError counts as 2
    and a return as 0; says: a regular expression that the printed text must match; seconds, mb: the
    time and the memory beyond the parent's that it may take."""

    function: callable
    code: int
    says: str
    seconds: float
    mb: float
    slow: bool


def attack(code=2, says="", seconds=10, mb=500, slow=False):
    """Decorator of a row. Without arguments: a UserError, within 10 s and 500 MB. The rows in SLOW
    and all rows of training.py are slow, too, because most rows of training.py train a model."""

    def add(function):
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        assert name not in ROWS, f"two rows are called {name}"
        is_slow = slow or name in SLOW or name.startswith("training.")
        ROWS[name] = Row(function, code, says, seconds, mb, is_slow)
        return function

    return add


def table(cases, do, name="{}", says="{}", **limits):
    """A row for each of {name: (arguments of do, what must be said)}; limits: as for attack."""
    for case, (*arguments, said) in cases.items():

        def row(folder, arguments=arguments):
            return do(*arguments)

        row.__name__, row.__module__ = name.format(case), do.__module__
        attack(says=says.format(said), **limits)(row)


def session(verbs, lines):
    """Do what lines say, those of a shell but for `verbs`, {the first word: a function of the others}.
    Returns what the last function returned. "keeps FILE VERB ..." asserts that the file stays as it is."""

    def keeps(name, verb, *words):
        before = Path(name).read_bytes()
        try:
            return verbs[verb](*words)
        finally:
            assert Path(name).read_bytes() == before, f"{name} has changed"

    code, verbs = 0, {"keeps": keeps} | verbs
    for line in lines:
        verb = line.split()[0]
        if verb in verbs:
            code = verbs[verb](*shlex.split(line)[1:])
        else:
            os.system(line)
    return code


def rows():
    """All rows of this folder's modules, by name."""
    for module in pkgutil.iter_modules(__path__):
        if module.name != "runner" and not module.name.startswith("test_"):
            importlib.import_module(f"{__name__}.{module.name}")
    return ROWS


def at_replace(number):
    """Ctrl-C when `number` files have been replaced by complete ones."""
    replace, done = os.replace, itertools.count(1)

    def interrupted(old, new):
        replace(old, new)
        if next(done) == number:
            signal.raise_signal(signal.SIGINT)

    os.replace = interrupted

"""Plausible wrong answers to the exercises: the right answer, with some of its text replaced.

The file with the name of an exercise holds its mistakes: what is wrong, in words, and a list of pairs
(old text, new text). Each old text must occur exactly once in the source of the right answer.
HINTED says for some of them which law fails first, the one whose hints fit the mistake. KEYS are
pieces of the answer that nobody should find in a lesson or in the exercise before looking for them.
"""

import importlib
import inspect
import linecache


def plain(thing):
    """The function inside a Triton kernel; anything else as it is."""
    return getattr(thing, "fn", thing)


def mistakes(exercise):
    """The mistakes of 'ex06_1_floor', for example: {what is wrong: [(old text, new text), ...]}."""
    return importlib.import_module(f"tests.mistakes.{exercise}").MISTAKES


def planted(answer, exercise, wrong):
    """The right answer to an exercise, 'module:name', with one of the exercise's mistakes.

    Only the caller gets the wrong function or class: the module of the right one is not changed.
    Raises AssertionError when an old text does not occur exactly once.
    """
    known = mistakes(exercise)
    assert wrong in known, f"no answer is called {wrong!r}; there are library, {', '.join(known)}"
    home, _, name = answer.partition(":")
    module = importlib.import_module(home)
    source = inspect.getsource(plain(getattr(module, name)))
    for old, new in known[wrong]:
        times = source.count(old)
        assert times == 1, (
            f"the mistake {wrong!r} of {exercise} replaces {old!r}, which must occur once in {answer} "
            f"and occurs {times} times there"
        )
        source = source.replace(old, new)
    file = f"<{exercise}: {wrong}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # for triton.jit
    names = dict(vars(module))
    exec(compile(source, file, "exec"), names)
    return names[name]

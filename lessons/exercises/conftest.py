"""Exercises flip from red to green.

pytest lessons/exercises -x                  stops at the first one still to do
pytest lessons/exercises --answer library    the same laws on miniclip's own code (or tests/answers)
pytest lessons/exercises -k ex06_1 --answer "in bits"    ... on a mistake of tests/mistakes

The second run in which a law fails shows a nudge, the third says what is wrong, and later ones give the
line: HINTS has the three for each law. When every law is green, the run ends with the place of the
library's own solution and with what is different there: DIFFERS.
"""

import importlib
import inspect
import os
import traceback

import pytest

BEFORE = pytest.StashKey()  # {law: in how many runs before this one it failed}
GREEN = pytest.StashKey()  # {exercise: {law: whether all its cases have passed in this run}}


def pytest_generate_tests(metafunc):
    if metafunc.config.getoption("--answer"):
        metafunc.parametrize(
            "fill_in_the_blank", metafunc.config.getoption("--answer"), indirect=True
        )


@pytest.fixture(autouse=True)
def fill_in_the_blank(request, monkeypatch):
    whose, module = getattr(request, "param", None), request.module
    if whose:
        home, _, name = module.ANSWER.partition(":")
        if whose == "library":
            answer = getattr(importlib.import_module(home), name)
        else:
            from tests.mistakes import planted

            answer = planted(module.ANSWER, module.__name__, whose)
        monkeypatch.setattr(module, name, answer)


def failures_before(item, law):
    """In how many runs before this one the law failed, whichever of its cases it was."""
    cache = getattr(item.config, "cache", None)  # None: pytest -p no:cacheprovider
    before = item.config.stash.setdefault(BEFORE, {})
    if cache and law not in before:
        failures = cache.get("exercises/failures", {})
        before[law] = failures.get(law, 0)
        cache.set("exercises/failures", failures | {law: before[law] + 1})
    return before.get(law, 0)


def hint(item):
    """What to show beside a law's message: nothing the first time, then its hints in turn."""
    path, _, _ = item.nodeid.partition("[")  # a planted answer has a count of its own
    before = failures_before(item, f"{path} {item.config.getoption('--answer') or ''}")
    return ("", *item.module.HINTS[item.originalname])[min(before, 3)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    error = call.excinfo and call.excinfo.value
    if call.when == "call" or error:
        laws = item.config.stash.setdefault(GREEN, {}).setdefault(item.module, {})
        laws[item.originalname] = laws.get(item.originalname, True) and not error
    if isinstance(getattr(error, "__cause__", None), NotImplementedError):
        error = error.__cause__  # Triton's interpreter raises its own error from it
    if isinstance(error, NotImplementedError):
        where = traceback.extract_tb(error.__traceback__)[-1]
        report.longrepr = f"to do   {item.path.name}:{where.lineno}   {where.name}"
    elif error and (text := hint(item)):
        report.sections.append(("hint", text))
    return report


def pytest_terminal_summary(terminalreporter, config):
    """Where the library's solution stands, for each exercise whose laws the reader's own obeys."""
    for module, green in config.stash.get(GREEN, {}).items():
        if all(green.get(law) for law in module.HINTS) and not config.getoption("--answer"):
            home, _, name = module.ANSWER.partition(":")
            solution = getattr(importlib.import_module(home), name)
            solution = inspect.unwrap(
                getattr(solution, "fn", solution)
            )  # inside a Triton kernel, a cache
            place = f"{os.path.relpath(inspect.getfile(solution))}:{inspect.getsourcelines(solution)[1]}"
            terminalreporter.section(f"{module.__name__} is green")
            terminalreporter.line(f"The library's {name}: {place}\n{module.DIFFERS}")
            if cache := getattr(config, "cache", None):  # whoever begins anew gets no hint at first
                failures = cache.get("exercises/failures", {})
                others = {law: n for law, n in failures.items() if module.__name__ not in law}
                cache.set("exercises/failures", others)

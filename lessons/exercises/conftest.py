"""Exercises flip from red to green.

pytest lessons/exercises -x                  stops at the first one still to do
pytest lessons/exercises --answer library    the same laws on miniclip's own code (or tests/answers)
pytest lessons/exercises -k ex06_1 --answer "only images choose"    ... on a mistake of tests/mistakes

A law that fails a second time shows the exercise's HINT.
"""

import importlib
import traceback

import pytest


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


def failed_before(item):
    """Whether this law failed on an earlier run; remembers that it has failed now."""
    cache = getattr(item.config, "cache", None)  # None: pytest -p no:cacheprovider
    failed = cache.get("exercises/failed", []) if cache else []
    if cache and item.nodeid not in failed:
        cache.set("exercises/failed", [*failed, item.nodeid])
    return item.nodeid in failed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    error = call.excinfo and call.excinfo.value
    if isinstance(getattr(error, "__cause__", None), NotImplementedError):
        error = error.__cause__  # Triton's interpreter raises its own error from it
    if isinstance(error, NotImplementedError):
        where = traceback.extract_tb(error.__traceback__)[-1]
        report.longrepr = f"to do   {item.path.name}:{where.lineno}   {where.name}"
    elif error and failed_before(item):
        report.sections.append(("hint", item.module.HINT))
    return report

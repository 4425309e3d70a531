"""The exercises are tested too: blank as shipped, the library's answer green, plausible ones red.

A mistake is a public function or class of tests/mistakes/exNN_*.py; its name says what is wrong.
"""

import ast
import importlib
import importlib.util
import inspect
import pathlib

import pytest
from hypothesis import settings

HERE = pathlib.Path(__file__).parent
EXERCISES = sorted((HERE.parent / "lessons/exercises").glob("ex*.py"))
# their planted mistakes take seconds: slow
LONG = {"ex07_2_row_sums", "ex07_sums", "ex09_sharded_gradient", "ex10_microbatch"}


def plain(thing):
    """The function inside a Triton kernel; anything else as it is."""
    return getattr(thing, "fn", thing)


def mistakes(path):
    module = importlib.import_module(f"tests.mistakes.{path.stem}")
    return [
        f"{module.__name__}:{name}"
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(plain(thing), "__module__", None) == module.__name__
    ]


def run(path, answers):
    """Outcomes of the exercise's laws for each answer: {answer: set of 'passed' and 'failed'}."""
    outcomes = {answer: set() for answer in answers}

    class Listener:
        def pytest_runtest_makereport(self, item, call):
            if call.when == "call" or call.excinfo:
                whose = item.callspec.params["fill_in_the_blank"]
                outcomes[whose].add("failed" if call.excinfo else "passed")

    arguments = [str(path), "-s", "-p", "no:terminal", "-p", "no:cacheprovider"]
    arguments += ["--hypothesis-profile", "mistakes"]  # no shrinking: it took ten times as long
    for answer in answers:
        arguments += ["--answer", answer]
    try:
        code = pytest.main(arguments, plugins=[Listener()])
    finally:
        settings.load_profile("miniclip")
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), f"pytest ended with {code!r}"
    return outcomes


@pytest.mark.parametrize("path", EXERCISES, ids=lambda p: p.stem)
def test_the_blank_is_blank_and_has_the_library_signature(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    home, _, name = module.ANSWER.partition(":")
    blank, real = (plain(getattr(m, name)) for m in (module, importlib.import_module(home)))
    assert inspect.signature(blank) == inspect.signature(real)
    assert blank.__doc__ == real.__doc__
    last = ast.parse(path.read_text())
    last = next(n for n in last.body if getattr(n, "name", None) == name)
    while isinstance(last, (ast.ClassDef, ast.FunctionDef)):  # a class ends in its blank method
        last = last.body[-1]
    assert isinstance(last, ast.Raise) and "NotImplementedError" in ast.unparse(last)


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=pytest.mark.slow) if p.stem in LONG else p for p in EXERCISES],
    ids=lambda p: p.stem,
)
def test_the_library_turns_it_green_and_every_mistake_turns_it_red(path):
    wrong = mistakes(path)
    assert len(wrong) >= 3, f"{path.stem} has {len(wrong)} planted mistakes, want 3 or more"
    outcomes = run(path, ["library", *wrong])
    assert outcomes["library"] == {"passed"}, f"the library's own answer: {outcomes['library']}"
    for mistake in wrong:
        assert "failed" in outcomes[mistake], f"no law catches {mistake}"

"""The exercises are tested too: blank as shipped, green for the library's answer, red for mistakes."""

import ast
import importlib
import importlib.util
import inspect
import pathlib
import subprocess
import sys

import pytest
from hypothesis import settings

from tests.mistakes import mistakes, plain, planted

HERE = pathlib.Path(__file__).parent
EXERCISES = sorted((HERE.parent / "lessons/exercises").glob("ex*.py"))


def load(path):
    """The exercise as a module; skips the test where the exercise needs Triton and there is none."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(path, answers):
    """Outcomes of the exercise's laws for each answer: {answer: set of 'passed' and 'failed'}.

    Once a law has failed for an answer, no further law is tried on it.
    """
    outcomes = {answer: set() for answer in answers}

    class Listener:
        def pytest_runtest_setup(self, item):
            if "failed" in outcomes[item.callspec.params["fill_in_the_blank"]]:
                pytest.skip("the answer is red already")

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
    module = load(path)
    home, _, name = module.ANSWER.partition(":")
    blank, real = (plain(getattr(m, name)) for m in (module, importlib.import_module(home)))
    assert inspect.signature(blank) == inspect.signature(real)
    assert blank.__doc__ == real.__doc__
    last = ast.parse(path.read_text())
    last = next(n for n in last.body if getattr(n, "name", None) == name)
    while isinstance(last, (ast.ClassDef, ast.FunctionDef)):  # a class ends in its blank method
        last = last.body[-1]
    assert isinstance(last, ast.Raise) and "NotImplementedError" in ast.unparse(last)


@pytest.mark.parametrize("path", EXERCISES, ids=lambda p: p.stem)
def test_it_has_three_mistakes_or_more_and_each_can_be_planted(path):
    answer, wrong = load(path).ANSWER, mistakes(path.stem)
    assert len(wrong) >= 3, f"{path.stem} has {len(wrong)} planted mistakes, want 3 or more"
    for mistake in wrong:
        planted(answer, path.stem, mistake)


def test_a_mistake_that_does_not_fit_the_library_any_more_is_named(monkeypatch):
    monkeypatch.setitem(mistakes("ex06_1_loss"), "adds one", [("logits + 2", "logits + 1")])
    with pytest.raises(AssertionError, match="'adds one' of ex06_1_loss replaces 'logits . 2'"):
        planted("miniclip.loss:clip_loss", "ex06_1_loss", "adds one")


def reports(*arguments):
    """The reports of a run of pytest on these arguments."""
    found = []

    class Listener:
        def pytest_runtest_logreport(self, report):
            found.append(report)

    quiet = ["-s", "-p", "no:terminal", "-p", "no:cacheprovider"]
    pytest.main([*map(str, arguments), *quiet], plugins=[Listener()])
    return found


@pytest.mark.slow
def test_a_blank_in_a_kernel_is_still_to_do():
    """In Triton's interpreter, which wraps NotImplementedError into an error of its own."""
    pytest.importorskip("triton")
    path = HERE.parent / "lessons/exercises/ex07_1_dots.py"
    said = [str(r.longrepr) for r in reports(path, "-x") if r.failed]
    line = path.read_text().partition("raise Not")[0].count("\n") + 1
    assert said == [f"to do   ex07_1_dots.py:{line}   diagonal_kernel"]


def test_lessons_and_exercises_in_triton_are_skipped_where_it_is_missing(monkeypatch):
    paths = [*(HERE.parent / "lessons").glob("*.md"), *EXERCISES]
    paths = [p for p in paths if "kernels.fused" in p.read_text()]
    for path in paths:
        monkeypatch.delitem(sys.modules, path.stem, raising=False)  # so that it is imported again
    monkeypatch.setitem(sys.modules, "triton", None)
    found = [r for r in reports(*paths) if r.when == "setup"]
    lessons = {p.name for p in paths if p.suffix == ".md"}
    assert len(lessons) == 3 and len(paths) == 7, [p.name for p in paths]
    assert {pathlib.Path(r.location[0]).name for r in found} == lessons  # exercises have no test
    assert {r.outcome for r in found} == {"skipped"}


@pytest.mark.parametrize("path", EXERCISES, ids=lambda p: p.stem)
def test_it_has_a_hint_of_one_or_two_sentences(path):
    tree = ast.parse(path.read_text())
    hints = [
        ast.literal_eval(n.value)
        for n in tree.body
        if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", None) == "HINT"
    ]
    assert len(hints) == 1 and hints[0].endswith((".", "?")) and len(hints[0].split()) >= 8


@pytest.mark.slow
def test_a_second_failure_gives_the_hint(tmp_path):
    option = "\ndef pytest_addoption(parser):\n    parser.addoption('--answer', action='append')\n"
    conftest = (HERE.parent / "lessons/exercises/conftest.py").read_text() + option
    (tmp_path / "conftest.py").write_text(conftest)
    exercise = tmp_path / "test_ex.py"
    law = "HINT = 'Count the columns.'\n\ndef test_law():\n    {}\n"
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path)]

    def output(body):
        exercise.write_text(law.format(body))
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout

    assert "Count the columns" not in output("raise NotImplementedError")
    assert "Count the columns" not in output("assert False, 'one column is missing'")
    second = output("assert False, 'one column is missing'")
    assert "one column is missing" in second and "Count the columns" in second


@pytest.mark.slow  # .ci/run has the library turn all of them green before
@pytest.mark.parametrize("path", EXERCISES, ids=lambda p: p.stem)
def test_the_library_turns_it_green_and_every_mistake_turns_it_red(path):
    load(path)
    wrong = mistakes(path.stem)
    outcomes = run(path, ["library", *wrong])
    assert outcomes["library"] == {"passed"}, f"the library's own answer: {outcomes['library']}"
    for mistake in wrong:
        assert "failed" in outcomes[mistake], f"no law catches {mistake}"

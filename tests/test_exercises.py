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


def hinted(path):
    """{a mistake: the law that fails first for it, whose hints are meant for it}."""
    return getattr(importlib.import_module(f"tests.mistakes.{path.stem}"), "HINTED", {})


def squeezed(text):
    return "".join(text.split())


def without_hints(path):
    """The exercise's text, less what is assigned to HINTS."""
    lines = path.read_text().splitlines()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HINTS":
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines)


def first_failures(path, answers):
    """The first law that each answer fails: {answer: law, or None where it passes all}.

    Once a law has failed for an answer, no further law is tried on it.
    """
    failed = {}

    class Listener:
        def pytest_runtest_setup(self, item):
            if failed.setdefault(item.callspec.params["fill_in_the_blank"]):
                pytest.skip("the answer is red already")

        def pytest_runtest_makereport(self, item, call):
            whose = item.callspec.params["fill_in_the_blank"]
            if call.excinfo:
                failed[whose] = failed[whose] or item.originalname

    arguments = [str(path), "-s", "-p", "no:terminal", "-p", "no:cacheprovider"]
    arguments += ["--hypothesis-profile", "mistakes"]  # no shrinking: it took ten times as long
    for answer in answers:
        arguments += ["--answer", answer]
    try:
        code = pytest.main(arguments, plugins=[Listener()])
    finally:
        settings.load_profile("miniclip")
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), f"pytest ended with {code!r}"
    return failed


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


@pytest.mark.parametrize("path", EXERCISES, ids=lambda p: p.stem)
def test_every_law_has_three_hints(path):
    module = load(path)
    laws = {name for name in vars(module) if name.startswith("test_")}
    assert set(module.HINTS) == laws
    for law, hints in module.HINTS.items():
        assert len(hints) == len(set(hints)) == 3 and all(len(h) > 12 for h in hints), law
    assert module.DIFFERS.endswith(".")


@pytest.mark.parametrize("path", EXERCISES, ids=lambda p: p.stem)
def test_three_mistakes_or_more_have_a_hint_of_their_own(path):
    laws = load(path).HINTS
    assert len(hinted(path)) >= 3
    assert set(hinted(path)) <= set(mistakes(path.stem)) and set(hinted(path).values()) <= set(laws)


@pytest.mark.parametrize("path", EXERCISES, ids=lambda p: p.stem)
def test_the_answer_is_given_away_nowhere(path):
    """Neither on a page of the course nor in the exercise, but for its hints."""
    module = load(path)
    keys = importlib.import_module(f"tests.mistakes.{path.stem}").KEYS
    home, _, name = module.ANSWER.partition(":")
    answer = inspect.getsource(plain(getattr(importlib.import_module(home), name)))
    lessons = path.parents[1]
    pages = [*lessons.glob("*.md"), *lessons.glob("sources/*.txt")]
    texts = {page.name: squeezed(page.read_text()) for page in pages}
    texts[path.name] = squeezed(without_hints(path))
    assert keys
    for key in map(squeezed, keys):
        assert key in squeezed(answer + str(module.HINTS)), f"{key} is no piece of the answer"
        assert not [name for name, text in texts.items() if key in text], f"{key} is given away"


@pytest.mark.slow
def test_hints_come_one_after_the_other_and_the_solution_last(tmp_path):
    option = "\ndef pytest_addoption(parser):\n    parser.addoption('--answer', action='append')\n"
    conftest = (HERE.parent / "lessons/exercises/conftest.py").read_text() + option
    (tmp_path / "conftest.py").write_text(conftest)
    exercise = tmp_path / "test_ex.py"
    text = """
import pytest
ANSWER, DIFFERS = "colorsys:rgb_to_yiq", "It has more columns."
HINTS = {"test_law": ("a nudge", "a pointer", "a line"), "test_other": ("", "", "")}

@pytest.mark.parametrize("case", range(2))
def test_law(case):
    BODY

def test_other():
    pass
"""
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path)]

    def said(body, *arguments):
        exercise.write_text(text.replace("BODY", body))
        shown = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert ("is missing" in shown.stdout) == ("is missing" in body)
        known = ["a nudge", "a pointer", "a line", "colorsys.py", "more columns"]
        return [hint for hint in known if hint in shown.stdout]

    wrong = "assert False, 'one column is missing'"
    assert said("raise NotImplementedError") == said(wrong) == []
    shown = [said(wrong, *more) for more in ([], ["-x"], [], [])]
    assert shown == [["a nudge"], ["a pointer"], ["a line"], ["a line"]]
    assert said("assert not case, 'one column is missing'", "-k", "law") == ["a line"]
    assert said("pass", "-k", "law") == []
    assert said("pass") == ["colorsys.py", "more columns"]
    assert said(wrong) == [] and said(wrong) == ["a nudge"]


@pytest.mark.slow  # .ci/run has the library turn all of them green before
@pytest.mark.parametrize("path", EXERCISES, ids=lambda p: p.stem)
def test_the_library_turns_it_green_and_every_mistake_turns_it_red(path):
    load(path)
    wrong = mistakes(path.stem)
    failed = first_failures(path, ["library", *wrong])
    assert failed.pop("library") is None, "the library's own answer is red"
    assert None not in failed.values() and set(failed) == set(wrong), (
        f"no law catches all: {failed}"
    )
    assert hinted(path).items() <= failed.items(), f"other laws fail first: {failed}"

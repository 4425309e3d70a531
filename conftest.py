"""Makes lessons/*.md part of the test suite, so that a lesson cannot say what the code does not do.

    ```python                            runs; the blocks of one lesson share one namespace, in order
    ```python gpu                        the same, skipped when there is no GPU
    ```python miniclip/loss.py:clip_loss a quotation; must equal that def, class or Class.method
    ```text                              must equal what the block above it printed

`pytest --fix-lessons` rewrites stale quotations and printed text in place, and redraws figures.
A lesson runs in an empty folder (so a figure it draws is not left in the checkout) unless it is
being fixed, when it runs in the repository's root, as it does for a reader who pastes it. A lesson
that sets TRITON_INTERPRET is skipped where Triton is not installed.
"""

import ast
import contextlib
import importlib.util
import io
import linecache
import os
import pathlib
import re
import shutil
import sys
import textwrap

import pytest
from hypothesis import Phase, settings

# one thread: on a busy machine two that wait for each other take several times as long
os.environ.setdefault("OMP_NUM_THREADS", "1")
if not shutil.which("nvidia-smi"):  # must be set before anything imports triton
    os.environ.setdefault("TRITON_INTERPRET", "1")

settings.register_profile(
    "miniclip",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=25,
    phases=set(Phase) - {Phase.explain},  # it lists lines of torch and of numpy
)
settings.register_profile(  # for planted mistakes: that they fail is enough, no need to say where
    "mistakes", parent=settings.get_profile("miniclip"), phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("miniclip")

ROOT = pathlib.Path(__file__).parent
FENCE = re.compile(r"^```(python|text)[ ]*([^\n]*)\n(.*?)^```$", re.M | re.S)


def pytest_addoption(parser):
    parser.addoption(
        "--fix-lessons", action="store_true", help="rewrite stale quotations and printed text"
    )
    parser.addoption(
        "--answer",
        action="append",
        metavar="WHOSE",
        help="run the exercises on 'library', or on a mistake of tests/mistakes, not on the blanks",
    )


def pytest_sessionstart(session):
    """What tests cache goes into a folder of the session, which links to drawings of the user's."""
    from miniclip.data import cache

    own, patch = session.config._tmp_path_factory.mktemp("cache"), pytest.MonkeyPatch()
    for path in cache.folder().glob("*"):
        if path.name.startswith(("emoji-", "icons-", "web-", "iconify-json-")):
            (own / path.name).symlink_to(path)
    patch.setenv("MINICLIP_CACHE", str(own))
    session.config.add_cleanup(patch.undo)


def pytest_xdist_auto_num_workers(config):
    """The whole suite runs in up to four processes; a part that is named, and the slow tests, in one."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min(4, os.cpu_count()) if whole and config.option.markexpr == "not slow" else 0


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        skip_without_gpu()


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".md" and file_path.parent == ROOT / "lessons":
        return Lesson.from_parent(parent, path=file_path)


def skip_without_gpu():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")


def source_of(reference):
    """'miniclip/loss.py:clip_loss' -> the source text of that def, class or Class.method."""
    path, _, name = reference.partition(":")
    source = (ROOT / path).read_text()
    node = ast.parse(source)
    for part in name.split("."):
        node = next((n for n in node.body if getattr(n, "name", None) == part), None)
        if node is None:
            pytest.fail(f"{path} has no {name}", pytrace=False)
    first = min([node.lineno] + [d.lineno for d in node.decorator_list])
    return textwrap.dedent("".join(source.splitlines(True)[first - 1 : node.end_lineno]))


class Lesson(pytest.File):
    """One markdown file; its fences are its tests."""

    def collect(self):
        self.names, self.folder, code = {"__name__": self.path.stem}, None, None
        text = self.path.read_text()
        in_vain = "TRITON_INTERPRET" in text and not importlib.util.find_spec("triton")
        for fence in FENCE.finditer(text):
            line = text[: fence.start()].count("\n") + 1
            item = Fence.from_parent(
                self, name=f"line {line}", line=line, kind=fence[1], info=fence[2], body=fence[3]
            )
            item.above = code = item if item.runs else code
            if in_vain:
                item.add_marker(pytest.mark.skip("needs Triton"))
            yield item

    @contextlib.contextmanager
    def working_folder(self):
        if self.folder is None:
            self.folder = ROOT
            if not self.config.getoption("--fix-lessons"):
                self.folder = self.config._tmp_path_factory.mktemp(self.path.stem)
            (self.folder / "lessons/figures").mkdir(parents=True, exist_ok=True)
            if "matplotlib.pyplot" in sys.modules:  # another lesson's figure may be open
                sys.modules["matplotlib.pyplot"].close("all")
        before = os.getcwd()
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(before)


class Fence(pytest.Item):
    """One fence: code to run, a quotation to compare, or the text that was printed."""

    def __init__(self, *, line, kind, info, body, **kw):
        super().__init__(**kw)
        self.line, self.kind, self.info, self.body = line, kind, info, body
        self.runs, self.printed = kind == "python" and ":" not in info, None

    def runtest(self):
        if self.kind == "text":
            if self.above.printed is None:
                pytest.skip("the block above failed, or was not run")
            self.must_equal(self.above.printed, "the block above printed something else")
        elif not self.runs:
            self.must_equal(source_of(self.info), f"{self.info} has changed")
        else:
            if self.info == "gpu":
                skip_without_gpu()
            self.execute(self.parent)

    def execute(self, lesson):
        # padded with newlines, so that a traceback names the line of the .md file; known to
        # linecache, so that inspect.getsource (which triton.jit calls) finds it
        code = "\n" * self.line + self.body
        name = f"{self.path}:{self.line}"
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        self.printed = None
        with contextlib.redirect_stdout(io.StringIO()) as out, lesson.working_folder():
            exec(compile(code, name, "exec"), lesson.names)
        self.printed = out.getvalue()

    def must_equal(self, want, why):
        if self.body == want:
            return
        if not self.config.getoption("--fix-lessons"):
            pytest.fail(
                f"{self.path.name}:{self.line}: {why} (pytest --fix-lessons)\n"
                f"--- lesson\n{self.body}--- actual\n{want}",
                pytrace=False,
            )
        head = f"```{self.kind}{' ' + self.info if self.info else ''}\n"
        text = self.path.read_text()
        self.path.write_text(text.replace(head + self.body + "```", head + want + "```", 1))

    def reportinfo(self):
        return self.path, self.line, f"{self.path.name}:{self.line}"

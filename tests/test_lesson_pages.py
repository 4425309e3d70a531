"""How a lesson's page is laid out: guesses with choices, folded answers, and pictures that code draws.

**Guess:** how many ... ?

- A) about 200
- B) about 1,700

<details markdown="1"><summary>Answer</summary>

B. Most of them ...

</details>
"""

import re
import runpy

import pytest

from conftest import Lesson
from tests.test_lesson_numbers import FENCE, LESSONS, ROOT

DETAILS = '<details markdown="1"><summary>'
ANSWER = re.compile(re.escape(DETAILS) + r"Answer</summary>\s*(.*?)</details>", re.S)
PICTURE = re.compile(r'!\[(?P<alt>[^]]*)\]\((?P<path>\S+?)\)|<img src="(\S+?)"')


def mistakes(page):
    """What is wrong with a page's guesses, questions and answers, as sentences."""
    prose = FENCE.sub("", page)
    found = []
    if "Guess" in prose.replace("**Guess:**", ""):
        found.append("a guess that does not begin with **Guess:**")
    if not prose.count("<details") == prose.count(DETAILS) == prose.count("</details>"):
        found.append(f"something folded that does not begin with {DETAILS} or has no end")
    for part in re.split(r"^(?=#)|(?=\*\*(?:Guess|Question):\*\*)", prose, flags=re.M)[1:]:
        what, answer = part.partition("\n")[0], ANSWER.search(part)
        if part.startswith("**") and not answer:
            found.append(f"no folded answer: {what}")
        elif part.startswith("**Guess"):
            choices = re.findall(r"^- (\w)\) ", part[: answer.start()], re.M)
            if choices != list("ABCD"[: len(choices)]) or len(choices) < 2:
                found.append(f"choices {choices}: {what}")
            if not re.match(r"\w\b", answer[1]) or answer[1][0] not in choices:
                found.append(f"the answer begins with none of {choices}: {what}")
    return found


def figures(path):
    """The names of the pictures in lessons/figures/ that a page shows."""
    return set(re.findall(r"[(\"]figures/(\w+\.png)", FENCE.sub("", path.read_text())))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_guess_has_choices_and_every_question_a_folded_answer(path):
    assert not mistakes(path.read_text())
    assert "**Guess:**" in path.read_text()


@pytest.mark.parametrize(
    "old, new, mistake",
    [
        ("", "", None),
        ("```text\n7\n```\n", "", None),
        ("- B) 200\n", "", "choices ['A']"),
        ("- B)", "- C)", "choices ['A', 'C']"),
        ("B. Most", "Most", "begins with none"),
        ("B. Most", "C. Most", "begins with none"),
        ("details mark", "details\nmark", "something folded"),
        ("</details>", "", "something folded"),
        ("<summary>Answer", "<summary>Aside", "no folded answer: **Guess"),
        ("```python", "## A heading\n```python", "no folded answer: **Guess"),
        ("**Guess:**", "**Guess** the", "does not begin"),
        ("Because", "**Question:** why?\n\nBecause", "no folded answer: **Question"),
    ],
)
def test_a_page_that_is_laid_out_in_another_way_is_noticed(old, new, mistake):
    page = f"""# Title\n
**Guess:** how many?\n\n- A) 7\n- B) 200\n\n```python\n# a comment\n```\n
{DETAILS}Answer</summary>\n\n```text\n7\n```\n\nB. Most of them.\n\n</details>\n
Because of it.\n"""
    found = mistakes(page.replace(old, new, 1))
    assert mistake in found[0] if mistake else not found


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_picture_is_described(path):
    prose = FENCE.sub("", path.read_text())
    assert all(len(picture["alt"] or "") > 20 for picture in PICTURE.finditer(prose))


def test_every_picture_is_there_and_every_figure_is_shown():
    pages = list((ROOT / "lessons").glob("*.md"))
    for page in pages:
        for _, path, image in PICTURE.findall(FENCE.sub("", page.read_text())):
            assert (page.parent / (path or image)).is_file(), f"{page.name}: {path or image}"
    there = {path.name for path in (ROOT / "lessons/figures").iterdir()}
    assert there == set().union(*map(figures, pages))


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_code_draws_the_figures_and_two_or_more_are_diagrams_until_lesson_10(
    path, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(ROOT / "lessons/drawings")
    import pen

    monkeypatch.setattr(pen, "FIGURES", tmp_path)
    for script in (ROOT / "lessons/drawings").glob(f"d{path.stem.partition('_')[0]}_*.py"):
        runpy.run_path(str(script), run_name="__main__")
    diagrams = {picture.name for picture in tmp_path.iterdir()}
    code = "".join(FENCE.findall(path.read_text()))
    plots = {name for name in figures(path) if f"lessons/figures/{name}" in code}
    own = {name for name in figures(path) if name.startswith(path.stem[:3])}
    own |= diagrams & figures(path.with_name("README.md"))
    assert diagrams | plots == own
    assert len(diagrams) >= 2 or path.stem[:2] > "10"


def test_printed_text_is_compared_only_if_its_own_block_was_run(request, tmp_path):
    """Otherwise --fix-lessons with --lf or -k would replace it by the text of another block."""
    page = tmp_path / "page.md"
    page.write_text("".join(f"```python\nprint({k})\n```\n```text\n{k}\n```\n" for k in (1, 2)))
    first, _, second, text = Lesson.from_parent(request.session, path=page).collect()
    first.runtest()
    with pytest.raises(pytest.skip.Exception, match="not run"):
        text.runtest()
    second.runtest()
    text.runtest()


def test_a_drawing_that_is_given_an_option_writes_nothing(monkeypatch):
    monkeypatch.setattr("sys.argv", [str(ROOT / "lessons/drawings/d06_loss.py"), "--out"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(ROOT / "lessons/drawings/pen.py"))

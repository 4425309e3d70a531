"""Each number in a lesson's prose is shown on its page, or says where it comes from.

A number is known when a block of the page prints or quotes it, perhaps with more digits or as a share
of 1 where the prose says percent. Otherwise its paragraph links a source on the web, or holds a comment
that readers do not see: a file of the repository and a piece of it that has the number, or a sum.

    <!-- miniclip/model/clip.py: context_length=77 -->
    <!-- 48894 + 2 * 256 + 2 = 49408 -->

Left out: 0, 1 and 2, numbers of sections, figures and lessons, years of citations, the usual levels of
intervals and tests, and what stands in code or formulas.
"""

import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "lessons").glob("[0-9]*.md"))
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
COMMENT = re.compile(r"<!-- (\S+): (.+?) -->", re.S)
SUM = re.compile(r"<!-- ([^:=]+) = (\S+) -->")
LINK = re.compile(r"\]\(https?://")
NUMBER = re.compile(r"(?<![\w.,/^-])\d*(?:(?<=\d),\d{3})*(?:\.\d+)?(?:e-?\d+)?(?![\w^])")
ANY_NUMBER = re.compile(r"\d+(?:[,_]\d{3})*(?:\.\d+)?(?:e-?\d+)?|\.\d+(?:e-?\d+)?")
NO_CLAIM = re.compile(
    r"""`[^`]*`|\$[^$]*\$|^\#.*$|^[ ]{4}.*$|\]\([^)]*\)|<!--.*?-->       # code, formulas, headings, addresses
    |(?:sections?|figures?|lessons?|tables?|appendix|exercises?)\s(?:\d[\d.]*(?:,\s|\sand\s|\sto\s)?)+
    |et\ al\.,?\s\d{4}|p\s<\s\.05|95\s%\sinterval
    """,
    re.M | re.S | re.X | re.I,
)


def value(text):
    return float(re.sub("[,_]", "", text))


def known(text):
    """The numbers that a text shows."""
    return {value(number) for number in ANY_NUMBER.findall(text)}


def agrees(number, shown):
    """Whether the prose's number is one that is shown, rounded, or its percentage."""
    decimals = len(number.partition("e")[0].partition(".")[2])
    claimed = value(number)
    if "e" in number:
        return any(x and abs(claimed / x - 1) < 0.5 * 10**-decimals for x in shown)
    return any(round(x, decimals) == claimed or round(100 * x, decimals) == claimed for x in shown)


def unsupported(lesson):
    """[(number, its paragraph)] of a lesson's text."""
    shown = known(" ".join(FENCE.findall(lesson)))
    found = []
    for paragraph in re.split(r"\n\s*\n", FENCE.sub("", lesson)):
        if LINK.search(paragraph):
            continue
        beside = known(" ".join(y for _, y in COMMENT.findall(paragraph) + SUM.findall(paragraph)))
        numbers = [n for n in NUMBER.findall(NO_CLAIM.sub(" ", paragraph)) if n]
        found += [
            (number, paragraph)
            for number in numbers
            if value(number) not in (0, 1, 2) and not agrees(number, shown | beside)
        ]
    return found


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_number_is_shown_or_has_a_source(path):
    found = unsupported(path.read_text())
    report = "\n\n".join(f"{number} in: {paragraph.strip()}" for number, paragraph in found)
    assert not found, f"{len(found)} numbers of {path.name} have no source:\n\n{report}"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_comment_quotes_its_file_or_adds_up(path):
    lesson = path.read_text()
    for terms, result in SUM.findall(lesson):
        assert agrees(result, {eval(terms, vars(math).copy())}), f"{terms} is not {result}"
    for file, piece in COMMENT.findall(lesson):
        text = " ".join((ROOT / file).read_text().split())
        assert " ".join(piece.split()) in text, f"{file} does not hold: {piece}"


@pytest.mark.parametrize(
    "prose, right",
    [
        ("It has 12,345 rows.", True),
        ("About .65 of them, 65 %.", True),
        ("About .66 of them.", False),
        ("The error is 3.1e-5.", True),
        ("The error is 3e-4.", False),
        ("See section 3.1 and lessons 13 and 14 (Radford et al. 2021).", True),
        ("It has 7 layers.", False),
        ("It has 7 layers ([paper](https://arxiv.org)).", True),
        ("It has 7 layers. <!-- a.py: layers = 7 -->", True),
        ("It has 7 layers. <!-- a.py: layers = 8 -->", False),
        ("It has 7 layers. <!-- 3 + 4 = 7 -->", True),
        ("`f(7)` gives $7^2$.", True),
    ],
)
def test_a_number_needs_support(prose, right):
    lesson = f"# Title 9\n\n```text\n12345 0.654 3.14e-05\n```\n\n{prose}\n"
    assert (not unsupported(lesson)) == right

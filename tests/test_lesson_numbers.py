"""Each number in a lesson's prose is shown on its page, or says where it comes from.

A number is known when a block of the page prints or quotes it, perhaps with more digits or as a share
of 1 where the prose says percent. Otherwise its paragraph links a source on the web, or the lesson's
file in lessons/sources/ has a line about it: a file of the repository and a piece of that file that
has the number, or a sum.

    miniclip/model/clip.py: context_length=77
    48894 + 2 * 256 + 2 = 49408

Left out: 0, 1 and 2, numbers of sections, figures and lessons, years of citations, the usual levels of
intervals and tests, and what stands in code or formulas.
"""

import math
import re

import pytest

from tests.shared import ROOT

LESSONS = sorted((ROOT / "lessons").glob("[0-9]*.md"))
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
PIECE = re.compile(r"^(\S+): (.+)$", re.M)
SUM = re.compile(r"^([^:=]+) = (\S+)$", re.M)
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


def sources(lesson):
    """The text of the file with a lesson's sources, or "" where it has none."""
    file = lesson.parent / "sources" / f"{lesson.stem}.txt"
    return file.read_text() if file.exists() else ""


def unsupported(lesson, sources):
    """[(number, its paragraph)] of a lesson's text that neither its blocks nor `sources` have."""
    beside = " ".join(piece for _, piece in PIECE.findall(sources) + SUM.findall(sources))
    shown = known(" ".join(FENCE.findall(lesson)) + " " + beside)
    found = []
    for paragraph in re.split(r"\n\s*\n", FENCE.sub("", lesson)):
        if LINK.search(paragraph):
            continue
        numbers = [n for n in NUMBER.findall(NO_CLAIM.sub(" ", paragraph)) if n]
        found += [
            (number, paragraph)
            for number in numbers
            if value(number) not in (0, 1, 2) and not agrees(number, shown)
        ]
    return found


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_number_is_shown_or_has_a_source(path):
    found = unsupported(path.read_text(), sources(path))
    report = "\n\n".join(f"{number} in: {paragraph.strip()}" for number, paragraph in found)
    assert not found, f"{len(found)} numbers of {path.name} have no source:\n\n{report}"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_source_quotes_its_file_or_adds_up(path):
    lines = sources(path).splitlines()
    assert all(PIECE.fullmatch(line) or SUM.fullmatch(line) for line in lines), lines
    for terms, result in SUM.findall(sources(path)):
        assert agrees(result, {eval(terms, vars(math).copy())}), f"{terms} is not {result}"
    for file, piece in PIECE.findall(sources(path)):
        text = " ".join((ROOT / file).read_text().split())
        assert " ".join(piece.split()) in text, f"{file} does not hold: {piece}"


@pytest.mark.parametrize(
    "prose, source, right",
    [
        ("It has 12,345 rows.", "", True),
        ("About .65 of them, 65 %.", "", True),
        ("About .66 of them.", "", False),
        ("The error is 3.1e-5.", "", True),
        ("The error is 3e-4.", "", False),
        ("See section 3.1 and lessons 13 and 18 (Radford et al. 2021).", "", True),
        ("It has 7 layers.", "", False),
        ("It has 7 layers ([paper](https://arxiv.org)).", "", True),
        ("It has 7 layers.", "a.py: layers = 7", True),
        ("It has 7 layers.", "a.py: layers = 8", False),
        ("It has 7 layers.", "3 + 4 = 7", True),
        ("`f(7)` gives $7^2$.", "", True),
    ],
)
def test_a_number_needs_support(prose, source, right):
    lesson = f"# Title 9\n\n```text\n12345 0.654 3.14e-05\n```\n\n{prose}\n"
    assert (not unsupported(lesson, source)) == right

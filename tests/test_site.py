"""The site of the lessons builds without a warning, its links lead somewhere, its notebooks run."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from tests.test_lesson_numbers import FENCE, LESSONS, ROOT


class Page(HTMLParser):
    """The links, pictures and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material", reason="the site needs: pip install -e '.[site]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING -" not in done.stderr, done.stderr
    return folder


@pytest.mark.slow
def test_every_link_and_anchor_resolves(site):
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > len(list((ROOT / "lessons").glob("*.md")))
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:  # another site
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchors = pages[target].anchors if target in pages else {"", parts.fragment}
            if not target.is_file() or parts.fragment not in anchors:
                dead.append(f"{path.relative_to(site)}: {link}")
    assert not dead, dead


@pytest.mark.slow
def test_nothing_is_fetched_from_another_site(site):
    for path in site.rglob("*.html"):
        fetched = re.findall(
            r'<(?:script|img|link)\b[^>]*(?:src|href)="(?:https?:)?//[^"]*"', path.read_text()
        )
        assert not [tag for tag in fetched if "canonical" not in tag], path


@pytest.mark.slow
def test_each_quotation_links_to_the_line_of_its_definition(site):
    quoted = 0
    for lesson in (ROOT / "lessons").glob("*.md"):
        html = (site / f"{lesson.stem}.html").read_text() if lesson.stem != "README" else ""
        names = re.findall(r"^```python (\S+\.py):(\S+)$", lesson.read_text(), re.M)
        links = re.findall(r'href="source/(\S+)\.html#__codelineno-0-(\d+)"', html)
        assert [path for path, _ in names] == [path for path, _ in links], lesson.name
        for (path, name), (_, line) in zip(names, links):
            found = (ROOT / path).read_text().splitlines()[int(line) - 1]
            assert re.search(rf"(def|class) {name.split('.')[-1]}\b", found), (path, name, found)
            quoted += 1
    assert quoted


@pytest.mark.slow
def test_what_is_folded_away_is_markdown_too(site):
    for lesson in LESSONS:
        html = (site / f"{lesson.stem}.html").read_text()
        assert html.count("<details>") == lesson.read_text().count("<details"), lesson.name
        assert "```" not in html, lesson.name


def fences(page, info):
    """The insides of a page's fences that begin with ```info."""
    return re.findall(rf"^```{info}\n(.*?)^```$", page.read_text(), re.M | re.S)


@pytest.mark.slow
def test_a_lesson_s_notebook_prints_what_its_page_shows(site):
    jupytext, nbclient = map(pytest.importorskip, ("jupytext", "nbclient"))
    lesson = ROOT / "lessons/12_cost.md"
    notebook = jupytext.read(site / f"{lesson.stem}.ipynb")
    nbclient.execute(notebook, cwd=ROOT, timeout=300)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    assert printed == "".join(fences(lesson, "text")) != ""


@pytest.mark.slow
def test_a_notebook_has_a_cell_for_each_block_and_links_from_the_root(site):
    for lesson in LESSONS:
        cells = json.loads((site / f"{lesson.stem}.ipynb").read_text())["cells"]
        code = ["".join(c["source"]) + "\n" for c in cells if c["cell_type"] == "code"]
        assert code == fences(lesson, "python"), lesson.name
        for text in ("".join(c["source"]) for c in cells if c["cell_type"] == "markdown"):
            assert text.count("<details") == text.count("</details>"), text
            for link in re.findall(r"\]\(([\w./]+\.\w+)", FENCE.sub("", text)):
                assert (ROOT / link).is_file(), f"{lesson.name}: {link}"

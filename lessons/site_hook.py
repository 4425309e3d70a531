"""What the site (mkdocs.yml) adds to the lessons: docs/, the source files that they quote, notebooks.

A quotation's fence, ```python miniclip/loss.py:clip_loss, becomes code with a link to its file and line.
"""

import re
from pathlib import Path

import jupytext
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
QUOTATION = re.compile(r"^```python (\S+\.py):(\S+)$", re.M)
FOLDED = re.compile(r'<details markdown="1">\s*<summary>(.*?)</summary>(.*?)</details>', re.S)
RELATIVE = re.compile(r'(\]\(|src=")(?=[\w./]+\.(?:md|png|txt|json)\b)')


def on_files(files, config):
    """Add docs/, the licence that it links, a page per quoted file, and a notebook per lesson."""
    docs = [
        path
        for path in (ROOT / "docs").rglob("*")
        if path.suffix in (".md", ".png", ".json", ".txt")
    ]
    for path in sorted([*docs, *ROOT.glob("miniclip/data/emoji/*.txt")]):
        uri = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    lessons = sorted((ROOT / "lessons").glob("[0-9]*.md"))
    for path in lessons:
        uri, content = f"{path.stem}.ipynb", notebook(path.read_text())
        files.append(File.generated(config, uri, content=content))
    quoted = {path for lesson in lessons for path, _ in QUOTATION.findall(lesson.read_text())}
    for path in sorted(quoted):
        code = f'# {path}\n\n````python linenums="1"\n{(ROOT / path).read_text()}````\n'
        files.append(File.generated(config, f"source/{path}.md", content=code))
    return files


def notebook(page):
    """A page as a notebook for the repository's root: its blocks are cells, quotations stay text.

    What is folded away and holds a block is unfolded, since a cell cannot be folded by the one before.
    """
    page = FOLDED.sub(lambda f: f"**{f[1]}**{f[2]}" if "```python\n" in f[2] else f[0], page)
    page = RELATIVE.sub(r"\1lessons/", page).replace("lessons/../", "")
    page = QUOTATION.sub(r"[\1](\1)\n\n```python .noeval", page)
    cells = jupytext.reads(page, fmt="md")
    cells.metadata["kernelspec"] = dict(name="python3", display_name="Python 3", language="python")
    return jupytext.writes(cells, fmt="ipynb")


def linked_code(fence):
    """The first line of a quotation as a link to its place, and the first line of code."""
    path, name = fence.groups()
    source = (ROOT / path).read_text()
    found = re.search(rf"^ *(def|class) {name.split('.')[-1]}\b", source, re.M)
    line = source.count("\n", 0, found.end()) + 1
    return (
        f'<a href="source/{path}.html#__codelineno-0-{line}">{path}, line {line}</a>\n\n```python'
    )


def on_page_markdown(markdown, page, **_):
    """Turn quotations into code, and links between lessons/ and docs/ into links of the site.

    A lesson begins with a link to its notebook.
    """
    if page.file.src_uri.startswith("docs/"):
        up = "../" * page.file.src_uri.count("/")
        return markdown.replace("](../lessons/", "](" + up).replace("](../../lessons/", "](" + up)
    markdown = re.sub(
        r'(\]\(|src=")\.\./docs/', r"\1docs/", markdown.replace("```python gpu", "```python")
    )
    if page.file.name[0].isdigit():
        link = f'<a href="{page.file.name}.ipynb" download>Open as a notebook</a>'
        markdown = markdown.replace("\n", f"\n\n{link}, which runs in the repository's root.\n", 1)
    return QUOTATION.sub(linked_code, markdown)

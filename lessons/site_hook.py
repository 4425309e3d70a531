"""What the site (mkdocs.yml) adds to the lessons: docs/, and the source files that they quote.

A quotation's fence, ```python miniclip/loss.py:clip_loss, becomes code with a link to its file and line.
"""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
QUOTATION = re.compile(r"^```python (\S+\.py):(\S+)$", re.M)


def on_files(files, config):
    """Add docs/, the licence that it links, and a page for each quoted file."""
    docs = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".png", ".json")]
    for path in sorted([*docs, *ROOT.glob("miniclip/data/emoji/*.txt")]):
        uri = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    lessons = (ROOT / "lessons").glob("*.md")
    quoted = {path for lesson in lessons for path, _ in QUOTATION.findall(lesson.read_text())}
    for path in sorted(quoted):
        code = f'# {path}\n\n````python linenums="1"\n{(ROOT / path).read_text()}````\n'
        files.append(File.generated(config, f"source/{path}.md", content=code))
    return files


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
    """Turn quotations into code, and links between lessons/ and docs/ into links of the site."""
    if page.file.src_uri.startswith("docs/"):
        up = "../" * page.file.src_uri.count("/")
        return markdown.replace("](../lessons/", "](" + up).replace("](../../lessons/", "](" + up)
    markdown = re.sub(
        r'(\]\(|src=")\.\./docs/', r"\1docs/", markdown.replace("```python gpu", "```python")
    )
    return QUOTATION.sub(linked_code, markdown)

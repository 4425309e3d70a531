"""The README's block of Python runs as it stands, and names the umbrella."""

import contextlib
import io
import re

from tests.shared import ROOT


def test_the_block_runs_and_is_right(monkeypatch):
    monkeypatch.chdir(ROOT)
    [block] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    names = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(block, names)
    found = dict(zip(names["words"], names["probabilities"][0].tolist()))
    assert max(found, key=found.get) == "an umbrella" and "an umbrella" in said.getvalue(), found

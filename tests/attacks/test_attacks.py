"""Every attack of the table comes out as its row says, in its time and memory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks import rows

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")


@pytest.fixture(scope="module")
def runner():
    """-> a function that runs a row by its name."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.attacks.runner"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(name):
        process.stdin.write(json.dumps(name) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield run
    process.stdin.close()
    process.wait(10)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * r.slow) for n, r in rows().items()]
)
def test_it_comes_out_as_the_row_says(name, runner):
    row, came = rows()[name], runner(name)
    what = f"{came['code']} in {came['seconds']:.1f} s with {came['mb']:.0f} MB:\n{came['text']}"
    assert came["code"] == row.code, f"exit code {row.code} was expected, not {what}"
    assert re.search(row.says, came["text"]), f"it does not say {row.says!r}: {what}"
    assert "Traceback" not in came["text"], what
    if row.code == 2:
        errors = [line for line in came["text"].splitlines() if "error: " in line]
        assert len(errors) == 1, f"not one sentence: {what}"
    assert came["seconds"] <= row.seconds and came["mb"] <= row.mb, what

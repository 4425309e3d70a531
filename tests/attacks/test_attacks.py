"""Every attack of the table comes out as its row says, in its time and memory."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from tests.attacks import rows
from tests.shared import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")


@pytest.fixture(scope="module")
def outcomes(request):
    """{name of a row: its outcome, a future}. Two processes run the rows, one after the other."""
    queue, processes = SimpleQueue(), []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    for _ in range(2):
        command = [sys.executable, "-m", "tests.attacks.runner"]
        how = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, **how))
        queue.put(processes[-1])

    def run(name):
        process = queue.get()
        try:
            print(json.dumps(name), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())
        finally:
            queue.put(process)

    asked = [i for i in request.session.items if i.path == request.path]
    names = [i.callspec.params["name"] for i in asked if hasattr(i, "callspec")]
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(run, name) for name in names}
        pool.shutdown(cancel_futures=True)
    for process in processes:
        process.stdin.close()
        process.wait(60)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * r.slow) for n, r in rows().items()]
)
def test_it_comes_out_as_the_row_says(name, outcomes):
    row, came = rows()[name], outcomes[name].result()
    what = f"{came['code']} in {came['seconds']:.1f} s with {came['mb']:.0f} MB:\n{came['text']}"
    assert came["code"] == row.code, f"exit code {row.code} was expected, not {what}"
    assert re.search(row.says, came["text"]), f"it does not say {row.says!r}: {what}"
    assert "Traceback" not in came["text"], what
    if row.code == 2:
        errors = [line for line in came["text"].splitlines() if "error: " in line]
        assert len(errors) == 1, f"not one sentence: {what}"
    assert came["seconds"] <= row.seconds and came["mb"] <= row.mb, what

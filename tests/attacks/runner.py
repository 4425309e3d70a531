"""Runs rows, each in a forked child: python -m tests.attacks.runner

Reads the names of rows from stdin, a JSON string a line; for each prints a JSON object: "code" (an
exit code, "traceback" for another exception, "killed by signal N"), "text" (all that was printed),
"seconds", of a core to itself, "mb" (the most memory, beyond what the parent holds).
"""

import gc
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import einops  # noqa: F401
import tiktoken  # noqa: F401
import torch
import torch._dynamo  # which the first step of an optimizer would import in each child

from tests.attacks import rows

MARGIN_MB = 4096  # address space that threads and allocators may reserve without using it


def _memory(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def _crowd():
    """How many processes want each core, at least 1: so many times longer may a row take."""
    minute, _, _, running, _ = Path("/proc/loadavg").read_text().split()
    return max(1, max(float(minute), int(running.partition("/")[0])) / os.cpu_count())


def _child(row, folder, crowd):
    """What the child does; it never returns."""
    code = 0
    try:
        output = os.open(folder / ".output", os.O_RDWR | os.O_CREAT)
        os.dup2(output, 1), os.dup2(output, 2)
        limit = int(_memory("VmSize") + row.mb + MARGIN_MB) << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.alarm(int(row.seconds * crowd) + 5)
        os.chdir(folder / "work")
        from miniclip.common import UserError

        try:
            code = row.function(folder / "work") or 0
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            code = 2
        except SystemExit as stopped:
            code = stopped.code or 0
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)


def run(row):
    """Run one row in a child, in an empty folder: the object that is printed."""
    with tempfile.TemporaryDirectory(prefix="attack-") as name:
        folder, before, began = Path(name), _memory("VmRSS"), time.monotonic()
        crowd = _crowd()
        (folder / "work").mkdir()
        sys.stdout.flush()
        child = os.fork() or _child(row, folder, crowd)
        _, status, usage = os.wait4(child, 0)
        seconds = (time.monotonic() - began) / max(crowd, _crowd())
        text = (folder / ".output").read_text(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    code = {99: "traceback"}.get(code, code if code >= 0 else f"killed by signal {-code}")
    return dict(code=code, text=text, seconds=seconds, mb=usage.ru_maxrss / 1024 - before)


if __name__ == "__main__":
    torch.set_num_threads(1)
    table = rows()
    gc.freeze()  # or a child's collector would write to, and so copy, the pages of all objects
    for line in sys.stdin:
        print(json.dumps(run(table[json.loads(line)])), flush=True)

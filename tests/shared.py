"""What all tests share: where the project lies, a check that a call is refused, and a process."""

import subprocess
import sys
from pathlib import Path

import pytest

from miniclip.common import UserError

ROOT = Path(__file__).parents[1]
# by version 0.1: 24 pairs, and a run that was stopped after two of its four steps
WRITTEN = ROOT / "tests/written"


def must_refuse(words, call, *arguments, **options):
    """The one sentence with which a call refuses these arguments; `words` must match in it."""
    with pytest.raises(UserError, match=words) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value), caught.value
    return str(caught.value)


def python(*arguments, program=sys.executable, cwd=ROOT, **how):
    """What Python prints with these arguments, in a process that must end with code 0."""
    command = [str(word) for word in (program, *arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

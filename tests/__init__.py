"""What tests of all rooms share: where the project lies, and a check that a call is refused."""

from pathlib import Path

import pytest

from miniclip.common import UserError

ROOT = Path(__file__).parents[1]
WRITTEN = (
    ROOT / "tests/written"
)  # by version 0.1: 24 pairs, a run that was stopped after two of four steps


def must_refuse(words, call, *arguments, **options):
    """The one sentence with which a call refuses these arguments; `words` must match a part of it."""
    with pytest.raises(UserError, match=words) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value), caught.value
    return str(caught.value)

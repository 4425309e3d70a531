"""A clock for the parts of training that look at one."""

from types import SimpleNamespace

import pytest

from miniclip.training import checkpoint, logging, monitor


@pytest.fixture
def clock(monkeypatch):
    """Its seconds, clock.now, pass only when they are added."""
    made = SimpleNamespace(now=1000.0, monotonic=lambda: made.now)
    for module in (checkpoint, logging, monitor):
        monkeypatch.setattr(module, "time", made)
    return made

import harness
import pytest

from miniclip.data.icons import render
from miniclip.data.icons.dataset import Icons
from tests.evaluation.fake_icons import drawn


@pytest.fixture
def fork(monkeypatch):
    """Trainings begin as copies of this process, so they start quickly and see what is replaced."""
    monkeypatch.setattr(harness, "START", "fork")


@pytest.fixture
def icons(monkeypatch):
    """Icons whose drawings train.py sees as well."""
    found = drawn()
    monkeypatch.setattr(render, "pictures", lambda: found)
    return Icons(drawn=found)

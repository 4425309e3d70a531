import pytest

from tests.evaluation.fakes import Written


@pytest.fixture
def report(tmp_path):
    return Written(tmp_path)

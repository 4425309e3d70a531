"""A checkpoint of a small model for the tests of the search, and its encoder."""

import pytest

from miniclip.search.embed import open_encoder
from tests.search.folders import tiny_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("model") / "model.pt")


@pytest.fixture(scope="session")
def encoder(checkpoint):
    return open_encoder(checkpoint, device="cpu")

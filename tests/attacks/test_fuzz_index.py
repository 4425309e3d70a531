"""One flipped bit anywhere in an index is refused in one sentence, or changes nothing that is read."""

import signal

import numpy as np
import pytest

from miniclip.common import UserError
from miniclip.search import database
from miniclip.search.database import FILE, Index
from tests.search.folders import random_index, write_index

resource = pytest.importorskip("resource")  # not on Windows
FLIPS = 500


def content(place):
    """All that is read from an index. Its stamp says when the file was written."""
    index = Index.open(place)
    return vars(index) | {"features": index.features.tolist(), "stamp": None}


@pytest.mark.slow
def test_no_flipped_bit_is_read_as_another_number(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BLOCK_ROWS", 64)
    place, rng = tmp_path / ".miniclip", np.random.default_rng(0)
    paths = [f"some folder/{k}.png" for k in range(1000)]
    write_index(random_index(tmp_path, 1000, paths=paths), place)
    good, want, refused = (place / FILE).read_bytes(), content(place), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for bit in rng.integers(0, 8 * len(good), FLIPS).tolist() + list(range(0, 800, 3)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        (place / FILE).write_bytes(data)
        signal.alarm(10)
        try:
            assert content(place) == want, f"bit {bit} changed what is read"
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
        signal.alarm(0)
    assert refused > FLIPS / 3, "the flips did not reach what is read"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1 << 20, f"{grown:,} KiB beyond"

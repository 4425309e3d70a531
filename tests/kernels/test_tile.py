"""The order in which programs take the tiles of the similarities."""

import pytest
import torch

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from kernels.fused import launch  # noqa: E402
from kernels.fused.tile import tile_at  # noqa: E402

DEVICE = "cpu" if launch.INTERPRET else "cuda"
if DEVICE == "cuda" and not torch.cuda.is_available():
    pytest.skip("needs a GPU, or TRITON_INTERPRET=1", allow_module_level=True)


@triton.jit
def write_tile(ROWS, COLUMNS, M, N, SIDE: tl.constexpr):
    pid = tl.program_id(0)
    i, j, r, c = tile_at(pid, M, N, SIDE, SIDE)
    tl.store(ROWS + pid, i)
    tl.store(COLUMNS + pid, j)


@pytest.mark.parametrize("down, across", [(1, 1), (3, 2), (8, 3), (9, 2), (21, 3)])
def test_every_tile_is_taken_once_and_eight_row_blocks_before_the_next_column_block(down, across):
    rows, columns = (torch.zeros(down * across, dtype=torch.int64, device=DEVICE) for _ in "rc")
    write_tile[(down * across,)](rows, columns, down * 16 - 15, across * 16 - 15, 16)
    taken = [*zip(rows.tolist(), columns.tolist())]
    bands = [range(first, min(first + 8, down)) for first in range(0, down, 8)]
    assert taken == [(i, j) for band in bands for j in range(across) for i in band]

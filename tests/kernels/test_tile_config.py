"""The tables of tiles, pinned entry by entry: a wrong one is only slow, or does not fit, on a GPU."""

import pytest
import torch

from kernels.fused.tile_config import default_chunk, row_shape, tile_shape, uses_tma


def test_descriptors_are_for_16_bit_operands_on_hopper_and_data_centre_blackwell():
    cards = [0, 75, 80, 86, 89, 90, 100, 103, 110, 120]
    assert [arch for arch in cards if uses_tma(arch, 2, 512)] == [90, 100, 103]
    assert not any(uses_tma(arch, 4, 512) for arch in cards)
    # a row takes a multiple of 16 bytes
    assert [d for d in range(1, 33) if uses_tma(90, 2, d)] == [8, 16, 24, 32]


# kernel, card, bytes of an operand, width: BM, BN, BK, warps, stages
TILES = [
    # the interpreter
    ("sums", 0, 2, 512, (64, 64, 128, 4, 1)),
    ("product", 0, 4, 20, (64, 64, 32, 4, 1)),
    ("online", 0, 4, 1, (64, 64, 16, 4, 1)),
    # 16 bits by pointers: BK is no wider than the features, but for products
    ("sums", 80, 2, 512, (128, 128, 64, 8, 3)),
    ("sums", 80, 2, 17, (128, 128, 32, 8, 3)),
    ("sums", 80, 2, 1, (128, 128, 16, 8, 3)),
    ("gradient", 80, 2, 512, (128, 128, 64, 8, 3)),
    ("online", 80, 2, 512, (128, 64, 64, 8, 3)),
    ("product", 80, 2, 512, (128, 128, 64, 8, 3)),
    ("product", 80, 2, 8, (128, 128, 64, 8, 3)),
    ("product transposed", 80, 2, 512, (128, 128, 64, 8, 3)),
    ("product transposed", 120, 2, 512, (128, 64, 64, 8, 3)),
    ("product", 120, 2, 512, (128, 128, 64, 8, 3)),
    ("gradient", 120, 2, 512, (128, 128, 64, 8, 3)),
    ("gradient", 90, 2, 60, (128, 128, 64, 8, 3)),  # rows of 120 bytes: no descriptors
    ("online", 90, 2, 60, (128, 64, 64, 8, 3)),
    # 16 bits by descriptors
    ("sums", 90, 2, 512, (128, 128, 64, 8, 3)),
    ("online", 90, 2, 512, (128, 128, 64, 8, 3)),
    ("gradient", 90, 2, 640, (128, 256, 64, 8, 3)),
    ("product", 90, 2, 512, (128, 256, 64, 8, 3)),
    ("product", 90, 2, 640, (128, 128, 64, 8, 3)),
    ("product transposed", 100, 2, 512, (128, 128, 64, 8, 3)),
    # 32 bits
    ("sums", 90, 4, 512, (64, 64, 32, 4, 2)),
    ("sums", 86, 4, 16, (64, 64, 16, 4, 2)),
    ("product", 86, 4, 16, (64, 64, 32, 4, 2)),
    ("online", 86, 4, 512, (64, 32, 32, 4, 2)),
    ("product transposed", 80, 4, 512, (64, 32, 32, 8, 2)),
]


@pytest.mark.parametrize("kernel, arch, size, d, want", TILES)
def test_the_tiles_are_those_of_the_table(kernel, arch, size, d, want):
    names = ("BM", "BN", "BK", "num_warps", "num_stages")
    assert tile_shape(kernel, arch, size, d) == dict(zip(names, want, strict=True))


@pytest.mark.parametrize(
    "columns, dtype, rows",
    [
        (1, torch.float16, 4096),
        (32_768, torch.float16, 4096),  # 4096 x 32768 x 2 bytes are 256 MiB
        (32_769, torch.float16, 3968),  # 4095 would fit, 3968 is the multiple of 128 below
        (65_536, torch.float16, 2048),
        (32_768, torch.float32, 2048),
        (2**20, torch.float16, 128),
        (2**22, torch.float16, 128),  # at least, although these are 1 GiB
    ],
)
def test_a_chunk_of_the_gradient_is_256_mib_in_multiples_of_128_rows(columns, dtype, rows):
    assert default_chunk(columns, dtype) == rows


@pytest.mark.parametrize(
    "d, padded, rows",
    [(1, 1, 16), (2, 2, 16), (3, 4, 16), (128, 128, 16), (129, 256, 8), (512, 512, 4)]
    + [(513, 1024, 2), (2048, 2048, 1), (2049, 4096, 1)],
)
def test_a_program_holds_16_rows_or_2048_numbers(d, padded, rows):
    want = dict(D=d, DP=padded, ROWS=rows, num_warps=4, num_stages=1)
    assert row_shape(d) == want

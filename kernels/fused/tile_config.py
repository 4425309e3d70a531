"""The tile of each kernel on each generation of cards.

Hopper (9.x) and data-centre Blackwell (10.x) get TMA descriptors and larger tiles, all other cards
pointers. float32 operands are for tests and small cards: no tensor core multiplies them exactly.
The sizes were chosen by what the compiler says (python -m kernels.report). They have not been timed.
"""


def uses_tma(arch: int, dtype_bytes: int, d: int) -> bool:
    """Whether descriptors can be used: Hopper or Blackwell, 16 bits, rows of a multiple of 16 bytes."""
    return arch // 10 in (9, 10) and dtype_bytes == 2 and d * dtype_bytes % 16 == 0


def tile_shape(kernel: str, arch: int, dtype_bytes: int, d: int) -> dict[str, int]:
    """{BM, BN, BK, num_warps, num_stages}; kernel: sums, online, gradient, product or product transposed.

    arch: 80, 86, 90, 100, 120, ... or 0 for the interpreter; dtype_bytes: of the operands; d: their width.
    """
    padded = max(16, _power_of_two(d))
    if arch == 0:
        # BK is wider than below: fewer steps of numpy
        return dict(BM=64, BN=64, BK=min(128, padded), num_warps=4, num_stages=1)
    # a product's BK is not of dimensions, but of rows or columns
    bk = 64 if kernel.startswith("product") else min(64, padded)
    if dtype_bytes == 4:
        # at 64 columns the online kernel spills on sm_86 and sm_120; so does the transposed product
        # on sm_80 with 4 warps, even at 32 columns
        narrow, adds = kernel in ("online", "product transposed"), kernel == "product transposed"
        shape = dict(BM=64, BN=32 if narrow else 64, BK=min(bk, 32))
        return dict(shape, num_warps=8 if adds else 4, num_stages=2)
    bn = 128
    if uses_tma(arch, dtype_bytes, d):
        # a product's columns are dimensions: 640 = 5 * 128 would waste 17 % of 3 * 256
        if kernel == "gradient" or (kernel == "product" and d % 256 == 0):
            bn = 256
        # tried 128 x 256 for the transposed product, which adds to C: 234 registers, spills on sm_100
    elif kernel == "online" or (kernel == "product transposed" and arch == 120):
        bn = 64  # at 128 the online kernel spills 24 bytes, the product 8
    return dict(BM=128, BN=bn, BK=bk, num_warps=8, num_stages=3)


def default_chunk(columns, dtype):
    """Rows of the gradient at a time: a buffer of 256 MiB, at most 4096 rows, at least 128.

    It is a multiple of 128. The kernels are compiled for pointers to multiples of 16 bytes, and so
    every chunk starts at one.
    """
    return max(128, min(4096, 2**28 // (columns * dtype.itemsize) // 128 * 128))


def row_shape(d: int) -> dict[str, int]:
    """{D, DP, ROWS, num_warps, num_stages} of the kernels that hold whole rows: DP is d padded to a
    power of two, ROWS the rows at a time."""
    padded = _power_of_two(d)
    rows = max(1, min(16, 2048 // padded))
    return dict(D=d, DP=padded, ROWS=rows, num_warps=4, num_stages=1)


def _power_of_two(d):
    """The smallest power of two that is at least d."""
    return 1 << (d - 1).bit_length()

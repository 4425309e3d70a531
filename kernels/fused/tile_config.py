"""The tile of each kernel on each generation of cards.

Hopper (9.x) and data-centre Blackwell (10.x) get TMA descriptors and larger tiles, and all other
cards get pointers. float32 operands are for tests and small cards, because no tensor core
multiplies them exactly. The sizes were chosen by what the compiler says (python -m kernels.report).
They have not been timed.
"""


def uses_tma(arch: int, dtype_bytes: int, d: int) -> bool:
    """Whether TMA can be used: Hopper or Blackwell, 16 bits, rows of a multiple of 16 bytes."""
    return arch // 10 in (9, 10) and dtype_bytes == 2 and d * dtype_bytes % 16 == 0


def warps_can_differ(arch: int, dtype_bytes: int, d: int) -> bool:
    """Whether the kernels of signatures.HOPPER can run. In their loops warps have different work,
    which the compiler can do for Hopper's tensor cores if there are descriptors. Triton 3.9 fails to
    compile them for d of 64 and below, where the loop over d has one step."""
    return arch // 10 == 9 and uses_tma(arch, dtype_bytes, d) and d > 64


def tile_shape(kernel: str, arch: int, dtype_bytes: int, d: int) -> dict[str, int]:
    """{BM, BN, BK, STRIP, num_warps, num_stages} of a kernel of signatures.TILED.

    arch: 80, 86, 90, 100, 120, ... or 0 for the interpreter; dtype_bytes: of the operands; d: their
    width. STRIP: how many tiles of a column block a program of "sums" takes; other kernels do not
    use it.
    """
    padded = max(16, _power_of_two(d))
    if arch == 0:
        # BK is wider than below, so that numpy takes fewer steps
        return dict(BM=64, BN=64, BK=min(128, padded), STRIP=2, num_warps=4, num_stages=1)
    if dtype_bytes == 4:  # for tests
        return dict(BM=64, BN=32, BK=min(32, padded), STRIP=2, num_warps=8, num_stages=2)
    shape = dict(BM=128, BN=128, BK=min(64, padded), STRIP=8, num_warps=8, num_stages=3)
    # Larger tiles need fewer operands from L2 for the same product (kernels/plan.py). On Blackwell
    # they spill, because its accumulators come out of tensor memory by rows. With num_warps=4 two
    # groups of 4 warps multiply, and the compiler adds one group that fetches.
    if kernel == "tall sums":
        shape |= dict(BM=256, num_warps=4)
    elif kernel == "wide gradient":
        shape |= dict(BN=384, num_warps=4, num_stages=2)
    elif not uses_tma(arch, dtype_bytes, d):
        if kernel == "online":
            shape |= dict(BN=64, num_stages=2)  # larger ones spill 8 to 24 bytes
        elif arch == 120 and kernel == "sums":
            shape |= dict(BN=64)  # at 128 these spill 8 to 24 bytes
        elif kernel == "sums":
            shape |= dict(num_stages=2)  # with 3 it spills 24 bytes
    elif kernel == "special tiles" and not warps_can_differ(arch, dtype_bytes, d):
        shape |= dict(BM=64, BN=64)  # larger ones spill in Triton 3.4 or 3.6
    return shape


def strip_rows(rows: int, column_blocks: int, height: int, sms: int) -> int:
    """How many rows a program of `tall_sums_kernel` takes, a multiple of height.

    The rows are divided into one to four strips: as few as keep the SMs busy, because each strip
    stores height / 2 numbers for each column.
    """
    tiles = -(-rows // height)

    def tiles_in_turn(strips):
        return -(-strips * column_blocks // sms) * -(-tiles // strips)

    return -(-tiles // min(range(1, 5), key=tiles_in_turn)) * height


def default_chunk(columns, dtype):
    """How many rows of the gradient exist at a time: a buffer of 256 MiB, but 2048 to 8192 rows.

    Products of fewer rows would leave a part of the card idle, and move more of dY than of G. The
    number is a multiple of 128, so that every chunk starts at a multiple of 16 bytes. The kernels
    are compiled for such pointers.
    """
    return max(2048, min(8192, 2**28 // (columns * dtype.itemsize) // 128 * 128))


def row_shape(d: int) -> dict[str, int]:
    """{D, DP, ROWS, num_warps, num_stages} of the kernels that hold whole rows: DP is d padded to a
    power of two, ROWS the rows at a time."""
    padded = _power_of_two(d)
    return dict(D=d, DP=padded, ROWS=max(1, min(16, 2048 // padded)), num_warps=4, num_stages=1)


def _power_of_two(d):
    """The smallest power of two that is at least d."""
    return 1 << (d - 1).bit_length()

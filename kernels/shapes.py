"""Which tile each kernel uses on which card: the one place where hardware is named.

Hopper (9.x) and data-centre Blackwell (10.x) get TMA descriptors and larger tiles; everything else
pointers. float32 operands are for tests and small cards: no tensor core multiplies them exactly.
Chosen by what the compiler says (python -m kernels.report), not by timing: no GPU was at hand.
"""


def uses_tma(arch, dtype_bytes, d):
    """Whether descriptors can be used: Hopper or Blackwell, 16 bits, rows of a multiple of 16 bytes."""
    return arch // 10 in (9, 10) and dtype_bytes == 2 and d * dtype_bytes % 16 == 0


def tile_shape(kernel, arch, dtype_bytes, d):
    """{BM, BN, BK, num_warps, num_stages}; kernel: sums, online, gradient, product or product turned.

    arch: 80, 86, 90, 100, 120, ... or 0 for the interpreter; dtype_bytes: of the operands; d: their width.
    """
    bk = min(64, max(16, 1 << (d - 1).bit_length()))
    if kernel.startswith("product"):
        bk = 64  # not dimensions here, but rows or columns
    if arch == 0:
        bk = min(128, max(16, 1 << (d - 1).bit_length()))  # fewer steps of numpy
        return dict(BM=64, BN=64, BK=bk, num_warps=4, num_stages=1)
    if dtype_bytes == 4:
        # at 64 columns the turned product spills on sm_80 (at 32 too, with 4 warps), the online kernel
        # on sm_86 and sm_120
        bn = 32 if kernel in ("online", "product turned") else 64
        warps = 8 if kernel == "product turned" else 4
        return dict(BM=64, BN=bn, BK=min(bk, 32), num_warps=warps, num_stages=2)
    shape = dict(BM=128, BN=128, BK=bk, num_warps=8, num_stages=3)
    if uses_tma(arch, dtype_bytes, d):
        # a product's columns are dimensions: 640 = 5 * 128 would waste 17 % of 3 * 256
        if kernel == "gradient" or (kernel == "product" and d % 256 == 0):
            shape["BN"] = 256
        # tried 128 x 256 for the turned product, which adds to C: 234 registers, spills on sm_100
    elif kernel == "online":
        shape["BN"] = 64  # 24 bytes of spills at 128
    elif kernel == "product turned" and arch == 120:
        shape["BN"] = 64  # 8 bytes of spills at 128
    return shape


def row_shape(d):
    """{D, DP, ROWS} of the kernels that hold whole rows: d padded, and how many rows at a time."""
    padded = 1 << (d - 1).bit_length()
    return dict(D=d, DP=padded, ROWS=max(1, min(16, 2048 // padded)))

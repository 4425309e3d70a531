"""Which tile each kernel uses on which card: the one place where hardware is named.

Hopper (9.x) and data-centre Blackwell (10.x) get TMA descriptors and larger tiles; everything else
pointers. float32 operands are for tests and small cards: no tensor core multiplies them exactly.
Chosen by what the compiler says (python -m kernels.report), not by timing: no GPU was at hand.
"""


def uses_tma(arch, dtype_bytes, d):
    """Whether descriptors can be used: Hopper or Blackwell, 16 bits, rows of a multiple of 16 bytes."""
    return arch // 10 in (9, 10) and dtype_bytes == 2 and d * dtype_bytes % 16 == 0


def tile_shape(kernel, arch, dtype_bytes, d):
    """{BM, BN, BK, num_warps, num_stages} for kernel: sums, online, gradient or product.

    arch: 80, 90, 100, ... or 0 for the interpreter; dtype_bytes: of the operands; d: their width.
    """
    bk = min(64, max(16, 1 << (d - 1).bit_length()))
    if arch == 0:
        return dict(BM=64, BN=64, BK=64 if kernel == "product" else bk, num_warps=4, num_stages=1)
    if dtype_bytes == 4:
        return dict(BM=64, BN=64, BK=min(bk, 32), num_warps=4, num_stages=2)
    shape = dict(BM=128, BN=128, BK=bk, num_warps=8, num_stages=3)
    if uses_tma(arch, dtype_bytes, d) and kernel in ("gradient", "product"):
        shape["BN"] = 256
    if kernel == "product":
        shape["BK"] = 64
        if d % 256:  # columns here are dimensions: 640 = 5 * 128 would waste 17 % of 3 * 256
            shape["BN"] = 128
    return shape

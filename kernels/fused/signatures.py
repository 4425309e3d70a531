"""Every kernel as it is launched: argument types and constants for a dtype, a width and a card.

launch.py lets Triton find the types in the tensors it is given; to compile without tensors they have
to be said. Left out: the launches.
"""

from kernels.fused.backward import gradient_kernel, product_kernel
from kernels.fused.forward import online_kernel, sums_kernel
from kernels.fused.normalize import diagonal_kernel, normalize_backward_kernel, normalize_kernel
from kernels.fused.tile_config import row_shape, tile_shape, uses_tma
from kernels.softmax import LOWEST

BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
TILED = ("sums", "online", "gradient", "product", "product transposed")
ROWWISE = ("normalize", "normalize backward", "diagonal")


def variant(name, arch, dtype, d):
    """(kernel, types, constants, num_warps, num_stages) of a kernel of TILED or ROWWISE."""
    operand, sums = f"*{dtype}", "*fp32"
    if name in ROWWISE:
        kernel, types = {
            "normalize": (
                normalize_kernel,
                dict(X=sums, XHAT=operand, NORM=sums, M="i32", stride_m="i32", stride_d="i32"),
            ),
            "normalize backward": (
                normalize_backward_kernel,
                dict(G=sums, XHAT=operand, NORM=sums, FACTOR=sums, DX=sums, ROW_DOT=sums, M="i32"),
            ),
            "diagonal": (diagonal_kernel, dict(X=operand, Y=operand, OUT=sums, M="i32")),
        }[name]
        return kernel, types, row_shape(d), 4, 1
    plan = tile_shape(name, arch, BYTES[dtype], d)
    num_warps, num_stages = plan.pop("num_warps"), plan.pop("num_stages")
    tma = uses_tma(arch, BYTES[dtype], d)
    constants = dict(plan, TMA=tma, PRECISION="ieee")
    bm, bn, bk = plan["BM"], plan["BN"], plan["BK"]

    def source(rows, columns):
        return f"tensordesc<{dtype}[{rows},{columns}]>" if tma else operand

    sizes = dict(M="i32", N="i32")
    if name.startswith("product"):
        transposed = name.endswith("transposed")
        types = dict(A=source(bk, bm) if transposed else source(bm, bk), B=source(bk, bn), C=sums)
        constants.update(TRANSPOSED=transposed, ADD=transposed)
        types.update(sizes, K="i32", stride="i32")
        return product_kernel, types, constants, num_warps, num_stages
    constants["D"] = d
    types = dict(X=source(bm, bk), Y=source(bn, bk), SCALE_LOG2=sums, **sizes, offset="i32")
    if name == "sums":
        types.update(SHIFT=sums, Z_ROWS=sums, Z_COLUMNS=sums)
        return sums_kernel, types, constants, num_warps, num_stages
    if name == "online":
        types.update(FLAGGED="*u8", HIGHEST=sums, Z=sums)
        return online_kernel, types, dict(constants, LOWEST=LOWEST), num_warps, num_stages
    for vector in ("LSE_ROWS", "LSE_COLUMNS", "ONE_MINUS_P_ROWS", "ONE_MINUS_P_COLUMNS"):
        types[vector] = sums
    types.update(G=operand, stride="i32")
    constants["GRAD_SCALE"] = 2.0**15 if dtype == "fp16" else 1.0
    return gradient_kernel, types, constants, num_warps, num_stages

"""Every kernel's constants, and its arguments that have the operands' dtype, in one place.

launch.py launches kernels with these constants. kernels/report compiles them without tensors, and
so needs the types of the arguments as well. Left out: the grids.
"""

import functools

import torch

from kernels.fused.backward import (
    gradient_kernel,
    ordinary_gradient_kernel,
    wide_gradient_kernel,
)
from kernels.fused.finish import finish_kernel
from kernels.fused.forward import online_kernel, sums_kernel, tall_sums_kernel
from kernels.fused.normalize import diagonal_kernel, normalize_backward_kernel, normalize_kernel
from kernels.fused.tile_config import row_shape, tile_shape, uses_tma
from kernels.reference import PRECISIONS
from kernels.softmax import LOWEST

# {name: (kernel, {argument in the operands' dtype: the names of the two sizes of the block that the
# kernel reads from it})}. () means that the kernel reads or writes single elements, and never by
# TMA.
X_AND_Y = {"X": ("BM", "BK"), "Y": ("BN", "BK")}
TILED = {
    "sums": (sums_kernel, X_AND_Y),
    "tall sums": (tall_sums_kernel, X_AND_Y),
    "online": (online_kernel, X_AND_Y),
    "gradient": (ordinary_gradient_kernel, X_AND_Y | {"G": ()}),
    "wide gradient": (wide_gradient_kernel, X_AND_Y | {"G": ()}),
    "special tiles": (gradient_kernel, X_AND_Y | {"G": ()}),
}
ROWWISE = {
    "normalize": (normalize_kernel, {"XHAT": ()}),
    "normalize backward": (normalize_backward_kernel, {"XHAT": ()}),
    "diagonal": (diagonal_kernel, {"X": (), "Y": ()}),
}
VECTORS = {"finish": (finish_kernel, {})}
KERNELS = TILED | ROWWISE | VECTORS
# these are only launched where warps_can_differ is true, and make their descriptors themselves
HOPPER = ("tall sums", "wide gradient")


@functools.cache
def constants(name, arch, dtype, d):
    """The constexprs of a kernel of KERNELS, num_warps and num_stages. Do not change this dict.

    arch: as for `tile_shape`; dtype, d: of the operands.
    """
    if name in VECTORS:
        return dict(ROWS=256, num_warps=4, num_stages=1)
    if name in ROWWISE:
        return row_shape(d)
    known = tile_shape(name, arch, dtype.itemsize, d) | dict(
        TMA=uses_tma(arch, dtype.itemsize, d),  # whether the operands come as descriptors
        PRECISION="ieee",
        D=d,
        LOWEST=LOWEST,
        # the factor of the stored G: 2^15 lets float16 hold probabilities down to 2^-39
        GRAD_SCALE=2.0**15 if dtype == torch.float16 else 1.0,
    )
    taken = {*KERNELS[name][0].arg_names, "num_warps", "num_stages"}
    return {key: value for key, value in known.items() if key in taken}


def variant(name, arch, dtype, d):
    """(kernel, types, constants) of a kernel of KERNELS as it is launched on a card.

    dtype: a name of PRECISIONS. types: argument name -> "*fp16", "i32", "tensordesc<...>", ...
    """
    (kernel, operands), types = KERNELS[name], {}
    fixed = constants(name, arch, PRECISIONS[dtype], d)
    for argument in (a for a in kernel.arg_names if a not in fixed):
        types[argument] = {"FLAGGED": "*u8", "LOSS": "*fp64"}.get(argument, "*fp32")
        if argument in ("M", "N") or argument.islower():
            types[argument] = "i32"
        if argument in operands:
            sizes = ",".join(str(fixed[size]) for size in operands[argument])
            described = fixed.get("TMA") and sizes
            types[argument] = f"tensordesc<{dtype}[{sizes}]>" if described else f"*{dtype}"
    return kernel, types, fixed

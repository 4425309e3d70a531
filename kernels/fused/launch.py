"""The block operations on Triton: names and arguments of reference.py, launches of the kernels.

No operation here reads a number from the device, so the host does not wait and everything can be
captured in a CUDA graph. Where TRITON_INTERPRET=1 was set before this is imported, the same launches
run on a CPU in the corrected interpreter (interpreter.py). Left out: arithmetic (the kernels), and the kernels'
constants (signatures.py, tile_config.py).
"""

import functools
import os

import torch
import triton
from torch import Tensor

from kernels.fused import interpreter
from kernels.fused.signatures import KERNELS, constants
from kernels.fused.tile_config import default_chunk, uses_tma  # noqa: F401  (an operation)

INTERPRET = os.environ.get("TRITON_INTERPRET") == "1"
if INTERPRET:
    interpreter.install()
try:
    from triton.tools.tensor_descriptor import TensorDescriptor
except ImportError:  # older Tritons: pointers everywhere
    TensorDescriptor = None


@functools.cache
def arch_of(device: torch.device) -> int:
    """80, 90, ... of a CUDA device; 0 for the interpreter."""
    major, minor = (0, 0) if INTERPRET else torch.cuda.get_device_capability(device)
    return 10 * major + minor


def _plan(name, like, tma=None):
    """The constants of a kernel for operands like this one (rows, width)."""
    arch, d = arch_of(like.device), like.shape[1]
    if tma is None:
        tma = TensorDescriptor is not None and uses_tma(arch, like.dtype.itemsize, d)
    return constants(name, arch, like.dtype, d, tma)


def _launch(name, plan, shape, *arguments, **changed):
    """Launch a kernel once for every tile of a matrix of this shape, or for its blocks of rows.

    plan: from `_plan`, `changed` in some constants. arguments: all others, by position.
    """
    (kernel, operands), (m, n), (first, *_) = KERNELS[name], shape, arguments
    if plan.get("TMA"):  # the first two arguments are operands, read in blocks
        blocks = ([plan[size] for size in sizes] for sizes in operands.values() if sizes)
        descriptors = map(TensorDescriptor.from_tensor, arguments, blocks)
        arguments = [*descriptors, *arguments[2:]]
    programs = triton.cdiv(m, plan.get("BM") or plan["ROWS"])
    programs *= triton.cdiv(n, plan["BN"]) if n else 1
    with torch.cuda.device_of(first):  # Triton launches on the current card; no effect on a CPU
        # without fused multiply-add S * scale - shift is rounded twice, the same forward and backward
        kernel[(programs,)](*arguments, enable_fp_fusion=False, **(plan | changed))


def normalize(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """As reference.normalize; x of any strides, D up to 2048."""
    xhat = torch.empty(x.shape, dtype=dtype, device=x.device)
    norm, sizes = torch.empty(len(x), dtype=torch.float32, device=x.device), (len(x), *x.stride())
    _launch("normalize", _plan("normalize", x), (len(x), None), x, xhat, norm, *sizes)
    return xhat, norm


def normalize_backward(g, xhat, norm, factor, dtype):
    """As reference.normalize_backward; factor is a 0-d tensor."""
    name, row_dot = "normalize backward", torch.empty_like(norm)
    dx = g if g.dtype == dtype else torch.empty(g.shape, dtype=dtype, device=g.device)
    _launch(name, _plan(name, g), (len(g), None), g, xhat, norm, factor, dx, row_dot, len(g))
    return dx, row_dot


def diagonal(x: Tensor, y: Tensor) -> Tensor:
    """As reference.diagonal."""
    out = torch.empty(len(x), dtype=torch.float32, device=x.device)
    _launch("diagonal", _plan("diagonal", x), (len(x), None), x, y, out, len(x))
    return out


def sums(rows, columns, scale_log2, shift, offset, chunk, tma=None):
    """As reference.sums. Chunks bound the partial sums: 1 GB at N = 131072 without them."""
    plan, n = _plan("sums", rows, tma), len(columns)
    z_rows = torch.empty(len(rows), dtype=torch.float32, device=rows.device)
    z_columns = torch.zeros(n, dtype=torch.float32, device=rows.device)
    for start in range(0, len(rows), chunk):
        x = rows[start : start + chunk]
        c = len(x)
        by_row = z_rows.new_empty(triton.cdiv(n, plan["BN"]), c)
        by_column = z_rows.new_empty(triton.cdiv(c, plan["BM"]), n)
        sizes = c, n, start + offset
        _launch("sums", plan, (c, n), x, columns, scale_log2, shift, by_row, by_column, *sizes)
        # torch adds a dimension in the same order every time
        torch.sum(by_row, 0, out=z_rows[start : start + chunk])
        z_columns += by_column.sum(0)
    return z_rows, z_columns


def online_sums(mine, others, scale_log2, flagged, offset, chunk=None, tma=None):
    """As reference.online_sums, without waiting for the device; chunk is not needed."""
    highest = torch.empty(len(mine), dtype=torch.float32, device=mine.device)
    z, flags = torch.empty_like(highest), flagged.view(torch.uint8)
    plan, sizes = _plan("online", mine, tma), (len(mine), len(others), offset)
    _launch("online", plan, (len(mine), None), mine, others, scale_log2, flags, highest, z, *sizes)
    return highest, z


def gradient(
    rows,
    columns,
    scale_log2,
    lse_rows,
    lse_columns,
    one_minus_p_rows,
    one_minus_p_columns,
    offset,
    chunk,
    tma=None,
):
    """As reference.gradient: G in the operands' dtype, c rows at a time, then two products."""
    (m, d), n, device = rows.shape, len(columns), rows.device
    plan, product, transposed = (
        _plan(name, rows, tma) for name in ("gradient", "product", "product transposed")
    )
    stride = triton.cdiv(n, 16) * 16  # a multiple of 16 is what the kernels are compiled for
    buffer = torch.empty(min(chunk, m), stride, dtype=rows.dtype, device=device)
    g_rows = torch.empty(m, d, dtype=torch.float32, device=device)
    g_columns = torch.empty(n, d, dtype=torch.float32, device=device)
    for start in range(0, m, chunk):
        here = slice(start, start + chunk)
        x = rows[here]
        c = len(x)
        g = buffer[:c, :n]
        vectors = lse_rows[here], lse_columns, one_minus_p_rows[here], one_minus_p_columns
        sizes = c, n, start + offset, stride
        _launch("gradient", plan, (c, n), x, columns, scale_log2, *vectors, buffer, *sizes)
        # G (c, N) times Y (N, D), then G^T (N, c) times X (c, D), added to what is there
        _launch("product", product, (c, d), g, columns, g_rows[here], c, d, n, stride)
        sizes, added = (n, d, c, stride), start > 0
        _launch("product transposed", transposed, (n, d), g, x, g_columns, *sizes, ADD=added)
    return g_rows, g_columns, 1 / plan["GRAD_SCALE"]

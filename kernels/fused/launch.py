"""The block operations on Triton: names and arguments of reference.py, launches of the kernels.

Nothing here asks the device for a number, so the host runs ahead and everything can be captured in
a CUDA graph. With TRITON_INTERPRET=1, set before this is imported, the same launches run on a CPU in
the honest interpreter. Left out: arithmetic (the kernels) and choices of tiles (tile_config.py).
"""

import functools
import os

import torch
import triton

from kernels.fused import interpreter, tile_config
from kernels.fused.backward import gradient_kernel, product_kernel
from kernels.fused.forward import online_kernel, sums_kernel
from kernels.fused.normalize import diagonal_kernel, normalize_backward_kernel, normalize_kernel
from kernels.fused.tile_config import row_shape, tile_shape, uses_tma
from kernels.softmax import LOWEST

# S * bits - shift in two roundings, not one: then S is the same number forward and backward
EXACT = {"enable_fp_fusion": False}
INTERPRET = os.environ.get("TRITON_INTERPRET") == "1"
if INTERPRET:
    interpreter.install()
try:
    from triton.tools.tensor_descriptor import TensorDescriptor
except ImportError:  # older Tritons: pointers everywhere
    TensorDescriptor = None


def on_its_device(operation):
    """The operation, run with its first tensor's card as the current one: Triton launches there."""

    @functools.wraps(operation)
    def guarded(first, *args, **kw):
        with torch.cuda.device_of(first):  # does nothing for a tensor on the CPU
            return operation(first, *args, **kw)

    return guarded


@functools.cache
def arch_of(device):
    """80, 90, ... of a CUDA device; 0 for the interpreter."""
    if INTERPRET:
        return 0
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def default_chunk(columns, dtype):
    """Rows of the gradient at a time, by tile_config."""
    return tile_config.default_chunk(columns, dtype.itemsize)


def grad_scale(dtype):
    """What G is multiplied by: 2^15 lets float16 hold probabilities down to 2^-39."""
    return 2.0**15 if dtype == torch.float16 else 1.0


def _plan(kernel, like, tma=None):
    """Keyword arguments of a tile kernel for operands like this one (rows, width)."""
    arch, size, d = arch_of(like.device), like.dtype.itemsize, like.shape[1]
    if tma is None:
        tma = TensorDescriptor is not None and uses_tma(arch, size, d)
    return dict(tile_shape(kernel, arch, size, d), TMA=tma, PRECISION="ieee", **EXACT)


def _operand(x, plan, *block):
    """x as the kernel wants it: itself, or a descriptor that hands out blocks of these sizes."""
    return TensorDescriptor.from_tensor(x, list(block)) if plan["TMA"] else x


def _tiles(m, n, plan):
    """Tiles of an m x n matrix."""
    return (triton.cdiv(m, plan["BM"]) * triton.cdiv(n, plan["BN"]),)


@on_its_device
def normalize(x, dtype):
    """As reference.normalize; x of any strides, D up to 2048."""
    m, d = x.shape
    xhat = torch.empty(m, d, dtype=dtype, device=x.device)
    norm = torch.empty(m, dtype=torch.float32, device=x.device)
    rows = dict(row_shape(d), **EXACT)
    grid = (triton.cdiv(m, rows["ROWS"]),)
    normalize_kernel[grid](x, xhat, norm, m, x.stride(0), x.stride(1), **rows)
    return xhat, norm


@on_its_device
def normalize_backward(g, xhat, norm, factor, dtype):
    """As reference.normalize_backward; factor is a 0-d tensor."""
    m, d = g.shape
    along = torch.empty_like(norm)
    dx = g if g.dtype == dtype else torch.empty(m, d, dtype=dtype, device=g.device)
    rows = dict(row_shape(d), **EXACT)
    grid = (triton.cdiv(m, rows["ROWS"]),)
    normalize_backward_kernel[grid](g, xhat, norm, factor, dx, along, m, **rows)
    return dx, along


@on_its_device
def diagonal(x, y):
    """As reference.diagonal."""
    out = torch.empty(len(x), dtype=torch.float32, device=x.device)
    rows = dict(row_shape(x.shape[1]), **EXACT)
    diagonal_kernel[(triton.cdiv(len(x), rows["ROWS"]),)](x, y, out, len(x), **rows)
    return out


@on_its_device
def sums(rows, columns, scale_log2, shift, offset, chunk, tma=None):
    """As reference.sums. Chunks bound the partial sums: 1 GB at N = 131072 without them."""
    (m, d), n = rows.shape, len(columns)
    plan = _plan("sums", rows, tma)
    bm, bn, bk = plan["BM"], plan["BN"], plan["BK"]
    z_rows = torch.empty(m, dtype=torch.float32, device=rows.device)
    z_columns = torch.zeros(n, dtype=torch.float32, device=rows.device)
    y = _operand(columns, plan, bn, bk)
    for start in range(0, m, chunk):
        x = rows[start : start + chunk]
        by_row = z_rows.new_empty(triton.cdiv(n, bn), len(x))
        by_column = z_rows.new_empty(triton.cdiv(len(x), bm), n)
        sums_kernel[_tiles(len(x), n, plan)](
            _operand(x, plan, bm, bk), y, scale_log2, shift, by_row, by_column,
            len(x), n, start + offset, D=d, **plan,
        )  # fmt: skip
        # torch adds a dimension in the same order every time
        torch.sum(by_row, 0, out=z_rows[start : start + chunk])
        z_columns += by_column.sum(0)
    return z_rows, z_columns


@on_its_device
def online_sums(mine, others, scale_log2, flagged, offset, chunk=None, tma=None):
    """As reference.online_sums, without waiting for the device; chunk is not needed."""
    (m, d), n = mine.shape, len(others)
    plan = _plan("online", mine, tma)
    highest = torch.empty(m, dtype=torch.float32, device=mine.device)
    z = torch.empty_like(highest)
    x = _operand(mine, plan, plan["BM"], plan["BK"])
    y = _operand(others, plan, plan["BN"], plan["BK"])
    online_kernel[(triton.cdiv(m, plan["BM"]),)](
        x,
        y,
        scale_log2,
        flagged.view(torch.uint8),
        highest,
        z,
        m,
        n,
        offset,
        LOWEST=LOWEST,
        D=d,
        **plan,
    )
    return highest, z


@on_its_device
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
    (m, d), n, dtype = rows.shape, len(columns), rows.dtype
    plan = _plan("gradient", rows, tma)
    along, transposed = _plan("product", rows, tma), _plan("product transposed", rows, tma)
    stride = triton.cdiv(n, 16) * 16  # a multiple of 16 is what the kernels are compiled for
    buffer = torch.empty(min(chunk, m), stride, dtype=dtype, device=rows.device)
    g_rows = torch.empty(m, d, dtype=torch.float32, device=rows.device)
    g_columns = torch.empty(n, d, dtype=torch.float32, device=rows.device)
    y = _operand(columns, plan, plan["BN"], plan["BK"])
    y_across = _operand(columns, along, along["BK"], along["BN"])
    for start in range(0, m, chunk):
        here = slice(start, start + chunk)
        x = rows[here]
        c = len(x)
        gradient_kernel[_tiles(c, n, plan)](
            _operand(x, plan, plan["BM"], plan["BK"]), y, scale_log2,
            lse_rows[here], lse_columns, one_minus_p_rows[here], one_minus_p_columns, buffer,
            c, n, start + offset, stride, GRAD_SCALE=grad_scale(dtype), D=d, **plan,
        )  # fmt: skip
        g = buffer[:c, :n]
        product_kernel[_tiles(c, d, along)](  # G (c, N) times Y (N, D)
            _operand(g, along, along["BM"], along["BK"]), y_across, g_rows[here],
            c, d, n, stride, TRANSPOSED=False, ADD=False, **along,
        )  # fmt: skip
        product_kernel[_tiles(n, d, transposed)](  # G^T (N, c) times X (c, D)
            _operand(g, transposed, transposed["BK"], transposed["BM"]),
            _operand(x, transposed, transposed["BK"], transposed["BN"]), g_columns,
            n, d, c, stride, TRANSPOSED=True, ADD=start > 0, **transposed,
        )  # fmt: skip
    return g_rows, g_columns, 1 / grad_scale(dtype)

"""The block operations of reference.py, with the same names and arguments, as Triton launches.

No operation here reads a number from the device, so the host does not wait and everything can be
captured in a CUDA graph. If TRITON_INTERPRET=1 is set before this file is imported, the same
launches run on a CPU in the corrected interpreter (interpreter.py). Left out: arithmetic (the
kernels), and the kernels' constants (signatures.py, tile_config.py).
"""

import contextlib
import functools
import threading

import torch
import triton
from triton import knobs
from triton.tools.tensor_descriptor import TensorDescriptor

from kernels.fused import interpreter
from kernels.fused.signatures import HOPPER, KERNELS, constants
from kernels.fused.tile_config import (
    default_chunk,  # noqa: F401  (an operation)
    strip_rows,
    warps_can_differ,
)

# in earlier versions addmm's first argument must have the operands' dtype (pytorch pull request
# 167931)
ADDMM_TAKES_FLOAT32 = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 10)
INTERPRET = knobs.runtime.interpret
# the interpreter keeps the program that it runs in globals, so that two threads would mix theirs
TURN = threading.Lock() if INTERPRET else contextlib.nullcontext()
if INTERPRET:
    interpreter.install()


@functools.cache
def arch_of(device: torch.device) -> int:
    """80, 90, ... of a CUDA device; 0 for the interpreter."""
    major, minor = (0, 0) if INTERPRET else torch.cuda.get_device_capability(device)
    return 10 * major + minor


@functools.cache
def sms_of(device: torch.device) -> int:
    """The number of a CUDA device's SMs; 4 for the interpreter."""
    return 4 if INTERPRET else torch.cuda.get_device_properties(device).multi_processor_count


def _plan(name, like):
    """The constants of a kernel for operands like this one (rows, width)."""
    return constants(name, arch_of(like.device), like.dtype, like.shape[1])


def _warps_differ(like):
    """Whether the kernels of HOPPER run on operands like this one."""
    return warps_can_differ(arch_of(like.device), like.dtype.itemsize, like.shape[1])


def _launch(name, plan, shape, *arguments):
    """Launch a kernel for every tile of a matrix, or for every block of its rows.

    shape: of the matrix, (rows, columns); None columns means blocks of rows. plan: from `_plan`.
    arguments: the kernel's arguments that are not in `plan`.
    """
    (kernel, operands), (m, n), (first, *_) = KERNELS[name], shape, arguments
    if plan.get("TMA"):  # the first two arguments are operands, read in blocks
        blocks = ([plan[size] for size in sizes] for sizes in operands.values() if sizes)
        arguments = [*map(TensorDescriptor.from_tensor, arguments, blocks), *arguments[2:]]
    programs = triton.cdiv(m, plan.get("STRIP", 1) * (plan.get("BM") or plan["ROWS"]))
    programs *= triton.cdiv(n, plan["BN"]) if n else 1
    if name in ("special tiles", *HOPPER):  # a program takes many tiles
        programs = min(programs, sms_of(first.device))
    if name in HOPPER:  # memory for the descriptors that the kernel makes
        triton.set_allocator(
            lambda size, *_: torch.empty(size, dtype=torch.int8, device=first.device)
        )
    # Triton launches on the current card; on a CPU this has no effect
    with TURN, torch.cuda.device_of(first):
        # fused multiply-add rounds S * scale - shift once and not twice, and saves an instruction
        kernel[(programs,)](*arguments, enable_fp_fusion=True, **plan)


def normalize(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
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


def diagonal(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """As reference.diagonal."""
    out = torch.empty(len(x), dtype=torch.float32, device=x.device)
    _launch("diagonal", _plan("diagonal", x), (len(x), None), x, y, out, len(x))
    return out


def sums(rows, columns, scale_log2, shift, offset, chunk):
    """As reference.sums, but for 16 chunks of rows at a time.

    Their partial sums take fewer bytes than the gradients of one chunk. The partial sums of all
    rows at once would take 1 GB at N = 131072.
    """
    plan, n, rows_at_once = _plan("sums", rows), len(columns), 16 * chunk
    z_rows = torch.empty(len(rows), dtype=torch.float32, device=rows.device)
    z_columns = torch.empty(n, dtype=torch.float32, device=rows.device)
    # tall_sums_kernel takes whole blocks of columns. sums_kernel takes the matches in these blocks,
    # and the remaining columns.
    blocks = n // plan["BN"] if _warps_differ(rows) else 0
    whole = blocks * plan["BN"]
    for start in range(0, len(rows), rows_at_once):
        x, z = (t[start : start + rows_at_once] for t in (rows, z_rows))
        c = len(x)
        if blocks:
            inputs, sizes = (x, columns[:whole], scale_log2, shift), (c, whole, start + offset)
            tall = _plan("tall sums", rows)
            strip = strip_rows(c, blocks, tall["BM"], sms_of(rows.device))
            strips = triton.cdiv(c, strip)
            by_row = z_rows.new_empty(blocks, c)
            by_column = z_rows.new_empty(strips, blocks, tall["BM"] // 2, plan["BN"])
            shape = strips * tall["BM"], whole
            _launch("tall sums", tall, shape, *inputs, by_row, by_column, *sizes, strip)
            _add_up(by_column, (0, 2), z_columns[:whole].view(blocks, -1), start > 0)
            _launch("sums", plan, (1, whole), *inputs, by_row, z_columns, *sizes, 1)
            _add_up(by_row, 0, z, False)
        if whole < n:
            rest = n - whole
            by_row = z_rows.new_empty(triton.cdiv(rest, plan["BN"]), c)
            by_column = z_rows.new_empty(triton.cdiv(c, plan["BM"] * plan["STRIP"]), rest)
            inputs = x, columns[whole:], scale_log2, shift, by_row, by_column
            _launch("sums", plan, (c, rest), *inputs, c, rest, start + offset - whole, 0)
            _add_up(by_column, 0, z_columns[whole:], start > 0)
            _add_up(by_row, 0, z, blocks > 0)
    return z_rows, z_columns


def _add_up(parts, dimensions, out, added):
    """Write the sums of `parts` over these dimensions to `out`, or add them to it if `added`.

    torch adds in the same order every time.
    """
    if added:
        out += parts.sum(dimensions)
    else:
        torch.sum(parts, dimensions, out=out)


def online_sums(mine, others, scale_log2, flagged, offset, chunk=None):
    """As reference.online_sums, without waiting for the device. `chunk` is not used."""
    highest = torch.empty(len(mine), dtype=torch.float32, device=mine.device)
    z, flags = torch.empty_like(highest), flagged.view(torch.uint8)
    plan, sizes = _plan("online", mine), (len(mine), len(others), offset)
    _launch("online", plan, (len(mine), None), mine, others, scale_log2, flags, highest, z, *sizes)
    return highest, z


def finish(z, flagged, highest, rescued, shift, cosines, scale_log2):
    """As reference.finish."""
    loss = torch.empty(len(z), dtype=torch.float64, device=z.device)
    one_minus_p, lse = torch.empty_like(z), torch.empty_like(z)
    inputs = z, flagged.view(torch.uint8), highest, rescued, shift, cosines, scale_log2
    plan = constants("finish", 0, z.dtype, 0)
    _launch("finish", plan, (len(z), None), *inputs, loss, one_minus_p, lse, len(z))
    return loss, one_minus_p, lse


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
):
    """As reference.gradient: G in the operands' dtype, c rows at a time, then two products."""
    (m, d), n, device = rows.shape, len(columns), rows.device
    name = "wide gradient" if _warps_differ(rows) else "gradient"
    plan, special = (_plan(kernel, rows) for kernel in (name, "special tiles"))
    lowest = lse_rows.min(), lse_columns.min()
    stride = triton.cdiv(n, 16) * 16  # the kernels are compiled for a multiple of 16
    buffer = torch.empty(min(chunk, m), stride, dtype=rows.dtype, device=device)
    g_rows = torch.empty(m, d, dtype=torch.float32, device=device)
    g_columns = torch.empty(n, d, dtype=torch.float32, device=device)
    for start in range(0, m, chunk):
        here = slice(start, start + chunk)
        x = rows[here]
        c = len(x)
        vectors = lse_rows[here], lse_columns, one_minus_p_rows[here], one_minus_p_columns
        inputs, sizes = (x, columns, scale_log2), (c, n, start + offset, stride)
        _launch(name, plan, (c, n), *inputs, *vectors[:2], buffer, c, n, stride)
        _launch("special tiles", special, (c, n), *inputs, *vectors, *lowest, buffer, *sizes)
        products(buffer[:c, :n], columns, x, g_rows[here], g_columns, start > 0)
    return g_rows, g_columns, 1 / plan["GRAD_SCALE"]


def products(g, y, x, g_rows, g_columns, added):
    """By torch: g_rows = G Y, and g_columns = G^T X or, if `added` is True, g_columns += G^T X.

    G (c, N), Y (N, D), X (c, D); sums and results are in float32. cuBLAS repeats a result bit for
    bit with the same version on the same card, as long as only one stream uses it. If several
    streams use it, CUBLAS_WORKSPACE_CONFIG=:4096:8 must be in the environment.
    """
    if INTERPRET:  # on a CPU 16 bits cannot be multiplied into float32
        g, y, x = g.float(), y.float(), x.float()
    how = {} if g.dtype == torch.float32 else {"out_dtype": torch.float32}
    torch.mm(g, y, out=g_rows, **how)
    if not added:
        torch.mm(g.T, x, out=g_columns, **how)
    elif how and not ADDMM_TAKES_FLOAT32:
        g_columns += torch.mm(g.T, x, **how)
    else:
        torch.addmm(g_columns, g.T, x, out=g_columns, **how)

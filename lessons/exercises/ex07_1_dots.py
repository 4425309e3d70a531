"""07  Your first kernel. Read lessons/07_triton.md, then make this file green.

It runs in Triton's interpreter, or on a GPU where there is one.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from kernels.fused.launch import INTERPRET  # noqa: E402
from tests.guarded import guarded, untouched  # noqa: E402

ANSWER = "kernels.fused.normalize:diagonal_kernel"
HINT = "Start from exp_sums_kernel of the lesson: load a second block in the same way, both as float32."
DEVICE = "cpu" if INTERPRET else "cuda"


@triton.jit
def diagonal_kernel(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):
    """OUT = <x, y> by rows, in float32.

    # reads 2 M D, writes M
    """
    # X, Y (M, D) contiguous, OUT (M,); ROWS rows a program; DP is D padded to a power of two
    raise NotImplementedError  # about 6 lines


def dots(x, y, rows):
    """OUT for these operands; all memory around the three tensors is NaN."""
    m, d = x.shape
    out = guarded(torch.full((m,), torch.nan), DEVICE)
    sizes = dict(D=d, DP=triton.next_power_of_2(d), ROWS=rows)
    x, y = guarded(x, DEVICE), guarded(y, DEVICE)
    diagonal_kernel[(triton.cdiv(m, rows),)](x, y, out, m, **sizes)
    return out


def numbers(m, d, seed):
    return torch.randn(2, m, d, generator=torch.Generator().manual_seed(seed))


heights, widths, seeds = st.integers(1, 20), st.integers(1, 40), st.integers(0, 10**6)
rows = st.sampled_from([1, 4, 8])
few = settings(max_examples=8)  # the interpreter is slow


@few
@given(heights, widths, rows, seeds)
def test_every_row_is_multiplied_with_its_partner(m, d, rows, seed):
    x, y = numbers(m, d, seed)
    out, products = dots(x, y, rows).cpu().double(), x.double() * y.double()
    missing = out.isnan().nonzero().flatten().tolist()
    assert not missing, (
        f"rows {missing} of {m} ({rows} a program) are NaN: not written, or what was read reaches"
        " outside of X or Y; see 'Blocks and masks'"
    )
    # D products and D - 1 sums, each rounded by up to 6e-8 of what it adds up
    error = (out - products.sum(1)).abs() / products.abs().sum(1)
    worst = error.argmax()
    assert error[worst] < 1.2e-7 * d, (
        f"row {worst} of {m} x {d} ({rows} a program) is {out[worst]:.5f} and should be"
        f" {products.sum(1)[worst]:.5f}; see 'Rows'"
    )


@few
@given(heights, widths, rows, seeds)
def test_nothing_is_written_beyond_the_last_row(m, d, rows, seed):
    out = dots(*numbers(m, d, seed), rows)
    assert untouched(out), f"OUT has {m} rows, and memory beside it changed; see 'Blocks and masks'"


@few
@given(heights, widths)
def test_products_of_16_bit_numbers_are_added_in_float32(m, d):
    x = torch.full((m, d), 300.0, dtype=torch.float16)
    out = dots(x, x, 4)
    assert (out == 90_000 * d).all(), (
        f"{d} products of 300 x 300 gave {out[0]}: float16 ends at 65,504, so convert what is read"
        " to float32; see 'Rows'"
    )

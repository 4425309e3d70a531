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
DEVICE = "cpu" if INTERPRET else "cuda"


@triton.jit
def diagonal_kernel(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):
    """OUT = <x, y> by rows, in float32.

    # reads 2 M D, writes M
    """
    # X, Y: (M, D) contiguous, of any float dtype; OUT: (M,) float32. Each program takes ROWS rows of
    # both, whole rows, in blocks of (ROWS, DP). DP is D padded to a power of two
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


def check(m, d, rows, seed, section):
    x, y = numbers(m, d, seed)
    out, products = dots(x, y, rows).cpu().double(), x.double() * y.double()
    missing = out.isnan().nonzero().flatten().tolist()
    assert not missing, (
        f"rows {missing} of {m} x {d} ({rows} rows per program) are NaN: not written, or what was read"
        f" reaches outside of X or Y; see 'Kernel 2' and {section}"
    )
    # D products and D - 1 sums, each rounded by up to 6e-8 of what it adds up
    error = (out - products.sum(1)).abs() / products.abs().sum(1)
    worst = error.argmax()
    assert error[worst] < 1.2e-7 * d, (
        f"row {worst} of {m} x {d} ({rows} rows per program) is {out[worst]:.5f} and should be"
        f" {products.sum(1)[worst]:.5f}; see {section}"
    )


@few
@given(rows, st.sampled_from([1, 8, 32]), seeds)
def test_a_block_of_rows_is_multiplied_with_its_partners(rows, d, seed):
    """One program, and nothing to pad."""
    check(rows, d, rows, seed, "'Kernel 4'")


@few
@given(rows, widths, seeds)
def test_a_row_may_be_narrower_than_its_block(rows, d, seed):
    """One program, and rows that are padded."""
    check(rows, d, rows, seed, "'Kernel 3'")


@few
@given(heights, widths, rows, seeds)
def test_every_program_takes_rows_of_its_own(m, d, rows, seed):
    check(m, d, rows, seed, "'Kernel 4'")


@few
@given(heights, widths, rows, seeds)
def test_nothing_is_written_beyond_the_last_row(m, d, rows, seed):
    out = dots(*numbers(m, d, seed), rows)
    assert untouched(out), f"OUT has {m} rows, and memory beside it changed; see 'Kernel 2'"


@few
@given(heights, widths)
def test_products_of_16_bit_numbers_are_added_in_float32(m, d):
    x = torch.full((m, d), 300.0, dtype=torch.float16)
    out = dots(x, x, 4)
    assert (out == 90_000 * d).all(), (
        f"{d} products of 300 x 300 gave {out[0]}: float16 ends at 65,504, so convert what is read"
        " to float32; see the end of 'Kernel 4'"
    )


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_a_block_of_rows_is_multiplied_with_its_partners": (
        "Which sum is it, and over which of the block's two dimensions?",
        "X and Y are read as two blocks of the same shape, ROWS rows of DP elements, and each row of their"
        " product is added up; see the end of 'Kernel 4'.",
        "x and y: two tl.load at the same places, one from X and one from Y; then tl.sum(x * y, 1)",
    ),
    "test_a_row_may_be_narrower_than_its_block": (
        "How far is it from the beginning of a row in memory to the beginning of the next?",
        "A row is D elements long, not DP, and the mask has to leave out the padding, which must not add"
        " anything; see the drawing in 'Kernel 3'.",
        "addresses: X + r[:, None] * D + d[None, :]; mask: (r < M)[:, None] & (d < D)[None, :]; other=0.0",
    ),
    "test_every_program_takes_rows_of_its_own": (
        "Which rows does program 0 take, which does program 1, and what is missing in the last one?",
        "A program begins where the one before it ends, and the last may have rows beyond M; see the first"
        " line of the kernel in 'Kernel 4'.",
        "r = tl.program_id(0) * ROWS + tl.arange(0, ROWS), and r < M in the mask of each load",
    ),
    "test_nothing_is_written_beyond_the_last_row": (
        "How many rows has the last program, and how many of them exist?",
        "tl.store needs a mask as well; see 'Kernel 2'.",
        "tl.store(OUT + r, ..., mask=r < M)",
    ),
    "test_products_of_16_bit_numbers_are_added_in_float32": (
        "What is 300 x 300 in float16?",
        "The products are taken in the dtype of what was read. Convert it before you multiply; the end of"
        " 'Kernel 4' says how.",
        "tl.load(...).to(tl.float32), for both X and Y",
    ),
}
DIFFERS = (
    "It computes addresses in 64 bits, because row 2^22 of 512 columns begins at element 2^31, which 32"
    " bits cannot hold. Row numbers and mask come from `row_index`, which two other kernels use, too."
)

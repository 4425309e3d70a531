"""07  Your own fused kernel. Read lessons/07_triton.md, then make this file green.

It runs in Triton's interpreter, or on a GPU where there is one.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from kernels.fused.launch import INTERPRET  # noqa: E402
from kernels.fused.tile import cosines  # noqa: E402, F401  (for your answer)
from tests.guarded import guarded, untouched  # noqa: E402

ANSWER = "tests.answers.ex07_2_row_sums:row_sums_kernel"
HINT = "What is a similarity beyond the last column, and what is 2 to the power of it less SHIFT?"
DEVICE = "cpu" if INTERPRET else "cuda"


@triton.jit
def row_sums_kernel(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """Z[i] = sum over all N rows y of Y of 2^(SCALE_LOG2 <x_i, y> - SHIFT), in float32.

    X (M, D), Y (N, D); SCALE_LOG2, SHIFT: pointers to one float32 each; Z (M,). Program p computes
    the BM rows from p BM on.
    """
    raise NotImplementedError  # about 9 lines


def row_sums(x, y, scale_log2, shift, bm=16, bn=16, bk=16):
    """Z for these operands; all memory around x, y and Z is NaN."""
    (m, d), n = x.shape, len(y)
    z = guarded(torch.full((m,), torch.nan), DEVICE)
    numbers = (torch.tensor([v], dtype=torch.float32, device=DEVICE) for v in (scale_log2, shift))
    x, y = guarded(x, DEVICE), guarded(y, DEVICE)
    sizes = dict(D=d, BM=bm, BN=bn, BK=bk)
    row_sums_kernel[(triton.cdiv(m, bm),)](x, y, *numbers, z, m, n, **sizes)
    return z


def unit_rows(m, n, d, seed):
    drawn = torch.randn(2, max(m, n), d, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.normalize(x, dim=1)[:k] for x, k in zip(drawn, (m, n)))


def check(z, x, y, scale_log2, shift, where, bn=16):
    true = torch.exp2(scale_log2 * x.double() @ y.double().T - shift).sum(1)
    z = z.cpu().double()
    missing = z.isnan().nonzero().flatten().tolist()
    assert not missing, f"rows {missing} of Z are NaN: not written, or read outside ({where})"
    # an exponent of up to 24 bits has D + 3 roundings of up to 6e-8 of it, and ln 2 of that, 2e-5 at
    # D = 20, is the error of its power
    error = (z / true - 1).abs()
    worst = error.argmax()
    beyond = -len(y) % bn * 2.0**-shift  # what columns beyond the last add if they are not left out
    padded = beyond > 0 and (z / (true + beyond) - 1).abs().max() < 1e-4
    assert error[worst] < 1e-4, (
        f"row {worst} is {z[worst]:.5g} and should be {true[worst]:.5g} ({where}); see "
        + ("step 4 of 'Your kernel': columns beyond N are counted" if padded else "'Your kernel'")
    )


sizes, widths, seeds = st.integers(1, 20), st.integers(1, 20), st.integers(0, 10**6)
scales, shifts = st.floats(1, 20), st.floats(-4, 4)
few = settings(max_examples=6)  # the interpreter takes milliseconds for each tile


@few
@given(sizes, sizes, widths, seeds, scales, shifts)
def test_it_is_the_sum_of_every_row(m, n, d, seed, scale_log2, shift):
    x, y = unit_rows(m, n, d, seed)
    where = f"{m} x {n} rows of width {d}, scale {scale_log2:.2f}, shift {shift:.2f}"
    check(row_sums(x, y, scale_log2, shift), x, y, scale_log2, shift, where)


@few
@given(sizes, sizes, widths)
def test_columns_that_do_not_exist_add_nothing(m, n, d):
    """All similarities are equal to the shift, so each of the N columns adds 1."""
    x, y = (torch.nn.functional.normalize(torch.ones(k, d), dim=1) for k in (m, n))
    z = row_sums(x, y, 8.0, 8.0)
    error = (z - n).abs().max()
    assert error < 0.001 * n, f"{n} equal columns add up to {z[0]:.3f}; see step 4 of 'Your kernel'"


@few
@given(sizes, sizes, seeds)
def test_nothing_is_written_beyond_the_last_row(m, n, seed):
    z = row_sums(*unit_rows(m, n, 8, seed), 5.0, 0.0)
    assert untouched(z), f"Z has {m} rows, and memory beside it changed; see 'Blocks and masks'"


@few
@given(sizes, sizes, seeds, st.sampled_from([(32, 16, 16), (16, 32, 16), (16, 16, 32)]))
def test_the_size_of_a_tile_does_not_matter(m, n, seed, tile):
    x, y = unit_rows(m, n, 24, seed)
    where = "BM, BN, BK = {}, {}, {}".format(*tile)
    check(row_sums(x, y, 9.0, 2.0, *tile), x, y, 9.0, 2.0, where, tile[1])


@few
@given(sizes, sizes, seeds)
def test_operands_of_16_bits_are_added_in_float32(m, n, seed):
    x, y = (x.half() for x in unit_rows(m, n, 24, seed))
    check(row_sums(x, y, 9.0, -9.0), x, y, 9.0, -9.0, "float16 operands, sums in float32")

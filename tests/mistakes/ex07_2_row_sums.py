"""Plausible wrong answers to lessons/exercises/ex07_2_row_sums.py."""

import pytest

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from kernels.fused.tile import cosines  # noqa: E402


@triton.jit
def _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr, BM: tl.constexpr,
              BN: tl.constexpr, BK: tl.constexpr, SLIP: tl.constexpr):  # fmt: skip
    """The right answer but for one slip."""
    row = 0 if SLIP == "first" else tl.program_id(0) * BM
    r = row + tl.arange(0, BM)
    z = tl.zeros((BM,), tl.float32)
    for column in range(0, N - BN + 1 if SLIP == "rest" else N, BN):
        s = cosines(X, Y, row, column, M, N, D, BM, BN, BK, False, "ieee")
        if SLIP != "scale":
            s = s * tl.load(SCALE_LOG2)
        s = s + tl.load(SHIFT) if SLIP == "plus" else s - tl.load(SHIFT)
        e = tl.exp(s) if SLIP == "e" else tl.exp2(s)
        if SLIP != "beyond":
            e = tl.where((column + tl.arange(0, BN) < N)[None, :], e, 0.0)
        sum = tl.sum(e.to(tl.float16), 1).to(tl.float32) if SLIP == "half" else tl.sum(e, 1)
        z = sum if SLIP == "anew" else z + sum
    tl.store(Z + r, z, mask=r < (M + BM if SLIP == "store" else M))


@triton.jit
def every_program_takes_the_first_rows(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                                       BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D, BM, BN, BK, "first")


@triton.jit
def the_last_columns_are_left_out(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                                  BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D, BM, BN, BK, "rest")


@triton.jit
def columns_beyond_n_count(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                           BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D, BM, BN, BK, "beyond")


@triton.jit
def the_sum_starts_anew_with_each_tile(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                                       BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D, BM, BN, BK, "anew")


@triton.jit
def the_scale_is_missing(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                         BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D, BM, BN, BK, "scale")


@triton.jit
def the_shift_is_added(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                       BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D, BM, BN, BK, "plus")


@triton.jit
def uses_base_e(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D, BM, BN, BK, "e")


@triton.jit
def adds_in_half_precision(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                           BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D, BM, BN, BK, "half")


@triton.jit
def writes_beyond_the_last_row(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                               BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    _row_sums(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D, BM, BN, BK, "store")

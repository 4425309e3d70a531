"""Plausible wrong answers to lessons/exercises/ex08_3_sums.py."""

import pytest

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from kernels.fused.tile import cosines, tile_index  # noqa: E402


@triton.jit
def _sums(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, D: tl.constexpr,
          BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, SLIP: tl.constexpr):  # fmt: skip
    """The right answer but for one slip."""
    i, j, r, c = tile_index(M, N, BM, BN)
    s = cosines(X, Y, i * BM, j * BN, M, N, D, BM, BN, BK, False, "ieee") * tl.load(SCALE_LOG2)
    e = tl.exp2(s) if SLIP == "shift" else tl.exp2(s - tl.load(SHIFT))
    if SLIP != "rows":
        e = tl.where((r < M)[:, None], e, 0.0)
    if SLIP != "columns":
        e = tl.where((c < N)[None, :], e, 0.0)
    if SLIP != "match":
        e = tl.where(c[None, :] != (r if SLIP == "offset" else r + offset)[:, None], e, 0.0)
    if SLIP == "block":
        i, j = j, i
    tl.store(Z_ROWS + j * M + r, tl.sum(e, 1), mask=r < M)
    tl.store(Z_COLUMNS + i * N + c, tl.sum(e, 0), mask=c < (N + BN if SLIP == "store" else N))


@triton.jit
def the_match_counts(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                     D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                     TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    _sums(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, D, BM, BN, BK, "match")


@triton.jit
def the_match_is_always_on_the_diagonal(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                                        D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
                                        BK: tl.constexpr, TMA: tl.constexpr,
                                        PRECISION: tl.constexpr):  # fmt: skip
    _sums(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, D, BM, BN, BK, "offset")


@triton.jit
def rows_beyond_m_count_in_the_columns(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                                       D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
                                       BK: tl.constexpr, TMA: tl.constexpr,
                                       PRECISION: tl.constexpr):  # fmt: skip
    _sums(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, D, BM, BN, BK, "rows")


@triton.jit
def columns_beyond_n_count_in_the_rows(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                                       D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
                                       BK: tl.constexpr, TMA: tl.constexpr,
                                       PRECISION: tl.constexpr):  # fmt: skip
    _sums(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, D, BM, BN, BK, "columns")


@triton.jit
def the_shift_is_missing(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                         D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                         TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    _sums(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, D, BM, BN, BK, "shift")


@triton.jit
def stores_at_the_other_block(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                              D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
                              BK: tl.constexpr, TMA: tl.constexpr,
                              PRECISION: tl.constexpr):  # fmt: skip
    _sums(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, D, BM, BN, BK, "block")


@triton.jit
def writes_beyond_the_last_column(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                                  D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
                                  BK: tl.constexpr, TMA: tl.constexpr,
                                  PRECISION: tl.constexpr):  # fmt: skip
    _sums(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, D, BM, BN, BK, "store")

"""Plausible wrong answers to lessons/exercises/ex07_1_dots.py."""

import pytest

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402


@triton.jit
def _dots(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr, SLIP: tl.constexpr):
    """The right answer but for one slip."""
    pid = 0 if SLIP == "first" else tl.program_id(0)
    r, d = pid * ROWS + tl.arange(0, ROWS), tl.arange(0, DP)
    inside = (r < M)[:, None] & (d < (DP if SLIP == "padding" else D))[None, :]
    at = r[:, None] * (DP if SLIP == "stride" else D) + d[None, :]
    x = tl.load(X + at, mask=inside, other=1.0 if SLIP == "other" else 0.0)
    y = tl.load(
        (X if SLIP == "same" else Y) + at, mask=inside, other=1.0 if SLIP == "other" else 0.0
    )
    if SLIP != "half":
        x, y = x.to(tl.float32), y.to(tl.float32)
    tl.store(OUT + r, tl.sum(x * y, 1), mask=r < (M + ROWS if SLIP == "store" else M))


@triton.jit
def every_program_takes_the_first_rows(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr,
                                       ROWS: tl.constexpr):  # fmt: skip
    _dots(X, Y, OUT, M, D, DP, ROWS, "first")


@triton.jit
def the_padding_is_read(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):
    _dots(X, Y, OUT, M, D, DP, ROWS, "padding")


@triton.jit
def rows_are_dp_apart(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):
    _dots(X, Y, OUT, M, D, DP, ROWS, "stride")


@triton.jit
def masked_elements_are_one(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):
    _dots(X, Y, OUT, M, D, DP, ROWS, "other")


@triton.jit
def x_with_itself(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):
    _dots(X, Y, OUT, M, D, DP, ROWS, "same")


@triton.jit
def adds_in_half_precision(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):
    _dots(X, Y, OUT, M, D, DP, ROWS, "half")


@triton.jit
def writes_beyond_the_last_row(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr,
                               ROWS: tl.constexpr):  # fmt: skip
    _dots(X, Y, OUT, M, D, DP, ROWS, "store")

"""07  This time you write the law. Read lessons/07_triton.md, then make this file green.

Your law has to pass two correct implementations, one of them a kernel with tiles of 64 x 64, and fail
eight wrong kernels, whose tiles are 16 x 16. It may call row_sums six times for each of them, so choose
well. The truth is quickly computed: in float64, with torch.
"""

import functools

import pytest
import torch

pytest.importorskip("triton")
from kernels import reference  # noqa: E402
from kernels.fused import launch  # noqa: E402
from tests.mistakes import mistakes, planted  # noqa: E402

ANSWER = "tests.answers.ex07_3_law:law"
DEVICE, CALLS = "cpu" if launch.INTERPRET else "cuda", 6


def law(row_sums):
    """AssertionError unless row_sums is right; returns nothing.

    row_sums(x, y, scale_log2, shift) -> z: x (M, D), y (N, D), z (M,) float32 tensors, scale_log2 and
    shift floats; z[i] is the sum over all j of 2^(scale_log2 <x_i, y_j> - shift), wrong by at most one
    part in 10,000 where |scale_log2 <x_i, y_j>| is at most 20.
    """
    raise NotImplementedError  # about 8 lines


def few(row_sums):
    """row_sums, which ends the test when it is called more than CALLS times."""
    calls = []

    @functools.wraps(row_sums)
    def counted(*arguments):
        calls.append(arguments)
        if len(calls) > CALLS:
            pytest.fail(
                f"your law calls row_sums more than {CALLS} times; which of its sizes and shifts shows"
                " nothing that the others do not? See 'A law for it' in the lesson"
            )
        return row_sums(*arguments)

    return counted


def by(operations):
    """row_sums by the library's `sums`; no column matches a row, so that none is left out."""

    def row_sums(x, y, scale_log2, shift):
        numbers = (torch.tensor(float(v), device=DEVICE) for v in (scale_log2, shift))
        z, _ = operations.sums(x.to(DEVICE), y.to(DEVICE), *numbers, len(y), len(x))
        return z.to(x.device)

    return row_sums


def by_kernel(kernel):
    """row_sums by one of the wrong kernels, one program for 16 rows."""

    def row_sums(x, y, scale_log2, shift):
        z = torch.full((len(x),), torch.nan, device=DEVICE)
        numbers = (torch.tensor([float(v)], device=DEVICE) for v in (scale_log2, shift))
        sizes = dict(D=x.shape[1], BM=16, BN=16, BK=16)
        operands = x.to(DEVICE).contiguous(), y.to(DEVICE).contiguous()
        kernel[(-(-len(x) // 16),)](*operands, *numbers, z, len(x), len(y), **sizes)
        return z.to(x.device)

    return row_sums


@pytest.mark.parametrize("operations", [reference, launch], ids=["in torch", "in Triton"])
def test_your_law_passes_the_library(operations):
    try:
        law(few(by(operations)))
    except AssertionError as error:
        pytest.fail(f"your law fails a correct implementation, {operations.__name__}: {error}")


# a write outside of z does not show in z, so that your law cannot notice it
WRONG = [wrong for wrong in mistakes("ex07_2_row_sums") if not wrong.startswith("writes")]


@pytest.mark.parametrize("name", WRONG)
def test_your_law_fails_a_wrong_kernel(name):
    kernel = planted("tests.answers.ex07_2_row_sums:row_sums_kernel", "ex07_2_row_sums", name)
    try:
        law(few(by_kernel(kernel)))
    except AssertionError:
        return
    pytest.fail(f"your law passes a wrong kernel, {name}; see 'A law for it' in the lesson")


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_your_law_passes_the_library": (
        "Which of your comparisons asks for more than float32 can give?",
        "row_sums may be wrong by one part in 10,000 (the docstring), as long as no exponent is above 20. So"
        " compute the truth in float64, and compare by the ratio.",
        "assert (z.double() / true - 1).abs().max() < 1e-4, true from x.double() and y.double()",
    ),
    "test_your_law_fails_a_wrong_kernel": (
        "The message names the mistake. For which M, N, D, scale and shift would z show it?",
        "Tiles are 16 x 16, so take M and N that need several tiles and do not fill the last; a shift other"
        " than 0, because a kernel that adds the shift is right at 0; and rows that differ from each other."
        " See 'A law for it'.",
        "for m, n in a few sizes such as 17 or 20, d = 5, and for shift in (-3.0, 3.0): random unit rows x and"
        " y, then compare z with 2^(10 <x, y> - shift), summed in float64",
    ),
}
DIFFERS = (
    "It takes three sizes: one pair of one number, one that needs two tiles of rows and of columns, and one"
    " that needs two steps of dimensions. All its numbers are drawn with fixed seeds, so that a law which"
    " fails once fails again."
)

"""05  Positions for another grid.  Read lessons/05_vit.md, then make this file green."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: F401  (for your answer)

ANSWER = "miniclip.model.vit:resize_positions"


def resize_positions(positions, grid):
    """Fit position embeddings to another grid: (1 + S*S, D) -> (1 + grid*grid, D).

    The first position, which belongs to the class token or to the attention pool's mean, is kept.
    The other S*S are interpolated like a picture with D channels (bicubic, antialiased). Raises
    ValueError unless there are 1 + S*S positions.
    """
    raise NotImplementedError  # about 8 lines


# float32: two passes of up to 24 weights, which are sums themselves, times numbers up to 7; some
# hundred roundings of up to 6e-8 are 1.4e-6 of a number together (four standard deviations)
CLOSE = dict(rtol=0, atol=2e-5)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 6), st.integers(1, 8))
def test_the_first_is_kept_and_the_others_fill_the_grid(side, grid):
    positions = randn(side * side + 1, 4)
    resized = resize_positions(positions, grid)
    assert resized.shape == (grid * grid + 1, 4), f"shape {tuple(resized.shape)} for grid {grid}"
    assert torch.equal(resized[0], positions[0]), "the class token's position has changed"


@given(st.integers(1, 6))
def test_the_same_grid_changes_nothing(side):
    positions = randn(side * side + 1, 4)
    moved = (resize_positions(positions, side) - positions).abs().max()
    assert moved < CLOSE["atol"], f"the same grid moves a number by {moved:.1e}"


@given(st.integers(1, 6), st.integers(1, 8))
def test_what_is_constant_stays_constant(side, grid):
    positions = randn(1, 4).expand(side * side + 1, 4)
    moved = (resize_positions(positions, grid) - positions[:1]).abs().max()
    assert moved < CLOSE["atol"], f"all positions are equal, but the result is {moved:.1e} away"


def test_rows_stay_rows_and_columns_stay_columns():
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    positions = torch.cat([torch.zeros(1, 2), torch.stack([rows, columns], -1).reshape(16, 2)])
    rows, columns = resize_positions(positions, 8)[1:].reshape(8, 8, 2).unbind(-1)
    why = "varies along a row of the grid, or does not grow down a column"
    same = torch.allclose(rows, rows[:, :1].expand(8, 8), **CLOSE)
    assert same and rows[7, 0] > rows[0, 0] + 2, f"the channel that counts rows {why}"
    same = torch.allclose(columns, columns[:1].expand(8, 8), **CLOSE)
    assert same, "the channel that counts columns varies down a column of the grid"
    middle = rows[3:5].mean()
    assert abs(middle - 1.5) < 2e-5, f"the middle of rows 0 to 3 is 1.5, but became {middle:.5f}"


def test_shrinking_averages_instead_of_picking():
    positions = torch.zeros(8 * 8 + 1, 1, requires_grad=True)
    resize_positions(positions, 2)[1:].sum().backward()
    read = positions.grad[1:]  # how much each of the 64 cells counts in the four
    assert read.min() > 0, (
        f"some of the 64 cells do not count: the smallest weight is {read.min():.3f}"
    )


@given(st.sampled_from([3, 4, 9, 11]))
def test_what_is_not_one_and_a_square_is_refused(count):
    try:
        resize_positions(randn(count, 4), 2)
    except ValueError:
        return
    pytest.fail(f"{count} positions are not one and a square: raise a ValueError")


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_the_first_is_kept_and_the_others_fill_the_grid": (
        "How many rows does the result have, and to which patch does the first one belong?",
        "The class token's position belongs to no patch: set it aside before the others are resized, and put "
        "it in front of them afterwards (the last picture of the lesson).",
        "torch.cat([positions[:1], cells]), where cells are the grid * grid resized positions, (grid*grid, D).",
    ),
    "test_the_same_grid_changes_nothing": (
        "Do rows of the grid come back as rows, or have they become columns?",
        "The list goes row by row: from list to grid it is (h w), and back to a list it has to be (h w) again.",
        'rearrange(cells, "1 d h w -> (h w) d"), the reverse of the way in.',
    ),
    "test_what_is_constant_stays_constant": (
        "All positions are equal, but their D numbers differ. Who has mixed different numbers of a position?",
        "The D numbers of a position are the channels of a picture, so the axis D has to move in front of the "
        "two axes of the grid. A bare reshape of (S*S, D) keeps the order in memory and mixes them.",
        'rearrange(positions[1:], "(h w) d -> 1 d h w", h=S), and only then F.interpolate.',
    ),
    "test_rows_stay_rows_and_columns_stay_columns": (
        "Print the resized grid of the channel that counts rows. In which direction does it grow, and is its "
        "middle in the middle?",
        "Either the two axes of the grid change places on the way, or the corners are aligned instead of the "
        "middles of the cells.",
        'F.interpolate(cells, (grid, grid), mode="bicubic", antialias=True, align_corners=False)',
    ),
    "test_shrinking_averages_instead_of_picking": (
        "When 8 x 8 cells become 2 x 2, which of the 64 does a bicubic filter of 4 x 4 read?",
        "A resize that does not blur first throws cells away, like the stride in lesson 04. F.interpolate has "
        "an argument for it.",
        "Give F.interpolate the argument antialias=True.",
    ),
    "test_what_is_not_one_and_a_square_is_refused": (
        "What is the side of the grid if there are 9 positions, one of which is the class token's?",
        "The number of positions has to be S * S + 1 for a whole number S. Nothing may be cut off to fit.",
        "side = math.isqrt(len(positions) - 1); if side * side + 1 != len(positions): raise ValueError(...)",
    ),
}
DIFFERS = """It returns the positions unchanged when they fit already, and computes in float32, because
torch's antialiased filter takes no 16-bit numbers on a CPU."""

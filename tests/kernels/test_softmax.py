"""The softmax of rows as vectors: where the shift is, which sums are lost, what a row's loss is."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.softmax import LN2, LOWEST, absorb, fixed_shift, loss_from_sums, merge, needs_rescue
from miniclip.distributed.simulated_ranks import on_ranks


@pytest.mark.parametrize("count, room", [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (32_768, 15)])
def test_the_shift_leaves_room_for_the_sum_of_all_below_2_to_the_124(count, room):
    shift, floor = fixed_shift(torch.tensor(144.9), count)
    assert shift.item() == 144 - 124 + room  # a whole number
    largest = count * 2.0 ** (144 - shift.item())
    assert largest <= 2.0**124
    # what is flushed, below 2^-126 for each of 2^room elements, is 2^-24 of the least safe sum
    assert 2.0 ** (room - 126) / floor == 2.0**-24


def test_a_sum_is_safe_from_the_floor_on_and_below_infinity():
    floor = 2.0**-100
    below, largest = math.nextafter(floor, 0), torch.finfo(torch.float64).max
    z = torch.tensor([floor, below, 0, 1, largest, math.inf, math.nan], dtype=torch.float64)
    assert needs_rescue(z, floor).tolist() == [False, True, True, False, False, True, True]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(0, 99))
def test_tiles_and_then_ranks_one_after_the_other_are_one_softmax(counts, seed):
    """Of similarities thousands apart; a rank may have none."""
    g = torch.Generator().manual_seed(seed)
    s = 1000 * torch.randn(5, sum(counts), dtype=torch.float64, generator=g)
    s[torch.rand(s.shape, generator=g) < 0.3] = -torch.inf

    def work(rank):
        highest, z = torch.full((5,), LOWEST, dtype=s.dtype), torch.zeros(5, dtype=s.dtype)
        for column in s[:, rank.rows].T:
            highest, z = absorb(highest, z, column[:, None])
        return merge(highest, z, rank.largest, rank.total)

    for highest, z in on_ranks(counts, work):
        assert torch.equal(highest, s.amax(1).clamp(min=LOWEST) if sum(counts) else highest)
        torch.testing.assert_close(highest + z.log2(), (s * LN2).logsumexp(1) / LN2)


def test_a_row_s_loss_and_its_complement_are_those_of_the_softmax():
    """e = 2^5 and others = 3 x 2^4 = 48 of 80; no others; and a match with nothing to compare."""
    z, shift = torch.tensor([3.0, 0.0, 1.0]), torch.tensor([4.0, 9.0, -300.0])
    matched = torch.tensor([5.0, 7.0, 100.0]).double()
    loss, one_minus_p, lse = loss_from_sums(z, shift, matched)
    assert loss.dtype == torch.float64 and one_minus_p.dtype == lse.dtype == torch.float32
    assert loss[0].item() == pytest.approx(math.log(80 / 32)) and loss[1] == 0
    assert loss[2].item() == pytest.approx(2.0**-400, rel=1e-9, abs=0)
    assert one_minus_p[0].item() == pytest.approx(48 / 80) and one_minus_p[1:].tolist() == [0, 0]
    assert lse.tolist() == pytest.approx([math.log2(80), 7, 100])

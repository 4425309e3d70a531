"""The plan of a step: counts worked by hand, the launches that really happen, and planted mistakes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("triton")
from kernels import plan as plans  # noqa: E402
from kernels.fused import launch  # noqa: E402
from kernels.plan import by_kernel, floor_s, plan, total_s  # noqa: E402
from kernels.report.__main__ import broken_plan  # noqa: E402

# of a compiled kernel: 8 warps, one block an SM, an epilogue of 600 instructions with 128 exponentials
CODE = dict(blocks_per_sm=1, warps=8, warps_differ=False)
CODE["epilogue"] = dict(instructions=600, exp2=128, shuffles=8)


def planned(n, d=512, m=None, card="H100", **changed):
    return plan(card, n, d, m, code=lambda name: CODE | changed)


def test_two_launches_counted_by_hand():
    """N = 8192, D = 512 on 132 SMs: sums in tiles of 256 x 128, two strips of 4096 rows; gradients in tiles
    of 128 x 384, all rows at a time."""
    kernels = by_kernel(planned(8192))
    sums, gradient = kernels["tall sums"], kernels["wide gradient"]
    # two strips of 8192 / 128 column blocks: one would leave 68 of 132 SMs idle
    assert (sums["programs"], sums["waves"], sums["launches"]) == (2 * 64, 1, 1)
    assert sums["fill"] == pytest.approx(128 / 132)
    # 2 * 256 * 128 * 512 flop at 4096 a clock; 128 * 8 warps * 32 threads at 16; 8 * 8 * 32 at 32; 600 * 8 / 4
    assert sums["cycles"] == {"tensor": 8192, "exp2": 2048, "shuffle": 64, "issue": 1200}
    # X, Y once; 64 partial sums of each row, two times 128 of each column
    assert sums["memory_bytes"] == 2 * 2 * 8192 * 512 + 4 * 8192 * (64 + 2 * 128)
    # each of 32 * 64 tiles fetches 384 rows of 512 numbers of 2 bytes
    assert sums["l2_bytes"] == 32 * 64 * 384 * 1024
    # 16 tiles one after the other: the products at .75 of 790 Tflop/s on one of 132 SMs, or 393,216 bytes at
    # 7 TB/s, the longer; then 2048 clocks of exponentials at 1.7 GHz
    product = 2 * 256 * 128 * 512 / (790e12 / 132 * 0.75)
    assert product > 393_216 / (7e12 / 132)
    assert sums["seconds"][0] == pytest.approx(16 * (product + 2048 / 1.7e9))
    # 64 x 22 tiles, the last column block with 128 columns only; 512 rows take less time at 5.5 TB/s than the
    # products at .65
    assert (gradient["programs"], gradient["waves"], gradient["launches"]) == (64 * 22, 11, 1)
    product = 2 * 128 * 384 * 512 / (790e12 / 132 * 0.65)
    assert product > 512 * 1024 / (5.5e12 / 132)
    assert gradient["seconds"][1] == pytest.approx(11 * (product + 2048 / 1.7e9))
    # unit rows in 16 bits from float32; a special tile per row block, on the diagonal, 16 bits an element
    names = "normalize", "special tiles", "partial sums"
    moved = [2 * 8192 * 512 * (4 + 2), 64 * 128 * 128 * 2, 4 * 8192 * (64 + 2 * 128)]
    assert [kernels[name]["memory_bytes"] for name in names] == moved
    assert (
        kernels["diagonal"]["memory_bytes"] == 2 * 8192 * 512 * 2
    )  # a row of X and of Y, in 16 bits
    # 64 special tiles of 128 x 128, one after its product on each of 64 SMs
    product = max(2 * 128 * 128 * 512 / (790e12 / 132 * 0.75), 2 * 256 * 512 / (7e12 / 132))
    assert kernels["special tiles"]["seconds"][0] == pytest.approx(product + 2048 / 1.7e9)
    # the library: 2 * 8192 * 8192 * 512 flop at .9 of the speed
    assert kernels["product"]["seconds"][1] == pytest.approx(4 * 4096 * 8192 * 512 / (0.9 * 790e12))


def test_the_bytes_of_a_step_counted_by_hand():
    """N = 16,384, D = 512 on an A100: sums in tiles of 128 x 128, 8 to a strip; 8,192 rows of G at a time."""
    n, d, c = 16_384, 512, 8192
    of_rows, of_columns = 4 * n * n // 128, 4 * n * n // (8 * 128)  # the partial sums of each
    g = 2 * c * n
    kernels = by_kernel(planned(n, card="A100"))
    assert {name: launch["memory_bytes"] for name, launch in kernels.items()} == {
        "normalize": 2 * n * d * (4 + 2),
        "diagonal": 2 * n * d * 2,
        "sums": 2 * n * d * 2 + of_rows + of_columns,
        "partial sums": of_rows + of_columns,
        "rescue of no row": 2 * n * 9,
        "finish": 2 * n * 33,
        "gradient": 2 * (g + 2 * n * d),
        "special tiles": 128 * 128 * 128 * 2,
        "product": 2 * (g + 2 * n * d + 4 * c * d),
        # the second one reads what the first has written
        "product transposed": 2 * (g + 2 * c * d) + 4 * n * d * 3,
        "normalize backward": 2 * n * d * 10,
    }


def test_a_strip_that_is_longer_than_the_batch_takes_one_tile():
    """128 pairs on an A100, whose strips have 8 tiles of 128 rows."""
    sums = by_kernel(planned(128, card="A100"))["sums"]
    assert (sums["programs"], sums["waves"]) == (1, 1)
    product = max(2 * 128 * 128 * 512 / (270e12 / 108 * 0.75), 2 * 256 * 512 / (5e12 / 108))
    assert sums["seconds"][0] == pytest.approx(product + 2048 / 1.4e9)


def test_a_second_block_on_the_sm_hides_the_epilogue():
    one, two = (by_kernel(planned(32768, blocks_per_sm=b))["tall sums"] for b in (1, 2))
    assert two["seconds"][0] == pytest.approx(256 * 2 * 256 * 128 * 512 / (790e12 / 132 * 0.75))
    assert two["seconds"][0] < one["seconds"][0] and two["waves"] == 1
    assert two["fill"] == pytest.approx(two["programs"] / (2 * 132)) and one["fill"] < 1


@given(st.integers(1, 300_000), st.integers(1, 2048), st.sampled_from(list(plans.CARDS)))
def test_no_plan_beats_the_floor_and_its_range_is_ordered(n, d, card):
    better, worse = total_s(planned(n, d, card=card))
    assert floor_s(card, n, d) <= better <= worse


@pytest.mark.parametrize("m", [None, 5000])
@pytest.mark.parametrize("card", plans.CARDS)
def test_the_plan_lists_the_launches_that_happen(card, m, monkeypatch):
    """The names and programs of every launch, as launch.py makes them on that card."""
    n, d, seen = 9000, 16, []
    rows = m or n

    def noted(name, plan, shape, *arguments):
        (height, width), tile = shape, plan.get("BM")
        programs = None
        if name == "sums" and arguments[-1] == 1:
            name = "sums of matches"
        elif "sums" in name or "gradient" in name:
            programs = -(-height // (tile * plan.get("STRIP", 1))) * -(-width // plan["BN"])
        seen.append((name, programs))

    products = lambda *_: seen.extend([("product", None), ("product transposed", None)])  # noqa: E731
    monkeypatch.setattr(launch, "_launch", noted)
    monkeypatch.setattr(launch, "products", products)
    monkeypatch.setattr(launch, "arch_of", lambda device: plans.CARDS[card]["arch"])
    monkeypatch.setattr(launch, "sms_of", lambda device: plans.CARDS[card]["sms"])
    half, one = torch.float16, torch.ones(())
    (x, norm), (y, _) = (launch.normalize(torch.ones(k, d), half) for k in (rows, n))
    launch.diagonal(x, y[:rows])
    chunk = launch.default_chunk(n, half)
    launch.sums(x, y, one, one, 0, chunk)
    vectors = [torch.ones(k) for k in (rows, n, rows, n)]
    launch.gradient(x, y, one, *vectors, 0, chunk)
    others = ("partial sums", "rescue of no row", "finish", "normalize backward")
    launches = [(x["kernel"], x.get("programs")) for x in planned(n, d, m, card=card)]
    assert seen == [x for x in launches if x[0] not in others]


def test_the_bars_hold_with_these_counts_and_planted_mistakes_break_them(monkeypatch):
    good = planned(32768)
    assert broken_plan(good) == []
    wrong = planned(32768, epilogue=dict(instructions=600, exp2=600, shuffles=8))
    assert any("exp2 takes longer" in why for why in broken_plan(wrong))
    # one strip of all rows: 8192 / 128 column blocks on 132 SMs
    monkeypatch.setattr(plans, "strip_rows", lambda rows, *how: rows)
    assert any("fills" in why for why in broken_plan(planned(8192)))


def test_the_floor_is_the_longer_of_the_products_and_the_copies():
    assert floor_s("A100", 8192, 512) == pytest.approx(8 * 2**35 / 270e12)
    # one pair: 2 x 1024 numbers of 4 bytes, read twice and written once, at 3 TB/s
    assert floor_s("H100", 1, 1024) == pytest.approx(24_576 / 3e12)

"""The least time the loss can take on a card, and the time predicted for this design: no measurement.

The floor is the longer of two times: four matrix products of 2 N^2 D flop at the card's measured
speed, and the bytes that must move at its measured bandwidth. The prediction assumes that each
kernel's product reaches PRODUCT_SHARE of that speed, and adds the time of the exponentials where no
second block on the SM can multiply meanwhile. Left out: launches, L2 misses.
"""

import torch

from kernels.cards import GPUS
from kernels.fused.tile_config import default_chunk

CARDS = {name: GPUS[name.lower()] for name in ("H100", "A100")}  # those with measured speeds
PRODUCT_SHARE = 0.75  # of a large product's speed, inside a fused kernel: an assumption


def cost(n: int, d: int) -> dict[str, int]:
    """Flop, bytes and scratch of both passes on n pairs of width d, 16-bit operands, as a dict."""
    chunk = min(n, default_chunk(n, torch.float16))
    operands = 2 * n * d * 2  # bytes of both
    gradient_bytes = 3 * n * n * 2  # G is written once and read twice
    rows_bytes = 2 * n * d * (4 + 4) + 4 * operands + 2 * n * d * 4 * -(-n // chunk)
    return {
        "flop": 8 * n * n * d,
        "exp2": 3 * n * n,
        "bytes": gradient_bytes + rows_bytes,
        "scratch_bytes": chunk * n * 2 + operands + 2 * n * d * 4,
        "logits_bytes": 4 * n * n,  # one float32 copy of what is never stored
        "chunk": chunk,
    }


def floor_s(card: str, n: int, d: int) -> float:
    """The least seconds of any implementation with four products on this card."""
    card = CARDS[card]
    features = 2 * n * d * 4 * 3  # read twice, written once
    return max(8 * n * n * d / card["flop_per_s"], features / card["bytes_per_s"])


def predicted_s(card: str, n: int, d: int) -> dict[str, float]:
    """{kernel: seconds} and "total", predicted, 16-bit operands."""
    card, need = CARDS[card], cost(n, d)
    product = 2 * n * n * d / (card["flop_per_s"] * PRODUCT_SHARE)
    exp2 = n * n / card["exp2_per_s"]
    g_pass = 2 * n * n / card["bytes_per_s"]
    add = 8 * n * d * (-(-n // need["chunk"])) / card["bytes_per_s"]
    times = {
        "sums": product + exp2 / 2,  # two blocks an SM: half of the exponentials overlap products
        "gradient": max(product + 2 * exp2, g_pass),  # one block an SM: none do
        "product": max(product, g_pass),
        "product transposed": max(product, g_pass) + add,
        "rows": 2 * n * d * (4 + 2 + 4 + 2 + 4) / card["bytes_per_s"],
    }
    return dict(times, total=sum(times.values()))

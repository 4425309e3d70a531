"""03  Attention.  Read lessons/03_text.md, then make this file green. Write it out: no library call."""

import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.model.transformer:attention"
HINT = (
    "The scores of all queries are one matrix product of q with the transposed keys. Which score gets "
    "the weight zero from softmax, so that the other weights still sum to 1?"
)


def attention(q, k, v, causal=False):
    """Each query's average of the values, weighted by softmax(q k^T / sqrt(d)) over the keys.

    q, k, v: (N, heads, L, d). Returns (N, heads, L, d). causal: position i reads 0 to i only.
    """
    raise NotImplementedError  # about 5 lines


def qkv(length, d=4, seed=0, keys=None):
    g = torch.Generator().manual_seed(seed)
    lengths = (length, keys or length, keys or length)
    return [torch.randn(2, 3, n, d, generator=g, dtype=torch.float64) for n in lengths]


lengths = st.integers(1, 7)
seeds = st.integers(0, 99)


@given(lengths, st.booleans(), seeds)
def test_the_weights_are_an_average(length, causal, seed):
    q, k, v = qkv(length, seed=seed)
    ones = attention(q, k, torch.ones_like(v), causal)
    assert torch.allclose(ones, torch.ones_like(v)), "a query's weights do not sum to 1"


@given(lengths, lengths, seeds)
def test_a_query_alone_is_the_formula(length, keys, seed):
    q, k, v = qkv(length, seed=seed, keys=keys)
    for i in range(length):
        weights = ((q[:, :, i : i + 1] * k).sum(-1) / 2).exp()  # sqrt(4) is 2
        want = (weights[..., None] * v).sum(2) / weights.sum(-1, keepdim=True)
        assert torch.allclose(attention(q, k, v)[:, :, i], want), f"query {i}: not the formula"


@given(st.integers(2, 7), seeds, st.data())
def test_causal_a_later_position_never_changes_an_earlier_one(length, seed, data):
    cut = data.draw(st.integers(1, length - 1))
    first, second = qkv(length, seed=seed), qkv(length, seed=seed + 1)
    for a, b in zip(first, second):
        b[:, :, :cut] = a[:, :, :cut]
    before, after = attention(*first, causal=True), attention(*second, causal=True)
    same = torch.allclose(before[:, :, :cut], after[:, :, :cut])
    assert same, f"a change at positions from {cut} on reached an earlier one"


@given(lengths, seeds)
def test_causal_the_last_position_sees_everything(length, seed):
    q, k, v = qkv(length, seed=seed)
    last = attention(q, k, v, causal=True)[:, :, -1]
    want = attention(q, k, v)[:, :, -1]
    assert torch.allclose(last, want), "the mask hides something from the last position"


@given(lengths, seeds)
def test_causal_the_first_position_sees_itself(length, seed):
    q, k, v = qkv(length, seed=seed)
    first = attention(q, k, v, causal=True)[:, :, 0]
    assert torch.allclose(first, v[:, :, 0]), "position 0 must read its own value and no other"


def test_large_scores_do_not_overflow():
    q, k, v = qkv(3)
    assert attention(1000 * q, 1000 * k, v).isfinite().all(), "exp of a large score overflows"

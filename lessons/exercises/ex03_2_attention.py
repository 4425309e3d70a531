"""03  Attention.  Read lessons/03_text.md, then make this file green. Write it out: no library call."""

import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.model.transformer:attention"


def attention(q, k, v, causal=False):
    """Each query's average of the values, weighted by softmax(q k^T / sqrt(d)) over the keys.

    q, k, v: (N, heads, L, d). Returns (N, heads, L, d).
    causal: position i reads positions 0 to i only.
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
    sums = attention(q, k, torch.ones_like(v), causal)
    assert not sums.isnan().any(), (
        f"causal={causal}: nan comes out, so some query has no key to read"
    )
    lowest, highest = sums.min().item(), sums.max().item()
    one = abs(lowest - 1) < 1e-9 and abs(highest - 1) < 1e-9
    assert one, (
        f"causal={causal}: the weights of a query add up to {lowest:.3g} to {highest:.3g}, not 1"
    )


@given(lengths, lengths, seeds)
def test_a_query_alone_is_the_formula(length, keys, seed):
    q, k, v = qkv(length, seed=seed, keys=keys)
    for i in range(length):
        weights = ((q[:, :, i : i + 1] * k).sum(-1) / 2).exp()  # sqrt(4) is 2
        want = (weights[..., None] * v).sum(2) / weights.sum(-1, keepdim=True)
        far = (attention(q, k, v)[:, :, i] - want).abs().max().item()
        assert far < 1e-9, f"query {i} of {length}: {far:.2g} away from the formula"


@given(lengths, seeds)
def test_causal_the_first_position_sees_itself(length, seed):
    q, k, v = qkv(length, seed=seed)
    first = attention(q, k, v, causal=True)[:, :, 0]
    own = torch.allclose(first, v[:, :, 0])
    assert own, "position 0 must read its own value and no other"


@given(lengths, seeds)
def test_causal_the_last_position_sees_everything(length, seed):
    q, k, v = qkv(length, seed=seed)
    last = attention(q, k, v, causal=True)[:, :, -1]
    want = attention(q, k, v)[:, :, -1]
    same = torch.allclose(last, want)
    assert same, "the mask hides something from the last position"


@given(st.integers(2, 7), seeds, st.data())
def test_causal_a_later_position_never_changes_an_earlier_one(length, seed, data):
    cut = data.draw(st.integers(1, length - 1))
    first, second = qkv(length, seed=seed), qkv(length, seed=seed + 1)
    for a, b in zip(first, second):
        b[:, :, :cut] = a[:, :, :cut]
    before, after = attention(*first, causal=True), attention(*second, causal=True)
    same = torch.allclose(before[:, :, :cut], after[:, :, :cut])
    assert same, f"a change at positions from {cut} on reached an earlier one"


def test_large_scores_do_not_overflow():
    q, k, v = qkv(3)
    finite = attention(1000 * q, 1000 * k, v).isfinite().all().item()
    assert finite, "exp of a large score overflows"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_the_weights_are_an_average": (
        "If each value is 1, each average is 1. What do your weights for one query add up to?",
        "Softmax goes over the keys, the last dimension of the scores. With the mask, hide scores "
        "before the softmax, because what is hidden afterwards is missing from the sum. And hide only "
        "later keys: a query may read its own position.",
        "weights = scores.softmax(-1), after the scores above the diagonal have become -torch.inf",
    ),
    "test_a_query_alone_is_the_formula": (
        "Take d = 4 and one query. By which number do you divide its scores?",
        "The dot products are divided by the root of d, the length of a query: 'Attention: four words "
        "read each other'. Queries and keys need not be equally many.",
        "scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])",
    ),
    "test_causal_the_first_position_sees_itself": (
        "Which scores are hidden in the first row of the table, and which weight do they get?",
        "Position i reads 0 to i, itself included, so the part above the diagonal is hidden. To hide a "
        "score means that its weight is 0. A score of 0 does get a weight, since e to the power of 0 is "
        "1; a score of minus infinity gets none.",
        "scores.masked_fill(torch.ones(L, L, dtype=bool).triu(1), -torch.inf), before the softmax",
    ),
    "test_causal_the_last_position_sees_everything": (
        "Which scores are hidden in the last row of the table?",
        "None: all positions come before the last one. The part above the diagonal is hidden, not the "
        "part below it.",
        "hidden = torch.ones(L, L, dtype=bool).triu(1), which has no true in its last row",
    ),
    "test_causal_a_later_position_never_changes_an_earlier_one": (
        "Choose a row in the middle of the table. Does any weight above the diagonal differ from 0?",
        "Everything above the diagonal is hidden, in all rows, and a hidden score becomes minus "
        "infinity before the softmax.",
        "hidden = torch.ones(L, L, dtype=bool).triu(1); scores = scores.masked_fill(hidden, -torch.inf)",
    ),
    "test_large_scores_do_not_overflow": (
        "What is e to the power of 1,000 for a computer?",
        "It is infinite, and infinite by infinite is no number. Softmax does not change when the largest "
        "score of a row is subtracted from all of them, and torch's softmax does so.",
        "scores.softmax(-1) instead of scores.exp() divided by its sum",
    ),
}
DIFFERS = (
    "The library calls F.scaled_dot_product_attention, which has fused kernels: they never store the "
    "L x L table, and with is_causal they skip the half that is hidden."
)

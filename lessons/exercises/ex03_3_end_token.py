"""03  Read at the end token.  Read lessons/03_text.md, then make this file green."""

import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.model.text:at_end_token"
HINT = (
    "x takes two lists of indices, x[rows, positions], and pairs them up one by one. Which list of "
    "rows goes with one position a text?"
)


def at_end_token(x, tokens):
    """The activation at each text's end token: x (N, L, D), tokens (N, L) int64 -> (N, D).

    The end token has the largest id of the vocabulary, so argmax finds its position: the first one
    where there are several. Nothing behind it is read.
    """
    raise NotImplementedError  # about 1 line


END = 9


@st.composite
def texts(draw):
    """(N, 8) ids, and where each text's end token stands."""
    ends = draw(st.lists(st.integers(0, 7), min_size=1, max_size=5))
    words, behind = st.integers(1, END - 1), draw(st.sampled_from([0, END, 3]))
    rows = [[draw(words) for _ in range(end)] + [END] + [behind] * (7 - end) for end in ends]
    return torch.tensor(rows), ends


@given(texts())
def test_each_text_is_read_at_its_own_end(text):
    tokens, ends = text
    x = torch.arange(len(tokens) * 8.0).reshape(len(tokens), 8, 1).repeat(1, 1, 3)
    want = torch.tensor([[row * 8.0 + end] * 3 for row, end in enumerate(ends)])
    got = at_end_token(x, tokens)
    assert got.shape == want.shape, f"a shape of {tuple(got.shape)}, not {tuple(want.shape)}"
    read = (got[:, 0] % 8).tolist()
    assert torch.equal(got, want), f"positions {read} were read, the ends are at {ends}"


@given(texts())
def test_the_gradient_reaches_one_position_a_text(text):
    tokens, ends = text
    x = torch.zeros(len(tokens), 8, 3, requires_grad=True)
    at_end_token(x, tokens).sum().backward()
    reached = x.grad.sum(2).nonzero().tolist()
    want = [[row, end] for row, end in enumerate(ends)]
    assert reached == want, "the gradient reaches other (text, position) pairs than the ends"

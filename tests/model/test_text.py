"""Laws of the text tower: it is read at the end token, and nothing behind that changes it."""

from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.model.text import TextTransformer, at_end_token, is_word

pytestmark = pytest.mark.numerics

VOCAB, CONTEXT = 100, 12
END = VOCAB - 1


def tower(**options):
    torch.manual_seed(0)
    return TextTransformer(6, 16, 2, 4, VOCAB, CONTEXT, **options).double().eval()


TOWER = tower()  # float64: two layers of sums of 64 products; features are about 1, 1e-12 is plenty


@st.composite
def texts(draw):
    """A (N, CONTEXT) batch of texts, each ended and padded with 0."""
    words = draw(
        st.lists(st.lists(st.integers(1, END - 1), max_size=CONTEXT - 1), min_size=1, max_size=4)
    )
    rows = [[*row, END] + [0] * (CONTEXT - 1 - len(row)) for row in words]
    return torch.tensor(rows)


@given(texts())
def test_trimmed_text_has_the_same_features(tokens):
    longest = tokens.argmax(1).max() + 1
    assert torch.allclose(
        TOWER.encode_text(tokens[:, :longest]), TOWER.encode_text(tokens), atol=1e-12
    )


@given(texts())
def test_everything_up_to_the_end_token_is_read_and_nothing_behind_it(tokens):
    embedded = TOWER.token_embedding(tokens).detach().requires_grad_()
    with mock.patch.object(TOWER.token_embedding, "forward", lambda tokens: embedded):
        TOWER.encode_text(tokens).square().sum().backward()
    read = embedded.grad.abs().sum(2) > 0
    assert torch.equal(read, torch.arange(CONTEXT) <= tokens.argmax(1, keepdim=True))


def test_the_first_of_several_end_tokens_counts():
    x = torch.arange(8.0).reshape(1, 8, 1)
    assert at_end_token(x, torch.tensor([[1, 5, 9, 0, 9, 9, 0, 0]])).item() == 2


def test_a_word_stands_between_the_start_and_the_first_end_token():
    start, end = 8, 9
    rows = [
        [start, 3, 4, end, 0],
        [start, end, 7, end, 3],
        [start, 1, 2, 3, end],
        [end, 3, 4, 5, 6],
    ]
    words = [[1, 2], [], [1, 2, 3], []]
    found = is_word(torch.tensor(rows))
    assert [row.nonzero().flatten().tolist() for row in found] == words


@given(texts())
def test_normalized_features_have_length_one(tokens):
    lengths = TOWER.encode_text(tokens, normalize=True).norm(dim=1)
    assert torch.allclose(lengths, torch.ones_like(lengths))

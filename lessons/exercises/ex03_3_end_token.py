"""03  Read at the end token.  Read lessons/03_text.md, then make this file green."""

import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.model.text:at_end_token"


def at_end_token(x, tokens):
    """The activation at each text's end token: x (N, L, D), tokens (N, L) int64 -> (N, D).

    The end token has the largest id of the vocabulary. If a row holds several end tokens, the first
    one counts.
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


def read(tokens):
    """Which (text, position) `at_end_token` reads: two lists."""
    x = torch.arange(len(tokens) * 8.0).reshape(len(tokens), 8, 1).repeat(1, 1, 3)
    got = at_end_token(x, tokens)[:, 0]
    return got.div(8, rounding_mode="floor").tolist(), got.remainder(8).tolist()


@given(texts())
def test_one_vector_comes_out_for_each_text(text):
    tokens, _ = text
    shape = tuple(at_end_token(torch.zeros(len(tokens), 8, 3), tokens).shape)
    assert shape == (len(tokens), 3), f"a shape of {shape}, not {(len(tokens), 3)}"


@given(texts())
def test_a_single_text_is_read_at_its_end(text):
    for tokens, end in zip(*text):
        _, (position,) = read(tokens[None])
        assert position == end, f"position {position:g} was read, the end is at {end}"


@given(texts())
def test_each_text_is_read_at_its_own_end(text):
    tokens, ends = text
    rows, positions = read(tokens)
    assert rows == list(range(len(tokens))), f"the vectors are those of the texts {rows}"
    assert positions == ends, f"positions {positions} were read, the ends are at {ends}"


@given(texts())
def test_the_gradient_reaches_one_position_a_text(text):
    tokens, ends = text
    x = torch.zeros(len(tokens), 8, 3, requires_grad=True)
    at_end_token(x, tokens).sum().backward()
    reached = x.grad.sum(2).nonzero().tolist()
    want = [[row, end] for row, end in enumerate(ends)]
    assert reached == want, "the gradient reaches other (text, position) pairs than the ends"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_one_vector_comes_out_for_each_text": (
        "How many vectors should come out of N texts, and how many did?",
        "x[:, positions] takes all N positions from each of the N texts. Two lists of indices, one of "
        "rows and one of positions, are paired up one by one.",
        "With one position for each text in `positions`: x[torch.arange(len(x)), positions]",
    ),
    "test_a_single_text_is_read_at_its_end": (
        "Print one row of `tokens`. By what do you recognise the end token in it?",
        "It is neither the last column nor the last id that is not zero: anything may stand behind it. It is the "
        "largest id, and the first one of these: 'Read at the end token'.",
        "The positions of all texts are tokens.argmax(dim=1)",
    ),
    "test_each_text_is_read_at_its_own_end": (
        "One text is right, several are not. Does each text have its own position?",
        "The texts have different lengths, so each row needs the argmax of this row, and x needs two lists "
        "of indices that are paired up one by one.",
        "The whole function: return x[torch.arange(len(x)), tokens.argmax(dim=1)]",
    ),
    "test_the_gradient_reaches_one_position_a_text": (
        "Which positions take part in your result?",
        "Only the vector at the end token is picked; it is not averaged with others.",
        "The whole function: return x[torch.arange(len(x)), tokens.argmax(dim=1)]",
    ),
}
DIFFERS = (
    "Hardly anything: it is one line. torch.arange gets the device of x, so that the function also runs "
    "on a GPU."
)

"""What is asked of the released model: the counting behind the shares."""

from itertools import combinations
from math import comb

import pytest
import questions
import torch
from hypothesis import given
from hypothesis import strategies as st


@given(others=st.integers(1, 7), data=st.data())
def test_the_share_among_fewer_candidates_is_that_of_all_draws(others, data):
    draws, better = data.draw(st.integers(1, others)), data.draw(st.integers(0, others))
    lucky = sum(min(drawn) >= better for drawn in combinations(range(others), draws))
    found = questions.none_drawn(torch.tensor([better]), others, draws)
    assert found.item() == pytest.approx(lucky / comb(others, draws), abs=1e-9)


def test_a_guess_that_knows_a_word_is_right_as_often_as_names_share_it():
    names = ["red car", "red boat", "blue car", "blue sea"]
    assert questions.by_one_word(names) == {"first": 0.5, "last": 0.75, "both": 1.0}


def test_a_synonym_stands_in_place_of_all_own_names():
    pictures, names = [0, 1, 2], ["bin", "hat", "trash"]
    right = torch.tensor([[True, False, True], [False, True, False], [False, False, True]])

    def scores(indices, asked):
        likes = {"trash": 3.0, "bin": 2.0, "hat": 1.0, "dustbin": 0.0}
        return torch.tensor([[likes[name] for name in asked] for _ in indices])

    found = questions.by_synonyms(scores, [(pictures, names, right)], {"trash": ["dustbin"]})
    assert found == {"name": 1.0, "synonym": 0.0, "pairs": 1}

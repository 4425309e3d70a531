"""What is asked of the released model: the counting behind the shares."""

import questions
import torch


def test_a_guess_that_knows_a_word_is_right_as_often_as_names_share_it():
    names = ["red car", "red boat", "blue car", "blue sea"]
    assert questions.by_one_word(names) == {"first": 0.5, "last": 0.75, "both": 1.0}


def test_a_synonym_stands_in_place_of_all_own_names():
    pictures, names = [0, 1, 2], ["bin", "hat", "trash"]
    right = torch.tensor([[True, False, True], [False, True, False], [False, False, True]])

    def scores(indices, asked):
        likes = {"trash": 3.0, "bin": 2.0, "hat": 1.0, "dustbin": 0.0}
        return torch.tensor([[likes[name] for name in asked] for _ in indices])

    listed = [("trash", "dustbin", ["trash", "dustbin"])]
    found = questions.by_synonyms(scores, [(names, pictures, right)], listed)
    assert found == {"name": 1.0, "synonym": 0.0, "pairs": 1}

"""The quiz in a plain terminal: numbers in, scores out, no answer stored."""

import pytest
from PIL import Image

from miniclip.data.labelled import Labelled
from miniclip.evaluation.human_comparison import in_terminal, run_quiz


class Flat:
    def image(self, i):
        return Image.new("RGB", (16, 16), (i, 2 * i, 255 - i))


@pytest.fixture
def labelled():
    labels = {i: i % 3 for i in range(60)}
    splits = {"train": list(range(30)), "test": list(range(30, 60)), "all": list(range(60))}
    return Labelled("flat", ["a", "b", "c"], Flat(), labels, splits)


def play(labelled, folder, answers, rounds=4):
    said, answers = [], iter(answers)

    def ask(question):
        said.append(question)
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    right = {i: i % 2 == 0 for i in labelled.splits["test"]}
    options = dict(seed=0, ask=ask, say=said.append)
    return run_quiz(labelled, right, folder, rounds, **options), said


def test_three_rounds_are_counted_with_their_intervals(labelled, tmp_path):
    scores, said = play(labelled, tmp_path, ["1"] * 12)
    assert list(scores) == [0, 1, 2] and all(s[1] == 4 for s in scores.values())
    assert sum("[" in line and "n = 4" in line for line in said) == 3
    assert (tmp_path / "question_12.png").exists() and (tmp_path / "examples_2.png").exists()


def test_enter_is_i_do_not_know_and_nonsense_is_asked_again(labelled, tmp_path):
    scores, said = play(labelled, tmp_path, ["", "9", "dog", "-1", "2", "", ""], rounds=4)
    assert scores[0][1] == 4 and scores[0][2] == 3
    assert sum(line.startswith("a number from 1 to 3") for line in said) == 3


def test_an_end_of_input_ends_it_quietly(labelled, tmp_path):
    assert play(labelled, tmp_path, [])[0] == {}
    assert play(labelled, tmp_path, ["1", "2"])[0][0][1] == 2


def test_only_pictures_are_stored(labelled, tmp_path):
    play(labelled, tmp_path, ["1"] * 12)
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".png"}


def test_a_picture_in_the_terminal_is_lines_of_half_blocks():
    lines = in_terminal(Flat().image(3), side=8).split("\n")
    assert len(lines) == 4 and all(line.count("▀") == 8 for line in lines)

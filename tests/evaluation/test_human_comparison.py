"""The quiz in a plain terminal: numbers in, scores out, no answer stored."""

import pytest
from PIL import Image

from miniclip.data.labelled import Labelled
from miniclip.evaluation import human_comparison
from miniclip.evaluation.human_comparison import run_quiz


class Flat:
    def image(self, i):
        return Image.new("RGB", (16, 16), (i, 2 * i, 255 - i))


@pytest.fixture
def labelled():
    labels = {i: i % 3 for i in range(60)}
    splits = {"train": [*range(30)], "test": [*range(30, 60)], "all": [*range(60)]}
    return Labelled("flat", ["a", "b", "c"], Flat(), labels, splits)


def play(labelled, folder, answers, rounds=4, pictures=30):
    """(the scores, what was said) of a quiz about the first of the test pictures; the model is right
    on those of even number."""
    said, answers = [], iter(answers)

    def ask(question):
        said.append(question)
        if (answer := next(answers, None)) is None:
            raise EOFError
        return answer

    right = {i: i % 2 == 0 for i in labelled.splits["test"][:pictures]}
    return run_quiz(labelled, right, folder, rounds, seed=0, ask=ask, say=said.append), said


def test_answers_are_scored_against_the_pictures_that_were_shown(labelled, tmp_path):
    """The red of a picture is its index, so a stored question says what it asked."""
    answers = ["1", "2", "3", "", "3", "3", "1", "1", "2", "2", "", "2"]
    scores, said = play(labelled, tmp_path, answers)
    files = [tmp_path / f"question_{k}.png" for k in range(1, 13)]
    asked = [Image.open(file).getpixel((0, 0))[0] for file in files]
    assert len({*asked}) == 12 and {*asked} <= {*range(30, 60)}
    rights = [text.isdecimal() and int(text) - 1 == i % 3 for text, i in zip(answers, asked)]
    truth = [f"it was {i % 3 + 1} {'abc'[i % 3]}" for i in asked]
    verdicts = ["right" if ok else own for ok, own in zip(rights, truth)]
    assert [line for line in said if line == "right" or "it was" in line] == verdicts
    assert 0 < sum(rights) < 12, "both kinds are tested"
    for k in range(3):
        part = slice(4 * k, 4 * k + 4)
        yours, model = sum(rights[part]), sum(i % 2 == 0 for i in asked[part])
        unsure = answers[part].count("")
        assert scores[k] == (yours, 4, unsure, model)
    assert said[1] == "1 a  2 b  3 c"


def test_examples_are_training_pictures_with_the_number_of_their_class(
    labelled, tmp_path, monkeypatch
):
    labelled.labels |= dict.fromkeys(range(2, 30, 3), 0)  # of the third class there is one picture
    labelled.labels[29] = 2
    sheets = []
    monkeypatch.setattr(human_comparison.plots, "grid", lambda cells, path: sheets.append(cells))
    play(labelled, tmp_path, ["1"] * 12)
    for sheet, titles in zip(sheets, (["1 a", "2 b", "3 c"], ["1 a"] * 2 + ["2 b"] * 2 + ["3 c"])):
        assert [title for _, title, _ in sheet] == titles
        shown = [picture.getpixel((0, 0))[0] for picture, *_ in sheet]
        assert len({*shown}) == len(shown) and max(shown) < 30, "different training pictures"
        assert [labelled.labels[i] for i in shown] == [int(title[0]) - 1 for title in titles]


@pytest.mark.parametrize(
    "answers, rounds, first",
    [
        (["0", "4", "1", "3"], 2, (2, 0)),  # the first class and the last, and their neighbours
        (["", "9", "dog", "-1", "2", "", ""], 4, (4, 3)),  # Enter is: I don't know
        (["1", "2"], 4, (2, 0)),  # the end of input ends it
    ],
)
def test_nonsense_is_asked_again_and_enter_is_no_answer(labelled, tmp_path, answers, rounds, first):
    scores, said = play(labelled, tmp_path, answers, rounds)
    assert scores[0][1:3] == first
    wrong = [text for text in answers if text not in ("", "1", "2", "3")]
    assert sum("a number from 1 to 3" in line for line in said) == len(wrong)


def test_a_quiz_ends_with_its_pictures_and_stores_no_answer(labelled, tmp_path):
    scores, _ = play(labelled, tmp_path, ["1"] * 9, pictures=5)
    assert [s[1] for s in scores.values()] == [4, 1]
    assert not (tmp_path / "examples_2.png").exists(), "no round without a picture"
    assert {p.suffix for p in tmp_path.iterdir()} == {".png"}, "no answer is stored"
    assert play(labelled, tmp_path, [])[0] == {}

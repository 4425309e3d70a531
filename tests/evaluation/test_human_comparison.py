"""The quiz in a plain terminal: numbers in, scores out, no answer stored."""

import os

import pytest
from PIL import Image, ImageChops, ImageDraw

from miniclip.data.labelled import Labelled
from miniclip.evaluation.confidence import interval, wilson
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


def test_answers_are_scored_against_the_pictures_that_were_shown(labelled, tmp_path):
    """The red of a picture is its index, so a stored question says what it asked."""
    answers = ["1", "2", "3", "", "3", "3", "1", "1", "2", "2", "", "2"]
    scores, said = play(labelled, tmp_path, answers)
    files = [tmp_path / f"question_{k}.png" for k in range(1, 13)]
    asked = [Image.open(file).getpixel((0, 0))[0] for file in files]
    assert len({*asked}) == 12 and {*asked} <= {*range(30, 60)}
    assert [line for line in said if "question" in line] == [f"{file}: " for file in files]
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
        shares = [f"{n / 4:.2f} {interval(*wilson(n, 4))}" for n in (yours, model)]
        assert said[-4 + k] == (
            f"{k} examples: you {shares[0]}, of which {unsure} left open; "
            f"the model, zero-shot, {shares[1]} (n = 4)"
        )
    assert said[-1] == "Nothing was stored." and said[1] == "1 a  2 b  3 c"
    assert any("Now with 1 example of" in line for line in said)
    assert any("Now with 2 examples of" in line for line in said)


def number(n):
    """A number in Pillow's own font, black on white, without its margins."""
    picture = Image.new("RGB", (40, 40), "white")
    ImageDraw.Draw(picture).text((9, 9), str(n), fill="black")
    return picture.crop(ImageChops.invert(picture).getbbox())


def test_examples_are_training_pictures_in_the_column_of_their_class(labelled, tmp_path):
    labelled.labels |= dict.fromkeys(range(2, 30, 3), 0)  # of the third class there is one picture
    labelled.labels[29] = 2
    play(labelled, tmp_path, ["1"] * 12)
    for examples in (1, 2):
        sheet = Image.open(tmp_path / f"examples_{examples}.png")
        assert sheet.size == (3 * 64, examples * 64 + 14)
        corners = [(x, y) for x in (0, 63) for y in (14, 77)]  # of a picture of 64 x 64
        for c in range(3):
            for row in range(examples):
                found = {sheet.getpixel((64 * c + x, 64 * row + y)) for x, y in corners}
                ((red, green, _),) = found
                empty = c == 2 and row == 1
                assert (red, green) == (255, 255) if empty else labelled.labels[red] == c < 30
        for c in range(3):
            head = sheet.crop((64 * c, 0, 64 * c + 64, 14))
            box = ImageChops.invert(head).getbbox()
            assert 20 < box[0] < box[2] < 44, "the number is above the middle of its column"
            assert head.crop(box).tobytes() == number(c + 1).tobytes()
    pictures = {sheet.getpixel((9, 64 * row + 20)) for row in range(2)}
    assert len(pictures) == 2, "two different examples"


def test_a_quiz_ends_with_its_pictures_and_has_eight_a_round(labelled, tmp_path):
    right = {i: True for i in range(30, 35)}
    options = dict(seed=0, ask=lambda question: "1", say=lambda line: None)
    scores = run_quiz(labelled, right, tmp_path, 4, **options)
    assert [s[1] for s in scores.values()] == [4, 1]
    assert not (tmp_path / "examples_2.png").exists(), "no round without a picture"
    right = {i: True for i in range(30, 60)}
    scores = run_quiz(labelled, right, tmp_path, **options)
    assert [s[1] for s in scores.values()] == [8, 8, 8]


@pytest.mark.parametrize(
    "terminal, colours, drawn",
    [(True, "24bit", True), (True, "truecolor", True), (True, "", False), (False, "24bit", False)],
)
def test_pictures_are_drawn_in_a_terminal_of_24_bit_colour_only(
    labelled, tmp_path, monkeypatch, terminal, colours, drawn
):
    monkeypatch.setattr(os, "isatty", lambda file: terminal and file == 1)
    monkeypatch.setenv("COLORTERM", colours)
    _, said = play(labelled, tmp_path, ["1"], rounds=1)
    assert any("▀" in line for line in said) == drawn


def test_the_first_and_the_last_class_are_answers_and_their_neighbours_are_not(labelled, tmp_path):
    scores, said = play(labelled, tmp_path, ["0", "4", "1", "3"], rounds=2)
    assert scores[0][1:3] == (2, 0)
    assert [line for line in said if "or Enter" in line] == ["a number from 1 to 3, or Enter"] * 2


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
    picture = Image.new("RGB", (2, 2))
    for k in range(4):
        picture.putpixel((k % 2, k // 2), (k, 10 + k, 20 + k))
    upper = ["\x1b[38;2;0;10;20m", "\x1b[38;2;1;11;21m"]
    lower = ["\x1b[48;2;2;12;22m", "\x1b[48;2;3;13;23m"]
    line = "".join(f"{a}{b}▀" for a, b in zip(upper, lower)) + "\x1b[0m"
    assert in_terminal(picture, side=2) == line
    assert in_terminal(picture).count("▀") == 32 * 16

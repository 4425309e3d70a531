"""Your own pairs: what is readable is read, what is not is named, and nothing raises another error."""

import csv
import io
import itertools
import os
import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from miniclip.common import UserError
from miniclip.data import BadPicture, files, open_pairs, report_skipped
from tests.data.test_image_io import mutated

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1, max_size=20)


def picture(path, colour="red", size=(20, 16), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)
    return path


def write_csv(folder, text, name="pairs.csv", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and 20 < len(text) < 600
    return text


@pytest.fixture
def folder(tmp_path):
    for name, colour in (("a.png", "red"), ("b.jpg", "blue"), ("sub/c.webp", "green")):
        picture(tmp_path / name, colour)
    return tmp_path


ROWS = [("a.png", 'red, "very" red'), ("b.jpg", "a blue; flat | one"), ("sub/c.webp", "grün")]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_any_separator_line_end_and_encoding_gives_the_same_pairs(folder, separator, end, encoding):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator=end)
    writer.writerows([("filepath", "caption"), *ROWS])
    pairs = open_pairs(write_csv(folder, out.getvalue(), encoding=encoding))
    assert [(pairs.where(i), *pairs.captions(i)) for i in range(len(pairs))] == ROWS
    assert pairs.skipped == [] and pairs.splits == {"train": [0, 1, 2]}
    assert pairs.image(1).mode == "RGB" and pairs.image(1).size == (20, 16)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_the_encoding_of_a_csv_of_several_blocks_is_found(folder, encoding):
    text = "filepath,caption\n" + "a.png,x\n" * ((1 << 17) - 4)
    text += "a.png,".rjust((1 << 20) - 1 - len(text), "\n") + "ü\n"  # its two bytes in two blocks
    assert len(text) == (1 << 20) + 1
    pairs = open_pairs(write_csv(folder, text, encoding=encoding))
    assert pairs.captions(0) == ("x", "ü")


@given(st.lists(TEXT, min_size=1, max_size=4), st.sampled_from(",\t;|"))
@example(["\r"], ",")
def test_any_caption_comes_back_but_for_white_space_and_control_characters(
    tmp_path_factory, captions, separator
):
    folder = tmp_path_factory.mktemp("csv")
    picture(folder / "a.png")
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(
        [("filepath", "caption"), *(("a.png", caption) for caption in captions)]
    )
    captions = [re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", caption) for caption in captions]
    want = list(dict.fromkeys(" ".join(c.split()) for c in captions if c.split()))
    path = write_csv(folder, out.getvalue())
    if not want:
        with pytest.raises(ValueError, match="an empty caption"):
            open_pairs(path)
    else:
        assert list(open_pairs(path).captions(0)) == want


@pytest.mark.parametrize(
    "header",
    ["File Path,Title", "image,text", "title,x,filename", "LABEL, path ", '"img","Description"'],
)
def test_headers_are_recognised(folder, header):
    names = [h.strip().strip('"').lower() for h in header.split(",")]
    is_caption = [name in ("title", "text", "label", "description") for name in names]
    row = ",".join("red" if c else "9" if n == "x" else "a.png" for n, c in zip(names, is_caption))
    pairs = open_pairs(write_csv(folder, f"{header}\n{row}\n"))
    assert pairs.captions(0) == ("red",) and pairs.where(0) == "a.png"


def test_headers_and_separator_can_be_named(folder):
    path = write_csv(folder, "was^Bild^caption\nrot^a.png^no\n")
    pairs = open_pairs(path, image_column="Bild", caption_column="WAS", separator="^")
    assert pairs.captions(0) == ("rot",)
    path = write_csv(folder, "filepath\tcaption\na.png\tred\n")
    assert open_pairs(path, separator="\\t").captions(0) == ("red",)


def test_an_unquoted_comma_stays_in_a_last_caption(folder):
    pairs = open_pairs(write_csv(folder, "filepath,caption\na.png,red, round, flat\n"))
    assert pairs.captions(0) == ("red, round, flat",)


def test_rows_with_one_picture_are_one_pair(folder):
    text = "filepath,caption\na.png,red\n./a.png,rouge\nsub/../a.png,red\nb.jpg,blue\n"
    pairs = open_pairs(write_csv(folder, text))
    assert [pairs.captions(i) for i in range(len(pairs))] == [("red", "rouge"), ("blue",)]


def test_what_is_wrong_with_one_row_costs_that_row(folder):
    (folder / "empty.png").touch()
    (folder / "words.png").write_text("x")  # one byte is not empty
    (folder / "folder.png").mkdir()
    text = "filepath,caption\na.png,red\nnone.png,x\nempty.png,x\nwords.png,x\nfolder.png,x\n"
    text += "b.jpg, \n,lonely\nb.jpg\na\0b.png,nul\n" + "x" * 5000 + ".png,long\nb.jpg,blue\n"
    pairs = open_pairs(write_csv(folder, text))
    assert [pairs.captions(i) for i in range(len(pairs))] == [("red",), ("blue",)]
    assert [reason for _, reason in pairs.skipped].count("an empty caption") == 2
    reasons = dict(pairs.skipped)
    assert (
        reasons["none.png"] == "no such file or directory"
        and reasons["empty.png"] == "an empty file"
    )
    assert reasons["words.png"] == "not a picture that can be read"
    assert reasons["folder.png"] == "not a file" and len(pairs.skipped) == 9
    sentence = report_skipped(pairs.skipped)
    assert sentence.startswith("left out 9: ") and sentence.endswith("and 6 more")


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "no column of picture paths"),
        (
            "filepath,colour\na.png,red\n",
            "no column of captions (such as 'caption'); its columns are",
        ),
        ("a.png,red\nb.jpg,blue\n", "no column of picture paths"),
        ("filepath,caption\n", "gives no pair: no rows"),
        ("filepath,caption\nx.png,red\n", "x.png (no such file"),
        ("\x89PNG\r\n\x1a\n\0\0\0", "no column of picture paths"),
    ],
)
def test_an_index_that_cannot_be_used_is_an_error_in_one_sentence(folder, text, says):
    with pytest.raises(ValueError) as error:
        open_pairs(write_csv(folder, text, encoding="latin-1"))
    assert says in one_sentence(error)


@pytest.mark.parametrize(
    "count, held", [(3, 2), (4, 1), (4, 2), (4, 3), (5, 2), (5, 3), (9, 4), (9, 0)]
)
def test_from_two_pairs_to_half_of_them_are_held_out_or_none(tmp_path, monkeypatch, count, held):
    for k in range(count):
        picture(tmp_path / f"{k}.png")
        (tmp_path / f"{k}.txt").write_text("x")
    monkeypatch.setattr(files, "is_held_out", lambda name: int(name[0]) < held)
    pairs = open_pairs(tmp_path)
    everyone = [*range(count)]
    split = (count, held) in [(4, 2), (5, 2), (9, 4)]
    parts = {"train": everyone[held:], "heldout": everyone[:held]} if split else {"train": everyone}
    assert pairs.splits == parts and pairs.name == tmp_path.name


def test_a_text_may_have_as_many_bytes_as_it_may_and_no_more(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("é, ü".encode())  # 6 bytes, the first one of two
    for most in (6, 7):
        assert files.read_text(path, most) == "é, ü", most
    with pytest.raises(UserError, match="a.txt is too long"):
        files.read_text(path, 5)
    with pytest.raises(UserError) as error:
        files.read_text(tmp_path / "none.txt")
    assert str(error.value).endswith("none.txt cannot be read: No such file or directory")


def test_wrong_options_are_errors_in_one_sentence(folder):
    path = write_csv(folder, "filepath,caption\na.png,red\n")
    for options, says in (
        (dict(caption_column="nope"), "no column 'nope'"),
        (dict(separator=";;"), "one character"),
        (dict(separator='"'), "one character"),
        (dict(separator=""), "one character"),
    ):
        with pytest.raises(ValueError) as error:
            open_pairs(path, **options)
        assert says in one_sentence(error)
    for source in (folder / "nope.csv", "no\0pe", folder):
        with pytest.raises(ValueError) as error:
            open_pairs(source, separator=",") if source == folder else open_pairs(source)
        assert "csv" in one_sentence(error)


def test_a_folder_gives_every_picture_with_a_text_beside_it(folder):
    (folder / "a.txt").write_text("red\n\n  a red   square\nred\n", encoding="utf-8-sig")
    (folder / "sub" / "c.txt").write_bytes("grün\r\n".encode("cp1252"))
    picture(folder / "UPPER.PNG")
    (folder / "UPPER.TXT").write_text("upper")
    picture(folder / "blank.gif")
    (folder / "blank.txt").write_text(" \n")
    (folder / "broken.png").write_text("?")
    (folder / "broken.txt").write_text("broken")
    (folder / "readme.txt").write_text("no picture")
    picture(folder / ".hidden" / "d.png")
    pairs = open_pairs(folder)
    found = {pairs.where(i): pairs.captions(i) for i in range(len(pairs))}
    assert found == {
        "a.png": ("red", "a red square"),
        "sub/c.webp": ("grün",),
        "UPPER.PNG": ("upper",),
    }
    assert dict(pairs.skipped) == {
        "b.jpg": "no .txt beside it",
        "blank.gif": "an empty caption",
        "broken.png": "not a picture that can be read",
    }


def test_names_that_are_not_text_are_names_all_the_same(folder):
    data = (folder / "a.png").read_bytes()
    for name in (b"\xff\xfe", b"a\nb", "e\u0301".encode(), b" "):
        try:
            with open(os.path.join(os.fsencode(folder), name + b".png"), "wb") as file:
                file.write(data)
            with open(os.path.join(os.fsencode(folder), name + b".txt"), "wb") as file:
                file.write(b"\xffhi there\n")
        except OSError:  # not every system has such names
            continue
    pairs = open_pairs(folder)
    assert pairs.captions(0) == ("ÿhi there",)
    report_skipped([(pairs.where(i), "") for i in range(len(pairs))]).encode("utf-8")
    assert "é.png" in [pairs.where(i) for i in range(len(pairs))]
    assert all(pairs.image(i).size == (20, 16) for i in range(len(pairs)))


def test_a_folder_without_pairs_is_an_error(tmp_path, folder):
    for place in (folder, folder / "sub"):
        with pytest.raises(ValueError) as error:
            open_pairs(place)
        assert ".txt" in one_sentence(error)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match="holds no picture"):
        open_pairs(tmp_path / "bare")


def test_a_tenth_is_held_out_by_name_whatever_the_order(tmp_path):
    names = [f"p{k}.png" for k in range(200)]
    data = picture(tmp_path / "p.png").read_bytes()
    for name in names:
        (tmp_path / name).write_bytes(data)
    held = []
    for seed in range(2):
        random.Random(seed).shuffle(names)
        text = "filepath,caption\n" + "".join(f"{name},{name}\n" for name in names)
        pairs = open_pairs(write_csv(tmp_path, text))
        assert sorted(pairs.splits["train"] + pairs.splits["heldout"]) == list(range(200))
        assert pairs.gallery("heldout") == pairs.splits["heldout"]
        held.append({pairs.where(i) for i in pairs.splits["heldout"]})
    assert held[0] == held[1] and 10 <= len(held[0]) <= 30
    for name in names:
        (tmp_path / name).with_suffix(".txt").write_text(name)
    pairs = open_pairs(tmp_path)
    assert {pairs.where(i) for i in pairs.splits["heldout"]} == held[0]


def test_a_damaged_index_gives_pairs_or_one_sentence(folder):
    good = "filepath,caption\n" + "".join(
        f'{n},"{t}"\n' for n, t in itertools.product(("a.png", "b.jpg"), "uv")
    )
    outcomes = set()
    for seed in range(300):
        (folder / "pairs.csv").write_bytes(mutated(good.encode(), seed))
        try:
            pairs = open_pairs(folder / "pairs.csv")
            assert len(pairs) and all(pairs.captions(i) for i in range(len(pairs)))
            outcomes.add("pairs" if not pairs.skipped else "some")
        except BadPicture:
            raise
        except ValueError as error:
            assert "\n" not in str(error)
            outcomes.add("error")
    assert outcomes == {"pairs", "some", "error"}

"""Your own pairs: what is readable is read, what is not is named, and nothing raises another error."""

import csv
import io
import json
import os
import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from miniclip.data import files, image_io, open_pairs
from tests.data.tars import heic, save, write_csv
from tests.shared import must_refuse, python

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1, max_size=20)
ROWS = [("a.png", 'red, "very" red'), ("b.jpg", "a blue; flat | one"), ("sub/c.webp", "grün")]
HEADER = "filepath,caption\n"


def said(pairs):
    return {pairs.where(i): pairs.captions(i) for i in range(len(pairs))}


# --- a csv


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_any_separator_line_end_and_encoding_gives_the_same_pairs(folder, separator, end, encoding):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator=end)
    writer.writerows([("filepath", "caption"), *ROWS])
    pairs = open_pairs(write_csv(folder, out.getvalue(), encoding=encoding))
    assert [(pairs.where(i), *pairs.captions(i)) for i in range(len(pairs))] == ROWS
    assert pairs.skipped == [] and pairs.splits == {"train": [0, 1, 2]}
    assert pairs.image(1).mode == "RGB" and pairs.image(1).size == (20, 16)


@given(st.lists(TEXT, min_size=1, max_size=4), st.sampled_from(",\t;|"))
@example(["\r"], ",")
def test_any_caption_comes_back_but_for_white_space_and_control_characters(
    tmp_path_factory, captions, separator
):
    folder = tmp_path_factory.mktemp("csv")
    save(folder / "a.png")
    out = io.StringIO()
    rows = [("filepath", "caption"), *(("a.png", caption) for caption in captions)]
    csv.writer(out, delimiter=separator).writerows(rows)
    captions = [re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", caption) for caption in captions]
    want = list(dict.fromkeys(" ".join(c.split()) for c in captions if c.split()))
    path = write_csv(folder, out.getvalue())
    if want:
        assert list(open_pairs(path).captions(0)) == want
    else:
        must_refuse("an empty caption", open_pairs, path)


@pytest.mark.parametrize(
    "text, options, want",
    [
        ("File Path,Title\na.png,red\n", {}, ["red"]),
        ("image,text\na.png,red\n", {}, ["red"]),
        ("title,x,filename\nred,9,a.png\n", {}, ["red"]),
        ("LABEL, path \nred,a.png\n", {}, ["red"]),
        ('"img","Description"\na.png,red\n', {}, ["red"]),
        ("was|Bild|caption\nrot|a.png|no\n", dict(image_column="Bild", caption_column="WAS"), ["rot"]),
        ("filepath;caption;a,b,c,d\na.png;red;x\n", {}, ["red"]),  # commas give more columns
        (HEADER + "a.png,red, round, flat\n", {}, ["red, round, flat"]),  # the last column
        (HEADER + "a.png,red\n./a.png,rouge\nsub/../a.png,red\n", {}, ["red", "rouge"]),
        ("a.png,red\n", dict(columns="image,caption"), ["red"]),
        ("red, round;9;a.png\n", dict(columns="title,x,path"), ["red, round"]),
        ("a.png,red; round\n", dict(columns="image,caption"), ["red; round"]),
        ("a.png|rot|red\n", dict(columns="Bild,x,was", image_column="Bild", caption_column="was"), ["red"]),
    ],
)  # fmt: skip
def test_columns_are_recognised_or_named_and_rows_of_one_picture_are_one_pair(
    folder, text, options, want
):
    assert said(open_pairs(write_csv(folder, text), **options)) == {"a.png": tuple(want)}


def test_what_is_wrong_with_one_row_costs_that_row(folder):
    (folder / "empty.png").touch()
    (folder / "words.png").write_text("x")  # one byte is not empty
    (folder / "folder.png").mkdir()
    text = "a.png,red\nnone.png,x\nempty.png,x\nwords.png,x\nfolder.png,x\n"
    text += "b.jpg, \n,lonely\nb.jpg\na\0b.png,nul\n" + "x" * 5000 + ".png,long\nb.jpg,blue\n"
    pairs = open_pairs(write_csv(folder, HEADER + text))
    assert said(pairs) == {"a.png": ("red",), "b.jpg": ("blue",)} and len(pairs.skipped) == 9
    assert [why for _, why in pairs.skipped].count("an empty caption") == 2
    assert {*pairs.skipped} > {
        ("line 3, none.png", "no such file or directory"),
        ("line 4, empty.png", "an empty file"),
        ("line 5, words.png", "not a picture that can be read"),
        ("line 6, folder.png", "not a file"),
    }


# --- a folder


def test_a_folder_gives_every_picture_with_a_text_beside_it(folder):
    (folder / "a.txt").write_text("red\n\n  a red   square\nred\n", encoding="utf-8-sig")
    (folder / "sub" / "c.txt").write_bytes("grün\r\n".encode("cp1252"))
    for name, text in (
        ("UPPER.PNG", "upper"), ("blank.gif", " \n"), ("broken.png", "broken"), (".hidden/d.png", "x"),
    ):  # fmt: skip
        suffix = ".TXT" if name.isupper() else ".txt"
        save(folder / name).with_suffix(suffix).write_text(text)
    (folder / "broken.png").write_text("?")
    (folder / "readme.txt").write_text("no picture")
    pairs = open_pairs(folder)
    want = {"a.png": ("red", "a red square"), "sub/c.webp": ("grün",), "UPPER.PNG": ("upper",)}
    assert said(pairs) == want
    assert dict(pairs.skipped) == {
        "b.jpg": "no .txt beside it",
        "blank.gif": "an empty caption",
        "broken.png": "not a picture that can be read",
    }


def test_names_that_are_not_text_are_names_all_the_same(folder):
    data = (folder / "a.png").read_bytes()
    for name in (b"\xff\xfe", b"a\nb", "e\u0301".encode(), b" "):
        try:
            for suffix, content in ((b".png", data), (b".txt", b"\xffhi there\n")):
                with open(os.path.join(os.fsencode(folder), name + suffix), "wb") as file:
                    file.write(content)
        except OSError:  # not every system has such names
            continue
    pairs = open_pairs(folder)
    assert {*said(pairs).values()} == {("ÿhi there",)} and "é.png" in said(pairs)
    assert all(pairs.image(i).size == (20, 16) for i in range(len(pairs)))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names in ASCII")
def test_a_locale_of_ascii_gives_the_same_pairs_of_a_list_and_of_a_folder(tmp_path):
    for name in ("gr\u00fcn.png", "\u732b.png"):
        save(tmp_path / "p" / name).with_suffix(".txt").write_text("a cup")
    path = write_csv(tmp_path, "filepath,caption\np/gr\u00fcn.png,a cup\np/x/../\u732b.png,a cup\n")
    code = (
        "import sys; from miniclip.data import open_pairs\n"
        "for pairs in map(open_pairs, sys.argv[1:]):\n"
        "    print(len(pairs), pairs.digest, *map(ascii, map(pairs.where, range(len(pairs)))))"
    )
    ascii, utf_8 = (
        python("-c", code, path, tmp_path / "p", env=os.environ | more)
        for more in (
            dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
            dict(PYTHONUTF8="1"),
        )
    )
    assert ascii == utf_8 and ascii.startswith("2 ") and "p/\\u732b.png" in ascii


def test_a_text_may_have_as_many_bytes_as_it_may_and_no_more(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("é, ü".encode())  # 6 bytes, the first one of two
    assert files.read_text(path, 6) == "é, ü"
    must_refuse("a.txt is too long", files.read_text, path, 5)
    must_refuse(
        "none.txt cannot be read: No such file or directory$",
        files.read_text,
        tmp_path / "none.txt",
    )


# --- what is held out


@pytest.mark.parametrize(
    "count, held", [(3, 2), (4, 1), (4, 2), (4, 3), (5, 2), (5, 3), (9, 4), (9, 0)]
)
def test_from_two_pairs_to_half_of_them_are_held_out_or_none(tmp_path, monkeypatch, count, held):
    for k in range(count):
        save(tmp_path / f"{k}.png").with_suffix(".txt").write_text("x")
    monkeypatch.setattr(files, "is_held_out", lambda name: int(name[0]) < held)
    pairs = open_pairs(tmp_path)
    everyone = [*range(count)]
    split = (count, held) in [(4, 2), (5, 2), (9, 4)]
    parts = {"train": everyone[held:], "heldout": everyone[:held]} if split else {"train": everyone}
    assert pairs.splits == parts and pairs.name == tmp_path.name


def test_a_tenth_is_held_out_by_name_whatever_the_order(tmp_path):
    names = [f"p{k}.png" for k in range(200)]
    for name in names:
        save(tmp_path / name).with_suffix(".txt").write_text(name)
    held = []
    for order in (names, random.Random(0).sample(names, 200), None):
        text = HEADER + "".join(f"{name},{name}\n" for name in order or ())
        pairs = open_pairs(write_csv(tmp_path, text) if order else tmp_path)
        assert sorted(pairs.splits["train"] + pairs.splits["heldout"]) == list(range(200))
        assert pairs.gallery("heldout") == pairs.splits["heldout"]
        held.append({pairs.where(i) for i in pairs.splits["heldout"]})
    assert held[0] == held[1] == held[2] and 10 <= len(held[0]) <= 30


def test_a_column_split_says_what_is_held_out_and_one_row_holds_out_its_picture(folder):
    save(folder / "d.png")
    rows = "filepath,Split,caption\nb.jpg,,x\na.png,TRAIN,x\nd.png, test,x\nsub/c.webp,train,x\n"
    pairs = open_pairs(write_csv(folder, rows + "sub/c.webp,dev,y\nd.png,val,y\n"))
    splits = {name: [pairs.where(i) for i in own] for name, own in pairs.splits.items()}
    assert splits == {"train": ["a.png"], "val": ["b.jpg", "sub/c.webp"], "test": ["d.png"]}


# --- pictures


@pytest.mark.parametrize(
    "side, size",
    [
        (None, (160, 128)), (200, (160, 128)), (65, (160, 128)), (64, (80, 64)), (33, (80, 64)),
        (32, (40, 32)), (17, (40, 32)), (16, (20, 16)), (8, (20, 16)), (1, (20, 16)),
    ],
)  # fmt: skip
def test_a_jpeg_comes_at_the_smallest_of_its_four_sizes_that_is_large_enough(side, size):
    for kind, want in (("JPEG", size), ("PNG", (160, 128))):
        file = io.BytesIO()
        Image.new("RGB", (160, 128)).save(file, kind)
        assert image_io.read(file, side).size == want
        own = Image.open(file)  # a picture of somebody else's stays as it is
        assert image_io.read(own, side).size == own.size == (160, 128)


# --- sets of photographs: the blocks of docs/photographs.md turn them into pairs

PAGE = (Path(__file__).parents[2] / "docs/photographs.md").read_text()
BLOCKS = dict(re.findall(r"^```python (\w+)\n(.*?)^```$", PAGE, re.M | re.S))
DOG, WET, BOYS = 'A dog , "wet" , runs .', "A wet dog .", "Two boys ."
IMAGES = [{"id": n, "file_name": f"{n:012}.jpg", "width": 40} for n in (9, 25)]
NOTES = [(25, "A giraffe. "), (9, "Broccoli\nin a box."), (25, "Two trees.")]
ANNOTATIONS = [{"image_id": n, "id": k, "caption": c} for k, (n, c) in enumerate(NOTES)]


@pytest.mark.parametrize(
    "block, source, file, text, captions",
    [
        (
            "flickr8k",
            "flickr8k.csv",
            "Flickr8k.token.txt",
            f"1_a.jpg#0\t{DOG}\n1_a.jpg#1\t{WET}\n2_b.jpg#0\t{BOYS}\n",
            {"Flicker8k_Dataset/1_a.jpg": (DOG, WET), "Flicker8k_Dataset/2_b.jpg": (BOYS,)},
        ),
        (
            None,  # the other copy of Flickr8k needs no conversion
            "Images/captions.txt",
            "Images/captions.txt",
            f"image,caption\n1.jpg,A dog , wet , runs .\n1.jpg,{WET}\n2.jpg,{BOYS}\n",
            {"1.jpg": ("A dog , wet , runs .", WET), "2.jpg": (BOYS,)},
        ),
        (
            "coco",
            "coco.csv",
            "annotations/captions_train2017.json",
            json.dumps({"images": IMAGES, "annotations": ANNOTATIONS}),
            {
                "train2017/000000000009.jpg": ("Broccoli in a box.",),
                "train2017/000000000025.jpg": ("A giraffe.", "Two trees."),
            },
        ),
    ],
)
def test_a_set_of_photographs_gives_its_pairs(
    block, source, file, text, captions, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in captions:
        save(Path(name if block else f"Images/{name}"))
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(text)
    if block:
        exec(BLOCKS[block], {})
    pairs = open_pairs(source)
    assert {pairs.where(i): pairs.captions(i) for i in range(len(pairs))} == captions
    assert not pairs.skipped


# --- HEIC, in which phones store photographs

CORNERS = [[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), (250, 250, 250)]]
PICTURE = Image.fromarray(np.array(CORNERS, np.uint8)).resize((64, 48), Image.Resampling.NEAREST)


def differs(image, other=PICTURE):
    """The largest difference between levels of two pictures."""
    return np.abs(np.subtract(image, other, dtype=float)).max()


def test_it_is_read_from_a_folder_by_each_of_its_suffixes(tmp_path):
    for name in ("a.HEIC", "b.heif", "c.hif"):
        (tmp_path / name).write_bytes(heic(PICTURE))
        (tmp_path / name).with_suffix(".txt").write_text("a cup")
    pairs = open_pairs(tmp_path)
    # RGB becomes YCbCr and comes back, each rounded to whole levels
    assert len(pairs) == 3 and max(differs(pairs.image(i)) for i in range(3)) <= 3
    assert "HEIF" not in Image.OPEN, "other code of the process reads something that it could not"


def test_it_comes_upright_and_on_white():
    exif = Image.Exif()
    exif[0x112] = 6
    upright = image_io.read(heic(PICTURE, exif=exif.tobytes()))
    assert differs(upright, PICTURE.transpose(Image.Transpose.ROTATE_270)) <= 3
    clear = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    assert differs(image_io.read(heic(clear)), Image.new("RGB", (64, 48), "white")) <= 3


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    data = heic(PICTURE)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    must_refuse(r"needs pillow-heif; pip install 'miniclip\[app\]'", image_io.check, data)

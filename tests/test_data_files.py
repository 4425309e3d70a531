"""Your own pairs: what is readable is read, what is not is named, and nothing brings it down."""

import csv
import io
import itertools
import os
import pathlib
import random
import re
import struct
import warnings
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from miniclip.data import BadPicture, open_pairs, photo, report_skipped
from miniclip.data.__main__ import main

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


@given(st.lists(TEXT, min_size=1, max_size=4), st.sampled_from(",\t;|"))
@example(["\r"], ",")
def test_any_caption_comes_back_but_for_its_white_space(tmp_path_factory, captions, separator):
    folder = tmp_path_factory.mktemp("csv")
    picture(folder / "a.png")
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(
        [("filepath", "caption"), *(("a.png", caption) for caption in captions)]
    )
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
    (folder / "words.png").write_text("these are words")
    (folder / "folder.png").mkdir()
    text = "filepath,caption\na.png,red\nnone.png,x\nempty.png,x\nwords.png,x\nfolder.png,x\n"
    text += "b.jpg, \n,lonely\nb.jpg\na\0b.png,nul\n" + "x" * 5000 + ".png,long\nb.jpg,blue\n"
    pairs = open_pairs(write_csv(folder, text))
    assert [pairs.captions(i) for i in range(len(pairs))] == [("red",), ("blue",)]
    assert [reason for _, reason in pairs.skipped].count("an empty caption") == 2
    reasons = dict(pairs.skipped)
    assert reasons["none.png"] == "no such file" and reasons["empty.png"] == "an empty file"
    assert reasons["words.png"] == "not a picture that can be read"
    assert reasons["folder.png"] == "not a file" and len(pairs.skipped) == 9
    sentence = report_skipped(pairs.skipped)
    assert sentence.startswith("left out 9: ") and sentence.endswith("and 6 more")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "pipe.png")
    pairs = open_pairs(write_csv(folder, "filepath,caption\na.png,red\npipe.png,x\n"))
    assert pairs.skipped == [("pipe.png", "not a file")]


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
        ("filepath,caption\nx.png,red\n", "x.png (no such file)"),
        ('filepath,caption\na.png,"' + "x" * 140000, "is not csv"),
        ("\x89PNG\r\n\x1a\n\0\0\0", "no column of picture paths"),
    ],
)
def test_an_index_that_cannot_be_used_is_an_error_in_one_sentence(folder, text, says):
    with pytest.raises(ValueError) as error:
        open_pairs(write_csv(folder, text, encoding="latin-1"))
    assert says in one_sentence(error)


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
                file.write(b"\xffhi\0there\n")
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


def header_of_png(width, height):
    """The first bytes of a 1-bit PNG that says it is this large, and no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n\0\0\0\r"
        + body
        + struct.pack(">I", zlib.crc32(body))
        + b"\0\0\0\x09IDAT"
    )


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, recwarn):
    for size in ((10_000, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)):
        (tmp_path / "huge.png").write_bytes(header_of_png(*size))
        with pytest.raises(BadPicture, match="100 megapixels"):
            photo.check(tmp_path / "huge.png")
    (tmp_path / "large.png").write_bytes(header_of_png(9_999, 10_000))
    photo.check(tmp_path / "large.png")
    assert not recwarn.list


def mutated(data, seed):
    """Bytes with one to three things wrong: a bit flipped, a piece cut out, repeated, or zeroed."""
    rng, data = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        length = rng.randint(1, 20)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = bytes(len(data[at : at + length]))
            case _:
                del data[at:]
    return bytes(data)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tif", "ppm"])
def test_a_damaged_picture_is_read_or_refused_and_nothing_else(tmp_path, suffix, capfd):
    noise = Image.effect_noise((24, 18), 60).convert("P" if suffix == "gif" else "RGB")
    noise.save(tmp_path / f"whole.{suffix}")
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    refused, path = 0, tmp_path / f"x.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(80):
            path.write_bytes(mutated(whole, seed))
            try:
                image = photo.read(path)
                assert image.mode == "RGB" and min(image.size) > 0
            except BadPicture as error:
                assert str(error)
                refused += 1
    assert refused > 10 and photo.read(tmp_path / f"whole.{suffix}").size == (24, 18)
    assert suffix == "tif" or capfd.readouterr().err == ""  # libtiff itself writes there


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


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_every_mode_is_read_as_rgb(tmp_path, mode):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new(mode, (5, 4)).save(path)
    assert photo.read(path).mode == "RGB"


def test_strange_names_are_printed_on_one_line():
    assert report_skipped([]) == ""
    sentence = report_skipped([("a\nb\0\x1b[2J\udc80" + "x" * 500, "no\rreason")])
    assert sentence.isprintable() and len(sentence) < 200
    sentence.encode("utf-8")


def test_the_summary_names_what_is_damaged_and_what_is_twice(folder, capsys):
    Image.effect_noise((99, 99), 60).save(folder / "twin.jpg")
    (folder / "b.jpg").write_bytes(data := (folder / "twin.jpg").read_bytes())
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    text = "filepath,caption\na.png,red\nb.jpg,blue\ntwin.jpg,blue\ncut.jpg,cut\nnone.png,none\n"
    assert main([str(write_csv(folder, text))]) == 0
    said = capsys.readouterr().out
    assert "left out 2: none.png (no such file), cut.jpg (damaged: " in said
    assert re.search("groups of identical pictures +1 ", said)
    assert re.search("captions of several pictures +1 ", said)
    with pytest.raises(SystemExit) as stop:
        main([str(folder / "nope")])
    assert stop.value.code == 2


def test_the_summary_of_the_embedded_pairs_is_what_the_documentation_shows(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out.partition("\n")[2]  # the first line names the installed versions
    document = (pathlib.Path(__file__).parent.parent / "docs/data.md").read_text(encoding="utf-8")
    assert said in document, said

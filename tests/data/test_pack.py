"""Packing: what is written into shards is read from them, here and by webdataset."""

import concurrent.futures
import io
import os
import pathlib
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.benchmarks.loading import photograph
from miniclip.data import image_io, open_pairs
from miniclip.data.__main__ import main
from miniclip.data.shards.pack import pack
from miniclip.data.transforms import training_crop
from tests.data.tars import Coloured
from tests.shared import must_refuse

pytestmark = pytest.mark.usefixtures("cache")


def test_what_is_packed_comes_back_exactly(tmp_path):
    rng = np.random.default_rng(0)
    said = {
        "a.jpg": "a cat\nune chatte, étendue",
        "b.png": "b",
        "c.gif": "see\u2028",
        "d.webp": "d",
    }
    said |= {"e.JPEG": "e", "damaged.jpg": "x"}
    for name, text in said.items():
        photograph(rng, 200).save(tmp_path / name)
        (tmp_path / name).with_suffix(".txt").write_text(text, encoding="utf-8")
    (tmp_path / "damaged.jpg").write_bytes((tmp_path / "damaged.jpg").read_bytes()[:-100])
    before = open_pairs(tmp_path)
    paths, skipped = pack(before, tmp_path / "out", 2)
    assert [os.path.basename(path) for path in paths] == ["00000.tar", "00001.tar", "00002.tar"]
    assert [name for name, _ in skipped] == ["damaged.jpg"]
    whole = [i for i in range(6) if before.where(i) != "damaged.jpg"]
    pack(open_pairs(tmp_path / "out"), tmp_path / "again", 3)  # shards can be packed anew
    for after in (open_pairs(tmp_path / "out"), open_pairs(tmp_path / "again")):
        assert len(after) == 5 and not after.skipped
        for i, k in enumerate(whole):
            assert after.captions(i) == before.captions(k)
            assert after.image(i).tobytes() == before.image(k).tobytes()
            file = pathlib.Path(before.paths[k])
            assert file.suffix == ".gif" or after.read(i, "picture") == file.read_bytes()


def test_the_bytes_of_a_picture_in_a_record_stay_as_they_are(tmp_path):
    photograph(np.random.default_rng(0), 200).save(tmp_path / "0.jpg")
    data = (tmp_path / "0.jpg").read_bytes()
    pack(open_pairs([(data, "a cat"), (image_io.read(data), "a dog")]), tmp_path / "out")
    after = open_pairs(tmp_path / "out")
    assert after.read(0, "picture") == data and after.read(1, "picture")[:4] == b"\x89PNG"


def test_packing_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path):
    def files():
        return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    pack(Coloured(7), tmp_path / "out", 3)
    first = files()
    for count, words in ((7, "00000.tar exists; .* --overwrite"), (6, "holds 00002.tar, which")):
        must_refuse(words, pack, Coloured(count), tmp_path / "out", 3)
    pack(Coloured(7), tmp_path / "out", 3, overwrite=True)
    assert files() == first and sorted(first) == ["00000.tar", "00001.tar", "00002.tar"]


def test_of_two_commands_that_pack_into_one_folder_at_once_one_is_refused(tmp_path, monkeypatch):
    replace, both = os.replace, (Coloured(4), Coloured(4))
    monkeypatch.setattr(os, "replace", lambda *names: time.sleep(0.1) or replace(*names))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        packing = [pool.submit(pack, pairs, tmp_path, 2) for pairs in both]
    errors = [str(one.exception()) for one in packing if one.exception()]
    assert len(errors) == 1 and "exists; choose another" in errors[0]


def test_webdataset_reads_what_is_packed(packed):
    import webdataset

    stream = webdataset.WebDataset(packed.paths, shardshuffle=False).decode("pilrgb")
    found = [(s["png"].getpixel((0, 0)), s["txt"], s["json"]["captions"]) for s in stream]
    assert found == [((i, 0, 7), str(i), [str(i)]) for i in range(60)]


def test_without_webdataset_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "braceexpand", None)
    must_refuse("braces need: pip install webdataset", open_pairs, tmp_path / "{0..1}.tar")


@given(st.integers(8, 88), st.integers(8, 88), st.integers(0, 7), st.integers(24, 150))
def test_a_downscaled_picture_is_large_enough_and_its_crops_look_the_same(w, h, odd, side):
    width, height = 8 * w + odd, 8 * h + odd
    file = io.BytesIO()
    photograph(np.random.default_rng(0), 90).resize((width, height)).save(file, "JPEG", quality=95)
    whole, small = image_io.read(file), image_io.read(file, 2 * side)
    assert min(small.size) >= min(2 * side, *whole.size)
    factor = round(width / small.width)
    assert factor in (1, 2, 4, 8) and (factor == 1 or min(small.size) <= 4 * side)
    a, b = (
        training_crop(p, side, np.random.default_rng(1), (0.8, 1)).numpy().astype(int)
        for p in (whole, small)
    )
    error = np.abs(a - b).mean()
    # an odd edge is rounded up, so the picture is stretched by less than a pixel of the original's
    assert error < (6 if odd else 2), f"{error:.1f} of 255, {whole.size} -> {small.size} -> {side}"


# --- command lines


def test_the_command_packs_and_counts(folder, capsys):
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text("a word")
    (folder / "b.jpg").write_bytes(b"no picture")
    out = str(folder / "out")
    assert main(["pack", str(folder), out, "--shard-size", "1"]) == 0
    said = capsys.readouterr().out
    how = f"without the splits of {folder.name}; train on them with --data '{out}/*.tar'"
    assert f"1 pairs in 1 shards, {how}" in said
    assert "b.jpg (not a picture" in said

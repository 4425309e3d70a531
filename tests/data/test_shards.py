"""Shards: the same pairs whatever the order, the ranks, the workers and the names of the tars."""

import json
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data import open_divided, open_pairs
from miniclip.data.dataset import is_held_out
from miniclip.data.shards import shards, tar_index
from miniclip.data.shards.pack import pack
from tests.data.tars import Coloured, picture, read_epoch, write_tar
from tests.shared import must_refuse

pytestmark = pytest.mark.usefixtures("cache")


# --- order


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 13), st.sets(st.integers(0, 59)))
def test_an_order_is_a_permutation_that_has_few_shards_in_hand(seed, epoch, at_once, indices):
    pairs = shards.Shards.__new__(shards.Shards)
    pairs.paths = [str(k) for k in range(12)]
    pairs.index = np.array([(k // 5,) for k in range(60)], [("shard", "<i4")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARDS_AT_ONCE", at_once)
        order = pairs.order(sorted(indices), seed, epoch)
        assert order.tolist() == pairs.order(sorted(indices), seed, epoch).tolist()
        everyone = [pairs.order(range(60), seed, e).tolist() for e in (epoch, epoch + 1)]
    assert everyone[0] != everyone[1]
    assert order.dtype == np.int64 and sorted(order) == sorted(indices)

    def most_in_hand(order):  # shards of which some pairs were read, and some will be
        read = [i // 5 for i in order]
        spans = [(read.index(s), len(read) - read[::-1].index(s)) for s in {*read}]
        return max((sum(a <= k < b for a, b in spans) for k in range(len(read))), default=0)

    assert most_in_hand(order) <= at_once
    # they are shuffled together: 25 pairs of five shards have three of them in hand somewhere
    assert most_in_hand(everyone[0]) >= min(at_once, 3)


def test_an_epoch_has_every_pair_once_on_any_number_of_ranks_and_workers(packed, monkeypatch):
    monkeypatch.setattr(shards, "SHARDS_AT_ONCE", 3)
    packed.splits["train"] = range(60)

    def epoch(world, workers):
        ranks = [
            read_epoch(packed, 12, 1, 2, workers=workers, rank=rank, world=world)
            for rank in range(world)
        ]
        joined = [(torch.cat([p[0] for p in row]), [c for p in row for c in p[1]]) for row in zip(*ranks)]  # fmt: skip
        return torch.stack([images for images, _ in joined]), [said for _, said in joined]

    images, captions = epoch(1, 0)
    assert sorted(sum(captions, [])) == sorted(map(str, range(60)))
    for world, workers in ((1, 2), (2, 0), (5, 0), (2, 1)):
        others, again = epoch(world, workers)
        assert torch.equal(images, others) and captions == again, (world, workers)


def test_few_files_are_open_and_a_pickled_copy_opens_its_own(tmp_path):
    pack(Coloured(60), tmp_path / "out", 2)
    pairs, before = open_pairs(tmp_path / "out"), len(os.listdir("/dev/fd"))
    for own in (pairs, pickle.loads(pickle.dumps(pairs))):
        assert [own.image(i).getpixel((0, 0)) for i in range(60)] == [(i, 0, 7) for i in range(60)]
        assert len(os.listdir("/dev/fd")) <= before + shards.SHARDS_AT_ONCE


# --- content


def test_img2datasets_layout_is_read(tmp_path):
    says = json.dumps({"caption": "from json", "url": "http://x/y.jpg", "sha256": None}).encode()
    members = {
        "000000000.jpg": picture(),
        "000000000.json": says,
        "000000000.txt": b"from json",
        "000000001.webp": picture("WEBP"),
        "000000001.json": says,
        "./000000002.png": picture("PNG"),  # as `tar cf a.tar .` calls them
        "./000000002.txt": "zwei\nZeilen ".encode(),
        "./": (tarfile.DIRTYPE, ""),
        "000000003.JPG": picture(),
        "000000003.json": b'{"captions": ["one", null, "two", "one"]}',
    }
    write_tar(tmp_path / "00000.tar", members.items())
    pairs = open_pairs(tmp_path / "{00000..00000}.tar")
    said = [("from json",), ("from json",), ("zwei Zeilen",), ("one", "two")]
    assert [pairs.captions(i) for i in range(4)] == said
    assert not pairs.skipped and pairs.where(2) == "00000.tar: ./000000002.png"


def test_a_caption_key_names_the_caption_of_a_json(tmp_path):
    says = json.dumps({"caption": "alt text", "blip": ["a dog", "dogs"], "empty": ""}).encode()
    members = [("0.jpg", picture()), ("0.json", says), ("1.jpg", picture()), ("1.txt", b"plain")]
    path = write_tar(tmp_path / "a.tar", [*members, ("1.json", says)])
    said = [open_pairs(path, caption_key=key).captions(1) for key in ("blip", "caption", None)]
    assert said == [("plain", "a dog", "dogs"), ("plain", "alt text"), ("plain", "alt text")]
    pairs = open_pairs(path, caption_key="empty")  # another index of the same shard
    assert pairs.captions(0) == ("plain",)
    lacks = 'no caption: no .txt, and no "empty" in a .json (--caption-key)'
    assert pairs.skipped == [("a.tar: 0", lacks)]


def test_a_file_of_exactly_the_largest_size_is_used(tmp_path, monkeypatch):
    jpg = picture()
    path = write_tar(tmp_path / "a.tar", [("a.jpg", jpg), ("a.txt", b"x" * 9)])
    for change, used in ((0, True), (-1, False)):
        for name, size in (("MOST_PICTURE_BYTES", len(jpg)), ("MOST_TEXT_BYTES", 9)):
            with monkeypatch.context() as patch:
                patch.setattr(tar_index, name, size + change)
                assert len(tar_index.index_shard(0, path, "a.tar")[0]) == used, (name, change)


@pytest.mark.parametrize("letters", [94, 95, 96])
def test_a_pair_is_called_as_its_picture_up_to_100_bytes(letters, tmp_path):
    name = f"{'n' * letters}.jpg"
    path = write_tar(tmp_path / "a.tar", [(name, picture()), (f"{'n' * letters}.txt", b"x")])
    pairs = open_pairs(path)
    assert pairs.where(0) == f"a.tar: {name}"
    os.truncate(path, 99)
    assert pairs.where(0) == "a.tar: byte 512"


# --- pairs that are held out from another source


def test_val_data_takes_the_place_of_the_tenth_that_is_held_out(packed, tmp_path):
    pack(Coloured(7), tmp_path / "val", 5)
    sources = ("none", str(tmp_path / "val"))
    none, pairs = (open_divided(tmp_path / "out", None, val_data) for val_data in sources)
    assert len({packed.digest, none.digest, pairs.digest}) == 3
    for i in (59, 60, 66):
        assert pairs.captions(i) == pairs.captions(i - 67) == (str(i % 60),)
        assert pairs.image(i - 67) == pairs.image(i)
        assert pairs.image(i).getpixel((0, 0)) == (i % 60, 0, 7)
    assert pairs.where(59).startswith("00011.tar") and pairs.where(66).startswith("00001.tar")
    for own in (none, pairs):
        assert own.splits["train"].tolist() == [*range(60)]
    assert none.splits.keys() == {"train"} and pairs.splits["val"] == [*range(60, 67)]
    alone, joined = read_epoch(none, 12), read_epoch(pairs, 12, workers=1)
    assert [captions for _, captions, _ in alone] == [captions for _, captions, _ in joined]


@pytest.mark.parametrize("kind", [str, Path])
def test_options_of_the_source_are_those_of_val_data_too(kind, tmp_path):
    members = [("0.png", picture("PNG")), ("0.json", json.dumps({"text": "a cup"}).encode())]
    source, val = (write_tar(tmp_path / name, members) for name in ("t.tar", "v.tar"))
    pairs = open_divided(source, val_data=kind(val), caption_key="text")
    assert [pairs.captions(i) for i in range(2)] == [("a cup",)] * 2


@pytest.mark.parametrize(
    "source, val, says",
    [(None, "none", "hold out pairs themselves"), ("out", "./out/", "name the same source")],
)
def test_val_data_is_refused_in_a_sentence(source, val, says, packed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    must_refuse(says, open_divided, source, None, val)


# --- how they are named, kept and shared out


@pytest.mark.parametrize(
    "source", ["out/{00000..00011}.tar", "out/*.tar", "out", "o{u,ut,}t/000{00..11}.tar"]
)
def test_braces_stars_folders_and_lists_name_the_same_pairs(source, packed, tmp_path):
    found = open_pairs(str(tmp_path / source))
    assert found.index.tolist() == packed.index.tolist()
    assert {reason for _, reason in found.skipped} <= {"No such file or directory"}


def test_the_index_is_kept_until_a_shard_changes(packed, tmp_path, monkeypatch, capsys):
    scanned, index_shard = [], tar_index.index_shard
    monkeypatch.setattr(tar_index, "index_shard", lambda *a: scanned.append(a) or index_shard(*a))

    def scans():
        scanned.clear()
        assert open_pairs(tmp_path / "out").index.tolist() == packed.index.tolist()
        return len(scanned)

    assert scans() == 0
    os.utime(tmp_path / "out/00004.tar", ns=(1, 1))
    assert scans() == 12 and scans() == 0
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path / "file"))
    assert scans() == 12 and "its folder is no folder" in capsys.readouterr().err


def test_the_held_out_are_a_tenth_by_the_hash_of_their_key(packed):
    want = [i for i in range(60) if is_held_out(f"{i:09d}")]
    assert packed.splits["heldout"] == want and len(want) >= 2
    assert sorted([*packed.splits["train"], *want]) == list(range(60))


SHARES = {10: [*range(8)], 100: [0, 1, 4, 5, 6, 7], 1000: [0, 1, 6, 7], 10_000: [0, 1]}
DRAWS = [0, 0, 10, 30, 100, 700, 1000, 5000, 9999, 1]


@pytest.mark.parametrize(
    "draws, held",
    [
        *(
            ([*DRAWS, *[1] * (count - 10)], SHARES[one_in])
            for count, one_in in (
                (50, 10), (51, 100), (500, 100), (501, 1000), (5000, 1000), (5001, 10_000),
            )
        ),
        ([0, 7, 10], [0, 2]),
        ([0, 7, 11], []),  # fewer than two to test on
        ([0, 10], []),  # none to train on
        ([7, 8, 9], []),
    ],
)  # fmt: skip
def test_a_tenth_a_hundredth_and_so_on_of_5_held_out_pairs_at_most(draws, held, monkeypatch):
    rows = np.ones(len(draws), tar_index.ROW)
    rows["draw"] = draws
    monkeypatch.setattr(shards, "HELD_OUT_PAIRS", 5)
    monkeypatch.setattr(shards, "build", lambda paths, names, keys: (rows, []))
    splits = shards.Shards("x", ["a.tar"]).splits
    assert splits.get("heldout", []) == held
    assert splits["train"].tolist() == [i for i in range(len(draws)) if i not in held]


def test_a_folder_with_a_tar_beside_folders_of_pictures_is_a_folder_of_pictures(tmp_path):
    (tmp_path / "2024").mkdir()
    (tmp_path / "backup.tar").touch()
    assert shards.is_shards(str(tmp_path))
    (tmp_path / "2024/a.JPG").touch()
    assert not shards.is_shards(str(tmp_path))

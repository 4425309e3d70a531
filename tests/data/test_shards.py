"""Shards: the same pairs whatever the order, the ranks, the workers and the names of the tars."""

import hashlib
import json
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data import open_pairs
from miniclip.data.dataset import is_held_out
from miniclip.data.shards import shards as shards_module
from miniclip.data.shards import tar_index as index
from tests.data.tars import Coloured, cache_folder, packed_pairs, picture, read_epoch, write_tar  # noqa: F401

pytestmark = pytest.mark.usefixtures("cache")

# the ranks of a run


@given(st.integers(1, 40), st.integers(1, 16), st.integers(1, 5), st.integers(0, 3))
def test_the_ranks_batches_in_order_are_the_batch_of_one_process(n, batch_size, world, start):
    pairs = Coloured(n, bad=(0, 3))
    world = min(world, batch_size, n)

    def read(rank, world):
        where = dict(start=min(start, max(1, n // batch_size)), rank=rank, world=world)
        return read_epoch(pairs, range(n), batch_size, 5, 1, 4, (1, 1), **where)

    parts = [read(rank, world) for rank in range(world)]
    for k, (images, captions, skipped) in enumerate(read(0, 1)):
        assert torch.equal(torch.cat([part[k][0] for part in parts]), images)
        assert sum((part[k][1] for part in parts), []) == captions
        assert sum((part[k][2] for part in parts), []) == skipped
        sizes = [len(part[k][1]) + len(part[k][2]) for part in parts]
        assert max(sizes) - min(sizes) <= 1, sizes


def test_a_batch_smaller_than_the_world_is_refused():
    with pytest.raises(ValueError, match="3 pairs cannot be shared by 4"):
        read_epoch(Coloured(3), range(3), 8, 0, 0, 4, (1, 1), rank=3, world=4)


def test_a_batch_of_which_nothing_can_be_read_is_empty_and_named():
    (batch,) = read_epoch(Coloured(2, bad=(0, 1)), np.arange(2), 2, 0, 0, 4, (1, 1))
    assert batch[0].shape == (0, 3, 4, 4) and batch[1] == []
    assert sorted(batch[2]) == [("0", "damaged"), ("1", "damaged")]


# order


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 13), st.sets(st.integers(0, 59)))
def test_an_order_is_a_permutation_that_has_few_shards_in_hand(seed, epoch, at_once, indices):
    pairs = shards_module.Shards.__new__(shards_module.Shards)
    pairs.paths = [str(k) for k in range(12)]
    pairs.index = np.array([(k // 5,) for k in range(60)], [("shard", "<i4")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards_module, "SHARDS_AT_ONCE", at_once)
        order = pairs.order(sorted(indices), seed, epoch)
        again = pairs.order(sorted(indices), seed, epoch)
    assert order.dtype == np.int64 and sorted(order) == sorted(indices)
    assert order.tolist() == again.tolist()
    shards = (order // 5).tolist()
    first = {s: k for k, s in reversed([*enumerate(shards)])}
    last = {s: k for k, s in enumerate(shards)}
    in_hand = max(
        (sum(first[s] <= k <= last[s] for s in first) for k in range(len(shards))), default=0
    )
    assert in_hand <= at_once


def test_an_epoch_has_every_pair_once_on_any_number_of_ranks_and_workers(packed, monkeypatch):
    monkeypatch.setattr(shards_module, "SHARDS_AT_ONCE", 3)

    def epoch(world, workers):
        parts = [
            read_epoch(
                packed, range(60), 12, 1, 2, 4, (0.5, 1), workers=workers, rank=rank, world=world
            )
            for rank in range(world)
        ]
        return [
            (torch.cat([p[0] for p in row]), sum((p[1] for p in row), [])) for row in zip(*parts)
        ]

    want = epoch(1, 0)
    assert sorted(c for _, captions in want for c in captions) == sorted(map(str, range(60)))
    for world, workers in ((1, 2), (2, 0), (5, 0), (2, 1)):
        for (images, captions), (others, again) in zip(want, epoch(world, workers), strict=True):
            assert torch.equal(images, others) and captions == again, (world, workers)


def test_epochs_differ(packed):
    assert packed.order(range(60), 0, 0).tolist() != packed.order(range(60), 0, 1).tolist()


def test_few_files_are_open_and_a_pickled_copy_opens_its_own(packed, monkeypatch):
    monkeypatch.setattr(shards_module, "SHARDS_AT_ONCE", 3)
    for i in range(60):
        assert packed.image(i).getpixel((0, 0)) == (i, 0, 7) and packed.captions(i) == (str(i),)
        assert len(packed._open) <= 3
    copy = pickle.loads(pickle.dumps(packed))
    assert not copy._open and copy.image(59).getpixel((0, 0)) == (59, 0, 7)


# content


def test_img2datasets_layout_is_read(tmp_path):
    says = json.dumps({"caption": "from json", "url": "http://x/y.jpg", "sha256": None}).encode()
    write_tar(
        tmp_path / "00000.tar",
        [
            ("000000000.jpg", picture()),
            ("000000000.json", says),
            ("000000000.txt", b"from json"),
            ("000000001.webp", picture("WEBP")),
            ("000000001.json", says),
            ("000000002.png", picture("PNG")),
            ("000000002.txt", "zwei\nZeilen ".encode()),
            ("000000003.JPG", picture()),
            ("000000003.json", b'{"captions": ["one", 2, "two", "one"]}'),
        ],
    )
    pairs = open_pairs(tmp_path / "{00000..00000}.tar")
    assert [pairs.captions(i) for i in range(4)] == [
        ("from json",),
        ("from json",),
        ("zwei Zeilen",),
        ("one", "two"),
    ]
    assert not pairs.skipped and pairs.where(1) == "00000.tar: 000000001.webp"


def test_a_shard_made_by_tar_of_a_folder_is_read(tmp_path):
    """`tar cf a.tar .` names its members "./" and "./1.jpg"."""
    members = [(f"./{k}.{s}", d) for k in (1, 2) for s, d in (("jpg", picture()), ("txt", b"x"))]
    write_tar(tmp_path / "a.tar", [("./", (tarfile.DIRTYPE, "")), *members])
    pairs = open_pairs(tmp_path / "a.tar")
    assert len(pairs) == 2 and not pairs.skipped and pairs.where(1) == "a.tar: ./2.jpg"


# how they are named, kept and shared out


def test_braces_stars_folders_and_lists_name_the_same_pairs(packed, tmp_path):
    want = packed.index.tolist()
    for source in ("out/{00000..00011}.tar", "out/*.tar", "out", "o{u,ut,}t/000{00..11}.tar"):
        found = open_pairs(str(tmp_path / source))
        assert found.index.tolist() == want and found.skipped == [
            skip for skip in found.skipped if skip[1] == "No such file or directory"
        ], source
    assert len(open_pairs(tmp_path / "out/00003.tar")) == 5


def test_a_tar_among_pictures_does_not_make_a_folder_shards(packed, tmp_path):
    (tmp_path / "out/a.png").write_bytes(picture("PNG"))
    (tmp_path / "out/a.txt").write_text("not packed")
    pairs = open_pairs(tmp_path / "out")
    assert len(pairs) == 1 and pairs.captions(0) == ("not packed",)


def test_a_missing_shard_is_named_and_the_others_are_read(packed, tmp_path):
    pairs = open_pairs(tmp_path / "out/{00010..00013}.tar")
    assert len(pairs) == 10
    assert pairs.skipped == [(f"000{k}.tar", "No such file or directory") for k in (12, 13)]


@pytest.mark.parametrize(
    "source, says",
    [
        ("http://x/{0..3}.tar", "read from files; copy or mount it first"),
        ("pipe:cat x.tar", "read from files"),
        ("no/{0..2}.tar", "left out 3: 0.tar (No such file"),
        ("{0..2.tar", "a brace without its other"),
        ("no*.tar", "matches no file"),
        ("no.tar", "No such file"),
    ],
)
def test_what_names_no_shards_is_refused_in_a_sentence(source, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as error:
        open_pairs(source)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_the_index_is_kept_until_a_shard_changes_and_made_again_when_it_is_damaged(
    packed, cache, tmp_path, monkeypatch
):
    scanned = []
    index_shard = index.index_shard
    monkeypatch.setattr(index, "index_shard", lambda *a: scanned.append(a[2]) or index_shard(*a))

    def scans():
        scanned.clear()
        pairs = open_pairs(tmp_path / "out")
        assert pairs.index.tolist() == packed.index.tolist()
        return len(scanned)

    (kept,) = cache.glob("shards-*.bin")
    assert scans() == 0
    whole = kept.read_bytes()
    for damaged in (
        whole[:-1],
        whole[:40],
        b"",
        b"{}\n",
        whole[:-9] + b"\1" + whole[-8:],
        b"[" * 9999,
    ):
        kept.unlink()  # it is mapped into memory, so it must not be written over in place
        kept.write_bytes(damaged)
        assert scans() == 12 and kept.read_bytes() == whole, damaged[-20:]
    os.utime(tmp_path / "out/00004.tar", ns=(1, 1))
    assert scans() == 12 and scans() == 0


def test_a_folder_that_cannot_be_written_costs_the_index_only(
    packed, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path / "file"))
    assert open_pairs(tmp_path / "out").index.tolist() == packed.index.tolist()
    assert "cannot keep the index" in capsys.readouterr().err


def test_the_held_out_are_a_tenth_by_the_hash_of_their_key(packed):
    want = [i for i in range(60) if is_held_out(f"{i:09d}")]
    assert packed.splits["heldout"] == want and len(want) >= 2
    assert sorted([*packed.splits["train"], *want]) == list(range(60))


@pytest.mark.parametrize(
    "count, one_in", [(50, 10), (51, 100), (500, 100), (501, 1000), (5000, 1000), (5001, 10_000)]
)
def test_a_tenth_a_hundredth_and_so_on_of_5_held_out_pairs_at_most(count, one_in, monkeypatch):
    rows = np.ones(count, index.ROW)
    rows["draw"][:10] = [0, 0, 10, 30, 100, 700, 1000, 5000, 9999, 1]
    monkeypatch.setattr(shards_module, "HELD_OUT_PAIRS", 5)
    monkeypatch.setattr(shards_module, "build", lambda paths, names: (rows, []))
    splits = shards_module.Shards("x", ["a.tar"]).splits
    held = {10: [*range(8)], 100: [0, 1, 4, 5, 6, 7], 1000: [0, 1, 6, 7], 10_000: [0, 1]}[one_in]
    assert splits["heldout"] == held
    assert splits["train"].tolist() == [i for i in range(count) if i not in held]


@pytest.mark.parametrize(
    "draws, held", [([0, 7, 10], [0, 2]), ([0, 7, 11], None), ([0, 10], None), ([7, 8, 9], None)]
)
def test_fewer_than_two_to_test_on_or_none_to_train_on_are_not_split(draws, held, monkeypatch):
    rows = np.zeros(len(draws), index.ROW)
    rows["draw"] = draws
    monkeypatch.setattr(shards_module, "build", lambda paths, names: (rows, []))
    splits = shards_module.Shards("x", ["a.tar"]).splits
    assert splits.get("heldout") == held
    assert splits["train"].tolist() == [i for i in range(len(draws)) if i not in (held or [])]


def test_a_row_of_the_index_says_where_its_files_lie_and_zeros_for_none(tmp_path):
    members = [("a/7.jpg", picture()), ("a/7.txt", b"seven"), ("b.json", b'{"caption": "x"}')]
    path = write_tar(tmp_path / "a.tar", [*members, ("b.png", picture("PNG"))])
    rows, skipped = index.index_shard(3, path, "a.tar")
    with tarfile.open(path) as tar:
        jpg, txt, says, png = ((m.offset_data, m.size) for m in tar.getmembers())
    a, b = (
        int.from_bytes(hashlib.sha256(key).digest()[:8], "big") % 10_000 for key in (b"a/7", b"b")
    )
    assert rows.tolist() == [(3, a, *jpg, *txt, 0, 0), (3, b, *png, 0, 0, *says)] and not skipped


def test_a_file_of_exactly_the_largest_size_is_used(tmp_path, monkeypatch):
    jpg = picture()
    path = write_tar(tmp_path / "a.tar", [("a.jpg", jpg), ("a.txt", b"x" * 9)])
    for change, used in ((0, True), (-1, False)):
        for name, size in (("MOST_PICTURE_BYTES", len(jpg)), ("MOST_TEXT_BYTES", 9)):
            with monkeypatch.context() as patch:
                patch.setattr(index, name, size + change)
                assert len(index.index_shard(0, path, "a.tar")[0]) == used, (name, change)


@pytest.mark.parametrize("letters", [94, 95, 96])
def test_a_pair_is_called_as_its_picture_up_to_100_bytes(letters, tmp_path):
    name = f"{'n' * letters}.jpg"
    path = write_tar(tmp_path / "a.tar", [(name, picture()), (f"{'n' * letters}.txt", b"x")])
    pairs = open_pairs(path)
    assert pairs.where(0) == f"a.tar: {name}"
    os.truncate(path, 99)
    assert pairs.where(0) == "a.tar: byte 512"


def test_of_many_pairs_fewer_are_held_out_and_all_of_them_were_before(
    packed, monkeypatch, tmp_path
):
    monkeypatch.setattr(shards_module, "HELD_OUT_PAIRS", 5)
    few = open_pairs(tmp_path / "out")
    held = [i for i in range(60) if few.index["draw"][i] % 100 == 0]
    assert few.splits.get("heldout", held) == held and set(held) <= set(packed.splits["heldout"])
    assert len(few.splits["train"]) >= 60 - len(held)

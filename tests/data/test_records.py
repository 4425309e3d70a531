"""Pairs from Python, .jsonl and .parquet: pictures in any form, captions, and what is left out."""

import json
import os

import pytest
from PIL import Image

from miniclip.data import open_pairs
from miniclip.data.dataset import text_hash
from tests.data.tars import noise
from tests.shared import must_refuse


@pytest.fixture
def pictures(tmp_path):
    """Twelve files of one colour each, their names."""
    for k in range(12):
        Image.new("RGB", (8, 8), (20 * k, 0, 0)).save(tmp_path / f"{k}.png")
    return [f"{k}.png" for k in range(12)]


def red(pairs):
    return [pairs.image(i).getpixel((0, 0))[0] for i in range(len(pairs))]


def test_a_picture_is_an_image_a_path_or_bytes(tmp_path, pictures):
    image = Image.open(tmp_path / "1.png")
    data = (tmp_path / "2.png").read_bytes()
    pairs = open_pairs(
        [
            (tmp_path / "0.png", "a"),
            (image, ["b", "b again"]),
            {"image": {"bytes": data, "path": "x.png"}, "caption": "c"},
            (tmp_path / "missing.png", "d"),
            (image, None),
            (None, "e"),
            (tmp_path / "0.png", "a again"),
            ({"bytes": "iVBORw0KGgo=", "path": str(tmp_path / "0.png")}, "f"),
        ]
    )
    *skipped, (_, coded) = pairs.skipped
    assert "Base64" in coded
    assert red(pairs) == [0, 20, 40]
    assert [pairs.captions(i) for i in range(3)] == [("a", "a again"), ("b", "b again"), ("c",)]
    assert pairs.where(1) == "record 1" and pairs.where(2) == "record 2"
    assert skipped == [
        (f"record 3, {tmp_path / 'missing.png'}", "no such file or directory"),
        ("record 4", "an empty caption"),
        ("record 5", "no picture"),
    ]


def test_a_picture_that_pillow_has_opened_is_read_before_processes_share_its_file(tmp_path):
    noise(99, 99).save(tmp_path / "a.png")
    pairs = open_pairs([(Image.open(tmp_path / "a.png"), "a")])
    os.truncate(tmp_path / "a.png", 9)
    assert pairs.image(0).tobytes() == noise(99, 99).tobytes()


def test_a_pair_is_recognized_in_another_order_and_beside_some_of_its_captions(tmp_path, pictures):
    data = [(tmp_path / f"{k}.png").read_bytes() for k in range(2)]
    first = open_pairs([(data[0], ["b", "a"]), (data[1], "b")])
    second = open_pairs([(data[1], "b"), (data[0], "b")])
    both = [[bool(first.hashes_of(i) & second.hashes_of(j)) for j in range(2)] for i in range(2)]
    assert both == [[False, True], [True, False]]
    forms = [open_pairs([(data[0], said)]).hashes_of(0) for said in ("caf\u00e9", "cafe\u0301")]
    assert set.intersection(*forms)
    older = text_hash('["1.png", "a", "b"]') >> 1  # the only hash in checkpoints of before
    assert older in open_pairs([(tmp_path / "1.png", ["b", "a"])]).hashes_of(0)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_file_of_records_is_as_a_csv(tmp_path, pictures, kind):
    rows = [{"file_name": name, "text": f"a {name}", "other": 1} for name in pictures]
    if kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "p.parquet")
    else:
        (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "p.csv").write_text("file_name,text\n" + "".join(f"{n},a {n}\n" for n in pictures))
    records, table = open_pairs(tmp_path / f"p.{kind}"), open_pairs(tmp_path / "p.csv")
    assert records.splits == table.splits and red(records) == red(table)
    for i in range(12):
        assert records.captions(i) == table.captions(i) and records.where(i) == table.where(i)
    other = open_pairs(tmp_path / f"p.{kind}", caption_column="file_name")
    assert other.captions(3) == ("3.png",)


def test_a_dataset_of_hugging_face(pictures, tmp_path):
    datasets = pytest.importorskip("datasets")
    Image.new("RGB", (8, 8)).save(tmp_path / "0.jpg")
    (tmp_path / "x.jpg").write_text("damaged")
    paths = [str(tmp_path / name) for name in ("0.jpg", *pictures[1:])]
    paths.insert(0, str(tmp_path / "x.jpg"))
    data = {"filename": ["0.jpg"] * 13, "image": paths, "text": list("xabcdefghijkl")}
    data = datasets.Dataset.from_dict(data).cast_column("image", datasets.Image())
    pairs = open_pairs(data)  # which decodes none of them
    must_refuse("not a picture that can be read", pairs.image, 0)
    found = [pairs.image(i).getpixel((0, 0))[0] for i in range(1, 13)]
    assert found == [20 * k for k in range(12)] and pairs.captions(3) == ("c",)
    pixels = data.with_transform(lambda rows: {"pixels": rows["text"]})
    for some in (pixels, pixels.select(range(1, 13))):
        must_refuse("has a transform that leaves out a column", open_pairs, some)
    os.remove(paths[1])
    must_refuse("no such file or directory: .*0.jpg", pairs.image, 1)


def test_paths_in_a_dataset_are_as_paths_in_a_list(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    datasets = pytest.importorskip("datasets")
    records = [dict(image=p, caption=f"{p} {k}") for k in range(2) for p in pictures]
    of_a_dataset = open_pairs(datasets.Dataset.from_list(records))
    assert len(of_a_dataset) == 12 and of_a_dataset.digest == open_pairs(records).digest


def test_a_column_split_says_what_is_held_out(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    datasets = pytest.importorskip("datasets")
    parts = ["train", "val", "test", "restval", None, *["train"] * 7]
    records = [dict(image=p, caption="x", split=s) for p, s in zip(pictures, parts)]
    of_a_dataset = open_pairs(datasets.Dataset.from_list(records))
    assert of_a_dataset.splits == {"train": [0, *range(5, 12)], "val": [1, 3, 4], "test": [2]}
    records += [
        dict(image=pictures[0], caption="y", split="test"),
        dict(image="no.png", caption="x"),
    ]
    pairs = open_pairs(records)  # one record holds out its picture
    assert pairs.splits == {"train": [*range(5, 12)], "val": [1, 3, 4], "test": [0, 2]}


def test_a_damaged_parquet_and_options_of_others_are_refused(tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"PAR1" + bytes(20))
    must_refuse("is damaged|pip install pyarrow", open_pairs, tmp_path / "p.parquet")
    must_refuse("--icons is for icons, not for records", open_pairs, [("0.png", "a")], icons="x")


def test_two_pictures_may_have_one_name_and_one_picture_two(tmp_path, pictures):
    data = [(tmp_path / name).read_bytes() for name in pictures[:2]]
    rows = [{"image": {"bytes": own, "path": "x.png"}, "caption": c} for own, c in zip(data, "ab")]
    assert red(open_pairs(rows)) == [0, 20]
    rows = [{"path": name, "caption": c} for name, c in (("0.png", "a"), ("./0.png", "b"))]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, [*rows, rows[0]])))
    pairs = open_pairs(tmp_path / "p.jsonl")
    assert [pairs.captions(i) for i in range(len(pairs))] == [("a", "b")]

"""Labelled pictures from a folder, a csv and a tar; whatever is wrong is one sentence."""

import hashlib
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from miniclip import plots
from miniclip.data.dataset import Pairs, report_skipped
from miniclip.data.image_io import MOST_PICTURE_BYTES
from miniclip.data.labelled import of_pairs, open_labelled
from miniclip.data.shards.tar_index import MOST_TEXT_BYTES
from tests.data import tars
from tests.shared import must_refuse


def picture(k=0):
    return Image.new("RGB", (20, 16), (9 * k % 256, 200, 7))


def folder_of(root, classes, each=6, below=""):
    for c, name in enumerate(classes):
        (root / below / name).mkdir(parents=True)
        for k in range(each):
            picture(c * each + k).save(root / below / name / f"{k}.png")
    return root


def shard(path, samples):
    png = tars.picture("PNG")
    members = [((f"{key}.png", png), (f"{key}.cls", str(label).encode())) for key, label in samples]
    tars.write_tar(path, sum(members, ()))
    return path


# --- a folder and a csv


def test_figures_of_a_report_or_of_a_run_among_the_pictures_are_no_class(tmp_path):
    folder_of(tmp_path, ["cat", "dog"])
    for k in range(2):
        plots.lines([({"": ([0], [k])}, {})], tmp_path / f"report/{('shots', 'curves')[k]}.png")
    found = open_labelled(tmp_path)
    assert found.class_names == ["cat", "dog"] and found.skipped[0][0] == "report/"


def test_halves_are_by_the_last_bit_of_the_first_byte_of_the_path_s_hash(tmp_path):
    found = open_labelled(folder_of(tmp_path, ["hot_dog", "cat"], each=20))
    assert found.class_names == ["cat", "hot dog"] and found.name == tmp_path.name
    names = sorted(f"{name}/{k}.png" for name in ("cat", "hot_dog") for k in range(20))
    odd = [hashlib.sha256(name.encode()).digest()[0] % 2 for name in names]
    halves = {
        "train": [i for i in range(40) if odd[i]],
        "test": [i for i in range(40) if not odd[i]],
    }
    assert found.splits == halves | {"all": [*range(40)]}
    number = 20 + int(names[3][4:-4])  # cats come second
    assert found.pictures.image(3).getpixel((0, 0)) == (9 * number % 256, 200, 7)


@pytest.mark.parametrize(
    "labels, names, classes, found",
    [
        ("2 " + "1" + "0" * 18, None, ["2", "1" + "0" * 18], [0, 1]),  # 19 digits are a number
        ("2 " + "1" + "0" * 19, None, ["1" + "0" * 19, "2"], [1, 0]),
        ("0 1 5", "x y z", ["x", "y", "z"], [0, 1, 2]),
        ("0 1 3", "x y z", ["x", "y", "z"], [0, 1, 2]),
        ("0 2", "x y z", ["x", "y", "z"], [0, 2]),  # a class may have no picture
        ("0 3", "x y z", "^there are 3 class names for the 2 classes of a.csv; ", None),
    ],
)
def test_names_go_with_numbers_in_order_unless_all_numbers_are_below_their_count(
    labels, names, classes, found, tmp_path
):
    for k, label in enumerate(labels.split()):
        picture().save(tmp_path / f"{k}.png")
    rows = "".join(f"{k}.png,{label}\n" for k, label in enumerate(labels.split()))
    (tmp_path / "a.csv").write_text("path,label\n" + rows + "a.png\n,3\na.png,\n")
    if found is None:
        must_refuse(classes, open_labelled, tmp_path / "a.csv", names.split())
        return
    labelled = open_labelled(tmp_path / "a.csv", names and names.split())
    assert labelled.class_names == classes and [*labelled.labels.values()] == found


def test_classes_that_pairs_bring_are_those_of_training_and_of_the_held_out_concepts():
    class Classed(Pairs):
        class_names = ("zero", "one")

        def label(self, i):
            return [0, -1, 1, 1, 0, -1][i]

    splits = {"train": [0, 1, 2], "heldout_concepts": [3, 4, 5]}
    pairs = Classed("things", [[str(i)] for i in range(6)], splits)
    found = of_pairs(pairs)
    assert found.labels == {0: 0, 2: 1, 3: 1, 4: 0} and found.class_names == ["zero", "one"]
    assert found.splits == {"train": [0, 2], "test": [3, 4], "all": [3, 4]}
    assert found.pictures is pairs and of_pairs(Pairs("none", [["x"]], {"train": [0]})) is None


def test_names_by_labels_may_be_more_than_the_pictures_need(tmp_path):
    names = {"n3": "three", "n1": "one", "n2": "two"}
    assert open_labelled(folder_of(tmp_path / "a", ["n2", "n3"]), names).class_names == [
        "two",
        "three",
    ]
    numbers = open_labelled(folder_of(tmp_path / "b", ["0", "2"]), names)
    assert numbers.class_names == ["three", "one", "two"] and {*numbers.labels.values()} == {0, 2}


def test_a_second_label_is_noted_and_nothing_is_left_out(tmp_path):
    for k in "01":
        picture().save(tmp_path / f"{k}.png")
    (tmp_path / "a.csv").write_text("path,label\n0.png,cat\n0.png,dog\n1.png,dog\n")
    found = open_labelled(tmp_path / "a.csv")
    assert found.labels == {0: 0, 1: 1} and not found.skipped
    assert report_skipped(found.notes, head="noted").startswith("noted 1: 0.png (it has several")


# --- CIFAR


@pytest.mark.parametrize("coarse", [False, True])
def test_the_binary_files_of_cifar_give_their_pixels_labels_and_names(tmp_path, coarse):
    """Their format: https://www.cs.toronto.edu/~kriz/cifar.html"""
    names = "fine_label_names.txt" if coarse else "batches.meta.txt"
    (tmp_path / names).write_text("airplane\nautomobile\nbird\n\n")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    records = [
        bytes([9] * coarse + [label]) + one.transpose(2, 0, 1).tobytes()
        for label, one in zip((2, 0, 1, 2), pixels)
    ]
    train, test = ("train.bin", "test.bin") if coarse else ("data_batch_1.bin", "test_batch.bin")
    (tmp_path / train).write_bytes(b"".join(records[:3]))
    (tmp_path / test).write_bytes(records[3])
    found = open_labelled(tmp_path)
    assert found.class_names == ["airplane", "automobile", "bird"]
    assert [*found.labels.values()] == [2, 0, 1, 2]
    assert found.splits == {"train": [0, 1, 2], "test": [3], "all": [3]}
    for i, one in enumerate(pixels):
        assert np.array_equal(np.asarray(found.pictures.image(i)), one)


# --- tars


def test_folders_of_shards_are_read_as_clip_benchmark_lays_them_out(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    root, keys = tmp_path / "wds", iter(range(99))
    for part, count in (("train", 3), ("test", 2)):
        (root / part).mkdir(parents=True)
        (root / part / "nshards.txt").write_text(str(count))
        for k in range(count):
            with webdataset.TarWriter(str(root / part / f"{k}.tar")) as tar:
                for label in (1, 2):
                    tar.write({"__key__": f"s{next(keys):07}", "png": picture(k), "cls": label})
    (root / "classnames.txt").write_text("cat\ndog\nfish\n")
    (root / "zeroshot_classification_templates.txt").write_text("a {c}.\n")
    found = open_labelled(root)
    assert found.class_names == ["cat", "dog", "fish"] and found.templates == ["a {c}."]
    assert {s: len(own) for s, own in found.splits.items()} == {"train": 6, "test": 4, "all": 4}
    assert [found.labels[i] for i in found.splits["test"]] == [1, 2, 1, 2]
    shards = [root / "test/0.tar", root / "test/1.tar"]
    for source in (root / "test", f"{root}/test/{{0..1}}.tar", f"{root}/test/*.tar", shards):
        part = open_labelled(source)
        assert part.class_names == found.class_names and len(part.splits["all"]) == 4
        assert part.pictures.image(0).size == (20, 16)
    together = open_labelled([*shards, f"{root}/train/0.tar"])
    assert len(together.splits["train"]) == 2 and len(together.splits["test"]) == 4
    must_refuse("2.tar not found", open_labelled, f"{root}/test/{{0..2}}.tar")


def test_a_picture_has_another_stamp_when_its_file_is_written_again(tmp_path):
    found = open_labelled(folder_of(tmp_path, ["cat", "dog"], each=1)).pictures
    before = [found.stamp(0), found.stamp(1)]
    picture(9).save(tmp_path / "dog/0.png")
    assert found.stamp(0) == before[0] and found.stamp(1) != before[1]


# --- a tar


@pytest.mark.parametrize("inside", ["./", "./some/where.else/", "//top/"])
def test_a_shard_is_the_same_wherever_its_members_lie_in_it(tmp_path, inside):
    samples = [(f"{k:04d}", k % 3) for k in range(9)]
    found = open_labelled(shard(tmp_path / "a.tar", [(inside + key, k) for key, k in samples]))
    assert found.class_names == ["0", "1", "2"] and not found.skipped and len(found.labels) == 9
    if inside == "./":  # the halves are by the hash of the key
        assert found.splits == open_labelled(shard(tmp_path / "b.tar", samples)).splits


def test_what_a_tar_holds_besides_good_samples_is_named(tmp_path):
    jpg, deep = tars.picture(), "folder.v1/3"
    members = {
        "0.jpg": jpg, "0.cls": b" 0\n", "1.JPG": jpg, "1.txt": b"1", f"{deep}.jpg": jpg,
        f"{deep}.txt": b"a caption", f"{deep}.cls": b"1", "0.png": jpg, "0.seg.png": jpg,
        "4.jpg": jpg, "5.cls": b"7", "6.cls": b"", "6.jpg": jpg, "7.jpg": b"damaged", "7.cls": b"0",
        "8.cls": b"0", "8.jpg": (tarfile.SYMTYPE, "0.jpg"), "9.jpg": jpg,
        "9.txt": b"1" * (MOST_TEXT_BYTES + 1), "a.jpg": bytes(MOST_PICTURE_BYTES + 1), "a.cls": b"0",
    }  # fmt: skip
    found = open_labelled(tars.write_tar(tmp_path / "a.tar", members.items()))
    assert found.class_names == ["0", "1"] and found.labels == {0: 0, 1: 1, 2: 1, 3: 0, 4: 0}
    for i in (3, 4):
        must_refuse("not a picture|more than 64 MiB", found.pictures.image, i)
    assert sorted(found.skipped) == [
        ("0.png", "a second file of the same key; the first is used"),
        ("4.jpg", "no label"),
        ("6.jpg", "no label"),
        ("7", "not a picture that can be read"),
        ("8.jpg", "a link, a device or a sparse file, not a plain file"),
        ("9.jpg", "no label"),
        ("a", "67,108,865 bytes: more than 64 MiB"),
    ]


def test_a_tar_that_ends_too_soon_keeps_what_came_before(tmp_path):
    path = shard(tmp_path / "a.tar", [(f"{k:04d}", k % 2) for k in range(6)])
    found = open_labelled(path)
    os.truncate(path, 512 * 13 + 10)  # a sample has four blocks
    must_refuse("has become shorter", found.pictures.image, 5)
    again = open_labelled(path)
    assert len(again.labels) == 3 and "truncated" in dict(again.skipped)["0003.png"]
    os.unlink(path)
    must_refuse("cannot be read: No such file", found.pictures.image, 0)

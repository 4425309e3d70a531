"""Labelled pictures from a folder, a csv and a tar; whatever is wrong is one sentence."""

import io
import tarfile

import pytest
from PIL import Image

from miniclip.data.labelled import open_labelled


def picture(k=0):
    return Image.new("RGB", (20, 16), (9 * k % 256, 200, 7))


def folder_of(root, classes, each=6, below=""):
    for c, name in enumerate(classes):
        (root / below / name).mkdir(parents=True)
        for k in range(each):
            picture(c * each + k).save(root / below / name / f"{k}.png")
    return root


def test_a_folders_names_are_its_classes(tmp_path):
    found = open_labelled(folder_of(tmp_path, ["hot_dog", "cat"]))
    assert found.class_names == ["cat", "hot dog"]
    assert sorted(found.splits["train"] + found.splits["test"]) == list(range(12))
    assert not set(found.splits["train"]) & set(found.splits["test"])
    assert found.pictures.image(0).mode == "RGB"


def test_train_and_test_folders_are_kept_apart(tmp_path):
    for part in ("train", "test"):
        folder_of(tmp_path, ["cat", "dog"], below=part)
    found = open_labelled(tmp_path)
    assert len(found.splits["train"]) == len(found.splits["test"]) == 12
    assert found.splits["all"] == found.splits["test"] and found.class_names == ["cat", "dog"]


def test_a_csv_and_a_folder_of_the_same_pictures_agree(tmp_path):
    found = open_labelled(folder_of(tmp_path / "f", ["cat", "dog"]))
    lines = [f"f/{name}/{k}.png;{name}" for name in ("cat", "dog") for k in range(6)]
    (tmp_path / "pairs.csv").write_text("\n".join(["filepath;label", *lines]))
    rows = open_labelled(tmp_path / "pairs.csv")
    assert rows.class_names == found.class_names and rows.labels == found.labels


def shard(path, samples):
    with tarfile.open(path, "w") as tar:
        for key, label in samples:
            png = io.BytesIO()
            picture().save(png, "PNG")
            for name, data in ((f"{key}.png", png.getvalue()), (f"{key}.cls", str(label).encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def test_a_shards_numbers_go_with_the_names_given(tmp_path):
    path = shard(tmp_path / "a.tar", [(f"{k:04d}", k % 11) for k in range(22)])
    names = [f"class {k}" for k in range(12)]  # the last has no picture here
    found = open_labelled(path, names)
    assert found.class_names == names
    assert [found.labels[i] for i in range(22)] == [k % 11 for k in range(22)]
    assert found.pictures.image(3).size == (20, 16)


def test_unreadable_pictures_are_left_out_and_named(tmp_path):
    folder_of(tmp_path, ["cat", "dog"])
    (tmp_path / "cat/bad.png").write_bytes(b"no picture")
    found = open_labelled(tmp_path)
    assert len(found.labels) == 12 and found.skipped[0][0] == "cat/bad.png"


@pytest.mark.parametrize(
    "make, names, words",
    [
        (lambda p: p, None, "no labelled picture"),
        (lambda p: folder_of(p, ["cat"]), None, "at least two classes"),
        (lambda p: folder_of(p, ["cat", "dog"]), ["cat"], "1 class names for the 2"),
        (lambda p: p / "nowhere", None, "nowhere"),
        (
            lambda p: (p / "a.csv").write_text("a,b\n1,2") and p / "a.csv",
            None,
            "filepath and label",
        ),
        (lambda p: (p / "a.tar").write_text("x" * 999) and p / "a.tar", None, "no tar"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, make, names, words):
    with pytest.raises(ValueError, match=words) as error:
        open_labelled(make(tmp_path), names)
    assert "\n" not in str(error.value)

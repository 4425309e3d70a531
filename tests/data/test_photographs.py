"""The blocks of docs/photographs.md turn files in the layout of each set into pairs."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from miniclip.data import open_pairs

PAGE = (Path(__file__).parents[2] / "docs/photographs.md").read_text()
BLOCKS = dict(re.findall(r"^```python (\w+)\n(.*?)^```$", PAGE, re.M | re.S))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pictures(folder, *names):
    folder.mkdir()
    for k, name in enumerate(names):
        Image.new("RGB", (40, 30), (60 * k, 90, 120)).save(folder / name)


def check(source, prefix, captions):
    pairs = open_pairs(source)
    found = {pairs.where(i): pairs.captions(i) for i in range(len(pairs))}
    assert {path: list(found[path]) for path in found} == captions
    assert all(path.startswith(prefix) for path in found) and not pairs.skipped


def test_flickr8k(folder):
    pictures(folder / "Flicker8k_Dataset", "1_a.jpg", "2_b.jpg")
    lines = ['1_a.jpg#0\tA dog , "wet" , runs .', "1_a.jpg#1\tA wet dog .", "2_b.jpg#0\tTwo boys ."]
    (folder / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    exec(BLOCKS["flickr8k"], {})
    check(
        "flickr8k.csv",
        "Flicker8k_Dataset/",
        {
            "Flicker8k_Dataset/1_a.jpg": ['A dog , "wet" , runs .', "A wet dog ."],
            "Flicker8k_Dataset/2_b.jpg": ["Two boys ."],
        },
    )


def test_the_other_copy_of_flickr8k_needs_no_conversion(folder):
    pictures(folder / "Images", "1.jpg", "2.jpg")
    text = "image,caption\n1.jpg,A dog , wet , runs .\n1.jpg,A wet dog .\n2.jpg,Two boys .\n"
    (folder / "Images/captions.txt").write_text(text)
    expected = {"1.jpg": ["A dog , wet , runs .", "A wet dog ."], "2.jpg": ["Two boys ."]}
    check("Images/captions.txt", "", expected)


def test_coco(folder):
    pictures(folder / "train2017", "000000000009.jpg", "000000000025.jpg")
    (folder / "annotations").mkdir()
    images = [{"id": n, "file_name": f"{n:012}.jpg", "width": 40} for n in (9, 25)]
    notes = [(25, "A giraffe. "), (9, "Broccoli\nin a box."), (25, "Two trees.")]
    annotations = [{"image_id": n, "id": k, "caption": c} for k, (n, c) in enumerate(notes)]
    whole = {"images": images, "annotations": annotations}
    (folder / "annotations/captions_train2017.json").write_text(json.dumps(whole))
    exec(BLOCKS["coco"], {})
    expected = {
        "train2017/000000000009.jpg": ["Broccoli in a box."],
        "train2017/000000000025.jpg": ["A giraffe.", "Two trees."],
    }
    check("coco.csv", "train2017/", expected)

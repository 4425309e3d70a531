"""The blocks of docs/photographs.md turn files in the layout of each set into pairs."""

import json
import re
from pathlib import Path

import pytest

from miniclip.data import open_pairs
from tests.data.tars import save

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

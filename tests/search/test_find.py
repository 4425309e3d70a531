"""python -m miniclip.search find: queries of words and pictures, and one sentence for wrong input."""

import re
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import eval as evaluation
import miniclip
from miniclip.data.dataset import printable
from miniclip.search import build, find
from miniclip.search.__main__ import COMMANDS
from miniclip.search.__main__ import main as search
from miniclip.search.find import main
from miniclip.search.index import Index
from tests.search.folders import fill, refusal, said, tiny_checkpoint, write_index

TIMES = re.compile(r"12 pictures: loading \d+\.\d\d s, query \d+\.\d{3} s\n$")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """An indexed folder of twelve pictures, and its model's checkpoint."""
    root = tmp_path_factory.mktemp("photos")
    checkpoint = tiny_checkpoint(root / "model.pt")
    fill(root / "in", 12)
    assert build.main([str(root / "in"), "--checkpoint", checkpoint]) == 0
    return root / "in", checkpoint


@pytest.fixture(scope="module")
def model(photos):
    """(index, a function from texts to unit features, and one from a path of a picture)."""
    model, tokenizer, preprocess = miniclip.load(photos[1])

    @torch.inference_mode()
    def text(words):
        return model.encode_text(tokenizer([words]), normalize=True)[0]

    @torch.inference_mode()
    def picture(path):
        return model.encode_image(preprocess(Image.open(path))[None], normalize=True)[0]

    return Index.open(photos[0] / ".miniclip"), text, picture


def lines(index, query, k):
    """What the command should print of a query (E,): the paths, best first."""
    cosines = torch.from_numpy(index.features).float() @ F.normalize(query, dim=0)
    return [str(index.path(row)) for row in cosines.argsort(descending=True)[:k].tolist()]


def test_a_query_of_words_pictures_and_what_to_avoid(photos, model, capsys):
    (root, _), (index, text, picture) = photos, model
    photo = root / "00005.png"
    heart, cup = text("a red heart"), text("cup")
    queries = {
        ("a red heart", root): heart,
        (" a red heart ", root, "-k", 3): heart,
        ("a red heart", root, "--minus", "cup"): heart - cup / 2,
        ("a red heart", root, "--image", photo): heart + picture(photo),
        ("a red heart", root, "--image", photo, "--minus", "cup"): heart + picture(photo) - cup / 2,
        ("", root, "--image", photo): picture(photo),
        (root, "--image", photo): picture(photo),
    }
    for arguments, query in queries.items():
        out = said(main, arguments, capsys)
        k = 3 if "-k" in arguments else 10
        found = re.findall(r"^ *\d+  (-?\d\.\d{3})  (.*)$", out, re.M)
        assert [path for _, path in found] == lines(index, query, k), arguments
        assert TIMES.search(out), out
    assert found[0] == ("1.000", str(photo)), "a picture is most like itself"


def test_more_than_there_are_prints_all(photos, capsys):
    out = said(main, ["cup", photos[0], "-k", 500], capsys)
    assert out.count(".png") == 12


def test_the_index_of_the_working_folder_or_the_one_that_is_named(photos, capsys, monkeypatch):
    monkeypatch.chdir(photos[0])
    here = said(main, ["cup"], capsys)
    assert re.search(r"^  1  \S+  (below/deep [01]/)?\d+\.png$", here, re.M), here
    there = said(main, ["cup", "--index", photos[0] / ".miniclip"], capsys)
    assert here.split("12 pictures")[0] == there.replace(f"{photos[0]}/", "").split("12 pict")[0]


def test_the_grid_draws_what_was_found_even_if_one_is_gone(photos, tmp_path, capsys, monkeypatch):
    drawn = []
    real = find.thumbnail
    monkeypatch.setattr(find, "thumbnail", lambda p: drawn.append(p) or real(p))
    gone = photos[0] / "00001.png"
    data = gone.read_bytes()
    gone.unlink()
    try:
        out = said(main, ["cup", photos[0], "-k", 12, "--grid", tmp_path / "a/g.png"], capsys)
    finally:
        gone.write_bytes(data)
    assert "drawn in " in out and len(drawn) == 12
    with Image.open(tmp_path / "a/g.png") as grid:
        assert grid.width > grid.height > 200
    Image.new("RGB", (3000, 100), "red").save(tmp_path / "wide.png")
    assert real(tmp_path / "wide.png").size == (256, 9)


def test_wrong_input_is_one_sentence(photos, tmp_path, capsys):
    root, checkpoint = photos
    assert "there is no index in" in refusal(main, ["cup", tmp_path], capsys)
    assert "there is no index in" in refusal(main, ["cup", tmp_path / "nowhere"], capsys)
    for empty in (["", root], ["  ", root], ["", root, "--minus", "cup"]):
        assert "the query is empty" in refusal(main, empty, capsys)
    assert "not both" in refusal(main, ["cup", root, "--index", root / ".miniclip"], capsys)
    assert "no such file" in refusal(main, ["cup", root, "--image", tmp_path / "a.png"], capsys)
    (tmp_path / "b.png").write_text("x")
    error = refusal(main, ["cup", root, "--image", tmp_path / "b.png"], capsys)
    assert "b.png: not a picture that can be read" in error
    assert "at least 1" in refusal(main, ["cup", root, "-k", 0], capsys)
    other = tiny_checkpoint(tmp_path / "other.pt", seed=1)
    error = refusal(main, ["cup", root, "--checkpoint", other], capsys)
    assert printable(checkpoint) in error and printable(other) in error
    (tmp_path / "a folder.png").mkdir()
    for name, why in (("g.xyz", "end in .png"), ("a folder.png", "is no file"), ("g", "end in")):
        assert why in refusal(main, ["cup", root, "--grid", tmp_path / name], capsys)


def test_a_model_that_moved_is_named_and_one_that_changed_is_refused(tmp_path, capsys):
    checkpoint = tiny_checkpoint(tmp_path / "model.pt")
    fill(tmp_path / "in", 3)
    said(build.main, [tmp_path / "in", "--checkpoint", checkpoint], capsys)
    (tmp_path / "model.pt").rename(tmp_path / "moved.pt")
    error = refusal(main, ["cup", tmp_path / "in"], capsys)
    assert f"no longer in {printable(checkpoint)}; give --checkpoint" in error
    out = said(main, ["cup", tmp_path / "in", "--checkpoint", tmp_path / "moved.pt"], capsys)
    assert "3 pictures: " in out
    tiny_checkpoint(tmp_path / "model.pt", seed=1)  # trained further, under the same name
    assert "was made with the model" in refusal(main, ["cup", tmp_path / "in"], capsys)


def test_an_interrupted_index_is_searched_and_said_to_be_unfinished(photos, tmp_path, capsys):
    index = Index.open(photos[0] / ".miniclip")
    write_index(replace(index, finished=False), tmp_path / "i")
    out = said(main, ["cup", "--index", tmp_path / "i"], capsys)
    assert "12 pictures: " in out and "the index is not finished" in out


def test_the_commands_are_there_and_name_their_options(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stop:
            search([name, "-h"])
        assert stop.value.code == 0 and f"miniclip.search {name}" in capsys.readouterr().out
    assert "invalid choice" in refusal(search, ["look"], capsys)


def test_eval_names_this_command_where_its_search_would_ignore_the_pictures(capsys, tmp_path):
    arguments = ["--checkpoint", "icons", "--images", tmp_path, "--search", "dog"]
    assert "python -m miniclip.search index DIR" in refusal(evaluation.main, arguments, capsys)

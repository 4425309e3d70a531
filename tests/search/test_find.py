"""python -m miniclip.search find: exact search, queries of words and pictures, and wrong input."""

import os
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from miniclip.data.dataset import printable
from miniclip.search import build, find
from miniclip.search.database import Index
from miniclip.search.embed import open_encoder
from miniclip.search.find import main, nearest
from tests.search.folders import fill, fresh, said, tiny_checkpoint
from tests.shared import must_refuse, python


@pytest.fixture(scope="module")
def root(tmp_path_factory, checkpoint):
    """An indexed folder of twelve pictures."""
    root = tmp_path_factory.mktemp("photos")
    fill(root, 12)
    assert build.main([str(root), "--checkpoint", checkpoint]) == 0
    return root


@settings(derandomize=True, max_examples=50)
@given(st.integers(0, 12), st.integers(1, 15), st.integers(1, 60), st.integers(0, 999))
def test_what_is_found_is_what_sorting_all_cosines_gives(rows, k, block, seed):
    """Of equal cosines the earlier row comes first, also where a block ends between them."""
    rng = np.random.default_rng(seed)
    # few numbers, so that many are equal, and powers of two, so that sums are exact
    features = rng.choice([-0.5, 0.5], (rows, 4)).astype("f2")
    query = torch.from_numpy(rng.choice([-1, 1], 4).astype("f4") / 2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(find, "BLOCK", block)
        cosines, found = nearest(features, query, k)
    exact = (torch.from_numpy(features).float() @ query).sort(descending=True, stable=True)
    assert torch.equal(found, exact.indices[:k]) and torch.equal(cosines, exact.values[:k])


def test_a_query_of_words_and_pictures(root, checkpoint, capsys):
    index, photo = Index.open(root / ".miniclip"), root / "00005.png"
    [heart] = fresh(checkpoint, texts=["a red heart"])
    [picture] = fresh(checkpoint, [photo])
    queries = {
        ("a red heart", root): heart,
        (" a red heart ", root, "-k", 3): heart,
        ("a red heart", root, "-k", 500): heart,  # more than there are prints all
        ("a red heart", root, "--image", photo): heart + picture,
        ("", root, "--image", photo): picture,
        (root, "--image", photo): picture,
    }
    for arguments, query in queries.items():
        out = said(main, arguments, capsys)
        found = re.findall(r"^ *\d+  (-?\d\.\d{3})  (.*)$", out, re.M)
        cosines = torch.from_numpy(index.features).float() @ F.normalize(query, dim=0)
        k = arguments[-1] if "-k" in arguments else 10
        want = [str(index.path(row)) for row in cosines.argsort(descending=True)[:k].tolist()]
        assert [path for _, path in found] == want, arguments
    assert found[0] == ("1.000", str(photo)), "a picture is most like itself"


def test_the_index_of_the_working_folder_or_the_one_that_is_named(root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    here = said(main, ["cup"], capsys)
    assert re.search(r"^  1  \S+  (below/deep [01]/)?\d+\.png$", here, re.M), here
    there = said(main, ["cup", "--index", root / ".miniclip"], capsys)
    assert here.split("12 pictures")[0] == there.replace(f"{root}/", "").split("12 pict")[0]


def test_a_path_can_be_pasted_unless_a_terminal_would_obey_it(tmp_path, checkpoint, capsys):
    names = ["at 10.00\u202fPM.png", "\U0001f469\u200d\U0001f692.png", "a\nb.png", "c\u202ed.png"]
    for name in names:
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    said(build.main, [tmp_path, "--checkpoint", checkpoint], capsys)
    out = said(main, ["cup", tmp_path], capsys)
    shown = {*names[:2], "a\\nb.png", "c\\u202ed.png"}
    assert {*re.findall("  (/.*)$", out, re.M)} == {str(tmp_path / name) for name in shown}


def test_the_grid_draws_what_was_found_even_if_one_is_gone(tmp_path, checkpoint, capsys):
    fill(tmp_path / "in", 9)
    Image.new("RGB", (3000, 100), "red").save(tmp_path / "in/wide.png")
    said(build.main, [tmp_path / "in", "--checkpoint", checkpoint], capsys)
    (tmp_path / "in/00001.png").unlink()
    arguments = ["cup", tmp_path / "in", "-k", 12, "--grid", tmp_path / "a/g.png"]
    assert "drawn in " in said(main, arguments, capsys)
    with Image.open(tmp_path / "a/g.png") as grid:
        assert grid.width > grid.height > 200
    assert find.thumbnail(tmp_path / "in/wide.png", np.int64(256)).size == (256, 9)


def test_wrong_input_is_one_sentence(root, checkpoint, tmp_path, refused):
    (tmp_path / "b.png").write_text("x")
    (tmp_path / "a folder.png").mkdir()
    other = tiny_checkpoint(tmp_path / "other.pt", seed=1)
    for arguments, *words in (
        (["cup", tmp_path], "there is no index in"),
        (["cup", tmp_path / "nowhere"], "there is no index in"),
        (["", root], "the query is empty"),
        (["  ", root], "the query is empty"),
        (["cup", tmp_path, "--index", root / ".miniclip"], "is not the index of"),
        (["cup", root, "--image", tmp_path / "a.png"], "no such file"),
        (["cup", root, "--image", tmp_path / "b.png"], "b.png cannot be used: not a picture"),
        (["cup", root, "-k", 0], "at least 1"),
        (["cup", root, "--checkpoint", other], printable(checkpoint), printable(other)),
        (["cup", root, "--grid", tmp_path / "g.xyz"], "a name with .png"),
        (["cup", root, "--grid", tmp_path / "g"], "a name with .png"),
        (["cup", root, "--overwrite"], "--overwrite is for --grid"),
        (["cup", root, "--grid", tmp_path / "a folder.png"], "is not a file"),
    ):
        error = refused(main, *arguments)
        assert all(word in error for word in words), (words, error)


def test_a_model_that_moved_is_named_and_one_that_changed_is_refused(tmp_path, capsys, refused):
    checkpoint = tiny_checkpoint(tmp_path / "model.pt")
    fill(tmp_path / "in", 3)
    said(build.main, [tmp_path / "in", "--checkpoint", checkpoint], capsys)
    (tmp_path / "model.pt").rename(tmp_path / "moved.pt")
    error = refused(main, "cup", tmp_path / "in")
    assert f"no longer in {printable(checkpoint)}; give --checkpoint" in error
    out = said(main, ["cup", tmp_path / "in", "--checkpoint", tmp_path / "moved.pt"], capsys)
    assert out.endswith("3 pictures\n")
    tiny_checkpoint(tmp_path / "model.pt", seed=1)  # trained further, under the same name
    assert "was made with the model" in refused(main, "cup", tmp_path / "in")


@pytest.mark.slow
def test_a_locale_of_ascii_finds_the_pictures_of_an_index(tmp_path, checkpoint, encoder):
    fill(tmp_path / "é/ü", 1)
    build.build(tmp_path / "é", tmp_path / "i", encoder)
    ascii = dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    said = python(
        *("-m", "miniclip.search", "find", "cup", "--index", tmp_path / "i"), env=os.environ | ascii
    )
    assert said.endswith("1 pictures\n"), said


def test_a_query_is_of_32_bits_and_read_only_features_are_searched_silently(encoder, recwarn):
    features = np.eye(128, dtype="f2")
    features.flags.writeable = False
    without = encoder._replace(tokenizer=None)  # a picture needs no vocabulary
    wanted = find.query(without, image=torch.from_numpy(np.eye(128)[3]))
    assert wanted.dtype == torch.float32
    assert nearest(features, wanted, 1)[1].tolist() == [3] and not recwarn.list
    assert nearest(features[::-1], wanted, 1)[1].tolist() == [124]


def test_a_search_inside_autocast_finds_what_it_finds_outside():
    rows = F.normalize(torch.randn(99, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        inside = nearest(rows.numpy(), rows[0], 99)
    assert all(map(torch.equal, inside, nearest(rows.numpy(), rows[0], 99)))


def test_the_length_of_a_pictures_features_does_not_matter_beside_words(encoder):
    short, long = (find.query(encoder, "cup", torch.eye(128)[3] * length) for length in (0.3, 9))
    torch.testing.assert_close(short, long, rtol=0, atol=1e-6)  # rounding of unit vectors


@pytest.mark.parametrize(
    "words, call",
    [
        ("encoder must be of type Encoder, not str", lambda _: build.build("a", "b", "web")),
        ("side must be at least 1, not 0", lambda _: find.thumbnail("a.png", 0)),
        ("path must be of type str or Path, not None", lambda _: find.draw([], None)),
        ("there are no pictures to draw", lambda _: find.draw([], "a.png")),
        (
            "are zeros, add up to zero",
            lambda e: find.query(e, image=torch.zeros(128)),
        ),
        ("query are zeros", lambda e: find.query(e, "cup", torch.zeros(128))),
        ("or are not finite", lambda e: find.query(e, "a", torch.full((128,), torch.nan))),
        ("the query is empty", lambda _: find.query(open_encoder("web"), "\u200b")),
        (", of float16, float32 or", lambda _: nearest(np.array(1.0), torch.eye(1)[0], 1)),
        (", of float16, float32 or", lambda _: nearest(np.eye(3, dtype=">f4"), torch.eye(3)[0], 1)),
        ("of real numbers", lambda _: nearest(np.eye(3), torch.eye(3)[0] * (0.6 + 0.8j), 1)),
        ("of real numbers", lambda _: nearest(np.eye(3), torch.eye(3, device="meta")[0], 1)),
        ("of floating-point numbers", lambda e: find.query(e, image=torch.ones(128) * 1j)),
        ("of floating-point numbers", lambda e: find.query(e, image=torch.ones(128).to_sparse())),
        ("place must be of type str or Path, not None", lambda _: Index.open(None)),
    ],
)
def test_what_is_wrong_in_python_is_one_sentence(encoder, words, call):
    must_refuse(words, call, encoder)


def test_features_that_are_no_unit_vectors_are_refused_wherever_they_would_rank():
    features = np.eye(8, dtype=np.float16)
    for wrong in (np.nan, np.inf, -np.inf, 9):
        features[5, 5] = wrong
        must_refuse("not of length one", nearest, features, torch.ones(8) / 8**0.5, 1)

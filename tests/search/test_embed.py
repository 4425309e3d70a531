"""python -m miniclip.search embed: features of pictures, pairs and sentences, in a file."""

from pathlib import Path

import numpy as np
import pytest

from miniclip.data import open_pairs
from miniclip.data.shards.pack import pack
from miniclip.search.embed import main, open_encoder
from tests.search.folders import fill, fresh, said
from tests.shared import must_refuse


@pytest.fixture
def embedded(checkpoint, tmp_path, capsys):
    """-> a function of a source and options: (the arrays of the file, what was printed)."""

    def run(source, *options):
        out = tmp_path / "out/features.npz"
        printed = said(main, [source, out, "--checkpoint", checkpoint, *options], capsys)
        with np.load(out, allow_pickle=False) as file:
            return dict(file), printed

    return run


def same(found, want):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-5)  # fp32 sums in another order


def test_a_folder_gives_names_and_unit_features_of_what_can_be_read(embedded, checkpoint, tmp_path):
    root = tmp_path / "a folder.txt"
    fill(root, 7)
    (root / "broken.png").write_text("x")
    (root / "00001.txt").write_text("a caption is no picture")
    arrays, printed = embedded(root)
    assert arrays.keys() == {"names", "features"} and len(arrays["names"]) == 7
    assert "features (7, 128)" in printed and "(not a picture by its name)" in printed
    assert "(not a picture that can be read)" in printed
    same(arrays["features"], fresh(checkpoint, [root / name for name in arrays["names"]]))
    np.testing.assert_allclose(np.linalg.norm(arrays["features"], axis=1), 1, atol=1e-6)


def test_a_text_file_gives_a_row_for_each_sentence(embedded, checkpoint, tmp_path):
    (tmp_path / "in.TXT").write_text("a red heart\n\n  ünïcode cup \n", encoding="utf-8")
    arrays, _ = embedded(tmp_path / "in.TXT")
    assert arrays["names"].tolist() == ["a red heart", "ünïcode cup"]
    same(arrays["features"], fresh(checkpoint, texts=["a red heart", "ünïcode cup"]))


@pytest.mark.parametrize("kind", ["csv", "txt", "shards"])
def test_pairs_give_both_sides_and_which_caption_is_whose(
    embedded, checkpoint, tmp_path, cache, kind
):
    """kind "txt": a csv by that name, which an option for a csv tells."""
    fill(tmp_path, 4)
    rows = ["filepath|caption", "00001.png|cup", "gone.png|x", "00002.png|heart", "00001.png|a cup"]
    source = tmp_path / f"in.{kind}"
    source.write_text("\n".join(rows))
    if kind == "shards":
        pack(open_pairs(source), tmp_path / "tars", 1)
        source = tmp_path / "tars"
    arrays, printed = embedded(source, *(["--caption-column", "caption"] if kind == "txt" else []))
    assert "caption_rows (3,)" in printed
    assert len(arrays["names"]) == 2 and arrays["captions"].tolist() == ["cup", "a cup", "heart"]
    assert arrays["caption_rows"].tolist() == [0, 0, 1]
    same(arrays["features"], fresh(checkpoint, [tmp_path / f"0000{k}.png" for k in (1, 2)]))
    same(arrays["caption_features"], fresh(checkpoint, texts=arrays["captions"].tolist()))
    if kind != "shards":
        assert arrays["names"].tolist() == ["00001.png", "00002.png"]
        assert "gone.png (no such file" in printed


def test_the_word_for_a_built_in_set_is_no_folder(embedded, tmp_path, monkeypatch):
    fill(tmp_path / "emoji", 3)
    monkeypatch.chdir(tmp_path)
    records = [(tmp_path / "emoji/00001.png", "a cup")]
    monkeypatch.setattr("miniclip.search.embed.open_pairs", {"emoji": open_pairs(records)}.get)
    assert embedded("emoji")[0]["captions"].tolist() == ["a cup"]


def test_a_model_may_be_named_by_a_path_and_needs_a_thread():
    encoder = open_encoder(Path("icons"))
    assert encoder.file == "icons" and encoder.digest == open_encoder("icons").digest
    for threads in (0, 1025):
        must_refuse(
            f"threads must be 1 to 1024, not {threads}", open_encoder, "icons", threads=threads
        )


def test_what_is_wrong_is_one_sentence_and_writes_nothing(checkpoint, tmp_path, refused):
    fill(tmp_path / "in", 2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "a folder.npz").mkdir()
    for source, out, options, words in (
        ("nowhere", "o.npz", [], "not found; expected a csv"),
        ("empty", "o.npz", [], "no picture that can be read"),
        ("empty.txt", "o.npz", [], "is empty; write sentences"),
        ("in", "o.npz", ["--caption-column", "x"], "--caption-column is for csv"),
        ("in", "o.npy", [], "must be a name with .npz at its end, such as"),
        ("in", "a folder.npz", [], "cannot be written"),
    ):
        arguments = [tmp_path / source, tmp_path / out, "--checkpoint", checkpoint, *options]
        assert words in refused(main, *arguments)
        assert not (tmp_path / out).is_file()

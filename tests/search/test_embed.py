"""python -m miniclip.search embed: features of pictures, pairs and sentences, in a file."""

import types

import numpy as np
import pytest
import torch
from PIL import Image

import miniclip
from miniclip.data import open_pairs
from miniclip.data.shards.pack import pack
from miniclip.search import embed
from miniclip.search.embed import main
from tests.search.folders import fill, refusal, said, tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("model") / "checkpoint.pt")


def embedded(source, checkpoint, tmp_path, capsys, *options):
    """(the arrays of the file, what was printed)."""
    out = tmp_path / "out/features.npz"
    printed = said(main, [source, out, "--checkpoint", checkpoint, *options], capsys)
    with np.load(out, allow_pickle=False) as file:
        return dict(file), printed


@torch.inference_mode()
def fresh(checkpoint, pictures=(), texts=()):
    """What miniclip.load's model says of paths of pictures, or of texts."""
    model, tokenizer, preprocess = miniclip.load(checkpoint)
    if texts:
        return model.encode_text(tokenizer([*texts]), normalize=True).numpy()
    images = torch.stack([preprocess(Image.open(path)) for path in pictures])
    return model.encode_image(images, normalize=True).numpy()


def same(found, want):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-5)  # fp32 sums in another order


def test_a_folder_gives_names_and_unit_features_of_what_can_be_read(checkpoint, tmp_path, capsys):
    root = tmp_path / "a folder.txt"
    fill(root, 7)
    (root / "broken.png").write_text("x")
    (root / "00001.txt").write_text("a caption is no picture")
    arrays, printed = embedded(root, checkpoint, tmp_path, capsys)
    assert arrays.keys() == {"names", "features", "miniclip"} and len(arrays["names"]) == 7
    assert "features (7, 128)" in printed and "1 not a picture by its name" in printed
    assert "1 not a picture that can be read" in printed
    same(arrays["features"], fresh(checkpoint, [root / name for name in arrays["names"]]))
    np.testing.assert_allclose(np.linalg.norm(arrays["features"], axis=1), 1, atol=1e-6)


def test_a_text_file_gives_a_row_for_each_sentence(checkpoint, tmp_path, capsys):
    (tmp_path / "in.TXT").write_text("a red heart\n\n  ünïcode cup \n", encoding="utf-8")
    arrays, _ = embedded(tmp_path / "in.TXT", checkpoint, tmp_path, capsys)
    assert arrays["names"].tolist() == ["a red heart", "ünïcode cup"]
    same(arrays["features"], fresh(checkpoint, texts=["a red heart", "ünïcode cup"]))


@pytest.mark.parametrize("kind", ["csv", "txt", "shards"])
def test_pairs_give_both_sides_and_which_caption_is_whose(
    checkpoint, tmp_path, capsys, monkeypatch, kind
):
    """kind "txt": a csv by that name, which an option for a csv tells."""
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path / "cache"))
    fill(tmp_path, 4)
    rows = ["filepath|caption", "00001.png|cup", "gone.png|x", "00002.png|heart", "00001.png|a cup"]
    source, options = tmp_path / f"in.{kind}", ()
    source.write_text("\n".join(rows))
    if kind == "txt":
        options = ("--separator", "|")
    if kind == "shards":
        pack(open_pairs(source), tmp_path / "tars", 1)
        source = tmp_path / "tars"
    threads, encode, times = [], embed.encode_pictures, iter([10.0, 12.25])
    monkeypatch.setattr(
        embed, "encode_pictures", lambda *args: threads.append(args[3]) or encode(*args)
    )
    monkeypatch.setattr(embed, "time", types.SimpleNamespace(monotonic=lambda: next(times)))
    arrays, printed = embedded(source, checkpoint, tmp_path, capsys, *options)
    assert threads == [1 if kind == "shards" else None], "a shard's files belong to one thread"
    assert "caption_rows (3,), in 2.2 s" in printed
    assert len(arrays["names"]) == 2 and arrays["captions"].tolist() == ["cup", "a cup", "heart"]
    assert arrays["caption_rows"].tolist() == [0, 0, 1]
    same(arrays["features"], fresh(checkpoint, [tmp_path / f"0000{k}.png" for k in (1, 2)]))
    same(arrays["caption_features"], fresh(checkpoint, texts=arrays["captions"].tolist()))
    if kind != "shards":
        assert arrays["names"].tolist() == ["00001.png", "00002.png"]
        assert "gone.png (no such file" in printed


def test_what_is_wrong_is_one_sentence_and_writes_nothing(checkpoint, tmp_path, capsys):
    def refused(source, *options, out=tmp_path / "o.npz"):
        error = refusal(main, [source, out, "--checkpoint", checkpoint, *options], capsys)
        assert not out.is_file()
        return error

    fill(tmp_path / "in", 2)
    assert "not found; expected a csv" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "no picture that can be read" in refused(tmp_path / "empty")
    (tmp_path / "empty.txt").write_text("\n")
    assert "holds no sentences" in refused(tmp_path / "empty.txt")
    assert "--separator is for a csv" in refused(tmp_path / "in", "--separator", ",")
    assert "must end in .npz" in refused(tmp_path / "in", out=tmp_path / "o.npy")
    (tmp_path / "a folder.npz").mkdir()
    assert "cannot be written" in refused(tmp_path / "in", out=tmp_path / "a folder.npz")

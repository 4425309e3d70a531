"""python -m miniclip.search index: what is read, skipped, forgotten and refused."""

import os
import shutil
import types

import numpy as np
import pytest
import torch
from PIL import Image

import miniclip
from miniclip.common import UserError
from miniclip.data.dataset import printable
from miniclip.search import build as build_file
from miniclip.search import encode
from miniclip.search.build import build, count_skipped, main, scan
from miniclip.search.encode import encode_pictures, open_encoder
from miniclip.search.index import Index, database_in
from tests.search.folders import CPU, fill, refusal, said, tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("model") / "checkpoint.pt")


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return open_encoder(checkpoint, CPU)


def recorded(monkeypatch):
    """The paths of all pictures that are opened from now on."""
    opened, read = [], build_file.image_io.read
    monkeypatch.setattr(build_file.image_io, "read", lambda p, *a: opened.append(p) or read(p, *a))
    return opened


def agrees_with(index, checkpoint, root):
    """Whether all rows are what miniclip.load's model says of these pictures, in 16 bits."""
    model, _, preprocess = miniclip.load(checkpoint)
    images = [preprocess(Image.open(root / path)) for path in index.paths]
    with torch.inference_mode():
        fresh = model.encode_image(torch.stack(images), normalize=True)
    # rounding to 16 bits: half a unit in the last place of numbers below 1, 2^-12 (normal
    # numbers); and fp32 sums in another order
    difference = (torch.from_numpy(index.features).float() - fresh).abs().max()
    assert difference < 2**-12 + 1e-5, difference


def test_every_picture_in_the_folder_and_below_is_in_it_with_its_features(
    checkpoint, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(encode, "BATCH", 4)
    monkeypatch.setattr(encode, "AHEAD", 3)
    fill(tmp_path, 22)
    out = said(main, [tmp_path, "--checkpoint", checkpoint], capsys)
    assert "22 pictures in" in out and "22 read, 0 unchanged, 0 forgotten" in out
    index = Index.open(tmp_path / ".miniclip")
    assert index.paths == sorted(index.paths) and len(index) == 22
    assert {p.rpartition("/")[0] for p in index.paths} == {"", "below/deep 0", "below/deep 1"}
    agrees_with(index, checkpoint, tmp_path)
    assert [p.name for p in (tmp_path / ".miniclip").iterdir()] == ["index.sqlite"]


def test_run_again_it_reads_what_is_new_or_changed_and_forgets_what_is_gone(
    encoder, checkpoint, tmp_path, monkeypatch
):
    fill(tmp_path, 9)
    build(tmp_path, tmp_path / ".miniclip", encoder)
    before = (tmp_path / ".miniclip/index.sqlite").stat()
    opened = recorded(monkeypatch)
    _, counts, _ = build(tmp_path, tmp_path / ".miniclip", encoder)
    assert counts == {"read": 0, "kept": 9, "forgotten": 0} and not opened
    after = (tmp_path / ".miniclip/index.sqlite").stat()
    assert after.st_mtime_ns == before.st_mtime_ns, "written again without a need"

    (tmp_path / "00001.png").unlink()
    shutil.copy(tmp_path / "00002.png", tmp_path / "new.png")
    shutil.copy(tmp_path / "00004.png", tmp_path / "00005.png")  # another time, perhaps size
    status = (tmp_path / "00007.png").stat()
    Image.new("RGB", (30, 30), "red").save(tmp_path / "00007.png")  # another size, the same time
    os.utime(tmp_path / "00007.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "00008.png").write_bytes(b"no longer a picture")
    index, counts, skipped = build(tmp_path, tmp_path / ".miniclip", encoder)
    assert counts == {"read": 3, "kept": 5, "forgotten": 1}
    tried = {os.path.basename(path) for path in opened}
    assert tried == {"new.png", "00005.png", "00007.png", "00008.png"}
    assert skipped == [("00008.png", "not a picture that can be read")]
    assert not {"00001.png", "00008.png"} & {*index.paths} and len(index) == 8
    agrees_with(Index.open(tmp_path / ".miniclip"), checkpoint, tmp_path)


def test_each_skip_is_counted_by_its_reason(checkpoint, tmp_path, capsys):
    fill(tmp_path, 3)
    good = (tmp_path / "00001.png").read_bytes()
    damages = {"cut.png": good[:-40], "cut 2.jpeg": good[:-30], "empty.png": b"", "text.gif": b"hi"}
    for name, data in damages.items():
        (tmp_path / name).write_bytes(data)
    for name in ("notes.txt", "film.mp4"):
        (tmp_path / name).write_text("x")
    out = said(main, [tmp_path, "--checkpoint", checkpoint], capsys)
    assert (
        "skipped: 2 not a picture by its name, 2 damaged, 1 an empty file, 1 not a picture that "
        "can be read; left out 6: " in out
    ), out
    kinds = [
        ("a", "damaged: x: 1"),
        ("b", "9 x 9 pixels: too many"),
        ("c", "8 x 8 pixels: too many"),
    ]
    assert count_skipped(kinds) == "2 too many, 1 damaged"


def test_links_hidden_files_and_the_index_itself(encoder, tmp_path):
    fill(tmp_path / "in", 3)
    fill(tmp_path / "out", 1, seed=1)
    root = tmp_path / "in"
    (root / "link.png").symlink_to(tmp_path / "out/below/deep 0/00000.png")
    (root / "gone.png").symlink_to("nowhere.png")
    (root / "below/loop").symlink_to(root)
    (root / "loop.png").symlink_to("loop.png")
    for hidden in (".hidden", ".miniclip"):
        fill(root / hidden, 1)
    shutil.copy(root / "00001.png", root / ".00001.png")
    os.mkfifo(root / "pipe.png")
    found, skipped = scan(root)
    assert sorted(found) == ["00001.png", "00002.png", "below/deep 0/00000.png", "link.png"]
    assert dict(skipped) == {
        "gone.png": "no such file or directory",
        "loop.png": "too many levels of symbolic links",
        "below/loop": "a link to a folder",
        "pipe.png": "not a file",
    }
    through = tmp_path / "linked"  # the folder itself may be one
    through.symlink_to(root)
    assert sorted(scan(through)[0]) == sorted(scan(root)[0])
    index, counts, _ = build(root, root / "index", encoder)
    assert len(index) == 4 and build(root, root / "index", encoder)[1]["kept"] == 4


def test_names_of_any_bytes_are_indexed(encoder, tmp_path):
    fill(tmp_path, 2)
    odd = [b"caf\xc3\xa9.png", b"latin \xe9.png", b"line\nbreak.png", b"-k.png", b"a\x1b[31mb.png"]
    for name in odd:
        shutil.copy(tmp_path / "00001.png", os.path.join(os.fsencode(tmp_path), name))
    build(tmp_path, tmp_path / ".miniclip", encoder)
    index = Index.open(tmp_path / ".miniclip")
    assert {os.fsencode(path) for path in index.paths} > {*odd}
    assert all(index.path(row).is_file() for row in range(len(index)))
    assert build(tmp_path, tmp_path / ".miniclip", encoder)[1]["kept"] == 7


def test_a_folder_that_may_not_be_read_is_skipped_not_forgotten_and_the_first_one_refused(
    checkpoint, encoder, tmp_path, capsys, monkeypatch
):
    """By a seam, because root may read everything."""
    fill(tmp_path, 4)
    build(tmp_path, tmp_path / "i", encoder)
    real, closed = os.scandir, str(tmp_path / "below/deep 1")

    def scandir(path):
        if os.fspath(path) == closed:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found, skipped = scan(tmp_path)
    assert skipped == [("below/deep 1", "a folder that may not be read")] and len(found) == 3
    assert build(tmp_path, tmp_path / "i", encoder)[1] == {"read": 0, "kept": 4, "forgotten": 0}
    closed = str(tmp_path)
    error = refusal(main, [tmp_path, "--checkpoint", checkpoint], capsys)
    assert "cannot be read: Permission denied" in error


def test_what_is_wrong_is_one_sentence(checkpoint, tmp_path, capsys):
    def refused(folder, *options, model=checkpoint):
        return refusal(main, [folder, "--checkpoint", model, *options], capsys)

    assert "cannot be read: No such file" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no picture" in refused(tmp_path / "empty")
    assert not (tmp_path / "empty/.miniclip").exists()
    (tmp_path / "empty/a.txt").write_text("x")
    assert "a.txt (not a picture by its name)" in refused(tmp_path / "empty")
    (tmp_path / "empty/b.png").write_text("x")
    assert "no picture in" in refused(tmp_path / "empty")
    fill(tmp_path / "in", 3)
    assert "at least 1" in refused(tmp_path / "in", "--threads", 0)
    assert "no weights file at" in refused(tmp_path / "in", model=tmp_path / "nothing.pt")
    (tmp_path / "a file").write_text("x")
    assert "a file: File exists" in refused(tmp_path / "in", "--index", tmp_path / "a file")
    said(main, [tmp_path / "in", "--checkpoint", checkpoint, "--index", tmp_path / "i"], capsys)
    other = tiny_checkpoint(tmp_path / "other.pt", seed=1)
    before = (tmp_path / "i/index.sqlite").read_bytes()
    error = refused(tmp_path / "in", "--index", tmp_path / "i", model=other)
    both = printable(checkpoint) in error and printable(other) in error
    assert both, "both models must be named"
    fill(tmp_path / "in 2", 3)
    error = refused(tmp_path / "in 2", "--index", tmp_path / "i")
    assert f"holds the index of {printable(tmp_path / 'in')};" in error
    assert (tmp_path / "i/index.sqlite").read_bytes() == before


def test_the_folder_of_an_index_elsewhere_may_be_moved(encoder, tmp_path):
    fill(tmp_path / "in", 4)
    build(tmp_path / "in", tmp_path / "i", encoder)
    (tmp_path / "in").rename(tmp_path / "moved")
    index, counts, _ = build(tmp_path / "moved", tmp_path / "i", encoder)
    assert counts == {"read": 0, "kept": 4, "forgotten": 0}
    assert Index.open(tmp_path / "i").root == tmp_path / "moved"


def test_two_processes_do_not_write_one_index_and_it_is_read_meanwhile(encoder, tmp_path):
    fill(tmp_path, 2)
    build(tmp_path, tmp_path / "i", encoder)
    with database_in(tmp_path / "i", write=True):  # another connection is as another process
        with pytest.raises(UserError, match="another process is writing"):
            build(tmp_path, tmp_path / "i", encoder)
        assert len(Index.open(tmp_path / "i")) == 2
    build(tmp_path, tmp_path / "i", encoder)


def test_renamed_pictures_and_folders_are_not_encoded_again(encoder, tmp_path, monkeypatch):
    fill(tmp_path, 9)
    build(tmp_path, tmp_path / ".miniclip", encoder)
    (tmp_path / "below").rename(tmp_path / "other")
    (tmp_path / "00001.png").rename(tmp_path / "00002.png")  # over another picture
    opened = recorded(monkeypatch)
    index, counts, _ = build(tmp_path, tmp_path / ".miniclip", encoder)
    assert counts == {"read": 0, "kept": 8, "forgotten": 0} and not opened
    assert {path for path in index.paths if "/" not in path} >= {"00002.png", "00004.png"}
    return_index = Index.open(tmp_path / ".miniclip")
    assert len(return_index) == 8 and return_index.finished


def test_pictures_are_read_ahead_in_threads_in_order_and_not_all_at_once(encoder, monkeypatch):
    import threading

    monkeypatch.setattr(encode, "BATCH", 4)
    monkeypatch.setattr(encode, "AHEAD", 6)
    read, threads, red = [], set(), Image.new("RGB", (9, 9), "red")
    meeting = threading.Barrier(2)  # passes when two threads are reading

    def picture(k):
        if k < 2:
            meeting.wait(60)
        threads.add(threading.current_thread())
        read.append(k)
        if k == 5:
            raise build_file.image_io.BadPicture("damaged")
        return red

    batches = encode_pictures(encoder, picture, range(40), threads=2)
    kept, features, bad = next(batches)
    assert kept == [0, 1, 2, 3] and features.shape == (4, 128) and not bad
    assert len(threads) == 2 and threading.current_thread() not in threads
    assert len(read) <= 4 + 6, "more was read than AHEAD allows"
    rest = [next(batches)]
    rest += batches
    assert rest[0][0] == [4, 6, 7] and rest[0][2] == [(5, "damaged")]
    assert [k for kept, _, _ in rest for k in kept] == [4, *range(6, 40)]


def test_a_model_is_called_by_its_absolute_path_or_by_its_released_name(checkpoint, monkeypatch):
    monkeypatch.chdir(os.path.dirname(checkpoint))
    threads = torch.get_num_threads()
    try:
        two = types.SimpleNamespace(device="cpu", threads=threads + 1)
        assert open_encoder(os.path.basename(checkpoint), two).file == checkpoint
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert open_encoder("icons", CPU).file == "icons"


def test_a_model_that_has_diverged_is_refused(encoder, tmp_path):
    fill(tmp_path, 2)
    broken = open_encoder(tiny_checkpoint(tmp_path / "c.pt"), CPU)
    with torch.no_grad():
        broken.model.visual.proj.fill_(np.nan)
    with pytest.raises(UserError, match="not finite"):
        build(tmp_path, tmp_path / "i", broken)

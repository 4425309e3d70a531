"""python -m miniclip.search index: what is read, skipped, forgotten and refused."""

import contextlib
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from miniclip import zeroshot
from miniclip.common import UserError
from miniclip.data.dataset import printable
from miniclip.search import build as build_file
from miniclip.search import embed
from miniclip.search.build import build, main
from miniclip.search.database import Index, database_in
from miniclip.search.embed import open_encoder, scan
from tests.search.folders import agrees_with, fill, said, tiny_checkpoint
from tests.shared import ROOT, must_refuse


@pytest.fixture
def indexed(encoder, tmp_path):
    """(a folder of nine pictures, a function that brings its index up to date)."""
    fill(tmp_path / "in", 9)

    def update():
        return build(tmp_path / "in", tmp_path / "in/.miniclip", encoder)

    update()
    return tmp_path / "in", update


@pytest.fixture
def opened(indexed, monkeypatch):
    """The names of all pictures that are opened from now on."""
    names, read = [], embed.image_io.read
    monkeypatch.setattr(
        embed.image_io, "read", lambda p, *a: names.append(os.path.basename(p)) or read(p, *a)
    )
    return names


def test_every_picture_in_the_folder_and_below_is_in_it_with_its_features(
    checkpoint, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(zeroshot, "CPU_BATCH", 4)
    fill(tmp_path, 22)
    out = said(main, [tmp_path, "--checkpoint", checkpoint], capsys)
    assert "22 pictures in" in out and "22 read, 0 unchanged, 0 forgotten" in out
    assert "left out" not in out
    index = Index.open(tmp_path / ".miniclip")
    assert index != Index.open(tmp_path / ".miniclip")  # two openings, compared by identity
    assert index.paths == sorted(index.paths) and len(index) == 22
    assert {p.rpartition("/")[0] for p in index.paths} == {"", "below/deep 0", "below/deep 1"}
    agrees_with(index, checkpoint)
    assert [p.name for p in (tmp_path / ".miniclip").iterdir()] == ["index.sqlite"]


def test_run_again_it_reads_what_is_new_or_changed_and_forgets_what_is_gone(
    indexed, opened, checkpoint
):
    root, update = indexed
    before = (root / ".miniclip/index.sqlite").stat().st_mtime_ns
    assert update()[1] == {"read": 0, "kept": 9, "forgotten": 0} and not opened
    after = (root / ".miniclip/index.sqlite").stat().st_mtime_ns
    assert after == before, "written again without a need"

    (root / "00001.png").unlink()
    Image.new("RGB", (30, 30), "green").save(root / "new.png")
    Image.new("RGB", (30, 30), "blue").save(root / "00005.png")  # another time and size
    status = (root / "00007.png").stat()
    Image.new("RGB", (30, 30), "red").save(root / "00007.png")  # another size, the same time
    os.utime(root / "00007.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    (root / "00008.png").write_bytes(b"no longer a picture")
    index, counts, skipped = update()
    assert counts == {"read": 3, "kept": 5, "forgotten": 2}
    assert {*opened} == {"new.png", "00005.png", "00007.png", "00008.png"}
    assert skipped == [("00008.png", "not a picture that can be read")]
    assert not {"00001.png", "00008.png"} & {*index.paths} and len(index) == 8
    agrees_with(Index.open(root / ".miniclip"), checkpoint)


def test_pictures_are_recognised_by_their_contents_and_not_encoded_again(
    indexed, opened, checkpoint, monkeypatch
):
    root, update = indexed
    monkeypatch.setattr(build_file, "MOST_HASHED", 50_000)  # and red.bmp is larger
    red = Image.new("RGB", (200, 200), "red")
    red.save(root / "red.bmp")
    update()
    opened.clear()
    (root / "below").rename(root / "other")
    (root / "00001.png").rename(root / "00002.png")  # over another picture
    shutil.copy(root / "00004.png", root / "copy.png")
    os.utime(root / "00005.png", ns=(0, 0))
    red.putpixel((100, 100), (0, 0, 255))
    red.save(root / "red.bmp")
    index, counts, _ = update()
    assert counts == {"read": 1, "kept": 9, "forgotten": 0} and opened == ["red.bmp"]
    assert {path for path in index.paths if "/" not in path} >= {"00002.png", "00004.png"}
    assert index.finished
    agrees_with(Index.open(root / ".miniclip"), checkpoint)
    assert update()[1] == {"read": 0, "kept": 10, "forgotten": 0}


def test_exchanged_pictures_copies_over_another_and_new_times_are_stored(
    indexed, opened, checkpoint, monkeypatch
):
    """The names stay as they are, and only the rows of their features or their times change."""
    (root, update), hashed, real = indexed, [], build_file.contents_hash
    monkeypatch.setattr(build_file, "contents_hash", lambda p: hashed.append(p) or real(p))
    one, other = root / "00001.png", root / "00005.png"
    for change in (
        lambda: [one.rename(root / "a"), other.rename(one), (root / "a").rename(other)],
        lambda: shutil.copy(one, other),
        lambda: [os.utime(path, ns=(0, 1)) for path in root.rglob("*.png")],
    ):
        change()
        update()
        agrees_with(Index.open(root / ".miniclip"), checkpoint)
        hashed.clear()
        assert update()[1] == {"read": 0, "kept": 9, "forgotten": 0} and not hashed
    assert not opened


def test_a_picture_that_changes_while_it_is_read_is_read_again_by_the_next_run(
    indexed, checkpoint, monkeypatch
):
    (root, update), read = indexed, embed.image_io.read
    path = root / "00001.png"
    Image.new("RGB", (30, 30), "red").save(path)
    before, status = path.read_bytes(), path.stat()

    def edited(source, *more):
        Image.new("RGB", (30, 30), "blue").save(path)
        picture = read(source, *more)
        path.write_bytes(before)  # somebody takes the change back, with the old time
        return picture

    with monkeypatch.context() as patch:
        patch.setattr(embed.image_io, "read", edited)
        update()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert update()[1] == {"read": 1, "kept": 8, "forgotten": 0}
    agrees_with(Index.open(root / ".miniclip"), checkpoint)


def test_copies_whose_folder_is_renamed_are_not_forgotten(indexed):
    root, update = indexed
    shutil.copytree(root / "below", root / "a")
    update()
    for old, new in (("a", "c"), ("below", "0"), ("0", "b")):
        (root / old).rename(root / new)
        assert update()[1] == {"read": 0, "kept": 12, "forgotten": 0}


def test_a_hard_linked_snapshot_keeps_its_index(indexed, tmp_path):
    root, update = indexed
    shutil.copytree(root, tmp_path / "snapshot", copy_function=os.link)
    (root / "00001.png").unlink()
    assert len(update()[0]) == 8 and len(Index.open(tmp_path / "snapshot/.miniclip")) == 9


def test_the_folder_of_an_index_elsewhere_may_be_moved(encoder, tmp_path):
    fill(tmp_path / "in", 4)
    build(tmp_path / "in", tmp_path / "i", encoder)
    (tmp_path / "in").rename(tmp_path / "moved")
    for name in ("00001.png", "00002.png"):  # half of the pictures are enough
        (tmp_path / "moved" / name).unlink()
    _, counts, _ = build(tmp_path / "moved", tmp_path / "i", encoder)
    assert counts == {"read": 0, "kept": 2, "forgotten": 2}
    assert Index.open(tmp_path / "i").root == tmp_path / "moved"


def test_a_model_that_is_trained_after_it_was_loaded_is_another_model(checkpoint, tmp_path):
    fill(tmp_path / "in", 2)
    encoder = open_encoder(checkpoint, device="cpu")
    build(tmp_path / "in", tmp_path / "i", encoder)
    compiled = encoder._replace(model=torch.compile(encoder.model, backend="eager"))
    assert build(tmp_path / "in", tmp_path / "i", compiled)[1]["kept"] == 2
    torch.nn.init.zeros_(encoder.model.logit_scale)
    must_refuse("was made with the model", build, tmp_path / "in", tmp_path / "i", encoder)


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
        "below/loop": "a link to a folder is not followed",
        "pipe.png": "not a file",
    }
    (tmp_path / "linked").symlink_to(root)  # the folder itself may be a link
    assert scan(tmp_path / "linked")[0] == found
    index, counts, _ = build(root, root / "index", encoder)
    assert len(index) == 4 and build(root, root / "index", encoder)[1]["kept"] == 4


def test_names_of_any_bytes_are_indexed(indexed):
    root, update = indexed
    odd = [b"caf\xc3\xa9.png", b"latin \xe9.png", b"line\nbreak.png", b"-k.png", b"a\x1b[31mb.png"]
    for name in odd:
        shutil.copy(root / "00001.png", os.path.join(os.fsencode(root), name))
    index, _, _ = update()
    assert {os.fsencode(path) for path in index.paths} > {*odd}
    assert all(index.path(row).is_file() for row in range(len(index)))
    assert update()[1]["kept"] == 9 + 5


def test_a_folder_that_may_not_be_read_is_skipped(indexed, monkeypatch):
    """By a seam, because root may read everything."""
    root, _ = indexed
    real, closed = os.scandir, str(root / "below/deep 1")

    def scandir(path):
        if os.path.normpath(path) == closed:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert scan(root)[1] == [("below/deep 1", "a folder that cannot be read")]


def test_what_is_wrong_is_one_sentence(checkpoint, tmp_path, capsys, refused):
    other = tiny_checkpoint(tmp_path / "other.pt", seed=1)
    fill(tmp_path / "in", 3)
    fill(tmp_path / "in 2", 3)
    for name, file in (("no files", None), ("no pictures", "a.txt"), ("bad", "b.png")):
        (tmp_path / name).mkdir()
        if file:
            (tmp_path / name / file).write_text("x")
    index = ["--index", tmp_path / "i"]
    said(main, [tmp_path / "in", "--checkpoint", checkpoint, *index], capsys)
    before = (tmp_path / "i/index.sqlite").read_bytes()
    for folder, options, *words in (
        ("nowhere", [], "cannot be read: No such file"),
        ("no files", [], "holds no picture"),
        ("no pictures", [], "a.txt (not a picture by its name)"),
        ("bad", [], "no picture in"),
        ("in", ["--threads", 0], "at least 1"),
        (
            "in",
            ["--checkpoint", tmp_path / "nothing.pt"],
            "--checkpoint is given twice, and only the last",
        ),
        ("in", ["--index", tmp_path / "bad/b.png"], "b.png: File exists"),
        ("in 2", index, f"holds the index of {printable(tmp_path / 'in')};"),
    ):
        error = refused(main, tmp_path / folder, "--checkpoint", checkpoint, *options)
        assert all(word in error for word in words), (words, error)
    error = refused(main, tmp_path / "in", "--checkpoint", other, *index)
    assert printable(checkpoint) in error and printable(other) in error
    assert (tmp_path / "i/index.sqlite").read_bytes() == before
    assert not (tmp_path / "no files/.miniclip").exists()


def test_two_processes_do_not_write_one_index_and_it_is_read_meanwhile(indexed):
    root, update = indexed
    with database_in(root / ".miniclip", write=True):  # another connection is as another process
        must_refuse("another process is reading or writing", update)
        assert len(Index.open(root / ".miniclip")) == 9
    update()


def test_an_index_is_locked_while_its_pictures_are_read(indexed, monkeypatch):
    """Seen from another process: within one process SQLite knows its own locks."""
    (root, update), said = indexed, []
    begin = "import sqlite3; sqlite3.connect('index.sqlite', timeout=0).execute('BEGIN IMMEDIATE')"
    other = dict(args=[sys.executable, "-c", begin], cwd=root / ".miniclip", capture_output=True)
    run = subprocess.run
    monkeypatch.setattr(build_file, "contents_hash", lambda _: said.append(run(**other).stderr))
    Image.new("RGB", (9, 9)).save(root / "new.png")
    assert update()[1]["read"] == 1 and b"database is locked" in said[0], said


PARTS_OF_A_SECOND = """
import sys
from miniclip.search import build
build.PART_SECONDS = 0.1
build.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_an_index_is_right_after_its_process_was_killed(checkpoint, tmp_path, capsys):
    fill(tmp_path, 3000)
    command = [sys.executable, "-c", PARTS_OF_A_SECOND, tmp_path, "--checkpoint", checkpoint]
    process, kept = subprocess.Popen(command, cwd=ROOT), 0
    while not kept:
        with contextlib.suppress(UserError):  # the file is not there yet
            kept = len(Index.open(tmp_path / ".miniclip"))
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = len(Index.open(tmp_path / ".miniclip"))
    assert kept < 3000, "the process was too fast"
    assert f"{3000 - kept:,} read, {kept:,} unchanged" in said(main, [tmp_path], capsys)
    index = Index.open(tmp_path / ".miniclip")
    assert len(index) == len({*index.paths}) == 3000
    agrees_with(index, checkpoint, range(0, 3000, 7))


def test_a_model_that_has_diverged_is_refused(checkpoint, tmp_path):
    fill(tmp_path, 2)
    broken = open_encoder(checkpoint, device="cpu")
    torch.nn.init.constant_(broken.model.visual.proj, np.nan)
    must_refuse("not finite", build, tmp_path, tmp_path / "i", broken)

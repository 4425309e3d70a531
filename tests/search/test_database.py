"""A database that is checked, names of any bytes, and the folder that an index is of."""

import shutil
import sqlite3

import numpy as np
import pytest

from miniclip.search import database
from miniclip.search.database import Index, database_in
from tests.search.folders import random_index, write_index
from tests.shared import WRITTEN, must_refuse


def test_an_index_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BLOCK_ROWS", 2)
    names = [
        "a.png",
        "ü/日本.jpg",
        "line\nbreak.png",
        "not utf-8 \udcff\udc80.png",
        "..b c.../.. d",
    ]
    index = random_index(tmp_path, 5, paths=names)
    write_index(index, tmp_path / ".miniclip")
    again = Index.open(tmp_path / ".miniclip")
    assert again.paths == names and again.finished and again.root == tmp_path
    assert np.array_equal(again.features, index.features) and again.features.dtype == np.float16


def test_an_index_of_version_0_1_is_read_and_becomes_a_database(tmp_path):
    place = shutil.copytree(WRITTEN / "pictures/.miniclip", tmp_path / ".miniclip")
    old, names = Index.open(place), {path.name for path in (WRITTEN / "pictures").glob("*.png")}
    assert {*old.paths} == names and len(old) == 24
    with database_in(place, write=True):
        assert [path.name for path in place.iterdir()] == ["index.sqlite"]
    assert np.array_equal(Index.open(place).features, old.features)
    assert Index.open(place).paths == old.paths


def test_it_is_read_while_another_process_changes_more_than_its_cache_holds(tmp_path):
    index = random_index(tmp_path, 5)
    write_index(index, tmp_path / ".miniclip")
    with database_in(tmp_path / ".miniclip", write=True) as writing:
        writing.execute("PRAGMA cache_size = 2")
        writing.execute("DELETE FROM blocks")
        for first in range(50):
            writing.execute("INSERT INTO blocks VALUES (?, ?, 0)", (first, bytes(100_000)))
        assert np.array_equal(Index.open(tmp_path / ".miniclip").features, index.features)
        writing.execute("ROLLBACK")
        writing.execute("BEGIN")


def test_a_database_that_is_deleted_or_replaced_while_it_is_written_is_told(tmp_path):
    write_index(random_index(tmp_path, 5), tmp_path)
    shutil.copy(tmp_path / "index.sqlite", tmp_path / "copy")
    for change in (lambda path: path.unlink(), (tmp_path / "copy").replace):
        with pytest.raises(ValueError, match="was deleted or replaced meanwhile"):
            with database_in(tmp_path, write=True):
                change(tmp_path / "index.sqlite")


def test_a_process_that_writes_between_two_parts_of_another_is_noticed(tmp_path):
    index = random_index(tmp_path, 5)
    write_index(index, tmp_path)
    file = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)
    with database_in(tmp_path, write=True) as database:
        database.set_trace_callback(lambda x: "BEGIN" in x and file.execute("DELETE FROM blocks"))
        must_refuse("another process has written", index.save, database, tmp_path, [])


def test_a_file_of_another_program_is_no_old_index_and_stays_alone(tmp_path):
    (tmp_path / "index.npz").write_text("mine")
    must_refuse("index.npz cannot be read as an index", database_in(tmp_path, write=True).__enter__)
    assert [path.name for path in tmp_path.iterdir()] == ["index.npz"]

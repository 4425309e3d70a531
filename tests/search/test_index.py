"""An index: exact search in bounded memory, a database that is checked, names of any bytes."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from miniclip.common import UserError
from miniclip.search import index as index_file
from miniclip.search.index import Index
from tests.search.folders import random_index, write_index


@pytest.mark.parametrize("block", [1, 100, 1 << 23])
def test_what_is_found_is_what_sorting_all_cosines_gives(tmp_path, monkeypatch, block):
    monkeypatch.setattr(index_file, "BLOCK", block)
    index = random_index(tmp_path, 50)
    queries = F.normalize(torch.randn(3, 8, generator=torch.manual_seed(0)), dim=1)
    cosines, rows = index.find(queries, 7)
    exact = queries.double() @ torch.from_numpy(index.features).double().T
    want = exact.sort(descending=True)
    assert torch.equal(rows, want.indices[:, :7]), "other pictures were found"
    torch.testing.assert_close(cosines.double(), want.values[:, :7], rtol=0, atol=1e-6)
    one = index.find(queries[1], 7)
    assert torch.equal(one[1], rows[1]) and one[0].shape == (7,)


def test_more_than_there_are_gives_all_and_of_equals_the_earlier_row_comes_first(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(index_file, "BLOCK", 40)
    index = random_index(tmp_path, 10)
    index.features[[2, 6, 9]] = index.features[4]
    cosines, rows = index.find(torch.from_numpy(index.features[4]).float(), 99)
    assert rows[:4].tolist() == [2, 4, 6, 9] and sorted(rows.tolist()) == list(range(10))
    assert (cosines[:-1] >= cosines[1:]).all()


@pytest.mark.parametrize(
    "query, k", [(torch.ones(8), -1), (torch.ones(4), 1), (torch.full((8,), np.nan), 1)]
)
def test_a_query_of_another_width_or_no_numbers_is_refused(tmp_path, query, k):
    index = random_index(tmp_path, 3)
    with pytest.raises(UserError, match="a query must be 8 finite numbers"):
        index.find(query, k)
    assert index.find(torch.zeros(0, 8), 2)[0].shape == (0, 2)


def test_a_search_holds_no_more_than_its_block(tmp_path, monkeypatch):
    """10,000 rows and 50 queries: cosines of all would be 500,000 numbers."""
    monkeypatch.setattr(index_file, "BLOCK", 20_000)
    index, seen, sort = random_index(tmp_path, 10_000), [], torch.Tensor.sort

    def recorded(x, **how):
        seen.append(x.numel())
        return sort(x, **how)

    monkeypatch.setattr(torch.Tensor, "sort", recorded)
    index.find(torch.randn(50, 8), 5)
    # 8 numbers of features a row, and a cosine, a number and an order for each query: 158
    assert seen[0] == 50 * 126 and len(seen) == 80, "126 rows at a time are 19,908 numbers"


def test_an_index_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(index_file, "BLOCK_ROWS", 2)
    names = [
        "a.png",
        "ü/日本.jpg",
        "line\nbreak.png",
        "not utf-8 \udcff\udc80.png",
        "..b c.../.. d",
    ]
    index = random_index(tmp_path, 5, paths=names)
    index.hashes[2] = None
    write_index(index, tmp_path / ".miniclip")
    again = Index.open(tmp_path / ".miniclip")
    assert again.paths == names and again.finished and again.root == tmp_path
    for name in index_file.COLUMNS:
        assert np.array_equal(getattr(again, name), getattr(index, name)), name
    assert again.features.dtype == np.float16 and again.mtimes.dtype == np.int64


def test_pictures_are_removed_and_added_in_one_step(tmp_path, monkeypatch):
    monkeypatch.setattr(index_file, "BLOCK_ROWS", 3)
    place, index = tmp_path / ".miniclip", random_index(tmp_path, 11)
    write_index(index, place)
    more = random_index(tmp_path, 4, seed=1, paths=list("abcd"))
    write_index(more, place, dropped=[1, 2, 3, 5, 11])  # a whole block, and parts of two others
    again = Index.open(place)
    kept = [3, 5, 6, 7, 8, 9]
    assert again.paths == [*(f"{k}.png" for k in kept), *"abcd"]
    assert np.array_equal(again.features, np.concatenate([index.features[kept], more.features]))
    assert again.mtimes.tolist() == [*(k * 10**18 // 100 for k in kept), *more.mtimes]


def test_an_index_inside_its_folder_moves_with_it_and_another_names_it(tmp_path):
    for place in (tmp_path / "photos/.miniclip", tmp_path / "elsewhere"):
        write_index(random_index(tmp_path / "photos", 2), place)
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert Index.open(tmp_path / "moved/.miniclip").path(0) == tmp_path / "moved/0.png"
    assert Index.open(tmp_path / "elsewhere").path(0) == tmp_path / "photos/0.png"

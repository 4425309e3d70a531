"""An index: exact search in bounded memory, a file without pickle, names of any bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from miniclip.common import UserError
from miniclip.search import index as index_file
from miniclip.search.index import Index


def random_index(root, count, width=8, seed=0, paths=None):
    rng = np.random.default_rng(seed)
    features = F.normalize(torch.from_numpy(rng.normal(size=(count, width))), dim=1)
    numbers = np.arange(count)
    paths = paths or [f"{k}.png" for k in range(count)]
    model = dict(digest="d" * 64, file="model.pt", activation="gelu")
    return Index(paths, features.half().numpy(), numbers, numbers * 10**18, **model, root=root)


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
    seen.clear()
    monkeypatch.setattr(index_file, "BLOCK", 1)
    random_index(tmp_path, 3).find(torch.randn(50, 8), 5)
    assert seen[0] == 50, "one row at least"


def test_an_index_is_read_as_it_was_written_and_needs_no_pickle(tmp_path):
    names = ["a.png", "ü/日本.jpg", "line\nbreak.png", "not utf-8 \udcff\udc80.png", "b c.png"]
    index = random_index(tmp_path, 5, paths=names)
    index.write(tmp_path / ".miniclip/index.npz")
    again = Index.open(tmp_path / ".miniclip", digest="d" * 64)
    assert again.paths == names and again.finished
    for name in ("features", "sizes", "mtimes"):
        assert np.array_equal(getattr(again, name), getattr(index, name)), name
    assert again.features.dtype == np.float16 and again.mtimes.dtype == np.int64
    with np.load(tmp_path / ".miniclip/index.npz", allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "uif" for name in file.files)


def test_an_index_inside_its_folder_moves_with_it_and_another_names_it(tmp_path):
    for place in (tmp_path / "photos/.miniclip", tmp_path / "elsewhere"):
        random_index(tmp_path / "photos", 2).write(place / "index.npz")
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert Index.open(tmp_path / "moved/.miniclip").path(0) == tmp_path / "moved/0.png"
    assert Index.open(tmp_path / "elsewhere").path(0) == tmp_path / "photos/0.png"


def test_parts_of_an_interrupted_run_are_read_and_the_last_one_wins(tmp_path):
    for k, (name, seed) in enumerate([("index.npz", 1), ("part-000001.npz", 2)]):
        index = random_index(tmp_path, 3, seed=seed, paths=["a", "b", "cd"[k]])
        index.write(tmp_path / ".miniclip" / name)
    again = Index.open(tmp_path / ".miniclip")
    assert sorted(again.paths) == ["a", "b", "c", "d"] and not again.finished
    row = again.paths.index("b")
    assert np.array_equal(again.features[row], index.features[1]), "an older part won"


def test_what_is_known_of_the_model_is_from_the_last_part(tmp_path):
    place, names = tmp_path / "i", ("index.npz", "part-000001.npz", "part-000002.npz")
    for name in names:
        replace(random_index(tmp_path, 2), file=f"of {name}").write(place / name)
    again = Index.open(place)
    assert again.file == "of part-000002.npz" and len(again) == 2
    replace(random_index(tmp_path, 2), digest="e" * 64, file="old.pt").write(place / names[0])
    message = "made with the model old.pt .e{12}., not with of part-000002.npz .d{12}."
    with pytest.raises(UserError, match=message):
        Index.open(place)


def edited(path, **changes):
    """Write an index file again with other entries."""
    with np.load(path) as file:
        entries = dict(file)
    np.savez(path, **entries | changes)


def test_a_damaged_foreign_or_hostile_file_is_one_sentence(tmp_path):
    place = tmp_path / ".miniclip"
    with pytest.raises(UserError, match="there is no index in .*.miniclip"):
        Index.open(place)
    path = place / "index.npz"
    random_index(tmp_path, 3).write(path)
    good = path.read_bytes()
    with pytest.raises(
        UserError, match="made with the model model.pt .d{12}., not with o.pt .e{12}"
    ):
        Index.open(place, "e" * 64, "o.pt")

    def text(value):
        return np.frombuffer(value, np.uint8)

    about = dict(format=1, digest="d", file="m", activation="gelu", root="..")
    damages = {
        "not the number of rows": dict(sizes=np.arange(2)),
        "other numbers": dict(features=np.zeros((3, 8), np.float32)),
        "a later format": dict(about=text(json.dumps(about | {"format": 2}).encode())),
        "no model": dict(about=text(b"{}")),
        "a pickle": dict(sizes=np.array([{}, {}, {}], dtype=object)),
        "out of its folder": dict(paths=text(b"a.png\0../b.png\0c.png")),
        "from the root": dict(paths=text(b"a.png\0/etc/passwd\0c.png")),
        "out of it again": dict(paths=text(b"a.png\0c/../../b.png\0..")),
    }
    for what, changes in damages.items():
        path.write_bytes(good)
        edited(path, **changes)
        with pytest.raises(UserError, match="cannot be read as an index: ") as caught:
            Index.open(place)
            raise AssertionError(what)
        assert "\n" not in str(caught.value)
    path.write_bytes(good)
    edited(path, **damages["a later format"])
    with pytest.raises(UserError, match="index: its format is 2, and this code reads 1$"):
        Index.open(place)
    (tmp_path / "folder/index.npz").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot be read as an index: Is a directory$"):
        Index.open(tmp_path / "folder")
    middle = len(good) // 2
    for data in (b"", b"nonsense", good[:middle], good[:middle] + b"?" + good[middle + 1 :]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="cannot be read as an index: "):
            Index.open(place)
    # names with dots that do not lead out
    path.write_bytes(good)
    edited(path, paths=text("..a.png\0b../c...png\0d/.. .png".encode()))
    assert Index.open(place).paths[0] == "..a.png"

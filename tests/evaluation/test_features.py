"""Features are computed once; the nearest neighbour of a known picture is itself."""

import copy

import pytest
import torch

from miniclip.evaluation import features
from miniclip.evaluation.features import FeatureCache, kept_images, nearest_neighbour
from miniclip.model.clip import create_model
from miniclip.zeroshot import encode_images
from tests.data.tars import Coloured


def test_the_nearest_neighbour_of_a_known_picture_is_itself():
    known = torch.rand(5, 12, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([3, 1, 4, 1, 5])
    assert nearest_neighbour(known, labels, known).tolist() == labels.tolist()


def test_a_picture_is_encoded_once_for_each_source(monkeypatch):
    calls = []

    def encode(model, source, indices):
        calls.append(list(indices))
        kept = [i for i in indices if i != 2]  # picture 2 cannot be read
        return torch.tensor([[float(i)] for i in kept]).reshape(-1, 1), kept

    monkeypatch.setattr(features, "encode_images", encode)
    cache, one, other = FeatureCache(None, None), object(), object()
    assert cache.images(one, [1, 2, 3])[1] == [1, 3]
    rows, kept = cache.images(one, [3, 2, 4, 1])
    assert kept == [3, 4, 1] and rows.flatten().tolist() == [3, 4, 1]
    assert cache.images(one, [2])[0].shape == (0, 1) and cache.images(other, [1])[1] == [1]
    assert calls == [[1, 2, 3], [4], [], [1]]


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """An empty cache, and the indices of each call of encode_images."""
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path))
    calls = []

    def encode(model, source, indices):
        calls.append(list(indices))
        return encode_images(model, source, calls[-1])

    monkeypatch.setattr(features, "encode_images", encode)
    return calls


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return create_model("rn_icons", vocab_size=520, vision_width=4)


def test_features_of_packages_pictures_are_kept_by_versions_pictures_and_weights(counted, small):
    pairs, other = Coloured(6), copy.deepcopy(small)
    other.visual.bn1.running_mean += 1  # a buffer, no parameter
    pairs.packages = {"a": "1"}
    want, kept = encode_images(small, pairs, [1, 3, 5])
    for _ in range(2):
        found = kept_images(small, pairs, [1, 3, 5])
        assert torch.equal(found[0], want) and found[1] == kept == [1, 3, 5]
        found[0].add_(1)  # the file stays as it is
    assert counted == [[1, 3, 5]]
    assert torch.equal(
        kept_images(small, pairs, range(3))[0], encode_images(small, pairs, [0, 1, 2])[0]
    )
    assert not torch.equal(kept_images(other, pairs, [1, 3, 5])[0], want)
    pairs.packages = {"a": "2"}
    kept_images(small, pairs, [1, 3, 5])
    assert counted == [[1, 3, 5], [0, 1, 2], [1, 3, 5], [1, 3, 5]]


def test_features_of_other_pictures_are_not_kept_because_they_may_change(counted, small):
    pairs = Coloured(4, bad=[2])
    for _ in range(2):
        assert kept_images(small, pairs, range(4))[1] == [0, 1, 3]
    assert len(counted) == 2

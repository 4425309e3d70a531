"""Features are computed once; the nearest neighbour of a known picture is itself."""

import torch

from miniclip.evaluation import features
from miniclip.evaluation.features import FeatureCache, nearest_neighbour


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

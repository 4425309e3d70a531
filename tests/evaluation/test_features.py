"""Features are computed once for each picture and source."""

import copy

import pytest
import torch
from PIL import Image

from miniclip.evaluation import features
from miniclip.evaluation.features import (
    FeatureCache,
    kept_images,
    picture_source,
    pixels,
    raw_pixels,
)
from miniclip.model.clip import create_model
from miniclip.zeroshot import encode_images
from tests.data.tars import Coloured


@pytest.fixture
def calls(monkeypatch):
    """The indices of each call of encode_images."""
    asked = []

    def encode(model, source, indices):
        asked.append([*indices])
        return encode_images(model, source, asked[-1])

    monkeypatch.setattr(features, "encode_images", encode)
    return asked


def test_a_picture_is_encoded_once_for_each_source(calls, small):
    cache, one, other = FeatureCache(small, None), Coloured(5, bad=[2]), Coloured(5)
    want = encode_images(small, one, [3, 4, 1])[0]
    assert cache.images(one, [1, 2, 3])[1] == [1, 3]
    rows, kept = cache.images(one, [3, 2, 4, 1])
    assert kept == [3, 4, 1] and rows.allclose(want, atol=1e-5)
    assert len(cache.images(one, [2])[0]) == 0 and cache.images(other, [1])[1] == [1]
    assert calls == [[1, 2, 3], [4], [], [1]]


def test_the_untrained_model_is_the_same_each_time_and_draws_nothing(small):
    state = torch.get_rng_state()
    models = [FeatureCache(small, "tokenizer").untrained().model for _ in range(2)]
    assert torch.equal(state, torch.get_rng_state()), "nothing was drawn"
    first, again = (model.state_dict()["text_projection"] for model in models)
    assert torch.equal(first, again) and not torch.equal(first, small.text_projection)
    assert not models[0].training and models[0].config == small.config


def test_pixels_are_from_0_to_1_with_their_channels_last():
    split = Image.new("RGB", (8, 8), (0, 51, 255))
    split.paste((255, 0, 0), (4, 0, 8, 8))
    (found,), _ = pixels(picture_source([split]), [0], 4)
    assert found[3, 0].tolist() == pytest.approx([0, 0.2, 1], abs=0.02)
    assert found[0, 3].tolist() == pytest.approx([1, 0, 0], abs=0.02)
    damaged = Coloured(3, bad=[1])
    found, kept = raw_pixels(damaged, range(3))
    assert found.shape == (2, 3 * 24 * 24) and kept == [0, 2]
    assert pixels(damaged, [1], 4)[0].shape == (0, 4, 4, 3)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(1)
    return create_model("rn_icons", vocab_size=520, vision_width=4)


def test_features_of_packages_pictures_are_kept_by_versions_pictures_and_weights(
    calls, small, monkeypatch, tmp_path
):
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path))
    pairs, other = Coloured(6), copy.deepcopy(small)
    other.visual.bn1.running_mean += 1  # a buffer, no parameter
    pairs.packages = {"a": "1"}
    want, kept = encode_images(small, pairs, [1, 3, 5])
    for _ in range(2):
        found = kept_images(small, pairs, [1, 3, 5])
        assert torch.equal(found[0], want) and found[1] == kept == [1, 3, 5]
        found[0].add_(1)  # the file stays as it is
    assert len(calls) == 1
    assert len(kept_images(small, pairs, range(3))[0]) == 3
    assert not torch.equal(kept_images(other, pairs, [1, 3, 5])[0], want)
    pairs.packages = {"a": "2"}
    kept_images(small, pairs, [1, 3, 5])
    assert calls == [[1, 3, 5], [0, 1, 2], [1, 3, 5], [1, 3, 5]]
    pairs.packages = {}  # files, which may change
    kept_images(small, pairs, [1, 3, 5])
    assert len(calls) == 5

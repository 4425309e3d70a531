"""Features are computed once for each picture and source."""

import copy
import json

import pytest
import torch
from PIL import Image

from miniclip.data import open_pairs
from miniclip.data.shards.pack import pack
from miniclip.evaluation.features import (
    FeatureCache,
    model_digest,
    picture_source,
    pixels,
    raw_pixels,
)
from miniclip.model.clip import create_model
from miniclip.zeroshot import encode_images
from tests.data.tars import Coloured


def test_a_picture_is_encoded_once_for_each_source(small):
    cache, one, other = FeatureCache(small, None), Stamped(5, bad=[2]), Coloured(5)
    want = encode_images(small, other, [3, 4, 1])[0]
    assert cache.images(one, [1, 2, 3])[1] == [1, 3]
    rows, kept = cache.images(one, [3, 2, 4, 1])
    assert kept == [3, 4, 1] and rows.allclose(want, atol=1e-5)
    assert len(cache.images(one, [2])[0]) == 0 and cache.images(other, [1])[1] == [1]
    assert sorted(one.opened) == [1, 2, 3, 4]
    assert cache.images(one, iter([3, 4]))[1] == [3, 4], "an iterator is read only once"


def test_the_untrained_model_is_the_same_each_time_and_draws_nothing(small):
    state = torch.get_rng_state()
    models = [FeatureCache(small, "tokenizer").untrained().model for _ in range(2)]
    assert torch.equal(state, torch.get_rng_state()), "nothing was drawn"
    first, again = (model.state_dict()["text_projection"] for model in models)
    assert torch.equal(first, again) and not torch.equal(first, small.text_projection)
    assert not models[0].training and models[0].config == small.config


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_of_another_precision_is_another_model(small, dtype):
    assert model_digest(copy.deepcopy(small).to(dtype)) != model_digest(small)


def test_pixels_are_from_0_to_1_with_their_channels_last():
    split = Image.new("RGB", (8, 8), (0, 51, 255))
    split.paste((255, 0, 0), (4, 0, 8, 8))
    (found,), _ = pixels(picture_source([split]), [0], 4)
    assert found[3, 0].tolist() == pytest.approx([0, 0.2, 1], abs=0.02)
    assert found[0, 3].tolist() == pytest.approx([1, 0, 0], abs=0.02)
    damaged = Coloured(3, bad=[1])
    found, kept = raw_pixels(damaged, range(3))
    assert found.shape == (2, 3 * 12 * 12) and kept == [0, 2]
    assert pixels(damaged, [1], 4)[0].shape == (0, 4, 4, 3)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(1)
    return create_model("rn_icons", vocab_size=520, vision_width=4)


class Stamped(Coloured):
    """Pictures with a stamp; `opened` has those that were opened."""

    def __init__(self, n, bad=()):
        super().__init__(n, bad)
        self.opened, self.now = [], {}

    def stamp(self, i):
        return [i, self.now.get(i)]

    def image(self, i):
        self.opened.append(i)
        return super().image(i)


def test_features_are_kept_by_the_weights_and_the_stamps_of_the_pictures(small, monkeypatch, cache):
    want, source = encode_images(small, Coloured(6), range(6))[0], Stamped(6, bad=[2])
    other = copy.deepcopy(small)
    other.visual.bn1.running_mean += 1  # a buffer, no parameter

    def opened(model, indices, keep=True):
        source.opened.clear()
        rows, kept = FeatureCache(model, None, keep).images(source, indices)
        assert kept == [i for i in indices if i != 2]
        assert model is other or rows.allclose(want[kept], atol=1e-5)
        return sorted(source.opened)

    assert opened(small, [1, 3]) == [1, 3] and opened(small, [5, 3, 2]) == [2, 5]
    assert opened(small, [2, 5, 1]) == [2], "what cannot be read is tried again"
    assert opened(other, [1, 3]) == [1, 3] and opened(small, [1], keep=False) == [1]
    source.now[3] = "changed"
    assert opened(small, [1, 3, 5]) == [3]
    monkeypatch.setattr(source, "stamp", lambda i: None)
    assert opened(small, [1]) == [1], "nothing tells whether it has changed"
    next(cache.iterdir()).write_bytes(b"damaged")
    assert opened(small, [1]) == [1]


def test_what_was_encoded_before_an_error_is_kept(small, monkeypatch, cache):
    source, more = Stamped(40), Stamped(41)
    monkeypatch.setattr(more, "image", lambda i: source.image(i) if i < 40 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        FeatureCache(small, None, keep=True).images(more, range(41))
    source.opened.clear()
    FeatureCache(small, None, keep=True).images(source, range(40))
    assert set(source.opened) <= {*range(32, 40)}


def test_files_and_members_of_shards_have_stamps_and_pictures_of_packages_their_versions(tmp_path):
    rows = "".join(f"{k}.png,one {k}\n" for k in range(3))
    (tmp_path / "pairs.csv").write_text("filepath,caption\n" + rows)
    for k in range(3):
        Image.new("RGB", (9, 9), (80 * k, 9, 9)).save(tmp_path / f"{k}.png")
    pairs = open_pairs(tmp_path / "pairs.csv")
    pack(pairs, tmp_path / "tars", 3)
    before = [pairs.stamp(i) for i in range(3)]
    Image.new("RGB", (9, 9), "red").save(tmp_path / "1.png")
    assert [pairs.stamp(i) == before[i] for i in range(3)] == [True, False, True]
    shards = open_pairs(tmp_path / "tars")
    assert len({json.dumps(shards.stamp(i)) for i in range(3)}) == 3
    packaged = Coloured(2)
    assert packaged.stamp(1) is None
    packaged.packages = {"a": "1"}
    assert packaged.stamp(1) == [{"a": "1"}, 1]

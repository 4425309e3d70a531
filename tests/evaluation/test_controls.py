"""Controls of zero-shot on a site never seen: what must fail does fail. Three trainings of a small
model, about a minute each; the first shows that so short a training is enough where it may succeed."""

from unittest import mock

import numpy as np
import pytest

import train
from miniclip.data.icons.icons import Icons
from miniclip.evaluation.confidence import binomial_tail
from miniclip.evaluation.unseen_site import correct, labelled
from miniclip.weights import load
from miniclip.zeroshot import classifier_weights, encode_images

pytestmark = pytest.mark.slow
STEPS, WORD = 250, "calendar"
RARE = 1e-3  # what chance alone reaches so seldom is no chance


class OthersCaptions(Icons):
    """The icons, each picture trained on with the caption of another one."""

    def caption(self, i, rng):
        if not hasattr(self, "other"):
            train_on = self.splits["train"]
            mixed = np.random.default_rng(0).permutation(train_on).tolist()
            self.other = dict(zip(train_on, mixed))
        return super().caption(self.other[i], rng)


def trained(pairs, folder):
    """(model, tokenizer) after a short training on pairs."""
    options = ["--data", "icons", "--model", "rn_icons_xs", "--steps", str(STEPS)]
    with mock.patch("miniclip.training.pairs.open_divided", return_value=pairs):
        assert train.main([*options, "--out", str(folder)]) == 0
    return load(folder / "checkpoint.pt")[:2]


def with_word(pairs, i):
    return any(WORD in name.split() for name in pairs.names(i))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """(pairs, model, tokenizer) of a short training with the right captions."""
    pairs = Icons()
    return pairs, *trained(pairs, tmp_path_factory.mktemp("real"))


def named(pairs, model, tokenizer):
    """(how many pictures of the unseen site zero-shot names rightly, of how many, the share of the
    most frequent name)."""
    indices, right = labelled(pairs, "heldout_site", pairs.shared_names)
    weights = classifier_weights(model, tokenizer, pairs.shared_names, ["{}"])
    hits = correct(encode_images(model, pairs, indices)[0] @ weights, right)
    return int(hits.sum()), len(hits), right.float().mean(0).max().item()


def found_by_word(pairs, model, tokenizer):
    """(how many of the m pictures nearest to WORD show it, m of all, how many there are)."""
    site = pairs.splits["heldout_site"]
    shows = np.array([with_word(pairs, i) for i in site])
    query = classifier_weights(model, tokenizer, [WORD], ["{}"])
    nearest = (encode_images(model, pairs, site)[0] @ query)[:, 0].argsort(descending=True)
    return int(shows[nearest[: shows.sum()].numpy()].sum()), int(shows.sum()), len(site)


def test_with_others_captions_zero_shot_stays_at_chance(real, tmp_path):
    hits, n, most = named(*real)
    assert binomial_tail(hits, n, most) < RARE, f"{hits} of {n} with the right captions is chance"
    pairs = OthersCaptions()
    hits, n, most = named(pairs, *trained(pairs, tmp_path))
    assert binomial_tail(hits, n, most) > RARE, f"{hits} of {n} rightly named without a caption"


def test_a_word_never_trained_on_does_not_find_its_pictures(real, tmp_path):
    found, m, n = found_by_word(*real)
    assert binomial_tail(found, m, m / n) < RARE, f"{found} of {m} found with the word is chance"
    pairs = Icons()
    without = [i for i in pairs.splits["train"] if not with_word(pairs, i)]
    assert len(without) < len(pairs.splits["train"]), f"no training picture has {WORD}"
    pairs.splits["train"] = without
    found, m, n = found_by_word(pairs, *trained(pairs, tmp_path))
    assert binomial_tail(found, m, m / n) > RARE, f"{found} of {m} found without the word"

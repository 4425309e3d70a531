"""The zero-shot classifier is the mean of normalized sentences, normalized again."""

import contextlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip import zeroshot
from miniclip.bpe import Tokenizer
from miniclip.data.files import read_lines
from miniclip.model.clip import CLIP
from miniclip.zeroshot import (
    classifier_weights,
    classify,
    encode_images,
    encode_tensors,
    encode_texts,
    imagenet,
)
from tests.data.tars import Coloured
from tests.rounding import tower_error

pytestmark = pytest.mark.numerics


class Words:
    """A text tower that gives every sentence a fixed random direction."""

    config = {"embed_dim": 16}
    training = False

    def parameters(self):
        yield torch.zeros(())

    def eval(self):
        self.training = False

    def train(self, mode=True):
        self.training = mode

    def encode_text(self, tokens, normalize=False):
        assert not self.training
        rows = [
            torch.randn(16, generator=torch.Generator().manual_seed(int(t))) for t in tokens[:, 0]
        ]
        features = torch.stack(rows)
        return torch.nn.functional.normalize(features, dim=1) if normalize else features

    encode_image = encode_text


def tokenizer(texts, trim=False, truncate=True):
    return torch.tensor([[sum(ord(c) * 31**k for k, c in enumerate(t)) % 2**31] for t in texts])


def weights(names, templates):
    return classifier_weights(Words(), tokenizer, names, templates)


@pytest.mark.parametrize("training", [True, False])
def test_the_size_of_a_batch_changes_nothing_and_the_model_goes_on_as_before(training):
    model, texts = Words(), [f"text {k}" for k in range(5)]
    model.training = training
    for batch_size in (1, 2, 9):
        found = encode_texts(model, tokenizer, texts, batch_size)
        assert torch.equal(found, encode_texts(model, tokenizer, texts))
    assert model.training == training and encode_texts(model, tokenizer, []).shape == (0, 16)
    with pytest.raises(TypeError):
        encode_texts(model, tokenizer, [*texts, None])
    assert model.training == training


def test_batches_of_pictures_may_be_numpys():
    batch = torch.arange(6).reshape(3, 2)
    found = encode_tensors(Words(), [batch.numpy()])
    assert torch.equal(found, encode_tensors(Words(), [batch]))


def test_a_model_in_training_goes_on_with_it_after_blocks_that_overlap():
    model, first, second = torch.nn.Linear(1, 1), contextlib.ExitStack(), contextlib.ExitStack()
    for block in (first, second):
        block.enter_context(zeroshot.evaluating(model))
    assert not model.training
    first.close(), second.close()
    assert model.training


@given(st.integers(1, 5), st.integers(1, 4))
def test_a_column_is_the_normalized_mean_of_the_templates_in_any_order(classes, templates):
    names = [f"class {i}" for i in range(classes)]
    templates = [f"{t} {{}}" for t in range(templates)]
    found = weights(names, templates)
    mean = sum(weights(names, [template]) for template in templates)
    assert found.shape == (16, classes)
    torch.testing.assert_close(found, torch.nn.functional.normalize(mean, dim=0))
    torch.testing.assert_close(found, weights(names, templates[::-1]))


def test_a_name_may_hold_braces():
    torch.testing.assert_close(weights(["{x}"], ["a {}"]), weights(["a {x}"], ["{}"]))


def test_a_picture_that_is_its_sentence_gets_its_class():
    w = weights(["dog", "cat"], ["a {}", "{}"])
    assert classify(w.T, w).tolist() == [0, 1]


class Means(Words):
    """An image tower whose feature is the mean of each channel."""

    config = {"embed_dim": 3, "image_size": 8}

    def encode_image(self, images, normalize=False):
        return images.mean((2, 3))


def test_pictures_that_cannot_be_read_are_left_out_whatever_the_batch_size(monkeypatch):
    pictures = Coloured(10, bad=(2, 5, 8))
    all_at_once, kept = encode_images(Means(), pictures, range(10))
    assert kept == [0, 1, 3, 4, 6, 7, 9] and all_at_once.shape == (7, 3)
    for batch_size in (1, 2, 7):
        monkeypatch.setattr(zeroshot, "CPU_BATCH", batch_size)
        features, again = encode_images(Means(), pictures, range(10))
        assert again == kept and torch.equal(features, all_at_once)
    assert encode_images(Means(), pictures, [2, 5])[0].shape == (0, 3)


def test_text_files_say_one_thing_a_line(tmp_path):
    (tmp_path / "names.txt").write_bytes("\ufeffhot dog\n\n  cat \r\na\u2028b\fc\rd".encode())
    assert read_lines(tmp_path / "names.txt", "classes") == ["hot dog", "cat", "a\u2028b\fc", "d"]


def test_close_scores_are_told_apart_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert classify(torch.tensor([[0.25]]), torch.tensor([[1.0, 1.001]])).tolist() == [1]


def test_the_classifier_equals_open_clips():
    """Of a small model of open_clip with random weights, and of the same in ours."""
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(0)
    vision = dict(layers=1, width=64, patch_size=16, image_size=32, head_width=64)
    theirs = open_clip.CLIP(32, vision, dict(width=64, heads=1, layers=2)).eval()
    towers = dict(vision_layers=1, vision_width=64, vision_heads=1, vision_patch=16)
    towers |= dict(text_layers=2, text_width=64, text_heads=1, activation="gelu")
    ours = CLIP(embed_dim=32, image_size=32, **towers).eval()
    ours.load_state_dict(theirs.state_dict())
    names, templates = imagenet()
    names = [*names.values()]
    assert len(names) == 1000 and len(templates) == 80
    with torch.no_grad():
        want = open_clip.build_zero_shot_classifier(
            theirs, open_clip.SimpleTokenizer(), names[::100], open_clip.OPENAI_IMAGENET_TEMPLATES
        )
        got = classifier_weights(ours, Tokenizer.openai(), names[::100], templates)
    allowed = tower_error(ours, torch.float32)  # of unit vectors, so of their components too
    torch.testing.assert_close(got, want, rtol=0, atol=allowed)

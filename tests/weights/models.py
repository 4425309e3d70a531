"""What the tests of weight files share: light models, files of them, and how one is refused."""

import pytest
import torch

from miniclip.bpe import Tokenizer
from miniclip.model.clip import create_model
from miniclip.training import checkpoint
from miniclip.weights import load

LIGHT = "rn50"  # with fewer tokens and pixels: half of the smallest released model


def light(**overrides):
    return create_model(LIGHT, **dict(vocab_size=520, context_length=8, image_size=32) | overrides)


def same_weights(model, other):
    a, b = model.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def write(path, content):
    torch.save(content, path)
    return path


def refused(path, *words, **options):
    """The one sentence that load refuses the file with; it must name `words`."""
    before = torch.get_rng_state()
    with pytest.raises(ValueError) as caught:
        load(path, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 500, sentence
    for word in (str(path), *words):
        assert word in sentence, f"{word!r} is not in {sentence!r}"
    assert torch.equal(before, torch.get_rng_state())


def our_checkpoint(model, path):
    tokenizer = Tokenizer.train(["a red heart", "a red cup"], model.config["vocab_size"])
    state = dict(model=model.state_dict(), config=model.config, tokenizer=tokenizer.state(), step=3)
    checkpoint.save(path, state)
    return tokenizer

"""What fine-tuning starts from: the weights of a file, perhaps for pictures of another size."""

import pytest
import torch

from miniclip import create_model
from miniclip.weights.initial import initial_state
from tests.weights.models import our_checkpoint


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """(path of a vit_mini's checkpoint for pictures of 32 pixels and gelu, model, tokenizer)."""
    path = tmp_path_factory.mktemp("start") / "c.pt"
    how = dict(image_size=32, activation="gelu", context_length=20)
    model = create_model("vit_mini", vocab_size=520, **how)
    return path, model, our_checkpoint(model, path)


def test_without_a_model_it_is_what_the_file_holds(start):
    path, model, tokenizer = start
    found = initial_state(path)
    assert found["config"] == model.config | {"tokenizer": tokenizer.digest}
    assert found["tokenizer"] == tokenizer.state()
    assert all(torch.equal(x, found["model"][name]) for name, x in model.state_dict().items())


def test_the_same_towers_take_pictures_of_another_size_and_keep_texts_and_activation(start):
    path, model, _ = start
    found = initial_state(path, "vit_mini")
    sizes = {name: found["config"][name] for name in ("image_size", "context_length", "activation")}
    assert sizes == dict(image_size=64, context_length=20, activation="gelu")
    differ = [n for n, x in model.state_dict().items() if x.shape != found["model"][n].shape]
    assert differ == ["visual.positional_embedding"] and found["config"]["name"] == "vit_mini"

"""Averages of two models: exact at the ends, refused for models that differ, read again when saved."""

import copy

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import miniclip
from miniclip import create_model
from miniclip.bpe import Tokenizer
from miniclip.training import checkpoint
from miniclip.weights.average import check_alike, interpolate, save_average
from tests.shared import must_refuse


def model(seed, name="rn_mini", **how):
    """A model with random weights, and batch norms that have seen a batch."""
    torch.manual_seed(seed)
    made = create_model(name, **dict(vocab_size=520) | how).train()
    size = made.config["image_size"]
    with torch.no_grad():
        for _ in range(seed + 1):
            made.visual(torch.randn(4, 3, size, size))
    return made.eval()


@pytest.fixture(scope="module")
def states():
    return model(0).state_dict(), model(1).state_dict()


@settings(max_examples=10, derandomize=True)
@example(0.0)
@example(0.5)
@example(1.0)
@given(st.floats(0, 1))
def test_every_number_is_between_the_two_by_alpha_and_exact_at_the_ends(states, alpha):
    """Batch norms' averages included. Whole numbers are the nearer model's."""
    before, (start, tuned) = copy.deepcopy(states), states
    found = interpolate(start, tuned, alpha)
    assert found.keys() == start.keys()
    for name, x in found.items():
        if x.is_floating_point() and 0 < alpha < 1:
            wanted = (1 - alpha) * start[name].double() + alpha * tuned[name].double()
            # two products and a sum, each rounded
            bound = 3 * torch.finfo(x.dtype).eps * (start[name].abs() + tuned[name].abs())
            assert x.dtype == start[name].dtype and ((x - wanted).abs() <= bound).all(), name
        else:
            assert torch.equal(x, (tuned if alpha >= 0.5 else start)[name]), name
    same = interpolate(start, copy.deepcopy(start), alpha)
    for name, x in start.items():
        assert torch.equal(same[name], x), f"{name} is equal in both, and has changed"
        found[name].zero_()
        assert torch.equal(x, before[0][name]) and torch.equal(tuned[name], before[1][name])


@pytest.mark.parametrize(
    "how, word",
    [
        (dict(name="vit_mini"), "vision_"),
        (dict(vocab_size=521), "vocab_size"),
        (dict(image_size=64), "image_size"),
        (dict(activation="gelu"), "activation"),
        (dict(tokenizer="another"), "tokenizer"),
    ],
)
def test_models_that_differ_are_refused_in_one_sentence(how, word):
    same = model(0, tokenizer="one").config
    check_alike(("a.pt", "b.pt"), (same, same | {"tokenizer": None}))  # that one is not known
    configs = same, model(0, **dict(tokenizer="one") | how).config
    said = must_refuse("a.pt and b.pt cannot be averaged", check_alike, ("a.pt", "b.pt"), configs)
    if word != "vision_":  # several numbers differ, any of them may be named
        assert word in said


def test_what_is_saved_is_loaded_and_says_what_it_is(tmp_path, states):
    tokenizer = Tokenizer.train(["a red heart", "a red cup"], 520, 32)
    tuned, path = model(1, vocab_size=tokenizer.vocab_size), tmp_path / "average.pt"
    state = interpolate(
        model(0, vocab_size=tokenizer.vocab_size).state_dict(), tuned.state_dict(), 0.25
    )
    run = dict(options={"data": "pairs.csv"}, pairs=7, optimizer={"state": {}}, pairs_digest="d")
    save_average(path, 0.25, ("a.pt", "b.pt"), state, tuned, tokenizer, run)
    found, words, _ = miniclip.load(path)
    assert all(torch.equal(x, state[name]) for name, x in found.state_dict().items())
    assert words.encode("a red cup") == tokenizer.encode("a red cup")
    held = checkpoint.load(path)
    assert held["average"] == dict(start="a.pt", tuned="b.pt", alpha=0.25)
    assert held["options"] == {"data": "pairs.csv"} and "optimizer" not in held
    assert held["pairs_digest"] == "d", "or eval.py would not recognize the pairs"

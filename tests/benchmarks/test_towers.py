"""The bench of the towers runs, and compares what it says it compares."""

import pytest
import torch

from miniclip import create_model
from miniclip.benchmarks import towers
from tests.rounding import tower_error

pytestmark = pytest.mark.numerics


def test_it_times_both_passes_in_both_precisions(capsys):
    assert towers.main(["--models", "rn_mini", "--rounds", "1", "--batch-size", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and "batch 2" in lines[0]
    rows = (
        "fp32  forward ",
        "fp32  forward + b",
        "bf16",
        "bf16",
        "fp32  training",
        "bf16  training",
    )
    for line, what in zip(lines[1:], rows):
        assert line.startswith("rn_mini") and what in line and " ms" in line


def test_an_unknown_model_is_refused_in_one_sentence(capsys):
    with pytest.raises(SystemExit) as caught:
        towers.main(["--models", "vit"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_round_times_the_models_in_turn_and_the_warm_up_is_left_out():
    order = []
    timed = [lambda name=name: order.append(name) or len(order) for name in "ab"]
    assert towers.compare(timed, rounds=2) == [[3, 5], [4, 6]]
    assert "".join(order) == "ababab"


def test_captions_are_of_5_to_20_tokens_and_both_losses_are_the_same_number():
    config = dict(image_size=48, context_length=32, vocab_size=600)
    torch.manual_seed(0)
    images, tokens = towers.batch(config, 6, torch.device("cpu"))
    texts = towers.captioned(tokens)
    ends = texts.argmax(1)
    assert ((ends >= 4) & (ends < 20)).all() and (texts.gather(1, ends[:, None]) == 599).all()
    assert (texts[torch.arange(32) > ends[:, None]] == 0).all()
    model = create_model("vit_mini", vocab_size=600, image_size=48)
    ours, theirs = (
        towers.our_loss(model, images, texts),
        towers.open_clip_loss(model, images, texts),
    )
    # a similarity and the match's are each off by what the features are, times the scale
    allowed = 2 * model.logit_scale.exp() * tower_error(model, torch.float32)
    assert abs(ours - theirs) <= allowed, f"{ours} {theirs}"


def test_the_texts_end_within_the_context():
    config = dict(image_size=8, context_length=6, vocab_size=50)
    images, tokens = towers.batch(config, 3, torch.device("cpu"))
    assert images.shape == (3, 3, 8, 8) and tokens.shape == (3, 6)
    assert tokens.argmax(1).tolist() == [3, 3, 3]


def test_quartiles_of_one_round_are_that_round():
    assert towers.quartiles([2.0]) == [2.0] * 3
    assert towers.quartiles([1.0, 2.0, 3.0]) == [1.5, 2.0, 2.5]

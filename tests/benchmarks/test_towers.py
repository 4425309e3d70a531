"""The benchmark of the towers runs, and compares what it says it compares."""

import pytest
import torch

from miniclip import create_model
from miniclip.benchmarks import towers
from tests.rounding import tower_error

pytestmark = pytest.mark.numerics


@pytest.mark.slow
def test_it_times_both_passes_and_a_step_in_both_precisions(capsys):
    assert towers.main(["--models", "rn_mini", "--rounds", "1", "--batch-size", "2"]) == 0
    head, names, _, *rows = capsys.readouterr().out.splitlines()
    assert "batch 2" in head and names.startswith("rn_mini") and " ms " in names
    what = ("forward", "forward + backward", "training step")
    want = [f"{dtype}  {w}" for dtype in ("fp32", "bf16") for w in what]
    assert [row.split("  miniclip")[0].strip() for row in rows] == want


def test_an_unknown_model_is_refused_in_one_sentence(capsys):
    with pytest.raises(SystemExit) as caught:
        towers.main(["--models", "vit"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_captions_are_of_5_to_20_tokens_and_both_losses_are_the_same_number():
    config = dict(image_size=48, context_length=32, vocab_size=600)
    torch.manual_seed(0)
    images, texts = towers.batch(config, 6, torch.device("cpu"))
    ends = texts.argmax(1)
    assert ((ends >= 4) & (ends < 20)).all() and (texts.gather(1, ends[:, None]) == 599).all()
    before, behind = (op(torch.arange(32), ends[:, None]) for op in (torch.lt, torch.gt))
    assert (texts[behind] == 0).all() and (texts[before] > 0).all() and (texts[before] < 599).all()
    model = create_model("vit_mini", vocab_size=600, image_size=48)
    ours, theirs = (
        towers.our_loss(model, images, texts),
        towers.open_clip_loss(model, images, texts),
    )
    # a similarity and the match's are each off by what the features are, times the scale
    allowed = 2 * model.logit_scale.exp() * tower_error(model, torch.float32)
    assert abs(ours - theirs) <= allowed, f"{ours} {theirs}"


def test_the_texts_end_within_the_context():
    config = dict(image_size=8, context_length=4, vocab_size=50)
    images, tokens = towers.batch(config, 3, torch.device("cpu"))
    assert images.shape == (3, 3, 8, 8) and tokens.shape == (3, 4)
    assert tokens.argmax(1).tolist() == [3, 3, 3]

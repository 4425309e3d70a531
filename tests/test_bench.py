"""The bench of the towers runs, and compares what it says it compares."""

import pytest
import torch

from miniclip import bench


def test_it_times_both_passes_in_both_precisions(capsys):
    assert bench.main(["--models", "rn_mini", "--rounds", "1", "--batch-size", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and "batch 2" in lines[0]
    for line, what in zip(lines[1:], ("fp32  forward ", "fp32  forward + b", "bf16", "bf16")):
        assert line.startswith("rn_mini") and what in line and " ms" in line


def test_an_unknown_model_is_refused_in_one_sentence(capsys):
    with pytest.raises(SystemExit) as caught:
        bench.main(["--models", "vit"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_round_times_the_models_in_turn_and_the_warm_up_is_left_out(monkeypatch):
    order = []
    monkeypatch.setattr(bench, "seconds", lambda model, *rest: order.append(model) or len(order))
    assert bench.compare("ab", None, None, "fp32", False, rounds=2) == [[3, 5], [4, 6]]
    assert "".join(order) == "ababab"


def test_the_texts_end_within_the_context():
    config = dict(image_size=8, context_length=6, vocab_size=50)
    images, tokens = bench.batch(config, 3, torch.device("cpu"))
    assert images.shape == (3, 3, 8, 8) and tokens.shape == (3, 6)
    assert tokens.argmax(1).tolist() == [3, 3, 3]


def test_quartiles_of_one_round_are_that_round():
    assert bench.quartiles([2.0]) == [2.0] * 3
    assert bench.quartiles([1.0, 2.0, 3.0]) == [1.5, 2.0, 2.5]

"""The shared timer, and that each benchmark compares what it says it compares."""

import itertools

import pytest
import torch

from miniclip import create_model
from miniclip.benchmarks import __main__ as command
from miniclip.benchmarks import tokenizing, towers
from miniclip.benchmarks.timer import compare, take_turns
from tests.rounding import tower_error

pytestmark = pytest.mark.numerics


@pytest.mark.slow
def test_a_round_times_the_functions_in_turn_and_the_warm_up_is_left_out():
    order, clock = [], itertools.count()
    functions = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = take_turns(functions, 2, lambda: next(clock) ** 2)
    assert "".join(order) == "ababab"
    assert seconds == {"a": [5**2 - 4**2, 9**2 - 8**2], "b": [7**2 - 6**2, 11**2 - 10**2]}


def test_the_ratio_is_taken_within_a_round():
    seconds = {"ours": [1.0, 2.0, 4.0], "theirs": [3.0, 4.0, 4.0]}
    table = compare("what", "ms", lambda s: 1000 * s, [("one", seconds)])
    assert table.splitlines()[-1].split()[-4:] == ["2.00", "1.00", "to", "3.00"]


@pytest.mark.slow
def test_other_ids_are_an_error(monkeypatch, refused):
    monkeypatch.setattr(tokenizing, "CAPTIONS", 20)
    monkeypatch.setattr(tokenizing, "huggingface", lambda ours: lambda texts: [[1]] * len(texts))
    assert "other ids than miniclip's" in refused(tokenizing.main, "--rounds", 1)


def test_both_losses_are_the_same_number():
    model = create_model("vit_mini", vocab_size=600, image_size=48)
    inputs = model, *towers.batch(model.config, 6, torch.device("cpu"))
    # a similarity and the match's are each off by what the features are, times the scale
    allowed = 2 * model.logit_scale.exp() * tower_error(model, torch.float32)
    assert abs(towers.our_loss(*inputs) - towers.open_clip_loss(*inputs)) <= allowed


@pytest.mark.slow
@pytest.mark.parametrize(
    "line, rows",
    [
        ("towers --models rn_mini --rounds 1 --batch-size 2", ["fp32  forward", "bf16  training"]),
        ("tokenizer --rounds 1", ["miniclip, tiktoken", "open_clip", "Hugging Face"]),
    ],
)
def test_a_benchmark_prints_a_row_for_each_measurement(line, rows, capsys, monkeypatch):
    for name in ("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM"):  # the tokenizer's sets both
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(tokenizing, "CAPTIONS", 20)
    assert command.main(line.split()) == 0
    printed = capsys.readouterr().out
    assert all(row in printed for row in rows), printed


@pytest.mark.parametrize("line", ["loss --sizes 0", "towers --models vit", "loader --rounds 0"])
def test_what_cannot_be_timed_is_refused_in_one_sentence(line, refused):
    refused(command.main, *line.split())

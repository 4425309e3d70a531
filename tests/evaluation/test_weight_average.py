"""Averages of weights: the curve has both ends, and is tested on the pairs of both models."""

import json
from types import SimpleNamespace

import pytest
import torch

from miniclip.common import UserError
from miniclip.evaluation import weight_average
from miniclip.evaluation.confidence import share
from miniclip.training.checkpoint import FORMAT
from tests.evaluation.fakes import Features, Plane, context_of, labelled
from tests.shared import must_refuse

OURS = {"format": FORMAT}


def test_a_curve_has_eleven_alphas_and_the_model_ends_with_its_own_weights(report, monkeypatch):
    model = torch.nn.Linear(1, 1, bias=False)
    model.load_state_dict({"weight": torch.ones(1, 1)})
    start = {"weight": torch.zeros(1, 1)}

    def measures(features, pairs, *_):
        return {f"{pairs.name}": share(round(10 * features.model.weight.item()), 10)}

    monkeypatch.setattr(weight_average, "measures", measures)
    monkeypatch.setattr(weight_average, "open_data", lambda content, start: (Plane([0]), True))
    features = SimpleNamespace(model=model, tokenizer=None)
    context = context_of(report, features, start=(start, OURS, "", {}))
    curves = weight_average.write(context)
    assert list(curves) == ["plane", "before: plane"]
    for curve in curves.values():
        assert curve == {f"{k / 10:g}": share(k, 10) for k in range(11)}
    assert model.weight.item() == 1 and start["weight"].item() == 0
    monkeypatch.setattr(weight_average, "measures", lambda *_: {})
    must_refuse("nothing to test on", weight_average.write, context)


def test_what_a_model_is_measured_by(monkeypatch):
    asked = {
        "s": {"known": {"top-1": 0.5, "n": 6}},
        "t": {"known": {"top-1": 1.0, "n": 2}},
        "u": {},
    }
    monkeypatch.setattr(weight_average, "zero_shot", lambda *_: asked)
    features, pairs = Features({"a": 0, "b": 90}), Plane([])
    pairs.homes, pairs.tested = [{"s"}], ["s", "t"]
    home = labelled([0, 0, 1, 1], [10, 80, 70, 90], names="ab")
    found = weight_average.measures(features, pairs, home, ["{}"])
    assert json.loads(json.dumps(found)) == {  # as results.json holds it
        "zero-shot on known names of s, t": share(5, 8),
        "zero-shot on home": share(3, 4),
    }


@pytest.mark.parametrize(
    "start, own, tested",
    [
        (OURS, True, True),
        (OURS, False, False),
        ({"format": "other"}, True, False),
        (OURS | {"pairs": "same"}, True, False),
        (OURS | {"pairs": "gone"}, True, False),
    ],
)
def test_the_pairs_of_the_start_are_tested_if_they_are_others(
    report, monkeypatch, start, own, tested
):
    context = context_of(report, start=({}, start, "", {}), trained_on_pairs=own)

    def open_data(content, start):
        if content.get("pairs") == "gone":
            raise UserError("there is no such file")
        return (context.pairs if "pairs" in content else Plane([0])), True

    monkeypatch.setattr(weight_average, "open_data", open_data)
    assert [*weight_average.tests_of(context)] == ["", *["before: "] * tested]
    assert ("no such file" in report.said()) == (start.get("pairs") == "gone")

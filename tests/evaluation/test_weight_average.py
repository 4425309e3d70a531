"""Averages of weights: the curve has both ends, and is tested on the pairs of both models."""

from types import SimpleNamespace

import pytest
import torch

from miniclip.common import UserError
from miniclip.evaluation import weight_average
from miniclip.evaluation.confidence import share
from miniclip.training.checkpoint import FORMAT
from tests.evaluation.fakes import Features, Plane, labelled


def test_a_curve_has_eleven_alphas_and_the_model_ends_with_its_own_weights(report, monkeypatch):
    model = torch.nn.Linear(1, 1, bias=False)
    model.load_state_dict({"weight": torch.ones(1, 1)})
    start = {"weight": torch.zeros(1, 1)}

    def measures(features, name):
        return {name: share(round(10 * features.model.weight.item()), 10)}

    monkeypatch.setattr(weight_average, "measures", measures)
    tests = [("pairs.csv",), ("pairs.csv",), ("other",)]
    curves = weight_average.write(report, model, None, start, tests)
    assert list(curves) == ["pairs.csv, tuned", "pairs.csv, start", "other"]
    for curve in curves.values():
        assert curve == {f"{k / 10:g}": share(k, 10) for k in range(11)}
    assert "pairs.csv, tuned: 0.000 before, 1.000 tuned, 0.500 at 0.5." in report.said()
    assert model.weight.item() == 1 and start["weight"].item() == 0
    with pytest.raises(UserError, match="nothing to test on"):
        weight_average.write(report, model, None, start, [])


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
    assert found == {
        "zero-shot on known names of s, t": share(5, 8),
        "zero-shot on home": share(3, 4),
    }


def test_labelled_pictures_of_elsewhere_are_a_test_of_their_own():
    home, pairs = labelled([0], [0]), Plane([])
    both = [(pairs, None), (None, home)]
    assert [test[:2] for test in weight_average.tests_of(pairs, None)] == both[:1]
    assert [test[:2] for test in weight_average.tests_of(pairs, home)] == both
    home.pictures = pairs
    assert [test[:2] for test in weight_average.tests_of(pairs, home)] == [(pairs, home)]


RUN = {"format": FORMAT, "options": {"data": "a.csv", "caption_column": "x", "lr": 1}}


@pytest.mark.parametrize(
    "start, tested",
    [
        (RUN | {"options": RUN["options"] | {"lr": 2}}, False),
        (RUN | {"options": {"data": "b.csv"}}, True),
        (RUN | {"options": {"data": "a.csv", "caption_column": "y"}}, True),
        ({"format": "other", "options": {"data": "b.csv"}}, False),
        (RUN | {"options": {"data": "gone.csv"}}, False),
    ],
)
def test_the_pairs_of_the_start_are_tested_if_they_are_others(report, monkeypatch, start, tested):
    pairs = SimpleNamespace(splits={}, class_names=(), homes=())

    def open_data(content):
        if content["options"]["data"] == "gone.csv":
            raise UserError("there is no such file")
        return pairs, True

    monkeypatch.setattr(weight_average, "open_data", open_data)
    found = weight_average.tests_of_start("x.pt", start, RUN, report)
    assert [test[0] for test in found] == [pairs] * tested
    assert ("no such file" in report.said()) == (start["options"]["data"] == "gone.csv")

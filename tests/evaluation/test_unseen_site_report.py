"""The sections on a site never seen measure what they say: numbers that are counted by hand."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from miniclip.common import UserError
from miniclip.data.icons.icons import Icons
from miniclip.evaluation.confidence import mcnemar, share
from miniclip.evaluation.data_overlap import all_minus_clean
from miniclip.evaluation.report.unseen_site import farther, overlap, shots, zero_shot
from miniclip.evaluation.unseen_site import UnseenSite, ink, sentence
from tests.evaluation.fakes import Features, Plane

# the test pictures of Font Awesome: (name, style, degrees)
TESTS = [
    ("anchor", "", 4),
    ("anchor", "regular", 28),
    ("bell", "", 30),
    ("bell", "regular", 52),
    ("cloud", "", 58),
    ("cloud bell", "", 41),
    ("zebra", "", 3),
]
DEGREES = {"anchor": 0, "bell": 30, "cloud": 60, "cloud bell": 45, "zebra": 0}


@pytest.fixture
def context(report):
    """Five pictures of three names to train on, seven to test on; their inks differ by name."""
    styles = ("", "outlined")
    train = [("google", name, style) for name in ("anchor", "bell", "cloud") for style in styles]
    owned = [[own] for own in train[:5]] + [[("fontawesome", n, style)] for n, style, _ in TESTS]
    inks = [np.full((64, 64), 40, np.uint8) for _ in owned]
    for k, own in enumerate(owned):
        inks[k][:, 8 * (k % 7) : 8 * (k % 7) + 8] = 250
        inks[k][: 4 * len(own[0][1])] = 0
    pairs = Icons(drawn=(owned, np.stack(inks)))
    pairs.degrees, pairs.bad = [0, 0, 30, 30, 60, *(d for *_, d in TESTS)], ()
    texts = {f"{name} {style}".strip(): d for name, d in DEGREES.items() for style in ("", "x")}
    features = Features(texts)
    site = UnseenSite(features, pairs, ("{}", "{} x"))
    return SimpleNamespace(report=report, features=features, pairs=pairs, unseen=site, seeds=2)


def test_zero_shot_is_of_shared_names_and_of_names_never_trained_on(context, monkeypatch):
    """Of the five with shared names 28 is nearer to bell and 52 to cloud: 3 of 5 are right."""
    monkeypatch.setattr(zero_shot, "SHOWN", 3)
    found = zero_shot.write(context)
    shared, combined = found["of the training sites too"], found["new combinations of known words"]
    assert (shared["top-1"], shared["top-5"]) == (share(3, 5), share(5, 5))
    assert (shared["classes"], shared["chance"]) == (3, pytest.approx(1 / 3))
    assert (combined["classes"], combined["chance"]) == (1, 1)
    assert found["with a word never seen"]["top-1"] == share(1, 1)
    (shown,), _ = context.report.drawn["answers.png"]
    answers = [answers for *_, answers in shown]  # pictures 0, 1 and 3 of the five
    assert answers[0] == [("anchor", True), ("bell", False), ("cloud", False)]
    assert answers[1] == [("bell", False), ("anchor", True), ("cloud", False)]
    assert answers[2] == [("cloud", False), ("bell", True), ("anchor", False)]
    picture = context.pairs.image(context.unseen.tests[1])
    assert shown[1][0].tobytes() == picture.tobytes()


def test_zero_shot_leaves_out_a_group_without_pictures_and_shows_no_more_than_there_are(context):
    splits = context.pairs.splits
    splits["heldout_site"] = splits["heldout_site"][:3]
    del context.pairs.shared_names
    context.unseen = UnseenSite(context.features, context.pairs, ("{}",))
    assert list(zero_shot.write(context)) == ["of the training sites too"]
    (shown,), _ = context.report.drawn["answers.png"]
    assert [len(answers) for *_, answers in shown] == [2, 2, 2], "of two names"


def planned(site, closeness, nearest, pixels, ours):
    """A similarity for `site`: to all training pictures, or to those of shared names."""

    def similarity(encode, known=None):
        if known is None:
            best = torch.tensor(pixels if encode is ink else ours)
            return torch.nn.functional.one_hot(best, len(site.known)).float()
        found = torch.zeros(len(site.tests), len(known))
        found[torch.arange(len(nearest)), torch.tensor(nearest)] = torch.tensor(closeness)
        return found

    site.similarity = similarity


def test_overlap_by_closeness_and_a_line_for_each_answer(context, tmp_path, monkeypatch):
    monkeypatch.setattr(overlap, "SHOWN", 2)
    planned(
        context.unseen,
        closeness=[0.95, 0.97, 0.93, 0.7, 0.6],
        nearest=[0, 1, 2, 4, 3],
        pixels=[0, 0, 2, 3, 0],  # the names of the training pictures: anchor x 2, bell x 2, cloud
        ours=[0, 4, 4, 4, 4],
    )
    found = overlap.write(context)
    right, neighbour = [1, 0, 1, 0, 1], [1, 1, 1, 1, 0]
    parts = {"all": [0, 1, 2, 3, 4], "clean": [2, 3, 4], "0.95 and more": [0, 1]}
    parts |= {"0.90 to 0.95": [2], "below 0.80": [3, 4]}
    assert list(found["by closeness"]) == list(parts), "0.80 to 0.90 has no picture"
    for part, rows in parts.items():
        a, b = [right[k] for k in rows], [neighbour[k] for k in rows]
        own = found["by closeness"][part]
        assert own["zero-shot"] == share(sum(a), len(a)) and own["mcnemar"] == mcnemar(a, b)
        assert own["pixel neighbour, all labels"] == share(sum(b), len(b))
    assert found["zero-shot"] == all_minus_clean(right, [1, 1, 0, 0, 0])
    (pictures,), options = context.report.drawn["nearest.png"]
    assert options["columns"] % 2 == 0, "both pictures of a pair are in one row"
    titles = [title for _, title, _ in pictures[::2]]  # the first and the third of five
    assert titles == ["anchor\nanchor\n0.970", "bell\nbell\n0.930"]
    assert pictures[1][0].tobytes() == context.pairs.image(1).tobytes()
    with open(tmp_path / "answers.csv", newline="") as file:
        assert list(csv.reader(file))[1:] == [
            ["anchor", "anchor", "anchor", "1", "0.9500", "1", "1", "1"],
            ["anchor regular", "anchor", "bell", "2", "0.9700", "0", "1", "0"],
            ["bell", "bell", "bell", "1", "0.9300", "1", "1", "0"],
            ["bell regular", "bell", "cloud", "2", "0.7000", "0", "1", "0"],
            ["cloud", "cloud", "cloud", "1", "0.6000", "1", "0", "1"],
        ]


def points(columns, rows, hits, ours, ks=(1, "all")):
    return [(k, columns, rows, torch.tensor(hits).bool(), torch.tensor(ours).bool()) for k in ks]


def test_curves_have_numbers_for_each_number_of_labels(context, monkeypatch):
    columns, rows = torch.tensor([0, 2]), torch.arange(4)
    hits, ours, asked = [[1, 1, 0, 1], [1, 0, 0, 0]], [1, 1, 0, 0], []

    def curve(site, learn, seeds, least):
        asked.append((learn, seeds, least))
        return [] if least == 8 and learn == "few" else points(columns, rows, hits, ours)

    def worth(points, n):
        return {"value": 1.26, "low": 1.0, "high": None, "n": n}

    monkeypatch.setattr(shots, "curve", curve)
    monkeypatch.setattr(shots, "worth", worth)
    found = shots.write_curves(context, {"some": "some", "other": "few"}, "shots.png")
    assert asked == [(learn, 2, least) for learn in ("some", "few") for least in (8, 1)]
    assert list(found["some"]) == ["fixed", "by k"] and list(found["other"]) == ["by k"]
    numbers = {"mean": 0.5, "seeds": [0.75, 0.25], "zero_shot": share(2, 4), "classes": 2}
    numbers["mcnemar"] = mcnemar(ours, hits[0])
    assert found["some"]["fixed"]["curve"] == {"1": numbers, "all": numbers}
    assert found["some"]["fixed"]["worth"]["n"] == 5
    for said in ("0.25 to 0.75", "| some | 1.3 | [1.0, > 8] |", "More than 8 were not tried"):
        assert said in context.report.said()
    (drawn, zero), _ = context.report.drawn["shots.png"]
    assert drawn == {"some": {1: [0.75, 0.25], "all": [0.75, 0.25]}}
    assert zero == {1: share(2, 4), "all": share(2, 4)}
    assert list(context.report.drawn["all_shots.png"][0][0]) == ["some", "other"]
    one = numbers | {"seeds": [0.75]}
    assert shots.point_cells("all", one)[:3] == ("all", 0.5, None), "one seed has no range"


class Emoji(Plane):
    """Six emoji of three classes; the last has none."""

    class_names = ("a", "b", "c")

    def __init__(self):
        super().__init__([0] * 6)

    def label(self, i):
        return (0, 0, 1, 1, 2, -1)[i]


def test_emoji_are_retrieved_and_classified_in_each_drawing(context, monkeypatch):
    def drawings(pairs, kind):
        if kind == "Noto":
            raise UserError("no font")
        found = Plane([0, 16, 40, 61, 80, 120])
        found.available = [*range(6)]
        return found

    texts = Plane([0, 38, 39, 100, 80, 121])  # the second is nearest to the third, 100 to neither
    monkeypatch.setattr(farther, "Emoji", Emoji)
    monkeypatch.setattr(farther, "Drawings", drawings)
    monkeypatch.setattr(farther, "digits", lambda context: {"digits": 1})
    encoded = property(lambda self: context.features.images(texts, range(6))[0])
    monkeypatch.setattr(farther.Gallery, "texts", encoded)
    context.features.texts = {"a": 0, "b": 30, "c": 70}
    found = farther.write(context)
    assert list(found) == ["colour", "line art", "digits"]
    by_text, classes = found["colour"]["text to picture"], found["colour"]["classes"]
    assert (by_text["R@1"], by_text["R@10"], by_text["n"]) == (4 / 6, 1, 6)
    assert (by_text["chance"]["R@1"], by_text["chance"]["gallery"]) == (1 / 6, 6)
    # 16 is nearer to 30, 61 to 70; the emoji without a class is not asked
    assert (classes["accuracy"], classes["n"], classes["chance"]) == (3 / 5, 5, 1 / 3)
    assert "Noto are left out: no font." in context.report.said()


def test_one_line_says_what_zero_shot_found():
    found = {"top-1": 0.6111, "top-5": 0.7777, "n": 1234, "classes": 8}
    said = sentence(SimpleNamespace(held_out_sites=("a", "b")), found)
    assert all(part in said for part in ("a, b", "0.611", "0.778 of 1,234", "chance 0.1250"))

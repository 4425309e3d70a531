"""The test on a site never seen: its classes, shots, overlap and prompts, and their report."""

import collections
import csv
import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import eval as evaluation
from miniclip.bpe import Tokenizer
from miniclip.common import UserError
from miniclip.data.icons.icons import Icons
from miniclip.evaluation import linear_probe, retrieval, unseen_site
from miniclip.evaluation.confidence import mcnemar, share, wilson
from miniclip.evaluation.data_overlap import all_minus_clean
from miniclip.evaluation.features import FeatureCache, picture_source
from miniclip.evaluation.report.unseen_site import farther, overlap, shots, zero_shot
from miniclip.evaluation.report.writer import Report
from miniclip.evaluation.unseen_site import (
    SHOTS,
    TEMPLATES,
    UnseenSite,
    bins,
    correct,
    curve,
    ink,
    neighbour_right,
    style_choices,
    with_shots,
    worth,
)
from miniclip.model.clip import create_model
from tests.evaluation.fake_icons import NAMES, drawn
from tests.evaluation.fakes import Features, Plane, context_of, directions

COUNTS = dict(zip(NAMES, (8, 8, 4, 2, 2, 1)))  # training pictures of each shared name
NEW = ("flag left", "bell drum", "zebra", "zebra left")


@pytest.fixture(scope="module")
def icons():
    """What render.pictures returns: Font Awesome draws each name twice, and one picture of two."""
    owned, inks = drawn((*COUNTS, *NEW))
    seen, kept = collections.Counter(), []
    for k, [(site, name, _)] in enumerate(owned):
        seen[name] += site != "fontawesome"
        if site == "fontawesome" or seen[name] <= COUNTS.get(name, 0):
            kept.append(k)
    both = [("fontawesome", "anchor", ""), ("fontawesome", "cloud", "")]
    return [*(owned[k] for k in kept), both], inks[[*kept, 0]]


@pytest.fixture(scope="module")
def pairs(icons):
    return Icons(drawn=icons)


@pytest.fixture(scope="module")
def site(pairs):
    tokenizer = Tokenizer.train(["anchor bell cloud drum eye flag"], 520, context_length=32)
    torch.manual_seed(0)
    model = create_model("rn_icons", vocab_size=tokenizer.vocab_size).eval()
    return UnseenSite(FeatureCache(model, tokenizer), pairs)


def test_the_classes_are_shared_names_and_any_name_of_a_picture_is_right(site, pairs):
    assert site.names == tuple(sorted(COUNTS))
    assert len(site.tests) == 2 * len(COUNTS) + 1 and len(site.known) == sum(COUNTS.values())
    assert not {*site.tests} & {*site.known} and {*site.known} <= {*pairs.splits["train"]}
    for i, row in zip(site.tests, site.right):
        assert {site.names[c] for c in row.nonzero()[:, 0]} == {*pairs.names(i)} & {*site.names}
    both = site.right[-1].nonzero()[:, 0].tolist()
    assert [site.names[c] for c in both] == ["anchor", "cloud"]
    for c in range(len(COUNTS)):
        scores = torch.nn.functional.one_hot(torch.tensor([c]), len(COUNTS))
        assert bool(correct(scores, site.right[-1:])) == (c in both)
    assert correct(site.zero_shot, site.right, 99).all(), "top-99 of six classes has all of them"


def test_a_number_of_labels_that_one_class_has_is_left_out():
    own = torch.tensor([[1, 0], [1, 0], [0, 1]], dtype=torch.bool)
    right = torch.eye(2, dtype=torch.bool)
    few = SimpleNamespace(own=own, right=right, zero_shot=right.float())
    found = curve(few, lambda columns, rows, k, seeds: torch.zeros(1, len(rows)), 1)
    assert [(k, ours.tolist()) for k, *_, ours in found] == [(1, [True] * 2), ("all", [True] * 2)]


def test_a_neighbour_knows_the_names_of_its_picture_only(site):
    similarity = site.similarity(ink)
    assert neighbour_right(similarity, site.own, site.right).float().mean() > 0.9
    wrong = site.own.roll(1, dims=1)
    assert neighbour_right(similarity, wrong, site.right).float().mean() < 0.2
    assert neighbour_right(similarity, torch.ones_like(site.own), site.right).all()


def test_as_many_shots_as_there_are_pictures_equal_all_labels(site):
    columns, rows = with_shots(site.own, site.right, 8)
    own, right = site.own[:, columns], site.right[:, columns]
    shots = unseen_site.drawn_neighbours(site.similarity(ink), own, right, 8, 2)
    some = own.any(1)
    full = neighbour_right(site.similarity(ink)[:, some], own[some], right)
    assert shots.tolist() == [full.tolist()] * 2


def points_of(means, zero, n=400, seeds=5):
    """Points of a curve: hits at the given rates over the same n pictures."""
    rng = np.random.default_rng(1)
    ours = torch.tensor(rng.random(n) < zero)
    for k, mean in means.items():
        yield k, None, torch.arange(n), torch.tensor(rng.random((seeds, n)) < mean), ours


def test_how_many_shots_zero_shot_is_worth():
    rising = {1: 0.3, 2: 0.5, 4: 0.7, 8: 0.9, "all": 0.1}
    found = worth(points_of(rising, 0.6), 400, draws=200)
    assert 2 < found["low"] < found["value"] < found["high"] < 4
    assert found["low"] < 2.83 < found["high"]
    for mean, limit in ((0.1, None), (0.9, 1)):  # more than were tried; the smallest or fewer
        ends = worth(points_of(dict.fromkeys(SHOTS, mean), 0.6), 400, draws=50)
        assert {*ends.values()} == {limit}


def test_the_interval_of_a_worth_holds_95_percent_of_1000_draws(monkeypatch):
    found = iter([500, *range(1, 1001)])
    monkeypatch.setattr(unseen_site, "shots_worth", lambda mean, zero_shot: next(found))
    points = points_of({1: 0.3, 2: 0.5}, 0.4, n=3, seeds=2)
    assert worth(points, 3) == {"value": 500, "low": 25, "high": 975}
    assert next(found, None) is None


def test_a_worth_is_of_the_mean_gain_of_the_pictures_that_count():
    """One picture counts at 1, where only zero-shot is right; two count at 2, each right with one of
    two seeds: gains of -1 and .5, so 0 is two thirds of the way from log 1 to log 2."""
    ours = torch.tensor([True]), torch.tensor([False, False])
    hits = torch.tensor([[False], [False]]), torch.tensor([[True, False], [False, True]])
    points = [(k, None, torch.arange(k), hit, own) for k, hit, own in zip((1, 2), hits, ours)]
    points.append(("all", None, torch.arange(2), hits[1], ours[1]))
    assert worth(points, 2, draws=1)["value"] == pytest.approx(2 ** (2 / 3))


def test_a_probe_does_not_see_where_the_features_lie_and_how_large_they_are(site, monkeypatch):
    fitted, columns, rows = [], *with_shots(site.own, site.right, 2)

    def elsewhere(source, indices):
        x, kept = ink(source, indices)
        return 50 * x + 30, kept

    def full_probe(x, y):
        fitted.append(x)
        return linear_probe.full_probe(x, y)

    monkeypatch.setattr(linear_probe, "search_strength", lambda score: 0.03)
    monkeypatch.setattr(unseen_site, "full_probe", full_probe)
    for k in (2, "all"):
        hits, others = (
            unseen_site.probes(site, encode)(columns, rows, k, 2) for encode in (ink, elsewhere)
        )
        assert torch.equal(hits, others) and hits.shape == (1 if k == "all" else 2, len(rows))
    learn = unseen_site.probes(site, elsewhere)
    learn(torch.arange(len(COUNTS)), rows, "all", 1)
    x = fitted[-1]  # a picture has one name here: these are all
    assert x.mean(0).abs().max() < 1e-5 and x.norm(dim=1).mean().item() == pytest.approx(1)


def test_each_test_picture_is_in_one_bin_of_overlap():
    closeness = torch.tensor([1.0, 0.95, 0.949, 0.9, 0.899, 0.8, 0.799, 0.0])
    parts = [which.nonzero()[:, 0].tolist() for which in bins(closeness).values()]
    assert parts == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_ink_is_one_for_a_copy_and_less_for_another_drawing():
    half = Image.new("RGB", (32, 32), "white")
    half.paste((0, 0, 0), (0, 0, 32, 16))
    half.paste((255, 0, 0), (0, 16, 16, 32))  # red has two thirds of the ink of black
    (own,), _ = ink(picture_source([half]), [0])
    assert own.shape == (16 * 16,) and own.norm().item() == pytest.approx(1)
    upper, left, right = own.view(16, 16)[[2, 13, 13], [8, 3, 12]].tolist()
    assert left / upper == pytest.approx(2 / 3) and right == 0


@pytest.mark.parametrize("knows", [True, False])
def test_a_style_word_is_right_when_it_picks_the_drawing_of_its_style(pairs, knows):
    styles = sorted({style for own in pairs.owned for _, _, style in own} - {""})

    def images(_, indices):
        drawn = [{style for _, _, style in pairs.owned[i]} for i in indices]
        return torch.tensor([[float(s in own) for s in styles] for own in drawn]), indices

    def classifier(prompts, templates):
        return torch.tensor([[float(p.endswith(s) == knows) for p in prompts] for s in styles])

    features = SimpleNamespace(images=images, classifier=classifier)
    found = style_choices(SimpleNamespace(pairs=pairs, features=features))
    assert set(found) == {"", "regular"}
    rights, chances = found["regular"]
    assert len(rights) == len(COUNTS) + len(NEW) and all(c == 0.5 for c in chances[1:])
    assert all(rights) if knows else not any(rights)


def test_zero_shot_of_the_recipe_says_the_same_as_the_report(site, pairs):
    found = unseen_site.zero_shot(site.features.model, site.features.tokenizer, pairs)
    assert found["n"] == 13 and found["classes"] == 6
    for name, k in (("top-1", 1), ("top-5", 5)):
        assert found[name] == correct(site.zero_shot, site.right, k).float().mean().item()
        assert found["intervals"][name] == wilson(round(13 * found[name]), 13)
    said = unseen_site.sentence(SimpleNamespace(held_out_sites=("a", "b")), found)
    assert all(part in said for part in ("a, b", f"top-1 {found['top-1']:.3f}", "chance 0.1667"))


def test_probes_are_for_those_who_ask_and_other_sections_are_refused(pairs, report, monkeypatch):
    written, context = [], context_of(report, pairs=pairs)
    for task in evaluation.UNSEEN_SITE:
        write = functools.partial(lambda task, _: written.append(task) or {}, task)
        monkeypatch.setitem(evaluation.UNSEEN_SITE, task, SimpleNamespace(write=write))
    evaluation.write_sections(context)
    assert written == [task for task in evaluation.UNSEEN_SITE if task != "probe"]
    with pytest.raises(UserError, match="--task classes is not for icons; there are retrieval"):
        evaluation.write_sections(context, ["classes"])


# The report


@pytest.mark.slow
def test_the_report_has_each_section_with_its_figures(site, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(linear_probe, "search_strength", lambda score: 1.0)
    report = Report(tmp_path, "icons")
    context = context_of(report, site.features, pairs=pairs, templates=list(TEMPLATES))
    tasks = ["retrieval", "zero_shot", "shots", "prompts", "overlap", "probe"]
    evaluation.write_sections(context, tasks)
    report.write()
    text, figures = (tmp_path / "report.md").read_text(), {p.name for p in tmp_path.glob("*.png")}
    assert {"shots.png", "all_probes.png", "gap.png", "polysemy.png", "closeness.png"} <= figures
    assert all(f"({name})" in text for name in figures)


def test_curves_have_numbers_for_each_number_of_labels(site, pairs, report):
    found = shots.write(context_of(report, site.features, pairs=pairs, templates=TEMPLATES))
    own = found["neighbour in raw pixels"]
    assert [*own["fixed"]["curve"]] == [*own["by k"]["curve"]] == ["1", "2", "4", "8", "all"]
    for chosen, classes in (("fixed", [2] * 5), ("by k", [6, 5, 3, 2, 6])):
        points = own[chosen]["curve"].values()
        assert [point["classes"] for point in points] == classes
        # one picture more has the names anchor and cloud
        assert [point["zero_shot"]["n"] for point in points] == [2 * n + 1 for n in classes]
    hits = neighbour_right(site.similarity(ink), site.own, site.right)
    ours, mean = correct(site.zero_shot, site.right), hits.float().mean().item()
    numbers = {"mean": mean, "seeds": [mean], "zero_shot": share(int(ours.sum()), 13)}
    numbers |= {"classes": 6, "mcnemar": mcnemar(ours, hits)}
    assert own["by k"]["curve"]["all"] == numbers
    (drawn, zero), _ = report.drawn["all_shots.png"]
    assert drawn["neighbour in raw pixels"]["all"] == [mean] and zero["all"] == numbers["zero_shot"]
    assert len(drawn["neighbour in raw pixels"][2]) == 2, "one for each seed"
    assert shots.worth_cells({"value": 1.26, "low": 1.0, "high": None}) == ("1.3", "[1.0, > 8]")


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
    """Five pictures of three names to train on, seven to test on, of which the third to the seventh
    have the stripe of a training picture."""
    styles = ("", "outlined")
    train = [("google", name, style) for name in ("anchor", "bell", "cloud") for style in styles]
    owned = [[own] for own in train[:5]] + [[("fontawesome", n, style)] for n, style, _ in TESTS]
    inks = np.full((len(owned), 64, 64), 40, np.uint8)
    for k, own in enumerate(owned):
        inks[k][:, 8 * (k % 7) : 8 * (k % 7) + 8] = 250
        inks[k][: 4 * len(own[0][1])] = 0
    pairs = Icons(drawn=(owned, inks))
    pairs.degrees, pairs.bad = [0, 0, 30, 30, 60, *(d for *_, d in TESTS)], ()
    texts = {f"{name} {style}".strip(): d for name, d in DEGREES.items() for style in ("", "x")}
    return context_of(report, Features(texts), pairs=pairs, templates=("{}", "{} x"))


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
    assert [[right for _, right in answers] for *_, answers in shown] == [
        [True, False, False],  # pictures 0, 1 and 3 of the five
        [False, True, False],
        [False, True, False],
    ]
    picture = context.pairs.image(context.unseen.tests[1])
    assert shown[1][0].tobytes() == picture.tobytes()


def test_overlap_by_closeness_and_a_line_for_each_answer(context, tmp_path):
    site, found = context.unseen, overlap.write(context)
    closeness, _ = site.similarity(ink, context.pairs.splits["train"]).max(1)
    neighbour = neighbour_right(site.similarity(ink), site.own, site.right)
    ours = torch.tensor([1, 0, 1, 0, 1]).bool()
    parts = {"all": closeness > 0, "clean": closeness < 0.95} | bins(closeness)
    parts = {part: which for part, which in parts.items() if which.any()}
    assert list(found["by closeness"]) == list(parts) and len(parts) > 3
    for part, which in parts.items():
        own, n = found["by closeness"][part], int(which.sum())
        assert own["zero-shot"] == share(int(ours[which].sum()), n)
        assert own["pixel neighbour, all labels"] == share(int(neighbour[which].sum()), n)
        assert own["mcnemar"] == mcnemar(ours[which], neighbour[which])
    assert found["zero-shot"] == all_minus_clean(ours, closeness >= 0.95)
    (pictures,), options = context.report.drawn["nearest.png"]
    assert options["columns"] % 2 == 0, "both pictures of a pair are in one row"
    assert len(pictures) == 2 * 5
    with open(tmp_path / "answers.csv", newline="") as file:
        lines = [*csv.DictReader(file)]
    assert [line["answer"] for line in lines] == ["anchor", "bell", "bell", "cloud", "cloud"]
    assert [line["rank"] for line in lines] == ["1", "2", "1", "2", "1"]
    assert [line["zero-shot"] for line in lines] == [str(int(right)) for right in ours]


def test_emoji_are_retrieved_and_classified_in_each_drawing(context, monkeypatch):
    """Six emoji of three classes, of which the last has none."""
    emoji = Plane([0, 16, 40, 61, 80, 120])
    emoji.available, emoji.class_names = [*range(6)], ("a", "b", "c")
    emoji.label = (0, 0, 1, 1, 2, -1).__getitem__

    def drawings(pairs, kind):
        if kind == "Noto":
            raise UserError("no font")
        return emoji

    # the second caption is nearest to the third picture, 100 degrees to neither
    texts = directions([0, 38, 39, 100, 80, 121])
    monkeypatch.setattr(retrieval, "encode_texts", lambda *_: texts)
    monkeypatch.setattr(farther, "Emoji", lambda: emoji)
    monkeypatch.setattr(farther, "Drawings", drawings)
    monkeypatch.setattr(farther, "digits", lambda context: {"digits": 1})
    context.features.texts = {"a": 0, "b": 30, "c": 70}
    found = farther.write(context)
    assert list(found) == ["colour", "line art", "digits"]
    by_text, classes = found["colour"]["text to picture"], found["colour"]["classes"]
    assert (by_text["R@1"], by_text["R@10"], by_text["n"]) == (4 / 6, 1, 6)
    assert by_text["chance"]["gallery"] == 6
    # 16 is nearer to 30, 61 to 70; the emoji without a class is not asked
    assert (classes["accuracy"], classes["n"], classes["chance"]) == (3 / 5, 5, 1 / 3)
    assert "Noto are left out: no font." in context.report.said()

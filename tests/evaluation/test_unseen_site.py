"""The test on a site never seen: its classes, shots, overlap and prompts, on few pictures."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import eval as evaluation
from miniclip.bpe import Tokenizer
from miniclip.common import UserError
from miniclip.data.icons import render, sets
from miniclip.data.icons.icons import Icons
from miniclip.evaluation import linear_probe, unseen_site
from miniclip.evaluation.confidence import wilson
from miniclip.evaluation.context import EvalContext, open_data
from miniclip.evaluation.features import FeatureCache, picture_source
from miniclip.evaluation.report.writer import Report
from miniclip.evaluation.unseen_site import (
    SHOTS,
    TEMPLATES,
    UnseenSite,
    bins,
    correct,
    curve,
    ink,
    labelled,
    neighbour_right,
    style_choices,
    unknown_names,
    with_shots,
    worth,
    zero_shot,
)
from miniclip.model.clip import create_model
from miniclip.training.checkpoint import FORMAT

NAMES = ("home", "car", "tree", "key", "fish", "arrow left")
COUNTS = (9, 8, 4, 2, 2, 1)  # training pictures of each name


def drawing(name, noise, rng):
    """The ink of a name: its own random 8 x 8 pattern, with some cells changed."""
    cells = np.random.default_rng(NAMES.index(name)).random((8, 8)) < 0.4
    cells = cells ^ (rng.random((8, 8)) < noise)
    return np.kron(cells, np.full((8, 8), 255)).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn():
    """What render.pictures returns: Font Awesome draws each name twice, and some other names."""
    rng, owned, inks = np.random.default_rng(0), [], []

    def add(ink, *own):
        owned.append([list(one) for one in own])
        inks.append(ink)

    for name, count in zip(NAMES, COUNTS):
        for k in range(count):
            style = ("", "outline", "filled")[k % 3]
            add(drawing(name, 0.03, rng), (("google", "remix", "lucide")[k % 3], name, style))
        for style in ("", "regular"):
            add(drawing(name, 0.03, rng), ("fontawesome", name, style))
    add(drawing("home", 0, rng), ("fontawesome", "home", ""), ("fontawesome", "tree", ""))
    for name in ("home left", "car tree", "zebra", "zebra left"):
        add(drawing("key", 0.5, rng), ("fontawesome", name, ""))
    return owned, np.stack(inks)


@pytest.fixture(scope="module")
def pairs(drawn):
    return Icons(drawn=drawn)


@pytest.fixture(scope="module")
def features(pairs):
    tokenizer = Tokenizer.train(["home car tree key fish arrow left"], 520, context_length=16)
    torch.manual_seed(0)
    model = create_model("rn_icons", vocab_size=tokenizer.vocab_size).eval()
    return FeatureCache(model, tokenizer)


@pytest.fixture(scope="module")
def site(features, pairs):
    return UnseenSite(features, pairs)


def test_the_classes_are_shared_names_and_any_name_of_a_picture_is_right(site, pairs):
    assert site.names == tuple(sorted(NAMES))
    assert len(site.tests) == 2 * len(NAMES) + 1 and len(site.known) == sum(COUNTS)
    both = site.right[-1].nonzero()[:, 0].tolist()
    assert [site.names[c] for c in both] == ["home", "tree"]
    for c in range(len(NAMES)):
        scores = torch.zeros(1, len(NAMES)).index_fill_(1, torch.tensor([c]), 1.0)
        assert bool(correct(scores, site.right[-1:])) == (c in both)
    assert correct(site.zero_shot, site.right, 99).all(), "top-99 of six classes has all of them"


def test_no_training_picture_is_a_test_picture_and_each_row_says_its_names(site, pairs):
    assert not {*site.tests} & {*site.known} and {*site.known} <= {*pairs.splits["train"]}
    for i, row in zip(site.tests, site.right):
        assert {site.names[c] for c in row.nonzero()[:, 0]} == {*pairs.names(i)} & {*site.names}


def test_names_that_no_training_site_has_are_told_apart_by_their_words(pairs):
    assert list(unknown_names(pairs).values()) == [
        ["car tree", "home left"],
        ["zebra", "zebra left"],
    ]
    for names in unknown_names(pairs).values():
        assert not labelled(pairs, "train", names)[0]
        assert len(labelled(pairs, "heldout_site", names)[0]) == 2


def test_at_k_only_classes_with_k_training_pictures_take_part(site):
    def all_wrong(columns, rows, k, seeds):
        return torch.zeros(seeds, len(rows), dtype=torch.bool)

    points = {k: (columns, rows) for k, columns, rows, _, _ in curve(site, all_wrong, 2)}
    assert list(points) == [*SHOTS, "all"]
    for k, (columns, rows) in points.items():
        wanted = {n for n, count in zip(NAMES, COUNTS) if count >= (1 if k == "all" else k)}
        assert {site.names[c] for c in columns} == wanted
        # one picture more has the names home and tree
        assert len(rows) == 2 * len(wanted) + 1
    fixed = [columns.tolist() for _, columns, *_ in curve(site, all_wrong, 2, least=SHOTS[-1])]
    assert len(fixed) == len(points) and all(columns == points[8][0].tolist() for columns in fixed)


def test_a_neighbour_knows_the_names_of_its_picture_only(site):
    similarity = site.similarity(ink)
    assert neighbour_right(similarity, site.own, site.right).float().mean() > 0.9
    wrong = site.own.roll(1, dims=1)
    assert neighbour_right(similarity, wrong, site.right).float().mean() < 0.2
    assert neighbour_right(similarity, torch.ones_like(site.own), site.right).all()


def test_as_many_shots_as_there_are_pictures_equal_all_labels(site):
    similarity = site.similarity(ink)
    _, column = next((c, j) for j, c in enumerate(site.own.sum(0)) if c == 1)
    own = site.own[:, [column]]
    shots = unseen_site.drawn_neighbours(similarity, own, site.right[:, [column]], 1, 2)
    some = own.any(1)
    full = neighbour_right(similarity[:, some], own[some], site.right[:, [column]])
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
    assert (
        found["low"] < found["value"] < found["high"]
        and 2 < found["low"] < 2.83 < found["high"] < 4
    )
    never = worth(points_of(dict.fromkeys(SHOTS, 0.1), 0.6), 400, draws=50)
    assert set(never.values()) == {None}, "more than were tried"
    always = worth(points_of(dict.fromkeys(SHOTS, 0.9), 0.6), 400, draws=50)
    assert set(always.values()) == {1.0}


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


def test_a_number_of_labels_that_one_class_has_is_left_out():
    own = torch.tensor([[1, 0], [1, 0], [0, 1]], dtype=torch.bool)
    right = torch.eye(2, dtype=torch.bool)
    few = SimpleNamespace(own=own, right=right, zero_shot=right.float())
    found = curve(few, lambda columns, rows, k, seeds: torch.zeros(1, len(rows)), 1)
    assert [(k, ours.tolist()) for k, *_, ours in found] == [(1, [True] * 2), ("all", [True] * 2)]


def test_a_probe_does_not_see_where_the_features_lie_and_how_large_they_are(site, monkeypatch):
    def elsewhere(source, indices):
        x, kept = ink(source, indices)
        return 50 * x + 30, kept

    monkeypatch.setattr(linear_probe, "search_strength", lambda score: 0.03)
    columns, rows = with_shots(site.own, site.right, 2)
    for k in (2, "all"):
        hits = unseen_site.probes(site, ink)(columns, rows, k, 2)
        assert torch.equal(hits, unseen_site.probes(site, elsewhere)(columns, rows, k, 2))
        assert hits.shape == (1 if k == "all" else 2, len(rows))
    fitted = []

    def full_probe(x, y):
        fitted.append(x)
        return linear_probe.full_probe(x, y)

    monkeypatch.setattr(unseen_site, "full_probe", full_probe)
    unseen_site.probes(site, elsewhere)(torch.arange(len(NAMES)), rows, "all", 1)
    (x,) = fitted  # a picture has one name here: these are all
    assert x.mean(0).abs().max() < 1e-5 and x.norm(dim=1).mean().item() == pytest.approx(1)


def test_each_test_picture_is_in_one_bin_of_overlap():
    closeness = torch.tensor([1.0, 0.95, 0.949, 0.9, 0.899, 0.8, 0.799, 0.0])
    parts = bins(closeness)
    assert torch.stack([*parts.values()]).sum(0).tolist() == [1] * 8
    assert [which.nonzero()[:, 0].tolist() for which in parts.values()] == [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
    ]


def test_ink_is_one_for_a_copy_and_less_for_another_drawing(pairs):
    x, _ = ink(pairs, [0, 1, 20])
    assert torch.allclose(x @ x.T, (x @ x.T).T) and torch.allclose((x @ x.T).diag(), torch.ones(3))
    assert x[0] @ x[1] > x[0] @ x[2]
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
    assert len(found[""][0]) == len(NAMES), "a name that is drawn once leaves no choice"
    rights, chances = found["regular"]
    assert len(rights) == len(NAMES) and all(c == 0.5 for c in chances[1:])
    assert all(rights) if knows else not any(rights)


def test_zero_shot_of_the_recipe_says_the_same_as_the_report(site, features, pairs):
    found = zero_shot(features.model, features.tokenizer, pairs)
    assert found["n"] == 13 and found["classes"] == 6
    assert found["top-1"] == correct(site.zero_shot, site.right).float().mean().item()
    assert found["top-5"] == correct(site.zero_shot, site.right, 5).float().mean().item()
    assert found["intervals"] == {k: wilson(round(13 * found[k]), 13) for k in ("top-1", "top-5")}


@pytest.fixture
def context(features, pairs, tmp_path):
    report = Report(tmp_path, "icons")
    return EvalContext(features, pairs, True, None, list(TEMPLATES), {}, [], report, 2)


@pytest.mark.slow
def test_the_report_has_each_section_with_its_figures(context, tmp_path, monkeypatch):
    monkeypatch.setattr(linear_probe, "search_strength", lambda score: 1.0)
    tasks = ["retrieval", "zero_shot", "shots", "prompts", "overlap", "probe"]
    results = evaluation.write_sections(context, tasks)
    context.report.write()
    point = results["probe"]["probe on our features"]["fixed"]["curve"]["all"]
    more = point["mcnemar"]["only_first"] - point["mcnemar"]["only_second"]
    zero = point["zero_shot"]
    assert more == round(zero["n"] * (zero["value"] - point["mean"])), "on the same pictures"
    text, figures = (tmp_path / "report.md").read_text(), {p.name for p in tmp_path.glob("*.png")}
    assert {"shots.png", "all_probes.png", "gap.png", "polysemy.png", "closeness.png"} <= figures
    assert all(f"({name})" in text for name in figures)


def test_probes_are_for_those_who_ask_and_other_sections_are_refused(context, monkeypatch):
    written = []
    for task in evaluation.UNSEEN_SITE:
        write = functools.partial(lambda task, _: written.append(task) or {}, task)
        monkeypatch.setitem(evaluation.UNSEEN_SITE, task, SimpleNamespace(write=write))
    evaluation.write_sections(context)
    assert written == [task for task in evaluation.UNSEEN_SITE if task != "probe"]
    with pytest.raises(UserError, match="--task humans is not for icons; there are retrieval"):
        evaluation.write_sections(context, ["humans"])


def test_a_checkpoint_brings_back_the_sites_that_it_was_trained_on(drawn, monkeypatch):
    monkeypatch.setattr(render, "pictures", lambda: drawn)
    monkeypatch.setattr(sets, "versions", dict)
    options = {"data": "icons", "sites": "google", "held_out_sites": "lucide", "pairs": 3}
    found, trained_on_pairs = open_data({"format": FORMAT, "options": options})
    assert trained_on_pairs and found.sites == ("google",) and found.held_out_sites == ("lucide",)
    assert all(found.owned[i][0][0] == "lucide" for i in found.splits["heldout_site"])
    assert len(found.splits["train"]) == 3

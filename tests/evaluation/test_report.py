"""Each section of the report says what it measured: whole rows and sentences, counted by hand."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from miniclip.common import UserError
from miniclip.data.dataset import Pairs
from miniclip.data.labelled import Labelled
from miniclip.evaluation.confidence import interval, mcnemar, share
from miniclip.evaluation.context import GENERIC
from miniclip.evaluation.data_overlap import all_minus_clean
from miniclip.evaluation.report import (
    bias,
    data_overlap,
    human_comparison,
    probes,
    retrieval,
    robustness,
    weight_average,
    zero_shot,
)
from miniclip.evaluation.report.writer import Report, paired_cells, share_cells
from miniclip.evaluation.retrieval import Gallery
from miniclip.training.checkpoint import FORMAT
from tests.evaluation.fakes import Features, Plane, Written, cells, directions, row


@pytest.fixture
def report(tmp_path):
    return Written(tmp_path)


# writer


def test_a_table_is_aligned_in_the_terminal_and_markdown_in_the_file(report, capsys):
    report.section("Title", "section 1")
    report.table(("name", "a", "b|c"), [("x", 0.12345, None), ("longer", 7, "text")])
    report.text("as it is")
    assert capsys.readouterr().out.splitlines() == [
        "",
        "Title  (section 1)",
        "name        a   b|c",
        "x       0.123     -",
        "longer      7  text",
        "as it is",
    ]
    report.write()
    assert (report.folder / "report.md").read_text().splitlines() == [
        "# test",
        "",
        "## Title",
        "",
        "*section 1*",
        "",
        "| name | a | b\\|c |",
        "|---|---:|---:|",
        "| x | 0.123 | - |",
        "| longer | 7 | text |",
        "",
        "```text",
        "as it is",
        "```",
    ]


def test_a_figure_is_drawn_where_the_report_shows_it(tmp_path):
    report, drawn = Report(tmp_path / "new", "test"), []
    report.figure("a.b.png", "What it shows.", lambda *a, **o: drawn.append((a, o)), 1, width=2)
    assert drawn == [((1, tmp_path / "new/a.b.png"), {"width": 2})]
    assert report._lines[-4:] == ["![a](a.b.png)", "", "What it shows.", ""]


def test_cells_of_shares_and_of_pairs():
    assert share_cells(share(30, 40)) == (0.75, "[0.60, 0.86]")
    assert paired_cells(mcnemar([1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 1, 1])) == ("4 / 1", "3.8e-01")


# zero-shot


def labelled(classes, degrees, train=(), bad=(), names="abc"):
    """Pictures with a class and a direction each; `train` of them come first."""
    n = len(train)
    every = [*train, *zip(classes, degrees)]
    test = [*range(n, len(every))]
    splits = {"train": [*range(n)], "test": test, "all": test}
    pictures = Plane([d for _, d in every], bad)
    return Labelled("home", [*names], pictures, {i: c for i, (c, _) in enumerate(every)}, splits)


def directed(names, degrees, *templates, off=0):
    """{sentence: degrees} of names in templates, each template `off` degrees more."""
    return {
        t.replace("{}", name): d + off * k
        for k, t in enumerate(templates)
        for name, d in zip(names, degrees)
    }


def sections(report, features, **given):
    """What write() of a section takes."""
    own = dict(
        report=report, features=features, pairs=Pairs("none", [], {}), seeds=2, labelled=None
    )
    return SimpleNamespace(**own | given)


def encoded(home):
    return lambda split: (
        directions([home.pictures.degrees[i] for i in home.splits[split]]),
        torch.tensor([home.labels[i] for i in home.splits[split]]),
        home.splits[split],
    )


def test_zero_shot_compares_prompts_and_what_has_labels(report):
    """The bare names point 40 degrees off, so that 2 of 4 are right; the templates do not."""
    home = labelled([0, 0, 1, 2], [5, 25, 42, 78], train=[(0, 0), (0, 1), (2, 0)])
    own = "the {}"
    texts = directed("abc", [40, 80, 120], "{}") | directed("abc", [0, 40, 80], own, GENERIC)
    features = Features(texts)
    context = sections(
        report, features, labelled=home, templates=["{}", own], encode_labelled=encoded(home)
    )
    found = zero_shot.write(context)
    accuracy = {name: s["accuracy"] for name, s in found.items() if isinstance(s, dict)}
    assert accuracy == {
        "bare name": 0.5,  # those at 5 and 25 degrees
        f"one template, {GENERIC!r}": 0.75,  # 25 is nearer to 40
        "its own template, 'the {}'": 0.75,
        "ensemble of 2 templates": 0.75,  # 20, 60 and 100 degrees: all but 42
        "commonest class": 0.5,
        "pixel nearest neighbour, supervised": 0.25,  # grey levels grow with the index
    }
    assert found["classes"] == 3 and "skin_tone" not in found
    assert row("bare name", *cells(2, 4), "1.000", "0.333", "4") in report.lines()
    assert row("commonest class", *cells(2, 4), "-", "0.333", "4") in report.lines()
    caption, (drawn,) = report.drawn["prompts.png"]
    assert "accuracy by +25.0 points; the two intervals overlap." in caption
    assert list(drawn) == list(accuracy)[:4]


@pytest.mark.parametrize("right", [30, 21])
def test_zero_shot_says_whether_the_intervals_overlap(report, right):
    """Of 30 pictures the bare names get 10 right, [.19, .51]; the ensemble 30, [.89, 1], or 21,
    [.52, .83]."""
    home = labelled([0] * 10 + [1] * 20, [0] * 10 + [20] * (right - 10) + [0] * (30 - right))
    features = Features(directed("abc", [0, 90, 180], "{}") | directed("abc", [0, 15, 50], GENERIC))
    features.texts |= directed("abc", [0, 25, 50], "the {}")
    context = sections(
        report, features, labelled=home, templates=["the {}"], encode_labelled=encoded(home)
    )
    found = zero_shot.write(context)
    assert "commonest class" not in found, "there is nothing to learn from"
    change = 100 * (right - 10) / 30
    assert (
        f"{change:+.1f} points; the two intervals do not overlap." in report.drawn["prompts.png"][0]
    )


class Toned(Pairs):
    """Four held-out drawings of a person in one skin tone, one in two, and two mice."""

    def __init__(self):
        names = [f"person: {tone}" for tone in (*zero_shot.TONES[:4], "light and dark skin tone")]
        super().__init__("toned", [[name] for name in [*names, "mouse", "computer mouse"]], {})
        self.splits = {"train": [5, 6], "heldout_compositions": [0, 1, 2, 3, 4]}
        self.degrees, self.bad = [0, 20, 40, 61, 0, 100, 130], ()

    def tones(self, i):
        return zero_shot.TONES[i : i + 1] if i < 4 else ["light", "dark"] if i == 4 else []


def test_words_in_context_and_skin_tones_are_counted_by_hand(report, monkeypatch):
    tones = dict(zip(zero_shot.TONES, (0, 20, 10, 80, 70)))
    texts = tones | {"mouse": 110, "mouse, animal": 100, "computer mouse": 130}
    texts |= {f"person: {tone}": 20 * k for k, tone in enumerate(zero_shot.TONES)}
    features = Features(texts)
    features.model = SimpleNamespace(shared_space=True)

    def choose_caption(model, tokenizer, images, candidates):
        chosen = [
            (features.classifier(own, ["{}"]).T @ x).argmax() for x, own in zip(images, candidates)
        ]
        return torch.stack(chosen)

    monkeypatch.setattr(zero_shot, "choose_caption", choose_caption)
    home = labelled([0, 1], [0, 90])
    features.texts |= directed("abc", [0, 90, 180], "{}", GENERIC)
    context = sections(report, features, labelled=home, templates=["{}"], pairs=Toned())
    context.encode_labelled = encoded(home)
    found = zero_shot.write(context)["skin_tone"]
    alone, noun = found["tone asked alone"], found["tone asked with its noun"]
    assert (alone["accuracy"], alone["n"]) == (0.5, 4)  # 40 is nearest to 20, 61 to 70
    assert (noun["accuracy"], noun["n"]) == (1.0, 4)
    assert row("mouse", "0.985", "0.940") in report.lines()  # cosines of 10 and of 20 degrees
    assert row("computer mouse", "0.866", "1.000") in report.lines()
    features.model = SimpleNamespace(shared_space=False)
    assert "skin_tone" not in zero_shot.write(context)
    context.pairs = Pairs("plain", [], {})
    features.model = SimpleNamespace()
    assert "skin_tone" not in zero_shot.write(context)


# probes, shifts


def probed(full, curve):
    return {"full": full, "curve": curve, "strength": 1.0, "n": {}}


def probe_context(report, zero=(10, 20)):
    found = {
        "this model": probed(
            {"home": 0.9, "away": 0.7},
            {
                1: {"home": [0.25, 0.35], "away": [0.2, 0.4]},
                2: {"home": [0.6, 0.8], "away": [0.5, 0.5]},
            },
        ),
        "raw pixels": probed(
            {"home": 0.6, "away": 0.3},
            {
                1: {"home": [0.2, 0.2], "away": [0.1, 0.1]},
                2: {"home": [0.4, 0.4], "away": [0.2, 0.2]},
            },
        ),
    }
    return sections(
        report,
        Features({}),
        labelled=labelled([0], [0], names="abcd"),
        classes_and_shots=([0, 2], [1, 2]),
        zero_shot={"home": share(*zero), "away": share(8, 16)},
        probes=found,
        shifts={"away": None},
        missing_shifts=["One is missing."],
    )


def test_probes_say_what_they_leave_out_their_ranges_and_what_zero_shot_is_worth(report):
    found = probes.write(probe_context(report))
    lines = report.lines()
    assert "Left out, with fewer than 2 pictures to learn from: b, d." in lines
    assert row("zero-shot, ensemble", *cells(10, 20), "20") in lines
    assert row("this model, 1 shots", "0.300", "0.25 to 0.35", "20") in lines
    assert row("this model, 2 shots", "0.700", "0.60 to 0.80", "20") in lines
    assert row("this model, all pictures", *cells(18, 20), "20") in lines
    assert found["shots_worth"] == pytest.approx(2**0.5)  # .5 is half way from .3 to .7
    assert "as zero-shot: about 1.4 labelled pictures" in report.drawn["shots.png"][0]
    assert found["gap"] == {"home": (0.9, 0.5), "away": (0.7, 0.5)}
    assert found["probes"]["raw pixels"]["mean"] == pytest.approx({1: 0.2, 2: 0.4})


def test_probes_that_zero_shot_beats_and_no_shots_at_all(report):
    context = probe_context(report, (19, 20))
    context.labelled = labelled([0], [0], names="ac")
    context.classes_and_shots = [0, 1], [1, 2]
    assert probes.write(context)["shots_worth"] is None
    assert "more than were tried labelled pictures" in report.drawn["shots.png"][0]
    assert not any("Left out" in line for line in report.lines())
    context.classes_and_shots = [], []
    assert probes.write(context) == {}
    assert "Too few labelled pictures to learn from: probes are left out." in report.lines()


def test_shifts_compare_with_the_line_through_the_baselines(report, monkeypatch):
    monkeypatch.setattr(robustness, "digits", lambda context: {"digits": 1})
    found = robustness.write(probe_context(report))
    assert "One is missing." in report.lines() and found["digits"] == 1
    slope, intercept = found["baseline"]

    def away(home):  # what the line expects
        return 1 / (1 + (home / (1 - home)) ** -slope * 2.718281828459045**-intercept)

    points = {"zero-shot": (0.5, 0.5), "1 shots": (0.3, 0.3), "2 shots": (0.7, 0.5)}
    points["all"] = 0.9, 0.7
    assert found["points"] == {name: pytest.approx(p) for name, p in points.items()}
    effective = {name: b - away(a) for name, (a, b) in points.items()}
    assert found["effective_robustness"] == pytest.approx(effective)
    assert max(abs(away(h) - a) for h, a in ((0.2, 0.1), (0.4, 0.2), (0.6, 0.3))) < 0.03
    want = row("zero-shot", "0.500", "0.500", f"{effective['zero-shot']:.3f}", "20")
    assert want in report.lines() and row("away", *cells(8, 16), "16") in report.lines()
    _, (families, line) = report.drawn["shift.png"]
    assert list(families) == ["probes on raw pixels", "probes on this model", "zero-shot"]
    assert line == found["baseline"] and report.drawn["robustness.png"][1][0] == list(points)


@pytest.mark.parametrize("lacks", ["shifts", "shots", "tests"])
def test_without_a_shift_or_a_probe_there_are_only_digits(report, monkeypatch, lacks):
    monkeypatch.setattr(robustness, "digits", lambda context: {"digits": 1})
    context = probe_context(report)
    if lacks == "shifts":
        context.shifts = {}
    elif lacks == "shots":
        context.classes_and_shots = [], []
    else:
        del context.zero_shot["away"]
    assert robustness.write(context) == {"digits": 1}
    assert any(line.startswith("No shift to measure") for line in report.lines())


def test_baselines_of_one_accuracy_have_no_line(report):
    context = probe_context(report)
    context.probes["raw pixels"] = probed({"home": 0.5, "away": 0.5}, {})
    assert robustness.shifts(context) == {"zero_shot": context.zero_shot}
    assert report.lines()[-1].startswith("No effective robustness: a baseline needs at least two")


def test_digits_are_named_zero_shot_and_by_probes(report, monkeypatch):
    home = labelled([0, 1, 1], [5, 50, 80], train=[(0, 0), (1, 90)], names="ab")
    monkeypatch.setattr(robustness.robustness, "digits", lambda: home)
    features = Features(directed("ab", [0, 90], *robustness.DIGIT_TEMPLATES))
    found = robustness.digits(sections(report, features))["digits"]
    assert {name: s["accuracy"] for name, s in found.items()} == {
        "zero-shot": 1.0,
        "probe on this model": 1.0,
        "probe on raw pixels": pytest.approx(2 / 3),  # the brighter ones are class 1
    }

    def missing():
        raise UserError("no scikit-learn")

    monkeypatch.setattr(robustness.robustness, "digits", missing)
    assert robustness.digits(sections(report, features)) == {}
    assert report.lines()[-1] == "The handwritten digits are left out: no scikit-learn."


# people, groups


def test_people_are_compared_with_the_model_on_its_own_pictures(report):
    assert list(human_comparison.write(sections(report, None))) == ["paper"]
    assert report.drawn["humans.png"][1] == (None,)
    assert row("two-shot human", "75.7", "85.0", "79.2", "86.1") in report.lines()
    context = sections(report, None, labelled=labelled([0], [0]))
    context.zero_shot_right = lambda split: {i: i < 3 for i in range(4)} if split == "all" else {}
    found = human_comparison.write(context)
    assert found["zero_shot"] == share(3, 4)
    label = f"this model, on its own 3 classes {cells(3, 4)[1]}"
    assert report.drawn["humans.png"][1] == ((label, 0.75),)


class People(Pairs):
    """Four cooks and two judges, drawn as women, men and neither."""

    def __init__(self):
        names = ("woman cook: dark skin tone", "man cook", "cook", "man cook: light skin tone")
        super().__init__("people", [[n] for n in (*names, "woman judge", "man judge")], {})
        self.splits = {"train": [], "heldout_compositions": [*range(6)]}
        self.degrees, self.bad = [0, 10, 20, 60, 90, 100], ()

    def tones(self, i):
        return [t for t in ("dark skin tone", "light skin tone") if t in self.captions(i)[0]]


def test_errors_are_counted_by_group_for_each_wording(report):
    texts = {"cook": 0, "judge": 90, "man cook": 0, "man judge": 20, "woman cook": 80}
    features = Features(texts | {"woman judge": 90})
    found = bias.write(sections(report, features, pairs=People()))
    assert (found["n"], found["classes"]) == (6, 2)

    def errors(wording):
        return {g: (round(s["value"] * s["n"]), s["n"]) for g, s in found[wording].items()}

    groups = {"man": (1, 3), "not stated": (0, 1), "woman": (0, 2), "everybody": (1, 6)}
    tones = {"dark skin tone": (0, 1), "light skin tone": (1, 1), "no tone stated": (0, 4)}
    assert errors("name alone") == groups | tones  # the cook at 60 degrees is nearer to 90
    # 10 degrees is the boundary of man cook and man judge
    assert errors("every name for a man")["not stated"] == (1, 1)
    assert errors("every name for a woman")["woman"] == (0, 2)
    # under all three the best name of a class counts: 60 is nearest to woman cook, 20 to man judge
    assert errors("each class under all three")["light skin tone"] == (0, 1)
    assert errors("each class under all three")["not stated"] == (1, 1)
    women = found["every name for a woman"]["not stated"]["value"]
    assert f"for not stated 1.00 and {women:.2f}." in report.drawn["classes.png"][0]
    drawn = report.drawn["classes.png"][1][0]
    assert list(drawn) == ["name alone", "every name for a man", "every name for a woman"]
    texts = {(tuple(names), *templates) for names, templates in features.asked}
    assert (("cook", "man cook", "woman cook", "judge", "man judge", "woman judge"), "{}") in texts


def test_pairs_without_groups_have_no_class_design(report):
    assert bias.write(sections(report, None)) == {}
    assert report.lines()[-1] == "These pairs name no groups: class design is left out."


# retrieval, overlap


class Angles(Pairs):
    """Pictures in directions, and captions in others: texts[i] of captions(i)."""

    def __init__(self, degrees, texts, splits):
        super().__init__("angles", [[f"caption {i}"] for i in range(len(degrees))], splits)
        self.degrees, self.texts, self.bad = degrees, texts, ()

    def image(self, i):
        return Image.new("RGB", (8, 8), (10 * i, 99, 0))


def gallery(pairs, split):
    """The Gallery of a split, without a model."""
    found = Gallery.__new__(Gallery)
    found.pairs, found.kept = pairs, [*pairs.splits[split]]
    found.pictures = directions([pairs.degrees[i] for i in found.kept])
    found.texts = directions([pairs.texts[i] for i in found.kept])
    found.captions, found.owner = found.kept, torch.arange(len(found.kept))
    return found


def retrieved(report, **given):
    """Three pictures of 90, of which the first and the third are found by their captions, and two
    of a second split."""
    degrees = [0, 40, 80, *[180] * 87]
    splits = {"train": [], "heldout": [*range(90)], "heldout_names": [1, 2]}
    pairs = Angles(degrees, [1, 62, 79, *[180] * 87], splits)
    galleries = {split: gallery(pairs, split) for split in ("heldout", "heldout_names")}
    scores = {}
    for split, own in galleries.items():
        both = own.evaluate(splits[split])
        scores[split] = both | {"chance": both["text_to_image"] | {"intervals": None}}
    return sections(report, None, pairs=pairs, retrieval=(scores, galleries), **given)


def test_retrieval_has_a_row_a_split_and_way_and_recall_by_the_size_of_the_gallery(report):
    context = retrieved(report)
    found = retrieval.write(context)
    lines = report.lines()
    assert row("names: text to image", *cells(1, 2), *cells(2, 2), "2") in lines
    assert row("names: image to text", *cells(2, 2), *cells(2, 2), "2") in lines
    assert row("heldout: text to image", *cells(2, 90), *cells(3, 90), "90") in lines
    assert {s: list(c) for s, c in found["by_candidates"].items()} == {
        "heldout": [2, 5, 10, 20, 50, 90],
        "heldout_names": [2],
    }
    assert found["by_candidates"]["heldout_names"][2] == pytest.approx(0.5)
    _, (own, queries) = report.drawn["retrieval.png"]
    assert own is context.retrieval[1]["heldout"] and len(queries) == 8
    assert retrieval.write(sections(report, None, retrieval=({}, {}))) == {}
    assert report.lines()[-1] == "No pairs were held out: there is nothing to retrieve."


class Near:
    """thumbnails and near_duplicates of planned distances: {source: {index: (distance, position)}}."""

    def __init__(self, monkeypatch, planned):
        self.planned, self.compared = planned, []
        monkeypatch.setattr(data_overlap, "thumbnails", self.thumbnails)
        monkeypatch.setattr(data_overlap, "near_duplicates", self.near_duplicates)

    def thumbnails(self, source, indices):
        kept = [i for i in indices if i not in source.bad]
        return (source, kept), kept

    def near_duplicates(self, pictures, training):
        source, indices = pictures
        self.compared.append((indices, training[1]))
        found = [self.planned[source][i] for i in indices]
        return torch.tensor([d for d, _ in found]), torch.tensor([p for _, p in found])


@pytest.fixture
def overlapping(report, monkeypatch):
    """Five held-out pictures and three labelled ones, of which 3 and 1 are near-duplicates."""
    pairs = Angles([0, 10, 20, 30, 40, 50, 60, 70], [0, 11, 29, 27, 40, 0, 0, 0], {})
    pairs.splits = {"train": [7, 6, 5], "heldout": [0, 1, 2, 3, 4]}
    home, limit = labelled([0, 1, 2], [0, 1, 2], bad=[2]), data_overlap.THRESHOLD
    planned = {
        pairs: {0: (0.09, 2), 1: (limit - 1e-6, 0), 2: (limit + 1e-6, 1), 3: (0.02, 1)},
        home.pictures: {0: (0.05, 0), 1: (0.5, 0)},
    }
    planned[pairs][4] = torch.inf, 0
    context = sections(
        report,
        None,
        labelled=home,
        pairs=pairs,
        trained_on_pairs=True,
        near=Near(monkeypatch, planned),
    )
    context.retrieval = None, {"heldout": gallery(pairs, "heldout")}
    context.zero_shot_right = lambda split: {0: True, 1: False, 2: True} if split == "all" else {}
    return context


def overlap_row(name, s):
    shown = [f"{s[key]:.3f}" for key in ("all", "overlap", "clean", "all_minus_clean")]
    counts = str(s["n"]), str(s["n_overlap"])
    return row(name, *counts, *shown, interval(*s["interval"]), f"{s['p_value']:.3f}")


def test_overlap_counts_near_duplicates_of_each_test(report, overlapping):
    found = data_overlap.write(overlapping)
    ours, way = found["zero-shot"], found["image to text R@1, heldout"]
    assert ours == all_minus_clean([1, 0], [1, 0])  # the third picture cannot be read
    # 20 is nearer to the captions at 27 and 29 than to its own, 30 is nearer to 29
    assert way == all_minus_clean([1, 1, 0, 0, 1], [1, 1, 0, 1, 0])
    assert overlap_row("zero-shot", ours) in report.lines()
    assert overlap_row("image to text R@1, heldout", way) in report.lines()
    assert report.drawn["overlap.png"][1] == ({"zero-shot": ours} | {[*found][1]: way},)
    caption, (pictures,) = report.drawn["duplicates.png"]
    assert caption.startswith("4 of the 4 pairs found")
    assert [title for *_, title in pictures] == [
        "caption 3\ncaption 6\n0.020",
        "test\ncaption 7\n0.050",
        "caption 0\ncaption 5\n0.090",
        "caption 1\ncaption 7\n0.100",
    ]
    assert [p.getpixel((0, 0)) for p in pictures[0][:2]] == [(30, 99, 0), (60, 99, 0)]
    assert overlapping.near.compared == [([0, 1], [7, 6, 5]), ([0, 1, 2, 3, 4], [7, 6, 5])]


def test_a_picture_of_several_tests_is_compared_once(overlapping):
    overlapping.retrieval[1]["heldout_too"] = overlapping.retrieval[1]["heldout"]
    overlapping.pairs.splits["heldout_too"] = [0, 1]
    found = data_overlap.write(overlapping)
    assert found["image to text R@1, too"] == all_minus_clean([1, 1], [1, 1])
    assert overlapping.near.compared[2] == ([], [7, 6, 5])


def test_tests_without_overlap_have_no_interval_and_no_figure(report, overlapping, monkeypatch):
    monkeypatch.setattr(data_overlap, "THRESHOLD", 0.01)
    overlapping.labelled = None
    overlapping.pairs.rows = [[]]
    counts = dict(duplicates=40, found=39, false=1, clean=100, recall=0.975, precision=0.975)
    monkeypatch.setattr(data_overlap, "trial", lambda pairs: counts)
    found = data_overlap.write(overlapping)
    assert not report.drawn and found["detector"] == counts
    assert list(found) == ["image to text R@1, heldout", "detector"]
    name = "image to text R@1, heldout"
    assert row(name, "5", "0", "0.600", "-", "0.600", "-", "-", "-") in report.lines()
    assert "recall 0.97, precision 0.97" in report.lines()[-1]


def test_shown_duplicates_are_spread_over_those_found(report, overlapping, monkeypatch):
    monkeypatch.setattr(data_overlap, "SHOWN", 3)
    data_overlap.write(overlapping)
    caption, (pictures,) = report.drawn["duplicates.png"]
    assert caption.startswith("3 of the 4 pairs found")
    assert [title[-5:] for *_, title in pictures] == ["0.020", "0.050", "0.090"]


@pytest.mark.parametrize("most", [2, 3])
def test_what_is_compared_with_is_said(report, overlapping, monkeypatch, most):
    monkeypatch.setattr(data_overlap, "MOST", most)
    overlapping.trained_on_pairs = False
    overlapping.near.planned = {
        source: {i: (d, 0) for i, (d, _) in own.items()}
        for source, own in overlapping.near.planned.items()
    }
    data_overlap.write(overlapping)
    said = "\n".join(report.lines())
    assert ("Compared with 2 training pictures drawn at random" in said) == (most == 2)
    assert ("drawn at random" in said) == (most == 2)  # there are 3
    assert "training split of angles takes its place" in said
    assert {len(training) for _, training in overlapping.near.compared} == {most}
    overlapping.pairs.splits["train"] = []
    assert data_overlap.write(overlapping) == {}
    assert report.lines()[-1].startswith(
        "The pictures that this model was trained on are not known"
    )


# averages of weights


def test_a_curve_has_eleven_alphas_and_the_model_ends_with_its_own_weights(report, monkeypatch):
    model = torch.nn.Linear(1, 1, bias=False)
    model.load_state_dict({"weight": torch.ones(1, 1)})
    start = {"weight": torch.zeros(1, 1)}

    def measures(features, name, more):
        weight = features.model.weight.item()
        return {name: {"value": weight, "low": 0, "high": 1, "n": 7}} | more

    monkeypatch.setattr(weight_average, "measures", measures)
    tests = [("pairs.csv", {}), ("pairs.csv", {"other": {"value": 0.25, "n": 9}})]
    curves = weight_average.write(report, model, None, start, tests)
    assert list(curves) == ["pairs.csv, tuned", "pairs.csv, start", "other"]
    alphas = ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"]
    for curve in curves.values():
        assert list(curve) == alphas
    shown = [f"{float(alpha):.3f}" for alpha in alphas]
    assert [f"{s['value']:.3f}" for s in curves["pairs.csv, start"].values()] == shown
    assert row("pairs.csv, tuned", *shown, "7") in report.lines()
    assert "pairs.csv, tuned: 0.000 before, 1.000 tuned, 0.500 at 0.5." in report.lines()
    assert model.weight.item() == 1 and start["weight"].item() == 0
    assert list(report.drawn["average.png"][1][0]["other"]) == [float(a) for a in alphas]
    with pytest.raises(UserError, match="nothing to test on"):
        weight_average.write(report, model, None, start, [])


def test_what_a_model_is_measured_by(monkeypatch):
    icons = {"top-1": 0.5, "n": 8, "intervals": {"top-1": (0.2, 0.8)}}
    recall = {"R@1": 0.25, "n": 4, "intervals": {"R@1": (0.1, 0.6)}}
    held_out = {"heldout": {"text_to_image": recall}, "heldout_names": {"text_to_image": recall}}
    monkeypatch.setattr(weight_average, "zero_shot", lambda *_: icons)
    monkeypatch.setattr(weight_average, "evaluate_heldout", lambda *_: (held_out, None))
    features = Features({"a": 0, "b": 90})
    measures = weight_average.measures
    pairs = SimpleNamespace(name="pairs", shared_names=["x"], held_out_sites=["s", "t"])
    want = {"value": 0.5, "low": 0.2, "high": 0.8, "n": 8}
    assert measures(features, pairs, None, ["{}"]) == {"zero-shot on s, t": want}
    pairs.shared_names = ()
    want = {"value": 0.25, "low": 0.1, "high": 0.6, "n": 4}
    assert measures(features, pairs, None, ["{}"]) == {
        f"pairs, {split}: text to image R@1": want for split in held_out
    }
    home = labelled([0, 0, 1, 1], [10, 80, 70, 90], names="ab")
    found = measures(features, None, home, ["{}"])
    assert found == {"zero-shot on home": share(3, 4)}


RUN = {"format": FORMAT, "options": {"data": "a.csv", "separator": ";", "lr": 1}}


@pytest.fixture
def opened(monkeypatch):
    """open_data gives the name of the file or of --data; only "a.csv" can be had."""

    def open_data(args, content):
        source = args.data or content.get("options", {}).get("data")
        if source == "gone.csv":
            raise UserError("there is no such file")
        return source, True

    monkeypatch.setattr(weight_average, "open_data", open_data)
    monkeypatch.setattr(weight_average, "open_classes", lambda args, pairs: args.images)
    monkeypatch.setattr(weight_average, "of_pairs", lambda pairs: f"classes of {pairs}")
    monkeypatch.setattr(weight_average, "open_templates", lambda args, own, pairs: own)


@pytest.mark.parametrize(
    "args, start, want",
    [
        ({}, RUN, ["a.csv"]),  # the same pairs
        ({}, RUN | {"options": RUN["options"] | {"lr": 2}}, ["a.csv"]),
        ({}, RUN | {"options": {"data": "b.csv"}}, ["a.csv", "b.csv"]),
        ({}, RUN | {"options": {"data": "a.csv", "separator": ","}}, ["a.csv", "a.csv"]),
        ({}, {"format": "other", "options": {"data": "b.csv"}}, ["a.csv"]),
        ({"data": "c.csv"}, RUN | {"options": {"data": "b.csv"}}, ["c.csv"]),
        ({"images": "folder"}, RUN, ["a.csv", None]),
        ({"images": "folder"}, RUN | {"options": {"data": "b.csv"}}, ["a.csv", None, "b.csv"]),
        ({}, RUN | {"options": {"data": "gone.csv"}}, ["a.csv"]),
    ],
)
def test_averages_are_tested_on_the_pairs_of_both_models(report, opened, args, start, want):
    args = SimpleNamespace(**{"data": None, "images": None, "average_with": "x.pt"} | args)
    tests = weight_average.open_tests(args, RUN, start, report)
    assert [pairs for pairs, _, _ in tests] == want
    labels = [args.images if pairs is None else None for pairs in want]
    if "b.csv" in want or want[1:] == ["a.csv"]:
        labels[-1] = f"classes of {want[-1]}"
    assert [own for _, own, _ in tests] == labels
    assert [templates for *_, templates in tests] == labels
    gone = "The pairs that x.pt was trained on are left out: there is no such file."
    assert (gone in report.lines()) == (start["options"]["data"] == "gone.csv")

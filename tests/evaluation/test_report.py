"""Each section of the report measures what it says: numbers that are counted by hand."""

import pytest
import torch

from miniclip.common import UserError
from miniclip.evaluation import (
    bias,
    ensembles,
    human_comparison,
    linear_probe,
    retrieval,
    robustness,
)
from miniclip.evaluation.confidence import interval, share
from miniclip.evaluation.ensembles import GENERIC, TONES
from miniclip.evaluation.report.writer import Report
from tests.evaluation.fakes import Features, Plane, context_of, directed, gallery, labelled


def test_a_table_is_aligned_in_the_terminal_and_markdown_in_the_file(tmp_path, capsys):
    report = Report(tmp_path / "new", "test")
    report.table(("name", "a", "b|c"), [("x\x1b", 0.12345, None), ("longer", 7, "text")])
    report.figure("a.b.png", "What it shows.", lambda size, path: path.write_text("x" * size), 9)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown[2:]] == [
        ["x\\x1b", "0.123", "-"],
        ["longer", "7", "text"],
    ]
    report.write()
    written = (tmp_path / "new/report.md").read_text().splitlines()
    assert written[2:5] == ["| name | a | b\\|c |", "|---|---:|---:|", "| x\x1b | 0.123 | - |"]
    assert written[7:] == ["![a](a.b.png)", "", "What it shows."]
    with pytest.raises(UserError, match="not a figure"):
        report.figure("a.b.png", "Somebody else's file.", None)


# zero-shot


def test_zero_shot_compares_prompts_and_what_has_labels(report):
    """The bare names point 40 degrees off, so that 2 of 4 are right; the templates do not."""
    home = labelled([0, 0, 1, 2], [5, 25, 42, 78], train=[(0, 0), (0, 1), (2, 0)])
    own = "the {}"
    texts = directed("abc", [40, 80, 120], "{}") | directed("abc", [0, 40, 80], own, GENERIC)
    context = context_of(report, Features(texts), labelled=home, templates=["{}", own])
    found = ensembles.write(context)
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
    assert "by +25.0 points; the two intervals overlap" in report.captions["prompts.png"]
    assert list(report.drawn["prompts.png"][0][0]["_"]) == list(accuracy)[:4]


@pytest.mark.parametrize("right", [30, 21])
def test_zero_shot_says_whether_the_intervals_overlap(report, right):
    """Of 30 pictures the bare names get 10 right, [.19, .51]; the ensemble 30, [.89, 1], or 21,
    [.52, .83]."""
    home = labelled([0] * 10 + [1] * 20, [0] * 10 + [20] * (right - 10) + [0] * (30 - right))
    texts = directed("abc", [0, 90, 180], "{}") | directed("abc", [0, 15, 50], GENERIC)
    texts |= directed("abc", [0, 25, 50], "the {}")
    found = ensembles.write(
        context_of(report, Features(texts), labelled=home, templates=["the {}"])
    )
    assert "commonest class" not in found, "there is nothing to learn from"
    change = f"{100 * (right - 10) / 30:+.1f} points; the two intervals do not overlap"
    assert change in report.captions["prompts.png"]


class Toned(Plane):
    """Four held-out drawings of a person in one skin tone, and one in two."""

    def __init__(self):
        names = [f"person: {tone}" for tone in (*TONES[:4], "light and dark skin tone")]
        splits = {"train": [], "heldout_compositions": [0, 1, 2, 3, 4]}
        super().__init__([0, 20, 40, 61, 0], names=names, splits=splits)

    def tones(self, i):
        return TONES[i : i + 1] if i < 4 else ["light", "dark"]


def test_skin_tones_are_asked_alone_and_with_their_noun(report, monkeypatch):
    texts = dict(zip(TONES, (0, 20, 10, 80, 70))) | directed("abc", [0, 90, 180], "{}", GENERIC)
    texts |= {f"person: {tone}": 20 * k for k, tone in enumerate(TONES)}
    features = Features(texts)

    def choose_caption(model, tokenizer, images, candidates):
        chosen = [
            (features.classifier(own, ["{}"]).T @ x).argmax() for x, own in zip(images, candidates)
        ]
        return torch.stack(chosen)

    monkeypatch.setattr(ensembles, "choose_caption", choose_caption)
    context = context_of(report, features, labelled=labelled([0, 1], [0, 90]), pairs=Toned())
    found = ensembles.write(context)["skin_tone"]
    alone, noun = found["tone asked alone"], found["tone asked with its noun"]
    assert (alone["accuracy"], alone["n"]) == (0.5, 4)  # 40 is nearest to 20, 61 to 70
    assert (noun["accuracy"], noun["n"]) == (1.0, 4)
    features.model.shared_space = False
    assert "skin_tone" not in ensembles.write(context)


# probes, shifts


def probed(full, curve):
    return {"full": full, "curve": curve, "strength": 1.0, "n": {}}


def probe_context(report, zero=(10, 20)):
    ours = {1: {"home": [0.25, 0.35], "away": [0.2, 0.4]}, 2: {"home": [0.6, 0.8], "away": [0.5]}}
    raw = {1: {"home": [0.2, 0.2], "away": [0.1]}, 2: {"home": [0.4, 0.4], "away": [0.2]}}
    home = labelled([0], [0], names="abcd")
    context = context_of(report, labelled=home, shifts={"away": None}, missing_shifts=["Missing."])
    context.classes_and_shots = [0, 2], [1, 2]
    context.zero_shot = {"home": share(*zero), "away": share(8, 16)}
    context.probes = {
        "this model": probed({"home": 0.9, "away": 0.7}, ours),
        "raw pixels": probed({"home": 0.6, "away": 0.3}, raw),
    }
    return context


def test_probes_say_what_they_leave_out_and_what_zero_shot_is_worth(report):
    found = linear_probe.write(probe_context(report))
    assert "fewer than 2 pictures to learn from: b, d." in report.said()
    for row in ("1 shots | 0.300 | 0.25 to 0.35", "2 shots | 0.700 | 0.60 to 0.80"):
        assert f"| this model, {row} | 20 |" in report.said()
    assert f"| this model, all pictures | 0.900 | {interval(0.699, 0.972)} | 20 |" in report.said()
    assert found["shots_worth"] == pytest.approx(2**0.5)  # .5 is half way from .3 to .7
    assert found["gap"] == {"home": (0.9, 0.5), "away": (0.7, 0.5)}
    assert found["probes"]["raw pixels"]["mean"] == pytest.approx({1: 0.2, 2: 0.4})


def test_probes_that_zero_shot_beats_and_no_shots_at_all(report):
    context = probe_context(report, (19, 20))
    context.classes_and_shots = [0, 1, 2, 3], [1, 2]
    assert linear_probe.write(context)["shots_worth"] is None
    assert "more than were tried" in report.captions["shots.png"]
    assert "Left out" not in report.said()
    context.classes_and_shots = [], []
    assert linear_probe.write(context) == {} and "Too few" in report.said()


def test_shifts_compare_with_the_line_through_the_baselines(report, monkeypatch):
    monkeypatch.setattr(robustness, "digits", lambda context: {"digits": 1})
    found = robustness.write(probe_context(report))
    assert "Missing." in report.said() and found["digits"] == 1
    slope, intercept = found["baseline"]

    def away(home):  # what the line expects
        return 1 / (1 + (home / (1 - home)) ** -slope * 2.718281828459045**-intercept)

    points = {"zero-shot": (0.5, 0.5), "1 shots": (0.3, 0.3), "2 shots": (0.7, 0.5)}
    points["all"] = 0.9, 0.7
    assert found["points"] == {name: pytest.approx(p) for name, p in points.items()}
    effective = {name: b - away(a) for name, (a, b) in points.items()}
    assert found["effective_robustness"] == pytest.approx(effective)
    (families, line), _ = report.drawn["shift.png"]
    assert len(families["probes on raw pixels"]) == 3 and line == (slope, intercept)


@pytest.mark.parametrize("missing", ["shifts", "shots", "tests"])
def test_without_a_shift_there_are_digits_only(report, monkeypatch, missing):
    monkeypatch.setattr(robustness, "digits", lambda context: {"digits": 1})
    context = probe_context(report)
    if missing == "shifts":
        context.shifts = {}
    elif missing == "shots":
        context.classes_and_shots = [], []
    else:
        del context.zero_shot["away"]
    assert robustness.write(context) == {"digits": 1} and "No shift" in report.said()


def test_baselines_of_one_accuracy_have_no_line(report):
    context = probe_context(report)
    context.probes["raw pixels"] = probed({"home": 0.5, "away": 0.5}, {})
    assert robustness.shifts(context) == {"zero_shot": context.zero_shot}
    assert "No effective robustness" in report.said()


def test_digits_are_named_zero_shot_and_by_probes(report, monkeypatch):
    home = labelled([0, 1, 1], [5, 50, 80], train=[(0, 0), (1, 90)], names="ab")
    monkeypatch.setattr(robustness, "handwritten", lambda: home)
    context = context_of(report, Features(directed("ab", [0, 90], *robustness.DIGIT_TEMPLATES)))
    found = robustness.digits(context)["digits"]
    assert {name: s["accuracy"] for name, s in found.items()} == {
        "zero-shot": 1.0,
        "probe on this model": 1.0,
        "probe on raw pixels": pytest.approx(2 / 3),  # the brighter ones are class 1
    }


# people, groups


def test_people_are_compared_with_the_model_on_its_own_pictures(report):
    assert list(human_comparison.write(context_of(report))) == ["paper"]
    home = labelled([0, 0, 0, 1], [0, 1, 2, 3])
    texts = directed("abc", [0, 90, 180], "{}")
    found = human_comparison.write(context_of(report, Features(texts), labelled=home))
    assert found["zero_shot"] == share(3, 4)
    (bars,), options = report.drawn["humans.png"]
    assert options["line"][1] == 0.75
    assert bars["two-shot human"]["majority vote"]["value"] == pytest.approx(0.85)


class People(Plane):
    """Four cooks and two judges, drawn as women, men and neither."""

    def __init__(self):
        names = ("woman cook: dark skin tone", "man cook", "cook", "man cook: light skin tone")
        names, splits = [*names, "woman judge", "man judge"], {"heldout_compositions": [*range(6)]}
        super().__init__([0, 10, 20, 60, 90, 100], names=names, splits=splits)

    def tones(self, i):
        return [t for t in ("dark skin tone", "light skin tone") if t in self.captions(i)[0]]


def test_errors_are_counted_by_group_for_each_wording(report):
    texts = {"cook": 0, "judge": 90, "man cook": 0, "man judge": 20, "woman cook": 80}
    context = context_of(report, Features(texts | {"woman judge": 90}), pairs=People())
    found = bias.write(context)
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
    assert len(report.drawn["classes.png"][0][0]) == 3
    context.pairs = Plane([])
    assert bias.write(context) == {}


# retrieval, overlap


def test_retrieval_has_a_row_for_each_split_and_way_and_recall_by_the_size_of_the_gallery(report):
    """Three pictures of 90, of which the first and the third are found by their captions, and two
    of a second split."""
    splits = {"train": [], "heldout": [*range(90)], "heldout_names": [1, 2]}
    pairs = Plane([0, 40, 80, *[180] * 87], splits=splits)
    texts = [1, 62, 79, *[180] * 87]
    galleries = {split: gallery(pairs, texts, split) for split in ("heldout", "heldout_names")}
    scores = {split: own.evaluate(splits[split]) for split, own in galleries.items()}
    context = context_of(report, pairs=pairs)
    context.retrieval = scores, galleries
    found = retrieval.write(context)
    rows = {name: cells for name, *cells in retrieval.rows(scores)}
    recall = {name: (cells[0], cells[3], *cells[-2:]) for name, cells in rows.items()}
    assert recall["names: text to image"] == (0.5, 1, 2, 2)
    assert recall["names: image to text"] == (1, 1, 2, 2)
    assert recall["heldout: text to image"] == (2 / 90, 3 / 90, 90, 90)
    assert list(found["by_candidates"]["heldout"]) == [2, 5, 10, 20, 50, 90]
    assert found["by_candidates"]["heldout_names"] == {2: pytest.approx(0.5)}
    (shown, queries), _ = report.drawn["retrieval.png"]
    assert shown is galleries["heldout"] and len(queries) == 8
    context.retrieval = {}, {}
    assert retrieval.write(context) == {}

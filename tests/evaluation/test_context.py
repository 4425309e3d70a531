"""What the sections of the report share: the data that options mean, the classes of the probes."""

import os

import pytest
import torch
from PIL import Image

from miniclip.common import UserError
from miniclip.evaluation import context, linear_probe
from miniclip.evaluation.context import (
    EMOJI_TEMPLATES,
    PLAIN_TEMPLATES,
    SHOTS,
    class_names,
    named_shifts,
    open_data,
    open_shifts,
    read_templates,
    templates_for,
)
from miniclip.evaluation.families import TEMPLATES
from miniclip.training import checkpoint
from miniclip.training.checkpoint import FORMAT
from tests.evaluation.fakes import Features, Plane, context_of, labelled
from tests.shared import must_refuse


@pytest.fixture
def run(tmp_path):
    """What a checkpoint records that was trained on 2 of the pairs of a.csv, which has ; and titles;
    b.csv is in the usual form."""
    rows = [f"{k}.png|{k}" for k in range(30)]
    for k in range(30):
        Image.new("RGB", (9, 9), (k, 8 * k, 0)).save(tmp_path / f"{k}.png")
    for name, head, separator in (("a", "filepath|title", ";"), ("b", "filepath|caption", ",")):
        text = "\n".join([head, *rows]).replace("|", separator)
        (tmp_path / f"{name}.csv").write_text(text + "\n")
    options = {"data": f"{tmp_path}/a.csv", "caption_column": "title", "pairs": 2}
    return {"format": FORMAT, "options": options, "packages": {"icons": "1"}}


def learned(pairs, indices):
    """The hashes of these pairs, as a checkpoint holds them."""
    return torch.tensor(sorted(h for i in indices for h in pairs.hashes_of(i)))


def test_the_pairs_of_a_run_are_opened_as_it_did_and_cut_as_it_did(run, capsys):
    for data in (None, run["options"]["data"]):
        pairs, trained_on = open_data(run, data)
        assert trained_on and len(pairs) == 30 and len(pairs.splits["train"]) == 2
        assert len(pairs.splits["heldout"]) > 0 and "icons" in capsys.readouterr().out
    must_refuse("filepath", open_data, run, caption_column="filepaths")


def test_the_pairs_of_a_run_are_recognized_after_they_were_moved(run, tmp_path):
    run["pairs_digest"] = open_data(run)[0].digest
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    pairs, trained_on = open_data(run, f"{moved}/a.csv")
    assert trained_on and len(pairs.splits["train"]) == 2 and len(pairs.splits["heldout"]) > 0
    rows = (moved / "a.csv").read_text()
    (moved / "a.csv").write_text(rows.replace(";7", ";seven"))
    pairs, trained_on = open_data(run, f"{moved}/a.csv", caption_column="title")
    assert not trained_on and pairs.splits == {"train": [], "all": [*range(30)]}


def test_pairs_that_were_learned_are_recognized_anywhere_and_the_others_are_tested(
    run, tmp_path, capsys
):
    first = open_data(run)[0]
    run["learned"], before = (learned(first, part) for part in (first.splits["train"], (7, 8)))
    head, *rows = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "x").mkdir()
    table = [head, *(f"{tmp_path}/{row}" for row in reversed(rows))]
    (tmp_path / "x/sorted.csv").write_text("\n".join(table))
    wanted = {first.where(i) for i in first.splits["train"]} | {"7.png", "8.png"}
    for data in ("a.csv", "x/sorted.csv"):
        run["pairs_digest"] = "of other pairs"
        how = dict(start={"learned": before}, caption_column="title")
        pairs, trained_on = open_data(run, f"{tmp_path}/{data}", **how)
        found = {
            split: {os.path.basename(pairs.where(i)) for i in own}
            for split, own in pairs.splits.items()
        }
        assert not trained_on and found["train"] == wanted and len(found["others"]) == 30 - 4
        assert "trained on 4 of the 30 pairs" in capsys.readouterr().out
    run["learned"] = learned(pairs, range(30))
    must_refuse("trained on all pairs of", open_data, run, f"{tmp_path}/x/sorted.csv", **how)


def test_all_of_other_pairs_are_asked_for_without_the_options_of_the_run(run, tmp_path, capsys):
    none, unknown = "because none of them was recognized", "but nothing tells whether"
    for content, says in ((run, unknown), ({}, none), (run | {"format": "other"}, none)):
        pairs, trained_on = open_data(content, f"{tmp_path}/b.csv")
        assert not trained_on and pairs.splits == {"train": [], "all": [*range(30)]}
        assert f"are tested, {says}" in capsys.readouterr().out


def test_held_out_pairs_that_an_earlier_model_has_learned_are_not_tested(run, capsys):
    pairs = open_data(run)[0]
    one, *others = pairs.splits["heldout"]
    pairs.wheres[others[0]], pairs._captions[others[0]] = "0.png", ("0",)  # as a pair of training
    run["learned"] = learned(pairs, [one, *pairs.splits["train"]])
    capsys.readouterr()
    checkpoint.hold_back(pairs, [run])
    assert pairs.splits["heldout"] == others and len(pairs.splits["train"]) == 2
    assert "1 of the pairs that are held out were learned" in capsys.readouterr().out


def test_weights_of_elsewhere_are_tested_on_the_embedded_pairs(run):
    pairs, trained_on = open_data(run | {"format": "other"})
    assert pairs.rows and not trained_on and pairs.splits["train"]
    assert open_data({"format": FORMAT, "options": {"data": None}}, "emoji")[1], "by their word"


def named(names="abc", pictures=None):
    classes = [i % len(names) for i in range(6)]
    found = labelled(classes[3:], [0] * 3, train=[(c, 0) for c in classes[:3]], names=names)
    found.pictures = pictures
    return found


@pytest.fixture
def imagenet(monkeypatch):
    monkeypatch.setattr(context, "imagenet", lambda: ([*"pqr"], ["an {}"]))


def test_classes_are_named_by_a_file_or_by_imagenet(imagenet, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("x\ny\n")
    assert class_names(names) == ["x", "y"] and class_names(None) is None
    assert class_names("imagenet") == [*"pqr"]
    names.write_text("2 euro\n10 euro\n20 euro\n")
    assert class_names(names) == ["2 euro", "10 euro", "20 euro"]


def test_templates_suit_the_pictures_unless_they_are_given(imagenet, tmp_path):
    pairs, icons, own = Plane([]), Plane([]), tmp_path / "own.txt"
    icons.homes = [{"tabler"}]
    assert read_templates("imagenet") == ["an {}"]
    for source, home, want in (
        (pairs, named(pictures=pairs), EMOJI_TEMPLATES),
        (pairs, named(pictures=icons), PLAIN_TEMPLATES),
        (pairs, None, PLAIN_TEMPLATES),
        (icons, None, [*TEMPLATES]),
        (icons, named(pictures=pairs), PLAIN_TEMPLATES),
    ):
        assert templates_for(source, home) == want
    benchmark = named(pictures=pairs)
    benchmark.templates = ["a {c}."]
    assert templates_for(icons, benchmark) == ["a {}."]
    own.write_text("{}\nthe {} here\n")
    assert read_templates(own) == ["{}", "the {} here"]
    own.write_text("{}\n{} and {}\n")
    must_refuse("'{} and {}' must hold {} once", read_templates, own)


def test_a_shift_has_the_labels_of_the_classes_at_home(monkeypatch):
    def opened(source, names):
        return named(names or {"folder": "cb", "other": "cd"}[source], Plane([0] * 6))

    monkeypatch.setattr(context, "open_labelled", opened)

    def shifts(given=(), names=None, home=named(pictures=Plane([0] * 6))):
        found = open_shifts(Plane([]), home, named_shifts(given, names))
        return {name: own[1:] for name, own in found.items()}

    there = {"there": ([3, 4, 5], {0: 2, 1: 1, 2: 2, 3: 1, 4: 2, 5: 1})}
    assert shifts(["there=folder"]) == there
    assert shifts() == {} == shifts(home=None)
    assert shifts(["there=other"], {"c": "c", "b": "b"}) == there
    assert shifts(["there=folder"], ["d"]) == there, "names of home alone"
    for given, home, reason in (
        (["folder"], named(), "NAME=FOLDER"),
        (["x=folder", "x=folder"], named(), "NAME=FOLDER"),
        (["grey=folder"], named(), "these names are taken: home, grey, line art, Noto"),
        (["x=other"], named(), "do not have: d"),
        (["x=folder"], None, "add --images"),
    ):
        must_refuse(reason, shifts, given, home=home)


def test_two_classes_with_one_name_stay_two_classes_in_a_shift(tmp_path):
    wnids = {"n1": "crane", "n2": "cup", "n3": "crane"}
    for k, place in enumerate([*wnids] * 4):
        (tmp_path / f"{k % 2}" / place).mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), k).save(tmp_path / f"{k % 2}" / place / f"{k}.png")
    home = context.open_labelled(tmp_path / "0", wnids)
    found = open_shifts(Plane([]), home, named_shifts([f"x={tmp_path / '1'}"], wnids))
    source, indices, labels = found["x"]
    assert {(source.captions(i)[0], labels[i]) for i in indices} == {
        ("n1", 0),
        ("n2", 1),
        ("n3", 2),
    }


def test_a_shift_must_not_have_pictures_that_the_probe_learns_from(tmp_path):
    for k in range(24):
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        Image.new("L", (9, 9), k).save(tmp_path / "ab"[k % 2] / f"{k}.png")
    home = context.open_labelled(tmp_path)
    must_refuse("of --images, from which", open_shifts, None, home, named_shifts([f"x={tmp_path}"]))
    for name in "ab":
        (tmp_path / "links" / name).mkdir(parents=True)
        for picture in (tmp_path / name).iterdir():
            (tmp_path / "links" / name / picture.name).symlink_to(picture)
    links = named_shifts([f"x={tmp_path / 'links'}"])
    must_refuse("of --images, from which", open_shifts, None, home, links)


def test_the_other_drawings_of_the_embedded_emoji_are_shifts_where_they_can_be_drawn(
    monkeypatch, capsys
):
    def drawings(pictures, kind, indices):
        if kind == "Noto":
            raise UserError("its font is missing")
        return dict.fromkeys({1, 3, 5} & {*indices})

    monkeypatch.setattr(context, "other_drawings", drawings)
    pairs = Plane([])
    pairs.rows = [[]]
    shifts = open_shifts(pairs, named(pictures=pairs), {})
    assert list(shifts) == ["grey", "line art"]
    assert all(indices == [3, 5] for _, indices, _ in shifts.values())
    assert "Noto are left out: its font is missing" in capsys.readouterr().out


def probed(report, counts, degrees, tests, **given):
    """An EvalContext: counts training pictures of each class, then `tests`, (class, degrees) each;
    a class's name points at the degrees of its number."""
    names = [f"class {c}" for c in range(len(counts))]
    train = [(c, degrees[c]) for c, n in enumerate(counts) for _ in range(n)]
    home = labelled(*zip(*tests), train=train, names=names)
    return context_of(report, Features(dict(zip(names, degrees))), labelled=home, **given)


@pytest.mark.parametrize(
    "counts, classes, shots",
    [
        ([16, 16, 15, 16, 16], [0, 1, 3, 4], [1, 2, 4, 8, 16]),  # 80 % of the classes
        ([16, 16, 15, 16, 15], [0, 1, 2, 3, 4], [1, 2, 4, 8]),
        ([3, 3], [0, 1], [1, 2]),
        ([1, 1, 1, 0, 1], [0, 1, 2, 4], [1]),
    ],
)
def test_probes_have_the_most_shots_that_80_percent_of_the_classes_have(
    report, counts, classes, shots
):
    found = probed(report, counts, [0] * len(counts), [(0, 0)])
    assert found.classes_and_shots == (classes, shots) and {*shots} <= {*SHOTS}


@pytest.mark.parametrize("counts, have", [([4, 0], "1 of 2"), ([2, 1, 0], "2 of 3")])
def test_probes_of_too_few_classes_are_refused_with_their_number(report, counts, have):
    found = probed(report, counts, [0] * len(counts), [(0, 0)])
    must_refuse(f"{have} classes have pictures", lambda: found.classes_and_shots)


def test_a_picture_that_cannot_be_read_is_no_shot(report):
    found = probed(report, [4, 4], [0, 90], [(0, 0), (1, 90)])
    found.labelled.pictures.bad = [0]
    assert found.classes_and_shots == ([0, 1], [1, 2])


def test_zero_shot_beside_probes_is_among_their_classes(report):
    """Class 0 has no picture to learn from: the picture nearest to its name is asked without it."""
    degrees = [0, 30, 60, 90, 120]
    tests = [(0, 0), (1, 10), (1, 30), (2, 62), (2, 80), (4, 125)]
    shift = Plane([30, 30, 95]), [0, 1, 2], {0: 1, 1: 2, 2: 3}
    shifts = {"away": shift, "none": (Plane([0]), [0], {0: 0})}
    found = probed(report, [0, 1, 1, 1, 1], degrees, tests, shifts=shifts)
    # right: 10 and 30 are nearest to 30, 62 to 60, 125 to 120; 80 is nearer to 90
    assert [found.zero_shot["home"][key] for key in ("value", "n")] == [4 / 5, 5]
    assert [found.zero_shot["away"][key] for key in ("value", "n")] == [2 / 3, 3]
    assert list(found.zero_shot) == ["home", "away"], "the shift without such classes is left out"
    found.labelled.splits["test"] = [4]
    must_refuse("no picture to test on", found._tests, found.features.images)


def test_probes_are_on_three_kinds_of_features_and_tested_at_home_and_away(report, monkeypatch):
    monkeypatch.setattr(linear_probe, "search_strength", lambda score: 0.01)
    shifts = {"away": (Plane([5, 30, 90]), [0, 1, 2], {0: 0, 1: 1, 2: 1})}
    tests = [(0, 10), (1, 80), (1, 30)]
    found = probed(report, [2, 2], [0, 90], tests, shifts=shifts).probes
    ours = found["this model"]
    assert list(found) == ["this model", "same tower, random weights", "raw pixels"]
    assert ours["full"] == {"home": pytest.approx(2 / 3), "away": pytest.approx(2 / 3)}
    assert ours["n"] == {"home": 3, "away": 3} and ours["strength"] == 0.01
    assert list(ours["curve"]) == [1, 2] and len(ours["curve"][2]["away"]) == 2

"""What the sections of the report share: the data that options mean, the classes of the probes."""

from types import SimpleNamespace

import pytest

from miniclip.common import UserError
from miniclip.data import SOURCE_OPTIONS
from miniclip.data.labelled import Labelled
from miniclip.evaluation import context, linear_probe
from miniclip.evaluation.context import (
    EMOJI,
    PLAIN,
    SHOTS,
    EvalContext,
    open_classes,
    open_data,
    open_shifts,
    open_templates,
)
from miniclip.evaluation.unseen_site import TEMPLATES
from miniclip.training.checkpoint import FORMAT
from tests.data.tars import Coloured
from tests.evaluation.fakes import Features, Plane


@pytest.fixture
def asked(monkeypatch):
    """The sources that are opened, each a Coloured of 6 pictures."""
    calls = []

    def open_pairs(source, **how):
        calls.append((source, how))
        pairs = Coloured(6)
        pairs.splits, pairs.packages = {"train": [0, 1, 2, 3], "heldout": [4, 5]}, {"icons": "2"}
        return pairs

    monkeypatch.setattr(context, "open_pairs", open_pairs)
    return calls


RUN = {"data": "x.csv", "separator": ";", "caption_column": "text", "pairs": 2}
CHECKPOINT = {"format": FORMAT, "options": RUN, "packages": {"icons": "1"}}
NOTHING = dict.fromkeys(SOURCE_OPTIONS)


@pytest.mark.parametrize("data", [None, "x.csv"])
def test_the_pairs_of_a_run_are_opened_as_it_did_and_cut_as_it_did(asked, capsys, data):
    pairs, trained_on = open_data(CHECKPOINT, data, caption_column="mine")
    assert asked == [("x.csv", NOTHING | {"separator": ";", "caption_column": "mine"})]
    assert trained_on and len(pairs.splits["train"]) == 2 and pairs.splits["heldout"] == [4, 5]
    assert "icons 2 (was 1)" in capsys.readouterr().out


@pytest.mark.parametrize("content", [CHECKPOINT, {}, {"format": "other", "options": RUN}])
def test_all_of_other_pairs_are_asked_for_without_the_options_of_the_run(asked, capsys, content):
    pairs, trained_on = open_data(content, "y.csv")
    assert asked == [("y.csv", NOTHING)] and not trained_on
    assert pairs.splits == {"train": [], "all": [0, 1, 2, 3, 4, 5]}
    assert capsys.readouterr().out == ""


def test_weights_of_elsewhere_are_tested_on_the_embedded_pairs(asked):
    pairs, trained_on = open_data({"format": "other", "options": RUN})
    assert asked == [(None, NOTHING)] and not trained_on
    assert pairs.splits["heldout"] == [4, 5]


def named(names=("a", "b", "c"), pictures=None):
    labels = {i: i % len(names) for i in range(6)}
    splits = {"train": [0, 1, 2], "test": [3, 4, 5], "all": [3, 4, 5]}
    return Labelled("home", names, pictures, labels, splits)


def test_classes_are_those_of_the_folder_or_of_the_pairs_and_take_given_names(
    monkeypatch, tmp_path
):
    names = tmp_path / "names.txt"
    names.write_text("x\ny\nz\n")
    monkeypatch.setattr(context, "open_labelled", lambda source, given: (source, given))
    monkeypatch.setattr(context, "of_pairs", lambda pairs: pairs and named(pairs))
    monkeypatch.setattr(context, "imagenet", lambda: ([*"pqr"], ["an {}"]))
    assert open_classes(None, "folder") == ("folder", None)
    assert open_classes(None, "folder", names) == ("folder", [*"xyz"])
    assert open_classes("abc").class_names == [*"abc"] and open_classes(None) is None
    assert open_classes("abc", classes=names).class_names == [*"xyz"]
    assert open_classes("abc", classes="imagenet").class_names == [*"pqr"]
    for pairs, wrong in ((None, "needs labelled pictures"), ("ab", "3 names for 2 classes")):
        with pytest.raises(UserError, match=wrong):
            open_classes(pairs, classes=names)


def test_templates_suit_the_pictures_unless_they_are_given(tmp_path, monkeypatch):
    monkeypatch.setattr(context, "imagenet", lambda: ([*"pqr"], ["an {}"]))
    pairs, icons, own = Coloured(6), Coloured(6), tmp_path / "own.txt"
    icons.splits = {"train": [0], "heldout_site": [1]}
    assert open_templates(pairs, None, "imagenet") == ["an {}"]
    assert open_templates(pairs, named(pictures=pairs)) == EMOJI
    assert open_templates(pairs, named(pictures=icons)) == PLAIN == open_templates(pairs, None)
    assert open_templates(icons, None) == list(TEMPLATES)
    assert open_templates(icons, named(pictures=pairs)) == PLAIN
    own.write_text("{}\nthe {} here\n")
    assert open_templates(icons, None, own) == ["{}", "the {} here"]
    for wrong in ("no place", "{} and {}"):
        own.write_text(f"{{}}\n{wrong}\n")
        with pytest.raises(UserError, match=f"'{wrong}' must hold {{}} once"):
            open_templates(icons, None, own)


def test_a_shift_has_the_labels_of_the_classes_at_home(monkeypatch):
    names = {"folder": "cb", "other": "cd"}
    monkeypatch.setattr(context, "open_labelled", lambda source: named(names[source]))
    shifts, missing = open_shifts(Coloured(6), named(), ["there=folder"])
    assert list(shifts) == ["there"] and missing == []
    assert shifts["there"] == (None, [3, 4, 5], {0: 2, 1: 1, 2: 2, 3: 1, 4: 2, 5: 1})
    assert open_shifts(Coloured(6), named()) == ({}, []) == open_shifts(Coloured(6), None)
    for given, home, reason in (
        (["folder"], named(), "NAME=FOLDER"),
        (["x=folder", "x=folder"], named(), "NAME=FOLDER"),
        (["x=other"], named(), "not at home: d"),
        (["x=folder"], None, "classes at home"),
    ):
        with pytest.raises(UserError, match=reason):
            open_shifts(None, home, given)


def test_the_other_drawings_of_the_embedded_emoji_are_shifts_where_they_can_be_drawn(monkeypatch):
    def drawings(pictures, kind):
        if kind == "Noto":
            raise UserError("its font is missing")
        return SimpleNamespace(available=[1, 3, 5], kind=kind)

    monkeypatch.setattr(context, "Drawings", drawings)
    pairs = Coloured(6)
    pairs.rows = [[]]
    shifts, missing = open_shifts(pairs, named(pictures=pairs))
    assert [(kind, found.kind) for kind, (found, *_) in shifts.items()] == [
        ("grey", "grey"),
        ("line art", "line art"),
    ]
    assert all(indices == [3, 5] for _, indices, _ in shifts.values())
    assert len(missing) == 1 and "Noto are left out: its font is missing" in missing[0]


def evaluated(counts, degrees, tests, shifts=None):
    """An EvalContext: counts training pictures of each class, then `tests`, (class, degrees) each;
    a class's name points at the degrees of its number."""
    names = [f"class {c}" for c in range(len(counts))]
    classes = [c for c, n in enumerate(counts) for _ in range(n)] + [c for c, _ in tests]
    train = range(sum(counts))
    test = range(len(train), len(classes))
    pictures = Plane([degrees[classes[i]] for i in train] + [d for _, d in tests])
    splits = {"train": [*train], "test": [*test], "all": [*test]}
    home = Labelled("home", names, pictures, dict(enumerate(classes)), splits)
    features = Features(dict(zip(names, degrees)))
    return EvalContext(features, None, False, home, ["{}"], shifts or {}, [], None, 2)


@pytest.mark.parametrize(
    "counts, classes, shots",
    [
        ([16, 16, 15, 16, 16], [0, 1, 3, 4], [1, 2, 4, 8, 16]),  # 80 % of the classes
        ([16, 16, 15, 16, 15], [0, 1, 2, 3, 4], [1, 2, 4, 8]),
        ([3, 3], [0, 1], [1, 2]),
        ([1, 1, 1, 0, 1], [0, 1, 2, 4], [1]),
        ([4, 0], [], []),  # two at least
        ([2, 1, 0], [], []),
    ],
)
def test_probes_have_the_most_shots_that_80_percent_of_the_classes_have(counts, classes, shots):
    found = evaluated(counts, [0] * len(counts), [(0, 0)])
    assert found.classes_and_shots == (classes, shots)
    assert set(shots) <= set(SHOTS)


def test_zero_shot_beside_probes_is_among_their_classes():
    """Class 0 has no picture to learn from: the picture nearest to its name is asked without it."""
    degrees = [0, 30, 60, 90, 120]
    tests = [(0, 0), (1, 10), (1, 30), (2, 62), (2, 80), (4, 125)]
    shift = Plane([30, 30, 95]), [0, 1, 2], {0: 1, 1: 2, 2: 3}
    none = Plane([0]), [0], {0: 0}
    found = evaluated([0, 1, 1, 1, 1], degrees, tests, {"away": shift, "none": none})
    # right: 10 and 30 are nearest to 30, 62 to 60, 125 to 120; 80 is nearer to 90
    assert [found.zero_shot["home"][key] for key in ("value", "n")] == [4 / 5, 5]
    assert [found.zero_shot["away"][key] for key in ("value", "n")] == [2 / 3, 3]
    assert list(found.zero_shot) == ["home", "away"], "the shift without such classes is left out"
    assert found.zero_shot_right("all") == {4: True, 5: False, 6: True, 7: True, 8: False, 9: True}
    found.labelled.splits["test"] = [4]
    with pytest.raises(UserError, match="no picture to test on"):
        found._tests(found.features.images)


def test_probes_are_on_three_kinds_of_features_and_tested_at_home_and_away(monkeypatch):
    widths, learn = [], linear_probe.full_probe

    def full_probe(x, y):
        widths.append(x.shape)
        return learn(x, y)

    monkeypatch.setattr(linear_probe, "search_strength", lambda score: 0.01)
    monkeypatch.setattr(linear_probe, "full_probe", full_probe)
    shift = Plane([5, 30, 90]), [0, 1, 2], {0: 0, 1: 1, 2: 1}
    found = evaluated([2, 2], [0, 90], [(0, 10), (1, 80), (1, 30)], {"away": shift}).probes
    assert widths == [(4, 2), (4, 2), (4, 3 * 12 * 12)]
    ours = found["this model"]
    assert list(found) == ["this model", "same tower, random weights", "raw pixels"]
    assert ours["full"] == {"home": pytest.approx(2 / 3), "away": pytest.approx(2 / 3)}
    assert ours["n"] == {"home": 3, "away": 3} and ours["strength"] == 0.01
    assert list(ours["curve"]) == [1, 2] and len(ours["curve"][2]["away"]) == 2

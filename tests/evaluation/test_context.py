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


def options(**given):
    return SimpleNamespace(
        **dict(data=None, images=None, classes=None, templates=None, shift=None) | given
    )


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


@pytest.mark.parametrize("data", [None, "x.csv"])
def test_the_pairs_of_a_run_are_opened_as_it_did_and_cut_as_it_did(asked, capsys, data):
    pairs, trained_on = open_data(options(data=data, caption_column="mine"), CHECKPOINT)
    nothing = dict.fromkeys(SOURCE_OPTIONS)
    assert asked == [("x.csv", nothing | {"separator": ";", "caption_column": "mine"})]
    assert trained_on and len(pairs.splits["train"]) == 2 and pairs.splits["heldout"] == [4, 5]
    assert capsys.readouterr().out == (
        "the pictures are no longer those that the model was trained on: icons 2 (was 1)\n"
    )


@pytest.mark.parametrize("content", [CHECKPOINT, {}, {"format": "other", "options": RUN}])
def test_all_of_other_pairs_are_asked_for_without_the_options_of_the_run(asked, capsys, content):
    pairs, trained_on = open_data(options(data="y.csv"), content)
    assert asked == [("y.csv", dict.fromkeys(SOURCE_OPTIONS))] and not trained_on
    assert pairs.splits == {"train": [], "all": [0, 1, 2, 3, 4, 5]}
    assert capsys.readouterr().out == ""


def test_weights_of_elsewhere_are_tested_on_the_embedded_pairs(asked):
    pairs, trained_on = open_data(options(), {"format": "other", "options": RUN})
    assert asked == [(None, dict.fromkeys(SOURCE_OPTIONS))] and not trained_on
    assert pairs.splits["heldout"] == [4, 5]


def named(names=("a", "b", "c"), pictures=None):
    labels = {i: i % len(names) for i in range(6)}
    splits = {"train": [0, 1, 2], "test": [3, 4, 5], "all": [3, 4, 5]}
    return Labelled("home", names, pictures, labels, splits)


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("x\ny\nz\n")
    return str(path)


def test_classes_are_those_of_the_folder_or_of_the_pairs_and_take_given_names(monkeypatch, names):
    monkeypatch.setattr(context, "open_labelled", lambda source, given: (source, given))
    monkeypatch.setattr(context, "of_pairs", lambda pairs: pairs and named())
    assert open_classes(options(images="folder"), None) == ("folder", None)
    assert open_classes(options(images="folder", classes=names), None) == ("folder", [*"xyz"])
    assert open_classes(options(), True).class_names == [*"abc"]
    assert open_classes(options(classes=names), True).class_names == [*"xyz"]
    assert open_classes(options(), None) is None
    with pytest.raises(UserError, match="needs labelled pictures"):
        open_classes(options(classes=names), None)
    monkeypatch.setattr(context, "imagenet", lambda: ([*"pqr"], ["an {}"]))
    assert open_classes(options(classes="imagenet"), True).class_names == [*"pqr"]
    monkeypatch.setattr(context, "of_pairs", lambda pairs: named("ab"))
    with pytest.raises(UserError, match="has 3 names for 2 classes"):
        open_classes(options(classes=names), True)


def test_templates_suit_the_pictures_unless_they_are_given(tmp_path, monkeypatch):
    monkeypatch.setattr(context, "imagenet", lambda: ([*"pqr"], ["an {}"]))
    assert open_templates(options(templates="imagenet"), None, Coloured(6)) == ["an {}"]
    pairs, icons = Coloured(6), Coloured(6)
    icons.splits = {"train": [0], "heldout_site": [1]}
    assert open_templates(options(), named(pictures=pairs), pairs) == EMOJI
    assert open_templates(options(), named(pictures=icons), pairs) == PLAIN
    assert open_templates(options(), None, pairs) == PLAIN
    assert open_templates(options(), None, icons) == list(TEMPLATES)
    assert open_templates(options(), named(pictures=pairs), icons) == PLAIN
    (tmp_path / "own.txt").write_text("{}\nthe {} here\n")
    own = options(templates=str(tmp_path / "own.txt"))
    assert open_templates(own, None, icons) == ["{}", "the {} here"]
    for wrong in ("no place", "{} and {}"):
        (tmp_path / "own.txt").write_text(f"{{}}\n{wrong}\n")
        with pytest.raises(UserError, match=f"'{wrong}' must hold {{}} once"):
            open_templates(own, None, icons)


def test_a_shift_has_the_labels_of_the_classes_at_home(monkeypatch):
    away = named("cb")
    monkeypatch.setattr(context, "open_labelled", {"folder": away, "other": named("cd")}.get)
    shifts, missing = open_shifts(options(shift=["there=folder"]), named())
    assert list(shifts) == ["there"] and missing == []
    assert shifts["there"] == (None, [3, 4, 5], {0: 2, 1: 1, 2: 2, 3: 1, 4: 2, 5: 1})
    assert open_shifts(options(), named()) == ({}, [])
    for given, home, reason in (
        ("folder", named(), "NAME=FOLDER"),
        ("x=other", named(), "not at home: d"),
        ("x=folder", None, "classes at home"),
    ):
        with pytest.raises(UserError, match=reason):
            open_shifts(options(shift=[given]), home)


def test_the_other_drawings_of_the_embedded_emoji_are_shifts_where_they_can_be_drawn(monkeypatch):
    def drawings(pictures, kind):
        if kind == "Noto":
            raise UserError("its font is missing")
        return SimpleNamespace(available=[1, 3, 5], kind=kind)

    monkeypatch.setattr(context, "Drawings", drawings)
    shifts, missing = open_shifts(options(), named(pictures=SimpleNamespace(rows=["an emoji"])))
    assert {kind: found[0].kind for kind, found in shifts.items()} == {
        "grey": "grey",
        "line art": "line art",
    }
    assert all(indices == [3, 5] for _, indices, _ in shifts.values())
    assert missing == ["The drawings called Noto are left out: its font is missing."]
    assert open_shifts(options(), None) == ({}, [])


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

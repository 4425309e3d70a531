"""The icons: what a set's file says, what is left out, what no model is trained on."""

import collections
import itertools
import json
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eval as evaluation
import train
from miniclip.data import open_pairs
from miniclip.data.icons import drawing, families, iconify, icons, sample
from miniclip.data.icons.families import DEVELOPMENT, LINEAGES, SAME, SEALED
from miniclip.training import checkpoint
from tests.data.icons import made_up, small_pairs
from tests.data.tars import write_tar
from tests.runs import final, run
from tests.shared import ROOT, must_refuse

SQUARE = '<path d="M2 2h12v9H2z"/>'
CIRCLE = '<circle cx="8" cy="8" r="5"/>'
RING = '<circle cx="8" cy="8" r="5" fill="none" stroke="#000"/>'


def a_set(prefix="eva", icons=None, licence="MIT", category="General", palette=False, **more):
    """The JSON of a set."""
    info = dict(name="A set", author={"name": "Somebody"}, license={"spdx": licence})
    bodies = icons if isinstance(icons, dict) else dict.fromkeys(icons or ["home"], SQUARE)
    return {
        "prefix": prefix,
        "info": info | dict(category=category, palette=palette),
        "icons": {name: {"body": body} for name, body in bodies.items()},
    } | more


def captions(found):
    return [own for _, own in iconify.icons(found)]


def package(folder, sets):
    """The package's file, with these sets in it."""
    members = [(f"package/json/{x['prefix']}.json", json.dumps(x).encode()) for x in sets]
    return write_tar(folder / iconify.FILE, members, mode="w:gz")


@pytest.fixture
def small_package(tmp_path, cache, monkeypatch):
    """A folder with the package of four small sets, and an empty cache."""
    file = package(
        tmp_path,
        [
            a_set("carbon", {"home": SQUARE, "red-home": CIRCLE, "nothing": "<g/>"}),
            a_set("tabler", {"house": SQUARE, "ring-filled": RING}),
            a_set("ph", {"secret": '<path d="M1 1h3v14H1z"/>'}),
            a_set("ps", {"other": RING}, licence="CC-BY-NC-4.0"),
        ],
    )
    monkeypatch.setattr(iconify, "INTEGRITY", iconify.integrity(file))
    return tmp_path


# --- names


@given(
    st.lists(st.sampled_from("cat dog up to".split()), min_size=1, max_size=3),
    st.sampled_from(["fill", "outline", "24-filled"]),
    st.sampled_from(["baseline", "round"]),
)
def test_declared_prefixes_and_suffixes_are_the_style_and_the_rest_is_the_name(words, end, begin):
    found = a_set(suffixes={end: "", "": ""}, prefixes={begin: ""})
    style, size = f"{begin} {end.removeprefix('24-')}", 24 if end.startswith("24") else 0
    spelled = "-".join([begin, *words, end])
    assert iconify.split_name(spelled, found) == (" ".join(words), style, size)


@pytest.mark.parametrize(
    "prefix, spelled, want",
    [
        ("x", "home-outline", ("home", "outline", 0)),
        ("x", "fast-food-11", ("fast food", "", 11)),
        ("x", "filled", ("filled", "", 0)),
        ("x", "Add_Box", ("add box", "", 0)),
        ("bx", "bxs-server", ("server", "", 0)),
        ("ion", "ios-star-half", ("star half", "", 0)),
        ("x", "ios-star-half", ("ios star half", "", 0)),
    ],
)
def test_names_as_sets_spell_them(prefix, spelled, want):
    assert iconify.split_name(spelled, a_set(prefix)) == want


def test_an_icon_has_the_names_of_its_aliases_but_not_of_turned_or_coded_ones():
    aliases = {
        "house": {"parent": "home"},
        "building": {"parent": "home"},
        "mirrored": {"parent": "home", "hFlip": True},
        "of-mirrored": {"parent": "mirrored"},
        "code2x": {"parent": "home"},
        "lost": {"parent": "gone"},
    }
    assert captions(a_set(icons=["home"], aliases=aliases)) == [
        [("home", ""), ("house", ""), ("building", "")]
    ]


def test_of_several_sizes_the_nearest_to_24_is_kept_and_numbers_only_count():
    icons = ["cat-16", "cat-20", "cat-48", "dog-1", "dog-2", "dog"]
    assert [own[0][0] for own in captions(a_set(icons=icons))] == ["cat", "dog", "dog", "dog"]
    assert captions(a_set(icons=["7"])) == [[("7", "")]]


def test_hidden_icons_and_brands_are_left_out():
    found = a_set(icons=["home", "cat-logo", "old", "acme", "duck"])
    found["icons"]["old"]["hidden"] = True
    found["categories"] = {"Brands": ["acme"], "Animals": ["duck"]}
    assert captions(found) == [[("home", "")], [("duck", "")]]


@pytest.mark.parametrize(
    "how, reason",
    [
        (dict(licence="GPL-3.0"), "licence GPL-3.0"),
        (dict(licence="CC-BY-NC-SA-4.0"), "licence CC-BY-NC-SA-4.0"),
        (dict(licence=""), "licence unknown"),
        (dict(palette=True), "coloured"),
        (dict(category="Logos"), "logos"),
        (dict(prefix="fa6-brands"), "logos"),
        (dict(category="Programming"), "products"),
        (dict(prefix="ri"), "its licence has changed"),
        (dict(licence="Apache-2.0"), ""),
        (dict(prefix="codicon", category="Programming"), ""),
    ],
)
def test_sets_are_left_out_for_a_reason(how, reason):
    assert iconify.why_left_out(a_set(**how)) == reason


# --- the package


def test_the_package_is_asked_for_where_it_is_not(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    must_refuse("does not hold iconify-json", iconify.archive, tmp_path)
    must_refuse(r"pip install 'miniclip\[icons\]'", iconify.archive)
    npm = tmp_path / "bin/npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho 'npm error no such host' >&2\nexit 1\n")
    npm.chmod(0o755)
    must_refuse("failed: npm error no such host", iconify.archive)
    npm.write_text(f'#!/bin/sh\necho packed > "$4/{iconify.FILE}"\n')
    assert iconify.archive().read_text() == "packed\n"
    assert iconify.archive(cache / iconify.FILE) == iconify.archive()


def test_any_other_file_is_refused(tmp_path):
    must_refuse("or is not version 2.2.535; delete", iconify.read, package(tmp_path, [a_set()]))


# --- pictures


def test_ink_is_centred_black_is_255_and_its_longer_side_is_26_pixels():
    ink = drawing.draw(iconify.svg(a_set(icons={"wide": SQUARE}), "wide"))
    rows, columns = np.nonzero(ink.max(1) > 127)[0], np.nonzero(ink.max(0) > 127)[0]
    assert ink.shape == (32, 32) and ink[16, 16] == 255 and ink[0, 0] == 0
    assert columns[[0, -1]].tolist() == [3, 28] and abs(rows[0] + rows[-1] - 31) <= 1
    assert drawing.draw("<svg") is None and drawing.draw(iconify.svg(a_set(), "home")) is not None


def test_equal_drawings_are_one_picture_and_no_family_held_out_is_trained_on(small_package, capsys):
    pairs = open_pairs("icons", icons=str(small_package))
    assert [pairs.names(i) for i in range(len(pairs))] == [
        ("home", "house"),
        ("red home",),
        ("ring",),
    ]
    assert pairs.splits == {"train": [1], "heldout_site": [0, 2], "heldout_names": []}
    assert pairs.captions(2) == ("ring filled",) and pairs.where(2) == "tabler: ring filled"
    assert (
        np.asarray(pairs.image(0)).shape == (32, 32, 3)
        and "drawing 5 icons" in capsys.readouterr().err
    )
    (small_package / iconify.FILE).unlink()
    assert len(open_pairs("icons")) == 3  # from the cache
    must_refuse("does not hold iconify-json", open_pairs, "icons", icons=str(small_package))
    must_refuse("--icons is for icons, not for emoji", open_pairs, "emoji", icons="x")


def test_whose_work_the_pictures_are_is_told(small_package):
    told = "\n".join(open_pairs("icons", icons=str(small_package)).credits)
    assert re.search(r"carbon +carbon +training +3 +A set +Somebody +MIT", told)
    assert re.search("tabler .*development", told) and re.search("ph .*sealed", told)
    assert "CC-BY-NC" not in told


def test_a_caption_is_a_name_of_the_picture_and_has_its_style_in_half_of_the_epochs():
    owned, inks = made_up([[("carbon", "home", "line"), ("mage", "house", "outline")]])
    pairs, rng = icons.Icons(drawn=(owned, inks)), np.random.default_rng(0)
    pairs.left_out = 0.0
    counts = collections.Counter(pairs.caption(0, rng) for _ in range(4000))
    assert set(counts) == {"home", "home line", "house", "house outline"}
    # 5 standard deviations of a share of 1/4 in 4,000 draws
    assert all(abs(n / 4000 - 1 / 4) < 5 * (3 / 16 / 4000) ** 0.5 for n in counts.values()), counts
    assert np.array_equal(pairs.image(0), np.repeat(255 - inks[0][..., None], 3, axis=2))
    pairs.left_out = 1.0
    assert {*(pairs.caption(0, rng) for _ in range(200))} == {"home", "line", "house", "outline"}


# --- families and seals


def test_families_are_of_one_kind_and_a_lineage_is_in_one_family():
    assert not {*DEVELOPMENT} & {*SEALED}
    sets = list(itertools.chain(*LINEAGES.values()))
    assert len(sets) == len({*sets})


def test_the_icons_in_the_package_are_drawn_by_teams_of_development_and_may_be_passed_on():
    held = json.loads(sample.FILE.read_text("utf-8"))
    assert {families.family(prefix) for prefix in held["icons"]} <= {*DEVELOPMENT}
    assert {info["license"]["spdx"] for info in held["sets"].values()} == {"MIT"}
    pictures, names = sample.sample()
    pairs = open_pairs(list(zip(pictures, names)))
    assert len(pairs) == len(names) and np.asarray(pairs.image(0)).shape == (32, 32, 3)


def test_only_one_file_may_open_the_seal():
    files = [
        *ROOT.glob("*.py"),
        *(p for r in ("miniclip", "lessons", "kernels") for p in (ROOT / r).rglob("*.py")),
    ]
    found = {str(p.relative_to(ROOT)) for p in files if "under_seal" in p.read_text("utf-8")}
    assert found <= {"miniclip/data/icons/icons.py", "lessons/studies/sealed.py"}


WORDS = st.sampled_from("add plus off slash home cat lock".split())


@given(st.lists(WORDS, min_size=1, max_size=4), st.tuples(WORDS, WORDS))
def test_a_name_holds_a_combination_in_any_order_as_synonyms_and_glued(words, pair):
    combination = frozenset(SAME.get(word, word) for word in pair)
    held = len(combination) == 2 and combination <= {SAME.get(word, word) for word in words}
    assert families.holds(" ".join(words), {combination}) == held
    if len(combination) == 2:
        assert families.holds("".join(pair), {combination}) and families.holds(
            "".join(pair[::-1]), {combination}
        )


def test_words_of_held_out_combinations_are_known_from_other_names(monkeypatch):
    monkeypatch.setattr(families, "COMBINATIONS", (2, 2))
    three = {"carbon", "ph", "mage"}
    names = {f"{word} {other}": three for word in ("cat", "dog") for other in "abcdefgh"}
    names |= {f"x{k} y{k}": three for k in range(9)} | {"cat dog": three, "dog cat": three}
    names |= {"bird home": {"carbon"}, "cat": three, "cat 3d": three}
    names |= {f"z{k} 3d": three for k in range(9)}  # known as well, but no word
    development, sealed = families.held_out_combinations(names)
    assert development | sealed == {frozenset(("cat", "dog"))}


# --- train.py and eval.py


@pytest.fixture
def as_icons(monkeypatch, cache):
    """Small pairs in the place of all icons, and a cache of its own."""
    pairs = small_pairs()
    monkeypatch.setattr(icons, "pictures", lambda folder=None: (pairs.owned, pairs.inks))
    monkeypatch.setattr(icons, "versions", lambda: {"icons": "1"})
    return pairs


def test_a_run_has_the_recipe_of_icons_and_tells_the_three_questions(as_icons, tmp_path, capsys):
    assert run("icons", tmp_path / "run", "--steps", 2, "--pairs", 40) == 0
    state = final(tmp_path / "run")
    wanted = dict(augment="icons", unique_names=True, lr=3e-3, objective="contrastive_bow")
    assert wanted.items() <= state["options"].items() and state["config"]["name"] == "rn_icons"
    assert state["packages"] == {"icons": "1"}
    found = json.loads((tmp_path / "run/results.json").read_text())["zero_shot"]
    assert found["tabler"]["known"]["n"] == 8 and found["tabler"]["combinations"]["n"] == 2
    assert re.search(r"top-1, mean of .*tabler.*: known \d.*combinations", capsys.readouterr().out)


@pytest.mark.slow
def test_a_run_on_the_first_icons_cannot_go_on_and_is_tested_on_families_new_to_it(
    as_icons, tmp_path, refused, capsys
):
    out = tmp_path / "run"
    run("icons", out, "--steps", 1, "--eval-every", 0)
    state = final(out)
    state["packages"] = {"tkinter-icons-fa": "1.1.2"}
    state["options"] |= dict(held_out_sites="fontawesome", sites=None)
    checkpoint.save(out / "checkpoint.pt", state)
    assert "pictures of" in refused(train.main, "--out", out, "--resume")
    arguments = ["--checkpoint", out / "checkpoint.pt", "--out", tmp_path / "b", "--task"]
    for more in ([], ["--data", "icons"]):
        assert evaluation.main([*map(str, arguments), "zero_shot", *more]) == 0
        assert "no longer read" in capsys.readouterr().out
    found = json.loads((tmp_path / "b/results.json").read_text())["zero_shot"]
    assert set(found) - {"seconds"} == {*icons.NEW_TO_FIRST}
    assert "classes is not for icons" in refused(evaluation.main, *arguments, "classes")

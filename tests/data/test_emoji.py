"""The embedded pairs: what data they are, that no machine or order can move the splits, and the same
concepts drawn by others."""

import collections
import importlib.metadata
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniclip.common import UserError
from miniclip.data.dataset import words
from miniclip.data.emoji import drawings
from miniclip.data.emoji.drawings import KINDS, line_art, other_drawings
from miniclip.data.emoji.emoji import read_keywords, read_table, split
from miniclip.data.emoji.names import (
    CLASSES,
    MISFITS,
    TEMPLATES,
    label_of,
    parts,
    variants,
    vary,
    without_tone,
)
from tests.shared import must_refuse

NAMES = [row["name"] for row in read_table()]


def words_of(*texts):
    return {word for text in texts for word in words(text)}


# --- pairs and splits


def test_there_are_3944_names_of_3722_pictures(emoji):
    assert len(NAMES) == len(set(NAMES)) == sum(len(emoji.captions(i)) for i in range(len(emoji)))
    assert (len(NAMES), len(emoji)) == (3944, 3722)
    assert len({emoji.image(i).tobytes() for i in range(len(emoji))}) == len(emoji)
    assert emoji.image(0).size == (64, 64) and emoji.image(0).mode == "RGB"
    assert [len(own) for own in emoji.splits.values()] == [3354, 199, 169]
    assert sorted(sum(emoji.splits.values(), [])) == emoji.gallery("heldout_concepts")


@settings(max_examples=3)
@given(st.integers(0, 2**32))
def test_splits_do_not_depend_on_the_order_of_the_table(seed):
    def by_name(rows):
        grouped = collections.defaultdict(list)
        for row in rows:
            grouped[row["picture"]].append(row)
        pictures = [*grouped.values()]
        return {
            name: {frozenset(row["name"] for row in pictures[i]) for i in indices}
            for name, indices in split(pictures).items()
        }

    rows = read_table()
    assert by_name(random.Random(seed).sample(rows, len(rows))) == by_name(rows)


def test_a_composition_has_only_words_of_the_training_names(emoji):
    trained = {name for i in emoji.splits["train"] for name in emoji.captions(i)}
    known = words_of(*trained)
    for i in emoji.splits["heldout_compositions"]:
        assert words_of(*emoji.captions(i)) <= known and not trained & {*emoji.captions(i)}


def test_the_tone_blind_oracle_guesses_among_the_tones_of_one_thing(emoji):
    none = dict.fromkeys(["R@1", "R@5", "R@10", "n"], 0)
    assert emoji.tone_blind_oracle([]) == none | {"gallery": 3722}
    hand = next(i for i in range(len(emoji)) if emoji.captions(i)[0] == "waving hand")
    found = emoji.tone_blind_oracle([hand])  # in yellow and in five tones
    assert found == {"R@1": 1 / 6, "R@5": 5 / 6, "R@10": 1, "n": 1, "gallery": 3722}


def test_queries_are_typed_or_ask_for_pictures_of_their_split(emoji):
    texts, answers = emoji.queries("heldout_compositions")
    assert len(texts) == len(answers) == 8 and answers.count(None) == 4
    for text, i in zip(texts, answers):
        assert i is None or i in emoji.splits["heldout_compositions"] and text in emoji.captions(i)


# --- classes


def test_there_are_20_classes_of_ten_pictures_or_more(emoji):
    labels = collections.Counter(emoji.label(i) for i in range(len(emoji)))
    assert set(labels) == {-1, *range(20)} and min(labels.values()) >= 10
    assert MISFITS <= set(NAMES)
    assert not any(emoji.label(i) >= 0 for i in range(len(emoji)) if emoji.tones(i))


@pytest.mark.parametrize(
    "rows, want",
    [
        ({"cat": "animal-mammal"}, "animal"),
        ({"cat": "animal-mammal", "bug": "animal-bug"}, "animal"),
        ({"pizza": "food-prepared"}, "food"),
        ({"face": "face-smiling"}, "face"),
        ({"cat": "animal-mammal", "pizza": "food-prepared"}, None),
        ({"ghost": "face-costume"}, None),
        ({"cat": "animal-mammal", "ghost": "face-costume"}, None),
        ({"x": "person-role"}, None),
        ({"x": "animal"}, None),
    ],
)
def test_a_picture_whose_names_are_of_two_classes_or_that_is_a_misfit_has_none(rows, want):
    label = label_of([{"name": name, "subgroup": group} for name, group in rows.items()])
    assert label == ([*CLASSES].index(want) if want else -1)


# --- captions


@given(st.sampled_from(NAMES))
def test_another_way_to_say_a_name_says_all_of_it(name):
    head, details, tones = parts(name)
    assert sorted(words(" ".join((head, *details, *tones)))) == sorted(words(name))
    assert sorted(words(" ".join((without_tone(name), *tones)))) == sorted(words(name))
    for said in variants(name):
        said = said.replace("kissing", "kiss couple").replace("with heart", "couple with heart")
        assert words_of(name) <= words_of(said) and ":" not in said.replace("1:", "")


@pytest.mark.parametrize(
    "name, said",
    [
        ("man: red hair", ["man with red hair", "red hair man"]),
        ("kiss: woman, man", ["woman and man kissing", "kiss of woman and man"]),
        ("family: man, woman, boy", ["family of man, woman and boy"]),
        ("man: bald", ["bald man"]),
        ("hand: dark skin tone", ["dark skin tone hand", "hand with dark skin tone"]),
        ("dog", []),
    ],
)
def test_details_are_said_as_people_say_them(name, said):
    assert variants(name) == said


def test_a_caption_is_the_name_turned_around_enriched_or_framed():
    rng, kinds = np.random.default_rng(0), collections.Counter()
    name, others = "hand: dark skin tone", variants("hand: dark skin tone")
    for _ in range(4000):
        text, *keywords = vary(name, others, ("truck", "fire", "hose", "hero"), rng).split(", ")
        framed = any(text == t.format(said) for t in TEMPLATES for said in (name, *others))
        assert not (framed and keywords) and len({*keywords}) == len(keywords)
        kinds.update({len(keywords): 1, "framed": framed, "canonical": name in text})
    for kind, share in (
        (1, 0.4 / 3),
        (2, 0.4 / 3),
        (3, 0.4 / 3),
        ("framed", 0.3),
        ("canonical", 0.5),
    ):
        assert abs(kinds[kind] / 4000 - share) < 0.03, kinds  # 5 standard deviations or more
    assert kinds[0] + kinds[1] + kinds[2] + kinds[3] == 4000


def test_a_picture_is_called_by_each_of_its_names_by_the_generator_alone(emoji):
    several = [i for i in range(len(emoji)) if len(emoji.captions(i)) == 2]
    for i in several[:3]:
        said = {emoji.caption(i, np.random.default_rng(seed)) for seed in range(60)}
        assert {*emoji.captions(i)} <= said, said
    (i,) = (i for i in range(len(emoji)) if emoji.captions(i) == ("dog face",))
    about = "dog face", variants("dog face"), read_keywords()["dog face"]
    for seed in range(9):
        want = vary(*about, np.random.default_rng(seed))
        assert emoji.caption(i, np.random.default_rng(seed)) == want


def test_keywords_are_those_of_a_list_but_for_its_first_which_is_the_name(tmp_path, monkeypatch):
    lists = {
        "\U0001f436": ["dog_face", "pet", "good_dog", "dog", ":3", "pet "],
        "\u2764\ufe0f": ["red_heart", "love"],
        "\U0001f44b\U0001f3fb": ["waving_hand", "hello"],
    }
    path = tmp_path / "emojis.json"
    path.write_text(json.dumps(lists))
    monkeypatch.setattr(drawings, "package_files", lambda *how: {"emojis": path})
    assert read_keywords() == {"dog face": ("pet", "good dog"), "red heart": ("love",)}


# --- other drawings


@pytest.mark.parametrize("kind", KINDS)
def test_each_drawing_is_its_own_and_not_blank(emoji, kind):
    try:
        other = other_drawings(emoji, kind, range(len(emoji)))
    except UserError as error:
        pytest.skip(str(error))
    assert not any(emoji.tones(i) or "flag:" in emoji.captions(i)[0] for i in other)
    for i, picture in list(other.items())[::80]:
        picture = np.asarray(picture).astype(int)
        assert picture.shape == (64, 64, 3)
        assert np.ptp(picture) > 0, f"{emoji.captions(i)[0]} is blank"
        assert np.ptp(picture, axis=2).max() <= 40, emoji.captions(i)[0]


def test_line_art_loses_the_groups_that_fill_and_keeps_the_lines():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg"><g id="color"><path d="M0 0"/></g>'
        '<g id="Skin-shadow"><path d="M1 1"/></g><g id="hair"/><g id="line"><path d="M2 2"/></g></svg>'
    )
    left = line_art(svg)
    assert "M2 2" in left and "M0 0" not in left and "M1 1" not in left


def test_a_missing_font_is_named(emoji, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    must_refuse("pip install", other_drawings, emoji, "Noto", [])

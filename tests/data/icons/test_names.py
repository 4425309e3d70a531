"""A glyph's name becomes a caption and a style, by the habits of its set."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data.icons.sets import SETS, glyphs, listed, pixels, split_name

STYLED = [site for site, own in SETS.items() if own.styles]
WORDS = st.lists(st.sampled_from("cat dog 3d up 24 to".split()), min_size=1, max_size=4)
PREFIXES = {  # what stands before a name
    "eva": ["eva-"],
    "fluent": ["ic-fluent-"],
    "ionicons": ["ion-", "ios-", "android-", "md-", "ion-ios-", "ion-android-", "ion-md-"],
    "lucide": ["icon-"],
    "material": ["mdi-"],
    "rpg": ["ra-"],
    "typicons": ["typcn-"],
    "weather": ["wi-"],
}


@pytest.mark.parametrize(
    "site, spelled, style, want",
    [
        ("fluent", "ic-fluent-access-time-24-filled", "", ("access time", "filled")),
        ("bootstrap", "calendar2-month-fill", "", ("calendar2 month", "fill")),
        ("bootstrap", "database-fill-lock", "", ("database fill lock", "")),
        ("google", "mood_bad", "round", ("mood bad", "round")),
        ("google", "star_outline", "sharp", ("star", "outline sharp")),
        ("fontawesome", "fill", "", ("fill", "")),
        ("fontawesome", "circle-user", "regular", ("circle user", "regular")),
        ("ionicons", "ion-ios-heart-outline", "", ("heart", "outline")),
        ("ionicons", "outline", "", ("outline", "")),
        ("weather", "owm-day-804", "", None),
        ("weather", "forecast-io-rain", "", None),
        ("weather", "wi-day-rain", "", ("day rain", "")),
        ("remix", "replay-30-fill", "", ("replay 30", "fill")),
    ],
)
def test_names_as_the_sets_spell_them(site, spelled, style, want):
    assert split_name(site, spelled, style) == want


@given(st.sampled_from(list(SETS)), WORDS, st.sampled_from(["-", "_", " ", "--", "_-"]))
def test_separators_become_single_spaces(site, words, separator):
    name, style = split_name(site, separator.join(["x", *words, "y"]))
    assert (name, style) == (" ".join(["x", *words, "y"]), "")


@given(st.sampled_from(STYLED), WORDS, st.data())
def test_words_of_style_stand_apart_in_their_order_and_none_is_lost(site, words, data):
    styles = data.draw(st.lists(st.sampled_from(SETS[site].styles), max_size=2))
    name, style = split_name(site, "-".join(["x", *words, "y", *styles]), "own")
    assert name == " ".join(["x", *words, "y"]) and style == " ".join([*styles, "own"])


@given(st.sampled_from(STYLED), st.data())
def test_a_name_that_is_a_word_of_style_stays_a_name(site, data):
    word = data.draw(st.sampled_from(SETS[site].styles))
    assert split_name(site, word) == (word, "")
    assert split_name(site, f"{word}-{word}") == (word, word)


@pytest.mark.parametrize("site", SETS)
def test_a_prefix_is_removed_once_and_only_from_the_front(site):
    for prefix in PREFIXES.get(site, []):
        assert split_name(site, f"{prefix}cat") == ("cat", ""), prefix
        inside = f"cat {prefix.replace('-', ' ')}dog"
        assert split_name(site, inside) == (inside, ""), prefix
    others = {p for site, own in PREFIXES.items() for p in own} - {*PREFIXES.get(site, [])}
    for prefix in others:
        words = prefix.replace("-", " ")
        assert split_name(site, f"{prefix}cat") == (f"{words}cat", ""), prefix


@given(st.sampled_from(list(SETS)), st.integers(8, 99))
def test_only_fluent_s_names_end_with_a_size(site, size):
    assert split_name(site, f"cat-{size}") == ("cat" if site == "fluent" else f"cat {size}", "")
    assert pixels(site, f"ic-fluent-7-cat-{size}-filled") == (size if site == "fluent" else 0)
    assert pixels("fluent", "cat-filled") == 0 and split_name("fluent", "24") == ("24", "")


@given(st.permutations([16, 20, 24, 28, 48]), st.integers(1, 5))
def test_of_fluent_s_sizes_the_one_nearest_to_24_is_drawn(sizes, count):
    spelled = [(f"ic-fluent-cat-{size}-filled", size, "font", "") for size in sizes[:count]]
    nearest = min(abs(size - 24) for size in sizes[:count])
    ((font, size, own),) = listed("fluent", spelled)
    tie = [(f"ic-fluent-cat-{size}-filled", size, "font", "") for size in (20, 28)]
    assert listed("fluent", tie)[0][1] == 20 and listed("fluent", tie[::-1])[0][1] == 28
    assert abs(size - 24) == nearest and (font, own) == ("font", [("cat", "filled")])


def test_names_of_one_glyph_are_its_captions_and_each_glyph_is_drawn_once():
    spelled = [("a-b", 1, "f", ""), ("mdi-a-b", 1, "f", ""), ("c", 1, "f", ""), ("d", 1, "g", "")]
    assert listed("material", spelled) == [
        ("f", 1, [("a b", ""), ("c", "")]),
        ("g", 1, [("d", "")]),
    ]
    assert listed("meteocons", spelled) == [("f", 1, [("a b", "")]), ("g", 1, [("d", "")])]
    # another glyph of the same name is another picture, but for fluent's sizes
    again = [("cat", 1, "f", ""), ("cat", 2, "f", "")]
    assert listed("material", again) == [("f", 1, [("cat", "")]), ("f", 2, [("cat", "")])]
    assert listed("weather", [("wu-rain", 1, "f", ""), ("wi-rain", 1, "f", "")]) == [
        ("f", 1, [("rain", "")])
    ]


def test_font_awesome_has_names_for_each_of_its_glyphs():
    spelled = glyphs("fontawesome")
    found = listed("fontawesome", spelled)
    assert len(found) == len({(font, code) for _, code, font, _ in spelled}) > 2000
    captions = list(itertools.chain.from_iterable(own for _, _, own in found))
    assert {style for _, style in captions} == {"", "regular"}
    assert all(name == " ".join(name.split()) and name for name, _ in captions)
    assert ("trash can", "") in captions and ("trash can", "regular") in captions

"""The embedded pairs: what data they are, and that no machine or order can move the splits."""

import collections
import hashlib
import json
import pathlib
import random
import types

import make_table
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data import open_pairs
from miniclip.data.dataset import words
from miniclip.data.emoji import drawings as render
from miniclip.data.emoji import emoji as dataset
from miniclip.data.emoji import names as captions

NAMES = [row["name"] for row in dataset.read_table()]


@pytest.fixture(scope="module")
def pairs():
    return open_pairs()


def test_there_are_3944_names_of_3722_pictures(pairs):
    several = [i for i in range(len(pairs)) if len(pairs.captions(i)) > 1]
    assert len(NAMES) == len(set(NAMES)) == 3944
    assert len(pairs) == 3722
    assert (len(several), sum(len(pairs.captions(i)) for i in several)) == (182, 404)


def test_no_two_pairs_are_one_picture(pairs):
    digests = {pairs.image(i).tobytes() for i in range(len(pairs))}
    assert len(digests) == len(pairs)
    assert pairs.image(0).size == (64, 64) and pairs.image(0).mode == "RGB"


def test_names_of_one_picture_are_drawn_alike(pairs):
    files = render.svg_files()
    for rows in [rows for rows in pairs.rows if len(rows) > 1][::4]:
        drawn = {
            render.draw(pathlib.Path(files[r["codes"]]).read_text("utf-8")).tobytes() for r in rows
        }
        assert len(drawn) == 1, [row["name"] for row in rows]


def test_splits_share_nothing_and_leave_nothing_out(pairs):
    everyone = sorted(i for indices in pairs.splits.values() for i in indices)
    assert everyone == list(range(len(pairs)))
    assert {name: len(own) for name, own in pairs.splits.items()} == {
        "train": 3354,
        "heldout_compositions": 199,
        "heldout_concepts": 169,
    }


@given(st.integers(0, 2**32))
def test_splits_do_not_depend_on_the_order_of_the_table(seed):
    rows = dataset.read_table()
    random.Random(seed).shuffle(rows)
    grouped = collections.defaultdict(list)
    for row in rows:
        grouped[row["picture"]].append(row)
    shuffled = list(grouped.values())

    def by_name(pictures):
        return {
            split: {frozenset(r["name"] for r in pictures[i]) for i in indices}
            for split, indices in dataset.split(pictures).items()
        }

    first = collections.defaultdict(list)
    for row in dataset.read_table():
        first[row["picture"]].append(row)
    assert by_name(shuffled) == by_name(list(first.values()))


def test_a_composition_has_only_words_of_the_training_names(pairs):
    seen = {w for i in pairs.splits["train"] for n in pairs.captions(i) for w in words(n)}
    for i in pairs.splits["heldout_compositions"]:
        assert {w for n in pairs.captions(i) for w in words(n)} <= seen
    trained = {name for i in pairs.splits["train"] for name in pairs.captions(i)}
    assert not trained & {
        n for i in pairs.splits["heldout_compositions"] for n in pairs.captions(i)
    }


def test_the_gallery_is_every_picture(pairs):
    assert list(pairs.gallery("heldout_compositions")) == list(range(3722))


def test_the_tone_blind_oracle_agrees_with_ranking_ties_at_random(pairs):
    indices = pairs.splits["heldout_compositions"]
    bases = [{captions.without_tone(n) for n in pairs.captions(i)} for i in range(len(pairs))]
    rng, hits, asked = np.random.default_rng(0), collections.Counter(), 0
    for i in indices:
        for name in pairs.captions(i):
            tied = [j for j, own in enumerate(bases) if captions.without_tone(name) in own]
            for _ in range(50):
                rank = 1 + rng.permutation(tied).tolist().index(i)
                hits.update(k for k in (1, 5, 10) if rank <= k)
                asked += 1
    oracle = pairs.tone_blind_oracle(indices)
    for k in (1, 5, 10):
        assert abs(oracle[f"R@{k}"] - hits[k] / asked) < 0.02, (k, oracle, hits[k] / asked)
    assert 0.10 < oracle["R@1"] < 0.20 and 0.80 < oracle["R@10"] < 0.95  # well below 1


def test_tones_and_base_make_up_the_name(pairs):
    for i in range(len(pairs)):
        assert "skin tone" not in pairs.base(i)
        assert sorted(words(pairs.base(i) + " " + " ".join(pairs.tones(i)))) == sorted(
            words(pairs.captions(i)[0])
        )


def test_there_are_20_classes_and_none_is_most_of_them(pairs):
    labels = collections.Counter(pairs.label(i) for i in range(len(pairs)))
    held = collections.Counter(pairs.label(i) for i in pairs.splits["heldout_concepts"])
    assert len(pairs.class_names) == len(set(pairs.class_names)) == 20
    assert set(labels) == {-1, *range(20)}
    assert sum(labels.values()) - labels.pop(-1) >= 850 and min(labels.values()) >= 10
    del held[-1]
    assert sum(held.values()) >= 100 and max(held.values()) / sum(held.values()) < 0.15
    assert captions.MISFITS <= set(NAMES)
    cat = next(i for i in range(len(pairs)) if pairs.captions(i)[0] == "black cat")
    assert pairs.class_names[pairs.label(cat)] == "animal"


def test_no_picture_with_a_tone_has_a_class(pairs):
    assert not any(pairs.label(i) >= 0 for i in range(len(pairs)) if pairs.tones(i))


def test_queries_are_typed_or_ask_for_pictures_of_their_split(pairs):
    texts, answers = pairs.queries("heldout_compositions")
    assert len(texts) == len(answers) == 8 and answers.count(None) == 4
    for text, i in zip(texts, answers):
        assert i is None or i in pairs.splits["heldout_compositions"] and text in pairs.captions(i)


@given(st.sampled_from(NAMES))
def test_a_name_is_its_parts(name):
    head, details, tones = captions.parts(name)
    assert sorted(words(" ".join((head, *details, *tones)))) == sorted(words(name))


@given(st.sampled_from(NAMES))
def test_another_way_to_say_a_name_says_all_of_it(name):
    for said in captions.variants(name):
        said = said.replace("kissing", "kiss couple").replace("with heart", "couple with heart")
        assert set(words(name)) <= set(words(said)) and ":" not in said.replace("1:", "")


@pytest.mark.parametrize(
    "name, said",
    [
        ("man: red hair", ["man with red hair", "red hair man"]),
        ("kiss: woman, man", ["woman and man kissing", "kiss of woman and man"]),
        ("family: man, woman, boy", ["family of man, woman and boy"]),
    ],
)
def test_details_are_said_as_people_say_them(name, said):
    assert captions.variants(name) == said


def test_a_caption_is_the_name_turned_around_enriched_or_framed():
    rng, kinds = np.random.default_rng(0), collections.Counter()
    name, others = (
        "woman firefighter: dark skin tone",
        captions.variants("woman firefighter: dark skin tone"),
    )
    assert "dark skin tone woman firefighter" in others
    for _ in range(4000):
        text = captions.vary(name, others, ("truck", "fire", "hose", "hero"), rng)
        kinds["keywords"] += ", " in text
        kinds["most keywords"] = max(kinds["most keywords"], text.count(", "))
        framed = any(text == t.format(said) for t in captions.TEMPLATES for said in (name, *others))
        kinds["framed"] += framed
        assert not (framed and ", " in text)
        kinds["canonical"] += name in text
    shares = {kind: round(n / 4000, 2) for kind, n in kinds.items()}
    assert abs(shares["keywords"] - 0.40) < 0.03, shares
    assert abs(shares["framed"] - 0.30) < 0.03, shares
    assert abs(shares["canonical"] - 0.50) < 0.03, shares
    assert kinds["most keywords"] == 3


@given(st.integers(0, 3721), st.integers(0, 2**32))
def test_a_caption_is_a_function_of_its_generator(pairs, i, seed):
    first, again = (pairs.caption(i, np.random.default_rng(seed)) for _ in range(2))
    assert first == again and first.strip()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_one_to_three_keywords_are_added_each_number_and_each_keyword_as_often(count):
    rng, keywords, counts = np.random.default_rng(0), "abcd"[:count], collections.Counter()
    for _ in range(4000):
        name, *added = captions.vary("x", [], keywords, rng).split(", ")
        if added:
            assert name == "x" and len(set(added)) == len(added)
            counts.update([len(added), *added])
    numbers = {1: {1: 1}, 2: {1: 1 / 3, 2: 2 / 3}, 4: {1: 1 / 3, 2: 1 / 3, 3: 1 / 3}}[count]
    total = sum(counts[n] for n in (1, 2, 3))
    assert abs(total / 4000 - 0.4) < 0.04  # 5 standard deviations
    mean = sum(n * share for n, share in numbers.items())
    for what, share in (numbers | dict.fromkeys(keywords, mean / count)).items():
        assert abs(counts[what] / total - share) < 0.07, (what, counts)
    assert {n for n in counts if isinstance(n, int)} == {*numbers}


def test_a_picture_of_several_names_is_called_by_each_and_one_of_one_name_draws_nothing_for_it(
    pairs,
):
    several = [i for i in range(len(pairs)) if len(pairs.captions(i)) == 2]
    for i in several[:3]:
        said = {pairs.caption(i, np.random.default_rng(seed)) for seed in range(60)}
        assert {*pairs.captions(i)} <= said, said
    keywords = dataset.read_keywords()
    for i in (i for i in range(0, len(pairs), 50) if len(pairs.captions(i)) == 1):
        (name,) = pairs.captions(i)
        about = name, captions.variants(name), keywords.get(captions.without_tone(name), ())
        for seed in range(5):
            want = captions.vary(*about, np.random.default_rng(seed))
            assert pairs.caption(i, np.random.default_rng(seed)) == want


def test_a_tone_blind_oracle_is_right_with_one_over_how_many_share_a_base(pairs):
    assert pairs.tone_blind_oracle([]) == dict.fromkeys(["R@1", "R@5", "R@10", "n"], 0) | {
        "gallery": 3722
    }
    hand = next(i for i in range(len(pairs)) if pairs.captions(i)[0] == "waving hand")
    found = pairs.tone_blind_oracle([hand])  # in yellow and in five tones
    assert found == {"R@1": 1 / 6, "R@5": 5 / 6, "R@10": 1, "n": 1, "gallery": 3722}


def test_a_picture_whose_names_are_of_two_classes_or_that_is_a_misfit_has_none():
    def row(name, subgroup):
        return {"name": name, "subgroup": subgroup}

    cat, bug = row("cat", "animal-mammal"), row("bug", "animal-bug")
    pizza, ghost = row("pizza", "food-prepared"), row("ghost", "face-costume")
    face = row("face", "face-smiling")
    names = [captions.CLASS_NAMES.index(name) for name in ("animal", "food", "face")]
    assert [captions.label_of([r]) for r in (cat, pizza, face)] == names and names[2] == 0
    assert captions.label_of([cat, bug]) == names[0]
    for none in (
        [cat, pizza],
        [ghost],
        [cat, ghost],
        [row("x", "person-role")],
        [row("x", "animal")],
    ):
        assert captions.label_of(none) == -1, none


def test_keywords_are_those_of_a_list_but_for_its_first_which_is_the_name(tmp_path, monkeypatch):
    lists = {
        "\U0001f436": ["dog_face", "pet", "good_dog", "dog", ":3", "pet "],
        "\u2764\ufe0f": ["red_heart", "love"],
        "\U0001f44b\U0001f3fb": ["waving_hand", "hello"],
    }
    (tmp_path / "emojis.json").write_text(json.dumps(lists))

    class File(type(tmp_path)):
        locate = type(tmp_path).absolute

    files = [File(tmp_path / name) for name in ("other.json", "emojis.json")]
    monkeypatch.setattr(
        render.importlib.metadata, "distribution", lambda name: types.SimpleNamespace(files=files)
    )
    assert dataset.read_keywords() == {"dog face": ("pet", "good dog"), "red heart": ("love",)}


def test_keywords_say_what_names_do_not(pairs):
    keywords = dataset.read_keywords()
    assert {"animal", "pet"} <= set(keywords["dog"])
    for name, own in keywords.items():
        assert not any(set(words(k)) <= set(words(name)) for k in own)
    assert sum("animal" in own for own in keywords.values()) > 80


SMALL_TABLE = """# emoji-test.txt
# Version: 17.0
# group: Animals & Nature
# subgroup: animal-bug
1F41B                ; fully-qualified     # x E0.6 bug
1F577 FE0F           ; fully-qualified     # x E0.7 spider
1F577                ; unqualified         # x E0.7 spider
# group: Component
# subgroup: skin-tone
1F3FB                ; fully-qualified     # x E1.0 light skin tone
"""


def test_the_table_keeps_what_is_fully_qualified_and_no_component():
    version, rows = make_table.parse(SMALL_TABLE)
    assert version == "17.0"
    assert rows == [
        ("1F41B", "bug", "Animals & Nature", "animal-bug"),
        ("1F577", "spider", "Animals & Nature", "animal-bug"),
    ]


def test_the_table_is_written_with_the_first_16_digits_of_each_drawing_s_hash(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(make_table, "TABLE", tmp_path / "emoji.tsv")
    (tmp_path / "x.txt").write_text(SMALL_TABLE)
    assert make_table.main([str(tmp_path / "x.txt")]) == 0
    assert capsys.readouterr().out == "emoji.tsv: 2 names, 2 pictures\n"
    first = (tmp_path / "emoji.tsv").read_text("utf-8").splitlines()[0]
    assert first.startswith("# Names, groups and subgroups: Unicode's emoji-test.txt 17.0, ")
    rows = dataset.read_table(tmp_path / "emoji.tsv")
    assert [*map(tuple, (row.values() for row in rows))] == [
        (*row, hashlib.sha256(drawing.tobytes()).hexdigest()[:16])
        for row, drawing in zip(
            make_table.parse(SMALL_TABLE)[1], render.draw_all(["1F41B", "1F577"])
        )
    ]
    committed = {row["codes"]: row for row in dataset.read_table()}
    assert {row["codes"]: row for row in rows}.items() <= committed.items()


def test_another_file_than_unicodes_is_refused(tmp_path, capsys):
    (tmp_path / "x.txt").write_text("hello")
    (tmp_path / "version.txt").write_text("# Version: 17.0\n")
    (tmp_path / "rows.txt").write_text(SMALL_TABLE.replace("Version", "Date"))
    for wrong in *([str(tmp_path / f"{n}.txt")] for n in ("x", "version", "rows", "none")), []:
        with pytest.raises(SystemExit) as stopped:
            make_table.main(wrong)
        assert stopped.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_unicodes_licence_lies_beside_its_names():
    notice = dataset.TABLE.with_name("UNICODE-LICENSE.txt").read_bytes()
    # the text at unicode.org/license.txt, to the byte
    want = "e7a93b009565cfce55919a381437ac4db883e9da2126fa28b91d12732bc53d96"
    assert hashlib.sha256(notice).hexdigest() == want
    assert "UNICODE-LICENSE.txt" in dataset.TABLE.read_text(encoding="utf-8")[:400]

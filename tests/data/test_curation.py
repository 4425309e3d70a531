"""The commands of data: a summary, and curation, which gives what a plain reference gives."""

import collections
import hashlib
import math
import pathlib
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from miniclip.data import open_pairs
from miniclip.data.__main__ import main
from miniclip.data.curation.curate import curate, write_list
from miniclip.data.dataset import Pairs, keep_pairs
from miniclip.data.icons.icons import Icons
from miniclip.data.shards.pack import pack
from tests.data.icons import made_up
from tests.data.tars import save, write_csv
from tests.shared import ROOT, must_refuse

# --- the summary


def test_the_summary_names_what_is_damaged_and_what_is_twice(tmp_path, capsys):
    save(tmp_path / "a.png")
    Image.effect_noise((99, 99), 60).save(tmp_path / "twin.jpg")
    (tmp_path / "b.jpg").write_bytes(data := (tmp_path / "twin.jpg").read_bytes())
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    text = "filepath,caption\na.png,red\nb.jpg,blue\ntwin.jpg,blue\ncut.jpg,cut\nnone.png,none\n"
    assert main([str(write_csv(tmp_path, text))]) == 0
    said = capsys.readouterr().out
    assert "left out 2: line 6, none.png (no such file or directory), cut.jpg (damaged: " in said
    assert re.search("groups of identical pictures +1 ", said)
    assert re.search("captions of several pictures +1 ", said)


def test_the_summary_of_the_embedded_pairs_is_what_the_documentation_shows(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    # but for its first line, which names versions
    assert said.partition("\n")[2] in (ROOT / "docs/data.md").read_text(encoding="utf-8"), said


# --- curation

WORDS = "A a b c Über über 7 don't e-mail snow_man 雪".split()
CAPTION = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(", ".join)
PAIRS = st.lists(st.lists(CAPTION, min_size=1, max_size=2), min_size=1, max_size=30)
NAMES = st.sets(st.sampled_from(["a", "a b", "b c a", "e mail", "not there", "über 7 a b"]))
NAMED = [("carbon", "home"), ("mage", "home"), ("gg", "tree")]


def pairs_of(captions, name="x"):
    return Pairs(name, captions, {"train": list(range(len(captions)))})


def plain(captions, cap, min_count, min_pmi, names):
    """({query: (pairs before, [pairs kept])}), by searching every caption for every query."""

    def spaced(caption):
        return " ".join("".join(x if x.isalnum() else " " for x in caption.lower()).split())

    texts = [f" {' | '.join(map(spaced, own))} " for own in captions]
    known = {word for text in texts for word in text.split()} - {"|"}
    matches = {q: {i for i, t in enumerate(texts) if f" {q} " in t} for q in known | names}
    for a in known:
        for b in known:
            found = {i for i, t in enumerate(texts) if f" {a} {b} " in t}
            chance = len(matches[a]) * len(matches[b]) / len(texts)
            if len(found) >= min_count and math.log2(len(found) / chance) >= min_pmi:
                matches[f"{a} {b}"] = found
    queries = {q: len(m) for q, m in matches.items() if m}
    queries = {q: n for q, n in queries.items() if q in names or n >= min_count}
    own = collections.defaultdict(list)
    for i in range(len(texts)):
        if fitting := [(n, q) for q, n in queries.items() if i in matches[q]]:
            own[min(fitting)[1]].append(i)

    def drawn(i):
        return hashlib.sha256(captions[i][0].encode()).digest()[:8], i

    return {q: (len(own[q]), sorted(sorted(own[q], key=drawn)[:cap])) for q in queries}


def icons():
    owned = [[(site, f"{name} {i % 2}", "fill")] for i in range(9) for site, name in NAMED]
    return Icons(drawn=made_up([*owned, [("fontawesome", "home 0", "")]]))


def as_dict(found):
    kept = collections.defaultdict(list)
    for query, _, i in found.kept.tolist():
        kept[found.queries[query]].append(i)
    return {q: (int(n), kept[q]) for q, n in zip(found.queries, found.before)}


@given(PAIRS, st.integers(1, 5), st.integers(1, 6), st.sampled_from([-1.0, 0.5, 3]), NAMES)
@example([["a b c a"]] * 4 + [["b c", "a"], ["B-c a!"]], 2, 3, 3, {"b c a", "b c"})
@example([["a b"]] * 9 + [["c"]], 3, 2, 0.1, {"a b"})
@example([["a b"]] * 3, 9, 3, 0.5, set())  # as frequent as asked for, and by chance
@example([["a b"]] + [["c"]] * 7, 3, 1, 3.0, set())  # 8 times as often as by chance
def test_the_pairs_kept_are_those_of_a_plain_reference(captions, cap, count, pmi, names):
    want = plain(captions, cap, count, pmi, names)
    if not want:
        must_refuse("lower --min-count", curate, pairs_of(captions), cap, count, pmi, names)
        return
    found = curate(pairs_of(captions), cap, count, pmi, names)
    assert as_dict(found) == want
    assert (found.after == np.minimum(found.before, cap)).all(), "above the cap, or emptied"
    assert found.pairs == len(captions) and found.before.sum() <= found.pairs


def test_what_is_written_of_icons_restricts_training_and_nothing_else(tmp_path):
    pairs, path = icons(), str(tmp_path / "list.csv")
    found = curate(pairs, cap=2, min_count=1)
    write_list(pairs, path, found)
    before = pairs.splits
    assert {*found.kept["pair"]} < {*before["train"]} and "fill" not in found.queries
    for kept in (path, pathlib.Path(path)):
        other = icons()
        keep_pairs(other, kept)
        assert other.splits == before | {"train": found.kept["pair"].tolist()}


@pytest.mark.parametrize(
    "change, why",
    [
        (
            lambda text: text.replace("home 0", "house 0"),
            "does not fit the training pairs of icons",
        ),
        (lambda text: text.replace("\n0,", "\n27,"), "does not fit"),  # it is held out
        (lambda text: text.replace("\n0,", "\n-28,"), "does not fit"),
        (lambda text: text.splitlines(keepends=True)[0], "does not fit"),
        (lambda text: text + "1,mage\n", "is damaged after 4 pairs"),
        (lambda text: text + "x,mage: home 0,home\n", "is damaged after 4 pairs"),
        (lambda text: text[:-2], "is damaged after 3 pairs"),
        (lambda text: text[:-1], "is cut off: its last line does not end"),
        (lambda text: text.replace("name", "file"), "is not a list that curate wrote"),
        (lambda text: "", "is not a list that curate wrote"),
    ],
)
def test_a_list_of_other_pairs_is_refused(tmp_path, change, why):
    pairs = icons()
    pairs.splits["train"] = [0, 1, 2, 3]
    write_list(pairs, tmp_path / "a", curate(pairs, min_count=1))
    text = (tmp_path / "a").read_text()
    (tmp_path / "b").write_text(change(text))
    must_refuse(re.escape(why), keep_pairs, pairs, str(tmp_path / "b"))


@pytest.mark.parametrize("shards", [False, True])
def test_the_command_takes_folders_and_shards(shards, tmp_path, capsys, cache, monkeypatch):
    place, listed = tmp_path / "photos", tmp_path / "list.csv"
    (tmp_path / "names.txt").write_text("hello 1\n\nHELLO-2\nno such\n")
    for i in range(40):
        save(place / f"{i}.png").with_suffix(".txt").write_text(f"a word of {i % 3}\nHello {i}")
    if shards:
        pack(open_pairs(place), place := tmp_path / "shards", 15)
    pairs = open_pairs(place)
    trained = len(pairs.splits["train"])
    options = f"--cap 4 --min-count 9 --names {tmp_path / 'names.txt'}".split()
    assert main(["curate", str(place), f"{listed}/", *options]) == 0
    said = capsys.readouterr().out
    assert f"{trained} pairs, of which 0 match no query" in said
    assert "no such (a name that no pair has)" in said
    assert re.search(
        r"3 of \d queries had more than 4 pairs: \d+ pairs, of which 12 are kept", said
    )
    assert f"train on them with --data {place} --keep {listed}" in said
    keep_pairs(pairs, str(listed))
    assert trained > len(pairs.splits["train"]) >= 3 * 4
    queries = [row.split('"')[3] for row in listed.read_text().splitlines()[1:]]
    assert max(collections.Counter(queries).values()) == 4 and {"hello 1", "hello 2"} & {*queries}

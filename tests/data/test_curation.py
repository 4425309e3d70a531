"""Curation gives what a plain reference in memory gives, for any source and number of workers."""

import collections
import concurrent.futures
import csv
import hashlib
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import train
from miniclip.common import UserError
from miniclip.data import open_pairs
from miniclip.data.__main__ import main
from miniclip.data.curation import balance, sources
from miniclip.data.curation import curate as module
from miniclip.data.curation.curate import ASSIGNED, Curated, curate
from miniclip.data.curation.sources import CsvRows, Listed
from miniclip.data.dataset import Pairs, keep_pairs, some_pairs
from miniclip.data.icons.dataset import Icons
from tests.data.icons import made_up
from tests.data.test_files import one_sentence, write_csv
from tests.data.test_summary import DOCS, about_the_same

WORDS = "A a b c Über über 7 don't e-mail snow_man 雪".split()
CAPTION = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(", ".join)
PAIRS = st.lists(st.lists(CAPTION, min_size=1, max_size=2), min_size=1, max_size=30)
NAMES = st.sets(st.sampled_from(["a", "a b", "b c a", "e mail", "not there", "über 7 a b"]))
NAMED = [("eva", "home"), ("remix", "home"), ("lucide", "tree")]
TABLE = "filepath,caption\n" + "".join(f"{i}.png,word{i % 7} of {i % 3}\n" for i in range(60))


@pytest.fixture(scope="module", autouse=True)
def few_buckets():
    """Rough counts in 4 KiB: the same result, faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BUCKETS", 1024)
        yield


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


@given(
    PAIRS, st.integers(1, 5), st.integers(1, 6), st.sampled_from([-1.0, 0.5, 3]), NAMES, st.data()
)
@example([["a b c a"]] * 4 + [["b c", "a"], ["B-c a!"]], 2, 3, 3, {"b c a", "b c"}, None)
@example([["a b"]] * 9 + [["c"]], 3, 2, 0.1, {"a b"}, None)
@example([["a b"]] * 3, 9, 3, 0.5, set(), None)  # as frequent as asked for, and by chance
@example([["a b"]] + [["c"]] * 7, 3, 1, 3.0, set(), None)  # 8 times as often as by chance
def test_the_pairs_kept_are_those_of_a_plain_reference(captions, cap, count, pmi, names, data):
    buckets = data.draw(st.integers(1, 50)) if data else 1  # collisions change nothing
    want = plain(captions, cap, count, pmi, names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BUCKETS", buckets)
        patch.setattr(module, "PENDING", 4)
        patch.setattr(sources, "CHUNK", 3)
        source = Listed(pairs_of(captions))
        if not want:
            with pytest.raises(UserError, match="lower --min-count"):
                curate(source, cap, count, pmi, names)
            return
        found = curate(source, cap, count, pmi, names)
    assert as_dict(found) == want
    sizes = np.minimum(found.before, cap)
    assert (found.after == sizes).all(), "above the cap, or emptied"
    assert found.pairs == len(captions) and found.before.sum() <= found.pairs


def test_a_word_matches_whole_words_only():
    found = curate(Listed(pairs_of([["Cart art-work"], ["cartwork"]])), min_count=1, min_pmi=9)
    assert sorted(found.queries) == ["art", "cart", "cartwork", "work"]


def test_one_two_and_four_workers_give_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sources, "CHUNK", 7)
    path = write_csv(tmp_path, TABLE)
    said = []
    for n in (1, 2, 4):
        options = ["--cap", "5", "--min-count", "3", "--workers", str(n)]
        assert main(["curate", str(path), str(tmp_path / "out.csv"), *options]) == 0
        source = Listed(icons())
        listed = curate(source, cap=1, min_count=1, workers=n)
        source.write(tmp_path / "list.csv", listed)
        files = [(tmp_path / name).read_bytes() for name in ("out.csv", "list.csv")]
        said.append((capsys.readouterr().out, files))
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_each_worker_has_work_and_at_most_three_chunks_a_worker_are_in_memory(workers, monkeypatch):
    class Pool(concurrent.futures.ThreadPoolExecutor):
        def __init__(self, workers, context, start, arguments):
            pools.append((workers, context))
            super().__init__(workers, initializer=start, initargs=arguments)

    class Chunks:
        def chunks(self):
            for taken in range(1, 31):
                held.append(taken - len(done))
                yield taken

    pools, held, done = [], [], []
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)  # threads may not
    monkeypatch.setattr(module.multiprocessing, "get_context", str)
    monkeypatch.setattr(module.sys, "platform", "linux" if workers < 3 else "darwin")
    for result in module._each(lambda _, about, k: about * k, Chunks(), 2, workers, ""):
        done.append(result)
    assert done == [2 * k for k in range(1, 31)], "a chunk is lost, or not in its place"
    assert pools == {1: [], 2: [(2, "fork")], 3: [(3, "None")]}[workers]
    assert workers <= max(held) <= 3 * workers, held


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(tmp_path_factory, rng):
    folder, kept = tmp_path_factory.mktemp("csv"), []
    header, *rows = TABLE.splitlines(keepends=True)
    for order in (rows, rng.sample(rows, len(rows))):
        source = CsvRows(write_csv(folder, header + "".join(order)))
        source.write(folder / "out.csv", curate(source, 4, 2))
        kept.append((folder / "out.csv").read_text().splitlines()[1:])
    assert sorted(kept[0]) == sorted(kept[1]) and len(kept[0]) == 7 * 4


@pytest.mark.parametrize("separator", [",", "\t"])
def test_what_is_written_of_a_csv_is_its_rows(tmp_path, separator):
    rows = [["id", "caption", "path"], *([str(i), f'a "{i}", ü', f"p/{i}.png"] for i in range(9))]
    rows.insert(4, ["3b", "another of 2", "p/2.png"])  # a second caption of the picture before it
    rows.insert(5, ["", "no picture", ""])
    with open(tmp_path / "in.csv", "w", newline="", encoding="utf-16") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    for i in range(9):
        (tmp_path / "p").mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / f"p/{i}.png")
    for name, prefix in (("out.csv", ""), ("sub/out.csv", "../")):
        source = CsvRows(tmp_path / "in.csv")
        found = curate(source, cap=6, min_count=9)
        assert found.queries == ["a", "ü"] and source.unused == 1
        source.write(tmp_path / name, found)
        with open(tmp_path / name, newline="", encoding="utf-8") as file:
            got = list(csv.reader(file, delimiter=separator))
        stays = {f"p/{i}.png" for i in found.kept["pair"]}
        *header, mark = got[0]
        assert header == rows[0] and mark.startswith("curated_by_miniclip")
        assert got[1:] == [[a, b, prefix + c] for a, b, c in rows[1:] if c in stays]
        assert len(open_pairs(tmp_path / name)) == 6


def test_what_is_written_of_icons_restricts_training_and_nothing_else(tmp_path, capsys):
    pairs, path = icons(), str(tmp_path / "list.csv")
    source = Listed(pairs)
    found = curate(source, cap=2, min_count=1)
    source.write(path, found)
    before = pairs.splits
    assert {*found.kept["pair"]} < {*before["train"]} and "fill" not in found.queries
    other = icons()
    keep_pairs(other, some_pairs(path))
    assert other.splits == before | {"train": found.kept["pair"].tolist()}
    assert some_pairs("12") == 12
    with pytest.raises(SystemExit):
        train.main(["--pairs", str(tmp_path / "none.csv")])
    assert "must be a whole number of at least 1, not " in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda text: text.replace("home 0", "house 0"), "lists other pairs than those of icons"),
        (lambda text: text.replace("\n0,", "\n27,"), "lists other pairs"),  # it is held out
        (lambda text: text.replace("\n0,", "\n-28,"), "lists other pairs"),
        (lambda text: text.splitlines(keepends=True)[0], "lists other pairs"),
        (lambda text: text + "1,remix\n", "is damaged after 4 pairs"),
        (lambda text: text + "x,remix: home 0,home\n", "is damaged after 4 pairs"),
        (lambda text: text.replace("name", "file"), "is no list that curate wrote"),
        (lambda text: "", "is no list that curate wrote"),
    ],
)
def test_a_list_of_other_pairs_is_refused(tmp_path, change, why):
    source = Listed(icons())
    source.all.splits["train"] = [0, 1, 2, 3]
    source.write(tmp_path / "a", curate(source, min_count=1))
    text = re.sub(",curated_by_miniclip_.*", "", (tmp_path / "a").read_text())  # as 0.1 wrote it
    (tmp_path / "b").write_text(change(text))
    with pytest.raises(UserError, match=re.escape(why)) as error:
        keep_pairs(source.all, str(tmp_path / "b"))
    one_sentence(error)


def test_the_command_takes_folders_and_shards(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path / "cache"))
    photos, listed = tmp_path / "photos", str(tmp_path / "list.csv")
    photos.mkdir()
    for i in range(40):
        Image.new("RGB", (9, 9), (i, i, i)).save(photos / f"{i}.png")
        (photos / f"{i}.txt").write_text(f"a word of {i % 3}\nHello {i}")
    assert main(["pack", str(photos), str(tmp_path / "shards"), "--shard-size", "15"]) == 0
    for place in (photos, tmp_path / "shards"):
        pairs = open_pairs(place)
        trained = len(pairs.splits["train"])
        (tmp_path / "names.txt").write_text("hello 1\n\nHELLO-2\nno such\n")
        options = f"--cap 4 --min-count 9 --names {tmp_path / 'names.txt'}".split()
        picture = tmp_path / f"{place.name}.png"
        assert main(["curate", str(place), listed, *options, "--plot", str(picture)]) == 0
        said = capsys.readouterr().out
        assert f"{trained} pairs, of which 0 match no query" in said
        assert f"train on them with --data {place} --pairs {listed}" in said
        assert Image.open(picture).format == "PNG"
        keep_pairs(pairs, listed)
        assert trained > len(pairs.splits["train"]) >= 3 * 4
        assert isinstance(pairs.splits["train"], type(open_pairs(place).splits["train"]))
        queries = [row.split(",")[2] for row in open(listed).read().splitlines()[1:]]
        assert max(collections.Counter(queries).values()) == 4
        assert {"hello 1", "hello 2"} & {*queries}


@pytest.mark.parametrize(
    "arguments, why",
    [
        ("pairs.csv out.csv --min-count 61", "no word is in 61 of 60 pairs; lower --min-count"),
        ("pairs.csv out.csv --cap 0", "--cap: must be a whole number of at least 1"),
        ("none.csv out.csv", "there is no such file"),
        ("pairs.csv out.csv --names none.txt", "none.txt cannot be read"),
        ("pairs.csv out.csv --caption-column x", "has no column 'x'"),
        ("pairs.csv out.csv --sites eva", "--sites is for icons"),
        ("pairs.csv .", "is no file and cannot be written"),
        ("pairs.csv out.csv --plot .", "is no file and cannot be written"),
        ("pairs.csv pairs.csv/out.csv --min-count 9", "cannot be written"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, why):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path, TABLE)
    with pytest.raises(SystemExit) as stop:
        main(["curate", *arguments.split()])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and why in said and said.count("\n") == 1, said


LONG = "abcdefghijklmnopqrstuvw"  # 23 letters, one more than the table has room for
FOUND = Curated(
    pairs=1300,
    queries=["not rarest", "once", "a b c d", "ten", "all but", LONG, "most"],
    before=np.array([0, 1, 9, 10, 99, 100, 1000]),
    after=np.array([0, 1, 9, 10, 99, 100, 100]),
    kept=np.empty(0, ASSIGNED),
)
TABLE_OF_FOUND = """\
7 queries: 4 of one word, 2 of two, 1 of more
pairs of a query          queries         pairs before          pairs after
none: no pair's rarest          1            0    0.0%            0    0.0%
1 to 9                          2           10    0.8%           10    3.1%
10 to 99                        2          109    8.9%          109   34.2%
100 to 999                      1          100    8.2%          100   31.3%
1,000 to 9,999                  1        1,000   82.0%          100   31.3%
all                             7        1,219  100.0%          319  100.0%
  most                                   1,000   82.0%          100   31.3%
  abcdefghi ... pqrstuvw                   100    8.2%          100   31.3%
  all but                                   99    8.1%           99   31.0%
  ten                                       10    0.8%           10    3.1%
  a b c d                                    9    0.7%            9    2.8%
"""


def test_the_balance_counts_queries_by_powers_of_ten_and_names_the_five_largest():
    *table, last = balance.balance(FOUND)
    assert "\n".join(table) + "\n" == TABLE_OF_FOUND
    # e to the entropy is the product of p^-p
    before, after = (
        math.prod((n / sum(counts)) ** -(n / sum(counts)) for n in counts.tolist() if n)
        for counts in (FOUND.before, FOUND.after)
    )
    assert last == (
        f"effective number of queries (e to the entropy): {before:,.0f} before, {after:,.0f} after"
    )
    equal = FOUND._replace(before=np.array([7, 0, 7, 7]), after=np.array([2, 0, 2, 0]))
    assert [*balance.balance(equal)][-1].endswith(": 3 before, 2 after")


def test_the_picture_has_the_pairs_of_each_query_largest_first_and_the_cap(tmp_path, monkeypatch):
    drawn, lines = [], balance.plots.lines
    monkeypatch.setattr(
        balance.plots, "lines", lambda *a, **how: drawn.append(a[0]) or lines(*a, **how)
    )
    balance.draw(FOUND, 100, tmp_path / "a.png")
    curves = {name: (list(x), list(y)) for name, (x, y) in drawn[0][0][0].items()}
    assert curves["before: 1,219 pairs"] == ([1, 2, 3, 4, 5, 6], [1000, 100, 99, 10, 9, 1])
    assert curves["after: 319 pairs"] == ([1, 2, 3, 4, 5, 6], [100, 100, 99, 10, 9, 1])
    assert curves["cap: 100"] == ([1, 6], [100, 100])


def test_the_command_says_what_it_read_left_out_and_kept_and_how_to_train_on_it(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    rows = [*["cat"] * 4, *["dog"] * 2, "owl", ""]
    rows = "".join(f"{i}.png;{said}\n" for i, said in enumerate(rows))
    write_csv(tmp_path, "filepath;caption\n" + rows)
    options = "--cap 3 --min-count 2 --separator ;".split()
    assert balance.main(["pairs.csv", "out.csv", *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [
        "7 pairs, of which 1 match no query; 5 are kept",
        "2 queries: 2 of one word, 0 of two, 0 of more",
    ]
    assert said[-2:] == [
        "left out 1 rows that give no picture with a caption",
        "train on them with --data out.csv --separator ';'",
    ]
    write_csv(tmp_path, "filepath;caption\n" + rows[: rows.index("7.png")])
    assert balance.main(["pairs.csv", "out.csv", *options]) == 0
    assert "left out" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_page_shows_what_the_cap_does_to_the_icons(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "data.md").read_text(encoding="utf-8")
    command = re.search(r"python -m miniclip.data (curate icons .*)", page)[1]
    assert main(command.split()) == 0
    said = capsys.readouterr().out.splitlines()
    shown = page.splitlines()
    at = next(i for i, line in enumerate(shown) if line.endswith(" are kept"))
    for line, written in zip(said, shown[at : at + len(said)], strict=True):
        about_the_same(line, written)


MEASURED = """
import re, sys
from pathlib import Path
from miniclip.data.__main__ import main

def peak():  # not getrusage's ru_maxrss, which a process inherits from the one that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

before = peak()
main(["curate", *sys.argv[1:]])
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_million_captions_take_less_than_200_mib(tmp_path):
    rng, count = np.random.default_rng(0), 1_000_000
    with open(tmp_path / "pairs.csv", "w") as file:
        file.write("filepath,caption\n")
        for at in range(0, count, 10_000):
            words = rng.zipf(1.1, (10_000, 8)).tolist()
            file.writelines(
                f"{at + i},w{' w'.join(map(str, own))}\n" for i, own in enumerate(words)
            )
    paths = [str(tmp_path / name) for name in ("pairs.csv", "out.csv")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *paths, "--cap", "2000"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "1,000,000 pairs" in done.stdout
    assert float(done.stdout.split()[-1]) < 200, done.stdout
    with open(paths[1]) as file:
        kept = sum(1 for _ in file) - 1
    assert re.search(f"; {kept:,} are kept", done.stdout)

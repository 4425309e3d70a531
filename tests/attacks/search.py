"""Attacks on the index: an untrusted folder, damaged and crafted databases, a process that is stopped."""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import sqlite3
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from miniclip import zeroshot
from miniclip.common import UserError
from miniclip.data import threads
from miniclip.search import build as build_file
from miniclip.search import embed
from miniclip.search.__main__ import main as search
from miniclip.search.build import build
from miniclip.search.database import FILE, OURS, Index
from miniclip.search.embed import check_sentences, open_encoder
from tests.attacks import attack, session, table
from tests.search.folders import fill, random_index, tiny_checkpoint, write_index
from tests.shared import must_refuse

PLACE = Path("in/.miniclip")
BLANK = "UPDATE blocks SET features = zeroblob(100000);"
ROWS = "WITH n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n LIMIT 2000000) SELECT NULL FROM n"


def index(*options, count=3, model="model.pt"):
    """Fill the folder `in` with pictures, and index it."""
    fill(Path("in"), count)
    tiny_checkpoint(model)
    return search(["index", "in", "--checkpoint", model, *options])


def find():
    return search(["find", "cup", "in"])


def refused(what, *arguments):
    """Assert that what(*arguments) raises UserError, or is a command that ends with code 2."""
    try:
        what(*arguments)
    except (UserError, SystemExit) as error:
        assert getattr(error, "code", 2) == 2, error
        return str(error)
    raise AssertionError(f"{what} {arguments} was accepted")


def replace(index):
    """Put another index in the place of the first."""
    (PLACE / FILE).unlink(missing_ok=True)
    write_index(index, PLACE)


def execute(sql):
    with contextlib.closing(sqlite3.connect(PLACE / FILE, isolation_level=None)) as database:
        database.executescript(sql)


@attack(says="is a link, or miniclip did not write it")
def an_index_folder_that_links_to_another(folder):
    fill(folder / "in", 1)
    (folder / "mine").mkdir()
    PLACE.symlink_to(folder / "mine")
    try:
        index()
    finally:
        assert not os.listdir("mine")


@attack(code=0)
def files_that_link_or_name_others_in_the_place_of_the_databases(folder):
    index()
    (folder / "thesis.txt").write_text("years of work")
    name = os.fsencode(folder / "thesis.txt")
    end = len(name).to_bytes(4, "big") + (sum(name) % 2**32).to_bytes(4, "big")
    end = bytes(4) + name + end + b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
    for name in (*OURS, FILE + "-wal", FILE + "-shm"):
        path = PLACE / name
        with contextlib.suppress(FileNotFoundError):
            path.rename("kept")
        path.symlink_to(folder / "thesis.txt")
        refused(find), refused(index)
        path.unlink()
        shutil.copy("kept", PLACE / FILE)
    (PLACE / (FILE + "-journal")).write_bytes(bytes(512) + end)
    assert "did not write it" in refused(Index.open, PLACE)
    assert (folder / "thesis.txt").read_text() == "years of work"


@attack(code=0)
def a_folder_for_the_index_that_holds_files_of_the_user(folder):
    mine = {".mine.tmp", "lock", "part-000001.npz", ".index.npz.1.tmp"}
    (folder / "mine").mkdir()
    for name in mine:
        (folder / "mine" / name).write_text("mine")
    index("--index", "mine")
    assert {*os.listdir("mine")} == mine | {FILE}
    assert all((folder / "mine" / name).read_text() == "mine" for name in mine)


def edit(**changes):
    """Change what the index says of itself, with the right checksum."""
    with contextlib.closing(sqlite3.connect(PLACE / FILE)) as database, database:
        [(text,)] = database.execute("SELECT json FROM about")
        text = json.dumps(json.loads(text) | changes)
        database.execute("UPDATE about SET json = ?, crc = ?", (text, zlib.crc32(text.encode())))


def narrow():
    """Features of another width, which say that they are of the same model."""
    made = Index.open(PLACE)
    about = dict(digest=made.digest, file=made.file, activation=made.activation)
    replace(random_index(made.root, 3, width=3, **about))


def first_for_any_query():
    made = Index.open(PLACE)
    made.features[1] *= 1.5
    replace(made)


def shipped(change):
    """Search in a stranger's index, which was changed."""
    index()
    change()
    return find()


TABLES = "".join(["BEGIN;", *(f"CREATE TABLE t{k} (a);" for k in range(3000)), "COMMIT"])
table(
    {
        "of_another_folder": (lambda: edit(root="/"), "is not the index of in"),
        "with_features_of_another_width": (narrow, "made with the model"),
        "with_a_row_that_would_come_first_for_any_query": (
            first_for_any_query,
            "cannot be read as an index: its features are not of length one",
        ),
        "whose_schema_takes_long_to_read": (
            lambda: execute(TABLES),
            "it holds more tables than an index",
        ),
    },
    shipped,
    "a_shipped_index_{}",
)


@attack(code=0, mb=200)
def crafted_descriptions_and_tables_of_a_database(folder):
    replace(random_index(folder / "in", 3))
    good = (PLACE / FILE).read_bytes()
    fields = [("digest", 5), ("digest", "\33[2J"), ("file", None), ("file", "a\0"), ("root", [])]
    fields += [("file", "\ud800"), ("root", "\ud800")]
    fields += [("width", width) for width in (3, 10**15, 0, True)] + [("activation", "relu")]
    statements = (
        "UPDATE about SET json = '" + "[" * 100_000 + "'",
        "UPDATE about SET json = x'00'",
        "DELETE FROM about",
        "INSERT INTO about SELECT * FROM about",
        "UPDATE pictures SET path = 'a.png'",
        "UPDATE pictures SET path = zeroblob(70000000)",
        "UPDATE pictures SET size = 'large'",
        "UPDATE pictures SET mtime = NULL",
        "UPDATE pictures SET id = id + 9",
        "UPDATE blocks SET features = x''",
        "UPDATE blocks SET features = zeroblob(48)",
        "UPDATE blocks SET features = 5",
        "INSERT INTO blocks VALUES (9, x'', 0)",
        f"UPDATE blocks SET features = x''; INSERT INTO pictures (path) {ROWS}",
        "DELETE FROM pictures",
        "DELETE FROM blocks",
        "CREATE TRIGGER t AFTER INSERT ON about BEGIN DELETE FROM blocks; END",
        "CREATE VIEW v AS SELECT * FROM about",
        "PRAGMA user_version = 3",
        "PRAGMA application_id = 0",
    )
    files = b"nonsense", good[: len(good) // 2], good[:4096], bytes(len(good))
    files += (good.replace(b"TABLE", b"T\xc1BLE"),)  # no UTF-8
    for change in (
        *(functools.partial(edit, **{name: value}) for name, value in fields),
        *(functools.partial(execute, sql) for sql in statements),
        *(functools.partial((PLACE / FILE).write_bytes, data) for data in files),
        lambda: execute("PRAGMA journal_mode = WAL") or (PLACE / (FILE + "-wal")).write_bytes(b""),
    ):
        (PLACE / FILE).write_bytes(good)
        change()
        assert "to unpack" not in refused(Index.open, PLACE)


@attack(code=0)
def a_database_that_is_cut_or_ends_in_zeros_anywhere(folder):
    replace(random_index(folder / "in", 3))
    good = (PLACE / FILE).read_bytes()
    for at in range(1024, len(good), 1024):
        for data in (good[:at], good[:at].ljust(len(good), b"\0")):
            (PLACE / FILE).write_bytes(data)
            must_refuse(f"{FILE} .*damaged", Index.open, PLACE)


@attack(says="index.sqlite cannot be read as an index: the block of picture 1 is damaged")
def an_index_that_lost_its_pictures_is_not_taken_for_a_new_one(folder):
    index()
    execute("DELETE FROM pictures")
    build_file.encode_pictures = None  # it is said before anything is encoded
    return index()


@attack(code=0, mb=200)
def names_that_lead_out_of_the_folder_or_stand_twice(folder):
    for name in ("../b.png", "/etc/passwd", "c/../../b.png", "..", "a/..", "a\0b", "", "a"):
        replace(random_index(folder / "in", 3, paths=["a", name, "c"]))
        refused(Index.open, PLACE)


@attack(code=0, mb=200)
def crafted_fields_of_an_index_of_version_0_1(folder):
    PLACE.mkdir(parents=True)
    about = dict(format=1, digest="d" * 64, file="m", activation="gelu", root="..")
    good = dict(
        features=np.eye(1, 8, dtype="f2"), sizes=np.zeros(1, "i8"), mtimes=np.zeros(1, "i8")
    )

    def write(paths=b"a.png", about=about, **changed):
        text = {"about": json.dumps(about).encode(), "paths": paths}
        text = {key: np.frombuffer(value, np.uint8) for key, value in text.items()}
        np.savez(PLACE / "index.npz", **good | text | changed)

    write()
    assert Index.open(PLACE).paths == ["a.png"]
    whole = (PLACE / "index.npz").read_bytes()
    for changed in (
        *[dict(about=about | {key: 5}) for key in about if key != "format"],
        *[dict(about=about | {"file": None}), dict(about={}), dict(about=[]), dict(about=5)],
        *[dict(paths=b"../b.png"), dict(paths=b"/b.png"), dict(paths=b"a\0b"), dict(paths=b"")],
        *[dict(sizes=np.arange(2)), dict(features=np.zeros((1, 8))), dict(mtimes=np.zeros(1))],
        *[dict(features=np.zeros(8, "f2")), dict(features=np.full((1, 8), 7, "f2"))],
        *[dict(sizes=np.array([{}], object))],
    ):
        write(**changed)
        refused(Index.open, PLACE)
    np.savez(PLACE / "index.npz", names=np.array(["a"]), features=np.eye(1))  # as embed writes it
    assert "version 0.1 of miniclip did not write it" in refused(Index.open, PLACE)
    np.savez_compressed(PLACE / "index.npz", **good | {"features": np.zeros((10**8, 1), "f2")})
    refused(Index.open, PLACE)
    shape = b"'shape': (1, 8), }" + b" " * 20
    larger = b"'shape': (%d, 8), }" % (10**13)  # 160 TB
    for damaged in (
        *[whole.replace(shape[: len(larger)], larger), whole[: len(whole) // 2]],
        # entries of its directory: of an unknown version, encrypted, compressed
        re.sub(b"(?s)(PK\1\2..).", b"\\1c", whole),
        re.sub(b"(?s)(PK\1\2.{4}).", b"\\1\1", whole),
        re.sub(b"(?s)(PK\1\2.{6}).", b"\\1\b", whole),
        whole.replace(b"'shape': (1, 8), }", b"'shape': (1, 8), ("),
    ):
        assert damaged != whole
        (PLACE / "index.npz").write_bytes(damaged)
        refused(Index.open, PLACE)


@attack(code=0, seconds=30, slow=True)
def searching_while_the_index_is_rebuilt(folder):
    fill(folder / "in", 60)
    encoder, sizes = open_encoder(tiny_checkpoint("model.pt"), device="cpu"), []
    build("in", PLACE, encoder)
    before = Index.open(PLACE)

    def rebuild():
        build_file.PART_SECONDS, zeroshot.CPU_BATCH = 0, 2
        for _ in range(3):
            for path in before.paths:
                os.utime(folder / "in" / path, ns=(0, len(sizes) + 1))
            build("in", PLACE, encoder)

    with ThreadPoolExecutor(1) as pool:
        rebuilt = pool.submit(rebuild)
        while not rebuilt.done():
            sizes.append(len(Index.open(PLACE)))
    assert rebuilt.result() is None and {*sizes} == {60}, {*sizes}


# --- sessions: three pictures are indexed, and lines of a shell follow


VERBS = {
    "index": lambda *words: search(["index", *words]),
    "embed": lambda *words: search(["embed", *words]),
    "find": lambda *words: search(["find", *words]),
    "chdir": os.chdir,
    "set": lambda variable: os.environ.update([variable.split("=")]),
}


def searched(*lines):
    index()
    return session(VERBS, lines)


MODEL = "--checkpoint model.pt"
ELSEWHERE = (f"index in --index mine {MODEL}", "rm -r in/.miniclip")
DONE = {  # what must be said, and what is done
    "a_picture_and_an_index_elsewhere_where_another_index_is": (
        "1.000  .*/in/00001.png",
        f"index in --index mine {MODEL}",
        f"index in/below {MODEL}",
        "chdir in/below",
        "find --image ../00001.png --index ../../mine",
    ),
    "words_and_a_picture_where_a_folder_of_that_name_has_an_index": (
        "(?s)1 pictures.*3 pictures",
        f"index in/below {MODEL}",
        "chdir in",
        "find below --image 00001.png",
    ),
    "the_folder_of_an_index_elsewhere_became_a_link_to_itself": (
        "was something moved",
        *ELSEWHERE,
        "rm -r in; ln -s in in",
        "find cup --index mine",
    ),
    "the_model_that_the_index_remembers_is_not_named": ("0 read, 3 unchanged", "index in"),
    "words_that_are_the_name_of_a_folder": (
        "  1  0",
        "find in/below --image in/00001.png --index in/.miniclip",
    ),
    "the_folder_of_an_index_elsewhere_in_the_place_of_words": (
        "  1  1.000  .*in/00001.png",
        *ELSEWHERE,
        "find in --image in/00001.png --index mine",
    ),
    "a_backend_of_matplotlib_that_is_not_here": (
        "drawn in g.png",
        "set MPLBACKEND=Qt4Agg",
        "find cup in --grid g.png",
    ),
    "pictures_that_are_as_large_as_disks": (
        "(?s)3 read.*3 read",
        "rm -r in/.miniclip; truncate -s 64G in/*.png in/below/*/*.png",
        f"index in {MODEL}",
    ),
    "an_option_between_the_words_and_the_folder": ("  1  .*\n3 pictures", "find cup -k 1 in"),
    "a_query_that_begins_with_a_dash": ("1  0", "find -- -cup in"),
    "features_over_a_file_of_the_user_when_asked": (
        "mine.npz: names",
        "cp in/00001.png mine.npz",
        f"embed in mine.npz --overwrite {MODEL}",
    ),
    "figures_are_replaced_when_asked": (
        "drawn in grid.svg",
        *(f"find cup in --overwrite --grid grid.{kind}" for kind in ("png", "svg", "svg")),
    ),
    "sentences_that_are_longer_than_the_context": (
        "2 of 3 sentences have more than 77 tokens, and are cut",
        "(echo cup; yes cup | head -n 200 | tr '\\n' ' '; echo; yes cup | head -n 300 | tr '\\n' ' ') > a",
        "mv a a.txt",
        f"embed a.txt o.npz {MODEL}",
    ),
    "a_folder_for_the_index_that_holds_pictures": (
        "3 pictures in in/below",
        f"index in --index in/below {MODEL}",
    ),
    "a_copy_of_a_picture": ("0 read, 4 unchanged", "cp in/00001.png in/b.png", "index in"),
    "a_picture_from_the_year_2400": (
        "0 read, 1 unchanged",
        "mkdir new; cp in/00001.png new; touch -d 2400-01-01 new/00001.png",
        *[f"index new {MODEL}"] * 2,
    ),
    "a_search_while_the_folder_of_the_pictures_is_absent": (
        "3 pictures\nthe first pictures are not in .*in, or cannot be read",
        f"index in --index mine {MODEL}",
        "mv in away",
        "find cup --index mine",
    ),
    "names_that_the_font_of_a_grid_lacks": (
        "(?s)^(?!.*Warning).*drawn in",
        "mv in/00001.png in/\u732b.png",
        "index in",
        "find cup in --grid grid.png",
    ),
    **{
        f"an_index_that_was_moved_{where}": (
            says,
            f"mkdir -p far in/far; mv in/.miniclip {place}",
            f"find cup --index {place}",
        )
        for where, place, says in (
            ("to_another_folder", "far/idx", "the first pictures are not in .*far, or cannot be"),
            (
                "deeper_into_its_own",
                "in/far/idx",
                "the first pictures are not in .*in/far, or cannot",
            ),
            ("beside_its_own", "in/idx", "3 pictures\n$"),
        )
    },
}
REFUSED = {
    "a_database_that_is_a_fifo": (
        "is a link, or miniclip did not write it",
        f"rm in/.miniclip/*; mkfifo in/.miniclip/{FILE}",
        f"index in {MODEL}",
    ),
    "a_database_with_a_page_of_zeros": (
        "cannot be read as an index: it is damaged; delete it, and make the index again",
        f"dd if=/dev/zero of=in/.miniclip/{FILE} bs=16384 seek=3 count=1 conv=notrunc",
        "find cup in",
    ),
    "features_in_the_place_of_an_index": (
        "out.npz leads to a picture or an index",
        f"ln -s in/.miniclip/{FILE} out.npz",
        f"embed in out.npz {MODEL} --overwrite",
    ),
    "a_journal_whose_database_was_deleted": (
        "index.sqlite-journal belongs to an index that is gone; delete it",
        f"cd in/.miniclip; mv {FILE} {FILE}-journal",
        "find cup in",
    ),
    "the_model_lay_in_the_folder_and_is_gone": (
        "the model of this index is no longer in .*in/m.pt; give --checkpoint",
        "cp model.pt in/m.pt",
        "index in --checkpoint in/m.pt",
        "mv in/m.pt .",
        "find cup in",
    ),
    "an_index_that_names_a_model_in_its_folder": (
        "lies in the folder of the pictures.*give --checkpoint",
        "rm -r in/.miniclip; cp model.pt in",
        "index in --checkpoint in/model.pt",
        "echo nothing that may be read > in/model.pt",
        "find cup in",
    ),
    "a_file_in_the_place_of_the_index_folder": (
        "in/.miniclip/index.sqlite cannot be read as an index: Not a directory",
        "rm -r in/.miniclip; echo mine > in/.miniclip",
        "find cup in",
    ),
    "another_folder_while_the_drive_of_the_index_is_absent": (
        "holds the index of .*in; choose another folder",
        f"index in --index mine {MODEL}",
        "mkdir other; cp in/00001.png other; mv in away",
        f"keeps mine/{FILE} index other --index mine {MODEL}",
    ),
    "a_grid_over_a_file_of_the_user": (
        "00001.png exists; choose another name, or add --overwrite",
        "keeps in/00001.png find cup in --grid in/00001.png",
    ),
    "a_grid_over_a_picture_of_the_index": (
        "is a picture of the index",
        "ln -s in/00001.png link.png",
        "keeps in/00001.png find cup in --grid link.png --overwrite",
    ),
    "a_grid_over_a_picture_that_a_link_in_the_folder_leads_to": (
        "is a picture of the index",
        "mv in/00001.png mine.png; ln -s ../mine.png in/00001.png",
        "index in",
        "keeps mine.png find cup in --grid mine.png --overwrite",
    ),
    **{
        f"a_grid_over_{name}_behind_a_link": (
            "must be a name with .png.* and not a link to another kind of file",
            f"ln -s {file} link.png",
            f"keeps {file} find cup in --grid link.png --overwrite",
        )
        for name, file in (("the_model", "model.pt"), ("the_index", f"in/.miniclip/{FILE}"))
    },
    "a_grid_over_the_picture_that_is_searched_for": (
        "is the picture of --image",
        "cp in/00001.png mine.png",
        "keeps mine.png find --image mine.png --grid mine.png --overwrite in",
    ),
    "features_into_a_file_of_the_user": (
        "mine.npz exists; choose another name, or add --overwrite",
        "cp in/00001.png mine.npz",
        f"keeps mine.npz embed in mine.npz {MODEL}",
    ),
    "features_over_the_model_that_makes_them": (
        "model.npz is an input of this command",
        "ln -s model.pt model.npz",
        f"keeps model.pt embed in model.npz {MODEL} --overwrite",
    ),
    "an_index_without_a_model": ("give --checkpoint|--checkpoint web", "index in --index mine"),
    "features_into_a_place_that_cannot_be_written": (
        "out.npz cannot be written",
        "embed in model.pt/out.npz --checkpoint nothing.pt",
    ),
    "features_of_one_picture": (
        "00001.png is a picture; give the folder",
        f"embed in/00001.png out.npz {MODEL}",
    ),
    "a_grid_over_our_own_that_may_have_been_edited": (
        "g.png exists; choose another name, or add --overwrite",
        *["find cup in --grid g.png"] * 2,
    ),
    "a_query_longer_than_the_context": (
        "takes .* ids, and the context holds only 77; make it shorter",
        f"find {'words-' * 30} in",
    ),
    "the_folder_of_an_index_elsewhere_and_no_words": (
        "in is the folder of the index; give the words before it",
        *ELSEWHERE,
        "find in --index mine",
    ),
    "no_words_and_a_folder_that_is_not_there": (
        "there is no index in nowhere/.miniclip",
        "chdir in",
        "find '' nowhere",
    ),
    "a_picture_in_the_place_of_the_words": ("a picture; give it with --im", "find in/00001.png in"),
    "an_index_that_was_killed_before_its_first_part": (
        "there is no index in",
        f"rm in/.miniclip/*; touch in/.miniclip/{FILE}",
        "index in",
    ),
    **{
        f"an_empty_sentence_in_a_{kind}": (
            says,
            f"printf '{text}\\342\\200\\213\\n' > a.{kind}",
            f"embed a.{kind} o.npz {MODEL}",
        )
        for kind, text, says in (
            ("txt", "cup\\n", r'the sentence "\\u200b" has no words; leave it out'),
            ("csv", "filepath,caption\\nin/00001.png,", "an empty caption"),
        )
    },
    **{
        f"{name}_in_the_place_of_sentences": (
            "names pictures, so it is no list of sentences; give the folder",
            f"printf '{text}' > in/a.txt",
            f"embed in/a.txt o.npz {MODEL}",
        )
        for name, text in (
            ("a_csv_of_captions", "image|caption\\nno.jpg|a cup\\n"),
            ("a_list_of_pictures", "in/00001.png\\nin/00002.png\\n"),
            ("a_csv_without_a_header", "00001.png, a cup\\n"),
            ("captions_of_flickr8k", "no.jpg#0\\ta cup\\n"),
        )
    },
    "another_model_than_that_of_the_index": (
        "not with web .*; name the first with --checkpoint, choose another folder",
        "find cup in --checkpoint web",
    ),
    "rows_of_a_table_in_the_place_of_sentences": (
        r'the sentence "id.*" has a tab, as the rows of a table have',
        "printf 'id\\tsentence\\n1\\ta cup\\n' > a.txt",
        f"embed a.txt o.npz {MODEL}",
    ),
    "another_activation_than_that_of_the_index": (
        "activation=.gelu. was asked for",
        "index in --activation gelu",
    ),
}
NESTED = "here=$PWD; cd in; for i in $(seq 1100); do mkdir d; cd d; done; cp $here/in/00001.png ."
DEEP = {"folders_that_are_nested_very_deep": (NESTED, "index in", "rm -r in/d", "4 pictures")}
table(DEEP, searched, code=0, seconds=30, slow=True)
for cases, code in ((DONE, 0), (REFUSED, 2)):
    cases = {name: (*lines, says) for name, (says, *lines) in cases.items()}
    table(cases, searched, code=code, seconds=20)


@attack(code=0)
def empty_paths_and_numbers_that_are_too_large(folder):
    model = ["--checkpoint", "icons"]
    fill(folder / "in", 1)
    for wrong in (
        ["index", "", *model],
        ["index", "in", "--index", "", *model],
        ["index", "in", "--checkpoint", ""],
        ["index", "in", "--threads", "9" * 20, *model],
        ["find", "cup", ""],
        ["find", "cup", "in", "-k", "1" + "0" * 30],
        ["find", "cup", "in", "--grid", "name"],
        ["find", "cup", "in", "--image", "\0"],
        ["embed", "", "out.npz", *model],
        ["embed", "in", "", *model],
        ["serve", "in", "--port", "65536"],
        ["serve", ""],
        ["serve", "in", "--host", "\udcff"],
    ):
        refused(search, wrong)
    assert os.listdir() == ["in"]


@attack(code=130, says="stopped by Ctrl-C\n8 pictures.*: 4 read, 4 unchanged")
def ctrl_c_while_pictures_are_indexed(folder):
    zeroshot.CPU_BATCH, build_file.PART_SECONDS, real = 2, 0, zeroshot.in_threads

    def stop_at_the_third(*arguments):
        for k, found in enumerate(real(*arguments)):
            if k == 2:
                signal.raise_signal(signal.SIGINT)
            yield found

    zeroshot.in_threads = stop_at_the_third
    try:
        index(count=8)
    finally:
        assert len(Index.open(PLACE)) == 4 and not Index.open(PLACE).finished
        assert search(["index", "in"]) == 0 and len(Index.open(PLACE)) == 8


@attack(says="no picture in .* can be read")
def an_index_whose_pictures_are_all_damaged_later(folder):
    index()
    for path in Path("in").rglob("*.png"):
        path.write_bytes(b"damaged")
    build_file.PART_SECONDS = 0  # as if reading them took long
    try:
        search(["index", "in"])
    finally:
        assert len(Index.open(PLACE)) == 3


@attack(code=0)
def a_folder_that_is_named_through_a_link_and_up(folder):
    fill(Path("real"), 4)
    fill(Path("work"), 7)
    os.mkdir("real/deep")
    os.symlink("../real/deep", "work/link")
    tiny_checkpoint("model.pt")
    for place in ("real", "work"):
        assert search(["index", place, "--checkpoint", "model.pt"]) == 0
    os.chdir("work")
    fill(Path("../real"), 6)
    assert search(["index", "link/.."]) == 0
    assert len(Index.open("link/../.miniclip")) == 6 and len(Index.open(".miniclip")) == 7


@attack(code=130, says="stopped by Ctrl-C")
def ctrl_c_while_a_thread_waits_for_a_disk(folder):
    def read(path):
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait()

    embed.image_io.read, threads.PATIENCE_S = read, 0.2
    try:
        index()
    finally:
        others = {*threading.enumerate()} - {threading.main_thread()}
        assert all(thread.daemon for thread in others), "the process would wait for its threads"


@attack(code=0)
def large_pictures_in_several_threads(folder):
    reading, most, real = [], [], embed.image_io.to_rgb

    def counted(image):
        reading.append(image)
        most.append(len(reading))
        time.sleep(0.02), reading.pop()
        return real(image.crop((0, 0, 9, 9)))

    embed.image_io.to_rgb = counted
    large, small = Image.new("1", (5100, 5000)), Image.new("1", (4900, 5000))
    large.save("large.png"), small.save("small.png")
    for name in ("large.png", "small.png"):
        with ThreadPoolExecutor(4) as pool:
            [*pool.map(embed.image_io.read, [name] * 8)]
    assert len(most) == 16 and max(most[:8]) == 1 and max(most[8:]) > 1, most


@attack(code=0)
def a_folder_for_the_index_behind_a_link(folder):
    for real in ("elsewhere", "in/below/deep 0/far"):
        fill(folder / "in", 3)
        (folder / real).mkdir()
        Path("in/link").symlink_to(folder / real)
        index("--index", "in/link/idx")
        for place in ("in/link/idx", f"{real}/idx"):
            made = Index.open(Path(place))
            assert all(made.path(row).is_file() for row in range(3)), made.root
        Path("in/link").unlink()


@attack(says="if indexing was interrupted")
def a_process_that_was_killed_while_it_wrote(folder):
    index(count=8)
    made = Index.open(PLACE)
    if not (child := os.fork()):
        with contextlib.closing(sqlite3.connect(PLACE / FILE, isolation_level=None)) as database:
            database.executescript("PRAGMA cache_size = 1; BEGIN IMMEDIATE; " + BLANK)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    refused(Index.open, PLACE)
    copy = shutil.copytree("in", "copy")
    search(["index", copy])
    again = Index.open(Path(copy, ".miniclip"))
    assert np.array_equal(again.features, made.features) and again.paths == made.paths
    return find()


@attack(
    says='xx" has 200,000 characters. In the file each of the 2,001 sentences .* 1.5 GiB together'
)
def a_sentence_that_would_make_an_array_of_strings_large(folder):
    model = tiny_checkpoint("model.pt")
    assert "NUL" in refused(check_sentences, open_encoder(model), ["cup", "cup\0"])
    Path("a.txt").write_text("x" * 200_000 + "\ncup" * 2000)
    return search(["embed", "a.txt", "out.npz", "--checkpoint", model])

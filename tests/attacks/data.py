"""Attacks on pairs: what could be destroyed, csvs, folders and shards that stop or mislead."""

import errno
import io
import os
import signal
import tarfile
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

import train
from miniclip.bpe.cleaning import clean
from miniclip.data import __main__ as data
from miniclip.data import open_pairs
from miniclip.data.dataset import keep_pairs
from miniclip.data.labelled import open_labelled
from miniclip.data.shards import index
from miniclip.evaluation import context
from miniclip.zeroshot import readable_pictures
from tests.attacks import attack

PNG = io.BytesIO()
Image.new("RGB", (9, 9)).save(PNG, "PNG")


def run(*words):
    """python -m miniclip.data, with these words."""
    return data.main(list(map(str, words)))


def write(name, content):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def csv_of(*rows, count=3):
    """pairs.csv of these lines, beside 0.png and so on."""
    for k in range(count):
        write(f"{k}.png", PNG.getvalue())
    rows = rows or [f"{k}.png,a word" for k in range(count)]
    return write("pairs.csv", "\n".join(["filepath,caption", *rows]) + "\n")


def tar_of(name, members):
    with tarfile.open(name, "w") as tar:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return name


def said(pairs):
    """What the pairs say, and what was left out: this goes into the row's text."""
    print([pairs.captions(i) for i in range(len(pairs))], pairs.skipped)


# --- what the user has


@attack(says="the following arguments are required: out")
def curating_with_the_output_forgotten(folder):
    before = csv_of().read_text()
    try:
        run("curate", "pairs.csv")
    finally:
        assert Path("pairs.csv").read_text() == before


@attack(says="mine.csv exists, and miniclip did not write it")
def curating_over_a_csv_of_the_user(folder):
    csv_of(), write("mine.csv", "path,notes\n")
    options = ["--min-count", 1]
    assert run("curate", "pairs.csv", "out.csv", *options) == 0
    assert run("curate", "out.csv", "again.csv", *options) == 0
    assert run("curate", "emoji", "list.csv", *options) == 0
    for out in ("out.csv", "again.csv", "list.csv"):  # these are known by their format
        assert run("curate", "pairs.csv", out, *options) == 0
    assert len(open_pairs("again.csv")) == 3
    run("curate", "pairs.csv", "mine.csv", *options)


@attack(says="photo.png exists, and miniclip did not write it")
def a_plot_over_a_photograph(folder):
    csv_of(), write("photo.png", PNG.getvalue())
    run("curate", "pairs.csv", "out.csv", "--plot", "photo.png")


@attack(says="cannot be both read and written")
def curating_a_csv_onto_itself_through_a_link(folder):
    csv_of()
    os.symlink("pairs.csv", "link.csv")
    run("curate", "pairs.csv", "link.csv", "--overwrite")


@attack(says="00000.tar exists, and miniclip did not write it")
def packing_over_a_tar_of_the_user(folder):
    csv_of()
    os.mkdir("mytars")
    tar_of("mytars/00000.tar", {"a": b"mine"})
    for _ in range(2):
        assert run("pack", "pairs.csv", "ours") == 0
    run("pack", "pairs.csv", "mytars")


@attack(says="is read, so it cannot be written")
def packing_shards_onto_themselves_through_a_link(folder):
    csv_of()
    run("pack", "pairs.csv", "ours")
    os.symlink("ours", "link")
    run("pack", "ours", "link", "--overwrite")


@attack(says="cannot be written: Not a directory")
def an_output_below_a_file_is_refused_before_the_work(folder):
    data.pack.open_source = None  # a TypeError, if the work began
    csv_of()
    run("pack", "pairs.csv", "pairs.csv/out")


def curate(source, out, *options):
    return run("curate", source, out, "--min-count", 1, *options)


@attack(says="00000.tar exists, and miniclip did not write it")
def packing_over_a_tar_of_a_user_called_miniclip(folder):
    csv_of(), write("thesis.txt", "years"), os.mkdir("s")
    os.system("tar --owner=miniclip -cf s/00000.tar thesis.txt")
    run("pack", "pairs.csv", "s")


@attack(says="00000.tar exists, and miniclip did not write it")
def packing_over_a_shard_to_which_a_file_was_added(folder):
    run("pack", csv_of(), "s"), write("mine.png", PNG.getvalue())
    os.system("tar rf s/00000.tar mine.png")
    run("pack", "pairs.csv", "s")


@attack(says="o.csv exists, and miniclip did not write it")
def curating_over_a_curated_csv_that_was_edited(folder):
    curate(csv_of(), "o.csv")
    write("o.csv", Path("o.csv").read_bytes() + b"2.png,mine")
    curate("pairs.csv", "o.csv")


@attack(says="f/0.txt is read, so it cannot be written")
def curating_over_a_caption_that_is_read(folder):
    write("f/0.png", PNG.getvalue()), write("f/0.txt", "a word")
    curate("f", "f/0.txt", "--overwrite")


@attack(says="s/00000.tar is read, so it cannot be written")
def curating_over_a_shard_that_a_pattern_names(folder):
    run("pack", csv_of(), "s")
    curate("s/{00000..00000}.tar", "s/00000.tar", "--overwrite")


@attack(says="0.png is read, so it cannot be written")
def a_plot_over_a_picture_that_is_read(folder):
    curate(csv_of(), "o.csv", "--plot", "0.png", "--overwrite")


@attack(says="pairs.csv changed meanwhile; curate it again")
def a_csv_that_changes_while_it_is_curated(folder):
    old = data.balance.CsvRows.write
    data.balance.CsvRows.write = lambda *a: (csv_of("0.png,a new word"), old(*a))
    curate(csv_of(), "o.csv")


@attack(says="l.csv is not what curate wrote any more")
def a_list_in_which_a_row_is_repeated(folder):
    run("pack", csv_of(), "s"), curate("s", "l.csv")
    write("l.csv", Path("l.csv").read_text() + "0,again,a\n")
    keep_pairs(open_pairs("s"), "l.csv")


@attack(code=0, says=r"\('red cat',\), \('a, b',\)")
def curated_fields_with_carriage_returns_and_separators(folder):
    os.makedirs("real/deep"), os.symlink("real/deep", "link")
    curate(csv_of('0.png,"red\rcat"', "1.png,a, b"), "link/o.csv")
    said(open_pairs("link/o.csv"))


# --- options


@attack(says="must be at most 1e")
def a_shard_of_more_pairs_than_there_are_atoms(folder):
    run("pack", "emoji", "out", "--shard-size", 10**30)


@attack(says="--workers: must be at most 1,000")
def a_million_million_workers(folder):
    run("curate", "emoji", "out", "--workers", 10**12)


@attack(says="must be a path, and not empty")
def an_empty_path(folder):
    run("pack", "emoji", "")


@attack(code=130, says="^python -m miniclip.data: stopped by Ctrl-C$")
def ctrl_c_while_pairs_are_opened(folder):
    data.open_source = lambda args: signal.raise_signal(signal.SIGINT)
    run("emoji")


@attack(says="a worker was killed, perhaps for its memory")
def a_worker_of_curate_is_killed(folder):
    csv_of()
    data.balance.CsvRows.read = lambda self, chunk: os.kill(os.getpid(), signal.SIGKILL)
    run("curate", "pairs.csv", "out.csv", "--workers", 2)


@attack(code=0)
def emoji_by_its_word_is_what_a_run_without_data_was_trained_on(folder):
    assert train.options(["--data", "emoji"]).data is None
    run = dict(format=context.FORMAT, options={"data": None})
    assert context.open_data(SimpleNamespace(data="emoji"), run)[1]


@attack(code=0, says="a word")
def a_quoted_path_with_a_tilde(folder):
    os.environ["HOME"] = str(folder)
    csv_of()
    said(open_pairs("~/pairs.csv"))


@attack(says="names more than 1,000,000 shards")
def braces_that_name_a_hundred_million_shards(folder):
    open_pairs("{-99999999..99999999}.tar")


@attack(says="names more than 1,000,000 shards", slow=True)
def braces_whose_product_is_large(folder):
    open_pairs("{0..999}/{a..z}{a..z}{0..999}.tar")


# --- pipes, links and deep folders


@attack(code=0, says="0.png', '0.txt cannot be read: not a file.*pipe.png', 'not a file")
def pipes_as_a_picture_and_as_a_text(folder):
    csv_of(), write("1.txt", "a word"), write("pipe.txt", "x")
    os.mkfifo("pipe.png"), os.mkfifo("0.txt")
    os.symlink("/dev/zero", "2.txt")
    said(open_pairs("."))


@attack(says="pipe.csv is no csv, folder or shard")
def a_pipe_as_a_csv(folder):
    os.mkfifo("pipe.csv")
    open_pairs("pipe.csv")


@attack(says="pipe.tar .not a file")
def a_pipe_as_a_shard(folder):
    os.mkfifo("pipe.tar")
    open_pairs("pipe.tar")


@attack(code=0, says="deep")
def folders_that_are_nested_1100_deep(folder):
    for name in ("cat", "dog"):
        write(f"{name}/{name}.png", PNG.getvalue())
        os.chdir(name)
        for _ in range(1100):
            os.mkdir("d")
            os.chdir("d")
        write("deep.png", PNG.getvalue())
        write("deep.txt", "deep")
        os.chdir(folder)
    try:
        said(open_pairs("."))
        assert len(open_labelled(".").labels) == 4
    finally:
        os.system("rm -r cat dog")  # shutil's is recursive too


@attack(code=0, says="a word.*loop.png', 'too many levels")
def links_that_lead_in_a_circle(folder):
    csv_of("0.png,a word", "loop.png,x")
    os.symlink("loop.png", "loop.png")
    os.symlink(".", "round")
    said(open_pairs("pairs.csv"))
    assert [*os.scandir("round")]


# --- csvs


def damaged(name, says, *rows):
    """A row: these lines of a csv of pairs, and what is said of them."""

    def function(folder):
        said(open_pairs(csv_of(*rows)))

    function.__name__ = name
    attack(code=0, says=says)(function)


damaged(
    "a_field_of_two_million_characters",
    r"\('one',\), \('three',\).*line 3.*field larger than field limit",
    "0.png,one",
    f"1.png,{'x' * 2_000_000}",
    "2.png,three",
)
damaged(
    "a_quote_that_is_never_closed",
    r"\[\('one',\)\].*no csv from line 3 on.*are quotes closed",
    "0.png,one",
    '1.png,"two',
    "2.png,three",
)
damaged(
    "a_quote_that_another_row_closes",
    r"\('two lines',\).*1.png.*goes on with other rows; is a quote not closed",
    '0.png,"two\nlines"',
    '1.png,"two',
    '2.png,three"',
)
damaged(
    "quotes_that_backslashes_escape",
    r"\[\('one',\)\].*line 3.*doubled inside",
    "0.png,one",
    r'1.png,"a \"cat\", nice"',
)


damaged(
    "a_quote_that_another_row_closes_in_a_column_before",
    r"\[\('one',\)\].*line 4.*goes on with other rows",
    "0.png,one",
    '"1.png,two',
    '2",three',
)
damaged(
    "a_separator_that_is_not_quoted_in_the_last_column",
    r"\('two dogs, one asleep',\)",
    "0.png,two dogs, one asleep",
)


@attack(code=0, says=r"\[\('b',\)\] .*line 2, 0.png', \"it has 4 fields and the header 3")
def a_separator_that_is_not_quoted_in_a_middle_column(folder):
    csv_of()
    said(open_pairs(write("l.csv", "path,caption,part\n0.png,two dogs, one asleep,x\n1.png,b,x\n")))


@attack(code=0, says=r"\[\('c',\)\].*line 3, 1'.*goes on with other rows")
def a_quote_that_another_row_closes_among_names_without_suffixes(folder):
    for name in "012":
        write(name, PNG.getvalue())
    said(open_pairs(write("l.csv", 'caption,path\n"two dogs,0\nof 3",1\nc,2\n')))


@attack(says="l.csv has two columns called 'caption'")
def two_columns_of_captions(folder):
    open_pairs(write("l.csv", "path,caption,caption\n0.png,a,b\n"))


@attack(says="big.csv has a line of more than 16 MiB", seconds=5)
def a_csv_of_a_terabyte_of_zeros(folder):
    os.truncate(write("big.csv", "path,caption\n"), 1 << 40)
    open_pairs("big.csv")


@attack(says="list.txt is too long: more than 67,108,864 bytes")
def a_list_of_names_of_a_terabyte(folder):
    os.truncate(write("list.txt", ""), 1 << 40)
    curate(csv_of(), "o.csv", "--names", "list.txt")


@attack(says="list.txt holds no word")
def a_list_of_names_without_letters(folder):
    curate(csv_of(), "o.csv", "--names", write("list.txt", "!!!\n"))


@attack(code=0, says="0.png', '0.txt is not text")
def a_text_in_an_unknown_encoding(folder):
    csv_of(), write("0.txt", "a cat".encode("utf-16-le")), write("1.txt", "a word")
    said(open_pairs("."))


@attack(code=0, says="real/x.png")
def a_path_through_a_link_and_up(folder):
    write("real/x.png", PNG.getvalue()), write("x.png", PNG.getvalue()), os.mkdir("real/deep")
    os.symlink("real/deep", "link")
    print(open_pairs(csv_of("link/../x.png,a word")).where(0))


@attack(code=0)
def a_caption_of_a_million_accents(folder):
    assert len(clean("e" + "\u0301\u0327" * 300_000)) < 100


# --- labelled pictures


def labelled(name, says, *names, code=0):
    """A row: pictures of these names, and what is said of their classes."""

    def function(folder):
        for picture in names:
            write(f"p/{picture}", PNG.getvalue())
        found = open_labelled("p")
        print(found.class_names, found.skipped)

    function.__name__ = name
    attack(code=code, says=says)(function)


CLASSES = ("cat/0.png", "dog/0.png")
for one, other in (("train", "valid"), ("Train", "Test")):
    labelled(
        f"folders_called_{one}_and_{other}_beside_hidden_ones",
        r"^\['cat', 'dog'\] \[\]$",
        *(f"{part}/{name}" for part in (one, other, "__MACOSX", ".old") for name in CLASSES),
    )
labelled("hidden_folders_beside_classes", r"^\['cat', 'dog'\]", *CLASSES, ".thumbnails/0.png")
labelled("two_classes_of_one_name", "two classes called 'a b'", "a b/0.png", "a_b/0.png", code=2)
labelled(
    "a_folder_beside_train_and_test",
    "extra stands beside",
    *(f"{part}/{name}" for part in ("train", "test", "extra") for name in CLASSES),
    code=2,
)


@attack(code=0, says="fox', 'a link to a folder is not followed'")
def a_class_that_is_a_link(folder):
    for name in CLASSES:
        write(f"p/{name}", PNG.getvalue())
    os.symlink(".", "p/fox")
    print(open_labelled("p").skipped)


@attack(code=0, says=r"(?s)\['03', '4'\].*\['5, a', '5, b'\]")
def labels_that_are_one_number_or_hold_a_separator(folder):
    csv_of()
    for rows in ("0.png,3\n1.png,03\n2.png,4\n", "0.png,5, a\n1.png,5, b\n"):
        print(open_labelled(write("l.csv", "path,label\n" + rows)).class_names)


@attack(code=0, says=r"\['0', '1'\].*2', 'its label is not UTF-8")
def labels_of_a_tar_with_a_mark_or_in_latin(folder):
    files = {f"{k}.png": PNG.getvalue() for k in range(3)}
    files |= {"0.cls": b"\xef\xbb\xbf0", "1.cls": b"1", "2.cls": b"caf\xe9"}
    found = open_labelled(tar_of("a.TAR", files))
    print(found.class_names, found.skipped)


@attack(code=0, says=r"^\[\('cat/9.png', 'damaged[^(]*$")
def a_labelled_picture_that_is_damaged_further_on(folder):
    for name, end in (("cat/0.png", None), ("cat/9.png", 45), ("dog/0.png", None)):
        write(f"p/{name}", PNG.getvalue()[:end])
    found = open_labelled("p")
    assert len([*readable_pictures(found.pictures, [0, 1, 2, 1])]) == 2
    print(found.skipped)


@attack(code=0, says="'one'.*'two'")
def a_long_field_in_a_column_that_is_not_used(folder):
    csv_of()
    write("pairs.csv", f"filepath,caption,notes\n0.png,one,{'x' * 200_000}\n1.png,two,\n")
    said(open_pairs("pairs.csv"))


@attack(code=0, says="red cat")
def escape_sequences_in_captions(folder):
    csv_of("0.png,red\x1b[2J\x9b cat")
    assert "".join(open_pairs("pairs.csv").captions(0)).isprintable()
    print("red cat")


@attack(says="pairs.csv is a parquet file, and only csv can be read")
def a_parquet_file(folder):
    open_pairs(write("pairs.csv", b"PAR1\x15\x04\x15"))


@attack(says="pairs.jsonl is JSON, and only csv can be read")
def json_lines(folder):
    open_pairs(write("pairs.jsonl", '{"image": "a.png", "text": "x"}\n'))


# --- shards


@attack(says="gives no labelled picture: it holds shards; name one .tar of them")
def a_folder_of_shards_as_labelled_pictures(folder):
    os.mkdir("test")
    tar_of("test/0.tar", {"a.png": PNG.getvalue(), "a.cls": b"0"})
    open_labelled("test")


@attack(says='whose captions are the .txt or the "caption" of the .json')
def a_caption_column_for_shards(folder):
    open_pairs(tar_of("a.tar", {"a.png": PNG.getvalue(), "a.txt": b"x"}), caption_column="text")


@attack(says='no caption: neither a .txt nor "caption"')
def shards_whose_json_has_the_caption_as_text(folder):
    open_pairs(tar_of("a.tar", {"a.png": PNG.getvalue(), "a.json": b'{"text": "a cat"}'}))


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@attack(code=0, says="'good'")
def a_tar_of_sizes_below_zero_headers_within_headers_and_a_petabyte(folder):
    digits = b"1" * 65_000 + bytes(536)  # that the standard library searches again and again
    parts = [
        header("a.jpg", -1024),
        header("x", len(digits), tarfile.XHDTYPE) + digits,
        header("x", 1 << 50, tarfile.XGLTYPE),
        header("s.jpg", 1 << 40, tarfile.GNUTYPE_SPARSE),
        header("good.png", len(PNG.getvalue())) + PNG.getvalue().ljust(512, b"\0"),
        header("good.txt", 4) + b"good".ljust(512, b"\0"),
    ]
    write("a.tar", b"".join([*parts, parts[1] * 40]) + bytes(1024))
    said(open_pairs("a.tar"))


@attack(says="no tar header from byte 0 on")
def a_tar_of_a_terabyte_of_zeros(folder):
    write("a.tar", b"")
    os.truncate("a.tar", 1 << 40)
    open_pairs("a.tar")


def pair(name, text="a word", kind="txt"):
    return tar_of(write(name, ""), {"0.png": PNG.getvalue(), f"0.{kind}": text.encode()})


@attack(code=0, says="(?s)right.*right.*a cat")
def patterns_in_a_folder_whose_name_is_a_pattern(folder):
    pair("x[1]/0.tar", "right"), pair("x1/0.tar", "wrong")
    said(open_pairs("x[1]/{0..1}.tar")), said(open_pairs("x[1]/*.tar"))
    said(open_pairs(str(pair("a.TAR", '{"captions": [], "caption": "a cat"}', "json"))))


@attack(code=0, says="(?s)1.tar.*two")
def a_shard_that_may_be_read_later(folder):
    pair("s/0.tar", "one"), pair("s/1.tar", "two")
    size = index.file_size
    index.file_size = lambda path: os.open(folder, os.O_RDWR) if "1.tar" in path else size(path)
    index.PASSING.add(os.strerror(errno.EISDIR))
    said(open_pairs("s"))
    index.file_size = size
    said(open_pairs("s"))


@attack(code=0, says=r"(?s)cannot keep the index.*no such user.*\[\('a word',\)\] \[\]$")
def an_index_in_the_cache_that_is_changed_or_a_pipe_or_of_nobody(folder):
    os.environ["MINICLIP_CACHE"] = "cache"
    open_pairs(pair("a.tar"))
    [kept] = Path("cache").iterdir()
    write(kept, kept.read_bytes().replace(b'"notes": []', b'"notes": 77'))
    said(open_pairs("a.tar"))
    kept.unlink(), os.mkfifo(kept)
    said(open_pairs("a.tar"))
    os.environ["MINICLIP_CACHE"] = "~nobody-here/x"
    said(open_pairs("a.tar"))


@attack(code=0, says=r"^\[\('one',\), \('two',\)\] \[\]$")
def two_tars_that_were_joined(folder):
    tar_of("a.tar", {"0.png": PNG.getvalue(), "0.txt": b"one"})
    tar_of("b.tar", {"1.png": PNG.getvalue(), "1.txt": b"two"})
    write("a.tar", Path("a.tar").read_bytes() + Path("b.tar").read_bytes())
    said(open_pairs("a.tar"))

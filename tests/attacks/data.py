"""Attacks on pairs: what could be destroyed, csvs, folders and shards that stop or mislead."""

import io
import os
import signal
import tarfile
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

import train
from miniclip.data import __main__ as data
from miniclip.data import open_pairs
from miniclip.data.labelled import open_labelled
from miniclip.evaluation import context
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
    open_pairs("{0..99999999}.tar")


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

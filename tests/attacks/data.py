"""Attacks on pairs: what could be destroyed, csvs, folders and shards that stop or mislead."""

import csv
import importlib
import os
import signal
import threading
import types
from pathlib import Path

import numpy as np
import pyarrow.parquet
from PIL import Image

from miniclip.bpe.cleaning import clean
from miniclip.data import __main__ as data
from miniclip.data import files, open_divided, open_pairs, threads
from miniclip.data.curation.curate import curate
from miniclip.data.dataset import keep_pairs
from miniclip.data.labelled import _divided, open_labelled
from miniclip.data.shards import pack as packing
from miniclip.data.shards import remote
from miniclip.data.shards import tar_index as index
from miniclip.data.threads import read_all
from miniclip.evaluation.context import class_names, read_templates
from tests.attacks import at_replace, attack, session, table
from tests.data.tars import picture, write_tar

PNG = picture("PNG", size=(9, 9))


def run(*words):
    """python -m miniclip.data, with these words."""
    return data.main(list(map(str, words)))


def write(name, content):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, (bytes, bytearray)) else content.encode())
    return path


def csv_of(*rows, count=3):
    """pairs.csv of these lines, beside 0.png and so on."""
    for k in range(count):
        write(f"{k}.png", PNG)
    rows = rows or [f"{k}.png,a word" for k in range(count)]
    return write("pairs.csv", "\n".join(["filepath,caption", *rows]) + "\n")


def said(pairs):
    """What the pairs say, and what was left out: this goes into the row's text."""
    print([pairs.captions(i) for i in range(len(pairs))], pairs.skipped)


def classes(source, *names):
    found = open_labelled(source, names or None)
    read_all(found.pictures.image, [*found.labels] * 2)
    print(found.class_names, [*found.skipped, *found.notes])


VERBS = {
    "home": lambda path: os.environ.update(HOME=os.path.abspath(path)),
    "open": lambda source, column=None: said(open_pairs(source, caption_column=column)),
    "open_columns": lambda source, columns: said(open_pairs(source, columns=columns)),
    "classes": classes,
    "divide": lambda source, val_data: said(open_divided(source, None, val_data)),
    "keep": lambda kept, source: keep_pairs(
        open_pairs(source), kept if kept.endswith(".csv") else int(kept)
    ),
    "data": run,
    "pack": lambda *words: run("pack", *words),
    "curate": lambda *words: run("curate", *words, "--min-count", 1),
    "names": lambda path: print(class_names(path)),
    "templates": lambda path: print(read_templates(path)),
}


def beside_pairs(*lines):
    """Lines beside pairs.csv, those of a shell but for VERBS; a row's text is what they print."""
    csv_of()
    session(VERBS, lines)


@attack(code=0)
def a_caption_of_a_million_accents(folder):
    assert len(clean("e" + "\u0301\u0327" * 300_000)) < 100


@attack(code=0, says=r"\[\('a word',\)\] \[\]$")
def a_folder_that_is_called_like_the_built_in_set(folder):
    write("emoji/0.png", PNG), write("emoji/0.txt", "a word")
    said(open_pairs(Path("./emoji")))


# --- shards


@attack(says="source must not hold a NUL character")
def a_shard_whose_name_is_no_name(folder):
    open_pairs("a\0.tar")


def in_home(option, source):
    csv_of()
    os.environ["HOME"] = os.getcwd()
    open_pairs(source, **{option: "~/pairs.csv"})


FOLDERS = {
    "fetched_shards": (
        "cache_dir", "http://127.0.0.1:9/0.tar", "cannot be written: a part of this path is a file"
    ),
    "icons": ("icons", "icons", "does not hold iconify-json"),
}  # fmt: skip
table(FOLDERS, in_home, "a_folder_at_home_for_{}_that_is_a_file", says="error: /.*pairs.csv.* {}")


@attack(code=130, seconds=6, slow=True)
def ctrl_c_while_tars_of_zeros_are_indexed(folder):
    for k in range(9):
        os.truncate(write(f"{k}.tar", ""), 1 << 28)
    threads.PATIENCE_S = 0.2
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    run(".")


@attack(code=0, says=r"(?s)Is a directory.*\('two',\)\] \[\]$")
def a_shard_that_may_be_read_later(folder):
    for name in ("one", "two"):
        write_tar(f"{name}.tar", [("0.png", PNG), ("0.txt", name.encode())])
    size = index.file_size
    index.file_size = lambda path: open(folder) if "two" in path else size(path)
    index.PASSING.add("Is a directory")
    said(open_pairs("."))
    index.file_size = size
    said(open_pairs("."))


@attack(code=0, says=r"(?s)is not a file.*no such user.*\[\('a word',\)\] \[\]$")
def an_index_in_the_cache_that_is_a_pipe_or_of_nobody(folder):
    write_tar("a.tar", {"0.png": PNG, "0.txt": b"a word"}.items())
    os.environ["MINICLIP_CACHE"] = "cache"
    open_pairs("a.tar")
    [kept] = Path("cache").iterdir()
    kept.unlink(), os.mkfifo(kept)
    open_pairs("a.tar")
    os.environ["MINICLIP_CACHE"] = "~nobody-here/x"
    said(open_pairs("a.tar"))


@attack(code=130, says=r"'a word',\), \('a word',\), \('a word',\)\] \[\]$")
def ctrl_c_while_shards_are_replaced(folder):
    pairs, sample = csv_of(), packing.sample
    shards = ["pack", pairs, "s", "--shard-size", 1, "--overwrite"]
    run(*shards)
    csv_of(*(f"{k}.png,new" for k in range(3)))
    packing.sample = lambda pairs, i: sample(pairs, i) if i < 2 else signal.raise_signal(2)
    try:
        run(*shards)
    finally:
        assert len(os.listdir("s")) == 3
        said(open_pairs("s"))


@attack(code=130, says="'new',.*'new',.*'new',")
def ctrl_c_while_shards_get_their_names(folder):
    pairs = csv_of()
    run("pack", pairs, "s", "--shard-size", 1)
    csv_of(*(f"{k}.png,new" for k in range(3)))
    at_replace(5)  # the three shards are complete files, and two of them have their names
    try:
        run("pack", pairs, "s", "--shard-size", 1, "--overwrite")
    finally:
        said(open_pairs("s"))


@attack(says="s/00000.tar exists; choose another name")
def a_tar_of_the_user_that_comes_while_shards_are_written(folder):
    pairs, sample, mine = csv_of(), packing.sample, Path("s/00000.tar")

    def meanwhile(pairs, i):
        mine.write_text("mine")
        return sample(pairs, i)

    packing.sample = meanwhile
    try:
        run("pack", pairs, "s")
    finally:
        assert mine.read_text() == "mine"


@attack(code=0)
def what_a_pack_that_was_killed_has_left(folder):
    pairs, sample = csv_of(), packing.sample
    packing.sample = lambda pairs, i: os.kill(os.getpid(), signal.SIGKILL)
    os.fork() or run("pack", pairs, "s")
    os.wait()
    for left in folder.glob("s/**/*"):
        os.utime(left, (0, 0))
    packing.sample = sample
    run("pack", pairs, "s")
    assert os.listdir("s") == ["00000.tar"]


# --- sessions: what is refused, what is read, and csvs with damaged rows


def folders(*names):
    """Commands that put a picture of a cat and of a dog into each of these folders."""
    wheres = [f"p/{name}/{label}" for name in names for label in ("cat", "dog")]
    return [f"mkdir -p {where}; cp 0.png {where}" for where in wheres] + ["classes p"]


ONE_BATCH = (
    r"mkdir p; printf 'cat\ndog\n' > p/batches.meta.txt",
    "head -c 6146 /dev/zero | tee p/data_batch_1.bin > p/test_batch.bin",
)
REFUSED = {
    "curating_with_the_output_forgotten": (
        "the following arguments are required: out",
        "keeps pairs.csv curate pairs.csv",
    ),
    "curating_over_a_csv_of_the_user": (
        "mine.csv exists, and curate did not write it; choose another name",
        "echo path,notes > mine.csv",
        "keeps mine.csv curate pairs.csv mine.csv",
    ),
    "an_output_below_a_file": (
        "cannot be written: a part of this path is a file",
        "pack pairs.csv pairs.csv/out",
    ),
    "an_empty_path": ("must be a path that is not empty", "pack emoji ''"),
    "a_caption_column_for_shards": (
        "--caption-column is for csv, .*, not for a.tar, a source of shards.* --caption-key",
        "echo x > 0.txt; tar cf a.tar 0.*",
        "open a.tar text",
    ),
    "braces_whose_product_is_large": (
        "names more than 1,000,000 shards",
        "open {0..999}/{a..z}{a..z}{0..999}.tar",
    ),
    "a_shard_of_more_pairs_than_there_are_atoms": (
        "at most 1e",
        f"pack emoji out --shard-size {10**30}",
    ),
    "more_braces_than_can_be_expanded": (
        "or has too many braces",
        f"open {'{a,b}' * 31}.tar",
    ),
    "curating_over_a_caption_of_the_folder": (
        "0.txt exists, and curate did not write it",
        "echo a red cup > 0.txt",
        "keeps 0.txt curate . 0.txt --overwrite",
    ),
    "curating_over_a_caption_whose_picture_is_damaged": (
        "0.txt exists, and curate did not write it",
        "echo a red cup | tee 0.txt > 1.txt; echo damaged > 0.png",
        "keeps 0.txt curate . 0.txt --overwrite",
    ),
    "curating_over_a_picture_of_the_csv": (
        "0.png exists, and curate did not write it",
        "keeps 0.png curate pairs.csv 0.png --overwrite",
    ),
    "braces_that_name_a_hundred_million_shards": (
        "names more than 1,000,000 shards",
        "open {-99999999..99999999}.tar",
    ),
    "shards_whose_json_has_the_caption_as_text": (
        'no "captions" or "caption" in a .json .--caption-key',
        """echo '{"text": "a cat"}' > 0.json; tar cf a.tar 0.*""",
        "open a.tar",
    ),
    "curating_a_csv_onto_itself_through_a_link": (
        "link.csv exists, and curate did not write it",
        "ln -s pairs.csv link.csv",
        "curate pairs.csv link.csv --overwrite",
    ),
    "packing_shards_onto_themselves_through_a_link": (
        "is an input of this command",
        "pack pairs.csv ours",
        "ln -s ours link",
        "pack ours link --overwrite",
    ),
    "packing_over_shards": ("00000.tar exists; choose", *["pack pairs.csv s"] * 2),
    "a_name_without_words_to_curate_by": (
        'the name "!!!" has no words',
        "echo '!!!' > names.txt",
        "curate pairs.csv o.csv --names names.txt",
    ),
    "curating_over_a_list": ("o.csv exists; choose", *["curate pairs.csv o.csv"] * 2),
    "a_list_in_which_a_row_is_repeated": (
        "l.csv does not fit the training pairs of s",
        "pack pairs.csv s",
        "curate s l.csv",
        "tail -n 1 l.csv >> l.csv",
        "keep l.csv s",
    ),
    "a_list_of_shards_that_were_packed_again_from_other_pairs": (
        "l.csv does not fit the training pairs of s",
        "pack pairs.csv s",
        "curate s l.csv",
        "sed -i 's/a word/red cup/' pairs.csv",
        "pack pairs.csv s --overwrite",
        "keep l.csv s",
    ),
    "a_part_of_a_tar_that_was_split": (
        "a.tar.aa is a tar, or a part of one; put the parts together, and name it .tar",
        "tar cf - 0.png | split -b 512 - a.tar.",
        "open a.tar.aa",
    ),
    "a_page_of_a_server_in_the_place_of_a_shard": (
        "no tar header from byte 0 on",
        "echo '<html>' > a.tar",
        "open a.tar",
    ),
    "a_pipe_as_a_csv": (
        "pipe.csv is a pipe or a device; save",
        "mkfifo pipe.csv",
        "open pipe.csv",
    ),
    "a_pipe_as_labelled_pictures": (
        "pipe.tar is a pipe or a device; save",
        "mkfifo pipe.tar",
        "classes pipe.tar",
    ),
    "a_pipe_as_a_shard": (
        "pipe.tar .not a file",
        "mkfifo pipe.tar",
        "open pipe.tar",
    ),
    "a_csv_in_utf_16": ("l.csv is in UTF-16", "echo a | iconv -t UTF-16 > l.csv", "open l.csv"),
    "a_compressed_csv": ("l.csv is compressed", "echo a | gzip > l.csv", "open l.csv"),
    "a_csv_of_json": ("l.csv is JSON; write each", """echo '[{"a": 1}]' > l.csv""", "open l.csv"),
    "a_csv_that_ends_in_zeros": (
        "gives no pair: left out 1: line 2, 0.png .it holds zeros of a damaged file",
        r"""printf 'path,caption\n0.png,a r\0\0\0' > l.csv""",
        "open l.csv",
    ),
    "an_empty_test_folder_of_labelled_pictures": (
        "the folder test/ of p has no picture",
        "mkdir -p p/test p/train/cat p/more; cp 0.png p/train/cat; cp 1.png p/more",
        "classes p",
    ),
    "printed_json": (
        "l.json is JSON; write each",
        """printf '[\\n {\\n "a": 1}]' > l.json""",
        "open l.json",
    ),
    "a_jsonl_in_utf_16": (
        "l.jsonl is in UTF-16",
        "echo {} | iconv -t UTF-16 > l.jsonl",
        "open l.jsonl",
    ),
    "an_empty_csv": ("no column of picture paths", "true > pairs.csv", "open pairs.csv"),
    "a_csv_without_captions": (
        r"no column of captions \(such as 'caption'\); its columns are 'path', 'colour'",
        "echo path,colour > l.csv",
        "open l.csv",
    ),
    "a_csv_without_a_header": (
        "for a csv without a header, give --columns image,caption",
        "echo 0.png,red > l.csv",
        "open l.csv",
    ),
    "a_key_of_a_json_for_a_csv": (
        "--caption-key is for shards, not for pairs.csv",
        "data pairs.csv --caption-key text",
    ),
    "an_empty_csv_of_named_columns": (
        "gives no pair: no rows",
        "true > pairs.csv",
        "data pairs.csv --columns image,caption",
    ),
    "named_columns_that_are_not_known": (
        "its columns are 'a', 'b'",
        "data pairs.csv --columns a,b",
    ),
    "a_csv_without_rows": ("no pair: no rows", "echo path,text > l.csv", "open l.csv"),
    "a_csv_of_pictures_that_are_gone": (
        r"3: line 2, 0.png \(no such file",
        "rm *.png",
        "open pairs.csv",
    ),
    "a_folder_without_pictures": ("it holds no picture", "mkdir p", "open p"),
    "a_folder_without_classes": ("it holds no pictures$", "mkdir p", "classes p"),
    "a_folder_of_one_class": (
        "needs at least two classes; it has one, 'cat'. left out 1: dog",
        "mkdir -p p/cat p/dog; cp 0.png p/cat",
        "classes p",
    ),
    "a_tar_without_labels": (r"1: 0.png \(no label", "tar cf 0.tar 0.png", "classes 0.tar"),
    "a_csv_that_is_not_there": ("none.csv not found", "pack none.csv out"),
    "shards_that_are_not_there": (
        r"in /.*/no gives .* 3: 0.tar \(No such file",
        "open no/{0..2}.tar",
    ),
    "a_brace_that_is_not_closed": ("a brace that is not closed", "open {0..2.tar"),
    "a_pattern_that_matches_nothing": (r"no\*.tar matches no file", "open no*.tar"),
    "json_that_is_cut": (
        "line 1 of .* is not a JSON object",
        """echo '{"image": "0.png"' > p.jsonl""",
        "open p.jsonl",
    ),
    "json_of_two_captions_under_one_key": (
        "line 1 of p.jsonl is not a JSON object, or has a key twice",
        """echo '{"image": "0.png", "caption": "a", "caption": "b"}' > p.jsonl""",
        "open p.jsonl",
    ),
    "json_of_a_deep_nest": (
        "line 1 of p.jsonl is nested too deeply to be read",
        """python -c "print('{\\"a\\": ' + '[' * 9000 + ']' * 9000 + '}')" > p.jsonl""",
        "open p.jsonl",
    ),
    "json_without_captions": (
        "no column of captions .* are 'image', 'title_of'",
        """echo '{"image": "0.png", "title_of": "a"}' > p.jsonl""",
        "open p.jsonl",
    ),
    "two_columns_of_captions": (
        "l.csv has two columns called 'caption'",
        r"printf 'path,caption,caption\n0.png,a,b\n' > l.csv",
        "open l.csv",
    ),
    "two_columns_split": (
        "l.csv has two columns called split; rename one",
        r"printf 'filepath,caption,split,Split\n0.png,a,train,test\n' > l.csv",
        "open l.csv",
    ),
    "an_empty_key_of_a_json": (
        r"1: a.tar: 0 \(no caption: no .txt, and no \"\" in a .json",
        """echo '{"caption": "a cat"}' > 0.json; tar cf a.tar 0.*""",
        "data a.tar --caption-key ''",
    ),
    "folders_for_evaluation_without_one_for_training": (
        "the folders test and val look like parts of a data set",
        "mkdir -p p/test/cat p/test/dog p/val/cat p/val/dog; for d in p/*/*; do cp 0.png $d; done",
        "classes p",
    ),
    "a_blank_line_among_class_names": (
        "line 2 of .*classnames.txt is blank",
        r"mkdir -p p/0 p/1; cp 0.png p/0; cp 1.png p/1; printf 'cat\n\ndog\n' > p/classnames.txt",
        "classes p",
    ),
    "a_label_that_is_no_number_beside_a_list_of_class_names": (
        "names whole numbers, but a picture has the label x",
        r"mkdir -p p/0 p/1 p/x; for k in 0 1 x; do cp 0.png p/$k; done; printf 'a\nb\n' > p/classnames.txt",
        "classes p",
    ),
    "a_workbook": ("is a zip or the workbook", r"printf 'PK\003\004' > l.xlsx", "open l.xlsx"),
    "a_pipe_among_labelled_tars": ("p/1.tar is not a file", "mkdir p; mkfifo p/1.tar", "classes p"),
    "a_pipe_as_a_file_of_cifar": (
        "p/data_batch_1.bin is not a file",
        r"mkdir p; printf 'cat\ndog\n' > p/batches.meta.txt; mkfifo p/data_batch_1.bin",
        "classes p",
    ),
    "labels_beside_classes": (
        "has the columns label and class; leave out one",
        r"printf 'path,label,class\n0.png,0,cat\n1.png,1,dog\n' > l.csv",
        "classes l.csv",
    ),
    "labels_that_are_counted_from_1": (
        "l.csv has labels from 1 on",
        r"printf 'path,label\n0.png,1\n1.png,2\n2.png,2\n' > l.csv",
        "classes l.csv red green blue",
    ),
    "class_names_in_another_order_than_their_folders": (
        "class hot dog of p would be called Mouse, .*; give the names in the order of hot_dog, mouse",
        "mkdir -p p/hot_dog p/mouse; for d in p/*; do cp 0.png $d; done",
        "classes p Mouse 'hot dog'",
    ),
    "a_name_that_is_too_long": ("not found; expected a folder", f"classes {'x' * 300}"),
    "a_number_of_pairs_below_1": (
        "pairs to keep must be at least 1, not -1",
        "keep -1 pairs.csv",
    ),
    "packing_beside_a_shard_in_capital_letters": (
        "00009.TAR, which this command would not replace",
        "mkdir out; touch out/00009.TAR",
        "pack pairs.csv out",
    ),
    "a_csv_of_a_terabyte_of_zeros": (
        "pairs.csv has a line of more than 16 MiB",
        "truncate -s 1T pairs.csv",
        "open pairs.csv",
    ),
    "a_list_of_names_of_a_terabyte": (
        "list.txt is too long: more than 67,108,864 bytes",
        "truncate -s 1T list.txt",
        "curate pairs.csv o.csv --names list.txt",
    ),
    "json_lines": (
        "no records",
        "echo '{}' > pairs.jsonl",
        "open pairs.jsonl",
    ),
    "pickled_batches_of_cifar": (
        "holds CIFAR's pickled batches; get the version",
        "mkdir p; touch p/batches.meta p/data_batch_1",
        "classes p",
    ),
    "a_file_of_cifar_that_is_cut_off": (
        "test_batch.bin is cut off, or its records are not CIFAR's",
        r"mkdir p; printf 'cat\ndog\n' > p/batches.meta.txt",
        "head -c 6146 /dev/zero > p/data_batch_1.bin; head -c 3573 /dev/zero > p/test_batch.bin",
        "classes p",
    ),
    "a_file_of_cifar_that_is_empty": (
        "data_batch_3.bin is cut off",
        *ONE_BATCH,
        "touch p/data_batch_3.bin",
        "classes p",
    ),
    "a_dict_as_the_caption_of_a_json": (
        "a.tar: 0.json .a caption is a text or a list of texts, and a dict is no text",
        """echo '{"captions": [{"raw": "a dog"}]}' > 0.json; tar cf a.tar 0.*""",
        "open a.tar",
    ),
    "a_label_of_cifar_without_a_name": (
        "p has labels from . to 7, but it has names only for 0 to 1",
        r"mkdir p; printf 'cat\ndog\n' > p/batches.meta.txt",
        "head -c 6146 /dev/zero | tr '\\0' '\\1' > p/data_batch_1.bin",
        "head -c 3073 /dev/zero | tr '\\0' '\\7' > p/test_batch.bin",
        "classes p",
    ),
    "test_pictures_in_no_folders_of_classes": (
        "p has no picture to test on",
        *folders("train")[:-1],
        "mkdir p/test; cp *.png p/test",
        "classes p",
    ),
    "a_csv_among_labelled_tars": (
        "'[{]l.csv,a.tar[}]'|names 2 files",
        "tar cf a.tar 0.png; touch l.csv",
        "classes {l.csv,a.tar}",
    ),
    **{
        f"a_tar_that_{packer}_compressed": (
            "compressed; unpack it, because shards are plain .tar files",
            f"tar cf - 0.png | {packer} > a.tar.{suffix}",
            f"{verb} a.tar.{suffix}",
        )
        for packer, suffix, verb in (
            ("gzip", "gz", "open"),
            ("bzip2", "bz2", "open"),
            ("xz", "xz", "classes"),
        )
    },
    "a_tar_that_zstd_compressed": (
        "compressed; unpack it, because shards are plain .tar files",
        r"printf '\050\265\057\375xxxx' > a.tar.zst",
        "open a.tar.zst",
    ),
    "a_tar_of_a_terabyte_of_zeros": (
        "no tar header from byte 0",
        "truncate -s 1T a.tar",
        "open a.tar",
    ),
}
READ = {
    "files_of_cifar_that_are_missing": (
        r"\('data_batch_2.bin', 'there is no such file, .*\('data_batch_5.bin', ",
        *ONE_BATCH,
        "classes p",
    ),
    "pictures_whose_names_have_several_dots": (
        r"(?s)^(.*cat.[01].png', 'its name has several dots){2}.*\n"
        "(.*a.tar: cat.[01].png', 'its name has several dots){2}",
        "for k in 0 1 cat.0 cat.1; do cp 0.png $k.png; echo $k | tee $k.cls > $k.txt; done",
        "rm 2.png; tar cf a.tar *.png *.cls *.txt",
        "classes a.tar",
        "open a.tar",
    ),
    "a_separator_before_an_empty_last_field": (
        r"\[\('b',\)\] .*line 2, 0.png', \"it has 4 fields but the header has 3",
        r"printf 'path,caption,notes\n0.png,a dog, running,\n1.png,b,\n' > l.csv",
        "open l.csv",
    ),
    "characters_that_only_python_takes_for_line_breaks": (
        r"\[\('a b c d e', 'f'\)\]",
        r"printf 'a\013b\014c\034d\342\200\250e\rf\n' > 0.txt",
        "open .",
    ),
    "curating_again_with_overwrite": (
        "(?s)are kept.*are kept",
        *["curate pairs.csv o.csv --overwrite"] * 2,
    ),
    "a_folder_beside_train_and_test": (
        r"^\['cat', 'dog'\] .*'extra/cat/0.png', 'only train and test are read'",
        *folders("train", "test", "extra"),
    ),
    "classes_that_differ_by_case_and_white_space_only": (
        "'class cat', 'several classes have this name, of which only the first is predicted'",
        "mkdir -p p/Cat p/dog 'p/cat '; for k in p/*; do cp 0.png \"$k\"; done",
        "classes p",
    ),
    "a_header_that_ends_with_a_separator": (
        r"\('two, three',\)",
        r"printf 'filepath,caption,\n1.png,two, three,\n2.png,x\n' > l.csv",
        "open l.csv",
    ),
    "a_label_of_a_row_that_is_left_out_is_no_class": (
        r"^\['cat', 'dog'\]",
        r"printf 'path,label,x\n0.png,cat,\n1.png,dog,\n2.png,\042dog\n3.png\042,fox,1\n' > l.csv",
        "classes l.csv",
    ),
    "a_compressed_shard_beside_others": (
        "b.tar.gz', 'it is compressed",
        "echo a cup > 0.txt; mkdir s; tar cf s/a.tar 0.*; tar czf s/b.tar.gz 0.*",
        "open s",
    ),
    "a_long_field_in_a_column_that_is_not_used": (
        "'one'.*'two'",
        "echo path,caption,notes > l.csv; echo 0.png,one,$(printf %0200000d) >> l.csv",
        "echo 1.png,two, >> l.csv",
        "open l.csv",
    ),
    "escape_sequences_in_captions": (
        r"^\[\('red \[2J cat',\)\]",
        r"printf 'path,caption\n0.png,red\033[2J\302\233 cat\n' > l.csv",
        "open l.csv",
    ),
    "a_quoted_path_with_a_tilde": ("a word", "home .", "open ~/pairs.csv"),
    "links_that_lead_in_a_circle": (
        "a word.*loop.png', 'too many levels",
        "ln -s loop.png loop.png; ln -s . round; echo loop.png,x >> pairs.csv",
        "open pairs.csv",
    ),
    "pipes_as_a_picture_and_as_a_text": (
        "0.png', '0.txt cannot be read: not a file.*pipe.png', 'not a file",
        "echo a word > 1.txt; echo x > pipe.txt; mkfifo pipe.png 0.txt; ln -s /dev/zero 2.txt",
        "open .",
    ),
    "a_quote_that_another_row_closes_among_names_without_suffixes": (
        r"\[\('c',\)\].*line 3, 1'.*contains the next rows",
        "for k in 0 1 2; do cp $k.png $k; done",
        r"printf 'caption,path\n\042two dogs,0\nof 3\042,1\nc,2\n' > l.csv",
        "open l.csv",
    ),
    "a_separator_that_is_not_quoted_in_a_middle_column": (
        r"\[\('b',\)\] .*line 2, 0.png', \"it has 4 fields but the header has 3",
        r"printf 'path,caption,part\n0.png,two dogs, one asleep,x\n1.png,b,x\n' > l.csv",
        "open l.csv",
    ),
    "a_text_in_an_unknown_encoding": (
        "0.png', '0.txt is not text",
        "echo a word | tee 1.txt | iconv -t UTF-16LE > 0.txt",
        "open .",
    ),
    "texts_in_utf_16_without_a_zero_byte": (
        "(?s)0.png', '0.txt is not text.*0.txt', 'its text is in UTF-16",
        "printf 红色的风筝 | iconv -f UTF-8 -t UTF-16 > 0.txt; echo cat > 1.txt; echo dog > 2.txt",
        "open .",
        "tar cf a.tar *.png *.txt",
        "classes a.tar",
    ),
    "a_first_picture_that_is_missing_where_columns_are_named": (
        r"(?s)pictures +2 .*left out 1: line 1, 0.png \(no such file or directory\)\n$",
        r"rm 0.png; printf '0.png;a, b\n1.png;two, big\n2.png;three\n' > l.csv",
        "data l.csv --columns image,caption",
    ),
    "shards_in_a_folder_with_braces_by_the_source_that_packing_prints": (
        r"(?s)train on them with --data 'out\{a,b\}/\*.tar'.*\[\('a word',\)",
        "pack pairs.csv out{a,b}",
        "open out{a,b}/{00000..00000}.tar",
    ),
    "a_path_through_a_link_and_up": (
        r"\[\('right',\)\] \[\]",
        "mkdir -p real/deep",
        "ln -s real/deep link",
        "cp 0.png real/x.png",
        r"printf 'path,caption\nlink/../x.png,right\n' > l.csv",
        "open l.csv",
    ),
    "folders_7_and_007": (
        r"\['007', '8'\] .*class 7', 'other spellings of this label",
        "mkdir -p p/7 p/007 p/8; for d in p/*; do cp 0.png $d; done",
        "classes p",
    ),
    "a_name_whose_accent_a_mac_has_written_in_its_way": (
        r"\[\('a word',\)\] \[\]",
        r"mkdir p; cp 0.png $(printf 'p/e\314\201.png'); echo a word > $(printf 'p/\303\251.txt')",
        "open p",
    ),
    "folders_whose_accents_a_mac_has_written_in_its_way_in_one_part": (
        r"^\['café', 'dog'\] \[\]",
        r"mkdir -p p/train/dog p/test/dog $(printf 'p/train/caf\303\251 p/test/cafe\314\201')",
        "for d in p/*/*; do cp 0.png $d; done",
        "classes p",
    ),
    "vowel_signs_that_belong_to_words": (
        "(?s)are kept.*0,0.png,नदी",
        "printf 'path,caption\n0.png,की नदी\n1.png,की की\n2.png,की\n' > l.csv",
        "curate l.csv o.csv",
        "tr -d '\042' < o.csv",
    ),
    "a_class_that_is_a_link_and_a_picture_that_is_damaged_further_on": (
        r"\[\('fox', 'a link to a folder is not followed'\), \('cat/9.png', 'damaged[^(]*$",
        "mkdir -p p/cat; ln -s cat p/fox; head -c 45 0.png > p/cat/9.png",
        *folders("."),
    ),
    "second_files_of_a_key_of_labelled_tars": (
        r"\['cup', 'hat'\] \[\('0.png', 'a second file of .*\('0.cls', 'a second file of [^)]*\)\]",
        "mkdir b; cp 0.png b; echo cup > 0.cls; echo hat > b/0.cls; cp b/0.cls 1.cls",
        "tar cf a.tar 0.png 1.png 0.cls 1.cls -C b 0.png 0.cls",
        "classes a.tar",
    ),
    "labels_of_a_tar_with_a_mark_or_in_latin": (
        r"\['0', '1', 'café'\] \[\]",
        r"printf '\357\273\2770' > 0.cls; printf 1 > 1.cls; printf 'caf\351' > 2.cls",
        "tar cf a.TAR *.png *.cls",
        "classes a.TAR",
    ),
    "two_tars_that_were_joined": (
        r"\[\('one',\), \('two',\)\] \[\]",
        "echo one > 0.txt; echo two > 1.txt",
        "tar cf a.tar 0.*; tar cf b.tar 1.*; cat b.tar >> a.tar",
        "open a.tar",
    ),
    "a_pattern_in_a_folder_whose_name_is_a_pattern": (
        r"(?s)\[\('right',\)\] \[\].*\[\('right',\)\] \[\]",
        "mkdir 'x[1]' x1; echo right > 0.txt; tar cf 'x[1]/0.tar' 0.*",
        "echo wrong > 0.txt; tar cf x1/0.tar 0.*",
        "open x[1]/{0..0}.tar",
        "open x[1]/*.tar",
    ),
    "a_picture_beside_train_and_test": (
        r"^\['cat', 'dog'\] \[\('0.png', 'only train and test are read'\)\]$",
        "mkdir p; cp 0.png p",
        *folders("train", "test"),
    ),
    "val_beside_train_and_test": (
        r"^\['cat', 'dog'\] \[\('val/cat/0.png', 'only train and test are read.*'val/dog/0.png', ",
        *folders("train", "val", "test"),
    ),
    "pictures_at_the_top_beside_folders_of_classes": (
        r"^\['cat', 'dog'\] \[\('0.png', 'no label'\)\]$",
        *folders(".")[:-1],
        "cp 0.png p",
        "classes p",
    ),
    "labels_that_are_whole_numbers_with_a_decimal_comma": (
        r"^\['2,0', '3,0', '10,0'\] \[\]$",
        r"printf 'path;label\n0.png;10,0\n1.png;2,0\n2.png;3,0\n' > l.csv",
        "classes l.csv",
    ),
    "a_label_that_is_invisible": (
        r"^\['cat', 'dog'\] \[\('line 4, 2.png', 'an empty caption'\)\]$",
        r"printf 'path,label\n0.png,cat\n1.png,dog\n2.png,\342\200\213\n' > l.csv",
        "classes l.csv",
    ),
    "two_labels_of_one_picture": (
        r"^\['cat', 'dog'\] \[\('0.png', 'it has several labels, of which the first is used'\)\]$",
        r"printf 'path,label\n0.png,cat\n1.png,dog\n./0.png,dog\n' > l.csv",
        "classes l.csv",
    ),
    "a_shard_among_pictures": (
        r"\[\('a word',\)\] .*'a.tar', 'a shard among pictures is not read",
        "rm 1.png 2.png; echo a word > 0.txt; tar cf a.tar 0.*",
        "open .",
    ),
    "packing_again_keeps_who_may_read_a_shard": (
        "-rw-------",
        "pack pairs.csv s",
        "chmod 600 s/00000.tar",
        "pack pairs.csv s --overwrite",
        "ls -l s",
    ),
    "packing_into_the_folder_that_is_read": (
        r"(?s)train on them with --data '\*.tar'.*\[\('a word',\)",
        "for k in 0 1 2; do echo a word > $k.txt; done",
        "pack . .",
        "open *.tar",
    ),
    "a_shard_replaced_by_another_of_its_size_and_time": (
        r"\('one',\).*\n.*\('two',\)",
        "echo one > 0.txt; tar cf a.tar 0.*",
        "open a.tar",
        "mkdir b; cp 0.png b; echo two > b/0.txt; tar cf b.tar -C b 0.txt 0.png",
        "touch -r a.tar b.tar; mv b.tar a.tar",
        "open a.tar",
    ),
    "a_name_that_is_spelled_in_two_ways_is_one_pair": (
        r"\[\('a word', 'another word'\)\] \[\]",
        r"printf 'path,caption\n0.png,a word\n./0.png,another word\n' > l.csv",
        "open l.csv",
    ),
    "a_json_with_an_empty_list_of_captions": (
        r"\[\('a cat',\)\] \[\]",
        """echo '{"captions": [], "caption": "a cat"}' > 0.json; tar cf a.TAR 0.*""",
        "open a.TAR",
    ),
}
READ |= {
    f"classes_in_folders_called_{parts}": (
        r"^\['cat', 'dog'\] \[\]$",
        "mkdir -p p/.thumbnails; cp 0.png p/.thumbnails",
        *folders(*parts.split()),
    )
    for parts in ("train valid", "Train Test", "train test __MACOSX @eaDir .old", ".")
}
REFUSED |= {
    "val_data_that_is_a_folder_of_the_data": (
        "--val-data has 1 of the files that --data trains on, such as .*p/val/1.png; give",
        "mkdir -p p/val; cp 0.png p; cp 1.png p/val; echo a cat | tee p/0.txt > p/val/1.txt",
        "divide p p/val",
    ),
    "val_data_that_is_links_to_the_data": (
        "--val-data has 1 of the files that --data trains on, such as .*v/1.png; give",
        "mkdir p v; cp 0.png p; echo a cat | tee p/0.txt > v/1.txt; ln -s ../p/0.png v/1.png",
        "divide p v",
    ),
    "val_data_that_is_a_shard_of_the_data": (
        "--val-data has 1 of the files that --data trains on, such as .*b.tar; give",
        "echo a cat | tee 0.txt > 1.txt; tar cf a.tar 0.*; tar cf b.tar 1.*",
        "divide *.tar b.tar",
    ),
    "records_as_labelled_pictures": (
        "p.jsonl holds records, which cannot have labels; give a folder",
        """echo '{"image": "0.png", "label": "cat"}' > p.jsonl""",
        "classes p.jsonl",
    ),
}
READ |= {
    "a_class_name_with_sixty_thousand_tabs": (
        r"^\['cat', 'd.*og'\]",
        """python -c "print('cat\\nd' + '\\t' * 60000 + 'og')" > l""",
        "names l",
    ),
    "a_million_separators_after_a_caption": (
        r"\[\('a',\)\] \[\]",
        r"(printf 'path,caption\n0.png,a'; head -c 1000000 /dev/zero | tr '\0' ,; echo) > l.csv",
        "open l.csv",
    ),
    "val_data_of_rows_that_a_column_split_keeps_from_training": (
        r"\[\('a',\), \('b',\), \('b',\)\] \[\]",
        r"printf 'path,caption,split\n0.png,a,train\n1.png,b,val\n' > l.csv",
        r"printf 'path,caption\n1.png,b\n' > v.csv",
        "divide l.csv v.csv",
    ),
    "a_query_whose_accents_have_another_form_than_in_captions": (
        "(?s)0,0.png,café cup\n1,1.png,café cup\n",
        "printf 'path,caption\n0.png,café cup\n1.png,cafe\u0301 cup\n2.png,cup café\n' > l.csv",
        "printf 'cafe\u0301 cup' > n.txt",
        "curate l.csv o.csv --names n.txt",
        "tr -d '\042' < o.csv",
    ),
}
REFUSED["a_label_that_is_no_number_among_numbers"] = (
    "l.csv has whole numbers as labels, but also nan; mend it",
    r"printf 'path,label\n0.png,nan\n1.png,1\n2.png,2\n' > l.csv",
    "classes l.csv cat dog cow",
)
READ["a_class_folder_without_a_picture"] = (
    r"^\['cat', 'dog'\] \[\('cow/', 'no picture, so no class'\)\]$",
    "mkdir -p p/cow/films; touch p/cow/films/1.mp4",
    *folders("."),
)
READ |= {
    f"labels_{says}": (
        rf"^\[{says}\]",
        rf"printf 'path,label\n{rows}\n' > l.csv",
        "classes l.csv",
    )
    for rows, says in (
        (r"0.png,3\n1.png,03\n2.png,4", "'03', '4'"),
        (r"0.png,a, b\n1.png,a", "'a', 'a, b'"),
    )
}
REFUSED |= {
    f"a_file_of_another_kind_{name}": (says, f"{make} > l.csv", "open l.csv")
    for name, make, says in (
        ("bzip2", "printf 'BZh91AY&SY'", "l.csv is compressed; unpack it"),
        ("xz", r"printf '\3757zXZ\000'", "l.csv is compressed; unpack it"),
        (
            "parquet",
            r"printf 'PAR1\025\004'",
            "l.csv is a parquet file; give it a name that ends in",
        ),
        ("tar", "tar c 0.png", "l.csv is a tar, or a part of one"),
        ("utf_16", "echo path,caption | iconv -t UTF-16LE", "l.csv is not text, or its encoding"),
    )
}
REFUSED |= {
    f"names_below_a_{kind}": (
        "line 1 of l is a heading, and so the class names would be counted wrongly",
        f"printf '{text}\\ncat\\ndog' > l",
        "names l",
    )
    for kind, text in (("comment", "# of pets"), ("heading", "Class_Name"), ("word", "labels"))
}
REFUSED |= {
    f"{what}_written_as_{name}": (
        f"l must have the .* one on each line and nothing else, not lines such as .*{last}",
        f"printf '{text}' > l",
        f"{what} l",
    )
    for what, name, text, last in (
        ("templates", "python", r"\042a {}.\042,\n\042the {}.\042,\n", "the {}"),
        (
            "templates",
            "functions",
            r"lambda c: f\042a {c}.\042,\nlambda c: f\042the {c}.\042,",
            "the",
        ),
        ("templates", "json", r"[\n\042a {}.\042,\n\042the {}.\042\n]", "]"),
        ("names", "json", r"[\042cat\042, \042dog\042]", "cat"),
        ("names", "quoted_fields", r"\042cat\042\n\042dog\042", "dog"),
        ("names", "yaml", r"\055 cat\n\055 dog", "- dog"),
        ("names", "numbered_lines", r"1. cat\n2. dog", "2. dog"),
        ("names", "names_before_numbers", r"cat,0\ndog,1", "dog,1"),
        ("names", "names_before_other_numbers", r"cat: 0\ndog: 1", "dog: 1"),
        ("names", "numbers_before_names", r"1 - cat\n2 - dog", "2 - dog"),
        ("names", "names_of_birds", r"1 001.Albatross\n2 002.Auklet", "2 002.Auklet"),
    )
}
REFUSED |= {
    "parts_of_labelled_pictures_by_other_names": (
        "the folders dev and train look like parts of a data set",
        *folders("train", "dev"),
    ),
    "parts_of_labelled_pictures_by_longer_names": (
        "the folders test_images and train_images look like parts of a data set",
        *folders("train_images", "test_images"),
    ),
    "names_of_columns_that_are_none": ("its columns are ''", "data pairs.csv --columns ''"),
    "two_columns_of_captions_that_are_asked_for": (
        "--caption-column is given twice",
        "data pairs.csv --caption-column a --caption-column b",
    ),
    "lists_that_are_written_as_texts": (
        "line 2, 0.png .a list that is written as a text; give one row for each caption",
        r"printf 'path,captions\n0.png,\042[\047a cat\047, \047a pet\047]\042\n' > l.csv",
        "open l.csv",
    ),
    "curating_a_list_onto_itself": (
        "l.csv is the source itself; choose",
        r"printf 'pair,name,query\n0,0.png,dog\n' > l.csv",
        "keeps l.csv curate l.csv l.csv --overwrite --image-column name --caption-column query",
    ),
    "more_columns_than_are_named": (
        "l.csv has 3 columns, but --columns names 2; name all of them",
        r"printf '0.png,a dog,train\n1.png,a cat,\n0.png,a cow,test\n' > l.csv",
        "data l.csv --columns image,caption",
    ),
    "one_column_for_both_sides": (
        "cannot have picture paths and captions in the same column",
        "data pairs.csv --caption-column filepath",
    ),
    "two_files_of_names": ("--names is given twice", "curate pairs.csv o --names a --names b"),
}
READ |= {
    "names_that_begin_or_end_with_numbers": (
        r"(?s)'4.5 mm'.*'grade 2'",
        r"printf '3.5 mm\n4.5 mm\n' > l",
        "names l",
        r"printf 'grade 1\ngrade 2\n' > l",
        "names l",
    ),
    "a_label_that_is_a_list_written_as_a_text": (
        r"^\['cat', 'dog'\] \[\('line 4, 2.png', 'a list that is written as a text",
        r"printf 'path,label\n0.png,cat\n1.png,dog\n2.png,[\047cat\047]\n' > l.csv",
        "classes l.csv",
    ),
    "a_shard_that_is_a_link_to_another": (
        r"\[\('one',\)\] \[\]",
        "mkdir s; echo one > 0.txt; tar cf s/a.tar 0.*; ln -s a.tar s/latest.tar",
        "open s",
    ),
    "classes_with_a_folder_of_one_name": (
        r"^\['car', 'train'\] \[\]$",
        "for d in train car; do mkdir -p p/$d/2019; cp 0.png p/$d/2019; done",
        "classes p",
    ),
    "a_name_of_a_column_whose_accent_has_another_form": (
        r"\[\('a',\)\] \[\]",
        "printf 'path,Äußerung\n0.png,a\n' > l.csv",
        "open l.csv Äußerung",
    ),
    "a_header_after_two_marks": (
        r"\[\('a',\)\] \[\]",
        r"printf '\357\273\277\357\273\277path,caption\n0.png,a\n' > l.csv",
        "open l.csv",
    ),
    "unnamed_columns_that_are_empty": (
        r"\[\('a dog',\), \('b, c',\)\] \[\]",
        r"printf '0.png,a dog,,\n1.png,b, c,\n' > l.csv",
        "open_columns l.csv image,caption",
    ),
    "a_picture_to_test_on_that_is_a_link_to_one_to_train_on": (
        r"^\['cat', 'dog'\] \[\('train/cat/0.png', 'another name of a picture to test on, so it",
        *folders("train", "test")[:-1],
        "ln -sf ../../train/cat/0.png p/test/cat/0.png",
        "classes p",
    ),
    "a_tar_that_is_a_link_to_another": (
        r"'a.tar: 0', 'another name of a picture to test on.*'b.tar: 1', 'another name",
        "mkdir s; echo cat > 0.cls; echo dog > 1.cls; tar cf s/a.tar 0.* 1.*; ln -s a.tar s/b.tar",
        "classes s",
    ),
    "a_record_of_nothing": (
        r"\[\('a',\)\] \[\('record 0', 'an empty caption'\)\]",
        r"""printf '{}\n\n{\042image\042: \0420.png\042, \042caption\042: \042a\042}' > l.jsonl""",
        "open l.jsonl",
    ),
}
DAMAGED = {
    "a_field_of_two_million_characters": (
        r"\('one',\), \('three',\).*line 3', 'not a csv from line 3 on: field larger than field limit",
        "0.png,one",
        f"1.png,{'x' * 2_000_000}",
        "2.png,three",
    ),
    "a_space_before_a_quote": (r"\[\('a dog, big',\)\] \[\]", '0.png, "a dog, big"'),
    "a_quote_that_is_never_closed": (
        r"\[\('one',\)\].*not a csv from line 3 on.*are quotes closed",
        "0.png,one",
        '1.png,"two',
        "2.png,three",
    ),
    "a_quote_that_another_row_closes": (
        r"\('two lines',\).*1.png.*contains the next rows; is a quote not closed",
        '0.png,"two\nlines"',
        '1.png,"two',
        '2.png,three"',
    ),
    "quotes_that_backslashes_escape": (
        r"\[\('one',\)\].*line 3.*doubled inside",
        "0.png,one",
        r'1.png,"a \"cat\", nice"',
    ),
    "a_caption_of_two_lines_that_names_a_picture": (
        r"\[\('a dog and, I think, my photo.jpg',\)\] \[\]",
        '0.png,"a dog\nand, I think, my photo.jpg"',
    ),
    "a_quote_that_another_row_closes_in_a_column_before": (
        r"\[\('one',\)\].*line 4.*contains the next rows",
        "0.png,one",
        '"1.png,two',
        '2",three',
    ),
}


def damaged(*rows):
    said(open_pairs(csv_of(*rows)))


for cases, do, code in ((REFUSED, beside_pairs, 2), (READ, beside_pairs, 0), (DAMAGED, damaged, 0)):
    table({name: (*what, says) for name, (says, *what) in cases.items()}, do, code=code)


table(
    {
        "columns": ({"image": ["0.png"], "caption": ["a"]}, "'image'"),
        "names": (["0.png", "1.png"], "'0.png'"),
        "names_in_an_array": (np.array(["0.png", "1.png"]), r"np.str_\('0.png'\)"),
        "datasets": (type("Datasets", (dict,), {"column_names": {}})(train=1), "'train'"),
        "three_each": ([("0.png", "a", "b")], ".'0.png', 'a', 'b'"),
    },
    lambda records: open_pairs(records),
    "records_that_are_{}",
    says=r"a record must be \(picture, caption\) or a dict .*, not {}",
)


table(
    {
        "records_in_a_set": ({("0.png", "a")}, open_pairs, "records must be in an order"),
        "bytes_in_an_array": (
            [({"bytes": np.zeros(5)}, "a")], open_pairs, 'record 0 .its "bytes" are a ndarray of .5'
        ),
        "class_names_in_a_table": (
            np.array([["0", "cat"], ["1", "dog"]]),
            lambda names: open_labelled(csv_of(), names),
            "class_names must be a list",
        ),
        "class_names_in_a_series_whose_index_may_be_the_labels": (
            types.SimpleNamespace(to_dict=dict, __len__=len),
            lambda names: open_labelled(csv_of(), names),
            "class_names must be a list",
        ),
        "a_name_that_is_a_number": (
            [1],
            lambda names: curate(open_pairs(csv_of()), names=names),
            "a name is a text .* a number",
        ),
        "a_threshold_that_is_nan": (
            float("nan"),
            lambda low: curate(open_pairs(csv_of()), min_pmi=low),
            "must be a number, not nan",
        ),
        "class_names_that_are_numbers": (
            [1, 2], lambda names: named("cat dog", names), "class names must be texts, and one .* 1"
        ),
    },
    lambda given, do: do(given),
    "values_of_python_{}",
)  # fmt: skip


@attack(code=0, seconds=5)
def labelled_pictures_of_ten_thousand_classes(folder):
    assert [*_divided({(f"{k % 10_000}", f"{k}.png"): k for k in range(60_000)}, [])]


@attack(code=0, says=r"\('a', 'b'\)")
def records_of_tuples_with_a_number_among_the_keys(folder):
    csv_of()
    said(open_pairs([{"image": "0.png", "text": ("a", "b"), 7: "x"}], image_column="image"))


NESTED = (
    "here=$PWD; for name in cat dog; do mkdir $here/$name; cd $here/$name; cp $here/0.png .; "
    "for i in $(seq 1100); do mkdir d; cd d; done; cp $here/0.png .; echo deep > 0.txt; done"
)
DEEP = {
    "folders_that_are_nested_1100_deep": (NESTED, "open .", "classes .", "rm -r cat dog", "deep")
}
table(DEEP, beside_pairs, code=0, seconds=30, slow=True)


FEW, MANY = pyarrow.array([0] * 4_000_000, "int8"), pyarrow.array([0] * 100_000)
PATH = pyarrow.array(["0.png"])
ONE = pyarrow.DictionaryArray.from_arrays(FEW, PATH)
LONG = pyarrow.DictionaryArray.from_arrays(MANY, ["x" * 900_000])
LATE = pyarrow.array([10**15]).cast(pyarrow.timestamp("ms", "Mars/Olympus"))
BOMB = "p.parquet would take more than 50 times its size"


def read_parquet(columns, names):
    """Pairs from a parquet file of these columns."""
    csv_of()
    table = pyarrow.table(columns, names.split())
    pyarrow.parquet.write_table(table, "p.parquet", compression="zstd", store_schema=False)
    said(open_pairs("p.parquet"))


table(
    {
        "of_two_columns_of_captions": (
            [PATH] * 3, "image caption caption", "p.parquet has two columns called 'caption'; rename"
        ),
        "of_four_million_rows_in_few_bytes": ([ONE] * 2, "image caption", BOMB),
        "of_a_caption_that_is_stored_once_for_all_rows": (
            [PATH.take(MANY), LONG], "image caption", BOMB
        ),
    },
    read_parquet,
    "a_parquet_file_{}",
    mb=900,
)  # fmt: skip
NESTED_LATE = pyarrow.StructArray.from_arrays([LATE], ["made"])
LATER = {
    "that_python_cannot_hold": ([PATH, PATH, LATE], "image caption made", "0.png"),
    "that_lies_in_a_struct": ([PATH, PATH, NESTED_LATE], "image caption about", "0.png"),
}
table(LATER, read_parquet, "a_parquet_file_of_a_time_{}", code=0)


@attack(says=r"^error: p.parquet is damaged: .*\n$")
def a_parquet_file_of_which_a_part_is_zeros(folder):
    rows = pyarrow.array([f"{k}.png" for k in range(3000)])
    pyarrow.parquet.write_table(pyarrow.table([rows] * 2, ["image", "caption"]), "p.parquet")
    data = bytearray(Path("p.parquet").read_bytes())
    data[40:2040] = bytes(2000)
    open_pairs(write("p.parquet", data))


ADDRESSES = {
    "of_a_port_that_is_none": ("http://127.0.0.1:99999999/1.tar", "fetched: .*Port out of range"),
    "that_refuses": ("http://127.0.0.1:9/1.tar", "1.tar cannot be fetched: .*Cannot connect"),
    "that_refuses_at_once": ("ftp://127.0.0.1:9/1.tar", "1.tar cannot be fetched: .*refused"),
    "with_a_bracket": ("http://[bad/1.tar", "1.tar cannot be fetched: .*Invalid IPv6"),
    "of_an_unknown_scheme": ("nothing://x/1.tar", "1.tar cannot be fetched: .*Protocol not known"),
}


def fetch(url):
    remote.WAITS_S = (0, 0, 0)
    open_pairs(url, cache_dir="here")


table(ADDRESSES, fetch, "an_address_{}", seconds=20)


@attack(code=0, says=r"\[\('a cup',\)\] .*'record 0', 'its file is closed.*'record 1', .*32 bits")
def pictures_of_python_that_have_no_levels_or_cannot_be_read(folder):
    closed, grey = Image.open(csv_of() and "0.png"), Image.new("F", (9, 9), 0.5)
    closed.close()
    said(open_pairs([(closed, "of a closed file"), (grey, "grey"), ("0.png", "a cup")]))


@attack(code=0)
def a_column_split_of_labelled_pictures(folder):
    rows = (f"{k}.png,{k % 2},{'test' if k < 4 else 'train'}" for k in range(8))
    text = csv_of(*rows, count=8).read_text().replace("caption", "label,split")
    found = open_labelled(write("pairs.csv", text))
    assert found.splits["test"] == [0, 1, 2, 3] and found.splits["train"] == [4, 5, 6, 7]


@attack(says="o.csv does not fit the training pairs of p.csv; run curate again")
def a_picture_that_another_has_replaced_late_in_a_long_list(folder):
    rows = csv_of(*(f"{k}.png,cup,train" for k in range(1102)), count=1103).read_text()
    rows = rows.replace("caption", "caption,split")
    write("p.csv", rows)
    run("curate", "p.csv", "o.csv", "--min-count", 1)
    keep_pairs(open_pairs("p.csv"), "o.csv")
    write("p.csv", rows.replace("\n1101.png", "\n1102.png"))
    keep_pairs(open_pairs("p.csv"), "o.csv")


@attack(code=0, says=r"^\[\('a', 'b'\), \('c',\)\] \[\]$")
def records_that_repeat_the_bytes_of_a_picture(folder):
    said(open_pairs([(PNG, "a"), (picture("PNG", size=(9, 8)), "c"), (bytes(bytearray(PNG)), "b")]))


@attack(code=0, says=r"(?s)^.*'no picture'.*\n\[\('a word',\), \('x',\)\] \[\]$")
def a_shard_of_pictures_that_an_older_pillow_could_not_read(folder):
    write_tar("a.tar", {"0.png": PNG, "0.txt": b"a word", "1.webp": PNG, "1.txt": b"x"}.items())
    index.SUFFIXES.remove(".png")
    said(open_pairs("a.tar"))
    index.SUFFIXES.add(".png")
    said(open_pairs("a.tar"))


@attack(code=0)
def a_limit_for_the_fields_of_csvs_that_the_program_has_set(folder):
    csv.field_size_limit(1 << 30)
    importlib.reload(files)
    assert csv.field_size_limit() == 1 << 30


@attack(code=0, seconds=5)
def a_csv_of_120000_captions_of_one_picture(folder):
    rows = [f"0.png,{k}" for k in range(120_000)]
    assert len(open_pairs(csv_of(*rows)).captions(0)) == len(rows)


def named(labels, names):
    csv_of(*(f"{k}.png,{label}" for k, label in enumerate(labels.split())))
    os.system("sed -i s/caption/label/ pairs.csv")
    print(open_labelled("pairs.csv", names).class_names)


NAMES = {2: "bird", 5: "cow", 0: "cat", 1: "dog"}
LACKS = "has the class {}, for which class_names has no name"
table({"a_text": ("cat dog", {"cat": "a cat", "cow": "a cow"}, "dog"), "a_number": ("0 1.0 3", NAMES, "3")},
      named, "a_class_that_is_{}_without_a_name", says=LACKS)  # fmt: skip
table({"type": ("1 0", types.MappingProxyType({1: "dog", 0: "cat"}), "'cat', 'dog'")}, named,
      "names_in_a_dict_of_another_{}", code=0, says=r"\[{}\]")  # fmt: skip
ACCENTS = {"cafe\u0301": "a café", "dog": "a dog"}
table({"accents": ("caf\u00e9 cafe\u0301 dog", ACCENTS, "'a café', 'a dog'"),
       "numbers": ("0.0 1 02", NAMES, "'cat', 'dog', 'bird'"),
       "texts": ("0.0 1 02", {f"{k}": name for k, name in NAMES.items()} | {"x": "y"}, "'cat', 'dog', 'bird'")},
      named, "names_by_{}_in_another_order", code=0, says=r"\[{}\]")  # fmt: skip

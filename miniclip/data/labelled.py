"""Pictures that have a class each, for evaluation. They come from one of these places:

    pictures/dog/1.png  pictures/cat/7.jpg      folders, whose names are the classes
    filepath,label                              a csv with this header and any common separator; its
                                                paths are relative to the csv, and it may have a
                                                column split, which says train or test
    0001.jpg 0001.cls (or .txt) in a .tar       a webdataset shard; the .cls holds the class, as a
                                                number or by its name
    classnames.txt  test/0.tar  test/1.tar      CLIP_benchmark's folders of shards, whose labels are
                                                numbers, from 0 for the first line of classnames.txt
    batches.meta.txt  test_batch.bin            the binary version of CIFAR-10 or CIFAR-100

Pictures for training (linear probe, few-shot) and pictures for testing are disjoint. Folders train/
and test/ (or val/), a column split, or CIFAR's files divide the pictures. If the source has none of
these, or no row of the column says train, the hash of the path divides the pictures into halves, in
the same way on every machine.
Zero-shot classification trains on nothing, so it is then tested on both halves. If the source
divides the pictures, zero-shot classification is tested only on the pictures for testing.

A tar is not unpacked: its pictures are read from their places in the tar. Left out: several labels
per picture, and shards over a network.
"""

import collections
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from miniclip import plots
from miniclip.bpe.cleaning import clean, has_words
from miniclip.common import checked, refuse
from miniclip.data import image_io
from miniclip.data.dataset import (
    BadPicture,
    Pairs,
    fingerprint,
    must_exist,
    one_line,
    printable,
    report_skipped,
    text_hash,
)
from miniclip.data.files import (
    PICTURE_COLUMNS,
    SPLITS,
    UNMARKED,
    UTF_16,
    WRITTEN_LIST,
    Files,
    is_hidden,
    read_csv,
    read_lines,
    walk,
)
from miniclip.data.records import SUFFIXES
from miniclip.data.shards.shards import expand
from miniclip.data.shards.tar_index import DOTS, MOST_TEXT_BYTES, TARS, key_and_suffix, scan

# a label that is a whole number; some programs write 3 as 3.0, or as 3,0 in many languages
WHOLE = re.compile(r"[-+]?\d{1,19}(\.0+|,0)?")
# what CLIP_benchmark puts beside its folders of shards: the names of the classes, and templates
NAMES, TEMPLATES = "classnames.txt", "zeroshot_classification_templates.txt"
# what train.py and eval.py draw into their folders, which may lie among the pictures
FIGURES = {f"{n}.png" for n in "average curves duplicates retrieval search shift shots".split()}
# {file of the class names: (number of label bytes before each picture, {files: their split})}. The
# last of the label bytes is the class.
CIFAR = {
    "batches.meta.txt": (
        1,
        {f"data_batch_{k}.bin": "train" for k in range(1, 6)} | {"test_batch.bin": "test"},
    ),
    "fine_label_names.txt": (2, {"train.bin": "train", "test.bin": "test"}),
}
CIFAR_SIDE = 32
PARTS = dict.fromkeys(("train", "training"), "train")
PARTS |= dict.fromkeys(("test", "testing", "val", "valid", "validation"), "test")


class Labelled:
    """Pictures with labels.

    class_names: a list of str. labels: {index of a picture: position of its class in class_names}.
    pictures: an object whose image(i) is picture i.
    splits: {"train", "test", "all": list of indices}. "train" and "test" are disjoint, and "all" is
    what zero-shot classification is tested on.
    skipped: [(name, reason)] of what was left out. notes: [(name, remark)] about pictures and
    classes that are used. templates: the templates that come with the pictures, or none.

    Raises UserError when there are fewer than two classes, or no picture to test on.
    """

    def __init__(
        self, name, class_names, pictures, labels, splits, skipped=(), templates=(), notes=()
    ):
        shown, only = printable(name), "none" if not class_names else f"one, {class_names[0]!r}"
        refuse(
            {
                f"{shown} needs at least two classes; it has {only}. {report_skipped(skipped)}": (
                    len(class_names) < 2
                ),
                f"{shown} has no picture to test on": not splits["all"],
            }
        )
        self.name, self.class_names, self.pictures = name, list(class_names), pictures
        self.labels, self.splits = labels, splits
        self.skipped, self.templates, self.notes = skipped, templates, notes


class _Slice(collections.namedtuple("_Slice", "path offset size raw", defaults=[False])):
    """The place of a picture in a larger file. path: the file. offset, size: in bytes. raw: whether
    the bytes are planes of CIFAR's pixels, without a header."""

    def __call__(self):
        """The bytes of the picture in the form of a picture file. Raises BadPicture."""
        most = image_io.MOST_PICTURE_BYTES
        refuse({f"{self.size:,} bytes: more than {most >> 20} MiB": self.size > most}, BadPicture)
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise BadPicture(f"{self.path.name} cannot be read: {error.strerror}") from None
        if len(data) < self.size:
            raise BadPicture(f"{self.path.name} has become shorter than when it was opened")
        if not self.raw:
            return data
        planes = np.frombuffer(data, np.uint8).reshape(3, -1)
        return b"P6 %d %d 255\n" % (CIFAR_SIDE, CIFAR_SIDE) + planes.T.tobytes()  # as a PPM


class _Pictures(Files):
    """Pairs of a picture and its label. A damaged picture is added to `skipped` when it is read."""

    def image(self, i):
        """See Pairs."""
        try:
            return super().image(i)
        except BadPicture as error:
            self.skipped += {(self.where(i), str(error))} - {*self.skipped}  # only once
            raise

    def stamp(self, i):
        """See Pairs."""
        source = self.sources[i]
        is_slice = isinstance(source, _Slice)
        return [*fingerprint(str(source.path)), source.offset] if is_slice else super().stamp(i)


def files_of(pictures: Pairs, indices: Iterable[int]) -> list[str]:
    """What is known about the file of each picture, whatever name or link leads to the file. It is
    "[]" for a picture that is in no file."""
    return [str((pictures.stamp(i) or [])[1:]) for i in indices]


def of_pairs(pairs: Pairs) -> Labelled | None:
    """Pairs that bring classes, as Labelled, or None if they bring none. Their training split is
    for training, and their held-out concepts are for testing."""
    if not pairs.class_names:
        return None
    labels = {i: pairs.label(i) for i in range(len(pairs)) if pairs.label(i) >= 0}
    train, test = (
        [i for i in pairs.splits[s] if i in labels] for s in ("train", "heldout_concepts")
    )
    splits = {"train": train, "test": test, "all": test}
    return Labelled(f"{pairs.name}, held-out concepts", pairs.class_names, pairs, labels, splits)


@checked
def open_labelled(source: str | Path | Iterable, class_names=None) -> Labelled:
    """Labelled pictures from a folder, a csv or tars (see the top of this file).

    source: a path; or a pattern of tars with {0..9}, {a,b}, * and ?; or a list of paths of tars.
    class_names: the names that a model is given instead of the labels. It can be a dict {label:
    name}, which may also hold labels that no picture has. Or it is a list. If the labels are whole
    numbers and the list is long enough, name k belongs to label k. Otherwise the list must have one
    name for each label, in the order of the sorted labels; numbers are sorted by their value. A
    list that gives one class the label of another is refused. If the pictures have numbers as
    labels, but the keys of the dict are no numbers (such as ImageNet's wnids), the keys are
    ignored, and the names in the dict are taken as a list. None: the names come with the pictures,
    or else are the labels themselves.

    Raises UserError, or OSError when a tar or a folder cannot be read.
    """
    sources = [source] if isinstance(source, (str, os.PathLike)) else [*source]
    refuse(
        {
            "labelled pictures are given by a path, or by a list of paths of tars": not (
                sources
                and all(isinstance(one, (str, os.PathLike)) and os.fspath(one) for one in sources)
            ),
            "class_names must be a list in the order of the labels, or a dict {label: name}": (
                class_names is not None
                and (
                    isinstance(class_names, (str, set, frozenset))
                    or not hasattr(class_names, "__len__")
                    or getattr(class_names, "ndim", 1) != 1
                    or hasattr(class_names, "to_dict")  # a Series, whose index may be the labels
                )
            ),
        }
    )
    name = Path(sources[0]).name or str(sources[0])
    skipped, paths = [], [Path(os.path.abspath(path)) for one in sources for path in _paths(one)]
    root, rows, names_file = _read(printable(name), paths, skipped)
    pictures = _Pictures(name, str(root), rows, skipped, "it holds no pictures")
    found = {
        label
        for _, _, (said,), _, why in rows
        if not why and has_words(said) and not WRITTEN_LIST.fullmatch(label := one_line(said))
    }
    names, positions = _named(printable(name), found, class_names, names_file)
    everything = range(len(pictures))
    labels = {i: positions[pictures.captions(i)[0]] for i in everything}
    # halves, by the last bit of the hash's first byte
    whole, train = everything, [i for i in everything if text_hash(pictures.where(i)) >> 56 & 1]
    if pictures.splits["train"] and UNMARKED not in {part for *_, part, _ in rows}:
        train = pictures.splits["train"]
        whole = {*everything} - {*train}
    test = sorted({*whole} - {*train})
    tested = {*files_of(pictures, test)}
    both = [i for i, file in zip(train, files_of(pictures, train)) if file in tested]
    splits = {"train": sorted({*train} - {*both}), "test": test, "all": sorted(whole)}
    counts = collections.Counter(positions.values())
    unused = {*range(len(names))} - {*labels.values()}
    notes = [
        *(
            (pictures.where(i), "another name of a picture to test on, so it is not learned from")
            for i in both
        ),
        *(
            (pictures.where(i), "it has several labels, of which the first is used")
            for i in everything
            if len(pictures.captions(i)) > 1
        ),
        *(
            (f"class {label}", "other spellings of this label are the same class")
            for label in sorted(found)
            if counts[positions[label]] > 1
        ),
        # among OpenAI's names for ImageNet two names belong to two classes each
        *(
            (
                f"class {text}",
                "several classes have this name, of which only the first is predicted",
            )
            for text, count in collections.Counter(map(clean, names)).items()
            if count > 1
        ),
        *((f"class {names[k]}", "no picture has it") for k in sorted(unused)),
    ]
    file = names_file and names_file.with_name(TEMPLATES)
    templates = read_lines(file, "templates") if file and file.is_file() else ()
    return Labelled(name, names, pictures, labels, splits, pictures.skipped, templates, notes)


def _read(shown, paths, skipped):
    """Find the pictures and their labels: (root, rows, names_file).

    root: the folder that the names of pictures are relative to. rows: a list, as Files takes it,
    with one label in each row. names_file: the file that names the classes 0, 1 and so on, or None.
    (name, reason) is added to `skipped` for what cannot be used.
    """
    first, tars = paths[0], [path.name.lower().endswith(TARS) for path in paths]
    refuse(
        {
            f"{shown} holds CIFAR's pickled batches; get the version of CIFAR with .bin files": (
                (first / "batches.meta").is_file()
            ),
            f"{shown} holds records, which cannot have labels; give a folder of class folders, a "
            "csv with the columns filepath and label, or tars": (
                first.name.lower().endswith((".json", *SUFFIXES)) and not first.is_dir()
            ),
            f"{shown} names {len(paths)} files, and some of them are no tars; give tars only": (
                len(paths) > 1 and not all(tars)
            ),
        }
    )
    for names_file, (label_bytes, files) in CIFAR.items():
        if (first / names_file).is_file():
            return first, [*_cifar(first, label_bytes, files)], first / names_file
    if not first.is_dir() and not all(tars):
        return first.parent, _csv(first), None
    root = first if first.is_dir() else Path(os.path.commonpath([path.parent for path in paths]))
    if first.is_dir():
        walked = [(Path(folder), names) for folder, names in walk(root, skipped)]
        paths = [folder / name for folder, names in walked for name in names]
        figures = {path for path in paths if path.name in FIGURES and plots.is_figure(path)}
        pictures = [p for p in paths if image_io.is_picture(p.name) and p not in figures]
        held = {folder for path in pictures for folder in path.parents}
        skipped += [
            (f"{folder.relative_to(root)}/", "no picture, so no class")
            for folder, _ in walked
            if folder.parent in held and folder not in held
        ]
        tops = [folder for folder, _ in walked if folder.parent == root]
        parts = {PARTS.get(folder.name.lower()) for folder in held.intersection(tops)} - {None}
        empty = [f.name for f in tops if PARTS.get(f.name.lower()) and f not in held]
        refuse({f"the folder {name}/ of {shown} has no picture": len(parts) == 1 for name in empty})
        paths = pictures or [path for path in paths if path.name.lower().endswith(TARS)]
    rows = [*_divided({path.relative_to(root).parts: path for path in paths}, skipped)]
    names_in = [place / NAMES for place in (root, root.parent) if (place / NAMES).is_file()]
    return root, rows, names_in[0] if names_in else None


def _named(shown, found, class_names, names_file):
    """(names of the classes, {label: position of its class}). found: the labels that pictures have.
    Raises UserError when the names do not fit these labels."""
    numbers = all(map(WHOLE.fullmatch, found))

    def key(label):
        is_number = numbers and WHOLE.fullmatch(label)
        # accents have two forms
        return int(re.split("[.,]", label)[0]) if is_number else unicodedata.normalize("NFC", label)

    spelled = {key(label): label for label in sorted(found, reverse=True)}  # 3 and 03 are the same
    order, listed = sorted(spelled), not isinstance(class_names, (Mapping, type(None)))
    if isinstance(class_names, Mapping):
        named = {key(str(label)): name for label, name in class_names.items()}
        by_order = numbers and not any(isinstance(k, int) for k in named)
        refuse(
            {
                f"{shown} has the class {printable(spelled[k])}, for which class_names has no name": (
                    k not in named and not by_order
                )
                for k in order
            }
        )
        class_names = [*named.values()] if by_order else [named[k] for k in order]
    odd = [label for label in sorted(found) if not WHOLE.fullmatch(label)]
    refuse(
        {
            f"{shown} has whole numbers as labels, but also {printable(label)}; mend it, because names in "
            "the order of the labels would go to other classes": listed and len(odd) < len(found)
            for label in odd[:1]
        }
        | {
            f"{shown} has a {NAMES}, which names whole numbers, but a picture has the label "
            f"{printable(label)}": class_names is None and names_file and len(odd) < len(found)
            for label in odd[:1]
        }
    )
    of_file = class_names is None and names_file and numbers
    if of_file:
        class_names = read_lines(names_file, "class names", numbered=True)
    elif class_names is None:
        class_names = [one_line(spelled[k].replace("_", " ")) for k in order]
    many, first = len(class_names), ", ".join(printable(spelled[k]) for k in order[:3])
    fits = numbers and 0 <= order[0] and order[-1] < many
    refuse(
        {
            f"class names must be texts, and one of them is {name!r:.40}": not isinstance(name, str)
            for name in class_names
        }
        | {
            f"{shown} has labels from {order[0]} to {order[-1]}, but it has names only for 0 to "
            f"{many - 1}": of_file and not fits,
            f"{shown} has labels from 1 on, and {len(order)} of them for {many} class names; if they are "
            "counted from 1, count them from 0, and else give the names as {label: name}": (
                fits and not of_file and order[0] == 1 and len(order) < many
            ),
            f"there are {many} class names for the {len(order)} classes of {shown}; give one name "
            f"for each class, in the order of {first} ...": not fits and many != len(order),
        }
    )
    texts = [] if numbers or not listed else [clean(label.replace("_", " ")) for label in order]
    refuse(
        {
            f"the class {printable(text)} of {shown} would be called {name}, which is another of "
            f"its classes; give the names in the order of {first} ..., or as {{label: name}}": (
                clean(name) != text and clean(name) in texts
            )
            for name, text in zip(class_names, texts)
        }
    )
    order = range(many) if fits else order  # some classes may have no picture
    positions = {k: position for position, k in enumerate(order)}
    return list(class_names), {label: positions[key(label)] for label in found}


def _paths(source):
    """The paths that a source names: a path names itself, and a pattern the files that match.
    Raises UserError for a path that is missing, or that is a pipe or a device."""
    paths = [source] if os.path.exists(source) else expand(os.fspath(source))
    for path in paths or [source]:
        must_exist(path, "a folder, a csv file or a .tar")
    return paths


# Each of the following functions reads one kind of source. It gives rows as Files takes them.


def _csv(path):
    header, rows = read_csv(
        path,
        ("picture paths", PICTURE_COLUMNS, None, ""),
        ("labels", ("label", "class"), None, ""),
    )
    refuse(
        {
            f"{printable(path)} has the columns label and class; leave out one of them": (
                {"label", "class"} <= {name.strip().lower() for name in header}
            )
        }
    )
    return [
        (*row, why or (None if row[1] and all(row[2]) else "no picture or no label"))
        for *row, why in rows
    ]


def _cifar(root, label_bytes, files):
    """Yield the rows of CIFAR's binary files: records of labels and three planes of 32 x 32
    pixels."""
    size = 3 * CIFAR_SIDE**2
    record = label_bytes + size
    for name, part in files.items():
        path, mark = root / name, SPLITS.index(part)
        if not path.exists():
            yield name, path, [""], mark, "there is no such file, so its pictures are missing"
            continue
        refuse(
            {
                f"{path} is not a file": not path.is_file(),
                f"{path} is cut off, or its records are not CIFAR's": (
                    not path.stat().st_size or path.stat().st_size % record
                ),
            }
        )
        labels = np.fromfile(path, np.uint8)[label_bytes - 1 :: record].tolist()
        for k, label in enumerate(labels):
            place = _Slice(path, k * record + label_bytes, size, raw=True)
            yield f"{name} {k}", place, [str(label)], mark, None


def _divided(pictures, skipped):
    """Yield the rows of pictures in folders of classes, or in tars.

    pictures: {parts of the path below the root: path}. If there are folders train and test at the
    top, the labels are the folders below these. test may also be called val. If both are there,
    test is used, and val is added to `skipped`.
    """
    part_of = {p[0]: PARTS.get(p[0].lower()) for p in pictures if len(p) > 1}
    train, test = ([top for top in part_of if part_of[top] == part] for part in ("train", "test"))
    used = [*train, min(test, key=str.lower)] if train and test else []
    below = collections.defaultdict(set)  # {a folder at the top: the folders in it}
    for top, name in (p[:2] for p in pictures if len(p) > 2):
        below[top].add(name)
    # parts that are called otherwise, such as dev or train_images, have the same classes
    alike = any(
        len(below[a] & below[b]) > 1
        for a in below
        if re.search("train|test|val", a.lower())
        for b in below
        if a != b
    )
    splits = not used and len(below) > 1 and (alike or all(map(part_of.get, below)))
    refuse(
        {
            f"the folders {' and '.join(sorted(below))} look like parts of a data set, not like "
            "classes; give the path of one of these folders": splits
        }
    )
    for p in sorted(pictures, key=lambda p: (p[:-1], p)):
        name, folders = "/".join(p), p[1:-1] if used else p[:-1]
        part = SPLITS.index(part_of[p[0]]) if p[0] in used else UNMARKED
        if used and p[0] not in used:
            skipped.append((name, f"only {' and '.join(used)} are read"))
        elif p[-1].lower().endswith(TARS):
            yield from _tar(pictures[p], f"{name}: " if len(pictures) > 1 else "", part, skipped)
        else:
            label = unicodedata.normalize("NFC", folders[0]) if folders else ""  # as `_named` does
            yield name, pictures[p], [label], part, None if folders else "no label"


def _tar(path, within, part, skipped):
    """Yield the rows of the pictures in a tar, with the labels that lie beside the pictures.

    within: a beginning for the pictures' names. The rows have the mark `part`.
    """
    # {key: (name, source)}, {(key, suffix): label}, [(key, name)] of pictures with several dots
    pictures, labels, dotted = {}, {}, []
    refuse({f"{printable(path)} is not a file": not path.is_file()})
    with open(path, "rb") as file:
        for member, problem in scan(file, path.stat().st_size):
            name = str(PurePosixPath(member.name if member else path.name)).lstrip("/")
            key, suffix = key_and_suffix(name)
            is_second = key in pictures and suffix in image_io.SUFFIXES or (key, suffix) in labels
            if problem := problem or "a second file of the same key; the first is used" * is_second:
                skipped.append((within + name, problem))
            elif suffix in (".cls", ".txt") and member.size <= MOST_TEXT_BYTES:
                file.seek(member.offset_data)
                text = file.read(member.size)
                if text.startswith(UTF_16):
                    skipped.append((within + name, "its text is in UTF-16; save it as UTF-8"))
                else:
                    labels[key, suffix] = one_line(text.decode("utf-8-sig", "windows"))
            elif suffix in image_io.SUFFIXES and not any(map(is_hidden, name.split("/"))):
                pictures[key] = name, _Slice(path, member.offset_data, member.size)
            elif image_io.is_picture(suffix) and os.path.basename(key):
                dotted.append((key, name))
    skipped += [(within + name, DOTS) for key, name in dotted if key not in pictures]
    for key, (name, source) in pictures.items():
        label = labels.get((key, ".cls")) or labels.get((key, ".txt"))
        name = within + (key if label else name)
        yield name, source, [label or ""], part, None if label else "no label"

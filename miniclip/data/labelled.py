"""Pictures with a class each, for evaluation: a folder of folders, a csv, tars, or CIFAR's binary files.

    pictures/dog/1.png  pictures/cat/7.jpg      the folder's name is the class
    filepath,label                              a csv, paths relative to it; any common separator,
                                                and perhaps a column split: train or test
    0001.jpg 0001.cls (or .txt) in a .tar       a webdataset shard: a number, or the class's name
    classnames.txt  test/0.tar  test/1.tar      CLIP_benchmark's folders of shards with numbers
    batches.meta.txt  test_batch.bin            CIFAR-10's binary version, or CIFAR-100's

Pictures for training (linear probe, few-shot) and for testing are disjoint: folders train/ and test/
(or val/), or a column split, where there are such, else halves by the hash of the path, which are the same on every
machine. Zero-shot classification trains on nothing and is tested on all of them.
A tar stays packed: its pictures are read from where they lie.
Left out: several labels a picture, and shards over a network.
"""

import collections
import io
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from miniclip.bpe.cleaning import clean
from miniclip.common import UserError, refuse
from miniclip.data import image_io
from miniclip.data.dataset import (
    BadPicture,
    Pairs,
    fingerprint,
    one_line,
    printable,
    report_skipped,
    text_hash,
)
from miniclip.data.files import (
    PICTURE_COLUMNS,
    SPLIT_COLUMN,
    SPLITS,
    find_column,
    is_hidden,
    mark,
    normal,
    read_csv,
    read_lines,
    walk,
)
from miniclip.data.shards.shards import expand
from miniclip.data.shards.tar_index import MOST_TEXT_BYTES, TARS, key_and_suffix, scan

WHOLE = re.compile(r"[-+]?\d{1,19}(\.0+)?")  # a label that is a number, as spreadsheets write it
# CLIP_benchmark's files beside its folders of shards: the names of the classes, and its templates
NAMES, TEMPLATES = "classnames.txt", "zeroshot_classification_templates.txt"
# file of the class names: (bytes of labels before each picture, of which the last is the class; files)
CIFAR = {
    "batches.meta.txt": (1, {"data_batch_*.bin": "train", "test_batch.bin": "test"}),
    "fine_label_names.txt": (2, {"train.bin": "train", "test.bin": "test"}),
}
CIFAR_SIDE = 32
PARTS = {"train": "train", **dict.fromkeys(("test", "val", "valid", "validation"), "test")}


class Labelled:
    """Pictures with labels. Fields: name; class_names; labels, {index: position in class_names};
    pictures, whose .image(i) is picture i; splits {"train", "test", "all"}: lists of indices, the
    first two disjoint; skipped [(name, reason)]; templates, those that come with the pictures.

    Raises UserError for fewer than two classes, or nothing to test on.
    """

    templates = ()

    def __init__(self, name, class_names, pictures, labels, splits, skipped=None):
        shown, only = printable(name), "none" if not class_names else f"one, {class_names[0]!r}"
        refuse(
            {
                f"{shown} needs at least two classes; it has {only}": len(class_names) < 2,
                f"{shown} has no picture to test on": not splits["all"],
            }
        )
        self.name, self.class_names, self.pictures = name, list(class_names), pictures
        self.labels, self.splits, self.skipped = labels, splits, [] if skipped is None else skipped


class _Slice(NamedTuple):
    """Where a picture lies in a larger file. raw: as the planes of CIFAR's pixels, without a header."""

    path: Path
    offset: int
    size: int
    raw: bool = False


class _Sources:
    """Pictures by number, each read when it is asked for."""

    rows = None  # as of Pairs

    def __init__(self, name, wheres, sources, skipped):
        self.name, self.wheres, self.sources, self.skipped = name, wheres, sources, skipped

    def image(self, i):
        """Picture i, RGB. Raises BadPicture, and adds what is damaged to `skipped`."""
        try:
            return image_io.read(_opened(self.sources[i]))
        except BadPicture as error:
            self.skipped += {(self.wheres[i], str(error))} - {*self.skipped}  # named once
            raise

    def stamp(self, i):
        """As of Pairs."""
        source = self.sources[i]
        path, offset = (source.path, source.offset) if isinstance(source, _Slice) else (source, 0)
        return [*fingerprint(os.path.abspath(path)), offset]


def _opened(source):
    """What image_io reads of a picture: its path, or the bytes of a file. BadPicture.

    source: a path, a _Slice, or a reason why there is no picture.
    """
    if isinstance(source, str):
        raise BadPicture(source)
    if isinstance(source, Path):
        return source
    try:
        with open(source.path, "rb") as file:
            file.seek(source.offset)
            data = file.read(source.size)
    except OSError as error:
        raise BadPicture(f"{source.path.name} cannot be read: {error.strerror}") from None
    if len(data) < source.size:
        raise BadPicture(f"{source.path.name} has become shorter than when it was opened")
    if source.raw:
        planes = np.frombuffer(data, np.uint8).reshape(3, -1)
        data = b"P6 %d %d 255\n" % (CIFAR_SIDE, CIFAR_SIDE) + planes.T.tobytes()  # as a PPM
    return io.BytesIO(data)


def of_pairs(pairs: Pairs) -> Labelled | None:
    """The classes that pairs bring themselves, or None where they bring none. For training: those of
    the training split; for testing: the held-out concepts."""
    if not pairs.class_names:
        return None
    labels = {i: pairs.label(i) for i in range(len(pairs)) if pairs.label(i) >= 0}
    train, test = (
        [i for i in pairs.splits[s] if i in labels] for s in ("train", "heldout_concepts")
    )
    splits = {"train": train, "test": test, "all": test}
    return Labelled(f"{pairs.name}, held-out concepts", pairs.class_names, pairs, labels, splits)


def open_labelled(source, class_names=None) -> Labelled:
    """A folder, a csv (filepath, label) or tars -> Labelled.

    source: a path, a pattern of tars with {0..9}, {a,b}, * and ?, or a list of paths of tars.
    class_names: what to call the classes, in the order of their labels (sorted; numbers by value),
    where a model should not be given the labels themselves; or {label: name}, which may have more
    labels than the pictures. Raises UserError, one sentence, or the OSError of a tar or folder that
    cannot be read.
    """
    sources = [source] if isinstance(source, (str, os.PathLike)) else source
    none = "labelled pictures are given by a path, or by a list of paths of tars that is not empty"
    refuse(
        {
            f"{none}, and not by {sources!r:.80}": not (
                isinstance(sources, (list, tuple)) and sources
            ),
            "class_names must be a list, in the order of the labels": isinstance(
                class_names, (str, set, frozenset)
            ),
        }
    )
    name = Path(sources[0]).name or str(sources[0])
    shown = printable(name)
    items, names_file = _items(shown, [Path(path) for one in sources for path in _paths(one)])
    good, skipped = {}, []
    for where, label, part, picture in items:  # picture: see _opened
        try:
            if not (isinstance(picture, _Slice) and picture.raw):  # there is nothing to check
                image_io.check(_opened(picture))
            refuse({"a second row of this picture; the first is used": picture in good})
            good[picture] = where, label, part, picture
        except UserError as error:
            skipped.append((where, str(error)))
    why = report_skipped(skipped) or "it holds no pictures"
    refuse({f"{shown} gives no labelled picture: {why}": not good})
    wheres, labels, parts, pictures = zip(*good.values())

    names, positions = _named(shown, {label for _, label, _, _ in items}, class_names, names_file)
    labels = {i: positions[label] for i, label in enumerate(labels)}
    divided = {*parts} >= {"train", "test"}
    if not divided:  # by the last bit of the hash's first byte
        parts = ["train" if text_hash(where) >> 56 & 1 else "test" for where in wheres]
    splits = {part: [i for i, own in enumerate(parts) if own == part] for part in PARTS.values()}
    splits["all"] = splits["test"] if divided else list(range(len(good)))
    # OpenAI's names for ImageNet have two classes of one name
    skipped += [
        (f"class {text}", "the name of two classes, of which the first is predicted")
        for text, count in collections.Counter(map(clean, names)).items()
        if count > 1
    ]
    pictures = _Sources(name, wheres, pictures, skipped)
    labelled = Labelled(name, names, pictures, labels, splits, skipped)
    if names_file and names_file.with_name(TEMPLATES).is_file():
        labelled.templates = read_lines(names_file.with_name(TEMPLATES), "templates")
    return labelled


def _items(shown, paths):
    """(items of the readers below, the file with the names of the numbered classes, or None)."""
    first, tars = paths[0], [path.name.lower().endswith(TARS) for path in paths]
    pickled = f"{shown} holds CIFAR's pickled batches; get its binary version, with .bin files"
    refuse({pickled: (first / "batches.meta").is_file()})
    for names_file, (label_bytes, files) in CIFAR.items():
        if (first / names_file).is_file():
            return _cifar(first, label_bytes, files), first / names_file
    several = f"{shown} stands for {len(paths)} files, and not all of them are .tar files"
    refuse({several: len(paths) > 1 and not all(tars)})
    if not first.is_dir() and not all(tars):
        return _csv(first), None
    root, items = _folder(first) if first.is_dir() else _tars(paths)
    names_in = [place / NAMES for place in (root, root.parent) if (place / NAMES).is_file()]
    return items, names_in[0] if names_in else None


def _named(shown, labels, class_names, names_file):
    """(what the classes are called, {label: position of its class}). UserError where names do not fit."""
    found = labels - {""}
    numbers = all(WHOLE.fullmatch(label) for label in found)
    key = (lambda label: int(label.partition(".")[0])) if numbers else str
    spelled = {key(label): label for label in sorted(found, reverse=True)}  # 3 and 03 are one
    order = sorted(spelled)
    if isinstance(class_names, dict):
        chosen = [spelled[k] for k in order] if class_names.keys() >= found else class_names
        class_names = [class_names[label] for label in chosen]
    if class_names is None and names_file and numbers:
        names = read_lines(names_file, "class names")
        nameless = next((k for k in order if not 0 <= k < len(names)), None)
        few = f"{names_file.name} of {shown} has {len(names)} names, and none for {nameless}"
        refuse({few: nameless is not None})
        order = range(len(names))  # a class may have no picture here
    elif class_names is None:
        names = [one_line(spelled[k].replace("_", " ")) for k in order]
        texts = collections.Counter(map(clean, names))
        twice = sorted((name for name in names if texts[clean(name)] > 1), key=clean)
        few = " and ".join(repr(printable(name)) for name in twice[:2])
        same = f"{shown} has two classes, {few}, which are the same text for a model"
        refuse({f"{same}; rename one of them": bool(twice)})
    else:
        names, many = list(class_names), len(class_names)
        if numbers and 0 <= order[0] and order[-1] < many:
            order = range(many)
        first = ", ".join(printable(spelled.get(k, k)) for k in order[:3])
        refuse(
            {
                f"{shown} has no label 0, and fewer labels than the {many} class names; labels are "
                "counted from 0": numbers and min(spelled) > 0 and len(spelled) < many,
                f"{many} class names for the {len(order)} classes of {shown}; write one on each line, "
                f"in the order of {first} ...": many != len(order),
            }
        )
    positions = {k: position for position, k in enumerate(order)}
    return names, {label: positions[key(label)] for label in found}


def _paths(source):
    """The paths that a source names: itself, or those of a pattern. UserError where one is missing."""
    paths = [source] if os.path.exists(source) else expand(os.fspath(source))
    gone = [path for path in paths if not (os.path.isdir(path) or os.path.isfile(path))]
    missing = printable(gone[0]) if gone else printable(source)
    sentence = f"{missing} not found; expected a folder, a csv file or a .tar"
    refuse({sentence: not paths or bool(gone)})
    return paths


# Each of the readers gives items: (name, label or "", part or None, a source for _opened)


def _csv(path):
    pictures, labels = ("picture paths", PICTURE_COLUMNS), ("labels", ("label", "class"))
    header, columns, rows = read_csv(path, (*pictures, None, ""), (*labels, None, ""))
    both = {"label", "class"} <= {name.strip().lower() for name in header}
    refuse({f"{printable(path)} has the columns label and class; leave out one of them": both})
    items, split = [], find_column(header, None, SPLIT_COLUMN)
    columns = (*columns, *([] if split is None else [split]))
    for line, row, why in rows:
        file, label, *marked = (row[c].strip() if c < len(row) else "" for c in columns)
        part = PARTS[SPLITS[mark(marked[0])]] if marked else None
        missing = "" if file and label else "no picture or no label"
        source = why or missing or Path(normal(path.parent, file))
        items.append((file or f"line {line}", "" if why or missing else label, part, source))
    return items


def _cifar(root, label_bytes, files):
    """Items of CIFAR's binary files: records of labels and of three planes of 32 x 32 pixels."""
    items, size = [], 3 * CIFAR_SIDE**2
    for pattern, part in files.items():
        for path in sorted(root.glob(pattern)):
            data = np.fromfile(path, np.uint8)
            count, rest = divmod(len(data), label_bytes + size)
            records = data[: len(data) - rest].reshape(count, -1)
            if rest:
                items.append((path.name, "", None, f"{rest:,} bytes after the last whole picture"))
            for k, label in enumerate(records[:, label_bytes - 1].tolist()):
                place = _Slice(path, k * (label_bytes + size) + label_bytes, size, raw=True)
                items.append((f"{path.name} {k}", str(label), part, place))
    return items


def _folder(root):
    """(root, items of the pictures in folders of classes, or of tars where there are no pictures)."""
    skipped = []
    paths = [Path(folder, name) for folder, names in walk(root, skipped) for name in names]
    pictures = [path for path in paths if image_io.is_picture(path.name)]
    tars = [path for path in paths if path.name.lower().endswith(TARS)]
    items = _divided({p.relative_to(root).parts: p for p in pictures or tars})
    return root, items + [(where, "", None, why) for where, why in skipped]


def _tars(paths):
    """(the folder that tars have in common, items of the tars)."""
    paths = [Path(os.path.abspath(path)) for path in paths]
    root = Path(os.path.commonpath([path.parent for path in paths]))
    return root, _divided({path.relative_to(root).parts: path for path in paths})


def _divided(pictures):
    """Items by the folders of classes, or by the tars: {parts of a path below the root: path}. Where the
    folders at the top are train and test, the labels are the folders one below.

    Raises UserError where they are train, test and others, or one of them has no folders of classes.
    Of test and val, test is used.
    """
    items, part_of = [], {p[0]: PARTS.get(p[0].lower()) for p in pictures if len(p) > 1}
    divided = {"train", "test"} <= {*part_of.values()}
    with_classes = {p[0] for p in pictures if len(p) > 2 or p[-1].lower().endswith(TARS)}
    for top in sorted(part_of):
        shown = printable(top)
        refuse(
            {
                f"{shown} stands beside folders for training and testing; move it elsewhere": (
                    divided and part_of[top] is None
                ),
                f"{shown} holds pictures, but no folders called by their classes; add such folders": (
                    divided and top not in with_classes
                ),
            }
        )
    test = min((top for top in part_of if part_of[top] == "test"), key=str.lower, default=None)
    for p in sorted(pictures, key=lambda p: (p[:-1], p)):
        part, folders = (part_of.get(p[0]), p[1:-1]) if divided else (None, p[:-1])
        if part == "test" and p[0] != test:
            items.append(("/".join(p), "", None, f"{test} is tested on instead"))
        elif p[-1].lower().endswith(TARS):
            within = "/".join(p) + ": " if len(pictures) > 1 else ""
            items += [(within + where, label, part, s) for where, label, s in _tar(pictures[p])]
        elif folders:
            items.append(("/".join(p), folders[0], part, pictures[p]))
        else:
            items.append(("/".join(p), "", None, "no label"))
    return items


def _tar(path):
    """(name, label or "", a source for _opened) by the labels beside a tar's pictures."""
    items, pictures, labels = [], {}, {}  # {key: (name, source)}, {(key, suffix): label}
    with open(path, "rb") as file:
        for member, problem in scan(file, path.stat().st_size):
            parts = member.name.split("/") if member else [path.name]
            name = "/".join(part for part in parts if part not in ("", "."))
            key, suffix = key_and_suffix(name)
            if problem:
                items.append((name, "", problem))
            elif suffix in (".cls", ".txt") and member.size <= MOST_TEXT_BYTES:
                file.seek(member.offset_data)
                label = file.read(member.size).decode("utf-8-sig", "replace").strip()
                labels.setdefault((key, suffix), label)
            elif suffix in image_io.SUFFIXES and not any(map(is_hidden, name.split("/"))):
                most = image_io.MOST_PICTURE_BYTES
                source = _Slice(path, member.offset_data, member.size)
                if member.size > most:
                    source = f"{member.size:,} bytes: more than {most >> 20} MiB"
                if pictures.setdefault(key, (name, source))[0] != name:
                    items.append((name, "", "a second picture of this label; the first is used"))
    for key, (name, source) in pictures.items():
        label = labels.get((key, ".cls")) or labels.get((key, ".txt"))
        odd = "no label" if not label else "its label is not UTF-8" if "\ufffd" in label else None
        items.append((name, "", odd) if odd else (key, label, source))
    return items

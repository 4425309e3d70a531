"""Pictures with a class each, for evaluation: a folder of folders, a csv, or a tar.

    pictures/dog/1.png  pictures/cat/7.jpg      the folder's name is the class
    filepath,label                              a csv, paths relative to it; any common separator
    0001.jpg 0001.cls (or .txt) in a .tar       a webdataset shard: a number, or the class's name

Pictures for training (linear probe, few-shot) and for testing are disjoint: folders train/ and test/
(or val/) where there are such, else halves by the hash of the path, which are the same on every
machine. Zero-shot classification trains on nothing and is tested on all of them.
A tar stays packed: its pictures are read from where they lie.
Left out: several labels a picture, and shards over a network.
"""

import collections
import io
import os
import re
from pathlib import Path

from miniclip.bpe.cleaning import clean
from miniclip.common import UserError, refuse
from miniclip.data import image_io
from miniclip.data.dataset import (
    BadPicture,
    Pairs,
    one_line,
    printable,
    report_skipped,
    text_hash,
)
from miniclip.data.files import PICTURE_COLUMNS, is_hidden, normal, read_csv, walk
from miniclip.data.shards.tar_index import MOST_TEXT_BYTES, TARS, key_and_suffix, scan

WHOLE = re.compile(r"[-+]?\d{1,19}(\.0+)?")  # a label that is a number, as spreadsheets write it
PARTS = {"train": "train", **dict.fromkeys(("test", "val", "valid", "validation"), "test")}


class Labelled:
    """Pictures with labels. Fields: name; class_names; labels, {index: position in class_names};
    pictures, whose .image(i) is picture i; splits {"train", "test", "all"}: lists of indices, the
    first two disjoint; skipped [(name, reason)].

    Raises UserError for fewer than two classes, or nothing to test on.
    """

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


class _Sources:
    """Pictures by number, each read when it is asked for."""

    rows = None  # as of Pairs

    def __init__(self, names, sources, skipped):
        self.names, self.sources, self.skipped = names, sources, skipped

    def image(self, i):
        """Picture i, RGB. Raises BadPicture, and adds what is damaged to `skipped`."""
        try:
            return image_io.read(_opened(self.sources[i]))
        except BadPicture as error:
            self.skipped += {(self.names[i], str(error))} - {*self.skipped}  # named once
            raise


def _opened(source):
    """What image_io reads of a picture: its path, or the bytes of a tar's member. BadPicture.

    source: a path, (path of a tar, offset, size), or a reason why there is no picture.
    """
    if isinstance(source, str):
        raise BadPicture(source)
    if isinstance(source, Path):
        return source
    path, offset, size = source
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise BadPicture(f"its tar cannot be read: {error.strerror}") from None
    if len(data) < size:
        raise BadPicture("its tar has become shorter than when it was opened")
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
    """A folder of folders, a csv (filepath, label) or a .tar: path -> Labelled.

    class_names: what to call the classes, in the order of their labels (sorted; numbers by value),
    where a model should not be given the labels themselves. Raises UserError, one sentence, or the
    OSError of a tar or folder that cannot be read.
    """
    path = Path(source)
    there = os.path.isdir(path) or os.path.isfile(path)
    refuse({f"{printable(path)} not found; expected a folder, a csv file or a .tar": not there})
    tar_or_csv = _tar if path.name.lower().endswith(TARS) else _csv
    name, items = path.name or str(path), (_folder if path.is_dir() else tar_or_csv)(path)
    shown = printable(name)

    good, skipped = {}, []
    for where, label, part, picture in items:  # picture: see _opened
        try:
            image_io.check(_opened(picture))
            refuse({"a second row of this picture; the first is used": picture in good})
            good[picture] = where, label, part, picture
        except UserError as error:
            skipped.append((where, str(error)))
    holds = "shards; name one .tar of them" if any(path.glob("*.tar")) else "no pictures"
    why = report_skipped(skipped) or f"it holds {holds}"
    refuse({f"{shown} gives no labelled picture: {why}": not good})
    wheres, labels, parts, pictures = zip(*good.values())

    found = {label for _, label, _, _ in items if label}
    numbers = all(WHOLE.fullmatch(label) for label in found)
    key = (lambda label: int(label.partition(".")[0])) if numbers else str
    spelled = {key(label): label for label in sorted(found, reverse=True)}  # 3 and 03 are one
    found = [spelled[number] for number in sorted(spelled)]
    if class_names is not None:
        refuse(
            {
                f"{shown} has no label 0, and fewer labels than the {len(class_names)} class names; "
                "labels are counted from 0": (
                    numbers and key(found[0]) > 0 and len(found) < len(class_names)
                )
            }
        )
        if numbers and 0 <= key(found[0]) <= key(found[-1]) < len(class_names):
            found = [str(k) for k in range(len(class_names))]  # a class may have no picture here
        counts = (
            f"{len(class_names)} class names for the {len(found)} classes of {shown}; write one on "
            f"each line, in the order of {', '.join(map(printable, found[:3]))} ..."
        )
        refuse({counts: len(class_names) != len(found)})
    position = {key(label): k for k, label in enumerate(found)}
    labels = {i: position[key(label)] for i, label in enumerate(labels)}
    divided = {*parts} >= {"train", "test"}
    if not divided:  # by the last bit of the hash's first byte
        parts = ["train" if text_hash(where) >> 56 & 1 else "test" for where in wheres]
    splits = {part: [i for i, own in enumerate(parts) if own == part] for part in PARTS.values()}
    splits["all"] = splits["test"] if divided else list(range(len(good)))
    names = class_names or [one_line(label.replace("_", " ")) for label in found]
    texts = collections.Counter(map(clean, names))
    twice = sorted((name for name in names if texts[clean(name)] > 1), key=clean)
    few = " and ".join(repr(printable(name)) for name in twice[:2])
    same = (
        f"{shown} has two classes, {few}, which are the same text for a model; rename one of them"
    )
    refuse({same: twice and class_names is None})
    # OpenAI's names for ImageNet have two such
    skipped += [
        (f"class {text}", "the name of two classes, of which the first is predicted")
        for text, count in texts.items()
        if count > 1
    ]
    pictures = _Sources(wheres, pictures, skipped)
    return Labelled(name, names, pictures, labels, splits, skipped)


# Each of the three readers gives items: (name, label or "", part or None, a source for _opened)


def _csv(path):
    pictures, labels = ("picture paths", PICTURE_COLUMNS), ("labels", ("label", "class"))
    header, columns, rows = read_csv(path, (*pictures, None, ""), (*labels, None, ""))
    both = {"label", "class"} <= {name.strip().lower() for name in header}
    refuse({f"{printable(path)} has the columns label and class; leave out one of them": both})
    items = []
    for line, row, why in rows:
        file, label = (row[c].strip() if c < len(row) else "" for c in columns)
        missing = "" if file and label else "no picture or no label"
        source = why or missing or Path(normal(path.parent, file))
        items.append((file or f"line {line}", "" if why or missing else label, None, source))
    return items


def _folder(root):
    """Items by the folders of classes. Where the folders at the top are train and test, the labels
    are the folders one below.

    Raises UserError where they are train, test and others, or one of them has no folders of classes.
    Of test and val, test is used.
    """
    skipped = []
    paths = (Path(folder, name) for folder, names in walk(root, skipped) for name in names)
    pictures = {p.relative_to(root).parts: p for p in paths if image_io.is_picture(p.name)}
    items, part_of = [], {p[0]: PARTS.get(p[0].lower()) for p in pictures if len(p) > 1}
    divided = {"train", "test"} <= {*part_of.values()}
    with_classes = {p[0] for p in pictures if len(p) > 2}
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
        elif folders:
            items.append(("/".join(p), folders[0], part, pictures[p]))
        else:
            items.append(("/".join(p), "", None, "no label"))
    return items + [(where, "", None, why) for where, why in skipped]


def _tar(path):
    """Items by the labels beside a tar's pictures."""
    items, pictures, labels = [], {}, {}  # {name: source}, {(key, suffix): label}
    with open(path, "rb") as file:
        for member, problem in scan(file, path.stat().st_size):
            if member is None:
                items.append((path.name, "", None, problem))
                continue
            name = "/".join(part for part in member.name.split("/") if part not in ("", "."))
            key, suffix = key_and_suffix(name)
            if problem:
                items.append((name, "", None, problem))
            elif suffix in (".cls", ".txt") and member.size <= MOST_TEXT_BYTES:
                file.seek(member.offset_data)
                label = file.read(member.size).decode("utf-8-sig", "replace").strip()
                if labels.setdefault((key, suffix), label) != label:
                    items.append((name, "", None, "a second label; the first is used"))
            elif image_io.is_picture(name) and not any(map(is_hidden, name.split("/"))):
                too_large = (
                    f"{member.size:,} bytes: more than {image_io.MOST_PICTURE_BYTES >> 20} MiB"
                )
                source = (path, member.offset_data, member.size)
                pictures[name] = source if member.size <= image_io.MOST_PICTURE_BYTES else too_large
    labelled = {}  # {key: item}
    for name, source in pictures.items():
        key, suffix = key_and_suffix(name)
        label = labels.get((key, ".cls")) or labels.get((key, ".txt"))
        if label and suffix in image_io.SUFFIXES:
            not_text = (key, "", None, "its label is not UTF-8")
            item = not_text if "\ufffd" in label else (key, label, None, source)
            if labelled.setdefault(key, item) is not item:
                items.append((name, "", None, "a second picture of this label; the first is used"))
    rest = [name for name in pictures if key_and_suffix(name)[0] not in labelled]
    return [*items, *labelled.values(), *((name, "", None, "no label") for name in rest)]

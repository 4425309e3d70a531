"""Pictures with a class each, to examine a model on: a folder of folders, a csv, a tar of webdataset.

    pictures/dog/1.png  pictures/cat/7.jpg      the folder's name is the class
    filepath,label                              a csv, paths relative to it; any common separator
    0001.jpg 0001.cls (or .txt) in a .tar       a webdataset shard: a number, or the class's name
    dog/1.png cat/7.jpg in a .tar               without labels beside them: as in a folder

What is for learning from (probes, shots) and what for testing is kept apart: by folders train/ and
test/ (or val/) where there are such, else half and half by the hash of the path, so the same on every
machine. Zero-shot learns from nothing and is asked about everything.
A tar stays packed: its pictures are read from where they lie.
Left out: several labels a picture, and shards over a network.
"""

import csv
import hashlib
import io
import os
import posixpath
from pathlib import Path

from miniclip.common import UserError
from miniclip.data import image_io
from miniclip.data.dataset import BadPicture, printable, report_skipped
from miniclip.data.shards.index import MOST_PICTURE_BYTES, MOST_TEXT_BYTES
from miniclip.data.shards.tar import scan

PARTS = {"train": "train", "test": "test", "val": "test", "validation": "test"}


class Labelled:
    """Pictures with labels. Fields: name; class_names; labels, {index: position in class_names};
    pictures, what .image(i) is asked of; splits {"train", "test", "all"}: lists of indices, the
    first two disjoint; skipped [(name, reason)].

    Raises UserError for fewer than two classes, or nothing to test on.
    """

    def __init__(self, name, class_names, pictures, labels, splits, skipped=()):
        if len(class_names) < 2:
            only = f"one, {class_names[0]!r}" if class_names else "none"
            raise UserError(f"{printable(name)} needs at least two classes; it has {only}")
        if not splits["all"]:
            raise UserError(f"{printable(name)} has no picture to be asked about")
        self.name, self.class_names, self.pictures = name, list(class_names), pictures
        self.labels, self.splits, self.skipped = labels, splits, list(skipped)


class _Opened:
    """Pictures by number, each opened by a function when asked for."""

    def __init__(self, openers):
        self.openers = openers

    def image(self, i):
        """Picture i, RGB. Raises BadPicture."""
        return self.openers[i]()


def of_pairs(pairs):
    """The classes that pairs bring themselves, or None: what a model trained on is to learn from,
    and of what was held out, the concepts are to be tested on."""
    names = getattr(pairs, "class_names", ())
    if not names:
        return None
    labels = {i: pairs.label(i) for i in range(len(pairs)) if pairs.label(i) >= 0}
    train = [i for i in pairs.splits["train"] if i in labels]
    test = [i for i in pairs.splits["heldout_concepts"] if i in labels]
    splits = {"train": train, "test": test, "all": test}
    return Labelled(f"{pairs.name}, held-out concepts", names, pairs, labels, splits)


def open_labelled(source, class_names=None):
    """A folder of folders, a csv (filepath, label) or a .tar: path -> Labelled.

    class_names: what to call the classes, in the order of their labels (sorted; numbers by value),
    when the labels themselves are not to be read to the model. Raises UserError, one sentence.
    """
    path = Path(source)
    if path.is_dir():
        items = _folder(path)
    elif path.suffix == ".tar" and path.is_file():
        items = _tar(path)
    elif path.is_file():
        items = _csv(path)
    else:
        raise UserError(f"{printable(path)} is no folder, csv or tar of labelled pictures")
    return _sorted_out(path.name or str(path), items, class_names)


def _sorted_out(name, items, class_names):
    """[(where, label or "", part or None, opener or a reason)] -> Labelled."""
    good = [item for item in items if callable(item[3])]
    skipped = [(where, reason) for where, _, _, reason in items if isinstance(reason, str)]
    if not good:
        why = report_skipped(skipped) or "it is empty"
        raise UserError(f"{printable(name)} gives no labelled picture: {why}")
    found = {label for _, label, _, _ in items if label}
    numbers = all(label.isdecimal() and len(label) < 20 for label in found)
    found = sorted(found, key=int if numbers else str)
    if class_names is not None:
        if numbers and int(found[-1]) < len(class_names):
            found = [str(k) for k in range(len(class_names))]  # a class may have no picture here
        if len(class_names) != len(found):
            raise UserError(
                f"{len(class_names)} class names for the {len(found)} classes of {printable(name)}; "
                f"give one a line, in the order of {', '.join(map(printable, found[:3]))} ..."
            )
    position = {int(label) if numbers else label: k for k, label in enumerate(found)}
    labels = {i: position[int(g[1]) if numbers else g[1]] for i, g in enumerate(good)}
    splits = {"train": [], "test": []}
    divided = {g[2] for g in good} >= {"train", "test"}
    for i, (where, _, part, _) in enumerate(good):
        splits[part if divided else _half(where)].append(i)
    splits["all"] = splits["test"] if divided else list(range(len(good)))
    names = class_names or [label.replace("_", " ") for label in found]
    return Labelled(name, names, _Opened([g[3] for g in good]), labels, splits, skipped)


def _half(where):
    digest = hashlib.sha256(where.encode("utf-8", "surrogatepass")).digest()
    return "train" if digest[0] % 2 else "test"


def _item(source, where, label, part=None):
    """source: a path, or (tar, offset, size)."""

    def opened():
        return _member(*source) if isinstance(source, tuple) else source

    try:
        image_io.check(opened())
    except BadPicture as error:
        return where, label, part, str(error)
    return where, label, part, lambda: image_io.read(opened())


def _divided(folders):
    """Whether the names of the folders at the top are train and test: then they are no classes."""
    return {PARTS.get(name) for name in folders if name[:1] != "."} == {"train", "test"}


def _folder(root):
    items = []
    children = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    divided = _divided(p.name for p in children)
    tops = [(PARTS[p.name], p) for p in children] if divided else [(None, root)]
    for part, top in tops:
        for folder, subfolders, names in os.walk(top):
            subfolders.sort()
            below = Path(folder).relative_to(top).parts
            for name in sorted(names) if below else ():
                path = Path(folder, name)
                if path.suffix.lower() in image_io.SUFFIXES:
                    items.append(_item(path, path.relative_to(root).as_posix(), below[0], part))
    return items


def _csv(path):
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        rows = csv.DictReader(io.StringIO(text), delimiter=max(",\t;|", key=first.count))
        columns = [c for c in rows.fieldnames or [] if c]
        where = next((c for c in columns if c.strip().lower() in ("filepath", "path")), None)
        label = next((c for c in columns if c.strip().lower() in ("label", "class")), None)
        if where is None or label is None:
            raise UserError(
                f"{printable(path.name)} needs the columns filepath and label; it has "
                f"{', '.join(map(printable, columns)) or 'none'}"
            )
        rows = [((r[where] or "").strip(), (r[label] or "").strip()) for r in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{printable(path.name)} cannot be read as a csv: {error}") from None
    return [_item(path.parent / file, file, label) for file, label in rows if file and label]


def _tar(path):
    """Items by the labels beside a tar's pictures; where no picture has one, by its folders."""
    items, pictures, labels = [], {}, {}  # {name: (tar, offset, size)}, {(key, suffix): label}
    try:
        with open(path, "rb") as file:
            for name, offset, size, problem in scan(file, path.stat().st_size):
                name = "/".join(part for part in name.split("/") if part not in ("", "."))
                key, suffix = _key(name)
                if problem:
                    items.append((name or path.name, "", None, problem))
                elif suffix in (".cls", ".txt") and size <= MOST_TEXT_BYTES:
                    file.seek(offset)
                    labels[key, suffix] = file.read(size).decode("utf-8", "replace").strip()
                elif posixpath.splitext(name)[1].lower() in image_io.SUFFIXES:
                    pictures[name] = (path, offset, size)
    except OSError as error:
        raise UserError(f"{printable(path.name)} cannot be read: {error.strerror}") from None
    said = {}  # {key: (source, label)}
    for name, source in pictures.items():
        key, suffix = _key(name)
        label = labels.get((key, ".cls")) or labels.get((key, ".txt"))
        if label and suffix in image_io.SUFFIXES:
            said.setdefault(key, (source, label))
    if not said:
        return items + _folder_in_tar(pictures)
    items += [_item(source, key, label) for key, (source, label) in said.items()]
    return items + [(n, "", None, "no label") for n in pictures if _key(n)[0] not in said]


def _folder_in_tar(pictures):
    """{name: (tar, offset, size)} -> items, those of _folder in its order.

    Folders that hold all there is ("pets" of pets/dog/1.png) are passed over.
    """
    parts = {name: tuple(name.split("/")) for name in pictures}
    outer = len(os.path.commonprefix([p[:-2] for p in parts.values()]))
    below = {name: p[outer:] for name, p in parts.items()}
    divided = _divided({p[0] for p in below.values() if len(p) > 1})
    items = []
    for name, p in sorted(below.items(), key=lambda item: (item[1][:-1], item[1])):
        part, folders = (PARTS.get(p[0]), p[1:-1]) if divided else (None, p[:-1])
        if folders and divided == bool(part):
            items.append(_item(pictures[name], "/".join(p), folders[0], part))
        else:
            items.append((name, "", None, "no label"))
    return items


def _key(name):
    """'a/0012.JPG' -> ('a/0012', '.jpg'): a key ends at the first dot of the last part."""
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    return folder + slash + stem, dot + suffix.lower()


def _member(path, offset, size):
    """The bytes of a tar's member, as a BytesIO. Raises BadPicture."""
    if size > MOST_PICTURE_BYTES:
        raise BadPicture(f"{size:,} bytes: more than {MOST_PICTURE_BYTES >> 20} MiB")
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise BadPicture(f"its tar cannot be read: {error.strerror}") from None
    if len(data) < size:
        raise BadPicture("its tar has become shorter than when it was opened")
    return io.BytesIO(data)

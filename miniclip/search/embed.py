"""Pictures to features, and features to a file: python -m miniclip.search embed IN OUT.npz

IN can be one of these, and OUT.npz then has these arrays:

    photos/              all pictures in the folder and below it: "names" (paths), "features"
    sentences.txt        one sentence per line: "names" (the sentences), "features"
    pairs.csv, shards    the pictures: "names", "features"; their captions: "captions",
                         "caption_features", "caption_rows" (the row of the caption's picture)

Features are rows of length one in float32, (N, E). Names are unicode strings. numpy.load reads the
file without pickle. The dot product of a picture's and a text's features is the cosine from which
CLIP's score is made.
Pictures are read in threads while the model encodes (data/threads.py). Left out: features before
the projection, files larger than memory, and decoding a JPEG at a reduced size, which would change
its features.
"""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from miniclip.bpe.cleaning import has_words
from miniclip.common import (
    UserError,
    check_new,
    checked,
    command,
    number,
    path,
    pick_device,
    refuse,
    replacing,
)
from miniclip.data import BUILT_IN, SOURCE_FLAGS, image_io, open_pairs
from miniclip.data.dataset import Pairs, print_skipped, printable
from miniclip.data.files import (
    CAPTION_COLUMNS,
    PICTURE_COLUMNS,
    SEPARATORS,
    find_column,
    read_lines,
    walk,
)
from miniclip.data.shards.shards import is_shards
from miniclip.evaluation.features import model_digest
from miniclip.search.database import OURS, followed
from miniclip.weights import load, reading
from miniclip.zeroshot import encode_all, encode_texts

MOST_BYTES = 1 << 30  # of an array of strings, in which each row takes as much as the longest
MODEL = {  # options, as Parser.of takes them
    "--checkpoint": dict(
        type=path(str),
        help="the model: a run's checkpoint, a file of weights, or a name (icons, web)",
    ),
    "--activation": dict(
        choices=("gelu", "quickgelu"), help="activation function, if the weights do not name one"
    ),
}
MACHINE = {
    "--device": dict(default="auto", help="auto, cpu, cuda, cuda:1, mps"),
    "--threads": dict(
        type=number(int, low=1, high=1024), help="CPU threads for torch and for reading pictures"
    ),
}
OPTIONS = {
    "data": dict(
        metavar="IN",
        type=path(str),
        help="a folder of pictures, pairs.csv, shards, or sentences.txt",
    ),
    "out": dict(metavar="OUT.npz", type=path(), help="file to write"),
    "--checkpoint": MODEL["--checkpoint"] | {"required": True},
    "--activation": MODEL["--activation"],
    "--overwrite": dict(action="store_true", help="replace OUT.npz"),
    **MACHINE,
    **SOURCE_FLAGS,
}


class Encoder(NamedTuple):
    """A loaded model, and what an index records about it."""

    model: torch.nn.Module  # a CLIP, or another model of miniclip.objectives
    tokenizer: Callable  # a miniclip.bpe.Tokenizer
    preprocess: Callable  # a PIL picture to (3, S, S), transforms.evaluation
    file: str  # the absolute path of its file, or the name of a packaged model

    @property
    def digest(self) -> str:
        """The SHA-256 of the model as it is now, because it may be trained after it was loaded."""
        return model_digest(self.model)


@checked
def open_encoder(
    checkpoint: str | Path,
    activation: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Encoder:
    """Load a model by its path or its name. threads: the number of torch's threads, or None to let
    torch choose.

    Raises UserError if the model cannot be loaded, or has no space that pictures and texts share.
    """
    refuse(
        {
            f"threads must be 1 to 1024, not {threads}": (
                threads is not None and not 1 <= threads <= 1024
            )
        }
    )
    if threads:
        torch.set_num_threads(threads)
    model, tokenizer, preprocess = load(checkpoint, pick_device(device), activation)
    refuse(
        {
            f"{checkpoint} was trained with --objective {model.objective}, which has no space that "
            "pictures and texts share; search and embed need one": not model.shared_space
        }
    )
    file = reading.find(checkpoint)
    file = file.stem if file.parent == reading.RELEASED else os.path.abspath(followed(file))
    return Encoder(model, tokenizer, preprocess, file)


def stamp(status: os.stat_result) -> tuple[int, int]:
    """(bytes, nanoseconds of the last change) of a file. SQLite's whole numbers have 64 bits."""
    return status.st_size, min(max(status.st_mtime_ns, -(2**63)), 2**63 - 1)


def scan(folder: str) -> tuple[dict, list]:
    """Find the pictures in a folder and below it, by their names. Returns (found, skipped).

    found: {relative path with /: its stamp}, sorted. skipped:
    [(relative path, reason)] of the other files. Raises UserError if `folder` cannot be listed.
    """
    found, skipped = {}, []
    for where, names in walk(folder, skipped):
        prefix = os.path.relpath(where, folder).replace(os.sep, "/") + "/"
        for name in sorted({*names} - {*OURS}):
            path = (prefix + name).removeprefix("./")
            try:
                status = os.stat(os.path.join(where, name))
                refuse(
                    {
                        "not a picture by its name": not image_io.is_picture(path),
                        "not a file": not stat.S_ISREG(status.st_mode),
                    }
                )
                found[path] = stamp(status)
            except (OSError, UserError) as error:
                skipped.append((path, getattr(error, "strerror", str(error)).lower()))
    return dict(sorted(found.items())), skipped


@checked
def embed_pairs(encoder: Encoder, pairs: Pairs) -> tuple[dict, list]:
    """Encode pairs. Returns (arrays, skipped): the arrays that are listed at the top of this file,
    by their names, and [(name, reason)] of what was left out."""
    indices = range(len(pairs))
    check_sentences(encoder, [caption for i in indices for caption in pairs.captions(i)])
    kept, features, bad = encode_all(encoder.model, pairs.image, indices)
    captions = [caption for i in kept for caption in pairs.captions(i)]
    return {
        "names": [pairs.where(i) for i in kept],
        "features": features,
        "captions": captions,
        "caption_features": encode_texts(encoder.model, encoder.tokenizer, captions),
        "caption_rows": [row for row, i in enumerate(kept) for _ in pairs.captions(i)],
    }, [*pairs.skipped, *((pairs.where(i), reason) for i, reason in bad)]


def check_sentences(encoder: Encoder, sentences: list[str]) -> None:
    """Print how many sentences are cut because they are longer than the context. Raises UserError

    - if numpy's array of these sentences would take more than MOST_BYTES;
    - if a sentence has a NUL, because numpy drops a NUL at the end of a string;
    - if a sentence has a tab, because it may be a row of a table;
    - if a sentence has no words, but only characters that cannot be seen.
    """
    lengths = [len(encoder.tokenizer.encode(sentence)) for sentence in sentences]
    longest = max(sentences, key=len, default="")
    size = 4 * len(longest) * len(sentences)  # a character takes four bytes
    wrong = {
        f"has {len(longest):,} characters. In the file each of the {len(sentences):,} sentences takes as "
        f"much room as the longest, {size / 2**30:,.1f} GiB together; shorten it, or divide the list": [
            longest
        ]
        * (size > MOST_BYTES),
        "has the character NUL; leave it out": [s for s in sentences if "\0" in s],
        "has a tab, as the rows of a table have; leave only the sentence in its line": [
            s for s in sentences if "\t" in s
        ],
        "has no words; leave it out": [s for s in sentences if not has_words(s)],
    }
    refuse(
        {
            f'the sentence "{printable(sentence, 40)}" {why}': True
            for why, those in wrong.items()
            for sentence in those[:1]
        }
    )
    context = encoder.model.config["context_length"]
    cut = sum(length + 2 > context for length in lengths)
    if cut:
        print(
            f"{cut:,} of {len(sentences):,} sentences have more than {context} tokens, and are cut"
        )


def check_is_no_table(path: str, line: str) -> None:
    """Raise UserError if a text file holds no sentences, but a csv of pictures, or a list of their
    files, because the names of pictures would be encoded as sentences. line: its first line."""
    rows = [[line], *map(line.split, SEPARATORS)]
    names = [field.strip() for row in rows for field in row if image_io.is_picture(field.strip())]
    columns = [
        (find_column(r, None, PICTURE_COLUMNS), find_column(r, None, CAPTION_COLUMNS)) for r in rows
    ]
    refuse(
        {
            f"{printable(path)} names pictures, so it is no list of sentences; give the folder of "
            "the pictures, or for a csv also --caption-column or --columns": (
                any(None not in pair for pair in columns)
                # Flickr8k.token.txt: the name of a picture, #, a number, a tab, a caption
                or ("\t" in line and image_io.is_picture(re.split("[#\t]", line)[0]))
                or any(map(os.path.isfile, names))
                or any(os.path.isfile(os.path.join(os.path.dirname(path), name)) for name in names)
            )
        }
    )


@command(
    "python -m miniclip.search embed",
    "Write the features of pictures, of pairs or of sentences to a file.",
    OPTIONS,
)
def main(data, out, checkpoint, activation, overwrite, device, threads, **options):
    """The command: write the features, and say what is in the file. options: SOURCE_FLAGS."""
    refuse(
        {
            f"{printable(out)} must be a name with .npz at its end, such as features.npz": out.suffix
            != ".npz",
            f"{printable(data)} is a picture; give the folder that it is in": (
                image_io.is_picture(data) and os.path.isfile(data)
            ),
            f"{printable(out)} is an input of this command; choose another name": (
                os.path.realpath(out) in (os.path.realpath(data), os.path.realpath(checkpoint))
            ),
            f"{printable(out)} leads to a picture or an index; choose another name": (
                image_io.is_picture(os.path.realpath(out))
                or os.path.basename(os.path.realpath(out)) in OURS
            ),
        }
    )
    check_new(out, overwrite)
    options = {name: value for name, value in options.items() if value is not None}
    encoder = open_encoder(checkpoint, activation, device, threads)
    if data.lower().endswith(".txt") and not (options or os.path.isdir(data)):
        names, skipped = read_lines(data, "sentences"), []
        check_is_no_table(data, names[0])
        check_sentences(encoder, names)
        features = encode_texts(encoder.model, encoder.tokenizer, names)
        arrays = {"names": names, "features": features}
    elif os.path.isdir(data) and not (data in BUILT_IN or is_shards(data) or options):
        found, skipped = scan(data)
        names, features, bad = encode_all(
            encoder.model, lambda name: image_io.read(os.path.join(data, name)), [*found]
        )
        arrays, skipped = {"names": names, "features": features}, skipped + bad
    else:
        arrays, skipped = embed_pairs(encoder, open_pairs(data, **options))
    refuse({f"{printable(data)} has no picture that can be read": not arrays["names"]})
    with replacing(out, overwrite=overwrite) as file:
        np.savez(file, **{name: np.asarray(x) for name, x in arrays.items()})
    shapes = ", ".join(f"{name} {tuple(np.shape(values))}" for name, values in arrays.items())
    print(f"{printable(out)}: {shapes}")
    print_skipped(skipped)

"""Features to a file, CLIP as a feature extractor: python -m miniclip.search embed IN OUT.npz

    photos/              every picture in the folder and below: "names" (paths), "features"
    sentences.txt        a sentence a line: "names" (the sentences), "features"
    pairs.csv, shards    "names", "features" of the pictures, and of their captions "captions",
                         "caption_features" and "caption_rows", the row of each one's picture

Features are unit rows in float32, (N, E); names are unicode strings; numpy.load reads all of it without
pickle. With pairs the dot products of the two are what CLIP's score between a text and a picture is
made of. Left out: features before the projection, and files larger than memory.
"""

import contextlib
import os
import time
import zipfile

import numpy as np
import torch

from miniclip.common import UserError, check_output, command, path, replacing
from miniclip.data import add_source_options, open_pairs, report_skipped, source_options
from miniclip.data.dataset import printable
from miniclip.data.shards.shards import Shards, is_shards
from miniclip.evaluation.retrieval import Gallery
from miniclip.search.build import count_skipped, read_from, scan
from miniclip.search.encode import MACHINE, MODEL, encode_pictures, open_encoder, parser_of
from miniclip.search.index import DAMAGED
from miniclip.zeroshot import encode_texts, read_lines

LONGEST = (
    4096  # characters of a sentence: in an array of strings each row takes what the longest does
)
MARK = "miniclip"  # an array of this name says who wrote the file
OPTIONS = {
    "data": dict(
        metavar="IN",
        type=path(str),
        help="a folder of pictures, pairs.csv, shards, or sentences.txt",
    ),
    "out": dict(metavar="OUT.npz", type=path(), help="to write"),
    "--checkpoint": MODEL["--checkpoint"] | {"required": True},
    "--activation": MODEL["--activation"],
    "--overwrite": dict(action="store_true", help="replace OUT.npz whoever wrote it"),
    **MACHINE,
}


def embed_pictures(encoder, read, items, threads=None):
    """All of read(item): (features (K, E) fp32, the K items kept, [(item, reason)]); see
    encode_pictures."""
    kept, features, skipped = [], [torch.zeros(0, encoder.model.config["embed_dim"])], []
    for good, encoded, bad in encode_pictures(encoder, read, items, threads):
        kept += good
        features.append(encoded)
        skipped += bad
    return torch.cat(features), kept, skipped


def embed_folder(encoder, folder):
    """({"names", "features"} of the pictures of a folder, [(name, reason)] of what was skipped)."""
    found, skipped = scan(folder)
    features, names, bad = embed_pictures(encoder, read_from(folder), list(found))
    return {"names": names, "features": features}, skipped + bad


def embed_pairs(encoder, pairs):
    """({"names", "features", "captions", "caption_features", "caption_rows"}, [(name, reason)])."""
    skipped = list(pairs.skipped)
    check_sentences(caption for i in range(len(pairs)) for caption in pairs.captions(i))

    def pictures(pairs, indices):
        # a shard's files are opened and closed by one thread
        threads = 1 if isinstance(pairs, Shards) else None
        features, kept, bad = embed_pictures(encoder, pairs.image, indices, threads)
        skipped.extend((pairs.where(i), reason) for i, reason in bad)
        return features, kept

    gallery = Gallery(encoder.model, encoder.tokenizer, pairs, range(len(pairs)), pictures)
    return {
        "names": [pairs.where(i) for i in gallery.kept],
        "features": gallery.pictures,
        "captions": gallery.captions,
        "caption_features": gallery.texts,
        "caption_rows": gallery.owner,
    }, skipped


def check_sentences(sentences):
    """Raise UserError for a sentence of which an array of strings would make too much, or would lose
    the end."""
    for sentence in sentences:
        if len(sentence) > LONGEST or "\0" in sentence:
            raise UserError(
                f"the sentence {printable(sentence, 40)!r} has more than {LONGEST:,} characters, or "
                "the character NUL; shorten it, or leave it out"
            )


def is_ours(path):
    """Whether this command wrote a file."""
    with contextlib.suppress(*DAMAGED), zipfile.ZipFile(path) as archive:
        return f"{MARK}.npy" in archive.namelist()
    return False


@command("python -m miniclip.search embed")
def main(argv=None):
    """The command: write the features, and say what is in the file. Returns the exit code."""
    what = "Write the features of pictures, of pairs or of sentences to a file."
    parser = parser_of("embed", what, OPTIONS)
    add_source_options(parser)
    args, skipped = parser.parse_args(argv), []
    if args.out.suffix != ".npz":
        raise UserError(f"{printable(args.out)} must end in .npz")
    check_output(args.out, is_ours, args.overwrite)
    options = source_options(vars(args))
    pairs_options = any(value is not None for value in options.values())
    encoder, began = open_encoder(args.checkpoint, args, args.activation), time.monotonic()
    if args.data.lower().endswith(".txt") and not (pairs_options or os.path.isdir(args.data)):
        names = read_lines(args.data, "sentences")
        check_sentences(names)
        features = encode_texts(encoder.model, encoder.tokenizer, names)
        arrays = {"names": names, "features": features}
    elif os.path.isdir(args.data) and not is_shards(args.data) and not pairs_options:
        arrays, skipped = embed_folder(encoder, args.data)
    else:
        arrays, skipped = embed_pairs(encoder, open_pairs(args.data, **options))
    seconds = time.monotonic() - began
    if not len(arrays["names"]):
        raise UserError(f"{printable(args.data)} has no picture that can be read")
    with replacing(args.out) as file:
        np.savez(file, **{MARK: 1}, **{name: np.asarray(x) for name, x in arrays.items()})
    shapes = ", ".join(f"{name} {tuple(np.shape(values))}" for name, values in arrays.items())
    print(f"{printable(args.out)}: {shapes}, in {seconds:.1f} s")
    if skipped:
        print(f"skipped: {count_skipped(skipped)}; {report_skipped(skipped)}")
    return 0

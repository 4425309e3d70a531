"""Find pictures by words, by a picture, or by both: python -m miniclip.search find

A query is a unit vector: the sum of the unit features of the text and of the picture, minus MINUS
times those of the text to avoid. It is compared with every picture of the index. The model is the one
that the index was made with, read from the same file unless another is named; it is refused if its
weights differ.
"""

import os
import sys
import time
from pathlib import Path

from PIL import Image
from torch.nn import functional as F

from miniclip.common import Parser, UserError, command, number
from miniclip.data import image_io
from miniclip.data.dataset import BadPicture, printable
from miniclip.search.encode import add_options, open_encoder
from miniclip.search.index import Index, place_of
from miniclip.weights import files
from miniclip.zeroshot import encode_tensors, encode_texts

THUMBNAIL = 256  # pixels
# tried 1, with the model icons: of "heart" minus "black" the first five were four squares and a heart
MINUS = 0.5


def place_of_search(args):
    """Where the index lies, by the options DIR and --index. Raises UserError when both are given."""
    if args.index and args.folder is not None:
        raise UserError("give DIR or --index, not both: an index knows the folder of its pictures")
    return place_of(args.folder or ".", args.index)


def open_search(place, args):
    """The index in the folder `place` and its model: (Index, Encoder).

    args: of add_search_options. Raises UserError when there is no index, or when its model is no
    longer there or has other weights.
    """
    index = Index.open(place)
    if not (args.checkpoint or files.find(index.file).exists()):
        raise UserError(
            f"the model of this index is no longer in {printable(index.file)}; give --checkpoint"
        )
    encoder = open_encoder(args.checkpoint or index.file, args, index.activation)
    index.must_be_of(encoder.digest, encoder.file, place)
    return index, encoder


def query(encoder, text="", image=None, minus=""):
    """The unit features of a query, (E,) fp32: text + image - MINUS * minus, of those given.

    text, minus: str, blank for none; image: a PIL picture or None. Raises UserError when there is
    nothing to look for.
    """
    text, minus = text.strip(), minus.strip()
    if not text and image is None:
        raise UserError("the query is empty: give a text, --image, or both")
    total = 0
    for sentence, sign in ((text, 1), (minus, -MINUS)):
        if sentence:
            total = total + sign * encode_texts(encoder.model, encoder.tokenizer, [sentence])[0]
    if image is not None:
        total = total + encode_tensors(encoder.model, [encoder.preprocess(image)[None]])[0]
    return F.normalize(total, dim=0)


def thumbnail(path):
    """A picture of at most THUMBNAIL pixels a side, PIL, mode RGB. Raises BadPicture."""
    image = image_io.read(path, THUMBNAIL).copy()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return image


def draw(found, path):
    """The pictures found, as a PNG: found [(path, cosine)]. One that is gone is left white.

    Raises UserError when it cannot be written.
    """
    from miniclip.evaluation.report import plots  # here: matplotlib takes a second to import

    rows = []
    for picture, cosine in found:
        try:
            image = thumbnail(picture)
        except BadPicture:
            image = Image.new("RGB", (1, 1), "white")
        name = printable(picture.name, 22)
        rows.append((image, [(f"{cosine:.3f}", True), (name, False)]))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        plots.draw_answers(rows, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{printable(path)} cannot be written: {reason}") from None


def add_search_options(parser):
    """Add the options of a command that opens an index: --index, --checkpoint, --device, --threads."""
    parser.add_argument("--index", metavar="PATH", help="folder of the index (DIR/.miniclip)")
    parser.add_argument("--checkpoint", help="the index's model, if it is now in another file")
    add_options(parser)


@command("python -m miniclip.search find")
def main(argv=None):
    """The command: print the nearest pictures, and draw them. Returns the exit code."""
    began = time.monotonic()
    parser = Parser(
        prog="python -m miniclip.search find",
        description="Find the pictures of an index that are nearest to a text or a picture.",
    )
    parser.add_argument("text", nargs="?", default="", metavar="TEXT", help="what to look for")
    parser.add_argument("folder", nargs="?", metavar="DIR", help="that was indexed (this one)")
    parser.add_argument("--image", metavar="FILE", help="like this picture (a text is added to it)")
    parser.add_argument("--minus", default="", metavar="TEXT", help="what to avoid")
    parser.add_argument("-k", type=number(int, low=1), default=10, help="how many (10)")
    parser.add_argument("--grid", type=Path, metavar="FILE", help="draw them into this .png")
    add_search_options(parser)
    args = parser.parse_args(argv)
    if args.image and args.folder is None and os.path.isdir(args.text):  # --image FILE DIR
        args.text, args.folder = "", args.text
    place, image = place_of_search(args), None
    if args.image:
        try:
            image = image_io.read(args.image)
        except BadPicture as error:
            raise UserError(f"--image {printable(args.image)}: {error}") from None
    if not (args.text.strip() or image):
        raise UserError("the query is empty: give a text, --image, or both")
    index, encoder = open_search(place, args)
    if args.text or args.minus:
        encoder.tokenizer([""], trim=True)  # what it makes at its first call belongs to loading
    loaded = time.monotonic()
    cosines, rows = index.find(query(encoder, args.text, image, args.minus), args.k)
    seconds = time.monotonic() - loaded
    found = [(index.path(row), cosine) for row, cosine in zip(rows.tolist(), cosines.tolist())]
    for rank, (path, cosine) in enumerate(found, 1):
        print(f"{rank:3d}  {cosine:.3f}  {printable(path, 1000)}")
    print(f"{len(index):,} pictures: loading {loaded - began:.2f} s, query {seconds:.3f} s")
    if not index.finished:
        print("the index is not finished: run python -m miniclip.search index again")
    if args.grid:
        draw(found, args.grid)
        print(f"drawn in {printable(args.grid, 1000)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

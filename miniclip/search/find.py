"""Find pictures by words, by a picture, or by both: python -m miniclip.search find

A query is a unit vector: the sum of the unit features of the text and of the picture, minus MINUS
times those of the text to avoid. It is compared with every picture of the index. The model is the one
that the index was made with, read from the same file unless another is named; it is refused if its
weights differ.
"""

import os
import time
from pathlib import Path

from PIL import Image
from torch.nn import functional as F

from miniclip import plots
from miniclip.common import UserError, check_output, command, number, path
from miniclip.data import image_io
from miniclip.data.dataset import BadPicture, printable
from miniclip.search.encode import MACHINE, open_encoder, parser_of
from miniclip.search.index import Index, place_of
from miniclip.zeroshot import encode_tensors, encode_texts

THUMBNAIL = 256  # pixels
# tried 1, with the model icons: of "heart" minus "black" the first five were four squares and a heart
MINUS = 0.5
UNFINISHED = "the index is not finished: run python -m miniclip.search index again"
SEARCH = {  # options of a command that opens an index
    "folder": dict(nargs="?", metavar="DIR", type=path(), help="that was indexed (this one)"),
    "--index": dict(type=path(), metavar="PATH", help="folder of the index (DIR/.miniclip)"),
    "--checkpoint": dict(type=path(str), help="the index's model, if it is now in another file"),
    **MACHINE,
}
OPTIONS = {
    "text": dict(nargs="?", default="", metavar="TEXT", help="what to look for"),
    **SEARCH,
    "--image": dict(type=path(), metavar="FILE", help="like this picture (a text is added to it)"),
    "--minus": dict(default="", metavar="TEXT", help="what to avoid"),
    "-k": dict(type=number(int, low=1, high=100_000), default=10, help="how many (10)"),
    "--grid": dict(type=path(), metavar="FILE", help="draw them into this .png, .pdf or .svg"),
    "--overwrite": dict(action="store_true", help="replace the file of --grid whoever wrote it"),
}


def open_search(args):
    """The index that the options SEARCH name, and its model: (Index, Encoder).

    Raises UserError when there is no index, when it is another folder's, or when its model is no
    longer there, has other weights or may be a stranger's.
    """
    if args.index and args.folder:
        raise UserError("give DIR or --index, not both: an index knows the folder of its pictures")
    folder = args.folder or Path(".")
    place = place_of(folder, args.index)
    index = Index.open(place)
    if not args.index and index.root.resolve() != folder.resolve():
        raise UserError(f"{printable(place)} is not the index of {printable(folder)}")
    encoder = open_encoder(args.checkpoint or index.model_file(place), args, index.activation)
    index.must_be_of(encoder, place)
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
    """The pictures found, as a file such as .png: found [(path, cosine)]. One that is gone is left
    white. Raises OSError."""
    cells = []
    for picture, cosine in found:
        try:
            image = thumbnail(picture)
        except BadPicture:
            image = Image.new("RGB", (1, 1), "white")
        texts = [(f"{cosine:.3f}", True), (printable(picture.name, 22), False)]
        cells.append((image, "", texts))
    plots.grid(cells, path)


@command("python -m miniclip.search find")
def main(argv=None):
    """The command: print the nearest pictures, and draw them. Returns the exit code."""
    began = time.monotonic()
    what = "Find the pictures of an index that are nearest to a text or a picture."
    args, image = parser_of("find", what, OPTIONS).parse_args(argv), None
    if args.image and args.folder is None and os.path.isdir(args.text):  # --image FILE DIR
        args.text, args.folder = "", Path(args.text)
    if args.grid:
        if args.grid.suffix not in (".png", ".pdf", ".svg"):
            raise UserError(f"--grid {printable(args.grid)} must end in .png, .pdf or .svg")
        check_output(args.grid, plots.is_ours, args.overwrite)
    if args.image:
        try:
            image = image_io.read(args.image)
        except BadPicture as error:
            raise UserError(f"--image {printable(args.image)}: {error}") from None
    index, encoder = open_search(args)
    if args.text or args.minus:
        encoder.tokenizer([""], trim=True)  # what it makes at its first call belongs to loading
    loaded = time.monotonic()
    cosines, rows = index.find(query(encoder, args.text, image, args.minus), args.k)
    seconds = time.monotonic() - loaded
    found = [(index.path(row), cosine) for row, cosine in zip(rows.tolist(), cosines.tolist())]
    for rank, (picture, cosine) in enumerate(found, 1):
        print(f"{rank:3d}  {cosine:.3f}  {printable(picture, 1000)}")
    print(f"{len(index):,} pictures: loading {loaded - began:.2f} s, query {seconds:.3f} s")
    if not index.finished:
        print(UNFINISHED)
    if args.grid:
        draw(found, args.grid)
        print(f"drawn in {printable(args.grid, 1000)}")
    return 0

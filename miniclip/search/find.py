"""Find pictures by words, by a picture, or by both: python -m miniclip.search find

A query is a unit vector: the unit features of the text and of the picture are added, and the sum is
normalized. The query is compared with every picture of the index, which takes 0.17 s on one core
for a million pictures (docs/search.md). The model must be the one that made the index. It is read
from the file that the index names, unless --checkpoint names another file. A model with other
weights is refused. Left out: approximate search.
"""

import io
import os
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from miniclip import plots
from miniclip.bpe.cleaning import has_words
from miniclip.common import check_new, checked, command, number, path, refuse, refusing
from miniclip.data import image_io
from miniclip.data.dataset import BadPicture, fingerprint, printable
from miniclip.search.database import FOLDER, Index
from miniclip.search.embed import MACHINE, Encoder, open_encoder
from miniclip.zeroshot import encode_tensors, encode_texts

BLOCK = 1 << 20  # numbers that a search converts to fp32 at a time: 4 MiB stay in a cache
THUMBNAIL = 256  # pixels
# control characters, those that turn the direction of a text, and bytes that are not UTF-8
UNSAFE = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
MOST_DRAWN = 200  # pictures of --grid: matplotlib takes 17 s for 600
SEARCH = {  # options of a command that opens an index
    "folder": dict(
        nargs="?",
        metavar="DIR",
        type=path(),
        help="folder that was indexed (default: the current folder)",
    ),
    "--index": dict(
        type=path(), metavar="PATH", help="folder of the index (default: DIR/.miniclip)"
    ),
    "--checkpoint": dict(type=path(str), help="the index's model, if it is now in another file"),
    **MACHINE,
}
OPTIONS = {
    "text": dict(nargs="?", default="", metavar="TEXT", help="what to look for"),
    **SEARCH,
    "--image": dict(
        type=path(),
        metavar="FILE",
        help="find pictures like this one; with TEXT, like both together",
    ),
    "-k": dict(
        type=number(int, low=1, high=100_000),
        default=10,
        help="how many pictures to find (default: 10)",
    ),
    "--grid": dict(
        type=path(), metavar="FILE", help="draw the result into this .png, .pdf or .svg"
    ),
    "--overwrite": dict(action="store_true", help="replace the file of --grid"),
}


@checked
def open_search(
    folder: str | Path | None = None,
    index: str | Path | None = None,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> tuple[Index, Encoder]:
    """An index and its model. folder: the folder of the pictures. index: the folder of the index,
    if it is not `folder`/.miniclip.

    Raises UserError if there is no index, or if it belongs to another folder. Also raises UserError
    if the model is no longer there, if it has other weights, or if its file lies in the folder of
    the pictures or of the index, where a stranger may have put it.
    """
    place = Path(index or Path(folder or ".") / FOLDER)
    found = Index.open(place)
    folder = Path(folder or (found.root if index else "."))
    refuse(
        {
            f"{printable(place)} is not the index of {printable(folder)}": (
                os.path.realpath(found.root) != os.path.realpath(folder)
            )
        }
    )
    encoder = open_encoder(checkpoint or found.model_file(), found.activation, device, threads)
    found.must_be_of(encoder)
    return found, encoder


@checked
@torch.inference_mode()
@torch.autocast("cpu", enabled=False)  # which a caller may have switched on
def nearest(features: np.ndarray, query: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the k rows of `features` (N, E) that are nearest to a unit query (E,).

    Returns (cosines, rows): the cosines in fp32, and the numbers of the rows in int64. Each has the
    shape (k,), or (N,) if N < k. The best row comes first. If two computed cosines are equal, the
    earlier row comes first. The cosines of two equal rows may differ in the last bit, because the
    place of a row in the product decides how its sum is rounded.

    The search is exact: every row is compared, in fp32. Features in 16 bits are converted, BLOCK
    numbers at a time. Raises UserError if the query or one of the first BLOCK / E rows is not of
    length one, because their products would be no cosines, and if a cosine is above one, or not
    finite.
    """
    width, given = features.shape[1:], tuple(query.shape)
    refuse(
        {
            "features must be (N, E), of float16, float32 or float64": (  # in this machine's order
                len(width) != 1 or width == (0,) or features.dtype not in ("f2", "f4", "f8")
            ),
            f"k must be at least 1, not {k}": k < 1,
            f"the query must have the shape {width}, not {given}": given != width,
            "the query must be a dense tensor of real numbers and of length one, as the function "
            "query returns it": not (_has_numbers(query) and abs(query.float().norm() - 1) < 0.01),
        }
    )
    step = max(1, BLOCK // features.shape[1])
    blocks = (
        # torch warns of an array that may not be written to, and takes no reversed one
        torch.from_numpy(np.require(features[start : start + step], requirements="CW"))
        for start in range(0, max(1, len(features)), step)
    )
    cosines = torch.cat([block.float() @ query.float().cpu() for block in blocks])
    # a row that is too long could come first for any query; NaN is refused as well
    lengths = np.linalg.norm(features[:step].astype("f4"), axis=1)
    refuse(
        {
            "features has rows that are not of length one; divide each row by its norm, or make "
            "the index again": not (
                (cosines.abs() < 1.01).all() and np.allclose(lengths, 1, atol=0.01)
            )
        }
    )
    cosines, rows = cosines.sort(descending=True, stable=True)
    return cosines[:k], rows[:k]


@checked
def query(encoder: Encoder, text: str = "", image: torch.Tensor | None = None) -> torch.Tensor:
    """The unit features of a query, (E,) fp32: those of text and picture, added and normalized.

    image: the picture's features (E,), or None. They are normalized, too. Raises UserError if there
    is nothing to look for, or if the text does not fit into the context.
    """
    text = text if has_words(text) else ""  # only spaces, or characters that cannot be seen
    width, given = encoder.model.config["embed_dim"], None if image is None else tuple(image.shape)
    refuse(
        {
            "the query is empty: give words, a picture, or both": not text and image is None,
            f"image must be the features of a picture, ({width},), not {given}": (
                given not in (None, (width,))
            ),
            "image must be a dense tensor of floating-point numbers": given
            and not _has_numbers(image),
        }
    )
    parts = [] if image is None else [F.normalize(image[None].float().cpu(), dim=-1)]
    if text:
        encoder.tokenizer([text], truncate=False)  # an error: a cut text would find something else
        parts.append(encode_texts(encoder.model, encoder.tokenizer, [text]))
    total = torch.cat(parts).sum(0)
    refuse(
        {
            "the features of the query are zeros, add up to zero, or are not finite; change it": (
                not 0 < total.norm() < float("inf") or not all(part.any() for part in parts)
            ),
        }
    )
    return F.normalize(total, dim=0)


def _has_numbers(x):
    """Whether a tensor is dense, of floating-point numbers, and not on the device "meta"."""
    return x.is_floating_point() and x.layout == torch.strided and not x.is_meta


def picture_features(encoder: Encoder, file: Path | io.BytesIO, name: str) -> torch.Tensor:
    """The unit features of a picture, (E,) fp32. Raises UserError if it cannot be read. name: what
    the error calls the file."""
    with refusing(f"{name} cannot be used"):
        picture = encoder.preprocess(image_io.read(file))
    return encode_tensors(encoder.model, [picture[None]])[0]


def pasteable(path: str | Path) -> str:
    """A path as it is, so that it can be pasted; but without a line break or another character that
    a terminal would obey. macOS, for example, puts a narrow space into the names of screenshots."""
    return printable(path, 4096) if UNSAFE.search(str(path)) else str(path)


@checked
def thumbnail(path: str | Path, side: int = THUMBNAIL) -> Image.Image:
    """A PIL picture in mode RGB, at most `side` pixels wide and high. Raises BadPicture."""
    refuse({f"side must be at least 1, not {side}": side < 1})
    image = image_io.read(path, side)
    image.thumbnail((side, side))
    return image


@checked
def draw(found: list, path: str | Path, overwrite: bool = True) -> None:
    """Draw the pictures that were found, [(path, cosine)], into a .png, .pdf or .svg file. A
    picture that can no longer be read is left white. Raises OSError if it cannot write the file,
    and UserError if the file exists and overwrite is False."""
    cells = []
    for picture, cosine in found:
        try:
            image = thumbnail(picture)
        except BadPicture:
            image = Image.new("RGB", (1, 1), "white")
        cells.append((image, printable(os.path.basename(picture), 22), f"{cosine:.3f}", True))
    plots.grid(cells, path, overwrite=overwrite)


@command(
    "python -m miniclip.search find",
    "Find the pictures of an index that are nearest to a text or a picture.",
    OPTIONS,
)
def main(text, folder, index, checkpoint, device, threads, image, k, grid, overwrite):
    """The command: print the nearest pictures, and draw them."""
    # the name of an indexed folder is a word if the current folder has an index as well
    names_folder = text and (
        os.path.isdir(os.path.join(text, FOLDER))
        and not os.path.isdir(os.path.join(folder or ".", FOLDER))
    )
    if image and not folder and names_folder:  # --image FILE DIR
        text, folder, names_folder = "", Path(text), False
    refuse(
        {
            f"{printable(text)} is a picture; give it with --image": (
                image_io.is_picture(text) and os.path.isfile(text)
            ),
            f"{printable(text)} is a folder with an index; give the words before it: find TEXT DIR": (
                names_folder
            ),
            "--overwrite is for --grid": overwrite and not grid,
            f"--grid {grid} must be a name with .png, .pdf or .svg at its end, such as grid.png, "
            "and not a link to another kind of file": (
                grid
                and {grid.suffix, os.path.splitext(os.path.realpath(grid))[1]}
                - {".png", ".pdf", ".svg"}
            ),
        }
    )
    if grid:
        check_new(grid, overwrite)
    opened, encoder = open_search(folder, index, checkpoint, device, threads)
    is_root = (
        not folder
        and os.path.isdir(text)
        and os.path.realpath(text) == os.path.realpath(opened.root)
    )
    drawn = fingerprint(grid)[1:] if grid else []  # empty, if the file is not there yet
    pictures = (opened.path(row) for row in range(len(opened)))
    refuse(
        {
            f"--grid {grid} is the picture of --image; choose another name": (
                drawn and image and drawn == fingerprint(image)[1:]
            ),
            f"--grid {grid} is a picture of the index; choose another name": (
                drawn and drawn in (fingerprint(picture)[1:] for picture in pictures)
            ),
            f"{printable(text)} is the folder of the index; give the words before it": (
                is_root and not image
            ),
        }
    )
    like = image and picture_features(encoder, image, f"--image {printable(image)}")
    cosines, rows = nearest(opened.features, query(encoder, "" if is_root else text, like), k)
    found = [(opened.path(row), cosine) for row, cosine in zip(rows.tolist(), cosines.tolist())]
    for rank, (picture, cosine) in enumerate(found, 1):
        print(f"{rank:3d}  {cosine:.3f}  {pasteable(picture)}")
    print(f"{len(opened):,} pictures", *opened.warnings(), sep="\n")
    if grid:
        draw(found[:MOST_DRAWN], grid, overwrite)
        print(f"the first {min(len(found), MOST_DRAWN)} are drawn in {printable(grid, 1000)}")

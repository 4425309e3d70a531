"""Read a picture file that may be damaged or hostile: whatever is wrong with it raises BadPicture.

A file of a few kilobytes may decode to gigabytes, or decode for hours. To refuse such a file in
time, the number of pixels is read from the header, and the scans of a JPEG (the passes in which it
is stored) are counted, before anything is decoded. All limits for pictures are in this file. Only
raster formats are tried, because Pillow hands some other formats to external programs. HEIC, in
which phones store photographs, is read by pillow-heif if it is installed. Left out: all frames of
an animation except the first.
"""

import contextlib
import io
import itertools
import os
import re
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from miniclip.common import UserError, checked, in_words, refuse
from miniclip.data.dataset import BadPicture, file_size
from miniclip.data.transforms import ODD_LEVELS, has_odd_levels, to_rgb

MAX_PIXELS = 100_000_000
# decoding WebP, AVIF, HEIC and CMYK takes up to 16 bytes per pixel
MAX_COSTLY_PIXELS = 60_000_000
LARGE_PIXELS = 25_000_000  # to save memory, threads take turns with pictures above this
_large_one, NO_LOCK = threading.Lock(), contextlib.nullcontext()
MOST_SCANS = 100  # a progressive JPEG has about ten, and each scan is decoded at the full size
# reads to find a header, which Pillow searches byte by byte in a damaged file; chunks of a PNG
MOST_READS = 100_000
MOST_SECONDS = 8  # of a core, for a header, or for pixels that Pillow decodes in Python
MOST_PICTURE_BYTES = 64 << 20  # in a shard or a COSTLY format: such a file is read as a whole
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # where a segment of a JPEG begins
# glibc keeps blocks of less than 32 MiB that a thread has freed. After eight pictures of 100
# megapixels at once it kept 3 GB, so Pillow is made to ask for larger blocks
Image.core.set_block_size(64 << 20)
Image.init()
FORMATS = [f for f in "JPEG PNG WEBP GIF BMP TIFF PPM AVIF".split() if f in Image.OPEN]
COSTLY = ("WEBP", "AVIF", "HEIF")
SUFFIXES = {".heic", ".heif", ".hif"}.union(
    suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS
)
HEIC = re.compile(rb"(?s).{4}ftyp.{0,48}?(hei[cxms]|hev[cxms])")  # the header names HEIC


def is_picture(name: str) -> bool:
    """Whether a file's name ends with the suffix of a picture."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def check(source) -> None:
    """Raise BadPicture unless `source`, as `read` takes it, is a picture that is not too large.

    Only the header is looked at, so damage after the header is not found here but by `read`.
    """
    with _opened(source):
        pass


@checked
def read(
    source: str | Path | bytes | io.BytesIO | Image.Image | Callable, side: int | None = None
) -> Image.Image:
    """A picture as a PIL image of mode RGB: upright by its EXIF, and white where it is transparent.

    source: the path of a file, the bytes of a file (also as a BytesIO), a PIL image, or a function
    that returns one of these.
    side: how many pixels of the short side are enough; None: the full size. If a side is given, a
    JPEG may come at 1/2, 1/4 or 1/8 of its size, because its decoder makes such a picture from
    fewer frequencies in a fraction of the time. Raises BadPicture.
    """
    with _opened(source) as (image, is_file):
        try:
            if is_file and image.format == "PNG":  # whose decoder passes over checksums of pixels
                image.fp.seek(0)
                Image.open(image.fp, formats=["PNG"]).verify()
            if is_file and image.format in ("JPEG", "MPO"):
                image.fp.seek(0)
                _check_scans(image.fp.read(MOST_PICTURE_BYTES))
            if is_file and side and image.format != "HEIF":  # its thumbnail may be another
                # from now on the JPEG is decoded at the size that the factor gives
                factor = 1 << max(1, min(image.size) // int(side)).bit_length() - 1
                image.draft(None, [edge // factor for edge in image.size])
            is_large = image.width * image.height > LARGE_PIXELS
            # two threads must not decode one PIL image at the same time
            turn = NO_LOCK if is_file else vars(image).setdefault("_turn", threading.Lock())
            with turn, _large_one if is_large else NO_LOCK:
                upright = to_rgb(image)
            if upright is image and not is_file:  # whose owner may draw on it
                upright = image.copy()
            upright.info = {}  # without EXIF, so that nobody turns it again
            return upright
        except Exception as error:  # noqa: BLE001  a damaged file makes decoders raise anything
            damaged = "" if isinstance(error, UserError) else "damaged: "
            raise BadPicture(damaged + (str(error).strip() or type(error).__name__)) from None


def _check_scans(data):
    """Raise BadPicture if a JPEG has more than MOST_SCANS scans. data: the bytes of its file."""
    scans = at = 0
    while marker := _MARKER.search(data, at):
        kind, at = data[marker.end() - 1], marker.end()
        scans += kind == 0xDA
        if scans > MOST_SCANS:
            raise BadPicture(f"a JPEG of more than {MOST_SCANS} scans")
        at += int.from_bytes(data[at : at + 2], "big")


def _check_chunks(file):
    """Raise BadPicture if a chunk of a PNG is large and holds no pixels, because Pillow would read
    the whole chunk, or if there are too many chunks, which Pillow reads one by one."""
    file.seek(8)
    for _ in range(MOST_READS):
        head = file.read(8)
        if head[4:] != b"IDAT" and int.from_bytes(head[:4], "big") > MOST_PICTURE_BYTES:
            raise BadPicture(f"a chunk without pixels of more than {MOST_PICTURE_BYTES >> 20} MiB")
        if len(head) < 8 or head[4:] == b"IEND":
            return
        file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    raise BadPicture(f"a PNG of more than {MOST_READS:,} chunks")


@contextlib.contextmanager
def _opened(source):
    """`with _opened(source) as (image, is_file):` gives a picture whose header has been read.

    is_file: whether the picture was opened here. If not, it is the caller's image, and must stay as
    it is. Raises BadPicture.
    """
    with warnings.catch_warnings(), contextlib.ExitStack() as files:
        warnings.simplefilter("ignore")  # on stderr Pillow warns about flaws that it tolerates
        try:
            found = source() if callable(source) else source
            is_file = not isinstance(found, Image.Image)
            image = files.enter_context(_of_file(found, files)) if is_file else found
        except UserError as error:
            raise BadPicture(str(error)) from None
        except Image.DecompressionBombError:
            most = f"twice PIL.Image.MAX_IMAGE_PIXELS, {Image.MAX_IMAGE_PIXELS:,}"
            raise BadPicture(f"its number of pixels is more than {most}") from None
        except Exception as error:  # noqa: BLE001  NUL in the name, a damaged header, ...
            reason = getattr(error, "strerror", None) or "not a picture that can be read"
            # a dataset that opens files by itself has not told their paths
            path = callable(source) and getattr(error, "filename", None)
            raise BadPicture(reason.lower() + (f": {path}" if path else "")) from None
        width, height = image.size
        most = MAX_COSTLY_PIXELS if image.format in COSTLY or image.mode == "CMYK" else MAX_PIXELS
        refuse(
            {
                f"its levels have {ODD_LEVELS}; save it with 8 bits": has_odd_levels(image),
                f"it has {width} x {height} pixels; it must have at least 1, and less than "
                f"{most // 10**6} megapixels": not 0 < width * height < most,
                "it lacks the strips of some rows": is_file
                and image.format == "TIFF"
                and all(tile[0] == "raw" for tile in image.tile)
                and sum((x1 - x0) * (y1 - y0) for _, (x0, y0, x1, y1), *_ in image.tile)
                < width * height,
                # for each row Pillow keeps a pointer, which takes more memory than a single pixel
                "a side of more than ten million pixels": max(width, height) > 10**7,
            },
            BadPicture,
        )
        yield image, is_file


def _of_file(source, files):
    """The picture in a file, given as a path or as its bytes. The file is closed with `files`.

    A file of more than MOST_PICTURE_BYTES is not read as one of the COSTLY formats.

    pillow-heif is not registered with Pillow, because that would change what other code of this
    process can read.
    """
    # a BytesIO of the caller may have been read, or just been written, up to its end
    source = source.getvalue() if isinstance(source, io.BytesIO) else source
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    size = 0 if isinstance(file, io.BytesIO) else file_size(file)
    file = files.enter_context(open(file, "rb")) if size else file
    is_small = size <= MOST_PICTURE_BYTES
    start = file.read(64)
    if start.startswith(b"\x89PNG"):
        _check_chunks(file)
    file.seek(0)
    if start[:2] in (b"P1", b"P2", b"P3"):  # a PPM as text: Pillow copies a megabyte per comment
        file = io.BytesIO(re.sub(rb"#[^\r\n]*", b"", file.read(MOST_PICTURE_BYTES)))
    if is_small and HEIC.match(start):
        with in_words("HEIC needs pillow-heif; pip install 'miniclip[app]'", ImportError):
            from pillow_heif import HeifImageFile
        return HeifImageFile(file)
    read, reads, end = file.read, itertools.count(), time.thread_time() + MOST_SECONDS

    def in_time(*size):
        refuse({"it takes too long to decode": time.thread_time() > end}, BadPicture)
        return read(*size)

    files.callback(vars(file).clear)  # or the file and its own `read` would keep each other
    file.read = lambda *size: in_time(*size) if next(reads) < MOST_READS else b""
    image = Image.open(file, formats=[f for f in FORMATS if is_small or f not in COSTLY])
    # DECODERS are the decoders in Python, which are slow
    file.read = (
        in_time
        if len(image.tile) > 1 or any(tile[0] in Image.DECODERS for tile in image.tile)
        else read
    )
    return image

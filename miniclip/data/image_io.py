"""A picture file, which may be damaged or hostile: whatever is wrong with it raises BadPicture.

The number of pixels is read from the header before anything is decoded, so a file of a few kilobytes
that would decode to gigabytes is refused in time. Only raster formats are tried, because Pillow hands
some others to external programs. Left out: everything but the first frame of an animation.
"""

import io
import os
import stat
import warnings

from PIL import Image

from miniclip.data.dataset import BadPicture
from miniclip.data.transforms import to_rgb

MAX_PIXELS = 100_000_000
Image.init()
FORMATS = [f for f in "JPEG PNG WEBP GIF BMP TIFF PPM AVIF".split() if f in Image.OPEN]
SUFFIXES = {s for s, kind in Image.registered_extensions().items() if kind in FORMATS}


def check(path):
    """Raise BadPicture unless `path` is a file with the header of a picture below MAX_PIXELS.

    Reads the first few hundred bytes; damage further on is found by `read` only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _open(path).close()


def read(path, side=None):
    """The picture in a file: PIL, mode RGB, upright (EXIF), transparency on white.

    path: or the bytes of a file in a BytesIO. side: pixels of the short side that are enough; then
    a JPEG may come at 1/2, 1/4 or 1/8 of its size, which its decoder makes from fewer frequencies
    in a fraction of the time. Raises BadPicture.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns on stderr of what it can still read
        with _open(path) as image:
            try:
                if side:
                    _reduce(image, side)
                image.load()  # before to_rgb, which ignores what is wrong while it reads the EXIF
                image = to_rgb(image)
                image.info = {}  # so that it is not turned again
                return image
            except Exception as error:  # noqa: BLE001  a damaged file makes decoders raise anything
                raise BadPicture(f"damaged: {error or type(error).__name__}") from None


def _reduce(image, side):
    """Have a JPEG decoded at the smallest size of which the short side has `side` pixels."""
    factor = 1
    while min(image.size) // (2 * factor) >= side:
        factor *= 2
    image.draft(None, [edge // factor for edge in image.size])  # a decoder goes to 1/8 at most


def _open(path):
    """An opened, not yet decoded, picture. Raises BadPicture."""
    try:
        if not isinstance(path, io.BytesIO):
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):  # reading a pipe could block for ever
                raise BadPicture("not a file")
            if status.st_size == 0:
                raise BadPicture("an empty file")
        image = Image.open(path, formats=FORMATS)
    except BadPicture:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise BadPicture("no such file") from None
    except PermissionError:
        raise BadPicture("may not be read") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"more than {MAX_PIXELS // 10**6} megapixels") from None
    except Exception:  # noqa: BLE001  NUL in the name, a damaged header, ...
        raise BadPicture("not a picture that can be read") from None
    width, height = image.size
    if width * height >= MAX_PIXELS:
        image.close()
        raise BadPicture(f"{width} x {height} pixels: {MAX_PIXELS // 10**6} megapixels or more")
    return image

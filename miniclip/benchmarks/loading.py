"""How many pairs per second come out of shards, beside webdataset.

    python -m miniclip.benchmarks loader

Two ways to load the same shards take turns: ours, and webdataset's stream with torchvision's
transforms, set up as in open_clip. Both give normalized batches of random crops of S x S pixels,
with their captions, in one process. Times are CPU times, so that other work on the machine hardly
counts. The command makes the shards itself. They hold JPEGs of noise that is as detailed as
photographs, with short sides of 256 to 512 pixels. Left out: worker processes, disks and networks.
"""

import io
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import islice

import numpy as np
import torch
from PIL import Image

from miniclip.benchmarks.timer import ROUNDS, compare, take_turns
from miniclip.bpe import Tokenizer
from miniclip.common import command, refuse
from miniclip.data import open_pairs
from miniclip.data.loader import batches, join
from miniclip.data.shards.shards import expand
from miniclip.data.transforms import MEAN, STD, normalize
from miniclip.distributed.process_group import STOPPING

CROP = (0.9, 1.0)
BATCH = 64
PAIRS = 1024  # in a round


def photograph(rng: np.random.Generator, side: int) -> Image.Image:
    """A picture of noise, PIL RGB. As in photographs, its coarse structures are stronger.

    side: the short side in pixels; the long one is 4/3 of it. With a side of 384 pixels it is a
    JPEG of 42 kB at quality 90. scikit-learn's two photographs have 36 and 67 kB.
    """
    width, height = side * 4 // 3, side
    total = np.full((height, width, 3), 128, np.float32)
    # octave by octave: grey noise, and less noise in colour, because photographs have less colour
    for cells in (2**octave for octave in range(1, side.bit_length())):
        grain = rng.normal(0, 60, (cells, cells, 1)) + rng.normal(0, 25, (cells, cells, 3))
        grain = Image.fromarray(np.clip(128 + grain * cells**-0.5, 0, 255).astype(np.uint8))
        grain = grain.resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(grain, np.float32) - 128
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def make_shards(folder: str) -> None:
    """Write PAIRS JPEGs of `photograph` with captions, 500 in a shard, short sides 256 to 512."""
    from webdataset import ShardWriter

    rng = np.random.default_rng(0)
    with ShardWriter(f"{folder}/%05d.tar", 500, mtime=0, encoder=False, verbose=False) as shards:
        for i in range(PAIRS):
            jpeg = io.BytesIO()
            photograph(rng, int(rng.integers(256, 512, endpoint=True))).save(
                jpeg, "JPEG", quality=90
            )
            said = f"a photograph of noise, the {i}th".encode()
            shards.write({"__key__": f"{i:09d}", "jpg": jpeg.getvalue(), "txt": said})


def ours(source: str, size: int) -> Iterator[tuple]:
    """Batches of all pairs with miniclip, for ever: (images, tokens)."""
    pairs = open_pairs(source)
    for parts, _ in batches(pairs, range(len(pairs)), Tokenizer([]), BATCH, 0, size, CROP):
        images, tokens = join(parts)
        yield normalize(images), tokens


def theirs(source: str, size: int) -> Iterator[tuple]:
    """Batches with webdataset and torchvision, as open_clip trains: (images, captions)."""
    import webdataset
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                size, CROP, interpolation=transforms.InterpolationMode.BICUBIC
            ),
            lambda image: image.convert("RGB"),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    stream = webdataset.WebDataset(expand(source), shardshuffle=False, empty_check=False)
    stream = stream.shuffle(1000).decode("pilrgb").to_tuple("jpg;jpeg;png;webp", "txt")
    return iter(stream.map_tuple(transform, lambda text: text).batched(BATCH, partial=False))


def load(way: Callable, source: str, size: int) -> None:
    """Take PAIRS pairs. way: `ours` or `theirs`."""
    for _ in islice(way(source, size), PAIRS // BATCH):
        pass


@command("python -m miniclip.benchmarks loader", "Time pairs from shards.", ROUNDS)
def main(rounds: int) -> None:
    """The command: pairs per second, ours and theirs, at two sizes."""
    torch.set_num_threads(1)
    refuse(
        {
            "the comparison needs: pip install webdataset torchvision": not all(
                map(find_spec, ("torchvision", "webdataset"))
            )
        }
    )
    for number in STOPPING:
        if signal.getsignal(number) == signal.SIG_DFL:  # the folder must be deleted first
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory() as folder:
        make_shards(folder)
        for size in (64, 224):
            ways = {
                "miniclip": partial(load, ours, folder, size),
                "webdataset + torchvision": partial(load, theirs, folder, size),
            }
            seconds = take_turns(ways, rounds, time.process_time)
            print(compare("crop", "pairs/s", lambda s: PAIRS / s, [(f"{size} px", seconds)]))

"""How fast pairs come out of shards, on one core: python -m miniclip.data bench [out/]

Two ways from the same tars to the same kind of batch, a random square of S x S pixels, normalised,
and its caption: ours, and webdataset's stream with torchvision's transforms, set up as open_clip
does. They take turns, and the clock is the CPU's, so that other work on the machine hardly
counts; what is printed is the median of the turns and their range. Without shards it makes some:
noise as detailed as photographs, as JPEGs of 256 to 512 pixels. Left out: disks and networks, which
both wait for alike, and worker processes, which multiply both.
"""

import io
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from miniclip.common import Parser, UserError, number
from miniclip.data import open_pairs
from miniclip.data.batches import batches
from miniclip.data.index import index_shard
from miniclip.data.shards import expand, is_shards
from miniclip.preprocess import MEAN, STD

CROP = (0.9, 1.0)
BATCH = 64


def photograph(rng, side):
    """A picture of noise, stronger where it is coarser as in photographs: PIL RGB.

    side: its short side in pixels; the long one is 4/3 of it. As a JPEG it is 42 kB at 384 pixels
    and quality 90, between scikit-learn's two photographs, 36 and 67 kB.
    """
    width, height = side * 4 // 3, side
    total, cells = np.full((height, width, 3), 128, np.float32), 2
    while cells <= side:  # octave by octave; grey and colour, of which photographs have less
        grain = rng.normal(0, 60, (cells, cells, 1)) + rng.normal(0, 25, (cells, cells, 3))
        grain = Image.fromarray(np.clip(128 + grain * cells**-0.5, 0, 255).astype(np.uint8))
        total += np.asarray(grain.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        total -= 128
        cells *= 2
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def make_shards(folder, pictures, sides=(256, 512), per_shard=500, seed=0):
    """Shards of JPEGs of photograph, short sides uniform in `sides`, each with a caption."""
    from webdataset import TarWriter

    rng = np.random.default_rng(seed)
    for first in range(0, pictures, per_shard):
        path = Path(folder) / f"{first // per_shard:05d}.tar"
        with open(path, "wb") as file, TarWriter(file, mtime=0, encoder=False) as tar:
            for i in range(first, min(first + per_shard, pictures)):
                jpeg = io.BytesIO()
                photograph(rng, int(rng.integers(*sides, endpoint=True))).save(
                    jpeg, "JPEG", quality=90
                )
                said = f"a photograph of noise, the {i}th".encode()
                tar.write({"__key__": f"{i:09d}", "jpg": jpeg.getvalue(), "txt": said})


def ours(source, size):
    """An epoch of batches of the pairs in `source`, all of them."""
    pairs = open_pairs(source)
    return batches(pairs, range(len(pairs)), BATCH, 0, 0, size, CROP)


def theirs(source, size):
    """The same with webdataset and torchvision, as open_clip trains: (images, captions)."""
    import webdataset
    from torchvision import transforms

    transform = transforms.Compose([
        transforms.RandomResizedCrop(size, CROP, interpolation=transforms.InterpolationMode.BICUBIC),
        lambda image: image.convert("RGB"),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ])  # fmt: skip
    stream = webdataset.WebDataset(expand(source), shardshuffle=False, empty_check=False)
    stream = stream.shuffle(1000).decode("pilrgb").to_tuple("jpg;jpeg;png;webp", "txt")
    return stream.map_tuple(transform, lambda text: text).batched(BATCH, partial=False)


def pairs_per_s(loader, most):
    """Pairs a second of CPU time that a loader gives, of the first `most`."""
    began, count = time.process_time(), 0
    for batch in loader:
        count += len(batch[0])
        if count >= most:
            break
    return count / (time.process_time() - began)


def compare(source, size, most, turns):
    """{'miniclip': [pairs/s of each turn], 'webdataset + torchvision': [...]}, taking turns."""
    found = {"miniclip": [], "webdataset + torchvision": []}
    for turn in range(-1, turns):  # the first warms both up
        for own, loader in zip(found.values(), (ours, theirs)):
            speed = pairs_per_s(loader(source, size), most)
            if turn >= 0:
                own.append(speed)
    return found


def report(source, size, most, turns):
    """Print the comparison for one size of crop."""
    found = compare(source, size, most, turns)
    for name, speeds in found.items():
        print(f"{size:>5} px  {name:<26} {statistics.median(speeds):8,.0f} pairs/s per core "
              f"({min(speeds):,.0f} to {max(speeds):,.0f}, {turns} turns)")  # fmt: skip
    ours, theirs = (statistics.median(speeds) for speeds in found.values())
    print(f"{size:>5} px  ratio {ours / theirs:.2f}", flush=True)


def main(argv=None):
    """The command: pairs a second, ours and theirs. Returns the exit code."""
    parser = Parser(prog="python -m miniclip.data bench", description="Time pairs from shards.")
    parser.add_argument("data", nargs="?", help="shards (default: some are made)")
    parser.add_argument("--image-size", type=number(int, low=1), help="pixels (64 and 224)")
    parser.add_argument("--pairs", type=number(int, low=BATCH), default=1024, help="a turn (1024)")
    parser.add_argument("--turns", type=number(int, low=1), default=5, help="of each (5)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        import torchvision  # noqa: F401
        import webdataset  # noqa: F401
    except ImportError:
        parser.error("the comparison needs: pip install webdataset torchvision")
    with tempfile.TemporaryDirectory() as folder:
        source = args.data or folder
        if not args.data:
            make_shards(folder, args.pairs)
        try:
            if not is_shards(source):
                raise UserError(f"{source} names no shards")
            if len(pairs := open_pairs(source)) < BATCH:
                raise UserError(f"{source} has {len(pairs)} pairs, less than a batch of {BATCH}")
        except UserError as error:
            parser.error(str(error))
        began, paths = time.process_time(), [os.path.abspath(path) for path in expand(source)]
        found = sum(len(index_shard(0, path, path)[0]) for path in paths)
        print(f"indexing  {found / (time.process_time() - began):10,.0f} pairs/s per core, once")
        for size in (args.image_size,) if args.image_size else (64, 224):
            report(source, size, args.pairs, args.turns)
    return 0

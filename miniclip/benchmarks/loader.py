"""How fast pairs come out of shards, and how much memory that takes.

    python -m miniclip.benchmarks loader [out/]

Ways to load are compared turn by turn; printed are the median of the turns and their range:

- a batch of random squares of S x S pixels, normalized, and its captions: ours, and webdataset's
  stream with torchvision's transforms, set up as open_clip does, in one process;
- the same of ours before it is normalized, and a bare loop that reads the bytes of a picture,
  decodes it, crops it and makes uint8 of it, in one process;
- worker processes, one and two, and bare loops, one and two side by side.

The first two are in CPU time, so that other work on the machine hardly counts. The third is in wall
time. Last comes the memory of loading one large batch. Without shards it makes some: noise as
detailed as photographs, as JPEGs of 256 to 512 pixels. Left out: disks and networks.
"""

import concurrent.futures
import contextlib
import importlib.util
import io
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from functools import partial

import numpy as np
import torch
from PIL import Image

from miniclip.benchmarks.timer import spread, take_turns
from miniclip.bpe import Tokenizer
from miniclip.common import Parser, UserError, command, number, path
from miniclip.data import open_pairs
from miniclip.data.loader import AHEAD, UNIT, batches, join
from miniclip.data.shards.shards import expand, is_shards
from miniclip.data.shards.tar_index import index_shard
from miniclip.data.transforms import MEAN, STD, normalize

CROP = (0.9, 1.0)
BATCH = 64


def photograph(rng, side):
    """A picture of noise, stronger where it is coarser as in photographs: PIL RGB.

    side: its short side in pixels; the long one is 4/3 of it. As a JPEG it is 42 kB at 384 pixels
    and quality 90, between scikit-learn's two photographs, 36 and 67 kB.
    """
    width, height = side * 4 // 3, side
    total = np.full((height, width, 3), 128, np.float32)
    # octave by octave; grey and colour, of which photographs have less
    for cells in (2**octave for octave in range(1, side.bit_length())):
        grain = rng.normal(0, 60, (cells, cells, 1)) + rng.normal(0, 25, (cells, cells, 3))
        grain = Image.fromarray(np.clip(128 + grain * cells**-0.5, 0, 255).astype(np.uint8))
        grain = grain.resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(grain, np.float32) - 128
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def make_shards(folder, pictures, sides=(256, 512)):
    """Shards of 500 JPEGs of photograph, short sides uniform in `sides`, each with a caption."""
    from webdataset import ShardWriter

    rng = np.random.default_rng(0)
    with ShardWriter(f"{folder}/%05d.tar", 500, mtime=0, encoder=False, verbose=False) as shards:
        for i in range(pictures):
            jpeg, side = io.BytesIO(), int(rng.integers(*sides, endpoint=True))
            photograph(rng, side).save(jpeg, "JPEG", quality=90)
            said = f"a photograph of noise, the {i}th".encode()
            shards.write({"__key__": f"{i:09d}", "jpg": jpeg.getvalue(), "txt": said})


def loader(pairs, size, batch_size=BATCH, workers=0):
    """Batches of all pairs, for ever."""
    indices = np.resize(np.arange(len(pairs)), max(batch_size, len(pairs)))
    return batches(pairs, indices, Tokenizer([]), batch_size, 0, size, CROP, workers=workers)


def ours(source, size):
    """Batches with miniclip, in parts that are joined and normalized: (images, tokens)."""
    for parts, _ in loader(open_pairs(source), size):
        images, tokens = join(parts)
        yield normalize(images), tokens


def theirs(source, size):
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
    return stream.map_tuple(transform, lambda text: text).batched(BATCH, partial=False)


def pairs_per_s(loader, most, clock=time.process_time):
    """Pairs a second that a loader gives, of the first `most`; of CPU time unless clock says else."""
    began, count = clock(), 0
    for batch in loader:
        count += len(batch[0])
        if count >= most:
            break
    return count / (clock() - began)


def first_parts(loaded):
    """Of each Batch the pictures of its first part, as a batch of pairs_per_s."""
    return ((parts[0][0],) for parts, _ in loaded)


def bare(pairs, size, count):
    """Read, decode and crop the first `count` pictures, each to (3, S, S) uint8; their pairs/s, of
    (CPU time, wall time)."""
    rng, began = np.random.default_rng(0), (time.process_time(), time.perf_counter())
    files = [open(path, "rb", buffering=0) for path in pairs.paths]
    for row in pairs.index[:count]:
        file = files[row["shard"]].fileno()
        data = os.pread(file, int(row["picture_bytes"]), int(row["picture"]))
        image = Image.open(io.BytesIO(data))
        side = rng.uniform(*CROP) * min(image.size)
        left, top = (rng.uniform(0, 1) * (length - side) for length in image.size)
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.BICUBIC, box)
        np.stack([np.asarray(band) for band in image.split()])
    return count / (time.process_time() - began[0]), count / (time.perf_counter() - began[1])


def bare_loops(n, pairs, size, count):
    """Pairs/s of wall time of n bare loops side by side, together."""
    fork = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(n, fork) as pool:
        found = pool.map(bare, [pairs] * n, [size] * n, [count] * n)
        return sum(wall for _, wall in found)


def worker_processes(n, pairs, size, most):
    """Pairs/s of wall time of n worker processes, together."""
    with contextlib.closing(loader(pairs, size, workers=n)) as loaded:
        firsts = first_parts(loaded)
        for _ in range(n * (AHEAD * n + 1)):  # until every worker has touched all the memory
            next(firsts)
        return pairs_per_s(firsts, most, time.perf_counter)


def memory(source, size, batch_size, workers):
    """Bytes that a fresh process and its workers take, at most, while two batches are loaded: (before
    the first, most, of a batch as uint8). Each page counts once, however many share it (PSS)."""
    fresh = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, fresh) as pool:
        return pool.submit(_memory, source, size, batch_size, workers).result()


def _memory(source, size, batch_size, workers):
    torch.set_num_threads(1)
    loaded = loader(open_pairs(source), size, batch_size, workers)
    seen, done = [_pss()], threading.Event()

    def watch():
        while not done.wait(0.1):
            seen.append(_pss())

    watching = threading.Thread(target=watch)
    watching.start()
    next(loaded)
    own = sum(images.nbytes for images, _ in next(loaded).parts)
    seen.append(_pss())
    done.set()
    watching.join()
    loaded.close()
    return seen[0], max(seen), own


def _pss():
    """Proportional set size of this process and its children, in bytes (Linux)."""
    own, total = os.getpid(), 0
    with open(f"/proc/{own}/task/{own}/children") as file:
        processes = [own, *map(int, file.read().split())]
    for process in processes:
        with contextlib.suppress(OSError), open(f"/proc/{process}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    return total


def report(size, ways, turns, clock):
    """Measure {name: function that returns pairs/s} for one size of crop, and print each name's
    median and range of the turns; returns the medians."""
    rounds = []
    take_turns(ways, turns, check=rounds.append)
    found = {name: [speeds[name] for speeds in rounds[1:]] for name in ways}
    for name, own in found.items():
        speed, between = spread(own, ",.0f")
        speed = f"{speed:>8} pairs/s {clock} ({between}, {turns} turns)"
        print(f"{size:>5} px  {name:<26} {speed}", flush=True)
    return [statistics.median(own) for own in found.values()]


def report_all(source, size, most, turns):
    """Measure and print what the module's docstring lists, except for memory."""
    ways = {
        "miniclip": lambda: pairs_per_s(ours(source, size), most),
        "webdataset + torchvision": lambda: pairs_per_s(theirs(source, size), most),
    }
    mine, other = report(size, ways, turns, "per core")
    print(f"{size:>5} px  ratio {mine / other:.2f}")

    pairs = open_pairs(source)
    count = min(most, len(pairs), UNIT)
    firsts = first_parts(batches(pairs, range(count), Tokenizer([]), count, 0, size, CROP))
    ways = {
        "data path": lambda: pairs_per_s(firsts, count),
        "bare loop": lambda: bare(pairs, size, count)[0],
    }
    mine, other = report(size, ways, turns * -(-most // count), "per core")
    print(f"{size:>5} px  ratio {mine / other:.3f}")

    count = min(most, len(pairs))
    ways = {
        "1 worker": partial(worker_processes, 1, pairs, size, most),
        "2 workers": partial(worker_processes, 2, pairs, size, most),
        "1 bare loop": partial(bare_loops, 1, pairs, size, count),
        "2 bare loops": partial(bare_loops, 2, pairs, size, count),
    }
    one, two, bare_one, bare_two = report(size, ways, turns, "of wall time")
    of_bare = f"{two / bare_two:.3f} of two bare loops, which are {bare_two / bare_one:.2f} of one"
    print(f"{size:>5} px  2 workers: {two / one:.2f} of one, {of_bare}", flush=True)


def report_memory(size, batch_size, workers=2):
    """Print what loading takes, from small pictures: their own size is no part of it."""
    with tempfile.TemporaryDirectory() as folder:
        make_shards(folder, 64, (24, 32))
        sizes = memory(folder, size, batch_size, workers)
    before, most, own = (size / 2**20 for size in sizes)
    print(
        f"{size:>5} px  memory of loading batches of {batch_size:,} with {workers} workers: "
        f"{own:,.0f} MiB of pixels and {most - own:,.0f} MiB beyond them, "
        f"{before:,.0f} of these before the first picture"
    )


@command("python -m miniclip.benchmarks loader")
def main(argv=None):
    """The command: pairs a second, ours and theirs. Returns the exit code."""
    parser = Parser(
        prog="python -m miniclip.benchmarks loader", description="Time pairs from shards."
    )
    parser.add_argument("data", nargs="?", type=path(str), help="shards (default: some are made)")
    parser.add_argument(
        "--image-size", type=number(int, low=1, high=4096), help="pixels (64 and 224)"
    )
    parser.add_argument(
        "--pairs", type=number(int, low=BATCH, high=10**8), default=1024, help="a turn (1024)"
    )
    parser.add_argument(
        "--turns", type=number(int, low=1, high=10**6), default=5, help="of each (5)"
    )
    parser.add_argument(
        "--memory-batch",
        type=number(int, low=0, high=10**7),
        default=32_768,
        help="pairs in the batch that memory is measured with, 0: none (32768)",
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if not all(map(importlib.util.find_spec, ("torchvision", "webdataset"))):
        raise UserError("the comparison needs: pip install webdataset torchvision")
    with tempfile.TemporaryDirectory() as folder:
        source = args.data or folder
        if not args.data:
            make_shards(folder, args.pairs)
        if not is_shards(source):
            raise UserError(f"{source} names no shards")
        if len(pairs := open_pairs(source)) < BATCH:
            raise UserError(f"{source} has {len(pairs)} pairs, less than a batch of {BATCH}")
        began = time.process_time()
        found = sum(len(index_shard(0, path, path)[0]) for path in pairs.paths)
        print(f"indexing  {found / (time.process_time() - began):10,.0f} pairs/s per core, once")
        for size in (args.image_size,) if args.image_size else (64, 224):
            report_all(source, size, args.pairs, args.turns)
        if args.memory_batch:
            report_memory(args.image_size or 224, args.memory_batch)
    return 0

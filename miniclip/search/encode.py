"""The model of a command, and pictures to its features, read in threads while the model encodes.

Threads are enough: Pillow releases Python's lock while it decodes and resizes, torch while it computes.
The features are those of zeroshot.encode_images. Left out: decoding a JPEG at a part of its size,
which would change them.
"""

import collections
import itertools
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, NamedTuple

import torch
from tqdm import tqdm

from miniclip.bpe import Tokenizer
from miniclip.common import Parser, UserError, number, path, pick_device
from miniclip.data.dataset import BadPicture
from miniclip.evaluation.features import model_digest
from miniclip.model.clip import CLIP
from miniclip.objectives import shared_space
from miniclip.weights import files, load
from miniclip.zeroshot import encode_tensors

BATCH = 64  # pictures
AHEAD = 128  # pictures that are read before they are asked for: 77 MB at 224 pixels
MODEL = {  # options, as parser_of takes them
    "--checkpoint": dict(type=path(str), help="of a run, a file of weights, or icons (released)"),
    "--activation": dict(choices=("gelu", "quickgelu"), help="of weights that do not record it"),
}
MACHINE = {
    "--device": dict(default="auto", help="auto, cpu, cuda, cuda:1, mps"),
    "--threads": dict(
        type=number(int, low=1, high=1024), help="CPU threads of torch, and of reading pictures"
    ),
}


class Encoder(NamedTuple):
    """A model that was loaded, and what an index says of it."""

    model: CLIP
    tokenizer: Tokenizer
    preprocess: Callable  # a PIL picture to (3, S, S), transforms.evaluation
    file: str  # its absolute path, or the name of a released model
    digest: str


def open_encoder(checkpoint, args, activation=None):
    """Load a model, a path or the name of a released one, by the options MACHINE: Encoder.

    Raises UserError.
    """
    device = pick_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    model, tokenizer, preprocess = load(checkpoint, device, activation)
    if not shared_space(model):
        raise UserError(
            f"{checkpoint} was trained with --objective {model.objective}, which has no space that "
            "pictures and texts share; search and embed need one"
        )
    released = files.find(checkpoint).parent == files.RELEASED
    file = str(checkpoint if released else os.path.abspath(checkpoint))
    return Encoder(model, tokenizer, preprocess, file, model_digest(model))


def parser_of(name, description, options):
    """The argument parser of the command `name`; options: {name of an option: how it is added}."""
    parser = Parser(prog=f"python -m miniclip.search {name}", description=description)
    for option, how in options.items():
        parser.add_argument(option, **how)
    return parser


def encode_pictures(encoder, read, items, threads=None):
    """Encode read(item), PIL pictures, of a list of items: yields for each batch, in order,
    (the items that could be read, their unit features (n, E) fp32 on the CPU, [(item, reason)]).

    read may raise BadPicture, and is called in `threads` threads (None: as many as torch has). A bar
    shows how many are done. Raises UserError for features that are not finite.
    """
    waiting, more = collections.deque(), iter(items)

    def prepare(item):
        try:
            return item, encoder.preprocess(read(item)), None
        except BadPicture as error:
            return item, None, str(error)

    pool = ThreadPoolExecutor(threads or torch.get_num_threads())
    bar = tqdm(total=len(items), desc="reading pictures", unit="", disable=None)
    try:
        with bar, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # image_io does so for one thread at a time only
            for _ in range(0, len(items), BATCH):
                coming = itertools.islice(more, BATCH + AHEAD - len(waiting))
                waiting.extend(pool.submit(prepare, item) for item in coming)
                batch = [waiting.popleft().result() for _ in range(min(BATCH, len(waiting)))]
                good = [(item, image) for item, image, _ in batch if image is not None]
                images = [torch.stack([image for _, image in good])] if good else []
                features = encode_tensors(encoder.model, images)
                if not features.isfinite().all():
                    raise UserError("the features are not finite: this model has diverged")
                bar.update(len(batch))
                yield (
                    [item for item, _ in good],
                    features,
                    [(item, reason) for item, image, reason in batch if image is None],
                )
    finally:
        pool.shutdown(cancel_futures=True)

"""CLIP from scratch, to be read, run and trusted (Radford et al. 2021).

model/         CLIP itself: the two towers
bpe/           text to token ids
loss.py        the contrastive loss (figure 3); its kernels are in the package kernels
objectives/    the objectives that the paper compared with that loss, and SigLIP's
distributed/   collectives and process groups, for many GPUs
data/          pairs of pictures and captions, and batches of them
training/      the recipe: optimizer, schedule, micro-batches, checkpoints
weights/       files of OpenAI, open_clip, Hugging Face and our own: read, convert, write
zeroshot.py    a classifier made of captions
evaluation/    the paper's evaluation, one file per question
search/        an index of your own pictures, searched by words or by a picture
cost/          flop, memory and days of a run
benchmarks/    speed, compared with other libraries
common.py      what all packages share: users' errors, options, devices, files
"""

import signal
import sys
from importlib import import_module

if sys.argv[:1] == ["-m"]:  # python -m miniclip...
    # Until common.command restores Python's handler, Ctrl-C ends the program without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)
__version__ = "0.1.0"
_HOMES = {
    "MODELS": "model.clip",
    "create_model": "model.clip",
    "available_models": "weights.reading",
    "load": "weights",
    "contrastive_loss": "loss",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name):
    """Import a name of __all__ when it is first used, so that `import miniclip` needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'miniclip' has no attribute {name!r}")
    return getattr(import_module(f"miniclip.{_HOMES[name]}"), name)

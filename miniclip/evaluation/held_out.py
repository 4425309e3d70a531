"""How well a model does on held-out pairs while it is trained: their loss, and retrieval among them.

The training loss goes on falling when a model learns its pairs by heart; the held-out loss then rises.
best.pt keeps the weights with the lowest one. Measuring draws no random number, so a run ends with the
same weights with and without it. Left out: stopping early.
"""

import itertools
import math
import time

import torch

from miniclip.common import check_output, refuse
from miniclip.data import NONE
from miniclip.distributed.collectives import dist_info
from miniclip.loss import clip_loss
from miniclip.training import checkpoint
from miniclip.training.freeze import freeze
from miniclip.zeroshot import encode_images, encode_texts

# whole families of icons are the test: a run chooses nothing on them
NOT_MEASURED = ("train", "heldout_site")
MOST_PAIRS = 1000  # of the first other split, evenly spaced
SHARE = 0.1  # of the time since it was measured last: no more goes into measuring, by default


class HeldOut:
    """Measures a run on its held-out pairs, logs what it found, and keeps the best weights.

    config: the run's Config. Its eval_every is the number of steps between two measurements, 0 for
    none. None means after each epoch, or less often where measuring would take more than a tenth of
    the time. log: the run's RunLog. constant: what checkpoint.describe gave. Only rank 0 measures.
    """

    def __init__(self, config, model, tokenizer, pairs, log, constant):
        self.config, self.model, self.tokenizer, self.pairs = config, model, tokenizer, pairs
        self.log, self.constant = log, constant
        splits = {} if config.val_data == NONE else pairs.splits
        usable = (own for name, own in splits.items() if name not in NOT_MEASURED and len(own))
        split = next(usable, [])
        few = min(len(split), MOST_PAIRS)
        self.indices = [int(split[k * len(split) // few]) for k in range(few)]
        self.best, self.ready = math.inf, -math.inf  # ready: from when on it is measured again
        few = "--eval-every measures held-out pairs, and there are no two; leave it out"
        refuse({few: config.eval_every and len(self.indices) < 2})
        if dist_info()[0] == 0:
            path = config.out / checkpoint.BEST
            kept = checkpoint.load(path) if path.is_file() else {}
            check_output(path, lambda path: "optimizer" not in kept)
            if kept and log.last[1]:  # resumed
                self.best = kept.get("heldout_loss", math.inf)
            elif kept:  # of an earlier run: a run that is resumed would compare itself with it
                numbered = (path.with_name(f"earlier_best_{k}.pt") for k in itertools.count(2))
                places = itertools.chain([path.with_name("earlier_best.pt")], numbered)
                path.rename(next(place for place in places if not place.exists()))

    def due(self, run) -> bool:
        """Whether to measure after the present step of a Monitor."""
        if dist_info()[0] or len(self.indices) < 2 or not self.model.shared_space:
            return False
        if self.config.eval_every is not None:
            return self.config.eval_every > 0 and run.step % self.config.eval_every == 0
        return run.step % run.steps_per_epoch == 0 and time.monotonic() > self.ready

    def measure(self, run) -> None:
        """Write the numbers of the present step into log.jsonl, print them, and write best.pt where the
        loss is lower than ever. Raises OSError."""
        began, out = time.monotonic(), self.config.out
        loss, recall = heldout_numbers(
            self.model, self.tokenizer, self.pairs, self.indices, run.batch_size
        )
        freeze(self.model, self.config.freeze)  # a frozen tower is not in training mode
        if not math.isfinite(loss):  # no picture could be read
            return
        self.log.record({"step": run.step, "heldout_loss": loss, "heldout_recall": recall})
        said = ""
        if loss < self.best:
            self.best, said = loss, f" | the best so far, in {checkpoint.BEST}"
            checkpoint.save(
                out / checkpoint.BEST,
                self.constant
                | {"step": run.step, "heldout_loss": loss, "model": self.model.state_dict()},
            )
        print(
            f"step {run.step:05d} | {len(self.indices):,} held-out pairs: loss {loss:.4f}, text to "
            f"image R@1 {recall:.2f}{said}",
            flush=True,
        )
        ended = time.monotonic()
        self.ready = ended + (ended - began) / SHARE


def heldout_numbers(model, tokenizer, pairs, indices, batch_size: int) -> tuple[float, float]:
    """(loss, recall) of some pairs: the contrastive loss of batches of `batch_size`, which is log
    batch_size by chance, and the share of captions whose own picture is the nearest of all.

    A picture that cannot be read is left out. Of a pair, its first caption counts.
    """
    image, kept = encode_images(model, pairs, indices)
    text = encode_texts(model, tokenizer, [pairs.captions(i)[0] for i in kept])
    if not kept:
        return math.inf, 0.0
    size, scale = min(batch_size, len(kept)), model.logit_scale.detach().float().cpu()
    whole = range(0, len(kept) - size + 1, size)
    losses = [clip_loss(image[k : k + size], text[k : k + size], scale) for k in whole]
    nearest = (text @ image.T).argmax(1) == torch.arange(len(kept))
    return torch.stack(losses).mean().item(), nearest.float().mean().item()

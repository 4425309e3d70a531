"""How well a model does on held-out pairs while it is trained: their loss, and retrieval among them.

The training loss goes on falling when a model learns its pairs by heart; the held-out loss then rises.
best.pt keeps the weights with the lowest held-out loss. Measuring draws no random number, so a run
ends with the same weights with and without it. Left out: stopping early.
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
from miniclip.zeroshot import encode_all, encode_texts

# heldout_site is the test, whole families of icons: a run must not choose its best weights by it
NOT_MEASURED = ("train", "heldout_site")
MOST_PAIRS = 1000  # measure at most so many pairs, evenly spaced in the first of the other splits
SHARE = 0.1  # by default measuring takes no more than this share of the time


class HeldOut:
    """Measures a run on its held-out pairs, logs what it found, and keeps the best weights.

    config: the run's Config. Its eval_every is the number of steps between two measurements; 0
    means that nothing is measured. None means after each epoch, or less often if measuring would
    take more than a tenth of the time. log: the run's RunLog. constant: what checkpoint.describe
    returned. Only rank 0 measures.
    """

    def __init__(self, config, model, tokenizer, pairs, log, constant):
        self.config, self.model, self.tokenizer, self.pairs = config, model, tokenizer, pairs
        self.log, self.constant = log, constant
        splits = {} if config.val_data == NONE else pairs.splits
        split = next(
            (own for name, own in splits.items() if name not in NOT_MEASURED and len(own)), []
        )
        few = min(len(split), MOST_PAIRS)
        self.indices = [int(split[k * len(split) // few]) for k in range(few)]
        self.best, self.ready = math.inf, -math.inf  # ready: earliest time of the next measurement
        self.count = 0  # how many pairs the losses that are compared were measured on
        refuse(
            {
                "--eval-every measures held-out pairs, and there are fewer than two; leave it "
                "out": config.eval_every and len(self.indices) < 2
            }
        )
        if dist_info()[0] == 0:
            path = config.out / checkpoint.BEST
            kept = checkpoint.load(path) if path.is_file() else {}
            check_output(path, lambda path: "optimizer" not in kept)
            if kept and log.last[1]:  # resumed
                self.best = kept.get("heldout_loss", math.inf)
                self.count = kept.get("heldout_pairs", 0)
            elif kept:  # of an earlier run: once resumed, this run would compare its loss with it
                numbered = (path.with_name(f"earlier_best_{k}.pt") for k in itertools.count(2))
                places = itertools.chain([path.with_name("earlier_best.pt")], numbered)
                path.rename(next(place for place in places if not place.exists()))

    def due(self, run) -> bool:
        """Whether to measure after the present step. run: the Monitor of the run."""
        if dist_info()[0] or len(self.indices) < 2 or not self.model.shared_space:
            return False
        if self.config.eval_every is not None:
            return self.config.eval_every > 0 and run.step % self.config.eval_every == 0
        return run.step % run.steps_per_epoch == 0 and time.monotonic() > self.ready

    def measure(self, run) -> None:
        """Write the numbers of the present step into log.jsonl, print them, and write best.pt if
        the loss is the lowest so far. Raises OSError if a file cannot be written.

        If other pictures can be read than at the first measurement, the loss is not compared with
        earlier ones: among fewer pairs it would be lower by chance.
        """
        began, out = time.monotonic(), self.config.out
        loss, recall, bad = heldout_numbers(
            self.model, self.tokenizer, self.pairs, self.indices, run.batch_size
        )
        freeze(self.model, self.config.freeze)  # a frozen tower stays out of training mode
        run.skipped |= {self.pairs.where(i): reason for i, reason in bad}
        count = len(self.indices) - len(bad)
        if not count:
            print(f"step {run.step:05d} | no held-out picture can be read", flush=True)
            return
        chance = math.log(min(count, run.batch_size))
        numbers = {"heldout_loss": loss, "heldout_recall": recall, "heldout_chance": chance}
        self.log.record({"step": run.step} | numbers)
        self.count = self.count or count
        said = f" | {len(bad):,} pictures could not be read" * bool(bad)
        if loss < self.best and count == self.count:
            self.best, said = loss, f"{said} | the best so far, in {checkpoint.BEST}"
            measured = {"step": run.step, "heldout_loss": loss, "heldout_pairs": count}
            checkpoint.save(
                out / checkpoint.BEST,
                self.constant | measured | {"model": self.model.state_dict()},
            )
        print(
            f"step {run.step:05d} | {count:,} held-out pairs: loss {loss:.4f} ({chance:.2f} is chance), "
            f"text to image R@1 {recall:.2f}{said}",
            flush=True,
        )
        ended = time.monotonic()
        self.ready = ended + (ended - began) / SHARE


def heldout_numbers(model, tokenizer, pairs, indices, batch_size: int) -> tuple:
    """(loss, recall, bad) of some pairs; loss and recall are inf and 0 if no picture can be read.

    The loss is the mean contrastive loss of batches of `batch_size`, or of one batch if there are
    fewer pairs. Chance gives the logarithm of the size of a batch. The recall is the share of
    captions whose picture is the nearest of all pictures. Only the first caption of a pair counts.
    bad: [(index, reason)] of the pictures that cannot be read, which are left out.
    """
    kept, image, bad = encode_all(model, pairs.image, indices)
    text = encode_texts(model, tokenizer, [pairs.captions(i)[0] for i in kept])
    if not kept:
        return math.inf, 0.0, bad
    size, scale = min(batch_size, len(kept)), model.logit_scale.detach().float().cpu()
    whole = range(0, len(kept) - size + 1, size)
    losses = [clip_loss(image[k : k + size], text[k : k + size], scale) for k in whole]
    nearest = (text @ image.T).argmax(1) == torch.arange(len(kept))
    return torch.stack(losses).mean().item(), nearest.float().mean().item(), bad

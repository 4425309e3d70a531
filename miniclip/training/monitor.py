"""How long a run goes on: steps, time, signals and patience, decided by all ranks together.

Before each step the ranks take the maximum of a few numbers over all ranks (one all-reduce). So all
ranks stop, save, or leave a step out together. Left out: early stopping by a validation loss.
"""

import math
import time

from miniclip.common import UserError, refuse
from miniclip.data import report_skipped
from miniclip.data.loader import planned_parts
from miniclip.distributed import process_group
from miniclip.distributed.collectives import dist_info

PATIENCE = 20  # steps in a row without a finite gradient, after which the run is given up


class Monitor:
    """The progress of a run, and what the ranks decided about the present step.

    config: the options of the run. train_pairs: the number of pairs to train on. skipped: {name:
    reason} of pictures that cannot be read. wants_save: a function of the number of a step, which
    returns whether rank 0 should save after that step.

    The attribute stop is the number of the signal that ends the run, or 0. due says whether all
    ranks save after the present step, provided that the step's loss and gradients are finite.
    problem is an exception that the loop has caught on this rank, or None. After an exception the
    run ends before the next step, and the loop saves the state and raises the exception.
    """

    def __init__(self, config, train_pairs, skipped, wants_save, device):
        self.device, self.wants_save, world = device, wants_save, dist_info()[1]
        self.batch_size = min(config.batch_size, train_pairs)
        self.steps_per_epoch = train_pairs // self.batch_size
        # rounded, because 1.1 * 50 is 55.000000000000007
        exact = round((config.epochs or 0) * self.steps_per_epoch, 6)
        in_epochs = max(1, math.ceil(exact)) if config.epochs else math.inf
        self.steps = config.steps or in_epochs
        self.budget_s = config.minutes * 60 if config.minutes else math.inf
        unit = config.micro_batch if world > 1 else None
        # pairs that a rank needs for a step: one for each micro-batch
        self.fewest = planned_parts(self.batch_size, unit, world) if unit else 1
        self.step, self.seconds, self.skipped_steps, self.skipped = 0, 0.0, 0, dict(skipped)
        self.failures, self.stop, self.due = 0, 0, False  # failures: skipped steps in a row
        self.problem = self.started = None

    def state_dict(self):
        """The progress, for a checkpoint."""
        return dict(
            step=self.step,
            seconds=self.seconds,
            skipped_steps=self.skipped_steps,
            skipped=self.skipped,
        )

    def load_state_dict(self, state):
        """Go on from the progress in a checkpoint; other keys of `state` are ignored.

        Raises UserError if this run cannot have these numbers."""
        steps, left_out = state["step"], state["skipped_steps"]  # numbers: see checkpoint.PARTS
        refuse(
            {
                f"this run cannot have taken {steps} steps and skipped {left_out} of them": (
                    not left_out <= steps <= self.steps
                )
            }
        )
        self.step, self.seconds, self.skipped_steps = steps, state["seconds"], left_out
        self.skipped |= state["skipped"]

    @property
    def done(self):
        """Whether the steps or the time are used up."""
        return self.step >= self.steps or self.seconds >= self.budget_s

    @property
    def progress(self):
        """The share of the run that is over, from 0 to 1, by steps or by time; for the schedule."""
        return max(self.step / (self.steps + 1), min(1, self.seconds / self.budget_s))

    def next_batch(self, loader, received):
        """The parts of the next batch, or None if the run is done or a signal or a problem ends it.

        loader: an iterator of Batch (data/loader.py). received: the list of signals that
        noted_signals fills. If some rank has too few pairs because pictures could not be read, all
        ranks get an empty list, so that they leave the step out together.
        """
        self.started = self.started or time.monotonic() - self.seconds
        if self.done:  # a signal during the last step
            (self.stop,) = process_group.any_rank(self.device, max(received, default=0))
            return None
        parts, unreadable = next(loader)
        pairs_here = sum(len(tokens) for _, tokens in parts)
        new = {name: why for name, why in unreadable if name not in self.skipped}
        self.stop, missing, self.seconds, self.due, any_new, ends = process_group.any_rank(
            self.device,
            max(received, default=0),
            pairs_here < self.fewest,
            time.monotonic() - self.started,
            dist_info()[0] == 0 and self.wants_save(self.step + 1),
            len(new) > 0,
            self.problem is not None,
        )
        if self.stop or ends:
            return None
        self.step += 1
        for of_rank in process_group.gather(new) if any_new else ():
            self.skipped |= of_rank
        return [] if missing else parts

    def count(self, finite, readable=True):
        """Count the step as taken, or as skipped.

        finite: whether the loss and all gradients are finite. readable: False if the step was left
        out because too few pictures could be read. Raises UserError after PATIENCE skipped steps in
        a row.
        """
        self.failures = 0 if finite else self.failures + 1
        self.skipped_steps += not finite
        if self.failures == PATIENCE:
            raise UserError(
                f"no finite gradient in the {PATIENCE} steps up to step {self.step}; earlier "
                "checkpoints are unchanged; try a lower --lr, or bf16 in place of fp16"
                if readable
                else f"too few pictures of a batch could be read, {PATIENCE} times in a row; "
                f"{report_skipped(list(self.skipped.items()))}"
            )

    def check_readable(self):
        """Raise UserError if no step at all was taken because pictures could not be read."""
        refuse(
            {
                f"no step could be taken: {report_skipped(list(self.skipped.items()))}": (
                    self.skipped and 0 < self.skipped_steps == self.step and not self.stop
                )
            }
        )

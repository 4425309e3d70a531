"""Parts of a batch to the device, each copied while the device computes another.

A GPU copies on a second stream, while the first one computes, from memory that is pinned (the loader's
pin_memory). There are two cases. A batch that is computed as a whole is copied while the one before
it is computed: `batches_ahead`. One that is computed in micro-batches may be too large for that. It
stays in the host's memory, and `PartsAhead` copies a part while the one before it is computed. On
other devices nothing is copied ahead. Left out: copying the first parts of the next batch while the
last ones of a micro-batched batch are computed.
"""

import itertools

import torch

from miniclip.data.loader import Batch
from miniclip.data.transforms import normalize


def batches_ahead(batches, device):
    """Iterate over batches; on a GPU their parts are there, and the next batch is being copied.

    So on a GPU a batch is loaded before the one before it is yielded.
    """
    stream = _side_stream(device)
    if stream is None:
        yield from batches
        return
    coming = None
    for batch in itertools.chain(batches, [None]):
        now, coming = coming, None
        if batch:
            coming = Batch([_Copy(part, device, stream) for part in batch.parts], batch.skipped)
        if now:
            yield Batch([copy.finish() for copy in now.parts], now.skipped)
        now = None  # free its memory before another one is loaded
        for copy in coming.parts if coming else ():
            copy.done.synchronize()  # the loader writes over the batch when it loads the next one


class PartsAhead:
    """part -> (images (n, 3, S, S) float32, normalized, tokens (n, L)), both on the device.

    parts: list of (images uint8, tokens), which are asked for in this order, again and again. On a
    GPU the next part is being copied when this returns.
    """

    def __init__(self, parts, device):
        self.device, self.stream = device, _side_stream(device)
        self.after = {id(part): next_part for part, next_part in zip(parts, parts[1:] + parts[:1])}
        self.ahead = {}  # {id of a part: its copy}

    def __call__(self, part):
        copy = self.ahead.pop(id(part), None) or _Copy(part, self.device, self.stream)
        images, tokens = copy.finish()
        if self.stream:
            after = self.after[id(part)]
            self.ahead = {id(after): _Copy(after, self.device, self.stream)}
        return normalize(images), tokens


class _Copy:
    """A part that is being copied to a device, on `stream` or (None) on the current one."""

    def __init__(self, part, device, stream):
        with torch.cuda.stream(stream):  # None: changes nothing
            self.part = [side.to(device, non_blocking=True) for side in part]
            self.done = stream and stream.record_event()

    def finish(self):
        """The part on the device. The current stream waits for the copy, the CPU does not."""
        if self.done:
            current = torch.cuda.current_stream(self.part[0].device)
            current.wait_event(self.done)
            for side in self.part:  # else its memory could be used for the copy after the next
                side.record_stream(current)
        return self.part


def _side_stream(device):
    return torch.cuda.Stream(device) if device.type == "cuda" else None

"""What stands between the loop and the model: synchronized batch norm, torch.compile, DDP, micro-batches.

The comments say what needs care when two of these are used together. Left out: sharding the weights
over GPUs (FSDP).
"""

import inspect
import warnings

import torch
from torch.nn.parallel import DistributedDataParallel

from miniclip.data.loader import join
from miniclip.data.transforms import normalize
from miniclip.distributed.collectives import dist_info


def wrap(model, config, device):
    """The model as the loop calls it: with --sync-bn and --compile, and inside DDP on many ranks."""
    if config.sync_bn:  # replaces the batch norms inside the model, so before anything wraps it
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    towers = torch.compile(model) if config.compile else model
    if config.grad_checkpointing and torch.__version__ < (2, 13):
        # torch 2.7 cannot split a graph with checkpointed blocks at DDP's buckets; 2.13 can
        torch._dynamo.config.optimize_ddp = False
    if dist_info()[1] > 1:  # each rank has its own batch-norm averages; those of rank 0 are saved
        how = dict(device_ids=[device.index] if device.type == "cuda" else None)
        new = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
        how["forward_sync_buffers" if new else "broadcast_buffers"] = False  # since torch 2.13
        if device.type == "cpu":
            # oneDNN's gradients of 1 x 1 convolutions have other strides where the size is 1, which
            # changes nothing, but each rank would print a warning
            warnings.filterwarnings("ignore", "Grad strides do not match")
        towers = DistributedDataParallel(towers, **how)
    return towers


def prepared_parts(parts, config, device):
    """(parts, to_device) of a batch: its micro-batches, or the whole batch as a single part.

    to_device(part) -> (images float32, normalized, tokens), on the device.
    """
    parts = [
        part for part in parts if len(part[1])
    ]  # on one rank a part may have lost all its pairs
    if not config.micro_batch:
        parts = [join([[side.to(device) for side in part] for part in parts])]

    def to_device(part):
        # The copy from pinned memory does not block: the host only waits at the end of the step,
        # before the loader writes over the batch.
        images, tokens = (side.to(device, non_blocking=True) for side in part)
        images = normalize(images)
        if config.compile:  # one compilation for captions of every length
            torch._dynamo.maybe_mark_dynamic(tokens, 1)
        return images, tokens

    return parts, to_device

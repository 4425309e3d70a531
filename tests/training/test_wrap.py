"""What train.py calls instead of the model, and the parts that a batch is computed in."""

from types import SimpleNamespace

import pytest
import torch
import torch._dynamo

import train
from miniclip.training.grad_cache import prepared_parts

CPU = torch.device("cpu")


def options(**given):
    plain = dict(sync_bn=False, compile=False, grad_checkpointing=False, micro_batch=None)
    return SimpleNamespace(**plain | given)


@pytest.mark.parametrize("device, ids", [("cpu", None), ("cuda:1", [1])])
def test_many_ranks_are_inside_ddp_with_compiled_towers_and_synchronized_batch_norms(
    device, ids, monkeypatch
):
    def ddp(model, devices):
        return SimpleNamespace(model=model, devices=devices, broadcast_buffers=True)

    monkeypatch.setattr(train, "dist_info", lambda: (0, 2))
    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", ddp)
    monkeypatch.setattr(torch, "compile", lambda model: ("compiled", model))
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    towers = train.wrap(model, options(sync_bn=True, compile=True), torch.device(device))
    assert (towers.model, towers.devices) == (("compiled", model), ids)
    assert not towers.broadcast_buffers and type(model[0]) is torch.nn.SyncBatchNorm


@pytest.mark.parametrize(
    "checkpointing, version, whole",
    [(True, "2.12.1", True), (True, "2.13.0", False), (False, "2.12.1", False)],
)
def test_before_torch_2_13_a_checkpointed_graph_is_not_split_at_ddp_s_buckets(
    checkpointing, version, whole, monkeypatch
):
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion(version))
    with torch._dynamo.config.patch(optimize_ddp=True):
        train.wrap(torch.nn.Linear(2, 2), options(grad_checkpointing=checkpointing), CPU)
        assert torch._dynamo.config.optimize_ddp is not whole


def batch():
    """Parts of 2, 0 and 1 pairs, with texts of 3 and of 5 tokens."""
    return [(torch.full((n, 3, 2, 2), n, dtype=torch.uint8), torch.ones(n, length, dtype=torch.long))
            for n, length in ((2, 3), (0, 3), (1, 5))]  # fmt: skip


def test_micro_batches_are_the_parts_with_pairs_and_otherwise_there_is_one_part():
    parts, prepare = prepared_parts(batch(), options(micro_batch=2), CPU)
    assert [tuple(tokens.shape) for _, tokens in parts] == [(2, 3), (1, 5)]
    images, tokens = prepare(parts[1])
    assert images.dtype == torch.float32 and images.shape == (1, 3, 2, 2) and tokens.shape == (1, 5)
    [whole], prepare = prepared_parts(batch(), options(), CPU)
    assert prepare(whole)[0].shape == (3, 3, 2, 2)
    assert prepare(whole)[1].tolist() == [[1, 1, 1, 0, 0]] * 2 + [[1] * 5]

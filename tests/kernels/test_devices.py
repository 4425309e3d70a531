"""What only some machines have, through a seam: Apple's mps without float64."""

import contextlib

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kernels import reference, softmax
from miniclip.loss import contrastive_loss


class NoFloat64(TorchDispatchMode):
    """Makes the device "meta" one like mps: it refuses to make a float64 tensor."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in filter(torch.is_tensor, tree_leaves(out)):
            assert (x.device.type, x.dtype) != ("meta", torch.float64), func
        return out


@pytest.mark.parametrize("by_number", [False, True])
def test_the_loss_makes_no_float64_tensor_on_mps(by_number, monkeypatch):
    """Fails where the loss keeps its few float64 vectors on the device: mps has no float64."""
    monkeypatch.setattr(softmax, "NO_FLOAT64", {"meta"})
    monkeypatch.setattr(torch.Tensor, "cpu", lambda x: torch.ones(x.shape, dtype=x.dtype))
    monkeypatch.setattr(torch, "autocast", lambda *args, **kw: contextlib.nullcontext())
    # the host reads which rows it computes, and "meta" holds no numbers
    monkeypatch.setattr(reference, "online_sums", lambda rows, *_: (rows[:, 0], rows[:, 0]))
    image, text = (torch.ones(7, 4, device="meta", requires_grad=True) for _ in range(2))
    scale = 3.0 if by_number else torch.ones((), device="meta", requires_grad=True)
    with NoFloat64():
        loss = contrastive_loss(image, text, scale, chunk=3)
        loss.backward()
    assert loss.device == image.grad.device == text.grad.device == torch.device("meta")

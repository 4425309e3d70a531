"""What only some machines have, through seams: a second card, and Apple's mps without float64."""

import contextlib
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kernels import softmax
from miniclip.common import UserError, pick_device
from miniclip.loss import contrastive_loss
from tests.losses import batch, grads


class Pretended(torch.Tensor):
    """A tensor that says it is on the device "meta", and keeps its numbers on the CPU."""

    @staticmethod
    def __new__(cls, inner):
        own = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, inner.stride(), dtype=inner.dtype, device="meta"
        )
        own.inner = inner
        return own

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of LikeMps")


class LikeMps(TorchDispatchMode):
    """Makes "meta" a device like mps: it computes, but refuses to make a float64 tensor, and to use
    tensors of two devices in one operation. (This torch cannot do even that much with "mps".)"""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, here, elsewhere = dict(kwargs or {}), [], []

        def plain(x):
            if isinstance(x, (list, tuple)):
                return type(x)(map(plain, x))
            if isinstance(x, Pretended):
                here.append(x)
                return x.inner
            if torch.is_tensor(x) and x.ndim:
                elsewhere.append(x)
            return x

        def pretended(x):
            if isinstance(x, (list, tuple)):
                return type(x)(map(pretended, x))
            if not torch.is_tensor(x):
                return x
            assert x.dtype != torch.float64, f"{func} makes a float64 tensor"
            return next((own for own in here if own.inner is x), Pretended(x))

        device = kwargs.get("device")
        if device is not None:
            kwargs["device"] = torch.device("cpu")
        args, kwargs = plain(args), {name: plain(value) for name, value in kwargs.items()}
        moves = func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        assert moves or not (here and elsewhere), f"{func} on tensors of two devices"
        out = func(*args, **kwargs)
        there = bool(here) if device is None else torch.device(device).type == "meta"
        return pretended(out) if there else out


@pytest.mark.parametrize("kind", ["random", "opposite"])  # without and with a rescue of lost sums
def test_the_loss_makes_no_float64_tensor_on_mps(kind, monkeypatch):
    """Fails where the loss keeps its few float64 vectors on the device: mps has no float64."""
    pairs = [x.float() for x in batch(7, 4, kind)]
    true = grads(contrastive_loss, *pairs, math.log(100), torch.float32, chunk=3)
    true_by_number = contrastive_loss(*pairs, math.log(100), chunk=3)
    monkeypatch.setattr(softmax, "NO_FLOAT64", {"meta"}, raising=False)
    monkeypatch.setattr(torch, "autocast", lambda *args, **kw: contextlib.nullcontext())
    with LikeMps():
        leaves = [Pretended(x.clone()) for x in (*pairs, torch.tensor(math.log(100)))]
        loss = contrastive_loss(*(x.requires_grad_() for x in leaves), chunk=3)
        loss.backward()
        by_number = contrastive_loss(*leaves[:2], math.log(100), chunk=3)
    got = loss, *(x.grad for x in leaves), by_number
    for mine, theirs in zip(got, (*true, true_by_number), strict=True):
        assert mine.device.type == "meta" and torch.equal(mine.inner, theirs)


@pytest.mark.parametrize("mistake", [lambda x: Pretended(x).double(), lambda x: Pretended(x) + x])
def test_the_pretended_device_refuses_what_mps_would(mistake):
    with LikeMps(), pytest.raises(AssertionError):
        mistake(torch.ones(3))


def test_mps_is_a_device_where_it_is_there(monkeypatch):
    """Fails on a Mac where a float64 tensor decides whether a device is there."""

    def zeros(*shape, device, dtype=torch.float32):
        if dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    if not torch.backends.mps.is_available():
        with pytest.raises(UserError, match="the device mps is not available here"):
            pick_device("mps")
    monkeypatch.setattr(torch, "zeros", zeros)
    assert pick_device("mps") == torch.device("mps")

"""What the tests of the loss share: the truth in float64, errors against it, and hard batches."""

import math

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from miniclip.loss import clip_loss, reference

KINDS = ("random", "matched", "equal", "opposite", "zero", "tiny", "huge")


def batch(n, d, kind="random", seed=0, noise=0.3):
    """image and text, (n, d) float64 with values that float32 and bfloat16 hold exactly."""
    g = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, n, d, generator=g)
    if kind == "matched":
        text = image + noise * text
    elif kind == "equal":
        image = text = image[:1].expand(n, d)
    elif kind == "opposite":
        text = -image
    elif kind == "zero":
        image[:: max(2, n // 2)] = 0
        text[-1] = 0
    elif kind == "tiny":
        image, text = image * 1e-18, text * 1e18
    elif kind == "huge":
        image = image.clone()
        image[0] *= 1e18
    return image.bfloat16().double(), text.bfloat16().double()


def definition(image, text, logit_scale):
    """clip_loss where it says nothing itself: zero rows, and lengths that F.normalize clamps.

    Dividing a row by a constant changes neither its direction nor, by the chain rule, its gradient.
    """
    both = []
    for x in (image, text):
        largest = x.detach().abs().amax(1, keepdim=True)
        # no gradient into a zero row, as normalize promises
        both.append(torch.where(largest == 0, x.detach(), x) / largest.masked_fill(largest == 0, 1))
    return clip_loss(*both, logit_scale)


def scale_for(loss, image, text):
    """The logit_scale at which a batch of well-matched pairs has this loss."""
    low, high = 0.0, math.log(1e5)
    for _ in range(60):
        middle = (low + high) / 2
        if clip_loss(image, text, torch.tensor(middle).double()) > loss:
            low = middle
        else:
            high = middle
    return low


def grads(loss, image, text, logit_scale, dtype=torch.float64, **how):
    """(value, d image, d text, d logit_scale), detached, of a loss function at these arguments."""
    leaves = [t.to(dtype).clone().requires_grad_() for t in (image, text)]
    scale = torch.tensor(logit_scale, dtype=torch.promote_types(dtype, torch.float32))
    leaves.append(scale.requires_grad_())
    value = loss(*leaves, **how)
    value.backward()
    return value.detach(), *[leaf.grad for leaf in leaves]


def chunks_used(monkeypatch):
    """The chunks that the block operations in torch are called with from now on."""
    used = []
    for name in ("sums", "gradient"):
        real = getattr(reference, name)

        def noted(*arguments, real=real):
            used.append(arguments[-1])
            return real(*arguments)

        monkeypatch.setattr(reference, name, noted)
    return used


class Watch(TorchDispatchMode):
    """Notes the largest tensor made inside, in elements, and the most bytes alive at once."""

    def __init__(self):
        super().__init__()
        self.largest, self.peak_bytes, self.seen = 0, 0, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else [out]:
            # Triton's interpreter copies what it is given, as bytes: those are not the kernels'
            if torch.is_tensor(t) and not t._is_view() and t.dtype != torch.uint8:
                self.largest = max(self.largest, t.numel())
                storage = t.untyped_storage()
                self.seen[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.seen = {k: v for k, v in self.seen.items() if not v[0].expired()}
        self.peak_bytes = max(self.peak_bytes, sum(size for _, size in self.seen.values()))
        return out

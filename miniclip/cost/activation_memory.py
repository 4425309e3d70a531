"""How many bytes autograd keeps for the backward pass, by running the model (CLIP, section 2.5).

The model runs on torch's meta device, where tensors have shapes and no numbers. So even the largest
model takes a second and allocates nothing. Autograd passes every tensor that it would keep to a
hook, so the count is still right after a layer has been changed. Left out: what an allocator
wastes.
Lesson: lessons/12_cost.md.
"""

from collections import Counter

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from miniclip.model.resnet import Bottleneck
from miniclip.model.transformer import Block


class _Autocast(TorchFunctionMode):
    """Does what torch.autocast does on a GPU, because the meta device has no autocast.

    Products are in the dtype `low` and norms in float32, and attention uses the kernel that keeps
    no (L, L) weights.
    """

    PRODUCTS = ("linear", "conv2d", "matmul", "__matmul__")

    def __init__(self, low):
        super().__init__()
        self.dtypes = dict.fromkeys(self.PRODUCTS, low) | {"layer_norm": torch.float32}
        self.low, self.copies = low, []

    def cast(self, x, dtype):
        if not (torch.is_tensor(x) and x.is_floating_point()) or x.dtype == dtype:
            return x
        copy = x.to(dtype)
        if isinstance(x, torch.nn.Parameter):
            self.copies.append(copy)  # autocast makes one copy of a weight, and keeps it
        return copy

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            q, k, v = (self.cast(x, self.low) for x in args)
            flash = torch.ops.aten._scaled_dot_product_flash_attention
            return flash(q, k, v, 0.0, kwargs["is_causal"])[0]
        if dtype := self.dtypes.get(name):
            args = [self.cast(x, dtype) for x in args]
            kwargs = {key: self.cast(x, dtype) for key, x in kwargs.items()}
        return func(*args, **kwargs)


def activations(model, length, dtype):
    """The bytes that the backward pass needs, beside the weights and their gradients.

    model: a CLIP on the meta device; length: tokens per text; dtype: of autocast. Returns a dict:

        a_pair                 for one pair, with the model as it is
        a_pair_checkpointed    for one pair with checkpointing; mostly the inputs of the blocks
        largest_block          the most that one block keeps while it is computed again
        copies                 the weights in dtype; they are needed once, whatever the batch
    """
    size = model.config["image_size"]
    images = torch.empty(1, 3, size, size, device="meta")
    tokens = torch.zeros(1, length, dtype=torch.long, device="meta")
    mode, kept, visited = _Autocast(dtype), {}, [(None, 0)]

    def keep(x):
        kept.setdefault(x.untyped_storage(), visited[-1][0])  # torch has one object per storage
        return x

    def visit(module, args, *out):  # called before a module, without out, and again after it
        if isinstance(module, (Block, Bottleneck)):
            visited.append((None, 0) if out else (module, args[0].nbytes))

    with (
        register_module_forward_pre_hook(visit),
        register_module_forward_hook(visit),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
        mode,
    ):
        model(images, tokens, normalize=False)
    copies = {copy.untyped_storage() for copy in mode.copies}
    weights = {t.untyped_storage() for t in model.state_dict().values()}
    inside = Counter()  # block -> bytes kept in it; None: outside the blocks
    for storage in kept.keys() - weights - copies:
        inside[kept[storage]] += storage.nbytes()
    a_pair, outside = inside.total(), inside.pop(None)
    return dict(
        a_pair=a_pair,
        a_pair_checkpointed=outside + sum(input_bytes for _, input_bytes in visited),
        largest_block=max(inside.values(), default=0),
        copies=sum(copy.nbytes() for copy in copies),
    )

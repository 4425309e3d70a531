"""How many bytes the backward pass waits for, asked of the model itself.

On torch's meta device tensors have shapes and no numbers, so the largest model runs in a fraction
of a second and allocates nothing; autograd tells a hook what it would keep. A formula would be
shorter, and wrong after the next change of a layer. Left out: what an allocator wastes.
"""

import torch
from torch.overrides import TorchFunctionMode

from miniclip.model.resnet import Bottleneck
from miniclip.model.transformer import Block


class _Autocast(TorchFunctionMode):
    """What torch.autocast does on a GPU, on the meta device, which has none: products in `low`,
    norms in 32 bits. And attention by the kernel that keeps no (L, L) weights."""

    LOW = ("linear", "conv2d", "matmul", "__matmul__")

    def __init__(self, low):
        super().__init__()
        self.low, self.copies = low, {}

    def cast(self, x, dtype):
        if not (torch.is_tensor(x) and x.is_floating_point()) or x.dtype == dtype:
            return x
        copy = x.to(dtype)
        if isinstance(x, torch.nn.Parameter):
            self.copies[copy.untyped_storage()._cdata] = copy  # autocast makes one and keeps it
        return copy

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            q, k, v = (self.cast(x, self.low) for x in args[:3])
            flash = torch.ops.aten._scaled_dot_product_flash_attention
            return flash(q, k, v, 0.0, kwargs.get("is_causal", False))[0]
        if name in self.LOW or name == "layer_norm":
            dtype = self.low if name in self.LOW else torch.float32
            args = [self.cast(x, dtype) for x in args]
            kwargs = {key: self.cast(x, dtype) for key, x in kwargs.items()}
        return func(*args, **kwargs)


def activations(model, length, dtype):
    """Bytes that the backward pass needs, beside the weights and their gradients.

    model: a CLIP on the meta device; length: tokens a text; dtype: autocast's. Returns
    {'a_pair': of one pair, as built; 'a_pair_checkpointed': of one pair with checkpointing, the
    inputs of the blocks; 'largest_block': what one block keeps while it is computed again; 'copies':
    the weights in dtype, once whatever the batch}.
    """
    size = model.config["image_size"]
    images = torch.empty(1, 3, size, size, device="meta")
    tokens = torch.zeros(1, length, dtype=torch.long, device="meta")
    weights = {t.untyped_storage()._cdata for t in model.state_dict().values()}
    mode, kept, inputs, current = _Autocast(dtype), {}, [], [None]

    def keep(x):
        storage = x.untyped_storage()
        if storage._cdata not in weights and storage._cdata not in mode.copies:
            # holding on to the storage keeps its address from being given to another
            kept.setdefault(storage._cdata, (storage, current[0]))
        return x

    def enter(block, args):
        current[0] = block
        inputs.append(args[0].numel() * args[0].element_size())

    def leave(block, args, out):
        current[0] = None

    blocks = [m for m in model.modules() if isinstance(m, (Block, Bottleneck))]
    hooks = [block.register_forward_pre_hook(enter) for block in blocks]
    hooks += [block.register_forward_hook(leave) for block in blocks]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), mode:
        model(images, tokens, normalize=False)
    for hook in hooks:
        hook.remove()
    inside = dict.fromkeys([None, *blocks], 0)
    for storage, block in kept.values():
        inside[block] += storage.nbytes()
    outside = inside.pop(None)
    return dict(
        a_pair=outside + sum(inside.values()), a_pair_checkpointed=outside + sum(inputs),
        largest_block=max(inside.values(), default=0),
        copies=sum(copy.untyped_storage().nbytes() for copy in mode.copies.values()),
    )  # fmt: skip

"""Numbers for the laws of the model: random ones, a batch, and weights as training leaves them."""

import torch


def randn(*shape, seed=0):
    """float64: sums of some hundred numbers of size 1 are off by 1e-14, so 1e-12 leaves room."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def batch(model, n, seed=0, dtype=torch.float32):
    """(images, tokens) for a CLIP: n pictures of noise, and texts of different lengths."""
    g = torch.Generator().manual_seed(seed)
    size, vocab = model.config["image_size"], model.config["vocab_size"]
    context = model.config["context_length"]
    images = torch.randn(n, 3, size, size, generator=g)
    tokens = torch.randint(1, vocab - 1, (n, context), generator=g)
    ends = torch.randint(1, context, (n, 1), generator=g)
    at = torch.arange(context)
    tokens = torch.where(at < ends, tokens, torch.where(at == ends, vocab - 1, 0))
    return images.to(dtype), tokens


def gradients(model):
    """{name: gradient} of what has one; they are forgotten."""
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def assert_same_gradients(ours, theirs):
    """{name: gradient in float64} are the same but for rounding. That of a key's bias is nothing else,
    because softmax does not see it."""
    assert ours.keys() == theirs.keys()
    for name, true in theirs.items():
        off = (ours[name] - true).norm()
        assert off <= 1e-9 * true.norm() + 1e-13, f"{name} is off by {off:.1e} of {true.norm():.1e}"


def as_if_trained(model):
    """The model, where no bottleneck hides its branch behind a gain of zero, as a fresh one does."""
    for name, p in model.named_parameters():
        if name.endswith("bn3.weight"):
            torch.nn.init.ones_(p)
    return model

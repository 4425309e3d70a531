"""How fast are the towers? Beside open_clip, where it is installed, in one run.

    python -m miniclip.benchmarks towers                        rn50 and vit_b32, batch 16
    python -m miniclip.benchmarks towers --models rn101 --batch-size 64 --device cuda --rounds 10

Both libraries get the same weights, pictures and captions (5 to 20 tokens, padded to the context).
Timed are the forward pass, forward with backward, and a training step with loss and AdamW, in fp32
and under bf16 autocast. In a training step miniclip trims the captions to the longest, and open_clip
does not. Left out: the loss alone (`python -m kernels.bench`) and loading.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from miniclip.benchmarks.timer import compare, take_turns
from miniclip.common import Parser, command, machine, number, pick_device
from miniclip.loss import contrastive_loss
from miniclip.model.clip import MODELS, OPENCLIP, create_model
from miniclip.training.recipe import parameter_groups


def open_clip_model(name: str, state: dict[str, Tensor]) -> nn.Module | None:
    """open_clip's model of this name with the same weights, or None where there is none."""
    if name not in OPENCLIP or not find_spec("open_clip"):
        return None
    import open_clip

    logging.disable(logging.WARNING)  # it warns that the weights are random
    model = open_clip.create_model(OPENCLIP[name] + "-quickgelu")
    model.load_state_dict(state)
    return model


def step(
    loss_fn: Callable, model: nn.Module, images: Tensor, tokens: Tensor, dtype: str,
    backward: bool = True, optimizer: torch.optim.Optimizer | None = None,
) -> None:  # fmt: skip
    """The forward pass of both towers and the loss; the backward pass and the optimizer's step follow
    where they are asked for."""
    low, device = dtype == "bf16", images.device
    with torch.autocast(device.type, torch.bfloat16, low), torch.set_grad_enabled(backward):
        loss = loss_fn(model, images, tokens)
    if backward:
        loss.backward()
    if optimizer:
        optimizer.step()
    model.zero_grad(set_to_none=True)
    if device.type != "cpu":  # let a GPU finish what it was asked for
        torch.accelerator.synchronize(device)


def feature_sum(model: nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
    """The sum of all features, in the place of a loss: both towers alone."""
    image, text, _ = model(images, tokens)
    return image.float().sum() + text.float().sum()


def our_loss(model: nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
    """As train.py computes it: texts trimmed to the longest, features not normalized."""
    longest = int(tokens.argmax(1).max()) + 1
    image, text, _ = model(images, tokens[:, :longest], normalize=False)
    return contrastive_loss(image.float(), text.float(), model.logit_scale)


def open_clip_loss(model: nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
    """As open_clip's training computes it."""
    from open_clip.loss import ClipLoss

    return ClipLoss()(*model(images, tokens))


LOSSES = {"miniclip": our_loss, "open_clip": open_clip_loss}


def batch(config: dict, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random pictures, and captions of 5 to 20 random tokens (end included), padded with zeros."""
    side, context, end = config["image_size"], config["context_length"], config["vocab_size"] - 1
    images = torch.randn(size, 3, side, side)
    length = torch.randint(min(5, context), min(20, context) + 1, (size, 1))
    at, words = torch.arange(context), torch.randint(1, end, (size, context))
    tokens = torch.where(at < length - 1, words, end) * (at < length)
    return images.to(device), tokens.to(device)


def measurements(
    models: dict[str, nn.Module], images: Tensor, tokens: Tensor, rounds: int
) -> Iterator[tuple[str, dict]]:
    """Yield (what, {library: seconds}): both passes and a training step, in each dtype."""
    for dtype in ("fp32", "bf16"):
        rows = {"forward": {}, "forward + backward": {}, "training step": {}}
        for library, model in models.items():
            inputs = model, images, tokens, dtype
            rows["forward"][library] = partial(step, feature_sum, *inputs, backward=False)
            rows["forward + backward"][library] = partial(step, feature_sum, *inputs)
            adamw = torch.optim.AdamW(parameter_groups(model, 0.2), lr=1e-6)
            rows["training step"][library] = partial(
                step, LOSSES[library], *inputs, optimizer=adamw
            )
        for what, functions in rows.items():
            yield f"{dtype}  {what}", take_turns(functions, rounds)


@command("python -m miniclip.benchmarks towers")
def main(argv: list[str] | None = None) -> int:
    """The command: a table for each model. Returns the exit code."""
    parser = Parser(prog="python -m miniclip.benchmarks towers", description="Time the towers.")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["rn50", "vit_b32"])
    parser.add_argument(
        "--batch-size", type=number(int, low=1, high=10**6), default=16, help="pairs (16)"
    )
    parser.add_argument(
        "--rounds", type=number(int, low=1, high=10**6), default=5, help="timings of each (5)"
    )
    parser.add_argument("--device", default="cpu", help="cpu (the default), cuda, mps")
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    device = pick_device(args.device)
    where = ", ".join(f"{k} {v}" for k, v in machine(device).items())
    print(f"{where}, batch {args.batch_size}, {args.rounds} rounds")
    for name in args.models:
        ours = create_model(name)
        models = {"miniclip": ours, "open_clip": open_clip_model(name, ours.state_dict())}
        models = {whose: m.to(device).train() for whose, m in models.items() if m is not None}
        seconds = measurements(models, *batch(ours.config, args.batch_size, device), args.rounds)
        print(compare(name, "ms", lambda s: 1000 * s, seconds), flush=True)
    return 0

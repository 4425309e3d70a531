"""How fast are the towers, beside open_clip's (if it is installed)?

    python -m miniclip.benchmarks towers                        rn50 and vit_b32, batch 16
    python -m miniclip.benchmarks towers --models rn101 --batch-size 64 --device cuda --rounds 10

Both libraries get the same weights, pictures and captions. A caption has 5 to 20 tokens. Random
tokens fill the rest of the context, but they change no feature. Two things are timed, in fp32 and
under bf16 autocast: the forward and backward pass of the towers, and a training step with loss and
AdamW. In a training step miniclip trims the captions to the longest one, and open_clip does not.
Left out: the loss alone (`python -m kernels.bench`) and loading.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from miniclip.benchmarks.timer import COUNT, ROUNDS, compare, take_turns
from miniclip.common import command, machine, pick_device
from miniclip.loss import contrastive_loss
from miniclip.model.clip import MODELS, OPENCLIP, create_model
from miniclip.training.recipe import parameter_groups

OPTIONS = {
    "--models": dict(nargs="+", action="extend", choices=MODELS, help="(rn50 vit_b32)"),
    "--batch-size": dict(type=COUNT, default=16, help="pairs (16)"),
    **ROUNDS,
    "--device": dict(default="cpu", help="cpu (the default), cuda, mps"),
}


def open_clip_model(name: str, state: dict[str, Tensor]) -> nn.Module:
    """open_clip's model of this name with the same weights."""
    import open_clip

    logging.disable(logging.WARNING)  # it warns that the weights are random
    model = open_clip.create_model(OPENCLIP[name] + "-quickgelu")
    model.load_state_dict(state)
    return model


def step(
    loss_fn: Callable, model: nn.Module, images: Tensor, tokens: Tensor, dtype: str,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:  # fmt: skip
    """The forward pass of both towers with the loss, the backward pass, and optimizer.step(), if
    there is an optimizer."""
    device = images.device
    with torch.autocast(device.type, torch.bfloat16, dtype == "bf16"):
        loss = loss_fn(model, images, tokens)
    loss.backward()
    if optimizer:
        optimizer.step()
    model.zero_grad(set_to_none=True)
    if device.type != "cpu":  # let a GPU finish what it was asked for
        torch.accelerator.synchronize(device)


def feature_sum(model: nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
    """The sum of all features, which stands in for a loss when the towers are timed alone."""
    image, text, _ = model(images, tokens)
    return image.float().sum() + text.float().sum()


def our_loss(model: nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
    """The loss as train.py computes it: texts trimmed to the longest, features not normalized."""
    image, text, _ = model(images, tokens[:, : tokens.argmax(1).max() + 1], normalize=False)
    return contrastive_loss(image.float(), text.float(), model.logit_scale)


def open_clip_loss(model: nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
    """The loss as open_clip's training computes it."""
    from open_clip.loss import ClipLoss

    return ClipLoss()(*model(images, tokens))


LOSSES = {"miniclip": our_loss, "open_clip": open_clip_loss}


def batch(config: dict, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random pictures and captions. A caption is 5 to 20 random tokens, the end token included, and
    then further random tokens up to the context."""
    side, context, end = config["image_size"], config["context_length"], config["vocab_size"] - 1
    last = torch.randint(4, min(20, context), (size, 1))
    tokens = torch.randint(1, end, (size, context)).scatter_(1, last, end)
    return torch.randn(size, 3, side, side).to(device), tokens.to(device)


def measurements(
    models: dict[str, nn.Module], images: Tensor, tokens: Tensor, rounds: int
) -> Iterator[tuple[str, dict]]:
    """Yield (what, {library: seconds}): both passes, and a training step, in each dtype."""
    for dtype in ("fp32", "bf16"):
        inputs = images, tokens, dtype
        passes = {name: partial(step, feature_sum, m, *inputs) for name, m in models.items()}
        yield f"{dtype}  forward + backward", take_turns(passes, rounds)
        adamw = {m: torch.optim.AdamW(parameter_groups(m, 0.2), lr=1e-6) for m in models.values()}
        training = {
            name: partial(step, LOSSES[name], m, *inputs, adamw[m]) for name, m in models.items()
        }
        yield f"{dtype}  training step", take_turns(training, rounds)


@command("python -m miniclip.benchmarks towers", "Time the towers.", OPTIONS)
def main(models: list[str] | None, batch_size: int, rounds: int, device: str) -> None:
    """The command: a table for each model."""
    torch.manual_seed(0)
    where = pick_device(device)
    print(machine(where), f"batch {batch_size}")
    for name in models or ["rn50", "vit_b32"]:
        ours = create_model(name).to(where)
        compared = {"miniclip": ours}
        if name in OPENCLIP and find_spec("open_clip"):
            compared["open_clip"] = open_clip_model(name, ours.state_dict()).to(where).train()
        seconds = measurements(compared, *batch(ours.config, batch_size, where), rounds)
        print(compare(name, "ms", lambda s: 1000 * s, seconds), flush=True)

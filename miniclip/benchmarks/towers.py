"""How fast are the towers? Beside open_clip, where it is installed, in one run.

    python -m miniclip.bench                                    rn50 and vit_b32, batch 16
    python -m miniclip.bench --models rn101 --batch-size 64 --device cuda --rounds 10

Forward, and forward with backward, in fp32 and under bf16 autocast, of both towers on the same
weights and inputs; then whole training steps, loss and AdamW included, on captions of 5 to 20
tokens, which miniclip trims to the longest and open_clip pads to the context. A round times one
model after the other, so that whatever else the machine does meets both; a ratio is the median over
the rounds (above 1: miniclip is faster), with the middle half of the rounds beside it. For the loss
alone see `python -m kernels.bench`.
"""

import logging
import statistics
import sys
import time
from functools import partial

import torch

from miniclip.common import Parser, UserError, machine, number, pick_device
from miniclip.loss import contrastive_loss
from miniclip.model.clip import MODELS, create_model
from miniclip.training.recipe import parameter_groups
from miniclip.weights.architecture import OPENCLIP


def open_clip_model(name, state):
    """open_clip's model of this name with the same weights, or None where there is none."""
    if name not in OPENCLIP:
        return None
    try:
        import open_clip
    except ImportError:
        return None
    logging.disable(logging.WARNING)  # it warns that the weights are random
    model = open_clip.create_model(OPENCLIP[name] + "-quickgelu")
    model.load_state_dict(state)
    return model


def seconds(model, images, tokens, dtype, backward):
    """One forward pass of both towers, with or without the backward pass: seconds."""
    device = images.device
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bf16")
    _wait(device)
    began = time.perf_counter()
    with autocast, torch.set_grad_enabled(backward):
        image, text, _ = model(images, tokens)
        total = image.float().sum() + text.float().sum()
    if backward:
        total.backward()
        model.zero_grad(set_to_none=True)
    _wait(device)
    return time.perf_counter() - began


def step_seconds(model, optimizer, loss_fn, images, tokens, dtype):
    """One training step: both towers, the loss, AdamW. Seconds."""
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=dtype == "bf16")
    _wait(images.device)
    began = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    with autocast:
        loss = loss_fn(model, images, tokens)
    loss.backward()
    optimizer.step()
    _wait(images.device)
    return time.perf_counter() - began


def our_loss(model, images, tokens):
    """As train.py computes it: texts trimmed to the longest, features not normalized."""
    longest = int(tokens.argmax(1).max()) + 1
    image, text, _ = model(images, tokens[:, :longest], normalize=False)
    return contrastive_loss(image.float(), text.float(), model.logit_scale)


def open_clip_loss(model, images, tokens):
    """As open_clip's training computes it."""
    from open_clip.loss import ClipLoss

    return ClipLoss()(*model(images, tokens))


def compare(timed, rounds):
    """Rounds of one timing each: list over `timed` (callables that return seconds) of lists of
    seconds, the warm-up left out."""
    times = [[] for _ in timed]
    for _ in range(rounds + 1):
        for one, found in zip(timed, times):
            found.append(one())
    return [found[1:] for found in times]


def quartiles(values):
    """(first quartile, median, third quartile)."""
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def batch(config, size, device):
    """Random pictures, and random tokens that fill half of the context, as captions would."""
    side, context, vocab = config["image_size"], config["context_length"], config["vocab_size"]
    images = torch.randn(size, 3, side, side, device=device)
    tokens = torch.randint(1, vocab - 2, (size, context), device=device)
    tokens[:, context // 2] = vocab - 1
    tokens[:, context // 2 + 1 :] = 0
    return images, tokens


def captioned(tokens):
    """The same tokens as texts of 5 to 20, end included: the length of a caption."""
    context, end = tokens.shape[1], tokens.max()
    length = torch.randint(min(5, context), min(20, context) + 1, (len(tokens), 1))
    at = torch.arange(context)
    words = tokens.clamp(1, int(end) - 1).cpu()
    texts = torch.where(at < length - 1, words, torch.where(at == length - 1, end.cpu(), 0))
    return texts.to(tokens.device)


def row(what, times):
    """One line of the table."""
    line = f"{what} | miniclip {1000 * statistics.median(times[0]):6.0f} ms"
    if len(times) > 1:
        low, ratio, high = quartiles([b / a for a, b in zip(*times)])
        line += f" | open_clip {1000 * statistics.median(times[1]):6.0f} ms"
        line += f" | ratio {ratio:.2f} ({low:.2f} to {high:.2f})"
    return line


def _wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def main(argv=None):
    """The command: one line a measurement. Returns the exit code."""
    parser = Parser(prog="python -m miniclip.benchmarks.towers", description="Time the towers.")
    parser.add_argument("--models", nargs="+", default=["rn50", "vit_b32"], help="names of MODELS")
    parser.add_argument("--batch-size", type=number(int, low=1), default=16, help="pairs (16)")
    parser.add_argument("--rounds", type=number(int, low=1), default=5, help="timings of each (5)")
    parser.add_argument("--threads", type=number(int, low=1), help="CPU threads of torch")
    parser.add_argument("--device", default="cpu", help="cpu (the default), cuda, mps")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    try:
        device = pick_device(args.device)
        for name in args.models:
            if name not in MODELS:
                raise UserError(f"--models must be among {', '.join(MODELS)}, not {name}")
    except UserError as error:
        parser.error(str(error))
    print(", ".join(f"{k} {v}" for k, v in machine(device).items()) + f", batch {args.batch_size}")
    for name in args.models:
        ours = create_model(name)
        theirs = open_clip_model(name, ours.state_dict())
        models = [m.to(device).train() for m in (ours, theirs) if m is not None]
        images, tokens = batch(ours.config, args.batch_size, device)
        for dtype in ("fp32", "bf16"):
            for backward in (False, True):
                timed = [partial(seconds, m, images, tokens, dtype, backward) for m in models]
                what = f"{name:<11} {dtype}  {'forward + backward' if backward else 'forward':<18}"
                print(row(what, compare(timed, args.rounds)), flush=True)
        texts = captioned(tokens)
        losses = [our_loss, open_clip_loss]
        for dtype in ("fp32", "bf16"):
            timed = []
            for model, loss_fn in zip(models, losses):
                optimizer = torch.optim.AdamW(parameter_groups(model, 0.2), lr=1e-6)
                timed.append(partial(step_seconds, model, optimizer, loss_fn, images, texts, dtype))
            what = f"{name:<11} {dtype}  {'training step':<18}"
            print(row(what, compare(timed, args.rounds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

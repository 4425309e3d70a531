"""Train CLIP: the whole recipe (CLIP, section 2.5), to be read from top to bottom.

    python train.py                                  embedded pairs, small model, minutes on a CPU
    python train.py --model vit_mini --epochs 30     another tower
    python train.py --data pairs.csv --out runs/mine your own pairs (docs/data.md)
    python train.py --out runs/mine --resume         go on where a run stopped

What a run leaves in --out: checkpoint.pt (self-contained), log.jsonl, curves.png, retrieval.png,
results.json. A run given by --steps or --epochs, killed anywhere and resumed, ends with the very
weights of one that was not; --minutes follows a clock and only goes on.
"""

import json
import math
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from miniclip import checkpoint
from miniclip.bpe import Tokenizer
from miniclip.clip import CLIP, MODELS, create_model
from miniclip.command import Parser, machine, number, pick_device, write_json
from miniclip.data import open_pairs, report_skipped
from miniclip.data.batches import batches
from miniclip.loss import contrastive_loss
from miniclip.pictures import draw_curves, draw_retrieval
from miniclip.retrieval import evaluate_heldout, table

MAX_LOG_SCALE = math.log(100)  # above 100 the paper found training unstable

# One recipe for the small models, found on the embedded pairs, and the paper's for the released
# ones. crop: the side of the random square, as a share of the picture's short side; the paper's is
# the whole of it. warmup: share of the steps; the paper's is 2,000 of its 390,000.
SMALL = dict(batch_size=128, epochs=40.0, lr=2e-3, weight_decay=0.1, beta2=0.98, eps=1e-8,
             warmup=0.05, crop=0.8, vocab_size=2014)  # fmt: skip
PAPER = dict(batch_size=256, epochs=32.0, lr=5e-4, weight_decay=0.2, beta2=0.98, eps=1e-6,
             warmup=0.005, crop=1.0, vocab_size=49408)  # fmt: skip
PAPER_RESNET = PAPER | dict(beta2=0.999, eps=1e-8)
# what may change between a run and its resumption; everything else is the run
FREE = {"out", "resume", "save_every", "log_every", "device", "threads", "workers"}


def recipe(model):
    """The default options for a name of MODELS."""
    if model.endswith("mini"):
        return SMALL
    return PAPER_RESNET if model.startswith("rn") else PAPER


def options(argv):
    """Parse the command line; what is not given is None, and filled in by `settle`."""
    parser = Parser(prog="train.py", description="Train CLIP on pairs of pictures and captions.")
    what = parser.add_argument_group("what to train")
    what.add_argument("--model", help=f"one of {', '.join(MODELS)} (default rn_mini)")
    what.add_argument("--data", help="pairs.csv or a folder (default: the embedded emoji)")
    what.add_argument("--image-column", help="csv: the column of picture paths (default: sniffed)")
    what.add_argument("--caption-column", help="csv: the column of captions (default: sniffed)")
    what.add_argument("--separator", help="csv: the separator (default: sniffed)")
    what.add_argument("--vocab-size", type=number(int, low=514), help="tokens to learn at most")
    what.add_argument("--seed", type=number(int, low=0), help="of weights, order, crops (0)")
    long = parser.add_argument_group("how long").add_mutually_exclusive_group()
    long.add_argument("--epochs", type=number(float, above=0), help="passes over the pairs")
    long.add_argument("--steps", type=number(int, low=1), help="optimiser steps")
    long.add_argument("--minutes", type=number(float, above=0), help="wall-clock budget")
    how = parser.add_argument_group("how (defaults: the model's recipe)")
    how.add_argument("--batch-size", type=number(int, low=1), help="pairs a step")
    how.add_argument("--lr", type=number(float, above=0), help="peak learning rate")
    how.add_argument("--weight-decay", type=number(float, low=0), help="on weights that multiply")
    how.add_argument("--warmup", type=number(float, low=0), help="share of the run, 0 to 1")
    how.add_argument("--crop", type=number(float, above=0), help="smallest crop, share of the side")
    where = parser.add_argument_group("where, and how often")
    where.add_argument("--out", type=Path, help="folder of the run (default runs/<model>)")
    where.add_argument("--resume", action="store_true", help="go on from --out, or start it")
    where.add_argument("--save-every", type=number(int, low=1), help="steps (default: about 20 s)")
    where.add_argument("--log-every", type=number(int, low=1), default=20, help="steps (20)")
    where.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    where.add_argument("--threads", type=number(int, low=1), help="CPU threads of torch")
    where.add_argument("--workers", type=number(int, low=0), default=0, help="loading processes")
    return parser.parse_args(argv), parser


def settle(args):
    """Fill in the options and find the checkpoint to resume from: (args, saved or None).

    A resumed run is the run that it was: an option that is given must be what it was then.
    """
    out = args.out or Path("runs") / (args.model or "rn_mini")
    path, saved = out / "checkpoint.pt", None
    if path.exists() and not args.resume:
        raise ValueError(
            f"{out} holds a run; add --resume to go on from it, or choose another --out"
        )
    if path.exists():
        saved = checkpoint.load(path)
        for name, now in vars(args).items():
            then = saved["options"].get(name)
            if name in FREE:
                continue
            if now is not None and now != then:
                flag = "--" + name.replace("_", "-")
                raise ValueError(
                    f"{out} was started with {flag} {then}, not {now}; use another --out"
                )
            setattr(args, name, then)
    args.out = out
    args.model = args.model or "rn_mini"
    if args.model in MODELS:  # an unknown name is refused, with a suggestion, by create_model
        defaults = recipe(args.model) | dict(seed=0)
        if args.steps or args.minutes:
            defaults.pop("epochs")
        for name, value in defaults.items():
            if getattr(args, name, None) is None:
                setattr(args, name, value)
        for name in ("warmup", "crop"):
            if getattr(args, name) > 1:
                raise ValueError(f"--{name} is a share, at most 1, not {getattr(args, name)}")
    return args, saved


def learn_tokenizer(pairs, args, context_length):
    """A BPE tokenizer from the captions of the training split, at most 100,000 of them."""
    rng = np.random.default_rng(args.seed)
    indices = pairs.splits["train"]
    if len(indices) > 50_000:
        indices = rng.choice(indices, 50_000, replace=False).tolist()
    texts = [caption for i in indices for caption in (pairs.captions(i)[0], pairs.caption(i, rng))]
    return Tokenizer.train(texts, args.vocab_size, context_length=context_length)


def parameter_groups(model, weight_decay):
    """AdamW's groups: decay for weights that multiply, none for gains, biases and the scale."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    return [
        dict(params=matrices, weight_decay=weight_decay),
        dict(params=vectors, weight_decay=0.0),
    ]


def schedule(progress, warmup):
    """Share of the peak learning rate at `progress` in 0..1: linear warm-up, then cosine to 0."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / max(1 - warmup, 1e-9)))


def visits(pairs, args, image_size, step):
    """Batches from `step` on, epoch after epoch, for ever. Order, crops and captions are a function
    of (seed, epoch, index): a resumed run needs no other state than its step."""
    train = pairs.splits["train"]
    per_epoch = max(1, len(train) // args.batch_size)
    epoch, first = divmod(step, per_epoch)
    while True:
        yield from batches(pairs, train, args.batch_size, args.seed, epoch, image_size,
                           (args.crop, 1.0), start=first, workers=args.workers)  # fmt: skip
        epoch, first = epoch + 1, 0


@torch.no_grad()
def in_batch_accuracy(image, text, at_most=1024):
    """Share of pictures whose own caption is the nearest of the batch's first `at_most`."""
    image, text = F.normalize(image[:at_most], dim=1), F.normalize(text[:at_most], dim=1)
    nearest = (image @ text.T).argmax(1)
    return (nearest == torch.arange(len(image), device=image.device)).float().mean().item()


def main(argv=None):
    began = time.monotonic()
    args, parser = options(argv)
    try:
        args, saved = settle(args)
        device = pick_device(args.device)
        if args.threads:
            torch.set_num_threads(args.threads)
        torch.manual_seed(args.seed or 0)

        # 1. the model, so that a wrong name is refused before anything is read; then the pairs
        if saved:
            tokenizer = Tokenizer.from_state(saved["tokenizer"])
            model = CLIP.from_config(saved["config"])
            model.load_state_dict(saved["model"])
        else:
            model = create_model(args.model, vocab_size=args.vocab_size or 49408)
        pairs = open_pairs(args.data, image_column=args.image_column,
                           caption_column=args.caption_column, separator=args.separator)  # fmt: skip
        if not saved:
            # made again with the size that the tokenizer reached: few captions give few merges
            tokenizer = learn_tokenizer(pairs, args, model.config["context_length"])
            torch.manual_seed(args.seed)
            model = create_model(args.model, vocab_size=tokenizer.vocab_size)
    except ValueError as error:
        parser.error(str(error))
    model.to(device).train()

    # 2. the optimiser, and the state that a resumed run goes on from
    optimizer = torch.optim.AdamW(parameter_groups(model, args.weight_decay), lr=args.lr,
                                  betas=(0.9, args.beta2), eps=args.eps)  # fmt: skip
    step, seconds, skipped = 0, 0.0, dict(pairs.skipped)
    if saved:
        optimizer.load_state_dict(saved["optimizer"])
        checkpoint.restore_random_state(saved["random"])
        step, seconds = saved["step"], saved["seconds"]
        skipped |= saved["skipped"]
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint.cut_log(args.out / "log.jsonl", step)
    log = open(args.out / "log.jsonl", "a", encoding="utf-8")

    train = pairs.splits["train"]
    per_epoch = max(1, len(train) // args.batch_size)
    steps = args.steps or (math.ceil(args.epochs * per_epoch) if args.epochs else math.inf)
    budget = args.minutes * 60 if args.minutes else math.inf
    batch_size = min(args.batch_size, len(train))
    print(f"{args.model}: {sum(p.numel() for p in model.parameters()):,} parameters | {pairs.name}: "
          f"{len(train):,} pairs to train on | {tokenizer.vocab_size:,} tokens | batch {batch_size} | "
          f"{f'{steps:,} steps' if steps < math.inf else f'{args.minutes:g} minutes'} | {device}"
          f"{f' | resumed at step {step:,}' if saved else ''}", flush=True)  # fmt: skip

    def save():
        state = dict(model=model.state_dict(), config=model.config, tokenizer=tokenizer.state(),
                     optimizer=optimizer.state_dict(), step=step, seconds=seconds,
                     random=checkpoint.random_state(), options=run, skipped=skipped)  # fmt: skip
        checkpoint.save(args.out / "checkpoint.pt", state)

    run = {k: v for k, v in vars(args).items() if k not in FREE}
    stop = []  # the signal that asked for an end; a second one ends at once
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: (stop.append(number),
                                                   signal.signal(number, signal.SIG_DFL)))  # fmt: skip

    # 3. the loop
    last_saved = last_logged = started = time.monotonic()
    seconds_before, logged_step = seconds, step
    data = visits(pairs, args, model.config["image_size"], step)
    while step < steps and seconds < budget and not stop:
        images, captions, broken = next(data)
        skipped |= dict(broken)
        progress = (step + 1) / (steps + 1) if steps < math.inf else seconds / budget
        lr = args.lr * schedule(progress, args.warmup)
        for group in optimizer.param_groups:
            group["lr"] = lr

        tokens = tokenizer(captions, trim=True)  # as long as the longest caption, not the context
        image, text, scale = model(images.to(device), tokens.to(device), normalize=False)
        loss = contrastive_loss(image, text, model.logit_scale)  # it normalises
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=MAX_LOG_SCALE)

        step += 1
        now = time.monotonic()
        seconds = seconds_before + now - started
        done = step >= steps or seconds >= budget
        if step % args.log_every == 0 or step == 1 or done:
            step_ms = 1000 * (now - last_logged) / (step - logged_step)
            left = (steps - step) * step_ms / 1000 if steps < math.inf else max(0, budget - seconds)
            line = dict(step=step, epoch=step / per_epoch, loss=loss.item(), scale=scale.item(),
                        lr=lr, accuracy=in_batch_accuracy(image, text), batch_size=len(images),
                        step_ms=step_ms, pairs_per_s=1000 * len(images) / step_ms)  # fmt: skip
            log.write(json.dumps(line) + "\n")
            log.flush()
            print(f"step {step:05d}/{steps if steps < math.inf else '-'} | epoch {line['epoch']:.1f} | "
                  f"loss {line['loss']:.4f} (log N {math.log(len(images)):.2f}) | "
                  f"scale {line['scale']:.1f} | lr {lr:.1e} | accuracy {line['accuracy']:.2f} | "
                  f"{step_ms:.0f} ms | {line['pairs_per_s']:.0f} pairs/s | "
                  f"ETA {int(left) // 60}:{int(left) % 60:02d}", flush=True)  # fmt: skip
            last_logged, logged_step = now, step
        if step % args.save_every == 0 if args.save_every else now - last_saved > 20:
            save()
            last_saved = time.monotonic()

    save()
    log.close()
    if stop:
        print(f"stopped by {signal.Signals(stop[0]).name} at step {step}, saved; go on with:\n"
              f"  python train.py --out {args.out} --resume")  # fmt: skip
        return 128 + stop[0]

    # 4. what it learned, on pictures that it has not seen
    print("evaluating on the held-out pairs ...", flush=True)
    model.eval()
    results, galleries = evaluate_heldout(model, tokenizer, pairs)
    for split, scores in results.items():
        if hasattr(pairs, "tone_blind_oracle") and split == "heldout_compositions":
            scores["tone_blind_oracle"] = pairs.tone_blind_oracle(pairs.splits[split])
    draw_curves(args.out / "log.jsonl", args.out / "curves.png")
    if results:
        split, gallery = next(iter(galleries.items()))
        queries, answers = pairs.queries(split)
        draw_retrieval(gallery, queries, args.out / "retrieval.png", answers=answers)
        print(table(results))
    total = time.monotonic() - began
    write_json(args.out / "results.json", {
        **results, "command": " ".join(["python", *(sys.argv if argv is None else argv)]),
        "seed": args.seed, "steps": step, "train_seconds": round(seconds, 1),
        "seconds": round(total, 1), "machine": machine(device),
    })  # fmt: skip
    if skipped:
        print(report_skipped(list(skipped.items())))
    print(f"{seconds:.0f} s of training; curves.png, retrieval.png and results.json are in {args.out}\n"
          f"next: python eval.py --checkpoint {args.out / 'checkpoint.pt'} "
          f"--search {json.dumps(captions[0])}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())

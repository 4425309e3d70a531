"""Train CLIP: the whole recipe (CLIP, section 2.5), to be read from top to bottom.

    python train.py                                  embedded pairs, small model, minutes on a CPU
    python train.py --data pairs.csv --out runs/mine your own pairs (docs/data.md)
    python train.py --out runs/mine --resume         go on where a run stopped
    python train.py --model vit_b32 --batch-size 32768 --micro-batch 1024        one GPU
    torchrun --nproc-per-node 8 train.py --model vit_l14 --data 'cc12m/{0000..1242}.tar'
    python train.py --plan --world-size 256 --model vit_l14 --gpu v100           what it would cost

What a run leaves in --out: checkpoint.pt (self-contained), log.jsonl, curves.png, retrieval.png,
results.json. A run given by --steps or --epochs, killed anywhere and resumed, ends with the very
weights of one that was not; --minutes follows a clock and only goes on.
"""

import json
import math
import os
import shlex
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from kernels.reference import PRECISIONS
from miniclip.bpe import Tokenizer
from miniclip.common import Parser, UserError, emulates, machine, number, write_json
from miniclip.cost.plan import GPUS, describe, plan
from miniclip.data import open_pairs, report_skipped
from miniclip.data.loader import batches, default_workers, join, planned_parts
from miniclip.data.prefetch import PartsAhead, batches_ahead
from miniclip.distributed import process_group
from miniclip.distributed.collectives import dist_info, print0
from miniclip.evaluation.report.plots import draw_retrieval
from miniclip.evaluation.retrieval import evaluate_heldout, table
from miniclip.loss import contrastive_loss
from miniclip.model.clip import CLIP, MODELS, create_model
from miniclip.training import checkpoint
from miniclip.training.curves import draw_curves
from miniclip.training.grad_cache import microbatch_step
from miniclip.training.optimizer import HalfAdamW
from miniclip.training.recipe import MAX_LOGIT_SCALE, parameter_groups, recipe, schedule

# what may change between a run and its resumption; every other option is the run
FREE = {"out", "resume", "save_every", "log_every", "device", "threads", "workers", "compile",
        "plan", "world_size", "gpu"}  # fmt: skip
PATIENCE = 20  # steps in a row without a finite gradient before a run is given up


def options(argv):
    """Parse the command line; what is not given is None, and filled in by `resolve_options`."""
    parser = Parser(prog="train.py", description="Train CLIP on pairs of pictures and captions.")
    what = parser.add_argument_group("what to train")
    what.add_argument("--model", help=f"one of {', '.join(MODELS)} (default rn_mini)")
    what.add_argument("--data", help="pairs.csv, a folder or shards (default: the embedded emoji)")
    what.add_argument("--image-column", help="csv: the column of picture paths (default: sniffed)")
    what.add_argument("--caption-column", help="csv: the column of captions (default: sniffed)")
    what.add_argument("--separator", help="csv: the separator (default: sniffed)")
    what.add_argument("--vocab-size", type=number(int, low=514), help="tokens to learn at most")
    what.add_argument("--tokenizer", choices=["openai"],
                      help="the released vocabulary (default: learned from the captions)")  # fmt: skip
    what.add_argument("--seed", type=number(int, low=0), help="of weights, order, crops (0)")
    long = parser.add_argument_group("how long").add_mutually_exclusive_group()
    long.add_argument("--epochs", type=number(float, above=0), help="passes over the pairs")
    long.add_argument("--steps", type=number(int, low=1), help="optimiser steps")
    long.add_argument("--minutes", type=number(float, above=0), help="wall-clock budget")
    how = parser.add_argument_group("how (defaults: the model's recipe)")
    how.add_argument("--batch-size", type=number(int, low=1), help="pairs a step, over all ranks")
    how.add_argument("--micro-batch", type=number(int, low=1), help="pairs in memory at a time")
    how.add_argument("--lr", type=number(float, above=0), help="peak learning rate")
    how.add_argument("--weight-decay", type=number(float, low=0), help="on weights that multiply")
    how.add_argument("--warmup", type=number(float, low=0), help="share of the run, 0 to 1")
    how.add_argument("--crop", type=number(float, above=0), help="smallest crop, share of the side")
    how.add_argument("--clip-grad", type=number(float, above=0), help="largest gradient norm")
    how.add_argument(
        "--precision", choices=["fp32", "bf16", "fp16"], help="of the towers (GPU: bf16; CPU: fp32)"
    )
    how.add_argument("--half-moments", action="store_true", help="AdamW's moments in 16 bits")
    how.add_argument("--grad-checkpointing", action="store_true", help="spend time to save memory")
    how.add_argument("--sync-bn", action="store_true", help="batch norm over all ranks (GPUs)")
    how.add_argument("--compile", action="store_true", help="torch.compile the model")
    where = parser.add_argument_group("where, and how often")
    where.add_argument("--out", type=Path, help="folder of the run (default runs/<model>)")
    where.add_argument("--resume", action="store_true", help="go on from --out, or start it")
    where.add_argument("--save-every", type=number(int, low=1), help="steps (default: by clock)")
    where.add_argument("--log-every", type=number(int, low=1), default=20, help="steps (20)")
    where.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    where.add_argument("--threads", type=number(int, low=1), help="CPU threads of torch")
    where.add_argument("--workers", type=number(int, low=0),
                       help="loading processes (GPU: this rank's share of the cores; CPU: 0)")  # fmt: skip
    cost = parser.add_argument_group("what it would cost, instead of training")
    cost.add_argument("--plan", action="store_true", help="print flop, memory, bytes and days")
    cost.add_argument("--world-size", type=number(int, low=1), default=1, help="GPUs (1)")
    cost.add_argument("--gpu", default="h100", help=f"one of {', '.join(GPUS)} (h100)")
    args = parser.parse_args(argv)
    args.out = args.out or Path("runs") / (args.model or "rn_mini")
    return args, parser


def find_checkpoint(args):
    """The state of the checkpoint in --out to go on from, or None: rank 0's, which all ranks take.

    Raises UserError when --out cannot be written, or holds a run that was not asked for.
    """
    path = args.out / "checkpoint.pt"
    folder = next(p for p in (args.out, *args.out.absolute().parents) if p.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise UserError(f"--out {args.out} cannot be written: {folder} is not a writable folder")
    if path.exists() and not (args.resume or process_group.restarted()):
        raise UserError(f"{args.out} holds a run; go on with --resume, or choose another --out")
    return checkpoint.load(path) if path.exists() else None


def resolve_options(args, saved, device):
    """Fill in the options, from the checkpoint and from the model's recipe.

    A resumed run is the run that it was: an option that is given must be what it was then.
    """
    if args.tokenizer and args.vocab_size:
        raise UserError("--vocab-size is of a vocabulary to learn; leave it out with --tokenizer")
    if saved:
        for name, now in vars(args).items():
            then = saved["options"].get(name)
            given = now is not None and now is not False  # 0 is given, too
            if name not in FREE and given and now != then:
                flag = "--" + name.replace("_", "-")
                started = f"without {flag}" if then in (None, False) else f"with {flag} {then}"
                raise UserError(
                    f"{args.out} was started {started}, not with {now}; choose another --out"
                )
        vars(args).update(saved["options"])
    args.model = args.model or "rn_mini"
    if args.model not in MODELS:
        create_model(args.model)  # says which names there are, and the nearest
    defaults = recipe(args.model) | dict(seed=0, precision="fp32")
    if device.type == "cuda":
        defaults["precision"] = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if args.steps or args.minutes:
        del defaults["epochs"]
    if args.tokenizer:
        del defaults["vocab_size"]
    for name, value in defaults.items():
        if getattr(args, name, None) is None:
            setattr(args, name, value)
    if args.compile and args.grad_checkpointing and torch.__version__ < (2, 9):
        if not isinstance(MODELS[args.model]["vision_layers"], int):
            raise UserError("--compile --grad-checkpointing counts each batch twice in the batch norms "
                            f"of a ResNet before torch 2.9, and this is {torch.__version__}")  # fmt: skip
    for name in ("warmup", "crop"):
        if getattr(args, name) > 1:
            raise UserError(f"--{name} is a share, at most 1, not {getattr(args, name)}")
    if args.sync_bn and device.type != "cuda":
        raise UserError("--sync-bn needs GPUs: torch has no synchronised batch norm for CPUs")
    if args.precision != "fp32" and device.type == "mps":
        raise UserError(f"--device mps trains in fp32 only, not with --precision {args.precision}")
    if args.batch_size < dist_info()[1]:
        raise UserError(f"--batch-size {args.batch_size} leaves some ranks without a pair")


def make_tokenizer(pairs, args, context_length):
    """The released tokenizer (--tokenizer openai), or one learned from captions of the training
    split, of 50,000 of its pictures at most."""
    if args.tokenizer:
        tokenizer = Tokenizer.openai()
        tokenizer.context_length = context_length
        return tokenizer
    rng = np.random.default_rng(args.seed)
    indices = pairs.splits["train"]
    if len(indices) > 50_000:
        indices = np.sort(rng.choice(indices, 50_000, replace=False)).tolist()  # reads stay local
    texts = [caption for i in indices for caption in (pairs.captions(i)[0], pairs.caption(i, rng))]
    return Tokenizer.train(texts, args.vocab_size, context_length=context_length)


def prepare(args, saved, device):
    """The pairs, the tokenizer and the model: new ones, or those of the checkpoint."""
    with process_group.together():
        with process_group.local_rank_first():  # the index of shards is made once a machine
            pairs = open_pairs(args.data, image_column=args.image_column,
                               caption_column=args.caption_column,
                               separator=args.separator)  # fmt: skip
        if len(pairs.splits["train"]) < dist_info()[1]:
            raise UserError(f"{pairs.name} has {len(pairs.splits['train'])} pairs to train on")
        if saved and saved["pairs"] != len(pairs):  # the order would be another, and so the run
            raise UserError(f"{pairs.name} has {len(pairs):,} pairs, but {saved['pairs']:,} when "
                             f"{args.out} was started; bring them back, or choose another --out")  # fmt: skip
    torch.manual_seed(args.seed)
    if saved:
        tokenizer = Tokenizer.from_state(saved["tokenizer"])
        model = CLIP.from_config({**saved["config"], "tokenizer": tokenizer.digest})
        model.load_state_dict(saved["model"])
    else:
        length = MODELS[args.model]["context_length"]
        state = process_group.from_rank0(lambda: make_tokenizer(pairs, args, length).state())
        tokenizer = Tokenizer.from_state(state)
        model = create_model(args.model, vocab_size=tokenizer.vocab_size,
                             tokenizer=tokenizer.digest, checkpointing=args.grad_checkpointing)  # fmt: skip
    return pairs, tokenizer, model.to(device).train()


def visits(pairs, tokenizer, args, image_size, step, device):
    """This rank's share of each batch from `step` on, epoch after epoch, for ever: data's Batch.

    Order, crops and captions are a function of (seed, epoch, index): a resumed run needs no state
    but its step. On a GPU a batch without micro-batches is there before it is asked for.
    """
    rank, world = dist_info()
    workers = default_workers(device.type) if args.workers is None else args.workers
    data = batches(pairs, pairs.splits["train"], tokenizer, args.batch_size, args.seed, image_size,
                   (args.crop, 1.0), step, args.micro_batch, workers, device.type == "cuda", rank,
                   world)  # fmt: skip
    return data if args.micro_batch else batches_ahead(data, device)


def ready(parts, args, device):
    """(parts, prepare) for train_step: the micro-batches as they come, or else all parts as one.

    prepare(part) -> (images float32, normalized, tokens), on the device.
    """
    parts = [part for part in parts if len(part[1])]  # one rank alone may train on fewer
    if not args.micro_batch:
        parts = [join([[side.to(device) for side in part] for part in parts])]
    ahead = PartsAhead(parts, device)

    def prepare(part):
        images, tokens = ahead(part)
        if args.compile:  # one compilation for captions of every length
            torch._dynamo.maybe_mark_dynamic(tokens, 1)
        return images, tokens

    return parts, prepare


def train_step(towers, optimizer, scaler, parts, prepare, dtype, clip_grad):
    """One step of the optimiser on a batch: (loss, image, text, scale, gradient norm, finite).

    towers: the model, perhaps compiled or inside DDP; parts, prepare: microbatch_step's; dtype: the
    towers' (float32 or autocast's); clip_grad: the largest gradient norm (None: any). Where loss
    or gradients are not finite, the weights stay as they are.
    """
    model = getattr(towers, "module", towers)

    def autocast():  # around forward passes only; a backward pass needs none
        device_type = model.logit_scale.device.type
        return torch.autocast(device_type, dtype, enabled=dtype != torch.float32)

    def loss_of(image, text, logit_scale):
        # the towers may be in 16 bits; the loss normalizes in 32 and chooses its own operands
        return scaler.scale(contrastive_loss(image.float(), text.float(), logit_scale))

    optimizer.zero_grad(set_to_none=True)
    if len(parts) > 1:
        loss, image, text, scale = microbatch_step(towers, parts, loss_of, prepare, autocast)
    else:
        images, tokens = prepare(parts[0])
        with autocast():
            image, text, scale = towers(images, tokens, normalize=False)
        loss = loss_of(image, text, model.logit_scale)
        loss.backward()
    scaler.unscale_(optimizer)
    loss = loss.detach() / scaler.get_scale()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_grad or math.inf)
    finite = bool(torch.isfinite(loss + norm))
    if finite:
        scaler.step(optimizer)
    scaler.update()
    with torch.no_grad():
        model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
    return loss, image, text, scale, norm, finite


@torch.no_grad()
def in_batch_accuracy(image, text, at_most=1024):
    """Share of pictures whose own caption is the nearest of this rank's first `at_most`."""
    image, text = F.normalize(image[:at_most], dim=1), F.normalize(text[:at_most], dim=1)
    nearest = (image @ text.T).argmax(1)
    return (nearest == torch.arange(len(image), device=image.device)).float().mean().item()


def report(args, model, tokenizer, pairs, progress, device):
    """What it learned, on pictures that it has not seen: the table, the pictures, results.json."""
    draw_curves(args.out / "log.jsonl", args.out / "curves.png")
    print("evaluating on the held-out pairs ...", flush=True)
    results, galleries = evaluate_heldout(model.eval(), tokenizer, pairs)
    if "heldout_compositions" in results:
        oracle = pairs.tone_blind_oracle(pairs.splits["heldout_compositions"])
        results["heldout_compositions"]["tone_blind_oracle"] = oracle
    example, drawn = pairs.captions(pairs.splits["train"][0])[0], ""
    if results:
        split, gallery = next(iter(galleries.items()))
        queries, answers = pairs.queries(split)
        draw_retrieval(gallery, queries, args.out / "retrieval.png", answers=answers)
        print(table(results))
        example, drawn = queries[0], "retrieval.png, "
    write_json(args.out / "results.json", {
        **results, "command": shlex.join(["python", *sys.argv]), "seed": args.seed, **progress,
        "machine": machine(device),
    })  # fmt: skip
    print(f"curves.png, {drawn}and results.json are in {args.out}\nnext: python eval.py "
          f"--checkpoint {args.out / 'checkpoint.pt'} --search {shlex.quote(example)}")  # fmt: skip


def print_plan(args, parser):
    """--plan: what this run would cost on --world-size of --gpu, beside the paper's own runs."""
    try:
        print(describe(plan(
            args.model or "rn_mini", args.world_size, args.gpu, args.batch_size or 32_768,
            args.precision, args.grad_checkpointing, args.micro_batch, args.half_moments,
        )))  # fmt: skip
    except UserError as error:
        parser.error(str(error))
    return 0


def main(argv=None):
    args, parser = options(argv)
    if args.plan:
        return print_plan(args, parser)

    def fail(error):  # on all ranks: all stop, and one of them says why
        rank = dist_info()[0]
        process_group.end()
        parser.error(str(error) if rank == 0 else None)

    try:
        device = process_group.start(args.device)
        if args.threads:
            torch.set_num_threads(args.threads)
        saved = process_group.from_rank0(lambda: find_checkpoint(args))
        with process_group.together():
            resolve_options(args, saved, device)
        pairs, tokenizer, model = prepare(args, saved, device)
        run = {name: value for name, value in vars(args).items() if name not in FREE}
        process_group.agree({
            "the digest of the code": process_group.code_version(),
            **{"--" + name.replace("_", "-"): value for name, value in run.items()},
            "the number of pairs": len(pairs), "the image size": model.config["image_size"],
        })  # fmt: skip
    except UserError as error:
        fail(error)
    rank, world = dist_info()

    # 1. the optimiser, the precision, and the state that a resumed run goes on from
    AdamW = HalfAdamW if args.half_moments else torch.optim.AdamW
    optimizer = AdamW(parameter_groups(model, args.weight_decay), lr=args.lr,
                      betas=(0.9, args.beta2), eps=args.eps)  # fmt: skip
    scaler = torch.amp.GradScaler(device.type, enabled=args.precision == "fp16")
    step, seconds, lost, lost_in_a_row, skipped = 0, 0.0, 0, 0, dict(pairs.skipped)
    if saved:
        optimizer.load_state_dict(saved["optimizer"])
        scaler.load_state_dict(saved["scaler"])
        checkpoint.restore_random_state(saved["random"])
        step, seconds, lost = saved["step"], saved["seconds"], saved["lost"]
        skipped |= saved["skipped"]
    saved = None  # or its copy of the weights would stay in memory
    if args.sync_bn:  # the batch norms are replaced inside the model, before anything wraps it
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    towers = torch.compile(model) if args.compile else model
    if args.grad_checkpointing and torch.__version__ < (2, 13):
        # torch 2.7 cannot split a graph with checkpointed blocks at DDP's buckets; 2.13 can
        torch._dynamo.config.optimize_ddp = False
    if world > 1:  # each rank keeps its own batch-norm averages; rank 0's are the ones saved
        ids = [device.index] if device.type == "cuda" else None
        towers = DistributedDataParallel(towers, device_ids=ids, broadcast_buffers=False)

    train = pairs.splits["train"]
    per_epoch = max(1, len(train) // args.batch_size)
    steps = args.steps or (math.ceil(args.epochs * per_epoch) if args.epochs else math.inf)
    budget = args.minutes * 60 if args.minutes else math.inf
    fewest = 1  # pairs without which a rank cannot take part in a step: one for each micro-batch
    if args.micro_batch and world > 1:
        fewest = planned_parts(min(args.batch_size, len(train)), args.micro_batch, world)
    length = f"{steps:,} steps" if steps < math.inf else f"{args.minutes:g} minutes"
    print0(f"{args.model}: {sum(p.numel() for p in model.parameters()):,} parameters | "
           f"{pairs.name}: {len(train):,} pairs to train on | {tokenizer.vocab_size:,} tokens | "
           f"batch {min(args.batch_size, len(train)):,} | {length} | {args.precision} on "
           f"{world} x {device.type}{f' | resumed at step {step:,}' if step else ''}",
           flush=True)  # fmt: skip
    if device.type == "cpu" and emulates(args.precision):
        print0(f"this CPU has no {args.precision} arithmetic that torch can use: it is emulated, and "
               f"a step takes about ten times as long as with --precision fp32", flush=True)  # fmt: skip

    if rank == 0:
        args.out.mkdir(parents=True, exist_ok=True)
        checkpoint.cut_log(args.out / "log.jsonl", step)

    saver = checkpoint.Saver(args.out / "checkpoint.pt", args.save_every)

    def save(last=False):
        try:
            with process_group.together():
                if rank == 0:
                    saver.save(dict(
                        model=model.state_dict(), config=model.config, tokenizer=tokenizer.state(),
                        optimizer=optimizer.state_dict(), scaler=scaler.state_dict(), step=step,
                        seconds=seconds, lost=lost, pairs=len(pairs),
                        random=checkpoint.random_state(), options=run, skipped=skipped))  # fmt: skip
                    if last:
                        saver.wait()
        except UserError as error:  # the disk is full
            fail(error)

    # 2. the loop
    signals = process_group.Signals()
    began, seconds_before = time.monotonic(), seconds
    last_logged, logged_step, stop = began, step, 0
    data = visits(pairs, tokenizer, args, model.config["image_size"], step, device)
    while step < steps and seconds < budget and not stop:
        parts, broken = next(data)
        here = sum(len(tokens) for _, tokens in parts)
        broken = {name: why for name, why in broken if name not in skipped}
        progress = (step + 1) / (steps + 1) if steps < math.inf else min(1, seconds / budget)
        lr = args.lr * schedule(progress, args.warmup)
        for group in optimizer.param_groups:
            group["lr"] = lr

        # ranks decide together, or one would wait for another for ever
        seconds = seconds_before + time.monotonic() - began
        due = rank == 0 and saver.due(step + 1)
        stop, empty, seconds, due, some_broken = process_group.any_rank(
            device, float(signals.received), float(here < fewest), seconds, float(due),
            float(len(broken) > 0))  # fmt: skip
        if some_broken:
            for theirs in process_group.gather(broken):
                skipped |= theirs
        finite = not empty
        if not empty:
            loss, image, text, scale, norm, finite = train_step(
                towers, optimizer, scaler, *ready(parts, args, device),
                PRECISIONS[args.precision], args.clip_grad,
            )  # fmt: skip
        step += 1
        lost += not finite
        lost_in_a_row = 0 if finite else lost_in_a_row + 1
        if lost_in_a_row == PATIENCE:
            why = (f"no finite gradient in {PATIENCE} steps up to step {step}; the last good "
                   f"checkpoint is as it was: try a lower --lr, or --precision bf16")  # fmt: skip
            if empty:
                why = (f"too few pictures of a batch could be read, {PATIENCE} times in a row; "
                       f"{report_skipped(list(skipped.items()))}")  # fmt: skip
            parser.error(why if rank == 0 else None)

        now = time.monotonic()
        done = step >= steps or seconds >= budget
        if not empty and rank == 0 and (step % args.log_every == 0 or step == 1 or done):
            step_ms = 1000 * (now - last_logged) / (step - logged_step)
            left = (steps - step) * step_ms / 1000 if steps < math.inf else max(0, budget - seconds)
            batch = min(args.batch_size, len(train))
            line = dict(step=step, epoch=step / per_epoch, loss=loss.item(), scale=scale.item(),
                        lr=lr, accuracy=in_batch_accuracy(image, text), grad_norm=norm.item(),
                        batch_size=batch, lost_steps=lost, skipped=len(skipped), step_ms=step_ms,
                        pairs_per_s=1000 * batch / step_ms)  # fmt: skip
            with open(args.out / "log.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            total = f"{steps}" if steps < math.inf else "-"
            print(f"step {step:05d}/{total} | epoch {line['epoch']:.1f} | "
                  f"loss {line['loss']:.4f} (log N {math.log(batch):.2f}) | "
                  f"scale {line['scale']:.1f} | lr {lr:.1e} | accuracy {line['accuracy']:.2f} | "
                  f"{f'{lost} steps lost | ' if lost else ''}{step_ms:.0f} ms | "
                  f"{line['pairs_per_s']:.0f} pairs/s | "
                  f"ETA {int(left) // 60}:{int(left) % 60:02d}", flush=True)  # fmt: skip
            last_logged, logged_step = now, step
        if due and lost_in_a_row == 0:
            save()

    save(last=True)
    signals.restore()
    if stop:
        print0(f"stopped by {signal.Signals(int(stop)).name} at step {step}, saved; go on with:\n"
               f"  python train.py --out {shlex.quote(str(args.out))} --resume")  # fmt: skip
    elif rank == 0:
        progress = dict(steps=step, lost_steps=lost, skipped_pictures=len(skipped),
                        train_seconds=round(seconds, 1))  # fmt: skip
        try:
            report(args, model, tokenizer, pairs, progress, device)
        except UserError as error:  # the features are not finite
            parser.error(str(error))
    if skipped:
        print0(report_skipped(list(skipped.items())))
    process_group.end()
    return 128 + int(stop) if stop else 0


if __name__ == "__main__":
    sys.exit(main())

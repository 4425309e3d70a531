"""Train CLIP: the whole recipe (CLIP, section 2.5), to be read from top to bottom.

    python train.py                                  embedded pairs, small model, minutes on a CPU
    python train.py --data pairs.csv --out runs/mine your own pairs (docs/data.md)
    python train.py --out runs/mine --resume         go on where a run stopped
    python train.py --init ViT-B-32.pt --data pairs.csv                          fine-tune
    python train.py --model vit_b32 --batch-size 32768 --micro-batch 1024        one GPU
    torchrun --nproc-per-node 8 train.py --model vit_l14 --data 'cc12m/{0000..1242}.tar'
    python train.py --plan --world-size 256 --model vit_l14 --gpu v100           what it would cost

A run writes into --out: checkpoint.pt (self-contained), log.jsonl, curves.png, retrieval.png and
results.json. A run given by --steps or --epochs that is killed at any moment and resumed ends with
exactly the weights of an undisturbed run. With --minutes the weights depend on the clock.
"""

import argparse
import contextlib
import math
import os
import shlex
import signal
import sys
from collections import namedtuple
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C ends quietly during the imports; see common.command
    os.environ.pop("MPLBACKEND", None)  # figures are only written; a notebook's may be missing here
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import numpy as np
import torch

from kernels.reference import PRECISIONS
from miniclip import objectives
from miniclip.bpe import Tokenizer
from miniclip.common import Parser, UserError, command, machine, number, path, write_json
from miniclip.cost.plan import GPUS, describe, plan
from miniclip.data import EMOJI, ICONS, SOURCE_FLAGS, open_pairs, report_skipped, source_options
from miniclip.data.dataset import changed_packages, keep_pairs, printable, some_pairs
from miniclip.data.loader import batches, default_workers
from miniclip.distributed import process_group
from miniclip.distributed.collectives import dist_info, print0
from miniclip.evaluation import unseen_site
from miniclip.evaluation.features import model_digest
from miniclip.evaluation.report.plots import draw_retrieval
from miniclip.evaluation.retrieval import evaluate_heldout, table
from miniclip.loss import contrastive_loss
from miniclip.model.clip import MODELS, create_model
from miniclip.training import checkpoint
from miniclip.training.curves import draw_curves
from miniclip.training.freeze import freeze
from miniclip.training.grad_cache import microbatch_step, predictive_step
from miniclip.training.logging import RunLog, print_header
from miniclip.training.monitor import Monitor
from miniclip.training.optimizer import HalfAdamW, load_optimizer
from miniclip.training.recipe import (
    MAX_LOGIT_SCALE,
    fine_tuning,
    parameter_groups,
    recipe,
    schedule,
)
from miniclip.training.wrap import prepared_parts, wrap
from miniclip.weights.convert import build, from_checkpoint
from miniclip.weights.initial import initial_state

COUNT, POSITIVE = number(int, low=1), number(float, above=0)
FLAG = dict(action="store_true", default=None)  # None: not given
OPTIONS = {
    "what to train": {
        "--model": dict(help=f"one of {', '.join(MODELS)} (rn_mini; icons: rn_icons)"),
        "--data": dict(
            type=path(str),
            help="pairs.csv, a folder, shards, icons or emoji (the default)",
        ),
        **SOURCE_FLAGS,
        "--objective": dict(choices=objectives.OBJECTIVES, help="what to learn (contrastive)"),
        "--projection": dict(choices=["linear", "mlp"], help="into the shared space (linear)"),
        "--temperature": dict(type=number(float, low=0.01), help="keep it fixed (learned)"),
        "--pairs": dict(type=some_pairs, help="train on so many, or on a list by curate (all)"),
        "--vocab-size": dict(type=number(int, low=514), help="tokens to learn at most"),
        "--tokenizer": dict(
            choices=["openai"],
            help="the released vocabulary (default: learned from the captions)",
        ),
        "--seed": dict(
            type=number(int, low=0, high=2**63 - 1), help="of weights, order, crops (0)"
        ),
    },
    "fine-tuning (docs/finetuning.md)": {
        "--init": dict(
            type=path(str), help="start from a file of weights, a checkpoint, or icons (released)"
        ),
        "--activation": dict(
            choices=["gelu", "quickgelu"], help="of weights that do not record it"
        ),
        "--freeze": dict(choices=["image", "text"], help="keep this tower as it is"),
    },
    "how long": {
        "--epochs": dict(type=POSITIVE, help="passes over the pairs"),
        "--steps": dict(type=COUNT, help="optimizer steps"),
        "--minutes": dict(type=POSITIVE, help="wall-clock budget"),
    },
    "how (defaults: the model's recipe)": {
        "--batch-size": dict(type=COUNT, help="pairs a step, over all ranks"),
        "--micro-batch": dict(type=COUNT, help="pairs in memory at a time"),
        "--lr": dict(type=POSITIVE, help="peak learning rate"),
        "--weight-decay": dict(type=number(float, low=0), help="on weights that multiply"),
        "--warmup": dict(type=number(float, low=0, high=1), help="share of the run, 0 to 1"),
        "--crop": dict(
            type=number(float, low=0.01, high=1), help="smallest crop, share of the side"
        ),
        "--augment": dict(
            choices=["crop", "convirt", "icons"],
            help="random crops, also changed as in ConVIRT, or drawings redrawn: turned, thickened",
        ),
        "--one-sentence": FLAG | dict(help="of each caption a random sentence, as in ConVIRT"),
        "--unique-names": dict(
            action=argparse.BooleanOptionalAction, help="no name twice in a batch"
        ),
        "--clip-grad": dict(type=POSITIVE, help="largest gradient norm"),
        "--precision": dict(
            choices=["fp32", "bf16", "fp16"], help="of the towers (GPU: bf16; CPU: fp32)"
        ),
        "--half-moments": FLAG | dict(help="AdamW's moments in 16 bits"),
        "--grad-checkpointing": FLAG | dict(help="spend time to save memory"),
        "--sync-bn": FLAG | dict(help="batch norm over all ranks (GPUs)"),
        "--compile": FLAG | dict(help="torch.compile the model"),
    },
    "where, and how often": {
        "--out": dict(type=path(), help="folder of the run (default runs/<model>)"),
        "--resume": FLAG | dict(help="go on from --out, or start it"),
        "--save-every": dict(type=COUNT, help="steps (default: by clock)"),
        "--log-every": dict(type=COUNT, help="steps (20; a tenth of a run of less than 200)"),
        "--device": dict(default="auto", help="auto, cpu, cuda, cuda:1, mps"),
        "--threads": dict(type=number(int, low=1, high=1024), help="CPU threads of torch"),
        "--workers": dict(
            type=number(int, low=0, high=512),
            help="loading processes (GPU: this rank's share of the cores; CPU: 0)",
        ),
    },
    "what it would cost, instead of training": {
        "--plan": FLAG | dict(help="print flop, memory, bytes and days"),
        "--world-size": dict(type=COUNT, help="GPUs (1)"),
        "--gpu": dict(help=f"one of {', '.join(GPUS)} (h100)"),
    },
}
# options on which a run's cost depends, but not its plan
UNPLANNED = "init objective projection data pairs vocab_size freeze epochs steps minutes".split()
Step = namedtuple("Step", "loss image text scale grad_norm finite")


def options(argv):
    """Parse the command line; an option that is not given is None, see `resolve_options`."""
    parser = Parser(prog="train.py", description="Train CLIP on pairs of pictures and captions.")
    for title, rows in OPTIONS.items():
        group = parser.add_argument_group(title)
        if "--epochs" in rows:
            group = group.add_mutually_exclusive_group()
        for name, how in rows.items():
            group.add_argument(name, **how)
    args = parser.parse_args(argv)
    own = "tuned" if args.init else {ICONS: "icons"}.get(args.data, "rn_mini")
    args.out = args.out or Path("runs") / (args.model or own)
    return args


def resolve_options(args, saved, start, device):
    """Fill in the options that were not given, from the checkpoint and from the model's recipe.

    saved: the checkpoint's state, or None; start: that, or what --init names, or None. Raises
    UserError where options exclude each other, or one differs from the run to be resumed.
    """
    if (args.tokenizer or args.init) and args.vocab_size:
        brings = "--init" if args.init else "--tokenizer"
        raise UserError(f"--vocab-size is of a vocabulary to learn; leave it out with {brings}")
    if args.data == EMOJI:
        if saved and saved["options"].get("data"):
            raise UserError(f"{args.out} was started with --data {saved['options']['data']}")
        args.data = None
    if saved:
        check_saved(saved["options"])
        checkpoint.resume_options(args, saved)
    elif args.init:
        args.model = start["config"]["name"] or "unnamed"
    args.model = args.model or ("rn_icons" if args.data == ICONS else "rn_mini")
    if args.model not in MODELS and not start:
        create_model(args.model)  # raises UserError with the names there are, and the nearest
    defaults = (fine_tuning if args.init else recipe)(args.model) | dict(seed=0, precision="fp32")
    begun = objectives.PLAIN | (start["config"] if start else {})
    defaults |= {name: begun[name] for name in objectives.PLAIN}
    defaults |= {
        flag.strip("-").replace("-", "_"): False
        for rows in OPTIONS.values()
        for flag, how in rows.items()
        if how.items() >= FLAG.items()
    }
    if device.type == "cuda":
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)  # emulated it is slow
        defaults["precision"] = "bf16" if bf16 else "fp16"
    if args.augment == "convirt":
        defaults["crop"] = 0.6
    if args.crop and not saved and (args.augment or defaults["augment"]) == "icons":
        raise UserError("--crop is of random crops, and icons are redrawn; add --augment crop")
    if args.steps or args.minutes:
        del defaults["epochs"]
    if args.tokenizer:
        defaults.pop("vocab_size", None)
    for name, value in defaults.items():
        if getattr(args, name, None) is None:
            setattr(args, name, value)
    check_objective(args, start)
    shape = start["config"] if start else MODELS[args.model]
    resnet = not isinstance(shape["vision_layers"], int)
    vocabulary = start["config"].get("tokenizer") if args.init else None
    twice = args.compile and args.grad_checkpointing and resnet and torch.__version__ < (2, 9)
    for wrong, sentence in (
        (
            twice,
            "--compile --grad-checkpointing counts each batch twice in the batch norms of a ResNet "
            f"before torch 2.9, and this is {torch.__version__}",
        ),
        (
            args.freeze and not args.init,
            f"--freeze {args.freeze} keeps a tower as --init gives it; add --init",
        ),
        (args.activation and not args.init, "--activation is of the weights of --init; add --init"),
        (
            args.tokenizer and vocabulary not in (None, "openai"),
            f"--init {args.init} brings its own vocabulary; leave out --tokenizer {args.tokenizer}",
        ),
        (
            args.one_sentence and args.data in (None, ICONS),
            "--one-sentence is of captions, and emoji and icons have names; leave it out",
        ),
        (
            args.sync_bn and device.type != "cuda",
            "--sync-bn needs GPUs: torch has no synchronized batch norm for CPUs",
        ),
        (
            args.precision != "fp32" and device.type == "mps",
            f"--device mps trains in fp32 only, not with --precision {args.precision}",
        ),
        (
            args.batch_size < dist_info()[1],
            f"--batch-size {args.batch_size} leaves some ranks without a pair",
        ),
    ):
        if wrong:
            raise UserError(sentence)


def check_saved(options):
    """Raise UserError where the options in a checkpoint could not have been given."""
    for flag, how in {flag: how for rows in OPTIONS.values() for flag, how in rows.items()}.items():
        value = options.get(flag.strip("-").replace("-", "_"))
        try:
            kind = bool if "action" in how else type(how.get("type", str)(str(value)))
        except argparse.ArgumentTypeError:
            kind = None
        if value is not None and not (type(value) is kind and value in how.get("choices", [value])):
            raise UserError(f"the checkpoint's {flag} cannot be {value!r:.80}")
    lengths = [options.get(name) for name in ("epochs", "steps", "minutes")]
    if options.get("seed") is None or lengths.count(None) != 2:
        raise UserError("the checkpoint does not say one seed and one length of its run")


def check_objective(args, start):
    """Raise UserError where --objective or --projection excludes another option, or is not that of
    the weights to start from."""
    for option, plain in objectives.PLAIN.items():
        now = getattr(args, option)
        if start and (then := start["config"].get(option, plain)) != now:
            raise UserError(f"--init {args.init} was trained with --{option} {then}, not {now}")
    world, apart = dist_info()[1], not objectives.OBJECTIVES[args.objective].shared_space
    for wrong, sentence in (
        (
            apart and args.projection == "mlp",
            f"--projection mlp is of a shared space, and --objective {args.objective} has none",
        ),
        (
            apart and args.temperature,
            f"--temperature is of a shared space, and --objective {args.objective} has none",
        ),
        (
            world > 1 and args.objective not in ("contrastive", "contrastive_bow"),
            f"--objective {args.objective} trains in one process, not in {world}",
        ),
        (
            args.compile and args.objective != "contrastive",
            f"--compile is of --objective contrastive, not {args.objective}",
        ),
        (
            args.micro_batch and args.objective == "sigmoid",
            "--micro-batch has no place for the bias of --objective sigmoid; leave it out",
        ),
    ):
        if wrong:
            raise UserError(sentence)


def some_captions(pairs, seed):
    """Two captions, the first and one drawn, of at most 50,000 pictures of the training split."""
    rng = np.random.default_rng(seed)
    indices = pairs.splits["train"]
    if len(indices) > 50_000:  # sorted, because shards are read faster in their order
        indices = np.sort(rng.choice(indices, 50_000, replace=False)).tolist()
    return [caption for i in indices for caption in (pairs.captions(i)[0], pairs.caption(i, rng))]


def make_tokenizer(pairs, args, context_length):
    """The released tokenizer (--tokenizer openai), or one learned from some captions."""
    if args.tokenizer:
        tokenizer = Tokenizer.openai()
        tokenizer.context_length = context_length
        return tokenizer
    texts = some_captions(pairs, args.seed)
    return Tokenizer.train(texts, args.vocab_size, context_length=context_length)


def starting_point(args, saved):
    """Where weights and vocabulary come from, on every rank: the checkpoint's state `saved`, else what
    --init names, else None. Only rank 0 reads the file."""
    if saved or not args.init:
        return saved
    return process_group.from_rank0(lambda: initial_state(args.init, args.model, args.activation))


def prepare_pairs(args, saved):
    """The pairs. Raises UserError on all ranks when they cannot be read or have changed."""
    with process_group.together():
        with process_group.local_rank_first():  # the index of shards is made once on a machine
            pairs = open_pairs(args.data, **source_options(vars(args)))
        keep_pairs(pairs, args.pairs)
        if len(pairs.splits["train"]) < dist_info()[1]:
            raise UserError(f"{pairs.name} has fewer pairs to train on than there are ranks")
        if saved and (changed := changed_packages(saved.get("packages", {}), pairs.packages)):
            raise UserError(
                f"the pictures are no longer those that {args.out} was started with: {changed}; "
                "install that version, or choose another --out"
            )
        if saved and saved["pairs"] != len(pairs):  # the order of the pairs would be another one
            raise UserError(
                f"{pairs.name} has {len(pairs):,} pairs, but {saved['pairs']:,} when "
                f"{args.out} was started; bring them back, or choose another --out"
            )
        if (saved or {}).get("pairs_digest", pairs.digest) != pairs.digest:
            raise UserError(
                f"{pairs.name} has other names, captions or shards than when {args.out} was "
                "started; bring them back, or choose another --out"
            )
    return pairs


def prepare_model(args, pairs, saved, start, device):
    """(tokenizer, model), as `start` has them, see `starting_point`, or new ones."""
    torch.manual_seed(args.seed)
    if start:
        source = args.out / "checkpoint.pt" if saved else args.init
        config, weights, tokenizer = from_checkpoint(source, start)
        model = build(source, config | {"checkpointing": args.grad_checkpointing}, weights)
    else:
        length = MODELS[args.model]["context_length"]
        state = process_group.from_rank0(lambda: make_tokenizer(pairs, args, length).state())
        tokenizer = Tokenizer.from_state(state)
        model = objectives.create(
            args.objective,
            args.model,
            vocab_size=tokenizer.vocab_size,
            tokenizer=tokenizer.digest,
            checkpointing=args.grad_checkpointing,
            **({"projection": "mlp"} if args.projection == "mlp" else {}),
        )
        if args.objective == "ngrams":
            model.learn_dictionary(tokenizer(some_captions(pairs, args.seed), trim=True))
    freeze(model.to(device).train(), args.freeze)
    if args.temperature:
        model.logit_scale.data.fill_(-math.log(args.temperature))
        model.logit_scale.requires_grad_(False)
    return tokenizer, model


def batches_of_rank(pairs, tokenizer, args, image_size, start, device):
    """This rank's share of each batch (a Batch) from number `start` on, epoch after epoch.

    Order, crops and captions depend only on (seed, epoch, index), so that a resumed run needs only
    the number of the step.
    """
    rank, world = dist_info()
    return batches(
        pairs,
        pairs.splits["train"],
        tokenizer,
        args.batch_size,
        args.seed,
        image_size,
        None if args.augment == "icons" else (args.crop, 1.0),
        start=start,
        micro_batch=args.micro_batch,
        workers=default_workers(device.type) if args.workers is None else args.workers,
        pin_memory=device.type == "cuda",
        unique_names=args.unique_names,
        rank=rank,
        world=world,
        one_sentence=args.one_sentence,
        augmented=args.augment == "convirt",
    )


def make_optimizer(model, args, device):
    """AdamW with the paper's two groups of parameters, and the loss scaler of float16."""
    AdamW = HalfAdamW if args.half_moments else torch.optim.AdamW
    groups = parameter_groups(model, args.weight_decay)
    optimizer = AdamW(groups, lr=args.lr, betas=(0.9, args.beta2), eps=args.eps)
    return optimizer, torch.amp.GradScaler(device.type, enabled=args.precision == "fp16")


def set_learning_rate(optimizer, lr):
    for group in optimizer.param_groups:
        group["lr"] = lr


def train_step(towers, optimizer, scaler, parts, args):
    """One step of the optimizer on a batch, a list of parts: Step. The loss is that of all ranks.

    towers: the model, perhaps compiled or inside DDP. The weights are not changed when the loss or
    a gradient is not finite.
    """
    model = getattr(towers, "module", towers)
    device, dtype = next(model.parameters()).device, PRECISIONS[args.precision]
    parts, prepare = prepared_parts(parts, args, device)

    def autocast():  # around forward passes only; a backward pass needs none
        return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)

    def loss_of(image, text, logit_scale):
        # the features may have 16 bits; the loss normalizes in float32
        loss_fn = contrastive_loss if args.objective == "contrastive" else model.features_loss
        return scaler.scale(loss_fn(image.float(), text.float(), logit_scale))

    optimizer.zero_grad(set_to_none=True)
    if not model.shared_space:
        loss, image, text, scale = predictive_step(model, parts, scaler.scale, prepare, autocast)
    elif len(parts) > 1:
        loss, image, text, scale = microbatch_step(towers, parts, loss_of, prepare, autocast)
    else:
        images, tokens = prepare(parts[0])
        with autocast():
            image, text, scale = towers(images, tokens, normalize=False)
        loss = loss_of(image, text, model.logit_scale)
        loss.backward()
    scaler.unscale_(optimizer)
    loss = loss.detach() / scaler.get_scale()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip_grad or math.inf)
    finite = bool(torch.isfinite(loss + norm))
    if finite:
        scaler.step(optimizer)
    scaler.update()
    with torch.no_grad():
        if model.shared_space:
            model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
    return Step(loss, image, text, scale, norm, finite)


def report(args, model, tokenizer, pairs, monitor, device):
    """Evaluate on the held-out pairs: print the table, draw the pictures, write results.json."""
    draw_curves(args.out / "log.jsonl", args.out / "curves.png")
    results, galleries = {}, {}
    if model.shared_space:
        print("evaluating on the held-out pairs ...", flush=True)
        results, galleries = evaluate_heldout(model.eval(), tokenizer, pairs)
    example, drawn = pairs.captions(pairs.splits["train"][0])[0], ""
    if results:
        split, gallery = next(iter(galleries.items()))
        queries, answers = pairs.queries(split)
        draw_retrieval(gallery, queries, args.out / "retrieval.png", answers=answers)
        print(table(results))
        example, drawn = queries[0], "retrieval.png, "
    if model.shared_space and getattr(pairs, "shared_names", ()):
        zero_shot = unseen_site.zero_shot(model, tokenizer, pairs)
        print(unseen_site.sentence(pairs, zero_shot))
        results["zero_shot"] = zero_shot
    command_line = process_group.launched(*sys.argv)
    about_run = {
        "commands": dict.fromkeys(results, command_line),
        "command": command_line,
        "model": model_digest(model),
        "seed": args.seed,
        "steps": monitor.step,
        "skipped_steps": monitor.skipped_steps,
        "skipped_pictures": len(monitor.skipped),
        "train_seconds": round(monitor.seconds, 1),
        "machine": machine(device),
    }
    write_json(args.out / "results.json", results | about_run)
    task = ["--search", printable(example, 200)] if model.shared_space else ["--task", "zero_shot"]
    following = shlex.join(["--checkpoint", printable(args.out / "checkpoint.pt", 4096), *task])
    print(
        f"curves.png, {drawn}and results.json are in {printable(args.out, 4096)}\n"
        f"next: python eval.py {following}"
    )


def print_plan(args):
    """--plan: what this run would cost on --world-size of --gpu, beside the paper's own runs."""
    for name in UNPLANNED:
        if getattr(args, name) not in (None, objectives.PLAIN.get(name)):
            raise UserError(
                f"--plan cannot plan {checkpoint.flag(name)} {getattr(args, name)}; leave it out"
            )
    cost = plan(
        args.model or "rn_mini",
        args.world_size or 1,
        args.gpu or "h100",
        args.batch_size or 32_768,
        args.precision,
        bool(args.grad_checkpointing),
        args.micro_batch,
        bool(args.half_moments),
    )
    print(describe(cost))


@command("train.py")
def main(argv=None):
    args = options(argv)
    if args.plan:
        print_plan(args)
        return 0
    if args.world_size or args.gpu:
        raise UserError("--world-size and --gpu are for --plan; add it, or leave them out")
    with process_group.member(args.device) as device, checkpoint.alone(args.out):
        # 1. what is trained: the pairs, the model, and the state that a resumed run goes on from
        if args.threads:
            torch.set_num_threads(args.threads)
        saved = process_group.from_rank0(lambda: checkpoint.find(args.out, args.resume))
        start = starting_point(args, saved)
        with process_group.together(), checkpoint.resuming(args.out, saved):
            resolve_options(args, saved, start, device)
        pairs = prepare_pairs(args, saved)
        with checkpoint.resuming(args.out, saved):
            tokenizer, model = prepare_model(args, pairs, saved, start, device)
        run = checkpoint.run_options(args)
        process_group.agree(
            {"the digest of the code": process_group.code_version()}
            | {checkpoint.flag(name): value for name, value in run.items()}
            | {"the number of pairs": len(pairs), "the packages": pairs.packages}
            | {"the digest of names and captions": pairs.digest}
            | {"the image size": model.config["image_size"]}
        )
        saver = checkpoint.Saver(args.out / "checkpoint.pt", args.save_every)
        monitor = Monitor(args, len(pairs.splits["train"]), pairs.skipped, saver.due, device)
        with checkpoint.resuming(args.out, saved):
            optimizer, scaler = make_optimizer(model, args, device)
            if saved:
                monitor.load_state_dict(saved)
                load_optimizer(optimizer, saved["optimizer"], monitor.step)
                scaler.load_state_dict(saved["scaler"])
                if scaler.is_enabled() and not 0 < scaler.get_scale() < math.inf:
                    raise UserError(f"the scale of the loss cannot be {scaler.get_scale()}")
        trained = dict(model=model, optimizer=optimizer, scaler=scaler)
        saved = start = None  # their copy of the weights would stay in memory
        towers = wrap(model, args, device)
        with process_group.together():
            log = RunLog(args.out, args.log_every, monitor.step, args.objective)
        print_header(args, model, tokenizer, pairs, monitor, device)

        def save():
            constant = dict(config=model.config, tokenizer=tokenizer.state(), options=run)
            constant |= dict(pairs=len(pairs), packages=pairs.packages)
            constant |= dict(pairs_digest=pairs.digest)
            state = constant | monitor.state_dict()
            with process_group.together():
                if dist_info()[0] == 0:
                    saver.save(state | {name: x.state_dict() for name, x in trained.items()})

        # 2. the loop
        size = model.config["image_size"]
        loader = batches_of_rank(pairs, tokenizer, args, size, monitor.step, device)
        with process_group.noted_signals() as received:
            for parts in monitor.batches(loader, received):
                lr = args.lr * schedule(monitor.progress, args.warmup)
                set_learning_rate(optimizer, lr)
                result = train_step(towers, optimizer, scaler, parts, args) if parts else None
                monitor.update(result)
                try:
                    log.write(monitor, result, lr)
                except OSError as error:  # a full disk, or nobody reads the output: save first
                    monitor.problem = error
                if monitor.save:
                    save()
            if monitor.skipped and 0 < monitor.skipped_steps == monitor.step and not monitor.stop:
                raise UserError(
                    f"no step could be taken: {report_skipped([*monitor.skipped.items()])}"
                )
            save()
            with process_group.together():
                saver.wait()

        # 3. what is left
        if monitor.problem:
            raise monitor.problem
        if monitor.stop:
            name = signal.Signals(int(monitor.stop)).name
            go_on = process_group.launched("train.py", "--out", str(args.out), "--resume")
            with contextlib.suppress(OSError):  # the terminal may be gone
                print0(f"stopped by {name} at step {monitor.step}, saved; go on with:\n  {go_on}")
        elif dist_info()[0] == 0:
            report(args, model, tokenizer, pairs, monitor, device)
        if monitor.skipped:
            print0(report_skipped(list(monitor.skipped.items())))
    return 128 + int(monitor.stop) if monitor.stop else 0


if __name__ == "__main__":
    sys.exit(main())

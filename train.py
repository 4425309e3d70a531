"""Train CLIP: the whole recipe (CLIP, section 2.5), to be read from top to bottom.

    python train.py                                  a small model on emoji: minutes on a CPU
    python train.py --data pairs.csv --out runs/mine your own pairs (docs/data.md)
    python train.py --out runs/mine --resume         go on where a run stopped
    python train.py --init ViT-B-32.pt --data pairs.csv                          fine-tune
    python train.py --model vit_b32 --data pairs.csv --micro-batch 1024          one GPU
    torchrun --nproc-per-node 8 train.py --model vit_l14 --data 'cc12m/{0000..1242}.tar'
    python train.py --plan --data pairs.csv --model vit_b32 --world-size 8       what it would cost

A run writes into --out: checkpoint.pt (self-contained), best.pt (the weights with the lowest
held-out loss), log.jsonl, curves.png, retrieval.png and results.json. A run can be killed at any
moment. If it is resumed with as many ranks and threads as before, it ends with exactly the weights
of an undisturbed run (tested on CPUs). With --minutes the clock decides which step is the last.
The options are in miniclip/training/config.py, and their defaults in miniclip/training/recipe.py.
"""

import contextlib
import math
import signal
import sys

if __name__ == "__main__":
    # Until common.command restores Python's handler, Ctrl-C ends the program without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import torch

from kernels.reference import PRECISIONS
from miniclip import objectives
from miniclip.bpe import Tokenizer
from miniclip.common import UserError, command, given, machine, shell_line
from miniclip.cost.plan import describe, plan_run
from miniclip.data import report_skipped
from miniclip.data.loader import batches, default_workers
from miniclip.distributed import process_group
from miniclip.distributed.collectives import dist_info, print0
from miniclip.evaluation import families
from miniclip.evaluation.features import FeatureCache, model_digest
from miniclip.evaluation.held_out import HeldOut
from miniclip.evaluation.report.writer import aligned, write_results
from miniclip.evaluation.retrieval import COLUMNS, draw_retrieval, evaluate_heldout, rows
from miniclip.loss import contrastive_loss
from miniclip.training import checkpoint
from miniclip.training.config import Config, spelled
from miniclip.training.freeze import freeze
from miniclip.training.grad_cache import microbatch_step, prepared_parts
from miniclip.training.logging import RunLog, draw_curves, print_header
from miniclip.training.monitor import Monitor
from miniclip.training.optimizer import HalfAdamW, load_optimizer
from miniclip.training.pairs import make_tokenizer, open_run
from miniclip.training.recipe import MAX_LOGIT_SCALE, parameter_groups, schedule
from miniclip.weights.convert import build, from_checkpoint, initial_state


def starting_point(config):
    """What the run starts from: (saved, start). Both are None for a new run with random weights.

    saved: the checkpoint in --out, as a dict, if the run is resumed; otherwise None.
    start: `saved` if the run is resumed, otherwise the weights given by --init, as a dict.
    Only rank 0 reads the file, and it sends the content to the other ranks.
    """
    saved = process_group.from_rank0(lambda: checkpoint.find(config.out, config.resume))
    if saved or not config.init:
        return saved, saved
    return None, process_group.from_rank0(
        lambda: initial_state(config.init, config.model, config.activation)
    )


def new_model(config, pairs, **more):
    """(tokenizer, model) for a run with random weights. more: arguments of objectives.create."""
    tokenizer = Tokenizer.from_state(
        process_group.from_rank0(lambda: make_tokenizer(pairs, config).state())
    )
    model = objectives.create(
        config.objective,
        config.model,
        vocab_size=tokenizer.vocab_size,
        tokenizer=tokenizer.digest,
        checkpointing=config.grad_checkpointing,
        **more,
    )
    return tokenizer, model


def prepare_model(config, pairs, saved, start, device, new_model=new_model):
    """(tokenizer, model) from what `starting_point` returned, or new ones if `start` is None."""
    torch.manual_seed(config.seed)
    if start:
        source = config.out / "checkpoint.pt" if saved else config.init
        shape, weights, tokenizer = from_checkpoint(source, start)
        model = build(source, shape | {"checkpointing": config.grad_checkpointing}, weights)
    else:
        tokenizer, model = new_model(config, pairs)
    freeze(model.to(device).train(), config.freeze)
    if config.temperature:
        model.logit_scale.data.fill_(-math.log(config.temperature))  # scale = 1 / temperature
        model.logit_scale.requires_grad_(False)
    return tokenizer, model


def batches_from(step, config, pairs, tokenizer, model, device, **more):
    """This rank's share of each batch from batch number `step` on. more: arguments of `batches`."""
    rank, world = dist_info()
    return batches(
        pairs,
        pairs.splits["train"],
        tokenizer,
        config.batch_size,
        config.seed,
        model.config["image_size"],
        None if config.augment == "icons" else (config.crop, 1.0),  # None: icons are not cropped
        start=step,
        micro_batch=config.micro_batch,
        workers=default_workers(device.type) if config.workers is None else config.workers,
        pin_memory=device.type == "cuda",
        unique_names=config.unique_names,
        rank=rank,
        world=world,
        **more,
    )


def make_optimizer(model, config, device):
    """AdamW with the paper's two groups of parameters, and the loss scaler that float16 needs."""
    AdamW = HalfAdamW if config.half_moments else torch.optim.AdamW
    optimizer = AdamW(
        parameter_groups(model, config.weight_decay),
        lr=config.lr,
        betas=(0.9, config.beta2),
        eps=config.eps,
    )
    return optimizer, torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")


def restore(saved, run, optimizer, scaler):
    """Take the progress, the optimizer's moments and the loss scaler's factor from a checkpoint."""
    run.load_state_dict(saved)
    load_optimizer(optimizer, saved["optimizer"], run.step - run.skipped_steps)
    scaler.load_state_dict(saved["scaler"])


def wrap(model, config, device):
    """The model as the loop calls it: compiled if asked for, and inside DDP on several ranks."""
    if config.sync_bn:  # before compile and DDP, because it replaces batch norms inside the model
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    towers = torch.compile(model) if config.compile else model
    if config.grad_checkpointing and torch.__version__ < (2, 13):
        # older versions cannot split a graph with checkpointed blocks at DDP's buckets
        torch._dynamo.config.optimize_ddp = False
    if dist_info()[1] > 1:
        devices = [device.index] if device.type == "cuda" else None
        towers = torch.nn.parallel.DistributedDataParallel(towers, devices)
        # each rank keeps its own batch-norm averages; DDP would replace them by rank 0's
        towers.broadcast_buffers = False
    return towers


def report(config, model, tokenizer, pairs, run, device):
    """Evaluate on the held-out pairs: print the table, draw the pictures, write results.json."""
    checkpoint.check_files(config.out)  # that no other program has written them meanwhile
    draw_curves(config, config.out / "curves.png")
    features, results, galleries = FeatureCache(model.eval(), tokenizer), {}, {}
    if model.shared_space:
        print("evaluating on the held-out pairs ...", flush=True)
        results, galleries = evaluate_heldout(features, pairs)
    if results:
        split, gallery = next(iter(galleries.items()))
        queries, answers = pairs.queries(split)
        draw_retrieval(gallery, queries, config.out / "retrieval.png", answers=answers)
        print(aligned(COLUMNS, rows(results)))
    if model.shared_space and pairs.homes:
        scores = families.scores_of(features, pairs)
        results["zero_shot"] = families.zero_shot(scores, pairs, pairs.tested)
        print(families.sentence(results["zero_shot"]))
    command_line = process_group.launched(*config.typed)
    about_run = {
        "commands": dict.fromkeys(results, command_line),
        "command": command_line,
        "model": model_digest(model),
        "pairs_digest": pairs.digest,
        "seed": config.seed,
        "steps": run.step,
        "skipped_steps": run.skipped_steps,
        "skipped_pictures": len(run.skipped),
        "train_seconds": round(run.seconds, 1),
        "machine": machine(device),
    }
    write_results(config.out, results | about_run)  # keeps what eval.py has written there
    where = shell_line(given("--checkpoint", config.out / "checkpoint.pt"))
    print(f"results.json is in {config.out}\nnext: python eval.py {where}")


@command("train.py")
def main(argv=None):
    config = Config.parse(argv, "train.py", "Train CLIP on pairs of pictures and captions.")
    if config.plan:
        print(describe(plan_run(config)))
        return 0
    # With several ranks, `member` connects them, an error inside `together` stops all of them, and
    # `from_rank0` sends them a result of rank 0. With one rank, these helpers send nothing.
    with process_group.member(config.device) as device, checkpoint.alone(config.out):
        # 1. Prepare what is trained. Somebody may have edited the checkpoint of a resumed run by
        # hand. So inside a `with resuming` block an unexpected error becomes a sentence about that
        # file.
        if config.threads:
            torch.set_num_threads(config.threads)
        saved, start = starting_point(config)
        with process_group.together(), checkpoint.resuming(config.out, saved):
            config.complete(saved, start, device)  # fills in defaults, refuses conflicts
        pairs = open_run(config, saved, start)
        saver = checkpoint.Saver(config.out / "checkpoint.pt", config.save_every)
        # `run` knows the number of the step, when the run is over, and when to save
        run = Monitor(config, len(pairs.splits["train"]), pairs.skipped, saver.due, device)
        with checkpoint.resuming(config.out, saved):
            tokenizer, model = prepare_model(config, pairs, saved, start, device)
            optimizer, scaler = make_optimizer(model, config, device)
            if saved:
                restore(saved, run, optimizer, scaler)
            constant = checkpoint.describe(config, model, tokenizer, pairs, start)
        saved = start = None  # they hold a second copy of the weights
        process_group.agree(  # an error unless all ranks have the same code, options and data
            {"the digest of the code": process_group.code_version()}
            | {spelled(name): value for name, value in config.of_run().items()}
            | {"the number of pairs": len(pairs), "the packages": pairs.packages}
            | {"the digest of names and captions": pairs.digest}
            | {"the image size": model.config["image_size"]}
        )
        towers = wrap(model, config, device)
        with process_group.together():
            log = RunLog(config, run.step)
            held_out = HeldOut(config, model, tokenizer, pairs, log, constant)
        print_header(config, model, tokenizer, pairs, run, device)
        dtype = PRECISIONS[config.precision]

        def autocast():  # only forward passes of the towers need it
            return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)

        def scaled_loss(image, text, logit_scale):
            """The loss over the pairs of all ranks, times the loss scaler's factor (fp16)."""
            loss_fn = model.features_loss if config.objective == "sigmoid" else contrastive_loss
            return scaler.scale(loss_fn(image.float(), text.float(), logit_scale))

        def save():
            """Rank 0 copies the state, and a thread writes the copy. None of a diverged model."""
            parts = dict(model=model, optimizer=optimizer, scaler=scaler)
            with process_group.together():
                if dist_info()[0] == 0 and not isinstance(run.problem, UserError):
                    states = {name: part.state_dict() for name, part in parts.items()}
                    saver.save(constant | run.state_dict() | states)

        # 2. The loop. The order of the pairs, their crops and their captions depend on nothing but
        # seed, epoch and pair. So a run that is resumed at step k only has to begin with batch k.
        loader = batches_from(run.step, config, pairs, tokenizer, model, device)
        with process_group.noted_signals() as received:
            # In next_batch the ranks agree on what to do. next_batch returns None if the run is
            # over: the steps or minutes are used up, a signal has arrived, or a rank cannot go on.
            # It returns an empty list if some rank could read too few pictures of the batch.
            while (batch := run.next_batch(loader, received)) is not None:
                if not batch:  # counted as a step, so that step k always trains on batch k
                    run.count(finite=False, readable=False)
                    continue
                # from 0 up to config.lr during the warm-up, then half a cosine down to 0
                lr = config.lr * schedule(run.progress, config.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                optimizer.zero_grad(set_to_none=True)
                before = [buffer.clone() for buffer in model.buffers()]  # batch-norm averages
                parts, to_device = prepared_parts(batch, config, device)
                if len(parts) > 1:
                    # --micro-batch: compute the features of all parts without gradients, and the
                    # loss of all parts together; then run each part again, with gradients
                    loss, image, text, scale = microbatch_step(
                        towers, parts, scaled_loss, to_device, autocast
                    )
                else:
                    images, tokens = to_device(parts[0])
                    with autocast():
                        image, text, scale = towers(images, tokens, normalize=False)
                    loss = scaled_loss(image, text, model.logit_scale)
                    loss.backward()
                scaler.unscale_(optimizer)  # divides the gradients by the scaler's factor
                loss = loss.detach() / scaler.get_scale()
                limit = config.clip_grad or math.inf
                grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
                # equal on all ranks, because all of them have the same loss and averaged gradients
                finite = bool(torch.isfinite(loss + grad_norm))
                if finite:
                    scaler.step(optimizer)
                else:  # leave the step out: take back what the forward pass did to the buffers
                    for buffer, old in zip(model.buffers(), before):
                        buffer.copy_(old)
                scaler.update()
                model.logit_scale.data.clamp_(max=MAX_LOGIT_SCALE)  # keeps the scale at most 100
                run.count(finite)  # 20 steps in a row that are not finite end the run
                try:
                    log.write(run, lr, loss, grad_norm, scale, image, text)
                    if held_out.due(run):  # measure held-out pairs, and write best.pt if better
                        held_out.measure(run)
                except (OSError, UserError) as error:  # full disk, no reader, diverged model
                    run.problem = error  # next_batch then ends the loop on all ranks
                if finite and run.due:  # every --save-every steps, or else by the clock
                    save()
            run.check_readable()
            save()
            with process_group.together():
                saver.wait()
            # a signal may have arrived since the last batch
            (run.stop,) = process_group.any_rank(device, max(received, default=0))
            log.close()

        # 3. After the loop: the report, or how to resume a run that was stopped.
        if run.problem:
            raise run.problem
        if run.stop:
            name = signal.Signals(int(run.stop)).name
            go_on = process_group.launched("train.py", *given("--out", config.out), "--resume")
            with contextlib.suppress(OSError):  # the terminal may be gone
                print0(f"stopped by {name} at step {run.step}, saved; go on with:\n  {go_on}")
        elif dist_info()[0] == 0:
            report(config, model, tokenizer, pairs, run, device)
        if run.skipped:
            print0(report_skipped(list(run.skipped.items())))
    return 128 + int(run.stop) if run.stop else 0


if __name__ == "__main__":
    sys.exit(main())

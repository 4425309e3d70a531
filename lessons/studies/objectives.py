"""Train by the objectives that CLIP was compared with (CLIP, section 2.3 and figure 2).

    python lessons/studies/objectives.py --objective bag_of_words --data pairs.csv --out runs/words
    python lessons/studies/objectives.py --out runs/words --resume
    python eval.py --checkpoint runs/words/checkpoint.pt --task zero_shot

Pairs, vocabulary, picture tower and options are the same as in train.py. A run leaves the same
files, except for best.pt. --projection mlp adds a ReLU and a second linear layer after each tower's
projection. --augment convirt (with ConVIRT's --crop 0.6) and --one-sentence are steps of ConVIRT
that CLIP leaves out.
Left out: several processes, micro-batches, torch.compile, and numbers on held-out pairs while
training.
"""

import math
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout, with train.py and miniclip

import train
from kernels.reference import PRECISIONS
from lessons.studies import convirt
from miniclip.common import command, refuse
from miniclip.data.loader import crop, draw, join
from miniclip.data.transforms import normalize
from miniclip.distributed import process_group
from miniclip.distributed.collectives import dist_info
from miniclip.objectives import OBJECTIVES
from miniclip.training import checkpoint
from miniclip.training.config import Config
from miniclip.training.logging import RunLog, print_header
from miniclip.training.monitor import Monitor
from miniclip.training.pairs import open_run, some_captions
from miniclip.training.recipe import MAX_LOGIT_SCALE, schedule


class StudyConfig(Config):
    """The options of train.py, for this study."""

    study = True

    def check(self, begun, crop_given, device):
        super().check(begun, crop_given, device)
        apart = not OBJECTIVES[self.objective].shared_space
        space = f"only applies to a shared space, and --objective {self.objective} has none"
        refuse(
            {
                f"--projection mlp {space}": apart and self.projection == "mlp",
                f"--temperature {space}": apart and self.temperature,
                "--one-sentence only applies to captions, and emoji and icons have names": (
                    self.one_sentence and self.data in (None, "icons")
                ),
                "this study does not support --compile, --micro-batch, --sync-bn and --eval-every": (
                    self.compile or self.micro_batch or self.sync_bn or self.eval_every
                ),
                "this study trains in one process; start it without torchrun": dist_info()[1] > 1,
                "this study plans nothing; see python -m miniclip.cost": self.plan,
            }
        )


def new_model(config, pairs):
    """(tokenizer, model) of a new run. The picture tower starts with the weights that train.py has."""
    more = {"projection": "mlp"} if config.projection == "mlp" else {}
    tokenizer, model = train.new_model(config, pairs, **more)
    if config.objective == "ngrams":
        model.learn_dictionary(tokenizer(some_captions(pairs, config.seed), trim=True))
    return tokenizer, model


@command("objectives.py")
def main(argv=None):
    config = StudyConfig.parse(argv, "objectives.py", (__doc__ or "").partition("\n")[0])
    with process_group.member(config.device) as device, checkpoint.alone(config.out):
        if config.threads:
            torch.set_num_threads(config.threads)
        saved, start = train.starting_point(config)
        with checkpoint.resuming(config.out, saved):
            config.complete(saved, start, device)
        pairs = open_run(config, saved, start)
        saver = checkpoint.Saver(config.out / "checkpoint.pt", config.save_every)
        run = Monitor(config, len(pairs.splits["train"]), pairs.skipped, saver.due, device)
        with checkpoint.resuming(config.out, saved):
            tokenizer, model = train.prepare_model(config, pairs, saved, start, device, new_model)
            optimizer, scaler = train.make_optimizer(model, config, device)
            if saved:
                train.restore(saved, run, optimizer, scaler)
        log, dtype = RunLog(config, run.step), PRECISIONS[config.precision]
        print_header(config, model, tokenizer, pairs, run, device)

        constant = checkpoint.describe(config, model, tokenizer, pairs, start)

        def save():
            parts = dict(model=model, optimizer=optimizer, scaler=scaler)
            states = {name: part.state_dict() for name, part in parts.items()}
            saver.save(constant | run.state_dict() | states)

        how = dict(normalize=False) if model.shared_space else {}
        loader = train.batches_from(
            run.step,
            config,
            pairs,
            tokenizer,
            model,
            device,
            draw=convirt.draw if config.one_sentence else draw,
            crop=convirt.crop if config.augment == "convirt" else crop,
        )
        with process_group.noted_signals() as received:
            while (batch := run.next_batch(loader, received)) is not None:
                if not batch:
                    run.count(finite=False, readable=False)
                    continue
                lr = config.lr * schedule(run.progress, config.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                optimizer.zero_grad(set_to_none=True)
                before = [buffer.clone() for buffer in model.buffers()]
                images, tokens = (side.to(device) for side in join(batch))
                images, shown = normalize(images), {}
                with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                    outputs = model(images, tokens, **how)
                if model.shared_space:
                    image, text, scale = outputs
                    shown = dict(scale=scale, image=image, text=text)
                    loss = model.features_loss(image.float(), text.float(), model.logit_scale)
                else:
                    loss = outputs.sum() / len(tokens)
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                grad_norm = torch.nn.utils.clip_grad_norm_(
                    model.parameters(), config.clip_grad or math.inf
                )
                finite = bool(torch.isfinite(loss + grad_norm))
                if finite:
                    scaler.step(optimizer)
                else:  # as in train.py
                    for buffer, old in zip(model.buffers(), before):
                        buffer.copy_(old)
                scaler.update()
                if model.shared_space:
                    model.logit_scale.data.clamp_(max=MAX_LOGIT_SCALE)
                run.count(finite)
                try:
                    log.write(run, lr, loss.detach(), grad_norm, **shown)
                except OSError as error:  # the disk is full, or nobody reads the output
                    run.problem = error
                if finite and run.due:
                    save()
            run.check_readable()
            save()
            saver.wait()
            run.stop = max(received, default=0)
            log.close()
        if run.problem:
            raise run.problem
        if run.stop:
            print(f"stopped at step {run.step}, saved; go on with --out {config.out} --resume")
        else:
            train.report(config, model, tokenizer, pairs, run, device)
    return 128 + int(run.stop) if run.stop else 0


if __name__ == "__main__":
    sys.exit(main())

"""Evaluate a CLIP from its checkpoint alone, and write a report in the order of the paper.

    python eval.py --checkpoint runs/rn_mini/checkpoint.pt
    python eval.py --checkpoint ... --task probe shift     some sections of the report only
    python eval.py --checkpoint runs/icons/checkpoint.pt --task probe    see UNSEEN_SITE
    python eval.py --checkpoint ... --data pairs.csv       other pairs than those it was trained on
    python eval.py --checkpoint ... --images folder/       your classes: folder/class_name/*.png
    python eval.py --checkpoint ... --search "a red heart"
    python eval.py --checkpoint icons --search "trash can"   the released model, in 29,000 icons
    python eval.py --checkpoint ... --quiz                 you against the model
    python eval.py --checkpoint runs/tuned/checkpoint.pt --average-with icons    fine-tuned, or before?
    python eval.py --checkpoint ... --average-with icons --alpha 0.5 --save averaged.pt

Writes report.md with its figures, and results.json, beside the checkpoint (or to --out), and prints
the tables. results.json keeps the sections of earlier commands about the same weights; "commands" says
which command each section is from. Intervals are at 95 % (Wilson's, unless said otherwise).
"""

import itertools
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C ends quietly during the imports; see common.command
    os.environ.pop("MPLBACKEND", None)  # figures are only written; a notebook's may be missing here
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import torch

from miniclip.common import (
    Parser,
    UserError,
    check_output,
    command,
    machine,
    number,
    path,
    pick_device,
    write_json,
)
from miniclip.data import SOURCE_FLAGS, report_skipped
from miniclip.data.dataset import printable
from miniclip.evaluation.context import (
    EvalContext,
    open_classes,
    open_data,
    open_shifts,
    open_templates,
)
from miniclip.evaluation.features import FeatureCache, kept_images, model_digest
from miniclip.evaluation.human_comparison import run_quiz
from miniclip.evaluation.report import (
    bias,
    data_overlap,
    human_comparison,
    plots,
    probes,
    retrieval,
    robustness,
    unseen_site,
    weight_average,
    zero_shot,
)
from miniclip.evaluation.report.writer import Report
from miniclip.evaluation.retrieval import Gallery
from miniclip.objectives import shared_space
from miniclip.training import checkpoint
from miniclip.weights import average, convert, reading

# the table of contents: task -> section of the report
CONTENTS = {
    "retrieval": retrieval,  #     appendix: text and image retrieval
    "zero_shot": zero_shot,  #     3.1: names alone, templates, ensembles; figure 4
    "probe": probes,  #            3.1.5, 3.2: few shots and linear probes; figures 6, 7, 8
    "shift": robustness,  #        3.3: other drawings, digits; figures 13, 14, 15
    "humans": human_comparison,  # 4: comparison with people; table 2
    "overlap": data_overlap,  #    5: were the test pictures in the training set? figure 17
    "classes": bias,  #            7.1: the list of class names, errors by group; tables 6, 7
}
# of pairs with a site that was never seen (icons)
UNSEEN_SITE = {
    "retrieval": retrieval,
    "zero_shot": unseen_site.zero_shot,  # 3.1: names of the training sites, and names never seen
    "shots": unseen_site.shots,  #         3.1.5: nearest neighbours against zero-shot; figures 6, 7
    "prompts": unseen_site.prompts,  #     3.1.4: style words, ensemble, polysemy; figure 4
    "overlap": unseen_site.overlap,  #     5: copies among the test pictures; figure 17
    "farther": unseen_site.farther,  #     3.3, 6: emoji, handwritten digits
    "probe": unseen_site.probes,  #        3.1.5, 3.2: linear probes; figures 6, 7, 8; if asked for
}
TASKS = list(CONTENTS | UNSEEN_SITE)
ANY_OBJECTIVE = ["zero_shot"]  # what needs no space that pictures and texts share
NEED_LABELS = {"zero_shot", "probe", "shift"}


OPTIONS = {
    "--checkpoint": dict(
        required=True, type=path(str), help="of a run, weights (a file or folder), or icons"
    ),
    "--activation": dict(choices=("gelu", "quickgelu"), help="of weights that do not record it"),
    "--task": dict(
        nargs="+",
        type=lambda name: name.replace("-", "_"),
        choices=TASKS,
        metavar="TASK",
        help=f"some of {', '.join(TASKS)} (all that fit the pairs)",
    ),
    "--data": dict(
        type=path(str),
        help="pairs.csv, a folder, shards or icons (default: what it was trained on)",
    ),
    **SOURCE_FLAGS,
    "--images": dict(
        type=path(str), help="labelled pictures: folder/class/*, csv (filepath,label), tar"
    ),
    "--classes": dict(
        type=path(str), help="text file, a name a line in the labels' order; or imagenet"
    ),
    "--templates": dict(type=path(str), help="text file, a template with {} a line; or imagenet"),
    "--shift": dict(
        action="append",
        metavar="NAME=FOLDER",
        help="the same classes in other pictures; may be given again",
    ),
    "--seeds": dict(type=number(int, low=1, high=1000), default=5, help="of few-shot draws (5)"),
    "--out": dict(type=path(), help="folder for the report"),
    "--quiz": dict(action="store_true", help="a quiz: you answer, as the people of section 4 did"),
    "--search": dict(metavar="TEXT", help="find the pictures nearest to a text"),
    "-k": dict(type=number(int, low=1, high=500), default=16, help="how many to find (16)"),
    "--average-with": dict(
        type=path(str),
        metavar="FILE",
        help="the weights before fine-tuning; reports averages of the two",
    ),
    "--alpha": dict(
        type=number(float, low=0, high=1), help="share of the tuned weights, for --save (0.5)"
    ),
    "--save": dict(type=path(), help="write the average of one alpha instead"),
    "--overwrite": dict(
        action="store_true",
        help="let --save and --search replace a file that miniclip did not write",
    ),
    "--device": dict(default="auto", help="auto, cpu, cuda, cuda:1, mps"),
    "--threads": dict(type=number(int, low=1, high=1024), help="CPU threads of torch"),
}


# what --average-with has no use for; the last ones if it is to --save
NO_CURVE = ["--task", "--shift", "--quiz", "--search", "--seeds", "-k"]
NO_SAVE = ["--data", *SOURCE_FLAGS, "--images", "--classes", "--templates", "--out"]


def search(gallery, text, k, path):
    """--search: print the k pictures nearest to a text, and draw them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    [found] = plots.draw_retrieval(gallery, [text], path, columns=min(k, len(gallery.kept)))
    for rank, (index, cosine) in enumerate(found, 1):
        print(f"{rank:3d}  {cosine:.3f}  {printable(gallery.pairs.captions(index)[0], 200)}")
    print(f"drawn in {path}")


def write_sections(context, tasks=None):
    """Write the sections in the order of their table of contents; returns their results.

    tasks: their names, or None for all but the long one. Raises UserError for one that the pairs
    have no section for.
    """
    unseen, results = "heldout_site" in context.pairs.splits and context.labelled is None, {}
    contents = UNSEEN_SITE if unseen else CONTENTS
    for task in tasks or ():
        if task not in contents:
            fitting = ", ".join(contents)
            raise UserError(f"--task {task} is not for {context.pairs.name}; there are {fitting}")
    tasks = tasks or [task for task in contents if not (unseen and task == "probe")]
    for task in [task for task in contents if task in tasks]:
        if not unseen and task in NEED_LABELS and context.labelled is None:
            context.report.section(task.replace("_", "-"), "left out")
            context.report.say("These pairs have no classes; give labelled pictures with --images.")
            continue
        began, found = time.monotonic(), {}
        try:
            found = contents[task].write(context)
        except UserError as error:  # something that only this section needs is missing
            context.report.say(f"Left out: {error}.")
        # the held-out splits stand at the top level of results.json, as train.py writes them
        results |= {split: found.pop(split) for split in context.pairs.splits if split in found}
        results[task] = found | {"seconds": round(time.monotonic() - began, 1)}
    return results


def check_average(args):
    """Raise UserError for options that --average-with, --alpha and --save exclude or need."""
    if not args.average_with:
        for flag, value in (("--alpha", args.alpha), ("--save", args.save)):
            if value is not None:
                raise UserError(f"{flag} is of an average of weights; add --average-with FILE")
        return
    if args.save:
        check_output(args.save, is_average, args.overwrite)
        read = [os.path.realpath(reading.find(p)) for p in (args.checkpoint, args.average_with)]
        if os.path.realpath(args.save) in read:
            raise UserError(f"--save {args.save} would replace what is read; choose another name")
    for flag in [*NO_CURVE, *(NO_SAVE if args.save else ())]:
        value = getattr(args, flag.lstrip("-").replace("-", "_"))
        if value not in (None, False, OPTIONS[flag].get("default")):
            raise UserError(f"--average-with {'--save ' if args.save else ''}takes no {flag}")
    if args.alpha is not None and not args.save:
        raise UserError(
            "--alpha is of the model that --save writes; --average-with alone tries eleven"
        )


def is_average(path):
    """Whether a file is a checkpoint that --save wrote."""
    try:
        return "average" in checkpoint.load(path)
    except UserError:
        return False


def earlier_results(out, key):
    """What results.json in the folder `out` holds, or {}. Raises UserError before the work starts
    where the report cannot be written, or would replace files that lack `key`, so are not its own."""
    there = [path for path in (out / "results.json", out / "report.md") if path.exists()]
    check_output(out / "results.json")
    check_output(out / "report.md")
    try:
        before = json.loads((out / "results.json").read_text("utf-8")) if there else {}
    except (OSError, ValueError, RecursionError):
        before = None
    if there and not (isinstance(before, dict) and key in before):
        raise UserError(
            f"{there[0]} is damaged, or was not written by this command; move it away, or choose "
            "another --out"
        )
    return before


def averages(args, content, model, tokenizer, out):
    """--average-with: write the report of the curve over alpha to `out`, or with --save one model.

    content: what the file of the tuned `model` holds.
    """
    if not args.save:
        earlier_results(out, "curves")
    path = reading.find(args.average_with)
    file = reading.read(path)
    start, *_ = convert.from_file(path, file, model.logit_scale.device, args.activation)
    names = args.average_with, args.checkpoint
    average.check_alike(names, (start.config, model.config))
    start = start.state_dict()
    if args.save:
        alpha = weight_average.DEFAULT if args.alpha is None else args.alpha
        state = average.interpolate(start, model.state_dict(), alpha)
        average.save_average(
            args.save, alpha, names, state, model, tokenizer, content, overwrite=True
        )
        print(f"{args.save}: {1 - alpha:g} of {names[0]} and {alpha:g} of {names[1]}")
        return
    report = Report(out, f"{names[0]} to {names[1]}")
    tests = weight_average.open_tests(args, content, file["content"], report)
    curves = weight_average.write(report, model, tokenizer, start, tests)
    report.write()
    write_json(out / "results.json", dict(start=names[0], tuned=names[1], curves=curves))
    print(f"\nreport.md, average.png and results.json are in {out}")


def check_objective(args, model):
    """Ask a model without a shared space for zero-shot only; raise UserError for anything else."""
    if shared_space(model):
        return
    asked = [f"--task {task}" for task in args.task or () if task not in ANY_OBJECTIVE]
    flags = ("--search", args.search), ("--average-with", args.average_with)
    if asked := [*asked, *(flag for flag, value in flags if value is not None)]:
        raise UserError(
            f"{asked[0]} needs a space that pictures and texts share, and --objective "
            f"{model.objective} has none; --task zero_shot and --quiz work"
        )
    args.task = ANY_OBJECTIVE


@command("eval.py")
def main(argv=None):
    began = time.monotonic()
    parser = Parser(prog="eval.py", description="Evaluate a CLIP from its checkpoint.")
    for name, how in OPTIONS.items():
        parser.add_argument(name, **how)
    args = parser.parse_args(argv)
    check_average(args)
    if [args.search is None, not args.quiz, not args.task].count(False) > 1:
        raise UserError("--search, --quiz and --task exclude each other; give one of them")
    if args.search is not None and not args.search.strip():
        raise UserError("--search is empty; give some words")
    if args.overwrite and not (args.save or args.search):
        raise UserError("--overwrite is for --save and --search; leave it out")
    device = pick_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.search is not None and args.images:
        raise UserError(
            "--search is among pairs (--data); for a folder of pictures there is python -m "
            "miniclip.search index DIR --checkpoint FILE, and then find TEXT DIR"
        )
    path = reading.find(args.checkpoint)
    file = reading.read(path)
    model, tokenizer, _ = convert.from_file(path, file, device, args.activation)
    check_objective(args, model)
    home = (
        path.parent if path.parent != reading.RELEASED else Path("runs") / f"{path.stem}-released"
    )
    if args.average_with:
        averages(args, file["content"], model, tokenizer, args.out or home / "averages")
        return 0
    pairs, trained_on_pairs = open_data(args, file["content"])
    other = args.data and not trained_on_pairs
    out = args.out or home / (f"eval_{Path(args.data).stem}" if other else "")
    if args.search is not None:
        check_output(out / "search.png", plots.is_figure, args.overwrite)
        gallery = Gallery(model, tokenizer, pairs, range(len(pairs)), partial(kept_images, model))
        search(gallery, args.search, args.k, out / "search.png")
        return 0
    before, digest = earlier_results(out, "command"), model_digest(model)
    labelled = open_classes(args, pairs)
    shifts, missing_shifts = open_shifts(args, labelled)
    context = EvalContext(
        features=FeatureCache(model, tokenizer),
        pairs=pairs,
        trained_on_pairs=trained_on_pairs,
        labelled=labelled,
        templates=open_templates(args, labelled, pairs),
        shifts=shifts,
        missing_shifts=missing_shifts,
        report=Report(out, f"{args.checkpoint} on {pairs.name}"),
        seeds=args.seeds,
    )
    if args.quiz:
        if labelled is None:
            raise UserError("the quiz needs labelled pictures: add --images")
        run_quiz(labelled, context.zero_shot_right("test"), out / "quiz")
        return 0
    results = write_sections(context, args.task)
    if labelled is not None and labelled.skipped:
        context.report.say(report_skipped(labelled.skipped))
    context.report.write()
    asked = " ".join(["python", *(sys.argv if argv is None else ["eval.py", *argv])])
    if before and before.get("model") != digest:
        names = (out / f"results.old{k}.json" for k in itertools.count())
        old = next(name for name in names if not name.exists())
        (out / "results.json").replace(old)
        print(f"\nresults.json was of another model; what it held is in {old.name}")
        before = {}
    results |= {
        "commands": dict(before.get("commands", {}), **dict.fromkeys(results, asked)),
        "command": asked,
        "checkpoint": args.checkpoint,
        "model": digest,
        "seconds": round(time.monotonic() - began, 1),
        "machine": machine(device),
    }
    write_json(out / "results.json", before | results)
    print(
        f"\nreport.md with its figures and results.json are in {out}, after "
        f"{results['seconds']:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Evaluate a CLIP from its checkpoint alone, and write a report on the questions of the paper.

    python eval.py --checkpoint runs/rn_mini/checkpoint.pt
    python eval.py --checkpoint ... --task probe shift     only these sections of the report
    python eval.py --checkpoint ... --data pairs.csv       on your own pairs
    python eval.py --checkpoint ... --images folder/       on your classes: folder/class_name/*.png
    python eval.py --checkpoint ... --search "a red heart"
    python eval.py --checkpoint icons --search "trash can"   in 180,000 icons, with a packaged model
    python eval.py --checkpoint runs/tuned/checkpoint.pt --checkpoint icons      averages of the two
    python eval.py --checkpoint ... --checkpoint icons --alpha 0.5 --save averaged.pt

The command prints the tables, and writes report.md, its figures and results.json into one folder.
For a checkpoint in miniclip's format, this is the folder of the checkpoint; for other weights, it
is a folder in runs/ that is named after --checkpoint. If the model was not trained on the pairs of
--data, the report goes into a subfolder that is named after them: eval_pairs for pairs.csv. A
report on averages goes into the subfolder averages. --out names another folder.
report.md and its figures hold only what the last command wrote there. To keep an earlier report,
give --out.
--search prints what it finds, and the only file that it writes into the folder is search.png;
--save writes only weights. results.json keeps the sections of earlier commands about the same
weights, pairs and labelled pictures. Its entry "commands" says which command wrote each section.
All intervals are 95 % confidence intervals. They are computed by Wilson's formula
(miniclip/evaluation/confidence.py), unless a section says otherwise.
"""

import argparse
import os
import re
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    # Ctrl-C during the slow imports ends the program without a traceback; common.command restores
    # Python's own handler
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import torch

from miniclip import common, plots
from miniclip.bpe.cleaning import has_words
from miniclip.common import UserError, check_new, check_output, number, refuse
from miniclip.data import SOURCE_FLAGS, Pairs, report_skipped, source_options
from miniclip.data.dataset import print_skipped, printable
from miniclip.data.labelled import of_pairs, open_labelled
from miniclip.distributed.process_group import told_by_torchrun
from miniclip.evaluation import (
    bias,
    data_overlap,
    ensembles,
    families,
    linear_probe,
    retrieval,
    robustness,
    shots,
    weight_average,
)
from miniclip.evaluation.context import (
    EvalContext,
    class_names,
    named_shifts,
    open_data,
    open_shifts,
    pictures_digest,
    read_templates,
    templates_for,
)
from miniclip.evaluation.features import FeatureCache
from miniclip.evaluation.report.writer import Report, earlier_results, write_results
from miniclip.training.checkpoint import FORMAT
from miniclip.weights import convert, reading

# the table of contents: task -> section of the report
CONTENTS = {
    "retrieval": retrieval,  #     appendix: text and image retrieval
    "zero_shot": ensembles,  #     3.1: names alone, templates, ensembles; figure 4
    "probe": linear_probe,  #      3.1.5, 3.2: few shots and linear probes; figures 6, 7
    "shift": robustness,  #        3.3: other drawings; figures 13, 14, 15
    "overlap": data_overlap,  #    5: were the test pictures in the training set? figure 17
    "classes": bias,  #            7.1: errors by group, for several wordings of the class names
}
# the table of contents for icons, where whole families are held out
OF_ICONS = {
    "retrieval": retrieval,
    "zero_shot": families,  #      3.1: names known from training, and new combinations of words
    "shots": shots,  #             3.1.5: nearest labelled pictures against zero-shot; figure 6
}
TASKS = list(CONTENTS | OF_ICONS)
# the tasks that work for any objective, also if pictures and texts share no space
ANY_OBJECTIVE = ["zero_shot"]
NEED_LABELS = {"zero_shot", "probe", "shift"}
WITHOUT_LABELS = {task: CONTENTS[task] for task in CONTENTS if task not in NEED_LABELS}
ABOUT_PICTURES = NEED_LABELS | {"overlap"}  # the tasks about the pictures of --images
USED_BY = {  # option: the tasks for which it makes a difference
    "--shift": {"probe", "shift"},
    "--seeds": {"probe", "shift", "shots"},
    "--templates": {"zero_shot", "probe", "shift", "shots", "overlap"},
}

OPTIONS = {
    "--checkpoint": dict(
        required=True,
        action="append",
        type=common.path(str),
        help="the weights to evaluate: the checkpoint of a run, another file or folder of weights, "
        "or a name (web, icons, ViT-B/32); a second --checkpoint names the weights before "
        "fine-tuning, and the report is then about averages of the two",
    ),
    "--activation": dict(
        choices=("gelu", "quickgelu"),
        help="activation of the model, for weights that do not record it",
    ),
    "--task": dict(
        nargs="+",
        action="extend",
        type=lambda name: name.replace("-", "_"),
        choices=TASKS,
        metavar="TASK",
        help=f"sections of the report to write, from {', '.join(TASKS)} (default: all that fit the pairs or --images)",
    ),
    "--data": dict(
        type=common.path(str),
        help="pairs.csv, a folder, shards, emoji or icons (default: the source that the model was trained "
        "on, or emoji if the checkpoint does not record one)",
    ),
    **SOURCE_FLAGS,
    "--images": dict(
        nargs="+",
        type=common.path(str),
        metavar="PATH",
        help="labelled pictures: folder/class/*, csv (filepath,label), .tar files, or the folder of "
        "CIFAR's binary version",
    ),
    "--classes": dict(
        type=common.path(str),
        help="text file with one class name per line, in the order of the labels; or imagenet, for "
        "OpenAI's names",
    ),
    "--templates": dict(
        type=common.path(str),
        help="text file with one template per line, with {} where the name goes; or imagenet, for "
        "OpenAI's 80",
    ),
    "--shift": dict(
        action="append",
        metavar="NAME=FOLDER",
        help="a folder with other pictures of the same classes, and a name for it; can be given "
        "several times",
    ),
    "--seeds": dict(
        type=number(int, low=1, high=1000),
        default=5,
        help="how many random draws to make for each number of shots (default: 5)",
    ),
    "--out": dict(
        type=common.path(),
        help="folder for the report (default: the folder of miniclip's checkpoint, or a folder in "
        "runs/ that is named after other weights)",
    ),
    "--search": dict(metavar="TEXT", help="find the pictures nearest to a text"),
    "-k": dict(
        type=number(int, low=1, high=500),
        default=16,
        help="number of pictures that --search finds (16)",
    ),
    # the old spelling of a second --checkpoint
    "--average-with": dict(type=common.path(str), help=argparse.SUPPRESS),
    "--alpha": dict(
        type=number(float, low=0, high=1),
        help="share of the tuned weights in the average that --save writes (0.5)",
    ),
    "--save": dict(
        type=common.path(),
        help="write the average of the two checkpoints into this file, instead of a report",
    ),
    "--overwrite": dict(
        action="store_true",
        help="let --save replace a file, and let --search replace a search.png that miniclip did "
        "not draw",
    ),
    "--device": dict(default="auto", help="auto, cpu, cuda, cuda:1, mps"),
    "--threads": dict(type=number(int, low=1, high=1024), help="CPU threads of torch"),
}


def given_flags(args):
    """The options whose value is not their default, for example ["--checkpoint", "--seeds"]."""
    return [
        flag
        for flag, how in OPTIONS.items()
        if vars(args)[flag.lstrip("-").replace("-", "_")] not in (None, False, how.get("default"))
    ]


def check(args):
    """Refuse options that exclude each other, or that need another option."""
    average, search, given = bool(args.before), args.search is not None, given_flags(args)
    needless = (  # (a mode, whether this command uses it, the options that have no place in it)
        ("--search", search, ["--classes", "--templates", "--shift", "--seeds"]),
        ("a second --checkpoint", average, ["--task", "--shift", "--search", "--seeds", "-k"]),
        (
            "--save",
            average and args.save,
            ["--data", *SOURCE_FLAGS, "--images", "--classes", "--templates", "--out"],
        ),
        ("neither --search nor a second --checkpoint", not (average or search), ["-k"]),
    )
    refuse(
        {
            "--search and --task exclude each other; give one of them": search and bool(args.task),
            "--search has no words; give some": search and not has_words(args.search),
            "--search looks among pairs (--data); to search a folder of pictures, run python -m "
            "miniclip.search index DIR --checkpoint FILE, then python -m miniclip.search find "
            "TEXT DIR": (search and args.images is not None),
            "--checkpoint may be given at most twice: first the fine-tuned weights, then the "
            "weights before fine-tuning": (len(args.before) > 1),
            "--alpha and --save need a second --checkpoint, the weights before fine-tuning": (
                (args.alpha is not None or args.save) and not average
            ),
            "--alpha needs --save; without --save the report tries eleven alphas": (
                args.alpha is not None and not args.save
            ),
            "--overwrite is for --save and --search": args.overwrite and not (args.save or search),
            "eval.py computes in one process; start it without torchrun": (
                told_by_torchrun("WORLD_SIZE", 1) > 1
            ),
            **{
                f"{flag} has no effect in a command with {asked}; leave out {flag}": so
                and flag in given
                for asked, so, ignored in needless
                for flag in ignored
            },
            "--classes needs labelled pictures: add --images": args.classes and not args.images,
            "--images is for --task zero_shot, probe, shift and overlap; leave out --images": (
                args.images and args.task and ABOUT_PICTURES.isdisjoint(args.task)
            ),
        }
    )
    if args.save:
        read = [os.path.realpath(reading.find(name)) for name in (args.checkpoint, *args.before)]
        refuse(
            {
                f"--save {args.save} is also an input; choose another name": (
                    os.path.realpath(args.save) in read
                )
            }
        )
        check_new(args.save, args.overwrite)


def check_objective(args, model):
    """For a model without a space that pictures and texts share: refuse options that need one."""
    asked = {f"--task {task}": task not in ANY_OBJECTIVE for task in args.task or ()}
    asked |= {"--search": args.search is not None, "a second --checkpoint": bool(args.before)}
    refuse(
        {
            f"{what} needs a space that pictures and texts share, and a model trained with "
            f"--objective {model.objective} has none; only --task zero_shot works": so
            for what, so in asked.items()
        }
    )


def search(features, pairs, text, k, path, overwrite):
    """--search: print the k pictures nearest to a text, and draw them."""
    check_output(path, plots.is_figure, overwrite)
    features.tokenizer([text], truncate=False)  # raises if the text does not fit
    refuse({"--search has no words that the model knows": not features.texts([text]).any()})
    gallery = retrieval.Gallery(features, pairs, range(len(pairs)))
    retrieval.draw_retrieval(gallery, [text], path, columns=k)
    for rank, (index, cosine) in enumerate(gallery.search(text, k), 1):
        print(f"{rank:3d}  {cosine:.3f}  {printable(gallery.pairs.captions(index)[0], 200)}")
    print_skipped(features.unread(pairs))
    print(f"drawn in {path}")


def write_sections(context, tasks=None, given=()):
    """Write the sections in the order of the table of contents. Returns their results.

    tasks: the names of the sections, or None for all that fit the pairs. given: the options of
    USED_BY that were given. A section that lacks something is left out, and the report says why.
    Raises UserError when a task does not fit the pairs, when one of the given options is used by no
    section, when every section is left out, or when there is nothing to test averages on.
    """
    plain = context.labelled is None and not context.pairs.homes
    refuse({"--templates needs labelled pictures: add --images": plain and "--templates" in given})
    if context.start:
        return {"averages": weight_average.write(context)}
    without = OF_ICONS if context.pairs.homes else WITHOUT_LABELS
    contents = without if context.labelled is None else CONTENTS
    suited = f"for {context.pairs.name}; choose from {', '.join(contents)} (--images adds others)"
    refuse(
        {f"--task {task} is not {suited}": task not in contents for task in tasks or ()}
        | {
            f"{flag} changes none of these sections: {', '.join(tasks or contents)}; leave it out": (
                USED_BY[flag].isdisjoint(tasks or contents)
            )
            for flag in given
        }
    )
    results = {}
    for task in [task for task in contents if task in (tasks or contents)]:
        began = time.monotonic()
        try:
            found = contents[task].write(context)
        except UserError as error:  # this section lacks something; go on with the others
            context.report.say(f"Left out: {error}.")
            continue
        # the scores on a held-out split go to the top level of results.json, under the name of
        # the split, because train.py writes them to the same place
        results |= {split: found.pop(split) for split in context.pairs.splits if split in found}
        results[task] = found | {"seconds": round(time.monotonic() - began, 1)}
    refuse({"no report is written, because every section was left out": not results})
    return results


@common.command("eval.py")
def main(argv=None):
    began = time.monotonic()
    parser = common.Parser.of("eval.py", "Evaluate a CLIP from its checkpoint.", OPTIONS)
    args = parser.parse_args(argv)
    if args.average_with:
        parser.renamed("--average-with", "as a second --checkpoint")
        args.checkpoint.append(args.average_with)
    args.checkpoint, *args.before = args.checkpoint
    check(args)
    device = common.pick_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    path, content, model, tokenizer, _ = convert.load_with_file(
        args.checkpoint, device, args.activation
    )
    if not model.shared_space:
        check_objective(args, model)
        args.task = ANY_OBJECTIVE
    by_name = path.parent == reading.RELEASED or not os.path.exists(args.checkpoint)
    name = (
        re.sub(r"\W+", "-", args.checkpoint).strip("-")
        or Path(os.path.abspath(args.checkpoint)).name
    )
    # a report goes beside the weights of our own runs, but not beside weights from elsewhere
    ours = content.get("format") == FORMAT and not by_name
    home = path.parent if ours else Path("runs") / (name + "-released" * by_name)

    start = None
    if args.before:
        names = args.before[0], args.checkpoint
        start = *weight_average.read_start(names, model, args.activation), content
        if args.save:
            weight_average.save(args.save, names, args.alpha, start, model, tokenizer, content)
            return

    # Fetching the pairs may take minutes. So the files of --classes, --images, --templates and
    # --shift are read first, and mistakes in them show at once.
    named = class_names(args.classes)
    images = open_labelled(args.images, named) if args.images else None
    templates, shifted = read_templates(args.templates), named_shifts(args.shift, named)
    how = source_options(vars(args))
    about_pairs = start or args.data or any(how.values()) or not args.images
    if not about_pairs and NEED_LABELS.issuperset(args.task or TASKS):
        # these sections use only the pictures of --images, and fetching pairs may take long
        pairs, trained_on_pairs = Pairs("no pairs", (), {"train": []}), False
    else:
        pairs, trained_on_pairs = open_data(content, args.data, start and start[1], **how)
    features = FeatureCache(model, tokenizer, keep=True)
    folder = f"eval_{Path(args.data).stem}" if args.data and not trained_on_pairs else ""
    out = args.out or home / ("averages" if start else folder)
    if args.search is not None:
        search(features, pairs, args.search, args.k, out / "search.png", args.overwrite)
        return

    # --images without --data and --task: write only the sections about these pictures
    if args.images and not (args.data or args.task or start):
        args.task = ABOUT_PICTURES if trained_on_pairs else NEED_LABELS
    labelled = images or of_pairs(pairs)
    title = " and ".join((args.checkpoint, *args.before))
    report = Report(out, f"{title} on {args.images or pairs.name}")
    earlier_results(out)  # raises if results.json cannot be written
    context = EvalContext(
        features=features,
        pairs=pairs,
        trained_on_pairs=trained_on_pairs,
        labelled=labelled,
        templates=templates or templates_for(pairs, labelled),
        shifts={} if start else open_shifts(pairs, labelled, shifted),
        report=report,
        seeds=args.seeds,
        start=start,
    )
    results = write_sections(context, args.task, [f for f in given_flags(args) if f in USED_BY])
    skipped = features.unread(pairs) + (sorted(labelled.skipped) if labelled else [])
    if skipped:
        report.say(report_skipped(skipped))
    if labelled and labelled.notes:
        report.say(report_skipped(labelled.notes, head="noted"))
    report.write()
    asked = common.shell_line(["python", *(sys.argv if argv is None else ["eval.py", *argv])])
    about = {
        "commands": dict.fromkeys(results, asked),
        "command": asked,
        "checkpoint": args.checkpoint,
        "model": features.digest,
        **({"start": start[2]} if start else {}),
        **({"pairs_digest": pairs.digest} if pairs else {}),
        "seconds": round(time.monotonic() - began, 1),
        "machine": common.machine(device),
    }
    if results.keys() & ((ABOUT_PICTURES if images else NEED_LABELS) | {"averages"}):
        about["pictures_digest"] = pictures_digest(images.pictures) if images else pairs.digest
    write_results(out, results | about)
    print(
        f"\nreport.md, its figures and results.json are in {out}; the command took "
        f"{about['seconds']:.0f} s"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SystemExit as stopped:
        if stopped.code == 130:  # a library that Ctrl-C has interrupted can crash while Python ends
            os._exit(130)
        raise

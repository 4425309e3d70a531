"""Judge a CLIP from its checkpoint alone, in the order of the paper's table of contents.

    python eval.py --checkpoint runs/rn_mini/checkpoint.pt
    python eval.py --checkpoint ... --task probe shift     some parts of the report only
    python eval.py --checkpoint ... --data pairs.csv       other pairs than those it was trained on
    python eval.py --checkpoint ... --images folder/       your classes: folder/class_name/*.png
    python eval.py --checkpoint ... --search "a red heart"
    python eval.py --checkpoint ... --quiz                 you against the model

Writes report.md with its figures, and results.json, beside the checkpoint (or to --out), and prints
the tables. Intervals are at 95 % (Wilson's, unless said otherwise).
"""

import json
import sys
import time
from pathlib import Path

import torch

import miniclip
from miniclip.common import Parser, UserError, machine, number, pick_device, write_json
from miniclip.data import report_skipped
from miniclip.evaluation.context import (
    EvalContext,
    open_data,
    open_examined,
    open_shifts,
    open_templates,
)
from miniclip.evaluation.features import FeatureCache
from miniclip.evaluation.human_comparison import run_quiz
from miniclip.evaluation.report.pictures import draw_retrieval
from miniclip.evaluation.report.scrutiny import class_design, overlap, people
from miniclip.evaluation.report.supervision import probes, robustness
from miniclip.evaluation.report.transfer import retrieval, zero_shot
from miniclip.evaluation.report.writer import Report
from miniclip.evaluation.retrieval import Gallery

# the table of contents: task -> (the part, whether it needs labelled pictures)
CONTENTS = {
    "retrieval": (retrieval, False),  #   appendix: text and image retrieval
    "zero_shot": (zero_shot, True),  #    3.1: names alone, templates, ensembles; figure 4
    "probe": (probes, True),  #           3.1.5, 3.2: shots and probes; figures 6, 7, 8
    "shift": (robustness, True),  #       3.3: other drawings, digits; figures 13, 14, 15
    "humans": (people, False),  #         4: people; table 2
    "overlap": (overlap, False),  #       5: was the test in the training set? figure 17
    "classes": (class_design, False),  #  7.1: the list of names, and groups; tables 6, 7
}


def options(argv):
    """Parse the command line."""
    parser = Parser(prog="eval.py", description="Judge a CLIP from its checkpoint.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint.pt of a run")
    parser.add_argument(
        "--activation", choices=("gelu", "quickgelu"), help="of a foreign checkpoint"
    )
    parser.add_argument("--task", nargs="+", choices=list(CONTENTS), metavar="TASK",
                        help=f"which parts (default: all): {', '.join(CONTENTS)}")  # fmt: skip
    parser.add_argument("--data", help="pairs.csv or a folder (default: what it was trained on)")
    parser.add_argument("--image-column", help="csv: the column of picture paths")
    parser.add_argument("--caption-column", help="csv: the column of captions")
    parser.add_argument("--separator", help="csv: the separator")
    parser.add_argument(
        "--images", help="labelled pictures: folder/class/*, csv (filepath,label), tar"
    )
    parser.add_argument(
        "--classes", help="text file, a name a line in the labels' order; or imagenet"
    )
    parser.add_argument("--templates", help="text file, a template with {} a line; or imagenet")
    parser.add_argument("--shift", action="append", metavar="NAME=FOLDER",
                        help="the same classes in other pictures; may be given again")  # fmt: skip
    parser.add_argument("--seeds", type=number(int, low=1), default=5, help="of few-shot draws (5)")
    parser.add_argument("--out", type=Path, help="folder for the report")
    parser.add_argument("--quiz", action="store_true", help="be the human of section 4")
    parser.add_argument("--search", metavar="TEXT", help="find the pictures nearest to a text")
    parser.add_argument("-k", type=number(int, low=1), default=16, help="how many to find (16)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--threads", type=number(int, low=1), help="CPU threads of torch")
    return parser.parse_args(argv), parser


def search(model, tokenizer, pairs, text, k, path):
    """--search: print the k nearest pictures of all, and draw them."""
    gallery = Gallery(model, tokenizer, pairs, range(len(pairs)))
    found = draw_retrieval(gallery, [text], path, columns=min(k, len(gallery.kept)))[0]
    for place, (index, cosine) in enumerate(found, 1):
        print(f"{place:3d}  {cosine:.3f}  {pairs.captions(index)[0]}")
    print(f"drawn in {path}")


def quiz(e, folder):
    """--quiz: the reader and the model on the same held-out pictures."""
    if e.labelled is None:
        raise UserError("the quiz needs labelled pictures: add --images")
    x, y, kept = e.seen("test")
    right = dict(zip(kept, ((x @ e.weights()).argmax(1) == y).tolist()))
    run_quiz(e.labelled, kept, right, folder)


def examine(e, tasks):
    """Go through the tasks in the order of the contents; returns their results."""
    results = {}
    for task, (part, needs_labels) in CONTENTS.items():
        if task not in tasks:
            continue
        if needs_labels and e.labelled is None:
            e.report.section(task.replace("_", "-"), "left out")
            e.report.say("These pairs have no classes; give labelled pictures with --images.")
            continue
        began = time.monotonic()
        try:
            found = part(e)
        except UserError as error:  # what only this part needs is missing: the others go on
            e.report.say(f"Left out: {error}.")
            found = {}
        found["seconds"] = round(time.monotonic() - began, 1)
        splits = {k: v for k, v in found.items() if task == "retrieval" and k in e.pairs.splits}
        results |= splits | {task: {k: v for k, v in found.items() if k not in splits}}
    return results


def main(argv=None):
    began = time.monotonic()
    args, parser = options(argv)
    try:
        device = pick_device(args.device)
        if args.threads:
            torch.set_num_threads(args.threads)
        model, tokenizer, _ = miniclip.load(
            args.checkpoint, device=device, activation=args.activation
        )
        pairs, own_data = open_data(args)
        out = args.out or args.checkpoint.parent / (
            f"eval_{Path(args.data).stem}" if args.data and not own_data else ""
        )
        if args.search is not None:
            out.mkdir(parents=True, exist_ok=True)
            search(model, tokenizer, pairs, args.search, args.k, out / "search.png")
            return 0
        labelled = open_examined(args, pairs)
        shifts, missing = open_shifts(args, labelled, pairs)
        e = EvalContext(FeatureCache(model, tokenizer), pairs, own_data, labelled,
                 open_templates(args, labelled, pairs), shifts, missing,
                 Report(out, f"{args.checkpoint} on {pairs.name}"), args.seeds)  # fmt: skip
        if args.quiz:
            quiz(e, out / "quiz")
            return 0
    except UserError as error:
        parser.error(str(error))

    results = examine(e, args.task or CONTENTS)
    if labelled is not None and labelled.skipped:
        e.report.say(report_skipped(labelled.skipped))
    results |= {
        "command": " ".join(["python", *(sys.argv if argv is None else ["eval.py", *argv])]),
        "checkpoint": str(args.checkpoint), "seconds": round(time.monotonic() - began, 1),
        "machine": machine(device),
    }  # fmt: skip
    path = out / "results.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, before | results)
    e.report.write()
    print(
        f"\nreport.md with its figures and results.json are in {out}, after {results['seconds']:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the studies share. A study trains many models to make one figure.

    python lessons/studies/NAME.py              train what runs.jsonl lacks, then write the report
    python lessons/studies/NAME.py --quick      the same with few steps, to try the command
    python lessons/studies/NAME.py --figures    no training: write the report from runs.jsonl

A training is a dict of options. It runs in a process of its own with one thread, and as many run
side by side as there are cores. When a training ends, a line is added to runs.jsonl in the folder
--results, with its settings, what it found, and the machine. A training whose settings are in the
file is not repeated, so a study that was stopped goes on where it was. To repeat a committed study,
name another folder.

The library does not import the studies. sealed.py and questions.py need scipy, which comes with the
extra `eval`.
"""

import contextlib
import hashlib
import json
import multiprocessing.connection
import os
import signal
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

from miniclip.common import (
    Parser,
    check_output,
    command,
    machine,
    number,
    path,
    refuse,
    refusing,
    replacing,
)

COUNT = number(int, low=1)
OPTIONS = {
    "--figures": dict(action="store_true", help="no training: write the report from runs.jsonl"),
    "--quick": dict(nargs="?", const=10, type=COUNT, metavar="STEPS", help="few steps, as a trial"),
    "--results": dict(
        type=path(), help="runs.jsonl and reports (the committed ones; with --quick: OUT/quick)"
    ),
    "--out": dict(type=path(), help="has a folder for each training (runs/STUDY)"),
    "--jobs": dict(type=COUNT, default=os.cpu_count(), help="trainings at a time (one per core)"),
}
START = "spawn"  # how processes begin; tests choose "fork", which is faster


def run(study=sys.modules["__main__"], argv=None):
    """The command of a study: train, then write the report.

    study: the script itself, or a module. It has

        RESULTS                   the folder of its committed results
        OPTIONS                   {option: how argparse reads it}
        plan(args)                {part: [training]}; a training may be in several parts
        settings(training)        the dict by which runs.jsonl identifies it
        work(training, folder)    what it found, a dict for JSON
        write_report({part: [(training, what it found)]}, args)
    """

    @command(Path(study.__file__).name)
    def main(argv):
        what = (study.__doc__ or "").partition("\n")[0]
        parser = Parser.of(Path(study.__file__).name, what, OPTIONS | study.OPTIONS)
        results = Path(study.RESULTS)
        parser.set_defaults(out=Path("runs") / results.name)
        args = parser.parse_args(argv)
        args.results = args.results or (args.out / "quick" if args.quick else results)
        study.write_report(conduct(study, study.plan(args), args), args)
        print(f"the report and its figures are in {args.results}")

    main(argv)


def key(settings):
    """Settings as text, which is the same whether they are from a file or not."""
    return json.dumps(settings, sort_keys=True)


def finished(file):
    """What each training in a file of runs has found: {key of its settings: what it found}. Raises
    UserError if the file cannot be read, or is damaged."""
    with refusing(f"{file} cannot be read as a file of runs; mend it, or give another --results"):
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        return {key(line["run"]): line["found"] for line in map(json.loads, lines)}


def conduct(study, parts, args):
    """Do the trainings that runs.jsonl lacks. Returns {part: [(training, what it found)]}.

    Raises UserError if a training is missing and --figures was given, and before any training if
    the file cannot be read or written.
    """
    file = args.results / "runs.jsonl"
    check_output(file)
    known = finished(file)
    wanted = {key(study.settings(t)): t for trainings in parts.values() for t in trainings}
    left = [training for name, training in wanted.items() if name not in known]
    lacks = f"{file} lacks {len(left)} of {len(wanted)} trainings; leave out --figures"
    refuse({lacks: args.figures and left})
    left.sort(key=lambda training: training.get("seed", 0))  # all of one seed before the next
    train_all(study, left, file, args)
    known = finished(file)
    return {part: [(t, known[key(study.settings(t))]) for t in own] for part, own in parts.items()}


def train_all(study, trainings, file, args):
    """Do these trainings, --jobs at a time, and add each to the file as it ends."""
    waiting, running, began = [*trainings], {}, time.monotonic()
    context = multiprocessing.get_context(START)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        while waiting or running:
            while waiting and len(running) < args.jobs:
                training = waiting.pop(0)
                settings = study.settings(training)
                folder = args.out / hashlib.sha256(key(settings).encode()).hexdigest()[:12]
                process = context.Process(target=do, args=(study.work, training, settings, folder))
                process.start()
                running[process.sentinel] = process, training, folder
            for sentinel in multiprocessing.connection.wait([*running]):
                process, training, folder = running.pop(sentinel)
                process.join()
                refuse({f"a training stopped; its log is {folder / 'train.log'}": process.exitcode})
                before = file.read_bytes() if file.exists() else b""
                with replacing(file) as new:  # a killed process leaves the old file, or the new one
                    new.write(before + (folder / "line.json").read_bytes())
                left = len(waiting) + len(running)
                hours = (time.monotonic() - began) / 3600 * left / (len(trainings) - left)
                print(f"{training} has ended | ETA of the other {left}: {hours:.1f} h", flush=True)
    finally:
        for process, *_ in running.values():
            process.terminate()  # train.py saves, so that the next start goes on from there
        for process, *_ in running.values():
            process.join()


def do(work, training, settings, folder):
    """Do one training, in a process of its own, and write its line of runs.jsonl to the folder."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "train.log", "a") as log, contextlib.redirect_stdout(log):
        found = work(training, folder)
    line = {"run": settings, "found": found, "machine": machine(torch.device("cpu"))}
    (folder / "line.json").write_text(json.dumps(line) + "\n")

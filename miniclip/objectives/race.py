"""The race of objectives, and ablations of CLIP's (CLIP, sections 2.2, 2.3 and 2.5, figure 2).

    python -m miniclip.objectives.race                        about 50 minutes on two cores
    python -m miniclip.objectives.race --ablation projection  or temperature, batch, lead, cap
    python -m miniclip.objectives.race --figures              draw again what is committed

Each entry is trained by train.py on the icons, with three seeds. At the end of its training it names
the pictures of two sites that it never saw, among 100 fixed classes; these are the sites on which
settings are chosen, never Font Awesome. A point of a curve is a training of its own, so that each
has a whole schedule. Trainings have one thread each, and as many run side by side as there are
cores. Each finished one is at once a line of runs.jsonl in the folder --results; stopped and started
again, the race goes on. Only what the file lacks is trained: of what is committed, nothing, so to train
it again, name another folder.

All have the icons' recipe but for the learning rate, which is chosen for each (RATES). Left out:
choosing anything else for each objective.
Lesson: lessons/13_objectives.md.
"""

import collections
import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import wait
from pathlib import Path

import torch

from miniclip.common import Parser, UserError, command, machine, number, write_json
from miniclip.data.curation.curate import curate
from miniclip.data.curation.sources import Listed
from miniclip.data.dataset import keep_pairs
from miniclip.data.icons.dataset import VALIDATION, Icons
from miniclip.evaluation.features import FeatureCache
from miniclip.evaluation.report.race import TITLES, write_report
from miniclip.evaluation.runs import add, finished, folder_of, results
from miniclip.evaluation.unseen_site import correct, labelled
from miniclip.model.clip import MODELS
from miniclip.objectives import OBJECTIVES
from miniclip.training.recipe import recipe
from miniclip.weights import load

try:
    import train
except ModuleNotFoundError:  # an installed package has no train.py
    train = None

SEEDS, CLASSES, BATCH = (0, 1, 2), 100, 256
POINTS = (100, 200, 400, 800)  # steps of a training: 25,600 to 204,800 pairs, 1 to 9 passes
QUICK = (10, 20)  # of --quick, with one seed
MODEL = "rn_icons_xs"
# the best for zero-shot of those tried with a seed that is not among SEEDS; top-1 in brackets. After
# 200 steps, 7e-4, 2e-3, 6e-3, 1.8e-2: contrastive (.08, .18, .11, .01), contrastive_bow (-, .29, .35,
# .33), sigmoid (.08, .08, .03, -), bag_of_words (-, .14, .29, .28), ngrams (-, .10, .19, .22); after
# 800 steps, 2e-3, 6e-3: captioning (.16, .31), masked_words (.09, .08)
RATES = {
    "contrastive": 2e-3,
    "contrastive_bow": 6e-3,
    "sigmoid": 2e-3,
    "bag_of_words": 6e-3,
    "ngrams": 1.8e-2,
    "captioning": 6e-3,
    "masked_words": 2e-3,
}
BATCHES = (32, 128, BATCH, 1024, 4096)
TEMPERATURES = (0.01, 0.03, 0.07, 0.2, 0.5)
LEAD, LEAD_BATCHES = ("bag_of_words", "contrastive_bow"), (64, BATCH, 1024)
CAP, MIN_COUNT = 10, 2  # of curation: pairs of a name, pairs that a word is in
RESULTS, OUT = Path("docs/objectives"), Path("runs/race")
# seconds of a step of 256 pairs, one thread each on two quiet cores
STEP_S = {
    "contrastive": 0.12,
    "contrastive_bow": 0.1,
    "sigmoid": 0.12,
    "bag_of_words": 0.1,
    "ngrams": 0.22,
    "captioning": 0.2,
    "masked_words": 0.12,
}
AROUND_S = 12  # seconds around the steps of a training: pictures, vocabulary, test


def rate(objective):
    """The learning rate of an objective; of one that is not in RATES yet, that of CLIP's."""
    return RATES.get(objective, RATES["contrastive"])


def of_batch(objective, size, steps):
    """Options of a training on as many pairs as `steps` batches of BATCH have. The learning rate grows
    as the root of the batch, as is right for Adam (Malladi et al. 2022)."""
    lr = rate(objective) * (size / BATCH) ** 0.5
    steps = max(1, steps * BATCH // size)
    return {"objective": objective, "batch_size": size, "steps": steps, "lr": lr}


def plan(part, points=POINTS, seeds=SEEDS):
    """The trainings of a part: {entry: [options of train.py, a dict, of each training]}."""
    last, middle = points[-1], points[-2]
    if part == "race":
        entries = {name: [{"objective": name, "steps": n} for n in points] for name in OBJECTIVES}
    elif part == "batch":
        entries = {f"{size:,}": [of_batch("contrastive", size, middle)] for size in BATCHES}
    elif part == "lead":
        entries = {
            f"{name}, {size:,}": [of_batch(name, size, middle)]
            for size in LEAD_BATCHES
            for name in LEAD
        }
    else:
        steps, changes = {
            "projection": (last, {"linear": {}, "MLP": {"projection": "mlp"}}),
            "temperature": (
                middle,
                {"learned": {}} | {f"{t} fixed": {"temperature": t} for t in TEMPERATURES},
            ),
            "cap": (
                last,
                {
                    "cap": {"pairs": "curated"},
                    "as many, drawn": {"pairs": "as many"},
                    "all pairs": {},
                },
            ),
        }[part]
        entries = {name: [{"steps": steps} | how] for name, how in changes.items()}
    common = {"model": MODEL, "objective": "contrastive", "batch_size": BATCH}
    return {
        name: [
            common | {"lr": rate((common | how)["objective"])} | how | {"seed": seed}
            for seed in seeds
            for how in trainings
        ]
        for name, trainings in entries.items()
    }


def expected_s(options):
    """How many seconds a training takes on one of two quiet cores."""
    pairs = options["steps"] * options["batch_size"]
    return AROUND_S + pairs / BATCH * STEP_S.get(options["objective"], 0.2)


def settings(options):
    """What a training is known by in runs.jsonl: its options, its model's numbers, its recipe."""
    how = {"held_out_sites": VALIDATION, "classes": CLASSES, "cap": [CAP, MIN_COUNT]}
    how |= {"options": options, "settings": MODELS[MODEL] | recipe(MODEL)}
    return json.loads(json.dumps(how))  # tuples become lists, as in the file


def fixed_classes(pairs):
    """The CLASSES names that most pictures of the sites held out have, of those that training
    pictures have too; by the alphabet where equally many."""
    counts = collections.Counter(n for i in pairs.splits["heldout_site"] for n in pairs.names(i))
    return sorted(pairs.shared_names, key=lambda name: (-counts[name], name))[:CLASSES]


def chosen_pairs(pairs, kind, folder):
    """What `--pairs` is given: a list of the curated pairs, or how many of them there are."""
    source = Listed(pairs)
    found = curate(source, CAP, MIN_COUNT)
    if kind == "as many":
        return len(found.kept)
    source.write(folder / "curated.csv", found)
    return str(folder / "curated.csv")


def answers(features, pairs, names):
    """Which test pictures with a name among `names` are given a right one: {"right": a string of 0
    and 1; "centred": the same where each name's mean score over these pictures is subtracted, so
    that frequent names have no advantage; "known": how many training pictures have the name, the
    first right one, of each}."""
    indices, right = labelled(pairs, "heldout_site", names)
    images, _ = features.images(pairs, indices)
    scores, found = features.scores(images, names, ("{}",)), {}
    for what, some in (("right", scores), ("centred", scores - scores.mean(0))):
        found[what] = "".join(str(int(hit)) for hit in correct(some, right))
    known = collections.Counter(n for i in pairs.splits["train"] for n in pairs.names(i))
    found["known"] = [known[names[k]] for k in right.int().argmax(1).tolist()]
    return found


def compete(options, folder):
    """One training by train.py in `folder`, and its test; writes found.json there when it is done."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs, given = Icons(held_out_sites=VALIDATION), dict(options)
    classes, names = fixed_classes(pairs), pairs.shared_names
    if "pairs" in given:
        given["pairs"] = chosen_pairs(pairs, given["pairs"], folder)
        keep_pairs(pairs, given["pairs"])
    given |= {"data": "icons", "held_out_sites": ",".join(VALIDATION), "out": folder}
    given |= {"log_every": 10, "threads": 1, "device": "cpu"}
    flags = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given.items()]
    resumed, began = (folder / "checkpoint.pt").exists(), time.process_time()
    with open(folder / "train.log", "a") as log, contextlib.redirect_stdout(log):
        if stopped := train.main([*(x for flag in flags for x in flag), "--resume"]):
            raise SystemExit(stopped)
    cpu_s = None if resumed else time.process_time() - began  # the rest of it was another process's
    model, tokenizer, _ = load(folder / "checkpoint.pt")
    features = FeatureCache(model, tokenizer)
    found = {"cpu_s": cpu_s, "race": answers(features, pairs, classes)}
    if model.shared_space:
        found["all names"] = answers(features, pairs, names)
    write_json(folder / "found.json", found)


def run_all(trainings, path, out, jobs, work=compete):
    """Do the trainings that the file `path` lacks, `jobs` at a time, and add each as it ends.

    work: a function (options, folder) that writes found.json, called in a process of its own.
    """
    known = [line["run"] for line in finished(path)]
    left = [how for how in trainings if settings(how) not in known]
    context, running, done_s = multiprocessing.get_context("spawn"), {}, 0
    waiting, began = collections.deque(left), time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                how = waiting.popleft()
                folder = folder_of(out, settings(how))
                process = context.Process(target=work, args=(how, folder))
                process.start()
                running[process.sentinel] = process, how, folder
            for sentinel in wait([*running]):
                process, how, folder = running.pop(sentinel)
                process.join()
                if process.exitcode:
                    raise SystemExit(f"a training stopped; its log is {folder / 'train.log'}")
                found = json.loads((folder / "found.json").read_text())
                add(
                    path,
                    {"run": settings(how), "found": found, "machine": machine(torch.device("cpu"))},
                )
                done_s += expected_s(how)
                share = found["race"]["right"].count("1") / len(found["race"]["right"])
                to_do = sum(map(expected_s, [*waiting, *(how for _, how, _ in running.values())]))
                eta = (time.monotonic() - began) * to_do / done_s / 60
                text = ", ".join(f"{k} {v}" for k, v in how.items() if k != "model")
                print(f"{text}: top-1 {share:.3f} | ETA of all {eta:.0f} min", flush=True)
    finally:
        for process, *_ in running.values():
            process.terminate()  # train.py saves, so that the next start goes on from there
        for process, *_ in running.values():
            process.join()


@command("python -m miniclip.objectives.race")
def main(argv=None):
    """The race or an ablation, or with --figures its report alone. Returns the exit code."""
    parser = Parser(prog="python -m miniclip.objectives.race", description=__doc__.split("\n")[0])
    add_option = parser.add_argument
    parts = [part for part in TITLES if part != "race"]
    add_option("--ablation", choices=parts, default="race", help="instead of the race")
    add_option("--quick", action="store_true", help="one seed and few steps, to try the command")
    add_option("--figures", action="store_true", help="no training: draw what runs.jsonl has")
    add_option("--results", type=Path, help=f"runs.jsonl, the reports ({RESULTS}; quick: --out)")
    add_option("--out", type=Path, default=OUT, help=f"a folder a training ({OUT})")
    add_option("--jobs", type=number(int, low=1), help="trainings at a time (one a core)")
    args = parser.parse_args(argv)
    folder = args.results or (args.out / "quick" if args.quick else RESULTS)
    entries = plan(args.ablation, QUICK, SEEDS[:1]) if args.quick else plan(args.ablation)
    trainings = [how for options in entries.values() for how in options]
    path = folder / "runs.jsonl"
    if not args.figures:
        if train is None:
            raise UserError("it starts train.py, so it must be started in the folder of a checkout")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        by_seed = sorted(trainings, key=lambda how: how["seed"])
        run_all(by_seed, path, args.out, args.jobs or os.cpu_count())
    found = iter(results(path, map(settings, trainings)))
    found = {name: list(zip(options, found)) for name, options in entries.items()}
    write_report(args.ablation, found, folder / args.ablation)
    print(f"report.md, results.json and the figure are in {folder / args.ablation}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

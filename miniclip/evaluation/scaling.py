"""Scaling and effective robustness of models trained on icons (CLIP, figures 9 and 13 to 15).

    python -m miniclip.evaluation.scaling              about an hour on two cores
    python -m miniclip.evaluation.scaling --figures    draw again what is committed

Stopped and started again, it goes on with the run that was interrupted. Each finished run is at once
one line of runs.jsonl in the folder --results; a run whose line is there, with the same settings, is
not repeated. The report and its figures go to the same folder.

- Scaling: four model sizes on all pictures, four numbers of pictures, and four numbers of sites with
  the same number of pictures, all for the same number of steps.
- Effective robustness: classifiers trained on one site's labels (supervised_baseline.py), tested at
  home and on the site held out, beside zero-shot models that were trained on neither site.

Contrastive runs are those of train.py, so this needs a checkout. Left out: several seeds.
"""

import functools
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch

from miniclip.common import Parser, UserError, command, machine, number
from miniclip.cost.flop import flop_per_pair
from miniclip.data.icons.dataset import TEST, Icons
from miniclip.data.icons.sets import SETS
from miniclip.evaluation import supervised_baseline as supervised
from miniclip.evaluation.confidence import share
from miniclip.evaluation.report.scaling import write_robustness, write_scaling
from miniclip.evaluation.report.writer import Report
from miniclip.evaluation.runs import add, finished, folder_of, results
from miniclip.evaluation.unseen_site import TEMPLATES, correct, ink, labelled
from miniclip.model.clip import MODELS
from miniclip.training.recipe import recipe
from miniclip.weights import load
from miniclip.zeroshot import classifier_weights, encode_images

try:
    import train
except ModuleNotFoundError:  # an installed package has no train.py
    train = None

CONTRASTIVE, SUPERVISED, PIXELS = "contrastive", "cross-entropy", "pixel neighbour"
# of 512 pictures: 13 epochs of all pictures; after 250 steps with labels the smallest tower names .99
# of the pictures it is trained on (remix, fill)
STEPS = {CONTRASTIVE: 640, SUPERVISED: 250}
# the smallest tower trained for fewer steps: the four sizes alone are nearly equal at home, and a line
# through nearly equal accuracies has no slope to speak of
SHORT = (20, 40, 80)
SEED = 0
RESULTS, OUT = Path("docs/icons/scaling"), Path("runs/scaling")
# model -> seconds of a step on two cores: contrastive, and supervised, which has no text tower
STEP_S = {
    "rn_icons_xs": {CONTRASTIVE: 0.16, SUPERVISED: 0.11},
    "rn_icons_s": {CONTRASTIVE: 0.26, SUPERVISED: 0.17},
    "rn_icons": {CONTRASTIVE: 0.40, SUPERVISED: 0.25},
    "rn_icons_l": {CONTRASTIVE: 0.70, SUPERVISED: 0.43},
}
AROUND_S = 10  # seconds around the steps of a run: its vocabulary, its tests
SMALL = "rn_icons_s"  # where pictures and sites vary, to save time
PICTURES = (3_000, 6_000, 12_000)  # and all of about 24,000
SITES, OF_PICTURES = ("material", "google", "fluent", "remix"), 6_000  # the largest sites first
# site -> the style to train on, the style to test at home: such that home is nearer than other sites,
# by the pixel neighbour's accuracy at home and on the validation sites: .63 and .36, .45 and .33, .44
# and .30 (bootstrap: .21 and .30)
HOMES = {"google": ("", "outlined"), "fluent": ("regular", "filled"), "remix": ("line", "fill")}


class Run(NamedTuple):
    """One training. pairs: how many (None: all); sites: to train on (None: all that are not held
    out); home: the site whose labels are given."""

    objective: str
    model: str | None
    steps: int
    pairs: int | None = None
    sites: tuple | None = None
    home: str | None = None

    def __str__(self):
        pictures = f"{self.pairs:,} pictures" if self.pairs else ""
        parts = (self.objective, self.model, pictures, "+".join(self.sites or ()), self.home)
        if self.steps in SHORT:
            parts += (f"{self.steps} steps",)
        return ", ".join(filter(None, parts))

    @property
    def expected_s(self):
        """How many seconds it takes on two cores."""
        return AROUND_S + self.steps * STEP_S.get(self.model, {}).get(self.objective, 0)


def plan(held_out_sites, steps=None):
    """{part of the study: its runs}; a run may be in several parts. steps: of every run, instead of
    STEPS."""
    contrastive = functools.partial(Run, CONTRASTIVE, steps=steps or STEPS[CONTRASTIVE])
    others = tuple(site for site in SETS if site not in {*TEST, *held_out_sites, *HOMES})
    smallest, *_ = STEP_S
    short = () if steps else SHORT
    few = {"model": SMALL, "pairs": OF_PICTURES}
    return {
        "model": [contrastive(model=model) for model in STEP_S],
        "pictures": [contrastive(model=SMALL, pairs=n) for n in (*PICTURES, None)],
        "sites": [*(contrastive(**few, sites=SITES[:k]) for k in (1, 2, 4)), contrastive(**few)],
        "without the homes": [contrastive(model="rn_icons", sites=others)],
        "supervised": [
            *(
                Run(SUPERVISED, model, steps or STEPS[SUPERVISED], home=home)
                for home in HOMES
                for model in STEP_S
            ),
            *(Run(SUPERVISED, smallest, n, home=home) for home in HOMES for n in short),
        ],
        "pixels": [Run(PIXELS, None, 0, home=home) for home in HOMES],
    }


def distinct(parts):
    """The runs of all parts, each once."""
    return list(dict.fromkeys(run for runs in parts.values() for run in runs))


def settings(run, held_out_sites):
    """What a run is known by in runs.jsonl: its numbers, those of its model and of its recipe."""
    chosen = {name: value for name, value in run._asdict().items() if value is not None}
    model = MODELS[run.model] | recipe(run.model) if run.model else {}
    chosen |= {"seed": SEED, "held_out_sites": held_out_sites, "homes": HOMES, "settings": model}
    return json.loads(json.dumps(chosen))  # tuples become lists, as in the file


def train_contrastive(run, pairs, out, threads):
    """Start or resume a run of train.py in the folder `out`, and test it: its numbers, a dict.

    All runs are tested over the same classes, the names that all training pictures share with the
    site held out; "named" counts those that this run's own pictures have.
    """
    options = {
        "--data": "icons",
        "--held-out-sites": ",".join(pairs.held_out_sites),
        "--model": run.model,
        "--steps": run.steps,
        "--pairs": run.pairs,
        "--sites": run.sites and ",".join(run.sites),
        "--seed": SEED,
        "--out": out,
        "--log-every": 100,
        "--threads": threads,
        "--device": "cpu",
    }
    given = [str(x) for option in options.items() if option[1] is not None for x in option]
    if stopped := train.main([*given, "--resume"]):
        raise SystemExit(stopped)
    results = json.loads((out / "results.json").read_text())
    model, tokenizer, _ = load(out / "checkpoint.pt")

    def features(source, indices):
        return encode_images(model, source, indices)

    def zero_shot(source, names):
        weights = classifier_weights(model, tokenizer, names, TEMPLATES)
        return lambda indices: features(source, indices)[0] @ weights

    indices, right = labelled(pairs, "heldout_site", pairs.shared_names)
    scores = zero_shot(pairs, pairs.shared_names)(indices)
    trained = Icons(run.sites, pairs.held_out_sites, (pairs.owned, pairs.inks))
    pictures = len(trained.splits["train"])
    pictures = min(run.pairs or pictures, pictures)
    flop = flop_per_pair(model.config)  # a name counts as the whole context
    batch = min(recipe(run.model)["batch_size"], pictures)
    found = {
        "sites": len(trained.sites),
        "pictures": pictures,
        "Tflop": run.steps * batch * (flop["forward"] + flop["backward"]) / 1e12,
        **{f"top-{k}": share(int(correct(scores, right, k).sum()), len(right)) for k in (1, 5)},
        "classes": len(pairs.shared_names),
        "named": results["zero_shot"]["classes"],
        "homes": {},
    }
    for site in [site for site in HOMES if site not in trained.sites]:
        home = supervised.Home(pairs, site, *HOMES[site])
        found["homes"][site] = {
            "zero-shot": supervised.accuracies(home, zero_shot(home, home.tested_names)),
            "labels": supervised.accuracies(home, supervised.neighbour(features, home)),
        }
    return found | {"seconds": results["train_seconds"]}


def train_supervised(run, pairs):
    """Train and test a classifier on the labels of run.home; without a model the pixel neighbour."""
    began = time.monotonic()
    home = supervised.Home(pairs, run.home, *HOMES[run.home])
    if run.model:
        scores = supervised.train(home, run.model, run.steps, SEED)
    else:
        scores = supervised.neighbour(ink, home)
    found = supervised.accuracies(home, scores) | {"classes": len(home.tested_names)}
    return found | {"seconds": round(time.monotonic() - began, 1)}


def study(runs, pairs, path, out, threads=None):
    """Do the runs that the file `path` lacks, and add each to it as it ends."""
    known = [line["run"] for line in finished(path)]
    left = [run for run in runs if settings(run, pairs.held_out_sites) not in known]
    began, expected = time.monotonic(), [run.expected_s for run in left]
    for k, run in enumerate(left):
        # so far this machine takes `pace` times as long as two quiet cores
        pace = (time.monotonic() - began) / sum(expected[:k]) if k else 1
        eta, number = pace * sum(expected[k:]) / 60, len(runs) - len(left) + k + 1
        print(f"run {number} of {len(runs)}: {run} | ETA of all {eta:.0f} min", flush=True)
        how = settings(run, pairs.held_out_sites)
        if run.objective == CONTRASTIVE:
            found = train_contrastive(run, pairs, folder_of(out, how), threads)
        else:
            found = train_supervised(run, pairs)
        add(path, {"run": how, "found": found, "machine": machine(torch.device("cpu"))})


def write_report(parts, held_out_sites, path):
    """Write report.md and its figures beside the file of runs. UserError where a run is missing."""
    runs = distinct(parts)
    found = dict(zip(runs, results(path, [settings(run, held_out_sites) for run in runs])))
    parts = {part: {run: found[run] for run in runs} for part, runs in parts.items()}
    report = Report(path.parent, "Scaling and robustness of models trained on icons")
    write_scaling(report, parts)
    write_robustness(report, parts, HOMES, ", ".join(held_out_sites))
    report.write()
    print(f"\nreport.md and its figures are in {path.parent}")


@command("python -m miniclip.evaluation.scaling")
def main(argv=None):
    """The study, or with --figures its report alone. Returns the exit code."""
    parser = Parser(
        prog="python -m miniclip.evaluation.scaling", description=__doc__.split("\n")[0]
    )
    add_option = parser.add_argument
    add_option("--figures", action="store_true", help="no training: draw what runs.jsonl has")
    add_option("--held-out-sites", default=",".join(TEST), help="the sets to test on (fontawesome)")
    add_option("--results", type=Path, default=RESULTS, help=f"runs.jsonl, the report ({RESULTS})")
    add_option("--out", type=Path, default=OUT, help=f"a folder a training ({OUT})")
    add_option("--steps", type=number(int, low=1), help="of each run, to try the command")
    add_option("--threads", type=number(int, low=1), help="CPU threads of torch")
    args = parser.parse_args(argv)
    held_out_sites = tuple(args.held_out_sites.split(","))
    parts, path = plan(held_out_sites, args.steps), args.results / "runs.jsonl"
    if not args.figures:
        if train is None:
            raise UserError("it starts train.py, so it must be started in the folder of a checkout")
        if args.threads:
            torch.set_num_threads(args.threads)
        study(distinct(parts), Icons(held_out_sites=held_out_sites), path, args.out, args.threads)
    write_report(parts, held_out_sites, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

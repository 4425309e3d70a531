"""What the sections of the report share: the model, the pictures, and results that several need.

The open_ functions open the data that the options of eval.py name. EvalContext holds the data.
If several sections ask it for the same result, it computes this result only once.
"""

import contextlib
import functools
import hashlib
import json
import os
from dataclasses import dataclass

import torch

from miniclip.common import UserError, refuse
from miniclip.data import BUILT_IN, EMOJI, SOURCE_OPTIONS, Pairs, open_divided
from miniclip.data.dataset import changed_packages, printable
from miniclip.data.emoji.drawings import KINDS, other_drawings
from miniclip.data.files import read_lines
from miniclip.data.icons.icons import NEW_TO_FIRST, of_first_icons
from miniclip.data.labelled import Labelled, files_of, open_labelled
from miniclip.data.shards.shards import is_pattern
from miniclip.evaluation import linear_probe
from miniclip.evaluation.confidence import share
from miniclip.evaluation.ensembles import GENERIC
from miniclip.evaluation.families import TEMPLATES
from miniclip.evaluation.features import (
    FeatureCache,
    encode_examples,
    examples,
    picture_source,
    raw_pixels,
)
from miniclip.evaluation.report.writer import Report
from miniclip.evaluation.retrieval import evaluate_heldout
from miniclip.training.checkpoint import FORMAT, hold_back, learned_by
from miniclip.zeroshot import classify, imagenet

PLAIN_TEMPLATES = ["{}", GENERIC, "a picture of a {}."]
EMOJI_TEMPLATES = [
    "{}",
    "an emoji of {}",
    "a drawing of {}",
    "a picture of {}",
    "{} icon",
    "the {} emoji",
]
SHOTS = (1, 2, 4, 8, 16)


def open_data(
    content: dict, data: str | None = None, start: dict | None = None, **options
) -> tuple[Pairs, bool]:
    """Open the pairs of the report: (pairs, whether the model was trained on them).

    data: the source of the pairs. None: if the weights are a checkpoint of train.py, the source
    that it was trained on; for weights from elsewhere, the embedded emoji. content: what the
    checkpoint holds. start: what the file of the weights from before fine-tuning holds, or None.
    options: the SOURCE_OPTIONS; an option that is None takes the value that was used in training,
    if the model was trained on this source.

    The run's own pairs are recognized by their digest, also if their files were moved or copied.
    The digest includes --keep and --val-data, so the files of these options must still be there.

    All other pairs are compared with the hashes in the checkpoint (Pairs.hashes_of). Pairs that the
    model was trained on are left out, and a printed sentence says how many, or that none was
    recognized. Pairs in shards cannot be recognized. If the checkpoint comes from an older version,
    or from a run with too many pairs, it has no hashes, and no pair can be recognized. A printed
    sentence then says so. Raises UserError if no pair is left to test.

    Among the run's own pairs, the ones that the model had learned before this run began are not
    tested either, and neither are those that the model of `start` has learned (hold_back).
    """
    run = content.get("options", {}) if content.get("format") == FORMAT else {}
    refuse(
        {
            "the checkpoint does not say what it was trained on; add --data": not all(
                isinstance(run.get(name), str | None)
                for name in ("data", "val_data", "keep", *SOURCE_OPTIONS)
            )
        }
    )
    source, before = None if data == EMOJI else data or run.get("data"), run.get("data")
    files = not any(where in (None, *BUILT_IN) for where in (source, before))
    same = source == before or files and os.path.realpath(source) == os.path.realpath(before)
    first = run and same and of_first_icons(content.get("packages", {}))
    trained_on = bool(run) and same and not first
    given = {name: value for name, value in options.items() if value is not None}

    def opened(recorded):  # the options of a run, or none
        how = {name: given.get(name, recorded.get(name)) for name in SOURCE_OPTIONS}
        kept = recorded.get("keep") or recorded.get("pairs")
        return open_divided(source, kept, recorded.get("val_data"), **how)

    found = data or not files or os.path.exists(source) or is_pattern(source) or "://" in source
    refuse({f"the model was trained on {source}, which is not here; add --data": not found})
    pairs = None
    if run and files and not same:
        with contextlib.suppress(UserError, OSError):  # other pairs need not suit these options
            pairs = opened(run)
            trained_on = pairs.digest == content.get("pairs_digest")
    if pairs is None or not trained_on:
        pairs = opened(run if trained_on else {})
    if first:
        pairs.tested = NEW_TO_FIRST
        print(
            "the model was trained on thirteen sets of icons that are no longer read; it is tested on "
            f"families of today's icons that it was not trained on: {', '.join(NEW_TO_FIRST)}"
        )
    if changed := trained_on and changed_packages(content.get("packages", {}), pairs.packages):
        print(f"the pictures are no longer those that the model was trained on: {changed}")
    if files and trained_on and content.get("pairs_digest", pairs.digest) != pairs.digest:
        print(
            f"the pictures, names or captions of {printable(source)} have changed since the model was "
            "trained"
        )
        trained_on = False
    # all of these pairs that were not trained on are the test; icons keep their own test splits
    if source and not trained_on and not pairs.homes:
        learned = [learned_by(file) for file in (content, start or {})]
        known = {h for hashes in learned if hashes is not None for h in hashes.tolist()}
        is_known = [bool(known and known & pairs.hashes_of(i)) for i in range(len(pairs))]
        splits = {"train": True, "others" if any(is_known) else "all": False}
        pairs.splits = {
            k: [i for i, x in enumerate(is_known) if x == of] for k, of in splits.items()
        }
        refuse({f"the model was trained on all pairs of {source}; give others": all(is_known)})
        if any(is_known):
            print(
                f"the model was trained on {sum(is_known):,} of the {len(pairs):,} pairs of "
                f"{printable(source)}; the others are tested"
            )
        else:
            why = (
                "but nothing tells whether the model was trained on some of them"
                if None in learned or not pairs.hashes_of(0)
                else "because none of them was recognized as one that the model was trained on"
            )
            print(f"all pairs of {printable(source)} are tested, {why}")
    if trained_on:
        hold_back(pairs, (content, start or {}))
    return pairs, trained_on


def class_names(classes: str | None):
    """The class names that open_labelled takes. classes: a text file, which gives a list of names;
    "imagenet", which gives {wnid: name}; or None, which gives None."""
    if classes in (None, "imagenet"):
        return classes and imagenet()[0]
    return read_lines(classes, "class names", numbered=True)


def pictures_digest(pictures: Pairs) -> str:
    """Which labelled pictures these are: the SHA-256, in hex, of their names, their labels and what
    is known about their files."""
    stamps = [pictures.stamp(i) for i in range(len(pictures))]
    return hashlib.sha256(json.dumps([pictures.digest, stamps]).encode()).hexdigest()


def read_templates(templates: str | None) -> list[str]:
    """The templates of a text file, or OpenAI's 80 for "imagenet"; an empty list for None.

    Raises UserError for a template that does not hold {} exactly once.
    """
    if templates is None:
        return []
    return checked_templates(
        imagenet()[1] if templates == "imagenet" else read_lines(templates, "templates")
    )


def templates_for(pairs, labelled: Labelled | None) -> list[str]:
    """The templates that suit the pictures."""
    if labelled is None:
        return list(TEMPLATES) if pairs.homes else PLAIN_TEMPLATES
    if labelled.templates:
        return checked_templates(labelled.templates)
    return EMOJI_TEMPLATES if labelled.pictures is pairs else PLAIN_TEMPLATES


def checked_templates(found):
    """The templates, with {} where the name goes. Raises UserError for a template that does not
    hold {} exactly once."""
    found = [template.replace("{c}", "{}") for template in found]  # CLIP_benchmark writes {c}
    refuse(
        {
            f"template {t!r} must hold {{}} once, where the name goes": t.count("{}") != 1
            for t in found
        }
    )
    return found


def named_shifts(shifts, names=None) -> dict[str, Labelled]:
    """Open the pictures of --shift: {name: Labelled}. shifts: strings NAME=FOLDER. names: what
    class_names returned; if this is {wnid: name}, it also names the classes of a shift."""
    found, names = {}, names if isinstance(names, dict) else None
    for given in shifts or ():
        name, _, folder = given.partition("=")
        refuse(
            {
                f"--shift must be NAME=FOLDER, and not {given!r}; two --shift must not have the "
                f"same NAME, and these names are taken: home, {', '.join(KINDS)}": (
                    not folder or name in ("", "home", *KINDS, *found)
                )
            }
        )
        found[name] = open_labelled(os.path.expanduser(folder), names)
    return found


def open_shifts(pairs, labelled: Labelled | None, shifted: dict[str, Labelled]) -> dict:
    """The same classes in other pictures: {name: (source, indices, labels)}.

    shifted: what named_shifts returned. Its classes must be among the classes of `labelled`. For
    the embedded emoji, other drawings of the same emoji are added. Drawings that cannot be made
    here are left out, and a printed sentence says why.
    """
    refuse({"--shift needs labelled pictures: add --images": shifted and labelled is None})
    found = {}
    for name, other in shifted.items():
        unknown = sorted(set(other.class_names) - set(labelled.class_names))
        refuse(
            {
                f"{other.name} has classes that the pictures of --images do not have: "
                f"{', '.join(unknown[:3])}; the classes of --images are "
                f"{', '.join(labelled.class_names[:3])} ...": bool(unknown)
            }
        )
        # by label and name, because two classes of ImageNet may have one name
        own = {name: c for c, name in reversed([*enumerate(labelled.class_names)])} | {
            (labelled.pictures.captions(i)[0], labelled.class_names[c]): c
            for i, c in labelled.labels.items()
        }
        called = {i: other.class_names[c] for i, c in other.labels.items()}
        other.labels = {
            i: own.get((other.pictures.captions(i)[0], class_name), own[class_name])
            for i, class_name in called.items()
        }
        found[name] = examples(other, "all")
    learned = {*files_of(labelled.pictures, labelled.splits["train"])} if shifted else set()
    for name, other in shifted.items():
        both = learned.intersection(files_of(other.pictures, other.splits["all"])) - {"[]"}
        refuse(
            {
                f"--shift {name} has {len(both)} pictures of --images, from which the probe learns; "
                "give other pictures": both
            }
        )
    if labelled is not None and labelled.pictures is pairs and pairs.rows:  # the embedded emoji
        for kind in KINDS:
            try:
                drawings = other_drawings(pairs, kind, labelled.splits["test"])
                found[kind] = (picture_source(drawings), sorted(drawings), labelled.labels)
            except UserError as error:
                print(f"The drawings called {kind} are left out: {error}.")
    return found


@dataclass
class EvalContext:
    """The model and the data of one report, and the results that several sections use."""

    features: FeatureCache  # the model, its tokenizer, and the features computed so far
    pairs: Pairs  # what is retrieved
    trained_on_pairs: bool  # whether the checkpoint says that the model was trained on them
    labelled: Labelled | None  # pictures with classes, for zero-shot, probes and shifts
    templates: list  # the templates of the zero-shot ensemble, strings with one {}
    shifts: dict  # {name: (source, indices, labels)}, the same classes in other pictures
    report: Report  # what the sections write to
    seeds: int  # how many draws of each number of shots
    # if averages are asked for, the model before fine-tuning: what weight_average.read_start
    # returned, and what the file of the fine-tuned model holds
    start: tuple | None = None

    @functools.cached_property
    def retrieval(self):
        """What evaluate_heldout returns for the pairs: ({split: scores}, {split: Gallery})."""
        return evaluate_heldout(self.features, self.pairs)

    def encode_labelled(self, split):
        """(features, labels, indices) of a split of the labelled pictures."""
        return encode_examples(self.features.images, *examples(self.labelled, split))

    @functools.cached_property
    def classes_and_shots(self):
        """(the classes that take part in probes, the numbers of shots), both lists of int.

        A number of shots can be used if at least 80 % of the classes, and at least two, have that
        many training pictures. The numbers are those of SHOTS up to the largest one that can be
        used. Classes with fewer pictures than this largest number are left out. Raises UserError if
        no number can be used.
        """
        # only pictures that can be read count
        counts = self.encode_labelled("train")[1].bincount(minlength=len(self.labelled.class_names))
        for most in reversed(SHOTS):
            classes = (counts >= most).nonzero().flatten().tolist()
            if len(classes) >= max(2, 0.8 * len(counts)):
                return classes, [k for k in SHOTS if k <= most]
        raise UserError(
            "a probe learns from pictures of at least two classes, and of at least 80 % of all; "
            f"here {int((counts > 0).sum())} of {len(counts)} classes have pictures to learn from"
        )

    def _tests(self, encode):
        """The test pictures whose classes take part in probes: {"home" or a shift: (features,
        labels)}. A shift without such pictures is left out; if there are none at home, this raises
        UserError."""
        classes = set(self.classes_and_shots[0])
        tests = {"home": examples(self.labelled, "test"), **self.shifts}
        tests = {name: encode_examples(encode, *test, classes)[:2] for name, test in tests.items()}
        refuse(
            {
                "no picture to test on has a class with enough pictures to learn from": (
                    not len(tests["home"][1])
                )
            }
        )
        return {name: (x, y) for name, (x, y) in tests.items() if len(y)}

    @functools.cached_property
    def zero_shot(self):
        """{test: confidence.share}: zero-shot accuracy among the classes of the probes."""
        classes = torch.tensor(self.classes_and_shots[0], dtype=torch.long)
        weights = self.features.classifier(self.labelled.class_names, self.templates)[:, classes]
        return {
            name: share(int((classes[classify(x, weights)] == y).sum()), len(y))
            for name, (x, y) in self._tests(self.features.images).items()
        }

    @functools.cached_property
    def probes(self):
        """Linear probes on the features and on two baselines, tested at home and on each shift.

        Returns {name of the features: {"curve": {k: {test: [accuracy per seed]}}, "full": {test:
        accuracy}, "strength", "n": {test: number of pictures}}}.
        """
        kinds = {
            "this model": self.features.images,
            "same tower, random weights": self.features.untrained().images,
            "raw pixels": raw_pixels,
        }
        (classes, shots), result = self.classes_and_shots, {}
        for name, encode in kinds.items():
            x, y, _ = encode_examples(encode, *examples(self.labelled, "train"), {*classes})
            tests = self._tests(encode)
            probe, strength = linear_probe.full_probe(x, y)
            result[name] = {
                "curve": linear_probe.shots_curve(x, y, tests, shots, self.seeds),
                "full": {
                    t: float(probe.score(x.numpy(), y.numpy())) for t, (x, y) in tests.items()
                },
                "strength": strength,
                "n": {t: len(y) for t, (_, y) in tests.items()},
            }
        return result

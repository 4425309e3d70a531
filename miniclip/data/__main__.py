"""What is in a source of pairs: python -m miniclip.data [pairs.csv | folder | shards | icons | emoji]

Counts what a result depends on: how many pairs there are, what is held out, what occurs twice and
what had to be left out. Every picture is decoded once for it, so damage that training would meet later
is named here.
"""

import collections
import hashlib
import statistics
import sys

from tqdm import tqdm

from miniclip.common import Parser, command, path
from miniclip.data import (
    BadPicture,
    add_source_options,
    open_source,
    printable,
    report_skipped,
)
from miniclip.data.curation import balance
from miniclip.data.emoji.dataset import words
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
        seen.setdefault(digest, []).append(split_of.get(i))
    twice = [splits for splits in seen.values() if len(splits) > 1]
    leaks = sum(len(set(splits)) > 1 for splits in twice)
    sides = sides or [0]
    return damaged, [
        (
            "short side, median pixels",
            statistics.median_high(sides),
            f"from {min(sides)} to {max(sides)}",
        ),
        ("groups of identical pictures", len(twice), f"{leaks:,} of them on both sides of a split"),
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
        "data",
        nargs="?",
        type=path(str),
        help="pairs.csv, a folder, shards, icons or emoji (the default)",
    )
    add_source_options(parser)
    args = parser.parse_args(argv)
    pairs = open_source(args)
    damaged, rows = decode_all(pairs)
    rows, skipped = summary(pairs) + rows, pairs.skipped + damaged
    reasons = collections.Counter(reason for _, reason in skipped).most_common(8)
    rows += [("skipped: " + printable(reason, 60), count, "") for reason, count in reasons]
    packages = ", ".join(f"{p} {version}" for p, version in pairs.packages.items())
    print(printable(pairs.name) + (packages and f": {packages}"))
    for what, count, note in rows:
        print(f"  {what:<34}{count:>8,}  {note}".rstrip())
    if skipped:
        print(report_skipped(skipped))
    return 0


if __name__ == "__main__":
    sys.exit(main())
